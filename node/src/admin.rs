//! Local administration through DATA/admin.sock: one line of JSON each way, for the owner of the data directory only.

use crate::admission::Admissions;
use crate::core::Core;
use crate::error::StartError;
use crate::tokens::TokenKind;
use dccache_protocol::ids::NodeId;
use dccache_protocol::service::NodeStatus;
use dccache_protocol::time::UnixMillis;
use dccache_protocol::token::{Role, TokenId};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Longest request, in bytes; a token's options take under a hundred.
const REQUEST_MAX: u64 = 16 << 10;

/// Most tokens made at once: an office, not a flood of files.
pub const TOKENS_AT_ONCE_MAX: u32 = 1000;

/// Most namespaces of one token: with the longest names its grant stays below `GRANT_MAX`.
const NAMESPACES_AT_ONCE_MAX: usize = 16;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(60);

/// What the administrator asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminRequest {
    /// The node's counters and where it stands.
    Status,
    /// The layout in force.
    Layout,
    /// The tokens that this node gave out.
    Tokens,
    /// New tokens.
    Token {
        /// For what.
        kind: TokenKind,
        /// How many.
        count: u32,
    },
}

/// A node's counters and where it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusReport {
    /// The counters.
    #[serde(flatten)]
    pub status: NodeStatus,
    /// Its cluster as 64 hexadecimal digits.
    pub cluster: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Number of the layout in force.
    pub epoch: u64,
    /// Oldest epoch whose owners still answer reads; the same once every hand-off is done.
    pub oldest_epoch: u64,
    /// Members of the layout.
    pub members: usize,
    /// Number of the directory of signers.
    pub directory: u64,
    /// Whether this node leads the control plane.
    pub leads: bool,
    /// Whether it may still lack what was written while it was away.
    pub catching_up: bool,
    /// Records that were damaged or missing here and came back from another owner.
    pub healed: u64,
    /// Hints delivered to nodes that were away.
    pub hints_delivered: u64,
}

/// One member of the layout as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberReport {
    /// Its name.
    pub node: String,
    /// Where it can be reached.
    pub addresses: Vec<SocketAddr>,
    /// Where it stands.
    pub zone: String,
    /// Its weight.
    pub weight: u32,
    /// Partitions that it owns.
    pub partitions: usize,
    /// Whether it votes in the control plane.
    pub votes: bool,
}

/// The layout as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayoutReport {
    /// Its number.
    pub epoch: u64,
    /// Replicas that are wanted.
    pub replicas: u8,
    /// The members.
    pub members: Vec<MemberReport>,
}

/// A token as it is listed: never with its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenReport {
    /// Its name.
    pub token: String,
    /// What it makes of a machine.
    pub role: String,
    /// When it ends, in ms since the Unix epoch.
    pub expires_ms: u64,
    /// Whether it was used.
    pub used: bool,
}

/// What the node answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminAnswer {
    /// To [`AdminRequest::Status`].
    Status(Box<StatusReport>),
    /// To [`AdminRequest::Layout`].
    Layout(LayoutReport),
    /// To [`AdminRequest::Tokens`].
    Tokens(Vec<TokenReport>),
    /// To [`AdminRequest::Token`]: one text per token.
    Token(Vec<String>),
    /// Not done, and what to do about it.
    Failed(String),
}

/// Returns a path that fits into a socket address however long the directory's is.
fn short(directory: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/admin.sock", directory.as_raw_fd()))
}

/// Binds the socket; the data directory is locked, so one that lies there is left over.
pub(crate) fn bind(data: &Path) -> Result<UnixListener, StartError> {
    let path = data.join("admin.sock");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let directory = File::open(data)?;
    let listener = UnixListener::bind(short(&directory))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the socket until the node drains.
pub(crate) async fn serve(
    core: Arc<Core>,
    admissions: Option<Arc<Admissions>>,
    address: SocketAddr,
    socket: UnixListener,
) {
    let own = rustix::process::geteuid().as_raw();
    loop {
        let accepted = tokio::select! {
            () = core.draining.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let allowed = stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0);
        if !allowed {
            tracing::warn!("another user asked the administrator's socket and is not answered");
            continue;
        }
        let (core, admissions) = (Arc::clone(&core), admissions.clone());
        core.tasks.clone().spawn(async move {
            let answered = timeout(REQUEST, converse(&core, admissions.as_deref(), address, stream)).await;
            if let Ok(Err(error)) = answered {
                tracing::debug!(%error, "an administrator's request broke off");
            }
        });
    }
}

async fn converse(
    core: &Arc<Core>,
    admissions: Option<&Admissions>,
    address: SocketAddr,
    mut stream: UnixStream,
) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => answer(core, admissions, address, request).await,
        Err(_) => AdminAnswer::Failed(
            "the request is malformed: node and command are of different versions".to_owned(),
        ),
    };
    let mut text = serde_json::to_vec(&answer).map_err(io::Error::other)?;
    text.push(b'\n');
    write.write_all(&text).await
}

