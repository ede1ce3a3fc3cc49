//! From a manifest's suggestions to a direct key: the client looks at every suggested file and name itself.
//!
//! Invariant: a direct key holds only what [`Observer`] saw now. A suggestion that leaves something out leads to a key that nobody signed an entry for.

use super::observe::{Observed, Observer};
use super::view::is_nothing;
use crate::cpp::FileFacts;
use crate::keying::root_path;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{DirectKey, ManifestKey, RootPath, direct_key};
use dccache_protocol::manifest::{Manifest, Suggestion};
use dccache_protocol::time::{ReceiptStamp, UnixMillis};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What lets the time of day into an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeMacros {
    /// They may be stale, the user says.
    Ignored,
    /// What `__DATE__` gives now.
    Date(Vec<u8>),
}

/// What a compile read and did not find, hanging on its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Files and the digests that enter the key, ascending.
    pub inputs: Vec<(RootPath, Digest)>,
    /// Names under which nothing lies, ascending.
    pub absent: Vec<RootPath>,
}

impl Footprint {
    /// Returns the direct key of this footprint.
    pub fn key(&self, manifest: ManifestKey) -> DirectKey {
        direct_key(manifest, &self.inputs, &self.absent)
    }

    /// Makes a suggestion of it.
    pub fn suggestion(&self, direct: DirectKey, now: UnixMillis) -> Suggestion {
        let received = ReceiptStamp::next(ReceiptStamp::default(), now);
        Suggestion { inputs: self.inputs.clone(), absent: self.absent.clone(), direct, received }
    }
}

/// Returns the digest under which an input enters a direct key; `None` when no such key can hold it.
pub fn keyed_digest(observed: &Observed, time: &TimeMacros) -> Option<Digest> {
    let FileFacts { date, time: clock, timestamp, embed, pragma_dependency, .. } = observed.facts;
    if embed || pragma_dependency {
        return None;
    }
    match time {
        TimeMacros::Ignored => Some(observed.digest),
        TimeMacros::Date(_) if clock || timestamp => None,
        TimeMacros::Date(today) if date => {
            Some(Digest::of(&[b"date".as_slice(), observed.digest.as_bytes(), today].concat()))
        }
        TimeMacros::Date(_) => Some(observed.digest),
    }
}

/// Where a suggestion is tried.
#[derive(Debug)]
pub struct Trial<'a> {
    /// Root of the compile.
    pub root: &'a [u8],
    /// Looks at files.
    pub observer: &'a mut Observer,
    /// What `__DATE__` gives.
    pub time: &'a TimeMacros,
}

impl Trial<'_> {
    /// Looks at everything that a suggestion names; `None` when something is not as it says.
    pub fn footprint(&mut self, suggestion: &Suggestion) -> Option<Footprint> {
        let mut inputs = Vec::with_capacity(suggestion.inputs.len());
        for (path, digest) in &suggestion.inputs {
            let observed = self.observer.observe(&opened(self.root, path))?;
            let seen = keyed_digest(&observed, self.time)?;
            if seen != *digest {
                return None;
            }
            inputs.push((path.clone(), seen));
        }
        let absent = |path: &RootPath| {
            let path = opened(self.root, path);
            path.starts_with(b"/") && is_nothing(Path::new(OsStr::from_bytes(&path)))
        };
        suggestion.absent.iter().all(absent).then(|| Footprint { inputs, absent: suggestion.absent.clone() })
    }
}

/// Returns the absolute path that a path hanging on `root` stands for.
pub fn opened(root: &[u8], path: &RootPath) -> Vec<u8> {
    match path {
        RootPath::Root(rest) => [root, b"/", rest].concat(),
        RootPath::Absolute(path) => path.clone(),
    }
}

/// Hangs a name of the call on its root.
pub fn hung(root: &[u8], working_directory: &[u8], name: &[u8]) -> RootPath {
    match name.first() {
        Some(b'/') => root_path(root, name),
        _ => root_path(root, &[working_directory, b"/", name].concat()),
    }
}

/// Adds a suggestion in front of a manifest of this machine.
pub fn with_suggestion(manifest: Manifest, suggestion: Suggestion) -> Manifest {
    manifest.merge(Manifest { suggestions: vec![suggestion] })
}
