//! Whole command lines, judged by tables and by the real compilers.

use super::arguments::{ALONE, Class, Entry, Found, JOINED, SEPARATE, lookup, scan};
use super::oracle::{Tree, compilers, words};
use super::table::TABLE;
use super::*;
use dccache_protocol::entry::OutputRole;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

/// A tree with a source and a directory for outputs.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.write(b"x.c", b"int f(int a) { return a; }\n");
    tree.write(b"conftest.c", b"int main() { return 0; }\n");
    tree.write(b"x.cc", b"int f(int a) { return a; }\n");
    tree.write(b"y.c", b"int y;\n");
    tree.write(b"z.s", b"\n");
    tree.write(b"x.h", b"\n");
    tree.write(b"off.c", b"/* ccache:disable */\n");
    tree.write(b"out/keep", b"");
    tree.write(b"options", b"-c x.c '-DA=\"b c\"' @more");
    tree.write(b"more", b"-o\nout/from\\ file.o");
    tree.write(b"loop", b"@loop");
    tree
}

fn reason(tree: &Tree, kind: CompilerKind, line: &str) -> Option<&'static str> {
    let argv: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    match tree.plan(kind, &argv) {
        Plan::Compile(_) => None,
        Plan::Bypass(bypass) => Some(bypass.reason.name()),
    }
}

