//! Where settings come from and what they do to real compiles.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, Place, text};

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

#[test]
fn words_before_the_compiler_hold_for_that_compile_alone() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (turn, front) in [&[DCCACHE, "gcc"][..], &[DCCACHE, "namespace=x", "stats=true", "gcc"]]
        .into_iter()
        .cycle()
        .take(4)
        .enumerate()
    {
        assert_eq!(place.compare(front, &["-c", "a.c"], &["a.o"]), plain);
        let expected = [(0, 1), (0, 2), (1, 2), (2, 2)][turn];
        assert_eq!(counts(&place), expected, "{front:?}: {}", place.explain());
    }
}

#[test]
fn a_wrong_word_leaves_the_compile_to_the_compiler_and_is_counted() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (turn, word) in ["namespce=x", "read_only=perhaps"].into_iter().enumerate() {
        assert_eq!(place.compare(&[DCCACHE, word, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        assert_eq!(place.stat("/bypass_reasons/bad_configuration"), turn as u64 + 1);
    }
}

#[test]
fn a_projects_file_holds_in_all_of_its_directories_and_nowhere_else() {
    let place = project();
    place.write("dccache.toml", "namespace = \"ours\"\n");
    place.write("sub/a.c", "int a(void) { return 1; }\n");
    let list = |directory: &str| {
        let output =
            place.command(DCCACHE).current_dir(place.file(directory)).args(["config", "list"]).output();
        text(&output.unwrap().stdout)
    };
    let file = place.file("dccache.toml").canonicalize().unwrap();
    let line = format!("({}) namespace = ours\n", file.display());
    assert!(list(".").contains(&line) && list("sub").contains(&line), "{}", list("sub"));
    assert!(list("..").contains("(default) namespace = default\n"), "{}", list(".."));
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    fs::remove_file(place.file("dccache.toml")).unwrap();
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    assert_eq!(place.stat("/misses"), 2, "another namespace, another entry");
}

#[test]
fn a_projects_file_runs_no_program_and_moves_no_bound() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (turn, line) in
        ["path = \"/nowhere\"", "max_size = \"1k\"", "sloppiness = \"time_macros\""].into_iter().enumerate()
    {
        place.write("dccache.toml", format!("# ours\n{line}\n"));
        assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        let output = place.run(&["config", "list"]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        fs::remove_file(place.file("dccache.toml")).unwrap();
        assert_eq!(place.stat("/bypass_reasons/bad_configuration"), turn as u64 + 1);
        assert!(
            message.contains("dccache.toml:2: ") && message.contains("not in a project's file"),
            "{message}"
        );
    }
}

#[test]
fn a_prefix_stands_before_the_compiler_where_it_compiles_and_another_where_it_preprocesses() {
    let place = project();
    let prefix = |name: &str| {
        let log = place.root().join(name);
        let script =
            place.script(name, &format!("#!/bin/sh\necho \"$@\" >> {}\nexec \"$@\"\n", log.display()));
        (script.display().to_string(), log)
    };
    let ((compile, compiled), (preprocess, preprocessed)) = (prefix("compile"), prefix("preprocess"));
    let lines = |log: &std::path::Path| fs::read_to_string(log).map_or(0, |text| text.lines().count());
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    let words = [format!("prefix_command={compile}"), format!("prefix_command_cpp={preprocess}")];
    let front = [DCCACHE, &words[0], &words[1], "direct_mode=false", "gcc"];
    for _ in 0..2 {
        assert_eq!(place.compare(&front, &["-c", "a.c"], &["a.o"]), plain);
    }
    assert_eq!((lines(&compiled), lines(&preprocessed)), (1, 2), "once compiled, twice preprocessed");
    // Also where the call is left to the compiler.
    assert!(place.command(DCCACHE).args(&front[1..]).args(["-E", "a.c"]).output().unwrap().status.success());
    assert_eq!((lines(&compiled), lines(&preprocessed)), (2, 2));
    // Without the prefix the entry is the same.
    assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
    assert_eq!(counts(&place), (2, 1));
}

#[test]
fn a_prefix_that_is_not_there_breaks_no_build() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    let front = [DCCACHE, "prefix_command=no-such-prefix -x", "prefix_command_cpp=no-such-prefix", "gcc"];
    assert_eq!(place.compare(&front, &["-c", "a.c"], &["a.o"]), plain);
    assert_eq!(place.compare(&front, &["-c", "a.c"], &["a.o"]), plain);
    assert_eq!(counts(&place), (1, 1));
}

#[test]
fn the_compiler_that_the_configuration_names_runs_in_place_of_the_one_typed() {
    if !support::has("clang") {
        return;
    }
    let place = project();
    let plain = place.compare(&["clang"], &["-c", "a.c"], &["a.o"]);
    for turn in 0..2 {
        assert_eq!(place.compare(&[DCCACHE, "compiler=clang", "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        assert_eq!(counts(&place), (turn, 1), "{}", place.explain());
    }
    assert_ne!(place.compare(&[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
}

#[test]
fn a_compiler_type_is_believed_and_another_one_is_left_alone() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    let ours = |setting: &str| place.compare(&[DCCACHE, setting, "gcc"], &["-c", "a.c"], &["a.o"]);
    assert_eq!(ours("compiler_type=other"), plain);
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler"), 1);
    assert_eq!(ours("compiler_type=gcc"), plain);
    assert_eq!(ours("compiler_type=auto"), plain);
    assert_eq!(counts(&place), (1, 1), "{}", place.explain());
}

#[test]
fn options_that_are_ignored_give_hits_to_who_ignores_them_and_to_nobody_else() {
    let place = project();
    let ignoring = [DCCACHE, "ignore_options=-O* -DUNUSED", "gcc"];
    let first = place.compare(&ignoring, &["-O1", "-c", "a.c"], &["a.o"]);
    assert_eq!(place.compare(&ignoring, &["-O3", "-c", "a.c"], &["a.o"]), first);
    assert_eq!(counts(&place), (1, 1), "{}", place.explain());
    for options in ["-O1", "-O3", "-g0"] {
        let plain = place.compare(&["gcc"], &[options, "-c", "a.c"], &["a.o"]);
        assert_eq!(place.compare(&[DCCACHE, "gcc"], &[options, "-c", "a.c"], &["a.o"]), plain, "{options}");
    }
    assert_eq!(counts(&place), (1, 4), "exact calls are served exact objects only");
}

#[test]
fn messages_of_another_language_are_served_to_who_does_not_mind() {
    let place = project();
    place.write("a.c", "int f(int x) { int unused; if (x = 1) return 2; return 0; }\n");
    let run = |setting: &str, language: &str| {
        let mut command = place.command(DCCACHE);
        command.env("LC_ALL", language).args([setting, "gcc", "-Wall", "-c", "a.c"]);
        text(&command.output().unwrap().stderr)
    };
    let first = run("sloppiness=locale", "C");
    assert_eq!(run("sloppiness=locale", "en_US.UTF-8"), first);
    assert_eq!(counts(&place), (1, 1), "{}", place.explain());
    run("sloppiness=", "en_US.UTF-8");
    run("sloppiness=", "C");
    assert_eq!(counts(&place), (1, 3), "who minds is not served it");
}

#[test]
fn a_log_says_what_was_done_with_each_compile() {
    let place = project();
    let log = place.root().join("log");
    let word = format!("log_file={}", log.display());
    for words in [["-c", "a.c"], ["-c", "a.c"], ["-E", "a.c"]] {
        assert!(
            place
                .command(DCCACHE)
                .args([&word, "stats=false", "gcc"])
                .args(words)
                .output()
                .unwrap()
                .status
                .success()
        );
    }
    let log = fs::read_to_string(log).unwrap();
    let results: Vec<_> = log.lines().filter(|line| line.trim_start().starts_with("result")).collect();
    assert_eq!(results.len(), 3, "{log}");
    for (line, part) in results.iter().zip([
        "miss: compiled and stored",
        "served by the local store",
        "called_for_preprocessing",
    ]) {
        assert!(line.contains(part), "{log}");
    }
    // A log that cannot be written stops nothing.
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    assert_eq!(place.compare(&[DCCACHE, "log_file=/nowhere/log", "gcc"], &["-c", "a.c"], &["a.o"]), plain);
}

#[test]
fn remote_only_keeps_nothing_here() {
    let place = project();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for turn in 1..3 {
        assert_eq!(place.compare(&[DCCACHE, "remote_only=true", "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        assert_eq!(place.stat("/not_stored/remote_only"), turn, "{}", place.explain());
    }
    assert_eq!(place.entries().len(), 0);
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    let hits = place.stat("/hits/local");
    assert_eq!(place.compare(&[DCCACHE, "remote_only=true", "gcc"], &["-c", "a.c"], &["a.o"]), plain);
    assert_eq!(place.stat("/hits/local"), hits, "what lies here is not looked at");
}

#[test]
fn a_bound_in_files_is_kept() {
    let place = project();
    for number in 0..60 {
        place.write("a.c", format!("int a(void) {{ return {number}; }}\n"));
        let word = ["max_files=64", "gcc", "-c", "a.c"];
        assert!(place.command(DCCACHE).args(word).output().unwrap().status.success());
    }
    let shards = fs::read_dir(place.home().join("objects")).unwrap().map(|shard| shard.unwrap().path());
    let files = shards.flat_map(|shard| fs::read_dir(shard).unwrap()).map(|file| file.unwrap().file_name());
    let kept = files.filter(|name| name.to_string_lossy().as_bytes()[1] == b'-').count();
    assert!(
        (16..=80).contains(&kept),
        "{kept} files of more than 100; four and one more in each of 16 shards"
    );
}

#[test]
fn an_overlay_that_does_not_matter_is_left_out_of_the_key_and_still_acts() {
    if !support::has("clang") {
        return;
    }
    let place = project();
    place.write("real.h", "#define N 1\n");
    place.write("a.c", "#include \"virtual.h\"\nint a(void) { return N; }\n");
    let overlay = |name: &str| {
        let (directory, real) = (place.file(""), place.file("real.h"));
        let directory = directory.to_str().unwrap().trim_end_matches('/');
        let text = format!(
            "{{ 'version': 0, 'roots': [ {{ 'name': '{directory}', 'type': 'directory', 'contents': [ \
             {{ 'name': 'virtual.h', 'type': 'file', 'external-contents': '{}' }} ] }} ] }}\n",
            real.display()
        );
        place.write(name, text);
    };
    overlay("one.yaml");
    overlay("two.yaml");
    let words = |name| ["-ivfsoverlay", name, "-c", "a.c"];
    let plain = place.compare(&["clang"], &words("one.yaml"), &["a.o"]);
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    assert_eq!(place.compare(&[DCCACHE, "clang"], &words("one.yaml"), &["a.o"]), plain);
    assert_eq!(counts(&place), (0, 0), "left alone where nothing is declared");
    for (turn, name) in ["one.yaml", "two.yaml"].into_iter().enumerate() {
        let front = [DCCACHE, "sloppiness=ivfsoverlay", "clang"];
        assert_eq!(place.compare(&front, &words(name), &["a.o"]), plain);
        assert_eq!(counts(&place), (turn as u64, 1), "{}", place.explain());
    }
}

#[test]
fn a_header_as_young_as_the_compile_is_stored_where_its_times_do_not_matter() {
    let place = project();
    place.write("a.c", "#include \"h.h\"\nint a(void) { return N; }\n");
    let future = || {
        place.write("h.h", "#define N 1\n");
        let file = fs::File::options().write(true).open(place.file("h.h")).unwrap();
        file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
        // Its ctime is that of this change, which must lie behind the compile's start.
        let changed = place.file("h.h").metadata().unwrap();
        let changed = (
            std::os::unix::fs::MetadataExt::ctime(&changed),
            std::os::unix::fs::MetadataExt::ctime_nsec(&changed),
        );
        let now = || {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
            (now.tv_sec, now.tv_nsec)
        };
        while now() <= changed {
            std::thread::yield_now();
        }
    };
    future();
    let run = |word: &str| {
        assert!(place.command(DCCACHE).args([word, "gcc", "-c", "a.c"]).output().unwrap().status.success());
        (place.stat("/stored"), place.stat("/not_stored/modified_input_file"))
    };
    assert_eq!(run("sloppiness="), (0, 1));
    assert_eq!(run("sloppiness=include_file_ctime"), (0, 2), "its mtime still matters");
    assert_eq!(run("sloppiness=include_file_mtime"), (1, 2), "{}", place.explain());
    // The source's own times always matter.
    place.write("h.h", "#define N 2\n");
    let file = fs::File::options().write(true).open(place.file("a.c")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
    assert_eq!(run("sloppiness=include_file_mtime,include_file_ctime"), (1, 3), "{}", place.explain());
}

#[test]
fn response_files_are_read_as_the_compiler_is_told_and_the_configuration_says() {
    if !support::has("clang") {
        return;
    }
    let place = project();
    place.write("a.c", "#define S_(x) #x\n#define S(x) S_(x)\nconst char *a = S(P);\n");
    place.write("words", "-DP=a\\b -c a.c");
    let windows = ["--rsp-quoting=windows", "@words"];
    let plains = [["-pipe", "@words"], windows].map(|words| place.compare(&["clang"], &words, &["a.o"]));
    assert_ne!(plains[0].files, plains[1].files, "a backslash is one in one way only");
    for (setting, words, plain, cached) in [
        ("auto", ["-pipe", "@words"], &plains[0], true),
        ("posix", ["-pipe", "@words"], &plains[0], true),
        ("windows", ["-pipe", "@words"], &plains[0], false),
        ("auto", windows, &plains[1], true),
        ("windows", windows, &plains[1], true),
        ("posix", windows, &plains[1], false),
    ] {
        let word = format!("response_file_format={setting}");
        let before = counts(&place);
        for turn in 0..2 {
            assert_eq!(&place.compare(&[DCCACHE, &word, "clang"], &words, &["a.o"]), plain, "{setting}");
            let (hits, misses) = counts(&place);
            let looked = hits + misses - before.0 - before.1;
            assert_eq!(looked, if cached { turn + 1 } else { 0 }, "{setting} {words:?}: {}", place.explain());
        }
    }
    assert_eq!(counts(&place), (6, 2), "each way is compiled once");
    // The line without response files has nothing to be read.
    let place = project();
    place.assert_differential("clang", &["-c", "a.c"], &["a.o"]);
    let front = [DCCACHE, "response_file_format=windows", "clang"];
    place.compare(&front, &["-c", "a.c"], &["a.o"]);
    assert_eq!(counts(&place).1, 1);
}

#[test]
fn an_overlay_of_which_no_key_knows_gives_no_direct_hit() {
    if !support::has("clang") {
        return;
    }
    let place = project();
    place.write("b.h", "#define N 1\n");
    place.write("v.h", "#define N 3\n");
    place.write("a.c", "#include \"v.h\"\nint a(void) { return N; }\n");
    let directory = place.file("").display().to_string();
    let directory = directory.trim_end_matches('/');
    place.write(
        "overlay.yaml",
        format!(
            "{{ 'version': 0, 'use-external-names': false, 'roots': [ {{ 'name': '{directory}', 'type': 'directory', \
             'contents': [ {{ 'name': 'v.h', 'type': 'file', 'external-contents': '{directory}/b.h' }} ] }} ] }}\n"
        ),
    );
    let words = ["-ivfsoverlay", "overlay.yaml", "-c", "a.c"];
    for content in ["#define N 1\n", "#define N 2\n"] {
        place.write("b.h", content);
        let plain = place.compare(&["clang"], &words, &["a.o"]);
        for variables in [&[][..], &[support::LATER], &[support::LATER]] {
            let front = [DCCACHE, "sloppiness=ivfsoverlay", "clang"];
            assert_eq!(
                place.compare_under(variables, &front, &words, &["a.o"]),
                plain,
                "{}",
                place.explain()
            );
        }
    }
    assert_eq!(counts(&place), (4, 2), "{}", place.explain());
    assert_eq!(place.stat("/hits/direct"), 0);
}

#[test]
fn messages_in_a_language_that_does_not_matter_are_told_apart_by_the_macros_that_they_name() {
    let place = project();
    place.write("a.c", "int f(int x) { int unused = N; if (x = 1) return 2; return 0; }\n");
    // Another language than this machine has would read the same; what counts is that nobody knows.
    let run = |define: &str| {
        let mut command = place.command(DCCACHE);
        command.env("LC_ALL", "de_DE.UTF-8").args(["sloppiness=locale", "gcc", "-Wall", define, "-c", "a.c"]);
        assert!(command.output().unwrap().status.success());
    };
    run("-DN=1");
    run("-DN=1");
    assert_eq!(counts(&place), (1, 1), "{}", place.explain());
    // The same text; its messages could name this macro.
    run("-DN=1 ");
    assert_eq!(counts(&place), (1, 2), "{}", place.explain());
}
