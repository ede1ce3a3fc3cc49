//! Debian's ccache as an oracle: both caches see one seeded stream of edits and commands. dccache gives what the plain compiler gives,
//! always; and it hits where ccache hits and is right, or for a reason of a closed list it does not.
//!
//! `just oracle` takes a longer stream; `ORACLE_SEED` and `ORACLE_COUNT` choose others.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

#[path = "oracle/world.rs"]
mod world;

use dccache::loopback::Workstation;
use dccache_tests::{Binaries, Dice};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use world::{Words, World};

/// Seed of the run among the normal tests.
const SEED: u64 = 4_750;

/// Steps of the run among the normal tests.
const COUNT: u64 = 70;

/// Why the two caches may differ. The list is closed: anything else fails the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// ccache served what the plain compiler does not give now.
    CcacheIsWrong,
    /// dccache hits where ccache compiles.
    CcacheMisses,
    /// No compile of these input bytes gave this object before: ccache went by the preprocessed text, and the key of dccache holds raw bytes.
    InputBytesChanged,
    /// These input bytes were compiled before, but with other dependencies asked for, which is in every key.
    OtherDependencies,
    /// These input bytes were compiled before, but elsewhere or with other macros or directories; debug information or messages may show those.
    ShownByDebugInformationOrMessages,
}

/// What a build sees of one compile.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    outputs: Vec<Option<Vec<u8>>>,
}

