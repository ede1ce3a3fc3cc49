//! Called as `ccache`: its command line, its configuration and its statistics, over our cache.
//!
//! ```text
//! argv -> an option first: commands | KEY=VALUE ... compiler ... -> layers -> our configuration -> the life of every compile
//! ```
//!
//! The reference is ccache's manual, version [`FOLLOWED`]; `docs/ccache.md` lists every option and what it means here. What a compile
//! may be served is decided as under our own name: no option of ccache's gives up a proof that the words of our sloppiness do not.

mod commands;
mod counters;
mod error;
mod file;
mod flags;
mod kinds;
mod layers;
mod options;
mod places;
mod remote;
mod report;
mod variables;

use crate::config::is_setting;
use crate::home::Home;
use crate::process::speak_as_ccache;
use crate::resolve::{NotFound, behind_link, resolve};
use crate::say::complain;
use crate::stats::Event;
use crate::wrapper::{self, Fault, InForce, Rules};
use layers::{Given, Loaded, named_dir};
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Version of ccache whose manual is followed. Scripts compare it.
const FOLLOWED: &str = "4.14.2";

/// Exit code of ccache for all that is wrong.
const WRONG: i32 = 1;

/// Most links that are followed from the name of a compiler to us.
const LINKS_MAX: usize = 40;

/// Tells the compiler's arguments that the next one is not to be understood. We understand it anyhow: what an option reads, writes and does to an
/// output does not depend on that.
const SKIP: &str = "--ccache-skip";

/// Returns what a statistics log says of a compile: its source, then one line for each count.
pub fn statistics_lines(event: &Event) -> String {
    let source = String::from_utf8_lossy(&event.source).replace(char::is_control, "?");
    let counts = counters::Counters::of_event(event);
    std::iter::once(format!("# {source}\n")).chain(counts.listed().map(|name| format!("{name}\n"))).collect()
}

/// Tells whether a program is called so.
pub fn is_name(name: &[u8]) -> bool {
    name.starts_with(b"ccache")
}

/// Tells whether the link by which this process was called leads to us over a file that is called so.
pub fn is_behind_link() -> bool {
    let called: &CStr = rustix::param::linux_execfn();
    let mut file = PathBuf::from(OsStr::from_bytes(called.to_bytes()));
    for _ in 0..LINKS_MAX {
        let Ok(target) = std::fs::read_link(&file) else { return false };
        if target.file_name().is_some_and(|name| is_name(name.as_bytes())) {
            return true;
        }
        file = file.parent().unwrap_or(Path::new("/")).join(target);
    }
    false
}

/// Runs what was typed under the name and returns the exit code of the process.
pub fn run(argv: Vec<OsString>) -> i32 {
    let settings = argv.iter().skip(1).take_while(|word| is_setting(word)).count();
    let mut words = argv.into_iter().skip(1);
    let settings: Vec<OsString> = words.by_ref().take(settings).collect();
    let mut words = words.peekable();
    match words.peek().map(|word| word.as_bytes()) {
        None if settings.is_empty() => {
            complain!("{}", commands::usage());
            WRONG
        }
        None => {
            complain!("ccache: error: there are settings and no compiler; see ccache --help");
            WRONG
        }
        Some(word) if word.starts_with(b"-") && settings.is_empty() => {
            commands::run(&words.collect::<Vec<_>>())
        }
        Some(_) => {
            // A launcher and a compiler variable can both name us: `ccache ccache gcc` is `ccache gcc`.
            let mut words: Vec<OsString> = words.collect();
            let ours = words.iter().take_while(|word| names_us(word)).count();
            words.drain(..ours.min(words.len() - 1));
            let arguments = words.split_off(1);
            compile_word(&settings, &words[0], arguments)
        }
    }
}

/// Runs the compiler that a link stands for, and returns the exit code of the process.
pub fn run_link(name: &OsStr, arguments: Vec<OsString>) -> i32 {
    speak_as_ccache();
    wrapper::compile(&wrapper::Typed {
        words: vec!["ccache".as_ref(), "link".as_ref(), "".as_ref(), name],
        find: &|path| behind_link(name, path),
        rules: &Ccache { words: &[] },
        arguments: understood(arguments),
    })
}

fn compile_word(settings: &[OsString], word: &OsStr, arguments: Vec<OsString>) -> i32 {
    speak_as_ccache();
    let before = settings.iter().map(OsString::as_os_str);
    wrapper::compile(&wrapper::Typed {
        words: std::iter::once("ccache".as_ref()).chain(before).chain(["".as_ref(), word]).collect(),
        find: &|path| resolve(word, path),
        rules: &Ccache { words: settings },
        arguments: understood(arguments),
    })
}

fn names_us(word: &OsStr) -> bool {
    let name = Path::new(word).file_name().unwrap_or(word).as_bytes();
    is_name(name) || name == b"dccache"
}

fn understood(arguments: Vec<OsString>) -> Vec<OsString> {
    arguments.into_iter().filter(|argument| argument != SKIP).collect()
}

/// The rules of ccache.
#[derive(Debug)]
struct Ccache<'a> {
    /// `KEY=VALUE` words before the compiler.
    words: &'a [OsString],
}

impl Rules for Ccache<'_> {
    fn home(&self) -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name);
        named_dir(&variable, self.words).or_else(|| Home::location(variable))
    }

    fn in_force(&self, _: Option<&Home>) -> Result<InForce, Fault> {
        let directory = std::env::current_dir().ok();
        let variable = |name: &str| std::env::var_os(name);
        let given = Given { variable: &variable, directory: directory.as_deref(), words: self.words };
        let loaded = Loaded::read(&given).map_err(|error| {
            complain!("ccache: error: {error}");
            Fault::Final(WRONG)
        })?;
        let (config, home) = (loaded.config(), loaded.cache_dir());
        Ok(InForce { config, files: loaded.files, ends: loaded.ends, steady: loaded.steady, home })
    }

    fn without_compiler(&self, error: &NotFound) -> i32 {
        complain!("ccache: error: {error}");
        WRONG
    }
}
