//! The data plane: what is put is found, on every replica, with and without the control plane.

use crate::support::*;
use dccache_node::Node;
use dccache_protocol::ids::Epoch;
use dccache_protocol::ids::Namespace;
use dccache_protocol::service::{BulkAnswer, BulkRequest, Content};
use dccache_transport::bulk::transfer;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_founder_serves_what_a_client_puts() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 1).await;
    let mut client = writer(&nodes, 1).await;
    let stored = client.put(1).await;
    assert_eq!((stored.copies, stored.wanted), (1, 1));
    assert_eq!(client.find(1).await, Some(client.bundle(1, &content(1))));
    assert_eq!(client.find(2).await, None);
    let status = nodes[0].status().await;
    assert_eq!((status.finds, status.hits, status.puts, status.records), (2, 1, 1, 1));
    for node in nodes {
        node.drain().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_put_is_on_both_owners_and_goes_on_without_the_control_plane() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 3).await;
    let mut client = writer(&nodes, 1).await;
    client.warm().await;
    for number in 0..20 {
        let stored = client.put(number).await;
        assert_eq!((stored.copies, stored.wanted), (2, 2));
    }
    for node in &nodes {
        node.stop_control().await;
    }
    for number in 20..40 {
        assert_eq!(client.put(number).await.copies, 2);
    }
    for number in 0..40 {
        for owner in client.owners(key(number)) {
            let found = client.find_at(owner, key(number)).await.unwrap().result.unwrap().unwrap();
            assert_eq!(inline(&found), client.bundle(number, &content(number)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_client_gets_the_newer_layout_with_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(dir.path(), 1).await;
    let mut client = writer(&nodes, 1).await;
    assert_eq!(client.layout().epoch, Epoch(1));
    join(dir.path(), &mut nodes, 2).await;
    let answer = client.find_at(nodes[0].id(), key(1)).await.unwrap();
    client.follow(&answer);
    assert_eq!(client.layout().epoch, Epoch(2));
    assert_eq!(client.layout().members.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_bundle_travels_over_bulk_streams_and_is_on_both_owners() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = cluster(dir.path(), 2).await;
    let client = writer(&nodes, 1).await;
    // Bytes that do not compress, so that the bundle stays large.
    let content: Vec<u8> = (0..40_000u32)
        .flat_map(|i| *dccache_protocol::digest::Digest::of(&i.to_le_bytes()).as_bytes())
        .collect();
    let bundle = client.bundle(7, &content);
    let owner = client.owners(key(7))[0];
    let deadline = Instant::now() + DEADLINE;
    let mut stream = client.pool.bulk(owner, &client.addresses(owner), deadline).await.unwrap();
    let epoch = client.layout().epoch;
    let put = BulkRequest::Put { epoch, length: bundle.len() as u64 };
    let (answer, _) = transfer(&mut stream, &put, &bundle).await.unwrap();
    let BulkAnswer::Stored(stored) = answer else { panic!("{answer:?}") };
    assert_eq!(stored.copies, 2);
    for owner in client.owners(key(7)) {
        let found = client.find_at(owner, key(7)).await.unwrap().result.unwrap().unwrap();
        let Content::Bulk { id, length } = found.bundle.content else { panic!("the bundle is large") };
        assert_eq!(length, bundle.len() as u64);
        let mut stream = client.pool.bulk(owner, &client.addresses(owner), deadline).await.unwrap();
        let get = BulkRequest::Get { epoch, namespace: Namespace::default(), id };
        let (_, payload) = transfer(&mut stream, &get, &[]).await.unwrap();
        assert_eq!(payload, bundle);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_means_as_many_copies_as_replicas_and_nodes_allow() {
    for (replicas, size, copies) in [(1, 2, 1), (2, 1, 1), (2, 2, 2), (3, 2, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let mut first = settings(dir.path(), 1);
        first.replicas = Some(replicas);
        let mut nodes = vec![Node::serve(first).await.unwrap()];
        for number in 2..=size {
            join(dir.path(), &mut nodes, number).await;
        }
        let mut client = writer(&nodes, 1).await;
        client.warm().await;
        let before = records(&nodes).await;
        for number in 0..10 {
            let stored = client.put(number).await;
            assert!(
                stored.is_acknowledged() && (stored.copies, stored.wanted) == (copies, copies),
                "{stored:?}"
            );
        }
        let held = records(&nodes).await - before;
        assert_eq!(held, 10 * u64::from(copies), "R = {replicas} on {size} nodes");
    }
}

async fn records(nodes: &[Node]) -> u64 {
    let mut sum = 0;
    for node in nodes {
        sum += node.status().await.records;
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_copy_of_two_is_accepted_and_found_but_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(dir.path(), 2).await;
    let mut client = writer(&nodes, 1).await;
    nodes.pop().unwrap().drain().await.unwrap();
    let stored = client.put(1).await;
    assert_eq!((stored.copies, stored.wanted, stored.is_acknowledged()), (1, 2, false));
    assert_eq!(client.find(1).await, Some(client.bundle(1, &content(1))));
}
