//! The demo's cluster: three `dccache-node` processes on 127.0.0.1, .2 and .3, each with a directory of its own.

use super::{DemoError, Interrupt};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take until it serves; certificates and a first sync on a slow disk take well under a second.
const READY: Duration = Duration::from_secs(60);

/// How often the file that says so is looked for.
const POLL: Duration = Duration::from_millis(20);

/// A node process.
#[derive(Debug)]
pub(super) struct NodeProcess {
    pub(super) address: SocketAddr,
    pub(super) data: PathBuf,
    program: PathBuf,
    child: Child,
    log: PathBuf,
}

impl NodeProcess {
    /// Founds the cluster on 127.0.0.1.
    pub(super) fn found(program: &Path, home: &Path, interrupt: &Interrupt) -> Result<Self, DemoError> {
        Self::start(program, home, 1, &["serve"], interrupt)
    }

    /// Starts node `number` (2 or 3) with a token of the founder.
    pub(super) fn join(
        program: &Path,
        home: &Path,
        number: u8,
        token: &str,
        interrupt: &Interrupt,
    ) -> Result<Self, DemoError> {
        Self::start(program, home, number, &["join", token], interrupt)
    }

    fn start(
        program: &Path,
        home: &Path,
        number: u8,
        arguments: &[&str],
        interrupt: &Interrupt,
    ) -> Result<Self, DemoError> {
        let data = home.join(format!("node-{number}"));
        let log = home.join(format!("node-{number}.log"));
        let address = free_address(Ipv4Addr::new(127, 0, 0, number))?;
        let output = std::fs::File::create(&log).map_err(|source| DemoError::file(&log, source))?;
        let errors = output.try_clone().map_err(|source| DemoError::file(&log, source))?;
        let child = Command::new(program)
            .args(arguments)
            .arg("--data")
            .arg(&data)
            .args(["--listen", &address.to_string(), "--zone", &format!("desk-{number}")])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| DemoError::Start { program: program.display().to_string(), source })?;
        let mut node = Self { address, data, program: program.to_owned(), child, log };
        node.wait_until_ready(interrupt)?;
        Ok(node)
    }

    fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<(), DemoError> {
        let begin = Instant::now();
        while !self.data.join("ready.json").is_file() {
            interrupt.check()?;
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || begin.elapsed() > READY {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                return Err(DemoError::Node { address: self.address, log: log.trim().to_owned() });
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Asks the founder for one token; `kind` is `--node` or `--client`.
    pub(super) fn token(&self, kind: &str) -> Result<String, DemoError> {
        let text = self.admin(&["ca", "token", kind])?;
        let token = text.split_whitespace().find(|word| word.starts_with("dccache-"));
        let token = token.filter(|word| word.len() > "dccache-node".len());
        token.map(str::to_owned).ok_or(DemoError::Token)
    }

    /// Runs an administrator's command on this node.
    pub(super) fn admin(&self, arguments: &[&str]) -> Result<String, DemoError> {
        let output = Command::new(&self.program).args(arguments).arg("--data").arg(&self.data).output();
        let output = output
            .map_err(|source| DemoError::Start { program: self.program.display().to_string(), source })?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let what = arguments.join(" ");
            return Err(DemoError::Failed { what, status: output.status.to_string(), stderr });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends the process with SIGKILL and waits for it.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_address(ip: Ipv4Addr) -> Result<SocketAddr, DemoError> {
    let free = TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr());
    free.map_err(|source| DemoError::Address { ip, source })
}
