//! Processes as the kernel lists them: who works in a directory, and ending one by its number.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;

/// Sends a signal; a process that is gone already is none to send it to.
///
/// # Panics
/// The number is no process number.
pub fn send(pid: u64, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process number");
    let _ = kill_process(pid, signal);
}

/// Lists the processes whose working directory is at or below a directory, by their numbers.
pub fn working_below(directory: &Path) -> Vec<u64> {
    let works =
        |pid: &u64| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    all().filter(works).collect()
}

/// Lists the processes whose environment names a directory and whose arguments hold all of some words, by their numbers.
pub fn with_words(directory: &Path, words: &[&str]) -> Vec<u64> {
    let needle = directory.as_os_str().as_encoded_bytes();
    let read = |pid: u64, name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let matches = |pid: &u64| {
        let arguments = read(*pid, "cmdline");
        let mut arguments_of_it = arguments.split(|byte| *byte == 0);
        words.iter().all(|word| arguments_of_it.any(|argument| argument == word.as_bytes()))
            && read(*pid, "environ").windows(needle.len()).any(|window| window == needle)
    };
    all().filter(matches).collect()
}

fn all() -> impl Iterator<Item = u64> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
