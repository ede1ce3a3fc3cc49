//! What must hold of a record before the node keeps it: signer, signature, digests, key.
//!
//! Invariant: an [`Admitted`] record lies under the id of the key that its own signed claim names, in the namespace that it names.

use crate::core::Core;
use crate::shelf::Held;
use bytes::Bytes as Payload;
use dccache_protocol::bundle::Bundle;
use dccache_protocol::codec::Format as _;
use dccache_protocol::entry::Alias;
use dccache_protocol::ids::{ClusterId, Namespace, SignerId};
use dccache_protocol::keys::RecordId;
use dccache_protocol::limits::STAMP_AHEAD_MAX_MS;
use dccache_protocol::manifest::Manifest;
use dccache_protocol::service::{RecordKind, Refusal};
use dccache_protocol::signing::PublicKey;
use dccache_protocol::time::ReceiptStamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long an unknown signer is waited for: the control plane tells every member within a heartbeat of its registration.
const SIGNER_WAIT: Duration = Duration::from_secs(1);

/// A payload that passed every check.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    /// Where it is to be kept.
    pub(crate) id: RecordId,
    /// What it is.
    pub(crate) kind: RecordKind,
    /// The bytes.
    pub(crate) payload: Payload,
}

impl Admitted {
    /// Gives the record its stamp.
    pub(crate) fn received(self, stamp: ReceiptStamp) -> Held {
        Held { id: self.id, kind: self.kind, stamp, payload: self.payload }
    }
}

/// What a claim says about itself, before any signature is checked.
struct Named {
    id: RecordId,
    cluster: ClusterId,
    namespace: Namespace,
    signer: SignerId,
}

/// Checks a bundle for a client or another node.
///
/// # Errors
/// [`Refusal::Malformed`], [`Refusal::SignerNotAllowed`] and [`Refusal::NotAuthentic`].
pub(crate) async fn bundle(core: &Arc<Core>, payload: Payload) -> Result<Admitted, Refusal> {
    admit(core, payload, RecordKind::Bundle, None).await
}

/// Checks an alias.
///
/// # Errors
/// As [`bundle`].
pub(crate) async fn alias(core: &Arc<Core>, payload: Payload) -> Result<Admitted, Refusal> {
    admit(core, payload, RecordKind::Alias, None).await
}

/// Checks a record that another node replicates: the same checks, with its stamp in place of now.
///
/// # Errors
/// As [`bundle`], but [`Refusal::Unavailable`] while the signer is not known here; kinds that nothing sends yet, and stamps far ahead of
/// this node's clock, are [`Refusal::Malformed`].
pub(crate) async fn replica(core: &Arc<Core>, record: Held) -> Result<Held, Refusal> {
    let Held { id, kind, stamp, payload } = record;
    // Stamps only grow: one from the far future would be followed by every node, and nothing could replace its record.
    let latest = core.clock.now().plus_ms(STAMP_AHEAD_MAX_MS);
    let is_sound = |stamp: ReceiptStamp| stamp.millis() <= latest;
    if !is_sound(stamp) {
        return Err(Refusal::Malformed);
    }
    if kind == RecordKind::Manifest {
        let manifest = Manifest::from_bytes(&payload).map_err(|_| Refusal::Malformed)?;
        if !manifest.suggestions.iter().all(|suggestion| is_sound(suggestion.received)) {
            return Err(Refusal::Malformed);
        }
        return Ok(Held { id, kind, stamp, payload });
    }
    let admitted = admit(core, payload, kind, Some(stamp)).await?;
    if admitted.id == id { Ok(admitted.received(stamp)) } else { Err(Refusal::NotAuthentic) }
}

async fn admit(
    core: &Arc<Core>,
    payload: Payload,
    kind: RecordKind,
    stamp: Option<ReceiptStamp>,
) -> Result<Admitted, Refusal> {
    let named = name(kind, &payload)?;
    if named.cluster != core.cluster {
        return Err(Refusal::NotAuthentic);
    }
    let key = signer(core, &named, stamp).await?;
    let checked = payload.clone();
    let holds = tokio::task::spawn_blocking(move || holds(kind, &checked, &key)).await;
    if !holds.map_err(|_| Refusal::Storage)? {
        return Err(Refusal::NotAuthentic);
    }
    Ok(Admitted { id: named.id, kind, payload })
}

fn name(kind: RecordKind, payload: &[u8]) -> Result<Named, Refusal> {
    match kind {
        RecordKind::Bundle => {
            let claim = Bundle::parse(payload).map_err(|_| Refusal::Malformed)?.head.entry.claim;
            let id = claim.key.record_id(&claim.namespace);
            Ok(Named { id, cluster: claim.cluster, namespace: claim.namespace, signer: claim.signer })
        }
        RecordKind::Alias => {
            let claim = Alias::from_bytes(payload).map_err(|_| Refusal::Malformed)?.claim;
            let id = claim.key.record_id(&claim.namespace);
            Ok(Named { id, cluster: claim.cluster, namespace: claim.namespace, signer: claim.signer })
        }
        RecordKind::Manifest | RecordKind::Attestation | RecordKind::Tombstone => Err(Refusal::Malformed),
    }
}

/// Returns the key of a signer that may write: to the namespace now, or at the stamp of a copy.
async fn signer(core: &Arc<Core>, named: &Named, stamp: Option<ReceiptStamp>) -> Result<PublicKey, Refusal> {
    let mut signers = core.signers.watch();
    // Whoever is not known yet may have joined a moment ago; whoever never comes is refused.
    let known = timeout(SIGNER_WAIT, signers.wait_for(|signers| signers.knows(&named.signer))).await;
    let Ok(Ok(signers)) = known.map(|known| known.map(|signers| Arc::clone(&signers))) else {
        // A copy whose signer this node has not heard of yet is no bad copy: whoever brings it must come again.
        return Err(stamp.map_or(Refusal::SignerNotAllowed, |_| Refusal::Unavailable));
    };
    let allowed = match stamp {
        Some(stamp) => signers.is_served(&named.signer, stamp),
        None => signers.may_write(&named.signer, &named.namespace),
    };
    signers.key(&named.signer).filter(|_| allowed).ok_or(Refusal::SignerNotAllowed)
}

/// Checks the signature, and for a bundle every byte against its digest. Costs hashing and decompressing the whole bundle.
fn holds(kind: RecordKind, payload: &[u8], key: &PublicKey) -> bool {
    match kind {
        RecordKind::Bundle => Bundle::parse(payload)
            .is_ok_and(|bundle| bundle.head.entry.is_signed_by(key) && bundle.verify().is_ok()),
        RecordKind::Alias => Alias::from_bytes(payload).is_ok_and(|alias| alias.is_signed_by(key)),
        RecordKind::Manifest | RecordKind::Attestation | RecordKind::Tombstone => false,
    }
}
