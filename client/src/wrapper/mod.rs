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
mod foresee;
mod inputs;
mod learn;
mod listed;
mod lookup;
mod moving;
mod pays;
mod precompiled;
mod prefix;
mod refusal;
mod remember;
mod rules;
mod sealed;
mod setting;
mod share;
mod shared_directory;
mod shown;
mod text;
mod tokens;
mod verify;

pub use foresee::{Foreseen, foresee};
pub use rules::{Fault, InForce, Own, Rules};

use crate::config::{Config, ResponseFileFormat};
use crate::cpp::Places;
use crate::home::Home;
use crate::invocation::{
    Bypass, Command, CompilerKind, Configured, Disk, Invocation, Plan, Plugins, Quoting, Reason,
};
use crate::keying::{declare, make_portable, split_overlays, take_out_declared};
use crate::process::{coarse_now_ns, exec, is_ignored, standard_streams_are_open};
use crate::project::root_of;
use crate::resolve::{Compiler, NotFound, resolve};
use crate::say::complain;
use crate::stats::Verdict;
use crate::toolchain::{self, Toolchain};
use dccache_protocol::keys::SealedName;
use prefix::Start;
use refusal::Refusal;
use rustix::process::{Resource, getrlimit};
use setting::{Setting, Tally};
use shared_directory::Shared;
use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// A compiler call as it was typed: how to find the compiler, and its arguments.
pub struct Typed<'a> {
    /// How the compiler was named: as a word or by a link, that name, and what stood before it.
    pub words: Vec<&'a OsStr>,
    /// Finds the compiler on a search path.
    pub find: &'a dyn Fn(Option<&OsStr>) -> Result<Compiler, NotFound>,
    /// By whose rules it is configured.
    pub rules: &'a dyn Rules,
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
    if !standard_streams_are_open() || is_ignored(libc::SIGCHLD) || files_are_limited() {
        // Files that we open would take the numbers of the streams; nobody could learn how a child ended; a limit kills who writes beyond it.
        return found(typed, typed.find, path.as_deref(), |compiler| {
            untouched(compiler, &typed.arguments, &[])
        });
    }
    // A defect of ours says nothing on stderr and ends like any other fault.
    std::panic::set_hook(Box::new(|_| {}));
    let (home, sealed) = match begin(typed.rules.home(), typed) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let in_force = match typed.rules.in_force(home.as_ref()) {
        Ok(in_force) => in_force,
        Err(Fault::Final(code)) => return code,
        Err(Fault::Counted(cause)) => {
            return found(typed, typed.find, path.as_deref(), |compiler| {
                if let Some(home) = &home {
                    let mut tally = Tally::begin(compiler);
                    tally.event.cause = cause.into_bytes();
                    tally.finish(home, &Config::default(), Verdict::Bypassed("bad_configuration".to_owned()));
                }
                untouched(compiler, &typed.arguments, &[])
            });
        }
    };
    let moved = in_force.home.clone().filter(|moved| home.as_ref().is_none_or(|home| home.path() != moved));
    match moved.map(|moved| begin(Some(moved), typed)) {
        None => configured(typed, &in_force, home, sealed),
        Some(Ok((home, sealed))) => configured(typed, &in_force, home, sealed),
        Some(Err(code)) => code,
    }
}

/// Serves or runs a compile whose configuration is known.
fn configured(typed: &Typed<'_>, in_force: &InForce, home: Option<Home>, sealed: Option<Unsealed>) -> i32 {
    let path = std::env::var_os("PATH");
    let config = &in_force.config;
    let configured = config.path.clone().or_else(|| path.clone());
    let home = home.filter(|_| !config.disable);
    let named = config.compiler.as_ref().map(OsStr::new);
    let find = |path: Option<&OsStr>| named.map_or_else(|| (typed.find)(path), |name| resolve(name, path));
    let forced = |configured: Option<&OsStr>| {
        let mut compiler = find(configured)?;
        // A driver looks itself up on PATH by its name, where it would find another one, or nothing.
        if configured != path.as_deref()
            && !find(path.as_deref()).is_ok_and(|same| same.program == compiler.program)
        {
            compiler.name = compiler.program.clone().into_os_string();
        }
        Ok(compiler)
    };
    found(typed, &forced, configured.as_deref(), |compiler| match &home {
        Some(home) => cached(&Call { home, in_force, compiler, arguments: &typed.arguments, sealed }),
        None => untouched(compiler, &typed.arguments, &config.prefix_command),
    })
}

