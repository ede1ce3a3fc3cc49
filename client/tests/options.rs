//! What single keys of the configuration do to real compiles, and what they must not do.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use support::{DCCACHE, LATER, Place, compilers, text};

const WORDS: [&str; 2] = ["-c", "a.c"];

/// A project with one source.
fn project() -> Place {
    let place = Place::new();
    place.write(".git/HEAD", "");
    place.write("a.c", "int a(void) { return 1; }\n");
    place
}

fn counts(place: &Place) -> (u64, u64) {
    (place.stat("/hits/local"), place.stat("/misses"))
}

/// Compiles under a setting; the result is always the compiler's own.
fn compile(place: &Place, setting: &str, words: &[&str]) -> (u64, u64) {
    let plain = place.compare(&["gcc"], words, &["a.o"]);
    let ours = place.compare_under(&[LATER], &[DCCACHE, setting, "gcc"], words, &["a.o"]);
    assert_eq!(ours, plain, "{setting}: {}", place.explain());
    counts(place)
}

#[test]
fn a_file_that_is_to_be_hashed_changes_every_key_on_every_way() {
    let place = project();
    let extra = place.write("extra", "1");
    let setting = format!("extra_files_to_hash={}", extra.display());
    for direct in ["true", "false"] {
        let compile = |setting: &str| {
            let plain = place.compare(&["gcc"], &WORDS, &["a.o"]);
            let variables = [LATER, ("DCCACHE_DIRECT_MODE", direct)];
            let ours = place.compare_under(&variables, &[DCCACHE, setting, "gcc"], &WORDS, &["a.o"]);
            assert_eq!(ours, plain, "{}", place.explain());
            counts(&place)
        };
        place.write("extra", direct);
        let (hits, misses) = compile(&setting);
        assert_eq!(compile(&setting), (hits + 1, misses));
        assert_eq!(compile(&setting), (hits + 2, misses), "by its sealed record");
        // Of the same size; the source and its own stamps stay.
        place.write("extra", direct.to_uppercase());
        assert_eq!(compile(&setting), (hits + 2, misses + 1), "{direct}: {}", place.explain());
        place.write("extra", direct);
        assert_eq!(compile(&setting), (hits + 3, misses + 1), "{direct}: the first one again");
    }
    let before = counts(&place);
    assert_eq!(compile(&place, "extra_files_to_hash=", &WORDS), (before.0, before.1 + 1), "one of no file");
    let absent = format!("extra_files_to_hash={}", place.file("absent").display());
    let looked_up = counts(&place);
    assert_eq!(compile(&place, &absent, &WORDS), looked_up, "what cannot be read is in no key");
}

#[test]
fn who_only_reads_directly_gets_direct_hits_and_leaves_the_rest_to_the_compiler() {
    let place = project();
    assert_eq!(compile(&place, "read_only_direct=true", &WORDS), (0, 0));
    assert_eq!(place.stat("/bypass_reasons/read_only_direct"), 1, "{}", place.explain());
    assert_eq!(place.entries().len(), 0, "nothing is stored");
    assert_eq!(compile(&place, "read_only_direct=false", &WORDS), (0, 1));
    for hits in [1, 2] {
        assert_eq!(compile(&place, "read_only_direct=true", &WORDS), (hits, 1), "{}", place.explain());
    }
    assert_eq!(place.stat("/hits/direct"), 2);
    // Only the preprocessed text would lead to it now: a comment is in the raw digests, so this is none of either kind.
    place.write("a.c", "int a(void) { return 2; }\n");
    assert_eq!(compile(&place, "read_only_direct=true", &WORDS), (2, 1));
    assert_eq!(place.stat("/bypass_reasons/read_only_direct"), 2);
    assert_eq!(compile(&place, "read_only_direct=true", &["-E", "a.c"]), (2, 1));
}

#[test]
fn comments_decide_whether_they_are_kept_or_not() {
    let source = |comment: &str| {
        format!("int a(int x) {{ switch (x) {{ case 1: x++; {comment}\ncase 2: x--; }} return x; }}\n")
    };
    let words = ["-Wimplicit-fallthrough", "-c", "a.c"];
    let mut results = Vec::new();
    for kept in ["false", "true"] {
        let place = project();
        let setting = format!("keep_comments_cpp={kept}");
        for (turn, comment) in ["/* fallthrough */", "/* anything     */"].into_iter().enumerate() {
            place.write("a.c", source(comment));
            for hits in 0..2 {
                let counted = compile(&place, &setting, &words);
                assert_eq!(counted, (2 * turn as u64 + hits, turn as u64 + 1), "{kept} {comment}");
            }
            results.push(place.compare(&[DCCACHE, &setting, "gcc"], &words, &["a.o"]).stderr);
        }
    }
    assert!(results[0].is_empty() && results[1].contains("may fall through"), "{results:?}");
    assert_eq!(results[..2], results[2..]);
}

