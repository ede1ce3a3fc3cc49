//! What was done with one compile, in lines.

use super::advice;
use super::cause::Cause;
use super::verified::differs;
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

/// Explains one compile by its event alone.
pub fn explain(event: &Event) -> String {
    describe(event, &[], None)
}

/// Explains one compile, with the causes of a miss and the signer of a hit.
pub(super) fn describe(event: &Event, causes: &[Cause], signer: Option<&str>) -> String {
    let mut text = String::new();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("compile", format!("{} {}", shown(&event.compiler), shown(&event.source)));
    line("in", shown(&event.directory));
    let (result, reason) = result(event);
    line("result", result);
    if !event.cause.is_empty() && !differs(event) {
        line("because of", shown(&event.cause));
    }
    if let Some(signer) = signer {
        line("signed by", signer.into());
    }
    for (index, cause) in causes.iter().enumerate() {
        line(if index == 0 { "cause" } else { "" }, cause.to_string());
    }
    // What a miss differs in says more than that it is one.
    let general = causes.is_empty() || !matches!(event.verdict, Verdict::Miss);
    let of_cause = causes.first().and_then(|cause| cause.kind.advice());
    let said = reason.filter(|_| general).and_then(advice);
    for advice in said.into_iter().chain(of_cause) {
        line("advice", advice.into());
    }
    for fault in faults(event) {
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

/// Lists the faults on the way, each once.
pub(super) fn faults(event: &Event) -> Vec<&str> {
    let mut faults: Vec<&str> = Vec::new();
    for fault in &event.faults {
        if !faults.contains(&fault.as_str()) {
            faults.push(fault);
        }
    }
    faults
}

/// Says what was done, and names the reason that there is advice for.
fn result(event: &Event) -> (String, Option<&str>) {
    match &event.verdict {
        Verdict::Hit(served) => {
            let (how, place) = found(*served);
            (format!("hit ({how}): served by {place}"), None)
        }
        Verdict::Verified(served) => {
            let (how, place) = found(*served);
            (format!("hit ({how}): found in {place}, compiled as well, and equal"), None)
        }
        Verdict::Unverified(served, reason) => {
            let (how, place) = found(*served);
            let text = format!("hit ({how}): found in {place}, compiled as well, not comparable: {reason}");
            (text, Some(reason.as_str()))
        }
        Verdict::Miss => {
            let reason = if event.faults.is_empty() { "new" } else { "fault" };
            ("miss: compiled and stored".to_owned(), Some(reason))
        }
        Verdict::NotStored(reason) => {
            (format!("miss: compiled and not stored: {reason}"), Some(reason.as_str()))
        }
        Verdict::Bypassed(reason) => (format!("left to the compiler: {reason}"), Some(reason.as_str())),
    }
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