/// Plain compiler, ccache and dccache, side by side.
struct Bench {
    home: tempfile::TempDir,
    workstation: Workstation,
    hits: u64,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let workstation = Workstation::new(&home.path().join("state"), &Binaries::find().dccache);
        Self { home, workstation, hits: 0 }
    }

    fn run(&self, mut front: Command, root: &Path, words: &Words) -> Seen {
        words.outputs.iter().for_each(|name| drop(fs::remove_file(root.join(name))));
        front.current_dir(root).env("PWD", root).env_remove("LD_LIBRARY_PATH").stdin(Stdio::null());
        let output = front.output().expect("the program can be started; .ci/setup installs ccache");
        Seen {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            outputs: words.outputs.iter().map(|name| fs::read(root.join(name)).ok()).collect(),
        }
    }

    fn plain(&self, root: &Path, words: &Words) -> Seen {
        let mut front = Command::new(words.words[0]);
        front.args(&words.words[1..]);
        self.run(front, root, words)
    }

    /// Compiles with ccache and tells whether it was a hit.
    fn ccache(&self, root: &Path, words: &Words) -> (Seen, bool) {
        let log = self.path("statslog");
        let _ = fs::remove_file(&log);
        let mut front = Command::new("ccache");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CCACHE_") {
                front.env_remove(name);
            }
        }
        front.env("CCACHE_DIR", self.path("ccache")).env("CCACHE_CONFIGPATH", "/dev/null");
        front.env("CCACHE_STATSLOG", &log).args(&words.words);
        let seen = self.run(front, root, words);
        let said = fs::read_to_string(&log).unwrap_or_default();
        let hit = said.lines().any(|line| line == "direct_cache_hit" || line == "preprocessed_cache_hit");
        (seen, hit)
    }

    /// Compiles with dccache and tells whether it was a hit.
    fn ours(&mut self, root: &Path, words: &Words) -> (Seen, bool) {
        let mut front = self.workstation.command();
        front.args(&words.words);
        let seen = self.run(front, root, words);
        let stats = self.workstation.json(&["stats", "--json"]).unwrap();
        let hits = stats.pointer("/hits/local").and_then(serde_json::Value::as_u64).unwrap();
        let hit = hits > self.hits;
        self.hits = hits;
        (seen, hit)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

/// What was compiled before: the input bytes, and the compiles of them that gave the same.
#[derive(Default)]
struct Past(BTreeMap<Vec<u8>, Vec<(PathBuf, Words, Seen)>>);

impl Past {
    fn note(&mut self, inputs: Vec<u8>, root: &Path, words: &Words, seen: Seen) {
        self.0.entry(inputs).or_default().push((root.to_owned(), words.clone(), seen));
    }

    /// Says why dccache may have compiled what ccache had; `None` when it may not. Names of outputs and targets are no reason.
    fn excuse(&self, inputs: &[u8], root: &Path, words: &Words, seen: &Seen) -> Option<Reason> {
        let same_object = |before: &&(PathBuf, Words, Seen)| {
            before.1.making == words.making && before.2.outputs[0] == seen.outputs[0]
        };
        let past: Vec<_> = self.0.get(inputs).into_iter().flatten().filter(same_object).collect();
        if past.is_empty() {
            return Some(Reason::InputBytesChanged);
        }
        let asked_alike: Vec<_> = past.into_iter().filter(|before| before.1.depend == words.depend).collect();
        if asked_alike.is_empty() {
            return Some(Reason::OtherDependencies);
        }
        let is_shown = words.making.contains(&"-g") || !seen.stderr.is_empty();
        let is_alike = |before: &&(PathBuf, Words, Seen)| before.0 == root && before.1.text == words.text;
        (is_shown && !asked_alike.iter().any(is_alike)).then_some(Reason::ShownByDebugInformationOrMessages)
    }
}

fn compare(seed: u64, count: u64) {
    println!("seed {seed}, {count} steps");
    let mut bench = Bench::new();
    let mut worlds = ["one", "two"].map(|name| World::new(&bench.path(name)));
    let (mut dice, mut past) = (Dice::new(seed), Past::default());
    let (mut agreed, mut commands) = ([0, 0], Vec::<Words>::new());
    let mut reasons: BTreeMap<Reason, Vec<String>> = BTreeMap::new();
    for number in 0..count {
        let world = &mut worlds[dice.below(2) as usize];
        let change = world.step(&mut dice);
        // Half of the commands were seen before, as in a build that is repeated.
        let words = match commands.len() as u64 {
            seen @ 1.. if dice.below(2) == 0 => commands[dice.below(seen) as usize].clone(),
            _ => Words::draw(&mut dice),
        };
        commands.push(words.clone());
        let case = format!("step {number}, {change}: {}", words.words.join(" "));
        let (root, inputs) = (world.root(), world.inputs(&words));
        let plain = bench.plain(root, &words);
        let (theirs, they_hit) = bench.ccache(root, &words);
        let (ours, we_hit) = bench.ours(root, &words);
        assert!(ours == plain, "{case}: hit {we_hit}: not what the plain compiler gives");
        let reason = match (they_hit, we_hit) {
            _ if theirs != plain => Some(Reason::CcacheIsWrong),
            (true, false) => {
                Some(past.excuse(&inputs, root, &words, &plain).unwrap_or_else(|| panic!("{case}: a miss")))
            }
            (false, true) => Some(Reason::CcacheMisses),
            (true, true) | (false, false) => None,
        };
        match reason {
            Some(reason) => reasons.entry(reason).or_default().push(case),
            None => agreed[usize::from(we_hit)] += 1,
        }
        past.note(inputs, root, &words, plain);
    }
    for (reason, cases) in &reasons {
        println!("{reason:?}: {}", cases.len());
        cases.iter().for_each(|case| println!("  {case}"));
    }
    println!("seed {seed}: {count} steps, agreed on {} hits and {} misses", agreed[1], agreed[0]);
    println!("{}", bench.workstation.json(&["stats", "--json"]).unwrap());
    assert!(agreed[1] as u64 * 10 >= count, "too few common hits to prove anything: {agreed:?}");
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn dccache_hits_where_ccache_hits_and_is_right() {
    compare(SEED, COUNT);
}

#[test]
#[ignore = "takes minutes; `just oracle` runs it"]
fn dccache_hits_where_ccache_hits_and_is_right_in_a_long_stream() {
    compare(number("ORACLE_SEED", SEED), number("ORACLE_COUNT", 1500));
}
