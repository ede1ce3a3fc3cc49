//! Hits that are held against a compile: silent where they are right, loud where they are wrong, and the compiler's outputs in any case.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::PathBuf;
use support::verify::{RIGHT, VERIFY, WRONG, plant};
use support::{DCCACHE, LATER, Mount, Place, Result, compilers};

/// Finds nothing by what it reads.
const BY_TEXT: (&str, &str) = ("DCCACHE_DIRECT_MODE", "false");

fn faults(place: &Place, name: &str) -> u64 {
    place.stat(&format!("/faults/{name}"))
}

/// The path behind a word at the beginning of a line of a report.
fn named(report: &str, word: &str) -> Vec<PathBuf> {
    let lines = report.lines().filter_map(|line| line.strip_prefix("dccache:   "));
    let named = lines.filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    named.map(|path| PathBuf::from(path.trim())).collect()
}

fn verified(place: &Place, variables: &[(&str, &str)], words: &[&str], outputs: &[&str]) -> Result {
    let variables = [&[VERIFY], variables].concat();
    place.compare_under(&variables, &[DCCACHE, "gcc"], words, outputs)
}

#[test]
fn a_hit_that_is_right_is_silent_and_counted_whatever_it_was_found_by_and_whatever_the_call_writes() {
    let calls: [(&[&str], &[&str]); 7] = [
        (&["-O2", "-Wall", "-c", "a.c"], &["a.o"]),
        (&["-g", "-MD", "-MP", "-c", "a.c", "-o", "x.o"], &["x.o", "x.d"]),
        (&["-S", "a.c"], &["a.s"]),
        (&["-g", "-gsplit-dwarf", "-c", "a.c"], &["a.o", "a.dwo"]),
        (&["-fstack-usage", "-c", "a.c"], &["a.o", "a.su"]),
        (&["-fsyntax-only", "-Wall", "a.c"], &[]),
        (&["-flto", "-fno-fat-lto-objects", "-frandom-seed=1", "-c", "a.c"], &["a.o"]),
    ];
    for compiler in compilers() {
        let place = Place::new();
        place.write("a.h", "#define A 1\n");
        place.write("a.c", "#include \"a.h\"\nint a(void) { int unused; return A; }\n");
        for (words, outputs) in calls {
            if compiler == "clang"
                && words.iter().any(|word| word.ends_with("lto-objects") || *word == "-fstack-usage")
            {
                continue;
            }
            let plain = place.compare(&[compiler], words, outputs);
            assert_eq!(plain.code, Some(0), "{plain:?}");
            assert_eq!(place.compare(&[DCCACHE, compiler], words, outputs), plain);
            for ways in [&[][..], &[LATER], &[BY_TEXT]] {
                let variables = [&[VERIFY], ways].concat();
                let before = (place.stat("/hits/verified"), place.stat("/saved_ms"));
                let ours = place.compare_under(&variables, &[DCCACHE, compiler], words, outputs);
                let lto = words.contains(&"-flto");
                assert!(ours == plain || lto, "{compiler} {words:?} {variables:?}: {ours:?} {plain:?}");
                assert_eq!(ours.stderr, plain.stderr);
                let after = (place.stat("/hits/verified"), place.stat("/saved_ms"));
                let sure = u64::from(!lto || after.0 > before.0);
                assert_eq!(after, (before.0 + sure, before.1), "{compiler} {words:?}: {}", place.explain());
            }
        }
        assert_eq!(faults(&place, "verify_differs"), 0, "{}", place.stats());
    }
}

