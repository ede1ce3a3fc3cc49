//! Dependency files against those of the real compilers.

use super::{DependMode, DependRequest, Dialect, Phony, capture, write};
use crate::invocation::CompilerKind;
use crate::invocation::oracle::{Tree, compilers, words};
use proptest::prelude::*;

/// Compiles in both ways; the file of the second call, made from the first call's tokens, must be what the compiler writes.
fn assert_regenerated(tree: &Tree, kind: CompilerKind, first: &[Vec<u8>], second: &[Vec<u8>]) -> bool {
    let root = tree.path();
    let request = tree.compile(kind, first).depend.expect("a dependency file");
    let output = tree.run(first);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let Some(depend) = capture(&tree.read(&request.path), &request, &root) else { return false };
    let other = tree.compile(kind, second).depend.expect("a dependency file");
    assert!(tree.run(second).status.success());
    let theirs = tree.read(&other.path);
    let ours = write(&depend, &other, &root);
    assert_eq!(ours, theirs, "{}\n{}", ours.escape_ascii(), theirs.escape_ascii());
    true
}

const FORMS: &[&[&str]] = &[
    &["-MD", "-c", "x.c"],
    &["-MD", "-c", "x.c", "-o", "out/x.o"],
    &["-MMD", "-c", "x.c", "-oout/y.z.o"],
    &["-MD", "-c", "x.c", "-o", "out/none"],
    &["-MD", "-c", "x.c", "-o", "out/.hidden"],
    &["-MD", "-c", "./x.c", "-o", "out/dot."],
    &["-MD", "-MF", "out/q", "-c", "out/../x.c"],
    &["-MMD", "-MFout/q", "-MP", "-c", "x.c"],
    &["-MD", "-MP", "-MT", "a b", "-MQ", "c d$#", "-MTe", "-c", "x.c"],
    &["-MMD", "-MT", "a", "-MT", "b", "-MQ", "c", "-c", "x.c", "-o", "out/x.o"],
    &["-MMD", "-S", "x.c"],
    &["-MMD", "-S", "x.c", "-o", "out/x.asm"],
    &["-Wp,-MD,out/w", "-c", "x.c", "-o", "out/x.o"],
    &["-Wp,-MMD,out/.x.o.d", "-c", "x.c", "-o", "out/x.o"],
    &["-Wp,-MMD,out/w", "-MP", "-MT", "t", "-c", "x.c", "-o", "out/x.o"],
    &["-MD", "-MF", "a", "-MF", "out/b", "-c", "x.c"],
    &[
        "-MD",
        "-MT",
        "a-target-that-is-quite-long-and-fills-most-of-a-line",
        "-MT",
        "and-another-one-behind-it",
        "-c",
        "x.c",
    ],
    &["-MD", "-c", "x.c", "-o", "out/a name $(with) #everything.o"],
];

#[test]
fn every_form_of_a_dependency_file_is_written_as_the_compiler_writes_it() {
    for (kind, name) in compilers() {
        let tree = Tree::new();
        let root = String::from_utf8(tree.path()).unwrap();
        tree.write(b"out/keep", b"");
        tree.write(b"inc/a.h", b"");
        tree.write(b"inc/sub dir/b $c#d.h", b"");
        let long = format!("inc/{}.h", "long".repeat(15));
        tree.write(long.as_bytes(), b"");
        let source = format!(
            "#include <stdio.h>\n#include \"inc/a.h\"\n#include \"{root}/inc/sub dir/b $c#d.h\"\n#include \"{long}\"\n#include \"./inc/a.h\"\nint x;\n"
        );
        tree.write(b"x.c", source.as_bytes());
        for form in FORMS {
            let argv = words(&[&[name], *form].concat());
            let mode: &str = form.iter().find(|word| word.contains("-MMD")).map_or("-MD", |_| "-MMD");
            let phony: &[&str] = if form.contains(&"-MP") { &["-MP"] } else { &[] };
            let plain = words(&[&[name, mode], phony, &["-c", "x.c", "-o", "first.o"]].concat());
            let same_spelling = form.contains(&"x.c");
            if same_spelling {
                assert!(assert_regenerated(&tree, kind, &plain, &argv), "{argv:?}");
            }
            assert!(assert_regenerated(&tree, kind, &argv, &argv), "{argv:?}");
        }
    }
}

#[test]
fn a_dependency_file_of_another_checkout_names_this_one() {
    for (kind, name) in compilers() {
        let trees = [Tree::new(), Tree::new()];
        let make = |tree: &Tree| {
            let root = String::from_utf8(tree.path()).unwrap();
            tree.write(b"a.h", b"");
            tree.write(b"x.c", b"#include <a.h>\n#include <stddef.h>\n");
            let (include, source) = (format!("-I{root}"), format!("{root}/x.c"));
            words(&[name, "-MD", "-MP", "-MF", "d", &include, "-c", &source])
        };
        let [(here, call), (there, other)] = [0, 1].map(|i| (&trees[i], make(&trees[i])));
        assert!(here.run(&call).status.success() && there.run(&other).status.success());
        let request = here.compile(kind, &call).depend.unwrap();
        let depend = capture(&here.read(b"d"), &request, &here.path()).unwrap();
        let request = there.compile(kind, &other).depend.unwrap();
        assert_eq!(write(&depend, &request, &there.path()), there.read(b"d"));
    }
}

