//! Everything that is known about a call before anything is looked up, and the record that is kept of it.

use super::InForce;
use super::shared_directory::Shared;
use crate::ccache::statistics_lines;
use crate::config::{Config, DebugFiles};
use crate::cpp::Places;
use crate::explain::{self, Record, explain};
use crate::home::Home;
use crate::invocation::{ColorRequest, Disk, Invocation};
use crate::keying::{Color, Directories, debug_directories_show};
use crate::link::TimeSlot;
use crate::resolve::Compiler;
use crate::stats::{self, Event, Verdict};
use crate::store::Store;
use crate::toolchain::Toolchain;
use crate::verify::{Differs, Line, is_recorded};
use dccache_protocol::keys::SealedName;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A call that can be cached.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) home: &'a Home,
    pub(super) config: &'a Config,
    pub(super) compiler: &'a Compiler,
    pub(super) arguments: &'a [OsString],
    /// Argument that the configuration adds to the compile.
    pub(super) added: Option<OsString>,
    /// Compiler's name and arguments as bytes.
    pub(super) argv: Vec<Vec<u8>>,
    pub(super) disk: Disk,
    /// Physical working directory.
    pub(super) directory: PathBuf,
    pub(super) invocation: Invocation,
    pub(super) toolchain: Toolchain,
    pub(super) root: Vec<u8>,
    /// Name of the command's sealed record; `None` where it is not to have one.
    pub(super) sealed: Option<SealedName>,
    /// What the call goes by.
    pub(super) in_force: &'a InForce,
    /// Directories that are looked in after the local store.
    pub(super) shared: Shared<'a>,
    /// Where a hit is to be verified: when its look-up began, in ns since the Unix epoch by the clock of file times.
    pub(super) verifies_since: Option<i64>,
}

impl Setting<'_> {
    /// Returns the directories of the compile.
    pub(super) fn places(&self) -> Places<'_> {
        Places { root: &self.root, working_directory: &self.invocation.working_directory }
    }

    /// Returns this machine's store, as the configuration bounds it.
    pub(super) fn store_of_own(&self) -> Store<'_> {
        Store::new(self.home, self.config.max_size)
            .with_files(self.config.max_files)
            .in_namespace(&self.config.namespace)
    }

    /// Returns a path of the call, seen from the working directory.
    pub(super) fn path(&self, spelled: &[u8]) -> PathBuf {
        self.directory.join(OsStr::from_bytes(spelled))
    }

    /// Returns where the time of this command is kept.
    pub(super) fn time_slot(&self) -> TimeSlot {
        TimeSlot::of(&self.invocation.working_directory, &self.argv)
    }

    /// Returns what directories in debug information are worth to the user.
    pub(super) fn debug_directories(&self) -> Directories {
        if self.config.hash_dir { Directories::Matter } else { Directories::MayBeWrong }
    }

    /// Tells whether directories in the outputs need not be right: they show in debug information only, and the user does not mind.
    pub(super) fn debug_directories_may_be_wrong(&self) -> bool {
        !self.config.hash_dir && debug_directories_show(&self.invocation)
    }

    /// Tells whether the compiler would write colours if it wrote to our stderr.
    pub(super) fn color(&self) -> Color {
        let colored = match self.invocation.color {
            ColorRequest::Always => true,
            ColorRequest::Never => false,
            ColorRequest::Auto => stderr_shows_color(),
        };
        if colored { Color::Terminal } else { Color::Plain }
    }
}

/// Tells whether stderr is a terminal on which compilers write colours by themselves.
pub(super) fn stderr_shows_color() -> bool {
    let able = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    able && rustix::termios::isatty(rustix::stdio::stderr())
}

