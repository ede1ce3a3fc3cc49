//! Preprocessed text and facts of files, from tables and from the real compilers.

use super::marker::{parse, unescape};
use super::*;
use crate::invocation::oracle::{Tree, compilers, words};
use proptest::prelude::*;

#[test]
fn line_markers_are_told_from_everything_else() {
    let name = |line: &'static str| parse(line.as_bytes()).map(|marker| (&line[marker.name], marker.enters));
    assert_eq!(name("# 1 \"x.c\""), Some(("x.c", false)));
    assert_eq!(name("# 12 \"a b.h\" 1 3 4"), Some(("a b.h", true)));
    assert_eq!(name("# 12 \"a\\\"b\\\\\" 2"), Some(("a\\\"b\\\\", false)));
    assert_eq!(name("#line 3 \"x.y\""), Some(("x.y", false)));
    assert_eq!(name("# 1 \"x\" 3 4"), Some(("x", false)));
    for other in ["#pragma once", "# x", "# 1", "# 1 x.c", "# 1 \"x.c", "#1 \"x.c\"", "# \"x.c\"", "# 1 \"\\"]
    {
        assert_eq!(name(other), None, "{other}");
    }
    assert_eq!(unescape(b"a\\\"b\\\\c\\303\\251\\7"), b"a\"b\\c\xC3\xA9\x07".as_slice());
}

#[test]
fn every_file_that_the_compilers_read_is_found_by_its_own_name() {
    let names = ["a.h", "sub dir/b.h", "c\\d.h", "é$#.h", "empty.h", "twice.h"];
    for (_, compiler) in compilers() {
        let tree = Tree::new();
        let mut source = String::new();
        for name in names {
            // Contents differ: gcc takes equal ones of equal age for one file.
            let content = format!("#pragma once\nextern int v{};\n", name.len());
            tree.write(name.as_bytes(), if name == "empty.h" { b"" } else { content.as_bytes() });
            source += &format!("#include \"{name}\"\n");
        }
        source += "#include \"twice.h\"\n#line 7 \"grammar.y\"\nint x;\n";
        tree.write(b"x.c", source.as_bytes());
        let text = tree.run(&words(&[compiler, "-E", "x.c"])).stdout;
        let parsed = Preprocessed::parse(&text).unwrap();
        let found: Vec<_> = parsed.files().iter().map(|file| file.path.clone()).collect();
        let ours = found.iter().filter(|path| !path.starts_with(b"/"));
        let ours: Vec<_> = ours.map(|path| path.strip_prefix(b"./").unwrap_or(path).to_vec()).collect();
        let mut expected = words(&["x.c"]);
        expected.extend(words(&names));
        assert_eq!(ours, expected, "{compiler}");
        assert!(parsed.files()[1].leads);
        assert!(!parsed.files().last().unwrap().leads);
    }
}

const READS_FILES: &[&str] = &[
    "asm(\".incbin \\\"f\\\"\");",
    "__asm__ volatile (\".inc\"\n \"bin \\\"f\\\"\");",
    "asm(\".inc\"\n# 3 \"x.c\"\n\"bin \\\"f\\\"\");",
    "asm(\".INCBIN \\\"f\\\"\");",
    "asm(\"\\x2eincbin 'f'\");",
    "asm(\".\\151ncbin f\");",
    "void f(void) { int a; __asm(\"nop\" : \"=r\"(a) : : \"memory\"); asm(\".include \\\"f\\\"\"); }",
    "asm(R\"x(.incbin \"f\")x\");",
    "asm(\".macro m a\\n .\\\\a \\\"f\\\"\\n.endm\\n m incb\" \"in\");",
    "asm(\".macro m a b\\n \\\\a\\\\b \\\"f\\\"\\n.endm\\n m .inc, bin\");",
    "asm { incbin }",
    "__attribute__((section(\".data\\n.incbin \\\"f\\\"\\n#\"))) int x = 1;",
    "int x [[gnu::__section__(\".data\"\n\"\\n.inc\" \"bin 'f'\")]] = 1;",
    "asm(\"unfinished",
    "#pragma GCC pch_preprocess \"x.gch",
    "#pragma GCC dependency \"x.y\"",
    "# embed \"data\"",
    "#pragma clang module import a",
];

const READS_NONE: &[&str] = &[
    "extern int f(void) __asm__ (\"\" \"__isoc99_scanf\");",
    "asm(\"nop\");",
    "__attribute__((__section__(\".data,\\\"aw\\\"#\"))) int x; int section(int a); int y = section(1);",
    "asm volatile goto (\"jmp %l0\" : : : : away);",
    "asm(\".macro extable type:req\\n .if \\\\type == 1\\n nop\\n.endif\\n.endm\");",
    "const char *s = \".incbin\"; int plasma; int asm_count; // asm",
    "const char *s = \"asm\";",
    "int incbin; #define x",
    "#pragma once",
    "#ident \"x\"",
    "asm(\"inc %eax\" : : \"a\"('\"'));",
];

