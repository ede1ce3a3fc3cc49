//! A machine whose agent a test speaks to itself, in the wrapper's words.

use crate::{Binaries, until};
use dccache::agent::ask;
use dccache::agent::line::Line;
use dccache::agent::place::Place;
use dccache::agent::start::{BACK_OFF_MS, Starter};
use dccache::loopback::{NodeProcess, Workstation};
use dccache_protocol::bundle::{Body, unpack};
use dccache_protocol::codec::Format;
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{BlobRef, Comparability, Outcome, Output, OutputRole};
use dccache_protocol::ids::{Namespace, ToolchainId};
use dccache_protocol::keys::{EntryKey, ManifestKey, PreprocessedKey, RootPath, direct_key};
use dccache_protocol::local::{Job, Reply, Request, Unavailable, Vetted};
use dccache_protocol::manifest::Manifest;
use dccache_protocol::time::UnixMillis;
use rustix::process::Pid;
use std::path::Path;
use std::time::Duration;

/// Bound that only ends a test which would never end.
pub const LONG: Duration = Duration::from_secs(60);

/// Budget of look-ups that are expected to succeed: debug builds on a busy machine are slow.
pub const PLENTY_MS: u32 = 20_000;

/// Before anything that a back-off could have remembered.
const NOW: UnixMillis = UnixMillis(BACK_OFF_MS);

/// Manifests by their keys.
pub type Manifests = Vec<(ManifestKey, Manifest)>;

/// A machine with an agent.
#[derive(Debug)]
pub struct Machine {
    /// Its commands.
    pub workstation: Workstation,
    /// Its agent's place, and how that is started.
    pub starter: Starter,
}

impl Machine {
    /// Prepares a machine that is in no cluster.
    pub fn new(home: &Path, name: &str, programs: &Binaries) -> Self {
        let workstation = Workstation::new(&home.join(name), &programs.dccache);
        let place = Place::new(workstation.directory());
        Self { workstation, starter: Starter { place, program: programs.dccache.clone() } }
    }

    /// Prepares a writer of a node's cluster.
    ///
    /// # Panics
    /// It cannot join.
    pub fn joined(home: &Path, name: &str, programs: &Binaries, node: &NodeProcess) -> Self {
        let machine = Self::new(home, name, programs);
        let token = node.token("--client").expect("the node gives tokens");
        machine.workstation.join(&token).expect("a machine joins");
        machine
    }

    /// Reaches the agent, and starts one where none runs.
    ///
    /// # Panics
    /// It cannot be reached.
    pub fn line(&self) -> Line {
        self.starter.reach(LONG, NOW).expect("an agent answers")
    }

    /// Queues a compile.
    pub fn push(&self, sample: &Sample) -> Reply {
        let (job, outcome) = (Box::new(sample.job()), sample.outcome.clone());
        self.ask(&Request::Push { job, outcome, table: sample.body.table.clone() }, &sample.body.bytes).0
    }

    /// Queues second names and the suggestion of a compile that the ring has.
    pub fn attach(&self, sample: &Sample) -> Reply {
        self.ask(&Request::Attach { job: Box::new(sample.job()), outcome: sample.outcome.clone() }, &[]).0
    }

    /// Looks for a key.
    pub fn find(&self, key: EntryKey, budget_ms: u32) -> (Reply, Vec<u8>) {
        self.ask(&Request::Find { namespace: Namespace::default(), keys: vec![key], budget_ms }, &[])
    }

    /// As [`Machine::find`], with all the time it wants, until an owner answers: one that was away is asked again only after a pause.
    ///
    /// # Panics
    /// No owner answers for long.
    pub fn find_at_last(&self, key: EntryKey) -> (Reply, Vec<u8>) {
        until("an owner answers", || {
            let answer = self.find(key, PLENTY_MS);
            let away = [Unavailable::Unreachable, Unavailable::BreakerOpen].map(Reply::Unavailable);
            (!away.contains(&answer.0)).then_some(answer)
        })
    }

    /// Looks for suggestions; none when the ring has none.
    ///
    /// # Panics
    /// Another answer, or a manifest that is none.
    pub fn suggestions(&self, keys: &[ManifestKey]) -> (Manifests, Option<(Vetted, Vec<u8>)>) {
        let (namespace, keys) = (Namespace::default(), keys.to_vec());
        match self.ask(&Request::Suggestions { namespace, keys, budget_ms: PLENTY_MS }, &[]) {
            (Reply::Missed, _) => (Vec::new(), None),
            (Reply::Suggestions { manifests, newest }, body) => {
                let read = |(key, bytes): &(ManifestKey, dccache_protocol::service::Bytes)| {
                    (*key, Manifest::from_bytes(&bytes.0).expect("a manifest"))
                };
                (manifests.iter().map(read).collect(), newest.map(|vetted| (*vetted, body)))
            }
            (reply, _) => panic!("{reply:?}"),
        }
    }

