//! Compares dccache with the other caches that are installed, interleaved in one run, and writes the run down.
//!
//! `cargo run --release -p dccache-bench -- compare` after `cargo build --release`.

mod machine;
mod measure;
mod peers;
mod report;
mod scenarios;
mod workload;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Load and comparisons for dccache.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every scenario with every cache that is installed and writes a table of ratios.
    Compare(Compare),
}

/// Options of `compare`.
#[derive(Debug, clap::Args)]
struct Compare {
    /// Measured rounds per scenario; whole builds take a tenth of it, at least 3.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// Only the scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Directory in which the run is kept; nothing is kept without it.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Name of the kept run, after the date.
    #[arg(long, default_value = "compare")]
    name: String,
}

fn main() -> anyhow::Result<()> {
    let Command::Compare(options) = Arguments::parse().command;
    let peers = peers::Peers::find()?;
    let stage = scenarios::Stage::set(&peers)?;
    let mut tables = Vec::new();
    for scenario in scenarios::all() {
        if scenario.name.contains(&options.only) {
            eprintln!("{} ...", scenario.name);
            tables.push(scenario.run(&stage, options.rounds)?);
        }
    }
    let text = report::page(&machine::line(), &peers, &tables, &options.only, options.rounds);
    println!("{text}");
    if let Some(directory) = &options.keep {
        let file = directory.join(format!("{}-{}.md", machine::date()?, options.name));
        std::fs::write(&file, &text)?;
        eprintln!("kept as {}", file.display());
    }
    Ok(())
}
