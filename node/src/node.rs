//! A running node: its parts put together, its tasks, and its end.
//!
//! Shape: one accept loop; per connection a front; behind the fronts the data plane; beside it the hints, the hand-off, the steward of the
//! control plane and the admin socket. Draining stops accepting, lets work end within a bound, syncs, and closes everything.

use crate::admin;
use crate::admission::Admissions;
use crate::assemble::assemble;
use crate::control::Plane;
use crate::core::Core;
use crate::error::StartError;
use crate::handoff;
use crate::home::{Home, NodeFile};
use crate::limiter::Limiter;
use crate::settings::Settings;
use crate::steward::Steward;
use crate::tokens::{TokenKind, Tokens};
use crate::{founding, front, hints, join, renewal, upkeep};
use dccache_protocol::ids::{ClusterId, Epoch, NodeId};
use dccache_protocol::layout::Layout;
use dccache_protocol::service::NodeStatus;
use dccache_protocol::signing::PublicKey;
use dccache_protocol::token::JoinToken;
use dccache_transport::endpoint::Endpoint;
use dccache_transport::identity::{Identity, certified_key};
use dccache_transport::listener::{self, Inbound, Limits, Listener};
use dccache_transport::trust::Trust;
use dccache_transport::work::Work;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long work in progress may take once the node is to end.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a first start may take to agree with itself that the cluster exists.
const FOUNDED: Duration = Duration::from_secs(30);

/// A node that serves. Dropping it stops its tasks without waiting; [`Node::drain`] ends it well.
pub struct Node {
    core: Arc<Core>,
    home: Arc<Home>,
    file: NodeFile,
    admissions: Option<Arc<Admissions>>,
    work: Work,
    tasks: JoinSet<()>,
    stale: watch::Receiver<Option<u64>>,
    founded: Founded,
}

