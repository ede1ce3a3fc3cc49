//! `dccache demo`: the whole thing on loopback, on real sources, and the proof that every object is the compiler's own.
//!
//! Three node processes form a cluster on 127.0.0.1, .2 and .3. Workstation A compiles zstd cold; B, with an empty store, is served by the ring, then
//! by its own store; then one node is killed with SIGKILL and workstation C is served by what is left. Every build is compared with a
//! plain one, byte for byte. Nothing stays behind: no process, no file, also after Ctrl-C.

mod build;
mod report;
mod sources;

pub use sources::Sources;

use crate::loopback::{Interrupt, LoopbackError, NodeProcess, Workstation};
use build::{Build, CompileJob, Counts, compare};
use report::{NodeShare, Progress};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the demo was asked to do.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Compiler to put the wrapper in front of.
    pub compiler: String,
    /// Compiles at a time.
    pub jobs: usize,
}

/// Why the demo did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A process or a file of the demo failed, or it was interrupted.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    /// The embedded sources do not unpack.
    #[error("the embedded sources are damaged; build dccache again")]
    Sources,
    /// The claim does not hold.
    #[error("{build}: the object of {unit} differs from the plain compiler's")]
    Differs {
        /// Which build.
        build: String,
        /// Which source.
        unit: PathBuf,
    },
    /// The cache did not do its work.
    #[error("{build}: {served} of {files} files came from where they should")]
    NotServed {
        /// Which build.
        build: String,
        /// Files served.
        served: u64,
        /// Files in all.
        files: usize,
    },
}

impl DemoError {
    /// Whether a signal ended the demo.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Loopback(LoopbackError::Interrupted))
    }
}

/// Everything that must not outlive the demo. Fields are dropped in order: workstations, nodes, then the directory.
struct Stage {
    workstations: Vec<Workstation>,
    nodes: Vec<NodeProcess>,
    home: tempfile::TempDir,
}

/// Runs the demo and prints its report.
///
/// # Errors
/// Whatever keeps it from showing that each object equals the plain compiler's.
pub fn run(options: &DemoOptions) -> Result<(), DemoError> {
    let interrupt = Interrupt::install();
    show(options, &interrupt).map_err(|error| match error {
        // A terminal sends Ctrl-C to the compilers and nodes too, and theirs can be noticed before ours.
        DemoError::Loopback(LoopbackError::Failed { .. } | LoopbackError::Node { .. })
            if interrupt.comes_within(AFTERWARDS) =>
        {
            LoopbackError::Interrupted.into()
        }
        other => other,
    })
}

/// How long after a failure of a process a signal still counts as its cause.
const AFTERWARDS: Duration = Duration::from_millis(100);

fn show(options: &DemoOptions, interrupt: &Interrupt) -> Result<(), DemoError> {
    let progress = Progress::new();
    let home = tempfile::Builder::new().prefix("dccache-demo-").tempdir();
    let home = home.map_err(|source| LoopbackError::file(&std::env::temp_dir(), source))?;
    let sources = Sources::unpack(&home.path().join("zstd"))?;
    let units = sources.units.len();
    progress.say(&format!(
        "{units} C files of zstd, as they came with the build. Its licence:\n{}\n",
        sources.licence
    ));
    let (compiler, jobs) = (options.compiler.as_str(), options.jobs);
    let job = CompileJob { sources: &sources, compiler, jobs, interrupt, progress: &progress };
    let mut stage = Stage { workstations: Vec::new(), nodes: Vec::new(), home };
    start_cluster(&mut stage, interrupt, &progress)?;
    let (builds, before) = run_builds(&mut stage, &job)?;
    let shares = node_shares(&stage.workstations[0], &before)?;
    progress.say(&format!("\n{}\n{}", report::builds(&builds), report::shares(&shares)));
    let compared = builds.len() - 1;
    let objects = units * compared;
    progress.say(&format!(
        "checked: all {objects} objects of {compared} builds equal the plain compiler's, byte for byte"
    ));
    Ok(())
}

