//! Two checkouts of one project share an object exactly where it is proved to be the same, and never get another's.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::{DCCACHE, Place, compilers, has, text};

/// Names of the checkouts; their lengths differ, so that nothing fits by accident.
const CHECKOUTS: [&str; 2] = ["one", "another"];

const HEADER: &str = "#define ANSWER 42\nstatic inline int h(void) { return 42; }\n";
const PLAIN: &str = "#include <a.h>\nint f(void) { return ANSWER; }\n";
const CALLS: &str = "#include <a.h>\nint f(void) { return h(); }\n";
const ASSERT: &str = "#include <assert.h>\nvoid f(int a) { assert(a); }\n";
const FILE: &str = "const char *f(void) { return __FILE__; }\n";
const BUILTIN: &str = "const char *f(void) { return __builtin_FILE(); }\n";
const HASH: &str = "constexpr unsigned h(const char *s) { unsigned v = 5381; while (*s) v = v * 33 + *s++; return v; }\n\
unsigned f() { constexpr unsigned v = h(WHAT); return v; }\n";
const LOCATION: &str =
    "#include <source_location>\nconst char *f() { return std::source_location::current().file_name(); }\n";
const UNUSED: &str = "static int f(void) { return 1; }\n";
const SHIFT: &str = "int f(int a) { return 1 << a; }\n";
const TARGET: &str = "void g(int *);\nvoid f(void) { int a = 0;\n#pragma omp target\n{ a = 1; }\ng(&a); }\n";

/// Options, source, directory below the root in which the compiler runs, and whether the second checkout is served the first one's
/// object. `ROOT` stands for the root, `ABOVE` for the directory above it. A source in C++ needs `-x c++`.
const CASES: &[(&str, &str, &str, bool)] = &[
    ("-O2 -Iinc -c src/a.c", PLAIN, "", true),
    ("-O2 -IROOT/inc -MD -c ROOT/src/a.c", PLAIN, "", true),
    ("-O2 -I../inc -MMD -MP -c ../src/a.c", PLAIN, "build", true),
    ("-S -O1 -IROOT/inc -c ROOT/src/a.c", PLAIN, "build", true),
    ("-c src/a.c", FILE, "", true),
    // Messages name the source as it is spelled.
    ("-Wall -c src/a.c", UNUSED, "", true),
    ("-Wall -c ROOT/src/a.c", UNUSED, "", false),
    ("-c src/a.c", BUILTIN, "", true),
    ("-c ROOT/src/a.c", FILE, "", false),
    ("-c ROOT/src/a.c", ASSERT, "", false),
    ("-c ROOT/src/a.c", BUILTIN, "", false),
    ("-x c++ -O2 -DWHAT=__FILE__ -c ROOT/src/a.c", HASH, "", false),
    ("-x c++ -O2 -DWHAT=__builtin_FILE() -c ROOT/src/a.c", HASH, "", false),
    ("-x c++ -O2 -DWHAT=__FILE__ -c src/a.c", HASH, "", true),
    ("-g -Iinc -c src/a.c", PLAIN, "", false),
    ("-fsanitize=undefined -c ROOT/src/a.c", SHIFT, "", false),
    // One map of the root, or of the working directory, takes them out.
    ("-g -ffile-prefix-map=ROOT=. -IROOT/inc -MD -c ROOT/src/a.c", PLAIN, "", true),
    ("-g -ffile-prefix-map=ROOT=. -I../inc -c ../src/a.c", PLAIN, "build", true),
    ("-g -fdebug-prefix-map=ROOT=/usr/src/p -IROOT/inc -c ROOT/src/a.c", PLAIN, "", true),
    ("-g -ffile-prefix-map=ROOT/build=/b -I../inc -c ../src/a.c", PLAIN, "build", true),
    ("-ffile-prefix-map=ROOT=. -c ROOT/src/a.c", FILE, "", true),
    ("-fmacro-prefix-map=ROOT=. -c ROOT/src/a.c", ASSERT, "build", true),
    // What the map does not reach, or what hides from a search.
    ("-g -ffile-prefix-map=ROOT/build=/b -I../inc -c ROOT/src/a.c", PLAIN, "build", false),
    ("-g -fdebug-prefix-map=ROOT/build=ABOVE -IROOT/inc -c ../src/a.c", CALLS, "build", false),
    ("-g -fmacro-prefix-map=ROOT=. -Iinc -c src/a.c", PLAIN, "", false),
    ("-g -ffile-prefix-map=ROOT=. -ffile-prefix-map=/usr=/x -Iinc -c src/a.c", PLAIN, "", false),
    ("-g3 -ffile-prefix-map=ROOT=. -Iinc -c src/a.c", PLAIN, "", false),
    ("-g -fdebug-prefix-map=ROOT=. -c ROOT/src/a.c", FILE, "", false),
    ("-fsanitize=undefined -ffile-prefix-map=ROOT=. -c ROOT/src/a.c", SHIFT, "", false),
];

