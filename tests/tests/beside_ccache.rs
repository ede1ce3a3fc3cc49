//! A stream of compiles, edits and option changes, with ccache itself beside dccache called as `ccache`: what both count at each step is
//! compared, and both give what the compiler gives. Differences are allowed only from the closed list of `rules.rs`, which is printed.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

#[path = "beside_ccache/document.rs"]
mod document;
#[path = "beside_ccache/fronts.rs"]
mod fronts;
#[path = "beside_ccache/rules.rs"]
mod rules;
#[path = "beside_ccache/steps.rs"]
mod steps;

use fronts::{Front, Place};
use rules::{OLDER, RULES};
use std::collections::BTreeMap;
use steps::{Random, World};

/// Steps of each stream among the normal tests.
const STEPS: usize = 70;

/// Runs a stream beside one version of ccache.
fn compare(theirs: &Front, seed: u64, steps: usize) {
    println!("seed {seed}, beside {}", theirs.version());
    let place = Place::new();
    let ours = Front::ours(&place);
    let mut random = Random(seed);
    let mut world = World::new(&place, seed);
    let mut used: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut wrong: Vec<String> = Vec::new();
    let mut history: Vec<String> = Vec::new();
    theirs.begin(&place);
    ours.begin(&place);
    for number in 0..steps {
        let step = world.step(&mut random);
        let plain = place.plain(&step);
        let (their, our) = (theirs.run(&place, &step), ours.run(&place, &step));
        let context = || {
            let said = ours.explain(&place);
            format!("step {number}: {step:?}\ntheirs: {:?}\nours:   {:?}\n{said}", their.counts, our.counts)
        };
        if let Some(plain) = plain {
            for seen in [&their, &our] {
                assert_eq!(
                    (plain.code, &plain.object),
                    (seen.code, &seen.object),
                    "seed {seed}, {}",
                    context()
                );
            }
        }
        let in_words = rules::today(&their.counts, theirs.is_old(), &mut used);
        history.push(format!("step {number}: {step:?} {:?} {:?}", their.counts, our.counts));
        if rules::compared(&in_words) == rules::compared(&our.counts) {
            continue;
        }
        match RULES.iter().find(|rule| (rule.allows)(&step, &in_words, &our.counts)) {
            Some(rule) => *used.entry(rule.name).or_default() += 1,
            None => wrong.push(context()),
        }
    }
    let told =
        || format!("seed {seed}, {} steps:\n{}\nall:\n{}", wrong.len(), wrong.join("\n"), history.join("\n"));
    assert!(wrong.is_empty(), "{}", told());
    let names = RULES.iter().map(|rule| (rule.name, rule.why));
    for (name, why) in names.chain(OLDER.iter().map(|older| (older.name, older.why))) {
        println!("{:>5} steps differed: {name} ({why})", used.get(name).unwrap_or(&0));
    }
    let differed: usize = used.values().sum();
    assert!(differed * 2 < steps, "{differed} of {steps} steps differed: what is compared says little");
}

#[test]
fn debians_ccache_counts_what_we_count() {
    for seed in [1, 2] {
        compare(&Front::debians(), seed, STEPS);
    }
}

#[test]
fn the_newest_ccache_counts_what_we_count() {
    if Front::newest().is_none() {
        assert!(std::env::var_os("CI").is_none(), ".ci/setup installs it");
        println!(
            "NOT COMPARED: the newest ccache is not in target/peers; `.ci/setup` or `just peers` puts it there"
        );
    }
    for seed in [1, 2] {
        // Each stream begins with an empty cache.
        Front::newest().iter().for_each(|newest| compare(newest, seed, STEPS));
    }
}
