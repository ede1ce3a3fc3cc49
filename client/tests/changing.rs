//! Inputs that change under the hit: while somebody exchanges a header again and again, each call gives what the compiler gives for one of the two.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{DCCACHE, LATER, Place};

/// Calls while the header changes.
const CALLS: usize = 200;

/// Time between two exchanges: some fall into each call, and whoever calls gets most of the processor.
const BETWEEN: Duration = Duration::from_micros(700);

const WORDS: [&str; 4] = ["-Icur", "-Iinc", "-c", "a.c"];

/// Makes the header another one: `which` is 1 or 2.
type Exchange = fn(&Path, which: usize);

/// The header is a new file each time.
fn another_file(work: &Path, which: usize) {
    let (new, header) = (work.join("new.h"), work.join("inc/h.h"));
    fs::copy(work.join(format!("v{which}/h.h")), &new).unwrap();
    fs::rename(new, header).unwrap();
}

/// The header is one of two files, each of which stays as it is.
fn another_name(work: &Path, which: usize) {
    let new = work.join("new");
    symlink(format!("v{which}"), &new).unwrap();
    fs::rename(new, work.join("cur")).unwrap();
}

/// Calls again and again while a thread exchanges the header, and asserts that each object is one of the two plain ones, and afterwards the right
/// one. Returns the number of hits meanwhile.
fn hits_while(exchange: Exchange) -> u64 {
    let place = Place::new();
    for which in [1, 2] {
        place.write(&format!("v{which}/h.h"), format!("#define H {which}\n"));
    }
    place.write("inc/keep", "");
    place.write("a.c", "#include <h.h>\nint a = H;\n");
    let work = place.work();
    let plain = [1, 2].map(|which| {
        exchange(&work, which);
        place.compare(&["gcc"], &WORDS, &["a.o"])
    });
    assert_ne!(plain[0].files, plain[1].files);
    let assert_right = |when: &str| {
        for which in [1, 2, 1] {
            exchange(&work, which);
            for variables in [[].as_slice(), &[LATER], &[LATER]] {
                let ours = place.compare_under(variables, &[DCCACHE, "gcc"], &WORDS, &["a.o"]);
                assert_eq!(ours, plain[which - 1], "{when}, {which}, {variables:?}: {}", place.explain());
            }
        }
    };
    assert_right("before");
    let before = place.stat("/hits/local");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for which in [2, 1].into_iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                exchange(&work, which);
                std::thread::sleep(BETWEEN);
            }
        });
        let wrong = (0..CALLS).find_map(|call| {
            let variables: &[_] = if call % 2 == 0 { &[LATER] } else { &[] };
            let ours = place.compare_under(variables, &[DCCACHE, "gcc"], &WORDS, &["a.o"]);
            (!plain.contains(&ours)).then_some((call, ours))
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(wrong, None, "{}", place.explain());
    });
    let hits = place.stat("/hits/local") - before;
    assert_right("afterwards");
    hits
}

#[test]
fn each_call_gives_one_of_the_two_while_a_header_is_renamed_to_and_fro() {
    let hits = hits_while(another_file);
    println!("{hits} hits in {CALLS} calls");
    assert!(hits > 0);
}

#[test]
fn each_call_gives_one_of_the_two_while_a_link_leads_to_and_fro() {
    let hits = hits_while(another_name);
    println!("{hits} hits in {CALLS} calls");
    assert!(hits > 0);
}
