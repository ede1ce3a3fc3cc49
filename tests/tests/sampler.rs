//! The differential sampler: seeded triples of unit, compiler and flags over real code bases; plain = cold = warm, also in a second
//! checkout, after touching what decides nothing, and after edits, on everything that a build can see.
//!
//! `just differential` draws a thousand; `SAMPLER_SEED` and `SAMPLER_COUNT` choose others, and
//! `SAMPLER_SIZE` takes units below that many bytes only: large ones take seconds each.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

#[path = "sampler/edit.rs"]
mod edit;
#[path = "sampler/triple.rs"]
mod triple;

use dccache::loopback::Workstation;
use dccache_tests::{Binaries, Checkout, CodeBase, Dice, code_bases};
use edit::{Edit, touch_unrelated};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use triple::{Seen, Triple};

/// Seed of the run among the normal tests.
const SEED: u64 = 20_261_126;

/// Triples of the run among the normal tests.
const COUNT: usize = 40;

/// Largest unit of the run among the normal tests, in bytes: the large ones take seconds each.
const SMALL: u64 = 40_000;

/// How many triples are looked at side by side.
const WORKERS: usize = 2;

/// A developer's machine with two checkouts of every code base.
struct Machine {
    workstation: Workstation,
    checkouts: Vec<[Checkout; 2]>,
}

impl Machine {
    fn new(home: &Path, bases: &[CodeBase]) -> Self {
        let checkouts = bases
            .iter()
            .map(|base| ["one", "two"].map(|name| Checkout::of(base, &home.join(name).join(base.name))));
        Self {
            workstation: Workstation::new(&home.join("state"), &Binaries::find().dccache),
            checkouts: checkouts.collect(),
        }
    }

    fn ours(&self, triple: &Triple<'_>, checkout: &Checkout) -> Seen {
        triple.ours(self.workstation.command(), checkout)
    }

    /// Compiles again what was stored: the same bytes, but for files that vary where the compiler has run again. Returns what is stored now.
    fn again(
        &self,
        what: &str,
        (triple, checkout): (&Triple<'_>, &Checkout),
        stored: Stored<'_>,
        found: &mut Findings,
    ) -> Seen {
        let before = triple.varies.then(|| self.hits());
        let seen = self.ours(triple, checkout);
        let compiled = before.is_some_and(|before| self.hits() == before);
        found.compare(what, stored.0, &seen, if compiled { stored.1 } else { &[] });
        if compiled { seen } else { stored.0.clone() }
    }

    /// Compares everything for one triple and returns what differed.
    fn check(&self, triple: &Triple<'_>, dice: &mut Dice) -> Vec<String> {
        let [one, two] = &self.checkouts[triple.number];
        let mut found = Findings::default();
        let plain = triple.plain(one);
        let varying = if triple.varies { plain.varying(&triple.plain(one)) } else { Vec::new() };
        let cold = self.ours(triple, one);
        found.compare("cold", &plain, &cold, &varying);
        let stored = self.again("warm", (triple, one), (&cold, &varying), &mut found);
        let touched = touch_unrelated(one, triple.unit, dice);
        let stored = self.again(touched, (triple, one), (&stored, &varying), &mut found);
        if dice.below(2) == 0 {
            self.check_second(triple, two, (one.root(), &varying), &mut found);
        } else {
            self.check_edit(triple, one, (&stored, &varying), dice, &mut found);
        }
        found.0.iter().map(|what| format!("{triple}\n  {what}")).collect()
    }

    fn check_second(
        &self,
        triple: &Triple<'_>,
        two: &Checkout,
        (first, varying): (&Path, &[PathBuf]),
        found: &mut Findings,
    ) {
        let plain = triple.plain(two);
        let ours = self.ours(triple, two);
        found.compare("second checkout", &plain, &ours, varying);
        if ours.holds(first.as_os_str().as_encoded_bytes()) {
            found.0.push("second checkout: an output names the first one".to_owned());
        }
        self.again("second checkout, again", (triple, two), (&ours, varying), found);
    }

    fn check_edit(
        &self,
        triple: &Triple<'_>,
        one: &Checkout,
        (cold, varying): Stored<'_>,
        dice: &mut Dice,
        found: &mut Findings,
    ) {
        let edit = Edit::make(one, triple.unit, dice);
        let plain = triple.plain(one);
        let ours = self.ours(triple, one);
        found.compare(&format!("edit, {}", edit.kind), &plain, &ours, varying);
        self.again(&format!("edit, {}, again", edit.kind), (triple, one), (&ours, varying), found);
        edit.undo(one);
        self.again("edit taken back", (triple, one), (cold, varying), found);
    }

    fn hits(&self) -> u64 {
        self.stats().pointer("/hits/local").and_then(Value::as_u64).unwrap_or(0)
    }

    fn stats(&self) -> Value {
        self.workstation.json(&["stats", "--json"]).unwrap()
    }
}

/// What the storing compile gave, and which files of it vary from compile to compile.
type Stored<'a> = (&'a Seen, &'a [PathBuf]);

/// What differed.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn compare(&mut self, what: &str, expected: &Seen, found: &Seen, varying: &[PathBuf]) {
        self.0.extend(expected.difference(found, varying).map(|difference| format!("{what}: {difference}")));
    }
}

/// Draws and checks `count` triples and asserts that nothing differs.
fn sample(seed: u64, count: usize, bases: &[CodeBase]) {
    println!("seed {seed}, {count} triples, {} code bases", bases.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let home = tempfile::tempdir().unwrap();
        let machine = Machine::new(home.path(), bases);
        let mut mismatches = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= count {
                return (mismatches, machine.hits(), machine.stats());
            }
            // Each triple has dice of its own, so that it is the same whoever draws it.
            let mut dice = Dice::new(seed.wrapping_add(number as u64));
            let found = machine.check(&Triple::draw(&mut dice, bases), &mut dice);
            found.iter().for_each(|mismatch| println!("MISMATCH in triple {number}: {mismatch}"));
            mismatches.extend(found);
            if (number + 1).is_multiple_of(50) {
                println!("{} triples", number + 1);
            }
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mismatches: Vec<String> = results.iter().flat_map(|(mismatches, ..)| mismatches.clone()).collect();
    let hits: u64 = results.iter().map(|(_, hits, _)| hits).sum();
    for (.., stats) in &results {
        println!("{} {} {}", stats["hits"], stats["misses"], stats["bypass_reasons"]);
    }
    println!("seed {seed}: {count} triples, {hits} hits, {} mismatches", mismatches.len());
    assert_eq!(mismatches.len(), 0, "\n{}", mismatches.join("\n"));
    assert!(hits as usize > count, "too few hits to prove anything");
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// The code bases with their units below a size in bytes.
fn bases_of_units_below(size: u64) -> Vec<CodeBase> {
    let mut bases = code_bases();
    for base in &mut bases {
        let root = base.root.clone();
        base.units.retain(|unit| root.join(unit).metadata().unwrap().len() < size);
    }
    println!("{} units below {size} bytes", bases.iter().map(|base| base.units.len()).sum::<usize>());
    bases
}

#[test]
fn sampled_compiles_of_real_sources_are_as_without_dccache() {
    sample(SEED, COUNT, &bases_of_units_below(SMALL));
}

#[test]
#[ignore = "takes half an hour or more; `just differential` runs it"]
fn a_thousand_sampled_compiles_of_real_sources_are_as_without_dccache() {
    let bases = bases_of_units_below(number("SAMPLER_SIZE", u64::MAX));
    sample(number("SAMPLER_SEED", SEED), number("SAMPLER_COUNT", 1000) as usize, &bases);
}
