//! Keys against what the real compilers make: equal keys mean equal outputs, in one directory and in two.

use super::*;
use crate::config::Config;
use crate::depfile;
use crate::invocation::oracle::{Tree, compilers, words};
use crate::invocation::{CompilerKind, Disk};
use dccache_protocol::entry::OutputRole;
use std::path::Path;

/// A compile that was looked at as the wrapper does.
struct Looked {
    invocation: Invocation,
    keys: Keys,
    facts: FileFacts,
    listed: Option<Depend>,
}

/// Preprocesses with the real compiler and makes the keys. `adjust` can change what the machine around the call says.
fn look_adjusted(
    tree: &Tree,
    kind: CompilerKind,
    argv: &[Vec<u8>],
    adjust: impl Fn(&mut Invocation, &mut Ingredients<'_>),
) -> Looked {
    let mut invocation = tree.compile(kind, argv);
    let mut preprocess = vec![argv[0].clone()];
    preprocess.extend(invocation.preprocessor.clone().expect("a source that is preprocessed"));
    let (output, listing) = tree.run_listing(&preprocess);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = Preprocessed::parse(&output.stdout).unwrap();
    let listed = invocation
        .listing()
        .map(|request| depfile::capture(&listing, &request, &tree.path()).expect("a list in a known layout"));
    let unmarked = listed.iter().flat_map(|listed| unmarked_files(&text, listed, &tree.path()));
    let files = text.files().iter().map(|file| file.path.clone()).chain(unmarked);
    let contents: Vec<_> = files.map(|path| tree.read(&path)).collect();
    let raw: Vec<_> = contents.iter().map(|content| Digest::of(content)).collect();
    let facts =
        contents.iter().fold(FileFacts::default(), |facts, content| facts.and(FileFacts::scan(content)));
    let option_files: Vec<_> =
        invocation.option_files.iter().map(|file| Digest::of(&tree.read(&file.path))).collect();
    let namespace = Namespace::default();
    let root = tree.path();
    let places = Places { root: &root, working_directory: &root };
    let mut ingredients = Ingredients {
        namespace: &namespace,
        toolchain: ToolchainId::from_digest(Digest::of(b"toolchain")),
        native: &[],
        extra_files: &[],
        option_files: &option_files,
        color: Color::Plain,
        facts,
        messages: &output.stderr,
        listed: listed.as_ref(),
        debug_directories: Directories::Matter,
        raw: &raw,
        takes: Takes::Headers,
    };
    adjust(&mut invocation, &mut ingredients);
    let keys = preprocessed_keys(&invocation, &ingredients, &places, &text);
    Looked { keys, facts, listed: listed.clone(), invocation }
}

fn look(tree: &Tree, kind: CompilerKind, argv: &[Vec<u8>]) -> Looked {
    look_adjusted(tree, kind, argv, |_, _| {})
}

/// Runs the compile and returns its outputs and messages; the dependency file as tokens.
fn outputs(tree: &Tree, argv: &[Vec<u8>], looked: &Looked) -> Vec<Vec<u8>> {
    let output = tree.run(argv);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all = vec![output.stderr];
    for planned in &looked.invocation.outputs {
        let content = tree.read(planned.path.as_ref().unwrap());
        all.push(match (planned.role, &looked.invocation.depend) {
            (OutputRole::Depend, Some(request)) => {
                let depend = depfile::capture(&content, request, &tree.path()).unwrap();
                // The list of the preprocessor is that of the compile: what differs would not be stored.
                assert!(looked.listed.as_ref().is_none_or(|listed| *listed == depend), "{argv:?}");
                format!("{depend:?}").into_bytes()
            }
            _ => content,
        });
    }
    all
}

/// `ROOT` stands for the root in sources and options. The last word says whether two checkouts share the object.
const CHECKOUTS: &[(&str, &str, bool)] = &[
    ("-O2 -c x.c", "int f(void) { return 1; }", true),
    ("-O2 -IROOT/inc -DX=1 -c ROOT/x.c -MD -MP -MF d", "#include <a.h>\nint f(void) { return A; }", true),
    (
        "-O2 -Wall -iquote ROOT/inc -c ROOT/x.c -MMD -o x.o",
        "#include \"a.h\"\n#include <stdio.h>\nint f(void) { return puts(\"\"); }",
        true,
    ),
    ("-S -O1 -c ROOT/x.c", "static int v; int *f(void) { return &v; }", true),
    ("-c x.c", "#include <assert.h>\nvoid f(int a) { assert(a); }", true),
    ("-c x.c", "const char *f(void) { return __builtin_FILE(); }", true),
    ("-c x.c", "const char *f(void) { return __FILE__; }", true),
    ("-c ROOT/x.c", "#include <assert.h>\nvoid f(int a) { assert(a); }", false),
    ("-c ROOT/x.c", "const char *f(void) { return __FILE__; }", false),
    ("-c ROOT/x.c", "const char *f(void) { return __builtin_FILE(); }", false),
    ("-c ROOT/x.c -O2", "int f(void) { return sizeof(__FILE__) + __FILE__[sizeof(__FILE__) / 2]; }", false),
    ("-c x.c -IROOT/inc", "#include <b.h>\nconst char *f(void) { return b(); }", false),
    (
        "-c ROOT/x.c",
        "void g(const char *); void f(int a, const char *n) { g(n ? n : __BASE_FILE__); }",
        false,
    ),
    (
        "-c x.c -DP=\"ROOT\"",
        "#define S_(x) #x\n#define S(x) S_(x)\nconst char *f(void) { return S(P); }",
        false,
    ),
    ("-g -c x.c", "int f(void) { return 1; }", false),
    ("-g -ffile-prefix-map=ROOT=. -c x.c", "int f(void) { return 1; }", true),
    ("-g -ffile-prefix-map=ROOT=. -gz -c x.c", "int f(void) { return 1; }", true),
    (
        "-g -fdebug-prefix-map=ROOT=/s -c ROOT/x.c -IROOT/inc",
        "#include <a.h>\nint f(void) { return A; }",
        true,
    ),
    ("-fmacro-prefix-map=ROOT=. -c ROOT/x.c", "const char *f(void) { return __FILE__; }", true),
    ("-g -fmacro-prefix-map=ROOT=. -c ROOT/x.c", "int f(void) { return 1; }", false),
    ("-g3 -ffile-prefix-map=ROOT=. -c ROOT/x.c", "int f(void) { return 1; }", false),
    ("-g -ffile-prefix-map=ROOT=. -ffile-prefix-map=/a=/b -c x.c", "int f(void) { return 1; }", false),
    ("-g -ffile-prefix-map=ROOT/=. -c x.c", "int f(void) { return 1; }", false),
    ("-g -ffile-prefix-map=ROOT=ROOT -c x.c", "int f(void) { return 1; }", false),
    ("-g3 -gz -c x.c", "int f(void) { return 1; }", false),
    ("-fsanitize=undefined -c ROOT/x.c", "int f(int a) { return a << a; }", false),
    ("-fsanitize=address -c ROOT/x.c", "int v[3]; int f(int a) { return v[a]; }", false),
    ("-Wall -c ROOT/x.c", "static int unused;", true),
    (
        "-c ROOT/x.c -IROOT/inc -MD",
        "#if __has_include(<a.h>) && !__has_include(<none.h>)\n#include <stddef.h>\n#endif\nint f(void) { return 1; }",
        true,
    ),
    (
        "-c x.c -Iinc -MMD -MP",
        "#include <stdint.h>\n#if __has_include(\"inc/b.h\")\nint f(void) { return 1; }\n#endif",
        true,
    ),
];

#[test]
fn two_checkouts_share_a_key_only_where_they_give_the_same_bytes() {
    for (kind, name) in compilers() {
        for (options, source, shared) in CHECKOUTS {
            let trees = [Tree::new(), Tree::new()];
            let looked = trees.each_ref().map(|tree| {
                let root = String::from_utf8(tree.path()).unwrap();
                tree.write(b"inc/a.h", b"#define A 2\n");
                tree.write(b"inc/b.h", b"static inline const char *b(void) { return __builtin_FILE(); }\n");
                tree.write(b"x.c", source.as_bytes());
                let argv: Vec<_> = format!("{name} {options}")
                    .replace("ROOT", &root)
                    .split(' ')
                    .map(|word| word.as_bytes().to_vec())
                    .collect();
                let looked = look(tree, kind, &argv);
                let outputs = outputs(tree, &argv, &looked);
                let leaks = outputs.iter().any(|bytes| {
                    let places = Places { root: &tree.path(), working_directory: &tree.path() };
                    can_show(&places, OutputRole::Assembly, bytes)
                });
                (looked.keys, outputs, leaks)
            });
            let [(here, ours, leaks), (there, theirs, _)] = looked;
            assert_ne!(here.bound, there.bound);
            let same_key = here.free.is_some() && here.free == there.free;
            assert_eq!(same_key, *shared, "{name} {options} {source}");
            // A result that leaks is not stored under the shared key, whatever the key says.
            if same_key && !leaks {
                assert!(ours == theirs, "{name} {options} {source}");
            }
        }
    }
}

/// Options, source and header before and after; the key must change, since the object, its positions or its messages can.
const CHANGES: &[(&str, [&str; 2], [&str; 2])] = &[
    ("-g", ["int f(int a) { return a; }", "int f(int a) {   return a; }"], ["", ""]),
    ("-fsanitize=undefined", ["int f(int a) { return a<<a; }", "int f(int a) { return a << a; }"], ["", ""]),
    (
        "-Wextra",
        [
            "void g(void); void f(int a) { switch (a) { case 1: g(); /* fallthrough */ case 2: g(); } }",
            "void g(void); void f(int a) { switch (a) { case 1: g();                   case 2: g(); } }",
        ],
        ["", ""],
    ),
    ("-O2", ["#include \"h.h\"\nint f(void) { return A; }"; 2], ["#define A 1\n", "#define A 2\n"]),
    ("-O2", ["#include \"h.h\"\n"; 2], ["/* a */\n", "/* b */\n"]),
    ("-c", ["int x;", "\nint x;"], ["", ""]),
];

#[test]
fn a_change_that_the_preprocessed_text_hides_changes_the_key() {
    for (kind, name) in compilers() {
        for (option, sources, headers) in CHANGES {
            let tree = Tree::new();
            let keys = [0, 1].map(|i| {
                tree.write(b"h.h", headers[i].as_bytes());
                tree.write(b"x.c", sources[i].as_bytes());
                look(&tree, kind, &words(&[name, option, "-c", "x.c"])).keys
            });
            assert_ne!(keys[0].bound, keys[1].bound, "{name} {option}");
            assert!(keys[0].free.is_none() || keys[0].free != keys[1].free, "{name} {option}");
        }
    }
}

/// Pairs of options and whether they give one key. Where they do, the outputs are compared.
const OPTIONS: &[(&str, &str, bool)] = &[
    ("-o a.o", "-o b.o", true),
    ("-MD -MF p", "-MD -MF q", true),
    ("-MD -MT p", "-MD -MQ q", true),
    ("-DUNUSED=1", "-DUNUSED=2", true),
    ("-g -DUNUSED=1", "-g -DUNUSED=2", true),
    ("-O2 -g -Iinc", "-O2 -g -Iout", true),
    ("-fsanitize=address -DUNUSED=1", "-fsanitize=address", true),
    ("-g -o a.o", "-g -o b.o", true),
    ("-g3 -DUNUSED=1", "-g3 -DUNUSED=2", false),
    ("-flto -o a.o", "-flto -o b.o", false),
    ("-DUSED=1", "-DUSED=2", false),
    ("-O1", "-O2", false),
    ("-Wall", "-Wextra", false),
    ("-MD", "-MMD", false),
    ("-MD", "-MD -MP", false),
    ("-MD", "", false),
    ("-MD -DUNUSED=1", "-MD -DUNUSED=2", true),
    ("-MMD -Iinc", "-MMD -Iout", true),
    ("-S", "", false),
    ("-fPIC", "", false),
    ("-fno-strict-aliasing -O2", "-O2 -fno-strict-aliasing", false),
    ("-g", "-gdwarf-4", false),
    ("-fdebug-prefix-map=/a=/b -g", "-fdebug-prefix-map=/a=/c -g", false),
    ("-include h.h", "", false),
    ("-Wmissing-include-dirs -Iabsent", "-Wmissing-include-dirs -Iinc", false),
];

#[test]
fn options_share_a_key_only_where_they_give_the_same_bytes() {
    for (kind, name) in compilers() {
        let tree = Tree::new();
        tree.write(b"x.c", b"#ifdef USED\nint u = USED;\n#endif\nint f(int a) { return a; }\n");
        tree.write(b"h.h", b"#define H 1\n");
        tree.write(b"inc/keep", b"");
        tree.write(b"out/keep", b"");
        for (first, second, same) in OPTIONS {
            if kind.is_clang() && first.contains("-Wmissing-include-dirs") {
                continue;
            }
            let both = [first, second].map(|options| {
                let argv: Vec<_> = format!("{name} {options} -c x.c")
                    .split_whitespace()
                    .map(|word| word.as_bytes().to_vec())
                    .collect();
                let looked = look(&tree, kind, &argv);
                let outputs = outputs(&tree, &argv, &looked);
                (looked.keys, outputs)
            });
            assert_eq!(both[0].0.bound == both[1].0.bound, *same, "{name}: {first} | {second}");
            if *same {
                assert!(both[0].1 == both[1].1, "{name}: {first} | {second}");
            }
        }
    }
}

#[test]
fn what_acts_through_the_text_alone_is_in_the_exact_key() {
    for (kind, name) in compilers() {
        let tree = Tree::new();
        tree.write(b"x.c", b"int f(int a) { return a; }\n");
        let keys = |options: &str| {
            let line = format!("{name} {options} -c x.c");
            look(
                &tree,
                kind,
                &line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>(),
            )
            .keys
        };
        let (one, two) = (keys("-DUNUSED=1"), keys("-DUNUSED=2"));
        assert_eq!((one.free, one.bound), (two.free, two.bound));
        assert!(one.exact.is_some() && one.exact != two.exact, "{name}");
        assert_ne!(keys("-DA -DB").exact, keys("-DA-DB").exact, "{name}");
        assert_eq!(keys("-O2").exact, None);
        assert_eq!(keys("-g3 -DUNUSED=1").exact, None, "every key holds it");
    }
}

/// Sources of which clang's dependency file says more than their text, and a file that changes what it says.
const LISTED: &[(&str, &str, &[u8])] = &[
    ("-Iinc", "#if __has_include(<late.h>)\n#endif\nint x;\n", b"inc/late.h"),
    ("-Iinc", "#if __has_include(\"late.h\") || 1\nint x;\n#endif\n", b"late.h"),
    ("-Ifirst -Iinc", "#include <a.h>\n#if __has_include(<a.h>)\nint x;\n#endif\n", b"first/a.h"),
    ("-isystem inc", "#if __has_include(\"late.h\")\n#endif\nint x;\n", b"late.h"),
];

#[test]
fn a_file_that_only_the_dependency_file_names_is_in_the_key() {
    let clang = compilers().into_iter().filter(|(kind, _)| kind.is_clang());
    for ((kind, name), mode) in clang.flat_map(|clang| ["-MD", "-MMD"].map(|mode| (clang, mode))) {
        for (options, source, late) in LISTED {
            let tree = Tree::new();
            for file in [b"inc/a.h".as_slice(), b"first/keep"] {
                tree.write(file, b"#pragma once\n");
            }
            tree.write(b"x.c", source.as_bytes());
            let line = format!("{name} {options} {mode} -c x.c");
            let argv: Vec<_> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let [before, after] = [false, true].map(|appears| {
                if appears {
                    tree.write(late, b"#pragma once\n");
                }
                let looked = look(&tree, kind, &argv);
                let outputs = outputs(&tree, &argv, &looked);
                (looked.keys, outputs)
            });
            assert!(before.1 != after.1, "{line} {source}: the dependencies change");
            assert_ne!(before.0.bound, after.0.bound, "{line} {source}");
            assert_ne!(before.0.free, after.0.free, "{line} {source}");
        }
    }
}

#[test]
fn the_list_alone_changes_the_key() {
    let tree = Tree::new();
    tree.write(b"x.c", b"int x;\n");
    let argv = words(&["clang", "-MD", "-c", "x.c"]);
    let list = |paths: &[DependPath]| {
        let listed: &'static Depend = Box::leak(Box::new(Depend { paths: paths.to_vec() }));
        look_adjusted(&tree, CompilerKind::Clang, &argv, |_, i| i.listed = Some(listed)).keys.bound
    };
    let path = |path: &[u8]| path.to_vec();
    let lists = [
        list(&[]),
        list(&[DependPath::Relative(path(b"ab"))]),
        list(&[DependPath::Root(path(b"ab"))]),
        list(&[DependPath::Absolute(path(b"/ab"))]),
        list(&[DependPath::Relative(path(b"a")), DependPath::Relative(path(b"b"))]),
        list(&[DependPath::Relative(path(b"b")), DependPath::Relative(path(b"a"))]),
    ];
    let distinct: std::collections::HashSet<_> = lists.iter().collect();
    assert_eq!(distinct.len(), lists.len());
}

#[test]
fn everything_around_the_call_is_in_the_key() {
    let kind = CompilerKind::Clang;
    let tree = Tree::new();
    tree.write(b"x.c", b"const char *d = __DATE__;\n");
    tree.write(b"list", b"fun:x\n");
    let argv = words(&[
        "clang",
        "-Wno-builtin-macro-redefined",
        "-D__DATE__=\"\"",
        "-fsanitize-ignorelist=list",
        "-c",
        "x.c",
    ]);
    let plain = look(&tree, kind, &argv);
    assert!(plain.facts.date);
    let other = Digest::of(b"other");
    let words_of = words(&["avx2"]);
    let namespace = Namespace("team".parse().unwrap());
    type Adjust<'a> = Box<dyn Fn(&mut Invocation, &mut Ingredients<'_>) + 'a>;
    let pair = |name: &str| (name.as_bytes().to_vec(), b"1".to_vec());
    // Each closure changes one thing; a lifetime of the ingredients keeps borrowed ones to leaked values.
    let native: &'static [Vec<u8>] = words_of.leak();
    let digests: &'static [Digest] = vec![other].leak();
    let namespace: &'static Namespace = Box::leak(Box::new(namespace));
    let changes: Vec<(&str, Adjust<'_>)> = vec![
        ("namespace", Box::new(|_, i| i.namespace = namespace)),
        ("toolchain", Box::new(|_, i| i.toolchain = ToolchainId::from_digest(other))),
        ("native", Box::new(|_, i| i.native = native)),
        ("extra files", Box::new(|_, i| i.extra_files = digests)),
        ("option files", Box::new(|_, i| i.option_files = digests)),
        ("color", Box::new(|_, i| i.color = Color::Terminal)),
        ("messages", Box::new(|_, i| i.messages = b"warning")),
        ("raw", Box::new(|_, i| i.raw = digests)),
        ("driver", Box::new(|v, _| v.driver = b"cc".to_vec())),
        ("language", Box::new(|v, _| v.language = crate::invocation::Language::Cxx)),
        ("source", Box::new(|v, _| v.source = b"./x.c".to_vec())),
        ("environment", Box::new(move |v, _| v.environment.always.push(pair("LANG")))),
        ("time zone", Box::new(move |v, _| v.environment.time.push(pair("TZ")))),
    ];
    for (what, change) in changes {
        assert_ne!(look_adjusted(&tree, kind, &argv, change).keys.bound, plain.keys.bound, "{what}");
    }
    let terminal =
        |name| move |v: &mut Invocation, _: &mut Ingredients<'_>| v.environment.terminal.push(pair(name));
    assert_eq!(look_adjusted(&tree, kind, &argv, terminal("TERM")).keys, plain.keys);
}

