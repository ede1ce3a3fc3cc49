//! The local store under faults and under many processes at once. Faults are real: mounts, permissions, damaged bytes.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use support::{DCCACHE, LATER, Mount, Place, text};

#[test]
fn a_corrupt_entry_is_a_miss_that_is_counted_and_replaced() {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    let entry = place.entries().remove(0);
    let mut bytes = fs::read(&entry).unwrap();
    let end = bytes.len() - 1;
    for damage in [20, end] {
        bytes[damage] ^= 1;
        fs::write(&entry, &bytes).unwrap();
        bytes[damage] ^= 1;
        place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    }
    fs::write(&entry, b"").unwrap();
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    assert!(place.stat("/faults/corrupt_entry") >= 3, "{}", place.stats());
}

#[test]
fn a_store_that_cannot_be_made_changes_nothing_for_the_build() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    fs::write(place.home(), "a file where the directory should be").unwrap();
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    assert!(place.file("a.o").exists());
}

#[test]
fn a_full_disk_stores_nothing_and_the_compile_goes_on() {
    let place = Place::new();
    let Some(_mount) = Mount::tmpfs(&place, "256k") else { return };
    place.write("a.c", "int a(void) { return 1; }\n");
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    fs::write(place.home().join("filler"), vec![1; 1 << 20]).unwrap_err();
    place.write("b.c", "int b(void) { return 2; }\n");
    for _ in 0..2 {
        let plain = place.compare(&["gcc"], &["-c", "b.c"], &["b.o"]);
        assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "b.c"], &["b.o"]), plain);
    }
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]), plain, "what is stored is served");
    assert_eq!(place.entries().len(), 1);
    let half_written =
        walk(&place.home()).into_iter().filter(|path| path.to_string_lossy().contains(".tmp-"));
    assert_eq!(half_written.count(), 0);
}

#[test]
fn a_full_temporary_directory_fails_no_compile_that_needs_none() {
    let place = Place::new();
    let Some(_mount) = Mount::tmpfs(&place, "256k") else { return };
    let full = place.home().display().to_string();
    let variables = [("DCCACHE_DEPEND_MODE", "true"), ("TMPDIR", full.as_str())];
    for (name, is_full) in [("w", false), ("a", true)] {
        if is_full {
            fs::write(place.home().join("filler"), vec![1; 1 << 20]).unwrap_err();
        }
        place.write(&format!("{name}.c"), "int a(void) { return 1; }\n");
        let (source, object) = (format!("{name}.c"), format!("{name}.o"));
        let words = ["-pipe", "-c", source.as_str()];
        let plain = place.compare_under(&variables, &["gcc"], &words, &[&object]);
        assert_eq!(plain.code, Some(0), "{}", plain.stderr);
        assert_eq!(place.compare_under(&variables, &[DCCACHE, "gcc"], &words, &[&object]), plain);
    }
}

fn walk(directory: &std::path::Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_read_only_store_is_used_and_not_written() {
    let place = Place::new();
    let Some(mount) = Mount::tmpfs(&place, "16m") else { return };
    place.write("a.c", "int a(void) { return 1; }\n");
    place.write("b.c", "int b(void) { return 2; }\n");
    let plain = place.compare(&["gcc"], &["-v", "-c", "a.c"], &["a.o"]);
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    mount.remount_read_only();
    let processes = children_of(&place, &["gcc", "-c", "a.c"]);
    assert!(!processes.contains("cc1 -quiet"), "served without compiling: {processes}");
    assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "a.c"], &["a.o"]).files, plain.files);
    let plain = place.compare(&["gcc"], &["-c", "b.c"], &["b.o"]);
    assert_eq!(place.compare(&[DCCACHE, "gcc"], &["-c", "b.c"], &["b.o"]), plain);
}

/// Returns the programs that a call of ours starts, one line each.
fn children_of(place: &Place, words: &[&str]) -> String {
    let log = place.root().join("strace");
    let mut command = place.command("strace");
    command.args(["-f", "-e", "trace=execve", "-s", "400", "-o"]).arg(&log).arg(DCCACHE).args(words);
    assert!(command.output().unwrap().status.success());
    fs::read_to_string(log).unwrap()
}

#[test]
fn a_direct_hit_starts_nothing_and_a_preprocessed_one_nothing_but_the_preprocessor() {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    let started = |processes: &str| {
        let started = processes.lines().filter(|line| line.contains("execve(") && !line.contains("= -1"));
        started.count()
    };
    let processes = children_of(&place, &["gcc", "-c", "a.c"]);
    assert_eq!(started(&processes), 1, "ourselves: {processes}");
    let processes = children_of(&place, &["direct_mode=false", "gcc", "-c", "a.c"]);
    assert_eq!(started(&processes), 3, "ourselves, the driver, and cc1 -E: {processes}");
    assert!(processes.contains("\"-E\""));
}

