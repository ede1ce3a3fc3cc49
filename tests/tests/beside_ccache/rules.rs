//! Where both may differ, and why: the closed list. `docs/ccache.md` has the same names; a test compares both.

use crate::fronts::Counts;
use crate::steps::Step;

/// One allowed difference.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    /// Tells whether a step, with what they and we counted, falls under it. Last: whether theirs is an old version.
    pub(crate) allows: fn(&Step, &Counts, &Counts, bool) -> bool,
}

/// Counters of sizes, times and parts, which have no common unit.
const UNCOMPARED: [&str; 4] =
    ["cache_size_kibibyte", "cleanups_performed", "stats_updated_timestamp", "stats_zeroed_timestamp"];

/// Counters that versions before 4.8 lack or count otherwise.
const NEWER: [&str; 5] = [
    "local_storage_hit",
    "local_storage_miss",
    "local_storage_read_hit",
    "local_storage_read_miss",
    "local_storage_write",
];

pub(crate) const RULES: [Rule; 4] = [
    Rule {
        name: "comments_and_layout",
        why: "a result is served by its preprocessed text only where comments and layout cannot show in it",
        allows: |step, theirs, ours, _| {
            step.comments && is(theirs, "preprocessed_cache_hit") && is(ours, "cache_miss")
        },
    },
    Rule {
        name: "manifest_of_a_command",
        why: "a manifest is that of a command, whatever its source holds: it is read where ccache finds none, and is not stored twice",
        allows: |step, theirs, ours, old| {
            step.edited
                && same_without(
                    theirs,
                    ours,
                    old,
                    &["local_storage_read_hit", "local_storage_read_miss", "files_in_cache"],
                )
        },
    },
    Rule {
        name: "compiled_by_lists",
        why: "what direct mode does not find may be compiled without preprocessing it first (`depend_mode` unset)",
        allows: |_, theirs, ours, old| {
            !is(ours, "preprocessed_cache_miss")
                && (is(ours, "cache_miss") || is(ours, "compile_failed"))
                && same_without(
                    theirs,
                    ours,
                    old,
                    &[
                        "preprocessed_cache_miss",
                        "local_storage_read_hit",
                        "local_storage_read_miss",
                        "files_in_cache",
                    ],
                )
        },
    },
    Rule {
        name: "code_that_reads_files",
        why: "assembly that reads files is found before or after the preprocessor, by whoever looks first",
        allows: |_, theirs, ours, _| {
            is(theirs, "unsupported_code_directive") && is(ours, "unsupported_code_directive")
        },
    },
];

fn is(counts: &Counts, name: &str) -> bool {
    counts.get(name) == Some(&1)
}

fn same_without(theirs: &Counts, ours: &Counts, old: bool, names: &[&str]) -> bool {
    let without = |counts: &Counts| {
        let mut counts = compared(counts, old);
        counts.retain(|name, _| !names.contains(&name.as_str()));
        counts
    };
    without(theirs) == without(ours)
}

/// Returns what is compared of counters.
pub(crate) fn compared(counts: &Counts, old: bool) -> Counts {
    let mut counts = counts.clone();
    let left_out = |name: &str| UNCOMPARED.contains(&name) || (old && NEWER.contains(&name));
    counts.retain(|name, _| !left_out(name));
    counts
}
