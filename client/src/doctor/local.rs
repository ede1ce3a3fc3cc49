//! What lies on this machine: compilers, directory, local store, agent.

use super::Check;
use crate::agent::ask::{self, AskError};
use crate::agent::chain;
use crate::agent::line::LineError;
use crate::agent::place::{Place, SOCKET_PATH_MAX};
use crate::agent::start::Starter;
use crate::config::{AgentUse, Config};
use crate::home::Home;
use crate::resolve::resolve;
use crate::store::Store;
use dccache_protocol::local::AgentStatus;
use dccache_protocol::time::Clock;
use dccache_transport::clock::SystemClock;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Names that builds call.
const COMPILERS: [&str; 6] = ["cc", "c++", "gcc", "g++", "clang", "clang++"];

/// Free space below which storing begins to fail, in bytes.
const FREE_MIN: u64 = 256 << 20;

/// Directory of toolchain records below the user's directory.
const TOOLCHAINS: &str = "toolchains";

/// Looks for compilers, and whether any was recorded by a compile.
pub(super) fn compilers(config: &Config) -> Vec<Check> {
    let path = config.path.clone().or_else(|| std::env::var_os("PATH"));
    let found: Vec<String> = COMPILERS
        .iter()
        .filter_map(|name| {
            let compiler = resolve(OsStr::new(name), path.as_deref()).ok()?;
            Some(format!("{name} = {}", compiler.program.display()))
        })
        .collect();
    if found.is_empty() {
        let advice = "install gcc or clang, or correct PATH (or the key `path`)";
        return vec![Check::fail("compiler", "no compiler is on PATH", advice)];
    }
    vec![Check::ok("compiler", found.join(", "))]
}

/// Looks at the user's directory.
pub(super) fn directory(home: &Home) -> Vec<Check> {
    let path = home.path();
    let mut checks = Vec::new();
    let probe = format!("doctor-{}", std::process::id());
    let written = home.replace(&probe, &[b"probe"]).and_then(|()| home.remove(&probe));
    checks.push(match written {
        Ok(()) => Check::ok("directory", path.display().to_string()),
        Err(error) => Check::warn(
            "directory",
            format!("{} cannot be written: {error}", path.display()),
            "hits are still served from it; make it writable, or set DCCACHE_DIR to another place",
        ),
    });
    if let Ok(found) = path.metadata() {
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own || found.permissions().mode() & 0o022 != 0 {
            let text = format!("{} can be changed by other users", path.display());
            checks.push(Check::fail("permissions", text, "make it yours alone: mode 0700"));
        }
    }
    if let Ok(space) = rustix::fs::statvfs(path) {
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let text = format!("{} MiB", free >> 20);
        checks.push(match free < FREE_MIN {
            true => Check::warn("free space", text, "new objects may not be stored; free some space"),
            false => Check::ok("free space", text),
        });
    }
    let records = std::fs::read_dir(path.join(TOOLCHAINS)).map_or(0, |entries| entries.count());
    checks.push(match records {
        0 => Check::ok("toolchains", "none is recorded yet; the first compile does"),
        count => Check::ok("toolchains", format!("{count} recorded")),
    });
    checks
}

/// Looks at the local store.
pub(super) fn store(home: &Home, config: &Config) -> Check {
    let (files, bytes) = Store::new(home, config.max_size).measure();
    let text = format!("{files} files, {} of {} MiB", bytes >> 20, config.max_size >> 20);
    if config.disable {
        return Check::warn("store", text, "`disable` is set: every compile runs untouched");
    }
    if config.read_only {
        return Check::warn("store", text, "`read_only` is set: nothing new is stored");
    }
    Check::ok("store", text)
}

/// Looks at the agent.
pub(super) fn agent(home: &Home, config: &Config) -> Vec<Check> {
    if config.agent == AgentUse::Never {
        let advice = "set `agent` to auto to use the cluster";
        return vec![Check::warn("agent", "switched off by the configuration", advice)];
    }
    let place = Place::new(home.path());
    let mut checks = vec![socket(&place)];
    checks.push(match ask::status(&place) {
        Ok(status) if status.dropped > 0 => Check::warn(
            "agent",
            format!("process {}, {} pushes were dropped", status.pid, status.dropped),
            format!("see {}", place.log().display()),
        ),
        Ok(status) => waiting(&status),
        Err(AskError::Line(LineError::NoAgent(_))) => not_running(place),
        Err(AskError::Line(error @ LineError::Version(_))) => {
            Check::warn("agent", error.to_string(), "`dccache agent stop`, with the dccache that started it")
        }
        Err(error) => Check::fail("agent", chain(&error), "end the process that holds the socket"),
    });
    checks
}

/// Pushes wait for a moment after every compile; they are worth a word when a node said why it does not take them.
fn waiting(status: &AgentStatus) -> Check {
    let text = format!("process {}, {} pushes wait", status.pid, status.waiting);
    let failure = status.nodes.iter().find(|(.., failure)| !failure.is_empty());
    match failure {
        Some((_, address, _, failure)) if status.waiting > 0 => Check::warn(
            "agent",
            format!("{text}; {address}: {failure}"),
            "nothing is lost: they are pushed once that node takes them again",
        ),
        _ => Check::ok("agent", text),
    }
}

fn not_running(place: Place) -> Check {
    let starter = Starter { place, program: "/proc/self/exe".into() };
    if starter.is_backed_off(SystemClock::from_environment().now()) {
        let advice = "`dccache agent run --foreground` shows why";
        return Check::fail("agent", "it could not be started a moment ago", advice);
    }
    Check::ok("agent", "not running; it starts when a compile needs it")
}

fn socket(place: &Place) -> Check {
    let socket = place.socket();
    let near = place.directory();
    if !near.exists() {
        return Check::ok("socket", socket.display().to_string());
    }
    if let Err(error) = place.prepare() {
        return Check::fail("socket", chain(&error), "correct owner and mode, or set DCCACHE_DIR");
    }
    let is_near = socket.parent().is_some_and(|parent: &Path| parent == near);
    let text = socket.display().to_string();
    match is_near {
        true => Check::ok("socket", text),
        false => {
            Check::ok("socket", format!("{text} (DCCACHE_DIR leaves no room in {SOCKET_PATH_MAX} bytes)"))
        }
    }
}
