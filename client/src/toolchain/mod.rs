//! Which files decide what a compiler writes: found out once with its own answers, then checked with one stat each.
//!
//! Shape: [`kind_of`] says which driver a program is; [`Toolchain::of`] gives the identity for one way of calling it. Both keep
//! records in `toolchains/` below the home. A record lists every file by role, path, stamp and digest, the names that must stay absent for
//! the same files to be found again, and what the compiler said about itself. On a hit nothing runs: all stamps equal and all
//! names absent, or the record is made anew, by one process at a time.
//!
//! Invariant: the id holds roles and contents only, so equal packages on two machines give equal ids.

mod answers;
mod commands;
mod configuration;
mod discover;
mod elf;
mod record;
mod specs;
mod stamp;

pub use stamp::{Stamp, is_before};

use crate::config::{CompilerCheck, CompilerType};
use crate::home::Home;
use crate::invocation::{CompilerKind, Configured, Invocation};
use crate::resolve::Compiler;
use dccache_protocol::digest::Digest;
use dccache_protocol::ids::ToolchainId;
use dccache_protocol::keys::toolchain_id;
use record::{DriverRecord, ToolchainRecord};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Variables that decide which programs and libraries a driver uses; `LD_*` beside them.
pub(crate) const RESOLUTION: [&str; 9] = [
    "CCC_ADD_ARGS",
    "CCC_OVERRIDE_OPTIONS",
    "CLANG_NO_DEFAULT_CONFIG",
    "COMPILER_PATH",
    "GCC_EXEC_PREFIX",
    "PATH",
    "GCC_ROOT",
    "LIBRARY_PATH",
    "LPATH",
];

/// A call as far as the toolchain depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Where records are kept; `None` to keep none.
    pub home: Option<&'a Home>,
    /// The driver.
    pub compiler: &'a Compiler,
    /// All environment variables.
    pub environment: &'a [(Vec<u8>, Vec<u8>)],
    /// Physical working directory.
    pub working_directory: &'a Path,
    /// How its compilers are told apart.
    pub check: &'a CompilerCheck,
    /// Directory for temporary files; `None` for the system's.
    pub temporary_dir: Option<&'a Path>,
}

impl Call<'_> {
    /// Whether the user vouches for the toolchain, so that programs that are scripts need not be understood.
    fn is_vouched_for(&self) -> bool {
        *self.check != CompilerCheck::Content
    }
}

/// Why a toolchain cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// The driver is a script or no gcc or clang.
    #[error("it is a script, or neither gcc nor clang")]
    Driver,
    /// The driver did not say what it uses.
    #[error("it does not say which programs it runs")]
    Silent,
    /// A program that the driver runs is a script, whose own programs cannot be known.
    #[error("{0} is a script")]
    Script(String),
    /// A command of `compiler_check` cannot be run, or fails.
    #[error("`compiler_check`: {0} fails")]
    Check(String),
    /// A file of it cannot be read.
    #[error("cannot read a file of it")]
    Io(#[from] std::io::Error),
}

/// Identity of a toolchain for one way of calling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Its name in keys.
    pub id: ToolchainId,
    /// What `-march=native` and its like stand for; empty where none is used.
    pub native: Vec<Vec<u8>>,
    /// The toolchain's own directories in which headers are looked for under this call's toolchain arguments, in order; those of the command line
    /// and of the environment are not among them.
    pub search: Vec<Vec<u8>>,
    /// Whether its assembler is GNU's, run by gcc's own driver in our sight.
    pub gnu_assembler: bool,
    /// What its specs or configuration files add to a command, or the word in them of which nobody knows what it does.
    pub configured: Result<Configured, Vec<u8>>,
    /// Those files.
    pub configuration: Vec<Vec<u8>>,
    /// Roles and digests of its files, in the order of `stamps`.
    roles: Vec<(String, Digest)>,
    /// Stamps of its files, by path: as long as they stand, and the names below are absent, it is the same toolchain.
    pub stamps: Vec<(Vec<u8>, Stamp)>,
    /// Names that must stay absent.
    pub absent: Vec<Vec<u8>>,
}

/// One file of a toolchain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is in the toolchain: `driver`, `cc1`, `as`, `library`, ...
    pub role: String,
    /// Where it lies.
    pub path: Vec<u8>,
    /// Digest of its content.
    pub digest: Digest,
}

/// Says which driver a program is; where the configuration says its family, the name says whether it takes C for C++.
///
/// # Errors
/// Why that cannot be known.
pub fn kind_of(call: &Call<'_>, family: CompilerType) -> Result<CompilerKind, Unknown> {
    let is_cxx = call.compiler.name.as_bytes().windows(2).any(|pair| pair == b"++");
    match family {
        CompilerType::Auto => {}
        CompilerType::Gcc => return Ok(if is_cxx { CompilerKind::Gxx } else { CompilerKind::Gcc }),
        CompilerType::Clang => return Ok(if is_cxx { CompilerKind::Clangxx } else { CompilerKind::Clang }),
        CompilerType::Other => return Err(Unknown::Driver),
    }
    let name = DriverRecord::name(call);
    if let Some(record) = call.home.and_then(|home| DriverRecord::load(home, &name)) {
        return record.kind().ok_or(Unknown::Driver);
    }
    let record = discover::driver(call)?;
    if let Some(home) = call.home {
        record.save(home, &name);
    }
    record.kind().ok_or(Unknown::Driver)
}

