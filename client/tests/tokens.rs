//! Finding a compile by its tokens: an edited comment costs no compile where it cannot show, and where it can, the compiler says what is
//! made of it.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{DCCACHE, Place, has};

/// How a compile through dccache came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By its text or tokens.
    Text,
    /// By what it reads.
    Direct,
    /// The compiler made it.
    Compiled,
}

/// Compiles through dccache and plainly; both must be equal.
fn compile(place: &Place, compiler: &str, words: &[&str], outputs: &[&str]) -> Way {
    let counts = || (place.stat("/hits/local"), place.stat("/hits/direct"));
    let before = counts();
    let ours = place.compare(&[DCCACHE, compiler], words, outputs);
    let after = counts();
    let plain = place.compare(&[compiler], words, outputs);
    assert_eq!(plain, ours, "{compiler} {words:?}: {}", place.explain());
    match (after.0 - before.0, after.1 - before.1) {
        (0, _) => Way::Compiled,
        (_, 0) => Way::Text,
        _ => Way::Direct,
    }
}

const HEADER: [&str; 3] = [
    "#ifndef H\n#define H 3 // how many\nstatic inline int g(int a) { return a * H; } /* g */\n#endif\n",
    "#ifndef H\n#define H 3 // how many there are\nstatic inline int g(int a) { return a *   H; } /* of g */\n#endif\n",
    "#ifndef  H\n#define H 3\nstatic inline int g(int a) { return a * H; } // g\n#endif // H\n",
];

const SOURCE: [&str; 3] = [
    "/* A\n * note */\n#include \"h.h\"\nint f(int a) { return g(a) + 1; }\n\nint k(int a)\n{\n    return g(a) / 7; /* k */\n}\n",
    "/* Another\n * one */\n#include \"h.h\" // g\nint f(int a) {\treturn   g(a) + 1; }\n// k\nint k(int a)\n{\n    return g(a) / 7;   \n}\n",
    "// A\n\n#include   \"h.h\"\nint f(int a) { return g(a) /* 3 a */ + 1; }\n/**/\nint k(int a)\n{\n    return g(a) / 7;\n}\n",
];

#[test]
fn edited_comments_and_moved_blanks_cost_no_compile_in_source_and_header() {
    let commands: &[(&str, &str, &[&str])] = &[
        ("gcc", "-O2 -c a.c", &["a.o"]),
        (
            "gcc",
            "-O1 -fPIC -Wall -Wno-misleading-indentation -Werror -c a.c -MD -MP -MF a.d",
            &["a.o", "a.d"],
        ),
        ("gcc", "-O3 -w -Wall -Wextra -std=c11 -I. -DX=1 -c a.c -MMD -o x.o", &["x.o", "x.d"]),
        ("gcc", "-Os -S a.c -fno-asynchronous-unwind-tables", &["a.s"]),
        (
            "g++",
            "-O2 -std=c++17 -fno-exceptions -Wextra -Wno-implicit-fallthrough -Wno-empty-body -x c++ -c a.c",
            &["a.o"],
        ),
    ];
    for (compiler, line, outputs) in commands {
        let words: Vec<&str> = line.split(' ').collect();
        let place = Place::new();
        place.write("a.c", SOURCE[0]);
        place.write("h.h", HEADER[0]);
        assert_eq!(compile(&place, compiler, &words, outputs), Way::Compiled, "{line}");
        for (source, header) in [(1, 0), (0, 1), (1, 1), (2, 2)] {
            place.write("a.c", SOURCE[source]);
            place.write("h.h", HEADER[header]);
            let way = compile(&place, compiler, &words, outputs);
            assert_eq!(way, Way::Text, "{line}: {source} {header}: {}", place.explain());
            // What was found has its own direct key from now on.
            assert_eq!(compile(&place, compiler, &words, outputs), Way::Direct, "{line}: {source} {header}");
        }
        place.write("h.h", HEADER[0].replace('3', "4"));
        assert_eq!(compile(&place, compiler, &words, outputs), Way::Compiled, "{line}");
    }
}

/// One case: compiler, options, source before and after.
struct Case(&'static str, &'static str, &'static str, &'static str);

