//! Statistics as ccache shows them: for people in columns, for scripts as lines or JSON.

use super::counters::{Counters, NAMES};
use serde_json::{Map, Value};
use std::fmt::Write;

/// Counters of calls that no cache can serve, with what they are called.
const UNCACHEABLE: [(&str, &str); 21] = [
    ("Autoconf compile/link", "autoconf_test"),
    ("Bad compiler arguments", "bad_compiler_arguments"),
    ("Called for linking", "called_for_link"),
    ("Called for preprocessing", "called_for_preprocessing"),
    ("Ccache disabled", "disabled"),
    ("Compilation failed", "compile_failed"),
    ("Compiler output file missing", "compiler_produced_no_output"),
    ("Compiler produced empty output", "compiler_produced_empty_output"),
    ("Compiler produced stdout", "compiler_produced_stdout"),
    ("Could not use modules", "could_not_use_modules"),
    ("Could not use precompiled header", "could_not_use_precompiled_header"),
    ("Forced recache", "recache"),
    ("Multiple source files", "multiple_source_files"),
    ("No input file", "no_input_file"),
    ("Output to stdout", "output_to_stdout"),
    ("Preprocessing failed", "preprocessor_error"),
    ("Unsupported code directive", "unsupported_code_directive"),
    ("Unsupported compiler option", "unsupported_compiler_option"),
    ("Unsupported environment variable", "unsupported_environment_variable"),
    ("Unsupported source encoding", "unsupported_source_encoding"),
    ("Unsupported source language", "unsupported_source_language"),
];

/// Counters of calls that something kept from the cache.
const ERRORS: [(&str, &str); 8] = [
    ("Compiler check failed", "compiler_check_failed"),
    ("Could not find compiler", "could_not_find_compiler"),
    ("Could not read or parse input file", "bad_input_file"),
    ("Could not write to output file", "bad_output_file"),
    ("Error hashing extra file", "error_hashing_extra_file"),
    ("Input file modified during compilation", "modified_input_file"),
    ("Internal error", "internal_error"),
    ("Missing cache file", "missing_cache_file"),
];

/// How the counters are written for scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// Name, tab, value.
    #[default]
    Tab,
    /// One object.
    Json,
}

/// Writes all counters for scripts.
pub(super) fn for_scripts(counters: &Counters, format: Format) -> String {
    match format {
        Format::Tab => NAMES.iter().map(|name| format!("{name}\t{}\n", counters.get(name))).collect(),
        Format::Json => {
            let all = NAMES.iter().map(|name| ((*name).to_owned(), Value::from(counters.get(name))));
            format!("{:#}\n", Value::Object(all.collect::<Map<_, _>>()))
        }
    }
}

/// One line: what is counted, how many, and of how many.
#[derive(Debug)]
struct Row {
    name: String,
    number: String,
    of: Option<(String, f64)>,
    /// Words in place of numbers.
    words: bool,
}

/// A table for people, made line by line.
#[derive(Debug)]
pub(super) struct Table<'a> {
    counters: &'a Counters,
    verbosity: usize,
    rows: Vec<Row>,
}

impl<'a> Table<'a> {
    /// Begins with words about the cache.
    pub(super) fn new(counters: &'a Counters, verbosity: usize, words: &[(&str, String)]) -> Self {
        let words = words.iter().map(|(name, said)| Row {
            name: format!("{name}:"),
            number: said.clone(),
            of: None,
            words: true,
        });
        Self { counters, verbosity, rows: words.collect() }
    }

    /// Adds what happened to compiles.
    pub(super) fn add_calls(&mut self) {
        let get = |name: &str| self.counters.get(name);
        let (direct, preprocessed) = (get("direct_cache_hit"), get("preprocessed_cache_hit"));
        let (hits, misses) = (direct + preprocessed, get("cache_miss"));
        let sum = |group: &[(&str, &str)]| group.iter().map(|(_, name)| get(name)).sum::<u64>();
        let (uncacheable, errors) = (sum(&UNCACHEABLE), sum(&ERRORS));
        let (cacheable, direct_misses, text_misses) =
            (hits + misses, get("direct_cache_miss"), get("preprocessed_cache_miss"));
        let all = cacheable + uncacheable + errors;
        if all > 0 || self.verbosity > 1 {
            self.share("Cacheable calls:", cacheable, all);
            self.share("  Hits:", hits, cacheable);
            self.share("    Direct:", direct, hits);
            self.share("    Preprocessed:", preprocessed, hits);
            self.share("  Misses:", misses, cacheable);
        }
        self.add_group("Uncacheable calls:", &UNCACHEABLE, uncacheable, all);
        self.add_group("Errors:", &ERRORS, errors, all);
        if self.verbosity > 0 && direct + direct_misses + preprocessed + text_misses > 0 {
            self.title("Successful lookups:");
            self.share("  Direct:", direct, direct + direct_misses);
            self.share("  Preprocessed:", preprocessed, preprocessed + text_misses);
        }
    }

