//! Everything that a hostile or broken node can answer: none of it is delivered.

use super::*;
use crate::samples::outcome;
use dccache_protocol::bundle::{Body, encode};
use dccache_protocol::digest::Digest;
use dccache_protocol::directory::{Directory, SignedDirectory, SignerRole, Standing};
use dccache_protocol::entry::{AliasClaim, outcome_digest};
use dccache_protocol::ids::ClusterId;
use dccache_protocol::keys::{DirectKey, PreprocessedKey};
use dccache_protocol::signing::SigningKey;
use proptest::prelude::*;

const STAMP: ReceiptStamp = ReceiptStamp(1000);
const OBJECT: &[u8] = b"an object file";

fn cluster(name: &str) -> ClusterId {
    ClusterId::from_digest(Digest::of(name.as_bytes()))
}

fn key(name: &str) -> EntryKey {
    EntryKey::Preprocessed(PreprocessedKey::from_digest(Digest::of(name.as_bytes())))
}

fn direct(name: &str) -> DirectKey {
    DirectKey::from_digest(Digest::of(name.as_bytes()))
}

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn namespace(name: &str) -> Namespace {
    Namespace(name.parse().unwrap())
}

fn record(seed: u8, standing: Standing) -> SignerRecord {
    SignerRecord {
        key: signer(seed).public(),
        operator: "op".parse().unwrap(),
        roles: vec![SignerRole::Writer],
        namespaces: vec![namespace("default")],
        standing,
    }
}

/// A directory that knows signers 1 (active), 2 (compromised since the stamp), 3 (retired before it).
fn signers() -> Signers {
    let mut signers = vec![
        record(1, Standing::Active),
        record(2, Standing::CompromisedSince(STAMP)),
        record(3, Standing::Retired(ReceiptStamp(STAMP.0 - 1))),
    ];
    signers.sort_by_key(|record| record.key);
    let directory = Directory { cluster: cluster("ours"), number: 7, signers };
    Signers::vouched(SignedDirectory { directory, signatures: Vec::new() }, cluster("ours")).unwrap()
}

fn claim() -> Claim {
    Claim {
        cluster: cluster("ours"),
        namespace: namespace("default"),
        key: key("asked"),
        outcome: outcome(OBJECT),
        signer: signer(1).public().signer_id(),
    }
}

fn bundle(claim: Claim, by: u8, object: &[u8]) -> Vec<u8> {
    let body = Body::pack([object, b"", b""]);
    encode(&Entry::sign(claim, &signer(by)), &body.table, &body.bytes)
}

fn judge(
    bundle: &[u8],
    asked: &[EntryKey],
    answered: EntryKey,
    alias: Option<&[u8]>,
) -> Result<Imported, Verdict> {
    judge_with(Contents::Checked, bundle, asked, answered, alias)
}

fn judge_with(
    contents: Contents,
    bundle: &[u8],
    asked: &[EntryKey],
    answered: EntryKey,
    alias: Option<&[u8]>,
) -> Result<Imported, Verdict> {
    let (signers, policy, namespace) = (signers(), Policy::default(), namespace("default"));
    let (signers, policy, namespace) = (&signers, &policy, &namespace);
    let judge = Judge { signers, policy, own: None, namespace, keys: asked, contents };
    judge.import(&Answered { key: answered, alias, stamp: STAMP, bundle })
}

fn judge_bundle(bundle: &[u8]) -> Result<Imported, Verdict> {
    judge(bundle, &[key("other"), key("asked")], key("asked"), None)
}

fn distrusted(reason: Distrust) -> Result<Imported, Verdict> {
    Err(Verdict::Distrusted(reason))
}

#[test]
fn a_sound_entry_is_imported_with_its_bytes() {
    let imported = judge_bundle(&bundle(claim(), 1, OBJECT)).unwrap();
    let vetted = &imported.vetted;
    assert_eq!((vetted.key, vetted.trust_epoch), (key("asked"), 7));
    assert_eq!(vetted.outcome, outcome(OBJECT));
    assert_eq!(vetted.signer, signer(1).public().signer_id());
    assert!(dccache_protocol::bundle::unpack(&vetted.outcome, &vetted.table, &imported.body).is_ok());
}

#[test]
fn an_entry_of_another_key_namespace_or_cluster_is_refused_however_well_signed() {
    for moved in [
        Claim { key: key("other"), ..claim() },
        Claim { namespace: namespace("elsewhere"), ..claim() },
        Claim { cluster: cluster("theirs"), ..claim() },
        Claim { key: EntryKey::Direct(direct("asked")), ..claim() },
    ] {
        assert_eq!(judge_bundle(&bundle(moved, 1, OBJECT)), distrusted(Distrust::Signature));
    }
    let own = bundle(Claim { key: key("unasked"), ..claim() }, 1, OBJECT);
    assert_eq!(judge(&own, &[key("asked")], key("unasked"), None), distrusted(Distrust::Signature));
}

