//! Sealed records: this machine's fast answer for one command as typed.
//!
//! A record holds the stamps of everything that led to its entry: inputs, toolchain, configuration, and guards over every name that had to be absent. If all of
//! them stand as they stood, the entry is what the compiler would give now, and nothing is parsed, hashed or preprocessed to know it.
//!
//! Invariant: a stamp is in a record only if it was old enough when its file was read, on a file system whose stamps can be trusted.

use super::guard::{Guards, Standing};
use super::standing::all_stand;
use crate::depfile::DependRequest;
use crate::invocation::PlannedOutput;
use crate::toolchain::Stamp;
use dccache_protocol::codec::{DecodeError, Format, ensure};
use dccache_protocol::keys::{EntryKey, SealedName, sealed_name};
use dccache_protocol::limits;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Variables that can change what a command gives or which program it is, beside those of [`PREFIXES`].
const VARIABLES: [&str; 27] = [
    "COLUMNS",
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "DEPENDENCIES_OUTPUT",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LIBRARY_PATH",
    "LOCPATH",
    "LPATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "OBJCPLUS_INCLUDE_PATH",
    "NLSPATH",
    "OBJC_INCLUDE_PATH",
    "OUTPUT_CHARSET",
    "PATH",
    "PWD",
    "SDKROOT",
    "SOURCE_DATE_EPOCH",
    "SUNPRO_DEPENDENCIES",
    "TERM",
    "TERM_URLS",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
];

/// Beginnings of the names of further ones: our own, and the families of compilers, loader and locale.
const PREFIXES: [&str; 8] = ["CCACHE_", "CCC_", "CC_", "CLANG_", "DCCACHE_", "GCC_", "LC_", "LD_"];

/// A place that must be the same directory or mark of a project: path, device, inode.
pub type SamePlace<B = Vec<u8>> = (B, u64, u64);

/// The record of one command: with paths of its own where it is made, with those of its bytes where it is read. Both have one encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed<B = Vec<u8>> {
    /// Where its entry lies in the local store.
    pub entry: EntryKey,
    /// Stamps of files, by path.
    pub stamps: Vec<(B, Stamp)>,
    /// Names that must be absent.
    pub guards: Guards<B>,
    /// Places that must be the same.
    pub places: Vec<SamePlace<B>>,
    /// Outputs in the order in which they are written.
    pub outputs: Vec<PlannedOutput>,
    /// Dependency file asked for.
    pub depend: Option<DependRequest>,
    /// Root of the compile.
    pub root: B,
    /// Compiler as typed, for the statistics.
    pub compiler: B,
    /// Source as typed, for the statistics.
    pub source: B,
    /// Whether the compile is counted.
    pub counted: bool,
}

impl Format for Sealed {
    const VERSION: u8 = 1;
    const LIMIT: usize = limits::MANIFEST_MAX;

    fn validate(&self) -> Result<(), DecodeError> {
        ensure(self.outputs.len() <= limits::OUTPUTS_MAX, "number of outputs")
    }
}

impl<'a> Sealed<&'a [u8]> {
    /// Reads a record that is known to be this store's own, by the keyed hash over it: so much of a hit's time went into a copy of each path, and into
    /// proving what the hash has proved, that there is one encoding.
    ///
    /// # Errors
    /// As [`Format::from_bytes`], but for a second encoding of a value.
    pub fn read_own(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&found, body) = bytes.split_first().ok_or(DecodeError::Malformed)?;
        if found != Sealed::<Vec<u8>>::VERSION {
            return Err(DecodeError::Version { found, expected: Sealed::<Vec<u8>>::VERSION });
        }
        let (sealed, rest): (Self, _) =
            postcard::take_from_bytes(body).map_err(|_| DecodeError::Malformed)?;
        if !rest.is_empty() {
            return Err(DecodeError::Trailing(rest.len()));
        }
        ensure(sealed.outputs.len() <= limits::OUTPUTS_MAX, "number of outputs")?;
        Ok(sealed)
    }
}

impl Sealed<&[u8]> {
    /// Encodes a record that was read in place; `None` where there is no memory for it.
    pub fn to_own_bytes(&self) -> Option<Vec<u8>> {
        postcard::to_extend(self, vec![Sealed::<Vec<u8>>::VERSION]).ok()
    }
}

impl<B: AsRef<[u8]>> Sealed<B> {
    /// Looks whether everything stands as it stood: one stat a file, place and guard.
    pub fn standing(&self, working_directory: &Path) -> Standing {
        let same_place = |(path, device, inode): &SamePlace<B>| {
            let found = Stamp::of(&working_directory.join(OsStr::from_bytes(path.as_ref())));
            found.is_some_and(|found| (found.device, found.inode) == (*device, *inode))
        };
        if !all_stand(&self.stamps, working_directory) || !self.places.iter().all(same_place) {
            return Standing::Broken;
        }
        self.guards.standing(working_directory)
    }
}

/// Names the record of a command: how its compiler was named, its arguments, working directory, the variables that can change what it
/// gives, and whether its messages go to a terminal.
pub fn name_of(
    words: &[Vec<u8>],
    working_directory: &[u8],
    environment: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    terminal: Terminal,
) -> SealedName {
    let mut chosen: Vec<(Vec<u8>, Vec<u8>)> = environment.filter(|(name, _)| counts(name)).collect();
    // No variable has an empty name.
    chosen.push((Vec::new(), vec![u8::from(terminal == Terminal::Yes)]));
    sealed_name(words, working_directory, &chosen)
}