/// Two checkouts with one text each.
struct Pair {
    place: Place,
}

impl Pair {
    fn new(source: &str) -> Self {
        let place = Place::new();
        for checkout in CHECKOUTS {
            place.write(&format!("{checkout}/.git/HEAD"), "");
            place.write(&format!("{checkout}/build/keep"), "");
            place.write(&format!("{checkout}/inc/a.h"), HEADER);
            place.write(&format!("{checkout}/src/a.c"), source);
        }
        Self { place }
    }

    fn root(&self, checkout: &str) -> PathBuf {
        self.place.file(checkout)
    }

    /// A directory of a checkout, without a slash at its end, as shells spell it.
    fn at(&self, checkout: &str, directory: &str) -> PathBuf {
        self.root(checkout).join(directory).components().collect()
    }

    /// Compiles in a directory; returns object or assembly, dependency file and messages.
    fn compile(&self, at: &Path, front: &[&str], options: &str, variables: &[(&str, &str)]) -> Outputs {
        let root =
            CHECKOUTS.map(|name| self.root(name)).into_iter().find(|root| at.starts_with(root)).unwrap();
        // Debug information can divide a path where the working directory is said to lie.
        let above = self.place.work();
        let options =
            options.replace("ROOT", root.to_str().unwrap()).replace("ABOVE", above.to_str().unwrap());
        let names = ["a.o", "a.s", "a.d"];
        names.iter().for_each(|name| drop(fs::remove_file(at.join(name))));
        let mut command = self.place.command(front[0]);
        command.current_dir(at).env("PWD", at).envs(variables.iter().copied());
        let output = command.args(&front[1..]).args(options.split(' ')).output().unwrap();
        assert!(output.status.success(), "{front:?} {options}: {}", text(&output.stderr));
        (names.map(|name| fs::read(at.join(name)).ok()), text(&output.stderr))
    }
}

type Outputs = ([Option<Vec<u8>>; 3], String);

/// Compiles in both checkouts and returns whether the second one was served; each gets what it would have got without us.
fn second_is_served(compiler: &str, (options, source, directory, _): &(&str, &str, &str, bool)) -> bool {
    let pair = Pair::new(source);
    for checkout in CHECKOUTS {
        let at = pair.at(checkout, directory);
        let plain = pair.compile(&at, &[compiler], options, &[]);
        for turn in ["first", "second"] {
            let ours = pair.compile(&at, &[DCCACHE, compiler], options, &[]);
            assert!(ours == plain, "{compiler} {options} {source}: {checkout}, {turn} call");
        }
    }
    assert_eq!(pair.place.stat("/hits/local") + pair.place.stat("/misses"), 4, "{compiler} {options}");
    pair.place.stat("/misses") == 1
}

#[test]
fn checkouts_share_what_is_proved_to_be_the_same_and_nothing_else() {
    for compiler in compilers() {
        for case in CASES {
            assert_eq!(second_is_served(compiler, case), case.3, "{compiler} {case:?}");
        }
    }
}

#[test]
fn what_source_location_names_is_not_shared() {
    if has("g++") {
        let options = "-x c++ -std=c++20 -O2 -c ROOT/src/a.c";
        assert!(!second_is_served("g++", &(options, LOCATION, "", false)));
        assert!(second_is_served("g++", &(&options.replace("ROOT/", ""), LOCATION, "", true)));
    }
}

#[test]
fn compressed_debug_information_and_code_for_other_devices_are_not_shared() {
    for compiler in compilers() {
        let options = "-g -gz -ffile-prefix-map=ROOT=. -IROOT/inc -c ROOT/src/a.c";
        assert!(!second_is_served(compiler, &(options, PLAIN, "", false)), "{compiler}");
    }
    if has("gcc") {
        let options = "-O2 -fopenmp -frandom-seed=1 -c ROOT/src/a.c";
        assert!(!second_is_served("gcc", &(options, TARGET, "", false)));
    }
}