impl Toolchain {
    /// Finds out the identity of the toolchain that compiles `invocation`.
    ///
    /// # Errors
    /// Why that cannot be known.
    pub fn of(call: &Call<'_>, invocation: &Invocation) -> Result<Self, Unknown> {
        let name = ToolchainRecord::name(call, invocation);
        let load = || call.home.and_then(|home| ToolchainRecord::load(home, &name));
        let record = match load() {
            Some(record) => record,
            None => {
                // Held until the record is in place: of many compiles that start together one asks the compiler.
                let lock = call.home.and_then(record::lock);
                match lock.as_ref().and_then(|_| load()) {
                    Some(record) => record,
                    None => {
                        let record = discover::toolchain(call, invocation)?;
                        if let Some(home) = call.home {
                            record.save(home, &name);
                        }
                        record
                    }
                }
            }
        };
        let id = identity(call, &record)?;
        let configuration = record.files.iter().filter(|file| file.role == record::SPECS);
        let configuration = configuration.map(|file| file.path.clone()).collect();
        let (roles, stamps) =
            record.files.into_iter().map(|file| ((file.role, file.digest), (file.path, file.stamp))).unzip();
        Ok(Self {
            id,
            native: record.native,
            search: record.search,
            gnu_assembler: record.gnu_assembler,
            configured: record.configured,
            configuration,
            roles,
            stamps,
            absent: record.absent,
        })
    }

    /// Lists its files, without those that only guard.
    pub fn parts(&self) -> Vec<Part> {
        let files = self.roles.iter().zip(&self.stamps).filter(|((role, _), _)| role != record::GUARD);
        let part = |((role, digest), (path, _)): (&(String, Digest), &(Vec<u8>, Stamp))| Part {
            role: role.clone(),
            path: path.clone(),
            digest: *digest,
        };
        files.map(part).collect()
    }
}

fn identity(call: &Call<'_>, record: &ToolchainRecord) -> Result<ToolchainId, Unknown> {
    let word = |role: &str, text: &[u8]| toolchain_id(&[(role, Digest::of(text))]);
    Ok(match call.check {
        CompilerCheck::Content => {
            let files = record.files.iter().filter(|file| file.role != record::GUARD);
            toolchain_id(&files.map(|file| (file.role.as_str(), file.digest)).collect::<Vec<_>>())
        }
        CompilerCheck::Mtime => {
            let driver = record.files.iter().find(|file| file.role == record::DRIVER);
            let times = driver.map(|file| [file.stamp.size, file.stamp.mtime as u64]).unwrap_or_default();
            word("mtime", &times.map(u64::to_le_bytes).concat())
        }
        CompilerCheck::None => word("none", b""),
        CompilerCheck::Text(text) => word("string", text.as_bytes()),
        CompilerCheck::Commands(commands) => word("command", &commands::answers(call, commands)?),
    })
}

/// Returns the variables that decide which programs and libraries a driver uses.
fn resolution<'a>(call: &Call<'a>) -> impl Iterator<Item = &'a (Vec<u8>, Vec<u8>)> {
    call.environment.iter().filter(|(name, _)| {
        name.starts_with(b"LD_") || RESOLUTION.iter().any(|known| known.as_bytes() == name.as_slice())
    })
}

fn search_path<'a>(call: &Call<'a>) -> &'a OsStr {
    let path = call.environment.iter().find(|(name, _)| name == b"PATH");
    path.map_or(OsStr::new(""), |(_, value)| OsStr::from_bytes(value))
}

/// Lists the files of the toolchain of a call, for tests.
#[cfg(test)]
pub(crate) fn files_of(name: &str, invocation: &Invocation, directory: &Path) -> Vec<std::path::PathBuf> {
    let path = std::env::var_os("PATH").expect("a search path");
    let compiler = crate::resolve::resolve(OsStr::new(name), Some(&path)).expect("a compiler");
    let environment = [(b"PATH".to_vec(), path.as_bytes().to_vec())];
    let call = Call {
        home: None,
        compiler: &compiler,
        environment: &environment,
        working_directory: directory,
        check: &CompilerCheck::Content,
        temporary_dir: None,
    };
    let record = discover::toolchain(&call, invocation).expect("a toolchain");
    record.files.iter().map(|file| OsStr::from_bytes(&file.path).into()).collect()
}

#[cfg(test)]
mod tests;