#[test]
fn swapped_and_altered_blobs_are_refused() {
    assert_eq!(judge_bundle(&bundle(claim(), 1, b"a trojan horse")), distrusted(Distrust::Digest));
    assert_eq!(
        judge_bundle(&bundle(claim(), 1, b"longer than the object was")),
        distrusted(Distrust::Digest)
    );
    // Left to whoever takes them out, they are nothing all the same.
    let altered = bundle(claim(), 1, b"a trojan horse");
    let imported = judge_with(Contents::Unchecked, &altered, &[key("asked")], key("asked"), None).unwrap();
    assert!(
        dccache_protocol::bundle::unpack(&imported.vetted.outcome, &imported.vetted.table, &imported.body)
            .is_err()
    );
    let entry = Entry::sign(claim(), &signer(1));
    let swapped = Body::pack([b"".as_slice(), OBJECT, b""]);
    assert_eq!(judge_bundle(&encode(&entry, &swapped.table, &swapped.bytes)), distrusted(Distrust::Digest));
}

#[test]
fn a_signature_by_somebody_else_or_over_something_else_is_refused() {
    let mut entry = Entry::sign(claim(), &signer(1));
    entry.claim.outcome = outcome(b"a trojan horse");
    let body = Body::pack([b"a trojan horse".as_slice(), b"", b""]);
    assert_eq!(judge_bundle(&encode(&entry, &body.table, &body.bytes)), distrusted(Distrust::Signature));
    let mut posing = Entry::sign(claim(), &signer(9));
    posing.claim.signer = signer(1).public().signer_id();
    let body = Body::pack([OBJECT, b"", b""]);
    assert_eq!(judge_bundle(&encode(&posing, &body.table, &body.bytes)), distrusted(Distrust::Signature));
}

#[test]
fn unknown_compromised_and_retired_signers_are_refused_and_only_the_unknown_one_is_looked_up() {
    let unknown = Verdict::UnknownSigner(signer(9).public().signer_id());
    assert_eq!(judge_bundle(&bundle(claim(), 9, OBJECT)), Err(unknown));
    assert_eq!(Distrust::from(unknown), Distrust::Signer);
    for seed in [2, 3] {
        assert_eq!(judge_bundle(&bundle(claim(), seed, OBJECT)), distrusted(Distrust::Signer));
    }
}

fn alias_claim() -> AliasClaim {
    AliasClaim {
        cluster: cluster("ours"),
        namespace: namespace("default"),
        key: EntryKey::Direct(direct("alias")),
        target: key("asked"),
        outcome: outcome_digest(&outcome(OBJECT)),
        signer: signer(1).public().signer_id(),
    }
}

fn judge_alias(claim: AliasClaim, by: u8) -> Result<Imported, Verdict> {
    let alias = Alias::sign(claim, &signer(by)).to_bytes();
    let asked = EntryKey::Direct(direct("alias"));
    judge(&bundle(self::claim(), 1, OBJECT), &[asked], asked, Some(&alias))
}

#[test]
fn an_alias_counts_only_for_its_own_key_target_outcome_and_signer() {
    let vetted = judge_alias(alias_claim(), 1).unwrap().vetted;
    assert_eq!((vetted.key, vetted.lies), (EntryKey::Direct(direct("alias")), key("asked")));
    for bent in [
        AliasClaim { key: EntryKey::Direct(direct("other")), ..alias_claim() },
        AliasClaim { target: key("other"), ..alias_claim() },
        AliasClaim { outcome: outcome_digest(&outcome(b"other")), ..alias_claim() },
        AliasClaim { namespace: namespace("elsewhere"), ..alias_claim() },
        AliasClaim { cluster: cluster("theirs"), ..alias_claim() },
    ] {
        assert_eq!(judge_alias(bent, 1), distrusted(Distrust::Signature));
    }
    assert_eq!(judge_alias(alias_claim(), 2), distrusted(Distrust::Signer));
    assert!(matches!(judge_alias(alias_claim(), 9), Err(Verdict::UnknownSigner(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_and_damaged_answers_are_never_imported(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        prop_assert!(judge_bundle(&bytes).is_err());
        let mut damaged = bundle(claim(), 1, OBJECT);
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        prop_assert!(judge_bundle(&damaged).is_err(), "byte {at}");
        prop_assert!(judge_bundle(&damaged[..at]).is_err());
        let asked = EntryKey::Direct(direct("alias"));
        prop_assert!(judge(&bundle(claim(), 1, OBJECT), &[asked], asked, Some(&bytes)).is_err());
    }
}
