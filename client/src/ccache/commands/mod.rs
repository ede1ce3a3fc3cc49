//! ccache's own command line: configuration, statistics, and looking after the cache.

mod configure;
mod files;
mod statistics;
mod tend;

use super::flags::{FLAGS, Flag, parse};
use super::layers::{Given, Loaded, named_dir};
use super::report::Format;
use super::{FOLLOWED, WRONG};
use crate::home::Home;
use crate::say::{complain, say};
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Why a command ends.
type Failure = String;

/// What options say about the commands beside them.
#[derive(Debug, Default)]
struct Context {
    directory: Option<String>,
    config_path: Option<String>,
    dry_run: bool,
    verbosity: usize,
    format: Format,
    older_than: Option<String>,
    namespace: Option<String>,
    trim_size: Option<String>,
    trim_method: Option<String>,
}

/// Runs all commands in the order in which they were typed; returns the exit code.
pub(super) fn run(words: &[OsString]) -> i32 {
    let options = match parse(words) {
        Ok(options) => options,
        Err(problem) => {
            complain!("ccache: {problem}\n{}", usage());
            return WRONG;
        }
    };
    let done = Context::of(&options)
        .and_then(|context| options.iter().try_for_each(|(flag, given)| context.act(flag, given)));
    match done {
        Ok(()) => 0,
        Err(problem) => {
            complain!("ccache: error: {problem}");
            WRONG
        }
    }
}

/// Says how ccache is called.
pub(super) fn usage() -> String {
    let mut text = String::from(
        "Usage:\n    ccache [options]\n    ccache [KEY=VALUE ...] compiler [compiler options]\n    compiler [compiler options]    (a link of the compiler's name to ccache)\n\nOptions:\n",
    );
    for flag in &FLAGS {
        let short = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let argument = flag.argument.map(|name| format!(" {name}")).unwrap_or_default();
        text += &format!("    {short}{:<30} {}\n", format!("--{}{argument}", flag.long), flag.help);
    }
    text + "\nThis is dccache; `dccache --help` shows its own commands, `dccache explain` why a compile was no hit."
}

impl Context {
    fn of(options: &[(&'static Flag, String)]) -> Result<Self, Failure> {
        let last = |name: &str| {
            options.iter().rev().find(|(flag, _)| flag.long == name).map(|(_, given)| given.clone())
        };
        let count = |name: &str| options.iter().filter(|(flag, _)| flag.long == name).count();
        let format = match last("format").as_deref() {
            None | Some("tab") => Format::Tab,
            Some("json") => Format::Json,
            Some(other) => return Err(format!("unknown format \"{other}\"")),
        };
        Ok(Self {
            directory: last("dir"),
            config_path: last("config-path"),
            dry_run: count("dry-run") > 0,
            verbosity: count("verbose"),
            format,
            older_than: last("evict-older-than"),
            namespace: last("evict-namespace"),
            trim_size: last("trim-max-size"),
            trim_method: last("trim-method"),
        })
    }

    /// Finds a variable as the options have it.
    fn variable(&self, name: &str) -> Option<OsString> {
        let over = match name {
            "CCACHE_DIR" => self.directory.as_ref(),
            "CCACHE_CONFIGPATH" => self.config_path.as_ref(),
            _ => None,
        };
        over.map(OsString::from).or_else(|| std::env::var_os(name))
    }

    /// Reads the configuration that holds now.
    fn loaded(&self) -> Result<Loaded, Failure> {
        let directory = std::env::current_dir().ok();
        let variable = |name: &str| self.variable(name);
        let given = Given { variable: &variable, directory: directory.as_deref(), words: &[] };
        Loaded::read(&given).map_err(|error| error.to_string())
    }

    /// Returns where the cache is.
    fn cache_dir(&self, loaded: &Loaded) -> Result<PathBuf, Failure> {
        let variable = |name: &str| self.variable(name);
        let named = loaded.cache_dir().or_else(|| named_dir(&variable, &[]));
        named.or_else(|| Home::location(variable)).ok_or_else(|| "set HOME or CCACHE_DIR".to_owned())
    }

    /// Opens the cache.
    fn home(&self, loaded: &Loaded) -> Result<Home, Failure> {
        let path = self.cache_dir(loaded)?;
        Home::open(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn act(&self, flag: &Flag, given: &str) -> Result<(), Failure> {
        match flag.long {
            "version" => say!(
                "ccache version {FOLLOWED}\nFeatures: file-storage\n\nThis is dccache {}, which follows ccache's manual of that version.",
                env!("CARGO_PKG_VERSION")
            ),
            "print-version" => say!("{FOLLOWED}"),
            "help" => say!("{}", usage()),
            "show-config" => self.show_config()?,
            "get-config" => self.get_config(given)?,
            "set-config" => self.set_config(given)?,
            "max-size" => self.set_max_size(given)?,
            "max-files" => self.set_max_files(given)?,
            "cleanup" => self.cleanup()?,
            "clear" => self.clear()?,
            // Where both stand they are one.
            "evict-older-than" if self.namespace.is_some() => {}
            "evict-older-than" | "evict-namespace" => self.evict()?,
            "trim-dir" => self.trim_dir(given)?,
            "show-compression" => self.show_compression()?,
            "recompress" => self.recompress(given)?,
            "show-stats" => self.show_stats()?,
            "zero-stats" => self.zero_stats()?,
            "print-stats" => self.print_stats()?,
            "show-log-stats" => self.show_log_stats()?,
            "print-log-stats" => self.print_log_stats()?,
            "hash-file" => self.hash_file(given)?,
            "checksum-file" => self.checksum_file(given)?,
            "inspect" => self.inspect(given)?,
            "threads" => drop(
                given.parse::<NonZeroU32>().map_err(|_| format!("\"{given}\" is no number of threads"))?,
            ),
            "extract-result" => self.extract_result(given)?,
            // Said about others, or accepted.
            _ => {}
        }
        Ok(())
    }
}
