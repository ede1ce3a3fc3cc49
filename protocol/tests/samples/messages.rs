//! Samples of what wrapper and agent say to each other, and of the heads of bulk streams.

use super::{
    Sample, alias, contents, direct_key, entry_key, key, manifest, namespace, node, outcome, sample,
};
use dccache_protocol::bundle::Body;
use dccache_protocol::entry::OutputRole;
use dccache_protocol::ids::Epoch;
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::local::{AgentStatus, Distrust, Job, Reply, Request, Unavailable, Vetted};
use dccache_protocol::service::{BulkAnswer, BulkRequest, Bytes, NodeStatus, RecordKind, Stored};
use dccache_protocol::time::ReceiptStamp;

pub(crate) fn samples() -> Vec<Sample> {
    let mut samples = requests();
    samples.extend(replies());
    samples.extend(bulk());
    samples
}

fn requests() -> Vec<Sample> {
    let job = job();
    let table = Body::pack(contents().iter().map(Vec::as_slice)).table;
    let find = Request::Find { namespace: namespace(), keys: vec![entry_key()], budget_ms: 300 };
    let find_checked =
        Request::FindChecked { namespace: namespace(), keys: vec![entry_key()], budget_ms: 300 };
    let manifest = ManifestKey::from_digest(*direct_key().digest());
    let suggestions = Request::Suggestions { namespace: namespace(), keys: vec![manifest], budget_ms: 300 };
    let attach = Request::Attach { job: Box::new(job.clone()), outcome: outcome() };
    vec![
        sample::<Request>("request_find", &find),
        sample::<Request>("request_find_checked", &find_checked),
        sample::<Request>("request_push", &Request::Push { job: Box::new(job), outcome: outcome(), table }),
        sample::<Request>("request_attach", &attach),
        sample::<Request>("request_suggestions", &suggestions),
        sample::<Request>("request_flush", &Request::Flush { timeout_ms: 60_000 }),
        sample::<Request>("request_stop", &Request::Stop),
    ]
}

/// A compile that was found by its preprocessed key.
pub(crate) fn job() -> Job {
    let suggestion = manifest().suggestions.remove(0);
    Job {
        namespace: namespace(),
        key: entry_key(),
        also: vec![EntryKey::Direct(direct_key())],
        manifest: Some(ManifestKey::from_digest(*direct_key().digest())),
        argv: vec![b"gcc".to_vec(), b"-c".to_vec(), b"a.c".to_vec()],
        environment: vec![(b"LANG".to_vec(), b"C".to_vec())],
        working_directory: b"/r/w".to_vec(),
        root: b"/r".to_vec(),
        toolchain: outcome().toolchain,
        inputs: suggestion.inputs,
        absent: suggestion.absent,
        roles: vec![OutputRole::Object, OutputRole::Depend],
        expected_ms: 900,
    }
}

fn replies() -> Vec<Sample> {
    let table = Body::pack(contents().iter().map(Vec::as_slice)).table;
    let vetted = Box::new(Vetted {
        key: EntryKey::Direct(direct_key()),
        lies: entry_key(),
        outcome: outcome(),
        signer: key().public().signer_id(),
        trust_epoch: 3,
        table,
    });
    let manifests = vec![(ManifestKey::from_digest(*direct_key().digest()), Bytes(vec![2, 0]))];
    let suggestions = Reply::Suggestions { manifests, newest: Some(vetted.clone()) };
    let nodes = vec![("n1".into(), "127.0.0.1:1".into(), "closed".into(), String::new())];
    let status = AgentStatus { pid: 1, nodes, ..AgentStatus::default() };
    let cluster = vec![("n1".to_owned(), Some(NodeStatus::default())), ("n2".to_owned(), None)];
    vec![
        sample::<Reply>("reply_found", &Reply::Found(vetted)),
        sample::<Reply>("reply_suggestions", &suggestions),
        sample::<Reply>("reply_distrusted", &Reply::Distrusted(Distrust::Digest)),
        sample::<Reply>("reply_unavailable", &Reply::Unavailable(Unavailable::Busy)),
        sample::<Reply>("reply_status", &Reply::Status(Box::new(status))),
        sample::<Reply>("reply_cluster", &Reply::Cluster(cluster)),
        sample::<Reply>("reply_stopping", &Reply::Stopping),
    ]
}

fn bulk() -> Vec<Sample> {
    let id = alias().claim.target.record_id(&namespace());
    let (epoch, stamp, kind) = (Epoch(2), ReceiptStamp(5), RecordKind::Bundle);
    let replicate =
        BulkRequest::Replicate { epoch, id, kind, stamp, hint_for: Some(node(3)), length: 300_000 };
    vec![
        sample::<BulkRequest>("bulk_get", &BulkRequest::Get { epoch, namespace: namespace(), id }),
        sample::<BulkRequest>("bulk_put", &BulkRequest::Put { epoch, length: 300_000 }),
        sample::<BulkRequest>("bulk_replicate", &replicate),
        sample::<BulkAnswer>("bulk_record", &BulkAnswer::Record { kind, stamp, length: 300_000 }),
        sample::<BulkAnswer>("bulk_stored", &BulkAnswer::Stored(Stored { copies: 2, wanted: 2, stamp })),
    ]
}
