//! What was done with one compile, why, and what to do about it, in words.

mod advice;

pub use advice::advice;

use crate::stats::{Event, Served, Verdict};
use std::fmt::Write;

/// Says how and where an entry was found.
pub fn found(served: Served) -> (&'static str, &'static str) {
    match served {
        Served::Local => ("preprocessed", "the local store"),
        Served::Ring => ("preprocessed", "the ring"),
        Served::Shared => ("preprocessed", "a shared directory"),
        Served::DirectShared => ("direct", "a shared directory"),
        Served::DirectLocal => ("direct", "the local store"),
        Served::DirectRing => ("direct", "the ring"),
    }
}

/// Explains one compile.
pub fn explain(event: &Event) -> String {
    let mut text = String::new();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("compile", format!("{} {}", shown(&event.compiler), shown(&event.source)));
    line("in", shown(&event.directory));
    let reason = match &event.verdict {
        Verdict::Hit(served) => {
            let (how, place) = found(*served);
            line("result", format!("hit ({how}): served by {place}"));
            None
        }
        Verdict::Verified(served) => {
            let (how, place) = found(*served);
            line("result", format!("hit ({how}): found in {place}, compiled as well, and equal"));
            None
        }
        Verdict::Unverified(served, reason) => {
            let (how, place) = found(*served);
            line(
                "result",
                format!("hit ({how}): found in {place}, compiled as well, not comparable: {reason}"),
            );
            Some(reason.as_str())
        }
        Verdict::Miss => {
            line("result", "miss: compiled and stored".into());
            Some(if event.faults.is_empty() { "new" } else { "fault" })
        }
        Verdict::NotStored(reason) => {
            line("result", format!("miss: compiled and not stored: {reason}"));
            Some(reason.as_str())
        }
        Verdict::Bypassed(reason) => {
            line("result", format!("left to the compiler: {reason}"));
            Some(reason.as_str())
        }
    };
    if !event.cause.is_empty() {
        line("because of", shown(&event.cause));
    }
    if let Some(advice) = reason.and_then(advice) {
        line("advice", advice.into());
    }
    for fault in &event.faults {
        line("fault", format!("{fault}: {}", advice(fault).unwrap_or("see `dccache doctor`")));
    }
    for (index, key) in event.keys.iter().enumerate() {
        let shared = event.keys.len() > 1 && index == 0;
        line(if shared { "key, shared" } else { "key, here" }, key.to_string());
    }
    let ms = |us: u32| format!("{:.1} ms", f64::from(us) / 1000.0);
    line("dccache", format!("{} in all, {} in the preprocessor", ms(event.own_us), ms(event.preprocess_us)));
    let compiler = if matches!(event.verdict, Verdict::Hit(_)) { "spared" } else { "compiler" };
    line(compiler, format!("{} ms", event.compile_ms));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Reason;

    #[test]
    fn every_reason_of_the_command_line_has_advice() {
        for reason in Reason::ALL {
            assert!(advice(reason.name()).is_some(), "{}", reason.name());
        }
    }

    #[test]
    fn an_explanation_names_result_cause_and_advice_and_shows_no_control_bytes() {
        let event = Event {
            verdict: Verdict::Bypassed("unsupported_compiler_option".into()),
            cause: b"-fodd\x1b[31m".to_vec(),
            source: b"a.c".to_vec(),
            ..Event::default()
        };
        let text = explain(&event);
        for part in ["a.c", "unsupported_compiler_option", "-fodd\\u{1b}", "advice"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