#[test]
fn a_map_that_leads_elsewhere_is_another_compile() {
    for compiler in compilers() {
        let pair = Pair::new(PLAIN);
        let at = pair.root("one");
        for (turn, new) in [".", "/usr/src", "", "."].into_iter().enumerate() {
            let options = format!("-g -ffile-prefix-map=ROOT={new} -IROOT/inc -c ROOT/src/a.c");
            let plain = pair.compile(&at, &[compiler], &options, &[]);
            assert!(pair.compile(&at, &[DCCACHE, compiler], &options, &[]) == plain, "{compiler} {new}");
            assert_eq!(pair.place.stat("/hits/local"), u64::from(turn == 3), "{compiler} {new}");
        }
    }
}

#[test]
fn a_directory_beside_the_root_whose_name_goes_on_is_mapped_too_and_so_not_shared() {
    for compiler in compilers() {
        let pair = Pair::new("#include <b.h>\nint f(void) { return g(); }\n");
        pair.place.write("onemore/b.h", "static inline int g(void) { return 1; }\n");
        let beside = pair.place.file("onemore");
        let options = format!("-g -ffile-prefix-map=ROOT=. -I{} -c ROOT/src/a.c", beside.display());
        for (turn, checkout) in CHECKOUTS.into_iter().enumerate() {
            let at = pair.root(checkout);
            let plain = pair.compile(&at, &[compiler], &options, &[]);
            assert!(pair.compile(&at, &[DCCACHE, compiler], &options, &[]) == plain, "{compiler} {checkout}");
            assert_eq!(pair.place.stat("/misses"), turn as u64 + 1, "{compiler} {checkout}");
        }
    }
}

#[test]
fn two_sources_of_one_text_in_two_directories_are_told_apart_where_a_directory_shows() {
    for compiler in compilers() {
        let pair = Pair::new(PLAIN);
        for directory in ["a", "b"] {
            pair.place.write(&format!("one/{directory}/x.c"), "int f(void) { return 1; }\n");
            let at = pair.at("one", directory);
            for options in ["-g -ffile-prefix-map=ROOT=. -c x.c -o a.o", "-O2 -c x.c -o a.o"] {
                let plain = pair.compile(&at, &[compiler], options, &[]);
                assert!(
                    pair.compile(&at, &[DCCACHE, compiler], options, &[]) == plain,
                    "{compiler} {options}"
                );
            }
        }
        assert_eq!((pair.place.stat("/misses"), pair.place.stat("/hits/local")), (3, 1), "{compiler}");
    }
}

#[test]
fn portable_paths_share_debug_information_between_checkouts() {
    let on = [("DCCACHE_PORTABLE_PATHS", "true")];
    for compiler in compilers() {
        for (options, directory) in [
            ("-g -IROOT/inc -c ROOT/src/a.c -MD", "build"),
            ("-g -Iinc -c src/a.c", ""),
            ("-O2 -c ROOT/src/a.c -IROOT/inc", ""),
        ] {
            let pair = Pair::new(&format!("{PLAIN}{}", FILE.replace("f(", "file(")));
            for (turn, checkout) in CHECKOUTS.into_iter().enumerate() {
                let at = pair.at(checkout, directory);
                let mapped = format!("{options} -ffile-prefix-map=ROOT=.");
                let plain = pair.compile(&at, &[compiler], &mapped, &[]);
                let ours = pair.compile(&at, &[DCCACHE, compiler], options, &on);
                assert!(ours == plain, "{compiler} {options} {checkout}");
                assert_eq!(pair.place.stat("/hits/local"), turn as u64, "{compiler} {options}");
            }
            // Without the option the compile is what it always was.
            let at = pair.at("one", directory);
            let plain = pair.compile(&at, &[compiler], options, &[]);
            assert!(pair.compile(&at, &[DCCACHE, compiler], options, &[]) == plain, "{compiler} {options}");
        }
    }
}

#[test]
fn portable_paths_leave_a_call_alone_that_maps_names_itself() {
    let on = [("DCCACHE_PORTABLE_PATHS", "true")];
    for compiler in compilers() {
        let pair = Pair::new(PLAIN);
        let at = pair.root("one");
        let options = "-g -fdebug-prefix-map=/x=/y -Iinc -c src/a.c";
        let plain = pair.compile(&at, &[compiler], options, &[]);
        assert!(pair.compile(&at, &[DCCACHE, compiler], options, &on) == plain, "{compiler}");
    }
}

