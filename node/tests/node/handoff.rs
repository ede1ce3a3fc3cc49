//! A node joins: partitions move, nothing is lost, everything is readable throughout.

use crate::support::*;
use dccache_node::Node;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_node_takes_its_share_and_everything_stays_readable_throughout() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = cluster(dir.path(), 3).await;
    let mut client = writer(&nodes, 1).await;
    client.warm().await;
    for number in 0..100 {
        assert_eq!(client.put(number).await.copies, 2);
    }
    let token = nodes[0].token(&for_node()).unwrap().unwrap();
    let settings = settings(dir.path(), 4);
    let joining = tokio::spawn(async move { Node::join(settings, &token).await.unwrap() });
    // While the fourth joins and pulls, look-ups and writes go on.
    let mut written = 100;
    while !joining.is_finished() || written < 120 {
        for number in (0..written).step_by(7) {
            assert!(client.find(number).await.is_some(), "bundle {number} while a node joins");
        }
        assert_eq!(client.put(written).await.copies, 2);
        written += 1;
    }
    nodes.push(joining.await.unwrap());
    for number in 0..written {
        assert!(client.find(number).await.is_some(), "bundle {number} while a node pulls");
    }
    for node in &nodes {
        timeout(DEADLINE, node.settled(4)).await.unwrap();
    }
    assert!(nodes[3].status().await.records > 0);
    // Under the newest layout both owners of everything have it themselves.
    let answer = client.find_at(nodes[0].id(), key(0)).await.unwrap();
    client.follow(&answer);
    assert_eq!(client.layout().members.len(), 4);
    for number in 0..written {
        for owner in client.owners(key(number)) {
            let found = client.find_at(owner, key(number)).await.unwrap().result.unwrap();
            assert_eq!(inline(&found.unwrap()), client.bundle(number, &content(number)));
        }
    }
}
