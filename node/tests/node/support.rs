//! Nodes in this process, node processes, and a client that joins like any other.

use dccache_node::{Node, Settings, TokenKind};
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::codec::Format as _;
use dccache_protocol::digest::Digest;
use dccache_protocol::enrol::{Applicant, EnrolAnswer, EnrolRefusal, EnrolRequest};
use dccache_protocol::entry::{BlobRef, Claim, Comparability, Entry, Outcome, Output, OutputRole};
use dccache_protocol::ids::{ClusterId, Epoch, Namespace, NodeId, ToolchainId};
use dccache_protocol::keys::{EntryKey, PreprocessedKey};
use dccache_protocol::layout::{Layout, SignedLayout};
use dccache_protocol::service::{Answer, Bytes, Content, Find, Found, Put, Refusal, Stored};
use dccache_protocol::signing::{PublicKey, SigningKey};
use dccache_protocol::token::JoinToken;
use dccache_ring::accept::Trusted;
use dccache_transport::clock::SystemClock;
use dccache_transport::dial::{Dialer, dial_enrolment};
use dccache_transport::endpoint::Endpoint;
use dccache_transport::frame::{read_value, write_value};
use dccache_transport::identity::{CertificateRequest, Identity, KeyPair};
use dccache_transport::pool::{Pool, PoolError};
use dccache_transport::trust::Trust;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes on a busy machine; reaching it is a failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn settings(data: &Path, number: u8) -> Settings {
    let mut settings = Settings::new(data.join(number.to_string()));
    settings.listen = Some(SocketAddr::from(([127, 0, 0, number], 0)));
    settings.zone = Some(format!("zone-{number}").parse().unwrap());
    settings.capacity_bytes = Some(64 << 20);
    settings
}

pub(crate) fn for_node() -> TokenKind {
    TokenKind::Node { zone: None, largest_weight: 1000 }
}

pub(crate) fn for_writer() -> TokenKind {
    TokenKind::Writer { operator: "office".parse().unwrap(), ci: None, namespaces: Vec::new() }
}

pub(crate) fn for_reader() -> TokenKind {
    TokenKind::Reader { operator: "office".parse().unwrap() }
}

/// Founds a cluster of `size` nodes whose hand-offs are done.
pub(crate) async fn cluster(data: &Path, size: u8) -> Vec<Node> {
    let mut nodes = vec![Node::serve(settings(data, 1)).await.unwrap()];
    for number in 2..=size {
        join(data, &mut nodes, number).await;
    }
    nodes
}

/// Adds a node and waits until everybody knows it and nothing is being handed over.
pub(crate) async fn join(data: &Path, nodes: &mut Vec<Node>, number: u8) {
    let token = nodes[0].token(&for_node()).unwrap().unwrap();
    nodes.push(Node::join(settings(data, number), &token).await.unwrap());
    let members = nodes.len();
    for node in nodes.iter() {
        timeout(DEADLINE, node.settled(members)).await.unwrap();
    }
}

/// A client machine that joined.
pub(crate) struct Client {
    pub(crate) signer: SigningKey,
    pub(crate) cluster: ClusterId,
    pub(crate) layout: Trusted,
    pub(crate) pool: Pool,
}

/// Sends an enrolment request and returns the answer.
pub(crate) async fn ask_to_enrol(token: &JoinToken, applicant: Applicant, key: &KeyPair) -> EnrolAnswer {
    let request = CertificateRequest::create(key).unwrap();
    ask(token, &EnrolRequest::Join { token: token.id.0, secret: token.secret.0, applicant, request }).await
}

/// Sends a request on the enrolment channel and returns the answer.
pub(crate) async fn ask(token: &JoinToken, request: &EnrolRequest) -> EnrolAnswer {
    let clock = Arc::new(SystemClock::from_environment());
    let deadline = Instant::now() + DEADLINE;
    let dialled = dial_enrolment(token.root, token.issuer, token.addresses[0], clock, deadline).await;
    let mut stream = dialled.unwrap();
    write_value(&mut stream, request).await.unwrap();
    timeout(DEADLINE, read_value(&mut stream)).await.unwrap().unwrap()
}

pub(crate) fn client(signer: Option<PublicKey>) -> Applicant {
    Applicant::Client { signer, operator: "office".parse().unwrap() }
}

impl Client {
    pub(crate) async fn join(token: &JoinToken, seed: u8) -> Result<Self, EnrolRefusal> {
        let signer = SigningKey::from_seed(&[seed; 32]);
        let key = Arc::new(KeyPair::generate().unwrap());
        let admission = match ask_to_enrol(token, client(Some(signer.public())), &key).await {
            EnrolAnswer::Admitted(admission) => *admission,
            EnrolAnswer::Refused(refusal) => return Err(refusal),
        };
        let chain = admission.chain.into_iter().map(Into::into).collect();
        let roots = admission.roots.into_iter().map(Into::into).collect();
        let clock = Arc::new(SystemClock::from_environment());
        let trust = Trust::new(admission.cluster, roots, clock).unwrap();
        let identity = Identity::new(key, chain).unwrap();
        let layout = SignedLayout::from_bytes(&admission.layout).unwrap();
        let layout = Trusted::vouched(layout, admission.cluster).unwrap();
        let pool = Pool::new(Dialer::new(Endpoint::new(identity, trust)));
        Ok(Self { signer, cluster: admission.cluster, layout, pool })
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.layout.layout()
    }

    pub(crate) fn addresses(&self, node: NodeId) -> Vec<SocketAddr> {
        self.layout().member(node).unwrap().addresses.clone()
    }

