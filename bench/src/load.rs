//! A client that puts and gets on a node as fast as it is answered: a number of connections, one request at a time on each.
//!
//! It runs as a process of its own, so that it can be bound to one core. Connections are open and bundles signed before the clock starts.

use anyhow::{Context as _, bail, ensure};
use dccache::cluster::Membership;
use dccache_protocol::bundle::{Body, Bundle, encode};
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{BlobRef, Claim, Comparability, Entry, Outcome, Output, OutputRole};
use dccache_protocol::ids::{Epoch, Namespace, NodeId, ToolchainId};
use dccache_protocol::keys::{EntryKey, PreprocessedKey};
use dccache_protocol::limits;
use dccache_protocol::service::{BulkAnswer, BulkRequest, Bytes, CacheClient, Content, Find, Put};
use dccache_transport::bulk::Patience;
use dccache_transport::clock::SystemClock;
use dccache_transport::dial::Dialer;
use dccache_transport::endpoint::Endpoint;
use dccache_transport::pool::Pool;
use dccache_transport::trust::Trust;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for one answer; reaching it fails the run.
const ANSWER: Duration = Duration::from_secs(25);

/// What is asked of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// Stores bundles that the node does not have.
    Put,
    /// Reads what an earlier `put` with the same seed stored.
    Get,
    /// As `get`, and checks every digest as a consumer does.
    Checked,
}

/// Options of `load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    what: What,
    /// Directory of the cluster's state on this machine.
    #[arg(long)]
    cluster: PathBuf,
    /// Bytes of each object; they do not compress.
    #[arg(long)]
    size: usize,
    #[arg(long)]
    requests: u32,
    /// Different objects; requests go round.
    #[arg(long)]
    objects: u32,
    #[arg(long)]
    connections: u32,
    /// Number of the first object.
    #[arg(long)]
    seed: u32,
}

/// Makes the requests and prints the seconds that one took, all connections together.
pub(crate) fn run(load: &Load) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seconds = runtime.block_on(measure(load))?;
    println!("{}", seconds / f64::from(load.requests));
    Ok(())
}

/// One connection and what it needs to know.
struct Caller {
    pool: Pool,
    node: NodeId,
    addresses: Vec<SocketAddr>,
    epoch: Epoch,
}