/// Whether messages go to a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// They do.
    Yes,
    /// They go to a file or a pipe.
    No,
}

/// Tells whether the name of a record holds a variable.
pub(crate) fn counts(name: &[u8]) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
        || VARIABLES.iter().any(|variable| variable.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::super::guard::{Absence, Guard};
    use super::*;
    use crate::depfile::{DependMode, Dialect, Phony};
    use crate::invocation::KeyEnvironment;
    use dccache_protocol::digest::Digest;
    use dccache_protocol::entry::OutputRole;
    use dccache_protocol::keys::DirectKey;

    /// Asserts that a value is written as its golden bytes say.
    fn golden<T: Format + PartialEq + std::fmt::Debug>(text: &str, value: &T) {
        let now: String = value.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(now, text);
        assert_eq!(&T::from_bytes(&value.to_bytes()).unwrap(), value);
    }

    #[test]
    fn a_record_that_is_read_in_place_is_the_one_that_was_written() {
        let stamp = Stamp { device: 1, inode: 300, size: 3, mtime: 4, ctime: -5 };
        let guard =
            Guard { directory: b"i".to_vec(), stamp: None, names: vec![(b"a.h".to_vec(), Absence::Nothing)] };
        let sealed = Sealed {
            entry: EntryKey::Direct(DirectKey::from_digest(Digest::from_bytes([7; 32]))),
            stamps: vec![(b"x.c".to_vec(), stamp)],
            guards: Guards { guards: vec![guard], singles: Vec::new() },
            places: vec![(b"i".to_vec(), 1, 2)],
            outputs: vec![PlannedOutput { role: OutputRole::Object, path: None }],
            depend: None,
            root: b"/r".to_vec(),
            compiler: b"gcc".to_vec(),
            source: b"x.c".to_vec(),
            counted: true,
        };
        let bytes = sealed.to_bytes();
        let read = Sealed::read_own(&bytes).unwrap();
        assert_eq!(read.to_own_bytes(), Some(bytes.clone()));
        assert_eq!((read.stamps[0].0, read.root), (b"x.c".as_slice(), b"/r".as_slice()));
        for cut in 0..bytes.len() {
            assert!(Sealed::read_own(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(Sealed::read_own(&[&bytes[..], b"x"].concat()).unwrap_err(), DecodeError::Trailing(1));
    }

    #[test]
    fn a_sealed_record_keeps_its_bytes() {
        let stamp = Stamp { device: 1, inode: 300, size: 3, mtime: 4, ctime: -5 };
        let absence = |name: &[u8], absence| (name.to_vec(), absence);
        let guard = Guard {
            directory: b"i".to_vec(),
            stamp: Some(stamp),
            names: vec![absence(b"a.h", Absence::NoHeader), absence(b"d", Absence::Nothing)],
        };
        let depend = DependRequest {
            mode: DependMode::User,
            phony: Phony::Added,
            dialect: Dialect::Gcc,
            path: b"x.d".to_vec(),
            targets: vec![b"x.o".to_vec()],
        };
        let sealed = Sealed {
            entry: EntryKey::Direct(DirectKey::from_digest(Digest::from_bytes([7; 32]))),
            stamps: vec![(b"x.c".to_vec(), stamp)],
            guards: Guards { guards: vec![guard], singles: vec![absence(b"l.h", Absence::NoHeader)] },
            places: vec![(b"i".to_vec(), 1, 2)],
            outputs: vec![PlannedOutput { role: OutputRole::Object, path: Some(b"x.o".to_vec()) }],
            depend: Some(depend),
            root: b"/r".to_vec(),
            compiler: b"gcc".to_vec(),
            source: b"x.c".to_vec(),
            counted: true,
        };
        let text = concat!(
            "010007070707070707070707070707070707070707070707070707070707070707070103782e6301",
            "ac020308090101690101ac020308090203612e680001640101036c2e680001016901020100010378",
            "2e6f0101010003782e640103782e6f022f720367636303782e6301",
        );
        golden::<Sealed>(text, &sealed);
    }

    #[test]
    fn every_variable_that_enters_a_key_or_leads_to_a_bypass_is_in_the_name() {
        let all = KeyEnvironment::names().chain(crate::toolchain::RESOLUTION);
        let left_out: Vec<&str> = all.filter(|name| !counts(name.as_bytes())).collect();
        assert!(left_out.is_empty(), "{left_out:?}");
        assert!(!counts(b"MAKEFLAGS") && !counts(b"CPATHS"));
    }

    #[test]
    fn each_part_of_a_command_gives_another_name() {
        let environment = |value: &str| vec![(b"LANG".to_vec(), value.as_bytes().to_vec())].into_iter();
        let words = |word: &str| vec![b"gcc".to_vec(), word.as_bytes().to_vec()];
        let base = name_of(&words("-c"), b"/w", environment("C"), Terminal::No);
        let others = [
            name_of(&words("-S"), b"/w", environment("C"), Terminal::No),
            name_of(&words("-c"), b"/v", environment("C"), Terminal::No),
            name_of(&words("-c"), b"/w", environment("de"), Terminal::No),
            name_of(&words("-c"), b"/w", environment("C"), Terminal::Yes),
        ];
        assert!(others.iter().all(|other| *other != base));
        let more = environment("C").chain([(b"SHLVL".to_vec(), b"2".to_vec())]);
        assert_eq!(name_of(&words("-c"), b"/w", more, Terminal::No), base);
    }
}
