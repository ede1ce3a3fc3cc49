//! One reason why a compile was not served, with what was there before and what is there now.

use std::fmt;

/// What kind of thing differs, or stood in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file that it reads has another content.
    Input,
    /// A file is read that was not, or the other way round.
    Inputs,
    /// A header appeared where it is found earlier, or vanished from there.
    Guard,
    /// A directory in which headers are looked for is there and was not, the other way round, or in another order.
    IncludeDirectories,
    /// An argument.
    Argument,
    /// An environment variable.
    Environment,
    /// A file of the toolchain.
    Toolchain,
    /// A file that an option or the configuration names.
    NamedFile,
    /// Another name or language for the same source, or another driver.
    Command,
    /// The working directory or the root, which show in the result.
    Directory,
    /// Who may be believed, or what may be used.
    Policy,
    /// The result was stored, and is gone.
    Evicted,
    /// The hit was held against the compile, and is not what that gave.
    Verify,
    /// Something on the way failed.
    Fault,
    /// The preprocessed text, for a command whose files are not compared.
    Text,
    /// Nothing of it was compiled before.
    New,
}

impl Kind {
    /// Returns its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Inputs => "inputs",
            Self::Guard => "guard",
            Self::IncludeDirectories => "include_directories",
            Self::Argument => "argument",
            Self::Environment => "environment",
            Self::Toolchain => "toolchain",
            Self::NamedFile => "named_file",
            Self::Command => "command",
            Self::Directory => "directory",
            Self::Policy => "policy",
            Self::Evicted => "evicted",
            Self::Verify => "verify",
            Self::Fault => "fault",
            Self::Text => "text",
            Self::New => "new",
        }
    }

    /// Returns what to do about it; `None` where nothing is wrong.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::Input | Self::Inputs => {
                "nothing to do if it was edited; a file that each build generates anew should keep its content"
            }
            Self::Guard => "nothing to do if it was meant; else remove the header that is found earlier",
            Self::IncludeDirectories => {
                "make all include directories before the first compile, on every machine"
            }
            Self::Argument => {
                "give every build the same options; what differs in each (a date, a commit, a build number) belongs in one source of its own"
            }
            Self::Environment => {
                "set it alike for all builds; `sloppiness = locale` leaves the language of messages out"
            }
            Self::Toolchain => {
                "nothing to do after an upgrade; else use the same packages everywhere, or `compiler_check = string:...`"
            }
            Self::NamedFile => "nothing to do if it changed on purpose",
            Self::Command => "call the compiler by the same names everywhere",
            Self::Directory => {
                "build in the same directory, or take the paths out: `portable_paths = true`, or -ffile-prefix-map=ROOT=."
            }
            Self::Policy => "`dccache config list` shows what is in force",
            Self::Evicted => "`dccache config set max_size SIZE` gives the store more room",
            Self::Verify => {
                "run it twice without dccache and compare: the entry was wrong, or the compiler depends on what no cache can see"
            }
            Self::Fault => "`dccache doctor` says what is wrong",
            Self::Text => "with `direct_mode` on, the file that differs is named",
            Self::New => return None,
        })
    }
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Which one: a path, an option, the name of a variable; empty where the kind says all.
    pub what: String,
    /// First line of a file that differs, from 1.
    pub line: Option<u32>,
    /// What was there; `None` where nothing was, or it is not known.
    pub was: Option<String>,
    /// What is there; `None` where nothing is, or it is not known.
    pub now: Option<String>,
    /// More about it, in words; empty where there is nothing more.
    pub note: String,
}

impl Cause {
    /// Makes one of which only the name is known.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), line: None, was: None, now: None, note: String::new() }
    }

    /// Adds what was there and what is there.
    #[must_use]
    pub fn changed(self, was: Option<String>, now: Option<String>) -> Self {
        Self { was, now, ..self }
    }

    /// Adds words about it.
    #[must_use]
    pub fn noted(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Names it for a sum over many compiles: what each of them has of its own is left out.
    pub fn group(&self) -> String {
        match self.kind {
            Kind::Argument => match (&self.was, &self.now) {
                (Some(was), Some(now)) => format!("{was} -> {now}"),
                (Some(was), None) => format!("{was} is gone"),
                (None, now) => format!("{} is new", now.as_deref().unwrap_or_default()),
            },
            Kind::Directory | Kind::Text | Kind::New | Kind::Evicted | Kind::Verify | Kind::Command => {
                String::new()
            }
            _ => self.what.clone(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| text.escape_debug().to_string();
        write!(f, "{}", self.kind.name().replace('_', " "))?;
        if !self.what.is_empty() {
            write!(f, " {}", shown(&self.what))?;
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let quoted = |text: &str| format!("`{}`", shown(text));
        match (&self.was, &self.now) {
            (Some(was), Some(now)) => write!(f, ": {}, was {}", quoted(now), quoted(was))?,
            (Some(was), None) => write!(f, ": {} is gone", quoted(was))?,
            (None, Some(now)) => write!(f, ": {} is new", quoted(now))?,
            (None, None) => {}
        }
        if self.note.is_empty() { Ok(()) } else { write!(f, " ({})", self.note) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_says_what_was_and_what_is_and_shows_no_control_bytes() {
        let text = |value: &str| Some(value.to_owned());
        let line = Cause { line: Some(12), ..Cause::new(Kind::Input, "include/a.h") };
        let line = line.changed(text("#define WIDTH 2"), text("#define WIDTH 3\x1b"));
        assert_eq!(line.to_string(), "input include/a.h:12: `#define WIDTH 3\\u{1b}`, was `#define WIDTH 2`");
        let gone = Cause::new(Kind::Argument, "").changed(text("-g"), None);
        assert_eq!((gone.to_string(), gone.group()), ("argument: `-g` is gone".into(), "-g is gone".into()));
        let new = Cause::new(Kind::Environment, "LANG").changed(None, text("C")).noted("why");
        assert_eq!(new.to_string(), "environment LANG: `C` is new (why)");
        assert_eq!(new.group(), "LANG");
    }
}
