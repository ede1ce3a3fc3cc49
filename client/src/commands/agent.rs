//! `dccache agent`: runs the agent, asks how it is, waits for its queue, ends it.

use super::USAGE;
use crate::agent::ask::{self, AskError};
use crate::agent::line::LineError;
use crate::agent::place::Place;
use crate::agent::start::Starter;
use crate::agent::{Settings, Stay};
use crate::config::Config;
use crate::home::Home;
use crate::say::{complain, say};
use clap::Subcommand;
use dccache_protocol::local::AgentStatus;
use dccache_protocol::time::Clock;
use dccache_transport::clock::SystemClock;
use std::error::Error;
use std::time::Duration;

/// Exit code of a command that could not do what it was asked.
const FAILED: i32 = 1;

/// How long a flush waits where nothing else is said, in seconds.
const FLUSH_S: u64 = 600;

/// How long starting an agent may take here, where a person waits.
const START: Duration = Duration::from_secs(10);

/// What to do with the agent.
#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Runs the agent; compiles start it by themselves.
    Run {
        /// Stays in the terminal and logs to stderr.
        #[arg(long)]
        foreground: bool,
    },
    /// Shows how the agent is. Exit code 1 when none runs.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Waits until every push is acknowledged. Exit code 1 when some still wait at the end.
    Flush {
        /// Longest wait in seconds.
        #[arg(long, default_value_t = FLUSH_S)]
        timeout: u64,
    },
    /// Ends the agent; what waits stays in its journal.
    Stop,
}

pub(super) fn run(command: &AgentCommand) -> i32 {
    let Some(path) = Home::location(|name| std::env::var_os(name)) else {
        complain!("dccache: neither DCCACHE_DIR nor HOME is set, so there is no place for the agent");
        return FAILED;
    };
    let place = Place::new(&path);
    match command {
        AgentCommand::Run { foreground } => run_agent(place, *foreground),
        AgentCommand::Status { json } => status(&place, *json),
        AgentCommand::Flush { timeout } => flush(&place, Duration::from_secs(*timeout)),
        AgentCommand::Stop => stop(&place),
    }
}

fn run_agent(place: Place, foreground: bool) -> i32 {
    let config = Home::open(place.home()).map_err(|error| error.to_string()).and_then(|home| {
        Config::load(&home, |name| std::env::var_os(name)).map_err(|error| error.to_string())
    });
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            complain!("dccache: {error}");
            return USAGE;
        }
    };
    let stay = if foreground { Stay::Foreground } else { Stay::Detached };
    let idle = Duration::from_secs(config.agent_idle_s);
    match crate::agent::run(Settings { place, idle, policy: config.trust_accept, stay }) {
        Ok(()) => 0,
        Err(error) => failed(&error),
    }
}

fn status(place: &Place, json: bool) -> i32 {
    match ask::status(place) {
        Ok(status) if json => {
            say!("{}", serde_json::to_string_pretty(&status).expect("plain numbers and text"));
            0
        }
        Ok(status) => {
            show(&status);
            0
        }
        Err(error) => failed(&error),
    }
}

fn show(status: &AgentStatus) {
    let cluster = if status.cluster.is_empty() { "none" } else { status.cluster.as_str() };
    say!("agent      process {}, up {} s", status.pid, status.uptime_s);
    say!("cluster    {cluster}, layout {}, directory {}", status.epoch, status.trust_epoch);
    say!("signer     {}", if status.signer.is_empty() { "none" } else { status.signer.as_str() });
    say!("look-ups   {}, found {}, not accepted {}", status.finds, status.hits, status.distrusted);
    say!("pushes     {} acknowledged, {} dropped", status.pushed, status.dropped);
    say!("waiting    {} entries, {} KiB", status.waiting, status.waiting_bytes >> 10);
    for (name, address, state, failure) in &status.nodes {
        say!("node       {name} {address} {state} {failure}");
    }
}

fn flush(place: &Place, patience: Duration) -> i32 {
    let starter = match Starter::of_this_program(place.clone()) {
        Ok(starter) => starter,
        Err(error) => return failed(&error),
    };
    // Pushes may wait in the journal of an agent that was killed.
    starter.forget_failures();
    let now = SystemClock::from_environment().now();
    if let Err(error) = starter.reach(START, now) {
        return failed(&error);
    }
    match ask::flush(place, patience) {
        Ok(0) => 0,
        Ok(waiting) => {
            complain!("dccache: {waiting} entries still wait; `dccache doctor` says why");
            FAILED
        }
        Err(error) => failed(&error),
    }
}

fn stop(place: &Place) -> i32 {
    match ask::stop(place) {
        Ok(()) | Err(AskError::Line(LineError::NoAgent(_))) => 0,
        Err(error) => failed(&error),
    }
}

/// Prints an error with its causes on one line.
fn failed(error: &dyn Error) -> i32 {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    complain!("dccache: {text}");
    FAILED
}
