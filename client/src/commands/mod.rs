//! Commands of ours: everything that is not a compile. Only here the command-line parser is entered.

mod agent;

use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Words after `dccache` that are commands; any other word is a compiler.
const COMMANDS: [&str; 2] = ["agent", "help"];

/// Exit code of a call that is not understood.
const USAGE: i32 = 2;

/// Tells whether a word is a command of ours.
pub fn is_command(word: &[u8]) -> bool {
    COMMANDS.iter().any(|command| command.as_bytes() == word)
}

/// Parses and runs a command of ours; returns its exit code.
pub fn run(argv: &[OsString]) -> i32 {
    match CommandLine::try_parse_from(argv) {
        Ok(CommandLine { command: Command::Agent(command) }) => agent::run(&command),
        Err(error) => {
            let _ = error.print();
            error.exit_code()
        }
    }
}

/// A compiler cache cluster. Put `dccache` in front of a compiler.
#[derive(Debug, Parser)]
#[command(name = "dccache", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The background process of this user: networking, pushes, signing.
    #[command(subcommand)]
    Agent(agent::AgentCommand),
}
