//! The page that a run leaves: machine, versions, command, one table of ratios over all scenarios, and each scenario's own table.

use crate::counts::Counts;
use crate::front::Family;
use crate::measure::{Samples, Spread};
use std::fmt::Write as _;

/// What one scenario gave.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) about: String,
    /// What the others are divided by.
    pub(crate) reference: Reference,
    /// Unit of the times: of the whole command, or of one of many.
    pub(crate) samples: Vec<Samples>,
}

/// The row that is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The peer with the smallest median; the plain compiler where no peer is installed.
    FastestPeer,
    /// The first row of family plain.
    Plain,
}

/// Medians against a size, on a double logarithmic scale a line for each contender.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) about: String,
    /// What grows, with its unit.
    pub(crate) axis: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// One contender's cost.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Size and spread of seconds, sizes ascending.
    pub(crate) points: Vec<(f64, Spread)>,
}

/// What a run was.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) machine: String,
    /// Share of the machine's CPU time that other work took, before and after; `None` where it cannot be told.
    pub(crate) beside: [Option<f64>; 2],
    pub(crate) versions: Vec<String>,
    pub(crate) command: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) curves: Vec<Curve>,
    /// File names of plots beside the page.
    pub(crate) plots: Vec<String>,
}

impl Table {
    /// Returns the row that is 1.
    pub(crate) fn reference(&self) -> Option<&Samples> {
        let plain = || self.samples.iter().find(|row| row.family == Family::Plain);
        let peers = self.samples.iter().filter(|row| row.family == Family::Peer);
        let fastest = peers.min_by(|a, b| a.median().total_cmp(&b.median()));
        match self.reference {
            Reference::FastestPeer => fastest.or_else(plain),
            Reference::Plain => plain(),
        }
        .or(self.samples.first())
    }
}

impl Line {
    /// Returns the exponent of growth over the upper half of the sizes: 1 is linear, 0 is constant.
    pub(crate) fn growth(&self) -> Option<f64> {
        let (last, from) = (self.points.last()?, self.points.get((self.points.len() - 1) / 2)?);
        let sizes = (last.0 / from.0).ln();
        (sizes > 0.0).then(|| (last.1.median / from.1.median.max(1e-9)).ln() / sizes)
    }
}

/// Gathers the hits of the ring into lines over the distance; `None` where fewer than two distances were measured.
pub(crate) fn over_distance(tables: &[Table]) -> Option<Curve> {
    let mut lines: Vec<Line> = Vec::new();
    for table in tables {
        let distance = table.name.strip_prefix("ring hit, ").and_then(|rest| rest.strip_suffix(" ms"));
        let Some(distance) = distance.and_then(|number| number.parse().ok()) else { continue };
        for row in table.samples.iter().filter(|row| row.family != Family::Plain) {
            let point = (distance, Spread::of(row.wall.clone()));
            match lines.iter_mut().find(|line| line.name == row.name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { name: row.name.clone(), points: vec![point] }),
            }
        }
    }
    let name = "ring hits over distance".to_owned();
    let is_line = lines.first().is_some_and(|line| line.points.len() > 1);
    is_line.then(|| Curve { name, about: String::new(), axis: "added round-trip time, ms", lines })
}

/// Writes the whole page as Markdown.
pub(crate) fn page(run: &Run) -> String {
    let mut text = String::from("# Comparison, interleaved in one run\n\n");
    let _ = writeln!(text, "Machine: {}\n", run.machine);
    let share =
        |share: Option<f64>| share.map_or("unknown".into(), |share| format!("{:.0} %", share * 100.0));
    let _ = writeln!(
        text,
        "Other work on it, of its CPU time: {} just before the run, {} just after.\n",
        share(run.beside[0]),
        share(run.beside[1])
    );
    let _ = writeln!(text, "Peers: {}\n", run.versions.join("; "));
    let _ = writeln!(text, "Command: `{}`\n", run.command);
    text += "Ratios are per round to the row named; median, quartiles in brackets; below 1 is faster. Times are medians.\n";
    text += &summary(&run.tables);
    for plot in &run.plots {
        let _ = write!(text, "\n![{plot}]({plot})\n");
    }
    run.tables.iter().for_each(|table| text += &details(table));
    run.curves.iter().for_each(|curve| text += &growth(curve));
    text
}

