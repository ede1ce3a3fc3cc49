//! Commands of ours: everything that is not a compile. Only here the command-line parser is entered.

mod agent;
mod config;
mod demo;
mod doctor;
mod explain;
mod join;
mod ring_stats;
mod stats;
mod verify;

use crate::config::{Config, Loaded};
use crate::home::Home;
use crate::say::complain;
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Words after `dccache` that are commands; any other word is a compiler.
const COMMANDS: [&str; 9] =
    ["agent", "config", "demo", "doctor", "explain", "help", "join", "stats", "verify"];

/// Exit code of a call that is not understood.
const USAGE: i32 = 2;

/// Tells whether a word is a command of ours.
pub fn is_command(word: &[u8]) -> bool {
    COMMANDS.iter().any(|command| command.as_bytes() == word)
}

/// Parses and runs a command of ours; returns its exit code.
pub fn run(argv: &[OsString]) -> i32 {
    match CommandLine::try_parse_from(argv) {
        Ok(CommandLine { command }) => match command {
            Command::Agent(command) => agent::run(&command),
            Command::Config { command } => config::run(command.as_ref()),
            Command::Demo(command) => demo::run(&command),
            Command::Doctor(command) => doctor::run(&command),
            Command::Explain(command) => explain::run(&command),
            Command::Join(command) => join::run(&command),
            Command::Stats(command) => stats::run(&command),
            Command::Verify(command) => verify::run(&command),
        },
        Err(error) => {
            let _ = error.print();
            error.exit_code()
        }
    }
}

/// Opens the user's directory and reads the configuration as compiles do; otherwise says what is wrong and gives the exit code.
fn open_home() -> Result<(Home, Config), i32> {
    open_loaded().map(|(home, loaded)| (home, loaded.config))
}

/// As [`open_home`], with where each value comes from.
fn open_loaded() -> Result<(Home, Loaded), i32> {
    let Some(location) = Home::location(|name| std::env::var_os(name)) else {
        complain!("dccache: set HOME or DCCACHE_DIR");
        return Err(USAGE);
    };
    let home = Home::open(&location).map_err(|error| {
        complain!("dccache: {}: {error}", location.display());
        1
    })?;
    let loaded = config::load(&home).map_err(|error| {
        complain!("dccache: {error}");
        USAGE
    })?;
    Ok((home, loaded))
}

/// Shown behind the commands.
const MORE: &str = "\
Any other first word is a compiler: `dccache gcc -c a.c -o a.o`. `dccache -- WORD ...` forces that.
Before it, KEY=VALUE words set the configuration for this call: `dccache namespace=x gcc -c a.c`.
As a link named gcc, g++, cc, c++, clang or clang++ (also gcc-12 and the like) it stands for the next compiler of
that name on PATH. As a link named ccache it is ccache: its options, variables, configuration and statistics.

Exit codes:
  of a compile   the compiler's; 127 no such compiler, 126 it cannot be executed; death by a signal is passed on
  0              done
  1              it could not be done
  2              the call or the configuration is not understood
  3              `dccache verify`: the build succeeded, and a hit was not what the compiler gives; a build that fails
                 passes its own code on

DCCACHE_DIR moves store, configuration, keys and socket (default: ~/.cache/dccache).";

/// A compiler cache cluster. Put `dccache` in front of a compiler.
#[derive(Debug, Parser)]
#[command(name = "dccache", version, arg_required_else_help = true, after_help = MORE)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The background process of this user: networking, pushes, signing
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Show or change the configuration
    Config {
        #[command(subcommand)]
        command: Option<config::ConfigCommand>,
    },
    /// Show a cluster at work on this machine, on real sources; leaves nothing behind
    Demo(demo::DemoCommand),
    /// Look at everything that a compile depends on and say what to do; exit code 1 when something fails
    Doctor(doctor::DoctorCommand),
    /// Say why the last compile was a hit, a miss, or left to the compiler
    Explain(explain::ExplainCommand),
    /// Make this machine a client of a cluster
    Join(join::JoinCommand),
    /// Show what happened to compiles on this machine
    Stats(stats::StatsCommand),
    /// Build, and hold each hit against a compile; exit code 3 when one differs
    Verify(verify::VerifyCommand),
}
