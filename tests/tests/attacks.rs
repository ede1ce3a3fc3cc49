//! Attacks by members of the cluster: nodes that lie, readers that write, keys that nobody registered, tokens that two machines use at once.
//!
//! Each is refused and counted, the build ends as without dccache, and honest traffic goes on. Attacks on one layer alone are shown
//! where that layer is tested.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache_protocol::bundle::{Bundle, encode};
use dccache_protocol::entry::Entry;
use dccache_protocol::ids::Partition;
use dccache_protocol::signing::SigningKey;
use dccache_protocol::time::{Clock, UnixMillis};
use dccache_storage::{Config, Durability, NewRecord, Record, RecordKind, Store};
use dccache_tests::{Ring, Site};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What a lying node does to the bundles that it keeps.
type Lie = dyn Fn(&[Record]) -> Vec<Vec<u8>>;

#[derive(Debug)]
struct Fixed(UnixMillis);

impl Clock for Fixed {
    fn now(&self) -> UnixMillis {
        self.0
    }
}

/// Rewrites all bundles of a node that does not run, with right checksums: a node can write what it likes.
fn rewrite(data: &Path, lie: &Lie) -> usize {
    let clock = Arc::new(Fixed(UnixMillis(u64::MAX / 2)));
    let (store, _) = Store::open(&data.join("store"), Config::with_capacity(1 << 30), clock).unwrap();
    let mut bundles: Vec<Record> = Vec::new();
    for partition in Partition::all() {
        let page = store.scan(partition, None, usize::MAX).unwrap();
        bundles.extend(page.records.into_iter().filter(|record| record.kind == RecordKind::Bundle));
    }
    let lies = lie(&bundles);
    for (record, payload) in bundles.iter().zip(lies) {
        assert!(store.remove(&record.id).unwrap());
        let Record { id, kind, stamp, .. } = *record;
        let put = NewRecord { id, kind, stamp, payload: payload.into() };
        store.put(put, Durability::Now).unwrap();
    }
    store.sync().unwrap();
    bundles.len()
}

/// Compiles units on one machine, lets the node tell a lie about them, and compiles them on another machine, which must distrust every one.
fn assert_lie_is_noticed(lie: &Lie, fault: Option<&str>) {
    const UNITS: usize = 12;
    let mut ring = Ring::of(1);
    let (one, two) = (ring.site("one"), ring.site("two"));
    let units = one.write_units("unit", UNITS);
    two.write_units("unit", UNITS);
    one.assert_units_as_without(&units);
    one.workstation().flush().unwrap();
    ring.kill();
    assert_eq!(rewrite(ring.nodes[0].data(), lie), UNITS);
    ring.restart(0);
    two.assert_units_as_without(&units);
    assert_eq!(two.count("/hits/ring"), 0, "{}", two.stats());
    // What a node cannot even read it does not serve. Each compile looks up to twice: by what led to an entry before, and for its own key.
    let once = UNITS as u64;
    let expected = if fault.is_some() { once..=2 * once } else { 0..=0 };
    assert!(expected.contains(&fault.map_or(0, |fault| two.faults(fault))), "{}", two.stats());
    assert_eq!(two.agent()["distrusted"].as_u64() > Some(0), fault.is_some(), "{}", two.agent());
    // Its own work takes the place of the lies.
    two.workstation().flush().unwrap();
    one.forget();
    one.assert_units_as_without(&units);
    assert_eq!(one.count("/hits/ring"), UNITS as u64, "{}", one.stats());
}

fn payloads(bundles: &[Record]) -> Vec<Vec<u8>> {
    bundles.iter().map(|record| record.payload.to_vec()).collect()
}

#[test]
fn a_node_that_serves_one_entry_under_anothers_key_is_not_believed() {
    let moved = |bundles: &[Record]| {
        let mut payloads = payloads(bundles);
        payloads.rotate_left(1);
        payloads
    };
    assert_lie_is_noticed(&moved, Some("distrusted_signature"));
}

