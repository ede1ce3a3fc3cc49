//! Where values come from, and which of them holds.
//!
//! ```text
//! KEY=VALUE before the compiler  >  CCACHE_* variables  >  the directory's file  >  the cache's file  >  the system's file  >  defaults
//! ```
//!
//! `CCACHE_CONFIGPATH` names the one file that is read in place of all three.

use super::error::ConfFault;
use super::file::{self, expand};
use super::kinds::Kind;
use super::options::{CcacheOption, OPTIONS, Place};
use super::places::{Ceilings, cache_file, directory_file};
use super::variables;
use crate::config::{Config, is_setting};
use crate::direct::sealed;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// File for all users of a machine.
const SYSTEM_FILE: &str = "/etc/ccache.conf";

/// Variable of ours that names another file in place of [`SYSTEM_FILE`]; empty for none.
const SYSTEM_VARIABLE: &str = "DCCACHE_SYSTEM_CCACHE_CONF";

/// Where one value was set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nowhere.
    #[default]
    Default,
    /// In a file.
    File(PathBuf),
    /// By a variable.
    Environment,
    /// By `KEY=VALUE` before the compiler.
    CommandLine,
}

/// What a configuration is read from.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// Finds variables.
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Working directory, in and above which a file is looked for.
    pub(super) directory: Option<&'a Path>,
    /// `KEY=VALUE` words.
    pub(super) words: &'a [OsString],
}

/// A configuration, and where it comes from.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Value and origin per option.
    values: Vec<(String, Origin)>,
    /// Every file that was looked for.
    pub(super) files: Vec<PathBuf>,
    /// Places at which the search ends.
    pub(super) ends: Vec<PathBuf>,
    /// Whether what holds follows from the files and from variables that name sealed records.
    pub(super) steady: bool,
    /// The file that `--set-config` writes.
    pub(super) own_file: Option<PathBuf>,
    /// The directory's file, where there is one.
    pub(super) directory_file: Option<PathBuf>,
    /// The system's file.
    pub(super) system_file: Option<PathBuf>,
}

impl Loaded {
    /// Reads everything.
    ///
    /// # Errors
    /// The first value that is not allowed.
    pub(super) fn read(given: &Given<'_>) -> Result<Self, ConfFault> {
        let set = |name: &str| (given.variable)(name).filter(|value| !value.is_empty());
        let only = set("CCACHE_CONFIGPATH").map(PathBuf::from);
        let system = match (given.variable)(SYSTEM_VARIABLE) {
            Some(named) => Some(PathBuf::from(named)).filter(|named| !named.as_os_str().is_empty()),
            None => Some(PathBuf::from(SYSTEM_FILE)),
        };
        let mut loaded = Self {
            values: OPTIONS.iter().map(|option| (option.default.to_owned(), Origin::Default)).collect(),
            files: Vec::new(),
            ends: Vec::new(),
            steady: true,
            own_file: only.clone(),
            directory_file: None,
            system_file: system.filter(|_| only.is_none()),
        };
        let above = loaded.above_files(given)?;
        if let Some(system) = loaded.system_file.clone() {
            loaded.take_file(given, &system, |_, _| None)?;
        }
        if only.is_none() {
            let moved = Some(loaded.text("cache_dir")).filter(|moved| !moved.is_empty()).map(PathBuf::from);
            let found = cache_file(given.variable, moved);
            loaded.ends.extend(found.decided_by);
            loaded.own_file = found.file;
        }
        if let Some(own) = loaded.own_file.clone() {
            loaded.take_file(given, &own, |_, _| None)?;
        }
        if let Some(directory) = given.directory.filter(|_| only.is_none()) {
            loaded.take_directory(given, directory, &above)?;
        }
        for (index, text, origin) in above {
            loaded.values[index] = (text, origin);
        }
        Ok(loaded)
    }

    /// Lists what variables and words say, the strongest last.
    fn above_files(&mut self, given: &Given<'_>) -> Result<Vec<(usize, String, Origin)>, ConfFault> {
        let mut above = Vec::new();
        for (index, option) in OPTIONS.iter().enumerate() {
            let Some(said) = variables::said(option, given.variable)? else { continue };
            let text = self.expanded(given, &said.text, said.name.as_str())?;
            let problem = option.kind.problem(&text);
            problem.map_or(Ok(()), |problem| Err(ConfFault::new(&said.name, problem)))?;
            above.push((index, text, Origin::Environment));
        }
        for word in given.words {
            let word = word.to_str().ok_or_else(|| ConfFault::new(word.display(), "is not UTF-8"))?;
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            // Options that nobody knows are for another version.
            let Some(index) = CcacheOption::find(name) else { continue };
            let text = self.expanded(given, value, word)?;
            let problem = OPTIONS[index].kind.problem(&text);
            problem.map_or(Ok(()), |problem| Err(ConfFault::new(word, problem)))?;
            above.push((index, text, Origin::CommandLine));
        }
        Ok(above)
    }

