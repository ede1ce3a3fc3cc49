//! How many failed attempts to enrol a network has: a guesser is slowed down, an office that joins fifty machines is not.

use dccache_protocol::time::UnixMillis;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Failed attempts per network and minute; a mistyped token or two are forgiven.
const FAILURES_MAX: u32 = 10;

/// Length of the window, in ms.
const WINDOW_MS: u64 = 60_000;

/// Networks remembered; when there are more, all of them have failed within a minute, and the oldest is forgotten.
const NETWORKS_MAX: usize = 4096;

/// Counts failures per /24 and /64.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    networks: Mutex<BTreeMap<IpAddr, (UnixMillis, u32)>>,
}

impl Limiter {
    /// Tells whether an address may try.
    pub(crate) fn admits(&self, from: IpAddr, now: UnixMillis) -> bool {
        let networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        networks
            .get(&network(from))
            .is_none_or(|&(since, failures)| failures < FAILURES_MAX || now.since(since) >= WINDOW_MS)
    }

    /// Notes a failed attempt.
    pub(crate) fn failed(&self, from: IpAddr, now: UnixMillis) {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, failures) = networks.entry(network(from)).or_insert((now, 0));
        if now.since(*since) >= WINDOW_MS {
            (*since, *failures) = (now, 0);
        }
        *failures += 1;
        if networks.len() > NETWORKS_MAX {
            let oldest = networks.iter().min_by_key(|(_, (since, _))| *since).map(|(&network, _)| network);
            oldest.map(|network| networks.remove(&network));
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_slowed_down_and_its_neighbours_in_other_networks_are_not() {
        let limiter = Limiter::default();
        let at = UnixMillis(1_000_000);
        let guesser: IpAddr = "10.0.0.7".parse().unwrap();
        for _ in 0..FAILURES_MAX {
            assert!(limiter.admits(guesser, at));
            limiter.failed(guesser, at);
        }
        assert!(!limiter.admits("10.0.0.200".parse().unwrap(), at));
        assert!(!limiter.admits("::ffff:10.0.0.9".parse().unwrap(), at));
        assert!(limiter.admits("10.0.1.7".parse().unwrap(), at));
        assert!(limiter.admits(guesser, at.plus_ms(WINDOW_MS)));
    }
}
