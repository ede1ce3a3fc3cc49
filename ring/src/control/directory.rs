//! The directory of signers: who may sign, and whose word counts how far; countersigned by the voters in force.

use super::Cluster;
use super::layouts::voter_key;
use crate::accept::{majority, votes};
use dccache_protocol::codec::Format;
use dccache_protocol::control::{Outcome, Refusal};
use dccache_protocol::directory::{Directory, SignedDirectory, SignerRecord, Standing};
use dccache_protocol::ids::{NodeId, SignerId};
use dccache_protocol::limits;
use dccache_protocol::signing::{Purpose, Signature};

impl Cluster {
    /// Returns the newest directory, countersigned or not.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Returns the newest directory that a majority of voters signed; `None` until the first is.
    pub fn signed_directory(&self) -> Option<&SignedDirectory> {
        self.published.as_ref()
    }

    pub(super) fn add_signer(&mut self, record: SignerRecord) -> Result<Outcome, Refusal> {
        let signers = &self.directory.signers;
        let Err(place) = signers.binary_search_by_key(&record.key, |known| known.key) else {
            return Err(Refusal::KnownSigner);
        };
        if signers.len() >= limits::SIGNERS_MAX {
            return Err(Refusal::Full);
        }
        let id = record.key.signer_id();
        self.directory.signers.insert(place, record);
        self.directory_changed();
        Ok(Outcome::Registered(id))
    }

    pub(super) fn set_standing(&mut self, signer: SignerId, standing: Standing) -> Result<(), Refusal> {
        let known = self.directory.signers.iter_mut().find(|known| known.key.signer_id() == signer);
        let record = known.ok_or(Refusal::UnknownSigner)?;
        if !lowers(record.standing, standing) {
            return Err(Refusal::NoWayBack);
        }
        record.standing = standing;
        self.directory_changed();
        Ok(())
    }

    fn directory_changed(&mut self) {
        self.directory.number = self.directory.number.saturating_add(1);
        self.directory_signatures.clear();
    }

    /// Signatures of those who vote no more do not count any more.
    pub(super) fn voters_changed(&mut self) {
        let layout = &self.layouts[self.layouts.len() - 1].layout;
        self.directory_signatures.retain(|(voter, _)| layout.voters.binary_search(voter).is_ok());
    }

    pub(super) fn countersign_directory(
        &mut self,
        number: u64,
        voter: NodeId,
        signature: Signature,
    ) -> Result<Outcome, Refusal> {
        if number < self.directory.number {
            return Ok(Outcome::Unchanged);
        }
        let key = voter_key(&self.in_force().layout, voter).ok_or(Refusal::BadSignature)?;
        let bytes = self.directory.to_bytes();
        if number > self.directory.number || !key.verifies(Purpose::Directory, &bytes, &signature) {
            return Err(Refusal::BadSignature);
        }
        match self.directory_signatures.binary_search_by_key(&voter, |signed| signed.0) {
            Ok(place) => self.directory_signatures[place].1 = signature,
            Err(place) => self.directory_signatures.insert(place, (voter, signature)),
        }
        let layout = &self.in_force().layout;
        let good = votes(layout, Purpose::Directory, &bytes, &self.directory_signatures);
        let missing = majority(layout).saturating_sub(good) as u8;
        if missing == 0 {
            let (directory, signatures) = (self.directory.clone(), self.directory_signatures.clone());
            self.published = Some(SignedDirectory { directory, signatures });
        }
        Ok(Outcome::DirectorySigned { number, missing })
    }
}

/// Says whether a standing takes something away and gives nothing back.
fn lowers(now: Standing, then: Standing) -> bool {
    /// The first stamp that is refused.
    fn refused_from(standing: Standing) -> u64 {
        match standing {
            Standing::Active => u64::MAX,
            Standing::Retired(last) => last.0.saturating_add(1),
            Standing::CompromisedSince(first) => first.0,
        }
    }
    let trusted_again = matches!((now, then), (Standing::CompromisedSince(_), Standing::Retired(_)));
    now != then && !trusted_again && then != Standing::Active && refused_from(then) <= refused_from(now)
}