#[test]
fn everything_around_the_call_is_in_the_manifest_key() {
    for (kind, name) in compilers() {
        let tree = Tree::new();
        tree.write(b"x.c", b"int x;\n");
        let looked = look(&tree, kind, &words(&[name, "-c", "x.c"]));
        let namespace = Namespace::default();
        let root = tree.path();
        let key = |invocation: &Invocation, working_directory: &[u8], directories: &[RootPath]| {
            let ingredients = Ingredients {
                namespace: &namespace,
                toolchain: ToolchainId::from_digest(Digest::of(b"toolchain")),
                native: &[],
                extra_files: &[],
                option_files: &[],
                color: Color::Plain,
                facts: FileFacts::default(),
                messages: &[],
                listed: None,
                debug_directories: Directories::Matter,
                raw: &[],
                takes: Takes::Headers,
            };
            let places = Places { root: &root, working_directory };
            manifest_keys(invocation, &ingredients, &places, directories).free.expect("it can be shared")
        };
        let plain = key(&looked.invocation, &root, &[]);
        let below = [root.as_slice(), b"/sub"].concat();
        assert_ne!(key(&looked.invocation, &below, &[]), plain, "{name}: working directory");
        let directory = RootPath::Root(b"inc".to_vec());
        assert_ne!(key(&looked.invocation, &root, &[directory]), plain, "{name}: include directories");
        let mut invocation = looked.invocation;
        invocation.environment.include.push((b"CPATH".to_vec(), b"inc".to_vec()));
        assert_ne!(key(&invocation, &root, &[]), plain, "{name}: include environment");
    }
}

