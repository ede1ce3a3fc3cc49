//! Called as `ccache`: its statistics, and looking after the cache.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};
use support::ccache::Switched;
use support::{LATER, text};

type Counters = BTreeMap<String, u64>;

/// Reads lines of name, tab and value.
fn counters(printed: &str) -> Counters {
    let pair = |line: &str| {
        line.split_once('\t').map(|(name, value)| (name.to_owned(), value.parse().unwrap())).unwrap()
    };
    printed.lines().map(pair).collect()
}

fn printed(switched: &Switched) -> Counters {
    counters(&switched.said(&[], &["--print-stats"]))
}

/// What a call adds to the counters; sizes and times left out.
fn counted(switched: &Switched, variables: &[(&str, &str)], words: &[&str]) -> Vec<(String, u64)> {
    switched.said(&[], &["-z"]);
    let held = printed(switched)["files_in_cache"];
    switched.run_under(variables, words);
    let mut after = printed(switched);
    *after.get_mut("files_in_cache").unwrap() -= held;
    after.retain(|name, count| {
        *count > 0 && !["timestamp", "size", "max_"].iter().any(|part| name.contains(part))
    });
    after.into_iter().collect()
}

fn assert_counts(switched: &Switched, variables: &[(&str, &str)], words: &[&str], expected: &str) {
    let counted = counted(switched, variables, words);
    let counted: Vec<String> = counted.iter().map(|(name, count)| format!("{name}={count}")).collect();
    assert_eq!(counted.join(" "), expected, "{words:?} {variables:?}: {}", switched.place.explain());
}

/// Files of the store of one kind.
fn stored(switched: &Switched, kind: &str) -> Vec<PathBuf> {
    let Ok(shards) = fs::read_dir(switched.place.home().join("objects")) else { return Vec::new() };
    let files = shards
        .flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path());
    files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with(kind)).collect()
}

#[test]
fn each_call_counts_for_what_ccache_would_count() {
    let switched = Switched::new();
    let gcc = &["gcc", "-c", "a.c"][..];
    let stored = "cache_miss=1 direct_cache_miss=1 files_in_cache=2 local_storage_miss=1 local_storage_read_miss=2 local_storage_write=2 preprocessed_cache_miss=1";
    let direct = "direct_cache_hit=1 local_storage_hit=1 local_storage_read_hit=2";
    assert_counts(&switched, &[], gcc, stored);
    assert_counts(&switched, &[], gcc, direct);
    assert_counts(&switched, &[LATER], gcc, direct);
    assert_counts(&switched, &[LATER], gcc, direct);
    assert_counts(
        &switched,
        &[("CCACHE_NODIRECT", "")],
        gcc,
        "local_storage_hit=1 local_storage_read_hit=1 preprocessed_cache_hit=1",
    );
    assert_counts(&switched, &[("CCACHE_RECACHE", "")], gcc, "local_storage_write=2 recache=1");
    assert_counts(&switched, &[("CCACHE_READONLY", "")], gcc, direct);
    let other = &["gcc", "-O1", "-c", "a.c"][..];
    assert_counts(
        &switched,
        &[("CCACHE_READONLY", "")],
        other,
        "cache_miss=1 direct_cache_miss=1 local_storage_miss=1 local_storage_read_miss=2 preprocessed_cache_miss=1",
    );
    assert_counts(
        &switched,
        &[("CCACHE_READONLY_DIRECT", "")],
        other,
        "cache_miss=1 direct_cache_miss=1 local_storage_miss=1 local_storage_read_miss=1",
    );
    assert_counts(
        &switched,
        &[("CCACHE_NODIRECT", "")],
        other,
        "cache_miss=1 files_in_cache=1 local_storage_miss=1 local_storage_read_miss=1 local_storage_write=1 preprocessed_cache_miss=1",
    );
    assert_counts(
        &switched,
        &[("CCACHE_DEPEND", "")],
        &["gcc", "-O2", "-MD", "-c", "a.c"],
        "cache_miss=1 direct_cache_miss=1 files_in_cache=2 local_storage_miss=1 local_storage_read_miss=1 local_storage_write=2",
    );
    assert_counts(&switched, &[("CCACHE_DISABLE", "")], gcc, "");
    // A header changes: its manifest is there, and a result more.
    switched.place.write("a.h", "#define A 2\n");
    assert_counts(
        &switched,
        &[],
        gcc,
        "cache_miss=1 direct_cache_miss=1 files_in_cache=1 local_storage_miss=1 local_storage_read_hit=1 local_storage_read_miss=1 local_storage_write=2 preprocessed_cache_miss=1",
    );
}

