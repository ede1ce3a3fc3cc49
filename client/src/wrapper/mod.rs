//! The life of a compile: looked up, served or compiled once, stored.
//!
//! ```text
//! argv -> Invocation | bypass -> toolchain record -> preprocess -> keys -> local store -> ring -> single flight
//!      -> compile once -> capture -> local store -> agent -> exit
//! ```
//!
//! Invariant: every fault before the compiler ran ends in [`untouched`], and every fault after it ends in "not stored". There is
//! no other way out, so no fault of ours changes what a build sees.

mod capture;
mod compile;
mod deliver;
mod direct;
mod inputs;
mod learn;
mod lookup;
mod precompiled;
mod refusal;
mod sealed;
mod setting;

use crate::config::{ConfigError, Loaded, Sources};
use crate::home::Home;
use crate::invocation::{Bypass, Command, CompilerKind, Disk, Plan};
use crate::process::{exec, is_ignored, standard_streams_are_open};
use crate::project::root_of;
use crate::resolve::{Compiler, NotFound};
use crate::say::complain;
use crate::stats::{self, Verdict};
use crate::toolchain::{self, Toolchain};
use dccache_protocol::keys::SealedName;
use refusal::Refusal;
use setting::{Setting, Tally};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A compiler call as it was typed: how to find the compiler, and its arguments.
pub struct Typed<'a> {
    /// How the compiler was named: as a word or by a link, that name, and what stood before it.
    pub words: Vec<&'a OsStr>,
    /// Finds the compiler on a search path.
    pub find: &'a dyn Fn(Option<&OsStr>) -> Result<Compiler, NotFound>,
    /// `KEY=VALUE` words before the compiler.
    pub settings: Vec<OsString>,
    /// Arguments behind the compiler's name.
    pub arguments: Vec<OsString>,
}

impl std::fmt::Debug for Typed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed").field("arguments", &self.arguments.len()).finish_non_exhaustive()
    }
}

/// Serves or runs a compile and returns the exit code of the process.
pub fn compile(typed: &Typed<'_>) -> i32 {
    let path = std::env::var_os("PATH");
    if !standard_streams_are_open() || is_ignored(libc::SIGCHLD) {
        // Files that we open would take the numbers of the streams; and nobody could learn how a child ended.
        return found(typed, path.as_deref(), |compiler| untouched(compiler, &typed.arguments));
    }
    // A defect of ours says nothing on stderr and ends like any other fault.
    std::panic::set_hook(Box::new(|_| {}));
    let home = Home::location(|name| std::env::var_os(name)).and_then(|path| Home::open(&path).ok());
    let sealed = home.as_ref().and_then(|home| fast(home, typed));
    let sealed = match sealed {
        Some(Fast::Served(code)) => return code,
        Some(Fast::Name(name)) => Some(name),
        None => None,
    };
    let loaded = home.as_ref().map(|home| load(home, typed));
    let loaded = match loaded {
        Some(Ok(loaded)) => loaded,
        other => {
            return found(typed, path.as_deref(), |compiler| {
                if let (Some(home), Some(Err(error))) = (&home, &other) {
                    let mut tally = Tally::begin(compiler);
                    tally.event.cause = error.to_string().into_bytes();
                    tally.finish(home, Verdict::Bypassed("bad_configuration".to_owned()));
                }
                untouched(compiler, &typed.arguments)
            });
        }
    };
    let path = loaded.config.path.clone().or(path);
    let home = home.filter(|_| !loaded.config.disable);
    found(typed, path.as_deref(), |compiler| match &home {
        Some(home) => cached(&Call { home, loaded: &loaded, compiler, arguments: &typed.arguments, sealed }),
        None => untouched(compiler, &typed.arguments),
    })
}

/// What the fast way gave.
enum Fast {
    /// The command is served; this is the exit code.
    Served(i32),
    /// The command has no sealed record that stands; one under this name would be its own.
    Name(SealedName),
}

fn fast(home: &Home, typed: &Typed<'_>) -> Option<Fast> {
    let directory = std::env::current_dir().ok()?;
    let name = sealed::name(&typed.words, &typed.arguments, &directory);
    let served = catch_unwind(AssertUnwindSafe(|| sealed::serve(home, name, &directory)));
    Some(served.ok().flatten().map_or(Fast::Name(name), Fast::Served))
}

/// Reads the configuration of a call.
fn load(home: &Home, typed: &Typed<'_>) -> Result<Loaded, ConfigError> {
    let directory = std::env::current_dir().ok();
    let variable = |name: &str| std::env::var_os(name);
    Sources { home, directory: directory.as_deref(), variable: &variable, words: &typed.settings }.load()
}

