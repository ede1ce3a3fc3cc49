//! Proofs against the real compilers: whatever appears under a name that no proof lists changes nothing.

use super::*;
use crate::cpp::{Preprocessed, transitions};
use crate::direct::search::Groups;
use crate::invocation::oracle::{Tree, compilers, words};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn bytes(names: &[&str]) -> Vec<Vec<u8>> {
    words(names)
}

/// A compile in a tree, with `-iquote q -I i -isystem s -idirafter z`.
struct Case {
    tree: Tree,
    compiler: &'static str,
    extra: Vec<Vec<u8>>,
}

impl Case {
    fn new(compiler: &'static str) -> Self {
        let tree = Tree::new();
        for directory in ["q", "i", "s", "z", "sub"] {
            tree.write(format!("{directory}/.keep").as_bytes(), b"");
        }
        Self { tree, compiler, extra: Vec::new() }
    }

    fn text(&self) -> Option<Vec<u8>> {
        self.preprocess("-E")
    }

    /// The files that the compiler lists, in its order.
    fn listed(&self) -> Vec<Vec<u8>> {
        let rule = self.preprocess("-M").expect("it preprocesses");
        let words = rule.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        // A header that is entered twice is listed twice.
        let mut seen = HashSet::new();
        words.filter(|word| *word != b"\\" && seen.insert(*word)).skip(1).map(<[u8]>::to_vec).collect()
    }

    fn preprocess(&self, how: &str) -> Option<Vec<u8>> {
        let mut argv = words(&[self.compiler, how, "-nostdinc"]);
        argv.extend(bytes(&["-iquote", "q", "-Ii", "-isystem", "s", "-idirafter", "z"]));
        argv.extend(self.extra.iter().cloned());
        argv.push(b"x.c".to_vec());
        let output = self.tree.run(&argv);
        output.status.success().then_some(output.stdout)
    }

    fn prove(&self) -> Result<Proof, Unexplained> {
        let text = self.text().expect("it preprocesses");
        let parsed = Preprocessed::parse(&text).unwrap();
        let files = parsed.files().iter().map(|file| file.path.clone()).collect();
        self.prove_from(files, Entered::ByMarkers(&transitions(&text, b"x.c")))
    }

    /// Proves from the list that the compiler makes while it compiles.
    fn prove_listed(&self) -> Result<Proof, Unexplained> {
        self.prove_from(self.listed(), Entered::Somewhere)
    }

    fn prove_from(&self, files: Vec<Vec<u8>>, entered: Entered<'_>) -> Result<Proof, Unexplained> {
        let contents: Vec<_> = files.into_iter().map(|path| (path.clone(), self.tree.read(&path))).collect();
        let files: Vec<_> = contents.iter().map(|(path, content)| ReadFile { path, content }).collect();
        let path = self.tree.path();
        let view = View::new(Path::new(OsStr::from_bytes(&path)));
        let groups = Groups {
            quote: bytes(&["q"]),
            angled: bytes(&["i"]),
            system: bytes(&["s"]),
            after: bytes(&["z"]),
        };
        let chain = Chain::new(&groups, &view).unwrap();
        let forced: Vec<Vec<u8>> =
            self.extra.windows(2).filter(|pair| pair[0] == b"-include").map(|pair| pair[1].clone()).collect();
        let macros: Vec<&[u8]> = self.extra.iter().filter_map(|word| word.strip_prefix(b"-D")).collect();
        prove(
            &Reading {
                files: &files,
                entered,
                source: b"x.c",
                forced: &forced,
                macros: &macros,
                chain: &chain,
            },
            &view,
        )
    }

    fn has(&self, name: &str) -> bool {
        self.tree.files().contains(name.as_bytes())
    }
}

fn absent(proof: &Proof) -> Vec<String> {
    let names = proof.absent.iter().map(|name| String::from_utf8_lossy(&plain(name)).into_owned());
    let names: BTreeSet<String> =
        names.filter(|name| !name.contains("stdc-predef") && !name.ends_with("ch")).collect();
    names.into_iter().collect()
}