#[test]
fn without_hash_dir_debug_information_may_name_another_checkout_and_nothing_else_may() {
    let off = [("DCCACHE_HASH_DIR", "false")];
    for compiler in compilers() {
        let pair = Pair::new(PLAIN);
        let options = "-g -Iinc -c src/a.c";
        let objects =
            CHECKOUTS.map(|checkout| pair.compile(&pair.root(checkout), &[DCCACHE, compiler], options, &off));
        assert!(objects[0] == objects[1], "{compiler}");
        assert_eq!(pair.place.stat("/hits/local"), 1, "{compiler}");
        // Who wants them right does not get them.
        let at = pair.root("another");
        let plain = pair.compile(&at, &[compiler], options, &[]);
        assert!(plain != objects[1], "{compiler}: the directory shows");
        assert!(pair.compile(&at, &[DCCACHE, compiler], options, &[]) == plain, "{compiler}");
        for (options, source) in
            [("-g -c ROOT/src/a.c", FILE), ("-g -fsanitize=undefined -c ROOT/src/a.c", SHIFT)]
        {
            let pair = Pair::new(source);
            for checkout in CHECKOUTS {
                let at = pair.root(checkout);
                let plain = pair.compile(&at, &[compiler], options, &[]);
                assert!(
                    pair.compile(&at, &[DCCACHE, compiler], options, &off) == plain,
                    "{compiler} {options}"
                );
            }
        }
    }
}

#[test]
fn what_was_stored_without_hash_dir_reaches_nobody_who_minds() {
    // With the map, both look for what every checkout shares; but only who minds has searched the object for directories.
    let options = "-g -ffile-prefix-map=ROOT=. -IROOT/inc -c ROOT/src/a.c";
    let off = [("DCCACHE_HASH_DIR", "false")];
    for compiler in compilers() {
        let pair = Pair::new(PLAIN);
        pair.compile(&pair.root("one"), &[DCCACHE, compiler], options, &off);
        let at = pair.root("another");
        let plain = pair.compile(&at, &[compiler], options, &[]);
        assert!(pair.compile(&at, &[DCCACHE, compiler], options, &[]) == plain, "{compiler}");
        assert_eq!(pair.place.stat("/misses"), 2, "{compiler}: {}", pair.place.explain());
    }
}

#[test]
fn arguments_from_variables_that_nobody_has_looked_at_share_nothing() {
    for compiler in compilers().into_iter().filter(|name| *name == "clang") {
        let pair = Pair::new(PLAIN);
        let options = "-g -ffile-prefix-map=ROOT=. -IROOT/inc -c ROOT/src/a.c";
        let above = format!("+-fdebug-prefix-map={}=/x", pair.place.work().display());
        let with = [("CCC_OVERRIDE_OPTIONS", above.as_str())];
        for checkout in CHECKOUTS {
            let at = pair.root(checkout);
            let plain = pair.compile(&at, &[compiler], options, &with);
            let ours = pair.compile(&at, &[DCCACHE, compiler], options, &with);
            // The driver says on stderr what it adds.
            assert!(ours == plain, "{compiler} {checkout}");
        }
        assert_eq!(pair.place.stat("/hits/local"), 0, "{compiler}: {}", pair.place.explain());
    }
}

#[test]
fn a_base_directory_makes_checkouts_of_what_no_version_control_marks() {
    for compiler in compilers() {
        let pair = Pair::new(PLAIN);
        CHECKOUTS.iter().for_each(|name| fs::remove_dir_all(pair.root(name).join(".git")).unwrap());
        let bases = CHECKOUTS.map(|name| pair.root(name).display().to_string()).join(":");
        let with = [("DCCACHE_BASE_DIR", bases.as_str())];
        for (turn, checkout) in CHECKOUTS.into_iter().enumerate() {
            let at = pair.root(checkout).join("build");
            let options = "-O2 -IROOT/inc -MD -c ROOT/src/a.c";
            let plain = pair.compile(&at, &[compiler], options, &[]);
            assert!(
                pair.compile(&at, &[DCCACHE, compiler], options, &with) == plain,
                "{compiler} {checkout}"
            );
            assert_eq!(pair.place.stat("/hits/local"), turn as u64, "{compiler}");
        }
    }
}