const PLAIN: &str = "int f(int a, int b) { return a / b; }\n";
const MOVED: &str = "int f(int a, int b) { return   a / b; } // f\n";
const FALLS: &str = "int f(int);\nint h(int x) { switch (x) { case 1: x = f(x); /* fall through */\ncase 2: return 3; } return x; }\n";
const STUMBLES: &str = "int f(int);\nint h(int x) { switch (x) { case 1: x = f(x); /* then on */\ncase 2: return 3; } return x; }\n";
const INDENTED: &str = "void b(void);\nvoid f(int a) {\n    if (a)\n        b();\n/* x */\n        b();\n}\n";
const MISLEADING: &str =
    "void b(void);\nvoid f(int a) {\n    if (a)\n        b();\n        /* x */\n        b();\n}\n";
const SPACED: &str = "void g(void);\nint f(int x) {\n;            while (x);\n       g();\n return x; }\n";
const CLOSER: &str = "void g(void);\nint f(int x) {\n; while (x);\n       g();\n return x; }\n";

/// The edit shows, in an output or a message: there must be no hit, or another object would be served.
#[rustfmt::skip]
const SHOWS: &[Case] = &[
    Case("gcc", "-O2 -g -c a.c", PLAIN, MOVED),
    Case("clang", "-O2 -g -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -fsanitize=undefined -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -fstack-usage -c a.c", PLAIN, "int   f(int a, int b) { return a / b; }\n"),
    Case("gcc", "-O2 -fcallgraph-info -c a.c", PLAIN, "int   f(int a, int b) { return a / b; }\n"),
    Case("gcc", "-O2 -fverbose-asm -S -o a.o a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -Wextra -c a.c", FALLS, STUMBLES),
    Case("gcc", "-O2 -W -c a.c", FALLS, STUMBLES),
    Case("gcc", "-O2 -Wimplicit-fallthrough -c a.c", FALLS, STUMBLES),
    Case("gcc", "-O2 -Werror=implicit-fallthrough -c a.c", FALLS, STUMBLES),
    Case("gcc", "-O2 -Wno-empty-body -Wextra -c a.c", FALLS, STUMBLES),
    Case("gcc", "-O2 -Wall -c a.c", INDENTED, MISLEADING),
    Case("gcc", "-O2 -Wmisleading-indentation -c a.c", INDENTED, MISLEADING),
    Case("gcc", "-O2 -Wno-misleading-indentation -Wmisleading-indentation -c a.c", INDENTED, MISLEADING),
    Case("gcc", "-O2 -c a.c", "#pragma GCC diagnostic warning \"-Wimplicit-fallthrough\"\nint f(int);\nint h(int x) { switch (x) { case 1: x = f(x); /* fall through */\ncase 2: return 3; } return x; }\n",
        "#pragma GCC diagnostic warning \"-Wimplicit-fallthrough\"\nint f(int);\nint h(int x) { switch (x) { case 1: x = f(x); /* then on */\ncase 2: return 3; } return x; }\n"),
    Case("gcc", "-O2 -c a.c", "_Pragma(\"GCC diagnostic error \\\"-Wmisleading-indentation\\\"\")\nvoid b(void);\nvoid f(int a) {\n    if (a)\n        b();\n/* x */\n        b();\n}\n",
        "_Pragma(\"GCC diagnostic error \\\"-Wmisleading-indentation\\\"\")\nvoid b(void);\nvoid f(int a) {\n    if (a)\n        b();\n        /* x */\n        b();\n}\n"),
    Case("clang", "-O2 -c a.c", SPACED, CLOSER),
    Case("g++", "-O2 -std=c++20 -x c++ -c a.c", "#include <source_location>\nunsigned f() { return std::source_location::current().column(); }\n",
        "#include <source_location>\nunsigned f() { return    std::source_location::current().column(); }\n"),
    // Messages that are there in any case name columns and quote the line.
    Case("gcc", "-O2 -Wunused-variable -c a.c", "void f(void) { int a; } // f\n", "void f(void) {   int a; } /* f */\n"),
    // The preprocessor's own messages are about comments and blanks.
    Case("gcc", "-O2 -Wall -Wno-misleading-indentation -c a.c", "int a; /* a */\n", "int a; /* /* a */\n"),
    Case("gcc", "-O2 -c a.c", "int a; /* a */\n", "int a; /* \u{202e} */\n"),
    // A new line moves what stands below it.
    Case("gcc", "-O2 -S -o a.o a.c", "#include <assert.h>\nvoid f(int a) { assert(a); }\n", "#include <assert.h>\n/* f */\nvoid f(int a) { assert(a); }\n"),
    Case("gcc", "-O2 -std=c99 -c a.c", "// a ??/x\nint a;\nint b;\n", "// a ??/\nint a;\nint b;\n"),
    Case("clang", "-O2 -x c++ -c a.c", "template <class T> const char *n() { return __PRETTY_FUNCTION__; }\nconst char *f() { auto l = [] {}; return n<decltype(l)>(); }\n",
        "template <class T> const char *n() { return __PRETTY_FUNCTION__; }\nconst char *f() { auto l =     [] {}; return n<decltype(l)>(); }\n"),
];

