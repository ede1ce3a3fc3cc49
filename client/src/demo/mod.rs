//! `dccache demo`: the whole thing on loopback, on real sources, and the proof that every object is the compiler's own.
//!
//! Three node processes form a cluster on 127.0.0.1, .2 and .3. Workstation A compiles zstd cold; B, with an empty store, is served by the ring, then
//! by its own store; then one node is killed with SIGKILL and workstation C is served by what is left. Every build is compared with a
//! plain one, byte for byte. Nothing stays behind: no process, no file, also after Ctrl-C.

mod nodes;
mod report;
mod sources;
mod workstation;

use nodes::NodeProcess;
use report::{NodeShare, Progress};
use sources::Sources;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use workstation::{Build, CompileJob, Workstation, compare};

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
    /// Ctrl-C or another signal.
    #[error("interrupted; everything was cleaned up")]
    Interrupted,
    /// The embedded sources do not unpack.
    #[error("the embedded sources are damaged; build dccache again")]
    Sources,
    /// A file cannot be written or read.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program cannot be started.
    #[error("cannot start {program}; `dccache-node` must lie beside `dccache`, and the compiler on PATH")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A command ended with an error.
    #[error("`{what}` ended with {status}: {stderr}")]
    Failed {
        /// The command.
        what: String,
        /// How it ended.
        status: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// A node does not come up.
    #[error("the node at {address} does not come up: {log}")]
    Node {
        /// Its address.
        address: SocketAddr,
        /// What it wrote.
        log: String,
    },
    /// A loopback address cannot be used.
    #[error("no free port at {ip}")]
    Address {
        /// The address.
        ip: Ipv4Addr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The founder gave no token.
    #[error("the founding node printed no join token")]
    Token,
    /// Statistics cannot be read.
    #[error("statistics could not be read")]
    Statistics,
    /// The claim does not hold.
    #[error("{build}: the object of {unit} differs from the plain compiler's")]
    Differs {
        /// Which build.
        build: String,
        /// Which source.
        unit: PathBuf,
    },
    /// The cache did not do its work.
    #[error("{build}: {served} of {files} files came from the cache")]
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
    fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

/// Set by a signal; every loop of the demo looks at it.
#[derive(Clone, Debug, Default)]
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn install() -> Self {
        let interrupt = Self::default();
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            // A signal that cannot be caught ends the demo at once, as it would any program.
            let _ = signal_hook::flag::register(signal, Arc::clone(&interrupt.0));
        }
        interrupt
    }

    fn check(&self) -> Result<(), DemoError> {
        if self.0.load(Ordering::Relaxed) { Err(DemoError::Interrupted) } else { Ok(()) }
    }
}

/// Everything that must not outlive the demo. Workstations end before nodes, nodes before the directory.
struct Stage {
    workstations: Vec<Workstation>,
    nodes: Vec<NodeProcess>,
    home: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.workstations.iter().for_each(Workstation::stop);
        self.nodes.iter_mut().for_each(NodeProcess::kill);
    }
}

/// Runs the demo and prints its report.
///
/// # Errors
/// Whatever keeps it from showing that each object equals the plain compiler's.
pub fn run(options: &DemoOptions) -> Result<(), DemoError> {
    let interrupt = Interrupt::install();
    let progress = Progress::new();
    let program = std::env::current_exe().map_err(|source| DemoError::file(Path::new("dccache"), source))?;
    let home = tempfile::Builder::new().prefix("dccache-demo-").tempdir();
    let home = home.map_err(|source| DemoError::file(&std::env::temp_dir(), source))?;
    let sources = Sources::unpack(&home.path().join("zstd"))?;
    progress.say(&format!("zstd's {} C files, as they came with the build:\n{}\n", sources.units.len(), sources.licence));
    let mut stage = Stage { workstations: Vec::new(), nodes: Vec::new(), home };
    let job = CompileJob {
        sources: &sources,
        compiler: &options.compiler,
        jobs: options.jobs,
        interrupt: &interrupt,
        progress: &progress,
    };
    start_cluster(&mut stage, &program, &interrupt, &progress)?;
    let builds = run_builds(&mut stage, &job)?;
    let shares = node_shares(&stage)?;
    progress.say(&format!("\n{}\n{}", report::builds(&builds), report::shares(&shares)));
    progress.say(&format!(
        "checked: all {} objects of {} builds equal the plain compiler's, byte for byte",
        sources.units.len() * (builds.len() - 1),
        builds.len() - 1
    ));
    Ok(())
}

