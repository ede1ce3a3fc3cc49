//! What people and machines give us that is not right: one clear line that says what to do, a documented exit code, and nothing destroyed.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache::loopback::{Interrupt, NodeProcess};
use dccache_tests::{Binaries, Effect, Ring, Site, files_below};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everything in a directory that must not change: files and their content.
type Content = BTreeMap<PathBuf, Vec<u8>>;

const DAY_MS: i64 = 24 * 3_600_000;

/// Milliseconds by which a clock runs ahead, as the seam's variable takes it.
const CLOCK: &str = "DCCACHE_TEST_CLOCK_OFFSET_MS";

/// Exit codes of a node that does not start, as its `--help` lists them.
const NODE_REFUSALS: std::ops::RangeInclusive<i32> = 10..=16;

fn content(directory: &Path) -> Content {
    let kept = files_below(directory).into_iter().filter(|path| path.is_file());
    kept.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs a node's command that must end by itself.
fn node(programs: &Binaries, words: &[&str], data: &Path) -> Effect {
    let output =
        Command::new(&programs.node).args(words).arg("--data").arg(data).stdin(Stdio::null()).output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Effect { code: output.status.code(), signal: None, stdout, stderr, outputs: Vec::new() }
}

/// Asserts the exit code, and that exactly one line of ours says `part`; log lines are not ours.
fn assert_said(said: &Effect, code: i32, part: &str) {
    let lines = said
        .stderr
        .lines()
        .filter(|line| line.starts_with("dccache: ") || line.starts_with("dccache-node: "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(said.code, Some(code), "{}", said.shown());
    assert!(lines.len() == 1 && lines[0].contains(part), "{part}: {}", said.shown());
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

#[test]
fn without_arguments_the_usage_is_shown_and_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let site = Site::new(home.path(), "one", &Binaries::find());
    let said = site.run(&[]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("Usage:") && said.stderr.contains("Exit codes"), "{}", said.stderr);
    assert!(!site.state().exists());
}

#[test]
fn an_unknown_compiler_gets_the_shells_message_and_code() {
    let home = tempfile::tempdir().unwrap();
    let site = Site::new(home.path(), "one", &Binaries::find());
    assert_said(&site.run(&["no-such-cc", "-c", "a.c"]), 127, "no-such-cc: command not found");
    site.write("plain", "int a;\n");
    assert_said(&site.run(&["./plain", "-c", "a.c"]), 126, "plain");
    assert_said(&site.run(&["./no-such-cc"]), 127, "no-such-cc");
}

#[test]
fn a_bad_configuration_is_an_error_of_every_command_and_a_counted_bypass_of_a_compile() {
    let ring = Ring::of(1);
    let site = Site::new(ring.home(), "one", &ring.programs);
    fs::create_dir_all(site.state()).unwrap();
    let file = site.state().join("dccache.toml");
    let token = ring.nodes[0].token("--client").unwrap();
    let cases = [
        ("stats = true\nmax_size = \"huge\"\n", "dccache.toml:2: ", "max_size", "powers of 1024"),
        ("\n\nsharing = \"all\"\n", "dccache.toml:3: ", "sharing", "dccache config list"),
        ("agent = \"often\"\n", "dccache.toml:1: ", "agent", "never"),
        ("read_only = [1]\n", "dccache.toml:1: ", "read_only", "true"),
        ("stats = true\nthis is no TOML\n", "dccache.toml:2: ", "", ""),
    ];
    site.write("a.c", "int a(void) { return 1; }\n");
    for (text, place, key, allowed) in cases {
        fs::write(&file, text).unwrap();
        for words in [
            &["stats"][..],
            &["stats", "--json"],
            &["config"],
            &["explain"],
            &["join", &token],
            &["agent", "run"],
        ] {
            let said = site.run(words);
            assert_said(&said, 2, place);
            assert!(said.stderr.contains(key) && said.stderr.contains(allowed), "{words:?}: {}", said.stderr);
        }
        let doctor = site.run(&["doctor"]);
        assert!(doctor.code == Some(1) && doctor.stdout.contains(place), "{}", doctor.shown());
        site.assert_as_without(&["gcc", "-c", "a.c"], &["a.o"]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), cases[4].0, "nothing was written into it");
    fs::remove_file(&file).unwrap();
    assert_eq!(site.count("/bypass_reasons/bad_configuration"), cases.len() as u64, "{}", site.stats());
    assert!(!site.state().join("cluster").exists(), "the token was not used");
    site.workstation().join(&token).unwrap();
}

#[test]
fn a_port_in_use_is_named_and_costs_the_data_nothing() {
    let mut ring = Ring::of(1);
    ring.kill();
    let address = ring.nodes[0].address();
    let _other = TcpListener::bind(address).unwrap();
    let data = ring.nodes[0].data().to_owned();
    let before = content(&data.join("authority"));
    assert_said(&node(&ring.programs, &["serve"], &data), 12, &address.to_string());
    assert_eq!(content(&data.join("authority")), before);
    let fresh = ring.home().join("fresh");
    assert_said(&node(&ring.programs, &["serve", "--listen", &address.to_string()], &fresh), 12, "--listen");
    assert!(
        content(&fresh).keys().all(|path| !path.ends_with("node.json")),
        "no cluster was founded: {fresh:?}"
    );
    assert_said(&node(&ring.programs, &["serve", "--listen", "192.0.2.1:7373"], &fresh), 12, "192.0.2.1");
}

#[test]
fn a_data_directory_of_another_cluster_or_version_is_refused_whole() {
    let mut ring = Ring::of(1);
    let elsewhere = Ring::of(1);
    ring.kill();
    let data = ring.nodes[0].data().to_owned();
    let before = content(&data);
    let token = elsewhere.nodes[0].token("--node").unwrap();
    let said = node(&ring.programs, &["join", &token, "--listen", "127.0.0.2:0"], &data);
    assert_said(&said, 10, "dccache-node serve");
    assert_eq!(content(&data), before);
    for (file, text) in [("node.json", "{\"format\":99}"), ("store/FORMAT", "dccache store 99\n")] {
        let kept = fs::read(data.join(file)).unwrap();
        fs::write(data.join(file), text).unwrap();
        let before = content(&data.join("authority"));
        let said = node(&ring.programs, &["serve"], &data);
        assert_said(&said, 10, "use the program that wrote it");
        assert_eq!(fs::read_to_string(data.join(file)).unwrap(), text);
        assert_eq!(content(&data.join("authority")), before);
        fs::write(data.join(file), kept).unwrap();
    }
    ring.restart(0);
}

#[test]
fn garbage_in_any_file_of_a_nodes_data_is_healed_or_refused_in_one_line() {
    let mut ring = Ring::of(1);
    let site = ring.site("one");
    let units = site.write_units("unit", 3);
    site.assert_units_as_without(&units);
    site.workstation().flush().unwrap();
    ring.kill();
    let data = ring.nodes[0].data().to_owned();
    let whole = content(&data);
    assert!(whole.len() > 15, "{:?}", whole.keys());
    let mut refused = 0;
    for path in whole.keys() {
        fs::write(path, [0xA5; 300]).unwrap();
        match ring.nodes[0].restart(&Interrupt::default()) {
            Ok(()) => ring.kill(),
            Err(error) => {
                refused += 1;
                let said = node(&ring.programs, &["serve"], &data);
                let code = said.code.unwrap_or(-1);
                assert!(NODE_REFUSALS.contains(&code), "{}: {error}: {}", path.display(), said.shown());
                assert_said(&said, code, "");
                let cures = ["join again", "an empty directory"];
                assert!(
                    cures.iter().any(|cure| said.stderr.contains(cure)),
                    "{}: {}",
                    path.display(),
                    said.stderr
                );
                // The boot counter counts starts, whatever it starts from.
                assert!(
                    path.ends_with("boot") || fs::read(path).unwrap() == [0xA5; 300],
                    "{}",
                    path.display()
                );
            }
        }
        // Whatever it did, nothing that cannot be made anew is gone.
        for (other, bytes) in whole.iter().filter(|(other, _)| *other != path && is_precious(other)) {
            assert!(
                fs::read(other).unwrap() == *bytes,
                "{} after garbage in {}",
                other.display(),
                path.display()
            );
        }
        whole.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }
    assert!(refused >= 3, "{refused}");
    ring.restart(0);
    site.forget();
    site.assert_units_as_without(&units);
    assert_eq!(site.count("/hits/ring"), 3, "{}", site.stats());
}

fn is_precious(path: &Path) -> bool {
    ["authority", "identity", "node.json", "voter.key"]
        .iter()
        .any(|name| path.to_string_lossy().contains(name))
}

#[test]
fn a_directory_of_somebody_elses_files_is_refused_and_left_alone() {
    let (home, programs) = (tempfile::tempdir().unwrap(), Binaries::find());
    let theirs = home.path().join("theirs");
    fs::create_dir_all(theirs.join("store")).unwrap();
    fs::write(theirs.join("thesis.tex"), "ten years").unwrap();
    fs::write(theirs.join("store/photo"), [7; 100]).unwrap();
    let before = content(&theirs);
    let ring = Ring::of(1);
    let token = ring.nodes[0].token("--node").unwrap();
    for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["join", &token, "--listen", "127.0.0.2:0"]] {
        assert_said(&node(&programs, words, &theirs), 10, "--data");
        assert_eq!(content(&theirs), before);
    }
    let joined = NodeProcess::join(&programs.node, home.path(), 2, &token, &Interrupt::default());
    joined.expect("the token was not used up by the refusal");
}

#[test]
fn tokens_that_are_malformed_expired_or_used_say_so_in_one_line() {
    let mut ring = Ring::of(1);
    let programs = ring.programs.clone();
    let site = Site::new(ring.home(), "one", &programs);
    let tokens = ["--client", "--node", "--client", "--node"].map(|kind| ring.nodes[0].token(kind).unwrap());
    let [client, for_node, late_client, late_node] = tokens;
    let fresh = ring.home().join("fresh");
    let join = |token: &str| node(&programs, &["join", token, "--listen", "127.0.0.3:0"], &fresh);
    let cut = &client[..client.len() - 9];
    let mut flipped = client.clone().into_bytes();
    flipped[60] = if flipped[60] == b'a' { b'b' } else { b'a' };
    let flipped = String::from_utf8(flipped).unwrap();
    for bad in ["rubbish", "", "dccache-", cut, &flipped] {
        assert_said(&site.run(&["join", bad]), 2, "token");
        assert_said(&join(bad), 13, "token");
    }
    assert_said(&site.run(&["join", &for_node]), 2, "ca token --client");
    assert_said(&join(&client), 13, "dccache join");

    site.workstation().join(&client).unwrap();
    let member = content(&site.state().join("cluster"));
    let other = Site::new(ring.home(), "other", &programs);
    assert_said(&other.run(&["join", &client]), 3, "used already");
    let quiet = Interrupt::default();
    let second = NodeProcess::join(&programs.node, ring.home(), 2, &for_node, &quiet).unwrap();
    assert_said(&join(&for_node), 13, "used already");
    drop(second);

    // Tokens live for a day; for this node more than that has passed.
    ring.nodes[0].set(CLOCK, &(DAY_MS + DAY_MS / 8).to_string());
    ring.restart(0);
    assert_said(&other.run(&["join", &late_client]), 3, "expired");
    assert_said(&join(&late_node), 13, "expired");
    assert!(!other.state().join("cluster").exists());
    assert!(!fresh.join("node.json").exists());
    assert_eq!(content(&site.state().join("cluster")), member);
}