#[test]
fn names_before_the_one_that_was_found_are_probed_and_no_others() {
    for (_, compiler) in compilers() {
        let mut case = Case::new(compiler);
        case.tree
            .write(b"x.c", b"#include \"sub/a.h\"\n#include <c.h>\n#ifdef NO\n#include <no.h>\n#endif\n");
        case.tree.write(b"sub/a.h", b"#include \"b.h\"\n");
        case.tree.write(b"i/b.h", b"int b;\n");
        case.tree.write(b"z/c.h", b"int c;\n");
        assert_eq!(absent(&case.prove().unwrap()), ["i/c.h", "q/b.h", "s/c.h", "sub/b.h"], "{compiler}");
        case.tree.write(b"f.h", b"\n");
        case.extra = words(&["-include", "f.h"]);
        assert_eq!(absent(&case.prove().unwrap()).len(), 4, "{compiler}");
    }
}

#[test]
fn a_question_for_a_header_makes_its_absence_or_its_presence_count() {
    for (_, compiler) in compilers() {
        let case = Case::new(compiler);
        case.tree.write(
            b"x.c",
            b"#if __has_include(\"a.h\")\nint a;\n#endif\n#if __has_include(<b.h>)\nint b;\n#endif\n",
        );
        case.tree.write(b"s/b.h", b"int never;\n");
        let proof = case.prove().unwrap();
        assert_eq!(absent(&proof), ["a.h", "i/a.h", "i/b.h", "q/a.h", "s/a.h", "z/a.h"], "{compiler}");
        assert!(proof.more.contains(b"s/b.h".as_slice()), "{compiler}: {proof:?}");
    }
}

#[test]
fn a_computed_name_is_explained_by_its_definitions() {
    for (_, compiler) in compilers() {
        let mut case = Case::new(compiler);
        case.tree.write(b"x.c", b"#include \"names.h\"\n#include NAME\n#include OTHER\n");
        case.tree.write(b"names.h", b"#define NAME <n.h>\n");
        case.tree.write(b"s/n.h", b"int n;\n");
        case.tree.write(b"z/o.h", b"int o;\n");
        case.extra = words(&["-DOTHER=<o.h>"]);
        assert_eq!(absent(&case.prove().unwrap()), ["i/n.h", "i/o.h", "s/o.h"], "{compiler}");
        case.tree.write(b"names.h", b"#define NAMED(x) <x.h>\n#define NAME NAMED(n)\n");
        assert!(case.prove().is_err(), "{compiler}");
    }
}

#[test]
fn a_file_that_the_search_does_not_explain_proves_nothing() {
    for (_, compiler) in compilers() {
        let case = Case::new(compiler);
        case.tree.write(b"x.c", b"#include \"a.h\"\n");
        case.tree.write(b"i/a.h", b"int a;\n");
        let text = case.text().unwrap();
        let path = case.tree.path();
        let view = View::new(Path::new(OsStr::from_bytes(&path)));
        // A chain that lacks the directory, as when something about the compiler's search is not known.
        let chain = Chain::new(&Groups::default(), &view).unwrap();
        let files = [
            ReadFile { path: b"x.c", content: b"#include \"a.h\"\n" },
            ReadFile { path: b"i/a.h", content: b"int a;\n" },
        ];
        let transitions = transitions(&text, b"x.c");
        let mut reading = Reading {
            files: &files,
            entered: Entered::ByMarkers(&transitions),
            source: b"x.c",
            forced: &[],
            macros: &[],
            chain: &chain,
        };
        assert_eq!(prove(&reading, &view), Err(Unexplained(b"i/a.h".to_vec())), "{compiler}");
        reading.entered = Entered::Somewhere;
        assert_eq!(prove(&reading, &view), Err(Unexplained(b"i/a.h".to_vec())), "{compiler}, listed");
    }
}

