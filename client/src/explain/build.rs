//! A whole build: its compiles summed, and its misses by their causes, largest saving first.

use super::advice;
use super::nearest::{Known, causes};
use crate::stats::{Event, Verdict};
use std::collections::BTreeMap;

/// Longest time in ms without any compile within one build: a link or a run of generated tests takes this long, a person who thinks takes longer.
pub const PAUSE_MS: u64 = 120_000;

/// The compiles of one build.
#[derive(Debug, Default)]
pub struct Build {
    /// Start of the first one, ms since the Unix epoch.
    pub since_ms: u64,
    /// From there to the end of the last one.
    pub wall_ms: u64,
    /// Compiles that were served.
    pub hits: u64,
    /// Time of the compiles that this spared, less what serving took, in ms.
    pub spared_ms: u64,
    /// Compiles that were looked up and compiled.
    pub misses: u64,
    /// Time that they took, in ms.
    pub missed_ms: u64,
    /// Calls that were left to the compiler.
    pub bypasses: u64,
    /// Misses by cause, and calls that were left alone by reason; the largest saving first.
    pub groups: Vec<Group>,
}

/// Compiles with one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `miss` or `bypass`.
    pub result: &'static str,
    /// Kind of the cause, or reason of a call that was left alone.
    pub kind: String,
    /// What differs, or what caused the reason; empty where that is another in each.
    pub what: String,
    /// Both in words.
    pub title: String,
    /// How many compiles.
    pub count: u64,
    /// Time that they took, in ms; 0 where nobody measured it.
    pub ms: u64,
    /// Source of one of them.
    pub example: String,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

impl Build {
    /// Sums the last build among events in order of time: those since `since_ms`, or since the last pause.
    pub fn of(known: &Known<'_>, events: &[Event], since_ms: Option<u64>) -> Self {
        let start =
            |event: &Event| event.at_ms.saturating_sub(u64::from(event.compile_ms.max(event.own_us / 1000)));
        let mut first = u64::MAX;
        let mut chosen: Vec<&Event> = Vec::new();
        for event in events.iter().rev() {
            let belongs = match since_ms {
                Some(since) => event.at_ms >= since,
                None => first == u64::MAX || event.at_ms.saturating_add(PAUSE_MS) >= first,
            };
            if !belongs {
                break;
            }
            first = first.min(start(event));
            chosen.push(event);
        }
        let mut build = Self::default();
        let mut groups: BTreeMap<(&'static str, String, String), Group> = BTreeMap::new();
        for event in chosen.iter().rev() {
            build.add(known, event, &mut groups);
        }
        build.since_ms = chosen.iter().map(|event| start(event)).min().unwrap_or_default();
        let end = chosen.first().map_or(0, |event| event.at_ms);
        build.wall_ms = end.saturating_sub(build.since_ms);
        build.groups = groups.into_values().collect();
        build.groups.sort_by_key(|group| std::cmp::Reverse((group.ms, group.count)));
        build
    }

    /// Returns how many compiles there were.
    pub fn compiles(&self) -> u64 {
        self.hits + self.misses + self.bypasses
    }

    fn add(
        &mut self,
        known: &Known<'_>,
        event: &Event,
        groups: &mut BTreeMap<(&'static str, String, String), Group>,
    ) {
        let found = match &event.verdict {
            Verdict::Hit(_) => {
                self.hits += 1;
                self.spared_ms += u64::from(event.compile_ms.saturating_sub(event.own_us / 1000));
                return;
            }
            Verdict::Verified(_) | Verdict::Unverified(..) => {
                // They were compiled as well.
                self.hits += 1;
                return;
            }
            Verdict::Bypassed(reason) => {
                self.bypasses += 1;
                let what = String::from_utf8_lossy(&event.cause).into_owned();
                Group::new("bypass", reason.clone(), what, advice(reason))
            }
            Verdict::NotStored(reason) if reason != "read_only" => {
                self.misses += 1;
                Group::new("miss", reason.clone(), String::new(), advice(reason))
            }
            Verdict::Miss | Verdict::NotStored(_) => {
                self.misses += 1;
                let causes = causes(known, event);
                let Some(first) = causes.first() else { return };
                Group::new("miss", first.kind.name().to_owned(), first.group(), first.kind.advice())
            }
        };
        let missed = if found.result == "miss" { u64::from(event.compile_ms) } else { 0 };
        self.missed_ms += missed;
        let key = (found.result, found.kind.clone(), found.what.clone());
        let group = groups.entry(key).or_insert(found);
        group.count += 1;
        group.ms += missed;
        if group.example.is_empty() {
            group.example = String::from_utf8_lossy(&event.source).escape_debug().to_string();
        }
    }
}

impl Group {
    fn new(result: &'static str, kind: String, what: String, advice: Option<&'static str>) -> Self {
        let words = kind.replace('_', " ");
        let title = if what.is_empty() { words } else { format!("{words}: {}", what.escape_debug()) };
        Self { result, kind, what, title, count: 0, ms: 0, example: String::new(), advice }
    }
}