async fn answer(
    core: &Arc<Core>,
    admissions: Option<&Admissions>,
    address: SocketAddr,
    request: AdminRequest,
) -> AdminAnswer {
    match request {
        AdminRequest::Status => AdminAnswer::Status(Box::new(status(core, address).await)),
        AdminRequest::Layout => AdminAnswer::Layout(layout(core)),
        AdminRequest::Tokens => AdminAnswer::Tokens(tokens(core, admissions)),
        AdminRequest::Token { kind, count } => make_tokens(admissions, &kind, count),
    }
}

async fn status(core: &Arc<Core>, address: SocketAddr) -> StatusReport {
    let layouts = core.book.now();
    StatusReport {
        status: core.status().await,
        cluster: core.cluster.to_string(),
        address,
        epoch: layouts.epoch().0,
        oldest_epoch: layouts.oldest().0,
        members: layouts.newest().members.len(),
        directory: core.signers.now().number(),
        leads: core.control.get().is_some_and(crate::control::Plane::leads),
        catching_up: core.catchup.is_behind(),
        healed: core.counters.healed.get(),
        hints_delivered: core.counters.hints_delivered.get(),
    }
}

fn layout(core: &Arc<Core>) -> LayoutReport {
    let layouts = core.book.now();
    let layout = layouts.newest();
    let mut owned = vec![0; layout.members.len()];
    layout.table.owners.iter().for_each(|&owner| owned[usize::from(owner)] += 1);
    let members = layout.members.iter().zip(owned).map(|(member, partitions)| MemberReport {
        node: member.id.to_string(),
        addresses: member.addresses.clone(),
        zone: member.zone.to_string(),
        weight: member.weight,
        partitions,
        votes: layout.voters.contains(&member.id),
    });
    LayoutReport { epoch: layout.epoch.0, replicas: layout.replicas, members: members.collect() }
}

fn tokens(core: &Arc<Core>, admissions: Option<&Admissions>) -> Vec<TokenReport> {
    let state = core.control.get().map(crate::control::Plane::now);
    let used = |name: &str| {
        let id = token_id(name);
        id.zip(state.as_ref()).is_some_and(|(id, state)| {
            state.cluster().is_some_and(|cluster| cluster.redeemed_by(id).is_some())
        })
    };
    let list = admissions.map(|admissions| admissions.tokens.list()).unwrap_or_default();
    let report = |(token, role, expires): (String, Role, UnixMillis)| TokenReport {
        used: used(&token),
        token,
        role: role.to_string(),
        expires_ms: expires.0,
    };
    list.into_iter().map(report).collect()
}

/// Parses a token's name; it is spelled like a node's.
fn token_id(name: &str) -> Option<TokenId> {
    NodeId::from_hex(name).map(|id| TokenId(id.0))
}

fn make_tokens(admissions: Option<&Admissions>, kind: &TokenKind, count: u32) -> AdminAnswer {
    let Some(admissions) = admissions else {
        return AdminAnswer::Failed(
            "this node issues no certificates; ask on the node that founded the cluster".to_owned(),
        );
    };
    if !(1..=TOKENS_AT_ONCE_MAX).contains(&count) {
        return AdminAnswer::Failed(format!("--count takes 1 to {TOKENS_AT_ONCE_MAX}"));
    }
    if matches!(kind, TokenKind::Writer { namespaces, .. } if namespaces.len() > NAMESPACES_AT_ONCE_MAX) {
        return AdminAnswer::Failed(format!("--namespace can be given {NAMESPACES_AT_ONCE_MAX} times"));
    }
    let mut made = Vec::new();
    for _ in 0..count {
        match admissions.tokens.make(kind) {
            Ok(Some(token)) => made.push(token.to_string()),
            Ok(None) => {
                let advice = "the administrator's key is not on this node; put it back as DATA/authority/administrator.key";
                return AdminAnswer::Failed(advice.to_owned());
            }
            Err(error) => return AdminAnswer::Failed(format!("the token cannot be written down: {error}")),
        }
    }
    AdminAnswer::Token(made)
}

/// Asks the node that runs on a data directory.
///
/// # Errors
/// No node runs there, or its answer cannot be read.
pub async fn ask(data: &Path, request: &AdminRequest) -> io::Result<AdminAnswer> {
    let directory = File::open(data)?;
    let mut stream = UnixStream::connect(short(&directory)).await?;
    let mut text = serde_json::to_vec(request).map_err(io::Error::other)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    serde_json::from_slice(&answer).map_err(io::Error::other)
}
