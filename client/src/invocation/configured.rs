//! Options that a driver takes from files of its own, before those of the command: gcc's specs, clang's configuration files.
//!
//! They count as if they had been typed, but only those of which no file, output or text hangs on where they stand; whatever else such a file
//! says leaves the call alone. The preprocessor's command does not repeat them, since the driver reads the files then, too.

use super::arguments::{self, Argument, Class};
use super::reason::{Bypass, Reason};
use super::{CompilerKind, Files, IncludeKind};
use serde::{Deserialize, Serialize};

/// What files make a driver add to a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Words that it adds, or, with gcc, can add.
    pub words: Vec<Vec<u8>>,
    /// Beginnings of switches, without their dash, on which it depends which of them it adds.
    pub conditions: Vec<Vec<u8>>,
}

/// Words without their dash that some run of a compile has and another has not, beside those of the call.
const EVER_DIFFERING: [&[u8]; 8] =
    [b"fdiagnostics-color=always", b"MD", b"MF", b"MT", b"Wa,--MD,", b"E", b"fpch-preprocess", b"###"];

impl Configured {
    /// Understands its words, and refuses those that a file may not add.
    pub(super) fn arguments(
        &self,
        kind: CompilerKind,
        files: &dyn Files,
    ) -> Result<Vec<Argument<'_>>, Bypass> {
        let added = arguments::scan(&self.words, kind, files);
        match added.iter().find(|argument| !may_be_configured(argument, kind)) {
            Some(bad) => Err(Bypass::new(Reason::UnsupportedCompilerOption, bad.words.join(&b' '))),
            None => Ok(added),
        }
    }

    /// Refuses conditions that hold for only one of the compile's and the preprocessor's command: its text would then be another one's.
    pub(super) fn check_conditions(
        &self,
        argv: &[Vec<u8>],
        preprocessor: Option<&[Vec<u8>]>,
    ) -> Result<(), Bypass> {
        let Some(preprocessor) = preprocessor else { return Ok(()) };
        let only = |these: &[Vec<u8>], those: &[Vec<u8>], start: &[u8]| {
            let mut words = these.iter().filter(|word| !those.contains(word));
            words.any(|word| undashed(word).starts_with(start))
        };
        let differs = |condition: &&Vec<u8>| {
            EVER_DIFFERING.iter().any(|word| word.starts_with(condition))
                || only(argv, preprocessor, condition)
                || only(preprocessor, argv, condition)
        };
        let bad = self.conditions.iter().find(differs);
        bad.map_or(Ok(()), |condition| {
            Err(Bypass::new(Reason::UnsupportedCompilerOption, condition.as_slice()))
        })
    }
}

fn undashed(word: &[u8]) -> &[u8] {
    let at = word.iter().position(|&byte| byte != b'-').unwrap_or(word.len());
    &word[at..]
}

/// Whether a file may add an option. GCC's are added or not, so they must be without effect on what else is known of the call.
fn may_be_configured(argument: &Argument<'_>, kind: CompilerKind) -> bool {
    let word = argument.words[0].as_slice();
    // What it stands for is asked for with the command's own words.
    let native = argument.value.ends_with(b"=native");
    let absolute = argument.value.starts_with(b"/");
    match argument.class {
        Class::CodeGeneration | Class::DiagnosticsOnly | Class::TokenWarning | Class::LinkerOnly => !native,
        _ if !kind.is_clang() => false,
        Class::Leaks(_) | Class::Macro => true,
        Class::IncludeDirectory(IncludeKind::Angled | IncludeKind::System | IncludeKind::After) => absolute,
        Class::ForcedInclude => absolute,
        // Whatever chooses files of the toolchain by a name that every directory understands in its own way is left out.
        Class::Toolchain => {
            let starts: [&[u8]; 4] = [b"-m", b"--target=", b"-stdlib=", b"-nostd"];
            starts.iter().any(|start| word.starts_with(start))
                || (word.starts_with(b"--sysroot=") && absolute)
        }
        _ => false,
    }
}
