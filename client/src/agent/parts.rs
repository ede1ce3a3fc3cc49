//! What one push of the journal puts on the ring: the signed bundle, then the aliases that lead to it, then the suggestion that leads to both.

use super::journal::Waiting;
use super::ring::Ring;
use dccache_protocol::bundle;
use dccache_protocol::codec::Format;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{Alias, AliasClaim, Claim, Entry, Outcome, outcome_digest};
use dccache_protocol::ids::{Namespace, Partition};
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::limits;
use dccache_protocol::local::{Job, Request};
use dccache_protocol::manifest::{Manifest, Suggestion};
use dccache_protocol::signing::SigningKey;

/// A part of a push.
#[derive(Debug)]
pub(super) struct Part {
    /// Whose owners take it.
    pub(super) partition: Partition,
    /// What it is.
    pub(super) content: Content,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum Content {
    /// An encoded bundle.
    Bundle(Vec<u8>),
    /// An encoded alias.
    Alias(Vec<u8>),
    /// An encoded manifest of one suggestion.
    Suggestion {
        /// Namespace of the compile.
        namespace: Namespace,
        /// The command's key.
        key: ManifestKey,
        /// The manifest.
        manifest: Vec<u8>,
    },
}

/// Makes the parts of a push in the order in which they are to be sent; `None` when the journal holds something else, or this machine signs
/// nothing. Signs what needs it.
pub(super) fn parts(ring: &Ring, waiting: &Waiting) -> Option<Vec<Part>> {
    let signer = Signer { ring, key: ring.signer.as_ref()? };
    let (job, outcome, bundle) = match Request::from_bytes(&waiting.head).ok()? {
        Request::Push { job, outcome, table } => {
            let entry = Entry::sign(signer.claim(&job, &outcome), signer.key);
            let bundle = bundle::encode(&entry, &table, &waiting.body);
            if bundle.len() > limits::BUNDLE_MAX {
                return None;
            }
            (job, outcome, Some(bundle))
        }
        Request::Attach { job, outcome } => (job, outcome, None),
        _ => return None,
    };
    let outcome = outcome_digest(&outcome);
    let bundle =
        bundle.map(|bundle| Part { partition: job.key.partition(), content: Content::Bundle(bundle) });
    let aliases = job.also.iter().map(|also| signer.alias(&job, *also, outcome));
    let aliases = aliases.collect::<Vec<_>>();
    Some(bundle.into_iter().chain(aliases).chain(suggestion(*job)).collect())
}

/// This machine as a signer.
struct Signer<'a> {
    ring: &'a Ring,
    key: &'a SigningKey,
}

impl Signer<'_> {
    fn claim(&self, job: &Job, outcome: &Outcome) -> Claim {
        Claim {
            cluster: self.ring.member.cluster,
            namespace: job.namespace.clone(),
            key: job.key,
            outcome: outcome.clone(),
            signer: self.key.public().signer_id(),
        }
    }

    fn alias(&self, job: &Job, key: EntryKey, outcome: Digest) -> Part {
        let claim = AliasClaim {
            cluster: self.ring.member.cluster,
            namespace: job.namespace.clone(),
            key,
            target: job.key,
            outcome,
            signer: self.key.public().signer_id(),
        };
        let alias = Alias::sign(claim, self.key).to_bytes();
        Part { partition: key.partition(), content: Content::Alias(alias) }
    }
}

/// Makes the suggestion that a job asks for; `None` also where it is larger than nodes take: the compile is then found by its other key.
fn suggestion(job: Job) -> Option<Part> {
    let (key, direct) = (job.manifest?, job.direct()?);
    let suggestion = Suggestion::new(job.inputs, job.absent, direct);
    let manifest = Manifest { suggestions: vec![suggestion] }.to_bytes();
    if manifest.len() > limits::INLINE_MAX {
        tracing::debug!(bytes = manifest.len(), "a suggestion is too large for the ring");
        return None;
    }
    let content = Content::Suggestion { namespace: job.namespace, key, manifest };
    Some(Part { partition: Partition::of(key.digest()), content })
}