#[test]
fn a_hit_that_is_wrong_is_reported_kept_dropped_and_replaced_and_the_compiler_is_believed() {
    for ways in [&[][..], &[BY_TEXT], &[("DCCACHE_HARD_LINK", "true")]] {
        let place = Place::new();
        let words = ["-O2", "-c", "a.c"];
        plant(&place, "a.c", RIGHT, WRONG, &words);
        let plain = place.compare(&["gcc"], &words, &["a.o"]);
        let served = place.compare_under(ways, &[DCCACHE, "gcc"], &words, &["a.o"]);
        assert_ne!(served, plain, "the planted entry is served: {}", place.explain());
        let ours = verified(&place, ways, &words, &["a.o"]);
        assert_eq!((ours.code, &ours.files), (plain.code, &plain.files), "{}", ours.stderr);
        for part in ["VERIFY", "a.o", "the local store", "object", "from byte", "dropped", "dccache explain"]
        {
            assert!(ours.stderr.contains(part), "{part}: {}", ours.stderr);
        }
        let (cached, compiled) = (named(&ours.stderr, "cached"), named(&ours.stderr, "compiled"));
        assert_eq!(Some(&fs::read(&cached[0]).unwrap()), served.files[0].1.as_ref());
        assert_eq!(Some(&fs::read(&compiled[0]).unwrap()), plain.files[0].1.as_ref());
        assert!(cached[0].starts_with(place.home().join("verify/kept")));
        // Afterwards, it is known what was found.
        let explained = place.run(&["explain", "--json", "a.o"]).stdout;
        let explained: serde_json::Value = serde_json::from_slice(&explained).unwrap();
        let cause = &explained["causes"][0];
        assert_eq!(
            (&explained["result"], &cause["kind"]),
            (&"miss".into(), &"verify".into()),
            "{explained:#}"
        );
        let files = [&cached[0], &compiled[0]].map(|path| path.to_str().unwrap());
        assert_eq!([&cause["was"], &cause["now"]].map(|path| path.as_str().unwrap()), files);
        assert!(cause["what"].as_str().is_some_and(|what| what.contains("a.o from byte")), "{cause}");
        assert!(cause["note"].as_str().is_some_and(|note| note.contains("the local store")), "{cause}");
        assert!(place.explain().contains("cause        verify object"), "{}", place.explain());
        assert_eq!((faults(&place, "verify_differs"), place.stat("/hits/verified")), (1, 0));
        // From here on the right one is stored.
        let before = place.stat("/hits/total");
        assert_eq!(place.compare_under(ways, &[DCCACHE, "gcc"], &words, &["a.o"]), plain);
        assert_eq!(verified(&place, ways, &words, &["a.o"]), plain);
        assert_eq!((place.stat("/hits/total"), place.stat("/hits/verified")), (before + 2, 1));
    }
}

#[test]
fn messages_and_dependency_files_are_compared_as_this_call_would_get_them() {
    let place = Place::new();
    place.write("one.h", "");
    place.write("two.h", "");
    let words = ["-Wall", "-MD", "-c", "a.c"];
    let source =
        |header: &str, body: &str| format!("#include \"{header}\"\nint a(void) {{ {body} return 1; }}\n");
    plant(&place, "a.c", &source("one.h", ""), &source("two.h", "int unused;"), &words);
    let plain = place.compare(&["gcc"], &words, &["a.o", "a.d"]);
    let ours = verified(&place, &[], &words, &["a.o", "a.d"]);
    assert_eq!((ours.code, &ours.files), (plain.code, &plain.files));
    for part in ["dependency file", "stderr"] {
        assert!(ours.stderr.contains(&format!("differs    {part}")), "{part}: {}", ours.stderr);
    }
    let cached = named(&ours.stderr, "cached");
    let texts: Vec<String> = cached.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    assert!(texts.iter().any(|text| text.starts_with("a.o: ") && text.contains("two.h")), "{texts:?}");
}

