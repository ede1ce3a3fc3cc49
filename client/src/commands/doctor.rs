//! `dccache doctor`: looks at everything that a compile depends on and says what to do.

use super::{USAGE, config};
use crate::doctor::{examine, exit_code};
use crate::home::Home;
use crate::say::{complain, say};
use clap::Args;

/// What was typed.
#[derive(Debug, Args)]
pub(super) struct DoctorCommand {
    /// Print JSON: one object per line of the report
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &DoctorCommand) -> i32 {
    let Some(location) = Home::location(|name| std::env::var_os(name)) else {
        complain!("dccache: set HOME or DCCACHE_DIR");
        return USAGE;
    };
    let home = match Home::open(&location) {
        Ok(home) => home,
        Err(error) => {
            complain!("dccache: {}: {error}; set DCCACHE_DIR to a directory of yours", location.display());
            return 1;
        }
    };
    let checks =
        examine(&home, config::load(&home).map(|loaded| loaded.config).map_err(|error| error.to_string()));
    if command.json {
        say!("{}", serde_json::to_string_pretty(&checks).expect("plain text always serializes"));
    } else {
        checks.iter().for_each(|check| say!("{check}"));
    }
    exit_code(&checks)
}
