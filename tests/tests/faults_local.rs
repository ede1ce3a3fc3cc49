//! The user's own machine fails: disks, mounts, bytes, paths. Builds end as without dccache, and what can be served is served.
#![expect(clippy::unwrap_used, reason = "what a test arranges either works or ends the test")]

use dccache_tests::{Binaries, Dice, Effect, Mount, Ring, Site, files_below};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::process::Stdio;

/// A machine whose state lies on a mount of its own.
fn mounted(ring: &Ring, kib: u64) -> (Mount, Site) {
    let state = ring.home().join("mounted");
    let disk = Mount::new(&state, kib);
    let site = Site::with_state(ring.home(), "one", &state, &ring.programs);
    site.join(&ring.nodes[0]);
    (disk, site)
}

#[test]
fn a_full_disk_ends_no_build_serves_what_it_has_and_stores_again_when_there_is_space() {
    let ring = Ring::of(1);
    let (disk, site) = mounted(&ring, 4 << 10);
    let units = site.write_units("unit", 15);
    site.assert_units_as_without(&units[..5]);
    site.workstation().flush().unwrap();
    disk.fill();
    site.assert_units_as_without(&units);
    site.assert_doctor_names("free space", "0 MiB");
    assert_eq!(site.entries().len(), 5, "nothing half written is left, and nothing was thrown away");
    assert_eq!(
        files_below(site.state()).iter().filter(|path| path.to_string_lossy().contains(".tmp-")).count(),
        0
    );
    disk.empty();
    site.assert_units_as_without(&units);
    site.assert_units_as_without(&units);
    let stats = site.stats();
    assert_eq!(site.entries().len(), 15, "{stats}");
    assert!(site.count("/hits/local") >= 15, "{stats}");
}

#[test]
fn a_disk_that_fills_up_is_counted_as_long_as_counts_can_be_written() {
    let ring = Ring::of(1);
    let (disk, site) = mounted(&ring, 4 << 10);
    let units = site.write_units("unit", 2);
    site.assert_units_as_without(&units[..1]);
    site.workstation().flush().unwrap();
    disk.fill();
    site.assert_units_as_without(&units);
    disk.empty();
    assert_eq!(
        site.faults("store_write_error"),
        1,
        "the last page of the statistics had room: {}",
        site.stats()
    );
    assert_eq!(site.count("/not_stored/store_write_error"), 1, "{}", site.stats());
}

#[test]
fn a_store_on_a_read_only_mount_is_used_and_ends_no_build() {
    let ring = Ring::of(1);
    let (disk, site) = mounted(&ring, 8 << 10);
    let units = site.write_units("unit", 12);
    site.assert_units_as_without(&units[..6]);
    site.workstation().flush().unwrap();
    site.workstation().stop();
    disk.make_read_only();
    let before = files_below(site.state());
    site.assert_units_as_without(&units);
    assert_eq!(files_below(site.state()), before);
    assert!(!assembles(&site, &units[0]), "what was stored is served");
    assert!(assembles(&site, &units[11]));
    site.assert_doctor_names("directory", "read-only");
}

/// Tells whether a compile through the wrapper starts the assembler, which a hit does not.
fn assembles(site: &Site, unit: &str) -> bool {
    let log = site.work().with_file_name("strace");
    let ours = site.command();
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-e", "trace=execve", "-s", "400", "-o"]).arg(&log).arg(ours.get_program());
    command.args(["gcc", "-O1", "-Wall", "-c", &format!("{unit}.c"), "-o", &format!("{unit}.o")]);
    command.current_dir(site.work()).env("DCCACHE_DIR", site.state());
    assert!(command.output().unwrap().status.success());
    fs::read_to_string(log).unwrap().contains("/as\"")
}

#[test]
fn flipped_and_cut_local_entries_are_noticed_counted_and_fetched_anew_from_the_ring() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    let units = site.write_units("unit", 30);
    site.assert_units_as_without(&units);
    site.workstation().flush().unwrap();
    let mut dice = Dice::new(3);
    let is_entry = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("d-") || name.starts_with("p-")
    };
    let kept: Vec<_> = files_below(&site.state().join("objects")).into_iter().filter(is_entry).collect();
    assert!((30..=60).contains(&kept.len()), "an entry per unit, and a second name for some: {kept:?}");
    for (number, path) in kept.iter().enumerate() {
        let mut bytes = fs::read(path).unwrap();
        let at = dice.below(bytes.len() as u64) as usize;
        match number % 3 {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes.truncate(at),
            _ => bytes[at..].fill(0),
        }
        fs::write(path, bytes).unwrap();
    }
    site.assert_units_as_without(&units);
    assert!(site.faults("corrupt_entry") >= 30, "{}", site.stats());
    site.assert_doctor_names("fault corrupt_entry", "times in the last hour");
    assert_eq!(site.count("/hits/ring"), 30, "{}", site.stats());
    site.assert_units_as_without(&units);
    assert_eq!(site.count("/hits/local"), 30, "the fetched ones replaced them: {}", site.stats());
}

