//! The other caches that are installed here, and the servers that they need; what is missing is said, not skipped in silence.

use anyhow::{Context as _, bail};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long Redis may take to listen.
const REDIS_READY: Duration = Duration::from_secs(10);

/// Programs found on PATH and beside this one.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) dccache: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) ccache: Option<PathBuf>,
    pub(crate) redis: Option<PathBuf>,
}

impl Peers {
    /// Looks for them.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        let beside = |name: &str| here.with_file_name(name);
        let (dccache, node) = (beside("dccache"), beside("dccache-node"));
        for program in [&dccache, &node] {
            if !program.is_file() {
                bail!("{} is missing: run `cargo build --release` first", program.display());
            }
        }
        Ok(Self { dccache, node, ccache: on_path("ccache"), redis: on_path("redis-server") })
    }

    /// Says what is compared, with versions.
    pub(crate) fn versions(&self) -> Vec<String> {
        let version = |path: &Option<PathBuf>, name: &str| match path {
            None => format!("{name}: not installed, its columns are missing"),
            Some(path) => {
                let output = Command::new(path).arg("--version").output();
                let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
                text.unwrap_or_default().lines().next().unwrap_or(name).to_owned()
            }
        };
        let gcc = Some(PathBuf::from("gcc"));
        vec![version(&gcc, "gcc"), version(&self.ccache, "ccache"), version(&self.redis, "redis-server")]
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// A Redis without persistence on a free loopback port; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Redis {
    /// Starts it with its files in `directory`.
    pub(crate) fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(program)
            .args([
                "--port",
                &address.port().to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start redis-server")?;
        let redis = Self { address, child };
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            anyhow::ensure!(begin.elapsed() < REDIS_READY, "redis-server does not listen");
            std::thread::yield_now();
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