#[test]
fn a_node_that_alters_the_bytes_of_objects_is_not_believed() {
    let altered = |bundles: &[Record]| {
        let mut payloads = payloads(bundles);
        payloads.iter_mut().for_each(|payload| *payload.last_mut().unwrap() ^= 1);
        payloads
    };
    assert_lie_is_noticed(&altered, Some("distrusted_digest"));
}

/// Compiles units on one machine, lets one of two nodes alter the last byte of each, and compiles them on another machine until that node was caught. All are
/// served by the other one; returns the machine.
fn assert_the_other_one_serves(
    ring: &mut Ring,
    units: &dyn Fn(&Site) -> Vec<String>,
    caught: &dyn Fn(&Site) -> bool,
) -> Site {
    let (one, two) = (ring.site("one"), ring.site("two"));
    let (units, _) = (units(&one), units(&two));
    one.assert_units_as_without(&units);
    one.workstation().flush().unwrap();
    ring.nodes[0].kill();
    let altered = |bundles: &[Record]| {
        let mut payloads = payloads(bundles);
        payloads.iter_mut().for_each(|payload| *payload.last_mut().unwrap() ^= 1);
        payloads
    };
    assert_eq!(rewrite(ring.nodes[0].data(), &altered), units.len());
    ring.restart(0);
    // Which node is asked first is chance.
    for round in 1..=20 {
        two.assert_units_as_without(&units);
        assert_eq!(two.count("/hits/ring"), (round * units.len()) as u64, "{}", two.stats());
        if caught(&two) {
            return two;
        }
        two.forget();
    }
    panic!("the node that lies was never asked: {} {}", two.stats(), two.agent());
}

/// Asserts that the agent counted each lie and named one node for all of them.
fn assert_blamed(site: &Site) {
    let log = fs::read_to_string(site.state().join("agent.log")).unwrap();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("an entry is not accepted")).collect();
    assert_eq!(site.agent()["distrusted"], lines.len() as u64, "{log}");
    let named =
        lines.iter().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("node=")));
    let named: BTreeSet<&str> = named.collect();
    assert_eq!(named.len(), 1, "{log}");
}

#[test]
fn where_one_node_alters_the_bytes_of_objects_the_other_one_serves_them() {
    let mut ring = Ring::of(2);
    let caught = |site: &Site| site.faults("distrusted_digest") > 0;
    let two = assert_the_other_one_serves(&mut ring, &|site| site.write_units("unit", 12), &caught);
    assert_eq!(two.agent()["distrusted"], two.faults("distrusted_digest"), "{}", two.stats());
    assert_blamed(&two);
}

#[test]
fn where_one_node_alters_objects_that_come_by_themselves_the_agent_finds_out_at_once() {
    let mut ring = Ring::of(2);
    // More than comes with an answer, drawn by the assembler.
    let units = |site: &Site| {
        let write = |number: u64| {
            let name = format!("large{number}");
            let text = format!(
                "__asm__(\".data\\n.set state, {}\\n.rept 50000\\n\"\n\
                 \".set state, (state * 6364136223846793005 + 1442695040888963407)\\n.quad state ^ (state >> 29)\\n.endr\\n.text\");\n\
                 int one(void) {{ return 1; }}\n",
                number + 1
            );
            site.write(&format!("{name}.c"), &text);
            name
        };
        (0..4).map(write).collect()
    };
    let caught = |site: &Site| site.agent()["distrusted"].as_u64() > Some(0);
    let two = assert_the_other_one_serves(&mut ring, &units, &caught);
    assert_eq!(two.faults("distrusted_digest"), 0, "no compile met it: {}", two.stats());
    assert_blamed(&two);
}

#[test]
fn a_node_that_signs_entries_itself_is_not_believed() {
    let forged = |bundles: &[Record]| {
        let forge = |record: &Record| {
            let bundle = Bundle::parse(&record.payload).unwrap();
            let entry = Entry::sign(bundle.head.entry.claim.clone(), &SigningKey::from_seed(&[66; 32]));
            encode(&entry, &bundle.head.table, bundle.body)
        };
        bundles.iter().map(forge).collect()
    };
    assert_lie_is_noticed(&forged, Some("distrusted_signer"));
}