#[test]
fn what_cannot_be_served_counts_under_its_name() {
    let switched = Switched::new();
    switched.place.write("bad.c", "int x(\n");
    switched.place.write("off.c", "// ccache:disable\nint x;\n");
    switched.place.write("b.c", "int b;\n");
    switched.place.write("conftest.c", "int b;\n");
    let failed = "compile_failed=1 direct_cache_miss=1 local_storage_read_miss=2 preprocessed_cache_miss=1";
    let cases: [(&[&str], &str); 12] = [
        (&["gcc", "-c", "bad.c"], failed),
        (&["gcc", "a.c", "-shared", "-o", "x"], "called_for_link=1"),
        (&["gcc", "-E", "a.c"], "called_for_preprocessing=1"),
        (&["gcc", "-c", "a.c", "-o", "-"], "output_to_stdout=1"),
        (&["gcc", "-c", "a.c", "b.c"], "multiple_source_files=1"),
        (&["gcc", "-c", "absent.c"], "no_input_file=1"),
        (&["gcc", "-c"], "no_input_file=1"),
        (&["gcc", "-c", "a.c", "-o"], "bad_compiler_arguments=1"),
        (&["gcc", "-c", "a.c", "-o", "absent/a.o"], "bad_output_file=1"),
        (&["gcc", "-x", "ada", "-c", "a.c"], "unsupported_source_language=1"),
        (&["gcc", "conftest.c", "-o", "x"], "autoconf_test=1"),
        (&["no-such-compiler", "-c", "a.c"], ""),
    ];
    for (words, expected) in cases {
        assert_counts(&switched, &[], words, expected);
    }
    let under: [((&str, &str), &str); 3] = [
        (("CCACHE_EXTRAFILES", "/absent"), "error_hashing_extra_file=1"),
        (("CCACHE_COMPILERCHECK", "false"), "compiler_check_failed=1"),
        (("DEPENDENCIES_OUTPUT", "x"), "unsupported_environment_variable=1"),
    ];
    for (variable, expected) in under {
        assert_counts(&switched, &[variable], &["gcc", "-c", "a.c"], expected);
    }
    assert!(counted(&switched, &[], &["gcc", "-c", "off.c"]).iter().any(|(name, _)| name == "disabled"));
    let shown = switched.said(&[], &["-sv"]);
    assert!(shown.lines().any(|line| line.starts_with("  Ccache disabled:")), "{shown}");
    for part in ["Cache directory:", "Uncacheable calls:"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn statistics_are_shown_in_ccaches_words_as_text_and_as_json_and_forgotten() {
    let switched = Switched::new();
    for _ in 0..4 {
        switched.run(&["gcc", "-c", "a.c"]);
    }
    let shown = switched.said(&[], &["-s"]);
    for line in [
        "Cacheable calls:      4 /   4 (100.0%)",
        "  Hits:               3 /   4 (75.00%)",
        "    Direct:           3 /   3 (100.0%)",
        "    Preprocessed:     0 /   3 ( 0.00%)",
        "  Misses:             1 /   4 (25.00%)",
        "  Cache size (GiB): 0.0 / 5.0 ( 0.00%)",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} in\n{shown}");
    }
    assert!(switched.said(&[], &["-svv"]).contains("Autoconf compile/link:"));
    let lines = printed(&switched);
    let json: serde_json::Value =
        serde_json::from_str(&switched.said(&[], &["--print-stats", "--format", "json"])).unwrap();
    let same: Counters = json
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_u64().unwrap()))
        .collect();
    assert_eq!(same, lines);
    assert_eq!((lines["cache_miss"], lines["direct_cache_hit"], lines["files_in_cache"]), (1, 3, 2));
    assert_eq!((lines["max_cache_size_kibibyte"], lines["stats_zeroed_timestamp"]), (5 << 20, 0));
    assert!(lines["cache_size_kibibyte"] > 0 && lines["stats_updated_timestamp"] > 0);
    assert_eq!(switched.said(&[], &["-z"]), "Statistics zeroed");
    let lines = printed(&switched);
    assert_eq!((lines["cache_miss"], lines["direct_cache_hit"], lines["files_in_cache"]), (0, 0, 2));
    assert!(lines["stats_zeroed_timestamp"] > 0);
    assert_eq!(switched.run(&["--print-stats", "--format", "xml"]).status.code(), Some(1));
}

