//! Statistics for people and for scripts.

use super::Totals;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Returns statistics and the store's size as JSON; times in ms, sizes in bytes.
pub fn as_json(totals: &Totals, files: u64, bytes: u64, max_size: u64) -> Value {
    json!({
        "hits": {
            "total": totals.hits(),
            "local": totals.local_hits,
            "ring": totals.ring_hits,
            "shared": totals.shared_hits,
            "direct": totals.direct_hits,
            "preprocessed": totals.hits() - totals.direct_hits,
            "verified": totals.verified,
        },
        "misses": totals.misses(),
        "stored": totals.stored,
        "not_stored": totals.not_stored,
        "bypassed": totals.bypasses(),
        "bypass_reasons": totals.bypassed,
        "faults": totals.faults,
        "served_bytes": totals.served_bytes,
        "stored_bytes": totals.stored_bytes,
        "saved_ms": totals.saved_ms,
        "store": { "files": files, "bytes": bytes, "max_size": max_size },
    })
}

/// Returns statistics as lines with units.
pub fn as_text(totals: &Totals, files: u64, bytes: u64, max_size: u64) -> String {
    let mut text = String::new();
    let looked_up = totals.hits() + totals.misses();
    let share = |part: u64| if looked_up == 0 { 0.0 } else { 100.0 * part as f64 / looked_up as f64 };
    line(&mut text, "compiles looked up", &looked_up.to_string());
    let sources = [
        ("  hits, local store", totals.local_hits),
        ("  hits, ring", totals.ring_hits),
        ("  hits, shared directory", totals.shared_hits),
    ];
    // Few have one.
    for (name, number) in sources.into_iter().filter(|(name, number)| *number > 0 || !name.contains("shared"))
    {
        line(&mut text, name, &format!("{number} ({:.1} %)", share(number)));
    }
    let kinds =
        [("    direct", totals.direct_hits), ("    preprocessed", totals.hits() - totals.direct_hits)];
    for (name, number) in kinds {
        line(&mut text, name, &format!("{number} ({:.1} %)", share(number)));
    }
    if totals.verified > 0 {
        line(
            &mut text,
            "    verified by a compile",
            &format!("{} ({:.1} %)", totals.verified, share(totals.verified)),
        );
    }
    line(&mut text, "  misses", &format!("{} ({:.1} %)", totals.misses(), share(totals.misses())));
    section(&mut text, "    not stored", &totals.not_stored);
    line(&mut text, "left to the compiler", &totals.bypasses().to_string());
    section(&mut text, "  ", &totals.bypassed);
    if !totals.faults.is_empty() {
        line(&mut text, "faults", &totals.faults.values().sum::<u64>().to_string());
        section(&mut text, "  ", &totals.faults);
    }
    line(&mut text, "compile time saved", &duration(totals.saved_ms));
    line(&mut text, "served", &size(totals.served_bytes));
    line(&mut text, "stored", &size(totals.stored_bytes));
    let bound = if max_size == 0 { "no bound".to_owned() } else { format!("of {}", size(max_size)) };
    line(&mut text, "local store", &format!("{files} files, {} {bound}", size(bytes)));
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<40} {value}");
}

fn section(text: &mut String, indent: &str, counts: &BTreeMap<String, u64>) {
    for (name, number) in counts {
        line(text, &format!("{indent} {name}"), &number.to_string());
    }
}

fn size(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let fitting = units.iter().find(|(_, unit)| bytes >= *unit);
    fitting.map_or(format!("{bytes} B"), |(name, unit)| format!("{:.1} {name}", bytes as f64 / *unit as f64))
}

fn duration(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        s @ 1..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}
