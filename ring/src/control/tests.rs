//! The control plane's state machine: what it carries out, and what it refuses.

use super::*;
use crate::fixture::{cluster, member, node_id, root, voter_key};
use crate::plan::{PlanError, Wanted, plan_first, plan_next};
use dccache_protocol::control::{Action, Grant, Order, Revoked, RootAction, RootOrder, Subject};
use dccache_protocol::directory::{SignerRecord, SignerRole, Standing};
use dccache_protocol::layout::Layout;
use dccache_protocol::signing::{Purpose, SigningKey};
use dccache_protocol::time::ReceiptStamp;

mod golden;
mod simulation;

const NOW: UnixMillis = UnixMillis(1_000_000);
const LATER: UnixMillis = UnixMillis(2_000_000);

fn administrator() -> SigningKey {
    SigningKey::from_seed(&[0xAD; 32])
}

/// A state with the log that led to it.
struct World {
    state: ControlState,
    log: Vec<Command>,
    /// Whether the whole state is checked after every command; what is kept for years makes that slow.
    thorough: bool,
}

impl World {
    /// Node 1 founds; it is the only voter.
    fn founded() -> Self {
        let mut world = Self { state: ControlState::default(), log: vec![], thorough: true };
        assert_eq!(world.apply(founding()), Outcome::Founded);
        world
    }

    /// Nodes 1 to `count`, all admitted and acknowledged; the first three vote.
    fn of(count: u16) -> Self {
        let mut world = Self::founded();
        for n in 2..=count {
            assert_eq!(world.redeem(n), Outcome::Redeemed);
            let layout = world.planned(|wanted| wanted.members.push(member(n, 1, "z")));
            world.apply(admit(n, layout));
            world.countersign_all();
        }
        world.acknowledge_all();
        world
    }

    fn apply(&mut self, command: Command) -> Outcome {
        self.log.push(command.clone());
        if !self.thorough {
            return self.state.apply(command);
        }
        let before = self.state.clone();
        let outcome = self.state.apply(command);
        self.state.validate().unwrap();
        if matches!(outcome, Outcome::Refused(_) | Outcome::Unchanged) {
            assert!(self.state == before, "a refusal changes nothing: {outcome:?}");
        }
        outcome
    }

    fn cluster(&self) -> &Cluster {
        self.state.cluster().unwrap()
    }

    fn epoch(&self) -> Epoch {
        self.cluster().in_force().layout.epoch
    }

    fn redeem(&mut self, token: u16) -> Outcome {
        self.apply(Command::Redeem { grant: node_grant(token), by: Digest::of(b"key"), now: NOW })
    }

    /// Plans the child of the layout in force, without signatures.
    fn try_plan(&self, change: impl FnOnce(&mut Wanted)) -> Result<Layout, PlanError> {
        let parent = &self.cluster().in_force().layout;
        let mut wanted = Wanted::of(parent);
        change(&mut wanted);
        let mut names: Vec<NodeId> = wanted.members.iter().map(|member| member.id).collect();
        names.sort_unstable();
        wanted.voters = names.into_iter().take(3).collect();
        plan_next(parent, wanted)
    }

    fn planned(&self, change: impl FnOnce(&mut Wanted)) -> SignedLayout {
        SignedLayout { layout: self.try_plan(change).unwrap(), signatures: vec![] }
    }

    fn countersignature(&self, n: u16) -> Option<Command> {
        let waiting = &self.cluster().waiting()?.layout;
        let signature = voter_key(n).sign(Purpose::Layout, &waiting.to_bytes());
        Some(Command::Countersign { epoch: waiting.epoch, voter: node_id(n), signature })
    }

    fn countersign_all(&mut self) {
        for n in self.voters() {
            if let Some(command) = self.countersignature(n) {
                self.apply(command);
            }
        }
        assert!(self.cluster().waiting().is_none());
    }

    /// Numbers of the nodes that vote.
    fn voters(&self) -> Vec<u16> {
        let voters = &self.cluster().in_force().layout.voters;
        (1..200).filter(|&n| voters.contains(&node_id(n))).collect()
    }

    fn acknowledge_all(&mut self) {
        let epoch = self.epoch();
        let members: Vec<NodeId> = self.cluster().in_force().layout.members.iter().map(|m| m.id).collect();
        for node in members {
            self.apply(Command::Acknowledge { epoch, node });
        }
    }

