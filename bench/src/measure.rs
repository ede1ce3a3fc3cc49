//! Interleaved measurement: in every round each contender runs once, in an order that rotates, so that drift hits all alike.

use crate::counts::Counts;
use crate::front::Family;
use anyhow::{Context as _, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rounds below which no limit of time cuts a measurement short.
const ROUNDS_MIN: usize = 3;

/// How often a measurement is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) rounds: usize,
    /// Ends it sooner, once a round ends after so long.
    pub(crate) within: Duration,
}

/// One way to do the same work.
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    pub(crate) family: Family,
    /// CPU time of the work, so far, that is not a child's: a server's. `None` where it cannot be told, and then no CPU is.
    pub(crate) served: Served<'a>,
    /// Runs before each measured round, not measured.
    pub(crate) prepare: Step<'a>,
    /// Makes the measured command of a round.
    pub(crate) command: Box<dyn Fn(usize) -> Command + 'a>,
    /// Runs after each measured round, not measured; checks what was made.
    pub(crate) check: Step<'a>,
}

/// What happens around a round, given its number; round 0 is the one that is not counted.
pub(crate) type Step<'a> = Box<dyn Fn(usize) -> anyhow::Result<()> + 'a>;

/// Returns the CPU time of what serves a contender.
pub(crate) type Served<'a> = Box<dyn Fn() -> anyhow::Result<Option<Duration>> + 'a>;

/// What one contender took, over all rounds, in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) name: String,
    pub(crate) family: Family,
    /// Wall-clock time per round.
    pub(crate) wall: Vec<f64>,
    /// User and system time per round, of the command, what it waited for and what served it; empty where that cannot be told.
    pub(crate) cpu: Vec<f64>,
    /// Of one call; nothing where none was counted.
    pub(crate) counts: Counts,
}

/// Lower quartile, median and upper quartile.
#[derive(Clone, Copy, Debug, PartialEq)]
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

    /// Subtracts round by round.
    pub(crate) fn of_differences(own: &[f64], reference: &[f64]) -> Self {
        Self::of(own.iter().zip(reference).map(|(own, reference)| own - reference).collect())
    }

    /// Divides round by round.
    pub(crate) fn of_ratios(own: &[f64], reference: &[f64]) -> Self {
        let pairs = own.iter().zip(reference);
        Self::of(pairs.map(|(own, reference)| own / reference.max(1e-9)).collect())
    }
}

impl Samples {
    /// Begins without rounds.
    pub(crate) fn new(name: &str, family: Family) -> Self {
        Self { name: name.to_owned(), family, wall: Vec::new(), cpu: Vec::new(), counts: Counts::default() }
    }

    /// Returns the median wall-clock time, in seconds.
    pub(crate) fn median(&self) -> f64 {
        Spread::of(self.wall.clone()).median
    }
}

/// Runs all contenders, round by round, after one round that is not counted.
pub(crate) fn interleave(contenders: &[Contender<'_>], repeat: Repeat) -> anyhow::Result<Vec<Samples>> {
    let mut samples: Vec<Samples> = contenders.iter().map(|c| Samples::new(&c.name, c.family)).collect();
    let (count, begin) = (contenders.len(), Instant::now());
    for round in 0..=repeat.rounds {
        if round > ROUNDS_MIN && begin.elapsed() > repeat.within {
            break;
        }
        for turn in 0..count {
            let index = (turn + round) % count;
            let contender = &contenders[index];
            let (wall, cpu) =
                run(contender, round).with_context(|| format!("{} in round {round}", contender.name))?;
            if round > 0 {
                samples[index].wall.push(wall.as_secs_f64());
                samples[index].cpu.extend(cpu.map(|cpu| cpu.as_secs_f64()));
            }
        }
    }
    Ok(samples)
}

fn run(contender: &Contender<'_>, round: usize) -> anyhow::Result<(Duration, Option<Duration>)> {
    (contender.prepare)(round)?;
    let mut command = (contender.command)(round);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (before, served) = (children_cpu()?, (contender.served)()?);
    let begin = Instant::now();
    let status = command.status()?;
    let wall = begin.elapsed();
    let cpu = children_cpu()?.saturating_sub(before);
    let served = (contender.served)()?.zip(served).map(|(after, before)| after.saturating_sub(before));
    ensure!(status.success(), "{command:?} ended with {status}");
    (contender.check)(round)?;
    Ok((wall, served.map(|served| cpu + served)))
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
        assert_eq!(spread, Spread { lower: 2.0, median: 3.0, upper: 4.0 });
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let spread = Spread::of_ratios(&[1.0, 20.0, 3.0], &[2.0, 10.0, 3.0]);
        assert_eq!(spread.median, 1.0);
        assert_eq!(Spread::of_differences(&[1.0, 20.0, 3.0], &[2.0, 10.0, 3.0]).median, 0.0);
    }

    #[test]
    fn a_failing_command_fails_the_run() {
        let contender = Contender {
            name: "false".into(),
            family: Family::Plain,
            served: Box::new(|| Ok(Some(Duration::ZERO))),
            prepare: Box::new(|_| Ok(())),
            command: Box::new(|_| Command::new("false")),
            check: Box::new(|_| Ok(())),
        };
        assert!(interleave(&[contender], Repeat { rounds: 1, within: Duration::MAX }).is_err());
    }

    #[test]
    fn a_limit_of_time_leaves_the_fewest_rounds() {
        let contender = Contender {
            name: "true".into(),
            family: Family::Plain,
            served: Box::new(|| Ok(None)),
            prepare: Box::new(|_| Ok(())),
            command: Box::new(|_| Command::new("true")),
            check: Box::new(|_| Ok(())),
        };
        let samples = interleave(&[contender], Repeat { rounds: 1000, within: Duration::ZERO }).unwrap();
        assert_eq!(samples[0].wall.len(), ROUNDS_MIN);
        assert!(samples[0].cpu.is_empty(), "what served it cannot be told");
    }
}
