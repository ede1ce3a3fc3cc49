//! Where values come from: which files and variables are asked, in which order, and what a project may say.
//!
//! ```text
//! KEY=VALUE before the compiler  >  DCCACHE_* variables  >  the project's file  >  the user's file  >  the system's file  >  defaults
//! ```

use super::raw::RawConfig;
use super::{Config, ConfigError, FILE_NAME, KEYS, Key};
use crate::home::Home;
use crate::project;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// File for all users of a machine.
const SYSTEM_FILE: &str = "/etc/dccache.toml";

/// Variable that names another file in place of [`SYSTEM_FILE`]; empty for none.
const SYSTEM_VARIABLE: &str = "DCCACHE_SYSTEM_CONFIG";

/// Where one value was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    #[default]
    Default,
    /// In the file for all users.
    System,
    /// In the user's file.
    User,
    /// In the project's file.
    Project,
    /// By a variable.
    Environment,
    /// By `KEY=VALUE` before the compiler.
    CommandLine,
}

/// A configuration and where it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// Every file that was looked for, absent ones included: what holds can change only with one of them, or with a variable.
    pub files: Vec<PathBuf>,
    /// Per key of [`KEYS`].
    origins: [Origin; KEYS.len()],
    system: Option<PathBuf>,
    user: PathBuf,
    project: Option<PathBuf>,
}

impl Loaded {
    /// Says where the value of a key was set: a file's path, or a word.
    pub fn origin(&self, key: &Key) -> String {
        let index = KEYS.iter().position(|known| known.name == key.name).unwrap_or(0);
        let file = |path: Option<&PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
        match self.origins[index] {
            Origin::Default => "default".to_owned(),
            Origin::System => file(self.system.as_ref()),
            Origin::User => file(Some(&self.user)),
            Origin::Project => file(self.project.as_ref()),
            Origin::Environment => "environment".to_owned(),
            Origin::CommandLine => "command line".to_owned(),
        }
    }

    fn set(&mut self, index: usize, origin: Origin, text: &str) -> Result<(), ()> {
        (KEYS[index].set)(&mut self.config, text)?;
        self.origins[index] = origin;
        Ok(())
    }

    fn take_file(&mut self, origin: Origin, raw: Option<&RawConfig>) -> Result<(), ConfigError> {
        let Some(raw) = raw else { return Ok(()) };
        for (place, key, text) in raw.values()? {
            let index = KEYS.iter().position(|known| known.name == key.name).unwrap_or(0);
            let own = match origin {
                Origin::Project => key.in_project(raw.directory(), &text),
                _ => Some(text.clone()),
            };
            let own = own.ok_or_else(|| ConfigError::NotInProject { place: place.clone(), key: key.name })?;
            self.set(index, origin, &own).map_err(|()| ConfigError::value(place, key, &text))?;
        }
        Ok(())
    }
}

/// What a configuration is read from.
pub struct Sources<'a> {
    /// The user's directory.
    pub home: &'a Home,
    /// Directory in which the project's file is looked for, and above it; `None` to look for none.
    pub directory: Option<&'a Path>,
    /// Finds variables.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// `KEY=VALUE` words.
    pub words: &'a [OsString],
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Sources<'_> {
    /// Reads everything.
    ///
    /// # Errors
    /// The first value that is not allowed.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let system = match (self.variable)(SYSTEM_VARIABLE) {
            Some(named) => Some(named).filter(|named| !named.is_empty()).map(PathBuf::from),
            None => Some(PathBuf::from(SYSTEM_FILE)),
        };
        let user = self.home.path().join(FILE_NAME);
        let root = self.directory.and_then(project::marked);
        let project = root.map(|root| root.join(FILE_NAME)).filter(|file| *file != user);
        let mut loaded = Loaded {
            config: Config::default(),
            files: [&system, &Some(user.clone()), &project].into_iter().flatten().cloned().collect(),
            origins: [Origin::Default; KEYS.len()],
            system,
            user,
            project,
        };
        let raw = loaded.system.as_deref().map(RawConfig::read_system).transpose()?;
        loaded.take_file(Origin::System, raw.flatten().as_ref())?;
        loaded.take_file(Origin::User, RawConfig::read(self.home)?.as_ref())?;
        let raw = loaded.project.as_deref().map(RawConfig::read_project).transpose()?;
        loaded.take_file(Origin::Project, raw.flatten().as_ref())?;
        self.take_variables(&mut loaded)?;
        self.take_words(&mut loaded)?;
        Ok(loaded)
    }

    fn take_variables(&self, loaded: &mut Loaded) -> Result<(), ConfigError> {
        for (index, key) in KEYS.iter().enumerate() {
            let Some(value) = (self.variable)(key.variable) else { continue };
            let text = value.to_str().ok_or_else(|| ConfigError::variable(key, &value.to_string_lossy()))?;
            let set = loaded.set(index, Origin::Environment, text);
            set.map_err(|()| ConfigError::variable(key, text))?;
        }
        Ok(())
    }

    fn take_words(&self, loaded: &mut Loaded) -> Result<(), ConfigError> {
        for word in self.words {
            let shown = word.to_string_lossy();
            let (name, value) = shown.split_once('=').unwrap_or((&shown, ""));
            let index = KEYS.iter().position(|key| key.name == name);
            let index = index.ok_or_else(|| ConfigError::unknown(name))?;
            let is_text = word.to_str().is_some();
            let set = loaded.set(index, Origin::CommandLine, value);
            set.ok().filter(|()| is_text).ok_or_else(|| ConfigError::argument(&KEYS[index], value))?;
        }
        Ok(())
    }
}

/// Tells whether a word before a compiler is a setting: small letters and underscores, then `=`.
pub fn is_setting(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    let name = bytes.iter().position(|&byte| byte == b'=').map(|equals| &bytes[..equals]);
    name.is_some_and(|name| {
        !name.is_empty() && name.iter().all(|&byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}
