//! Interleaved measurement: in every round each contender runs once, in an order that rotates, so that drift hits all alike.

use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One way to do the same work.
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    /// Runs before each measured round, not measured.
    pub(crate) prepare: Box<dyn FnMut(usize) -> anyhow::Result<()> + 'a>,
    /// Makes the measured command of a round.
    pub(crate) command: Box<dyn FnMut(usize) -> Command + 'a>,
    /// Runs after each measured round, not measured; checks what was made.
    pub(crate) check: Box<dyn FnMut(usize) -> anyhow::Result<()> + 'a>,
}

/// What one contender took, over all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) name: String,
    /// Wall-clock time per round.
    pub(crate) wall: Vec<Duration>,
    /// User and system time per round, of the command and what it waited for.
    pub(crate) cpu: Vec<Duration>,
}

/// Lower quartile, median and upper quartile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) lower: f64,
    pub(crate) median: f64,
    pub(crate) upper: f64,
}

impl Spread {
    /// Sorts and picks; all zero for no samples.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let pick = |part: usize| values.get((values.len().max(1) - 1) * part / 4).copied().unwrap_or(0.0);
        Self { lower: pick(1), median: pick(2), upper: pick(3) }
    }
}

/// Runs all contenders `rounds` times after one round that is not counted.
pub(crate) fn interleave(mut contenders: Vec<Contender<'_>>, rounds: usize) -> anyhow::Result<Vec<Samples>> {
    let empty = |c: &Contender<'_>| Samples { name: c.name.clone(), wall: Vec::new(), cpu: Vec::new() };
    let mut samples: Vec<Samples> = contenders.iter().map(empty).collect();
    let count = contenders.len();
    for round in 0..=rounds {
        for turn in 0..count {
            let index = (turn + round) % count;
            let (wall, cpu) = run(&mut contenders[index], round)
                .with_context(|| format!("{} in round {round}", contenders[index].name))?;
            if round > 0 {
                samples[index].wall.push(wall);
                samples[index].cpu.push(cpu);
            }
        }
    }
    Ok(samples)
}

fn run(contender: &mut Contender<'_>, round: usize) -> anyhow::Result<(Duration, Duration)> {
    (contender.prepare)(round)?;
    let mut command = (contender.command)(round);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let before = children_cpu()?;
    let begin = Instant::now();
    let status = command.status()?;
    let wall = begin.elapsed();
    let cpu = children_cpu()?.saturating_sub(before);
    ensure!(status.success(), "{command:?} ended with {status}");
    (contender.check)(round)?;
    Ok((wall, cpu))
}

/// User and system time of all children waited for; daemons that still run are not in it.
fn children_cpu() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64;
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_odd_samples_is_exact() {
        let spread = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((spread.lower, spread.median, spread.upper), (2.0, 3.0, 4.0));
    }

    #[test]
    fn a_failing_command_fails_the_run() {
        let contender = Contender {
            name: "false".into(),
            prepare: Box::new(|_| Ok(())),
            command: Box::new(|_| Command::new("false")),
            check: Box::new(|_| Ok(())),
        };
        assert!(interleave(vec![contender], 1).is_err());
    }
}
