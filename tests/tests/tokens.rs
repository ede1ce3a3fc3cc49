//! Edits of blanks and comments over real code bases, and over the ring: whatever becomes of them, a build sees what the plain compiler gives.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache::loopback::Workstation;
use dccache_tests::{Binaries, Checkout, CodeBase, Dice, Ring, code_bases};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Seed of the run among the normal tests.
const SEED: u64 = 20_261_126;

/// Units of the run among the normal tests, and edits of each.
const UNITS: u64 = 6;
const EDITS: u64 = 3;

/// Largest unit, in bytes: the large ones take seconds each.
const SMALL: u64 = 30_000;

/// One of each is drawn for a unit: all of them commands in which neither blanks nor comments can show.
const FLAGS: [&[&str]; 3] = [
    &["-O1", "-O2", "-O3", "-Os"],
    &["-fPIC", "-ffunction-sections", "-fno-strict-aliasing", "-march=native", "-fstack-protector-strong"],
    &[
        "-w",
        "-Wno-misleading-indentation -Wall",
        "-Wextra -Wno-implicit-fallthrough -Wno-empty-body",
        "-Wshadow",
        "-MD",
    ],
];

/// What a build sees: exit code, streams, and the outputs.
type Seen = (Option<i32>, Vec<u8>, Vec<u8>, Vec<Option<Vec<u8>>>);

struct Draw<'a> {
    compiler: &'static str,
    words: Vec<String>,
    unit: &'a Path,
}

impl<'a> Draw<'a> {
    fn of(dice: &mut Dice, base: &'a CodeBase) -> Self {
        let mut pick = |bound: usize| dice.below(bound as u64) as usize;
        let unit = base.units[pick(base.units.len())].as_path();
        let flags = FLAGS.map(|set| set[pick(set.len())]);
        let mut words: Vec<String> =
            flags.iter().flat_map(|flags| flags.split(' ')).map(str::to_owned).collect();
        words.extend(base.options.iter().cloned());
        words.extend(["-c", &unit.to_string_lossy(), "-o", "build/unit.o"].map(str::to_owned));
        Self { compiler: if base.is_cxx { "g++" } else { "gcc" }, words, unit }
    }

    fn run(&self, mut front: Command, checkout: &Checkout) -> Seen {
        let build = checkout.empty_build();
        front.args(&self.words).current_dir(checkout.root()).env("PWD", checkout.root());
        let output = front.stdin(Stdio::null()).output().unwrap();
        let files = ["unit.o", "unit.d"].map(|name| std::fs::read(build.join(name)).ok());
        (output.status.code(), output.stdout, output.stderr, files.to_vec())
    }
}

/// Edits blanks and comments, a few in each file, so that lines stay where they are. What is inside of a literal, and what the next line
/// continues, it mostly leaves alone; where it does not, the compiler says what comes of it. Where a macro of the system stands, gcc's text shows
/// columns, so only some edits are of blanks.
fn relaid(text: &[u8], blanks: bool, dice: &mut Dice) -> Vec<u8> {
    #[derive(PartialEq)]
    enum State {
        Code,
        Line,
        Block,
        Literal(u8),
    }
    let mut state = State::Code;
    let mut edited = Vec::with_capacity(text.len());
    let mut chance = |rare: u64| dice.below(rare) == 0;
    for (at, &byte) in text.iter().enumerate() {
        let next = text.get(at + 1).copied().unwrap_or(b'\n');
        let before = at.checked_sub(1).map_or(b'\n', |at| text[at]);
        match (&state, byte) {
            (State::Code, b'/') if next == b'/' => state = State::Line,
            (State::Code, b'/') if next == b'*' => state = State::Block,
            (State::Code, b'"' | b'\'') => state = State::Literal(byte),
            (State::Block, b'/') if before == b'*' => state = State::Code,
            (State::Literal(quote), _) if byte == *quote && before != b'\\' => state = State::Code,
            (State::Line | State::Literal(_), b'\n') => state = State::Code,
            _ => {}
        }
        let inside = state == State::Code && !b"\n\\".contains(&before) && !b"\n\\".contains(&next);
        match byte {
            b' ' if blanks && inside && before != b' ' && chance(24) => {
                edited.extend_from_slice(
                    [b"  ".as_slice(), b"\t", b" /* here */ "]
                        [usize::from(chance(2)) + usize::from(chance(3))],
                );
            }
            b'\n' if state == State::Code && before != b'\\' && chance(if blanks { 16 } else { 400 }) => {
                edited.extend_from_slice([b" /* there */\n".as_slice(), b"  \n"][usize::from(chance(2))]);
            }
            b'a'..=b'z' if matches!(state, State::Line | State::Block) && chance(40) => {
                edited.extend_from_slice(if chance(40) { b"xyz" } else { b"x" });
            }
            _ => edited.push(byte),
        }
    }
    edited
}

