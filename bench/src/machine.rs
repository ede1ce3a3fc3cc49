//! One line that says what kind of machine a run was measured on, without naming it.

use std::fs;
use std::time::Duration;

/// How long the machine is watched for other work.
const WATCH: Duration = Duration::from_secs(1);

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

/// Watches what the machine does while this run waits, and returns the share of its CPU time that is taken, 0 to 1.
pub(crate) fn busy() -> Option<f64> {
    let before = times(&fs::read_to_string("/proc/stat").ok()?)?;
    std::thread::sleep(WATCH);
    let after = times(&fs::read_to_string("/proc/stat").ok()?)?;
    let (idle, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    (all > 0).then(|| 1.0 - idle as f64 / all as f64)
}

/// Reads idle and all time out of `cpu  USER NICE SYSTEM IDLE IOWAIT ...`, in ticks.
fn times(stat: &str) -> Option<(u64, u64)> {
    let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
    let idle = numbers.get(3)? + numbers.get(4)?;
    // The last two, of guests, are counted in the first two.
    Some((idle, numbers.iter().take(8).sum()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_that_of_nothing_to_do_and_of_waiting_for_a_disk() {
        assert_eq!(times("cpu  10 1 5 80 4 0 0 0 3 0\ncpu0 1 1\n"), Some((84, 100)));
        assert_eq!(times("intr 5\n"), None);
    }
}
