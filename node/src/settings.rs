//! How a node is started, and its defaults.

use crate::error::StartError;
use dccache_protocol::ids::Label;
use dccache_protocol::time::Clock;
use dccache_transport::clock::SystemClock;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

/// Port on which nodes listen unless told otherwise; no service is registered for it.
pub const DEFAULT_PORT: u16 = 7373;

/// Bytes that a node stores unless told otherwise: 50 GiB.
pub const DEFAULT_CAPACITY: u64 = 50 << 30;

/// A node's relative share unless told otherwise; a hundred leaves room for smaller ones.
pub const DEFAULT_WEIGHT: u32 = 100;

/// Replicas unless told otherwise.
pub const DEFAULT_REPLICAS: u8 = 2;

/// How to start a node. What is `None` comes from the data directory, or is a default on the first start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// Where other machines reach it.
    pub listen: Option<SocketAddr>,
    /// Where connections arrive when something passes on those to `listen`; `None` is at `listen` itself. Not kept: said at each start.
    pub bind: Option<SocketAddr>,
    /// Bytes to store at most.
    pub capacity_bytes: Option<u64>,
    /// Where the node stands.
    pub zone: Option<Label>,
    /// Its relative share of the keys.
    pub weight: Option<u32>,
    /// Replicas of a cluster that is founded.
    pub replicas: Option<u8>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Settings {
    /// Starts on a data directory with everything else as it was or by default.
    pub fn new(data: PathBuf) -> Self {
        let clock = Arc::new(SystemClock::from_environment());
        Self {
            data,
            listen: None,
            bind: None,
            capacity_bytes: None,
            zone: None,
            weight: None,
            replicas: None,
            clock,
        }
    }

    /// Returns where to listen on a first start.
    pub(crate) fn first_address(&self) -> Result<SocketAddr, StartError> {
        match self.listen {
            Some(address) => Ok(address),
            None => {
                let ip = default_route().ok_or(StartError::NoAddress)?;
                Ok(SocketAddr::new(ip, DEFAULT_PORT))
            }
        }
    }

    /// Returns the zone of a first start.
    pub(crate) fn first_zone(&self) -> Label {
        self.zone.clone().unwrap_or_else(|| "default".parse().expect("the word is a name"))
    }
}

/// Returns this machine's address on the way to everywhere. Nothing is sent: connecting a datagram socket only chooses a route.
fn default_route() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // A documentation address (RFC 5737): never assigned, so only the default route leads there.
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}