#[test]
fn what_the_text_does_not_show_is_an_obstacle() {
    let tree = Tree::new();
    tree.write(b"x.c", b"int x;\n");
    let plain = |kind| tree.compile(kind, &words(&["cc", "-c", "x.c"]));
    let depend = |kind| tree.compile(kind, &words(&["cc", "-MD", "-c", "x.c"]));
    let none = FileFacts::default();
    assert_eq!(
        obstacle(&plain(CompilerKind::Gcc), &FileFacts { date: true, has_include: true, ..none }),
        None
    );
    let cases = [
        FileFacts { time: true, ..none },
        FileFacts { timestamp: true, ..none },
        FileFacts { embed: true, ..none },
        FileFacts { pragma_dependency: true, ..none },
    ];
    for facts in cases {
        assert!(obstacle(&plain(CompilerKind::Gcc), &facts).is_some(), "{facts:?}");
    }
    let has_include = FileFacts { has_include: true, ..none };
    assert_eq!(obstacle(&depend(CompilerKind::Gcc), &has_include), None);
    assert_eq!(obstacle(&plain(CompilerKind::Clang), &has_include), None);
    assert_eq!(obstacle(&depend(CompilerKind::Clang), &has_include), None);
    // Clang obeys directives in text that is preprocessed already.
    tree.write(b"x.i", b"#if __has_include(\"h.h\")\nint x;\n#endif\n");
    let ready = tree.compile(CompilerKind::Clang, &words(&["cc", "-c", "x.i"]));
    assert!(obstacle(&ready, &has_include).is_some());
}

