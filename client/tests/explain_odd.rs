//! `dccache explain` where things are odd: damaged entries, dates, pipes, and names that nobody would choose.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use support::ccache::Switched;
use support::{DCCACHE, Place, text};

/// Compiles and explains.
struct Explained(Place);

const HEADER: &str = "/* width */\n#define WIDTH 2\n";

const WIDER: &str = "/* width */\n#define WIDTH 3\n";

const CALL: [&str; 6] = ["gcc", "-Iinclude", "-c", "a.c", "-o", "a.o"];

impl Explained {
    /// A place with a source that includes a header of the project.
    fn new() -> Self {
        let place = Self(Place::new());
        place.0.write("include/width.h", HEADER);
        place.0.write("a.c", "#include \"width.h\"\nint f(void) { return WIDTH; }\n");
        place
    }

    fn compile(&self, variables: &[(&str, &str)], words: &[&str]) {
        let output = self.0.command(DCCACHE).args(words).envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    }

    fn json_under(&self, variables: &[(&str, &str)], words: &[&str]) -> Value {
        let mut command = self.0.command(DCCACHE);
        let output = command.args(["explain", "--json"]).args(words).envs(variables.iter().copied());
        let output = output.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn json(&self) -> Value {
        self.json_under(&[], &[])
    }

    fn said(&self, words: &[&str]) -> String {
        text(&self.0.run(&[&["explain"], words].concat()).stdout)
    }

    /// Kind, subject, was and now of the first cause of the last compile.
    fn cause(&self) -> [String; 4] {
        first_cause(&self.json())
    }
}

fn first_cause(told: &Value) -> [String; 4] {
    assert_eq!(told["result"], "miss", "{told:#}");
    ["kind", "what", "was", "now"].map(|name| {
        let value = &told["causes"][0][name];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    })
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_debug_log_hangs_on_no_pipe_and_follows_no_link() {
    let place = Explained::new();
    let [log, inputs] = ["a.o.dccache-log", "a.o.dccache-inputs"].map(|name| place.0.file(name));
    make_fifo(&log);
    let other = place.0.write("other", "of somebody else");
    symlink(&other, &inputs).unwrap();
    place.compile(&[("DCCACHE_DEBUG", "1")], &CALL);
    assert_eq!(fs::read_to_string(other).unwrap(), "of somebody else");
    assert!(place.0.file("a.o").is_file() && inputs.is_symlink());
    for name in [&log, &inputs] {
        fs::remove_file(name).unwrap();
    }
    fs::write(&log, vec![b'x'; 100_000]).unwrap();
    place.compile(&[("DCCACHE_DEBUG", "1")], &CALL);
    let written = fs::read_to_string(log).unwrap();
    assert!(written.starts_with("compile ") && !written.contains("xxx") && inputs.is_file(), "{written}");
}

#[test]
fn a_header_that_is_a_pipe_by_now_is_explained_without_being_read() {
    let place = Explained::new();
    place.compile(&[], &CALL);
    place.0.write("include/width.h", WIDER);
    place.compile(&[], &CALL);
    fs::remove_file(place.0.file("include/width.h")).unwrap();
    make_fifo(&place.0.file("include/width.h"));
    // Both texts are kept, so the answer is the same.
    assert_eq!(place.cause(), ["input", "include/width.h", "#define WIDTH 2", "#define WIDTH 3"]);
}

#[test]
fn an_option_less_is_nearer_than_another_one_in_its_place() {
    let place = Explained::new();
    place.0.write("a.c", "int f(void) { return LEVEL; }\n");
    for more in [&["-DLEVEL=1", "-Wall"][..], &["-DLEVEL=2"], &["-DLEVEL=1"]] {
        place.compile(&[], &[&CALL[..], more].concat());
    }
    assert_eq!(place.cause(), ["argument", "", "-Wall", "null"]);
}

#[test]
fn of_two_that_are_as_near_the_newer_one_is_what_was_there() {
    let place = Explained::new();
    let include = format!("-I{}", place.0.file("include").display());
    place.0.write("a.c", "#include \"width.h\"\nconst char *f(void) { return width(); }\n");
    let line = |value: &str| format!("static inline const char *width(void) {{ return {value}; }}");
    // The second one shows where it lies: its command is known by another manifest.
    for value in ["\"1\"", "__FILE__", "\"3\""] {
        place.0.write("include/width.h", line(value));
        place.compile(&[], &["gcc", &include, "-c", "a.c"]);
    }
    let [kind, _, was, now] = place.cause();
    assert_eq!([kind, was, now], ["input".to_owned(), line("__FILE__"), line("\"3\"")]);
}

#[test]
fn the_first_edit_after_a_hit_from_elsewhere_is_named_with_its_line() {
    let switched = Switched::new();
    let place = &switched.place;
    for number in 0..40 {
        place.write(&format!("h{number:02}.h"), format!("#define H{number} 0\n"));
    }
    let includes: String = (0..40).map(|number| format!("#include \"h{number:02}.h\"\n")).collect();
    place.write("a.c", format!("{includes}int a = 1;\n"));
    let storage = format!("file:{}", place.root().join("shared").display());
    let user = |name: &str| place.root().join(name).to_str().unwrap().to_owned();
    let compile = |user: &str| {
        switched.said(&[("CCACHE_DIR", user), ("CCACHE_REMOTE_STORAGE", &storage)], &["gcc", "-c", "a.c"]);
    };
    let explained = |user: &str| {
        let output = place.command(DCCACHE).args(["explain", "--json"]).env("DCCACHE_DIR", user).output();
        serde_json::from_slice::<Value>(&output.unwrap().stdout).unwrap()
    };
    let [one, two] = [user("one"), user("two")];
    compile(&one);
    compile(&two);
    let hit = explained(&two);
    assert_eq!([&hit["result"], &hit["from"]], ["hit", "shared"], "{hit:#}");
    let texts = fs::read_dir(place.root().join("two/explain/texts")).unwrap();
    let texts = texts.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count());
    assert_eq!(texts.sum::<usize>(), 4, "no more than a hit may cost");
    // The source is the first of them.
    place.write("a.c", format!("{includes}int a = 2;\n"));
    compile(&two);
    assert_eq!(first_cause(&explained(&two)), ["input", "a.c", "int a = 1;", "int a = 2;"]);
}

#[test]
fn the_variable_behind_a_date_is_named_and_so_is_an_edit_beside_it() {
    let place = Explained::new();
    let source = |value: u32| format!("const char *day = __DATE__;\nint value = {value};\n");
    place.0.write("a.c", source(1));
    let compile = |epoch: Option<&str>| {
        let variable = epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch));
        place.compile(variable.as_slice(), &CALL);
    };
    let [early, late] = ["1000000000", "1100000000"];
    compile(None);
    compile(Some(early));
    assert_eq!(place.cause(), ["environment", "SOURCE_DATE_EPOCH", "null", early]);
    compile(Some(late));
    assert_eq!(place.cause(), ["environment", "SOURCE_DATE_EPOCH", early, late]);
    place.0.write("a.c", source(2));
    compile(Some(late));
    assert_eq!(place.cause(), ["input", "a.c", "int value = 1;", "int value = 2;"]);
    // The same of a call that is not made.
    let ask = |epoch: &str| {
        place.json_under(&[("SOURCE_DATE_EPOCH", epoch)], &[&["--"], &CALL[..]].concat())["now"].clone()
    };
    assert_eq!(first_cause(&ask("1200000000"))[1..3], ["SOURCE_DATE_EPOCH", late]);
    place.0.write("a.c", source(3));
    assert_eq!(first_cause(&ask(late)), ["input", "a.c", "int value = 2;", "int value = 3;"]);
}