/// Call, and the reason for leaving it alone; `None` where it is cached.
const CALLS: &[(&str, Option<&str>)] = &[
    ("cc -c x.c", None),
    (
        "cc -c x.c -o out/x.o -O2 -Wall -Wextra -Werror -std=gnu11 -fPIC -fvisibility=hidden -march=armv8.2-a+fp16",
        None,
    ),
    ("cc -c x.c -Iinc -I inc -isystem inc -iquote inc -idirafter inc -include x.h -D A=1 -UB -DC", None),
    (
        "cc -c x.c -g -MD -MP -MF out/d -MT a -MQ b -pipe -pthread --param max-inline-insns-single=3 -m64",
        None,
    ),
    ("cc -Wp,-MMD,out/.x.o.d -nostdinc -D__KERNEL__ -Wp,-D_FORTIFY_SOURCE=2 -c -o out/x.o x.c", None),
    ("cc -S x.c -fsanitize=address -flto --sysroot=/ -B/usr/bin", None),
    ("cc -c x.c -lm -L/lib -Wl,-z,now -shared -Wa,--noexecstack", None),
    ("cc -x c++ -c x.c", None),
    ("cc -xc -c x.cc", None),
    ("cc @options", None),
    ("cc -c x.c -o /dev/null", None),
    ("cc", Some("no_input_file")),
    ("cc --version", Some("no_input_file")),
    ("cc -v", Some("no_input_file")),
    ("cc -c", Some("no_input_file")),
    ("cc x.c", Some("called_for_link")),
    ("cc x.o -o prog -lm -Wl,-rpath,/x -unknown-to-all", Some("called_for_link")),
    ("cc -o conftest conftest.c", Some("autoconf_test")),
    ("cc -c conftest.c", None),
    ("cc -E x.c", Some("called_for_preprocessing")),
    ("cc -M x.c", Some("unsupported_compiler_option")),
    ("cc -MM -c x.c", Some("unsupported_compiler_option")),
    ("cc -c x.c y.c", Some("multiple_source_files")),
    ("cc -c absent.c", Some("bad_input_file")),
    ("cc -x c -c out", Some("bad_input_file")),
    ("cc -x c -c -", Some("bad_input_file")),
    ("cc -x c -c /dev/tty", Some("bad_input_file")),
    ("cc -c x.c -o absent/x.o", Some("bad_output_file")),
    ("cc -c x.c -o out", Some("bad_output_file")),
    ("cc -c x.c -o /dev/tty", Some("bad_output_file")),
    ("cc -c x.c -o x.c", Some("bad_output_file")),
    ("cc -c x.c -o out/x.o -MD -MF out/x.o", Some("bad_output_file")),
    ("cc -c x.c -o out/x.d -MD", Some("bad_output_file")),
    ("cc -c x.c -o /dev/null -MD", Some("bad_output_file")),
    ("cc -c x.c -MD -MF absent/d", Some("bad_output_file")),
    ("cc -S x.c -o -", Some("output_to_stdout")),
    ("cc -c z.s", None),
    ("cc -x assembler-with-cpp -c z.s -MD", None),
    ("cc -c z.s -MD", Some("unsupported_source_language")),
    ("cc -S z.s", Some("unsupported_source_language")),
    ("cc -c z.s -Wa,-ahn=out/l", Some("unsupported_source_language")),
    ("cc -x fortran -c x.c", Some("unsupported_source_language")),
    ("cc -c out/keep", Some("unsupported_source_language")),
    ("cc -S x.h", Some("could_not_use_precompiled_header")),
    ("cc -fsyntax-only x.h", Some("could_not_use_precompiled_header")),
    ("cc -c x.h -fstack-usage -Xclang -fno-pch-timestamp", Some("unsupported_compiler_option")),
    ("cc -c off.c", Some("disabled")),
    ("cc -c x.c -o", Some("bad_compiler_arguments")),
    ("cc -c x.c -o a.o -o b.o", Some("bad_compiler_arguments")),
    ("cc -c x.c @absent", Some("bad_compiler_arguments")),
    ("cc -c x.c @loop", Some("bad_compiler_arguments")),
    ("cc -c x.c @/dev/tty", Some("bad_compiler_arguments")),
    ("cc -c x.c -fmodules", Some("could_not_use_modules")),
    ("cc -c x.c -fmodules-ts", Some("could_not_use_modules")),
    ("cc -c x.c -MF out/d", Some("unsupported_compiler_option")),
    ("cc -c x.c -MD -MMD", Some("unsupported_compiler_option")),
    ("cc -c x.c -MD -MG", Some("unsupported_compiler_option")),
    ("cc -c x.c -Wp,-MD,out/d -MF out/e", Some("unsupported_compiler_option")),
    ("cc -c x.c -Wp,-MD,out/d,-MT,t", Some("unsupported_compiler_option")),
    ("cc -c x.c -Wp,-DA,-MD,out/d", Some("unsupported_compiler_option")),
    ("cc -c x.c -unknown", Some("unsupported_compiler_option")),
    ("cc -c x.c --unknown", Some("unsupported_compiler_option")),
    ("cc -c x.c -fnew-option=some/file", Some("unsupported_compiler_option")),
    ("cc -c x.c -fnew-option=y.c", Some("unsupported_compiler_option")),
    ("cc -c x.c -fnew-option=value", None),
    ("cc -c x.c -Wa,-alhn=out/l", None),
    ("cc -S x.c -Wa,-alhn=out/l", Some("unsupported_compiler_option")),
    ("cc -c x.c -Wa,-ag=out/l", Some("unsupported_compiler_option")),
    ("cc -c x.c -Wa,-a", Some("unsupported_compiler_option")),
    ("cc -c x.c -Wa,-I,inc", Some("unsupported_compiler_option")),
    ("cc -c x.c -Xassembler -a", Some("unsupported_compiler_option")),
    ("cc -c x.c -fsyntax-only -o out/n", None),
    ("cc -fsyntax-only x.c", None),
    ("cc -fsyntax-only x.c -fstack-usage", Some("unsupported_compiler_option")),
    ("cc -c x.c -g -gsplit-dwarf", None),
    ("cc -S x.c -gsplit-dwarf", Some("unsupported_compiler_option")),
    ("cc -c x.c -gsplit-dwarf -flto", Some("unsupported_compiler_option")),
    ("cc -c x.c --coverage", None),
    ("cc -c x.c --coverage -o out/.n", Some("unsupported_compiler_option")),
    ("cc -c x.c --coverage -o /dev/null", Some("unsupported_compiler_option")),
    ("cc -c x.c -fstack-usage -fno-stack-usage", Some("unsupported_compiler_option")),
    ("cc -c x.c -fstack-usage -o out/n.su", Some("bad_output_file")),
    ("cc -c x.c -fprofile-use=absent", Some("unsupported_compiler_option")),
    ("cc -c x.c -fprofile-generate", None),
    ("cc -c x.c -save-temps=obj", Some("unsupported_compiler_option")),
    ("cc -c x.c -fdump-tree-all", Some("unsupported_compiler_option")),
    ("cc -c x.c -fstack-usage", None),
    ("cc -c x.c -frecord-gcc-switches", Some("unsupported_compiler_option")),
];

#[test]
fn every_call_is_cached_or_left_alone_for_its_reason() {
    let tree = tree();
    for (line, expected) in CALLS {
        for kind in [CompilerKind::Gcc, CompilerKind::Clang] {
            assert_eq!(reason(&tree, kind, line), *expected, "{line} ({kind:?})");
        }
    }
}