    fn order(&self, action: Action) -> Signed<Order> {
        let number = self.cluster().next_order();
        Signed::new(Order { cluster: cluster(), number, action }, &administrator())
    }

    fn administer(&mut self, action: Action, layout: Option<SignedLayout>) -> Outcome {
        let order = self.order(action);
        self.apply(Command::Administer { order, layout: layout.map(Box::new) })
    }

    fn refuses(&mut self, command: Command, refusal: Refusal) {
        assert_eq!(self.apply(command), Outcome::Refused(refusal));
    }
}

fn founding() -> Command {
    let only = member(1, 1, "z");
    let wanted = Wanted { voters: vec![only.id], members: vec![only], replicas: 2 };
    Command::Found(Box::new(Founding {
        cluster: cluster(),
        roots: vec![Root { key: root().public(), certificate: vec![1] }],
        issuers: vec![],
        administrator: administrator().public(),
        layout: SignedLayout::by_root(plan_first(cluster(), wanted).unwrap(), &root()),
    }))
}

fn grant(token: u16, subject: Subject) -> Signed<Grant> {
    let [low, high] = token.to_le_bytes();
    let token = TokenId(std::array::from_fn(|i| if i == 0 { low } else { high }));
    Signed::new(Grant { cluster: cluster(), token, expires: LATER, subject }, &administrator())
}

/// The grant for node `n`: weight up to 10, zone z, 10.0.0.0/8.
fn node_grant(n: u16) -> Signed<Grant> {
    let range = AddressRange { network: [10, 0, 0, 0].into(), prefix: 8 };
    grant(n, Subject::Node { zone: "z".parse().unwrap(), largest_weight: 10, ranges: vec![range] })
}

fn writer_grant(token: u16) -> Signed<Grant> {
    let operator = "alice".parse().unwrap();
    grant(token, Subject::Client { operator, roles: vec![SignerRole::Writer], namespaces: vec![] })
}

fn admit(n: u16, layout: SignedLayout) -> Command {
    Command::Admit { grant: node_grant(n), node: node_id(n), layout: Box::new(layout) }
}

fn signer(n: u8) -> SignerRecord {
    SignerRecord {
        key: SigningKey::from_seed(&[n; 32]).public(),
        operator: "bob".parse().unwrap(),
        roles: vec![SignerRole::Ci],
        namespaces: vec![],
        standing: Standing::Active,
    }
}

#[test]
fn nothing_happens_before_the_founding_and_it_happens_once() {
    let mut state = ControlState::default();
    let early = state.apply(Command::Acknowledge { epoch: Epoch(1), node: node_id(1) });
    assert_eq!(early, Outcome::Refused(Refusal::NotFounded));
    assert_eq!(state, ControlState::default());
    let mut world = World::founded();
    world.refuses(founding(), Refusal::AlreadyFounded);
}

#[test]
fn a_founding_that_the_root_did_not_sign_is_refused() {
    let change = |change: fn(&mut Founding)| {
        let Command::Found(mut founding) = founding() else { unreachable!() };
        change(&mut founding);
        ControlState::default().apply(Command::Found(founding))
    };
    let refused = Outcome::Refused;
    assert_eq!(change(|f| f.layout.signatures.clear()), refused(Refusal::BadSignature));
    assert_eq!(change(|f| f.layout.layout.epoch = Epoch(2)), refused(Refusal::BadSignature));
    assert_eq!(change(|f| f.roots[0].key = voter_key(9).public()), refused(Refusal::ForeignCluster));
    assert_eq!(change(|f| f.roots.clear()), refused(Refusal::Malformed));
    let late = change(|f| {
        f.layout.layout.epoch = Epoch(2);
        f.layout = SignedLayout::by_root(f.layout.layout.clone(), &root());
    });
    assert_eq!(late, refused(Refusal::WrongEpoch { next: Epoch(1) }));
}

