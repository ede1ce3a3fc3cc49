//! A hit that was held against a compile and differed: how its event says so, and the cause that is made of it.
//!
//! Shape: an event's cause in lines: where the hit was found, where the first output that differs is kept as it was found and as it was compiled,
//! and each output that differs. What is long is cut at its end.

use super::cause::{Cause, Kind};
use super::report::signer_name;
use crate::home::Home;
use crate::stats::Event;
use std::path::Path;

/// Counted where a hit differs.
pub const DIFFERS: &str = "verify_differs";

/// Writes an event's cause.
pub fn differing(place: &str, kept: [Option<&Path>; 2], outputs: &[String]) -> Vec<u8> {
    let kept = kept.map(|path| path.map(|path| path.display().to_string()).unwrap_or_default());
    let [cached, compiled] = kept;
    let lines = [place, &cached, &compiled].into_iter().chain(outputs.iter().map(String::as_str));
    lines.map(|line| line.replace('\n', " ")).collect::<Vec<_>>().join("\n").into_bytes()
}

/// Tells whether the hit of this compile differed.
pub(super) fn differs(event: &Event) -> bool {
    event.faults.iter().any(|fault| fault == DIFFERS)
}

/// Says what differed; `None` where nothing did.
pub(super) fn cause(home: &Home, event: &Event) -> Option<Cause> {
    if !differs(event) {
        return None;
    }
    let text = String::from_utf8_lossy(&event.cause);
    let mut lines = text.split('\n');
    let mut next = || lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
    let (place, cached, compiled) = (next(), next(), next());
    let signer = event.signer.map(|id| format!(", signed by {}", signer_name(home, &id))).unwrap_or_default();
    let place = place.unwrap_or_else(|| "a cache".to_owned());
    let note = format!("the hit and the compile differ; found in {place}{signer}");
    Some(Cause::new(Kind::Verify, lines.collect::<Vec<_>>().join(", ")).changed(cached, compiled).noted(note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::digest::Digest;
    use dccache_protocol::ids::SignerId;

    #[test]
    fn a_hit_that_differed_is_the_cause_with_outputs_place_signer_and_kept_files() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let signer = SignerId::from_digest(Digest::of(b"s"));
        let outputs = ["object a.o from byte 7 on".to_owned(), "stderr".to_owned()];
        let kept = ["/h/x.cached", "/h/x.compiled"].map(|path| Some(Path::new(path)));
        let event = Event {
            faults: vec![DIFFERS.to_owned()],
            cause: differing("the ring", kept, &outputs),
            signer: Some(signer),
            ..Event::default()
        };
        let found = cause(&home, &event).unwrap();
        assert_eq!((found.kind, found.what.as_str()), (Kind::Verify, "object a.o from byte 7 on, stderr"));
        assert_eq!(found.was.as_deref(), Some("/h/x.cached"));
        assert_eq!(found.now.as_deref(), Some("/h/x.compiled"));
        assert!(
            found.note.contains("the ring") && found.note.contains(&signer.to_string()),
            "{}",
            found.note
        );
        assert_eq!(found.group(), "");
        // What could not be kept is not named, and what is cut says what is left.
        let event = Event { cause: differing("the ring", [None, None], &outputs), ..event };
        let unkept = cause(&home, &event).unwrap();
        assert_eq!((unkept.was, unkept.now, unkept.what), (None, None, found.what));
        assert!(cause(&home, &Event { cause: Vec::new(), ..event.clone() }).is_some());
        assert_eq!(cause(&home, &Event { faults: Vec::new(), ..event }), None);
    }
}
