//! The sum of a verified build, for people and for scripts. Pure: lines in, text out.

use super::build::{Line, Lines, Outcome};
use super::report::told;
use crate::explain::advice;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// What became of the compiles of one build.
#[derive(Debug)]
pub struct Summary<'a> {
    /// Exit code of the build.
    code: i32,
    compiles: usize,
    complete: bool,
    equal: usize,
    different: Vec<&'a Line>,
    /// By reason, those that were found and not compared, not found, and not looked for.
    others: [(Outcome, BTreeMap<&'a str, usize>); 3],
}

impl<'a> Summary<'a> {
    /// Sums the lines of a build that ended with `code`.
    pub fn of(lines: &'a Lines, code: i32) -> Self {
        let Lines { lines, complete } = lines;
        let with = |outcome| lines.iter().filter(move |line| line.outcome == outcome);
        let reasons = |outcome| {
            let mut reasons = BTreeMap::new();
            with(outcome).for_each(|line| *reasons.entry(line.reason.as_str()).or_default() += 1);
            (outcome, reasons)
        };
        Self {
            code,
            compiles: lines.len(),
            complete: *complete,
            equal: with(Outcome::Equal).count(),
            different: with(Outcome::Different).collect(),
            others: [Outcome::NotVerified, Outcome::Compiled, Outcome::LeftToTheCompiler].map(reasons),
        }
    }

    /// Whether a hit was not what the compiler gives.
    pub fn differs(&self) -> bool {
        !self.different.is_empty()
    }

    /// Whether it says of every compile of the build what it came to, and of one at least.
    pub fn is_whole(&self) -> bool {
        self.complete && self.compiles > 0
    }

    /// Returns it as JSON; counts are of compiles.
    pub fn as_json(&self) -> Value {
        let [not_verified, compiled, left] = self.others.each_ref().map(|(_, reasons)| reasons);
        json!({
            "build_exit_code": self.code,
            "compiles": self.compiles,
            "complete": self.complete,
            "verified": self.equal + self.different.len(),
            "equal": self.equal,
            "different": self.different,
            "not_verified": not_verified,
            "compiled": compiled,
            "left_to_the_compiler": left,
        })
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &str| writeln!(f, "dccache verify: {name:<24} {value}");
        line("build", &format!("exit code {}", self.code))?;
        line("compiles", &self.compiles.to_string())?;
        line("hits, equal", &self.equal.to_string())?;
        line("hits, different", &self.different.len().to_string())?;
        for (outcome, reasons) in &self.others {
            let name = match outcome {
                Outcome::NotVerified => "hits, not verified",
                Outcome::Compiled => "compiled, no hit",
                _ => "left to the compiler",
            };
            for (reason, count) in reasons {
                let advice = advice(reason).map(|advice| format!(": {advice}")).unwrap_or_default();
                line(name, &format!("{count} {reason}{advice}"))?;
            }
        }
        if !self.complete {
            line(
                "incomplete",
                "a compile could not write here what it came to; is the disk full? Verify once more",
            )?;
        }
        if self.compiles == 0 {
            line(
                "nothing",
                "is verified, since no compile went through dccache: clean first, and let the compiler be `dccache gcc`",
            )?;
        }
        for different in &self.different {
            let object = different.object.as_deref().unwrap_or(&different.source).escape_debug().to_string();
            line("different", &object)?;
            let signer = different.signer.as_deref().map(|signer| format!(", {signer}")).unwrap_or_default();
            line("  found in", &format!("{}{signer}", different.found))?;
            for difference in &different.differences {
                line("  differs", &told(difference))?;
                for path in [&difference.cached, &difference.compiled].into_iter().flatten() {
                    line("  kept", &path.display().to_string().escape_debug().to_string())?;
                }
            }
            line("  cause", &format!("`dccache explain {object}`"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Event, Served, Verdict};
    use crate::verify::{Differs, Shown};

    #[test]
    fn every_compile_is_in_one_count_and_differences_name_object_signer_and_files() {
        let event = |verdict| Event { verdict, source: b"a.c".to_vec(), ..Event::default() };
        let of = |verdict, differs| Line::of(&event(verdict), Some("/w/a\u{1b}.o".as_ref()), differs);
        let shown = Shown {
            output: "object a.o".into(),
            first_difference: Some(7),
            cached_bytes: Some(9),
            compiled_bytes: Some(10),
            cached: Some("/h/x.cached".into()),
            compiled: Some("/h/x.compiled".into()),
            not_kept: None,
        };
        let signer = dccache_protocol::digest::Digest::of(b"s");
        let signer = Some(dccache_protocol::ids::SignerId::from_digest(signer));
        let differs = Differs { place: "the ring", signer, differences: vec![shown] };
        let lines = [
            of(Verdict::Verified(Served::Ring), None),
            of(Verdict::Miss, Some(&differs)),
            of(Verdict::Unverified(Served::Local, "output_varies".into()), None),
            of(Verdict::Hit(Served::Local), None),
            of(Verdict::Miss, None),
            of(Verdict::NotStored("compile_failed".into()), None),
            of(Verdict::Bypassed("called_for_link".into()), None),
        ];
        let lines = Lines { lines: lines.to_vec(), complete: true };
        let summary = Summary::of(&lines, 2);
        let json = summary.as_json();
        let count = |name: &str| {
            let value = &json[name];
            let sum = || value.as_object().unwrap().values().filter_map(Value::as_u64).sum();
            value.as_u64().unwrap_or_else(sum)
        };
        let others = ["not_verified", "compiled", "left_to_the_compiler"].map(count);
        assert_eq!((count("compiles"), count("verified"), count("equal"), others), (7, 2, 1, [2, 2, 1]));
        assert_eq!(json["build_exit_code"], 2);
        assert_eq!(json["different"][0]["differences"][0]["first_difference"], 7);
        let text = summary.to_string();
        for part in
            ["signer:", "the ring", "byte 7", "/h/x.cached", "/h/x.compiled", "a\\u{1b}.o", "output_varies"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}') && summary.differs() && summary.is_whole());
    }

    #[test]
    fn a_build_that_went_past_us_and_one_of_which_a_line_is_missing_say_so_and_are_not_whole() {
        let none = Lines { lines: Vec::new(), complete: true };
        let summary = Summary::of(&none, 0);
        assert!(summary.to_string().contains("went through dccache"));
        assert!(!summary.differs() && !summary.is_whole());
        let line = Line::of(&Event::default(), None, None);
        let missing = Lines { lines: vec![line], complete: false };
        let summary = Summary::of(&missing, 0);
        assert!(summary.to_string().contains("incomplete") && !summary.is_whole());
        assert_eq!(summary.as_json()["complete"], false);
    }
}