#[test]
fn a_header_is_made_into_a_precompiled_one_where_it_can_be_restored() {
    let tree = tree();
    tree.write(b"out/h.hpp", b"int h;\n");
    assert_eq!(reason(&tree, CompilerKind::Clang, "cc -c x.h"), Some("could_not_use_precompiled_header"));
    for (kind, line, language, path) in [
        (CompilerKind::Gcc, "cc -c x.h", Language::CHeader, "x.h.gch"),
        (CompilerKind::Gxx, "cc x.h", Language::CxxHeader, "x.h.gch"),
        (CompilerKind::Gcc, "cc out/h.hpp", Language::CxxHeader, "out/h.hpp.gch"),
        (CompilerKind::Gcc, "cc -x c++-header -c y.c -o out/y.gch -MD", Language::CxxHeader, "out/y.gch"),
        (CompilerKind::Clang, "cc -Xclang -fno-pch-timestamp -c x.h", Language::CHeader, "x.h.gch"),
    ] {
        let argv: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let found = tree.compile(kind, &argv);
        assert_eq!((found.stage, found.language), (Stage::Precompiled, language), "{line}");
        let made = PlannedOutput { role: OutputRole::PrecompiledHeader, path: Some(path.into()) };
        assert!(found.outputs.contains(&made) && found.facts.leaks_directory, "{line}: {:?}", found.outputs);
    }
}

#[test]
fn a_bypass_names_what_caused_it() {
    let tree = tree();
    let cause = |line: &[&str]| match tree.plan(CompilerKind::Gcc, &words(line)) {
        Plan::Bypass(bypass) => String::from_utf8(bypass.cause).unwrap(),
        Plan::Compile(_) => panic!("cached"),
    };
    assert_eq!(cause(&["cc", "-c", "x.c", "-fdump-tree-all"]), "-fdump-tree-all");
    assert_eq!(cause(&["cc", "-c", "x.c", "y.c"]), "y.c");
    assert_eq!(cause(&["cc", "-c", "x.c", "-o", "absent/x.o"]), "absent/x.o");
    assert_eq!(cause(&["cc", "-c", "x.c", "@absent"]), "@absent");
    assert_eq!(cause(&["cc", "-c", "off.c"]), "ccache:disable");
}

#[test]
fn a_pipe_is_left_alone_unopened() {
    let tree = tree();
    assert!(tree.run(&words(&["mkfifo", "pipe.c"])).status.success());
    // Opening any of these would block for ever: nobody writes.
    assert_eq!(reason(&tree, CompilerKind::Gcc, "cc -c pipe.c"), Some("bad_input_file"));
    assert_eq!(reason(&tree, CompilerKind::Gcc, "cc -c x.c @pipe.c"), Some("bad_compiler_arguments"));
    assert_eq!(reason(&tree, CompilerKind::Gcc, "cc -c x.c -o pipe.c"), Some("bad_output_file"));
    assert_eq!(reason(&tree, CompilerKind::Gcc, "cc -c x.c -MD -MF pipe.c"), Some("bad_output_file"));
}

