//! A node's disk fails; builds end as without dccache, no wrong byte is served, and what was acknowledged comes back.

use dccache_tests::{Binaries, Dice, Mount, Ring, files_below};
use std::fs;

#[test]
fn a_node_with_a_full_disk_ends_no_build_and_takes_what_waits_once_it_has_space() {
    let home = tempfile::tempdir().unwrap();
    let disk = Mount::new(&home.path().join("node-1"), 64 << 10);
    let ring = Ring::below(home, Binaries::find(), 1);
    let (one, two) = (ring.site("one"), ring.site("two"));
    let units = one.write_units("unit", 30);
    two.write_units("unit", 30);
    one.assert_units_as_without(&units[..10]);
    one.workstation().flush().unwrap();
    disk.fill();
    one.assert_units_as_without(&units[10..20]);
    let flush = one.run(&["agent", "flush", "--timeout", "3"]);
    assert_eq!(flush.code, Some(1), "{}", flush.shown());
    assert!(one.agent()["waiting"].as_u64() > Some(0), "{}", one.agent());
    // What it had is served all the same.
    two.assert_units_as_without(&units[..10]);
    assert_eq!(two.count("/hits/ring"), 10, "{}", two.stats());
    one.assert_doctor_names("agent", "wait");

    disk.empty();
    one.assert_units_as_without(&units[20..]);
    one.workstation().flush().unwrap();
    two.assert_units_as_without(&units[10..]);
    assert_eq!(two.count("/hits/ring"), 30, "{}", two.stats());
}

#[test]
fn flipped_bytes_in_a_nodes_segments_are_never_served_and_heal_from_the_other_node() {
    let mut ring = Ring::of(2);
    let [one, two, three, four] = ["one", "two", "three", "four"].map(|name| ring.site(name));
    let units = one.write_units("unit", 60);
    [&two, &three, &four].iter().for_each(|site| drop(site.write_units("unit", 60)));
    one.assert_units_as_without(&units);
    one.workstation().flush().unwrap();
    assert_eq!(one.agent()["dropped"], 0);

    ring.nodes[1].kill();
    let mut dice = Dice::new(7);
    let store = ring.nodes[1].data().join("store");
    let segments = files_below(&store).into_iter().filter(|path| !path.ends_with("index.redb"));
    let mut flipped = 0;
    for path in segments {
        let mut bytes = fs::read(&path).unwrap();
        // Small files say what the directory is; damage there is another test's.
        for _ in 0..bytes.len() / 1500 {
            let at = dice.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << dice.below(8);
            flipped += 1;
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(flipped >= 10, "{flipped}");
    ring.restart(1);

    two.assert_units_as_without(&units);
    // A record whose head is damaged is forgotten, not quarantined; the node cannot know that it should ask the other for it.
    let (served, distrusted) = (two.count("/hits/ring"), two.agent()["distrusted"].as_u64());
    assert!(served >= 50, "{}", two.stats());
    assert_eq!(distrusted, Some(0), "a node checks what it reads before it serves it: {}", two.agent());

    // Alone, the damaged node has gaps, and still nothing wrong.
    ring.nodes[0].kill();
    three.assert_units_as_without(&units[..20]);
    assert_eq!(three.agent()["distrusted"], 0, "{}", three.agent());
    assert!(ring.status(1, "quarantined") >= 1, "{:?}", ring.nodes[1].admin(&["status", "--json"]));
    three.assert_doctor_names("node", "damaged records were quarantined");

    // Nothing acknowledged is lost: the other node alone has it all.
    ring.restart(0);
    ring.nodes[1].kill();
    four.assert_units_as_without(&units);
    assert_eq!(four.count("/hits/ring"), 60, "{}", four.stats());
}
