//! A wrong entry that an accepted signer pushed: a machine that verifies names the signer, believes its compiler, and does not take it again.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache::home::Home;
use dccache::store::{Inspected, Store};
use dccache_tests::{Ring, Site};
use std::path::Path;

const OUTPUTS: [&str; 1] = ["a.o"];

const WORDS: [&str; 6] = ["gcc", "-O1", "-c", "a.c", "-o", "a.o"];

fn source(number: u32) -> String {
    format!("int a(int x) {{ return x * {number}; }}\n")
}

/// Puts what another source gave under the key of the right one, by the machine's own store.
fn plant(site: &Site) {
    let compile = |number| {
        let before = site.entries();
        site.write("a.c", &source(number));
        site.assert_as_without(&WORDS, &OUTPUTS);
        site.entries().into_iter().find(|entry| !before.contains(entry)).expect("it is stored")
    };
    let (wrong, right) = (compile(3), compile(7));
    let home = Home::open(site.state()).unwrap();
    let store = Store::new(&home, 0);
    let entry = |path: &Path| match store.inspect(path.file_name().unwrap().to_str().unwrap()) {
        Some(Inspected::Entry(key, entry)) => (key, entry),
        other => panic!("{other:?}"),
    };
    store.put(&entry(&right).0, &entry(&wrong).1).unwrap();
}

/// Has a machine push its planted entry, and holds what others get against their compilers. `variables` choose how it is found.
fn a_lying_signer(variables: &[(&str, &str)]) {
    let ring = Ring::of(1);
    let mut liar = Site::new(ring.home(), "liar", &ring.programs);
    plant(&liar);
    let (mut victim, mut checks) = (ring.site("victim"), ring.site("checks"));
    liar.join(&ring.nodes[0]);
    liar.set("DCCACHE_RESHARE", "true");
    for (site, more) in
        [(&mut liar, &[][..]), (&mut victim, &[]), (&mut checks, &[("DCCACHE_VERIFY", "always")])]
    {
        variables.iter().chain(more).for_each(|(name, value)| site.set(name, value));
        site.write("a.c", &source(7));
    }
    let plain = victim.plain(&WORDS, &OUTPUTS);
    assert_ne!(liar.ours(&WORDS, &OUTPUTS), plain);
    liar.workstation().flush().unwrap();
    assert_ne!(victim.ours(&WORDS, &OUTPUTS), plain, "{}", victim.run(&["explain"]).stdout);
    assert_eq!(victim.count("/hits/ring"), 1);

    let ours = checks.ours(&WORDS, &OUTPUTS);
    assert_eq!((ours.code, &ours.outputs), (plain.code, &plain.outputs), "{}", ours.shown());
    let signer = format!("signed by  signer:{}", liar.agent()["signer"].as_str().unwrap());
    for part in ["VERIFY", "the ring", &signer, "not taken from others again"] {
        assert!(ours.stderr.contains(part), "{part}: {}", ours.stderr);
    }
    let explained = checks.run(&["explain", "a.o"]).stdout;
    for part in [
        "cause        verify object",
        "found in the ring, signed by",
        liar.agent()["signer"].as_str().unwrap(),
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    assert_eq!((checks.faults("verify_differs"), checks.count("/hits/total")), (1, 0), "{}", checks.stats());
    // What it compiled is stored here, and equal.
    assert_eq!(checks.ours(&WORDS, &OUTPUTS), plain);
    assert_eq!(checks.count("/hits/verified"), 1, "{}", checks.stats());

    // Without its store, and without verifying, it still does not take the entry.
    checks.workstation().flush().unwrap();
    checks.forget();
    checks.set("DCCACHE_VERIFY", "never");
    assert_eq!(checks.ours(&WORDS, &OUTPUTS), plain);
    let (refused, found) = (checks.faults("refused_entry"), checks.count("/hits/ring"));
    assert!((refused > 0) != (found == 1), "refused, or replaced on the ring: {}", checks.stats());
}

#[test]
fn a_wrong_entry_of_an_accepted_signer_is_named_and_refused_when_found_by_what_it_reads() {
    a_lying_signer(&[]);
}

#[test]
fn a_wrong_entry_of_an_accepted_signer_is_named_and_refused_when_found_by_its_text() {
    a_lying_signer(&[("DCCACHE_DIRECT_MODE", "false")]);
}

#[test]
fn a_right_entry_of_the_ring_is_verified_in_silence_and_kept() {
    let ring = Ring::of(1);
    let (one, mut two) = (ring.site("one"), ring.site("two"));
    let units = one.write_units("unit", 2);
    one.assert_units_as_without(&units);
    one.workstation().flush().unwrap();
    two.set("DCCACHE_VERIFY", "always");
    two.write_units("unit", 2);
    two.assert_units_as_without(&units);
    assert_eq!((two.count("/hits/ring"), two.count("/hits/verified")), (2, 2), "{}", two.stats());
    let explained = two.run(&["explain"]).stdout;
    for part in ["found in the ring, compiled as well, and equal", "signed by"] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    two.assert_units_as_without(&units);
    assert_eq!((two.count("/hits/local"), two.count("/hits/verified")), (2, 4), "{}", two.stats());
    assert_eq!(two.faults("verify_differs"), 0);
}
