//! A file system whose times are whole seconds: what changes twice within one is never served as what it was.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};
use support::{DCCACHE, Place};

/// Edits that follow each other at once; some fall into one second.
const EDITS: usize = 12;

const WORDS: [&str; 3] = ["-Iinc", "-c", "a.c"];

/// The working directory of a place, on a file system that was mounted from a file; it goes away with this.
struct Coarse(PathBuf);

impl Coarse {
    /// Small inodes of ext4 have no room for parts of a second.
    fn mount(place: &Place) -> Option<Self> {
        let (image, at) = (place.root().join("image"), place.work());
        File::create(&image).unwrap().set_len(16 << 20).unwrap();
        let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = done(Command::new("mkfs.ext4").args(["-q", "-I", "128"]).arg(&image));
        if !(made && done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))) {
            eprintln!("SKIPPED: e2fsprogs and a loop mount are needed, so this test proves nothing here");
            return None;
        }
        let mounted = Self(at);
        fs::write(place.file("time"), "").unwrap();
        assert_eq!(place.file("time").metadata().unwrap().ctime_nsec(), 0, "its times are whole seconds");
        Some(mounted)
    }
}

impl Drop for Coarse {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes the header, always of one size and with one time of last change, and returns all that a stamp holds.
fn write_header(place: &Place, value: usize) -> (u64, u64, i64, i64) {
    let path = place.file("inc/h.h");
    fs::write(&path, format!("#define H 1{value:06}\n")).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let found = path.metadata().unwrap();
    (found.ino(), found.size(), found.mtime(), found.ctime())
}

fn prepare(place: &Place) {
    fs::create_dir(place.file("inc")).unwrap();
    fs::write(place.file("a.c"), "#include <h.h>\nint a = H;\n").unwrap();
    fs::write(place.file("w.c"), "int w;\n").unwrap();
}

fn assert_right(place: &Place, mode: (&str, &str), what: &str) {
    let plain = place.compare(&["gcc"], &WORDS, &["a.o"]);
    assert_eq!(plain.code, Some(0), "{}", plain.stderr);
    let ours = place.compare_under(&[mode], &[DCCACHE, "gcc"], &WORDS, &["a.o"]);
    assert_eq!(ours, plain, "{what}, {mode:?}: {}", place.explain());
}

#[test]
fn edits_within_one_second_are_never_served_as_what_was_there_before() {
    for mode in [("DCCACHE_DEPEND_MODE", "true"), ("DCCACHE_DEPEND_MODE", "false")] {
        let place = Place::new();
        let Some(_mounted) = Coarse::mount(&place) else { return };
        prepare(&place);
        write_header(&place, 0);
        // It is stored when all is a second old, and sealed when it is two.
        let is_sealed = || {
            let find =
                |home: PathBuf| Command::new("find").arg(home).args(["-name", "s-*"]).output().unwrap();
            !find(place.home().join("objects")).stdout.is_empty()
        };
        while !is_sealed() {
            assert_right(&place, mode, "until it is sealed");
        }
        let hits = place.stat("/hits/direct");
        assert_right(&place, mode, "sealed");
        assert_eq!(place.stat("/hits/direct"), hits + 1, "{}", place.explain());
        let mut stamps = Vec::new();
        for edit in 1..=EDITS {
            stamps.push(write_header(&place, edit));
            assert_right(&place, mode, "edited");
        }
        assert!(stamps.windows(2).any(|two| two[0] == two[1]), "no stamp showed no edit: {stamps:?}");
        // What was there first, again.
        write_header(&place, 0);
        assert_right(&place, mode, "edited back");
    }
}

#[test]
fn an_edit_during_the_compile_that_no_time_shows_is_not_stored() {
    for mode in [("DCCACHE_DEPEND_MODE", "true"), ("DCCACHE_DEPEND_MODE", "false")] {
        let (place, tools) = (Place::new(), Place::new());
        let parts = tools.changing_parts();
        let Some(_mounted) = Coarse::mount(&place) else { return };
        prepare(&place);
        let words = [parts.as_str(), WORDS[0], WORDS[1], WORDS[2]];
        let run = |variables: &[(&str, &str)], front: &[&str]| {
            let result = place.compare_under(variables, front, &words, &["a.o"]);
            assert_eq!(result.code, Some(0), "{}", result.stderr);
            result
        };
        // The source is a second old then.
        while place.stat("/stored") == 0 {
            let mut command = place.command(DCCACHE);
            assert!(command.args(["gcc", &parts, "-Iinc", "-c", "w.c"]).status().unwrap().success());
        }
        // In place, and with the time of last change as it was; again until write and edit fall into one second.
        let change = "printf '#define H 1000002' 1<> inc/h.h && touch -d @1000000000 inc/h.h";
        loop {
            let before = write_header(&place, 1);
            run(&[mode, ("CHANGE", change)], &[DCCACHE, "gcc"]);
            let found = place.file("inc/h.h").metadata().unwrap();
            if before == (found.ino(), found.size(), found.mtime(), found.ctime()) {
                break;
            }
        }
        assert_eq!(place.stat("/stored"), 1, "nothing more was stored: {}", place.stats());
        assert_eq!(run(&[mode], &[DCCACHE, "gcc"]), run(&[], &["gcc"]), "{mode:?}: {}", place.explain());
        write_header(&place, 1);
        assert_eq!(run(&[mode], &[DCCACHE, "gcc"]), run(&[], &["gcc"]), "{mode:?}: {}", place.explain());
    }
}
