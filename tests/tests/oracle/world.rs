//! Two small checkouts in which few things can change in few ways, so that states come back; and commands on them.

use dccache_tests::{Dice, wait_until_old};
use std::fs;
use std::path::{Path, PathBuf};

/// Files of a checkout; those in `alt` can be missing, and shadow those in `inc` where `alt` is searched first.
const FILES: &[&str] = &["a.c", "b.cpp", "local.h", "inc/x.h", "inc/y.h", "alt/x.h"];

/// How many looks a file can have: a meaning, and a layout.
const MEANINGS: u64 = 2;
const LAYOUTS: u64 = 3;

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    meaning: u64,
    layout: u64,
}

/// One checkout and what its files hold; `None` for one that is missing.
#[derive(Debug)]
pub(crate) struct World {
    root: PathBuf,
    looks: Vec<Option<Look>>,
}

impl World {
    /// Writes a checkout.
    pub(crate) fn new(root: &Path) -> Self {
        for directory in [".git", "inc", "alt", "out"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let look = Some(Look::default());
        let mut world = Self { root: root.to_owned(), looks: vec![look; FILES.len()] };
        (0..FILES.len()).for_each(|file| world.put(file, if file == 5 { None } else { look }));
        world
    }

    /// Returns its directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn put(&mut self, file: usize, look: Option<Look>) {
        let path = self.root.join(FILES[file]);
        self.looks[file] = look;
        match look {
            Some(look) => {
                fs::write(&path, text(file, look)).unwrap();
                wait_until_old(&path);
            }
            None => drop(fs::remove_file(&path)),
        }
    }

    /// Edits something, touches something, or leaves everything as it is; says what it did.
    pub(crate) fn step(&mut self, dice: &mut Dice) -> String {
        let file = dice.below(FILES.len() as u64) as usize;
        let look = self.looks[file];
        match dice.below(12) {
            0..7 => "nothing changed".to_owned(),
            7 => {
                self.put(file, look);
                format!("{} was touched", FILES[file])
            }
            8 if file == 5 && look.is_some() => {
                self.put(file, None);
                format!("{} went", FILES[file])
            }
            // Every other edit takes an earlier one back.
            9..11 if look.is_some() => {
                self.put(file, Some(Look::default()));
                format!("{} became as it was", FILES[file])
            }
            _ => {
                let look = Look { meaning: dice.below(MEANINGS), layout: dice.below(LAYOUTS) };
                self.put(file, Some(look));
                format!("{} became {look:?}", FILES[file])
            }
        }
    }

    /// Returns the bytes of all files that a command reads, in order.
    pub(crate) fn inputs(&self, command: &Words) -> Vec<u8> {
        let x = if command.alt_first && self.looks[5].is_some() { 5 } else { 3 };
        let read = [command.unit, 2, x, 4];
        read.into_iter()
            .filter_map(|file| Some(text(file, self.looks[file]?)))
            .collect::<String>()
            .into_bytes()
    }
}

/// What is in a file. The meaning changes the object, the layout only lines, columns or a comment.
fn text(file: usize, look: Look) -> String {
    let Look { meaning, layout } = look;
    let (before, gap) = [("", " "), ("\n", " "), ("/* note */ ", "   ")][layout as usize];
    match FILES[file] {
        "a.c" | "b.cpp" => format!(
            "#include \"local.h\"\n#include <x.h>\n#include <y.h>\n{before}static int{gap}unused;\n\
            #ifdef USED\nint used = USED;\n#endif\nint f(int n) {{ return n * {meaning} + LOCAL + X + Y; }}\n"
        ),
        "local.h" => format!("{before}#define LOCAL{gap}{meaning}\n"),
        "inc/y.h" => format!("{before}#define Y{gap}{meaning}\nextern int y{meaning};\n"),
        "alt/x.h" => format!("{before}#define X{gap}(10 + {meaning})\n"),
        _ => format!("{before}#define X{gap}{meaning}\n"),
    }
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Words {
    /// Index of the unit among the files.
    unit: usize,
    /// Whether `alt` is searched before `inc`.
    alt_first: bool,
    /// Compiler, and the options that decide what is made of the text.
    pub(crate) making: Vec<&'static str>,
    /// Whether dependencies are asked for, and which.
    pub(crate) depend: &'static [&'static str],
    /// Options that act through the preprocessed text.
    pub(crate) text: Vec<&'static str>,
    /// Compiler and arguments.
    pub(crate) words: Vec<&'static str>,
    /// The outputs.
    pub(crate) outputs: Vec<&'static str>,
}

impl Words {
    /// Draws one.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut one_of =
            |choices: &[&'static [&'static str]]| choices[dice.below(choices.len() as u64) as usize];
        let unit = one_of(&[&["a.c"], &["b.cpp"]])[0];
        let compiler =
            if unit == "a.c" { one_of(&[&["gcc"], &["clang"]]) } else { one_of(&[&["g++"], &["clang++"]]) };
        let search = one_of(&[&["-Iinc"], &["-Ialt", "-Iinc"]]);
        let output = one_of(&[&["out/one.o", "out/one.d"], &["out/two.o", "out/two.d"]]);
        let making = [compiler, one_of(OPTIMISED), one_of(DEBUG), one_of(WARNINGS)].concat();
        let text = [search, one_of(MACROS)].concat();
        let (depend, target) = (one_of(DEPENDENCIES), one_of(TARGETS));
        let target = if depend.is_empty() { &[] } else { target };
        let tail = ["-c", unit, "-o", output[0]];
        let words = [&making, text.as_slice(), depend, target, &tail].concat();
        Self {
            unit: FILES.iter().position(|file| *file == unit).unwrap(),
            alt_first: search.len() == 2,
            making,
            depend,
            text,
            words,
            outputs: output.to_vec(),
        }
    }
}

type Choices = &'static [&'static [&'static str]];

const OPTIMISED: Choices = &[&["-O0"], &["-O2"]];
const DEBUG: Choices = &[&[], &[], &["-g"]];
const WARNINGS: Choices = &[&[], &["-Wall"]];
const MACROS: Choices = &[&[], &[], &["-DUSED=1"], &["-DNEVER_USED"]];
const DEPENDENCIES: Choices = &[&[], &["-MD"], &["-MMD", "-MP"]];
const TARGETS: Choices = &[&[], &["-MT", "target"]];