    fn take_directory(
        &mut self,
        given: &Given<'_>,
        directory: &Path,
        above: &[(usize, String, Origin)],
    ) -> Result<(), ConfFault> {
        let said = |name: &str| {
            let index = CcacheOption::find(name).unwrap_or_default();
            let stronger = above.iter().rev().find(|(at, ..)| *at == index).map(|(_, text, _)| text.clone());
            stronger.unwrap_or_else(|| self.text(name).to_owned())
        };
        let ceilings = Ceilings {
            directories: match said("ceiling_dirs") {
                text if text.is_empty() && self.origin("ceiling_dirs") == &Origin::Default => {
                    (given.variable)("HOME").map(PathBuf::from).into_iter().collect()
                }
                text => text.split(':').map(PathBuf::from).collect(),
            },
            markers: said("ceiling_markers")
                .split(':')
                .filter(|mark| !mark.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        let trusted = said("safe_dirs");
        let found = directory_file(directory, &ceilings, self.own_file.as_deref())?;
        self.files.extend(found.files);
        self.ends.extend(found.ends);
        let Some(file) = found.found else { return Ok(()) };
        let trusts = variables::trusts(&trusted, file.parent().unwrap_or(Path::new("/")));
        self.take_file(given, &file, |option, text| {
            let command = option.name == "compiler_check"
                && !matches!(text, "content" | "mtime" | "none")
                && !text.starts_with("string:");
            let needs_trust =
                option.place == Place::Trusted || (option.place == Place::TrustedCommand && command);
            match option.place {
                Place::NoDirectory => Some("is not allowed in a directory's file"),
                _ if needs_trust && !trusts => {
                    Some("runs a command, writes a file or names a store; name the directory in safe_dirs to allow that")
                }
                _ => None,
            }
        })?;
        self.directory_file = Some(file);
        Ok(())
    }

    fn take_file(
        &mut self,
        given: &Given<'_>,
        path: &Path,
        refusal: impl Fn(&CcacheOption, &str) -> Option<&'static str>,
    ) -> Result<(), ConfFault> {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
        }
        let Some(text) = file::read(path)? else { return Ok(()) };
        let lines = file::lines(&text)
            .map_err(|line| ConfFault::at(path, line, "neither a comment nor KEY = VALUE"))?;
        for line in lines {
            // Options that nobody knows are for another version.
            let Some(index) = CcacheOption::find(&line.key) else { continue };
            let option = &OPTIONS[index];
            let place = format!("{}:{}", path.display(), line.number);
            let text = self.expanded(given, &line.value, &place)?;
            let refused = refusal(option, &text).map(|why| format!("{} {why}", option.name));
            match refused.or_else(|| option.kind.problem(&text)) {
                Some(problem) => return Err(ConfFault::new(place, problem)),
                None => self.values[index] = (text, Origin::File(path.to_owned())),
            }
        }
        Ok(())
    }

    fn expanded(&mut self, given: &Given<'_>, text: &str, place: &str) -> Result<String, ConfFault> {
        let mut steady = true;
        let mut used = |name: &str| steady &= sealed::counts(name.as_bytes());
        let expanded =
            expand(text, given.variable, &mut used).map_err(|problem| ConfFault::new(place, problem));
        self.steady &= steady;
        expanded
    }

    /// Returns the value of an option as it was written; empty for one that nobody knows.
    pub(super) fn text(&self, name: &str) -> &str {
        CcacheOption::find(name).map_or("", |index| self.values[index].0.as_str())
    }

    /// Tells whether a switch is on.
    #[cfg(test)]
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// Returns where an option was set.
    pub(super) fn origin(&self, name: &str) -> &Origin {
        CcacheOption::find(name).map_or(&Origin::Default, |index| &self.values[index].1)
    }

    /// Returns our configuration.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::default();
        for (option, (text, origin)) in OPTIONS.iter().zip(&self.values) {
            if *origin != Origin::Default {
                option.apply(&mut config, text);
            }
        }
        config
    }

    /// Returns the directory of the cache; `None` where nothing names one.
    pub(super) fn cache_dir(&self) -> Option<PathBuf> {
        let named = self.text("cache_dir");
        (!named.is_empty()).then(|| std::path::absolute(named).unwrap_or_else(|_| PathBuf::from(named)))
    }

    /// Shows a value.
    pub(super) fn shown(&self, option: &CcacheOption) -> String {
        match option.kind {
            Kind::Text => self.text(option.name).to_owned(),
            kind => kind.show(self.text(option.name)),
        }
    }
}

/// Returns the cache's directory as words and environment name it.
pub(super) fn named_dir(variable: &dyn Fn(&str) -> Option<OsString>, words: &[OsString]) -> Option<PathBuf> {
    let words = words.iter().filter(|word| is_setting(word)).filter_map(|word| word.to_str());
    let word = words.rev().find_map(|word| word.strip_prefix("cache_dir=")).map(OsString::from);
    let named = word.or_else(|| variable("CCACHE_DIR")).filter(|named| !named.is_empty())?;
    Some(std::path::absolute(&named).unwrap_or_else(|_| PathBuf::from(named)))
}

#[cfg(test)]
mod tests;
