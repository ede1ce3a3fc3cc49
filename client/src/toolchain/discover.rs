//! Asking a compiler which programs and files it uses. Runs once per toolchain, under a lock.

mod options;

use super::answers;
use super::elf::{self, Program};
use super::record::{DRIVER, DriverRecord, GUARD, ToolchainFile, ToolchainRecord};
use super::{Call, Stamp, Unknown, search_path};
use crate::invocation::{CompilerKind, Configured, INCLUDE_VARIABLES, Invocation};
use crate::process::answer_of;
use dccache_protocol::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files by which the system's loader chooses libraries beside the search that it reports.
const LOADER_FILES: [&str; 2] = ["/etc/ld.so.cache", "/etc/ld.so.preload"];

/// What the GNU assembler calls itself.
const GNU_ASSEMBLER: &[u8] = b"GNU assembler";

/// The beginning of a variable that gcc's driver sets for what it runs; programs that only start it elsewhere do not. The rest can be in the code.
const GCC_DRIVER: &[u8] = b"COLLECT_GCC_OPTI";

/// Where installations of gcc lie below a prefix.
const INSTALLATIONS: [&str; 8] = [
    "lib/gcc",
    "lib/gcc-cross",
    "lib32/gcc",
    "lib32/gcc-cross",
    "lib64/gcc",
    "lib64/gcc-cross",
    "libx32/gcc",
    "libx32/gcc-cross",
];

/// Finds out which driver a program is, by its own words and by which compiler proper it runs for a `.c` file.
pub(super) fn driver(call: &Call<'_>) -> Result<DriverRecord, Unknown> {
    let program = &call.compiler.program;
    let driver = file_of(DRIVER, program)?;
    if elf::program(program)? == Program::Script && !call.is_vouched_for() {
        return Ok(DriverRecord::new(driver, None));
    }
    let directory = probe_source(call)?;
    let words = ["-###".into(), "-c".into(), directory.source];
    let answer = answer_of(program, &call.compiler.name, &words, &[]);
    let text = answer?.map(|answer| answer.stderr).unwrap_or_default();
    let says = |word: &str| memchr::memmem::find(&text, word.as_bytes()).is_some();
    let clang = says("clang version ");
    let gcc = says("\ngcc version ");
    let ends = |end: &str| {
        let commands = answers::commands(&text);
        commands.iter().any(|words| words[0].ends_with(end.as_bytes()))
    };
    let kind = match (clang, gcc) {
        (true, false) if says("\"c++\"") => Some(CompilerKind::Clangxx),
        (true, false) if says("\"-cc1\"") => Some(CompilerKind::Clang),
        (false, true) if ends("/cc1plus") => Some(CompilerKind::Gxx),
        (false, true) if ends("/cc1") => Some(CompilerKind::Gcc),
        _ => None,
    };
    Ok(DriverRecord::new(driver, kind))
}

/// A source that exists, since drivers refuse absent ones even under `-###`.
struct ProbeSource {
    _directory: tempfile::TempDir,
    source: OsString,
}

fn probe_source(call: &Call<'_>) -> io::Result<ProbeSource> {
    let system = std::env::temp_dir();
    let directory = call.temporary_dir.unwrap_or(&system);
    let directory = tempfile::Builder::new().prefix("dccache-").tempdir_in(directory)?;
    let source = directory.path().join("probe.c");
    fs::write(&source, b"")?;
    Ok(ProbeSource { source: source.into_os_string(), _directory: directory })
}

