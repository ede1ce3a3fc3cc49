//! Looking for suggestions on the ring: every manifest of a command, and the newest bundle that they suggest, in one round trip.
//!
//! Invariant: no manifest is looked into or believed here. A bundle that comes along is judged like any other answer, and what is not
//! accepted of it is dropped without a word: whoever derives its key asks for it, and hears why.

use super::find::{Query, Seeker, Sought};
use super::import::Imported;
use super::ring::Node;
use dccache_protocol::ids::Partition;
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::limits::SUGGESTED_MAX;
use dccache_protocol::service::{Bytes, Content, FindManifests, Found, FoundManifests};

/// What the ring suggests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suggested {
    /// Encoded manifests as they came, at least one.
    pub(super) manifests: Vec<(ManifestKey, Bytes)>,
    /// A bundle that they suggest.
    pub(super) newest: Option<Box<Imported>>,
}

impl Seeker {
    /// Looks for the manifests of one command. Keys outside of the first one's partition are not asked for.
    pub(super) async fn suggestions(&self, keys: &[ManifestKey], query: &Query<'_>) -> Sought<Suggested> {
        let Some(partition) = keys.first().map(partition) else { return Sought::Missed };
        let keys: Vec<ManifestKey> =
            keys.iter().copied().filter(|key| self::partition(key) == partition).collect();
        self.ask_owners(partition, query, |owner| self.ask_for_suggestions(owner, &keys, query)).await
    }

    async fn ask_for_suggestions(
        &self,
        owner: Node,
        keys: &[ManifestKey],
        query: &Query<'_>,
    ) -> Sought<Suggested> {
        let (epoch, namespace) = (self.ring.epoch(), query.namespace.clone());
        let request = FindManifests { epoch, namespace, keys: keys.to_vec() };
        let answer = self
            .ring
            .ask(&owner, query.deadline, async move |cache, context| cache.manifests(context, request).await);
        let FoundManifests { manifests, newest } = match answer.await {
            Ok(found) => found,
            Err(reason) => return Sought::no_answer(reason),
        };
        let manifests = asked_for(keys, manifests);
        if manifests.is_empty() {
            return Sought::Missed;
        }
        let newest = match newest.filter(|found| may_come_along(found, keys)) {
            Some(found) => {
                // The manifest names the key; whether the compile does, only the wrapper can tell.
                let named = found.key;
                match self.import(&owner, found, &[named], query).await {
                    Sought::Found(imported) => Some(imported),
                    _ => None,
                }
            }
            None => None,
        };
        Sought::Found(Suggested { manifests, newest })
    }
}

fn partition(key: &ManifestKey) -> Partition {
    Partition::of(key.digest())
}

/// Keeps what answers the question, each key once, within the bound that an honest node keeps as well.
fn asked_for(keys: &[ManifestKey], mut manifests: Vec<(ManifestKey, Bytes)>) -> Vec<(ManifestKey, Bytes)> {
    let mut left = SUGGESTED_MAX;
    manifests.truncate(keys.len());
    let mut seen = Vec::new();
    manifests.retain(|(key, bytes)| {
        let is_asked = keys.contains(key) && !seen.contains(key) && bytes.0.len() <= left;
        if is_asked {
            seen.push(*key);
            left -= bytes.0.len();
        }
        is_asked
    });
    manifests
}

/// Tells whether a bundle can be one that the manifests lead to, and came with the answer.
fn may_come_along(found: &Found, keys: &[ManifestKey]) -> bool {
    let is_direct = matches!(found.key, EntryKey::Direct(_));
    let is_near = keys.iter().any(|key| partition(key) == found.key.partition());
    is_direct && is_near && matches!(found.bundle.content, Content::Inline(_))
}
