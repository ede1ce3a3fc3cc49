//! Random lives of a cluster: whatever is asked, by whomever and however often, the invariants hold.

use super::*;
use dccache_protocol::ids::Partition;
use proptest::prelude::*;

/// A reproducible stream of numbers (xorshift64*; Vigna 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }
}

/// Asserts that the table of the layout in force is fair and spread, as `plan` promises.
fn assert_planned(layout: &Layout) {
    let mut counts = vec![0_usize; layout.members.len()];
    layout.table.owners.iter().for_each(|&owner| counts[usize::from(owner)] += 1);
    let shares = crate::plan::shares(&layout.members, layout.replicas);
    for (held, share) in counts.iter().zip(shares) {
        assert!((*held as f64 - share.slots()).abs() < 1.001, "{held} of {}", share.slots());
    }
    let zones: BTreeSet<&Label> = layout.members.iter().map(|member| &member.zone).collect();
    let distinct = zones.len().min(usize::from(layout.table.replicas));
    for partition in Partition::all() {
        let seen: BTreeSet<&Label> = layout.owners(partition).map(|owner| &owner.zone).collect();
        assert_eq!(seen.len(), distinct);
    }
}

impl World {
    fn pick(&self, dice: &mut Dice) -> NodeId {
        let members = &self.cluster().in_force().layout.members;
        members[dice.roll(members.len() as u64) as usize].id
    }

    fn ordered(&mut self, action: Action, change: impl FnOnce(&mut Wanted)) -> Outcome {
        let layout = self.planned(change);
        self.administer(action, Some(layout))
    }

    /// One random join, leave, or change of weight or zone.
    fn change(&mut self, step: u16, dice: &mut Dice) -> Outcome {
        let size = self.cluster().in_force().layout.members.len();
        let node = self.pick(dice);
        let at =
            move |wanted: &mut Wanted| wanted.members.iter().position(|member| member.id == node).unwrap();
        match dice.roll(4) {
            0 if size < 10 => self.join(step + 2),
            1 if size > 1 => self.ordered(Action::RemoveNode(node), |wanted| {
                wanted.members.retain(|member| member.id != node)
            }),
            2 => {
                let zone: Label = ["z", "y", "x"][dice.roll(3) as usize].parse().unwrap();
                self.ordered(Action::SetZone(node, zone.clone()), |wanted| {
                    let place = at(wanted);
                    wanted.members[place].zone = zone;
                })
            }
            _ => {
                let weight = 1 + dice.roll(8) as u32;
                self.ordered(Action::SetWeight(node, weight), |wanted| {
                    let place = at(wanted);
                    wanted.members[place].weight = weight;
                })
            }
        }
    }

    fn join(&mut self, n: u16) -> Outcome {
        assert_eq!(self.redeem(n), Outcome::Redeemed);
        let layout = self.planned(|wanted| wanted.members.push(member(n, 1, "z")));
        self.apply(admit(n, layout))
    }

    /// The voters sign in turn until the waiting layout is in force.
    fn sign(&mut self) {
        let voters = self.cluster().in_force().layout.voters.clone();
        for n in (1..=2 + STEPS).filter(|&n| voters.binary_search(&node_id(n)).is_ok()) {
            if let Some(command) = self.countersignature(n) {
                self.apply(command);
            }
        }
    }
}

/// Changes of the long simulation.
const STEPS: u16 = 1000;

#[test]
fn a_thousand_changes_of_membership_keep_every_invariant() {
    let mut world = World::founded();
    world.thorough = false;
    let mut dice = Dice(0x5EED_CAFE);
    let mut snapshot = (world.state.to_bytes(), world.log.len());
    for step in 0..STEPS {
        let before = world.epoch();
        let outcome = world.change(step, &mut dice);
        match outcome {
            Outcome::LayoutWaiting { .. } => world.sign(),
            Outcome::Refused(refusal) => assert_eq!(refusal, Refusal::HandoffsUnfinished),
            other => panic!("step {step}: {other:?}"),
        }
        assert!(world.cluster().waiting().is_none());
        if outcome != Outcome::Refused(Refusal::HandoffsUnfinished) {
            assert_eq!(world.epoch(), Epoch(before.0 + 1), "step {step}");
            world.cluster().in_force().validate().unwrap();
            assert_planned(&world.cluster().in_force().layout);
        }
        if dice.roll(3) == 0 {
            world.acknowledge_all();
            assert_eq!(world.cluster().unfinished().len(), 1);
        }
        if step % 100 == 99 {
            let mut replayed = ControlState::from_bytes(&snapshot.0).unwrap();
            for command in &world.log[snapshot.1..] {
                replayed.apply(command.clone());
            }
            world.state.validate().unwrap();
            assert!(replayed == world.state, "snapshot and tail give what the whole log gives");
            snapshot = (world.state.to_bytes(), world.log.len());
        }
    }
    assert!(world.epoch() > Epoch(500));
}