fn summary(tables: &[Table]) -> String {
    let mut text = String::new();
    if !tables.is_empty() {
        text += "\n| scenario | contender | wall, ratio | CPU, ratio | to |\n|---|---|---|---|---|\n";
    }
    for table in tables {
        let Some(reference) = table.reference() else { continue };
        for row in table.samples.iter().filter(|row| row.family == Family::Ours) {
            let (wall, cpu) = ratios(row, reference);
            let _ = writeln!(text, "| {} | {} | {wall} | {cpu} | {} |", table.name, row.name, reference.name);
        }
    }
    text
}

fn details(table: &Table) -> String {
    let text = format!("\n## {}\n\n{}\n\n", table.name, table.about);
    let Some(reference) = table.reference() else { return text };
    let is_counted = table.samples.iter().any(|row| row.counts != Counts::default());
    let mut head = format!("| contender | wall / {0} | CPU / {0} | wall | CPU | rounds |", reference.name);
    let mut lines: Vec<String> = table.samples.iter().map(|row| times(row, reference)).collect();
    if table.reference == Reference::Plain {
        head += " wall added | CPU added |";
        lines.iter_mut().zip(&table.samples).for_each(|(line, row)| *line += &added(row, reference));
    }
    if is_counted {
        head += " system calls | instructions |";
        lines.iter_mut().zip(&table.samples).for_each(|(line, row)| *line += &counted(row.counts));
    }
    let rule = "|---".repeat(head.matches('|').count() - 1) + "|";
    lines.iter().fold(text + &head + "\n" + &rule + "\n", |text, line| text + line + "\n")
}

fn times(row: &Samples, reference: &Samples) -> String {
    let (wall, cpu) = ratios(row, reference);
    let (name, rounds) = (&row.name, row.wall.len());
    format!("| {name} | {wall} | {cpu} | {} | {} | {rounds} |", time(&row.wall), time(&row.cpu))
}

/// Medians of what a row took more than the reference, round by round.
fn added(row: &Samples, reference: &Samples) -> String {
    let added = |own: &[f64], reference: &[f64]| match own.is_empty() || reference.is_empty() {
        true => "–".to_owned(),
        false => seconds(Spread::of_differences(own, reference).median),
    };
    format!(" {} | {} |", added(&row.wall, &reference.wall), added(&row.cpu, &reference.cpu))
}

fn counted(counts: Counts) -> String {
    let number = |number: Option<u64>| number.map_or("–".into(), |number| plain_number(number as f64));
    format!(" {} | {} |", number(counts.calls), number(counts.instructions))
}

fn growth(curve: &Curve) -> String {
    let mut text = format!("\n## {}\n\n{}\n\n| {} |", curve.name, curve.about, curve.axis);
    let sizes = curve.lines.first().map(|line| line.points.as_slice()).unwrap_or_default();
    sizes.iter().for_each(|(size, _)| text += &format!(" {} |", plain_number(*size)));
    text += " growth |\n|---|";
    text += &"---|".repeat(sizes.len() + 1);
    for line in &curve.lines {
        let _ = write!(text, "\n| {} |", line.name);
        for (_, spread) in &line.points {
            let _ = write!(text, " {} |", seconds(spread.median));
        }
        let _ =
            write!(text, " {} |", line.growth().map_or_else(|| "–".into(), |growth| format!("{growth:.2}")));
    }
    text + "\n\nGrowth is the exponent over the upper half of the sizes: 1 is linear, 0 constant.\n"
}

fn ratios(row: &Samples, reference: &Samples) -> (String, String) {
    let ratio = |own: &[f64], reference: &[f64]| {
        if own.is_empty() || reference.is_empty() {
            return "–".to_owned();
        }
        let Spread { lower, median, upper } = Spread::of_ratios(own, reference);
        format!("**{median:.2}** [{lower:.2}, {upper:.2}]")
    };
    (ratio(&row.wall, &reference.wall), ratio(&row.cpu, &reference.cpu))
}

