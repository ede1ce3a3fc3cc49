//! Plugins: left alone, unless the user vouches for them; then their contents count, those of their libraries, and those of files that their
//! arguments name.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{DCCACHE, LATER, Place, age, has, text};

/// Writes into each object what it was built with, what its library says, and what the file of its argument holds.
const PLUGIN: &str = r#"
#include "gcc-plugin.h"
#include "plugin-version.h"
#include "tree.h"
#include "output.h"
#include <stdio.h>
#include <string.h>
int plugin_is_GPL_compatible;
extern "C" const char *library_says(void);
static char words[256];
static void finish(void *, void *) { fprintf(asm_out_file, "\t.ident \"%s %s\"\n", BUILT, words); }
int plugin_init(struct plugin_name_args *args, struct plugin_gcc_version *) {
  snprintf(words, sizeof words, "%s", library_says());
  for (int i = 0; i < args->argc; i++) {
    size_t length = strlen(words);
    FILE *file = args->argv[i].value ? fopen(args->argv[i].value, "r") : 0;
    if (file) {
      length += fread(words + length, 1, 100, file);
      words[length] = 0;
      fclose(file);
    } else
      snprintf(words + length, sizeof words - length, " %s", args->argv[i].key);
  }
  register_callback(args->base_name, PLUGIN_FINISH_UNIT, finish, 0);
  return 0;
}
"#;

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

/// Directory of the headers for plugins of gcc; `None` without them.
fn headers() -> Option<PathBuf> {
    let output = Command::new("gcc").arg("-print-file-name=plugin").output().ok()?;
    let headers = Path::new(text(&output.stdout).trim()).join("include");
    let there = headers.join("gcc-plugin.h").is_file();
    if !there {
        eprintln!("SKIPPED: gcc-12-plugin-dev is not installed, so this test proves nothing here");
    }
    there.then_some(headers)
}

fn library(place: &Place, says: &str) {
    let source =
        place.write("build/library.c", format!("const char *library_says(void) {{ return \"{says}\"; }}\n"));
    run(place.command("gcc").args(["-shared", "-fPIC", "-o", "build/libsays.so"]).arg(source));
}

fn plugin(place: &Place, headers: &Path, built: &str) {
    place.write("build/plugin.cc", PLUGIN);
    let mut command = place.command("g++");
    command.args(["-w", "-shared", "-fPIC", "-fno-rtti", "-o", "build/plugin.so", "build/plugin.cc"]);
    let built = format!("-DBUILT=\"{built}\"");
    run(command.arg("-I").arg(headers).args([&built, "build/libsays.so", "-Wl,-rpath,$ORIGIN"]));
}

/// Writes a file's bytes over another one's under the time that it had.
fn exchange(from: &Path, to: &Path) {
    let content = fs::read(from).unwrap();
    let time = match to.metadata() {
        Ok(old) => {
            assert_eq!(old.len(), content.len() as u64);
            old.modified().unwrap()
        }
        Err(_) => from.metadata().unwrap().modified().unwrap(),
    };
    fs::write(to, content).unwrap();
    age(to);
    fs::File::options().write(true).open(to).unwrap().set_modified(time).unwrap();
}

const SLOPPY: &str = "sloppiness=plugins";

/// Compiles with and without us; returns hits and misses so far.
fn compile(place: &Place, setting: &str, compiler: &str, words: &[&str]) -> (u64, u64) {
    let words = [words, &["-c", "a.c"]].concat();
    let plain = place.compare(&[compiler], &words, &["a.o"]);
    assert_eq!(plain.code, Some(0), "{plain:?}");
    let ours = place.compare_under(&[LATER], &[DCCACHE, setting, compiler], &words, &["a.o"]);
    assert_eq!(ours, plain, "{words:?}: {}", place.explain());
    (place.stat("/hits/local"), place.stat("/misses"))
}