#[test]
fn of_many_processes_that_want_one_key_one_compiles() {
    let place = Place::new();
    place.write("a.c", "#include <stdio.h>\nint a(void) { return puts(\"x\"); }\n");
    // Warm the toolchain record, so that all processes come to the key at about the same time.
    place.write("warm.c", "int w;\n");
    assert!(place.run(&["gcc", "-c", "warm.c"]).status.success());
    let start = |number: usize| -> Child {
        let output = format!("a{number}.o");
        let mut command = place.command(DCCACHE);
        command.args(["gcc", "-O2", "-c", "a.c", "-o", &output]).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = (0..50).map(start).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let first = fs::read(place.file("a0.o")).unwrap();
    assert!((1..50).all(|number| fs::read(place.file(&format!("a{number}.o"))).unwrap() == first));
    assert_eq!((place.stat("/misses"), place.stat("/hits/local")), (2, 49), "one for a.c, one for warm.c");
    assert_eq!(fs::read_dir(place.home().join("locks")).unwrap().count(), 0, "no lock is left behind");
}

#[test]
fn fifty_processes_of_two_compilers_share_one_small_store_within_its_bound() {
    let place = Place::new();
    fs::create_dir(place.home()).unwrap();
    fs::write(place.home().join("dccache.toml"), "max_size = \"64k\"\n").unwrap();
    let compilers = support::compilers();
    let words = |number: usize| (compilers[number % compilers.len()], format!("s{number}.c"));
    let plain: Vec<_> = (0..50)
        .map(|number| {
            let (compiler, source) = words(number);
            place.write(&source, format!("int f{number}(int x) {{ return x * {number}; }}\n"));
            place.compare(&[compiler], &["-c", &source], &[&format!("s{number}.o")]).files
        })
        .collect();
    for round in 0..2 {
        let start = |number: usize| -> Child {
            let (compiler, source) = words(number);
            fs::remove_file(place.file(&format!("s{number}.o"))).unwrap();
            place.command(DCCACHE).args([compiler, "-c", &source]).spawn().unwrap()
        };
        let children: Vec<Child> = (0..50).map(start).collect();
        for (number, mut child) in children.into_iter().enumerate() {
            assert!(child.wait().unwrap().success());
            let object = format!("s{number}.o");
            let ours = vec![(object.clone(), fs::read(place.file(&object)).ok())];
            assert!(ours == plain[number], "{object} in round {round}");
        }
        let held: u64 = place.entries().iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(
            held <= 64_000 + 16 * 4_000,
            "{held} bytes: each shard may hold one entry more than its share"
        );
    }
    let stats = place.stats();
    assert_eq!(stats["misses"].as_u64().unwrap() + stats["hits"]["local"].as_u64().unwrap(), 100, "{stats}");
    assert!(stats["hits"]["local"].as_u64() > Some(0) && stats["faults"] == serde_json::json!({}), "{stats}");
}

#[test]
fn an_input_that_changes_during_the_compile_is_not_stored() {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    // A time in the future says the same as a change after the start.
    let file = fs::File::options().write(true).open(place.file("a.c")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(3600)).unwrap();
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    assert_eq!(place.stat("/not_stored/modified_input_file"), 1, "{}", place.explain());
    assert_eq!(place.entries().len(), 0);
}

#[test]
fn statistics_count_bytes_and_the_compile_time_that_hits_spared() {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    place.write("b.c", "#warning told\nint b(void) { return 2; }\n");
    place.assert_differential("gcc", &["-c", "a.c"], &["a.o"]);
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    let size = place.file("a.o").metadata().unwrap().len();
    assert_eq!(
        (place.stat("/served_bytes"), place.stat("/stored_bytes")),
        (5 * size, size),
        "{}",
        place.stats()
    );
    place.assert_differential("gcc", &["-c", "b.c"], &["b.o"]);
    let stats = place.stats();
    let pointers =
        ["/hits/total", "/hits/local", "/hits/ring", "/misses", "/stored", "/bypassed", "/store/files"];
    let counts = pointers.map(|pointer| place.stat(pointer));
    // Entries, second names, manifests and sealed records.
    let kept: Vec<u64> = kept_files(&place).iter().map(|path| path.metadata().unwrap().len()).collect();
    let (files, held) = (kept.len() as u64, kept.iter().sum::<u64>());
    assert_eq!(counts, [9, 9, 0, 2, 2, 0, files], "{stats}");
    assert!(files > 2, "{stats}");
    assert_eq!((place.stat("/store/bytes"), place.stat("/store/max_size")), (held, 5 << 30), "{stats}");
    let text = text(&place.run(&["stats"]).stdout);
    for line in ["hits, local store", "misses", "compile time saved", "served", "local store"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(place.run(&["stats", "--zero"]).status.success());
    assert_eq!((place.stat("/hits/total"), place.stat("/store/files")), (0, files));
}

/// Files of the store that count against its bound.
fn kept_files(place: &Place) -> Vec<PathBuf> {
    let shards = fs::read_dir(place.home().join("objects")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    files.filter(|file| file.file_name().unwrap().to_string_lossy().as_bytes()[1] == b'-').collect()
}

#[test]
fn recache_replaces_and_read_only_stores_nothing() {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    let with = |name: &str| {
        let mut command = place.command(DCCACHE);
        assert!(command.env(name, "true").args(["gcc", "-c", "a.c"]).status().unwrap().success());
    };
    with("DCCACHE_READ_ONLY");
    assert_eq!(place.entries().len(), 0);
    with("DCCACHE_RECACHE");
    with("DCCACHE_RECACHE");
    assert_eq!(place.stat("/stored"), 2);
    with("DCCACHE_READ_ONLY");
    assert_eq!(place.stat("/hits/local"), 1);
    with("DCCACHE_DISABLE");
    assert_eq!(place.stat("/hits/local"), 1);
}

#[test]
fn recache_compiles_at_each_call_although_everything_is_known() {
    let place = Place::new();
    place.write("a.c", "int a(void) { return 1; }\n");
    for stored in 1..=3 {
        let mut command = place.command(DCCACHE);
        command.env("DCCACHE_RECACHE", "true").env(LATER.0, LATER.1).args(["gcc", "-c", "a.c"]);
        assert!(command.status().unwrap().success());
        assert_eq!((place.stat("/stored"), place.stat("/hits/direct")), (stored, 0));
    }
}
