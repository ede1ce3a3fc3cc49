//! Node processes with a directory of their own, and what the program says when it cannot start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dccache-node");

/// A node process; dropped, it is killed.
pub(crate) struct Process {
    data: PathBuf,
    child: Child,
}

impl Process {
    pub(crate) fn found(home: &Path, number: u8) -> Self {
        Self::start(home.join(number.to_string()), &["serve"], Some(number))
    }

    pub(crate) fn join(home: &Path, number: u8, token: &str) -> Self {
        Self::start(home.join(number.to_string()), &["join", token], Some(number))
    }

    fn start(data: PathBuf, arguments: &[&str], number: Option<u8>) -> Self {
        let ready = data.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--data").arg(&data).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(number) = number {
            command.args(["--listen", &format!("127.0.0.{number}:0"), "--zone", &format!("zone-{number}")]);
        }
        let mut process = Self { data, child: command.spawn().unwrap() };
        let until = Instant::now() + Duration::from_secs(60);
        while !ready.exists() {
            assert!(process.child.try_wait().unwrap().is_none(), "the node ended");
            assert!(Instant::now() < until, "the node does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
        process
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        let data = std::mem::take(&mut self.data);
        *self = Self::start(data, &["serve"], None);
    }

    /// Waits until the control plane has counted this start, and so the last byte of the file says.
    pub(crate) fn wait_until_counted(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while std::fs::read(self.data.join("boot")).unwrap().last() != Some(&1) {
            assert!(Instant::now() < until, "the start is not counted");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the program on the data directory and returns the code with which it ends by itself.
    pub(crate) fn ends_by_itself(&mut self) -> Option<i32> {
        self.child = Command::new(PROGRAM)
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the node goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    fn ready(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.data.join("ready.json")).unwrap()).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.ready()["address"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn node(&self) -> dccache_protocol::ids::NodeId {
        dccache_protocol::ids::NodeId::from_hex(self.ready()["node"].as_str().unwrap()).unwrap()
    }

    pub(crate) fn admin(&self, arguments: &[&str]) -> String {
        let output = Command::new(PROGRAM).args(arguments).arg("--data").arg(&self.data).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn token(&self, kind: &str) -> String {
        self.admin(&["ca", "token", kind]).split_whitespace().last().unwrap().to_owned()
    }

    pub(crate) fn status(&self, name: &str) -> u64 {
        let status: serde_json::Value = serde_json::from_str(&self.admin(&["status", "--json"])).unwrap();
        status[name].as_u64().unwrap()
    }

    /// Looks at the status until it is as wanted.
    pub(crate) fn wait_for(&self, name: &str, holds: impl Fn(u64) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds(self.status(name)) {
            assert!(Instant::now() < until, "{name} is {}", self.status(name));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(arguments: &[&str], data: &Path) -> Output {
    Command::new(PROGRAM).args(arguments).arg("--data").arg(data).stdin(Stdio::null()).output().unwrap()
}

/// One line that names the cure, and the documented code.
fn assert_refused(output: &Output, code: i32, names: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = stderr.lines().filter(|line| line.starts_with("dccache-node: ")).collect();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(said.len() == 1 && said[0].contains(names), "{stderr}");
}

#[test]
fn what_prevents_a_start_is_one_line_with_a_cure_and_destroys_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::found(dir.path(), 1);
    let address = process.address().to_string();

    assert_refused(&run(&["serve"], &dir.path().join("1")), 11, "--data");
    assert_refused(&run(&["serve", "--listen", &address], &dir.path().join("other")), 12, "--listen");

    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.tex"), "ten years").unwrap();
    assert_refused(&run(&["serve", "--listen", "127.0.0.1:0"], &foreign), 10, "thesis.tex");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);

    let other = dir.path().join("version");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("node.json"), r#"{"format":99}"#).unwrap();
    assert_refused(&run(&["serve"], &other), 10, "format 99");
    assert_eq!(std::fs::read_to_string(other.join("node.json")).unwrap(), r#"{"format":99}"#);

    assert_refused(
        &run(&["join", "nonsense", "--listen", "127.0.0.2:0"], &dir.path().join("j")),
        13,
        "a token starts with",
    );
    let client = process.token("--client");
    assert_refused(
        &run(&["join", &client, "--listen", "127.0.0.2:0"], &dir.path().join("j")),
        13,
        "dccache join",
    );
    let token = process.token("--node");
    assert_refused(&run(&["join", &token], &dir.path().join("1")), 11, "--data");
    assert_eq!(run(&["status"], &dir.path().join("none")).status.code(), Some(17));
    drop(process);
    assert_refused(&run(&["join", &token, "--listen", "127.0.0.2:0"], &dir.path().join("j")), 14, "answers");
    assert_refused(&run(&["serve", "--listen", "127.0.0.9:1"], &dir.path().join("1")), 12, "joined as");
}
