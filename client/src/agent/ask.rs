//! The command line's questions to a running agent: status, flush, stop.

use super::line::{Line, LineError};
use super::place::Place;
use dccache_protocol::local::{AgentStatus, Reply, Request};
use std::time::Duration;

/// How long the agent may take for an answer that needs nobody else.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the agent may take to ask every node of the ring.
const RING_PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No agent, or a broken one.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It answered something else than what was asked for.
    #[error("the agent answered something else than what was asked for")]
    Unexpected,
    /// It has no answer.
    #[error(transparent)]
    Unavailable(#[from] dccache_protocol::local::Unavailable),
}

/// Answers of every member of the ring: its name and address, and its counters unless it gave no answer.
pub type Members = Vec<(String, Option<dccache_protocol::service::NodeStatus>)>;

/// Asks how the agent is.
///
/// # Errors
/// No agent runs, or it does not answer.
pub fn status(place: &Place) -> Result<AgentStatus, AskError> {
    match ask(place, &Request::Status, PATIENCE)? {
        Reply::Status(status) => Ok(*status),
        _ => Err(AskError::Unexpected),
    }
}

/// Waits until everything queued now is pushed, at most `patience`; returns how many entries still wait.
///
/// # Errors
/// No agent runs, or it does not answer.
pub fn flush(place: &Place, patience: Duration) -> Result<u64, AskError> {
    let timeout_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    match ask(place, &Request::Flush { timeout_ms }, patience.saturating_add(PATIENCE))? {
        Reply::Flushed { waiting } => Ok(waiting),
        _ => Err(AskError::Unexpected),
    }
}

/// Ends the agent.
///
/// # Errors
/// No agent runs, or it does not answer.
pub fn stop(place: &Place) -> Result<(), AskError> {
    match ask(place, &Request::Stop, PATIENCE)? {
        Reply::Stopping => Ok(()),
        _ => Err(AskError::Unexpected),
    }
}

/// Asks every node of the ring for its counters.
///
/// # Errors
/// No agent runs, it does not answer, or this machine is in no cluster.
pub fn cluster(place: &Place) -> Result<Members, AskError> {
    match ask(place, &Request::ClusterStatus, RING_PATIENCE)? {
        Reply::Cluster(members) => Ok(members),
        Reply::Unavailable(reason) => Err(reason.into()),
        _ => Err(AskError::Unexpected),
    }
}

fn ask(place: &Place, request: &Request, patience: Duration) -> Result<Reply, AskError> {
    // Nobody waits for weeks, and a far deadline must not overflow.
    let patience = patience.min(Duration::from_secs(7 * 24 * 3600));
    let mut line = Line::open(place, PATIENCE)?;
    Ok(line.call(request, &[], patience)?.0)
}