/// Whether this start founded the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Founded {
    /// It did.
    Now,
    /// The node was a member before.
    Before,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.core.id)
            .field("address", &self.file.listen)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node: in an unused data directory it founds a cluster.
    ///
    /// # Errors
    /// See [`StartError`]; nothing was destroyed then.
    pub async fn serve(settings: Settings) -> Result<Self, StartError> {
        let home = Home::take(&settings.data)?;
        match home.node()? {
            Some(file) => {
                if let Some(asked) = settings.listen.filter(|asked| *asked != file.listen) {
                    return Err(StartError::OtherAddress { joined: file.listen, asked });
                }
                let socket = listener::bind(settings.bind.unwrap_or(file.listen)).await?;
                Self::start(home, file, &settings, socket, Founded::Before).await
            }
            None => {
                let (socket, address) = first_socket(&settings).await?;
                let file = founding::found(&home, &settings, address)?;
                Self::start(home, file, &settings, socket, Founded::Now).await
            }
        }
    }

    /// Joins the cluster of a token and serves.
    ///
    /// # Errors
    /// As [`Node::serve`], and the issuer's refusal.
    pub async fn join(settings: Settings, token: &JoinToken) -> Result<Self, StartError> {
        let (home, file, socket) = enrolled(&settings, token).await?;
        Self::start(home, file, &settings, socket, Founded::Before).await
    }

    /// Joins the cluster of a token without serving.
    ///
    /// # Errors
    /// As [`Node::join`].
    pub async fn enrol(settings: Settings, token: &JoinToken) -> Result<(), StartError> {
        enrolled(&settings, token).await.map(drop)
    }

    async fn start(
        home: Home,
        file: NodeFile,
        settings: &Settings,
        socket: TcpListener,
        founded: Founded,
    ) -> Result<Self, StartError> {
        let home = Arc::new(home);
        let (identity, roots) = Identity::load(&home.path("identity"))?;
        let cluster = identity.subject().cluster;
        let keys: Vec<PublicKey> = roots.iter().filter_map(|root| certified_key(root).ok()).collect();
        let trust = Trust::new(cluster, roots, Arc::clone(&settings.clock));
        let trust = trust.map_err(|error| StartError::State(error.to_string()))?;
        let endpoint = Endpoint::new(identity, Arc::clone(&trust));
        let core = assemble(&home, &file, settings, &endpoint, keys)?;
        let plane = Plane::start(&home.path("control.redb"), &core).await;
        let plane = plane.map_err(|error| StartError::State(error.to_string()))?;
        let _ = core.control.set(plane);
        let tokens = Tokens::open(&home, core.id, cluster, vec![file.listen], Arc::clone(&core.clock))?;
        let admissions = tokens.map(|tokens| -> Result<_, StartError> {
            Ok(Arc::new(Admissions {
                tokens,
                limiter: Limiter::default(),
                voter: home.voter_key()?,
                trust: Arc::clone(&trust),
            }))
        });
        let admissions = admissions.transpose()?;
        let (stale_sender, stale) = watch::channel(None);
        let steward = Steward {
            voter: home.voter_key()?,
            trust,
            boot: home.boot()?,
            stale: stale_sender,
            founding: founding::read(&home),
        };
        let listener = Listener::on(socket, Arc::clone(&endpoint), Limits::default());
        let mut node = Self {
            core,
            home,
            file,
            admissions,
            work: Work::default(),
            tasks: JoinSet::new(),
            stale,
            founded,
        };
        node.begin(listener, steward, endpoint)?;
        node.wait_until_founded().await?;
        Ok(node)
    }

    fn begin(
        &mut self,
        listener: Listener,
        steward: Steward,
        endpoint: Arc<Endpoint>,
    ) -> Result<(), StartError> {
        let core = &self.core;
        self.tasks.spawn(accept(Arc::clone(core), self.admissions.clone(), self.work.clone(), listener));
        self.tasks.spawn(steward.run(Arc::clone(core)));
        self.tasks.spawn(handoff::run(Arc::clone(core)));
        self.tasks.spawn(hints::run(Arc::clone(core)));
        self.tasks.spawn(upkeep::run(Arc::clone(core)));
        let renewing =
            renewal::run(Arc::clone(core), Arc::clone(&self.home), endpoint, self.admissions.clone());
        self.tasks.spawn(renewing);
        let socket = admin::bind(self.home.root())?;
        let admissions = self.admissions.clone();
        self.tasks.spawn(admin::serve(Arc::clone(core), admissions, self.file.listen, socket));
        Ok(())
    }

    /// On the founder nothing works before the cluster is agreed; elsewhere nothing is waited for.
    async fn wait_until_founded(&self) -> Result<(), StartError> {
        if self.founded == Founded::Before {
            return Ok(());
        }
        let Some(plane) = self.core.control.get() else { return Ok(()) };
        let mut state = plane.watch();
        let founded = timeout(FOUNDED, state.wait_for(|state| state.cluster().is_some())).await;
        match founded {
            Ok(Ok(_)) => Ok(()),
            _ => Err(StartError::State(
                "the cluster could not be founded: the disk is too slow, or full".to_owned(),
            )),
        }
    }

    /// Returns the node's name.
    pub fn id(&self) -> NodeId {
        self.core.id
    }

    /// Returns its cluster.
    pub fn cluster(&self) -> ClusterId {
        self.core.cluster
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.file.listen
    }

    /// Tells whether this start founded the cluster.
    pub fn founded(&self) -> Founded {
        self.founded
    }

    /// Makes a join token; `None` when this node is no issuer, or the administrator's key is elsewhere.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn token(&self, kind: &TokenKind) -> Result<Option<JoinToken>, StartError> {
        let Some(admissions) = &self.admissions else { return Ok(None) };
        Ok(admissions.tokens.make(kind)?)
    }

    /// Returns the node's counters.
    pub async fn status(&self) -> NodeStatus {
        self.core.status().await
    }

    /// Returns the number of the layout in force on this node.
    pub fn epoch(&self) -> Epoch {
        self.core.book.epoch()
    }

    /// Returns the layout in force on this node.
    pub fn layout(&self) -> Layout {
        self.core.book.now().newest().clone()
    }

    /// Waits until no partition is being handed over to this node, and its layout has at least `members`.
    pub async fn settled(&self, members: usize) {
        let mut layouts = self.core.book.watch();
        let _ = layouts.wait_for(|layouts| layouts.newest().members.len() >= members).await;
        let _ = self.core.handoff.watch().wait_for(|&left| left == 0).await;
    }

    /// Stops the control plane of this node and leaves the data plane running, for tests and for maintenance.
    pub async fn stop_control(&self) {
        if let Some(plane) = self.core.control.get() {
            plane.stop().await;
        }
    }

    /// Waits until the node must end by itself.
    pub async fn must_end(&self) -> StartError {
        let mut stale = self.stale.clone();
        let counter = stale.wait_for(Option::is_some).await.ok().and_then(|counter| *counter);
        match counter {
            Some(counter) => StartError::Stale { counter },
            None => std::future::pending().await,
        }
    }

    /// Writes DATA/ready.json: the node serves.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn announce(&self) -> Result<(), StartError> {
        let ready = serde_json::json!({
            "pid": std::process::id(),
            "node": self.core.id.to_string(),
            "cluster": self.core.cluster.to_string(),
            "address": self.file.listen.to_string(),
            "epoch": self.core.book.epoch().0,
        });
        let text = format!("{ready}\n");
        Ok(dccache_transport::identity::write_private(&self.home.path("ready.json"), text.as_bytes())?)
    }

    /// Ends the node: no new work, what is in progress ends within ten seconds, everything is synced and closed.
    ///
    /// # Errors
    /// The last sync failed.
    pub async fn drain(mut self) -> Result<(), StartError> {
        let _ = std::fs::remove_file(self.home.path("ready.json"));
        self.core.draining.cancel();
        if timeout(DRAIN, self.work.drained()).await.is_err() {
            tracing::warn!(left = self.work.in_progress(), "requests are cut off: they take too long");
        }
        self.core.tasks.close();
        if timeout(DRAIN, self.core.tasks.wait()).await.is_err() {
            tracing::warn!(
                left = self.core.tasks.len(),
                "copies are left to hints and retries: they take too long"
            );
        }
        self.stop_control().await;
        let synced = self.core.shelf.sync().await;
        self.tasks.shutdown().await;
        let _ = std::fs::remove_file(self.home.path("admin.sock"));
        synced.map_err(|refusal| StartError::Io(std::io::Error::other(refusal.to_string())))
    }
}