#[test]
fn variables_that_write_files_are_left_alone_and_the_others_enter_the_key_sorted() {
    let tree = tree();
    let working_directory = tree.path();
    let argv = words(&["cc", "-c", "x.c"]);
    let plan = |environment: &[(&str, &str)]| {
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        let files = Disk::new(std::path::Path::new(std::str::from_utf8(&working_directory).unwrap()));
        let environment = environment.as_slice();
        Plan::of(
            &Command {
                kind: CompilerKind::Gcc,
                argv: &argv,
                environment,
                working_directory: &working_directory,
                plugins: Default::default(),
            },
            &files,
        )
    };
    for name in ["DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES"] {
        let Plan::Bypass(bypass) = plan(&[(name, "")]) else { panic!("{name}") };
        assert_eq!(
            (bypass.reason, bypass.cause),
            (Reason::UnsupportedEnvironmentVariable, name.as_bytes().to_vec())
        );
    }
    let found = plan(&[
        ("LC_ALL", "C"),
        ("HOME", "/h"),
        ("LANG", "de"),
        ("TZ", "UTC"),
        ("TERM", "x"),
        ("PWD", "/elsewhere"),
    ]);
    let Plan::Compile(found) = found else { panic!("cached") };
    let names = |list: &[(Vec<u8>, Vec<u8>)]| {
        list.iter().map(|(name, _)| String::from_utf8(name.clone()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&found.environment.always), ["LANG", "LC_ALL"]);
    assert_eq!(names(&found.environment.time), ["TZ"]);
    assert_eq!(names(&found.environment.terminal), ["TERM"]);
    assert_eq!(found.working_directory, working_directory);
}

#[test]
fn the_option_table_has_one_entry_an_option_and_no_entry_out_of_reach() {
    for (index, entry) in TABLE.iter().enumerate() {
        assert!(
            entry.spelling.starts_with('-') && entry.forms & (ALONE | JOINED | SEPARATE) != 0,
            "{entry:?}"
        );
        let doubled = TABLE[..index]
            .iter()
            .find(|other| other.spelling == entry.spelling && other.known == entry.known);
        assert!(doubled.is_none(), "{entry:?}");
        for kind in [CompilerKind::Gcc, CompilerKind::Clang].into_iter().filter(|kind| entry.known.to(*kind))
        {
            if entry.forms & JOINED != 0 {
                let word = format!("{}\u{1}", entry.spelling);
                let (found, form) = lookup(word.as_bytes(), kind).unwrap();
                assert_eq!((found.spelling, form), (entry.spelling, Found::Joined));
            }
            if entry.forms & (ALONE | SEPARATE) != 0 {
                assert_eq!(lookup(entry.spelling.as_bytes(), kind).unwrap().0.spelling, entry.spelling);
            }
        }
    }
}

#[test]
fn every_option_that_writes_a_file_or_is_refused_by_the_table_is_left_alone() {
    let tree = tree();
    for entry in TABLE.iter().filter(|entry| matches!(entry.class, Class::WritesFile | Class::Bypass(_))) {
        let kind = if entry.known.to(CompilerKind::Gcc) { CompilerKind::Gcc } else { CompilerKind::Clang };
        let word = if entry.forms & (ALONE | SEPARATE) == 0 {
            format!("{}v", entry.spelling)
        } else {
            entry.spelling.to_owned()
        };
        let mut line = words(&["cc", "-c", "x.c", &word]);
        if entry.forms & ALONE == 0 && entry.forms & SEPARATE != 0 {
            line.push(b"value".to_vec());
        }
        assert!(matches!(tree.plan(kind, &line), Plan::Bypass(_)), "{}", entry.spelling);
    }
}

/// Returns an entry as one types it, in each form that it has.
fn spelled(entry: &Entry) -> Vec<Vec<Vec<u8>>> {
    let forms = [
        (ALONE, words(&[entry.spelling])),
        (JOINED, words(&[format!("{}y.c", entry.spelling)])),
        (SEPARATE, words(&[entry.spelling, "y.c"])),
    ];
    forms.into_iter().filter(|(form, _)| entry.forms & form != 0).map(|(_, words)| words).collect()
}

/// Asserts that a cached call with one option of a class was affected as the class says.
fn assert_effect(class: Class, typed: &[Vec<u8>], found: &Invocation, told: &str) {
    let role =
        found.arguments.iter().find(|argument| argument.bytes == typed[0]).map(|argument| argument.role);
    let value = if typed.len() == 2 { typed[1].clone() } else { b"y.c".to_vec() };
    let text = matches!(class, Class::Macro | Class::IncludeDirectory(_) | Class::ForcedInclude);
    assert_eq!(role, Some(if text { KeyRole::Text } else { KeyRole::Always }), "{told}");
    match class {
        Class::IncludeDirectory(kind) => {
            assert_eq!(found.include_directories, [IncludeDirectory { kind, path: value }], "{told}");
        }
        Class::ForcedInclude => assert_eq!(found.forced_includes, [value], "{told}"),
        _ => {}
    }
    let reads = matches!(class, Class::ReadsFile | Class::TakesPrecompiled);
    let leaks = reads || matches!(class, Class::Leaks(_) | Class::Writes(_));
    assert_eq!(found.facts.leaks_directory, leaks, "{told}");
    let split = matches!(class, Class::Writes(SideFile::SplitDwarf));
    assert_eq!(!found.toolchain_arguments.is_empty(), class == Class::Toolchain || split, "{told}");
    assert_eq!(!found.option_files.is_empty(), reads, "{told}");
    assert_eq!(found.facts.takes_precompiled, class == Class::TakesPrecompiled, "{told}");
    let side = matches!(class, Class::Writes(_));
    assert_eq!(found.outputs.len(), if side { 2 } else { 1 }, "{told}");
}

#[test]
fn every_entry_does_to_a_call_what_its_class_says() {
    let tree = tree();
    let mut checked = 0;
    for entry in TABLE {
        let kinds = [CompilerKind::Gcc, CompilerKind::Clang].into_iter().filter(|kind| entry.known.to(*kind));
        for (kind, typed) in kinds.flat_map(|kind| spelled(entry).into_iter().map(move |typed| (kind, typed)))
        {
            let argv = [words(&["cc", "-c", "x.c"]), typed.clone()].concat();
            let told = format!("{entry:?} {kind:?}");
            checked += 1;
            match (entry.class, tree.plan(kind, &argv)) {
                (Class::Bypass(reason), Plan::Bypass(bypass)) => assert_eq!(bypass.reason, reason, "{told}"),
                (Class::Preprocess | Class::DependOnly | Class::WritesFile, Plan::Bypass(_)) => {}
                (Class::Plugin | Class::PluginArgument, Plan::Bypass(_)) => {}
                // Their values have rules of their own, which other tests hold.
                (Class::Output | Class::Language | Class::Depend(_) | Class::Stage(_), _)
                | (Class::ProfileUse | Class::Assembler | Class::CharacterSet, _) => {}
                (Class::Macro, Plan::Bypass(_)) if entry.spelling.starts_with("-Wp,") => {}
                // It writes nothing without debug information to split.
                (Class::Writes(SideFile::SplitDwarf), Plan::Bypass(_)) if kind.is_clang() => {}
                (class, Plan::Compile(found)) => assert_effect(class, &typed, &found, &told),
                (_, Plan::Bypass(bypass)) => panic!("{told}: {bypass:?}"),
            }
        }
    }
    println!("{checked} spellings of {} entries", TABLE.len());
}

/// Options of every class, alone or together, in many forms.
const OPTIONS: &[&str] = &[
    "",
    "-g",
    "-g3",
    "-ggdb3",
    "-O2",
    "-O3 -flto",
    "-Os -ffunction-sections",
    "-fPIC -fsanitize=address",
    "-fsanitize=undefined",
    "-fopenmp",
    "-pg",
    "-march=native",
    "-fstack-protector-strong",
    "-fno-common",
    "-MD",
    "-MMD -MP",
    "-MD -MF out/q",
    "-o out/n",
    "-o out/n.o -MD",
    "-S",
    "-S -MMD -o out/n.s",
    "-Wp,-MD,out/w",
    "-fstack-usage",
    "-gsplit-dwarf",
    "--coverage",
    "-ftest-coverage",
    "-fcallgraph-info",
    "-fsave-optimization-record",
    "-fdump-tree-optimized",
    "-fdump-rtl-expand",
    "-save-temps",
    "-save-temps=obj",
    "-fopt-info-vec=out/i",
    "-aux-info out/a",
    "-ftime-trace",
    "-MJ out/j",
    "--serialize-diagnostics out/s",
    "-Wa,-a=out/l",
    "-da",
    "-dumpbase q",
    "-fprofile-arcs",
    "-fprofile-generate",
    "-fprofile-instr-generate -fcoverage-mapping",
    "-fverbose-asm",
    "-fmem-report",
    "-frandom-seed=out/n.o",
    "-grecord-gcc-switches",
    "-frecord-gcc-switches",
    "-fdebug-prefix-map=/a=/b",
    "-gz",
    "-gdwarf-4",
    "-fno-lto",
    "-foptimization-record-file=out/r",
    "-fproc-stat-report=out/p",
    "-fcompare-debug",
    "-fembed-bitcode",
    "-finstrument-functions",
    "-fdata-sections -fmerge-all-constants",
    "-pipe",
    "-fwhole-program",
    "-fprofile-dir=out",
    "-fsyntax-only",
    "-index-store-path out/k",
    "-fdiagnostics-format=json",
    "-fxray-instrument",
    "-fipa-pta",
    "-fplugin=out/keep",
    "-fbasic-block-sections=all",
    "-fada-spec-parent=x",
    "--coverage -o out/x.c.o",
    "--coverage -fprofile-dir=out -o out/n",
    "--coverage -flto",
    "--coverage -fprofile-generate -O2",
    "-ftest-coverage -S -o out/a.b.s",
    "-g -gsplit-dwarf -fstack-usage -MD -o out/x.c.o",
    "-g -gsplit-dwarf=single",
    "-g -gsplit-dwarf=split -O2",
    "-fsave-optimization-record -O2 -o out/n.x.o",
    "-fsave-optimization-record -O2 -S -o out/n",
    "-fcallgraph-info=su,da -fstack-usage -o out/n",
    "-Wa,-alhns=out/l -pipe",
    "-Wa,-alhns=out/l -g -o out/n",
    "-fsyntax-only -o out/n.o -MD",
    "-fsyntax-only -MD -MF out/d",
    "-fsyntax-only --serialize-diagnostics out/s",
    "-aux-info out/a -S",
    "-fstack-usage -fopenmp",
];

#[test]
fn a_cached_call_writes_exactly_the_files_that_are_planned() {
    let mut cached = 0;
    for (kind, name) in compilers() {
        for options in OPTIONS {
            let tree = tree();
            let mut argv = words(&[name]);
            argv.extend(options.split_whitespace().map(|word| word.as_bytes().to_vec()));
            if !options.contains("-S") {
                argv.push(b"-c".to_vec());
            }
            argv.push(b"x.c".to_vec());
            let Plan::Compile(invocation) = tree.plan(kind, &argv) else { continue };
            let before = tree.files();
            if !tree.run(&argv).status.success() {
                continue;
            }
            cached += 1;
            let written: BTreeSet<_> = tree.files().difference(&before).cloned().collect();
            let planned = invocation.outputs.iter().filter_map(|output| output.path.clone()).collect();
            assert_eq!(written, planned, "{name} {options}");
        }
    }
    assert!(cached > 20 * compilers().len(), "{cached}");
}

#[test]
fn no_single_option_that_gcc_lists_writes_a_file_when_it_is_cached() {
    let listed = std::process::Command::new("gcc").args(["--help=common", "--help=optimizers"]).output();
    let Ok(listed) = listed else {
        eprintln!("NOT TESTED: gcc is not installed");
        return;
    };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let options = listed
        .split_whitespace()
        .filter(|word| word.starts_with("-f") && !word.contains(['=', '<', ',', '\'']));
    let options: BTreeSet<_> = options.collect();
    // A fifth, spread evenly: every one of them starts a compiler.
    let sample: Vec<_> = options.iter().step_by(5).collect();
    assert!(sample.len() > 20, "{}", sample.len());
    for option in sample {
        let tree = tree();
        let argv = words(&["gcc", option, "-c", "x.c"]);
        let Plan::Compile(_) = tree.plan(CompilerKind::Gcc, &argv) else { continue };
        let mut expected = tree.files();
        if tree.run(&argv).status.success() {
            expected.insert(b"x.o".to_vec());
            assert_eq!(tree.files(), expected, "{option}");
        }
    }
}

#[test]
fn the_preprocessor_run_keeps_what_shapes_the_text_and_drops_what_writes() {
    let tree = tree();
    let argv = words(&[
        "gcc", "-O2", "-DA", "-MD", "-MF", "out/d", "-Wp,-U_B", "-c", "x.c", "-o", "out/x.o", "-I", "inc",
    ]);
    let found = tree.compile(CompilerKind::Gcc, &argv).preprocessor.unwrap();
    assert_eq!(found, words(&["-E", "-fpch-preprocess", "-O2", "-DA", "-Wp,-U_B", "x.c", "-I", "inc"]));
    for (kind, name) in compilers() {
        let argv = words(&[
            name,
            "-Werror",
            "-Wa,--noexecstack",
            "-MD",
            "-g3",
            "-flto",
            "-c",
            "x.c",
            "-o",
            "out/x.o",
        ]);
        let mut preprocess = words(&[name]);
        preprocess.extend(tree.compile(kind, &argv).preprocessor.unwrap());
        let before = tree.files();
        let output = tree.run(&preprocess);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(tree.files(), before);
    }
}

#[test]
fn facts_tell_what_shows_in_the_outputs() {
    let tree = tree();
    let facts = |line: &str| {
        let argv: Vec<_> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        tree.compile(CompilerKind::Gcc, &argv).facts
    };
    assert_eq!(facts("cc -c x.c -O2 -Wall -g0 -DX -I/y"), Facts::default());
    assert!(facts("cc -c x.c -g").debug_info && !facts("cc -c x.c -g").macro_debug_info);
    assert!(facts("cc -c x.c -g3").macro_debug_info);
    assert!(facts("cc -c x.c -fsanitize=undefined").sanitizer);
    assert!(facts("cc -c x.c -flto=auto").lto && facts("cc -c x.c -flto").leaks_output);
    for leak in ["-g", "-fsanitize=address", "-flto", "-ffile-prefix-map=/a=/b"] {
        assert!(facts(&format!("cc -c x.c {leak}")).leaks_directory, "{leak}");
    }
    let found = tree.compile(
        CompilerKind::Clang,
        &words(&["cc", "-c", "x.c", "-fsanitize-ignorelist=y.c", "-march=native", "-m32"]),
    );
    assert_eq!(found.native, words(&["-march=native"]));
    assert_eq!(found.toolchain_arguments, words(&["-m32"]));
    let file = &found.option_files[0];
    assert_eq!(
        (file.path.as_slice(), found.arguments[file.argument].bytes.as_slice()),
        (b"y.c".as_slice(), b"-fsanitize-ignorelist=y.c".as_slice())
    );
    assert_eq!(found.outputs, [PlannedOutput { role: OutputRole::Object, path: Some(b"x.o".to_vec()) }]);
    assert_eq!(
        tree.compile(CompilerKind::Gcc, &words(&["cc", "-c", "x.c", "-o", "/dev/null"])).outputs[0].path,
        None
    );
}

#[test]
fn directories_of_headers_keep_their_order_and_their_part_of_the_search() {
    use IncludeKind::{After, Angled, Quote, System};
    let tree = tree();
    let argv = words(&[
        "cc",
        "-idirafter",
        "d",
        "-I",
        "a",
        "-isystems",
        "-iquote",
        "q",
        "-Ib",
        "--include-directory=c",
        "-c",
        "x.c",
        "-nostdinc",
    ]);
    let found = tree.compile(CompilerKind::Gcc, &argv);
    let expected = [(After, "d"), (Angled, "a"), (System, "s"), (Quote, "q"), (Angled, "b"), (Angled, "c")];
    let expected = expected.map(|(kind, path)| IncludeDirectory { kind, path: path.into() });
    assert_eq!(found.include_directories, expected);
    assert_eq!(found.toolchain_arguments, words(&["-nostdinc"]));
    let sysroot = |path: &str| IncludeDirectory { kind: Angled, path: path.into() }.hangs_on_sysroot();
    assert!(sysroot("=/usr") && sysroot("$SYSROOT/usr") && !sysroot("/usr="));
}

/// Reads what `-###` prints: words with quotes and backslashes.
fn printed(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => current.get_or_insert_default().extend(bytes.next()),
            b'"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            b' ' | b'\n' if !quoted => found.extend(current.take()),
            byte => current.get_or_insert_default().push(byte),
        }
    }
    found
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn response_files_are_split_as_the_compilers_split_them(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "a", "'", "\"", "\\", "\\\\", " -DA", "\n-DB", "\t-DC", "  -DD", "'x  -DBy'", "\"x\t-DCy\"", "$", "#", "-",
        ]), 0..12),
    ) {
        let tree = tree();
        let content = format!("-DZ{}", pieces.concat());
        tree.write(b"r", content.as_bytes());
        let quotings = compilers().into_iter().flat_map(|(kind, name)| match kind.is_clang() {
            true => vec![(kind, name, &["@r"][..]), (kind, name, &["--rsp-quoting=windows", "@r"])],
            false => vec![(kind, name, &["@r"][..])],
        });
        for (kind, name, argv) in quotings {
            let argv = words(argv);
            let working_directory = tree.path();
            let files = Disk::new(std::path::Path::new(std::str::from_utf8(&working_directory).unwrap()));
            let Ok(ours) = response::expand(&argv, kind, &files) else {
                prop_assert!(argv.len() > 1, "{} {}: only what Windows leaves open is refused", name, content);
                continue;
            };
            let ours = ours.iter().filter(|word| !word.starts_with(b"--rsp"));
            let ours: Vec<Vec<u8>> = ours.map(|word| word[2..].to_vec()).collect();
            let output = tree.run(&[words(&[name, "-###", "-c", "x.c"]), argv].concat());
            // The line of the compiler proper; gcc's driver prints others in another quoting.
            let program: &[u8] = if kind.is_clang() { b"\"-cc1\"" } else { b"/cc1 " };
            let start = memchr::memmem::find(&output.stderr, program).unwrap();
            let line = &output.stderr[start..];
            let text = printed(&line[..memchr::memmem::find(line, b"\nCOLLECT_").unwrap_or(line.len())]);
            let defines = text.windows(2).filter(|pair| pair[0] == b"-D").map(|pair| pair[1].clone());
            let theirs: Vec<_> = defines.filter(|word| word.first().is_some_and(|byte| b"ZABCD".contains(byte))).collect();
            prop_assert_eq!(ours, theirs, "{} {}", name, content);
        }
    }
}

