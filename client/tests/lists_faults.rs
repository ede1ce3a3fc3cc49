//! Places in which the lists that a compile is asked for cannot be written, or not by the compiler alone: no call fails for them.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use support::{ALWAYS, DCCACHE, Place, text};

#[test]
fn lists_are_not_written_into_what_only_looks_like_ours() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    place.write("w.c", "int w;\n");
    assert!(place.run(&["gcc", "-c", "w.c"]).status.success());
    // Process numbers are other ones inside, and /proc still shows those outside: ours, which has a file under each descriptor.
    let files: Vec<fs::File> = (0..40).map(|_| tempfile::tempfile().unwrap()).collect();
    let script = "echo $1 > /proc/sys/kernel/ns_last_pid && $2 gcc -c a.c; exit $?";
    let before = (std::process::id() - 1).to_string();
    let mut command = place.command("unshare");
    command.env(ALWAYS.0, ALWAYS.1).args(["-p", "-f", "sh", "-c", script, "sh", &before, DCCACHE]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "unshare needs root here: {}", text(&output.stderr));
    assert!(files.iter().all(|file| file.metadata().unwrap().len() == 0), "a list lies in a file of ours");
    let mut command = place.command(DCCACHE);
    command.env("DCCACHE_DEPEND_MODE", "false").args(["gcc", "-DX=1", "-c", "a.c"]);
    assert!(command.status().unwrap().success());
    assert_eq!(place.stat("/hits/preprocessed"), 1, "it was preprocessed: {}", place.explain());
}

#[test]
fn a_limit_for_files_that_we_could_break_leaves_all_to_the_compiler() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for (limit, misses) in [("1", 0), ("1000", 0), ("unlimited", 1)] {
        let script = format!("ulimit -f {limit}; exec {DCCACHE} \"$@\"");
        let limited =
            place.compare_under(&[ALWAYS], &["sh", "-c", &script, "sh", "gcc"], &["-c", "a.c"], &["a.o"]);
        if limit != "1" {
            assert_eq!(limited, plain, "{limit}");
        }
        assert_eq!(place.stat("/misses"), misses, "{limit}");
    }
}

#[test]
fn who_may_not_read_our_program_compiles_all_the_same() {
    let place = Place::new();
    let program = place.file("bin/dccache");
    place.write("bin/dccache", fs::read(DCCACHE).unwrap());
    place.write("open/a.c", "int a;\n");
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&program, 0o711);
    for path in [place.root(), &place.work(), &place.file("bin")] {
        mode(path, 0o755);
    }
    mode(&place.file("open"), 0o777);
    let mut command = place.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    let home = place.file("open/home");
    command.env(ALWAYS.0, ALWAYS.1).env("DCCACHE_DIR", &home).current_dir(place.file("open"));
    let output = command.args(["gcc", "-c", "a.c"]).output().unwrap();
    assert!(output.status.success(), "setpriv needs root here: {}", text(&output.stderr));
    assert!(place.file("open/a.o").exists() && home.join("objects").exists());
}

#[test]
fn a_program_that_starts_gcc_elsewhere_is_asked_for_no_list() {
    let place = Place::new();
    place.write("a.c", "int a;\n");
    let wrapper = |string: &str| {
        let source = "#include <unistd.h>\nint main(int n, char **v) { if (setgid(65534) || setuid(65534)) return 9; v[0] = \"gcc\"; return execv(\"/usr/bin/gcc\", v); }\n";
        place.write("bin/w.c", format!("const char s[] = \"{string}\";\n{source}"));
        assert!(place.command("gcc").args(["bin/w.c", "-o", "bin/gcc"]).status().unwrap().success());
    };
    wrapper("");
    for path in [place.root(), &place.work(), &place.file("bin")] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let gcc = place.file("bin/gcc").display().to_string();
    let plain = place.compare(&[&gcc], &["-c", "a.c"], &["a.o"]);
    assert_eq!(plain.code, Some(0), "this needs root: {}", plain.stderr);
    for _ in 0..2 {
        assert_eq!(place.compare_under(&[ALWAYS], &[DCCACHE, &gcc], &["-c", "a.c"], &["a.o"]), plain);
    }
    // One that we take for gcc's own: the call succeeds all the same.
    wrapper("COLLECT_GCC_OPTIONS");
    for _ in 0..2 {
        let ours = place.compare_under(&[ALWAYS], &[DCCACHE, &gcc], &["-c", "a.c"], &["a.o"]);
        assert_eq!((ours.code, &ours.files), (plain.code, &plain.files), "{}", place.explain());
    }
}
