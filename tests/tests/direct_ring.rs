//! A machine with an empty store is served by the ring without its preprocessor, and a build sees no difference.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{EntryKey, ManifestKey, RootPath, direct_key};
use dccache_protocol::local::Reply;
use dccache_tests::{Effect, Machine, Ring, Sample, Site, send, until};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

const OUTPUTS: [&str; 2] = ["a.o", "a.d"];

/// Writes the sources of a project, and of another unit that only makes a machine know its compiler and start its agent.
fn write_sources(site: &Site) {
    std::fs::create_dir_all(site.file("include")).unwrap();
    site.write("include/b.h", "#pragma once\nstatic inline int twice(int x) { return 2 * x; }\n");
    site.write("include/a.h", "#include <stddef.h>\n#include \"b.h\"\n#define LIMIT 7\n");
    site.write("a.c", "#include \"a.h\"\nint f(int x) { int unused; return twice(x) + LIMIT; }\n");
    site.write("warm.c", "int warm(void) { return 1; }\n");
}

/// Two machines with the same sources.
fn checkouts(ring: &Ring) -> (Site, Site) {
    let sites = ["one", "two"].map(|name| ring.site(name));
    sites.iter().for_each(write_sources);
    sites.into()
}

fn words<'a>(compiler: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec![compiler, "-O1", "-Wall", "-Iinclude", "-MD"];
    words.extend(more);
    words.extend(["-c", "a.c", "-o", "a.o"]);
    words
}

/// Compiles another unit with the same options: afterwards the toolchain is known and an agent runs.
fn warm(site: &Site, words: &[&str]) {
    let words: Vec<&str> =
        words.iter().map(|word| word.strip_prefix("a.c").map_or(*word, |_| "warm.c")).collect();
    assert_eq!(site.ours(&words, &[]).code, Some(0));
}

