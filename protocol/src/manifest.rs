//! Manifests: suggestions of what a command read before. Unsigned, because nothing is believed of them.
//!
//! A suggestion is its *shape*, the paths that were read and those that had to be absent: a client that holds the same paths to its own
//! disk derives the same direct key, whatever digests somebody saw there. So one shape stands for every content that ever lay under it, and
//! digests and direct key are hints about the newest one.
//!
//! Manifests merge as sets: union by pusher and shape, the newest receipt stamp wins, of each pusher the newest
//! [`limits::SUGGESTIONS_PER_PUSHER_MAX`] stay, of those the newest [`limits::SUGGESTIONS_MAX`], fewer when they would not fit into
//! [`limits::MANIFEST_MAX`] bytes. The merge is commutative, associative and idempotent, so replicas agree in any order.

use crate::codec::{DecodeError, Format, at_most, ensure};
use crate::digest::Digest;
use crate::keys::{DirectKey, RootPath};
use crate::limits;
use crate::time::ReceiptStamp;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Which client pushed a suggestion, as the first accepting node names it: a part of a digest of the client's key. Two clients that share
/// one share a quota, and no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pusher(pub u64);

impl Pusher {
    /// Nobody: the suggestion never passed a node. It counts against no quota.
    pub const NOBODY: Self = Self(0);
}

/// One earlier compile of the same command: what it read and the key it led to, as hints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suggestion {
    /// Paths read and the digests seen, ascending by path, each path once.
    #[serde(deserialize_with = "at_most::<{ limits::INPUTS_MAX }, _, _>")]
    pub inputs: Vec<(RootPath, Digest)>,
    /// Names that were looked for and not found, ascending, each once.
    #[serde(deserialize_with = "at_most::<{ limits::PROBES_MAX }, _, _>")]
    pub absent: Vec<RootPath>,
    /// Direct key that this led to.
    pub direct: DirectKey,
    /// When the first accepting node received it.
    pub received: ReceiptStamp,
    /// Who pushed it; [`Pusher::NOBODY`] until a node has received it.
    pub pusher: Pusher,
}

impl Suggestion {
    /// Makes a suggestion that no node has received yet, from paths in any order.
    pub fn new(mut inputs: Vec<(RootPath, Digest)>, mut absent: Vec<RootPath>, direct: DirectKey) -> Self {
        inputs.sort_unstable();
        inputs.dedup_by(|next, kept| next.0 == kept.0);
        absent.sort_unstable();
        absent.dedup();
        Self { inputs, absent, direct, received: ReceiptStamp::default(), pusher: Pusher::NOBODY }
    }

    /// Tells whether both name the same paths, whatever lay there.
    pub fn has_shape_of(&self, other: &Self) -> bool {
        self.compare_shape(other).is_eq()
    }

    fn compare_shape(&self, other: &Self) -> Ordering {
        let inputs = self.inputs.iter().map(|(path, _)| path);
        inputs.cmp(other.inputs.iter().map(|(path, _)| path)).then_with(|| self.absent.cmp(&other.absent))
    }

    fn validate(&self) -> Result<(), DecodeError> {
        let paths = self.inputs.iter().map(|(path, _)| path).chain(&self.absent);
        for path in paths {
            let (RootPath::Root(bytes) | RootPath::Absolute(bytes)) = path;
            ensure(bytes.len() <= limits::PATH_MAX && !bytes.contains(&0), "path of an input")?;
        }
        ensure(self.inputs.is_sorted_by(|a, b| a.0 < b.0), "order of inputs")?;
        ensure(self.absent.is_sorted_by(|a, b| a < b), "order of absent names")
    }
}

/// Everything suggested for one manifest key, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The suggestions.
    #[serde(deserialize_with = "at_most::<{ limits::SUGGESTIONS_MAX }, _, _>")]
    pub suggestions: Vec<Suggestion>,
}

impl Manifest {
    /// Joins two manifests of one key.
    pub fn merge(self, other: Self) -> Self {
        let mut suggestions: Vec<Suggestion> =
            self.suggestions.into_iter().chain(other.suggestions).collect();
        // Of each pusher's shapes the newest comes first, and stays.
        suggestions.sort_unstable_by(|a, b| {
            let shape = a.pusher.cmp(&b.pusher).then_with(|| a.compare_shape(b));
            shape.then_with(|| newest_first(a, b))
        });
        suggestions.dedup_by(|next, kept| next.pusher == kept.pusher && next.has_shape_of(kept));
        suggestions.sort_unstable_by(newest_first);
        let mut pushed: BTreeMap<Pusher, usize> = BTreeMap::new();
        suggestions.retain(|suggestion| {
            let pushed = pushed.entry(suggestion.pusher).or_default();
            *pushed += 1;
            suggestion.pusher == Pusher::NOBODY || *pushed <= limits::SUGGESTIONS_PER_PUSHER_MAX
        });
        suggestions.truncate(limits::SUGGESTIONS_MAX);
        suggestions.truncate(fitting(&suggestions));
        Self { suggestions }
    }
}

fn newest_first(a: &Suggestion, b: &Suggestion) -> Ordering {
    (b.received, b).cmp(&(a.received, a))
}

/// Returns how many of the first suggestions fit into an encoded manifest together.
///
/// A prefix, not the best packing: only then does the result not depend on the order of merges.
fn fitting(suggestions: &[Suggestion]) -> usize {
    // Nearly all manifests are far below, and need not be encoded here.
    if suggestions.iter().map(most).sum::<usize>() <= limits::MANIFEST_MAX - HEADER {
        return suggestions.len();
    }
    let mut room = limits::MANIFEST_MAX - HEADER;
    let fits = |suggestion: &&Suggestion| {
        let size = postcard::experimental::serialized_size(suggestion).unwrap_or(usize::MAX);
        room.checked_sub(size).inspect(|rest| room = *rest).is_some()
    };
    suggestions.iter().take_while(fits).count()
}

/// Returns at least as many bytes as a suggestion is long: beside a path stand its kind, its length, and with an input a digest.
fn most(suggestion: &Suggestion) -> usize {
    let length = |path: &RootPath| match path {
        RootPath::Root(bytes) | RootPath::Absolute(bytes) => bytes.len() + 16,
    };
    let inputs = suggestion.inputs.iter().map(|(path, _)| length(path) + 32);
    inputs.chain(suggestion.absent.iter().map(length)).sum::<usize>() + 128
}

/// Bytes in front of the first suggestion: the version and the count, which is below 128.
const HEADER: usize = 2;

impl Format for Manifest {
    const VERSION: u8 = 2;
    const LIMIT: usize = limits::MANIFEST_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        self.suggestions.iter().try_for_each(Suggestion::validate)
    }
}