    pub(crate) fn owners(&self, key: EntryKey) -> Vec<NodeId> {
        self.layout().owners(key.partition()).map(|owner| owner.id).collect()
    }

    /// Follows the layout that an answer brought.
    pub(crate) fn follow<T>(&mut self, answer: &Answer<T>) {
        if let Some(newer) = &answer.newer {
            let newer = SignedLayout::from_bytes(&newer.0).unwrap();
            self.layout = self.layout.accept(newer, &[]).unwrap();
        }
    }

    pub(crate) async fn put_at(
        &self,
        node: NodeId,
        epoch: Epoch,
        bundle: Vec<u8>,
    ) -> Result<Answer<Stored>, PoolError> {
        let put = Put { epoch, bundle: Bytes(bundle) };
        let deadline = Instant::now() + Duration::from_secs(20);
        let ask =
            async |client: dccache_protocol::service::CacheClient, context| client.put(context, put).await;
        self.pool.call(node, &self.addresses(node), deadline, ask).await
    }

    pub(crate) async fn find_at(
        &self,
        node: NodeId,
        key: EntryKey,
    ) -> Result<Answer<Option<Found>>, PoolError> {
        let find = Find { epoch: self.layout().epoch, namespace: Namespace::default(), keys: vec![key] };
        let deadline = Instant::now() + Duration::from_secs(10);
        let ask =
            async |client: dccache_protocol::service::CacheClient, context| client.find(context, find).await;
        self.pool.call(node, &self.addresses(node), deadline, ask).await
    }

    /// Asks a node that is in no layout that this client knows.
    pub(crate) async fn find_via(
        &self,
        address: SocketAddr,
        node: NodeId,
        key: EntryKey,
    ) -> Option<Answer<Option<Found>>> {
        let find = Find { epoch: self.layout().epoch, namespace: Namespace::default(), keys: vec![key] };
        let deadline = Instant::now() + Duration::from_secs(10);
        let ask =
            async |client: dccache_protocol::service::CacheClient, context| client.find(context, find).await;
        self.pool.call(node, &[address], deadline, ask).await.ok()
    }

    /// Stores a bundle at the first owner that takes it.
    pub(crate) async fn put(&mut self, number: u32) -> Stored {
        let bundle = self.bundle(number, &content(number));
        for _ in 0..200 {
            for owner in self.owners(key(number)) {
                let Ok(answer) = self.put_at(owner, self.layout().epoch, bundle.clone()).await else {
                    continue;
                };
                self.follow(&answer);
                match answer.result {
                    Ok(stored) => return stored,
                    Err(Refusal::NotOwner | Refusal::Busy | Refusal::Draining) => {}
                    Err(refusal) => panic!("{refusal}"),
                }
            }
        }
        panic!("no owner takes bundle {number}");
    }

    /// Puts bundles of numbers that no test uses until all copies of a dozen in a row are made: on a busy machine the first
    /// connections between nodes can take longer than a copy may.
    pub(crate) async fn warm(&mut self) {
        let (begin, mut in_a_row) = (Instant::now(), 0);
        for number in 1_000_000.. {
            in_a_row = if self.put(number).await.is_acknowledged() { in_a_row + 1 } else { 0 };
            if in_a_row == 12 {
                return;
            }
            assert!(begin.elapsed() < DEADLINE, "nodes make no copies");
        }
    }

    /// Finds a bundle as a client does: at one owner after the other; a miss of one that answers is a miss. An owner that was away is
    /// asked again only after a pause, which grows with the time that it was away, so where none answers it is tried again.
    pub(crate) async fn find(&mut self, number: u32) -> Option<Vec<u8>> {
        let begin = Instant::now();
        while begin.elapsed() < DEADLINE {
            for owner in self.owners(key(number)) {
                let Ok(answer) = self.find_at(owner, key(number)).await else { continue };
                self.follow(&answer);
                match answer.result {
                    Ok(found) => return found.map(|found| inline(&found)),
                    Err(Refusal::NotOwner) => break,
                    Err(_) => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    pub(crate) fn claim(&self, number: u32, content: &[u8]) -> Claim {
        let outcome = Outcome {
            outputs: vec![Output { role: OutputRole::Object, content: BlobRef::of(content) }],
            stdout: BlobRef::of(b""),
            stderr: BlobRef::of(b""),
            exit_code: 0,
            toolchain: ToolchainId::from_digest(Digest::of(b"cc")),
            class: Comparability::Reproducible,
            wall_ms: 10,
            cpu_ms: 10,
        };
        let signer = self.signer.public().signer_id();
        Claim { cluster: self.cluster, namespace: Namespace::default(), key: key(number), outcome, signer }
    }

    pub(crate) fn bundle(&self, number: u32, content: &[u8]) -> Vec<u8> {
        let entry = Entry::sign(self.claim(number, content), &self.signer);
        let body = Body::pack([content, b"", b""]);
        encode(&entry, &body.table, &body.bytes)
    }
}

pub(crate) fn key(number: u32) -> EntryKey {
    EntryKey::Preprocessed(PreprocessedKey::from_digest(Digest::of(&number.to_le_bytes())))
}

pub(crate) fn content(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(100 + number as usize % 50)
}

pub(crate) fn inline(found: &Found) -> Vec<u8> {
    match &found.bundle.content {
        Content::Inline(bytes) => bytes.0.clone(),
        Content::Bulk { .. } => panic!("the bundle is small"),
    }
}

/// Joins a client of the founder.
pub(crate) async fn writer(nodes: &[Node], seed: u8) -> Client {
    Client::join(&nodes[0].token(&for_writer()).unwrap().unwrap(), seed).await.unwrap()
}
