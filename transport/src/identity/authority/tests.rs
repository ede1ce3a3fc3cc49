//! Tests of the authority: what its certificates say, and what it refuses to certify.

use super::*;
use crate::identity::Subject;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn node_terms(key: &KeyPair, addresses: &[&str]) -> LeafTerms {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    LeafTerms::node(NodeId([1; 16]), key.public(), addresses)
}

#[test]
fn a_leaf_lives_seven_days_and_begins_an_hour_back() {
    let authority = Authority::found(NodeId([1; 16]), NOW).unwrap();
    let key = KeyPair::from_seed(&[5; 32]);
    let chain = authority.issuer.issue(&node_terms(&key, &["::ffff:127.0.0.1", "127.0.0.1"]), NOW).unwrap();
    let subject = Subject::parse(&chain[0]).unwrap();
    assert_eq!(subject.not_before, UnixMillis(NOW.0 - 3_600_000));
    assert_eq!(subject.not_after, UnixMillis(NOW.0 + 7 * 24 * 3_600_000));
    assert_eq!(subject.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    assert_eq!((subject.cluster, subject.role), (authority.root.cluster(), Role::Node));
    assert_eq!((subject.name, subject.key), (PeerName::Node(NodeId([1; 16])), key.public()));
    assert!(subject.covers("::ffff:127.0.0.1".parse().unwrap()));
    assert!(!subject.covers("127.0.0.2".parse().unwrap()));
}

#[test]
fn a_leaf_never_outlives_its_issuer() {
    let authority = Authority::found(NodeId([1; 16]), NOW).unwrap();
    let late = NOW.plus_ms(ISSUER_LIFE_MS - 1_000);
    let key = KeyPair::from_seed(&[5; 32]);
    let chain = authority.issuer.issue(&LeafTerms::client(Role::Writer, key.public()), late).unwrap();
    assert_eq!(Subject::parse(&chain[0]).unwrap().not_after, late.plus_ms(1_000));
}

#[test]
fn terms_that_contradict_themselves_are_refused() {
    let issuer = Authority::found(NodeId([1; 16]), NOW).unwrap().issuer;
    let key = KeyPair::from_seed(&[5; 32]);
    for bad in ["0.0.0.0", "169.254.3.4", "fe80::1"] {
        let refused = issuer.issue(&node_terms(&key, &[bad]), NOW);
        assert!(matches!(refused, Err(AuthorityError::Address(_))), "{bad}");
    }
    assert!(matches!(issuer.issue(&node_terms(&key, &[]), NOW), Err(AuthorityError::Addresses)));
    let mut client = LeafTerms::client(Role::Writer, key.public());
    client.role = Role::Node;
    assert!(matches!(issuer.issue(&client, NOW), Err(AuthorityError::Role)));
    let mut stolen = LeafTerms::client(Role::Writer, key.public());
    stolen.key = KeyPair::from_seed(&[6; 32]).public();
    assert!(matches!(issuer.issue(&stolen, NOW), Err(AuthorityError::Role)));
}

#[test]
fn a_request_proves_possession_of_its_key() {
    let key = KeyPair::from_seed(&[5; 32]);
    let request = CertificateRequest::create(&key).unwrap();
    assert_eq!(CertificateRequest::verify(&request).unwrap().key(), key.public());
    for at in 0..request.len() {
        let mut changed = request.clone();
        changed[at] ^= 1;
        // A few bits outside of what is signed carry nothing; none leads to another key.
        let found = CertificateRequest::verify(&changed).ok();
        assert!(found.is_none_or(|request| request.key() == key.public()), "byte {at}");
    }
    assert!(CertificateRequest::verify(&[request, vec![0]].concat()).is_err());
}

#[test]
fn parts_of_different_keys_do_not_make_an_authority() {
    let first = Authority::found(NodeId([1; 16]), NOW).unwrap();
    let other = KeyPair::generate().unwrap();
    let refused = Root::from_parts(other, first.root.certificate().clone());
    assert!(matches!(refused, Err(AuthorityError::Mismatch)));
    let other = KeyPair::generate().unwrap();
    let refused = Issuer::new(first.root.cluster(), other, first.issuer.certificate().clone());
    assert!(matches!(refused, Err(AuthorityError::Mismatch)));
}