async fn measure(load: &Load) -> anyhow::Result<f64> {
    let membership = Membership::load(&load.cluster)?.context("this machine is in no cluster")?;
    let objects: Vec<_> =
        (0..load.objects).map(|number| object(&membership, load, load.seed + number)).collect();
    let objects: Arc<Vec<(EntryKey, Vec<u8>)>> =
        Arc::new(objects.into_iter().collect::<anyhow::Result<_>>()?);
    let layout = membership.layout.layout();
    let member = layout.members.first().context("a cluster has nodes")?;
    let (node, addresses, epoch) = (member.id, member.addresses.clone(), layout.epoch);
    let trust =
        Trust::new(membership.member.cluster, membership.roots, Arc::new(SystemClock::from_environment()))?;
    let endpoint = Endpoint::new(membership.identity, trust);
    let mut callers = Vec::new();
    for _ in 0..load.connections {
        let pool = Pool::new(Dialer::new(Arc::clone(&endpoint)));
        let caller = Caller { pool, node, addresses: addresses.clone(), epoch };
        caller.status().await?;
        callers.push(caller);
    }
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (first, caller) in (0..load.connections).zip(callers) {
        let (objects, what, requests) = (Arc::clone(&objects), load.what, load.requests);
        let mine = (first..requests).step_by(load.connections as usize);
        tasks.spawn(async move {
            for number in mine {
                let (key, bundle) = &objects[number as usize % objects.len()];
                match what {
                    What::Put => caller.put(bundle).await?,
                    What::Get | What::Checked => {
                        let read = caller.get(*key).await?;
                        ensure!(read.len() == bundle.len(), "another length");
                        if what == What::Checked {
                            Bundle::parse(&read)?.contents()?;
                        }
                    }
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(begin.elapsed().as_secs_f64())
}

impl Caller {
    async fn status(&self) -> anyhow::Result<()> {
        let ask = async |client: CacheClient, context| client.status(context).await;
        self.pool.call(self.node, &self.addresses, Instant::now() + ANSWER, ask).await?.result?;
        Ok(())
    }

    async fn put(&self, bundle: &[u8]) -> anyhow::Result<()> {
        let stored = if bundle.len() <= limits::INLINE_MAX {
            let put = Put { epoch: self.epoch, bundle: Bytes(bundle.to_vec()) };
            let ask = async |client: CacheClient, context| client.put(context, put).await;
            self.pool.call(self.node, &self.addresses, Instant::now() + ANSWER, ask).await?.result?
        } else {
            let request = BulkRequest::Put { epoch: self.epoch, length: bundle.len() as u64 };
            match self.transfer(&request, bundle).await?.0 {
                BulkAnswer::Stored(stored) => stored,
                other => bail!("a put was answered by {other:?}"),
            }
        };
        ensure!(stored.is_acknowledged(), "only accepted");
        Ok(())
    }

    async fn get(&self, key: EntryKey) -> anyhow::Result<Vec<u8>> {
        let find = Find { epoch: self.epoch, namespace: Namespace::default(), keys: vec![key] };
        let ask = async |client: CacheClient, context| client.find(context, find).await;
        let found = self.pool.call(self.node, &self.addresses, Instant::now() + ANSWER, ask).await?.result?;
        match found.context("an object is missing")?.bundle.content {
            Content::Inline(bytes) => Ok(bytes.0),
            Content::Bulk { id, .. } => {
                let request = BulkRequest::Get { epoch: self.epoch, namespace: Namespace::default(), id };
                let (answer, bytes) = self.transfer(&request, &[]).await?;
                ensure!(matches!(answer, BulkAnswer::Record { .. }), "a get was answered by {answer:?}");
                Ok(bytes)
            }
        }
    }

    async fn transfer(&self, request: &BulkRequest, payload: &[u8]) -> anyhow::Result<(BulkAnswer, Vec<u8>)> {
        let patience = Patience { answer_by: Instant::now() + ANSWER, stall: ANSWER };
        Ok(self.pool.transfer(self.node, &self.addresses, request, payload, patience).await?)
    }
}

/// Makes the signed bundle of an object that no other number has.
fn object(membership: &Membership, load: &Load, number: u32) -> anyhow::Result<(EntryKey, Vec<u8>)> {
    let signer = membership.signer.as_ref().context("this machine may not write")?;
    let seed = Digest::of(&[number.to_le_bytes(), (load.size as u32).to_le_bytes()].concat());
    let mut content = Vec::with_capacity(load.size + 32);
    let mut part = seed;
    while content.len() < load.size {
        content.extend_from_slice(part.as_bytes());
        part = Digest::of(part.as_bytes());
    }
    content.truncate(load.size);
    let body = Body::pack([content.as_slice(), b"", b""]);
    let outcome = Outcome {
        outputs: vec![Output { role: OutputRole::Object, content: BlobRef::of(&content) }],
        stdout: BlobRef::of(b""),
        stderr: BlobRef::of(b""),
        exit_code: 0,
        toolchain: ToolchainId::from_digest(Digest::of(b"load")),
        class: Comparability::Reproducible,
        wall_ms: 1,
        cpu_ms: 1,
    };
    let key = EntryKey::Preprocessed(PreprocessedKey::from_digest(seed));
    let claim = Claim {
        cluster: membership.member.cluster,
        namespace: Namespace::default(),
        key,
        outcome,
        signer: signer.public().signer_id(),
    };
    Ok((key, encode(&Entry::sign(claim, signer), &body.table, &body.bytes)))
}