fn cases(cases: u32) -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(1);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    let spelled = (0..TABLE.len()).prop_map(|index| TABLE[index].spelling.as_bytes().to_vec());
    let valued = (spelled.clone(), proptest::collection::vec(any::<u8>(), 0..6))
        .prop_map(|(word, value)| [word, value].concat());
    let bytes = proptest::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        spelled,
        valued,
        bytes,
        Just(b"x.c".to_vec()),
        Just(b"-c".to_vec()),
        Just(b"@options".to_vec())
    ]
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn no_command_line_is_too_odd_and_none_that_preprocesses_is_cached(
        line in proptest::collection::vec(argument().prop_filter("no NUL in arguments", |word| !word.contains(&0)), 0..10),
    ) {
        let tree = shared_tree();
        for kind in [CompilerKind::Gxx, CompilerKind::Clangxx] {
            let argv = [words(&["cc"]), line.clone()].concat();
            if let Plan::Compile(found) = tree.plan(kind, &argv) {
                prop_assert!(found.outputs.is_sorted_by(|a, b| a.role < b.role));
                if let Some(preprocessor) = found.preprocessor {
                    let again = [words(&["cc"]), preprocessor].concat();
                    let Plan::Bypass(bypass) = tree.plan(kind, &again) else { panic!("cached") };
                    prop_assert_eq!(bypass.reason, Reason::CalledForPreprocessing);
                }
            }
        }
    }
}

