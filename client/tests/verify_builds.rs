//! Whole builds whose hits are held against compiles: the sum, the exit code, and what keeps a line out of it.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use support::verify::{RIGHT, WRONG, plant};
use support::{DCCACHE, Mount, Place};

const MAKEFILE: &str = "CC = DCCACHE gcc
OBJECTS = a.o b.o
all: $(OBJECTS)
\t$(MAKE) -C sub
\techo built
%.o: %.c
\t$(CC) -c $< -o $@
clean:
\trm -f *.o sub/*.o
";

/// A small project of two directories, the second one built through a link that is called as the compiler.
fn project() -> Place {
    let place = Place::new();
    place.write("Makefile", MAKEFILE.replace("DCCACHE", DCCACHE));
    fs::create_dir_all(place.root().join("links")).unwrap();
    std::os::unix::fs::symlink(DCCACHE, place.root().join("links/gcc")).unwrap();
    let link = place.root().join("links/gcc");
    place.write("sub/Makefile", format!("all: c.o\nc.o: c.c\n\t{} -c c.c -o c.o\n", link.display()));
    place.write("a.c", RIGHT);
    place.write("b.c", "int b(void) { return 3; }\n");
    place.write("sub/c.c", "int c(void) { return 4; }\n");
    place
}

fn verify_build(place: &Place, words: &[&str]) -> (Option<i32>, serde_json::Value, String) {
    assert!(place.command("make").args(["-s", "clean"]).status().unwrap().success());
    let mut command = place.command(DCCACHE);
    command.args(["verify", "--json", "."]).arg("--").args(words).env_remove("MAKEFLAGS");
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|error| panic!("{error}: {stderr}")), stderr)
}

#[test]
fn a_whole_build_is_verified_and_its_exit_code_says_whether_a_hit_was_wrong() {
    if !support::has("make") {
        return;
    }
    let place = project();
    // Of what was compiled before in this directory, nothing counts.
    assert!(place.run(&["gcc", "-c", "b.c", "-o", "b.o"]).status.success());
    let (code, report, stderr) = verify_build(&place, &["make", "-j2"]);
    assert_eq!(code, Some(0), "{report} {stderr}");
    assert!(stderr.contains("built"), "the build's stdout: {stderr}");
    assert_eq!((&report["compiles"], &report["equal"]), (&3.into(), &1.into()), "{report}");
    assert_eq!(report["compiled"]["not_found"], 2, "{report}");
    let (code, report, _) = verify_build(&place, &["make", "-j2"]);
    assert_eq!((code, &report["equal"], &report["compiles"]), (Some(0), &3.into(), &3.into()), "{report}");

    fs::remove_dir_all(place.home().join("objects")).unwrap();
    plant(&place, "a.c", RIGHT, WRONG, &["-c", "a.c", "-o", "a.o"]);
    let (code, report, stderr) = verify_build(&place, &["make", "-j2"]);
    assert_eq!((code, &report["build_exit_code"]), (Some(3), &0.into()), "{report}");
    let different = &report["different"][0];
    assert_eq!(different["object"], place.file("a.o").canonicalize().unwrap().to_str().unwrap());
    assert!(different["differences"][0]["cached"].as_str().is_some_and(|path| Path::new(path).exists()));
    assert!(stderr.contains("VERIFY"), "{stderr}");
    // Verified once more: what is wrong is gone.
    assert_eq!(verify_build(&place, &["make", "-j2"]).0, Some(0));
    let left = fs::read_dir(place.home().join("verify")).unwrap();
    let left = left.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("build-"));
    assert_eq!(left.count(), 0, "records of builds");
}

#[test]
fn a_build_that_fails_keeps_its_own_exit_code_and_one_that_opts_out_is_told() {
    if !support::has("make") {
        return;
    }
    let place = project();
    place.write("b.c", "int b(void) { return syntax error; }\n");
    let (code, report, _) = verify_build(&place, &["make", "-k"]);
    assert_eq!((code, &report["build_exit_code"]), (Some(2), &2.into()), "{report}");
    assert_eq!(report["compiled"]["compile_failed"], 1, "{report}");
    place.write("b.c", "int b;\n");
    for expected in ["compiled", "not_verified"] {
        let (code, report, _) =
            verify_build(&place, &["sh", "-c", &format!("{DCCACHE} verify=never gcc -c b.c")]);
        let reasons = report[expected].as_object().unwrap();
        assert_eq!((code, reasons.len()), (Some(0), 1), "{expected}: {report}");
    }
    let (code, report, _) = verify_build(&place, &["sh", "-c", "kill -9 $$"]);
    assert_eq!((code, &report["compiles"]), (Some(137), &0.into()));
    // What went past us proves nothing.
    let (code, report, _) = verify_build(&place, &["true"]);
    assert_eq!((code, &report["compiles"], &report["complete"]), (Some(1), &0.into(), &true.into()));
    let missing = place.run(&["verify", "--", "no-such-program"]);
    assert_eq!(missing.status.code(), Some(127));
    assert_eq!(place.run(&["verify", "."]).status.code(), Some(2), "nothing to build with");
}

#[test]
fn a_difference_that_a_full_disk_kept_out_of_the_sum_is_no_success() {
    let words = ["-c", "a.c"];
    // In the larger one, space for the lines is reserved.
    for (size, expected) in [("512k", 1), ("4m", 3)] {
        let place = Place::new();
        let Some(_mount) = Mount::tmpfs(&place, size) else { return };
        plant(&place, "a.c", RIGHT, WRONG, &words);
        let build =
            format!("cat /dev/zero > $DCCACHE_DIR/filler; DCCACHE_READ_ONLY=true {DCCACHE} gcc -c a.c");
        let mut command = place.command(DCCACHE);
        let output = command.args(["verify", "--json", "--", "sh", "-c", &build]).output().unwrap();
        let (report, stderr) = (support::text(&output.stdout), support::text(&output.stderr));
        assert!(stderr.contains("VERIFY"), "{stderr}");
        assert_eq!(output.status.code(), Some(expected), "{size}: {report} {stderr}");
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["complete"], expected == 3, "{report}");
    }
}

#[test]
fn a_build_that_a_signal_stops_is_summed_and_its_command_ends_by_that_signal() {
    let place = Place::new();
    place.write("a.c", RIGHT);
    assert!(place.run(&["gcc", "-c", "a.c"]).status.success());
    // A terminal sends the first to both; the build outlives us at the second.
    let ways =
        [("kill -INT $PPID; kill -INT $$", 2), ("kill -TERM $PPID; exec sleep 60 >/dev/null 2>&1", 15)];
    for (way, signal) in ways {
        // Whoever runs this test may ignore them.
        let mut command = place.command("env");
        command.args(["--default-signal=INT,TERM", DCCACHE, "verify", "--json"]);
        let build = format!("{DCCACHE} gcc -c a.c; {way}");
        let output = command.args(["--", "sh", "-c", &build]).output().unwrap();
        let report = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        assert_eq!((&report["compiles"], &report["equal"]), (&1.into(), &1.into()), "{report}");
        assert_eq!(report["build_exit_code"], 128 + signal);
        assert_eq!(output.status.signal(), Some(signal), "{output:?}");
        let mut left = fs::read_dir(place.home().join("verify")).unwrap();
        assert!(!left.any(|file| file.unwrap().file_name().to_string_lossy().starts_with("build-")));
    }
}
