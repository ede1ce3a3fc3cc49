//! Manifests: suggestions of what a command read before. Unsigned, because nothing is believed of them.
//!
//! Manifests merge as sets: union by direct key, the newest receipt stamp wins, the newest
//! [`limits::SUGGESTIONS_MAX`] stay, fewer when they would not fit into [`limits::MANIFEST_MAX`] bytes. The merge is commutative, associative and idempotent, so replicas agree in any order.

use crate::codec::{DecodeError, Format, at_most, ensure};
use crate::digest::Digest;
use crate::keys::{DirectKey, RootPath};
use crate::limits;
use crate::time::ReceiptStamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One earlier compile of the same command: what it read and the key it led to, as hints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suggestion {
    /// Paths read and the digests seen, ascending by path.
    #[serde(deserialize_with = "at_most::<{ limits::INPUTS_MAX }, _, _>")]
    pub inputs: Vec<(RootPath, Digest)>,
    /// Names that were looked for and not found, ascending.
    #[serde(deserialize_with = "at_most::<{ limits::PROBES_MAX }, _, _>")]
    pub absent: Vec<RootPath>,
    /// Direct key that this led to.
    pub direct: DirectKey,
    /// When the first accepting node received it.
    pub received: ReceiptStamp,
}

/// Everything suggested for one manifest key, newest first, one suggestion per direct key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The suggestions.
    #[serde(deserialize_with = "at_most::<{ limits::SUGGESTIONS_MAX }, _, _>")]
    pub suggestions: Vec<Suggestion>,
}

impl Manifest {
    /// Joins two manifests of one key.
    pub fn merge(self, other: Self) -> Self {
        let mut newest: BTreeMap<DirectKey, Suggestion> = BTreeMap::new();
        for suggestion in self.suggestions.into_iter().chain(other.suggestions) {
            let kept = newest.entry(suggestion.direct).or_insert_with(|| suggestion.clone());
            if (suggestion.received, &suggestion) > (kept.received, kept) {
                *kept = suggestion;
            }
        }
        let mut suggestions: Vec<Suggestion> = newest.into_values().collect();
        suggestions.sort_by_key(|suggestion| std::cmp::Reverse((suggestion.received, suggestion.direct)));
        suggestions.truncate(limits::SUGGESTIONS_MAX);
        suggestions.truncate(fitting(&suggestions));
        Self { suggestions }
    }
}

/// Returns how many of the first suggestions fit into an encoded manifest together.
///
/// A prefix, not the best packing: only then does the result not depend on the order of merges.
fn fitting(suggestions: &[Suggestion]) -> usize {
    let mut room = limits::MANIFEST_MAX - HEADER;
    let fits = |suggestion: &&Suggestion| {
        let size = postcard::experimental::serialized_size(suggestion).unwrap_or(usize::MAX);
        room.checked_sub(size).inspect(|rest| room = *rest).is_some()
    };
    suggestions.iter().take_while(fits).count()
}

/// Bytes in front of the first suggestion: the version and the count, which is below 128.
const HEADER: usize = 2;

impl Format for Manifest {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::MANIFEST_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        for suggestion in &self.suggestions {
            let paths = suggestion.inputs.iter().map(|(path, _)| path).chain(&suggestion.absent);
            for path in paths {
                let (RootPath::Root(bytes) | RootPath::Absolute(bytes)) = path;
                ensure(bytes.len() <= limits::PATH_MAX && !bytes.contains(&0), "path of an input")?;
            }
        }
        Ok(())
    }
}
