//! Putting a node's parts together from its data directory.

use crate::catchup::Catchup;
use crate::core::Core;
use crate::counters::Counters;
use crate::error::StartError;
use crate::gate::Gate;
use crate::handoff::Handoff;
use crate::home::{Home, NodeFile};
use crate::layouts::{Book, Foresee};
use crate::peers::Peers;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::signers::Register;
use crate::stamps::Stamps;
use dccache_protocol::signing::PublicKey;
use dccache_protocol::time::Clock;
use dccache_storage::{Config, Store};
use dccache_transport::dial::Dialer;
use dccache_transport::endpoint::Endpoint;
use dccache_transport::pool::Pool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Opens everything that the data plane needs; nothing runs yet.
pub(crate) fn assemble(
    home: &Home,
    file: &NodeFile,
    settings: &Settings,
    endpoint: &Arc<Endpoint>,
    roots: Vec<PublicKey>,
) -> Result<Arc<Core>, StartError> {
    let state = |error: &dyn std::error::Error| StartError::State(error.to_string());
    let identity = endpoint.identity();
    let cluster = identity.subject().cluster;
    let id = file.node().ok_or_else(|| StartError::State("node.json names no node".to_owned()))?;
    if file.cluster() != Some(cluster) {
        return Err(StartError::State("node.json and the certificate name different clusters".to_owned()));
    }
    let capacity_bytes = settings.capacity_bytes.unwrap_or(file.capacity_bytes);
    let clock: Arc<dyn Clock> = Arc::clone(&settings.clock);
    let (store, recovery) =
        Store::open(&home.path("store"), Config::with_capacity(capacity_bytes), Arc::clone(&clock))?;
    tracing::info!(?recovery, "the store is open");
    let handoff = Arc::new(Handoff::open(id, home.path("handoff")).map_err(|error| state(&error))?);
    let foresee: Arc<dyn Foresee> = Arc::clone(&handoff) as Arc<dyn Foresee>;
    let book = Book::open(home.path("layouts"), cluster, roots, foresee).map_err(|error| state(&error))?;
    let others = book.now().members().into_iter().filter(|&member| member != id);
    let dialer = Dialer::new(Arc::clone(endpoint)).from_address(file.listen.ip());
    Ok(Arc::new(Core {
        id,
        cluster,
        shelf: Shelf::new(store),
        stamps: Stamps::new(Arc::clone(&clock)),
        clock,
        catchup: Catchup::new(others),
        book: Arc::new(book),
        signers: Register::open(home.path("signers")),
        peers: Peers::new(Pool::new(dialer)),
        counters: Counters::default(),
        gate: Arc::new(Gate::default()),
        handoff,
        control: OnceLock::new(),
        tasks: TaskTracker::new(),
        draining: CancellationToken::new(),
        merging: Core::stripes(),
        started: Instant::now(),
        capacity_bytes,
    }))
}
