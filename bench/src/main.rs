//! Compares dccache with the other caches that are installed, interleaved in one run, and writes the run down.
//!
//! `cargo run --release -p dccache-bench -- compare`. `just peers` installs what Debian, crates.io and PyPI have.

mod counts;
mod front;
mod load;
mod machine;
mod measure;
mod plot;
mod programs;
mod report;
mod scenarios;
mod servers;
mod workload;

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use report::{Curve, Run, Table};
use scenarios::{ALL, Outcome, Rounds, Stage};
use std::path::{Path, PathBuf};

/// Load and comparisons for dccache.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every scenario with every cache that is installed and writes a page of ratios, with plots.
    Compare(Compare),
    /// Puts to or gets from a node and prints the seconds of one request.
    #[command(hide = true)]
    Load(load::Load),
}

/// Options of `compare`.
#[derive(Debug, clap::Args)]
struct Compare {
    /// Measured rounds of calls that take milliseconds; compiles take a quarter of it, whole builds a twentieth, at least 3.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Only the scenarios whose names contain one of these, separated by semicolons.
    #[arg(long, value_delimiter = ';')]
    only: Vec<String>,
    /// As few rounds and as small sizes as give a number: shows that everything works, measures nothing. Keeps nothing.
    #[arg(long)]
    quick: bool,
    /// Directory in which the run is kept [default: bench/runs].
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Name of the kept run, after the date.
    #[arg(long, default_value = "compare")]
    name: String,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Compare(options) => compare(&options),
        Command::Load(options) => load::run(&options),
    }
}

fn compare(options: &Compare) -> anyhow::Result<()> {
    let programs = programs::Programs::find()?;
    let before = machine::busy();
    let (tables, curves) = measured(&programs, options)?;
    let mut run = Run {
        machine: machine::line(),
        beside: [before, machine::busy()],
        versions: programs.versions(),
        command: options.command(),
        tables,
        curves,
        plots: Vec::new(),
    };
    if !options.quick {
        let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs");
        keep(&mut run, &options.keep.clone().unwrap_or(runs), &options.name)?;
    }
    println!("{}", report::page(&run));
    Ok(())
}

fn measured(programs: &programs::Programs, options: &Compare) -> anyhow::Result<(Vec<Table>, Vec<Curve>)> {
    let chosen = |name: &str| options.only.is_empty() || options.only.iter().any(|part| name.contains(part));
    let chosen: Vec<_> = ALL.iter().filter(|scenario| chosen(scenario.name)).collect();
    ensure!(!chosen.is_empty(), "no scenario has such a name");
    let stage = Stage::set(programs)?;
    let rounds = if options.quick { Rounds::QUICK } else { Rounds::of(options.rounds) };
    let (mut tables, mut curves) = (Vec::new(), Vec::new());
    for scenario in chosen {
        eprintln!("{} ...", scenario.name);
        match scenario.run(&stage, rounds).with_context(|| scenario.name.to_owned())? {
            Outcome::Table(table) => tables.push(table),
            Outcome::Curve(curve) => curves.push(curve),
        }
    }
    Ok((tables, curves))
}

/// Writes the plots and the page into `directory`.
fn keep(run: &mut Run, directory: &Path, name: &str) -> anyhow::Result<()> {
    let stem = format!("{}-{name}", machine::date()?);
    let mut draw = |part: &str, svg: &str| -> anyhow::Result<()> {
        let file = format!("{stem}-{part}.svg");
        std::fs::write(directory.join(&file), svg)?;
        run.plots.push(file);
        Ok(())
    };
    for (part, word) in [("hits", "hit"), ("misses", "miss"), ("builds", "build"), ("node", "node")] {
        let tables: Vec<&Table> = run.tables.iter().filter(|table| table.name.contains(word)).collect();
        if !tables.is_empty() {
            draw(part, &plot::bars(&format!("{part}: wall-clock time, as a ratio"), &tables))?;
        }
    }
    for curve in run.curves.iter().chain(&report::over_distance(&run.tables)) {
        draw(&curve.name.replace(' ', "-"), &plot::lines(curve))?;
    }
    std::fs::write(directory.join(format!("{stem}.md")), report::page(run))?;
    eprintln!("kept as {stem}.md in {}", directory.display());
    Ok(())
}

impl Compare {
    /// Returns the command line that repeats the run.
    fn command(&self) -> String {
        let mut words = format!("cargo run --release -p dccache-bench -- compare --rounds {}", self.rounds);
        if !self.only.is_empty() {
            words += &format!(" --only '{}'", self.only.join(";"));
        }
        words + &format!(" --name {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counts::Counts;
    use front::Family;
    use measure::{Samples, Spread};
    use report::{Line, Reference};

    #[test]
    fn a_kept_run_is_a_page_beside_the_plots_that_it_names_and_no_other_file() {
        let directory = tempfile::tempdir().unwrap();
        let row = |name: &str, family, wall| Samples {
            name: name.into(),
            family,
            wall: vec![wall; 3],
            cpu: Vec::new(),
            counts: Counts::default(),
        };
        let table = |name: &str| Table {
            name: name.into(),
            about: String::new(),
            reference: Reference::FastestPeer,
            samples: vec![row("dccache", Family::Ours, 1.0), row("ccache", Family::Peer, 4.0)],
        };
        let spread = Spread { lower: 1.0, median: 2.0, upper: 3.0 };
        let line = Line { name: "dccache".into(), points: vec![(10.0, spread), (100.0, spread)] };
        let curve = Curve {
            name: "number of headers".into(),
            about: String::new(),
            axis: "headers",
            lines: vec![line],
        };
        let mut run = Run {
            machine: "a machine".into(),
            beside: [None; 2],
            versions: Vec::new(),
            command: "a command".into(),
            tables: vec![table("ring hit, 0 ms"), table("ring hit, 50 ms"), table("bypass")],
            curves: vec![curve],
            plots: Vec::new(),
        };
        keep(&mut run, directory.path(), "name").unwrap();
        let mut kept: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        kept.sort_unstable();
        let date = machine::date().unwrap();
        let parts = ["-hits.svg", "-number-of-headers.svg", "-ring-hits-over-distance.svg", ".md"];
        assert_eq!(kept, parts.map(|part| format!("{date}-name{part}")));
        let page = std::fs::read_to_string(directory.path().join(&kept[3])).unwrap();
        for plot in &kept[..3] {
            assert!(page.contains(&format!("]({plot})")), "{plot}: {page}");
            let drawn = std::fs::read_to_string(directory.path().join(plot)).unwrap();
            assert!(
                drawn.starts_with("<svg")
                    && drawn.contains("dccache")
                    && drawn.trim_end().ends_with("</svg>")
            );
        }
        for part in ["a machine", "a command", "ring hit, 50 ms", "**0.25**"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        // Nothing is kept, and that is said, where the directory cannot be written.
        assert!(keep(&mut run, &directory.path().join("absent"), "name").is_err());
    }
}
