//! ccache's counters, made of ours.
//!
//! Both count compiles by one result each. Where ours has a name that ccache lacks, it goes into the counter that says the same in ccache's
//! manual, or, where a compile was looked up, not found and not stored, into `cache_miss`.

use crate::config::Config;
use crate::home::Home;
use crate::stats::{Event, Totals, read, times};
use crate::store::{Census, Store};
use std::time::{SystemTime, UNIX_EPOCH};

/// All counters in the order of their names.
pub(super) const NAMES: [&str; 53] = [
    "autoconf_test",
    "bad_compiler_arguments",
    "bad_input_file",
    "bad_output_file",
    "cache_miss",
    "cache_size_kibibyte",
    "called_for_link",
    "called_for_preprocessing",
    "cleanups_performed",
    "compile_failed",
    "compiler_check_failed",
    "compiler_produced_empty_output",
    "compiler_produced_no_output",
    "compiler_produced_stdout",
    "could_not_find_compiler",
    "could_not_use_modules",
    "could_not_use_precompiled_header",
    "direct_cache_hit",
    "direct_cache_miss",
    "disabled",
    "error_hashing_extra_file",
    "files_in_cache",
    "internal_error",
    "local_storage_hit",
    "local_storage_miss",
    "local_storage_read_hit",
    "local_storage_read_miss",
    "local_storage_write",
    "max_cache_size_kibibyte",
    "max_files_in_cache",
    "missing_cache_file",
    "modified_input_file",
    "multiple_source_files",
    "no_input_file",
    "output_to_stdout",
    "preprocessed_cache_hit",
    "preprocessed_cache_miss",
    "preprocessor_error",
    "recache",
    "remote_storage_error",
    "remote_storage_hit",
    "remote_storage_miss",
    "remote_storage_read_hit",
    "remote_storage_read_miss",
    "remote_storage_timeout",
    "remote_storage_write",
    "stats_updated_timestamp",
    "stats_zeroed_timestamp",
    "unsupported_code_directive",
    "unsupported_compiler_option",
    "unsupported_environment_variable",
    "unsupported_source_encoding",
    "unsupported_source_language",
];

/// Reasons of ours under other names than ccache's.
const RENAMED: [(&str, &str); 10] = [
    // What ccache calls so is a source that cannot be read.
    ("bad_input_file", "no_input_file"),
    ("bad_configuration", "internal_error"),
    ("bad_working_directory", "internal_error"),
    ("could_not_run_compiler", "could_not_find_compiler"),
    ("read_only_direct", "cache_miss"),
    ("store_write_error", "internal_error"),
    ("unreadable_input", "bad_input_file"),
    ("unsupported_compiler", "unsupported_compiler_option"),
    ("unsupported_dependency_file", "unsupported_compiler_option"),
    ("output_to_null", "compiler_produced_no_output"),
];

/// All counters at one time.
#[derive(Clone, Debug)]
pub(super) struct Counters([u64; NAMES.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Counters {
    /// Counts one compile.
    pub(super) fn of_event(event: &Event) -> Self {
        let (mut counters, mut totals) = (Self::default(), Totals::default());
        totals.add(event);
        counters.add(&totals);
        counters
    }

    /// Counts what a cache holds and what happened in it.
    pub(super) fn of(home: &Home, config: &Config) -> Self {
        let store = Store::new(home, config.max_size).with_files(config.max_files);
        let mut counters = Self::default();
        counters.add(&read(home, 0));
        let Census { entries, manifests, on_disk, .. } = store.census();
        let [updated, zeroed] = times(home).map(|time| time.map_or(0, seconds));
        for (name, count) in [
            ("cache_size_kibibyte", on_disk / 1024),
            ("cleanups_performed", store.cleanups()),
            ("files_in_cache", entries + manifests),
            ("stats_updated_timestamp", updated),
            ("stats_zeroed_timestamp", zeroed),
        ] {
            counters.count(name, count);
        }
        counters.bound(config)
    }

    /// Counts what a statistics log says: one name a line, `#` before comments.
    pub(super) fn of_log(text: &str, config: &Config, changed: Option<SystemTime>) -> Self {
        let mut counters = Self::default();
        text.lines().filter(|line| !line.starts_with('#')).for_each(|line| counters.count(line.trim(), 1));
        counters.count("stats_updated_timestamp", changed.map_or(0, seconds));
        counters.bound(config)
    }

    /// Says the bounds of the cache.
    fn bound(mut self, config: &Config) -> Self {
        self.count("max_cache_size_kibibyte", config.max_size / 1024);
        self.count("max_files_in_cache", config.max_files);
        self
    }

    /// Adds what happened to compiles.
    pub(super) fn add(&mut self, totals: &Totals) {
        let preprocessed_hits = totals.hits() - totals.direct_hits;
        for (name, count) in [
            ("cache_miss", totals.stored.saturating_sub(totals.recached)),
            ("direct_cache_hit", totals.direct_hits),
            ("direct_cache_miss", totals.direct_misses),
            ("local_storage_hit", totals.local_hits),
            ("local_storage_miss", totals.local_misses),
            ("local_storage_read_hit", totals.local.found),
            ("local_storage_read_miss", totals.local.missed),
            ("local_storage_write", totals.local.written),
            ("preprocessed_cache_hit", preprocessed_hits),
            ("preprocessed_cache_miss", totals.preprocessed_misses),
            ("recache", totals.recached),
            ("remote_storage_hit", totals.ring_hits + totals.shared_hits),
            ("remote_storage_miss", totals.remote_misses),
            ("remote_storage_read_hit", totals.remote.found),
            ("remote_storage_read_miss", totals.remote.missed),
            ("remote_storage_write", totals.remote.written),
        ] {
            self.count(name, count);
        }
        for (reason, count) in totals.bypassed.iter().chain(&totals.not_stored) {
            self.count(counter_of(reason), *count);
        }
        for (fault, count) in &totals.faults {
            let timeout = fault == "ring_timed_out";
            let remote =
                ["agent_", "ring_", "distrusted_", "shared_"].iter().any(|kind| fault.starts_with(kind));
            self.count("remote_storage_timeout", if timeout { *count } else { 0 });
            self.count("remote_storage_error", if remote && !timeout { *count } else { 0 });
        }
    }

    fn count(&mut self, name: &str, count: u64) {
        if let Ok(index) = NAMES.binary_search(&name) {
            self.0[index] += count;
        }
    }

    /// Returns a counter; 0 for one that does not exist.
    pub(super) fn get(&self, name: &str) -> u64 {
        NAMES.binary_search(&name).map_or(0, |index| self.0[index])
    }

    /// Lists names with counts of at least 1, as often as they count.
    pub(super) fn listed(&self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().zip(self.0).flat_map(|(name, count)| std::iter::repeat_n(*name, count as usize))
    }
}

/// Returns the counter of a reason of ours.
fn counter_of(reason: &str) -> &str {
    let renamed = RENAMED.iter().find(|(ours, _)| *ours == reason).map(|(_, name)| *name);
    renamed.or_else(|| NAMES.binary_search(&reason).ok().map(|index| NAMES[index])).unwrap_or("cache_miss")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Reason;

    #[test]
    fn every_reason_of_a_bypass_has_a_counter_that_says_it() {
        assert!(NAMES.is_sorted());
        for reason in Reason::ALL {
            assert_ne!(counter_of(reason.name()), "cache_miss", "{}", reason.name());
        }
        for (ours, name) in RENAMED {
            assert_eq!(counter_of(ours), name);
            assert!(NAMES.contains(&name));
        }
        assert_eq!(counter_of("interrupted"), "cache_miss");
    }
}
