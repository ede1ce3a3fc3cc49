//! Attacks on the acceptance of layouts, each refused.

use super::*;
use crate::fixture::{cluster, layout_of, member, node_id, root, voter_key, wanted};
use crate::plan::{Wanted, plan_first, plan_next};

fn roots() -> Vec<PublicKey> {
    vec![root().public()]
}

/// Nodes 1 to 4, of which 1 to 3 vote.
fn first() -> Trusted {
    Trusted::by_root(SignedLayout::by_root(layout_of(4, 2), &root()), cluster(), &roots()).unwrap()
}

fn unsigned(layout: Layout) -> SignedLayout {
    SignedLayout { layout, signatures: vec![] }
}

fn signed(layout: Layout, voters: &[u16]) -> SignedLayout {
    voters.iter().fold(unsigned(layout), |signed, &n| signed.countersigned(node_id(n), &voter_key(n)))
}

fn next(parent: &Layout) -> Layout {
    let mut wanted = Wanted::of(parent);
    wanted.members.push(member(100 + parent.epoch.0 as u16, 1, "z"));
    plan_next(parent, wanted).unwrap()
}

/// A child of `parent` in which other nodes vote.
fn handed_over(parent: &Layout, voters: &[u16]) -> Layout {
    let voters = voters.iter().map(|&n| node_id(n)).collect();
    plan_next(parent, Wanted { voters, ..Wanted::of(parent) }).unwrap()
}

#[test]
fn a_majority_of_the_trusted_voters_is_believed() {
    let first = first();
    let child = next(first.layout());
    for voters in [&[1, 2][..], &[1, 3], &[1, 2, 3]] {
        let accepted = first.accept(signed(child.clone(), voters), &roots()).unwrap();
        assert_eq!(accepted.layout(), &child);
        assert_eq!(accepted.digest(), child.digest());
    }
    let too_few = Err(Rejection::TooFewSignatures { good: 1, needed: 2 });
    assert_eq!(first.accept(signed(child, &[1]), &roots()), too_few);
}

#[test]
fn a_layout_that_lists_only_the_attacker_is_refused() {
    let first = first();
    let mut layout = plan_first(cluster(), wanted(vec![member(66, 1, "z")], 1)).unwrap();
    (layout.epoch, layout.parent) = (Epoch(2), first.digest());
    let too_few = Err(Rejection::TooFewSignatures { good: 0, needed: 2 });
    assert_eq!(first.accept(signed(layout.clone(), &[66]), &roots()), too_few);
    layout.epoch = Epoch(50);
    assert_eq!(first.accept(signed(layout.clone(), &[66]), &roots()), too_few);
    let by_foreign_root = SignedLayout::by_root(layout, &voter_key(66));
    assert_eq!(first.accept(by_foreign_root, &roots()), too_few);
}

#[test]
fn a_reused_epoch_with_another_content_is_a_conflict() {
    let first = first();
    let second = first.accept(signed(next(first.layout()), &[1, 2]), &roots()).unwrap();
    let other = signed(handed_over(first.layout(), &[1, 2]), &[1, 2, 3]);
    assert_eq!(second.accept(other, &roots()), Err(Rejection::Conflict(Epoch(2))));
    let stale = Rejection::NotNewer { trusted: Epoch(2), offered: Epoch(2) };
    assert_eq!(second.accept(second.signed().clone(), &roots()), Err(stale));
    let stale = Rejection::NotNewer { trusted: Epoch(2), offered: Epoch(1) };
    assert_eq!(
        second.accept(first.signed().clone(), &roots()),
        Err(stale),
        "no way back, not even by the root"
    );
}

#[test]
fn a_layout_of_another_cluster_is_refused() {
    let first = first();
    let mut foreign = next(first.layout());
    foreign.cluster = voter_key(9).public().cluster_id();
    assert_eq!(first.accept(signed(foreign, &[1, 2, 3]), &roots()), Err(Rejection::ForeignCluster));
}

#[test]
fn members_that_do_not_vote_and_strangers_count_for_nothing() {
    let first = first();
    let child = next(first.layout());
    let too_few = Err(Rejection::TooFewSignatures { good: 1, needed: 2 });
    assert_eq!(first.accept(signed(child.clone(), &[1, 4, 66]), &roots()), too_few);
    let posing = signed(child, &[1]).countersigned(node_id(2), &voter_key(66));
    assert_eq!(first.accept(posing, &roots()), too_few, "a voter's name with another's key");
}

