//! The node's hybrid logical clock: every record that it accepts first gets a stamp greater than all before it.

use dccache_protocol::time::{Clock, ReceiptStamp};
use std::sync::{Arc, Mutex, PoisonError};

/// Draws receipt stamps.
#[derive(Debug)]
pub(crate) struct Stamps {
    clock: Arc<dyn Clock>,
    last: Mutex<ReceiptStamp>,
}

impl Stamps {
    /// Starts with the clock's time.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// Draws the next stamp.
    pub(crate) fn next(&self) -> ReceiptStamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = ReceiptStamp::next(*last, self.clock.now());
        *last
    }

    /// Learns of a stamp that another node drew, so that what is accepted afterwards is newer.
    pub(crate) fn observe(&self, stamp: ReceiptStamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(stamp);
    }
}