#[test]
fn a_damaged_entry_is_a_fault_and_not_evicted() {
    let place = Explained::new();
    place.compile(&[], &CALL);
    let entries = place.0.entries();
    for entry in &entries {
        let mut bytes = fs::read(entry).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(entry, bytes).unwrap();
    }
    place.compile(&[], &CALL);
    let told = place.json();
    assert_eq!(first_cause(&told)[..2], ["fault", "corrupt_entry"]);
    assert_eq!(told["causes"].as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(told["faults"], serde_json::json!(["corrupt_entry"]));
    let said = place.said(&[]);
    assert_eq!(said.lines().filter(|line| line.starts_with("fault ")).count(), 1, "{said}");
}

#[test]
fn a_command_that_is_too_long_for_a_record_still_has_its_edited_line() {
    let place = Explained::new();
    let value = "1".repeat(150);
    let macros: Vec<String> = (0..500).map(|number| format!("-DMACRO_{number}={value}")).collect();
    let call: Vec<&str> = CALL.into_iter().chain(macros.iter().map(String::as_str)).collect();
    place.compile(&[], &call);
    assert_eq!(place.cause()[0], "new");
    place.0.write("include/width.h", WIDER);
    place.compile(&[], &call);
    assert_eq!(place.cause(), ["input", "include/width.h", "#define WIDTH 2", "#define WIDTH 3"]);
}

#[test]
fn what_would_happen_to_a_call_goes_by_the_configuration() {
    let place = Explained::new();
    let ask = |variable| place.json_under(&[variable], &[&["--"], &CALL[..]].concat())["now"].clone();
    let [read_only, read_only_direct, verify] =
        [("DCCACHE_READ_ONLY", "true"), ("DCCACHE_READ_ONLY_DIRECT", "true"), ("DCCACHE_VERIFY", "always")];
    // What is foretold is what then happens.
    for variable in [read_only, read_only_direct, verify] {
        let mut told = ask(variable);
        assert_eq!(told["verify"], Value::Null);
        place.compile(&[variable], &CALL);
        let done = place.json();
        for name in ["result", "reason", "stored"] {
            assert_eq!(told[name].take(), done[name], "{name} {variable:?}: {done:#}");
        }
    }
    for variable in [read_only, read_only_direct, verify, ("DCCACHE_VERIFY", "0.5")] {
        let told = ask(variable);
        assert_eq!([&told["result"], &told["way"]], ["hit", "direct"], "{variable:?}");
        let verifies = (variable.0 == verify.0).then_some(variable.1);
        assert_eq!(told["verify"], Value::from(verifies));
    }
    let call = [&["explain", "--"], &CALL[..]].concat();
    let output = place.0.command(DCCACHE).args(call).envs([verify]).output().unwrap();
    let said = text(&output.stdout);
    assert!(
        said.lines().any(|line| line.starts_with("verify ") && line.contains("compiled as well")),
        "{said}"
    );
}

#[test]
fn what_differs_in_a_command_is_shown_in_words() {
    let place = Explained::new();
    fs::create_dir(place.0.file(".git")).unwrap();
    for source in ["b.c", "sub/b.c"] {
        place.0.write(source, "int b;\n");
    }
    let compile = |directory: &str, more: &[&str]| {
        let mut command = place.0.command(DCCACHE);
        command.args(["gcc", "-c", "b.c"]).args(more).current_dir(place.0.file(directory));
        assert!(command.status().unwrap().success());
    };
    let command = |object: &str| {
        let told = place.json_under(&[], &[object]);
        let causes = told["causes"].as_array().unwrap().iter().filter(|cause| cause["kind"] == "command");
        causes.map(|cause| ["what", "was", "now"].map(|name| cause[name].clone())).collect::<Vec<_>>()
    };
    compile("", &["-g"]);
    compile("sub", &["-g"]);
    let root = place.0.work().canonicalize().unwrap();
    assert_eq!(command("sub/b.o"), [["working directory", root.to_str().unwrap(), "sub"]]);
    compile("", &["-g", "-MD"]);
    assert_eq!(command("b.o"), [["dependency mode", "none", "-MD"]]);
    // A call that names no source is an example of nothing.
    assert!(!place.0.run(&["gcc", "-c"]).status.success());
    let said = place.said(&["--build"]);
    assert!(said.contains("1 compiles\n") && !said.contains("such as \n"), "{said}");
}

#[test]
fn who_asks_for_what_ccaches_name_compiled_is_told_where_it_is_recorded() {
    let switched = Switched::new();
    let place = &switched.place;
    let cache = place.root().join("cache");
    switched.said(&[("CCACHE_DIR", cache.to_str().unwrap())], &["gcc", "-c", "a.c"]);
    let hint = "`DCCACHE_DIR=$CCACHE_DIR dccache explain ...`";
    let ask = |home: &Path| place.command(DCCACHE).args(["explain", "a.o"]).env("DCCACHE_DIR", home).output();
    let elsewhere = ask(&place.home()).unwrap();
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(text(&elsewhere.stderr).contains(hint), "{}", text(&elsewhere.stderr));
    assert!(text(&ask(&cache).unwrap().stdout).contains("miss: compiled and stored"));
}