#[test]
fn a_base_directory_gives_no_checkout_the_object_of_another_one_that_shows_its_directory() {
    let shown = [
        ("-g -IROOT/inc -c ROOT/src/a.c", CALLS),
        ("-g -Iinc -c src/a.c", CALLS),
        ("-c ROOT/src/a.c", FILE),
        ("-c ROOT/src/a.c", ASSERT),
    ];
    for (compiler, (options, source)) in
        compilers().into_iter().flat_map(|compiler| shown.map(|shown| (compiler, shown)))
    {
        // The checkout itself, as many set it, and what lies above both.
        for above in [false, true] {
            let pair = Pair::new(source);
            let mut objects = Vec::new();
            for checkout in CHECKOUTS {
                let at = pair.root(checkout);
                let base = if above { pair.place.work() } else { at.clone() };
                let with = [("DCCACHE_BASE_DIR", base.to_str().unwrap())];
                let plain = pair.compile(&at, &[compiler], options, &[]);
                for turn in ["first", "second"] {
                    let ours = pair.compile(&at, &[DCCACHE, compiler], options, &with);
                    assert!(ours == plain, "{compiler} {options}: {checkout}, {turn} call");
                }
                objects.push(plain);
            }
            assert!(objects[0] != objects[1], "{compiler} {options}: the directory shows");
            let counts = ["/hits/local", "/misses"].map(|name| pair.place.stat(name));
            assert_eq!(counts, [2, 2], "{compiler} {options}, above: {above}");
        }
    }
}

#[test]
fn with_gcno_cwd_coverage_notes_may_name_another_working_directory_and_nothing_else_may() {
    let sloppy = [("DCCACHE_SLOPPINESS", "gcno_cwd")];
    // What is compiled, and whether the second checkout is served: not where an object counts, nor where notes name sources by their directory.
    let cases = [
        ("-ftest-coverage -Iinc -c src/a.c", CALLS, true),
        ("-ftest-coverage -c src/a.c", FILE, true),
        ("-ftest-coverage -IROOT/inc -c ROOT/src/a.c", CALLS, false),
        ("-ftest-coverage -c ROOT/src/a.c", FILE, false),
        ("--coverage -Iinc -c src/a.c", CALLS, false),
        ("-ftest-coverage -fprofile-arcs -Iinc -c src/a.c", CALLS, false),
        ("-ftest-coverage -g -Iinc -c src/a.c", CALLS, false),
        ("-ftest-coverage -fprofile-abs-path -Iinc -c src/a.c", CALLS, false),
    ];
    for (options, source, shared) in cases {
        let pair = Pair::new(source);
        for checkout in CHECKOUTS {
            let at = pair.root(checkout);
            let plain = pair.compile(&at, &["gcc"], options, &[]);
            let ours = pair.compile(&at, &[DCCACHE, "gcc"], options, &sloppy);
            // With counters the compiler itself does not give the same bytes again.
            let counts = options.contains("--coverage") || options.contains("-arcs");
            let data = format!("{}/a.gcda", at.display());
            let is_own = memchr::memmem::find(ours.0[0].as_ref().unwrap(), data.as_bytes()).is_some();
            assert!(
                if counts { is_own } else { ours == plain },
                "{checkout} {options}: the object is this checkout's"
            );
            let notes = fs::read(at.join("a.gcno")).unwrap();
            fs::remove_file(at.join("a.gcno")).unwrap();
            let root = pair.root(if shared { CHECKOUTS[0] } else { checkout });
            let named = root.to_str().unwrap().as_bytes();
            assert!(memchr::memmem::find(&notes, named).is_some(), "{checkout} {options}");
        }
        let hits = u64::from(shared);
        assert_eq!(pair.place.stat("/hits/local"), hits, "{options}: {}", pair.place.explain());
        // Who minds gets none that others left.
        let declared = options.starts_with("-ftest-coverage")
            && !options.contains("-fprofile")
            && !options.contains("-g ");
        let misses = pair.place.stat("/misses");
        pair.compile(&pair.root(CHECKOUTS[1]), &[DCCACHE, "gcc"], options, &[]);
        assert_eq!(pair.place.stat("/misses"), misses + u64::from(declared), "{options}");
    }
}
