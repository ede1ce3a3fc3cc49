//! The record of one compile.

use super::Traffic;
use super::frame;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::SignerId;
use serde::{Deserialize, Serialize};

/// First bytes of a record; a reader finds the next whole record by them after a torn one. The second is the version.
const MAGIC: [u8; 2] = [0xDC, 3];

/// Longest text of a record, in bytes; longer ones are cut, so that one append stays small.
pub const TEXT_MAX: usize = 1024;

/// How a hit was found, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Served {
    /// By its preprocessed text, in the local store.
    Local,
    /// By its preprocessed text, on the ring.
    Ring,
    /// By what it reads, in the local store.
    DirectLocal,
    /// By what it reads, on the ring.
    DirectRing,
    /// By its preprocessed text, in a shared directory.
    Shared,
    /// By what it reads, in a shared directory.
    DirectShared,
}

/// What was done with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Served without compiling.
    Hit(Served),
    /// Compiled and stored.
    Miss,
    /// Compiled and not stored, for this reason.
    NotStored(String),
    /// Left to the compiler untouched, for this reason.
    Bypassed(String),
    /// Found and compiled as well, with equal results.
    Verified(Served),
    /// Found and compiled as well; for this reason nobody can tell whether what was found is right.
    Unverified(Served, String),
}

impl Verdict {
    /// Returns how and where an entry was found that answers the call, whether or not it was compiled as well.
    pub fn served(&self) -> Option<Served> {
        match self {
            Self::Hit(served) | Self::Verified(served) | Self::Unverified(served, _) => Some(*served),
            Self::Miss | Self::NotStored(_) | Self::Bypassed(_) => None,
        }
    }
}

/// One compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it ended, ms since the Unix epoch.
    pub at_ms: u64,
    /// What was done.
    pub verdict: Verdict,
    /// What caused the reason, as the user spelled it; empty when nothing in particular did.
    pub cause: Vec<u8>,
    /// Counted faults on the way, such as `corrupt_entry`.
    pub faults: Vec<String>,
    /// Working directory.
    pub directory: Vec<u8>,
    /// Compiler as typed.
    pub compiler: Vec<u8>,
    /// Source as typed; empty where none was recognised.
    pub source: Vec<u8>,
    /// Main output as typed or derived; empty where none was recognised.
    pub output: Vec<u8>,
    /// Who signed what was served; `None` for what this machine compiled, and for what nobody signed.
    pub signer: Option<SignerId>,
    /// Keys that were looked for.
    pub keys: Vec<Digest>,
    /// Bytes of outputs that were served.
    pub served_bytes: u64,
    /// Bytes of outputs that were stored.
    pub stored_bytes: u64,
    /// Wall-clock time of the compile, or of the one that a hit spared, in ms.
    pub compile_ms: u32,
    /// Wall-clock time of the preprocessor, in µs.
    pub preprocess_us: u32,
    /// Wall-clock time of the wrapper without the compiler, in µs.
    pub own_us: u32,
    /// What was asked of the caches, and written.
    pub traffic: Traffic,
}

impl Default for Event {
    fn default() -> Self {
        Self {
            at_ms: 0,
            verdict: Verdict::Miss,
            cause: Vec::new(),
            faults: Vec::new(),
            directory: Vec::new(),
            compiler: Vec::new(),
            source: Vec::new(),
            output: Vec::new(),
            signer: None,
            keys: Vec::new(),
            served_bytes: 0,
            stored_bytes: 0,
            compile_ms: 0,
            preprocess_us: 0,
            own_us: 0,
            traffic: Traffic::default(),
        }
    }
}

impl Event {
    /// Encodes the record.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let texts = [&self.cause, &self.directory, &self.compiler, &self.source, &self.output];
        if texts.iter().all(|text| text.len() <= TEXT_MAX) {
            return frame::framed(MAGIC, self);
        }
        let mut event = self.clone();
        let Self { cause, directory, compiler, source, output, .. } = &mut event;
        for text in [cause, directory, compiler, source, output] {
            text.truncate(TEXT_MAX);
        }
        frame::framed(MAGIC, &event)
    }

    /// Decodes all whole records; torn and foreign bytes between them are skipped.
    pub(super) fn all(bytes: &[u8]) -> Vec<Self> {
        frame::all(MAGIC, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Looked, Moves};

    #[test]
    fn a_record_keeps_its_bytes() {
        let event = Event {
            at_ms: 1_790_000_000_000,
            verdict: Verdict::NotStored("input_changed".to_owned()),
            cause: b"a.h".to_vec(),
            faults: vec!["corrupt_entry".to_owned()],
            directory: b"/r/w".to_vec(),
            compiler: b"gcc".to_vec(),
            source: b"a.c".to_vec(),
            output: b"a.o".to_vec(),
            signer: Some(SignerId::from_digest(Digest::from_bytes([8; 32]))),
            keys: vec![Digest::from_bytes([7; 32])],
            served_bytes: 1,
            stored_bytes: 2,
            compile_ms: 300,
            preprocess_us: 4,
            own_us: 5,
            traffic: Traffic {
                direct: Looked::Missed,
                preprocessed: Looked::Found,
                local: Moves { found: 1, missed: 2, written: 3 },
                remote: Moves { found: 4, missed: 5, written: 600 },
                recached: true,
            },
        };
        let bytes = event.to_bytes().unwrap();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = concat!(
            "80d8c1a28c34020d696e7075745f6368616e67656403612e68010d636f72727570745f656e747279",
            "042f722f770367636303612e6303612e6f0108080808080808080808080808080808080808080808",
            "08080808080808080808010707070707070707070707070707070707070707070707070707070707",
            "0707070102ac02040501020102030405d80401",
        );
        // Magic, length, four bytes of the body's digest, body.
        assert_eq!((&text[..8], &text[16..]), ("dc038b00", body));
        assert_eq!(Event::all(&bytes), [event]);
    }

    #[test]
    fn whole_records_are_read_around_torn_ones() {
        let event = |n: u64| Event { at_ms: n, source: b"a.c".to_vec(), ..Event::default() };
        let whole: Vec<Vec<u8>> = (0..3).map(|n| event(n).to_bytes().unwrap()).collect();
        for cut in 0..whole[1].len() {
            let log = [whole[0].as_slice(), &whole[1][..cut], &whole[2]].concat();
            let read = Event::all(&log);
            assert_eq!((read.first(), read.last()), (Some(&event(0)), Some(&event(2))), "cut at {cut}");
        }
        assert_eq!(Event::all(&whole.concat()).len(), 3);
        assert!(Event::all(&[0xDC; 100]).is_empty());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(256) })]

        #[test]
        fn arbitrary_bytes_never_panic_not_even_behind_a_right_digest(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let prefix = [&MAGIC[..], &(body.len() as u16).to_le_bytes(), &frame::check(&body)].concat();
            let whole = Event { at_ms: 9, ..Event::default() }.to_bytes().unwrap();
            let read = Event::all(&[&prefix, body.as_slice(), &whole].concat());
            proptest::prop_assert_eq!(read.last().map(|event| event.at_ms), Some(9));
            let _ = Event::all(&body);
        }
    }
}
