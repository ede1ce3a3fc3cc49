//! The page that a run leaves: machine, versions, command, and one table per scenario with ratios to the first contender.

use crate::measure::{Samples, Spread};
use crate::peers::Peers;
use std::fmt::Write as _;
use std::time::Duration;

/// The samples of one scenario.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The first is what the others are compared with.
    pub(crate) samples: Vec<Samples>,
}

/// Writes the whole page as Markdown.
pub(crate) fn page(machine: &str, peers: &Peers, tables: &[Table], only: &str, rounds: usize) -> String {
    let only = if only.is_empty() { String::new() } else { format!(" --only '{only}'") };
    let mut text = String::from("# Comparison, interleaved in one run\n\n");
    let _ = writeln!(text, "Machine: {machine}\n");
    let _ = writeln!(text, "Peers: {}\n", peers.versions().join("; "));
    let _ = writeln!(
        text,
        "Command: `cargo build --release && cargo run --release -p dccache-bench -- compare --rounds {rounds}{only}`\n"
    );
    text += "Ratios are per round to the first line's contender (median, quartiles in brackets); below 1 is faster. Times are medians.\n";
    for table in tables {
        let _ = writeln!(text, "\n## {}\n\n{}\n", table.name, table.about);
        text += "| contender | wall, ratio | CPU, ratio | wall | CPU | rounds |\n|---|---|---|---|---|---|\n";
        for samples in &table.samples {
            let first = &table.samples[0];
            let wall = ratios(&samples.wall, &first.wall);
            let cpu = ratios(&samples.cpu, &first.cpu);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                samples.name,
                spread(wall),
                spread(cpu),
                time(&samples.wall),
                time(&samples.cpu),
                samples.wall.len()
            );
        }
    }
    text
}

fn ratios(own: &[Duration], reference: &[Duration]) -> Spread {
    let pairs = own.iter().zip(reference);
    Spread::of(pairs.map(|(a, b)| a.as_secs_f64() / b.as_secs_f64().max(1e-9)).collect())
}

fn spread(spread: Spread) -> String {
    format!("**{:.2}** [{:.2}, {:.2}]", spread.median, spread.lower, spread.upper)
}

fn time(samples: &[Duration]) -> String {
    let median = Spread::of(samples.iter().map(Duration::as_secs_f64).collect()).median;
    if median < 1.0 { format!("{:.2} ms", median * 1e3) } else { format!("{median:.2} s") }
}
