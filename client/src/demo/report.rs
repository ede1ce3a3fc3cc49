//! What the demo prints: progress while it works, and the table at the end.

use super::build::Build;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;

/// Progress of one build after the other; a bar on a terminal, one line per build elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Mutex<ProgressBar>,
}

impl Progress {
    /// Makes an idle progress.
    pub(super) fn new() -> Self {
        Self { bar: Mutex::new(ProgressBar::hidden()) }
    }

    /// Says one line above the bar.
    pub(super) fn say(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    /// Begins a build of `units` files.
    pub(super) fn begin(&self, label: &str, units: usize) {
        if !std::io::stderr().is_terminal() {
            self.say(&format!("building {units} files: {label}"));
        }
        let style = ProgressStyle::with_template("  {msg:44} [{bar:30}] {pos}/{len}");
        let bar = ProgressBar::new(units as u64).with_message(label.to_owned());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        *self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = bar;
    }

    /// Counts one file.
    pub(super) fn step(&self) {
        self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).inc(1);
    }

    /// Ends a build.
    pub(super) fn end(&self) {
        self.bar.lock().unwrap_or_else(std::sync::PoisonError::into_inner).finish_and_clear();
    }
}

/// What one node did: look-ups and puts, and the bytes of both.
#[derive(Clone, Debug)]
pub(super) struct NodeShare {
    pub(super) name: String,
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

/// Writes the table of builds.
pub(super) fn builds(builds: &[Build]) -> String {
    let mut text = format!(
        "{:<44} {:>5} {:>9} {:>6} {:>6} {:>6} {:>6} {:>11}\n",
        "build", "files", "wall", "local", "ring", "miss", "other", "objects"
    );
    for build in builds {
        let wall = format!("{:.2} s", build.wall.as_secs_f64());
        let counts = build.counts.map_or_else(
            || format!("{:>6} {:>6} {:>6} {:>6}", "-", "-", "-", "-"),
            |c| format!("{:>6} {:>6} {:>6} {:>6}", c.local_hits, c.ring_hits, c.misses, c.other),
        );
        let bytes = HumanBytes(build.bytes).to_string();
        text += &format!("{:<44} {:>5} {wall:>9} {counts} {bytes:>11}\n", build.label, build.files);
    }
    text
}

/// Writes each node's share of requests and bytes, in per cent of all.
pub(super) fn shares(nodes: &[NodeShare]) -> String {
    let requests: u64 = nodes.iter().map(|node| node.requests).sum();
    let bytes: u64 = nodes.iter().map(|node| node.bytes).sum();
    let percent = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    let mut text =
        format!("{:<56} {:>9} {:>8} {:>11} {:>8}\n", "node", "requests", "share", "bytes", "share");
    for node in nodes {
        let (r, b) = (percent(node.requests, requests), percent(node.bytes, bytes));
        let size = HumanBytes(node.bytes).to_string();
        text += &format!("{:<56} {:>9} {r:>6.1} % {size:>11} {b:>6.1} %\n", node.name, node.requests);
    }
    text
}
