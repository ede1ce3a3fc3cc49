//! `dccache config`: what holds, and writing the user's file.

use super::{USAGE, open_home};
use crate::config::{Config, ConfigError, KEYS, Key, set};
use crate::home::Home;
use crate::say::{complain, say};
use clap::Subcommand;

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show all keys and what holds now
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
    let (_, config) = match open_home() {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    match command {
        Some(ConfigCommand::Get { key }) => match Key::find(key) {
            Some(key) => say!("{}", (key.show)(&config)),
            None => {
                complain!("dccache: unknown key {key:?}; `dccache config list` shows all");
                return USAGE;
            }
        },
        _ => KEYS.iter().for_each(|key| say!("{} = {}", key.name, (key.show)(&config))),
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
        Ok(()) => 0,
        Err(error) => {
            complain!("dccache: {error}");
            USAGE
        }
    }
}

/// Reads the configuration as compiles read it.
pub(super) fn load(home: &Home) -> Result<Config, ConfigError> {
    Config::load(home, |name| std::env::var_os(name))
}
