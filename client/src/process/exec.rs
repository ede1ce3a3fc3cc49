//! Becoming the compiler: nothing of argv, environment, descriptors, mask and dispositions is touched.

use super::{child, dispositions};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;

/// Replaces this process by `program`, called as `name` with `arguments`.
///
/// # Errors
/// Why the program could not be executed; on success it does not return.
pub fn exec(program: &Path, name: &OsStr, arguments: &[OsString]) -> io::Result<Infallible> {
    let mut command = child::call(program, name, arguments);
    dispositions::keep_sigpipe(&mut command);
    Err(command.exec())
}

/// Tells whether descriptors 0, 1 and 2 are open. Where one is not, a file that we open would take its number and
/// get what the compiler writes to it, so such a call is bypassed before anything is opened.
pub fn standard_streams_are_open() -> bool {
    use rustix::stdio::{stderr, stdin, stdout};
    [stdin(), stdout(), stderr()].into_iter().all(|stream| rustix::io::fcntl_getfd(stream).is_ok())
}
