//! One line that says what kind of machine a run was measured on, without naming it.

use std::fs;

/// Returns processor, cores, memory, kernel and file system of the temporary directory.
pub(crate) fn line() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.split('-').next().unwrap_or_default().trim().to_owned();
    format!("{cpu}, {cores} cores, {} GiB, Linux {release}, {} files", (kib + (1 << 19)) >> 20, file_system())
}

/// Returns today's date as `YYYY-MM-DD`.
pub(crate) fn date() -> anyhow::Result<String> {
    let output = std::process::Command::new("date").arg("+%F").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn file_system() -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let directory = std::env::temp_dir();
    let fits = |line: &&str| line.split(' ').nth(1).is_some_and(|mount| directory.starts_with(mount));
    let longest = mounts.lines().filter(fits).max_by_key(|line| line.split(' ').nth(1).map_or(0, str::len));
    longest.and_then(|line| line.split(' ').nth(2)).unwrap_or("unknown").to_owned()
}