/// Compiles through the wrapper, and returns what a build sees and the programs that were started and the files that were opened, the wrapper
/// included.
fn traced(site: &Site, words: &[&str]) -> (Effect, String) {
    let (log, ours) = (site.work().with_file_name("execve"), site.command());
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-e", "trace=execve,open,openat,openat2", "-o"])
        .arg(&log)
        .arg(ours.get_program())
        .args(words);
    command.current_dir(site.work());
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    OUTPUTS.iter().for_each(|name| drop(std::fs::remove_file(site.file(name))));
    let output = command.output().expect("strace can be started; .ci/setup installs it");
    let effect = Effect {
        code: output.status.code(),
        signal: output.status.signal(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        outputs: OUTPUTS.iter().map(|name| std::fs::read(site.file(name)).ok()).collect(),
    };
    (effect, std::fs::read_to_string(&log).unwrap())
}

/// Asserts that a machine is served by the ring, by its wrapper alone, as if its compiler had run. Returns the files that were opened.
fn assert_served_directly(site: &Site, words: &[&str]) -> String {
    let before = (site.count("/hits/ring"), site.count("/hits/direct"));
    let plain = site.plain(words, &OUTPUTS);
    let (ours, calls) = traced(site, words);
    let started = calls.lines().filter(|line| line.contains("execve(") && line.ends_with("= 0")).count();
    assert!(plain == ours, "{words:?}: {} but {}", plain.shown(), ours.shown());
    let after = (site.count("/hits/ring"), site.count("/hits/direct"));
    assert_eq!(after, (before.0 + 1, before.1 + 1), "{words:?}: {}", site.run(&["explain", "last"]).stdout);
    assert_eq!(started, 1, "{words:?}: no preprocessor, no compiler");
    calls.lines().filter(|line| line.contains("open")).collect()
}

fn flush(site: &Site) {
    site.workstation().flush().unwrap();
}

#[test]
fn another_checkout_on_an_empty_machine_is_served_without_a_preprocessor() {
    let ring = Ring::of(2);
    let (one, two) = checkouts(&ring);
    for compiler in ["gcc", "clang"] {
        let words = words(compiler, &[]);
        one.assert_as_without(&words, &OUTPUTS);
        flush(&one);
        warm(&two, &words);
        assert_served_directly(&two, &words);
    }
    assert_eq!(
        (one.count("/misses"), two.count("/misses")),
        (2, 2),
        "the second machine compiled what warmed it"
    );
}

#[test]
fn the_same_checkout_on_an_empty_machine_is_served_with_debug_information_that_names_its_directory() {
    let ring = Ring::of(2);
    let site = |state: &str| {
        let state = ring.home().join(state);
        let site = Site::with_state(ring.home(), "checkout", &state, &ring.programs);
        site.join(&ring.nodes[0]);
        site
    };
    let (one, two) = (site("state-one"), site("state-two"));
    write_sources(&one);
    for compiler in ["gcc", "clang"] {
        let words = words(compiler, &["-g"]);
        one.assert_as_without(&words, &OUTPUTS);
        flush(&one);
        warm(&two, &words);
        assert_served_directly(&two, &words);
    }
}

#[test]
fn a_changed_header_is_no_hit_and_a_header_that_went_back_is_one() {
    let ring = Ring::of(1);
    let (one, two) = checkouts(&ring);
    let words = words("gcc", &[]);
    one.assert_as_without(&words, &OUTPUTS);
    flush(&one);
    two.write("include/b.h", "#pragma once\nstatic inline int twice(int x) { return 3 * x; }\n");
    two.assert_as_without(&words, &OUTPUTS);
    assert_eq!((two.count("/hits/ring"), two.count("/misses")), (0, 1));
    flush(&two);
    // Each machine gets the other's variant, though both have the same paths.
    two.forget();
    write_sources(&two);
    assert_served_directly(&two, &words);
    // A header that would be found first from now on.
    two.write("b.h", "#pragma once\nstatic inline int twice(int x) { return 4 * x; }\n");
    two.write("include/stddef.h", "#define NOTHING\n");
    two.forget();
    two.assert_as_without(&words, &OUTPUTS);
    assert_eq!(two.count("/hits/ring"), 1, "{}", two.run(&["explain", "last"]).stdout);
}

#[test]
fn what_one_machine_found_by_its_text_the_next_one_finds_without_though_the_agent_was_killed_in_between() {
    let ring = Ring::of(2);
    let sites = ["one", "two", "three"].map(|name| ring.site(name));
    sites.iter().for_each(write_sources);
    let [one, two, three] = &sites;
    let words = words("gcc", &[]);
    one.run(&["config", "set", "direct_mode", "false"]);
    one.assert_as_without(&words, &OUTPUTS);
    flush(one);
    two.assert_as_without(&words, &OUTPUTS);
    assert_eq!((two.count("/hits/ring"), two.count("/hits/direct")), (1, 0));
    let pid = two.agent()["pid"].as_u64().unwrap();
    send(pid, Signal::KILL);
    until("the agent ends", || (!Path::new(&format!("/proc/{pid}/cwd")).exists()).then_some(()));
    flush(two);
    warm(three, &words);
    assert_served_directly(three, &words);
}

#[test]
fn a_look_up_is_one_request_for_a_hit_and_two_for_a_miss() {
    let ring = Ring::of(1);
    let (one, two) = checkouts(&ring);
    let words = words("gcc", &[]);
    one.assert_as_without(&words, &OUTPUTS);
    flush(&one);
    warm(&two, &words);
    flush(&two);
    let counted = |look: &dyn Fn()| {
        let before = ring.status(0, "finds");
        look();
        flush(&two);
        ring.status(0, "finds") - before
    };
    // What the ring suggests comes with the bundle.
    assert_eq!(counted(&|| drop(assert_served_directly(&two, &words))), 1);
    // Its own manifest is there, and all the rest is gone: the key is asked for.
    for file in dccache_tests::files_below(&two.state().join("objects")) {
        if !file.file_name().unwrap().to_str().unwrap().starts_with("m-") {
            std::fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(counted(&|| drop(assert_served_directly(&two, &words))), 1);
    // A hit here asks nobody.
    assert_eq!(counted(&|| two.assert_as_without(&words, &OUTPUTS)), 0);
    // By what it reads, and by its text.
    let misses = two.count("/misses");
    two.write("include/b.h", "#pragma once\nstatic inline int twice(int x) { return 5 * x; }\n");
    assert_eq!(counted(&|| two.assert_as_without(&words, &OUTPUTS)), 2);
    let new = self::words("gcc", &["-O2"]);
    assert_eq!(counted(&|| two.assert_as_without(&new, &OUTPUTS)), 2);
    assert_eq!(two.count("/misses"), misses + 2);
}

/// The manifest key of a machine's only command, from the name of its file.
fn manifest_of(site: &Site) -> ManifestKey {
    let files = dccache_tests::files_below(&site.state().join("objects"));
    let names = files.iter().filter_map(|file| file.file_name()?.to_str()?.strip_prefix("m-"));
    let keys: Vec<&str> = names.collect();
    let [key] = keys.as_slice() else { panic!("{files:?}") };
    ManifestKey::from_digest(Digest::from_hex(key).unwrap())
}

#[test]
fn a_manifest_that_leaves_out_a_header_or_names_what_is_no_file_leads_to_no_wrong_hit() {
    let ring = Ring::of(1);
    let (one, two) = checkouts(&ring);
    let words = words("gcc", &[]);
    one.assert_as_without(&words, &OUTPUTS);
    flush(&one);
    let signer = one.agent()["signer"].as_str().unwrap().to_owned();
    two.run(&["config", "set", "trust_accept", &format!("signer:{signer}")]);
    let mallory = Machine::joined(ring.home(), "mallory", &ring.programs, &ring.nodes[0]);
    let manifest = manifest_of(&one);
    // Signed by somebody whom nobody accepts, under the key that a victim derives from the source alone; and what must not be opened.
    let source = std::fs::read(one.file("a.c")).unwrap();
    let path = |name: &str| RootPath::Root(name.as_bytes().to_vec());
    let alone = vec![(path("a.c"), Digest::of(&source))];
    rustix::fs::mknodat(
        rustix::fs::CWD,
        two.file("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let absolute = |name: &str| RootPath::Absolute(name.as_bytes().to_vec());
    let empty = |path| (path, Digest::of(b""));
    let mut absurd = ["/dev/zero", "/proc/self/mem", "/dev/stdin"].map(|name| empty(absolute(name))).to_vec();
    absurd.sort_unstable();
    let hostile = [vec![empty(path("fifo"))], absurd, vec![empty(path("../../x\n"))], alone];
    for (number, inputs) in hostile.iter().enumerate() {
        suggest(&mallory, manifest, number as u32, inputs, &[]);
    }
    warm(&two, &words);
    // All of them reach the victim, in front of the honest one.
    let victim = Machine::new(two.state().parent().unwrap(), "state", &ring.programs);
    let (manifests, _) = victim.suggestions(&[manifest]);
    let arrived: Vec<_> = manifests[0].1.suggestions.iter().map(|suggestion| &suggestion.inputs).collect();
    assert!(arrived.iter().copied().take(4).eq(hostile.iter().rev()) && arrived.len() == 5, "{arrived:?}");
    let opened = assert_served_directly(&two, &words);
    assert!(opened.contains("a.h\""), "{opened}");
    for name in ["fifo", "/dev/zero", "/proc/self/mem", "/dev/stdin", "x\\n"] {
        assert!(!opened.contains(&format!("{name}\"")), "{name}: {opened}");
    }
}

/// Pushes a compile of a command that read and missed some names, made up, and waits until the ring has it.
fn suggest(
    machine: &Machine,
    manifest: ManifestKey,
    number: u32,
    inputs: &[(RootPath, Digest)],
    absent: &[RootPath],
) {
    let key = EntryKey::Direct(direct_key(manifest, inputs, absent));
    let (inputs, absent) = (inputs.to_vec(), absent.to_vec());
    let sample = Sample { key, manifest: Some(manifest), inputs, absent, ..Sample::new(number, 1000) };
    assert_eq!(machine.push(&sample), Reply::Queued);
    machine.flush();
}

/// Two machines in one directory: with debug information, which names it, a command has one manifest, and that may be as large as an answer.
fn in_one_directory(ring: &Ring) -> [Site; 2] {
    let sites = ["state-one", "state-two"].map(|state| {
        let site = Site::with_state(ring.home(), "checkout", &ring.home().join(state), &ring.programs);
        site.join(&ring.nodes[0]);
        site
    });
    write_sources(&sites[0]);
    sites
}

#[test]
fn suggestions_of_more_names_than_any_compile_reads_are_a_miss_that_is_counted() {
    let ring = Ring::of(1);
    let [one, two] = in_one_directory(&ring);
    let words = words("gcc", &["-g"]);
    one.assert_as_without(&words, &OUTPUTS);
    flush(&one);
    let mallory = Machine::joined(ring.home(), "mallory", &ring.programs, &ring.nodes[0]);
    let manifest = manifest_of(&one);
    let source = Digest::of(&std::fs::read(one.file("a.c")).unwrap());
    let inputs = [(RootPath::Root(b"a.c".to_vec()), source)];
    // Three bytes each: 100,200 names in 501,000 bytes.
    let name = |number: u32| {
        let letter = |value: u32| b'A' + (value % 50) as u8;
        RootPath::Root(vec![letter(number / 2500), letter(number / 50), letter(number)])
    };
    for part in 0..3 {
        let mut absent: Vec<RootPath> = (0..33_400).map(|number| name(part * 33_400 + number)).collect();
        absent.sort_unstable();
        suggest(&mallory, manifest, part, &inputs, &absent);
    }
    warm(&two, &words);
    let victim = Machine::new(ring.home(), "state-two", &ring.programs);
    let (manifests, _) = victim.suggestions(&[manifest]);
    let names = manifests[0].1.suggestions.iter().map(|suggestion| suggestion.absent.len());
    assert!(names.sum::<usize>() > 100_000, "they reach the victim");
    assert_eq!(two.faults("absurd_suggestions"), 0);
    two.assert_as_without(&words, &OUTPUTS);
    assert_eq!(two.faults("absurd_suggestions"), 1, "{}", two.stats());
}

#[test]
fn a_suggestion_of_more_bytes_than_any_compile_reads_is_not_read_and_the_honest_one_serves() {
    let ring = Ring::of(1);
    let [one, two] = in_one_directory(&ring);
    let words = words("gcc", &["-g"]);
    one.assert_as_without(&words, &OUTPUTS);
    flush(&one);
    let mallory = Machine::joined(ring.home(), "mallory", &ring.programs, &ring.nodes[0]);
    // It takes no place on the disk.
    std::fs::File::create(one.file("huge.bin")).unwrap().set_len((256 << 20) + 1).unwrap();
    let huge = [(RootPath::Root(b"huge.bin".to_vec()), Digest::of(b""))];
    suggest(&mallory, manifest_of(&one), 1, &huge, &[]);
    warm(&two, &words);
    let opened = assert_served_directly(&two, &words);
    assert!(opened.contains("a.h\"") && !opened.contains("huge.bin"), "{opened}");
    assert_eq!(two.faults("absurd_suggestions"), 1, "{}", two.stats());
}

#[test]
fn a_ring_that_hangs_costs_one_budget_and_the_next_compile_none() {
    let ring = Ring::of(1);
    let (one, two) = checkouts(&ring);
    let words = words("gcc", &[]);
    one.assert_as_without(&words, &OUTPUTS);
    flush(&one);
    warm(&two, &words);
    flush(&two);
    send(u64::from(ring.nodes[0].pid()), Signal::STOP);
    two.assert_as_without(&words, &OUTPUTS);
    two.forget();
    two.assert_as_without(&words, &OUTPUTS);
    send(u64::from(ring.nodes[0].pid()), Signal::CONT);
    // Both look-ups of the first compile share its budget; those of the second meet an open breaker.
    let agent = two.agent();
    assert_eq!(two.count("/hits/ring"), 0);
    assert!(two.faults("ring_timed_out") >= 1 && two.faults("ring_breaker_open") >= 1, "{}", two.stats());
    assert_eq!(agent["pid"], two.agent()["pid"]);
}