#[test]
fn a_precompiled_header_beside_the_first_one_proves_nothing() {
    let case = Case::new("gcc");
    case.tree.write(b"x.c", b"#include \"a.h\"\n");
    case.tree.write(b"i/a.h", b"int a;\n");
    let names = case.prove().unwrap().absent;
    for name in ["a.h.gch", "q/a.h.gch", "i/a.h.gch"] {
        assert!(names.contains(name.as_bytes()), "{name}");
        case.tree.write(name.as_bytes(), b"x");
        assert!(case.prove().is_err() && case.prove_listed().is_err(), "{name}");
        case.tree.remove(name.as_bytes());
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

const DIRECTORIES: [&str; 6] = ["", "q/", "i/", "s/", "z/", "sub/"];
const HEADERS: [&str; 4] = ["a.h", "b.h", "c.h", "sub/a.h"];

/// A tree of headers that include, skip, ask for and pass on each other.
fn random_tree(case: &Case, random: &mut Random) {
    let body = |random: &mut Random, own: usize| {
        let mut text = String::new();
        match random.below(4) {
            0 => text += "#pragma once\n",
            _ => text += &format!("#ifndef G{own}\n#define G{own}\n"),
        }
        let guarded = text.starts_with("#ifndef");
        for _ in 0..random.below(4) {
            let name = HEADERS[random.below(HEADERS.len())];
            text += &match random.below(7) {
                0 => format!("#include <{name}>\n"),
                1 => format!("#if __has_include(\"{name}\")\nint has_{own};\n#endif\n"),
                2 => format!("#if __has_include(<{name}>)\n#include <{name}>\n#endif\n"),
                3 => format!("#ifdef NEVER\n#include \"{name}\"\n#endif\n"),
                _ => format!("#include \"{name}\"\n"),
            };
        }
        text += &format!("int at_{own};\n");
        text + if guarded { "#endif\n" } else { "" }
    };
    case.tree.write(b"x.c", body(random, 999).as_bytes());
    for (number, directory) in DIRECTORIES.iter().enumerate() {
        for (index, header) in HEADERS.iter().enumerate() {
            if random.below(5) < 2 {
                case.tree.write(
                    format!("{directory}{header}").as_bytes(),
                    body(random, number * 10 + index).as_bytes(),
                );
            }
        }
    }
}

#[test]
fn whatever_appears_under_a_name_that_is_not_probed_changes_nothing() {
    const TREES: u64 = 25;
    let (mut proved, mut appeared, mut probed) = (0, 0, 0);
    for (_, compiler) in compilers() {
        for seed in 0..TREES {
            let case = Case::new(compiler);
            random_tree(&case, &mut Random(seed));
            let Some(before) = case.text() else { continue };
            let proof = case.prove().unwrap_or_else(|error| panic!("{compiler}, seed {seed}: {error}"));
            proved += 1;
            let absent: HashSet<Vec<u8>> = proof.absent.iter().map(|name| plain(name)).collect();
            if compiler == "gcc" {
                // Gcc's list names what its line markers name, so that it proves the same.
                let listed =
                    case.prove_listed().unwrap_or_else(|error| panic!("listed, seed {seed}: {error}"));
                let listed: HashSet<Vec<u8>> = listed.absent.iter().map(|name| plain(name)).collect();
                assert!(absent.is_subset(&listed), "seed {seed}");
                let more = listed.difference(&absent).all(|name| name.ends_with(b".gch"));
                assert!(more, "seed {seed}: {listed:?} beside {absent:?}");
            }
            for name in
                DIRECTORIES.iter().flat_map(|directory| HEADERS.map(|header| format!("{directory}{header}")))
            {
                if case.has(&name) {
                    continue;
                }
                if absent.contains(name.as_bytes()) {
                    probed += 1;
                    continue;
                }
                appeared += 1;
                case.tree.write(name.as_bytes(), b"int appeared;\n");
                assert!(case.text().as_ref() == Some(&before), "{compiler}, seed {seed}: {name} appeared");
                case.tree.remove(name.as_bytes());
            }
        }
    }
    println!("{proved} trees proved, {appeared} headers appeared, {probed} names were probed");
    assert!(proved > 10 && appeared > 80 && probed > 40);
}

#[test]
fn a_name_that_is_neither_a_file_nor_free_proves_nothing_however_it_is_looked_for() {
    // A link to itself. What is behind it for the compiler is not for a cache to guess, even where the directive may not be evaluated.
    let ways = [
        "#ifdef NO\n#include <b.h>\n#endif\n",
        "#ifdef NO\n#include_next <b.h>\n#endif\n",
        "#ifdef NO\n#if __has_include(<b.h>)\n#endif\n#endif\n",
        "#ifdef NO\n#if __has_include_next(<b.h>)\n#endif\n#endif\n",
    ];
    for ((_, compiler), way) in compilers().into_iter().flat_map(|found| ways.map(|way| (found, way))) {
        let case = Case::new(compiler);
        case.tree.write(b"x.c", b"#include <a.h>\n");
        case.tree.write(b"i/a.h", way.as_bytes());
        assert!(case.prove().is_ok(), "{compiler}: {way}");
        let tree = case.tree.path();
        let link = Path::new(OsStr::from_bytes(&tree)).join("s/b.h");
        std::os::unix::fs::symlink("b.h", &link).unwrap();
        assert_eq!(case.prove(), Err(Unexplained(b"s/b.h".to_vec())), "{compiler}: {way}");
        assert_eq!(case.prove_listed(), Err(Unexplained(b"s/b.h".to_vec())), "{compiler}: {way}");
    }
}