#[test]
fn messages_about_macros_show_arguments_only_where_those_are_not_in_every_key() {
    let tree = Tree::new();
    tree.write(b"x.c", b"int x;\n");
    let call = |line: &[&str]| tree.compile(CompilerKind::Gcc, &words(line));
    let with = call(&["cc", "-DA", "-c", "x.c"]);
    let note = b"x.c:1:1: note: in expansion of macro 'A'";
    assert!(!messages_show_arguments(&with, Takes::Headers, b""));
    assert!(!messages_show_arguments(&with, Takes::Headers, b"x.c:1:1: warning: unused"));
    assert!(messages_show_arguments(&with, Takes::Headers, note));
    assert!(!messages_show_arguments(&call(&["cc", "-c", "x.c"]), Takes::Headers, note));
    assert!(!messages_show_arguments(&call(&["cc", "-DA", "-g3", "-c", "x.c"]), Takes::Headers, note));
    let mut german = with;
    german.environment.always = vec![(b"LC_ALL".to_vec(), b"de_DE.UTF-8".to_vec())];
    assert!(messages_show_arguments(&german, Takes::Headers, b"x.c:1:1: Warnung: ungenutzt"));
}

#[test]
fn a_message_that_shows_arguments_always_has_a_key_of_its_own() {
    let note = b"x.c:1:1: note: in expansion of macro 'A'";
    let mut shown = 0;
    for (kind, name) in compilers() {
        let tree = Tree::new();
        tree.write(b"x.c", b"int x;\n");
        let parts: [&[&str]; 7] =
            [&["-DA=1"], &["-UB"], &["-Iinc"], &["-iquote", "inc"], &["-include", "x.c"], &["-g3"], &["-MD"]];
        for chosen in 0..1 << parts.len() {
            let some = parts.iter().enumerate().filter(|(at, _)| chosen & (1 << at) != 0);
            let line =
                [&[name], some.flat_map(|(_, part)| *part).copied().collect::<Vec<_>>().as_slice()].concat();
            let invocation = tree.compile(kind, &words(&[line.as_slice(), &["-c", "x.c"]].concat()));
            for takes in [Takes::Headers, Takes::Precompiled] {
                if messages_show_arguments(&invocation, takes, note) {
                    shown += 1;
                    assert!(!hidden(&invocation, takes).is_empty(), "{line:?} {takes:?}");
                }
            }
        }
    }
    assert!(shown > 50, "{shown}");
}