/// What is counted about a call.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) event: Event,
    /// What is settled so far.
    pub(super) verdict: Option<Verdict>,
    /// Exit code, once the compiler has run or a hit is written: from then on nothing may run again.
    pub(super) delivered: Option<i32>,
    /// What the compile was made of, where that is kept.
    pub(super) record: Option<Record>,
    /// What its key is made of, in lines, where the user wants to see it.
    pub(super) inputs: Option<String>,
    /// Main output, beside which a debug log may be written.
    pub(super) output: Option<PathBuf>,
    /// How a hit differs from the compile.
    pub(super) differs: Option<Differs>,
    start: Instant,
    /// Time that the compiler took, which is not ours.
    pub(super) compiler: Duration,
}

impl Tally {
    /// Begins with the start of the wrapper.
    pub(super) fn begin(compiler: &Compiler) -> Self {
        Self::new(&compiler.name, &std::env::current_dir().unwrap_or_default())
    }

    /// Begins for a compiler as typed, in a directory.
    pub(super) fn new(compiler: &OsStr, directory: &Path) -> Self {
        let event = Event {
            directory: directory.as_os_str().as_bytes().to_vec(),
            compiler: compiler.as_bytes().to_vec(),
            ..Event::default()
        };
        Self {
            event,
            verdict: None,
            delivered: None,
            record: None,
            inputs: None,
            output: None,
            differs: None,
            start: Instant::now(),
            compiler: Duration::ZERO,
        }
    }

    /// Counts a fault on the way.
    pub(super) fn fault(&mut self, name: &str) {
        self.event.faults.push(name.to_owned());
    }

    /// Settles that the compile is not stored.
    pub(super) fn not_stored(&mut self, reason: &str) {
        self.verdict = Some(Verdict::NotStored(reason.to_owned()));
    }

    /// Appends what was settled to the statistics, and in words to the log that the user asked for.
    pub(super) fn record(&self, home: &Home, config: &Config) {
        if config.stats {
            let _ = stats::append(home, &self.event);
            if let Some(record) = &self.record {
                let _ = explain::append(home, &Record { at_ms: self.event.at_ms, ..record.clone() });
            }
        }
        if is_recorded() {
            Line::of(&self.event, self.output.as_deref(), self.differs.as_ref()).note();
        }
        if let Some(log) = &config.log_file {
            // One write each, so that lines of many compiles do not mix. A log that cannot be written stops nothing.
            let text =
                format!("[{}] {}\n", self.event.at_ms, explain(&self.event).replace('\n', "\n  ").trim_end());
            let file = File::options().create(true).append(true).open(log);
            let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
        }
        if let Some(log) = &config.stats_log {
            let file = File::options().create(true).append(true).open(log);
            let _ = file.and_then(|mut file| file.write_all(statistics_lines(&self.event).as_bytes()));
        }
        let suffixes = match config.debug {
            DebugFiles::Off => return,
            DebugFiles::Own => [".dccache-log", ".dccache-inputs"],
            DebugFiles::AsCcache => [".ccache-log", ".ccache-input-text"],
        };
        if let Some(output) = &self.output {
            // Where they cannot be written, the build goes on without them.
            let _ = write_beside(output, config.debug_dir.as_deref(), suffixes[0], &explain(&self.event));
            if let Some(inputs) = &self.inputs {
                let _ = write_beside(output, config.debug_dir.as_deref(), suffixes[1], inputs);
            }
        }
    }

    /// Fills in the times.
    pub(super) fn stamp(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.event.at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.event.own_us = micros(self.start.elapsed().saturating_sub(self.compiler));
    }
}

/// Writes a debug log beside an output, or at the same place below `directory`.
fn write_beside(output: &Path, directory: Option<&Path>, suffix: &str, text: &str) -> io::Result<()> {
    let mut file = match directory {
        Some(directory) => directory.join(output.strip_prefix("/").unwrap_or(output)),
        None => output.to_owned(),
    };
    if let Some(parent) = file.parent().filter(|_| directory.is_some()) {
        fs::create_dir_all(parent)?;
    }
    file.as_mut_os_string().push(suffix);
    // Under a name that anybody can guess may lie what would hang a compile, or lead to a file of somebody else.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut file = File::options().write(true).create(true).truncate(false).custom_flags(flags).open(file)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

/// Returns a duration in whole µs.
pub(super) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