    fn ask(&self, request: &Request, attachment: &[u8]) -> (Reply, Vec<u8>) {
        self.line().call(request, attachment, LONG).expect("the agent answers")
    }

    /// Waits until everything queued is on the ring.
    ///
    /// # Panics
    /// Something still waits after a minute.
    pub fn flush(&self) {
        let mut command = self.workstation.command();
        let output = command.args(["agent", "flush", "--timeout", "60"]).output().expect("dccache runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Returns the agent's process.
    ///
    /// # Panics
    /// None runs.
    pub fn pid(&self) -> Pid {
        let pid = ask::status(&self.starter.place).expect("an agent runs").pid;
        Pid::from_raw(pid.cast_signed()).expect("a process id")
    }

    /// Runs a command and returns its exit code and what it says.
    ///
    /// # Panics
    /// It cannot be run.
    pub fn code(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.workstation.command().args(arguments).output().expect("dccache runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// A made-up compile.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Key of its bundle.
    pub key: EntryKey,
    /// Its other keys.
    pub also: Vec<EntryKey>,
    /// The manifest of its command.
    pub manifest: Option<ManifestKey>,
    /// What it read.
    pub inputs: Vec<(RootPath, Digest)>,
    /// Names that it looked for and did not find.
    pub absent: Vec<RootPath>,
    /// What it gave.
    pub outcome: Outcome,
    /// The bytes.
    pub body: Body,
}

impl Sample {
    /// Makes a compile of `size` bytes that no other seed has; they do not compress. It has a preprocessed key only.
    pub fn new(seed: u32, size: usize) -> Self {
        let mut object = Vec::with_capacity(size + 32);
        let mut digest = Digest::of(&seed.to_le_bytes());
        while object.len() < size {
            object.extend_from_slice(digest.as_bytes());
            digest = Digest::of(digest.as_bytes());
        }
        object.truncate(size);
        let outcome = Outcome {
            outputs: vec![Output { role: OutputRole::Object, content: BlobRef::of(&object) }],
            stdout: BlobRef::of(b""),
            stderr: BlobRef::of(b"warning"),
            exit_code: 0,
            toolchain: ToolchainId::from_digest(Digest::of(b"toolchain")),
            class: Comparability::Reproducible,
            wall_ms: 10,
            cpu_ms: 10,
        };
        let key = EntryKey::Preprocessed(PreprocessedKey::from_digest(digest));
        let body = Body::pack([object.as_slice(), b"", b"warning"]);
        Self { key, also: Vec::new(), manifest: None, inputs: Vec::new(), absent: Vec::new(), outcome, body }
    }

    /// Makes a compile of `command` that read some paths, with a bundle under its direct key and the preprocessed one as the other.
    pub fn direct(command: &str, paths: &[&str], seed: u32, size: usize) -> Self {
        let mut sample = Self::new(seed, size);
        let manifest = ManifestKey::from_digest(Digest::of(command.as_bytes()));
        let content = Digest::of(&seed.to_le_bytes());
        sample.inputs =
            paths.iter().map(|path| (RootPath::Root(path.as_bytes().to_vec()), content)).collect();
        sample.manifest = Some(manifest);
        let direct = EntryKey::Direct(direct_key(manifest, &sample.inputs, &[]));
        sample.also = vec![std::mem::replace(&mut sample.key, direct)];
        sample
    }

    /// The same compile as it is found by its preprocessed key: the direct one is to be its other name.
    pub fn found(&self) -> Self {
        Self { key: self.also[0], also: vec![self.key], ..self.clone() }
    }

    fn job(&self) -> Job {
        Job {
            namespace: Namespace::default(),
            key: self.key,
            also: self.also.clone(),
            manifest: self.manifest,
            argv: vec![b"cc".to_vec()],
            environment: Vec::new(),
            working_directory: b"/".to_vec(),
            root: b"/".to_vec(),
            toolchain: self.outcome.toolchain,
            inputs: self.inputs.clone(),
            absent: self.absent.clone(),
            roles: vec![OutputRole::Object],
            expected_ms: 1,
        }
    }

    /// Asserts that an answer holds this compile under the key that was asked for.
    ///
    /// # Panics
    /// It does not.
    pub fn assert_found(&self, asked: EntryKey, (reply, body): &(Reply, Vec<u8>)) {
        let Reply::Found(vetted) = reply else { panic!("{reply:?}") };
        self.assert_is(asked, vetted, body);
    }

    /// As [`Sample::assert_found`].
    ///
    /// # Panics
    /// It does not.
    pub fn assert_is(&self, asked: EntryKey, vetted: &Vetted, body: &[u8]) {
        assert_eq!((vetted.key, &vetted.outcome), (asked, &self.outcome));
        assert_eq!(unpack(&vetted.outcome, &vetted.table, body).expect("sound bytes").len(), 3);
    }
}