#[test]
fn a_precompiled_header_that_would_be_taken_silently_is_seen() {
    let tree = Tree::new();
    tree.write(b"inc/sub/h.h", b"int h;\n");
    tree.write(b"x.c", b"#include <sub/h.h>\nint x;\n");
    tree.write(b"late.c", b"int x;\n#include <sub/h.h>\n");
    tree.write(b"first/keep", b"");
    let path = tree.path();
    let files = Disk::new(Path::new(std::str::from_utf8(&path).unwrap()));
    let found = |source: &str, options: &[&str], kind: CompilerKind| {
        let name = if kind.is_clang() { "clang" } else { "gcc" };
        let argv = words(&[&[name, "-Ifirst", "-Iinc"], options, &["-c", source]].concat());
        let invocation = tree.compile(kind, &argv);
        let mut preprocess = words(&[name]);
        preprocess.extend(invocation.preprocessor.clone().unwrap());
        let text = tree.run(&preprocess).stdout;
        !precompiled_headers(&invocation, &Preprocessed::parse(&text).unwrap(), &[], &files).is_empty()
    };
    for (kind, _) in compilers() {
        assert!(!found("x.c", &[], kind) && !found("x.c", &["-include", "inc/sub/h.h"], kind));
    }
    for place in ["inc/sub/h.h.gch", "first/sub/h.h.gch"] {
        tree.write(place.as_bytes(), b"");
        assert!(found("x.c", &[], CompilerKind::Gcc), "{place}");
        assert!(!found("late.c", &[], CompilerKind::Gcc), "{place}");
        tree.remove(place.as_bytes());
    }
    tree.write(b"inc/sub/h.h.pch", b"");
    assert!(found("late.c", &["-include", "inc/sub/h.h"], CompilerKind::Clang));
}

