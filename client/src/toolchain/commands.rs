//! The commands of `compiler_check`, by whose words a compiler is told from another.

use super::{Call, Unknown};
use crate::process::answer_of;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Stands for the compiler in a command.
const COMPILER: &str = "%compiler%";

/// Runs the commands and returns all that they write, each stream behind its length (u64 LE).
pub(super) fn answers(call: &Call<'_>, commands: &[Vec<String>]) -> Result<Vec<u8>, Unknown> {
    let mut all = Vec::new();
    for command in commands {
        let failed = || Unknown::Check(command.join(" "));
        let word = |word: &String| match word == COMPILER {
            true => call.compiler.program.clone().into_os_string(),
            false => OsString::from(word),
        };
        let words: Vec<OsString> = command.iter().map(word).collect();
        let (program, arguments) = words.split_first().ok_or_else(failed)?;
        let answer = answer_of(Path::new(program), OsStr::new(program), arguments, &[]);
        let answer = answer.ok().flatten().ok_or_else(failed)?;
        for stream in [answer.stdout, answer.stderr] {
            all.extend((stream.len() as u64).to_le_bytes());
            all.extend(stream);
        }
    }
    Ok(all)
}
