//! Upkeep: a little at a time, what nobody reads is checked on the disk, and what was found damaged is brought back from other owners.
//!
//! Without it a record of which one copy rotted would be lost with the other copy.

use crate::core::Core;
use crate::read::heal;
use dccache_protocol::time::UnixMillis;
use std::sync::Arc;
use std::time::Duration;

/// Pause between two steps.
const TICK: Duration = Duration::from_secs(1);

/// Bytes checked per step, and one record more: 50 GiB in four hours, a few percent of what a disk can read.
const BYTES_PER_TICK: u64 = 4 << 20;

/// Records brought back per step.
const HEALED_PER_TICK: usize = 16;

/// A walk through all segments begins so long after the last one ended, in ms: a day.
const REST_MS: u64 = 24 * 60 * 60 * 1000;

/// When the last walk through all segments ended.
#[derive(Clone, Copy, Debug, Default)]
struct Rest(Option<UnixMillis>);

impl Rest {
    /// Tells whether the walk goes on; a clock that went back ends the rest, rather than making it last for years.
    fn is_over(self, now: UnixMillis) -> bool {
        self.0.is_none_or(|ended| now < ended || now.since(ended) >= REST_MS)
    }
}

/// Does upkeep until the node ends.
pub(crate) async fn run(core: Arc<Core>) {
    let mut rest = Rest::default();
    loop {
        tokio::select! {
            () = core.draining.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        if rest.is_over(core.clock.now()) {
            rest = scrub(&core).await;
        }
        heal(&core, HEALED_PER_TICK).await;
    }
}

async fn scrub(core: &Arc<Core>) -> Rest {
    let Some(report) = core.shelf.scrub(BYTES_PER_TICK).await else { return Rest::default() };
    if report.damaged > 0 {
        tracing::warn!(damaged = report.damaged, "damaged records were found on the disk");
    }
    Rest(report.finished.then(|| core.clock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_begins_at_once_then_after_a_day_or_when_the_clock_went_back() {
        let ended = UnixMillis(1_000_000_000);
        assert!(Rest::default().is_over(ended));
        let rest = Rest(Some(ended));
        assert!(!rest.is_over(ended) && !rest.is_over(ended.plus_ms(REST_MS - 1)));
        assert!(rest.is_over(ended.plus_ms(REST_MS)) && rest.is_over(UnixMillis(5)));
    }
}
