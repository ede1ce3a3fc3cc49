//! One sampled triple of unit, compiler and flags: its command line, and what running it gave.

use dccache_tests::{Checkout, CodeBase, Dice, files_below};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Flags of one build, and whether the compiler gives other bytes for them each time.
struct FlagSet {
    flags: &'static [&'static str],
    varies: bool,
}

const fn stable(flags: &'static [&'static str]) -> FlagSet {
    FlagSet { flags, varies: false }
}

const fn varying(flags: &'static [&'static str]) -> FlagSet {
    FlagSet { flags, varies: true }
}

const FLAG_SETS: &[FlagSet] = &[
    stable(&["-O0"]),
    stable(&["-O2", "-g"]),
    varying(&["-O3", "-flto"]),
    stable(&["-Os", "-ffunction-sections"]),
    stable(&["-g3", "-gsplit-dwarf"]),
    varying(&["--coverage"]),
    stable(&["-fPIC", "-fsanitize=address"]),
];

/// Ways to ask for dependencies; every output lies in `build`.
const DEPENDENCIES: &[&[&str]] = &[
    &[],
    &["-MD"],
    &["-MMD"],
    &["-MD", "-MP"],
    &["-MMD", "-MP", "-MF", "build/other.d"],
    &["-MD", "-MT", "a target", "-MQ", "$(quoted)"],
    &["-Wp,-MMD,build/passed.d"],
];

/// Options beside the flag set, as builds have them.
const EXTRAS: &[&[&str]] = &[&[], &["-Wall", "-Wextra"], &["-DNEVER_USED"], &["-frandom-seed=7"]];

/// A unit of a code base, a compiler, and flags.
#[derive(Clone, Debug)]
pub(crate) struct Triple<'a> {
    /// The code base.
    pub(crate) base: &'a CodeBase,
    /// Index of the code base among all.
    pub(crate) number: usize,
    /// The unit, relative to the code base.
    pub(crate) unit: &'a Path,
    /// The compiler.
    pub(crate) compiler: &'static str,
    /// Whether the compiler may give other bytes each time.
    pub(crate) varies: bool,
    /// Whether it is compiled without being preprocessed first, where that can be.
    depend: bool,
    words: Vec<String>,
}

impl<'a> Triple<'a> {
    /// Draws one; each flag set comes as often as any other.
    pub(crate) fn draw(dice: &mut Dice, bases: &'a [CodeBase]) -> Self {
        let mut below = |bound: usize| dice.below(bound as u64) as usize;
        let number = below(bases.len());
        let base = &bases[number];
        let unit = base.units[below(base.units.len())].as_path();
        let compilers = if base.is_cxx { ["g++", "clang++"] } else { ["gcc", "clang"] };
        let set = &FLAG_SETS[below(FLAG_SETS.len())];
        let parts = [set.flags, DEPENDENCIES[below(DEPENDENCIES.len())], EXTRAS[below(EXTRAS.len())]];
        let mut words: Vec<String> = parts.concat().into_iter().map(str::to_owned).collect();
        words.extend(base.options.iter().cloned());
        words.extend(["-c", &unit.to_string_lossy(), "-o", "build/unit.o"].map(str::to_owned));
        let (compiler, depend) = (compilers[below(2)], below(2) == 0);
        Self { base, number, unit, compiler, varies: set.varies, depend, words }
    }

    /// Runs the command line in a checkout behind `front`, and takes up everything that a build can see.
    pub(crate) fn run(&self, mut front: Command, checkout: &Checkout) -> Seen {
        let build = checkout.empty_build();
        front.args(&self.words).current_dir(checkout.root()).env("PWD", checkout.root());
        let output = front.stdin(Stdio::null()).output().expect("the program can be started");
        let beside = std::fs::read_dir(checkout.root()).expect("a checkout can be listed").flatten();
        Seen {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            files: files_below(&build).iter().map(|path| (name_of(path), File::read(path))).collect(),
            beside: beside.map(|entry| name_of(&entry.path())).collect::<BTreeSet<_>>(),
        }
    }

    /// Runs the compiler behind ours.
    pub(crate) fn ours(&self, mut front: Command, checkout: &Checkout) -> Seen {
        front.env("DCCACHE_DEPEND_MODE", if self.depend { "true" } else { "false" }).arg(self.compiler);
        self.run(front, checkout)
    }

    /// Runs the plain compiler.
    pub(crate) fn plain(&self, checkout: &Checkout) -> Seen {
        self.run(Command::new(self.compiler), checkout)
    }
}

impl fmt::Display for Triple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let front = if self.depend { "depend_mode=true " } else { "" };
        write!(f, "{}: {front}{} {}", self.base.name, self.compiler, self.words.join(" "))
    }
}

fn name_of(path: &Path) -> PathBuf {
    path.file_name().expect("a listed file has a name").into()
}

/// An output, with its mode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    mode: u32,
    content: Vec<u8>,
}

impl File {
    fn read(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).expect("listed a moment ago");
        Self { mode: metadata.permissions().mode(), content: std::fs::read(path).expect("an output") }
    }
}

/// What a build can see of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    files: BTreeMap<PathBuf, File>,
    beside: BTreeSet<PathBuf>,
}

impl Seen {
    /// Lists the files whose bytes differ from another run of the same.
    pub(crate) fn varying(&self, other: &Self) -> Vec<PathBuf> {
        let differs = |name: &&PathBuf| self.files.get(*name) != other.files.get(*name);
        self.files.keys().filter(differs).cloned().collect()
    }

    /// Tells whether an output holds a text.
    pub(crate) fn holds(&self, text: &[u8]) -> bool {
        self.files.values().any(|file| file.content.windows(text.len()).any(|window| window == text))
    }

    /// Says how another run differs, but for the bytes of some files; `None` when it does not.
    pub(crate) fn difference(&self, other: &Self, but_for: &[PathBuf]) -> Option<String> {
        let mut said = Vec::new();
        let streams = [(&self.stdout, &other.stdout, "stdout"), (&self.stderr, &other.stderr, "stderr")];
        for (mine, theirs, name) in streams {
            if mine != theirs {
                said.push(format!("{name} {mine:?} but {theirs:?}"));
            }
        }
        if self.code != other.code {
            said.push(format!("code {:?} but {:?}", self.code, other.code));
        }
        if self.beside != other.beside {
            said.push(format!("files in the checkout {:?} but {:?}", self.beside, other.beside));
        }
        let names = self.files.keys().chain(other.files.keys()).collect::<BTreeSet<_>>();
        for name in names {
            let (mine, theirs) = (self.files.get(name), other.files.get(name));
            let both = mine.is_some() && theirs.is_some();
            if mine != theirs && !(both && but_for.contains(name)) {
                said.push(format!("{}: {} but {}", name.display(), shown(mine), shown(theirs)));
            }
        }
        (!said.is_empty()).then(|| said.join("; "))
    }
}

fn shown(file: Option<&File>) -> String {
    file.map_or("missing".to_owned(), |file| format!("mode {:o}, {} bytes", file.mode, file.content.len()))
}