#[test]
fn a_node_enters_with_a_redeemed_grant_and_the_voters_signatures() {
    let mut world = World::founded();
    let layout = world.planned(|wanted| wanted.members.push(member(2, 3, "z")));
    world.refuses(admit(2, layout.clone()), Refusal::TokenNotOpen);
    assert_eq!(world.redeem(2), Outcome::Redeemed);
    let waiting = Outcome::LayoutWaiting { epoch: Epoch(2), missing: 1 };
    assert_eq!(world.apply(admit(2, layout)), waiting);
    assert_eq!(world.epoch(), Epoch(1));
    let command = world.countersignature(1).unwrap();
    assert_eq!(world.apply(command.clone()), Outcome::LayoutInForce { epoch: Epoch(2) });
    assert_eq!(world.epoch(), Epoch(2));
    assert_eq!(world.apply(command), Outcome::Unchanged);
    assert_eq!(world.cluster().unfinished().len(), 2);
}

#[test]
fn a_leader_that_votes_alone_brings_its_signature_along() {
    let mut world = World::founded();
    world.redeem(2);
    let layout = world.planned(|wanted| wanted.members.push(member(2, 1, "z")));
    let signed = layout.countersigned(node_id(1), &voter_key(1));
    assert_eq!(world.apply(admit(2, signed)), Outcome::LayoutInForce { epoch: Epoch(2) });
}

#[test]
fn a_grant_bounds_weight_zone_and_address() {
    let mut world = World::founded();
    world.redeem(2);
    let too_heavy = world.planned(|wanted| wanted.members.push(member(2, 11, "z")));
    let other_zone = world.planned(|wanted| wanted.members.push(member(2, 1, "y")));
    let elsewhere = world.planned(|wanted| {
        wanted.members.push(member(2, 1, "z"));
        wanted.members[1].addresses = vec![([192, 0, 2, 1], 7000).into()];
    });
    for layout in [too_heavy, other_zone, elsewhere] {
        world.refuses(admit(2, layout), Refusal::OutsideGrant { node: node_id(2) });
    }
    let unsigned_grant = Signed { signature: node_grant(3).signature, ..node_grant(2) };
    let layout = world.planned(|wanted| wanted.members.push(member(2, 1, "z")));
    let forged = Command::Admit { grant: unsigned_grant, node: node_id(2), layout: Box::new(layout.clone()) };
    world.refuses(forged, Refusal::BadSignature);
    world.apply(admit(2, layout));
    assert!(world.cluster().node(node_id(2)).is_some());
}

#[test]
fn one_grant_admits_one_node_and_no_key_votes_twice() {
    let mut world = World::of(2);
    let again = world.planned(|wanted| wanted.members.push(member(3, 1, "z")));
    let command = Command::Admit { grant: node_grant(2), node: node_id(3), layout: Box::new(again) };
    world.refuses(command, Refusal::TokenNotOpen);
    world.redeem(3);
    let twin = world.planned(|wanted| {
        wanted.members.push(member(3, 1, "z"));
        wanted.members[2].voter_key = voter_key(1).public();
    });
    world.refuses(admit(3, twin), Refusal::KnownNode);
}

#[test]
fn a_layout_must_follow_the_one_in_force_with_exactly_the_admitted_nodes() {
    let mut world = World::of(3);
    let install = |layout| Command::Install(Box::new(layout));
    let good = world.planned(|_| ());
    let change = |change: &dyn Fn(&mut Layout)| {
        let mut changed = good.clone();
        change(&mut changed.layout);
        install(changed)
    };
    let next = Epoch(world.epoch().0 + 1);
    for wrong in [0, next.0 - 1, next.0 + 1, u64::MAX] {
        world.refuses(change(&|layout| layout.epoch = Epoch(wrong)), Refusal::WrongEpoch { next });
    }
    world.refuses(change(&|layout| layout.parent = Digest::of(b"x")), Refusal::WrongParent);
    world.refuses(
        change(&|layout| layout.cluster = voter_key(7).public().cluster_id()),
        Refusal::ForeignCluster,
    );
    world.refuses(change(&|layout| layout.table.owners.truncate(5)), Refusal::Malformed);
    let stranger = world.planned(|wanted| wanted.members.push(member(9, 1, "z")));
    world.refuses(install(stranger), Refusal::WrongMembers);
    let without = world.planned(|wanted| drop(wanted.members.pop()));
    world.refuses(install(without), Refusal::WrongMembers);
    let fewer = world.planned(|wanted| wanted.replicas = 1);
    world.refuses(install(fewer), Refusal::WrongReplicas);
    let by_stranger = good.clone().countersigned(node_id(9), &voter_key(9));
    world.refuses(install(by_stranger), Refusal::BadSignature);
    assert_eq!(world.apply(install(good.clone())), Outcome::LayoutWaiting { epoch: next, missing: 2 });
    world.refuses(install(good), Refusal::LayoutWaiting);
}

