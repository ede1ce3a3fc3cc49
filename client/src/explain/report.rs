//! An explained compile as text and as JSON.

use super::advice;
use super::build::{Build, Group};
use super::cause::Cause;
use super::verified::differs;
use super::words::describe;
use crate::agent::place::Place;
use crate::cluster::Membership;
use crate::home::Home;
use crate::stats::{Event, Served, Verdict};
use dccache_protocol::ids::SignerId;
use serde_json::{Value, json};
use std::fmt::Write;

/// A compile and why it went as it did.
#[derive(Debug)]
pub struct Explained<'a> {
    /// What was counted.
    pub event: &'a Event,
    /// Why it was not served.
    pub causes: &'a [Cause],
    /// Who signed what was served, in words.
    pub signer: Option<String>,
}

/// Says who a signer is, as the cluster's directory here knows it.
pub fn signer_name(home: &Home, id: &SignerId) -> String {
    let place = Place::new(home.path());
    let membership = Membership::load(&place.cluster()).ok().flatten();
    let membership = membership.as_ref();
    let own = membership.and_then(|found| found.signer.as_ref()).map(|key| key.public().signer_id());
    let known = membership.and_then(|found| found.signers.signer(id));
    match known.map(|signer| signer.operator.as_str()) {
        Some(operator) if own == Some(*id) => format!("{operator}, this machine, {id}"),
        Some(operator) => format!("{operator}, {id}"),
        None => format!("{id}, which the cluster's directory here does not name"),
    }
}

/// Explains in lines.
pub fn as_text(explained: &Explained<'_>) -> String {
    describe(explained.event, explained.causes, explained.signer.as_deref())
}

/// Explains as JSON; the names are documented in `docs/explain.md`.
pub fn as_json(explained: &Explained<'_>) -> Value {
    let event = explained.event;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (result, reason) = match &event.verdict {
        Verdict::Hit(_) | Verdict::Verified(_) => ("hit", None),
        Verdict::Unverified(_, reason) => ("hit", Some(reason.as_str())),
        Verdict::Miss => ("miss", None),
        Verdict::NotStored(reason) => ("miss", Some(reason.as_str())),
        Verdict::Bypassed(reason) => ("bypass", Some(reason.as_str())),
    };
    let mut value = json!({
        "result": result,
        "compiler": text(&event.compiler),
        "source": text(&event.source),
        "output": text(&event.output),
        "directory": text(&event.directory),
        "at_ms": event.at_ms,
        "compile_ms": event.compile_ms,
        "own_us": event.own_us,
        "faults": super::words::faults(event),
        "keys": event.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let mut put = |name: &str, found: Value| value[name] = found;
    if let Some(served) = event.verdict.served() {
        let (how, place) = way(served);
        put("way", json!(how));
        put("from", json!(place));
        put("verified", json!(matches!(event.verdict, Verdict::Verified(_))));
        put("signer", json!(event.signer.map(|signer| signer.to_string())));
        put("signed_by", json!(explained.signer));
    }
    if result == "miss" {
        put("stored", json!(reason.is_none()));
        put("causes", explained.causes.iter().map(cause_json).collect());
    }
    if let Some(reason) = reason {
        put("reason", json!(reason));
        let because_of = if differs(event) { &[][..] } else { event.cause.as_slice() };
        put("because_of", json!(text(because_of)));
        put("advice", json!(advice(reason)));
    }
    value
}

/// Writes one cause as JSON.
pub(super) fn cause_json(cause: &Cause) -> Value {
    json!({
        "kind": cause.kind.name(),
        "what": cause.what,
        "line": cause.line,
        "was": cause.was,
        "now": cause.now,
        "note": cause.note,
        "advice": cause.kind.advice(),
    })
}

/// Returns how a hit was found, and where.
pub(super) fn way(served: Served) -> (&'static str, &'static str) {
    match served {
        Served::Local => ("preprocessed", "local"),
        Served::Ring => ("preprocessed", "ring"),
        Served::Shared => ("preprocessed", "shared"),
        Served::DirectLocal => ("direct", "local"),
        Served::DirectRing => ("direct", "ring"),
        Served::DirectShared => ("direct", "shared"),
    }
}

/// Sums a build in lines.
pub fn build_as_text(build: &Build) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
    line("compiles", format!("{} in {}", build.compiles(), seconds(build.wall_ms)));
    line("hits", format!("{}, which spared {}", build.hits, seconds(build.spared_ms)));
    line("misses", format!("{}, which took {}", build.misses, seconds(build.missed_ms)));
    line("left alone", build.bypasses.to_string());
    for Group { title, count, ms, example, advice, .. } in &build.groups {
        let took = if *ms > 0 { format!(", {}", seconds(*ms)) } else { String::new() };
        line("", String::new());
        line("cause", title.clone());
        let such_as = if example.is_empty() { String::new() } else { format!("; such as {example}") };
        line("", format!("{count} compiles{took}{such_as}"));
        if let Some(advice) = advice {
            line("advice", (*advice).to_owned());
        }
    }
    text
}

/// Sums a build as JSON.
pub fn build_as_json(build: &Build) -> Value {
    let groups = build.groups.iter().map(|group| {
        json!({
            "result": group.result,
            "kind": group.kind,
            "what": group.what,
            "title": group.title,
            "compiles": group.count,
            "compile_ms": group.ms,
            "example": group.example,
            "advice": group.advice,
        })
    });
    json!({
        "since_ms": build.since_ms,
        "wall_ms": build.wall_ms,
        "compiles": build.compiles(),
        "hits": build.hits,
        "misses": build.misses,
        "bypasses": build.bypasses,
        "spared_ms": build.spared_ms,
        "missed_ms": build.missed_ms,
        "causes": groups.collect::<Vec<_>>(),
    })
}
