//! Clang's precompiled headers under attack: whatever becomes of one, its headers or what it stands on, plain, cold and warm compiles are equal.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};
use support::{DCCACHE, LATER, Place, has};

const SLOPPY: (&str, &str) = ("DCCACHE_SLOPPINESS", "time_macros");

/// Makes a precompiled header that holds no times.
const TIMELESS: [&str; 2] = ["-Xclang", "-fno-pch-timestamp"];

fn clangs() -> impl Iterator<Item = &'static str> {
    ["clang", "clang-16"].into_iter().filter(|compiler| has(compiler))
}

/// A place with a source, two headers, and how the source is compiled.
struct Attack {
    place: Place,
    compiler: &'static str,
    take: Vec<String>,
}

impl Attack {
    fn new(compiler: &'static str) -> Self {
        let place = Place::new();
        place.write(
            "sub.h",
            "#ifndef SUB\n#define SUB\nstatic inline int sub(int x) { return x - 1; }\n#endif\n",
        );
        place.write("p.h", "#ifndef P\n#define P\n#include \"sub.h\"\nstatic inline int twice(int x) { return 2 * x; }\n#endif\n");
        place.write("a.c", "int f(int x) { return twice(x) + sub(x); }\n");
        let take = ["-include-pch", "p.pch"].map(str::to_owned).to_vec();
        Self { place, compiler, take }
    }

    fn make(&self, options: &[&str], header: &str, image: &str) -> bool {
        let mut command = self.place.command(self.compiler);
        command.args(["-x", "c-header"]).args(options).args([header, "-o", image]);
        let made = command.output().unwrap().status.success();
        // Headers must be older by the clock of file times.
        if made {
            support::age(&self.place.file(image));
            touch(&self.place.file(image), SystemTime::now());
        }
        made
    }

    /// Compiles plainly and twice with us; returns the plain object, and whether the last one was a hit.
    fn compare(&self, what: &str) -> (Option<Vec<u8>>, bool) {
        let mut words: Vec<&str> = self.take.iter().map(String::as_str).collect();
        words.extend(["-MD", "-c", "a.c"]);
        let outputs = ["a.o", "a.d"];
        let plain = self.place.compare(&[self.compiler], &words, &outputs);
        let mut hit = false;
        for variables in [[SLOPPY].as_slice(), &[SLOPPY], &[SLOPPY, LATER]] {
            let hits = self.place.stat("/hits/local");
            let ours = self.place.compare_under(variables, &[DCCACHE, self.compiler], &words, &outputs);
            assert_eq!(ours, plain, "{} {what}: {}", self.compiler, self.place.explain());
            hit = self.place.stat("/hits/local") == hits + 1;
        }
        (plain.files.into_iter().next().unwrap().1, hit)
    }

    fn refused(&self) -> u64 {
        self.place.stat("/bypass_reasons/could_not_use_precompiled_header")
    }
}