#[test]
fn a_search_path_of_its_own_finds_the_compiler_and_is_not_the_compilers() {
    let place = project();
    let bin = place.root().join("bin");
    fs::create_dir(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let real =
        std::env::split_paths(&path).map(|directory| directory.join("gcc")).find(|file| file.is_file());
    symlink(fs::canonicalize(real.unwrap()).unwrap(), bin.join("our-gcc")).unwrap();
    let plain = place.compare(&[bin.join("our-gcc").to_str().unwrap()], &WORDS, &["a.o"]);
    let setting = format!("path=/nowhere:{}", bin.display());
    for turn in 0..2 {
        let ours = place.compare_under(&[LATER], &[DCCACHE, &setting, "our-gcc"], &WORDS, &["a.o"]);
        assert_eq!(ours, plain, "{}", place.explain());
        assert_eq!(counts(&place), (turn, 1), "{}", place.explain());
    }
    let ours = place.compare(&[DCCACHE, "our-gcc"], &WORDS, &["a.o"]);
    assert_eq!(ours.code, Some(127), "nowhere else is it known: {}", ours.stderr);
    let ours = place.compare(&[DCCACHE, "path=/nowhere", "gcc"], &WORDS, &["a.o"]);
    assert_eq!(ours.code, Some(127), "what lies on PATH is not looked at: {}", ours.stderr);
    // The compiler itself sees the PATH that it would see without us.
    let probe = place.script("probe", "#!/bin/sh\necho \"$PATH\" >&2\nexit 3\n");
    let seen = place.command(DCCACHE).args([&setting, probe.to_str().unwrap()]).output().unwrap();
    assert_eq!((seen.status.code(), text(&seen.stderr).trim()), (Some(3), path.to_str().unwrap()));
}

#[test]
fn temporary_files_go_where_the_configuration_says() {
    // A directory in which every name that appears is seen afterwards, by its time.
    let place = project();
    let temporary = place.root().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let old = fs::File::open(&temporary).unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    old.set_modified(long_ago).unwrap();
    let plain = place.compare(&["gcc"], &WORDS, &["a.o"]);
    // The system's cannot be used, for us; gcc has its own idea of what to do then.
    let variables = [LATER, ("TMPDIR", "/nowhere")];
    let setting = format!("temporary_dir={}", temporary.display());
    for turn in 0..2 {
        let ours = place.compare_under(&variables, &[DCCACHE, &setting, "gcc"], &WORDS, &["a.o"]);
        assert_eq!(ours, plain, "{}", place.explain());
        assert_eq!(counts(&place), (turn, 1), "{}", place.explain());
    }
    assert_ne!(temporary.metadata().unwrap().modified().unwrap(), long_ago, "it was used");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left there");
    // One that is not there breaks no build.
    let other = project();
    let plain = other.compare(&["gcc"], &WORDS, &["a.o"]);
    assert_eq!(other.compare(&[DCCACHE, "temporary_dir=/nowhere", "gcc"], &WORDS, &["a.o"]), plain);
}

#[test]
fn stale_dates_are_served_to_who_does_not_mind() {
    for compiler in compilers() {
        let place = project();
        place.write("a.c", "const char *a = __DATE__;\n");
        let run = |program: &[&str], epoch: &str| {
            place.compare_under(&[LATER, ("SOURCE_DATE_EPOCH", epoch)], program, &WORDS, &["a.o"])
        };
        let sloppy = [DCCACHE, "sloppiness=time_macros", compiler];
        let first = run(&sloppy, "0");
        assert_eq!(run(&sloppy, "86400000"), first, "{compiler}: it is stale");
        assert_eq!(counts(&place), (1, 1), "{compiler}: {}", place.explain());
        for epoch in ["86400000", "0"] {
            let exact = run(&[DCCACHE, compiler], epoch);
            assert_eq!(exact, run(&[compiler], epoch), "{compiler}: who minds gets no stale one");
        }
    }
}

#[test]
fn random_seeds_that_do_not_matter_share_an_object_among_those_who_say_so() {
    let place = project();
    let (one, two) = (["-frandom-seed=1", "-c", "a.c"], ["-frandom-seed=2", "-c", "a.c"]);
    let sloppy = [DCCACHE, "sloppiness=random_seed", "gcc"];
    place.compare(&sloppy, &one, &["a.o"]);
    place.compare(&sloppy, &two, &["a.o"]);
    assert_eq!(counts(&place), (1, 1), "{}", place.explain());
    place.assert_differential("gcc", &two, &["a.o"]);
    assert_eq!(counts(&place).1, 2, "who minds compiles");
}

#[test]
fn words_of_sloppiness_that_are_proved_here_change_nothing() {
    let place = project();
    place.write("a.c", "#include \"a.h\"\nint a(void) { return N; }\n");
    let all = "sloppiness=file_stat_matches,file_stat_matches_ctime,system_headers,pch_defines,modules";
    for (turn, value) in ["1", "2"].into_iter().enumerate() {
        // Of the same size and, as far as can be set, the same time.
        place.write("a.h", format!("#define N {value}\n"));
        for hits in 0..2 {
            assert_eq!(compile(&place, all, &WORDS), (turn as u64 + hits, turn as u64 + 1));
        }
    }
    assert_eq!(compile(&place, "sloppiness=", &WORDS), (3, 2), "the keys are the same");
}

#[test]
fn a_umask_is_for_our_own_files_and_outputs_have_that_of_the_compile() {
    let mode = |file: &Path| file.metadata().unwrap().mode() & 0o777;
    let under = |place: &Place, words: &str| {
        let _ = fs::remove_file(place.file("a.o"));
        let mut shell = place.command("sh");
        let output = shell.args(["-c", &format!("umask 027; exec {words} -c a.c")]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        mode(&place.file("a.o"))
    };
    let place = project();
    let plain = under(&place, "gcc");
    for _ in 0..2 {
        assert_eq!(under(&place, &format!("{DCCACHE} umask=002 gcc")), plain);
    }
    assert_eq!(counts(&place), (1, 1), "{}", place.explain());
    let mut directories = vec![place.home()];
    while let Some(directory) = directories.pop() {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        for entry in fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                directories.push(entry);
            } else {
                assert_eq!(mode(&entry) & 0o077, 0, "{}: nobody else's", entry.display());
            }
        }
    }
    for wrong in ["8", "rwx", "1000"] {
        let output = place.run(&["config", "set", "umask", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}
