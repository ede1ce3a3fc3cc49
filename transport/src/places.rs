//! How many of something each key may hold at once, for limits per address, per network and per peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Places per key. Keys without a taken place cost nothing.
#[derive(Debug)]
pub(crate) struct Places<K> {
    most: usize,
    taken: Mutex<BTreeMap<K, usize>>,
}

impl<K: Ord + Copy> Places<K> {
    /// Gives every key `most` places.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// Takes a place; `None` when the key has all of its own.
    pub(crate) fn take(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { key, of: self.clone() })
    }
}

/// One place of a key, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Ord> {
    key: K,
    of: Arc<Places<K>>,
}

impl<K: Ord> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// Returns what one host can choose its addresses from: an IPv4 address itself, an IPv6 address' /64.
pub(crate) fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 64)).into(),
    }
}

/// Returns the network of an address as enrolment counts it: /24 or /64.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match host_of(address) {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        v6 => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_keys_do_not_share_them() {
        let places = Places::new(2);
        let held = [places.take(1).unwrap(), places.take(1).unwrap()];
        assert!(places.take(1).is_none() && places.take(2).is_some());
        drop(held);
        assert!(places.take(1).is_some());
        assert!(places.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_are_counted_by_what_their_owner_controls() {
        let of = |text: &str| {
            (host_of(text.parse().unwrap()).to_string(), network_of(text.parse().unwrap()).to_string())
        };
        assert_eq!(of("10.1.2.3"), ("10.1.2.3".to_owned(), "10.1.2.0".to_owned()));
        assert_eq!(of("::ffff:10.1.2.3"), ("10.1.2.3".to_owned(), "10.1.2.0".to_owned()));
        assert_eq!(of("2001:db8:1:2:3::4"), ("2001:db8:1:2::".to_owned(), "2001:db8:1:2::".to_owned()));
    }
}