#[test]
fn a_statistics_log_counts_one_build_and_a_debug_log_lies_beside_its_object() {
    let switched = Switched::new();
    let log = switched.place.root().join("stats.log");
    let variable = [("CCACHE_STATSLOG", log.to_str().unwrap())];
    assert_eq!(switched.run_under(&variable, &["--print-log-stats"]).status.code(), Some(1));
    for _ in 0..2 {
        switched.run_under(&[variable[0], LATER], &["gcc", "-c", "a.c"]);
    }
    switched.run_under(&variable, &["gcc", "-E", "a.c"]);
    switched.said(&[], &["-z"]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("# a.c\ncache_miss\ndirect_cache_miss\n"), "{text}");
    let lines = counters(&switched.said(&variable, &["--print-log-stats"]));
    assert_eq!(
        (lines["cache_miss"], lines["direct_cache_hit"], lines["called_for_preprocessing"]),
        (1, 1, 1)
    );
    assert_eq!(lines["local_storage_read_miss"], 2);
    let shown = switched.said(&variable, &["--show-log-stats"]);
    assert!(shown.contains("Cacheable calls:   2 / 3 (66.67%)"), "{shown}");
    assert_eq!(switched.run(&["--show-log-stats"]).status.code(), Some(1), "no log is named");
    switched.run_under(&[("CCACHE_DEBUG", ""), LATER], &["gcc", "-c", "a.c"]);
    assert!(fs::read_to_string(switched.place.file("a.o.ccache-log")).unwrap().contains("hit (direct)"));
    let debug = switched.place.root().join("debug");
    switched.run_under(
        &[("CCACHE_DEBUG", ""), ("CCACHE_DEBUGDIR", debug.to_str().unwrap())],
        &["gcc", "-c", "a.c"],
    );
    assert!(
        fs::read_to_string(switched.place.file("a.o.ccache-input-text")).unwrap().contains("source: a.c")
    );
    let below = debug.join(switched.place.file("a.o.ccache-log").strip_prefix("/").unwrap());
    assert!(below.is_file(), "{}", below.display());
    switched.run_under(&[("CCACHE_LOGFILE", "log")], &["gcc", "-c", "a.c"]);
    assert!(fs::read_to_string(switched.place.file("log")).unwrap().contains("a.c"));
}

#[test]
fn what_is_old_or_of_a_namespace_or_all_is_removed() {
    let switched = Switched::new();
    let of = |namespace: &str| {
        switched.run_under(&[("CCACHE_NAMESPACE", namespace)], &["gcc", "-c", "a.c"]);
    };
    of("");
    of("one");
    of("two words");
    let held = || printed(&switched)["files_in_cache"];
    assert_eq!(held(), 6);
    let would = switched.said(&[], &["--evict-namespace", "two words", "--dry-run"]);
    assert!(would.starts_with("Would remove data:") && would.ends_with("files: 3"), "{would}");
    assert_eq!(held(), 6);
    let removed = switched.said(&[], &["--evict-namespace", "two words"]);
    assert!(
        removed.starts_with("Removed data:") && removed.ends_with("files: 3"),
        "a second name counts: {removed}"
    );
    assert_eq!(held(), 4);
    // Old and of a namespace: neither alone is enough.
    assert!(
        switched.said(&[], &["--evict-namespace", "one", "--evict-older-than", "1d"]).ends_with("files: 0")
    );
    let old = SystemTime::now() - Duration::from_secs(2 * 86_400);
    for file in ["d-", "p-", "m-"].iter().flat_map(|kind| stored(&switched, kind)) {
        File::options().write(true).open(file).unwrap().set_modified(old).unwrap();
    }
    of("");
    switched.said(&[], &["--evict-namespace", "one", "--evict-older-than", "1d"]);
    assert_eq!(held(), 2);
    switched.said(&[], &["--evict-older-than", "1d"]);
    let before = printed(&switched)["direct_cache_hit"];
    of("");
    assert_eq!(printed(&switched)["direct_cache_hit"], before, "the manifest was not used for long");
    assert_eq!(switched.run(&["--evict-older-than", "1y"]).status.code(), Some(1));
    switched.said(&[], &["-z"]);
    switched.said(&[], &["-C"]);
    assert_eq!((held(), printed(&switched)["cleanups_performed"]), (0, 16));
    assert_eq!(switched.run(&["-C", "--dry-run"]).status.code(), Some(1));
}