/// A small generator of our own, so that a seed means the same cases for ever.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Changes, adds or removes a byte somewhere.
fn mutate(bytes: &mut Vec<u8>, seeded: &mut Seeded) {
    let at = seeded.below(bytes.len() + 1);
    match seeded.below(3) {
        0 => bytes.insert(at, 1 + seeded.below(255) as u8),
        1 if at < bytes.len() => drop(bytes.remove(at)),
        _ if at < bytes.len() => bytes[at] = 1 + seeded.below(255) as u8,
        _ => {}
    }
}

#[test]
fn command_lines_with_changed_bytes_are_judged_soundly() {
    const SEED: u64 = 0x0D_CC_AC_4E;
    const CASES: usize = 20_000;
    let tree = shared_tree();
    let mut seeded = Seeded(SEED);
    let mut cached = 0;
    for _ in 0..CASES {
        let (line, _) = CALLS[seeded.below(CALLS.len())];
        let mut argv: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        for _ in 0..=seeded.below(3) {
            let word = seeded.below(argv.len());
            mutate(&mut argv[word], &mut seeded);
        }
        let kind = [CompilerKind::Gcc, CompilerKind::Gxx, CompilerKind::Clang, CompilerKind::Clangxx]
            [seeded.below(4)];
        let Plan::Compile(found) = tree.plan(kind, &argv) else { continue };
        cached += 1;
        // Whatever is cached has one source, distinct outputs, and everything typed is in the key or an output, a source, a stage, a
        // language or the dependency file.
        let paths: Vec<_> = found.outputs.iter().filter_map(|output| output.path.as_ref()).collect();
        assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len(), "{argv:?}");
        assert!(!paths.contains(&&found.source), "{argv:?}");
        let disk = Disk::new(std::path::Path::new(std::ffi::OsStr::from_bytes(&found.working_directory)));
        for argument in scan(&response::expand(&argv[1..], kind, &disk).unwrap(), kind, &disk) {
            let outside =
                matches!(argument.class, Class::Input | Class::Output | Class::Language | Class::Depend(_));
            let keyed =
                argument.words.iter().all(|word| found.arguments.iter().any(|kept| kept.bytes == *word));
            assert!(outside || keyed, "{argv:?}: {:?}", argument.words);
        }
    }
    println!("{CASES} command lines from seed {SEED:#x}, {cached} of them cached");
    assert!(cached > CASES / 20, "{cached}");
}

