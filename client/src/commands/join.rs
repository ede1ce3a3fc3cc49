//! `dccache join TOKEN`: this machine becomes a client of a cluster.

use super::{USAGE, open_home};
use crate::agent::chain;
use crate::agent::place::Place;
use crate::cluster::join::{Other, join};
use crate::say::{complain, say};
use clap::Args;
use dccache_protocol::ids::Label;
use dccache_transport::clock::SystemClock;
use std::sync::Arc;

/// Shown behind the options.
const CODES: &str = "\
Exit codes:
  0  joined
  1  something on this machine failed
  2  the text is no token for a client
  3  the cluster refuses: the token was used, has expired, or is unknown
  4  the node that made the token cannot be reached
  5  this machine is in another cluster; --force replaces that membership (the old one stays in cluster.old)";

/// What was typed.
#[derive(Debug, Args)]
#[command(after_help = CODES)]
pub(super) struct JoinCommand {
    /// The token, as `dccache-node` printed it.
    token: String,
    /// Who answers for this machine; the user's name where nothing is said.
    #[arg(long)]
    operator: Option<Label>,
    /// Namespace of the project; written into the configuration.
    #[arg(long)]
    namespace: Option<Label>,
    /// Leaves the cluster that this machine is in.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(command: &JoinCommand) -> i32 {
    let (home, config) = match open_home() {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    let place = Place::new(home.path());
    let operator = command.operator.clone().unwrap_or_else(user);
    let other = if command.force { Other::Replace } else { Other::Keep };
    let clock = Arc::new(SystemClock::from_environment());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let joined = match runtime {
        Ok(runtime) => runtime.block_on(join(&place, &command.token, operator, other, clock)),
        Err(error) => {
            complain!("dccache: {error}");
            return 1;
        }
    };
    let member = match joined {
        Ok(member) => member,
        Err(error) => {
            complain!("dccache: {}", chain(&error));
            return error.exit_code();
        }
    };
    if let Some(namespace) = &command.namespace
        && let Err(error) = crate::config::set(&home, "namespace", namespace.as_str())
    {
        complain!("dccache: {error}");
        return USAGE;
    }
    let namespace = command.namespace.clone().unwrap_or(config.namespace.0);
    let cluster = member.cluster.to_string();
    say!(
        "joined cluster {} as {} for {}, namespace {namespace}; `dccache doctor` checks the way to every node",
        &cluster[..12],
        member.role,
        member.operator,
    );
    0
}

/// Returns the user's name, or what stands for it where it is no label.
fn user() -> Label {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    named.unwrap_or_else(|| {
        let uid = rustix::process::geteuid().as_raw();
        format!("uid-{uid}").parse().expect("letters, digits and a dash are a label")
    })
}