#[test]
fn a_bound_that_is_lowered_is_obeyed_by_a_clean_up() {
    let switched = Switched::new();
    for optimisation in ["-O0", "-O1", "-O2", "-O3", "-Os"] {
        switched.run(&["gcc", optimisation, "-c", "a.c"]);
    }
    assert_eq!(printed(&switched)["files_in_cache"], 10);
    assert!(switched.said(&[("CCACHE_MAXSIZE", "1kB")], &["-c", "--dry-run"]).starts_with("Would remove"));
    assert_eq!(printed(&switched)["files_in_cache"], 10);
    let removed = switched.said(&[("CCACHE_MAXSIZE", "1kB")], &["-c"]);
    assert!(removed.ends_with("Removed files: 10"), "{removed}");
    assert_eq!(printed(&switched)["files_in_cache"], 0);
}

#[test]
fn files_are_hashed_and_what_the_cache_holds_is_shown() {
    let switched = Switched::new();
    // BLAKE3 and XXH3 of "abc" and of nothing, as both are published.
    let abc = switched.place.write("abc", "abc");
    let empty = switched.place.write("empty", "");
    let (abc, empty) = (abc.to_str().unwrap(), empty.to_str().unwrap());
    assert_eq!(switched.said(&[], &["--hash-file", abc]), "6437b3ac38465133ffb63b75273a8db548c55846");
    assert_eq!(switched.said(&[], &["--hash-file", empty]), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9");
    assert_eq!(switched.said(&[], &["--checksum-file", abc]), "06b05ab6733a618578af5f94892f3950");
    assert_eq!(switched.said(&[], &["--checksum-file", empty]), "99aa06d3014798d86001c324468d497f");
    let mut command = switched.command(switched.ccache());
    let input = File::open(abc).unwrap();
    let piped = command.args(["--hash-file", "-"]).stdin(Stdio::from(input)).output().unwrap();
    assert_eq!(text(&piped.stdout).trim_end(), "6437b3ac38465133ffb63b75273a8db548c55846");
    assert_eq!(switched.run(&["--hash-file", "absent"]).status.code(), Some(1));

    switched.run(&["gcc", "-c", "a.c"]);
    let object = fs::read(switched.place.file("a.o")).unwrap();
    let manifest = stored(&switched, "m-").remove(0);
    let shown = switched.said(&[], &["--inspect", manifest.to_str().unwrap()]);
    assert!(shown.starts_with("manifest") && shown.contains("a.h"), "{shown}");
    let result = switched.place.entries().remove(0);
    let shown = switched.said(&[], &["--inspect", result.to_str().unwrap()]);
    assert!(
        shown.starts_with("result") && shown.contains(&format!("object: {} bytes", object.len())),
        "{shown}"
    );
    switched.said(&[], &["--extract-result", result.to_str().unwrap()]);
    assert_eq!(fs::read(switched.place.file("ccache-result.object")).unwrap(), object);
    // Anywhere else, and as standard input, it is shown as well; nobody vouches for it there.
    for (file, what) in [(&result, "result"), (&manifest, "manifest")] {
        let copy = switched.place.file("copy");
        fs::copy(file, &copy).unwrap();
        let shown = switched.said(&[], &["--inspect", "copy"]);
        assert!(shown.starts_with(what) && shown.contains("nobody vouches"), "{shown}");
        let mut command = switched.command(switched.ccache());
        let piped = command.args(["--inspect", "-"]).stdin(File::open(&copy).unwrap()).output().unwrap();
        assert_eq!(text(&piped.stdout).trim_end(), shown);
    }
    fs::remove_file(switched.place.file("ccache-result.object")).unwrap();
    fs::copy(&result, switched.place.file("copy")).unwrap();
    switched.said(&[], &["--extract-result", "copy"]);
    assert_eq!(fs::read(switched.place.file("ccache-result.object")).unwrap(), object);
    for option in ["--inspect", "--extract-result"] {
        assert_eq!(switched.run(&[option, "a.c"]).status.code(), Some(1), "no file of a cache");
    }
    let mut bytes = fs::read(&result).unwrap();
    bytes[40] ^= 1;
    fs::write(&result, bytes).unwrap();
    for option in ["--inspect", "--extract-result"] {
        assert_eq!(switched.run(&[option, result.to_str().unwrap()]).status.code(), Some(1));
    }
    let shown = switched.said(&[], &["-x"]);
    assert!(shown.starts_with("Total data:") && shown.contains("Compression ratio:"), "{shown}");
    switched.said(&[], &["--stop-storage-helpers", "--threads", "2"]);
}

#[test]
fn everything_is_compressed_anew_at_another_level_and_served_as_before() {
    let switched = Switched::new();
    let numbers: String = (0..4000).map(|number| format!("{}, ", number * number % 977)).collect();
    switched.place.write("big.c", format!("const int big[] = {{ {numbers} }};\n"));
    let words = ["gcc", "-c", "big.c"];
    switched.run_under(&[("CCACHE_NODEPEND", "1")], &words);
    let object = fs::read(switched.place.file("big.o")).unwrap();
    let file = || switched.place.entries().remove(0);
    let size = || file().metadata().unwrap().len();
    let used = SystemTime::now() - Duration::from_secs(5000);
    File::open(file()).unwrap().set_modified(used).unwrap();
    let (compressed, modified) = (size(), file().metadata().unwrap().modified().unwrap());
    let mut sizes = Vec::new();
    for level in ["uncompressed", "1", "19", "-5", "0"] {
        let said = switched.said(&[], &["-X", level]);
        for line in ["Original data:", "Old compressed data:", "New compressed data:", "Size change:"] {
            assert!(said.contains(line), "{level}: {said}");
        }
        sizes.push(size());
        assert_eq!(file().metadata().unwrap().modified().unwrap(), modified, "{level}: nobody used it");
        fs::remove_file(switched.place.file("big.o")).unwrap();
        let hits = switched.count("/hits/local");
        // Not the sealed record alone: by the preprocessed text.
        assert!(switched.run_under(&[("CCACHE_NODIRECT", "1")], &words).status.success());
        assert_eq!(switched.count("/hits/local"), hits + 1, "{level}: {}", switched.place.explain());
        assert_eq!(fs::read(switched.place.file("big.o")).unwrap(), object, "{level}");
        File::open(file()).unwrap().set_modified(used).unwrap();
    }
    assert!(sizes[0] > object.len() as u64 && sizes[1] == compressed && sizes[4] == compressed, "{sizes:?}");
    assert!(sizes[2] < sizes[1] && sizes[3] > sizes[2], "{sizes:?}");
    let counted: u64 = switched.said(&[], &["--print-stats"]).lines().find_map(kibibytes).unwrap();
    switched.said(&[], &["-X", "uncompressed"]);
    let after: u64 = switched.said(&[], &["--print-stats"]).lines().find_map(kibibytes).unwrap();
    assert!(after > counted, "{counted} {after}");
    for wrong in [&["-X", "much"][..], &["-X", "128"], &["--dry-run", "-X", "1"], &["--threads", "0"]] {
        assert_eq!(switched.run(wrong).status.code(), Some(1), "{wrong:?}");
    }
}

fn kibibytes(line: &str) -> Option<u64> {
    line.strip_prefix("cache_size_kibibyte\t")?.parse().ok()
}

#[test]
fn what_is_stored_is_compressed_as_the_options_say() {
    let numbers: String = (0..4000).map(|number| format!("{}, ", number * number % 977)).collect();
    let stored_under = |variables: &[(&str, &str)]| {
        let switched = Switched::new();
        switched.place.write("big.c", format!("const int big[] = {{ {numbers} }};\n"));
        let plain = switched.place.compare(&["gcc"], &["-c", "big.c"], &["big.o"]);
        for _ in 0..2 {
            fs::remove_file(switched.place.file("big.o")).unwrap();
            assert!(switched.run_under(variables, &["gcc", "-c", "big.c"]).status.success());
            assert_eq!(fs::read(switched.place.file("big.o")).ok(), plain.files[0].1, "{variables:?}");
        }
        assert_eq!(switched.count("/hits/local"), 1, "{variables:?}");
        let size = switched.place.entries().remove(0).metadata().unwrap().len();
        (size, plain.files[0].1.as_ref().unwrap().len() as u64)
    };
    let (by_itself, object) = stored_under(&[]);
    let raw = stored_under(&[("CCACHE_NOCOMPRESS", "1"), ("CCACHE_COMPRESSLEVEL", "19")]).0;
    let best = stored_under(&[("CCACHE_COMPRESSLEVEL", "19")]).0;
    assert!(best < by_itself && by_itself < object && raw > object, "{best} {by_itself} {object} {raw}");
    assert_eq!(stored_under(&[("CCACHE_COMPRESSLEVEL", "0")]).0, by_itself);
}
