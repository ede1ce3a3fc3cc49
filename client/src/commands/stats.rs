//! `dccache stats`: what happened to compiles on this machine.

use super::open_home;
use crate::config::Config;
use crate::home::Home;
use crate::say::{complain, say};
use crate::stats::{Totals, as_json, as_text, clear, read};
use crate::store::Store;
use clap::Args;
use std::time::{SystemTime, UNIX_EPOCH};

/// Arguments of `dccache stats`.
#[derive(Debug, Args)]
pub(super) struct StatsCommand {
    /// Print JSON: times in ms, sizes in bytes
    #[arg(long)]
    json: bool,
    /// Only what happened in this time, such as 30m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<u64>,
    /// Forget all statistics; the store stays
    #[arg(long, conflicts_with_all = ["json", "since"])]
    zero: bool,
    /// Ask every node of the ring, and sum its counters since each node's start
    #[arg(long, conflicts_with_all = ["since", "zero"])]
    cluster: bool,
}

/// Runs it; returns the exit code.
pub(super) fn run(command: &StatsCommand) -> i32 {
    let (home, config) = match open_home() {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    if command.cluster {
        return super::ring_stats::run(&home, command.json);
    }
    if command.zero {
        return match clear(&home) {
            Ok(()) => 0,
            Err(error) => {
                complain!("dccache: cannot remove the statistics below {}: {error}", home.path().display());
                1
            }
        };
    }
    let (totals, files, bytes) = gather(&home, &config, command.since);
    if command.json {
        say!("{:#}", as_json(&totals, files, bytes, config.max_size));
    } else {
        let text = as_text(&totals, files, bytes, config.max_size);
        crate::say::answer(format_args!("{text}"));
    }
    0
}

fn gather(home: &Home, config: &Config, since: Option<u64>) -> (Totals, u64, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let start = since.map_or(0, |seconds| now.saturating_sub(seconds.saturating_mul(1000)));
    let (files, bytes) = Store::new(home, config.max_size).measure();
    (read(home, start), files, bytes)
}

/// Reads a time as a number and `s`, `m`, `h` or `d`; gives seconds.
pub(super) fn parse_time(text: &str) -> Result<u64, String> {
    let allowed = || "a number and one of s, m, h, d, such as 24h".to_owned();
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let (_, unit) = *units.iter().find(|(name, _)| text.ends_with(*name)).ok_or_else(allowed)?;
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| allowed())?;
    number.checked_mul(unit).ok_or_else(allowed)
}
