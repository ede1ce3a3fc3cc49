//! Processes of a user's machine are killed, stopped and started all at once, at any point; builds end as without dccache.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache_tests::{Dice, Ring, Site, files_below, send, until, with_words, working_below};
use rustix::process::Signal;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Seed of everything that looks random here.
const SEED: u64 = 0x0D_CC_AC_4E;

/// Longest time after which a wrapper is killed, in ms; about what a compile takes.
const WRAPPER_LIFE_MS: u64 = 60;

/// Longest time that an agent is let live, in ms: some compiles.
const AGENT_LIFE_MS: u64 = 250;

/// Waits for a while that the dice choose: the fault comes when it comes, and nothing depends on what it meets.
fn for_a_while(dice: &mut Dice, longest_ms: u64) {
    std::thread::sleep(Duration::from_millis(dice.below(longest_ms)));
}

/// Makes wrappers try the agent again at once, as they do some seconds after a failure.
fn forget_the_failure(site: &Site) {
    let _ = fs::write(site.state().join("agent/starting"), "");
}

#[test]
fn an_agent_killed_at_any_point_of_a_build_fails_no_compile_and_loses_nothing_that_it_took() {
    let ring = Ring::of(2);
    let (one, two) = (ring.site("one"), ring.site("two"));
    let units = one.write_units("unit", 60);
    two.write_units("unit", 60);
    let built = AtomicBool::new(false);
    let kills = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let (mut dice, mut kills) = (Dice::new(SEED), 0);
            while !built.load(Ordering::SeqCst) {
                let agents = with_words(one.state(), &["agent", "run"]);
                for_a_while(&mut dice, AGENT_LIFE_MS);
                agents.iter().for_each(|pid| send(*pid, Signal::KILL));
                kills += agents.len();
                forget_the_failure(&one);
            }
            kills
        });
        one.assert_units_as_without(&units);
        built.store(true, Ordering::SeqCst);
        killer.join().unwrap()
    });
    assert!(kills >= 10, "the agent was killed {kills} times only");
    assert_eq!(one.count("/misses"), 60, "{}", one.stats());
    one.workstation().flush().unwrap();
    let agent = one.agent();
    assert_eq!((&agent["waiting"], &agent["dropped"]), (&0.into(), &0.into()), "{agent}");

    // Whatever the agent had said yes to is on the ring; what it died over was counted.
    two.assert_units_as_without(&units);
    let unreached = one.faults("agent_unreached");
    assert!(two.count("/hits/ring") + unreached >= 60, "{} and {}", one.stats(), two.stats());
    assert!(two.count("/hits/ring") >= 20, "{}", two.stats());
}

#[test]
fn an_agent_that_is_stopped_costs_its_patience_once() {
    let ring = Ring::of(1);
    let mut site = ring.site("one");
    site.hurry();
    let units = site.write_units("unit", 12);
    site.assert_units_as_without(&units[..1]);
    let pid = site.agent()["pid"].as_u64().unwrap();
    send(pid, Signal::STOP);
    site.assert_units_as_without(&units[1..]);
    site.assert_doctor_names("agent", "");
    send(pid, Signal::CONT);
    assert!(site.faults("agent_unreached") >= 11, "{}", site.stats());
    // The first one waits for the answer to its look-up; from then on wrappers keep away.
    let marker = fs::read_to_string(site.state().join("agent/starting")).unwrap();
    assert!(!marker.is_empty());
    forget_the_failure(&site);
    site.forget();
    site.assert_units_as_without(&units[..1]);
    assert_eq!(site.count("/hits/ring"), 1, "{}", site.stats());
}

#[test]
fn many_wrappers_that_find_no_agent_start_one_and_all_compile() {
    let ring = Ring::of(1);
    let (one, two) = (ring.site("one"), ring.site("two"));
    let units = one.write_units("unit", 24);
    two.write_units("unit", 24);
    let plain: Vec<_> = units.iter().map(|unit| plain_object(&one, unit)).collect();
    one.workstation().stop();
    assert!(with_words(one.state(), &["agent", "run"]).is_empty());
    let children: Vec<Child> = units.iter().map(|unit| start(&one, unit)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(with_words(one.state(), &["agent", "run"]).len(), 1, "one agent and no more");
    for (unit, plain) in units.iter().zip(plain) {
        assert!(fs::read(one.file(&format!("{unit}.o"))).unwrap() == plain, "{unit}");
    }
    one.workstation().flush().unwrap();
    two.assert_units_as_without(&units);
    let unreached = one.faults("agent_unreached");
    assert!(two.count("/hits/ring") + unreached >= 24, "{} and {}", one.stats(), two.stats());
}

#[test]
fn a_wrapper_killed_at_any_point_leaves_no_partial_object_no_entry_that_lies_and_no_lock() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    let units = site.write_units("unit", 40);
    let mut dice = Dice::new(SEED);
    let mut killed = 0;
    for unit in &units {
        let plain = plain_object(&site, unit);
        for round in 0..2 {
            // The second round can meet a hit that is being written.
            let _ = fs::remove_file(site.file(&format!("{unit}.o")));
            let mut child = start(&site, unit);
            for_a_while(&mut dice, WRAPPER_LIFE_MS);
            send(child.id().into(), Signal::KILL);
            killed += usize::from(child.wait().unwrap().code().is_none());
            // A compiler that lost its wrapper goes on to its end, as one that lost its make does.
            until("the compiler has ended", || working_below(site.work()).is_empty().then_some(()));
            let left = fs::read(site.file(&format!("{unit}.o"))).ok();
            assert!(
                left.as_ref().is_none_or(|left| *left == plain),
                "{unit}, round {round}: a partial object"
            );
        }
    }
    assert!(killed >= 30, "{killed} were killed before they ended");
    site.assert_units_as_without(&units);
    // A kernel lock ends with its holder.
    let is_held = |path: &std::path::PathBuf| fs::File::open(path).unwrap().try_lock().is_err();
    assert_eq!(files_below(&site.state().join("locks")).iter().filter(|path| is_held(path)).count(), 0);
    let strays = files_below(site.work())
        .into_iter()
        .filter(|path| path.extension().is_none_or(|extension| extension != "c" && extension != "o"));
    assert_eq!(strays.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new(), "files among the sources");
}

fn plain_object(site: &Site, unit: &str) -> Vec<u8> {
    let object = format!("{unit}.o");
    let mut plain =
        site.plain(&["gcc", "-O1", "-Wall", "-c", &format!("{unit}.c"), "-o", &object], &[&object]);
    let bytes = plain.outputs.remove(0).unwrap();
    fs::remove_file(site.file(&object)).unwrap();
    bytes
}

fn start(site: &Site, unit: &str) -> Child {
    let mut command = site.command();
    command.args(["gcc", "-O1", "-Wall", "-c", &format!("{unit}.c"), "-o", &format!("{unit}.o")]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}
