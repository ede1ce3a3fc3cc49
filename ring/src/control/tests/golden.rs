//! The snapshot's bytes: a change of any of them fails here. `DCCACHE_BLESS=1` writes the file anew.

use super::*;
use std::path::PathBuf;

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = digits.as_bytes().chunks(96).map(|line| String::from_utf8_lossy(line).into_owned());
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// Asserts that a value is written as its golden file holds it, and that the file is still read.
#[expect(clippy::disallowed_methods, reason = "a test reads and blesses its golden file")]
fn golden<T: Format + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/control/tests").join(name);
    let now = hex(&value.to_bytes());
    if std::env::var_os("DCCACHE_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(&T::from_bytes(&unhex(&text)).unwrap(), value, "{name} is no longer read");
    assert_eq!(text, now, "{name} is written differently");
}

/// A life that leaves something in every field: two nodes, one more on its way, a writer, an order, a revocation, a start.
#[test]
fn a_snapshot_keeps_its_bytes() {
    let mut world = World::of(2);
    let grant = writer_grant(50);
    world.apply(Command::Redeem { grant: grant.clone(), by: Digest::of(b"key"), now: NOW });
    world.apply(Command::RegisterSigner { grant, key: voter_key(50).public() });
    let namespace = Namespace("team-a".parse().unwrap());
    assert_eq!(world.administer(Action::AddNamespace(namespace), None), Outcome::Done);
    world.apply(Command::Boot { node: node_id(1), counter: 1, nonce: [7; 16] });
    let list = RevocationList {
        cluster: cluster(),
        number: 1,
        issued: NOW,
        revoked: vec![Revoked::Node(node_id(9))],
    };
    world.apply(Command::Revoke { list: Signed::new(list, &administrator()) });
    world.redeem(3);
    let layout = world.planned(|wanted| wanted.members.push(member(3, 1, "z")));
    world.apply(admit(3, layout));
    let cluster = world.cluster();
    assert!(cluster.waiting().is_some() && !cluster.directory().signers.is_empty());
    golden::<ControlState>("snapshot.hex", &world.state);
}
