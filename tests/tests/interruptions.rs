//! Compiles are interrupted at seeded points: wrapper, compiler, agent or all at once get SIGINT or SIGKILL. No partial object, no wrong
//! entry and no lock is left.
//!
//! `just interruptions` does it 500 times; `INTERRUPTIONS_SEED` and `INTERRUPTIONS_COUNT` choose others.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache_tests::{Dice, Ring, Site, files_below, send, until, with_words, working_below};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Seed of the run among the normal tests.
const SEED: u64 = 0x1A7E_44F7;

/// Interruptions of the run among the normal tests.
const COUNT: u64 = 120;

/// Units that are compiled over and over.
const UNITS: usize = 20;

/// Who gets the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    /// The wrapper alone.
    Wrapper,
    /// Wrapper and compiler, as by Ctrl-C.
    Group,
    /// One process of the compiler: the driver, the compiler proper, the preprocessor or the assembler.
    Compiler,
    /// The agent.
    Agent,
}

const VICTIMS: &[Victim] = &[Victim::Wrapper, Victim::Group, Victim::Compiler, Victim::Agent];

/// How long a compile takes here and now, by what it is: blows are to fall within it.
struct Lives {
    /// With an entry to serve.
    served: Duration,
    /// Compiled and stored anew.
    compiled: Duration,
}

impl Lives {
    fn of(&mut self, recache: bool) -> &mut Duration {
        if recache { &mut self.compiled } else { &mut self.served }
    }

    /// Follows the load of the machine: a call that ended before its blow tells its life; one that was struck late may have a longer one.
    fn learn(&mut self, blow: &Blow, fell: Fell) {
        let life = self.of(blow.recache);
        match fell {
            Fell::TooLate(whole) => *life = (*life + whole) / 2,
            Fell::OnSomebody if blow.after > *life * 3 / 4 => *life = *life * 5 / 4,
            Fell::OnSomebody | Fell::OnNobody => {}
        }
    }
}

/// What a blow met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fell {
    OnSomebody,
    /// The call lived, and no process of the kind that was to be struck.
    OnNobody,
    /// The call had ended after this time.
    TooLate(Duration),
}

/// One interruption.
struct Blow {
    victim: Victim,
    signal: Signal,
    after: Duration,
    /// Whether the wrapper compiles and stores anew although it has an entry.
    recache: bool,
}

impl Blow {
    /// Draws one that falls within the life of its compile.
    fn draw(dice: &mut Dice, lives: &mut Lives) -> Self {
        let victim = VICTIMS[dice.below(VICTIMS.len() as u64) as usize];
        // A group that is killed outright has nobody left to remove what the assembler had begun: that is so without dccache.
        let killed = dice.below(2) == 0 && victim != Victim::Group;
        let recache = victim == Victim::Compiler || dice.below(3) != 0;
        let after = dice.below(1 << 20) as u32;
        Self {
            victim,
            signal: if killed { Signal::KILL } else { Signal::INT },
            after: *lives.of(recache) * after / (1 << 20),
            recache,
        }
    }

    /// Waits for its time and strikes a call that was started at `begin`.
    fn fall(&self, site: &Site, child: &mut Child, begin: Instant, dice: &mut Dice) -> Fell {
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        let end = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let timeout = Timespec { tv_sec: 0, tv_nsec: self.after.as_nanos() as i64 };
        if poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&timeout)).unwrap() != 0 {
            return Fell::TooLate(begin.elapsed());
        }
        let wrapper = u64::from(child.id());
        let victims = match self.victim {
            Victim::Wrapper | Victim::Group => vec![wrapper],
            Victim::Compiler => {
                let mut all = working_below(site.work());
                all.retain(|pid| *pid != wrapper);
                all
            }
            Victim::Agent => with_words(site.state(), &["agent", "run"]),
        };
        if victims.is_empty() || child.try_wait().unwrap().is_some() {
            return Fell::OnNobody;
        }
        let victim = victims[dice.below(victims.len() as u64) as usize];
        match self.victim {
            Victim::Group => {
                let group = Pid::from_raw(victim as i32).unwrap();
                let _ = kill_process_group(group, self.signal);
            }
            _ => send(victim, self.signal),
        }
        Fell::OnSomebody
    }
}