#[test]
fn a_signer_that_appears_twice_counts_once() {
    let first = first();
    let child = next(first.layout());
    let mut doubled = signed(child.clone(), &[1]);
    doubled.signatures.push(doubled.signatures[0]);
    assert!(matches!(first.accept(doubled.clone(), &roots()), Err(Rejection::Malformed(_))));
    assert_eq!(votes(first.layout(), Purpose::Layout, &child.to_bytes(), &doubled.signatures), 1);

    let mut members = first.layout().members.clone();
    members.iter_mut().for_each(|member| member.voter_key = voter_key(1).public());
    let voters = first.layout().voters.clone();
    let shared = plan_first(cluster(), Wanted { members, voters: voters.clone(), replicas: 2 }).unwrap();
    let one_key = voters
        .iter()
        .fold(unsigned(child.clone()), |signed, &voter| signed.countersigned(voter, &voter_key(1)));
    assert_eq!(
        votes(&shared, Purpose::Layout, &child.to_bytes(), &one_key.signatures),
        1,
        "one key, three names"
    );
}

#[test]
fn a_signature_for_another_purpose_or_another_layout_does_not_hold() {
    let first = first();
    let child = next(first.layout());
    let mut wrong = signed(handed_over(first.layout(), &[1]), &[1, 2]);
    wrong.layout = child.clone();
    assert_eq!(first.accept(wrong, &roots()), Err(Rejection::TooFewSignatures { good: 0, needed: 2 }));
    let mut other_purpose = unsigned(child.clone());
    for n in [1, 2] {
        other_purpose.add_signature(node_id(n), voter_key(n).sign(Purpose::Directory, &child.to_bytes()));
    }
    assert_eq!(
        first.accept(other_purpose, &roots()),
        Err(Rejection::TooFewSignatures { good: 0, needed: 2 })
    );
}

#[test]
fn the_next_epoch_must_name_the_trusted_layout_as_its_parent() {
    let first = first();
    let mut orphan = next(first.layout());
    orphan.parent = Digest::of(b"something else");
    assert_eq!(first.accept(signed(orphan, &[1, 2, 3]), &roots()), Err(Rejection::WrongParent));
}

#[test]
fn a_member_that_fell_behind_skips_ahead_while_the_voters_are_the_same() {
    let first = first();
    let third = next(&next(first.layout()));
    assert_eq!(first.accept(signed(third, &[2, 3]), &roots()).unwrap().layout().epoch, Epoch(3));
}

#[test]
fn a_change_of_voters_needs_the_chain() {
    let first = first();
    let second = handed_over(first.layout(), &[4]);
    let third = next(&second);
    let fourth = next(&third);
    let too_few = Err(Rejection::TooFewSignatures { good: 0, needed: 2 });
    assert_eq!(first.accept(signed(fourth.clone(), &[4]), &roots()), too_few);
    let chain = [signed(second.clone(), &[1, 2]), signed(third, &[4]), signed(fourth.clone(), &[4])];
    let last = first.clone().accept_chain(chain.clone(), &roots()).unwrap();
    assert_eq!(last.layout(), &fourth);
    let forged = [signed(second, &[4]), chain[2].clone()];
    assert_eq!(first.accept_chain(forged, &roots()), too_few, "the new voters cannot vote themselves in");
    assert_eq!(last.clone().accept_chain(chain, &roots()).unwrap(), last, "known layouts are passed over");
}

#[test]
fn the_root_signs_the_first_layout_and_recovers_a_lost_majority() {
    let layout = layout_of(4, 2);
    let not_by_root = Err(Rejection::NotByRoot);
    assert_eq!(Trusted::by_root(unsigned(layout.clone()), cluster(), &roots()), not_by_root);
    let by_other = SignedLayout::by_root(layout.clone(), &voter_key(1));
    assert_eq!(Trusted::by_root(by_other, cluster(), &roots()), not_by_root);
    let moved = {
        let mut moved = SignedLayout::by_root(layout, &root());
        moved.layout.epoch = Epoch(9);
        moved
    };
    assert_eq!(Trusted::by_root(moved, cluster(), &roots()), not_by_root);

    let first = first();
    let mut recovered = handed_over(first.layout(), &[4]);
    recovered.epoch = Epoch(1000);
    let signed = SignedLayout::by_root(recovered.clone(), &root());
    assert_eq!(first.accept(signed, &roots()).unwrap().layout(), &recovered);
}

#[test]
fn malformed_layouts_are_refused_before_anything_is_asked_of_them() {
    let first = first();
    let mut wrong = signed(next(first.layout()), &[1, 2, 3]);
    wrong.layout.table.owners.pop();
    assert!(matches!(first.accept(wrong, &roots()), Err(Rejection::Malformed(_))));
}
