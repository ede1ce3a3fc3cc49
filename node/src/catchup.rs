//! After a start a node may lack what was written while it was away: until every other member has no hints left for anybody, a
//! miss here is asked for at the other owners too.

use dccache_protocol::ids::NodeId;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The members whose hints may still be on their way.
#[derive(Debug, Default)]
pub(crate) struct Catchup {
    awaited: Mutex<BTreeSet<NodeId>>,
}

impl Catchup {
    /// Begins with the members that may hold something for this node.
    pub(crate) fn new(members: impl IntoIterator<Item = NodeId>) -> Self {
        Self { awaited: Mutex::new(members.into_iter().collect()) }
    }

    /// Tells whether a miss may only mean that a hint has not come yet.
    pub(crate) fn is_behind(&self) -> bool {
        !self.awaited.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Returns the members that have not been heard to be done.
    pub(crate) fn awaited(&self) -> Vec<NodeId> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Notes that a member holds no hints.
    pub(crate) fn is_done(&self, member: NodeId) {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(&member);
    }
}