#[test]
fn assembly_and_directives_that_read_files_are_found_however_they_are_written() {
    for text in READS_FILES {
        assert!(Preprocessed::parse(text.as_bytes()).is_err(), "{text}");
    }
    for text in READS_NONE {
        assert!(Preprocessed::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn assembly_that_reads_files_is_found_and_labels_of_macros_are_not() {
    let reads = |text: &str| Preprocessed::parse(text.as_bytes()).unwrap().assembly_reader().is_some();
    for text in [
        " .incbin \"f\"",
        " .INCLUDE \"f\"",
        ".macro m a\n .inc\\a \"f\"\n.endm",
        ".macro m a\n .\\a \"f\"\n.endm\n m x",
        ".macro m a b\n \\a\\b \"f\"\n.endm\n m .i, ncbin",
        ".irp a,include\n .\\a \"f\"\n.endr",
    ] {
        assert!(reads(text), "{text}");
    }
    for text in ["f: ret\n .section .init.text", ".macro m a\n.Lx\\@: mov\\a %eax, %ebx\n.endm\n m l"] {
        assert!(!reads(text), "{text}");
    }
}

#[test]
fn directives_that_read_files_are_found_in_sources_that_are_preprocessed_already() {
    for text in ["#include \"h.h\"", "  #include \"h.h\"", "int x;\n\t# import <h.h>", " #embed \"h.h\""] {
        assert!(Preprocessed::parse_source(text.as_bytes(), b"x.i").is_err(), "{text}");
    }
    for text in ["# 1 \"include\" 1\nint include;", " # pragma once\nint x;", ""] {
        assert!(Preprocessed::parse_source(text.as_bytes(), b"x.i").is_ok(), "{text}");
    }
}

#[test]
fn facts_of_a_file_are_found_in_directives_and_never_missed_for_a_comment() {
    let facts = |text: &str| FileFacts::scan(text.as_bytes());
    assert_eq!(
        facts("int x; /* embedded */ \"dependency\" TIME DATE HAS_TIME__ __DATES__ __TIME*_T __"),
        FileFacts::default()
    );
    // Parts that pasting completes, and a name over two lines.
    for text in ["P(__TIME, __)", "ME__", "P(__DATE_, _)", "__T\\\nIME__", "STAMP__"] {
        assert!(facts(text).time, "{text}");
    }
    assert!(facts("#pragma clang dependency \"x\"").pragma_dependency);
    assert!(facts("// __DATE__").date && facts("x __TIME__").time && facts("__TIMESTAMP__").timestamp);
    assert!(facts("#if __has_include_next(<x>)").has_include);
    assert!(facts("#pragma GCC /* why */ dependency \"x\"").pragma_dependency);
    assert!(facts("_Pragma(\"GCC dependency \\\"x\\\"\")").pragma_dependency);
    assert!(facts("# \\\n embed <x>").embed && facts("#if __has_embed(<x>)").embed);
    let both = facts("__DATE__").and(facts("__TIME__"));
    assert!(both.date && both.time && !both.timestamp);
}

#[test]
fn directories_are_hidden_only_where_they_can_be_told_apart() {
    let places = |root: &'static str, directory: &'static str| Places {
        root: root.as_bytes(),
        working_directory: directory.as_bytes(),
    };
    assert!(places("/home/a", "/home/a").can_be_hidden());
    assert!(places("/home/a", "/home/a/b").can_be_hidden());
    for (root, directory) in
        [("/", "/b"), ("", "/b"), ("a", "a"), ("/a", "/ab"), ("/a", "/b"), ("/a/", "/a/b"), ("/a b", "/a b")]
    {
        assert!(!places(root, directory).can_be_hidden(), "{root} {directory}");
        assert!(places(root, directory).leak_into(b"anything"));
    }
    assert!(places("/home/a", "/home/a").leak_into(b"\0/home/a/x.c\0"));
    assert!(!places("/home/a", "/home/a").leak_into(b"\0x.c\0/home/b"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn no_text_is_too_odd_and_pieces_lose_nothing_but_the_root(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "# 1 \"", "/r/x.c", "/r", "/rr/x", "\" 1\n", "\"", "\n", "asm(", "(", ")", "\\", "#", "x", "R\"", "'", "é", "\0",
        ]), 0..24),
    ) {
        let text = pieces.concat();
        let places = Places { root: b"/r", working_directory: b"/r" };
        if let Ok(parsed) = Preprocessed::parse(text.as_bytes()) {
            let pieces = parsed.pieces(&places);
            prop_assert!(pieces.len() % 2 == 1);
            let back: Vec<u8> = pieces.iter().enumerate().flat_map(|(index, piece)| {
                let next = pieces.get(index + 1).and_then(|next| next.first());
                let root = if next == Some(&b'"') { b"/r".as_slice() } else { b"/r/" };
                if index % 2 == 1 { root.to_vec() } else { piece.to_vec() }
            }).collect();
            prop_assert_eq!(back, text.as_bytes());
        }
    }
}

#[test]
fn a_time_of_many_parts_and_a_question_for_times_behind_a_long_comment_are_seen() {
    let facts = |text: &str| FileFacts::scan(text.as_bytes());
    for text in ["C(__TIM,E_,_)", "__DA", "C(__TI, ME__)", "__TIME??/\n__"] {
        assert!(facts(text).time, "{text}");
    }
    let comment = format!("#pragma GCC /*{}*/ dependency \"x\"", "-".repeat(5000));
    for text in [comment.as_str(), "#pragma GCC depend\\\nency \"x\"", "#pragma GCC depend??/\nency \"x\""] {
        assert!(facts(text).pragma_dependency, "{text}");
    }
    assert!(facts("#em\\\nbed \"x\"").embed);
    assert_eq!(facts("int __TIMESIZE; // E__x, date, time"), FileFacts::default());
}