/// Finds out everything about one way of calling a driver.
pub(super) fn toolchain(call: &Call<'_>, invocation: &Invocation) -> Result<ToolchainRecord, Unknown> {
    let fixed: Vec<OsString> =
        invocation.toolchain_arguments.iter().map(|word| OsString::from_vec(word.clone())).collect();
    let native = invocation.native.iter().map(|word| OsString::from_vec(word.clone()));
    let ask = |words: Vec<OsString>| {
        let arguments: Vec<OsString> = fixed.iter().cloned().chain(words).collect();
        // A record is not named by the variables that add directories, so what it says must not follow from them.
        answer_of(&call.compiler.program, &call.compiler.name, &arguments, INCLUDE_VARIABLES)
    };
    let language = || ["-x".into(), invocation.language.name().into()];
    let compile = ["-c", "/dev/null", "-o", "/dev/null"].map(OsString::from);
    let dry = native.chain(["-###".into()]).chain(language()).chain(compile).collect();
    let dry = ask(dry)?.ok_or(Unknown::Silent)?.stderr;
    let commands = answers::commands(&dry);
    let proper = commands.first().ok_or(Unknown::Silent)?;
    let directories = ask(vec!["-print-search-dirs".into()])?.unwrap_or_default().stdout;
    let search = ["-v", "-E"].map(OsString::from).into_iter().chain(language()).chain(["/dev/null".into()]);
    let search = ask(search.collect())?.unwrap_or_default().stderr;

    let mut found = Discovery::default();
    // One that appears changes the search.
    let absent = answers::absent_directories(&search).into_iter();
    found.tried.extend(absent.map(|directory| PathBuf::from(OsString::from_vec(directory))));
    found.add(DRIVER, &call.compiler.program)?;
    found.add_program(call, &call.compiler.program)?;
    let programs = answers::search_directories(&directories, "programs");
    for command in &commands {
        found.add_command(call, &command[0], &programs)?;
    }
    let files = answers::configuration_files(&dry);
    if invocation.kind.is_clang() {
        found.guard_configurations(call, &fixed)?;
        found.add_configurations(&files)?;
        found.add_lists(proper)?;
        found.guard_installations(&search);
    } else {
        let libraries = answers::search_directories(&directories, "libraries");
        found.add_specs(&files, &invocation.toolchain_arguments, &libraries)?;
    }
    for plugin in &invocation.plugins {
        found.add_plugin(call, plugin, proper)?;
    }
    for file in LOADER_FILES.map(Path::new) {
        if file.exists() { found.add(GUARD, file)? } else { found.tried.extend([file.to_owned()]) }
    }
    let native = if invocation.native.is_empty() { Vec::new() } else { answers::machine_words(proper) };
    Ok(found.into_record(native, answers::header_directories(&search)))
}

/// Files and names found so far.
#[derive(Debug, Default)]
struct Discovery {
    /// By path; the first role stays.
    files: BTreeMap<PathBuf, ToolchainFile>,
    tried: BTreeSet<PathBuf>,
    gnu_assembler: bool,
    configured: Configured,
    refused: Option<Vec<u8>>,
}

impl Discovery {
    fn add(&mut self, role: &str, path: &Path) -> Result<(), Unknown> {
        if !self.files.contains_key(path) {
            let file = file_of(role, path)?;
            self.files.insert(path.to_owned(), file);
        }
        Ok(())
    }

    /// Adds a command's program: where it is named without a directory, the one that the search gives, and the names tried before.
    fn add_command(&mut self, call: &Call<'_>, word: &[u8], programs: &[Vec<u8>]) -> Result<(), Unknown> {
        let name = word.rsplit(|&byte| byte == b'/').next().unwrap_or(word);
        let in_path =
            std::env::split_paths(search_path(call)).map(|directory| directory.join(OsStr::from_bytes(name)));
        let in_programs =
            programs.iter().map(|directory| PathBuf::from(OsString::from_vec([directory, name].concat())));
        let candidates: Vec<PathBuf> = in_programs.chain(in_path).collect();
        let named = Path::new(OsStr::from_bytes(word));
        let at = match named.is_absolute() {
            true => candidates.iter().position(|candidate| candidate == named),
            false => candidates.iter().position(|candidate| is_executable(candidate)),
        };
        let path = match at {
            Some(at) => {
                self.tried.extend(candidates[..at].iter().cloned());
                candidates[at].clone()
            }
            // A driver that names a place of its own, as clang does with itself.
            None if named.is_absolute() => named.to_owned(),
            None => return Err(Unknown::Silent),
        };
        self.add(&String::from_utf8_lossy(name), &path)?;
        if name == b"as" || name.ends_with(b"-as") {
            let says =
                |path: &Path, what| fs::read(path).map(|bytes| memchr::memmem::find(&bytes, what).is_some());
            self.gnu_assembler = says(&path, GNU_ASSEMBLER)? && says(&call.compiler.program, GCC_DRIVER)?;
        }
        self.add_program(call, &path)
    }