#[test]
fn garbage_in_every_file_of_the_users_directory_ends_no_build() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    let units = site.write_units("unit", 2);
    site.assert_units_as_without(&units[..1]);
    site.workstation().flush().unwrap();
    site.workstation().stop();
    let files = files_below(site.state()).into_iter().filter(|path| path.is_file());
    let files: Vec<_> = files.collect();
    assert!(files.len() > 10, "{files:?}");
    for path in &files {
        let kept = fs::read(path).unwrap();
        fs::write(path, [0xA5; 300]).unwrap();
        let unit = |unit: &str| [format!("{unit}.c"), format!("{unit}.o")];
        for [source, object] in [unit("unit0"), unit("unit1")] {
            let words = ["gcc", "-O1", "-Wall", "-c", &source, "-o", &object];
            let (plain, ours) = (site.plain(&words, &[&object]), site.ours(&words, &[&object]));
            assert!(plain == ours, "{}: {}", path.display(), ours.shown());
        }
        let _ = fs::write(path, kept);
    }
    site.assert_units_as_without(&units);
}

#[test]
fn a_directory_too_deep_for_a_socket_still_reaches_the_ring() {
    let ring = Ring::of(1);
    let one = ring.site("one");
    let units = one.write_units("unit", 2);
    one.assert_units_as_without(&units);
    one.workstation().flush().unwrap();
    let deep = ring.home().join("deep/".repeat(30));
    let two = Site::with_state(ring.home(), "two", &deep, &ring.programs);
    two.join(&ring.nodes[0]);
    two.write_units("unit", 2);
    two.assert_units_as_without(&units);
    assert_eq!(two.count("/hits/ring"), 2, "{}", two.stats());
    let report = two.run(&["doctor"]).stdout;
    assert!(report.contains("DCCACHE_DIR leaves no room"), "{report}");
}

#[test]
fn an_agents_directory_that_others_may_enter_is_not_used_and_named() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    let units = site.write_units("unit", 2);
    site.workstation().stop();
    fs::set_permissions(site.state().join("agent"), fs::Permissions::from_mode(0o777)).unwrap();
    site.assert_units_as_without(&units);
    assert_eq!(site.faults("agent_unreached"), 6, "two look-ups and a push of two: {}", site.stats());
    site.assert_doctor_names("socket", "0700");
}

#[test]
fn a_home_that_is_a_file_ends_no_build_and_is_named_by_our_commands() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    fs::write(&state, "not a directory").unwrap();
    let site = Site::with_state(home.path(), "one", &state, &Binaries::find());
    let units = site.write_units("unit", 1);
    site.assert_units_as_without(&units);
    for words in [["stats"], ["doctor"]] {
        let said = site.run(&words);
        assert!(said.code == Some(1) && said.stderr.contains("state"), "{words:?}: {}", said.shown());
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
    }
    assert_eq!(fs::read_to_string(&state).unwrap(), "not a directory");
}

#[test]
fn a_pipe_as_a_source_reaches_the_compiler_whole() {
    let ring = Ring::of(1);
    let site = ring.site("one");
    let pipe = site.file("pipe.c");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let compile = |mut command: std::process::Command| -> Effect {
        let mut child =
            command.args(["-c", "pipe.c", "-o", "pipe.o"]).stderr(Stdio::piped()).spawn().unwrap();
        // Opening blocks until a reader comes; were the pipe opened twice, the second reader would wait for ever.
        fs::File::options().write(true).open(&pipe).unwrap().write_all(b"int from_pipe = 1;\n").unwrap();
        let code = child.wait().unwrap().code();
        let object = fs::read(site.file("pipe.o")).ok();
        Effect { code, signal: None, stdout: String::new(), stderr: String::new(), outputs: vec![object] }
    };
    let mut plain = std::process::Command::new("gcc");
    plain.current_dir(site.work());
    let mut ours = site.command();
    ours.arg("gcc");
    let (plain, ours) = (compile(plain), compile(ours));
    assert!(plain == ours && plain.outputs[0].is_some(), "{} but {}", plain.shown(), ours.shown());
    assert_eq!(site.count("/bypass_reasons/bad_input_file"), 1, "{}", site.stats());
}

#[test]
fn dev_null_as_an_output_of_root_stays_the_device() {
    assert!(rustix::process::geteuid().is_root(), "only root could break the device");
    let ring = Ring::of(1);
    let site = ring.site("one");
    site.write("a.c", "int a(void) { return 1; }\n");
    let device = || {
        let found = fs::symlink_metadata("/dev/null").unwrap();
        assert!(found.file_type().is_char_device());
        (found.rdev(), found.ino(), found.mode(), found.uid())
    };
    let before = device();
    for _ in 0..2 {
        site.assert_as_without(&["gcc", "-c", "a.c", "-o", "/dev/null"], &[]);
        site.assert_as_without(&["gcc", "-c", "a.c", "-o", "a.o"], &["a.o"]);
        // A failed compile must not take the device with it either.
        site.assert_as_without(&["gcc", "-c", "absent.c", "-o", "/dev/null"], &[]);
        assert_eq!(device(), before);
    }
}
