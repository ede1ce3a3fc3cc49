//! Running the preprocessor, and asking the compiler about itself.

use super::{child, dispositions};
use rustix::fs::{MemfdFlags, memfd_create};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::Stdio;

/// Largest preprocessed text that is looked at, in bytes; more than ten times the largest known translation units.
/// Above it the compiler runs untouched, so that a runaway macro cannot fill the memory twice.
pub const PREPROCESSED_MAX: u64 = 512 << 20;

/// Largest answer of a compiler about itself, most messages and longest list of dependencies of a preprocessor, in bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// Size asked for the pipe from the preprocessor, in bytes: the usual limit for unprivileged users. Fewer wake-ups.
const PIPE_BYTES: usize = 1 << 20;

/// Text that a preprocessor is likely to give, in bytes; the buffer starts with it.
const TEXT_GUESS: usize = 256 << 10;

/// What a preprocessor wrote.
#[derive(Debug)]
pub struct Preprocessing {
    /// The text.
    pub text: Vec<u8>,
    /// What it wrote to stderr. The compile says all of it again; it is part of the key.
    pub messages: Vec<u8>,
    /// What it wrote to its standard input: the list of dependencies, where its arguments name `/proc/self/fd/0` for that.
    pub listing: Vec<u8>,
}

/// Runs the preprocessor; `None` when it failed or wrote too much.
///
/// # Errors
/// Why it could not be started or read.
pub fn preprocess(program: &Path, name: &OsStr, arguments: &[OsString]) -> io::Result<Option<Preprocessing>> {
    // Messages go to memory, so that one process can read one pipe and nobody waits for the other stream.
    let mut messages = File::from(memfd_create("dccache-messages", MemfdFlags::CLOEXEC)?);
    // Empty for whoever reads it, as /dev/null is. As standard input it needs no number that other children could inherit.
    let mut listing = File::from(memfd_create("dccache-listing", MemfdFlags::CLOEXEC)?);
    let mut command = child::call(program, name, arguments);
    let lent = child::lend_stderr(&mut command);
    command.stdin(listing.try_clone()?).stdout(Stdio::piped()).stderr(messages.try_clone()?);
    dispositions::keep_sigpipe(&mut command);
    let mut child = command.spawn()?;
    drop(lent);
    let mut text = Vec::with_capacity(TEXT_GUESS);
    if let Some(pipe) = child.stdout.take() {
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
        pipe.take(PREPROCESSED_MAX + 1).read_to_end(&mut text)?;
    }
    let succeeded = child.wait()?.success();
    let messages = written(&mut messages)?;
    let listing = written(&mut listing)?;
    let fits = text.len() as u64 <= PREPROCESSED_MAX
        && [&messages, &listing].into_iter().all(|kept| kept.len() as u64 <= ANSWER_MAX);
    Ok((succeeded && fits).then_some(Preprocessing { text, messages, listing }))
}

/// Reads what a child wrote, and one byte more than it may write at most.
fn written(file: &mut File) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    file.rewind()?;
    file.take(ANSWER_MAX + 1).read_to_end(&mut kept)?;
    Ok(kept)
}

/// What a compiler says about itself.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its stdout.
    pub stdout: Vec<u8>,
    /// Its stderr.
    pub stderr: Vec<u8>,
}

/// Asks a compiler about itself in plain English, without the variables of `hidden`; `None` when it fails.
///
/// # Errors
/// Why it could not be started or read.
pub fn answer_of(
    program: &Path,
    name: &OsStr,
    arguments: &[OsString],
    hidden: &[&str],
) -> io::Result<Option<Answer>> {
    let (succeeded, answer) = reply_of(program, name, arguments, hidden)?;
    Ok(succeeded.then_some(answer))
}

/// As [`answer_of`], with what a compiler says that fails; tells whether it did not.
///
/// # Errors
/// Why it could not be started or read.
pub fn reply_of(
    program: &Path,
    name: &OsStr,
    arguments: &[OsString],
    hidden: &[&str],
) -> io::Result<(bool, Answer)> {
    let mut command = child::call(program, name, arguments);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in hidden {
        command.env_remove(name);
    }
    dispositions::keep_sigpipe(&mut command);
    let mut child = command.spawn()?;
    let mut answer = Answer::default();
    let errors = child.stderr.take();
    // One of the streams is drained by a thread, since a full pipe on either side would stop the compiler.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        errors.map(|errors| errors.take(ANSWER_MAX).read_to_end(&mut text));
        text
    });
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_MAX).read_to_end(&mut answer.stdout)?;
    }
    answer.stderr = reader.join().unwrap_or_default();
    Ok((child.wait()?.success(), answer))
}