    /// Adds the lists of functions that clang's sanitizers read unasked, each in a role of its own name, and guards the directory
    /// in which more of them could appear.
    fn add_lists(&mut self, proper: &[Vec<u8>]) -> Result<(), Unknown> {
        if proper.iter().any(|word| word == b"-cc1as") {
            // Assembly has no functions that lists could name.
            return Ok(());
        }
        let option = proper.iter().position(|word| word == b"-resource-dir");
        let Some(resources) = option.and_then(|at| proper.get(at + 1)) else { return Err(Unknown::Silent) };
        let directory = Path::new(OsStr::from_bytes(resources)).join("share");
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.tried.insert(directory);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        // Taken before the names are read: a later change shows.
        let stamp = Stamp::of(&directory).ok_or(Unknown::Silent)?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with("list.txt") {
                self.add(&name, &entry.path())?;
            }
        }
        self.guard(&directory, stamp);
        Ok(())
    }

    /// Guards the places where clang looks for installations of gcc, whose directories it searches: it takes the newest.
    ///
    /// Source: what `clang -v` lists, and which directories it was seen to look into.
    fn guard_installations(&mut self, search: &[u8]) {
        for prefix in answers::installation_prefixes(search) {
            let prefix = PathBuf::from(OsString::from_vec(prefix));
            for name in INSTALLATIONS {
                let directory = prefix.join(name);
                if !directory.is_dir() {
                    self.tried.insert(directory);
                    continue;
                }
                // The directory of all targets, of one target, and of one version, which counts by the files in it.
                let targets = directories_in(&directory);
                let versions = targets.iter().flat_map(|target| directories_in(target));
                let all: Vec<PathBuf> = versions.chain(targets.iter().cloned()).chain([directory]).collect();
                for directory in all {
                    if let Some(stamp) = Stamp::of(&directory) {
                        self.guard(&directory, stamp);
                    }
                }
            }
        }
    }

    /// Notes a name whose change means to ask again; its content does not matter.
    fn guard(&mut self, path: &Path, stamp: Stamp) {
        let name = path.as_os_str().as_bytes().to_vec();
        let guard = ToolchainFile { role: GUARD.to_owned(), path: name, stamp, digest: Digest::of(b"") };
        self.files.entry(path.to_owned()).or_insert(guard);
    }

    fn add_libraries(&mut self, call: &Call<'_>, loader: &Path, path: &Path) -> Result<(), Unknown> {
        let libraries = elf::libraries(call, loader, path)?;
        for library in &libraries.files {
            self.add("library", library)?;
        }
        self.tried.extend(libraries.tried);
        Ok(())
    }

    /// Adds the shared libraries of a program.
    fn add_program(&mut self, call: &Call<'_>, path: &Path) -> Result<(), Unknown> {
        match elf::program(path)? {
            Program::Script if call.is_vouched_for() => {}
            Program::Script => return Err(Unknown::Script(path.display().to_string())),
            Program::Static => {}
            Program::Dynamic(loader) => self.add_libraries(call, &loader, path)?,
        }
        Ok(())
    }

    fn into_record(mut self, native: Vec<Vec<u8>>, search: Vec<Vec<u8>>) -> ToolchainRecord {
        // What was tried, is there, and was not taken, may be taken once its mode or content changes.
        for path in std::mem::take(&mut self.tried) {
            match Stamp::of(&path) {
                Some(stamp) => self.guard(&path, stamp),
                None => drop(self.tried.insert(path)),
            }
        }
        let absent: BTreeSet<PathBuf> = self.tried.iter().filter_map(|path| deepest_absent(path)).collect();
        ToolchainRecord {
            files: self.files.into_values().collect(),
            absent: absent.into_iter().map(|path| path.into_os_string().into_vec()).collect(),
            native,
            search,
            gnu_assembler: self.gnu_assembler,
            configured: self.refused.map_or(Ok(self.configured), Err),
        }
    }
}

fn directories_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Returns the part of an absent path that would have to appear first, so that many names in an absent directory are one check;
/// `None` for a path that exists.
fn deepest_absent(path: &Path) -> Option<PathBuf> {
    let absent = |path: &Path| fs::symlink_metadata(path).is_err();
    let mut found = Some(path).filter(|path| absent(path))?;
    while let Some(parent) = found.parent().filter(|parent| !parent.as_os_str().is_empty() && absent(parent))
    {
        found = parent;
    }
    Some(found.to_owned())
}

fn file_of(role: &str, path: &Path) -> Result<ToolchainFile, Unknown> {
    let stamp = |path: &Path| Stamp::of(path).ok_or(Unknown::Io(io::ErrorKind::NotFound.into()));
    let before = stamp(path)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path)?)?;
    if stamp(path)? != before {
        return Err(Unknown::Io(io::Error::other("it changed while it was read")));
    }
    let path = path.as_os_str().as_bytes().to_vec();
    let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
    Ok(ToolchainFile { role: role.to_owned(), path, stamp: before, digest })
}
