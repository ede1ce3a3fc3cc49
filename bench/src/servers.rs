//! The servers that peers need, each on a loopback address of its own; dropped, they end.

use anyhow::{Context as _, ensure};
use dccache::loopback::DelayProxy;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const READY: Duration = Duration::from_secs(10);

/// A Redis without persistence.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    child: Child,
}

/// Certificate and key of a Redis that speaks TLS, as PEM files.
#[derive(Debug)]
pub(crate) struct Pem {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Redis {
    /// Starts it with its files in `directory`.
    pub(crate) fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        Self::spawn(Command::new(program), directory, |port| vec!["--port".into(), port])
    }

    /// Starts one that speaks only TLS and writes as the comparison asks: a log that is synced every second. `command` is Redis, or what
    /// starts it (`taskset`).
    pub(crate) fn start_tls(command: Command, directory: &Path, pem: &Pem) -> anyhow::Result<Self> {
        let (certificate, key) = (pem.certificate.display().to_string(), pem.key.display().to_string());
        Self::spawn(command, directory, |port| {
            let words =
                ["--port", "0", "--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
            let more = ["--tls-auth-clients", "no", "--appendonly", "yes", "--appendfsync", "everysec"];
            words.into_iter().chain(more).map(str::to_owned).collect()
        })
    }

    fn spawn(
        mut command: Command,
        directory: &Path,
        arguments: impl FnOnce(String) -> Vec<String>,
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        // An append-only log is off unless a later argument says otherwise.
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(arguments(address.port().to_string())).current_dir(directory);
        let child = quiet(&mut command).spawn().context("cannot start redis-server")?;
        let redis = Self { address, child };
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(begin.elapsed() < READY, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
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

/// A Redis behind a proxy that adds a round-trip time.
#[derive(Debug)]
pub(crate) struct FarRedis {
    pub(crate) proxy: DelayProxy,
    _redis: Redis,
}

impl FarRedis {
    /// Starts both.
    pub(crate) fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let redis = Redis::start(program, directory)?;
        let proxy = DelayProxy::start("127.0.0.1:0".parse()?, redis.address, Duration::ZERO)?;
        Ok(Self { proxy, _redis: redis })
    }

    /// Returns it as an URL of the proxy.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.proxy.address())
    }
}

/// The server of one sccache front.
#[derive(Debug)]
pub(crate) struct SccacheServer {
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl SccacheServer {
    /// Starts it; the environment names its port and its storage.
    pub(crate) fn start(program: &Path, environment: &[(String, String)]) -> anyhow::Result<Self> {
        let server = Self { program: program.to_owned(), environment: environment.to_vec() };
        let status = server.command("--start-server").status().context("cannot start sccache")?;
        ensure!(status.success(), "sccache's server does not start");
        Ok(server)
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new(&self.program);
        quiet(command.arg(word).envs(self.environment.iter().cloned()));
        command
    }
}

impl Drop for SccacheServer {
    fn drop(&mut self) {
        let _ = self.command("--stop-server").status();
    }
}

/// Returns a loopback port that nobody uses now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