#[test]
fn an_edit_that_shows_gives_what_the_compiler_gives_now() {
    for Case(compiler, line, before, after) in SHOWS.iter().filter(|case| has(case.0)) {
        let words: Vec<&str> = line.split(' ').collect();
        let outputs = ["a.o", "a.su", "a.ci"];
        let place = Place::new();
        place.write("a.c", before);
        compile(&place, compiler, &words, &outputs);
        let plain = place.compare(&[compiler], &words, &outputs);
        place.write("a.c", after);
        let way = compile(&place, compiler, &words, &outputs);
        assert_eq!(way, Way::Compiled, "{compiler} {line}");
        assert_ne!(plain, place.compare(&[compiler], &words, &outputs), "the edit shows: {compiler} {line}");
    }
}

/// Nobody has shown that the edit shows here, nor that it never does: it is compiled.
#[rustfmt::skip]
const DOUBTFUL: &[Case] = &[
    Case("clang", "-O2 -w -c a.c", PLAIN, MOVED),
    Case("gcc", "-c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -O0 -c a.c", PLAIN, MOVED),
    Case("gcc", "-Og -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -flto -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 --coverage -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -fprofile-generate -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -pg -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -fopenmp -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -fanalyzer -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -finput-charset=UTF-8 -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -trigraphs -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -Wpedantic -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -w -pedantic-errors -c a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -fsyntax-only a.c", PLAIN, MOVED),
    Case("gcc", "-O2 -x assembler-with-cpp -c a.c", "nop /* a */\n", "nop /* b */\n"),
    Case("gcc", "-O2 -c a.c", "__attribute__((optimize(0))) int f(int a, int b) { return a / b; }\n", "__attribute__((optimize(0))) int f(int a, int b) { return   a / b; }\n"),
    Case("gcc", "-O2 -c a.c", "#pragma GCC optimize 0\nint f(int a, int b) { return a / b; }\n", "#pragma GCC optimize 0\nint f(int a, int b) { return   a / b; }\n"),
    Case("gcc", "-O2 -c a.c", "#pragma STDC FP_CONTRACT ON\nint a;\n", "#pragma STDC FP_CONTRACT ON\nint   a;\n"),
    Case("gcc", "-O2 -c a.c", "#line 7 \"h.h\"\nint f(int a, int b) { return a / b; }\n", "#line 7 \"h.h\"\nint f(int a, int b) { return   a / b; }\n"),
    Case("gcc", "-O2 -c a.c", "int a; // ??=\n", "int a; // ??=.\n"),
];

#[test]
fn an_edit_in_doubt_is_compiled() {
    for Case(compiler, line, before, after) in DOUBTFUL.iter().filter(|case| has(case.0)) {
        let words: Vec<&str> = line.split(' ').collect();
        // Bytes that hold a time or a random number are compared elsewhere.
        let outputs: &[&str] =
            if ["lto", "cov", "prof"].iter().any(|word| line.contains(word)) { &[] } else { &["a.o"] };
        let place = Place::new();
        place.write("h.h", "");
        place.write("a.c", before);
        compile(&place, compiler, &words, outputs);
        place.write("a.c", after);
        assert_eq!(compile(&place, compiler, &words, outputs), Way::Compiled, "{compiler} {line}");
    }
}