#[test]
fn what_cannot_be_repeated_exactly_is_not_captured() {
    let request = DependRequest {
        mode: DependMode::All,
        phony: Phony::Omitted,
        dialect: Dialect::Gcc,
        path: b"x.d".to_vec(),
        targets: vec![b"x.o".to_vec()],
    };
    assert!(capture(b"x.o: x.c a.h\n", &request, b"/r").is_some());
    let others: &[&[u8]] = &[
        b"",
        b"x.o:",
        b"x.o:\n",
        b"y.o: x.c a.h\n",
        b"x.o: x.c  a.h\n",
        b"x.o: x.c \\\n a.h\n",
        b"x.o: x.c a.h",
        b"x.o: x.c a.h\nmore: rules\n",
        b"x.o: x.c $(shell true)\n",
        b"x.o: x.c a\\b.h\n",
        b"x.o: x.c \0\n",
    ];
    for text in others {
        assert_eq!(capture(text, &request, b"/r"), None, "{}", text.escape_ascii());
    }
}

/// Bounded and the same in every run: each case runs real compilers.
fn cases(cases: u32) -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(1);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

fn header_name() -> impl Strategy<Value = String> {
    let letters = "[a-z é%&';:~@!()=+,{}^`|*$#-]{1,24}";
    (letters, "[ \t]{0,1}", "[a-z]{1,30}").prop_map(|(a, gap, b)| format!("{a}{gap}{b}.h"))
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn files_of_any_name_are_written_as_the_compiler_writes_them(
        names in proptest::collection::vec(header_name(), 1..12),
        target in "[a-z $#\\\\\t]{1,12}[a-z]",
        output in "[a-z $#]{1,40}[a-z]",
    ) {
        let tree = Tree::new();
        let mut source = String::new();
        for name in &names {
            tree.write(name.as_bytes(), b"");
            source += &format!("#include \"{name}\"\n");
        }
        tree.write(b"x.c", source.as_bytes());
        let output = format!("./{output}.o");
        for (kind, name) in compilers() {
            let first = words(&[name, "-MMD", "-MP", "-c", "x.c"]);
            let second = words(&[name, "-MMD", "-MP", "-MQ", &target, "-MT", &target, "-c", "x.c", "-o", &output]);
            let third = words(&[name, "-MMD", "-MP", "-c", "x.c", "-o", &output]);
            prop_assert!(assert_regenerated(&tree, kind, &first, &second), "{}", name);
            prop_assert!(assert_regenerated(&tree, kind, &first, &third), "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_captured_exactly_or_not_at_all(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        for dialect in [Dialect::Gcc, Dialect::Clang] {
            let request = DependRequest {
                mode: DependMode::All,
                phony: Phony::Added,
                dialect,
                path: b"x.d".to_vec(),
                targets: vec![b"x".to_vec()],
            };
            let text = [b"x: ".as_slice(), &text].concat();
            if let Some(depend) = capture(&text, &request, b"/r") {
                prop_assert_eq!(write(&depend, &request, b"/r"), text);
            }
        }
    }
}

#[test]
fn dependency_files_with_changed_bytes_are_captured_exactly_or_not_at_all() {
    const SEED: u64 = 0xDE9;
    const CASES: usize = 20_000;
    let mut state = SEED;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let (mut captured, mut refused) = (0, 0);
    for _ in 0..CASES {
        let dialect = [Dialect::Gcc, Dialect::Clang][below(2)];
        let phony = [Phony::Omitted, Phony::Added][below(2)];
        let request = DependRequest {
            mode: DependMode::All,
            phony,
            dialect,
            path: b"x.d".to_vec(),
            targets: vec![b"x.o".to_vec()],
        };
        let rest: &[u8] = if phony == Phony::Omitted {
            b""
        } else if dialect == Dialect::Gcc {
            b"/r/a\\ b.h:\n$$c.h:\n"
        } else {
            b"\n/r/a\\ b.h:\n\n$$c.h:\n"
        };
        let mut text = [b"x.o: x.c /r/a\\ b.h $$c.h\n".as_slice(), rest].concat();
        for _ in 0..below(3) {
            let at = below(text.len());
            match below(3) {
                0 => text.insert(at, below(256) as u8),
                1 => drop(text.remove(at)),
                _ => text[at] = below(256) as u8,
            }
        }
        match capture(&text, &request, b"/r") {
            Some(depend) => {
                assert_eq!(write(&depend, &request, b"/r"), text, "{}", text.escape_ascii());
                captured += 1;
            }
            None => refused += 1,
        }
    }
    println!("{CASES} dependency files from seed {SEED:#x}: {captured} captured, {refused} refused");
    assert!(captured > CASES / 4 && refused > CASES / 10);
}
