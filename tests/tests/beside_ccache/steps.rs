//! The world of a stream: sources, headers and an environment that change, and calls of all kinds.

use crate::fronts::Place;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A small generator of numbers; the seed is printed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Source: Vigna, SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) words: Vec<String>,
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    /// Whether a comment was edited since the stream began, so that one text has several contents.
    pub(crate) comments: bool,
    /// Whether the source was edited.
    pub(crate) edited: bool,
}

const SOURCES: usize = 3;
const HEADERS: usize = 2;

/// Options of compiles.
const OPTIONS: [&[&str]; 7] =
    [&[], &["-O1"], &["-O2", "-MD"], &["-g"], &["-Wall", "-O1"], &["-DA=1"], &["-I", "include", "-O1"]];

/// Variables of compiles; mostly none.
const VARIABLES: [&[(&str, &str)]; 16] = [
    &[],
    &[],
    &[],
    &[],
    &[],
    &[],
    &[("CCACHE_NODIRECT", "1")],
    &[("CCACHE_RECACHE", "1")],
    &[("CCACHE_READONLY", "")],
    &[("CCACHE_READONLY_DIRECT", "1")],
    &[("CCACHE_DISABLE", "1")],
    &[("CCACHE_NAMESPACE", "one")],
    &[("CCACHE_EXTRAFILES", "extra")],
    &[("CCACHE_COMPILERCHECK", "none")],
    &[("CCACHE_COMPILERCHECK", "string:1")],
    &[("CCACHE_SLOPPINESS", "time_macros")],
];

/// Calls that no cache serves.
const OTHERS: [&[&str]; 11] = [
    &["gcc", "s0.c", "s1.c", "-shared", "-o", "x.so"],
    &["gcc", "-E", "s0.c", "-o", "x.i"],
    &["gcc", "-c", "s0.c", "s1.c"],
    &["gcc", "-c", "absent.c"],
    &["gcc", "-c"],
    &["gcc", "-c", "s0.c", "-o", "absent/x.o"],
    &["gcc", "-c", "s0.c", "-o"],
    &["gcc", "-x", "ada", "-c", "s0.c"],
    &["gcc", "-c", "bad.c", "-o", "out.o"],
    &["gcc", "-c", "incbin.c", "-o", "out.o"],
    &["gcc", "-c", "s0.c", "-o", "-"],
];

/// Files and what was done to them.
pub(crate) struct World {
    work: PathBuf,
    comments: bool,
    edited: bool,
    /// Said for every call: half of the streams have `depend_mode` set, so that nothing is left for dccache to decide.
    always: Option<(&'static str, &'static str)>,
}

impl World {
    pub(crate) fn new(place: &Place, seed: u64) -> Self {
        let always = seed.is_multiple_of(2).then_some(("CCACHE_NODEPEND", "1"));
        let world = Self { work: place.work(), comments: false, edited: false, always };
        for number in 0..SOURCES {
            world.write(
                &format!("s{number}.c"),
                &format!(
                    "#include \"h{}.h\"\nint s{number}(void) {{ return H; }}\n#ifdef A\nint a;\n#endif\n",
                    number % HEADERS
                ),
            );
        }
        for number in 0..HEADERS {
            world.write(&format!("h{number}.h"), &format!("#define H {number}\n"));
        }
        world.write("bad.c", "int x(\n");
        world.write("incbin.c", "asm(\".incbin \\\"h0.h\\\"\");\n");
        world.write("extra", "1\n");
        world
    }

    /// Edits something, now and then, and says what is called.
    pub(crate) fn step(&mut self, random: &mut Random) -> Step {
        if random.below(3) == 0 {
            self.edit(random);
        }
        let step = |words: &[&str], variables: &[(&'static str, &'static str)]| Step {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            variables: variables.iter().copied().chain(self.always).collect(),
            comments: self.comments,
            edited: self.edited,
        };
        match random.below(8) {
            0 => step(random.one(&OTHERS), &[]),
            1 if random.below(6) == 0 => step(&["-z"], &[]),
            _ => {
                let source = format!("s{}.c", random.below(SOURCES));
                let options = random.one(&OPTIONS);
                let words = [&["gcc", "-c", &source, "-o", "out.o"], options].concat();
                step(&words, random.one(&VARIABLES))
            }
        }
    }

    fn edit(&mut self, random: &mut Random) {
        let (source, header) =
            (format!("s{}.c", random.below(SOURCES)), format!("h{}.h", random.below(HEADERS)));
        let text = |name: &str| fs::read_to_string(self.work.join(name)).unwrap();
        match random.below(7) {
            // A content that may have been there before.
            0 | 1 => self.write(&header, &format!("#define H {}\n", random.below(4))),
            2 => {
                let code = format!("int more_{}(void) {{ return 1; }}\n", random.below(3));
                let old = text(&source);
                let base: String = old.lines().take(5).map(|line| format!("{line}\n")).collect();
                self.write(&source, &(base + &code));
                self.edited = true;
            }
            3 => {
                self.write(&source, &(text(&source) + "// a comment\n"));
                (self.comments, self.edited) = (true, true);
            }
            4 => {
                self.write(&header, &(text(&header) + "// a comment\n"));
                self.comments = true;
            }
            5 => self.write("extra", &format!("{}\n", random.below(3))),
            // The same content, younger.
            _ => self.write(&header, &text(&header)),
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.work.join(name);
        fs::write(&path, text).unwrap();
        age(&path);
    }
}

/// Makes a file a minute old, and waits until the clock of file times has left its time of last change behind.
fn age(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let changed = |path: &Path| fs::metadata(path).map(|found| (found.ctime(), found.ctime_nsec())).unwrap();
    let before = changed(path);
    let probe = path.with_extension("clock");
    loop {
        fs::write(&probe, "").unwrap();
        if changed(&probe) > before {
            fs::remove_file(&probe).unwrap();
            return;
        }
        std::thread::yield_now();
    }
}
