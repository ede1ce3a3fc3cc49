//! Node processes that die: nothing acknowledged is lost, writes go on, and who comes back gets what it missed.

use crate::process::Process;
use crate::support::*;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_loses_nothing_acknowledged_and_gets_what_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let mut processes = vec![Process::found(dir.path(), 1)];
    for number in 2..=3 {
        let token = processes[0].token("--node");
        processes.push(Process::join(dir.path(), number, &token));
    }
    for process in &processes {
        process.wait_for("members", |members| members == 3);
        process.wait_for("pending_partitions", |pending| pending == 0);
    }
    let token = processes[0].token("--client").parse().unwrap();
    let mut client = Client::join(&token, 1).await.unwrap();
    client.warm().await;
    for number in 0..60 {
        assert_eq!(client.put(number).await.copies, 2);
    }

    processes[2].kill();
    for number in 0..60 {
        assert!(client.find(number).await.is_some(), "bundle {number} with a dead node");
    }
    for number in 60..120 {
        assert_eq!(client.put(number).await.copies, 2, "a stand-in holds a hint");
    }
    let hints: u64 = processes[..2].iter().map(|process| process.status("hints")).sum();
    assert!(hints > 0);

    processes[2].restart();
    for process in &processes {
        process.wait_for("hints", |hints| hints == 0);
    }
    // Once it has what it missed, any other may die.
    processes[1].kill();
    for number in 0..120 {
        assert!(client.find(number).await.is_some(), "bundle {number} after the node came back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joining_node_that_is_killed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut founder = Process::found(dir.path(), 1);
    let token = founder.token("--client").parse().unwrap();
    let mut client = Client::join(&token, 1).await.unwrap();
    for number in 0..50 {
        client.put(number).await;
    }
    let mut second = Process::join(dir.path(), 2, &founder.token("--node"));
    second.kill();
    founder.restart();
    second.restart();
    for process in [&founder, &second] {
        process.wait_for("pending_partitions", |pending| pending == 0);
        process.wait_for("oldest_epoch", |oldest| oldest == 2);
    }
    founder.kill();
    let answer = loop {
        // The client learns the layout from whoever is left.
        if let Some(answer) = client.find_via(second.address(), second.node(), key(0)).await {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    client.follow(&answer);
    for number in 0..50 {
        assert!(client.find(number).await.is_some(), "bundle {number} on the second node alone");
    }
}

#[tokio::test]
async fn a_terminated_node_drains_and_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::found(dir.path(), 1);
    let token = process.token("--client").parse().unwrap();
    let mut client = Client::join(&token, 1).await.unwrap();
    client.put(1).await;
    assert_eq!(process.terminate(), Some(0));
    process.restart();
    assert!(client.find(1).await.is_some());
}