#[test]
fn coverage_differs_by_its_stamp_only_and_anything_else_in_it_is_told() {
    let place = Place::new();
    let (words, outputs) = (["--coverage", "-O2", "-c", "a.c"], ["a.o", "a.gcno"]);
    place.write("a.c", RIGHT);
    for _ in 0..2 {
        let ours = verified(&place, &[], &words, &outputs);
        assert_eq!((ours.code, ours.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(place.stat("/hits/verified"), 1, "{}", place.explain());
    plant(
        &place,
        "b.c",
        "int b(void) { return 1; }\n",
        "int b(void) { return 2; }\n",
        &["--coverage", "-O2", "-c", "b.c"],
    );
    let ours = verified(&place, &[], &["--coverage", "-O2", "-c", "b.c"], &["b.o", "b.gcno"]);
    assert!(ours.stderr.contains("differs    object"), "{}", ours.stderr);
}

#[test]
fn what_the_compiler_never_makes_twice_alike_is_counted_and_no_wrong_hit() {
    let place = Place::new();
    place.write("a.c", RIGHT);
    let words = ["-flto", "-c", "a.c"];
    for _ in 0..3 {
        let ours = verified(&place, &[], &words, &["a.o"]);
        assert_eq!((ours.code, ours.stderr.as_str()), (Some(0), ""));
    }
    // Names of another length cannot be compared, and the entry goes.
    let told = place.stat("/hits/verified") + faults(&place, "output_varies");
    assert_eq!(told, place.stat("/hits/total"), "{}", place.stats());
    assert!((1..=2).contains(&told), "{}", place.stats());
}

#[test]
fn what_varies_beside_an_object_or_in_its_names_excuses_no_other_code_in_it() {
    let cases: [(&[&str], bool); 3] = [
        (&["-O2", "-fsave-optimization-record", "-c", "a.c"], true),
        (&["-O2", "-flto", "-ffat-lto-objects", "-c", "a.c"], false),
        (&["-O2", "-flto", "-c", "a.c"], false),
    ];
    for (words, told) in cases {
        let place = Place::new();
        plant(&place, "a.c", RIGHT, WRONG, words);
        assert_eq!(place.entries().len(), 2);
        let ours = verified(&place, &[], words, &["a.o"]);
        assert_eq!(ours.code, Some(0), "{words:?}: {}", ours.stderr);
        assert_eq!(ours.stderr.contains("differs    object"), told, "{words:?}: {}", ours.stderr);
        let [differs, varies] = ["verify_differs", "output_varies"].map(|name| faults(&place, name));
        assert_eq!([differs, varies], if told { [1, 0] } else { [0, 1] }, "{}", place.stats());
        // The wrong one is gone in any case, and what is stored next is verified or cannot be compared.
        let compiled = verified(&place, &[], words, &["a.o"]);
        let served = place.compare(&[DCCACHE, "gcc"], words, &["a.o"]);
        assert_eq!((served.code, compiled.code), (Some(0), Some(0)));
        place.write("m.c", "int a(void); int main(void) { return a(); }\n");
        let linked = place.command("gcc").args(["-flto", "m.c", "a.o", "-o", "m"]).output().unwrap();
        assert!(linked.status.success(), "{linked:?}");
        assert_eq!(place.command(place.file("m")).status().unwrap().code(), Some(1), "{words:?}");
    }
}

/// A program that stands before the compiler, and is in no key.
fn prefix(place: &Place, text: &str) -> String {
    place.script("prefix", &format!("#!/bin/sh\n{text}\n")).display().to_string()
}

#[test]
fn a_compile_that_fails_now_reaches_the_build_and_is_no_word_against_the_entry() {
    let place = Place::new();
    let words = ["-c", "a.c"];
    place.write("a.c", RIGHT);
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    let prefix = prefix(&place, "echo no memory >&2; exit 7");
    let ours = verified(&place, &[("DCCACHE_PREFIX_COMMAND", &prefix)], &words, &["a.o"]);
    assert_eq!((ours.code, &ours.files), (Some(7), &vec![("a.o".to_owned(), None)]));
    assert!(ours.stderr.starts_with("no memory\n") && ours.stderr.contains("ends with 7"), "{}", ours.stderr);
    let counted = ["verify_differs", "compile_failed"].map(|name| faults(&place, name));
    assert_eq!((place.entries().len(), counted), (0, [0, 1]), "dropped, so that nothing hides the failure");
    // It failed by chance: what is offered once more is taken.
    assert!(!place.home().join("verify/refused").exists() && !ours.stderr.contains("not taken from others"));
    let plain = place.compare(&["gcc"], &words, &["a.o"]);
    assert_eq!(place.compare(&[DCCACHE, "gcc"], &words, &["a.o"]), plain);
    assert_eq!(verified(&place, &[], &words, &["a.o"]), plain);
    assert_eq!(place.stat("/hits/verified"), 1, "{}", place.stats());
    let read_only = [("DCCACHE_PREFIX_COMMAND", prefix.as_str()), ("DCCACHE_READ_ONLY", "true")];
    let ours = verified(&place, &read_only, &words, &["a.o"]);
    assert!(ours.code == Some(7) && ours.stderr.contains("still there: read_only"), "{}", ours.stderr);
    assert_eq!(place.entries().len(), 1);
}

#[test]
fn a_compile_that_is_interrupted_says_nothing_about_the_hit() {
    let place = Place::new();
    place.write("a.c", RIGHT);
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    let prefix = prefix(&place, "trap '' TERM\nkill -TERM $PPID\nexit 3");
    let ours = verified(&place, &[("DCCACHE_PREFIX_COMMAND", &prefix)], &["-c", "a.c"], &["a.o"]);
    assert_eq!((ours.code, ours.stderr.as_str()), (Some(3), ""));
    assert_eq!((place.entries().len(), faults(&place, "interrupted")), (1, 1), "{}", place.explain());
}

#[test]
fn an_input_that_changes_while_it_is_verified_makes_no_wrong_hit() {
    let place = Place::new();
    place.write("a.c", RIGHT);
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    let prefix = prefix(&place, "echo 'int other;' > a.c\nexec \"$@\"");
    for ways in [&[][..], &[BY_TEXT]] {
        place.write("a.c", RIGHT);
        let variables = [&[("DCCACHE_PREFIX_COMMAND", prefix.as_str())], ways].concat();
        let ours = verified(&place, &variables, &["-c", "a.c"], &["a.o"]);
        assert_eq!((ours.code, ours.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(faults(&place, "modified_input_file"), 2, "{}", place.stats());
    assert_eq!((place.entries().len(), faults(&place, "verify_differs")), (1, 0));
}

#[test]
fn a_header_that_appears_where_it_is_found_earlier_while_it_is_verified_makes_no_wrong_hit() {
    let words = ["-Iearly", "-Ilate", "-c", "a.c"];
    for found_by in [&[][..], &[BY_TEXT]] {
        let place = Place::new();
        place.write("early/other.h", "");
        place.write("late/a.h", "#define A 1\n");
        place.write("a.c", "#include \"a.h\"\nint a(void) { return A; }\n");
        let cold = place.compare_under(found_by, &[DCCACHE, "gcc"], &words, &["a.o"]);
        assert_eq!(cold.code, Some(0), "{cold:?}");
        let prefix = prefix(&place, "echo '#define A 2' > early/a.h\nexec \"$@\"");
        let ours = verified(&place, &[("DCCACHE_PREFIX_COMMAND", &prefix)], &words, &["a.o"]);
        assert_eq!((ours.code, ours.stderr.as_str()), (Some(0), ""), "{found_by:?}");
        assert_ne!(ours.files, cold.files);
        let counted = ["modified_input_file", "verify_differs"].map(|name| faults(&place, name));
        assert_eq!((place.entries().len(), counted), (1, [1, 0]), "{found_by:?} {}", place.stats());
        assert!(!place.home().join("verify/refused").exists());
        // The right one is still there for who compiles without that header.
        fs::remove_file(place.file("early/a.h")).unwrap();
        let before = place.stat("/hits/total");
        assert_eq!(place.compare_under(found_by, &[DCCACHE, "gcc"], &words, &["a.o"]), cold);
        assert_eq!(place.stat("/hits/total"), before + 1, "{}", place.explain());
    }
}

#[test]
fn nothing_that_cannot_be_kept_or_noted_keeps_a_build_from_its_compile() {
    let place = Place::new();
    let words = ["-c", "a.c"];
    plant(&place, "a.c", RIGHT, WRONG, &words);
    let plain = place.compare(&["gcc"], &words, &["a.o"]);
    fs::write(place.home().join("verify"), "a file where the directory should be").unwrap();
    let ours = verified(&place, &[], &words, &["a.o"]);
    assert_eq!((ours.code, &ours.files), (plain.code, &plain.files));
    for part in ["not kept", "could not be noted"] {
        assert!(ours.stderr.contains(part), "{part}: {}", ours.stderr);
    }
    assert_eq!(place.compare(&[DCCACHE, "gcc"], &words, &["a.o"]), plain, "dropped all the same");
}

#[test]
fn a_disk_that_is_full_or_read_only_keeps_no_build_from_its_compile() {
    let words = ["-c", "a.c"];
    for full in [true, false] {
        let place = Place::new();
        let Some(mount) = Mount::tmpfs(&place, "512k") else { return };
        plant(&place, "a.c", RIGHT, WRONG, &words);
        let plain = place.compare(&["gcc"], &words, &["a.o"]);
        if full {
            fs::write(place.home().join("filler"), vec![1; 1 << 20]).unwrap_err();
        } else {
            mount.remount_read_only();
        }
        let ours = verified(&place, &[], &words, &["a.o"]);
        assert_eq!((ours.code, &ours.files), (plain.code, &plain.files));
        assert!(ours.stderr.contains("VERIFY"), "{}", ours.stderr);
        let stays = ours.stderr.contains("still there") && ours.stderr.contains("not kept");
        assert!(full || stays, "{}", ours.stderr);
    }
}

#[test]
fn a_store_that_is_only_read_keeps_its_entry_and_says_so() {
    let place = Place::new();
    let words = ["-c", "a.c"];
    plant(&place, "a.c", RIGHT, WRONG, &words);
    let plain = place.compare(&["gcc"], &words, &["a.o"]);
    for ways in [
        &[("DCCACHE_READ_ONLY", "true")][..],
        &[("DCCACHE_READ_ONLY_DIRECT", "true"), ("DCCACHE_READ_ONLY", "true")],
    ] {
        let ours = verified(&place, ways, &words, &["a.o"]);
        assert_eq!((ours.code, &ours.files), (plain.code, &plain.files));
        assert!(ours.stderr.contains("still there: read_only"), "{}", ours.stderr);
    }
    assert_ne!(place.compare(&[DCCACHE, "gcc"], &words, &["a.o"]), plain, "nothing was written");
}

#[test]
fn a_share_of_the_hits_is_verified_and_the_sealed_record_of_a_command_does_not_hide_it() {
    let place = Place::new();
    place.write("a.c", RIGHT);
    let words = ["-c", "a.c"];
    let run = || place.compare_under(&[LATER], &[DCCACHE, "gcc"], &words, &["a.o"]);
    let sealed = || {
        let files = fs::read_dir(place.home().join("objects")).unwrap();
        let files = files.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
        files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("s-")).count()
    };
    let plain = place.compare(&["gcc"], &words, &["a.o"]);
    for _ in 0..3 {
        assert_eq!(run(), plain);
    }
    assert_eq!(sealed(), 1);
    let before = place.stat("/hits/total");
    assert!(place.run(&["config", "set", "verify", "0.5"]).status.success());
    // A machine that draws one side each time is met once in 2^63 runs.
    (0..64).for_each(|_| assert_eq!(run(), plain));
    let (hits, verified) = (place.stat("/hits/total") - before, place.stat("/hits/verified"));
    assert_eq!(hits, 64);
    assert!((1..64).contains(&verified), "{verified} of {hits}");
    assert_eq!(sealed(), 1, "the old one");
    assert!(place.run(&["config", "set", "verify", "never"]).status.success());
    (0..3).for_each(|_| assert_eq!(run(), plain));
    assert_eq!(place.stat("/hits/verified"), verified);
}
