//! How a compiler is started: by itself, or behind the words of a prefix.

use crate::resolve::{Compiler, resolve};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A program with its name and arguments.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) program: PathBuf,
    pub(super) name: OsString,
    pub(super) arguments: Vec<OsString>,
}

impl Start {
    /// Puts `prefix` in front of the compiler. A prefix that is not found does not keep the compiler from running.
    pub(super) fn of(prefix: &[String], compiler: &Compiler, arguments: &[OsString]) -> Self {
        let path = std::env::var_os("PATH");
        let found = prefix.split_first().and_then(|(first, rest)| {
            let program = resolve(OsStr::new(first), path.as_deref()).ok()?;
            Some((program, rest.iter().map(OsString::from)))
        });
        match found {
            Some((program, rest)) => {
                let compiler = std::iter::once(compiler.program.clone().into_os_string());
                let arguments = rest.chain(compiler).chain(arguments.iter().cloned()).collect();
                Self { program: program.program, name: program.name, arguments }
            }
            None => Self {
                program: compiler.program.clone(),
                name: compiler.name.clone(),
                arguments: arguments.to_vec(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stands_in_front_and_an_absent_one_nowhere() {
        let compiler = Compiler { program: "/usr/bin/gcc".into(), name: "gcc".into(), passed: Vec::new() };
        let arguments = ["-c".into(), "a.c".into()];
        let start = |prefix: &[&str]| {
            let prefix: Vec<String> = prefix.iter().map(|word| word.to_string()).collect();
            Start::of(&prefix, &compiler, &arguments)
        };
        let plain = start(&[]);
        assert_eq!((plain.program, plain.name), ("/usr/bin/gcc".into(), "gcc".into()));
        let nice = start(&["nice", "-n1"]);
        assert!(nice.program.ends_with("nice"));
        assert_eq!(nice.arguments, ["-n1", "/usr/bin/gcc", "-c", "a.c"]);
        assert_eq!(start(&["no-such-program"]).arguments, arguments);
    }
}