#[test]
fn a_node_that_serves_noise_is_not_believed() {
    let noise = |bundles: &[Record]| vec![b"noise that is no bundle".to_vec(); bundles.len()];
    assert_lie_is_noticed(&noise, None);
}

#[test]
fn a_reader_brings_nothing_onto_the_ring_not_even_when_it_calls_itself_a_writer() {
    let ring = Ring::of(1);
    let honest = ring.site("honest");
    let reader = Site::new(ring.home(), "reader", &ring.programs);
    reader.workstation().join(&ring.nodes[0].token("--reader").unwrap()).unwrap();
    let units = reader.write_units("unit", 4);
    honest.write_units("unit", 4);
    reader.assert_units_as_without(&units[..2]);
    reader.workstation().flush().unwrap();
    assert_eq!(ring.status(0, "puts"), 0);

    // It edits its own files, but the certificate says what it may do, and no directory knows its key.
    reader.workstation().stop();
    let member = reader.state().join("cluster/member.json");
    let text = fs::read_to_string(&member).unwrap();
    assert!(text.contains("reader"), "{text}");
    fs::write(&member, text.replace("reader", "writer")).unwrap();
    let seed = reader.state().join("cluster/signer.key");
    fs::copy(honest.state().join("cluster/signer.key"), &seed).unwrap();
    reader.assert_units_as_without(&units[2..]);
    reader.workstation().flush().unwrap();
    assert_eq!(ring.status(0, "puts"), 0);
    assert_eq!((&reader.agent()["pushed"], &reader.agent()["dropped"]), (&0.into(), &2.into()));
    assert!(ring.status(0, "refusals") >= 2);
    reader.assert_doctor_names("agent", "dropped");

    honest.assert_units_as_without(&units);
    honest.workstation().flush().unwrap();
    assert_eq!((honest.count("/misses"), ring.status(0, "puts")), (4, 4), "honest traffic goes on");
    reader.forget();
    reader.assert_units_as_without(&units);
    assert_eq!(reader.count("/hits/ring"), 4, "and a reader may read: {}", reader.stats());
}

#[test]
fn a_signer_that_nobody_registered_brings_nothing_onto_the_ring() {
    let ring = Ring::of(1);
    let (honest, rogue) = (ring.site("honest"), ring.site("rogue"));
    let units = rogue.write_units("unit", 3);
    honest.write_units("unit", 3);
    rogue.workstation().stop();
    fs::write(rogue.state().join("cluster/signer.key"), "66".repeat(32)).unwrap();
    rogue.assert_units_as_without(&units);
    rogue.workstation().flush().unwrap();
    assert_eq!((&rogue.agent()["pushed"], &rogue.agent()["dropped"]), (&0.into(), &3.into()));
    assert_eq!(ring.status(0, "puts"), 0);
    rogue.assert_doctor_names("signer", "");
    honest.assert_units_as_without(&units);
    assert_eq!((honest.count("/misses"), honest.stats()["faults"].as_object().unwrap().len()), (3, 0));
}

#[test]
fn of_machines_that_race_for_one_token_one_gets_in() {
    let ring = Ring::of(1);
    for round in 0..4 {
        let token = ring.nodes[0].token("--client").unwrap();
        let sites: Vec<Site> = (0..4)
            .map(|number| Site::new(ring.home(), &format!("{round}-{number}"), &ring.programs))
            .collect();
        let ended = std::thread::scope(|scope| {
            let racers: Vec<_> =
                sites.iter().map(|site| scope.spawn(|| site.run(&["join", &token]))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect::<Vec<_>>()
        });
        let codes: Vec<Option<i32>> = ended.iter().map(|said| said.code).collect();
        assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == Some(3)).count(), 3, "{codes:?}");
        let members = sites.iter().filter(|site| site.state().join("cluster/member.json").exists());
        assert_eq!(members.count(), 1);
    }
}
