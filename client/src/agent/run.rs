//! The agent as a process: leaving the build behind, being the only one, listening, and ending.

use super::Agent;
use super::counters::Counters;
use super::detach::{detach, silence};
use super::find::Seeker;
use super::journal::{Bounds, Journal};
use super::log::Log;
use super::place::{Place, PlaceError};
use super::policy::Policy;
use super::push;
use super::renewal;
use super::ring::Ring;
use super::server::serve;
use super::start::READY;
use super::state::Standing;
use super::stop::{Activity, Stop};
use crate::cluster::Membership;
use crate::config::{self, Config};
use crate::home::Home;
use dccache_protocol::time::Clock;
use dccache_transport::clock::SystemClock;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// Threads of the runtime: signatures and TLS of one user's builds, beside the compilers that should have the processors.
const THREADS: usize = 2;

/// How often the agent looks whether it is still needed and whether its socket is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How long an ending agent waits for what it has begun. The journal keeps what is not finished.
const DRAIN: Duration = Duration::from_secs(5);

/// How long a new agent waits for one that leaves to let go of the lock: its three bounded waits, each at most [`DRAIN`].
const HANDOVER: Duration = Duration::from_secs(15);

/// Pause between looks at a lock that a leaving agent holds.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Whether the agent leaves its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It begins a session of its own and logs to a file.
    Detached,
    /// It stays and logs to stderr.
    Foreground,
}

/// How an agent runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it lives.
    pub place: Place,
    /// Idle time after which it ends.
    pub idle: Duration,
    /// Whose entries are accepted.
    pub policy: Policy,
    /// Whether it leaves its terminal.
    pub stay: Stay,
}

/// Why an agent did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A directory cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file, the socket or the runtime cannot be used.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The process cannot leave its terminal.
    #[error("cannot begin a session of its own")]
    Detach(#[source] io::Error),
}

/// Runs the agent until it is told to end or nobody needs it. Returns at once when another one serves the same
/// directory, and takes the place of one that is leaving.
///
/// # Errors
/// Why it could not start; nothing has been changed then except for its own directories.
pub fn run(settings: Settings) -> Result<(), RunError> {
    if settings.stay == Stay::Detached {
        detach().map_err(RunError::Detach)?;
    }
    settings.place.prepare()?;
    let Some(_lock) = lock(&settings.place)? else { return Ok(()) };
    let at = |path: PathBuf| move |source| RunError::File { path, source };
    begin_log(&settings).map_err(at(settings.place.log()))?;
    let journal = Journal::open(&settings.place.journal(), Bounds::default());
    let journal = Arc::new(journal.map_err(at(settings.place.journal()))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(at("/proc/self".into()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::from_environment());
    let ended = runtime.block_on(async {
        let standing = standing(&settings, &clock);
        let agent = Arc::new(Agent {
            standing,
            flushes: AtomicUsize::new(0),
            flushing: AtomicUsize::new(0),
            clock,
            started: Instant::now(),
            journal,
            counters: Counters::default(),
            activity: Activity::default(),
            stop: Stop::default(),
            queued: Notify::new(),
            left: Notify::new(),
            settings,
        });
        live(agent).await
    });
    runtime.shutdown_timeout(DRAIN);
    ended
}

/// Reads what this machine knows of its cluster. A state that cannot be used leaves an agent that says so.
fn standing(settings: &Settings, clock: &Arc<dyn Clock>) -> Standing {
    let directory = settings.place.cluster();
    let ring = match Membership::load(&directory) {
        Ok(None) => return Standing::Alone,
        Ok(Some(membership)) => Ring::new(membership, directory, Arc::clone(clock)),
        Err(error) => Err(error.into()),
    };
    match ring {
        Ok(ring) => Standing::Joined(Box::new(Seeker::new(Arc::new(ring), settings.policy.clone()))),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the cluster's state cannot be used");
            Standing::Broken
        }
    }
}

async fn live(agent: Arc<Agent>) -> Result<(), RunError> {
    let place = &agent.settings.place;
    let path = place.socket();
    let at = |source| RunError::File { path: path.clone(), source };
    // The lock is held, so a socket that is there is a dead agent's.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(at)?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(at)?;
    let inode = std::fs::symlink_metadata(&path).map_err(at)?.ino();
    tracing::info!(pid = std::process::id(), "agent started");
    say_ready(agent.settings.stay).map_err(RunError::Detach)?;
    let watching = tokio::spawn(watch(Arc::clone(&agent), path.clone(), inode));
    if let Some(ring) = agent.standing.ring() {
        tokio::spawn(push::run(Arc::clone(&agent), Arc::clone(ring)));
        tokio::spawn(renewal::run(Arc::clone(&agent), Arc::clone(ring)));
    }
    serve(Arc::clone(&agent), listener).await;
    // From here on the next agent may start as soon as the lock is free.
    remove_own(&path, inode);
    agent.stop.close();
    let _ = timeout(DRAIN, watching).await;
    drain(&agent).await;
    tracing::info!(waiting = agent.journal.size().0, "agent ended");
    Ok(())
}

/// Throws the switch on a signal, after idle time, when the socket is gone because somebody removed the directory, or when the
/// configuration says something else than at the start: the next agent starts with it.
async fn watch(agent: Arc<Agent>, path: PathBuf, inode: u64) {
    let signalled = async {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    };
    let configuration = agent.settings.place.home().join(config::FILE_NAME);
    let mut known = changed_at(&configuration);
    let needless = async {
        loop {
            sleep(LOOK.min(agent.settings.idle)).await;
            let is_idle = agent.activity.idle() >= agent.settings.idle && agent.journal.size().0 == 0;
            let is_gone = std::fs::symlink_metadata(&path).map(|found| found.ino()).ok() != Some(inode);
            let now = changed_at(&configuration);
            let is_outdated = now != known && is_outdated(&agent.settings);
            known = now;
            if is_idle || is_gone || is_outdated {
                return;
            }
        }
    };
    tokio::select! { () = signalled => (), () = needless => (), () = agent.stop.thrown() => () }
    agent.stop.throw();
}

/// Returns what tells a file from any other state of it; `None` without a file.
fn changed_at(path: &Path) -> Option<(u64, i64, i64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.ctime(), found.ctime_nsec()))
}