#[test]
fn a_plugin_of_gcc_changed_under_the_same_name_size_and_time_is_another_one() {
    let Some(headers) = headers() else { return };
    let place = Place::new();
    place.write(".git/HEAD", "");
    place.write("a.c", "int a;\n");
    place.write("build/keep", "");
    library(&place, "one");
    for built in ["1", "2"] {
        plugin(&place, &headers, built);
        fs::rename(place.file("build/plugin.so"), place.file(&format!("build/plugin{built}.so"))).unwrap();
    }
    fs::create_dir(place.file("lib")).unwrap();
    let at = |name: &str| place.file(name);
    exchange(&at("build/libsays.so"), &at("lib/libsays.so"));
    exchange(&at("build/plugin1.so"), &at("lib/plugin.so"));
    let words = ["-fplugin=lib/plugin.so"];

    assert_eq!(compile(&place, "sloppiness=", "gcc", &words), (0, 0), "nobody vouches");
    assert_eq!(place.stat("/bypass_reasons/unsupported_compiler_option"), 1, "{}", place.explain());

    let mut misses = 0;
    let mut changed = |what: &str, words: &[&str]| {
        misses += 1;
        let hits = place.stat("/hits/local");
        assert_eq!(compile(&place, SLOPPY, "gcc", words), (hits, misses), "{what}: {}", place.explain());
        for more in 1..3 {
            assert_eq!(
                compile(&place, SLOPPY, "gcc", words),
                (hits + more, misses),
                "{what}: {}",
                place.explain()
            );
        }
    };
    changed("first", &words);
    exchange(&at("build/plugin2.so"), &at("lib/plugin.so"));
    changed("the plugin changes", &words);
    library(&place, "two");
    exchange(&at("build/libsays.so"), &at("lib/libsays.so"));
    changed("its library changes", &words);

    let words = ["-fplugin=lib/plugin.so", "-fplugin-arg-plugin-word"];
    changed("an argument", &words);
    let words = ["-fplugin=lib/plugin.so", "-fplugin-arg-plugin-file=named"];
    changed("an argument that names no file", &words);
    place.write("named", " content");
    changed("the file appears", &words);
    place.write("named", " another");
    changed("the file changes", &words);

    let bypassed = place.stat("/bypassed");
    for words in [
        ["-fplugin=lib/plugin.so", "-fplugin-arg-plugin-file=lib"],
        ["-fplugin=lib/plugin.so", "-fplugin-arg-plugin-files=named,a.c"],
    ] {
        let before = (place.stat("/hits/local"), place.stat("/misses"));
        assert_eq!(compile(&place, SLOPPY, "gcc", &words), before, "{words:?}");
    }
    assert_eq!(place.stat("/bypassed"), bypassed + 2, "names of directories, and several names");
}

#[test]
fn libraries_that_clang_loads_are_plugins() {
    if !has("clang") {
        return;
    }
    let place = Place::new();
    place.write(".git/HEAD", "");
    place.write("a.c", "int a;\n");
    // What LLVM asks a pass plugin for; it registers nothing.
    let source = |mark: &str| {
        format!(
            "struct info {{ unsigned version; const char *name, *mark; void (*add)(void *); }};\n\
             static void add(void *builder) {{ (void)builder; }}\n\
             struct info llvmGetPassPluginInfo(void) {{ struct info i = {{ 1, \"p\", \"{mark}\", add }}; return i; }}\n"
        )
    };
    for mark in ["1", "2"] {
        let source = place.write("p.c", source(mark));
        run(place.command("gcc").args(["-shared", "-fPIC", "-o", &format!("p{mark}.so")]).arg(source));
    }
    let ways: [&[&str]; 4] = [
        &["-fplugin=./p.so"],
        &["-fpass-plugin=./p.so"],
        &["-Xclang", "-load", "-Xclang", "./p.so"],
        &["-fplugin=./p.so", "-Xclang", "-plugin-arg-p", "-Xclang", "word"],
    ];
    for (turn, words) in ways.into_iter().enumerate() {
        let turns = turn as u64;
        exchange(&place.file("p1.so"), &place.file("p.so"));
        let left = place.stat("/bypassed");
        assert_eq!(compile(&place, "sloppiness=", "clang", words), (turns * 2, turns * 2));
        assert_eq!(place.stat("/bypassed"), left + 1, "{words:?}");
        for (mark, expected) in [("p1.so", (0, 1)), ("p1.so", (1, 1)), ("p2.so", (1, 2)), ("p1.so", (2, 2))] {
            exchange(&place.file(mark), &place.file("p.so"));
            let counted = compile(&place, SLOPPY, "clang", words);
            assert_eq!(
                counted,
                (turns * 2 + expected.0, turns * 2 + expected.1),
                "{words:?}: {}",
                place.explain()
            );
        }
    }
}