#[test]
fn a_countersignature_counts_for_its_voter_epoch_and_content_only() {
    let mut world = World::of(4);
    let layout = world.planned(|_| ());
    let epoch = layout.layout.epoch;
    world.apply(Command::Install(Box::new(layout.clone())));
    let outsider = (1..=4).find(|n| !world.voters().contains(n)).unwrap();
    let command = world.countersignature(outsider).unwrap();
    world.refuses(command, Refusal::BadSignature);
    let voter = world.voters()[0];
    let signature = voter_key(voter).sign(Purpose::Directory, &layout.layout.to_bytes());
    world.refuses(Command::Countersign { epoch, voter: node_id(voter), signature }, Refusal::BadSignature);
    let command = world.countersignature(voter).unwrap();
    for _ in 0..3 {
        assert_eq!(
            world.apply(command.clone()),
            Outcome::LayoutWaiting { epoch, missing: 1 },
            "counted once"
        );
    }
    let command = world.countersignature(world.voters()[1]).unwrap();
    assert_eq!(world.apply(command), Outcome::LayoutInForce { epoch });
}

#[test]
fn older_layouts_stay_until_every_member_acknowledged_the_hand_off() {
    let mut world = World::of(3);
    for n in 4..=5 {
        world.redeem(n);
        let layout = world.planned(|wanted| wanted.members.push(member(n, 1, "z")));
        world.apply(admit(n, layout));
        world.countersign_all();
    }
    let oldest = |world: &World| world.cluster().unfinished()[0].layout.epoch;
    assert_eq!((oldest(&world), world.epoch()), (Epoch(3), Epoch(5)));
    for n in 1..=4 {
        world.apply(Command::Acknowledge { epoch: Epoch(4), node: node_id(n) });
    }
    assert_eq!(oldest(&world), Epoch(4), "the layout before is finished");
    world.refuses(
        Command::Acknowledge { epoch: Epoch(6), node: node_id(1) },
        Refusal::WrongEpoch { next: Epoch(5) },
    );
    world.refuses(Command::Acknowledge { epoch: Epoch(5), node: node_id(9) }, Refusal::UnknownNode);
    world.acknowledge_all();
    assert_eq!(oldest(&world), Epoch(5));
    let again = Command::Acknowledge { epoch: Epoch(5), node: node_id(1) };
    assert_eq!(world.apply(again), Outcome::Unchanged);
}

#[test]
fn a_dead_node_can_always_be_removed() {
    let mut world = World::of(3);
    loop {
        let layout = world.planned(|_| ());
        match world.apply(Command::Install(Box::new(layout))) {
            Outcome::Refused(refusal) => break assert_eq!(refusal, Refusal::HandoffsUnfinished),
            _ => world.countersign_all(),
        }
    }
    let dead = node_id(3);
    let layout = world.planned(|wanted| wanted.members.retain(|member| member.id != dead));
    let outcome = world.administer(Action::RemoveNode(dead), Some(layout));
    assert!(matches!(outcome, Outcome::LayoutWaiting { .. }));
    world.countersign_all();
    world.acknowledge_all();
    assert_eq!(world.cluster().unfinished().len(), 1);
    assert!(world.cluster().node(dead).is_none());
}

#[test]
fn weights_zones_and_replicas_change_by_the_administrators_order() {
    let mut world = World::of(3);
    let place = world.cluster().in_force().layout.members.iter().position(|m| m.id == node_id(2)).unwrap();
    let layout = world.planned(|wanted| wanted.members[place].weight = 40);
    world.refuses(Command::Install(Box::new(layout.clone())), Refusal::OutsideGrant { node: node_id(2) });
    let outcome = world.administer(Action::SetWeight(node_id(2), 40), Some(layout));
    assert!(matches!(outcome, Outcome::LayoutWaiting { .. }));
    world.countersign_all();
    let layout = world.planned(|wanted| wanted.members[place].zone = "y".parse().unwrap());
    world.administer(Action::SetZone(node_id(2), "y".parse().unwrap()), Some(layout));
    world.countersign_all();
    let layout = world.planned(|wanted| wanted.replicas = 3);
    world.administer(Action::SetReplicas(3), Some(layout));
    world.countersign_all();
    let layout = &world.cluster().in_force().layout;
    let changed = layout.member(node_id(2)).unwrap();
    assert_eq!((changed.weight, changed.zone.as_str(), layout.replicas), (40, "y", 3));
}