/// A file system in which every name is one file.
struct OneFile(Vec<u8>);

impl Files for OneFile {
    fn kind(&self, _: &[u8]) -> FileKind {
        FileKind::Regular
    }

    fn kind_of_name(&self, _: &[u8]) -> FileKind {
        FileKind::Regular
    }

    fn read(&self, _: &[u8], limit: usize) -> Option<Vec<u8>> {
        Some(self.0[..self.0.len().min(limit)].to_vec())
    }

    fn same_directory(&self, _: &[u8], _: &[u8]) -> bool {
        false
    }

    fn same_file(&self, a: &[u8], b: &[u8]) -> bool {
        a == b
    }
}

#[test]
fn response_files_with_changed_bytes_never_stop_us_and_split_into_what_they_hold() {
    const SEED: u64 = 0x5EED;
    const CASES: usize = 5_000;
    let mut seeded = Seeded(SEED);
    let mut split = 0;
    for _ in 0..CASES {
        let mut content = b"-c x.c '-DA=\"b c\"' -DB=\\\"x\\\" \"-I a b\"\n-O2".to_vec();
        for _ in 0..=seeded.below(6) {
            mutate(&mut content, &mut seeded);
        }
        if content.contains(&b'@') {
            // It would name another file.
            continue;
        }
        for kind in [CompilerKind::Gcc, CompilerKind::Clang] {
            let file = OneFile(content.clone());
            let Ok(found) = response::expand(&words(&["@r"]), kind, &file) else { continue };
            split += 1;
            let plain = |byte: &&u8| !byte.is_ascii_whitespace() && !b"'\"\\\x0B".contains(byte);
            let kept: Vec<u8> = found.concat().iter().filter(plain).copied().collect();
            let held: Vec<u8> = content.iter().filter(plain).copied().collect();
            assert_eq!(kept, held, "{}", content.escape_ascii());
        }
    }
    println!("{CASES} response files from seed {SEED:#x}, {split} times split");
    assert!(split > CASES, "{split}");
}

fn shared_tree() -> &'static Tree {
    static TREE: std::sync::OnceLock<Tree> = std::sync::OnceLock::new();
    TREE.get_or_init(tree)
}
