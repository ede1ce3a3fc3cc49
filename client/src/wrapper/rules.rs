//! By whose rules a call is configured: ours, or those of the name that we were called by.

use crate::config::{Config, Sources};
use crate::home::Home;
use crate::resolve::NotFound;
use crate::say::complain;
use std::ffi::OsString;
use std::path::PathBuf;

/// What a call goes by.
#[derive(Debug)]
pub struct InForce {
    /// The configuration.
    pub config: Config,
    /// Every file that it was looked for in, absent ones included: what holds can change only with one of them, or with a variable.
    pub files: Vec<PathBuf>,
    /// Places at which the search for such files ends, absent ones included: they must stay the same, whatever happens in them.
    pub ends: Vec<PathBuf>,
    /// Whether that is all that can change what holds, beside the variables that name sealed records.
    pub steady: bool,
    /// Where the user's directory is, if a file moves it.
    pub home: Option<PathBuf>,
}

/// What is wrong with a configuration means for the call.
#[derive(Debug)]
pub enum Fault {
    /// The compiler runs untouched, and this is counted.
    Counted(String),
    /// It was said what is wrong; the call ends with this exit code.
    Final(i32),
}

/// By whose rules a call is configured.
pub trait Rules {
    /// Returns where the user's directory is, as far as the call and its environment say.
    fn home(&self) -> Option<PathBuf>;

    /// Reads what holds.
    ///
    /// # Errors
    /// What its fault means for the call.
    fn in_force(&self, home: Option<&Home>) -> Result<InForce, Fault>;

    /// Says that there is no compiler, and returns the exit code.
    fn without_compiler(&self, error: &NotFound) -> i32;
}

/// Our own rules, with the `KEY=VALUE` words before the compiler.
#[derive(Debug)]
pub struct Own(pub Vec<OsString>);

impl Rules for Own {
    fn home(&self) -> Option<PathBuf> {
        Home::location(|name| std::env::var_os(name))
    }

    fn in_force(&self, home: Option<&Home>) -> Result<InForce, Fault> {
        let home = home.ok_or_else(|| Fault::Counted("no directory of the user".to_owned()))?;
        let directory = std::env::current_dir().ok();
        let variable = |name: &str| std::env::var_os(name);
        let sources = Sources { home, directory: directory.as_deref(), variable: &variable, words: &self.0 };
        let loaded = sources.load().map_err(|error| Fault::Counted(error.to_string()))?;
        Ok(InForce { config: loaded.config, files: loaded.files, ends: Vec::new(), steady: true, home: None })
    }

    fn without_compiler(&self, error: &NotFound) -> i32 {
        complain!("dccache: {error}");
        error.exit_code()
    }
}