fn touch(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn time(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

/// Changes what a file holds, and nothing of its size and time.
fn replace(path: &Path, from: &str, to: &str) {
    let (before, text) = (time(path), fs::read_to_string(path).unwrap());
    fs::write(path, text.replace(from, to)).unwrap();
    support::age(path);
    touch(path, before);
}

/// Makes an image newer than everything, as a copy of it would be.
fn renew(path: &Path) {
    support::age(path);
    touch(path, SystemTime::now());
}

#[test]
fn headers_of_other_content_or_other_times_are_noticed_as_clang_notices_them() {
    for compiler in clangs() {
        for (options, refused) in [([].as_slice(), true), (&TIMELESS, false)] {
            let attack = Attack::new(compiler);
            let file = |name| attack.place.file(name);
            assert!(attack.make(options, "p.h", "p.pch"));
            let (first, hit) = attack.compare("as made");
            assert!(first.is_some() && hit, "{}", attack.place.explain());
            // Of the same size and time: clang goes on with what it has.
            replace(&file("sub.h"), "x - 1", "x - 2");
            attack.compare("another text of a header");
            renew(&file("p.pch"));
            assert_eq!(attack.compare("and the image is newer").0, first, "{compiler} {options:?}");
            replace(&file("sub.h"), "x - 2", "x - 1");
            renew(&file("p.pch"));
            assert!(attack.compare("the first text again").1, "{}", attack.place.explain());
            // Another time, and nothing else: only clang without that option cares.
            touch(&file("sub.h"), time(&file("sub.h")) - Duration::from_secs(3600));
            renew(&file("p.pch"));
            let (after, hit) = attack.compare("another time of a header");
            assert_eq!((after.is_none(), hit), (refused, !refused), "{compiler} {options:?}");
            fs::remove_file(file("p.pch")).unwrap();
            assert_eq!(attack.compare("no image at all").0, None);
        }
    }
}

#[test]
fn an_image_of_the_same_name_and_time_made_with_other_options_is_another_one() {
    for compiler in clangs() {
        let attack = Attack::new(compiler);
        let image = attack.place.file("p.pch");
        let text = "#ifndef P\n#define P\nstatic inline int sub(int x) { return x - 1; }\nstatic inline int twice(int x) { return V * x; }\n#endif\n";
        attack.place.write("p.h", text);
        assert!(attack.make(&[&TIMELESS, ["-DV=2"].as_slice()].concat(), "p.h", "p.pch"));
        let made = time(&image);
        let mut take = attack.take.clone();
        take.push("-DV=2".to_owned());
        let attack = Attack { take, ..attack };
        let first = attack.compare("made as it is taken").0;
        assert!(first.is_some());
        assert!(attack.make(&[&TIMELESS, ["-DV=3"].as_slice()].concat(), "p.h", "p.pch"));
        touch(&image, made);
        assert_ne!(attack.compare("made with another macro").0, first);
        assert!(attack.make(&[&TIMELESS, ["-DV=2", "-O2"].as_slice()].concat(), "p.h", "p.pch"));
        attack.compare("made with another optimisation");
        assert!(attack.make(&[&TIMELESS, ["-DV=2", "-std=c99"].as_slice()].concat(), "p.h", "p.pch"));
        attack.compare("made for another standard");
    }
}

#[test]
fn an_image_that_stands_on_another_one_is_left_to_clang() {
    for compiler in clangs() {
        let attack = Attack::new(compiler);
        let file = |name| attack.place.file(name);
        // By a whole name, so that both lists name the same files.
        let below = file("sub.h").display().to_string();
        let text = format!(
            "#ifndef P\n#define P\n#include \"{below}\"\nstatic inline int twice(int x) {{ return 2 * x; }}\n#endif\n"
        );
        attack.place.write("p.h", text);
        assert!(attack.make(&TIMELESS, "sub.h", "sub.pch"));
        assert!(attack.make(&[&TIMELESS, ["-include-pch", "sub.pch"].as_slice()].concat(), "p.h", "p.pch"));
        let (first, hit) = attack.compare("as made");
        assert!(first.is_some() && !hit, "{}", attack.place.explain());
        assert_eq!(attack.refused(), 3, "{}", attack.place.stats());
        // It goes away, or is another one: nothing but clang looks there.
        fs::rename(file("sub.pch"), file("gone.pch")).unwrap();
        attack.compare("what it stands on is gone");
        fs::write(file("sub.pch"), "no image").unwrap();
        attack.compare("what it stands on is none");
        fs::rename(file("gone.pch"), file("sub.pch")).unwrap();
        assert_eq!(attack.compare("all is back").0, first);
    }
}

#[test]
fn headers_that_move_away_or_come_back_elsewhere_are_clangs_to_judge() {
    for compiler in clangs() {
        for options in [[].as_slice(), &TIMELESS] {
            let attack = Attack::new(compiler);
            let file = |name| attack.place.file(name);
            assert!(attack.make(options, "p.h", "p.pch"));
            let first = attack.compare("as made").0;
            for header in ["p.h", "sub.h"] {
                fs::rename(file(header), file("moved.h")).unwrap();
                attack.compare("a header is gone");
                std::os::unix::fs::symlink("moved.h", file(header)).unwrap();
                renew(&file("p.pch"));
                attack.compare("a header is a link");
                fs::remove_file(file(header)).unwrap();
                fs::rename(file("moved.h"), file(header)).unwrap();
                renew(&file("p.pch"));
                assert_eq!(attack.compare("all is back").0, first);
            }
            // Another one of its name, found earlier by who reads the text.
            attack.place.write("first/sub.h", "static inline int sub(int x) { return x - 9; }\n");
            let take = [attack.take.clone(), vec!["-Ifirst".to_owned()]].concat();
            let attack = Attack { take, ..attack };
            attack.compare("another header of its name");
        }
    }
}

#[test]
fn an_image_of_another_directory_is_clangs_to_judge() {
    for compiler in clangs() {
        let (one, other) = (Attack::new(compiler), Attack::new(compiler));
        assert!(one.make(&TIMELESS, "p.h", "p.pch"));
        let (object, hit) = one.compare("at home");
        assert!(object.is_some() && hit);
        let image = one.place.file("p.pch").display().to_string();
        let take = vec!["-include-pch".to_owned(), image.clone()];
        let other = Attack { take, ..other };
        other.compare("from elsewhere");
        // Its headers there change, and nothing here does.
        replace(&one.place.file("sub.h"), "x - 1", "x - 2");
        other.compare("from elsewhere, whose header changed");
        renew(Path::new(&image));
        other.compare("from elsewhere, newer than its header");
        fs::copy(&image, other.place.file("p.pch")).unwrap();
        let other = Attack { take: one.take.clone(), ..other };
        renew(&other.place.file("p.pch"));
        other.compare("a copy of it");
    }
}

#[test]
fn options_about_images_change_nothing() {
    for compiler in clangs() {
        for (make, take) in [
            (
                ["-fpch-validate-input-files-content"].as_slice(),
                ["-fpch-validate-input-files-content"].as_slice(),
            ),
            (
                &["-Xclang", "-fvalidate-ast-input-files-content"],
                &["-Xclang", "-fvalidate-ast-input-files-content"],
            ),
            (&["-fpch-instantiate-templates"], &[]),
            (&["-fpch-debuginfo", "-g"], &["-g"]),
            (&["-fpch-codegen"], &[]),
            (&["--relocatable-pch", "-isysroot", "/"], &["-isysroot", "/"]),
            (&["-Xclang", "-relocatable-pch", "-isysroot", "/tmp"], &["-isysroot", "/tmp"]),
            (&["-Xclang", "-fno-pch-timestamp"], &["-Xclang", "-fno-pch-timestamp"]),
            (&["-Xclang", "-fno-pch-timestamp"], &["-Xclang", "-fno-validate-pch"]),
        ] {
            let attack = Attack::new(compiler);
            if !attack.make(make, "p.h", "p.pch") {
                eprintln!("{compiler} makes none with {make:?}");
                continue;
            }
            let take = [attack.take.clone(), take.iter().map(|word| (*word).to_owned()).collect()].concat();
            let attack = Attack { take, ..attack };
            let file = |name| attack.place.file(name);
            attack.compare(&format!("{make:?}"));
            replace(&file("sub.h"), "x - 1", "x - 2");
            renew(&file("p.pch"));
            attack.compare(&format!("{make:?}, another text and a newer image"));
            touch(&file("sub.h"), time(&file("sub.h")) - Duration::from_secs(3600));
            renew(&file("p.pch"));
            attack.compare(&format!("{make:?}, another time"));
        }
    }
}
