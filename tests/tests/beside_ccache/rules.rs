//! Where both may differ, and why: the closed list. `docs/ccache.md` has the same names; a test compares both.

use crate::fronts::Counts;
use crate::steps::Step;
use std::collections::BTreeMap;

/// One allowed difference.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    /// Tells whether a step, with what they and we counted, falls under it.
    pub(crate) allows: fn(&Step, &Counts, &Counts) -> bool,
}

/// Counters of sizes, times and parts, which have no common unit.
const UNCOMPARED: [&str; 4] =
    ["cache_size_kibibyte", "cleanups_performed", "stats_updated_timestamp", "stats_zeroed_timestamp"];

/// What 4.7.5 counts in other words than 4.14.2, which is the one that is followed.
pub(crate) struct Older {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    /// Puts counts into today's words; tells whether there was anything to put.
    apply: fn(&mut Counts) -> bool,
}

pub(crate) const OLDER: [Older; 3] = [
    Older {
        name: "recache_adds_to_a_manifest",
        why: "under `recache` 4.7.5 reads a manifest and writes it only where the result is new to it; 4.14.2 reads nothing and writes both anew",
        apply: |counts| {
            if !is(counts, "recache") {
                return false;
            }
            let [hit, miss] = ["local_storage_read_hit", "local_storage_read_miss"]
                .map(|name| counts.remove(name).is_some());
            if hit {
                *counts.entry("local_storage_write".to_owned()).or_default() += 1;
            }
            hit || miss
        },
    },
    Older {
        name: "read_only_direct_misses",
        why: "under `read_only_direct` a miss is none of the local storage in 4.7.5, and is one in 4.14.2",
        apply: |counts| {
            let stored =
                ["local_storage_miss", "local_storage_write"].iter().any(|name| counts.contains_key(*name));
            let missed = is(counts, "cache_miss") && !stored;
            if missed {
                counts.insert("local_storage_miss".to_owned(), 1);
            }
            missed
        },
    },
    Older {
        name: "failed_compiles_miss",
        why: "a compile that fails is a miss of the local storage in 4.7.5; in 4.14.2 only what is stored then is one",
        apply: |counts| is(counts, "compile_failed") && counts.remove("local_storage_miss").is_some(),
    },
];

/// Puts what an old version counted into today's words, and notes by which names.
pub(crate) fn today(counts: &Counts, old: bool, used: &mut BTreeMap<&'static str, usize>) -> Counts {
    let mut counts = counts.clone();
    for older in OLDER.iter().filter(|_| old) {
        if (older.apply)(&mut counts) {
            *used.entry(older.name).or_default() += 1;
        }
    }
    counts
}

pub(crate) const RULES: [Rule; 4] = [
    Rule {
        name: "comments_and_layout",
        why: "a result is served by its preprocessed text only where comments and layout cannot show in it",
        allows: |step, theirs, ours| {
            step.comments && is(theirs, "preprocessed_cache_hit") && is(ours, "cache_miss")
        },
    },
    Rule {
        name: "manifest_of_a_command",
        why: "a manifest is that of a command, whatever its source holds: it is read where ccache finds none, and is not stored twice",
        allows: |step, theirs, ours| {
            step.edited
                && same_without(
                    theirs,
                    ours,
                    &["local_storage_read_hit", "local_storage_read_miss", "files_in_cache"],
                )
        },
    },
    Rule {
        name: "compiled_by_lists",
        why: "what direct mode does not find may be compiled without preprocessing it first (`depend_mode` unset)",
        allows: |_, theirs, ours| {
            !is(ours, "preprocessed_cache_miss")
                && (is(ours, "cache_miss") || is(ours, "compile_failed"))
                && same_without(
                    theirs,
                    ours,
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
        allows: |_, theirs, ours| {
            is(theirs, "unsupported_code_directive") && is(ours, "unsupported_code_directive")
        },
    },
];

fn is(counts: &Counts, name: &str) -> bool {
    counts.get(name) == Some(&1)
}

fn same_without(theirs: &Counts, ours: &Counts, names: &[&str]) -> bool {
    let without = |counts: &Counts| {
        let mut counts = compared(counts);
        counts.retain(|name, _| !names.contains(&name.as_str()));
        counts
    };
    without(theirs) == without(ours)
}

/// Returns what is compared of counters.
pub(crate) fn compared(counts: &Counts) -> Counts {
    let mut counts = counts.clone();
    counts.retain(|name, _| !UNCOMPARED.contains(&name.as_str()));
    counts
}
