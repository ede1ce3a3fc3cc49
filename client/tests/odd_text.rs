//! Sources in other character sets, with trigraphs, odd line ends and control characters: nothing that a compiler reads in them is missed.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use support::{DCCACHE, LATER, Place, compilers};

/// Compiles four times, makes a change, and asserts that every result is the plain compiler's.
fn assert_noticed(compiler: &str, words: &[&str], place: &Place, change: impl Fn(&Place) -> &'static str) {
    let compare = |epoch: &str, variables: &[(&str, &str)], told: &str| {
        let variables = [variables, &[("SOURCE_DATE_EPOCH", epoch)]].concat();
        let plain = place.compare_under(&variables, &[compiler], words, &["x.o"]);
        assert_eq!(plain.code, Some(0), "{compiler} {words:?}: {plain:?}");
        let ours = place.compare_under(&variables, &[DCCACHE, compiler], words, &["x.o"]);
        assert_eq!(ours, plain, "{compiler} {words:?}: {told}: {}", place.explain());
    };
    for variables in [[].as_slice(), &[LATER], &[LATER], &[LATER]] {
        compare("0", variables, "warm");
    }
    let epoch = change(place);
    for variables in [[LATER].as_slice(), &[]] {
        compare(epoch, variables, "changed");
    }
}

/// Ways to write a word in two lines, and who reads them as one word, with what option.
const SPLICES: &[(&[u8], &str, &str)] = &[
    (b"\\\n", "", ""),
    (b"\\ \t\n", "", ""),
    (b"\\\r\n", "", ""),
    (b"\\\r", "", ""),
    (b"\\\0\n", "gcc", ""),
    (b"??/\n", "", "-std=c99"),
    (b"??/ \n", "", "-trigraphs"),
    (b"??/\r\n", "", "-std=c99"),
];

/// Makes `text` with what is spliced in place of each tilde.
fn spliced(text: &str, splice: &[u8]) -> Vec<u8> {
    text.split('~').map(str::as_bytes).collect::<Vec<_>>().join(splice)
}

fn splices(compiler: &str) -> impl Iterator<Item = (&'static [u8], Vec<&'static str>)> {
    let known = SPLICES.iter().filter(move |(_, only, _)| only.is_empty() || *only == compiler);
    known.map(|(splice, _, option)| {
        let option = Some(*option).filter(|option| !option.is_empty());
        (*splice, option.into_iter().chain(["-w", "-Iinc", "-c", "x.c"]).collect())
    })
}

#[test]
fn a_macro_that_shows_the_time_is_seen_however_its_line_is_divided() {
    for compiler in compilers() {
        for (splice, words) in splices(compiler) {
            let place = Place::new();
            place.write("x.c", spliced("const char *x = __TI~ME__;\n", splice));
            // Where the time can be set; the others are never served one.
            let compiler = if compiler == "clang" { "clang-16" } else { compiler };
            if !support::has(compiler) {
                continue;
            }
            assert_noticed(compiler, &words, &place, |_| "3661");
            assert_eq!(place.stat("/hits/local"), 0, "{compiler} {splice:?}: {}", place.explain());
        }
    }
}

/// Ways to write `#include "q.h"`.
fn directives(compiler: &str) -> Vec<(Vec<u8>, Vec<&'static str>)> {
    let divided = splices(compiler).map(|(splice, words)| (spliced("#incl~ude ~\"q~.h\"\n", splice), words));
    let long = format!("#/*{}*/include \"q.h\"\n", "-".repeat(10_000));
    let long_behind = format!("#include /*{}*/ \"q.h\"\n", "-".repeat(10_000));
    let plain: [&[u8]; 9] = [
        b"\0#include \"q.h\"\n",
        b"\n\0\0 #\0include\0\"q.h\"\n",
        b"/* a\n*/\0# include \"q.h\"\n",
        b"%:include \"q.h\"\n",
        b"%:\x0B\x0Cinclude \"q.h\"\n",
        b"/**/ # /*\n*/ import \"q.h\"\n",
        b"#include_next \"q.h\"\n",
        long.as_bytes(),
        long_behind.as_bytes(),
    ];
    let words = || vec!["-w", "-Iinc", "-c", "x.c"];
    let signed = (b"??=include \"q.h\"\n".to_vec(), vec!["-w", "-trigraphs", "-Iinc", "-c", "x.c"]);
    let plain = plain.map(|text| (text.to_vec(), words()));
    // What one compiler warns about, another one refuses.
    divided.chain(plain).chain([signed]).collect()
}