fn time(samples: &[f64]) -> String {
    if samples.is_empty() { "–".to_owned() } else { seconds(Spread::of(samples.to_vec()).median) }
}

/// Writes a duration, or a difference of two, with three digits and its unit.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.0 => format!("-{}", self::seconds(-s)),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.0} us", s * 1e6),
    }
}

/// Writes a size without its unit, thousands apart.
fn plain_number(size: f64) -> String {
    let digits = format!("{size:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, family: Family, wall: f64) -> Samples {
        Samples { name: name.into(), family, wall: vec![wall; 3], cpu: Vec::new(), counts: Counts::default() }
    }

    #[test]
    fn ours_is_compared_with_the_fastest_peer() {
        let samples = vec![
            row("dccache", Family::Ours, 1.0),
            row("slow", Family::Peer, 8.0),
            row("fast", Family::Peer, 4.0),
            row("plain", Family::Plain, 2.0),
        ];
        let mut table =
            Table { name: "t".into(), about: String::new(), reference: Reference::FastestPeer, samples };
        assert_eq!(table.reference().unwrap().name, "fast");
        assert!(
            summary(std::slice::from_ref(&table)).contains("| dccache | **0.25** [0.25, 0.25] | – | fast |")
        );
        table.samples.truncate(1);
        assert_eq!(table.reference().unwrap().name, "dccache", "alone, it is compared with itself");
    }

    #[test]
    fn hits_of_the_ring_are_lines_over_the_distance_without_the_compiler() {
        let table = |name: &str| Table {
            name: name.into(),
            about: String::new(),
            reference: Reference::FastestPeer,
            samples: vec![row("dccache", Family::Ours, 1.0), row("plain", Family::Plain, 9.0)],
        };
        let tables = [table("ring hit, 0 ms"), table("bypass"), table("ring hit, 50 ms")];
        let curve = over_distance(&tables).unwrap();
        assert_eq!(curve.lines.len(), 1);
        assert_eq!(curve.lines[0].points.iter().map(|point| point.0).collect::<Vec<_>>(), [0.0, 50.0]);
        assert!(over_distance(&tables[..2]).is_none(), "one distance is no line");
    }

    #[test]
    fn what_a_miss_adds_and_what_was_counted_are_columns_of_their_own() {
        let mut samples = vec![row("plain", Family::Plain, 2.0), row("dccache", Family::Ours, 2.5)];
        let about = String::new();
        let table = Table { name: "t".into(), about, reference: Reference::Plain, samples: samples.clone() };
        assert!(
            details(&table)
                .contains("| dccache | **1.25** [1.25, 1.25] | – | 2.50 s | – | 3 | 500.00 ms | – |\n")
        );
        samples[1].counts = Counts { calls: Some(178), instructions: None };
        let table = Table { reference: Reference::FastestPeer, samples, ..table };
        assert!(details(&table).contains("| 2.50 s | – | 3 | 178 | – |\n"));
        assert!(
            details(&table).contains("|---|---|---|---|---|---|---|---|\n"),
            "a rule below each of 8 columns"
        );
    }

    #[test]
    fn growth_of_a_linear_cost_is_one_and_of_a_constant_one_nothing() {
        let line = |cost: fn(f64) -> f64| {
            let spread = |size: f64| Spread { lower: 0.0, median: cost(size), upper: 0.0 };
            Line {
                name: String::new(),
                points: [10.0, 100.0, 1000.0].map(|size| (size, spread(size))).to_vec(),
            }
        };
        assert!((line(|size| size * 3.0).growth().unwrap() - 1.0).abs() < 1e-9);
        assert!(line(|_| 5.0).growth().unwrap().abs() < 1e-9);
    }

    #[test]
    fn numbers_are_written_to_be_read() {
        assert_eq!(
            (seconds(0.0012).as_str(), seconds(2.5).as_str(), seconds(2.5e-5).as_str()),
            ("1.20 ms", "2.50 s", "25 us")
        );
        assert_eq!(seconds(-0.0012), "-1.20 ms");
        assert_eq!((plain_number(1_000_000.0).as_str(), plain_number(10.0).as_str()), ("1 000 000", "10"));
    }
}
