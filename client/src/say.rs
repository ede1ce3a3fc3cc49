//! Words for a person on stdout and stderr, which may be full or closed.
//!
//! Invariant: no panic. The standard library's macros panic there, and this process has a C `main`, where a panic is an abort.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Exit code of a command whose answer nobody could read.
const UNHEARD: i32 = 1;

/// Writes an answer to stdout; a process whose answer cannot be written ends here, with code 1.
pub(crate) fn answer(words: Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_fmt(words).and_then(|()| stdout.flush()) {
        complaint(format_args!("dccache: stdout: {error}\n"));
        std::process::exit(UNHEARD);
    }
}

/// Writes to stderr what can be written.
pub(crate) fn complaint(words: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(words);
}

/// Answers with a line.
macro_rules! say {
    ($($words:tt)*) => { $crate::say::answer(format_args!("{}\n", format_args!($($words)*))) };
}

/// Complains with a line.
macro_rules! complain {
    ($($words:tt)*) => { $crate::say::complaint(format_args!("{}\n", format_args!($($words)*))) };
}

pub(crate) use {complain, say};