/// Tells whether the configuration asks for another agent. One that is not understood asks for none: compiles run untouched until it is.
fn is_outdated(settings: &Settings) -> bool {
    let home = Home::open(settings.place.home()).ok();
    let config = home.and_then(|home| Config::load(&home, |name| std::env::var_os(name)).ok());
    config.is_some_and(|config| {
        config.trust_accept != settings.policy || Duration::from_secs(config.agent_idle_s) != settings.idle
    })
}

async fn drain(agent: &Agent) {
    let begun = Instant::now();
    while agent.activity.idle().is_zero() && begun.elapsed() < DRAIN {
        sleep(Duration::from_millis(5)).await;
    }
}

fn remove_own(path: &Path, inode: u64) {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.ino() == inode) {
        let _ = std::fs::remove_file(path);
    }
}

fn lock(place: &Place) -> Result<Option<File>, RunError> {
    let path = place.lock();
    let at = |source| RunError::File { path: path.clone(), source };
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(at)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if is_served(place) || begun.elapsed() >= HANDOVER => {
                return Ok(None);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK_AGAIN),
            Err(TryLockError::Error(error)) => return Err(at(error)),
        }
    }
}

/// Tells whether an agent takes connections. One that holds the lock and takes none is leaving, or has not begun yet.
fn is_served(place: &Place) -> bool {
    std::os::unix::net::UnixStream::connect(place.socket()).is_ok()
}

fn begin_log(settings: &Settings) -> io::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DCCACHE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let begun = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    // Tests run several agents in one process; the first log then takes all lines.
    let _ = match settings.stay {
        Stay::Detached => {
            let log = Arc::new(Log::open(&settings.place.log())?);
            begun.with_writer(log).try_init()
        }
        Stay::Foreground => begun.with_writer(io::stderr).try_init(),
    };
    Ok(())
}

/// Writes an error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Tells whoever started the agent that it listens, and lets go of its pipes.
fn say_ready(stay: Stay) -> io::Result<()> {
    if stay == Stay::Foreground {
        return Ok(());
    }
    let mut stdout = io::stdout();
    // The one who started it may be gone; that is no reason to leave.
    let _ = stdout.write_all(READY).and_then(|()| stdout.flush());
    silence()
}
