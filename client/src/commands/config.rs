//! `dccache config`: what holds, and writing the user's file.

use super::{USAGE, open_loaded};
use crate::agent::ask;
use crate::agent::place::Place;
use crate::config::{ConfigError, KEYS, Key, Loaded, Sources, set};
use crate::home::Home;
use crate::say::{complain, say};
use clap::Subcommand;

/// Keys that an agent reads when it starts.
const AGENTS: [&str; 2] = ["agent_idle", "trust_accept"];

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show all keys, what holds here and now, and where that was said
    List,
    /// Show one key
    Get {
        /// The key
        key: String,
    },
    /// Write one key into the user's file
    Set {
        /// The key
        key: String,
        /// Its value
        value: String,
    },
}

/// Runs it; returns the exit code.
pub(super) fn run(command: Option<&ConfigCommand>) -> i32 {
    if let Some(ConfigCommand::Set { key, value }) = command {
        return write(key, value);
    }
    let (_, loaded) = match open_loaded() {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    match command {
        Some(ConfigCommand::Get { key }) => match Key::find(key) {
            Some(key) => say!("{}", (key.show)(&loaded.config)),
            None => {
                complain!("dccache: unknown key {key:?}; `dccache config list` shows all");
                return USAGE;
            }
        },
        _ => KEYS.iter().for_each(|key| {
            say!("({}) {} = {}", loaded.origin(key), key.name, (key.show)(&loaded.config));
        }),
    }
    0
}

fn write(key: &str, value: &str) -> i32 {
    let Some(location) = Home::location(|name| std::env::var_os(name)) else {
        complain!("dccache: set HOME or DCCACHE_DIR");
        return USAGE;
    };
    let written = match Home::open(&location) {
        Ok(home) => set(&home, key, value).map_err(|error| error.to_string()),
        Err(error) => Err(format!("{}: {error}", location.display())),
    };
    match written {
        Ok(()) => {
            // The agent would notice within a second; whom to believe is not to wait for that.
            if AGENTS.contains(&key) {
                let _ = ask::stop(&Place::new(&location));
            }
            0
        }
        Err(error) => {
            complain!("dccache: {error}");
            USAGE
        }
    }
}

/// Reads the configuration as compiles in this directory read it.
pub(super) fn load(home: &Home) -> Result<Loaded, ConfigError> {
    let directory = std::env::current_dir().ok();
    let variable = |name: &str| std::env::var_os(name);
    Sources { home, directory: directory.as_deref(), variable: &variable, words: &[] }.load()
}
