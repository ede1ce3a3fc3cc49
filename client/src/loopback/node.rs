//! A `dccache-node` process with a directory and a loopback address of its own.

use super::{DelayProxy, Interrupt, LoopbackError, finished};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take until it serves; certificates and a first sync on a slow disk take well under a second.
const READY: Duration = Duration::from_secs(180);

/// How often the file that says so is looked for.
const POLL: Duration = Duration::from_millis(20);

/// Ports for nodes: above the registered services of most machines, below Linux's default range for outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A node process; dropped, it is killed.
#[derive(Debug)]
pub struct NodeProcess {
    address: SocketAddr,
    data: PathBuf,
    program: PathBuf,
    child: Child,
    log: PathBuf,
    environment: Vec<(String, String)>,
    /// Where connections arrive when a proxy stands at `address`.
    bind: Option<SocketAddr>,
}

/// How a node process is started.
struct Start<'a> {
    address: SocketAddr,
    bind: Option<SocketAddr>,
    arguments: &'a [&'a str],
    environment: Vec<(String, String)>,
}

impl NodeProcess {
    /// Founds a cluster: node 1, on 127.0.0.1 and a free port, with its data below `home`.
    ///
    /// # Errors
    /// The node does not come up within three minutes, or `interrupt` is set.
    pub fn found(program: &Path, home: &Path, interrupt: &Interrupt) -> Result<Self, LoopbackError> {
        Self::found_at(program, home, free_address(1)?, interrupt)
    }

    /// As [`NodeProcess::found`], on an address that the caller knows to be free.
    ///
    /// # Errors
    /// As [`NodeProcess::found`].
    pub fn found_at(
        program: &Path,
        home: &Path,
        address: SocketAddr,
        interrupt: &Interrupt,
    ) -> Result<Self, LoopbackError> {
        let start = Start { address, bind: None, arguments: &["serve"], environment: Vec::new() };
        Self::start(program, home, start, interrupt)
    }

    /// Founds a cluster whose node is reached at another address than it listens on: a proxy passes on what comes to the former.
    ///
    /// # Errors
    /// As [`NodeProcess::found`], and when the proxy cannot listen.
    pub fn found_behind_proxy(
        program: &Path,
        home: &Path,
        round_trip: Duration,
        interrupt: &Interrupt,
    ) -> Result<(Self, DelayProxy), LoopbackError> {
        let bind = free_address(1)?;
        let listen = SocketAddr::new(bind.ip(), 0);
        let proxy = DelayProxy::start(listen, bind, round_trip)
            .map_err(|source| LoopbackError::Address { ip: bind.ip(), source })?;
        let address = proxy.address();
        let start = Start { address, bind: Some(bind), arguments: &["serve"], environment: Vec::new() };
        Ok((Self::start(program, home, start, interrupt)?, proxy))
    }

    /// Starts a further node on 127.0.0.`number` with a token of the founder.
    ///
    /// # Errors
    /// As [`NodeProcess::found`].
    pub fn join(
        program: &Path,
        home: &Path,
        number: u8,
        token: &str,
        interrupt: &Interrupt,
    ) -> Result<Self, LoopbackError> {
        let address = free_address(number)?;
        let start = Start { address, bind: None, arguments: &["join", token], environment: Vec::new() };
        Self::start(program, home, start, interrupt)
    }

    /// Starts a node again that was killed or ended, with the data and the address that it had.
    ///
    /// # Errors
    /// As [`NodeProcess::found`].
    pub fn restart(&mut self, interrupt: &Interrupt) -> Result<(), LoopbackError> {
        self.kill();
        let home = self.data.parent().unwrap_or(Path::new("/")).to_owned();
        let environment = std::mem::take(&mut self.environment);
        let start = Start { address: self.address, bind: self.bind, arguments: &["serve"], environment };
        *self = Self::start(&self.program, &home, start, interrupt)?;
        Ok(())
    }

    /// Sets a variable of the process, from its next restart on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn start(
        program: &Path,
        home: &Path,
        start: Start<'_>,
        interrupt: &Interrupt,
    ) -> Result<Self, LoopbackError> {
        let Start { address, bind, arguments, environment } = start;
        let name = format!("node-{}", address.ip().to_string().rsplit('.').next().unwrap_or("0"));
        let (data, log) = (home.join(&name), home.join(format!("{name}.log")));
        let ready = data.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let output = std::fs::File::options().create(true).append(true).open(&log);
        let output = output.map_err(|source| LoopbackError::file(&log, source))?;
        let errors = output.try_clone().map_err(|source| LoopbackError::file(&log, source))?;
        let bind_option = bind.map(|bind| ["--bind".to_owned(), bind.to_string()]);
        let child = Command::new(program)
            .args(arguments)
            .arg("--data")
            .arg(&data)
            .args(["--listen", &address.to_string(), "--zone", &name])
            .args(bind_option.iter().flatten())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| LoopbackError::Start { program: program.display().to_string(), source })?;
        let mut node = Self { address, data, program: program.to_owned(), child, log, environment, bind };
        node.wait_until_ready(&ready, interrupt)?;
        Ok(node)
    }

    fn wait_until_ready(&mut self, ready: &Path, interrupt: &Interrupt) -> Result<(), LoopbackError> {
        let begin = Instant::now();
        while !ready.is_file() {
            interrupt.check()?;
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || begin.elapsed() > READY {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                return Err(LoopbackError::Node { address: self.address, log: log.trim().to_owned() });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Returns where it is reached.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for one join token; `kind` is `--node`, `--client` or `--reader`.
    ///
    /// # Errors
    /// The node does not answer its administrator.
    pub fn token(&self, kind: &str) -> Result<String, LoopbackError> {
        let text = self.admin(&["ca", "token", kind])?;
        let words = text.split_whitespace().filter(|word| word.starts_with("dccache-"));
        words.max_by_key(|word| word.len()).map(str::to_owned).ok_or(LoopbackError::Token)
    }

    /// Runs an administrator's command on this node and returns its stdout.
    ///
    /// # Errors
    /// The command failed.
    pub fn admin(&self, arguments: &[&str]) -> Result<String, LoopbackError> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(&self.data).stdin(Stdio::null());
        finished(command.output(), arguments)
    }

    /// Ends the process with SIGKILL and waits for it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds a port that nobody uses. It lies below those that the kernel gives to outgoing connections: one of them could take it
/// between here and the node's start, or while a node that was killed is to come back to it.
fn free_address(number: u8) -> Result<SocketAddr, LoopbackError> {
    let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number));
    let ports = u32::from(PORTS.end - PORTS.start);
    let first = getrandom::u32().unwrap_or_else(|_| std::process::id()) % ports;
    let mut taken = ErrorKind::AddrInUse.into();
    for turn in 0..ports {
        let address = SocketAddr::new(ip, PORTS.start + ((first + turn) % ports) as u16);
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(source) if source.kind() == ErrorKind::AddrInUse => taken = source,
            Err(source) => return Err(LoopbackError::Address { ip, source }),
        }
    }
    Err(LoopbackError::Address { ip, source: taken })
}