/// Something that somebody asks; numbers are reduced to what exists.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Redeem { token: u16, now: u64 },
    Join { token: u16, node: u16, weight: u32 },
    Leave { node: u16 },
    Weight { node: u16, weight: u32, number: u64 },
    Sign { node: u16, voter: u16 },
    SignDirectory { node: u16, number: u64 },
    Acknowledge { node: u16, epoch: u64 },
    Register { token: u16, key: u8 },
    Standing { key: u8, stamp: u64, kind: u8 },
    Boot { node: u16, counter: u64, nonce: u8 },
    Revoke { number: u64, node: u16, honest: bool },
    Recover { epoch: u64, honest: bool },
    Again { command: prop::sample::Index },
    Snapshot,
}

fn asks() -> impl Strategy<Value = Ask> {
    let node = || 1_u16..6;
    prop_oneof![
        (node(), 0..3_000_000_u64).prop_map(|(token, now)| Ask::Redeem { token, now }),
        (node(), node(), 1..15_u32).prop_map(|(token, node, weight)| Ask::Join { token, node, weight }),
        (node(), node(), 1..15_u32).prop_map(|(token, node, weight)| Ask::Join { token, node, weight }),
        node().prop_map(|node| Ask::Leave { node }),
        (node(), 1..5_u32, 0..6_u64).prop_map(|(node, weight, number)| Ask::Weight { node, weight, number }),
        (node(), node()).prop_map(|(node, voter)| Ask::Sign { node, voter }),
        node().prop_map(|node| Ask::Sign { node, voter: node }),
        (node(), 0..4_u64).prop_map(|(node, number)| Ask::SignDirectory { node, number }),
        (node(), 0..6_u64).prop_map(|(node, epoch)| Ask::Acknowledge { node, epoch }),
        (10..13_u16, 0..4_u8).prop_map(|(token, key)| Ask::Register { token, key }),
        (0..4_u8, 0..100_u64, 0..3_u8).prop_map(|(key, stamp, kind)| Ask::Standing { key, stamp, kind }),
        (node(), 0..4_u64, 0..3_u8).prop_map(|(node, counter, nonce)| Ask::Boot { node, counter, nonce }),
        (0..4_u64, node(), any::<bool>()).prop_map(|(number, node, honest)| Ask::Revoke {
            number,
            node,
            honest
        }),
        (0..3000_u64, any::<bool>()).prop_map(|(epoch, honest)| Ask::Recover { epoch, honest }),
        any::<prop::sample::Index>().prop_map(|command| Ask::Again { command }),
        Just(Ask::Snapshot),
    ]
}

fn standing(kind: u8, stamp: ReceiptStamp) -> Standing {
    match kind {
        0 => Standing::Active,
        1 => Standing::Retired(stamp),
        _ => Standing::CompromisedSince(stamp),
    }
}

impl World {
    fn reweigh(&self, node: u16, weight: u32, number: u64) -> Option<Command> {
        let heavier = |member: &mut Member| {
            if member.id == node_id(node) {
                member.weight = weight;
            }
        };
        let layout = self.try_plan(|wanted| wanted.members.iter_mut().for_each(heavier)).ok()?;
        let action = Action::SetWeight(node_id(node), weight);
        let order = Signed::new(Order { cluster: cluster(), number, action }, &administrator());
        let layout = SignedLayout { layout, signatures: vec![] };
        Some(Command::Administer { order, layout: Some(Box::new(layout)) })
    }

