//! Telling every task of the agent that it ends, and why it may end by itself.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A switch that is thrown once, and then says how far the end is. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Sender<Stage>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Ending,
    Closed,
}

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Running))
    }
}

impl Stop {
    /// Throws the switch.
    pub(super) fn throw(&self) {
        self.advance(Stage::Ending);
    }

    /// Says that the socket takes no more connections.
    pub(super) fn close(&self) {
        self.advance(Stage::Closed);
    }

    /// Waits until it is thrown. Cancel safety: yes.
    pub(super) async fn thrown(&self) {
        self.reached(Stage::Ending).await;
    }

    /// Waits until nobody can connect any more. Cancel safety: yes.
    pub(super) async fn closed(&self) {
        self.reached(Stage::Closed).await;
    }

    fn advance(&self, stage: Stage) {
        self.0.send_modify(|now| *now = stage.max(*now));
    }

    async fn reached(&self, stage: Stage) {
        let mut now = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = now.wait_for(|now| *now >= stage).await;
    }
}

/// Who uses the agent now, and since when nobody does.
#[derive(Debug)]
pub(super) struct Activity {
    connections: AtomicUsize,
    last: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { connections: AtomicUsize::new(0), last: Mutex::new(Instant::now()) }
    }
}

impl Activity {
    /// Notes a connection for as long as the returned value lives.
    pub(super) fn begin(&self) -> Active<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Active(self)
    }

    /// Returns for how long nobody has been connected; zero while somebody is.
    pub(super) fn idle(&self) -> Duration {
        match self.connections.load(Ordering::Relaxed) {
            0 => self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
            _ => Duration::ZERO,
        }
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Active<'a>(&'a Activity);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn idleness_counts_from_the_end_of_the_last_connection() {
        let activity = Activity::default();
        let minute = Duration::from_secs(60);
        tokio::time::advance(minute).await;
        assert_eq!(activity.idle(), minute);
        let (one, two) = (activity.begin(), activity.begin());
        tokio::time::advance(minute).await;
        drop(one);
        assert_eq!(activity.idle(), Duration::ZERO);
        drop(two);
        assert_eq!(activity.idle(), Duration::ZERO);
        tokio::time::advance(minute).await;
        assert_eq!(activity.idle(), minute);
    }

    #[tokio::test]
    async fn a_thrown_switch_is_seen_by_those_who_wait_and_those_who_come_later() {
        let stop = Stop::default();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.thrown().await }
        });
        stop.throw();
        waiting.await.unwrap();
        stop.thrown().await;
    }

    #[tokio::test]
    async fn a_thrown_switch_is_not_a_closed_socket_and_a_closed_one_stays_thrown() {
        let stop = Stop::default();
        stop.throw();
        assert!(stop.closed().now_or_never().is_none());
        stop.close();
        stop.throw();
        assert!(stop.closed().now_or_never().is_some() && stop.thrown().now_or_never().is_some());
    }
}