/// Binds the socket of a first start; returns it with the address under which others reach it.
async fn first_socket(settings: &Settings) -> Result<(TcpListener, SocketAddr), StartError> {
    let mut address = settings.first_address()?;
    let socket = listener::bind(settings.bind.unwrap_or(address)).await?;
    if address.port() == 0 {
        address.set_port(socket.local_addr()?.port());
    }
    Ok((socket, address))
}

async fn enrolled(
    settings: &Settings,
    token: &JoinToken,
) -> Result<(Home, NodeFile, TcpListener), StartError> {
    let home = Home::take(&settings.data)?;
    if home.node()?.is_some() {
        return Err(StartError::Joined(settings.data.clone()));
    }
    let (socket, address) = first_socket(settings).await?;
    let file = join::enrol(&home, settings, token, address, &socket).await?;
    Ok((home, file, socket))
}

/// Accepts connections until the node drains; open ones end with this task.
async fn accept(core: Arc<Core>, admissions: Option<Arc<Admissions>>, work: Work, mut listener: Listener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = core.draining.cancelled() => break,
            Some(_) = connections.join_next() => {}
            inbound = listener.accept() => match inbound {
                Inbound::Peer(connection) => {
                    connections.spawn(front::serve(Arc::clone(&core), connection, work.clone()));
                }
                Inbound::Enrolment { from, stream } => {
                    let (core, admissions) = (Arc::clone(&core), admissions.clone());
                    connections.spawn(async move {
                        match admissions {
                            Some(admissions) => admissions.serve(&core, from, stream).await,
                            None => tracing::warn!(%from, "this node issues no certificates"),
                        }
                    });
                }
            },
        }
    }
    // Nobody is accepted any more; those who are connected are served until their work is done.
    drop(listener);
    while connections.join_next().await.is_some() {}
}