/// Draws units, edits them and headers beside them, and returns how many edits cost no compile.
fn edit(seed: u64, units: u64) -> u64 {
    println!("seed {seed}: {units} units, {EDITS} edits of each");
    let place = tempfile::tempdir().unwrap();
    let workstation = Workstation::new(&place.path().join("state"), &Binaries::find().dccache);
    let count = |pointer: &str| {
        let stats = workstation.json(&["stats", "--json"]).unwrap();
        stats.pointer(pointer).unwrap().as_u64().unwrap()
    };
    let mut bases = code_bases();
    let mut found = 0;
    for number in 0..units {
        let mut dice = Dice::new(seed.wrapping_add(number));
        let at = dice.below(bases.len() as u64) as usize;
        let base = &mut bases[at];
        let root = base.root.clone();
        base.units.retain(|unit| root.join(unit).metadata().unwrap().len() < SMALL);
        let base = &*base;
        let checkout = Checkout::of(base, &place.path().join(number.to_string()));
        let draw = Draw::of(&mut dice, base);
        let ours = || {
            let mut front = workstation.command();
            front.arg(draw.compiler);
            draw.run(front, &checkout)
        };
        let beside = checkout.root().join(draw.unit.parent().unwrap()).read_dir().unwrap();
        let headers = beside
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "h"));
        let names = headers.map(|path| path.strip_prefix(checkout.root()).unwrap().to_owned());
        let mut files: Vec<PathBuf> = names.chain([draw.unit.to_owned()]).collect();
        files.sort();
        let before: Vec<Vec<u8>> = files.iter().map(|file| checkout.read(file)).collect();
        let plain = || draw.run(Command::new(draw.compiler), &checkout);
        assert!(ours() == plain(), "cold: {} {}", draw.compiler, draw.words.join(" "));
        for turn in 0..EDITS {
            for (file, text) in files.iter().zip(&before) {
                checkout.write(file, &relaid(text, turn % 2 == 1, &mut dice));
            }
            let hits = count("/hits/local");
            let same = ours() == plain();
            found += count("/hits/local") - hits;
            assert!(same, "unit {number}, edit {turn}: {} {}", draw.compiler, draw.words.join(" "));
        }
        println!("{found} of {} found: {} {}", (number + 1) * EDITS, draw.compiler, draw.words.join(" "));
    }
    found
}

#[test]
fn edits_of_blanks_and_comments_give_what_the_compiler_gives_and_often_cost_no_compile() {
    let found = edit(SEED, UNITS);
    assert!(found > UNITS, "{found} of {}: too few to prove anything", UNITS * EDITS);
}

#[test]
#[ignore = "takes minutes; `just differential` runs it"]
fn many_edits_of_blanks_and_comments_give_what_the_compiler_gives() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    edit(number("SAMPLER_SEED", SEED), number("SAMPLER_COUNT", 300));
}

#[test]
fn an_edited_comment_in_another_checkout_is_served_by_the_ring() {
    let ring = Ring::of(2);
    let (one, two, three) = (ring.site("one"), ring.site("two"), ring.site("three"));
    let words = ["gcc", "-O2", "-Wunused", "-MD", "-c", "a.c", "-o", "a.o"];
    let outputs = ["a.o", "a.d"];
    for (site, note) in [(&one, "/* as it was */"), (&two, "// edited"), (&three, "// edited")] {
        site.write("a.h", &format!("#define LIMIT 7 {note}\n"));
        site.write(
            "a.c",
            &format!("#include \"a.h\" {note}\nint f(int x) {{ return   x + LIMIT; }} {note}\n"),
        );
    }
    one.assert_as_without(&words, &outputs);
    one.workstation().flush().unwrap();
    let counts = |site: &dccache_tests::Site| {
        (site.count("/hits/ring"), site.count("/hits/direct"), site.count("/misses"))
    };
    two.assert_as_without(&words, &outputs);
    assert_eq!(counts(&two), (1, 0, 0), "{}", two.run(&["explain", "last"]).stdout);
    two.workstation().flush().unwrap();
    // What the second one found has a direct key from now on.
    three.assert_as_without(&words, &outputs);
    assert_eq!(counts(&three), (1, 1, 0), "{}", three.run(&["explain", "last"]).stdout);
}