fn found(typed: &Typed<'_>, path: Option<&OsStr>, then: impl FnOnce(&Compiler) -> i32) -> i32 {
    match (typed.find)(path) {
        Ok(compiler) => then(&compiler),
        Err(error) => {
            complain!("dccache: {error}");
            error.exit_code()
        }
    }
}

/// A compile that is to be looked up.
struct Call<'a> {
    home: &'a Home,
    loaded: &'a Loaded,
    compiler: &'a Compiler,
    arguments: &'a [OsString],
    sealed: Option<SealedName>,
}

/// Any fault ends here: becomes the compiler, with nothing touched.
fn untouched(compiler: &Compiler, arguments: &[OsString]) -> i32 {
    let Err(error) = exec(&compiler.program, &compiler.name, arguments);
    complain!("dccache: {}: {error}", compiler.program.display());
    126
}

/// How a call that was not left to the compiler ended.
enum End {
    /// Outputs and messages are delivered; this is the exit code.
    Delivered(i32),
    /// The compiler has not run.
    Untouched,
}

fn cached(call: &Call<'_>) -> i32 {
    let mut tally = Tally::begin(call.compiler);
    let ended = catch_unwind(AssertUnwindSafe(|| live(call, &mut tally)));
    let code = match ended {
        Ok(End::Delivered(code)) => Some(code),
        Ok(End::Untouched) => None,
        Err(_) => {
            tally.fault("internal_error");
            tally.verdict.get_or_insert(Verdict::Bypassed("internal_error".to_owned()));
            tally.delivered
        }
    };
    if call.loaded.config.stats
        && let Some(verdict) = tally.verdict.take()
    {
        tally.finish(call.home, verdict);
    }
    match code {
        Some(code) => code,
        None => untouched(call.compiler, call.arguments),
    }
}

/// Lives through a compile. Sets the tally's verdict in every case.
fn live(call: &Call<'_>, tally: &mut Tally) -> End {
    match prepare(call).and_then(|setting| setting.serve(tally)) {
        Ok(code) => End::Delivered(code),
        Err(refusal) => {
            let Bypass { reason, cause } = match refusal {
                Refusal::Call(bypass) => bypass,
                Refusal::Ours(name, cause) => {
                    tally.event.cause = cause;
                    tally.verdict = Some(Verdict::Bypassed(name.to_owned()));
                    return End::Untouched;
                }
            };
            tally.event.cause = cause;
            tally.verdict = Some(Verdict::Bypassed(reason.name().to_owned()));
            End::Untouched
        }
    }
}

/// Understands the call and finds out which toolchain it runs.
fn prepare<'a>(call: &Call<'a>) -> Result<Setting<'a>, Refusal> {
    let Call { home, loaded, compiler, arguments, sealed } = *call;
    let config = &loaded.config;
    if compiler.is_other_cache() {
        return Err(Refusal::because("unsupported_compiler", compiler.name.as_bytes()));
    }
    let directory = std::env::current_dir().map_err(|_| Refusal::ours("bad_working_directory"))?;
    let environment: Vec<(Vec<u8>, Vec<u8>)> = std::env::vars_os()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    let call = toolchain::Call {
        home: Some(home),
        compiler,
        environment: &environment,
        working_directory: &directory,
    };
    let kind: CompilerKind =
        toolchain::kind_of(&call).map_err(|why| Refusal::because("unsupported_compiler", why.to_string()))?;
    let mut argv = vec![compiler.name.as_bytes().to_vec()];
    argv.extend(arguments.iter().map(|argument| argument.as_bytes().to_vec()));
    let command = Command {
        kind,
        argv: &argv,
        environment: &environment,
        working_directory: directory.as_os_str().as_bytes(),
    };
    let disk = Disk::new(&directory);
    let mut invocation = match Plan::of(&command, &disk) {
        Plan::Compile(invocation) => *invocation,
        Plan::Bypass(bypass) => return Err(Refusal::Call(bypass)),
    };
    if config.sloppiness.locale {
        let is_locale = |name: &[u8]| name.starts_with(b"LC_") || name.starts_with(b"LANG");
        invocation.environment.always.retain(|(name, _)| !is_locale(name));
    }
    let toolchain = Toolchain::of(&call, &invocation, &config.compiler_check)
        .map_err(|why| Refusal::because("unsupported_compiler", why.to_string()))?;
    let root = root_of(&invocation.working_directory, &config.base_dir);
    Ok(Setting {
        home,
        config,
        compiler,
        arguments,
        argv,
        disk,
        directory,
        invocation,
        toolchain,
        root,
        sealed,
        files_read: &loaded.files,
    })
}

impl Tally {
    /// Appends the record.
    fn finish(mut self, home: &Home, verdict: Verdict) {
        self.event.verdict = verdict;
        self.stamp();
        let _ = stats::append(home, &self.event);
    }
}