fn start(site: &Site, unit: &str, recache: bool) -> Child {
    let mut command = site.command();
    if recache {
        command.env("DCCACHE_RECACHE", "1");
    }
    command.args(["gcc", "-O1", "-Wall", "-c", &format!("{unit}.c"), "-o", &format!("{unit}.o")]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

/// Compiles a unit without dccache and returns its object, which is removed.
fn plain_object(site: &Site, unit: &str) -> Vec<u8> {
    let object = format!("{unit}.o");
    let words = ["gcc", "-O1", "-Wall", "-c", &format!("{unit}.c"), "-o", &object];
    let bytes = site.plain(&words, &[&object]).outputs.remove(0).unwrap();
    fs::remove_file(site.file(&object)).unwrap();
    bytes
}

/// How long a call takes here and now: the median of five.
fn life_of_a_call(site: &Site, unit: &str, recache: bool) -> Duration {
    let mut lives: Vec<Duration> = (0..5)
        .map(|_| {
            let begin = Instant::now();
            assert!(start(site, unit, recache).wait().unwrap().success());
            begin.elapsed()
        })
        .collect();
    lives.sort();
    lives[2]
}

/// Files of ours beside the sources, which only a wrapper that died while it wrote can leave.
fn strays(site: &Site) -> Vec<PathBuf> {
    let known = |path: &PathBuf| path.extension().is_some_and(|found| found == "c" || found == "o");
    files_below(site.work()).into_iter().filter(|path| !known(path)).collect()
}

fn interrupt(seed: u64, count: u64) {
    println!("seed {seed}, {count} interruptions");
    let ring = Ring::of(1);
    let (site, other) = (ring.site("one"), ring.site("two"));
    let units = site.write_units("unit", UNITS);
    other.write_units("unit", UNITS);
    let plain: Vec<Vec<u8>> = units.iter().map(|unit| plain_object(&site, unit)).collect();
    let compiled = life_of_a_call(&site, &units[0], true);
    let mut lives = Lives { compiled, served: life_of_a_call(&site, &units[0], false) };
    let mut dice = Dice::new(seed);
    let mut struck: BTreeMap<(Victim, bool), usize> = BTreeMap::new();
    let mut left = 0;
    for number in 0..count {
        let at = number as usize % UNITS;
        let object = site.file(&format!("{}.o", units[at]));
        let _ = fs::remove_file(&object);
        let blow = Blow::draw(&mut dice, &mut lives);
        let case = format!("{number}: {:?} {:?} after {:?}", blow.victim, blow.signal, blow.after);
        let begin = Instant::now();
        let mut child = start(&site, &units[at], blow.recache);
        let fell = blow.fall(&site, &mut child, begin, &mut dice);
        lives.learn(&blow, fell);
        let fell = fell == Fell::OnSomebody;
        let status = child.wait().unwrap();
        // A compiler that lost its wrapper goes on to its end, as one that lost its make does.
        until("the compiler has ended", || working_below(site.work()).is_empty().then_some(()));
        let found = fs::read(&object).ok();
        let partial = found.as_ref().filter(|found| **found != plain[at]).map(Vec::len);
        assert_eq!(partial, None, "{case}: bytes of a partial object, {status:?}");
        assert!(!status.success() || found.is_some(), "{case}: success without an object");
        assert!(blow.victim != Victim::Agent || status.success(), "{case}: the agent took a compile with it");
        assert!(fell || status.success(), "{case}: nobody was struck and the compile failed");
        let strays = strays(&site);
        assert!(strays.is_empty() || blow.victim != Victim::Agent, "{case}: {strays:?}");
        left += strays.len();
        strays.iter().for_each(|path| fs::remove_file(path).unwrap());
        if fell {
            *struck.entry((blow.victim, blow.signal == Signal::KILL)).or_default() += 1;
        }
        let _ = fs::write(site.state().join("agent/starting"), "");
    }
    println!("struck (victim, by SIGKILL): {struck:?}");
    println!("left: {left} temporary files of wrappers that died");
    assert!(struck.values().sum::<usize>() as u64 * 2 >= count, "too few were struck: {struck:?}");
    assert!(struck.len() == 7, "every kind of interruption occurs: {struck:?}");
    assert_nothing_is_left(&site);
    // What was stored on the way is right, here and on the ring.
    site.assert_units_as_without(&units);
    site.workstation().flush().unwrap();
    other.assert_units_as_without(&units);
    println!("{} and {}", site.stats(), other.stats());
    assert!(other.count("/hits/ring") > 0, "{}", other.stats());
}

fn assert_nothing_is_left(site: &Site) {
    let is_held = |path: &PathBuf| File::open(path).unwrap().try_lock().is_err();
    let held: Vec<_> = files_below(&site.state().join("locks")).into_iter().filter(is_held).collect();
    assert!(held.is_empty(), "locks without a holder: {held:?}");
    assert_eq!(working_below(site.work()), Vec::<u64>::new(), "processes among the sources");
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn interrupted_compiles_leave_no_partial_object_no_wrong_entry_and_no_lock() {
    interrupt(SEED, COUNT);
}

#[test]
#[ignore = "takes a minute or more; `just interruptions` runs it"]
fn compiles_that_are_interrupted_500_times_leave_no_partial_object_no_wrong_entry_and_no_lock() {
    interrupt(number("INTERRUPTIONS_SEED", SEED), number("INTERRUPTIONS_COUNT", 500));
}
