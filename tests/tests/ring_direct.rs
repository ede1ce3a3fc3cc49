//! Direct mode over the ring, in the wrapper's words: bundles under direct keys, their second names, and suggestions that lead to them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its functions share")]

use dccache::agent::ask;
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::local::Reply;
use dccache_protocol::manifest::Suggestion;
use dccache_tests::{Machine, PLENTY_MS, Ring, Sample};
use rustix::process::{Signal, kill_process};

fn machine(ring: &Ring, name: &str) -> Machine {
    Machine::joined(ring.home(), name, &ring.programs, &ring.nodes[0])
}

fn paths(suggestion: &Suggestion) -> Vec<String> {
    let spelled = suggestion.inputs.iter().map(|(path, _)| String::from_utf8(path.encoded()[1..].to_vec()));
    spelled.map(Result::unwrap).collect()
}

fn direct(sample: &Sample) -> dccache_protocol::keys::DirectKey {
    let keys = std::iter::once(&sample.key).chain(&sample.also);
    let mut direct =
        keys.filter_map(|key| if let EntryKey::Direct(direct) = key { Some(*direct) } else { None });
    direct.next().unwrap()
}

#[test]
fn a_pushed_compile_is_suggested_found_directly_and_found_by_its_preprocessed_key_on_three_nodes() {
    let ring = Ring::of(3);
    let (one, two) = (machine(&ring, "one"), machine(&ring, "two"));
    // Inline, and over bulk streams; enough of each that aliases and their targets have other owners.
    let sizes = [10, 20_000, 300 << 10, 2 << 20].into_iter().cycle().take(16);
    let samples: Vec<Sample> = sizes
        .zip(0..)
        .map(|(size, seed)| Sample::direct(&format!("cc {seed}"), &["a.c", "a.h"], seed, size))
        .collect();
    for sample in &samples {
        assert!(two.suggestions(&[sample.manifest.unwrap()]).0.is_empty());
        assert_eq!(one.push(sample), Reply::Queued);
    }
    one.flush();
    for sample in &samples {
        let (manifests, newest) = two.suggestions(&[sample.manifest.unwrap()]);
        let [(key, manifest)] = manifests.as_slice() else { panic!("{manifests:?}") };
        let [suggestion] = manifest.suggestions.as_slice() else { panic!("{manifest:?}") };
        assert_eq!((*key, suggestion.direct), (sample.manifest.unwrap(), direct(sample)));
        assert_eq!(paths(suggestion), ["a.c", "a.h"]);
        let small = sample.body.bytes.len() < 200 << 10;
        assert_eq!(newest.is_some(), small, "what is small and at hand comes along");
        if let Some((vetted, body)) = newest {
            sample.assert_is(sample.key, &vetted, &body);
        }
        for key in [sample.key, sample.also[0]] {
            sample.assert_found(key, &two.find(key, PLENTY_MS));
        }
    }
}

#[test]
fn what_was_found_by_its_preprocessed_key_is_suggested_and_found_directly_afterwards() {
    let ring = Ring::of(3);
    let (one, two, three) = (machine(&ring, "one"), machine(&ring, "two"), machine(&ring, "three"));
    for seed in 0..6 {
        let size = if seed % 2 == 0 { 1000 } else { 400 << 10 };
        let sample = Sample::direct(&format!("cc {seed}"), &["a.c"], seed, size).found();
        assert_eq!(one.push(&Sample { also: Vec::new(), manifest: None, ..sample.clone() }), Reply::Queued);
        one.flush();
        assert!(two.suggestions(&[sample.manifest.unwrap()]).0.is_empty());
        sample.assert_found(sample.key, &two.find(sample.key, PLENTY_MS));
        assert_eq!(two.attach(&sample), Reply::Queued);
        two.flush();
        let (manifests, newest) = three.suggestions(&[sample.manifest.unwrap()]);
        assert_eq!(manifests[0].1.suggestions[0].direct, direct(&sample));
        if let Some((vetted, body)) = newest {
            sample.assert_is(sample.also[0], &vetted, &body);
        }
        sample.assert_found(sample.also[0], &three.find(sample.also[0], PLENTY_MS));
    }
}

#[test]
fn an_agent_killed_between_queueing_and_sending_loses_neither_names_nor_suggestions() {
    let mut ring = Ring::of(1);
    let (one, two) = (machine(&ring, "one"), machine(&ring, "two"));
    let whole = Sample::direct("cc whole", &["a.c"], 1, 1000);
    let found = Sample::direct("cc found", &["b.c"], 2, 1000).found();
    assert_eq!(one.push(&Sample { also: Vec::new(), manifest: None, ..found.clone() }), Reply::Queued);
    one.flush();
    ring.kill();
    assert_eq!((one.push(&whole), one.attach(&found)), (Reply::Queued, Reply::Queued));
    kill_process(one.pid(), Signal::KILL).unwrap();
    ring.restart(0);
    one.flush();
    for sample in [&whole, &found] {
        let (manifests, newest) = two.suggestions(&[sample.manifest.unwrap()]);
        assert_eq!(manifests[0].1.suggestions[0].direct, direct(sample));
        let (vetted, body) = newest.unwrap();
        sample.assert_is(EntryKey::Direct(direct(sample)), &vetted, &body);
        for key in [sample.key, sample.also[0]] {
            sample.assert_found(key, &two.find(key, PLENTY_MS));
        }
    }
    assert_eq!(std::fs::read_dir(one.starter.place.journal()).unwrap().count(), 0);
    assert_eq!(ask::status(&one.starter.place).unwrap().dropped, 0);
}

#[test]
fn suggestions_of_two_machines_stand_beside_each_other_and_are_asked_for_with_both_keys_at_once() {
    let ring = Ring::of(2);
    let (one, two, three) = (machine(&ring, "one"), machine(&ring, "two"), machine(&ring, "three"));
    let samples = [
        Sample::direct("cc a.c", &["a.c", "linux.h"], 1, 1000),
        Sample::direct("cc a.c", &["a.c", "bsd.h"], 2, 1000),
        Sample::direct("cc a.c", &["a.c"], 3, 1000),
    ];
    for (machine, sample) in [&one, &two, &one].into_iter().zip(&samples) {
        assert_eq!(machine.push(sample), Reply::Queued);
        machine.flush();
    }
    let command = samples[0].manifest.unwrap();
    let mut nearby = *command.digest().as_bytes();
    nearby[31] ^= 1;
    let nearby = ManifestKey::from_digest(dccache_protocol::digest::Digest::from_bytes(nearby));
    let (manifests, newest) = three.suggestions(&[nearby, command]);
    let [(key, manifest)] = manifests.as_slice() else { panic!("{manifests:?}") };
    assert_eq!(*key, command);
    let shapes: Vec<Vec<String>> = manifest.suggestions.iter().map(paths).collect();
    assert_eq!(shapes, [vec!["a.c"], vec!["a.c", "bsd.h"], vec!["a.c", "linux.h"]]);
    assert_eq!(newest.unwrap().0.key, samples[2].key);
    for sample in &samples {
        sample.assert_found(sample.key, &three.find(sample.key, PLENTY_MS));
    }
    let status = ask::status(&three.starter.place).unwrap();
    assert_eq!((status.manifests, status.suggested), (1, 1));
}
