//! The record of one verified build: each compile that runs under its variable adds a line.
//!
//! Neither time nor directory tells which compiles belong to a build; a variable that its processes inherit does.
//!
//! Invariant: a record from which a line is missing says so, wherever the compile whose line it is could reach the record at all. Space for some
//! thousand lines is reserved, so that a full disk keeps few out.

use super::report::{Differs, Shown};
use crate::explain::found;
use crate::home::{Home, unique_part};
use crate::stats::{Event, Verdict};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Names the record to the compiles of a build.
pub const VARIABLE: &str = "DCCACHE_VERIFY_BUILD";

/// Largest record that is read, in bytes: some hundred thousand compiles.
const RECORD_MAX: u64 = 256 << 20;

/// Bytes that are reserved for a record: some thousand compiles.
const RESERVED: u64 = 1 << 20;

/// Permissions of a record from which a line is missing: nobody executes one, and a full disk keeps none from saying so.
const INCOMPLETE: u32 = 0o700;

/// Age at which a record that a killed command left is removed: no build takes that long.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);

/// What verifying a compile came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was found, and is what the compiler gives.
    Equal,
    /// It was found, and is not.
    Different,
    /// It was found, and could not be compared.
    NotVerified,
    /// It was not found.
    Compiled,
    /// It was not looked for.
    LeftToTheCompiler,
}

/// One compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What verifying it came to.
    pub outcome: Outcome,
    /// Why it was not verified; empty where it was.
    pub reason: String,
    /// Compiler as typed.
    pub compiler: String,
    /// Source as typed.
    pub source: String,
    /// Working directory.
    pub directory: String,
    /// Main output; `None` where there is none, or it was not looked for.
    pub object: Option<String>,
    /// Where it was found; empty where it was not.
    pub found: String,
    /// Who signed what differs, where it came from the ring.
    pub signer: Option<String>,
    /// What differs.
    pub differences: Vec<Shown>,
}

impl Line {
    /// Tells what became of a compile.
    pub fn of(event: &Event, object: Option<&Path>, differs: Option<&Differs>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (outcome, reason) = match &event.verdict {
            _ if differs.is_some() => (Outcome::Different, ""),
            Verdict::Verified(_) => (Outcome::Equal, ""),
            Verdict::Hit(_) => (Outcome::NotVerified, "verify_is_off"),
            Verdict::Unverified(_, reason) => (Outcome::NotVerified, reason.as_str()),
            Verdict::Miss => (Outcome::Compiled, "not_found"),
            Verdict::NotStored(reason) => (Outcome::Compiled, reason.as_str()),
            Verdict::Bypassed(reason) => (Outcome::LeftToTheCompiler, reason.as_str()),
        };
        let place = event.verdict.served().map(|served| found(served).1);
        Self {
            outcome,
            reason: reason.to_owned(),
            compiler: text(&event.compiler),
            source: text(&event.source),
            directory: text(&event.directory),
            object: object.map(|path| path.display().to_string()),
            found: differs.map(|differs| differs.place).or(place).unwrap_or_default().to_owned(),
            signer: differs.and_then(|differs| Some(format!("signer:{}", differs.signer?))),
            differences: differs.map(|differs| differs.differences.clone()).unwrap_or_default(),
        }
    }

    /// Adds it to the record of the build that this process belongs to, if any.
    pub fn note(&self) {
        let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
        if self.append(&path).is_err() {
            mark(&path);
        }
    }

    fn append(&self, path: &Path) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        bytes.push(b'\n');
        // The command made it; a leftover of the variable makes no file.
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        // One write, so that lines of many compiles do not mix.
        file.write_all(&bytes)
    }
}

/// Says of a record that a line is missing; one that cannot say so goes, which says the same.
fn mark(record: &Path) {
    let ours = fs::symlink_metadata(record).is_ok_and(|found| found.is_file());
    if ours && fs::set_permissions(record, fs::Permissions::from_mode(INCOMPLETE)).is_err() {
        let _ = fs::remove_file(record);
    }
}

/// Whether this process belongs to a verified build.
pub fn is_recorded() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The compiles.
    pub lines: Vec<Line>,
    /// Whether no line is known to be missing.
    pub complete: bool,
}

/// The record of a build that is being verified; it goes when this does.
#[derive(Debug)]
pub struct Build<'a> {
    home: &'a Home,
    name: String,
}

impl<'a> Build<'a> {
    /// Begins an empty one.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn begin(home: &'a Home) -> io::Result<Self> {
        remove_abandoned(home);
        let name = format!("verify/build-{}", unique_part());
        let record = home.open_for_writing(&name, OFlags::WRONLY | OFlags::EXCL)?;
        // Where nothing can be reserved, a line that finds no space is said to be missing.
        let _ = rustix::fs::fallocate(&record, FallocateFlags::KEEP_SIZE, 0, RESERVED);
        Ok(Self { home, name })
    }

    /// Returns where it is.
    pub fn path(&self) -> PathBuf {
        self.home.path().join(&self.name)
    }

    /// Reads the lines so far; what is torn is left out, and missing.
    ///
    /// # Errors
    /// Why it cannot be read: nobody knows then what was verified.
    pub fn lines(&self) -> io::Result<Lines> {
        let bytes = match self.home.read(&self.name, RECORD_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Lines { lines: Vec::new(), complete: false });
            }
            other => other?,
        };
        let marked = fs::symlink_metadata(self.path())?.permissions().mode() & 0o777 == INCOMPLETE;
        let pieces = bytes.split(|&byte| byte == b'\n').filter(|piece| !piece.is_empty());
        let read: Vec<Option<Line>> = pieces.map(|piece| serde_json::from_slice(piece).ok()).collect();
        let complete = !marked && read.iter().all(Option::is_some);
        Ok(Lines { lines: read.into_iter().flatten().collect(), complete })
    }
}

impl Drop for Build<'_> {
    fn drop(&mut self) {
        let _ = self.home.remove(&self.name);
    }
}

fn remove_abandoned(home: &Home) {
    let Ok(entries) = fs::read_dir(home.path().join("verify")) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let changed = entry.metadata().and_then(|found| found.modified());
        let old = changed
            .is_ok_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age > ABANDONED));
        if old && name.starts_with("build-") {
            let _ = home.remove(&format!("verify/{name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_torn_could_not_be_written_or_went_with_its_record_is_missing() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let line = Line::of(&Event::default(), None, None);
        let build = Build::begin(&home).unwrap();
        assert_eq!(build.lines().unwrap(), Lines { lines: Vec::new(), complete: true });
        line.append(&build.path()).unwrap();
        assert_eq!(build.lines().unwrap(), Lines { lines: vec![line.clone()], complete: true });
        mark(&build.path());
        line.append(&build.path()).unwrap();
        assert_eq!(build.lines().unwrap(), Lines { lines: vec![line.clone(); 2], complete: false });

        let torn = Build::begin(&home).unwrap();
        File::options().append(true).open(torn.path()).unwrap().write_all(b"{\"outcome\":").unwrap();
        line.append(&torn.path()).unwrap();
        line.append(&torn.path()).unwrap();
        assert_eq!(torn.lines().unwrap(), Lines { lines: vec![line], complete: false });

        fs::remove_file(torn.path()).unwrap();
        mark(&torn.path());
        assert_eq!(torn.lines().unwrap(), Lines { lines: Vec::new(), complete: false });
    }
}
