//! `dccache explain`: each cause of a miss is named, after the fact and from records alone.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use serde_json::Value;
use std::fs;
use support::{ALWAYS, DCCACHE, LATER, Place, compilers, text};

/// Compiles and explains.
struct Explained(Place);

impl Explained {
    /// A place with a source that includes a header of the project.
    fn new() -> Self {
        let place = Self(Place::new());
        place.0.write(
            "include/width.h",
            "/* width */\n#define WIDTH 2\n#ifndef LEVEL\n#define LEVEL 0\n#endif\n",
        );
        place.0.write("a.c", "#include \"width.h\"\nint f(void) { return WIDTH + LEVEL; }\n");
        place
    }

    fn compile(&self, variables: &[(&str, &str)], words: &[&str]) {
        let output = self.0.command(DCCACHE).args(words).envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    }

    fn json(&self, words: &[&str]) -> Value {
        let words = [&["explain", "--json"], words].concat();
        let output = self.0.run(&words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Kind, subject, was and now of the first cause of the last compile.
    fn cause(&self) -> [String; 4] {
        self.cause_of(&[])
    }

    fn cause_of(&self, words: &[&str]) -> [String; 4] {
        let last = self.json(words);
        assert_eq!(last["result"], "miss", "{last:#}");
        ["kind", "what", "was", "now"].map(|name| {
            let value = &last["causes"][0][name];
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        })
    }
}

/// The header with another width, and nothing else.
const WIDER: &str = "/* width */\n#define WIDTH 3\n#ifndef LEVEL\n#define LEVEL 0\n#endif\n";

const BASE: [&str; 5] = ["-Iinclude", "-c", "a.c", "-o", "a.o"];

fn words<'a>(compiler: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[compiler], &BASE[..], more].concat()
}

/// The ways in which a compile comes to its key: by lists, and by the text.
const WAYS: [(&str, &str); 2] = [ALWAYS, ("DCCACHE_DEPEND_MODE", "false")];

#[test]
fn a_header_that_changed_is_named_with_its_first_differing_line() {
    for compiler in compilers() {
        for way in WAYS {
            let place = Explained::new();
            place.compile(&[way], &words(compiler, &[]));
            assert_eq!(place.cause()[0], "new", "{compiler} {way:?}");
            place.0.write("include/width.h", WIDER);
            place.compile(&[way], &words(compiler, &[]));
            let expected = ["input", "include/width.h", "#define WIDTH 2", "#define WIDTH 3"];
            assert_eq!(place.cause(), expected, "{compiler} {way:?}");
            let last = place.json(&["a.o"]);
            assert_eq!(last["causes"][0]["line"], 2);
            // What is explained afterwards is the same when the file has moved on, and when something else was compiled.
            place.0.write("include/width.h", "/* none */\n");
            place.0.write("b.c", "int b;\n");
            place.compile(&[way], &[compiler, "-c", "b.c"]);
            assert_eq!(place.json(&["a.o"]), last);
            assert_eq!(place.json(&["a.c"]), last);
            let said = text(&place.0.run(&["explain", "a.o"]).stdout);
            assert!(
                said.contains("input include/width.h:2: `#define WIDTH 3`, was `#define WIDTH 2`"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_flag_that_is_new_gone_or_another_is_named() {
    for compiler in compilers() {
        let place = Explained::new();
        place.compile(&[], &words(compiler, &["-DLEVEL=1"]));
        place.compile(&[], &words(compiler, &["-DLEVEL=2"]));
        assert_eq!(place.cause(), ["argument", "", "-DLEVEL=1", "-DLEVEL=2"], "{compiler}");
        place.compile(&[], &words(compiler, &["-DLEVEL=2", "-O1"]));
        assert_eq!(place.cause(), ["argument", "", "null", "-O1"], "{compiler}");
        place.compile(&[], &words(compiler, &["-O1"]));
        assert_eq!(place.cause(), ["argument", "", "-DLEVEL=2", "null"], "{compiler}");
        // The nearest is not the last.
        place.compile(&[], &words(compiler, &["-DLEVEL=1", "-Wall"]));
        assert_eq!(place.cause(), ["argument", "", "null", "-Wall"], "{compiler}");
    }
}

#[test]
fn an_environment_variable_that_differs_is_named_with_both_values() {
    for compiler in compilers() {
        let place = Explained::new();
        place.compile(&[("LC_ALL", "C")], &words(compiler, &["-Wall"]));
        place.compile(&[("LC_ALL", "C.UTF-8")], &words(compiler, &["-Wall"]));
        assert_eq!(place.cause(), ["environment", "LC_ALL", "C", "C.UTF-8"], "{compiler}");
    }
}

#[test]
fn a_file_of_the_toolchain_that_changed_is_named() {
    let place = Explained::new();
    let found = std::process::Command::new("sh").args(["-c", "command -v as"]).output().unwrap();
    let found = text(&found.stdout);
    let assembler = place.0.file("bin/as");
    fs::create_dir(place.0.file("bin")).unwrap();
    fs::copy(found.trim(), &assembler).unwrap();
    support::age(&assembler);
    place.compile(&[LATER], &words("gcc", &["-B", "bin"]));
    let mut bytes = fs::read(&assembler).unwrap();
    bytes.extend(b"another build");
    fs::write(&assembler, bytes).unwrap();
    support::age(&assembler);
    place.compile(&[LATER], &words("gcc", &["-B", "bin"]));
    let [kind, what, ..] = place.cause();
    assert_eq!(kind, "toolchain");
    assert!(what.starts_with("as ") && what.ends_with("bin/as"), "{what}");
}

#[test]
fn a_header_that_appears_where_it_is_found_first_is_named() {
    for compiler in compilers() {
        for way in WAYS {
            let place = Explained::new();
            let call = words(compiler, &["-Ifirst"]);
            let call = [&call[..1], &["-Ifirst"], &call[1..6]].concat();
            fs::create_dir(place.0.file("first")).unwrap();
            place.compile(&[way], &call);
            place.0.write("first/width.h", "#define WIDTH 4\n#define LEVEL 0\n");
            place.compile(&[way], &call);
            let [kind, what, ..] = place.cause();
            assert_eq!([kind.as_str(), what.as_str()], ["guard", "first/width.h"], "{compiler} {way:?}");
        }
    }
}

#[test]
fn a_result_that_is_not_there_any_more_is_called_evicted() {
    for compiler in compilers() {
        let place = Explained::new();
        place.compile(&[], &words(compiler, &[]));
        place.0.entries().into_iter().for_each(|entry| fs::remove_file(entry).unwrap());
        place.compile(&[], &words(compiler, &[]));
        assert_eq!(place.cause()[0], "evicted", "{compiler}");
    }
}

#[test]
fn another_checkout_is_told_why_it_cannot_share() {
    for compiler in compilers() {
        let place = Explained::new();
        let second = place.0.root().join("second");
        fs::create_dir_all(second.join("include")).unwrap();
        for name in ["a.c", "include/width.h"] {
            fs::copy(place.0.file(name), second.join(name)).unwrap();
            support::age(&second.join(name));
        }
        place.compile(&[], &words(compiler, &["-g"]));
        let call = words(compiler, &["-g"]);
        let output = place.0.command(DCCACHE).args(call).current_dir(&second).output().unwrap();
        assert!(output.status.success());
        let [kind, _, was, now] = place.cause_of(&["../second/a.o"]);
        assert_eq!(kind, "directory", "{compiler}");
        assert!(was.ends_with("/work") && now.ends_with("/second"), "{was} {now}");
        let note = place.json(&["../second/a.o"])["causes"][0]["note"].as_str().unwrap().to_owned();
        assert!(note.contains("debug information"), "{note}");
    }
}

#[test]
fn what_the_configuration_says_is_named() {
    let place = Explained::new();
    let call = words("gcc", &[]);
    place.compile(&[], &call);
    place.compile(&[("DCCACHE_NAMESPACE", "team")], &call);
    assert_eq!(place.cause(), ["policy", "namespace", "default", "team"]);
    place.compile(&[("DCCACHE_RECACHE", "true")], &call);
    assert_eq!(place.cause()[..2], ["policy", "recache"]);
    let extra = place.0.write("extra", "1");
    let extra = [("DCCACHE_EXTRA_FILES_TO_HASH", extra.to_str().unwrap())];
    place.compile(&extra, &call);
    assert_eq!(place.cause()[..2], ["named_file", "extra_files_to_hash"]);
}

#[test]
fn a_bypass_names_the_argument_and_what_to_change() {
    let place = Explained::new();
    place.compile(&[], &words("gcc", &["-save-temps"]));
    let last = place.json(&["a.o"]);
    assert_eq!([&last["result"], &last["reason"]], ["bypass", "unsupported_compiler_option"]);
    assert_eq!(last["because_of"], "-save-temps");
    assert!(last["advice"].as_str().unwrap().contains("leave the option out"));
}

#[test]
fn a_hit_says_which_kind_and_from_where() {
    for compiler in compilers() {
        let place = Explained::new();
        place.compile(&[], &words(compiler, &[]));
        for variables in [[("X", "")], [LATER], [LATER]] {
            place.compile(&variables, &words(compiler, &[]));
            let last = place.json(&["a.o"]);
            assert_eq!([&last["result"], &last["way"], &last["from"]], ["hit", "direct", "local"]);
            assert_eq!([&last["signer"], &last["signed_by"]], [&Value::Null; 2]);
        }
        place.compile(&[("DCCACHE_DIRECT_MODE", "false"), WAYS[1]], &words(compiler, &[]));
        assert_eq!(place.json(&[])["way"], "preprocessed", "{compiler}");
    }
}

#[test]
fn a_build_is_summed_by_cause_with_the_largest_saving_first() {
    let place = Explained::new();
    let names: Vec<String> = (0..4).map(|number| format!("b{number}.c")).collect();
    for name in &names {
        place.0.write(name, "#include \"width.h\"\nint f(void) { return WIDTH; }\n");
    }
    let build = |flag: &str| {
        for name in &names {
            place.compile(&[], &["gcc", "-Iinclude", "-c", name, flag]);
        }
    };
    build("-O1");
    let first = place.json(&["--build"]);
    assert_eq!([&first["compiles"], &first["misses"], &first["hits"]], [4, 4, 0]);
    assert_eq!(first["causes"][0]["kind"], "new");
    fs::remove_dir_all(place.0.home().join("stats")).unwrap();
    build("-O1");
    build("-O2");
    place.compile(&[], &["gcc", "-E", "a.c", "-Iinclude", "-o", "a.i"]);
    let sum = place.json(&["--build"]);
    assert_eq!([&sum["compiles"], &sum["hits"], &sum["misses"], &sum["bypasses"]], [9, 4, 4, 1], "{sum:#}");
    let causes = sum["causes"].as_array().unwrap();
    let told: Vec<_> = causes
        .iter()
        .map(|cause| (cause["title"].as_str().unwrap(), cause["compiles"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("argument: -O1 -> -O2", 4), ("called for preprocessing: -E", 1)]);
    assert_eq!(sum["missed_ms"], causes[0]["compile_ms"]);
    let said = text(&place.0.run(&["explain", "--build"]).stdout);
    assert!(said.contains("cause        argument: -O1 -> -O2"), "{said}");
    let code = |words: &[&str]| place.0.run(words).status.code();
    assert_eq!(code(&["explain", "--build", "."]), Some(0));
    assert_eq!(code(&["explain", "--build", "/nowhere"]), Some(1));
    assert_eq!(code(&["explain", "--build", "--since", "1h"]), Some(0));
}

#[test]
fn what_is_not_known_is_said_with_what_to_do() {
    let place = Explained::new();
    let said = |words: &[&str]| {
        let output = place.0.run(words);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{words:?}");
        text(&output.stderr)
    };
    assert!(said(&["explain"]).contains("nothing was compiled yet"));
    place.compile(&[("DCCACHE_STATS", "false")], &words("gcc", &[]));
    assert!(said(&["explain"]).contains("nothing was compiled yet"));
    assert!(!place.0.home().join("explain").exists());
    place.compile(&[], &words("gcc", &[]));
    assert!(said(&["explain", "other.o"]).contains("other.o"));
    assert_eq!(place.0.run(&["explain", "--since", "5m"]).status.code(), Some(2));
}

#[test]
fn damaged_records_explain_less_and_break_nothing() {
    let place = Explained::new();
    place.compile(&[], &words("gcc", &[]));
    place.0.write("include/width.h", WIDER);
    place.compile(&[], &words("gcc", &[]));
    let log = place.0.home().join("explain/log");
    let whole = fs::read(&log).unwrap();
    for bytes in [&whole[..whole.len() - 3], &whole[7..], b"", &[0xDE; 64]] {
        fs::write(&log, bytes).unwrap();
        let last = place.json(&[]);
        assert_eq!(last["result"], "miss");
    }
    fs::write(&log, &whole).unwrap();
    fs::remove_dir_all(place.0.home().join("explain/texts")).unwrap();
    // The line as it is now is there, what it was is not known.
    let last = place.json(&[]);
    assert_eq!(
        [&last["causes"][0]["kind"], &last["causes"][0]["line"]],
        [&Value::from("input"), &Value::Null]
    );
    fs::remove_dir_all(place.0.home().join("explain")).unwrap();
    fs::write(place.0.home().join("explain"), "no directory").unwrap();
    place.0.write("include/width.h", "/* width */\n#define WIDTH 4\n#define LEVEL 0\n");
    place.compile(&[], &words("gcc", &[]));
    assert_eq!(place.json(&[])["result"], "miss");
}

#[test]
fn a_call_is_told_what_would_happen_to_it_and_nothing_is_compiled() {
    for compiler in compilers() {
        let place = Explained::new();
        let call = words(compiler, &[]);
        let ask = |more: &[&str]| place.json(&[&["--"], &call[..], more].concat());
        let first = ask(&[]);
        assert_eq!([&first["now"]["result"], &first["now"]["causes"][0]["kind"]], ["miss", "new"]);
        assert_eq!(first["last"], Value::Null);
        assert!(!place.0.file("a.o").exists() && place.0.entries().is_empty());
        place.compile(&[], &call);
        fs::remove_file(place.0.file("a.o")).unwrap();
        let second = ask(&[]);
        let now = ["result", "way", "from"].map(|name| second["now"][name].as_str().unwrap());
        assert_eq!((now, second["last"]["result"].as_str()), (["hit", "direct", "local"], Some("miss")));
        let third = ask(&["-DLEVEL=7"]);
        let cause = &third["now"]["causes"][0];
        assert_eq!([&cause["kind"], &cause["now"]], ["argument", "-DLEVEL=7"], "{third:#}");
        place.0.write("include/width.h", WIDER);
        let fourth = ask(&[]);
        let cause = &fourth["now"]["causes"][0];
        assert_eq!(
            [&cause["kind"], &cause["line"], &cause["was"]],
            [&Value::from("input"), &Value::from(2), &Value::from("#define WIDTH 2")]
        );
        let bypass = ask(&["-save-temps"]);
        assert_eq!([&bypass["now"]["result"], &bypass["now"]["because_of"]], ["bypass", "-save-temps"]);
        let team = place.json(&[&["--", "namespace=team"], &call[..]].concat());
        let cause = &team["now"]["causes"][0];
        assert_eq!([&cause["kind"], &cause["what"], &cause["now"]], ["policy", "namespace", "team"]);
        assert!(!place.0.file("a.o").exists());
        assert_eq!((place.0.stat("/hits/total"), place.0.stat("/misses")), (0, 1), "nothing is counted");
        let said = text(&place.0.run(&[&["explain", "--"], &call[..]].concat()).stdout);
        assert!(said.starts_with("What would happen now:\n") && said.contains("written last"), "{said}");
    }
    let place = Explained::new();
    let code = |words: &[&str]| place.0.run(words).status.code();
    assert_eq!(code(&["explain", "--", "namespace=x"]), Some(2));
    assert_eq!(code(&["explain", "--", "no-such-compiler", "-c", "a.c"]), Some(127));
}

#[test]
fn the_inputs_of_a_key_are_written_beside_the_object_in_order() {
    for compiler in compilers() {
        let place = Explained::new();
        let call = words(compiler, &["-DLEVEL=2"]);
        let debug = [("DCCACHE_DEBUG", "1"), ("LC_ALL", "C"), LATER];
        place.compile(&debug, &call);
        let inputs = || fs::read_to_string(place.0.file("a.o.dccache-inputs")).unwrap();
        let cold = inputs();
        let names: Vec<&str> = cold.lines().filter(|line| !line.starts_with(' ')).skip(1).collect();
        let names: Vec<&str> = names.iter().map(|line| line.split(':').next().unwrap()).collect();
        let fields = [
            "namespace",
            "language",
            "toolchain",
            "driver",
            "native",
            "environment",
            "extra files",
            "dependency mode",
            "colour",
            "source",
            "output",
            "recorded",
            "arguments",
            "option files",
            "working directory",
            "include directories",
            "include environment",
        ];
        assert_eq!(names[..fields.len()], fields, "{cold}");
        for line in ["source: a.c", "  LC_ALL=C", "  -DLEVEL=2", "  -Iinclude", "  ROOT/include"] {
            assert!(cold.lines().any(|found| found == line), "{line}: {cold}");
        }
        assert!(cold.contains("ROOT/include/width.h\n"), "{cold}");
        let log = fs::read_to_string(place.0.file("a.o.dccache-log")).unwrap();
        assert!(log.contains("miss: compiled and stored"), "{log}");
        // A hit is made of the same.
        let made =
            |text: &str| text.split("inputs:\n").nth(1).unwrap().split("keys:\n").next().unwrap().to_owned();
        for _ in 0..2 {
            place.compile(&debug, &call);
            assert_eq!(made(&inputs()), made(&cold));
        }
        assert_eq!(place.0.stat("/hits/direct"), 2, "{}", place.0.explain());
        // Where nothing can be written, nothing is.
        fs::remove_file(place.0.file("a.o.dccache-inputs")).unwrap();
        fs::create_dir(place.0.file("a.o.dccache-inputs")).unwrap();
        place.compile(&debug, &call);
    }
}