#[test]
fn midnight_of_every_time_zone_is_a_border_of_quarters() {
    assert_eq!(quarter_hour(899), 0);
    assert_eq!(quarter_hour(900), 1);
    // Nepal, 5 h 45 min ahead: its midnight is 18:15 UTC.
    let midnight = 18 * 3600 + 15 * 60;
    assert_ne!(quarter_hour(midnight - 1), quarter_hour(midnight));
}

#[test]
fn what_is_declared_irrelevant_leaves_the_key_and_is_named_in_it() {
    let seeds = ["-frandom-seed=1", "-frandom-seed=2"];
    let config = |text: &str| {
        let mut config = Config::default();
        let (name, value) = text.split_once('=').unwrap();
        let key = crate::config::Key::find(name).unwrap();
        key.put(&mut config, value).expect("an allowed value");
        config
    };
    for (kind, name) in compilers() {
        let tree = Tree::new();
        tree.write(b"x.c", b"int x;\n");
        let key = |option: &str, config: &Config| {
            let argv = words(&[name, "-O2", option, "-c", "x.c"]);
            look_adjusted(&tree, kind, &argv, |invocation, _| take_out_declared(invocation, config))
                .keys
                .bound
        };
        let exact = Config::default();
        for declared in ["sloppiness=random_seed", "ignore_options=-frandom-seed=*"].map(config) {
            assert_eq!(key(seeds[0], &declared), key(seeds[1], &declared), "{name}");
            assert_ne!(key(seeds[0], &declared), key("-O2", &exact), "{name}: nobody else is served this");
            assert_eq!(key("-O2", &declared), key("-O2", &exact), "{name}: it touches nothing here");
        }
        assert_ne!(key(seeds[0], &exact), key(seeds[1], &exact), "{name}");
        let one = config("ignore_options=-frandom-seed=1");
        assert_ne!(key(seeds[0], &one), key(seeds[1], &one), "{name}");
    }
}