#[test]
fn an_order_is_carried_out_once_by_its_cluster_and_with_its_layout() {
    let mut world = World::of(2);
    let add = |name: &str| Action::AddNamespace(Namespace(name.parse().unwrap()));
    let order = world.order(add("a"));
    let command = |order: &Signed<Order>| Command::Administer { order: order.clone(), layout: None };
    assert_eq!(world.apply(command(&order)), Outcome::Done);
    let next = world.cluster().next_order();
    world.refuses(command(&order), Refusal::OrderUsed { next });
    let forged = Signed::new(Order { number: 9, ..order.statement }, &root());
    world.refuses(command(&forged), Refusal::BadSignature);
    let foreign = Order { cluster: voter_key(9).public().cluster_id(), number: 9, action: add("b") };
    world.refuses(command(&Signed::new(foreign, &administrator())), Refusal::ForeignCluster);
    let removal = world.order(Action::RemoveNode(node_id(2)));
    world.refuses(command(&removal), Refusal::LayoutMismatch);
    let unknown = world.planned(|_| ());
    let outcome = world.administer(Action::RemoveNode(node_id(9)), Some(unknown));
    assert_eq!(outcome, Outcome::Refused(Refusal::UnknownNode));
    let mut alone = World::founded();
    let layout = alone.planned(|_| ());
    let outcome = alone.administer(Action::RemoveNode(node_id(1)), Some(layout));
    assert_eq!(outcome, Outcome::Refused(Refusal::LastNode));
}

#[test]
fn a_token_is_redeemed_once_and_before_it_expires() {
    let mut world = World::founded();
    let redeem = |by: &[u8], now| Command::Redeem { grant: node_grant(7), by: Digest::of(by), now };
    world.refuses(redeem(b"late", LATER), Refusal::TokenExpired);
    assert_eq!(world.apply(redeem(b"first", NOW)), Outcome::Redeemed);
    let used = Refusal::TokenUsed { by: Digest::of(b"first") };
    world.refuses(redeem(b"second", NOW), used);
    world.refuses(redeem(b"first", NOW), used);
    let token = node_grant(7).statement.token;
    assert_eq!(world.cluster().redeemed_by(token), Some(Digest::of(b"first")));
    let forged = Signed {
        statement: Grant { expires: UnixMillis(u64::MAX), ..node_grant(8).statement },
        ..node_grant(8)
    };
    world.refuses(Command::Redeem { grant: forged, by: Digest::of(b"x"), now: NOW }, Refusal::BadSignature);
}

#[test]
fn forgotten_tokens_stay_unusable_when_the_clock_goes_back() {
    let mut world = World::founded();
    world.redeem(7);
    let cluster = world.state.cluster.as_deref_mut().unwrap();
    cluster.forget_tokens(LATER);
    assert_eq!(cluster.tokens.len(), 0);
    assert_eq!(world.redeem(7), Outcome::Refused(Refusal::TokenExpired));
}

#[test]
fn a_full_register_of_tokens_refuses_until_some_expire() {
    let mut world = World::founded();
    let by = Digest::of(b"key");
    let cluster = world.state.cluster.as_deref_mut().unwrap();
    for n in 0..dccache_protocol::limits::TOKENS_MAX as u64 {
        let token = TokenId(std::array::from_fn(|i| n.to_le_bytes().get(i).copied().unwrap_or(0xFF)));
        cluster.tokens.insert(token, Redemption { by, expires: UnixMillis(1_500_000), spent: true });
    }
    assert_eq!(world.redeem(7), Outcome::Refused(Refusal::TooManyTokens));
    let later = Command::Redeem { grant: node_grant(7), by, now: UnixMillis(1_600_000) };
    assert_eq!(world.apply(later), Outcome::Redeemed);
    assert_eq!(world.cluster().tokens.len(), 1);
}