fn start_cluster(stage: &mut Stage, interrupt: &Interrupt, progress: &Progress) -> Result<(), DemoError> {
    let program =
        std::env::current_exe().map_err(|source| LoopbackError::file(Path::new("dccache"), source))?;
    let node_program = program.with_file_name("dccache-node");
    let home = stage.home.path().to_owned();
    stage.nodes.push(NodeProcess::found(&node_program, &home, interrupt)?);
    for number in [2, 3] {
        let token = stage.nodes[0].token("--node")?;
        stage.nodes.push(NodeProcess::join(&node_program, &home, number, &token, interrupt)?);
    }
    let addresses: Vec<String> = stage.nodes.iter().map(|node| node.address().to_string()).collect();
    progress.say(&format!("three nodes with their own certificate authority: {}", addresses.join(", ")));
    for name in ["A", "B", "C"] {
        let token = stage.nodes[0].token("--client")?;
        let workstation = Workstation::new(&home.join(format!("workstation-{name}")), &program);
        // All machines are this one, and it is busy: a look-up may wait until it is answered.
        workstation.run(&["config", "set", "remote_budget", "30000"])?;
        workstation.join(&token)?;
        stage.workstations.push(workstation);
    }
    Ok(())
}

/// Returns the builds, and what each node had done before one was killed.
fn run_builds(stage: &mut Stage, job: &CompileJob<'_>) -> Result<(Vec<Build>, Vec<NodeShare>), DemoError> {
    let objects = |name: &str| stage.home.path().join(format!("objects-{name}"));
    let [plain_out, a_out, b_out, b2_out, c_out] = ["plain", "a", "b", "b2", "c"].map(objects);
    let plain = job.plain("plain compiler", plain_out)?;
    let [a, b, c] = &stage.workstations[..] else { return Err(DemoError::Sources) };
    let cold = job.through(a, "workstation A, cold", a_out)?;
    let ring = job.through(b, "workstation B, empty store, from the ring", b_out)?;
    let local = job.through(b, "workstation B again, from its own store", b2_out)?;
    let shares = node_shares(a, &[])?;
    let killed = &mut stage.nodes[1];
    killed.kill();
    job.progress.say(&format!("node {} killed with SIGKILL", killed.address()));
    let degraded = job.through(c, "workstation C, one of three nodes dead", c_out)?;
    for build in [&cold, &ring, &local, &degraded] {
        compare(job.sources, &plain, build)?;
    }
    expect_all(&cold, |counts| counts.misses)?;
    expect_all(&ring, |counts| counts.ring_hits)?;
    expect_all(&local, |counts| counts.local_hits)?;
    expect_all(&degraded, |counts| counts.ring_hits)?;
    Ok((vec![plain, cold, ring, local, degraded], shares))
}

/// Holds the demo to its word: all files of a build come from where the demo says.
fn expect_all(build: &Build, counted: impl Fn(&Counts) -> u64) -> Result<(), DemoError> {
    let served = build.counts.as_ref().map_or(0, counted);
    if served == build.files as u64 {
        return Ok(());
    }
    Err(DemoError::NotServed { build: build.label.clone(), served, files: build.files })
}

/// Reads what each node did so far. One that no longer answers keeps what it had done `before`.
fn node_shares(asker: &Workstation, before: &[NodeShare]) -> Result<Vec<NodeShare>, DemoError> {
    let json = asker.json(&["stats", "--cluster", "--json"])?;
    let nodes = json.get("nodes").and_then(serde_json::Value::as_array).ok_or(LoopbackError::Statistics)?;
    let share = |node: &serde_json::Value| -> Option<NodeShare> {
        let name = node.get("node")?.as_str()?.to_owned();
        let Some(counters) = node.get("counters") else {
            return before.iter().find(|share| share.name == name).cloned();
        };
        let number = |counter: &str| counters.get(counter)?.as_u64();
        let requests = number("finds")? + number("puts")?;
        Some(NodeShare { name, requests, bytes: number("bytes_out")? + number("bytes_in")? })
    };
    let shares: Option<Vec<NodeShare>> = nodes.iter().map(share).collect();
    Ok(shares.ok_or(LoopbackError::Statistics)?)
}
