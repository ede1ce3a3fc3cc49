//! What is said, loudly, about a hit that differs from a compile.

use super::{Difference, Kept, keep};
use crate::home::Home;
use dccache_protocol::ids::SignerId;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// One output that differs, and where both versions of it are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What it is.
    pub output: String,
    /// First byte that differs, counted from 0; `None` where the compiler did not write it.
    pub first_difference: Option<usize>,
    /// Bytes of what was found.
    pub cached_bytes: Option<usize>,
    /// Bytes of what was compiled.
    pub compiled_bytes: Option<usize>,
    /// Where what was found is kept.
    pub cached: Option<PathBuf>,
    /// Where what was compiled is kept.
    pub compiled: Option<PathBuf>,
    /// Why they are not kept.
    pub not_kept: Option<String>,
}

impl Shown {
    /// Keeps both versions.
    pub fn keep(home: &Home, difference: &Difference) -> Self {
        let (cached, compiled) = (difference.cached.as_deref(), difference.compiled.as_deref());
        let kept = keep(home, cached, compiled);
        let not_kept = kept.as_ref().err().map(ToString::to_string);
        let Kept { cached: cached_at, compiled: compiled_at } = kept.unwrap_or_default();
        Self {
            output: difference.output.clone(),
            first_difference: difference.at(),
            cached_bytes: cached.map(<[u8]>::len),
            compiled_bytes: compiled.map(<[u8]>::len),
            cached: cached_at,
            compiled: compiled_at,
            not_kept,
        }
    }
}

/// How a hit differs from the compile.
#[derive(Clone, Debug)]
pub struct Differs {
    /// Where it was found.
    pub place: &'static str,
    /// Who signed it, where it came from the ring.
    pub signer: Option<SignerId>,
    /// The outputs that differ.
    pub differences: Vec<Shown>,
}

impl Differs {
    /// Returns where the first output that differs is kept, as found and as compiled.
    pub fn kept(&self) -> [Option<&Path>; 2] {
        let first = self.differences.first();
        [first.and_then(|shown| shown.cached.as_deref()), first.and_then(|shown| shown.compiled.as_deref())]
    }

    /// Says of each output where it differs.
    pub fn outputs(&self) -> Vec<String> {
        self.differences.iter().map(told).collect()
    }
}

/// What became of an entry that differed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is gone from the local store, and its content is not taken from others again.
    Dropped,
    /// It is gone from the local store, and nothing is said against it: the compile failed.
    Unblamed,
    /// It is gone from the local store, and can come back from others, since for this reason nobody could note it.
    Forgotten(String),
    /// It is still there, for this reason.
    Stays(String),
}

/// A hit that differs.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Compiler as typed.
    pub compiler: &'a [u8],
    /// Source as typed.
    pub source: &'a [u8],
    /// Working directory.
    pub directory: &'a [u8],
    /// Main output, where there is one.
    pub object: Option<PathBuf>,
    /// How and where it was found.
    pub found: (&'static str, &'static str),
    /// Who signed it, where it came from the ring.
    pub signer: Option<SignerId>,
    /// How the compiler ended; an entry always says 0.
    pub code: i32,
    /// What differs.
    pub differences: &'a [Shown],
    /// What became of it.
    pub taken: &'a Taken,
    /// What the user declared irrelevant.
    pub declared: &'a str,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        let mut line = |name: &str, value: &str| writeln!(f, "dccache:   {name:<10} {value}");
        line(
            "VERIFY",
            match self.code {
                0 => "a hit is not what the compiler gives now",
                _ => "the compile fails now; the entry says that it succeeded",
            },
        )?;
        let object = self.object.as_ref().map(|object| object.as_os_str().as_encoded_bytes());
        line("object", &object.map_or("none".to_owned(), shown))?;
        line("compile", &format!("{} {}", shown(self.compiler), shown(self.source)))?;
        line("in", &shown(self.directory))?;
        let (how, place) = self.found;
        line("found", &format!("in {place} ({how})"))?;
        if let Some(signer) = self.signer {
            line("signed by", &format!("signer:{signer}"))?;
        }
        if self.code != 0 {
            line("ended", &format!("the compiler now ends with {}", self.code))?;
        }
        for difference in self.differences {
            line("differs", &told(difference))?;
            let kept = [("cached", &difference.cached), ("compiled", &difference.compiled)];
            for (name, path) in kept {
                if let Some(path) = path {
                    line(name, &shown(path.as_os_str().as_encoded_bytes()))?;
                }
            }
            if let Some(why) = &difference.not_kept {
                line("not kept", why)?;
            }
        }
        match self.taken {
            Taken::Dropped => line("entry", "dropped here, and not taken from others again")?,
            Taken::Unblamed => line("entry", "dropped here; a compile that succeeds stores it again")?,
            Taken::Forgotten(why) => {
                line(
                    "entry",
                    &format!("dropped here; others can give it again, since that could not be noted: {why}"),
                )?;
            }
            Taken::Stays(why) => line("entry", &format!("still there: {why}"))?,
        }
        line("delivered", "what the compiler gave")?;
        if !self.declared.is_empty() {
            line("perhaps", &format!("what you declared irrelevant differs: {}", self.declared))?;
        }
        line(
            "perhaps",
            match self.code {
                0 => "the compiler gives other bytes each time: run it twice without dccache and compare",
                _ => "memory or disk was short: run it once more without dccache",
            },
        )?;
        let object = object.map_or("last".to_owned(), shown);
        line("cause", &format!("`dccache explain {object}`"))
    }
}

/// Says of one output where it differs.
pub(super) fn told(difference: &Shown) -> String {
    let mut text = difference.output.escape_debug().to_string();
    let bytes = |count: Option<usize>| count.map_or("nothing".to_owned(), |count| format!("{count} bytes"));
    if let Some(at) = difference.first_difference {
        let _ = write!(text, " from byte {at} on");
    }
    let (cached, compiled) = (bytes(difference.cached_bytes), bytes(difference.compiled_bytes));
    let _ = write!(text, ": {cached} found, {compiled} compiled");
    text
}