#[test]
fn a_signer_is_registered_under_its_grant_and_its_standing_only_falls() {
    let mut world = World::founded();
    let key = SigningKey::from_seed(&[5; 32]).public();
    let register = Command::RegisterSigner { grant: writer_grant(5), key };
    world.refuses(register.clone(), Refusal::TokenNotOpen);
    world.apply(Command::Redeem { grant: writer_grant(5), by: Digest::of(b"k"), now: NOW });
    assert_eq!(world.apply(register.clone()), Outcome::Registered(key.signer_id()));
    world.refuses(register, Refusal::TokenNotOpen);
    let standing =
        |world: &mut World, standing| world.administer(Action::SetStanding(key.signer_id(), standing), None);
    let no_way_back = Outcome::Refused(Refusal::NoWayBack);
    assert_eq!(standing(&mut world, Standing::Active), no_way_back);
    assert_eq!(standing(&mut world, Standing::Retired(ReceiptStamp(90))), Outcome::Done);
    assert_eq!(standing(&mut world, Standing::Retired(ReceiptStamp(91))), no_way_back);
    assert_eq!(standing(&mut world, Standing::CompromisedSince(ReceiptStamp(50))), Outcome::Done);
    assert_eq!(standing(&mut world, Standing::CompromisedSince(ReceiptStamp(60))), no_way_back);
    assert_eq!(standing(&mut world, Standing::Retired(ReceiptStamp(10))), no_way_back);
    assert_eq!(world.cluster().directory().number, 4);
    let by_order = world.administer(Action::RegisterSigner(signer(6)), None);
    assert_eq!(by_order, Outcome::Registered(signer(6).key.signer_id()));
    let again = world.administer(Action::RegisterSigner(signer(6)), None);
    assert_eq!(again, Outcome::Refused(Refusal::KnownSigner));
}

#[test]
fn a_directory_counts_when_a_majority_in_force_signed_its_newest_number() {
    let mut world = World::of(3);
    world.administer(Action::RegisterSigner(signer(6)), None);
    let sign = |world: &World, n: u16| Command::CountersignDirectory {
        number: world.cluster().directory().number,
        voter: node_id(n),
        signature: voter_key(n).sign(Purpose::Directory, &world.cluster().directory().to_bytes()),
    };
    let first = sign(&world, 1);
    assert_eq!(world.apply(first.clone()), Outcome::DirectorySigned { number: 2, missing: 1 });
    world.administer(Action::RegisterSigner(signer(7)), None);
    assert_eq!(world.apply(first), Outcome::Unchanged, "a signature of an older directory");
    let stranger = sign(&world, 9);
    world.refuses(stranger, Refusal::BadSignature);
    for n in [1, 2] {
        let command = sign(&world, n);
        world.apply(command);
    }
    let published = world.cluster().signed_directory().unwrap();
    assert_eq!((published.directory.number, published.signatures.len()), (3, 2));
}

#[test]
fn revocation_lists_grow_and_are_signed_by_an_authority() {
    let mut world = World::of(2);
    let list = |number, nodes: &[u16], key: &SigningKey| {
        let mut revoked: Vec<Revoked> = nodes.iter().map(|&n| Revoked::Node(node_id(n))).collect();
        revoked.sort_unstable();
        let list = RevocationList { cluster: cluster(), number, issued: NOW, revoked };
        Command::Revoke { list: Signed::new(list, key) }
    };
    world.refuses(list(1, &[2], &voter_key(2)), Refusal::BadSignature);
    assert_eq!(world.apply(list(5, &[2], &administrator())), Outcome::Revoked { number: 5 });
    assert!(world.cluster().is_revoked(node_id(2)) && !world.cluster().is_revoked(node_id(1)));
    world.refuses(list(5, &[1, 2], &administrator()), Refusal::NoWayBack);
    world.refuses(list(4, &[2], &administrator()), Refusal::NoWayBack);
    world.refuses(list(6, &[1], &administrator()), Refusal::NoWayBack);
    assert_eq!(world.apply(list(6, &[1, 2], &administrator())), Outcome::Revoked { number: 6 });
}

