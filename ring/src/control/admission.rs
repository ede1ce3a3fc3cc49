//! Tokens and what comes of them: a token is redeemed once, then one node or one signer enters under its grant.

use super::layouts::Proposal;
use super::{Cluster, NodeRecord, Redemption};
use dccache_protocol::control::{Grant, Outcome, ROOT_SIGNER, Refusal, Signed, Subject};
use dccache_protocol::digest::Digest;
use dccache_protocol::directory::{SignerRecord, Standing};
use dccache_protocol::ids::NodeId;
use dccache_protocol::layout::SignedLayout;
use dccache_protocol::limits;
use dccache_protocol::signing::PublicKey;
use dccache_protocol::time::UnixMillis;

impl Cluster {
    fn check_grant(&self, grant: &Signed<Grant>) -> Result<(), Refusal> {
        if grant.statement.cluster != self.id {
            return Err(Refusal::ForeignCluster);
        }
        if grant.is_signed_by(&self.administrator) { Ok(()) } else { Err(Refusal::BadSignature) }
    }

    pub(super) fn redeem(
        &mut self,
        grant: &Signed<Grant>,
        by: Digest,
        now: UnixMillis,
    ) -> Result<Outcome, Refusal> {
        self.check_grant(grant)?;
        let Grant { token, expires, .. } = grant.statement;
        if let Some(earlier) = self.tokens.get(&token) {
            return Err(Refusal::TokenUsed { by: earlier.by });
        }
        if expires <= now || expires <= self.tokens_forgotten {
            return Err(Refusal::TokenExpired);
        }
        if self.tokens.len() >= limits::TOKENS_MAX {
            self.forget_tokens(now);
        }
        if self.tokens.len() >= limits::TOKENS_MAX {
            return Err(Refusal::TooManyTokens);
        }
        self.tokens.insert(token, Redemption { by, expires, spent: false });
        Ok(Outcome::Redeemed)
    }

    /// Forgets expired tokens. They stay unusable even if a later leader's clock is behind.
    pub(super) fn forget_tokens(&mut self, now: UnixMillis) {
        let newest = self.tokens.values().map(|token| token.expires).filter(|&expires| expires <= now).max();
        if let Some(newest) = newest {
            self.tokens_forgotten = self.tokens_forgotten.max(newest);
            self.tokens.retain(|_, token| token.expires > newest);
        }
    }

    fn check_open(&self, grant: &Signed<Grant>) -> Result<(), Refusal> {
        self.check_grant(grant)?;
        let open = self.tokens.get(&grant.statement.token).is_some_and(|redemption| !redemption.spent);
        if open { Ok(()) } else { Err(Refusal::TokenNotOpen) }
    }

    fn spend(&mut self, grant: &Grant) {
        if let Some(redemption) = self.tokens.get_mut(&grant.token) {
            redemption.spent = true;
        }
    }

    pub(super) fn admit(
        &mut self,
        grant: &Signed<Grant>,
        node: NodeId,
        layout: SignedLayout,
    ) -> Result<Outcome, Refusal> {
        self.check_open(grant)?;
        let Subject::Node { zone, largest_weight, ranges } = &grant.statement.subject else {
            return Err(Refusal::WrongSubject);
        };
        let member = layout.layout.member(node).ok_or(Refusal::WrongMembers)?;
        let key_is_taken = self.nodes.values().any(|other| other.voter_key == member.voter_key);
        if node == ROOT_SIGNER || key_is_taken || self.nodes.contains_key(&node) {
            return Err(Refusal::KnownNode);
        }
        let record = NodeRecord {
            zone: zone.clone(),
            weight: member.weight,
            largest_weight: *largest_weight,
            ranges: ranges.clone(),
            voter_key: member.voter_key,
            boots: 0,
            boot_nonce: [0; 16],
        };
        let mut nodes = self.nodes.clone();
        nodes.insert(node, record);
        self.may_propose(&layout, &nodes, self.replicas, Proposal::Other)?;
        self.nodes = nodes;
        self.spend(&grant.statement);
        Ok(self.propose(layout))
    }

    pub(super) fn register_signer(
        &mut self,
        grant: &Signed<Grant>,
        key: PublicKey,
    ) -> Result<Outcome, Refusal> {
        self.check_open(grant)?;
        let Subject::Client { operator, roles, namespaces } = grant.statement.subject.clone() else {
            return Err(Refusal::WrongSubject);
        };
        if roles.is_empty() {
            return Err(Refusal::WrongSubject);
        }
        let outcome =
            self.add_signer(SignerRecord { key, operator, roles, namespaces, standing: Standing::Active })?;
        self.spend(&grant.statement);
        Ok(outcome)
    }
}