/// Largest size of a file, in bytes, that a limit must allow: tables are written some MiB behind their beginning, and entries are a little larger than the
/// outputs, which the compiler must be able to write itself.
const FILE_MIN: u64 = 1 << 30;

fn files_are_limited() -> bool {
    getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < FILE_MIN)
}

/// Opens the user's directory and takes the fast way in it.
///
/// # Errors
/// The exit code of a command that is served by that.
fn begin(home: Option<PathBuf>, typed: &Typed<'_>) -> Result<(Option<Home>, Option<Unsealed>), i32> {
    let home = home.and_then(|path| Home::open(&path).ok());
    match home.as_ref().and_then(|home| fast(home, typed)) {
        Some(Fast::Served(code)) => Err(code),
        Some(Fast::Name(name)) => Ok((home, Some(name))),
        None => Ok((home, None)),
    }
}

/// A command without a sealed record that stands.
#[derive(Clone, Copy, Debug)]
struct Unsealed {
    /// Name under which one would be its own.
    name: SealedName,
    /// What was wrong with the one that lies there.
    fault: Option<&'static str>,
}

/// What the fast way gave.
enum Fast {
    /// The command is served; this is the exit code.
    Served(i32),
    /// The command has no sealed record that stands; one under this name would be its own. The fault is what was found there.
    Name(Unsealed),
}

fn fast(home: &Home, typed: &Typed<'_>) -> Option<Fast> {
    let directory = std::env::current_dir().ok()?;
    let name = sealed::name(&typed.words, &typed.arguments, &directory);
    let served = catch_unwind(AssertUnwindSafe(|| sealed::serve(home, name, &directory)));
    Some(match served {
        Ok(sealed::Record::Served(code)) => Fast::Served(code),
        Ok(sealed::Record::Damaged) => Fast::Name(Unsealed { name, fault: Some("corrupt_sealed_record") }),
        Ok(sealed::Record::Nothing) | Err(_) => Fast::Name(Unsealed { name, fault: None }),
    })
}

fn found(
    typed: &Typed<'_>,
    find: &dyn Fn(Option<&OsStr>) -> Result<Compiler, NotFound>,
    path: Option<&OsStr>,
    then: impl FnOnce(&Compiler) -> i32,
) -> i32 {
    match find(path) {
        Ok(compiler) => then(&compiler),
        Err(error) => typed.rules.without_compiler(&error),
    }
}

/// A compile that is to be looked up.
struct Call<'a> {
    home: &'a Home,
    in_force: &'a InForce,
    compiler: &'a Compiler,
    arguments: &'a [OsString],
    sealed: Option<Unsealed>,
}

/// Any fault ends here: becomes the compiler, behind its prefix where it has one, with nothing touched.
fn untouched(compiler: &Compiler, arguments: &[OsString], prefix: &[String]) -> i32 {
    let start = Start::of(prefix, compiler, arguments);
    let Err(error) = exec(&start.program, &start.name, &start.arguments);
    complain!("dccache: {}: {error}", start.program.display());
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
    call.sealed.and_then(|unsealed| unsealed.fault).into_iter().for_each(|fault| tally.fault(fault));
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
    let config = &call.in_force.config;
    if let Some(verdict) = tally.verdict.take() {
        tally.finish(call.home, config, verdict);
    }
    match code {
        Some(code) => code,
        None => untouched(call.compiler, call.arguments, &config.prefix_command),
    }
}

/// Lives through a compile. Sets the tally's verdict in every case.
fn live(call: &Call<'_>, tally: &mut Tally) -> End {
    // The process ends soon after, or becomes the compiler.
    match prepare(call).and_then(|setting| ManuallyDrop::new(setting).serve(tally)) {
        Ok(code) => End::Delivered(code),
        Err(refusal) => {
            if tally.event.output.is_empty() {
                tally.event.output = remember::named_output(call.arguments);
            }
            tally.verdict = Some(refusal.count(tally));
            End::Untouched
        }
    }
}

