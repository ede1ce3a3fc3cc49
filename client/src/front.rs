//! What was typed: a command of ours, or a compiler; and which compiler.
//!
//! Invariant: nothing before the decision touches the command-line parser, a runtime or a log.

use crate::ccache;
use crate::commands;
use crate::config::is_setting;
use crate::resolve::{behind_link, resolve};
use crate::say::complain;
use crate::wrapper::{self, Foreseen, Own};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    /// Nothing, or a word that only our own command line understands.
    Command(Vec<OsString>),
    /// `dccache [KEY=VALUE ...] COMPILER ...`.
    Compiler { settings: Vec<OsString>, word: OsString, arguments: Vec<OsString> },
    /// Called as `ccache`.
    Ccache(Vec<OsString>),
    /// Called by a compiler's name.
    Link { name: OsString, arguments: Vec<OsString> },
}

/// Runs what was typed and returns the exit code of the process.
pub fn run(argv: Vec<OsString>) -> i32 {
    match classify(argv) {
        Typed::Command(argv) => commands::run(&argv),
        Typed::Compiler { settings, word, arguments } => {
            let before = settings.iter().map(OsString::as_os_str);
            wrapper::compile(&wrapper::Typed {
                words: before.chain(["".as_ref(), word.as_os_str()]).collect(),
                find: &|path| resolve(&word, path),
                rules: &Own(settings.clone()),
                arguments,
            })
        }
        Typed::Ccache(argv) => ccache::run(argv),
        Typed::Link { name, arguments } if ccache::is_behind_link() => ccache::run_link(&name, arguments),
        Typed::Link { name, arguments } => wrapper::compile(&wrapper::Typed {
            words: vec!["link".as_ref(), "".as_ref(), &name],
            find: &|path| behind_link(&name, path),
            rules: &Own(Vec::new()),
            arguments,
        }),
    }
}

/// Tells what would happen to a call, as it would follow `dccache`.
///
/// # Errors
/// The exit code where it names no compiler; it was said why.
pub fn foresee_call(words: &[OsString]) -> Result<Foreseen, i32> {
    let argv = [OsString::from("dccache"), OsString::from("--")].into_iter().chain(words.iter().cloned());
    let argv: Vec<OsString> = match words.first().is_some_and(|word| is_setting(word)) {
        true => argv.enumerate().filter(|(index, _)| *index != 1).map(|(_, word)| word).collect(),
        false => argv.collect(),
    };
    let Typed::Compiler { settings, word, arguments } = classify(argv) else {
        complain!("dccache: name a compiler behind the settings");
        return Err(2);
    };
    let before = settings.iter().map(OsString::as_os_str);
    wrapper::foresee(&wrapper::Typed {
        words: before.chain(["".as_ref(), word.as_os_str()]).collect(),
        find: &|path| resolve(&word, path),
        rules: &Own(settings.clone()),
        arguments,
    })
}

fn classify(argv: Vec<OsString>) -> Typed {
    let called = argv.first().map(|name| base_name(name).to_owned()).unwrap_or_default();
    let ours = called.as_bytes();
    if ccache::is_name(ours) {
        return Typed::Ccache(argv);
    }
    if !ours.is_empty() && !ours.starts_with(b"dccache") {
        return Typed::Link { name: called, arguments: argv.into_iter().skip(1).collect() };
    }
    match argv.get(1).map(|word| word.as_bytes()) {
        None => Typed::Command(argv),
        Some(b"--") if argv.len() > 2 => compiler_at(argv, 2),
        Some(_) if is_setting(&argv[1]) => behind_settings(argv),
        Some(word) if word.starts_with(b"-") || commands::is_command(word) => Typed::Command(argv),
        Some(_) => compiler_at(argv, 1),
    }
}