    fn command(&self, ask: Ask) -> Option<Command> {
        let unsigned = |layout| SignedLayout { layout, signatures: vec![] };
        let key = |n: u8| SigningKey::from_seed(&[n + 1; 32]).public();
        Some(match ask {
            Ask::Redeem { token, now } => {
                Command::Redeem { grant: node_grant(token), by: Digest::of(b"k"), now: UnixMillis(now) }
            }
            Ask::Join { token, node, weight } => {
                let layout = self.try_plan(|wanted| wanted.members.push(member(node, weight, "z"))).ok()?;
                let layout = Box::new(unsigned(layout));
                Command::Admit { grant: node_grant(token), node: node_id(node), layout }
            }
            Ask::Leave { node } => {
                let stays = |member: &Member| member.id != node_id(node);
                let layout = self.try_plan(|wanted| wanted.members.retain(stays)).ok()?;
                let order = self.order(Action::RemoveNode(node_id(node)));
                Command::Administer { order, layout: Some(Box::new(unsigned(layout))) }
            }
            Ask::Weight { node, weight, number } => return self.reweigh(node, weight, number),
            Ask::Sign { node, voter } => {
                let Command::Countersign { epoch, signature, .. } = self.countersignature(node)? else {
                    return None;
                };
                Command::Countersign { epoch, voter: node_id(voter), signature }
            }
            Ask::SignDirectory { node, number } => {
                let bytes = self.cluster().directory().to_bytes();
                let signature = voter_key(node).sign(Purpose::Directory, &bytes);
                Command::CountersignDirectory { number, voter: node_id(node), signature }
            }
            Ask::Acknowledge { node, epoch } => {
                Command::Acknowledge { epoch: Epoch(epoch), node: node_id(node) }
            }
            Ask::Register { token, key: n } => {
                Command::RegisterSigner { grant: writer_grant(token), key: key(n) }
            }
            Ask::Standing { key: n, stamp, kind } => {
                let standing = standing(kind, ReceiptStamp(stamp));
                let order = self.order(Action::SetStanding(key(n).signer_id(), standing));
                Command::Administer { order, layout: None }
            }
            Ask::Boot { node, counter, nonce } => {
                Command::Boot { node: node_id(node), counter, nonce: [nonce; 16] }
            }
            Ask::Revoke { number, node, honest } => {
                let revoked = vec![Revoked::Node(node_id(node))];
                let list = RevocationList { cluster: cluster(), number, issued: NOW, revoked };
                let by = if honest { administrator() } else { voter_key(1) };
                Command::Revoke { list: Signed::new(list, &by) }
            }
            Ask::Recover { epoch, honest } => {
                let mut layout = self.try_plan(|_| ()).ok()?;
                layout.epoch = Epoch(epoch);
                let by = if honest { root() } else { administrator() };
                Command::Recover(Box::new(SignedLayout::by_root(layout, &by)))
            }
            Ask::Again { command } => self.log[command.index(self.log.len())..].first()?.clone(),
            Ask::Snapshot => return None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_the_invariants_hold_and_a_snapshot_goes_on_like_the_log(
        asks in prop::collection::vec(asks(), 1..60),
    ) {
        let mut world = World::founded();
        let mut copy = world.state.clone();
        let mut redeemed = BTreeSet::new();
        for ask in asks {
            if matches!(ask, Ask::Snapshot) {
                copy = ControlState::from_bytes(&copy.to_bytes()).unwrap();
            }
            let Some(command) = world.command(ask) else { continue };
            let (epoch, newest) = (world.epoch(), world.cluster().recovery_epoch());
            let outcome = world.apply(command.clone());
            if let (Command::Redeem { grant, .. }, Outcome::Redeemed) = (&command, &outcome) {
                prop_assert!(redeemed.insert(grant.statement.token), "redeemed twice");
            }
            prop_assert!(world.epoch() >= epoch && world.cluster().recovery_epoch() >= newest);
            if let Outcome::LayoutInForce { epoch: put } = outcome {
                prop_assert!(put > epoch && world.epoch() == put);
            }
            prop_assert!(Command::from_bytes(&command.to_bytes()).unwrap() == command);
            prop_assert_eq!(copy.apply(command), outcome);
            prop_assert!(copy == world.state, "the snapshot went another way");
        }
    }

    #[test]
    fn arbitrary_bytes_are_neither_a_command_nor_a_snapshot_that_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut versioned = bytes.clone();
        versioned.insert(0, 1);
        for input in [&bytes, &versioned] {
            let _ = ControlState::from_bytes(input);
            if let Ok(command) = Command::from_bytes(input) {
                World::founded().apply(command);
            }
        }
    }

    #[test]
    fn a_snapshot_with_one_changed_byte_never_panics(place in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut bytes = World::of(2).state.to_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        if let Ok(mut state) = ControlState::from_bytes(&bytes) {
            state.apply(Command::Acknowledge { epoch: Epoch(2), node: node_id(1) });
        }
    }
}
