//! How long it takes to find the owners of a key in the table.

use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{NodeId, Partition};
use dccache_protocol::layout::{Layout, Member};
use dccache_protocol::signing::SigningKey;
use dccache_ring::plan::{Wanted, plan_first, plan_next};
use divan::{Bencher, black_box};

const NODES: [u8; 3] = [3, 16, 64];

fn wanted(count: u8) -> Wanted {
    let key = SigningKey::from_seed(&[1; 32]).public();
    let member = |n: u8| Member {
        id: NodeId([n; 16]),
        addresses: vec![([127, 0, 0, n], 7000).into()],
        weight: 1,
        zone: "z".parse().expect("a valid name"),
        voter_key: key,
    };
    Wanted { members: (1..=count).map(member).collect(), voters: vec![NodeId([1; 16])], replicas: 2 }
}

fn layout(count: u8) -> Layout {
    let cluster = SigningKey::from_seed(&[1; 32]).public().cluster_id();
    plan_first(cluster, wanted(count)).expect("a valid layout")
}

#[divan::bench(args = NODES)]
fn owners_of_a_key(bencher: Bencher, count: u8) {
    let layout = layout(count);
    let keys: Vec<Digest> = (0..1024_u32).map(|n| Digest::of(&n.to_le_bytes())).collect();
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 1) % keys.len();
        let partition = Partition::of(black_box(&keys[next]));
        layout.owners(partition).map(|owner| owner.id).fold(0_u8, |sum, id| sum ^ id.0[0])
    });
}

#[divan::bench(args = NODES, sample_count = 10)]
fn first_plan(bencher: Bencher, count: u8) {
    bencher.bench_local(|| layout(black_box(count)));
}

#[divan::bench(args = NODES, sample_count = 10)]
fn plan_of_a_join(bencher: Bencher, count: u8) {
    let parent = layout(count);
    bencher.bench_local(|| plan_next(&parent, wanted(black_box(count) + 1)));
}

fn main() {
    divan::main();
}
