//! Which program a compiler's name stands for, as the shell would find it, skipping ourselves and other caches.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Other programs that stand in front of compilers; a link of a compiler's name to one of them is no compiler.
const OTHER_CACHES: [&str; 9] =
    ["ccache", "sccache", "distcc", "icecc", "buildcache", "cachecc1", "colorgcc", "clcache", "zccache"];

/// Scripts that could call us again are at most this long, in bytes; compilers are longer and are never read.
const SCRIPT_MAX: u64 = 64 << 10;

/// A compiler's name and the program behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// Program to execute.
    pub program: PathBuf,
    /// Name that it is called by (its `argv[0]`): as typed, or the whole path where a stand-in was skipped, since
    /// drivers look themselves up on PATH by it.
    pub name: OsString,
    /// Names on the search path that were passed over, absent ones included: what stands there now could be found instead.
    pub passed: Vec<PathBuf>,
}

/// Why there is no compiler to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No directory on PATH has it.
    #[error("{}: command not found", .0.display())]
    OnPath(OsString),
    /// The path does not exist.
    #[error("{}: No such file or directory", .0.display())]
    File(OsString),
    /// It exists and cannot be executed.
    #[error("{}: Permission denied", .0.display())]
    NotExecutable(OsString),
    /// It is a directory.
    #[error("{}: Is a directory", .0.display())]
    Directory(OsString),
}

impl Compiler {
    /// Tells whether it is a program that stands in front of compilers, asked for by its own name: it runs as it is.
    pub fn is_other_cache(&self) -> bool {
        self.program.file_name().is_some_and(is_other_cache)
    }
}

impl NotFound {
    /// Returns the exit code that a shell gives: 127 for absent, 126 for not executable.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::OnPath(_) | Self::File(_) => 127,
            Self::NotExecutable(_) | Self::Directory(_) => 126,
        }
    }
}

/// Finds the program for `word`: a path when it holds a slash, else a name on `path`.
///
/// # Errors
/// What the shell would say.
pub fn resolve(word: &OsStr, path: Option<&OsStr>) -> Result<Compiler, NotFound> {
    if word.as_bytes().contains(&b'/') {
        return by_path(word, path);
    }
    search(word, path, 0)
}

/// Finds the compiler that a link of ours, called `name`, stands for.
///
/// # Errors
/// What the shell would say without the link.
pub fn behind_link(name: &OsStr, path: Option<&OsStr>) -> Result<Compiler, NotFound> {
    search(name, path, 1)
}

fn by_path(word: &OsStr, path: Option<&OsStr>) -> Result<Compiler, NotFound> {
    let file = Path::new(word);
    let Ok(metadata) = file.metadata() else { return Err(NotFound::File(word.to_owned())) };
    if metadata.is_dir() {
        return Err(NotFound::Directory(word.to_owned()));
    }
    if !is_executable(&metadata) {
        return Err(NotFound::NotExecutable(word.to_owned()));
    }
    let asked_for = is_other_cache(file.file_name().unwrap_or(word));
    if is_stand_in(file, &metadata, ourselves().as_ref(), asked_for) {
        let found = behind_link(file.file_name().unwrap_or(word), path)?;
        return Ok(Compiler { passed: [vec![file.to_owned()], found.passed].concat(), ..found });
    }
    Ok(Compiler { program: file.to_owned(), name: word.to_owned(), passed: Vec::new() })
}

fn search(name: &OsStr, path: Option<&OsStr>, mut skipped: u32) -> Result<Compiler, NotFound> {
    // The shells' own default where PATH is unset.
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    let (ourselves, asked_for) = (ourselves(), is_other_cache(name));
    let mut refused = false;
    let mut passed = Vec::new();
    for directory in std::env::split_paths(path) {
        let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
        let program = directory.join(name);
        let Ok(metadata) = program.metadata() else {
            passed.push(program);
            continue;
        };
        if metadata.is_dir() {
            passed.push(program);
            continue;
        }
        if !is_executable(&metadata) {
            refused = true;
        } else if is_stand_in(&program, &metadata, ourselves.as_ref(), asked_for) {
            skipped += 1;
        } else {
            let name = if skipped > 0 { program.as_os_str().to_owned() } else { name.to_owned() };
            return Ok(Compiler { program, name, passed });
        }
        passed.push(program);
    }
    let name = name.to_owned();
    Err(if refused { NotFound::NotExecutable(name) } else { NotFound::OnPath(name) })
}

fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o111 != 0
}

fn ourselves() -> Option<Metadata> {
    fs::metadata("/proc/self/exe").ok()
}

/// Tells whether a program is ourselves, another cache, or a script that calls one of them. Where another cache was `asked_for` by its own
/// name, as in `dccache distcc gcc`, only we are passed over.
fn is_stand_in(program: &Path, metadata: &Metadata, ourselves: Option<&Metadata>, asked_for: bool) -> bool {
    let same_file = |other: &Metadata| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino());
    if ourselves.is_some_and(same_file) {
        return true;
    }
    if asked_for {
        return false;
    }
    let is_link = fs::symlink_metadata(program).is_ok_and(|own| own.file_type().is_symlink());
    let target = if is_link { fs::canonicalize(program).ok() } else { None };
    let target = target.as_deref().unwrap_or(program).file_name().unwrap_or_default().as_bytes();
    is_cache_name(target) || (metadata.len() <= SCRIPT_MAX && calls_a_cache(program, metadata))
}

fn is_cache_name(name: &[u8]) -> bool {
    name.starts_with(b"dccache") || is_other_cache(OsStr::from_bytes(name))
}

fn is_other_cache(name: &OsStr) -> bool {
    OTHER_CACHES.iter().any(|cache| name == *cache)
}

/// Tells whether a script has a line whose command is us or another cache. A script of the compiler's name that calls us by that
/// name would call itself through us without end.
fn calls_a_cache(program: &Path, metadata: &Metadata) -> bool {
    if !metadata.is_file() {
        return false;
    }
    let mut text = Vec::new();
    let read = File::open(program).and_then(|file| file.take(SCRIPT_MAX).read_to_end(&mut text));
    if read.is_err() || !text.starts_with(b"#!") {
        return false;
    }
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let mut words = lines.flat_map(|line| line.split(|byte| b" \t\"';|&()=".contains(byte)));
    words.any(|word| is_cache_name(word.rsplit(|&byte| byte == b'/').next().unwrap_or_default()))
}
