//! State survives its files, is named when it is damaged, and never goes back.

use super::*;
use dccache_protocol::directory::{Directory, SignerRecord, SignerRole, Standing};
use dccache_protocol::ids::NodeId;
use dccache_protocol::layout;
use dccache_protocol::signing::Purpose;
use dccache_protocol::time::UnixMillis;
use dccache_ring::plan::{Wanted, plan_first};
use dccache_transport::identity::{Authority, KeyPair, LeafTerms};
use std::sync::Arc;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const NODE: NodeId = NodeId([1; 16]);

fn voter() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

fn directory(cluster: ClusterId, number: u64, signers: &[u8]) -> SignedDirectory {
    let record = |seed: &u8| SignerRecord {
        key: SigningKey::from_seed(&[*seed; 32]).public(),
        operator: "op".parse().unwrap(),
        roles: vec![SignerRole::Writer],
        namespaces: Vec::new(),
        standing: Standing::Active,
    };
    let mut signers: Vec<SignerRecord> = signers.iter().map(record).collect();
    signers.sort_by_key(|record| record.key);
    SignedDirectory { directory: Directory { cluster, number, signers }, signatures: Vec::new() }
}

fn signed(mut directory: SignedDirectory, by: &SigningKey) -> SignedDirectory {
    let signature = by.sign(Purpose::Directory, &directory.directory.to_bytes());
    directory.signatures = vec![(NODE, signature)];
    directory
}

fn membership() -> Membership {
    let authority = Authority::found(NODE, NOW).unwrap();
    let cluster = authority.root.cluster();
    let key = Arc::new(KeyPair::from_seed(&[5; 32]));
    let chain = authority.issuer.issue(&LeafTerms::client(Role::Writer, key.public()), NOW).unwrap();
    let member = layout::Member {
        id: NODE,
        addresses: vec!["127.0.0.1:7".parse().unwrap()],
        weight: 1,
        zone: "z".parse().unwrap(),
        voter_key: voter().public(),
    };
    let layout =
        plan_first(cluster, Wanted { members: vec![member], voters: vec![NODE], replicas: 2 }).unwrap();
    let layout = SignedLayout { layout, signatures: Vec::new() };
    Membership {
        member: Member {
            cluster,
            administrator: SigningKey::from_seed(&[3; 32]).public(),
            role: Role::Writer,
            operator: "alice".parse().unwrap(),
        },
        identity: Identity::new(key, chain).unwrap(),
        roots: vec![authority.root.certificate().clone()],
        signer: Some(SigningKey::from_seed(&[6; 32])),
        layout: Trusted::vouched(layout, cluster).unwrap(),
        signers: Signers::vouched(directory(cluster, 5, &[6]), cluster).unwrap(),
    }
}

#[test]
fn a_membership_survives_its_files_which_only_their_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().join("cluster");
    assert!(Membership::load(&place).unwrap().is_none());
    let made = membership();
    made.save(&place).unwrap();
    let read = Membership::load(&place).unwrap().unwrap();
    assert_eq!(read.member, made.member);
    assert_eq!(read.layout, made.layout);
    assert_eq!(read.signers.signed(), made.signers.signed());
    assert_eq!(read.signer.unwrap().seed(), made.signer.unwrap().seed());
    assert_eq!(read.roots, made.roots);
    for file in std::fs::read_dir(&place).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[test]
fn every_missing_or_cut_file_is_an_error_that_names_it_or_what_it_holds() {
    let scratch = tempfile::tempdir().unwrap();
    membership().save(scratch.path()).unwrap();
    for name in [MEMBER, SIGNER, LAYOUT, DIRECTORY, "key.pem", "chain.pem", "roots.pem"] {
        let path = scratch.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(Membership::load(scratch.path()).is_err(), "{name} cut");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(matches!(Membership::load(scratch.path()), Ok(None)), name == MEMBER, "{name} missing");
        std::fs::write(&path, whole).unwrap();
    }
    assert!(Membership::load(scratch.path()).unwrap().is_some());
}

#[test]
fn a_directory_counts_when_it_is_newer_of_this_cluster_and_signed_by_the_layouts_voters() {
    let known = membership();
    let (cluster, layout) = (known.member.cluster, known.layout.layout());
    let judge = |candidate| known.signers.accept(candidate, layout).map(|next| next.number());
    assert_eq!(judge(signed(directory(cluster, 6, &[6, 7]), &voter())), Ok(6));
    for number in [4, 5] {
        let old = judge(signed(directory(cluster, number, &[6]), &voter()));
        assert_eq!(old, Err(DirectoryRejection::NotNewer { known: 5, offered: number }));
    }
    let missing = DirectoryRejection::TooFewSignatures { good: 0, needed: 1 };
    assert_eq!(judge(directory(cluster, 6, &[6])), Err(missing));
    assert_eq!(judge(signed(directory(cluster, 6, &[6]), &SigningKey::from_seed(&[9; 32]))), Err(missing));
    let other = ClusterId::from_digest(Digest::of(b"other"));
    assert_eq!(judge(signed(directory(other, 6, &[6]), &voter())), Err(DirectoryRejection::ForeignCluster));
}
