//! Which nodes and keys are revoked, and the open connections that must end when theirs is.
//!
//! Invariant: a connection is either registered before a list takes effect, and then cut by it, or checked against the new list when it
//! registers; both happen under one lock, so none slips between.

use crate::identity::{KeyId, PeerName};
use crate::peer::Peer;
use dccache_protocol::control::{RevocationList, Revoked};
use dccache_protocol::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// The revocations in force and the connections that they can cut. Cheap to clone; all clones are one view.
#[derive(Clone, Debug, Default)]
pub struct RevocationView(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    number: u64,
    revoked: BTreeSet<Revoked>,
    next: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    names: [Revoked; 3],
    count: usize,
    not_after: UnixMillis,
    cut: CancellationToken,
}

impl RevocationView {
    /// Puts a list in force, whose signature the caller has checked, and cuts the connections that it revokes; returns how many. A list
    /// that is not newer changes nothing.
    pub fn apply(&self, list: &RevocationList) -> usize {
        let mut state = self.lock();
        if list.number <= state.number {
            return 0;
        }
        state.number = list.number;
        // What was revoked once stays so, whatever a later list leaves out.
        state.revoked.extend(&list.revoked);
        let state = &*state;
        let hit = |open: &&Open| open.names[..open.count].iter().any(|name| state.revoked.contains(name));
        state.open.values().filter(hit).map(|open| open.cut.cancel()).count()
    }

    /// Cuts the connections whose peer's leaf has ended; returns how many.
    pub fn cut_expired(&self, now: UnixMillis) -> usize {
        let state = self.lock();
        state.open.values().filter(|open| open.not_after < now).map(|open| open.cut.cancel()).count()
    }

    /// Returns the number of the list in force; 0 before the first.
    pub fn number(&self) -> u64 {
        self.lock().number
    }

    /// Tells whether something is revoked.
    pub fn is_revoked(&self, name: Revoked) -> bool {
        self.lock().revoked.contains(&name)
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.lock().open.len()
    }

    /// Registers a connection; `None` when its peer is revoked.
    pub(crate) fn register(&self, peer: &Peer) -> Option<Registration> {
        let key = Revoked::Key(*KeyId::of(peer.subject.key).digest());
        let issuer = Revoked::Key(*peer.issuer.digest());
        let (names, count) = match peer.subject.name {
            PeerName::Node(id) => ([key, issuer, Revoked::Node(id)], 3),
            PeerName::Client(_) => ([key, issuer, key], 2),
        };
        let mut state = self.lock();
        if names.iter().any(|name| state.revoked.contains(name)) {
            return None;
        }
        let (id, cut) = (state.next, CancellationToken::new());
        state.next += 1;
        state.open.insert(id, Open { names, count, not_after: peer.subject.not_after, cut: cut.clone() });
        Some(Registration { view: self.clone(), id, cut })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Unwrap: no code panics while it holds the lock; a poisoned view is still a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection's place in the view; dropping it takes the connection out.
#[derive(Debug)]
pub(crate) struct Registration {
    view: RevocationView,
    id: u64,
    /// Cancelled when the connection must end.
    pub(crate) cut: CancellationToken,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.view.lock().open.remove(&self.id);
    }
}