#[test]
fn what_acts_beside_the_tokens_is_compiled() {
    let words = ["-O2", "-c", "a.c"];
    let place = Place::new();
    place.write("a.c", PLAIN);
    let compare = [("GCC_COMPARE_DEBUG", "")];
    place.compare_under(&compare, &[DCCACHE, "gcc"], &words, &["a.o"]);
    place.write("a.c", MOVED);
    let hits = place.stat("/hits/local");
    let ours = place.compare_under(&compare, &[DCCACHE, "gcc"], &words, &["a.o"]);
    assert_eq!(ours, place.compare_under(&compare, &["gcc"], &words, &["a.o"]));
    assert_eq!(place.stat("/hits/local"), hits);
    // A definition that nobody uses changes the tokens of its file, and its absence from the text proves nothing about warnings.
    place.write("a.c", format!("#define UNUSED\n{PLAIN}"));
    compile(&place, "gcc", &words, &["a.o"]);
    place.write("a.c", format!("#define OTHER\n{PLAIN}"));
    assert_eq!(compile(&place, "gcc", &words, &["a.o"]), Way::Compiled);
    // A line so long that gcc counts no columns in it.
    let long = format!("int a; /*{}*/\n", "x".repeat(600));
    place.write("a.c", &long);
    compile(&place, "gcc", &words, &["a.o"]);
    place.write("a.c", long.replace('x', "y"));
    assert_eq!(compile(&place, "gcc", &words, &["a.o"]), Way::Compiled);
}

#[test]
fn a_result_that_holds_the_root_unseen_is_compiled() {
    let words = ["-O2", "-c", "a.c"];
    let place = Place::new();
    place.write(".git/HEAD", "");
    // The text does not hold it in one piece, the object does.
    let root = place.work().canonicalize().unwrap();
    let letters: Vec<String> = root.to_str().unwrap().chars().map(|letter| format!("'{letter}'")).collect();
    let source = format!("const char root[] = {{ {} }}; // 1\n", letters.join(", "));
    place.write("a.c", &source);
    compile(&place, "gcc", &words, &["a.o"]);
    place.write("a.c", source.replace("// 1", "// 2"));
    assert_eq!(compile(&place, "gcc", &words, &["a.o"]), Way::Compiled);
}

#[test]
fn comments_that_are_to_count_do() {
    let words = ["-O2", "-c", "a.c"];
    let place = Place::new();
    place.write("a.c", PLAIN);
    let ours = || place.compare(&[DCCACHE, "keep_comments_cpp=true", "gcc"], &words, &["a.o"]);
    let first = ours();
    place.write("a.c", MOVED);
    assert_eq!(ours(), first);
    assert_eq!((place.stat("/hits/local"), place.stat("/misses")), (0, 2), "{}", place.stats());
}

#[test]
fn a_result_with_a_message_is_not_found_by_its_tokens() {
    // Second names begin with this byte.
    let second_names = |source: &str| {
        let place = Place::new();
        place.write("a.c", source);
        compile(&place, "gcc", &["-O2", "-Wunused-variable", "-c", "a.c"], &["a.o"]);
        let shards = fs::read_dir(place.home().join("objects")).unwrap();
        let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
        let heads = files.filter_map(|file| fs::read(file.unwrap().path()).unwrap().first().copied());
        heads.filter(|head| *head == 0xA1).count()
    };
    assert_eq!(second_names("void f(void) { }\n"), second_names("void f(void) { int a; }\n") + 1);
}

#[test]
fn a_precompiled_header_in_use_is_compiled_with() {
    let place = Place::new();
    place.write("h.h", HEADER[0]);
    place.write("a.c", SOURCE[0]);
    assert!(place.command("gcc").args(["-O2", "h.h", "-o", "h.h.gch"]).status().unwrap().success());
    support::age(&place.file("h.h.gch"));
    let words = ["-O2", "-c", "a.c"];
    compile(&place, "gcc", &words, &["a.o"]);
    place.write("a.c", SOURCE[1]);
    assert_eq!(compile(&place, "gcc", &words, &["a.o"]), Way::Compiled);
    fs::remove_file(place.file("h.h.gch")).unwrap();
}