fn start_cluster(
    stage: &mut Stage,
    program: &Path,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<(), DemoError> {
    let node_program = program.with_file_name("dccache-node");
    let home = stage.home.path().to_owned();
    stage.nodes.push(NodeProcess::found(&node_program, &home, interrupt)?);
    for number in [2, 3] {
        let token = stage.nodes[0].token("--node")?;
        stage.nodes.push(NodeProcess::join(&node_program, &home, number, &token, interrupt)?);
    }
    let addresses: Vec<String> = stage.nodes.iter().map(|node| node.address.to_string()).collect();
    progress.say(&format!("a cluster of three nodes with its own certificate authority: {}", addresses.join(", ")));
    for name in ["A", "B", "C"] {
        let workstation = Workstation::new(name, &home, program);
        let token = stage.nodes[0].token("--client")?;
        stage.workstations.push(workstation);
        stage.workstations[stage.workstations.len() - 1].join(&token)?;
    }
    Ok(())
}

fn run_builds(stage: &mut Stage, job: &CompileJob<'_>) -> Result<Vec<Build>, DemoError> {
    let objects = |name: &str| stage.home.path().join(format!("objects-{name}"));
    let outs = ["plain", "a", "b", "b2", "c"].map(objects);
    let [plain_out, a_out, b_out, b2_out, c_out] = outs;
    let plain = job.run("plain compiler".into(), plain_out, || Command::new(job.compiler))?;
    let [a, b, c] = &stage.workstations[..] else { return Err(DemoError::Statistics) };
    let cold = a.build("workstation A, cold".into(), job, a_out)?;
    let ring = b.build("workstation B, empty store, from the ring".into(), job, b_out)?;
    let local = b.build("workstation B again, from its own store".into(), job, b2_out)?;
    let killed = &mut stage.nodes[1];
    killed.kill();
    job.progress.say(&format!("node {} killed with SIGKILL", killed.address));
    let degraded = c.build("workstation C, one of three nodes dead".into(), job, c_out)?;
    for build in [&cold, &ring, &local, &degraded] {
        compare(job.sources, &plain, build)?;
    }
    expect_served(&ring, |counts| counts.ring_hits)?;
    expect_served(&local, |counts| counts.local_hits)?;
    expect_served(&degraded, |counts| counts.ring_hits)?;
    Ok(vec![plain, cold, ring, local, degraded])
}

/// Holds the demo to its word: all files of a warm build come from where the demo says.
fn expect_served(build: &Build, served: impl Fn(&workstation::Counts) -> u64) -> Result<(), DemoError> {
    let served = build.counts.as_ref().map_or(0, served);
    if served == build.files as u64 {
        return Ok(());
    }
    Err(DemoError::NotServed { build: build.label.clone(), served, files: build.files })
}

fn node_shares(stage: &Stage) -> Result<Vec<NodeShare>, DemoError> {
    let text = stage.workstations[0].run(&["stats", "--cluster", "--json"])?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| DemoError::Statistics)?;
    let nodes = json.get("nodes").and_then(serde_json::Value::as_array).ok_or(DemoError::Statistics)?;
    let number = |node: &serde_json::Value, name: &str| {
        node.pointer(&format!("/status/{name}")).and_then(serde_json::Value::as_u64).unwrap_or(0)
    };
    let share = |node: &serde_json::Value| NodeShare {
        name: node.get("name").and_then(serde_json::Value::as_str).unwrap_or("?").to_owned(),
        requests: number(node, "finds") + number(node, "puts"),
        bytes: number(node, "bytes_out") + number(node, "bytes_in"),
    };
    Ok(nodes.iter().map(share).collect())
}