#[test]
fn a_header_that_would_be_found_earlier_is_noticed_however_its_directive_is_written() {
    for compiler in compilers() {
        for (directive, words) in directives(compiler) {
            let place = Place::new();
            // The second one leaves no trace: the header was read.
            place.write("x.c", "#include \"q.h\"\n#include \"dir/a.h\"\nint x = Q;\n");
            place.write("inc/q.h", "#pragma once\n#define Q 1\n");
            place.write("dir/a.h", &directive);
            let next = directive.windows(4).any(|part| part == b"next");
            assert_noticed(compiler, &words, &place, |place| {
                // The next one behind the includer's own directory is the same.
                place.write(if next { "dir/other.h" } else { "dir/q.h" }, "#undef Q\n#define Q 2\n");
                "0"
            });
        }
    }
}

#[test]
fn a_question_in_a_macro_is_one_however_it_is_defined() {
    for compiler in compilers() {
        for (define, option) in [("#define", "-w"), ("%:define", "-w"), ("??=define", "-trigraphs")] {
            let place = Place::new();
            place.write("x.c", "#include \"h.h\"\n#include \"dir/a.h\"\nint x = X;\n");
            place.write("h.h", format!("{define} ASKS __has_include(\"q.h\")\n"));
            place.write("dir/a.h", "#if ASKS\n#define X 1\n#else\n#define X 2\n#endif\n");
            assert_noticed(compiler, &["-w", option, "-c", "x.c"], &place, |place| {
                place.write("dir/q.h", "");
                "0"
            });
        }
    }
}

/// Encodes text in which only `__TIME__`, names and punctuation stand.
fn utf_16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_source_in_another_character_set_is_left_alone_unless_its_bytes_are_ascii() {
    // The header that gcc includes by itself is in ASCII.
    let words = |set: &'static str| ["-w", "-nostdinc", set, "-Iinc", "-c", "x.c"];
    let text = "#include \"q.h\"\nconst char *x = __TIME__ Q;\n";
    let place = Place::new();
    place.write("x.c", utf_16(text));
    place.write("inc/q.h", utf_16("#define Q \"1\"\n"));
    assert_noticed("gcc", &words("-finput-charset=UTF-16"), &place, |_| "3661");
    assert_noticed("gcc", &words("-finput-charset=UTF-16"), &place, |place| {
        place.write("q.h", utf_16("#define Q \"2\"\n"));
        "0"
    });
    assert_eq!(place.stat("/misses"), 0, "{}", place.explain());
    assert!(place.stat("/bypass_reasons/unsupported_compiler_option") > 0, "{}", place.explain());
    // The second byte of a character can be a backslash there, and the next line no continuation.
    let place = Place::new();
    place.write("x.c", b"// \xB4\x5C\n#include \"q.h\"\nint x = Q;\n");
    place.write("inc/q.h", "#define Q 1\n");
    for set in ["-finput-charset=SJIS", "-finput-charset=BIG5", "-finput-charset=GBK"] {
        assert_noticed("gcc", &words(set), &place, |_| "0");
    }
    assert_eq!(place.stat("/misses"), 0, "{}", place.explain());
    let place = Place::new();
    place.write("x.c", "int x;\n");
    for set in ["UTF-8", "utf8", "ISO-8859-1", "iso8859-15", "latin1", "CP1252", "US-ASCII", "KOI8-R"] {
        let set = format!("-finput-charset={set}");
        place.assert_differential("gcc", &[&set, "-c", "x.c"], &["x.o"]);
    }
}

#[test]
fn includes_that_odd_bytes_hide_from_a_search_are_noticed() {
    let long = format!("#include \"sub/x.h\"\n#/*{}*/include <x.h>\n", "-".repeat(5000));
    let zero = "#include \"sub/x.h\"\n\0#include <x.h>\n".to_owned();
    for source in [long, zero] {
        let place = Place::new();
        place.write("i/keep", "");
        place.write("sub/x.h", "extern int v;\n");
        place.write("x.c", source);
        assert_noticed("gcc", &["-w", "-Ii", "-Isub", "-c", "x.c"], &place, |place| {
            place.write("i/x.h", "int added;\n");
            "0"
        });
    }
}
