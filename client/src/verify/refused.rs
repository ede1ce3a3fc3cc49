//! Contents that differed from a compile once: they are not taken from the ring or a shared directory again.
//!
//! Shape: `verify/refused` is a list of digests, appended under a lock. Each stands for a key and everything that an entry gives under it, whoever
//! signed it, so an entry that is pushed once more is refused as well.

use crate::home::Home;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::Outcome;
use dccache_protocol::keys::EntryKey;
use rustix::fs::OFlags;
use std::io::{self, Write};

const FILE: &str = "verify/refused";

/// Most digests that are remembered; each is a wrong entry that was met. The oldest go first.
const REFUSED_MAX: usize = 1024;

/// Longest the file gets before the oldest are taken out, in bytes.
const FILE_MAX: u64 = 2 * REFUSED_MAX as u64 * LENGTH as u64;

/// Bytes of a digest.
const LENGTH: usize = 32;

/// What is not taken again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused(Vec<[u8; LENGTH]>);

impl Refused {
    /// Reads the list; where there is none, or it cannot be read, nothing is refused.
    pub fn read(home: &Home) -> Self {
        let bytes = home.read(FILE, FILE_MAX).unwrap_or_default();
        Self(bytes.as_chunks::<LENGTH>().0.to_vec())
    }

    /// Tells whether this content is refused under any of these keys.
    pub fn holds(&self, keys: &[EntryKey], outcome: &Outcome) -> bool {
        !self.0.is_empty() && keys.iter().any(|key| self.0.contains(digest_of(key, outcome).as_bytes()))
    }

    /// Adds a content under these keys.
    ///
    /// # Errors
    /// Why the list could not be written; it is as it was then.
    pub fn add(home: &Home, keys: &[EntryKey], outcome: &Outcome) -> io::Result<()> {
        let lock = super::kept::lock(home)?;
        let mut list = Self::read(home);
        let new = keys.iter().map(|key| *digest_of(key, outcome).as_bytes());
        let new: Vec<_> = new.filter(|digest| !list.0.contains(digest)).collect();
        let whole = home.open_for_writing(FILE, OFlags::WRONLY | OFlags::APPEND)?;
        let fits = whole.metadata()?.len() == (list.0.len() * LENGTH) as u64;
        if fits && list.0.len() + new.len() <= REFUSED_MAX {
            (&whole).write_all(new.as_flattened())?;
        } else {
            // Too long, or torn by a full disk.
            list.0.extend(new);
            let surplus = list.0.len().saturating_sub(REFUSED_MAX);
            home.replace(FILE, &[list.0[surplus..].as_flattened()])?;
        }
        drop(lock);
        Ok(())
    }
}

fn digest_of(key: &EntryKey, outcome: &Outcome) -> Digest {
    let mut bytes = key.digest().as_bytes().to_vec();
    let streams = [&outcome.stdout, &outcome.stderr].map(|stream| (u8::MAX, stream));
    let outputs = outcome.outputs.iter().map(|output| (output.role as u8, &output.content));
    for (role, content) in outputs.chain(streams) {
        bytes.push(role);
        bytes.extend(content.size.to_le_bytes());
        bytes.extend(content.blob.digest().as_bytes());
    }
    bytes.push(outcome.exit_code);
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::outcome;
    use dccache_protocol::keys::PreprocessedKey;

    fn key(number: usize) -> EntryKey {
        EntryKey::Preprocessed(PreprocessedKey::from_digest(Digest::of(&number.to_le_bytes())))
    }

    #[test]
    fn a_content_is_refused_under_its_keys_whatever_its_compile_took_and_no_other_is() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        assert_eq!(Refused::read(&home), Refused::default());
        Refused::add(&home, &[key(1), key(2)], &outcome(b"wrong")).unwrap();
        let list = Refused::read(&home);
        let slower = Outcome { wall_ms: 9, ..outcome(b"wrong") };
        assert!(list.holds(&[key(0), key(2)], &slower) && list.holds(&[key(1)], &slower));
        assert!(!list.holds(&[key(0)], &slower) && !list.holds(&[key(1)], &outcome(b"right")));
    }

    #[test]
    fn the_list_is_bounded_the_newest_stay_and_a_torn_one_is_mended() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        Refused::add(&home, &[key(0)], &outcome(b"a")).unwrap();
        home.open_for_writing(FILE, OFlags::WRONLY | OFlags::APPEND).unwrap().write_all(b"torn").unwrap();
        for number in 1..=REFUSED_MAX {
            Refused::add(&home, &[key(number)], &outcome(b"a")).unwrap();
        }
        let list = Refused::read(&home);
        assert!(!list.holds(&[key(0)], &outcome(b"a")));
        assert!((1..=REFUSED_MAX).all(|number| list.holds(&[key(number)], &outcome(b"a"))));
        assert_eq!(list.0.len(), REFUSED_MAX);
    }
}