    fn add_group(&mut self, title: &str, group: &[(&str, &str)], sum: u64, all: u64) {
        if sum == 0 && self.verbosity < 2 {
            return;
        }
        self.share(title, sum, all);
        let shown = if self.verbosity > 0 { group } else { &[] };
        for (name, counter) in shown {
            let count = self.counters.get(counter);
            if count > 0 || self.verbosity > 1 {
                self.share(&format!("  {name}:"), count, sum);
            }
        }
    }

    /// Adds what the cache holds.
    pub(super) fn add_local(&mut self, holds: bool) {
        let get = |name: &str| self.counters.get(name);
        let (hits, misses) = (get("local_storage_hit"), get("local_storage_miss"));
        if !holds && hits + misses == 0 {
            return;
        }
        self.title("Local storage:");
        if holds {
            let gib = |kibibytes: u64| kibibytes as f64 / f64::from(1 << 20);
            let (size, bound) = (get("cache_size_kibibyte"), get("max_cache_size_kibibyte"));
            let of = (bound > 0).then(|| (format!("{:.1}", gib(bound)), percent(size, bound)));
            self.rows.push(Row {
                name: "  Cache size (GiB):".into(),
                number: format!("{:.1}", gib(size)),
                of,
                words: false,
            });
            let (files, bound) = (get("files_in_cache"), get("max_files_in_cache"));
            if bound > 0 || self.verbosity > 0 {
                self.share("  Files:", files, bound);
            }
            if get("cleanups_performed") > 0 || self.verbosity > 1 {
                self.share("  Cleanups:", get("cleanups_performed"), 0);
            }
        }
        self.add_moves("local_storage", hits, misses);
    }

    /// Adds what the ring or a shared directory was asked.
    pub(super) fn add_remote(&mut self) {
        let get = |name: &str| self.counters.get(name);
        let (hits, misses) = (get("remote_storage_hit"), get("remote_storage_miss"));
        let (errors, timeouts) = (get("remote_storage_error"), get("remote_storage_timeout"));
        if hits + misses + errors + timeouts == 0 && self.verbosity < 2 {
            return;
        }
        self.title("Remote storage:");
        self.add_moves("remote_storage", hits, misses);
        for (name, count) in [("  Errors:", errors), ("  Timeouts:", timeouts)] {
            if count > 0 || self.verbosity > 1 {
                self.share(name, count, 0);
            }
        }
    }

    fn add_moves(&mut self, kind: &str, hits: u64, misses: u64) {
        let get = |what: &str| self.counters.get(&format!("{kind}_{what}"));
        let moves = [("  Reads:", get("read_hit") + get("read_miss")), ("  Writes:", get("write"))];
        if hits + misses > 0 || self.verbosity > 1 {
            self.share("  Hits:", hits, hits + misses);
            self.share("  Misses:", misses, hits + misses);
        }
        if self.verbosity > 0 {
            moves.into_iter().for_each(|(name, count)| self.share(name, count, 0));
        }
    }

    fn title(&mut self, name: &str) {
        self.rows.push(Row { name: name.to_owned(), number: String::new(), of: None, words: true });
    }

    fn share(&mut self, name: &str, number: u64, of: u64) {
        let of = (of > 0).then(|| (of.to_string(), percent(number, of)));
        self.rows.push(Row { name: name.to_owned(), number: number.to_string(), of, words: false });
    }

    /// Returns the lines.
    pub(super) fn text(&self) -> String {
        let widest = |part: fn(&Row) -> usize| self.rows.iter().map(part).max().unwrap_or(0);
        let names = widest(|row| row.name.len());
        let numbers = widest(|row| if row.words { 0 } else { row.number.len() });
        let whole = widest(|row| row.of.as_ref().map_or(0, |(of, _)| of.len()));
        let mut text = String::new();
        for row in &self.rows {
            let line = match (&row.of, row.words) {
                (_, true) => format!("{:<names$} {}", row.name, row.number),
                (None, _) => format!("{:<names$} {:>numbers$}", row.name, row.number),
                (Some((of, percent)), _) => {
                    let shown =
                        if *percent > 99.995 { format!("{percent:.1}") } else { format!("{percent:.2}") };
                    format!("{:<names$} {:>numbers$} / {of:>whole$} ({shown:>5}%)", row.name, row.number)
                }
            };
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * part as f64 / of as f64 }
}