/// Understands the call and finds out which toolchain it runs.
fn prepare<'a>(call: &Call<'a>) -> Result<Setting<'a>, Refusal> {
    let Call { home, in_force, compiler, arguments, sealed } = *call;
    let config = &in_force.config;
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
        check: &config.compiler_check,
        temporary_dir: config.temporary_dir.as_deref(),
    };
    let kind: CompilerKind = toolchain::kind_of(&call, config.compiler_type)
        .map_err(|why| Refusal::because("unsupported_compiler", why.to_string()))?;
    let mut argv = vec![compiler.name.as_bytes().to_vec()];
    argv.extend(arguments.iter().map(|argument| argument.as_bytes().to_vec()));
    let disk = Disk::new(&directory);
    check_quoting(&argv, kind, config.response_file_format)?;
    let declared = config.sloppiness.ivfsoverlay && kind.is_clang();
    let overlays = if declared { split_overlays(&mut argv) } else { Vec::new() };
    let command = Command {
        kind,
        argv: &argv,
        environment: &environment,
        working_directory: directory.as_os_str().as_bytes(),
        plugins: if config.sloppiness.plugins { Plugins::Vouched } else { Plugins::LeftAlone },
    };
    let understood = |configured: &Configured| understand(&command, configured, &disk, config, &overlays);
    let (mut invocation, toolchain) = recognise(&call, &understood)?;
    argv.extend(overlays);
    let root = root_of(&invocation.working_directory, &config.base_dir);
    let places = Places { root: &root, working_directory: &invocation.working_directory.clone() };
    let map = config.portable_paths.then(|| make_portable(&mut invocation, &places)).flatten();
    argv.extend(map.clone());
    let added = map.map(OsString::from_vec);
    Ok(Setting {
        home,
        config,
        compiler,
        arguments,
        added,
        argv,
        disk,
        directory,
        invocation,
        toolchain,
        root,
        sealed: sealed.map(|unsealed| unsealed.name),
        in_force,
        shared: Shared::open(&config.shared),
        verifies_since: config.verify.chooses(draw).then(coarse_now_ns),
    })
}

/// A number that nobody knows before.
fn draw() -> u32 {
    getrandom::u32().unwrap_or_default()
}

/// Finds out which toolchain a command runs, and understands it with what the driver adds to it.
fn recognise(
    call: &toolchain::Call<'_>,
    understood: &dyn Fn(&Configured) -> Result<Invocation, Refusal>,
) -> Result<(Invocation, Toolchain), Refusal> {
    let invocation = understood(&Configured::default())?;
    let toolchain = Toolchain::of(call, &invocation).map_err(|why| match why {
        toolchain::Unknown::Check(_) => Refusal::because("compiler_check_failed", why.to_string()),
        _ => Refusal::because("unsupported_compiler", why.to_string()),
    })?;
    let invocation = match &toolchain.configured {
        Ok(configured) if configured.words.is_empty() => invocation,
        Ok(configured) => understood(configured)?,
        Err(word) => {
            return Err(Refusal::Call(Bypass::new(Reason::UnsupportedCompilerOption, word.as_slice())));
        }
    };
    Ok((invocation, toolchain))
}

/// Understands the command, without what the user declared irrelevant.
fn understand(
    command: &Command<'_>,
    configured: &Configured,
    disk: &Disk,
    config: &Config,
    overlays: &[Vec<u8>],
) -> Result<Invocation, Refusal> {
    let mut invocation = match Plan::configured(command, configured, disk) {
        Plan::Compile(invocation) => *invocation,
        Plan::Bypass(bypass) => return Err(Refusal::Call(bypass)),
    };
    take_out_declared(&mut invocation, config);
    if !overlays.is_empty() {
        declare(&mut invocation, &["ivfsoverlay".to_owned()]);
        invocation.preprocessor.iter_mut().for_each(|words| words.extend(overlays.iter().cloned()));
    }
    Ok(invocation)
}

/// Leaves a call alone whose response files the compiler reads in another way than the user said: what they hold is not what was meant.
fn check_quoting(argv: &[Vec<u8>], kind: CompilerKind, said: ResponseFileFormat) -> Result<(), Refusal> {
    let holds = match said {
        ResponseFileFormat::Auto => true,
        ResponseFileFormat::Posix => Quoting::of(argv, kind) == Quoting::Posix,
        ResponseFileFormat::Windows => Quoting::of(argv, kind) == Quoting::Windows,
    };
    match argv.iter().find(|word| word.starts_with(b"@")).filter(|_| !holds) {
        Some(file) => Err(Refusal::Call(Bypass::new(Reason::BadCompilerArguments, file.as_slice()))),
        None => Ok(()),
    }
}

impl Tally {
    /// Appends the record, and what it says to the log that the user asked for.
    fn finish(mut self, home: &Home, config: &Config, verdict: Verdict) {
        self.event.verdict = verdict;
        self.stamp();
        self.record(home, config);
    }
}