#[test]
fn the_root_adds_and_ends_authorities_and_orders_are_not_replayed() {
    let mut world = World::founded();
    let second = SigningKey::from_seed(&[0xE2; 32]);
    let issuer = Issuer { key: voter_key(50).public(), node: node_id(1), certificate: vec![2] };
    let order = |number, action, key: &SigningKey| Command::ByRoot {
        order: Signed::new(RootOrder { cluster: cluster(), number, action }, key),
    };
    let add = RootAction::AddRoot(Root { key: second.public(), certificate: vec![3] });
    world.refuses(order(1, add.clone(), &second), Refusal::BadSignature);
    assert_eq!(world.apply(order(1, add.clone(), &root())), Outcome::Done);
    world.refuses(order(2, add.clone(), &root()), Refusal::Authority);
    let add_issuer = order(2, RootAction::AddIssuer(issuer.clone()), &second);
    assert_eq!(world.apply(add_issuer.clone()), Outcome::Done);
    assert_eq!(world.apply(order(3, RootAction::RetireIssuer(issuer.key), &root())), Outcome::Done);
    world.refuses(add_issuer, Refusal::OrderUsed { next: 4 });
    assert_eq!(world.apply(order(4, RootAction::RetireRoot(root().public()), &second)), Outcome::Done);
    world.refuses(order(5, add, &root()), Refusal::BadSignature);
    world.refuses(order(5, RootAction::RetireRoot(second.public()), &second), Refusal::Authority);
    let other = voter_key(77);
    assert_eq!(world.apply(order(5, RootAction::SetAdministrator(other.public()), &second)), Outcome::Done);
    assert_eq!(
        world.redeem(7),
        Outcome::Refused(Refusal::BadSignature),
        "the old administrator's grants are void"
    );
}

#[test]
fn a_stale_copy_of_a_data_directory_is_refused() {
    let mut world = World::founded();
    let boot = |counter, nonce| Command::Boot { node: node_id(1), counter, nonce: [nonce; 16] };
    assert_eq!(world.apply(boot(0, 1)), Outcome::Booted { counter: 1 });
    assert_eq!(world.apply(boot(0, 1)), Outcome::Booted { counter: 1 }, "the answer was lost");
    world.refuses(boot(0, 2), Refusal::StaleCopy { counter: 1 });
    assert_eq!(world.apply(boot(1, 3)), Outcome::Booted { counter: 2 });
    world.refuses(boot(0, 1), Refusal::StaleCopy { counter: 2 });
    world.refuses(boot(7, 3), Refusal::StaleCopy { counter: 2 });
    world.refuses(boot(u64::MAX, 3), Refusal::StaleCopy { counter: 2 });
    let stranger = Command::Boot { node: node_id(9), counter: 0, nonce: [0; 16] };
    world.refuses(stranger, Refusal::UnknownNode);
}

#[test]
fn the_root_recovers_a_cluster_that_lost_its_majority() {
    let mut world = World::of(3);
    let mut layout = world.planned(|wanted| wanted.members.retain(|member| member.id == node_id(2))).layout;
    let command = |layout: &Layout, key: &SigningKey| {
        Command::Recover(Box::new(SignedLayout::by_root(layout.clone(), key)))
    };
    let next = world.cluster().recovery_epoch();
    world.refuses(command(&layout, &root()), Refusal::WrongEpoch { next });
    layout.epoch = next;
    world.refuses(command(&layout, &administrator()), Refusal::BadSignature);
    assert_eq!(world.apply(command(&layout, &root())), Outcome::LayoutInForce { epoch: next });
    assert!(world.cluster().node(node_id(1)).is_none());
    assert_eq!(world.voters(), vec![2]);
}

#[test]
fn who_fell_behind_can_follow_every_change_of_voters() {
    use crate::accept::Trusted;
    let mut world = World::founded();
    let first = Trusted::by_root(world.cluster().in_force().clone(), cluster(), &[root().public()]).unwrap();
    for n in 2..=7 {
        world.redeem(n);
        let layout = world.planned(|wanted| wanted.members.push(member(n, 1, "z")));
        world.apply(admit(n, layout));
        world.countersign_all();
    }
    let chain = world.cluster().layouts_after(Epoch(1)).into_iter().cloned();
    let last = first.accept_chain(chain, &[]).unwrap();
    assert_eq!(last.layout(), &world.cluster().in_force().layout);
}