/// `KEY=VALUE` words hold for this one compile; behind them a word is a compiler, whatever it is.
fn behind_settings(argv: Vec<OsString>) -> Typed {
    let settings = argv[1..].iter().take_while(|word| is_setting(word)).count();
    let dashes = usize::from(argv.get(1 + settings).is_some_and(|word| word == "--"));
    let at = 1 + settings + dashes;
    match argv.len() > at {
        true => compiler_at(argv, at),
        // Nothing to compile: our own command line says so.
        false => Typed::Command(argv),
    }
}

fn compiler_at(argv: Vec<OsString>, index: usize) -> Typed {
    let settings = argv[1..index].iter().filter(|word| is_setting(word)).cloned().collect();
    // A launcher and a compiler variable can both name us: `dccache dccache gcc` is `dccache gcc`.
    let ours = argv[index..].iter().take_while(|word| base_name(word) == "dccache").count();
    let index = if argv.len() > index + ours { index + ours } else { index };
    let mut words = argv.into_iter().skip(index);
    let word = words.next().unwrap_or_default();
    Typed::Compiler { settings, word, arguments: words.collect() }
}

fn base_name(path: &OsStr) -> &OsStr {
    Path::new(path).file_name().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Typed {
        classify(words.iter().map(OsString::from).collect())
    }

    #[test]
    fn only_an_exact_command_word_is_ours_and_everything_else_is_a_compiler() {
        assert!(matches!(typed(&["dccache"]), Typed::Command(_)));
        assert!(matches!(typed(&["/usr/bin/dccache", "stats", "--json"]), Typed::Command(_)));
        assert!(matches!(typed(&["dccache", "--help"]), Typed::Command(_)));
        assert!(matches!(typed(&["dccache", "stat"]), Typed::Compiler { word, .. } if word == "stat"));
        assert!(matches!(typed(&["dccache", "./stats"]), Typed::Compiler { word, .. } if word == "./stats"));
    }

    #[test]
    fn two_dashes_make_the_next_word_a_compiler_whatever_it_is() {
        assert!(
            matches!(typed(&["dccache", "/x/dccache", "dccache", "cc"]), Typed::Compiler { word, .. } if word == "cc")
        );
        assert!(matches!(typed(&["dccache", "dccache"]), Typed::Compiler { word, .. } if word == "dccache"));
        let Typed::Compiler { word, arguments, .. } = typed(&["dccache", "--", "stats", "-c", "--"]) else {
            panic!("a compiler")
        };
        assert_eq!((word, arguments), ("stats".into(), vec!["-c".into(), "--".into()]));
    }

    #[test]
    fn settings_stand_before_the_compiler_and_a_name_with_another_letter_is_none() {
        let words = ["dccache", "namespace=x", "max_size=1G", "gcc", "-DA=1", "a=b"];
        let Typed::Compiler { settings, word, arguments } = typed(&words) else { panic!("a compiler") };
        assert_eq!((settings.len(), word), (2, "gcc".into()));
        assert_eq!(arguments, ["-DA=1", "a=b"]);
        let Typed::Compiler { settings, word, .. } = typed(&["dccache", "a=b", "--", "stats"]) else {
            panic!("a compiler")
        };
        assert_eq!((settings.len(), word), (1, "stats".into()));
        for words in [["dccache", "./a=b"], ["dccache", "A=b"], ["dccache", "=b"]] {
            assert!(matches!(typed(&words), Typed::Compiler { settings, .. } if settings.is_empty()));
        }
        assert!(matches!(typed(&["dccache", "namespace=x"]), Typed::Command(_)));
    }

    #[test]
    fn called_by_another_name_it_is_that_compiler() {
        for name in ["gcc", "x86_64-linux-gnu-gcc-12", "clang++-14", "c++"] {
            let path = format!("/opt/links/{name}");
            assert!(matches!(typed(&[&path, "stats"]), Typed::Link { name: found, .. } if found == name));
        }
        assert!(matches!(typed(&["/opt/ccache", "stats"]), Typed::Ccache(_)));
    }
}
