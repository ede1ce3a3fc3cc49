//! Outputs that a hit clones or links: the bytes are right whatever happens to the files that share them.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{DCCACHE, Place, compilers};

const LINK: &str = "hard_link=true";
const CLONE: &str = "file_clone=true";

fn place() -> Place {
    let place = Place::new();
    place.write("a.c", "int a(int x) { return x * 41; }\n");
    place
}

/// Files of the store that outputs are cloned or linked from.
fn raw_files(home: &Path) -> Vec<PathBuf> {
    let shards = fs::read_dir(home.join("objects")).unwrap().map(|shard| shard.unwrap().path());
    let files = shards.flat_map(|shard| fs::read_dir(shard).unwrap()).map(|file| file.unwrap().path());
    files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("r-")).collect()
}

#[test]
fn a_linked_output_is_the_same_file_as_the_stores_and_as_young_as_a_written_one() {
    let place = place();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    for turn in 0..3 {
        assert_eq!(place.compare(&[DCCACHE, LINK, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        assert_eq!(place.stat("/hits/local"), turn);
        let raw = raw_files(&place.home());
        assert_eq!(raw.len(), 1);
        let [output, raw] = [&place.file("a.o"), &raw[0]].map(|file| file.metadata().unwrap());
        assert_eq!((output.dev(), output.ino(), output.mode() & 0o777), (raw.dev(), raw.ino(), 0o444));
        let source = place.file("a.c").metadata().unwrap();
        assert!(output.modified().unwrap() >= source.modified().unwrap(), "make would build it again");
        // The next one is younger than this.
        support::age(&place.file("a.o"));
    }
}

#[test]
fn a_program_that_writes_into_a_linked_output_damages_nobody_elses() {
    let place = place();
    let plain = place.compare(&["gcc"], &["-c", "a.c"], &["a.o"]);
    assert_eq!(place.compare(&[DCCACHE, LINK, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
    let object = plain.files[0].1.clone().unwrap();
    for damage in [0, object.len() / 2, object.len() - 1] {
        let raw = raw_files(&place.home()).remove(0);
        let mut bytes = object.clone();
        bytes[damage] ^= 0xFF;
        // In place, as `strip` and `objcopy` do where a file has several names; the size stays.
        set_writable(&raw);
        fs::File::options().write(true).open(&raw).unwrap().write_all(&bytes).unwrap();
        fs::remove_file(place.file("a.o")).unwrap();
        assert_eq!(place.compare(&[DCCACHE, LINK, "gcc"], &["-c", "a.c"], &["a.o"]), plain);
        assert_eq!(fs::read(&raw_files(&place.home())[0]).unwrap(), object, "replaced by what is right");
    }
    assert_eq!((place.stat("/hits/local"), place.stat("/misses")), (3, 1));
}

fn set_writable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_compile_over_a_linked_output_leaves_the_stores_file_as_it_is() {
    for compiler in compilers() {
        let place = place();
        let run = |words: &[&str]| {
            let output = place.command(DCCACHE).args([LINK, compiler]).args(words).output().unwrap();
            (output.status.code(), fs::read(place.file("a.o")).ok())
        };
        let first = run(&["-c", "a.c"]);
        let raw = raw_files(&place.home()).remove(0);
        let linked = || assert_eq!(raw.metadata().unwrap().nlink(), 2, "{compiler}");
        linked();
        // A miss, a call that is left alone, and one that fails.
        place.write("a.c", "int a(int x) { return x * 42; }\n");
        let second = run(&["-c", "a.c"]);
        assert_ne!(first, second);
        place.write("a.c", "int a(int x) { return x * 41; }\n");
        assert_eq!(run(&["-c", "a.c"]), first);
        linked();
        assert_eq!(run(&["-fverbose-asm", "-c", "a.c"]).0, Some(0));
        assert_eq!(run(&["-c", "a.c"]), first);
        linked();
        assert_eq!(place.stat("/hits/local"), 2);
        place.write("a.c", "int a(int x) { return x * ; }\n");
        let failed = run(&["-c", "a.c"]);
        fs::write(place.file("b.o"), "old").unwrap();
        let plain = place.command(compiler).args(["-c", "a.c", "-o", "b.o"]).output().unwrap();
        let stays = place.file("b.o").exists();
        assert_eq!(failed, (plain.status.code(), first.1.clone().filter(|_| stays)), "{compiler}");
        assert_eq!(fs::read(&raw).ok(), first.1, "{compiler}");
    }
}

#[test]
fn links_that_cannot_be_made_are_written() {
    let place = place();
    // Another file system: memory.
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("SKIPPED: there is no /dev/shm, so this test proves nothing here");
        return;
    };
    fs::copy(place.file("a.c"), elsewhere.path().join("a.c")).unwrap();
    support::age(&elsewhere.path().join("a.c"));
    let compile = |front: &[&str]| {
        let _ = fs::remove_file(elsewhere.path().join("a.o"));
        let mut command = place.command(front[0]);
        command.current_dir(elsewhere.path()).args(&front[1..]).args(["-c", "a.c"]);
        assert!(command.status().unwrap().success());
        let output = elsewhere.path().join("a.o");
        (fs::read(&output).unwrap(), output.metadata().unwrap().mode() & 0o777)
    };
    let plain = compile(&["gcc"]);
    for _ in 0..2 {
        assert_eq!(compile(&[DCCACHE, LINK, "gcc"]), plain);
        assert_eq!(compile(&[DCCACHE, CLONE, "gcc"]), plain);
    }
    assert_eq!((place.stat("/hits/local"), raw_files(&place.home()).len()), (3, 0));
}

/// A file system that can clone, mounted from a file; it goes away with this.
struct Xfs(PathBuf);

impl Xfs {
    fn mount(place: &Place) -> Option<Self> {
        let image = place.root().join("image");
        fs::File::create(&image).unwrap().set_len(320 << 20).unwrap();
        let at = place.root().join("mounted");
        fs::create_dir(&at).unwrap();
        let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = done(Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).arg(&image));
        if !(made && done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))) {
            eprintln!("SKIPPED: xfsprogs and a loop mount are needed, so this test proves nothing here");
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for Xfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_cloned_output_shares_its_blocks_until_it_is_written() {
    let place = place();
    let Some(xfs) = Xfs::mount(&place) else { return };
    let (home, work) = (xfs.0.join("home"), xfs.0.join("work"));
    fs::create_dir(&work).unwrap();
    fs::copy(place.file("a.c"), work.join("a.c")).unwrap();
    support::age(&work.join("a.c"));
    let compile = |front: &[&str]| {
        let _ = fs::remove_file(work.join("a.o"));
        let mut command = place.command(front[0]);
        command.current_dir(&work).env("DCCACHE_DIR", &home).args(&front[1..]).args(["-c", "a.c"]);
        assert!(command.status().unwrap().success());
        let output = work.join("a.o");
        (fs::read(&output).unwrap(), output.metadata().unwrap().mode() & 0o777)
    };
    let plain = compile(&["gcc"]);
    assert_eq!(compile(&[DCCACHE, CLONE, "gcc"]), plain);
    assert_eq!(raw_files(&home).len(), 1);
    assert_eq!(compile(&[DCCACHE, CLONE, "gcc"]), plain);
    assert_eq!(work.join("a.o").metadata().unwrap().nlink(), 1);
    rustix::fs::sync();
    let extents = Command::new("filefrag").arg("-v").arg(work.join("a.o")).output();
    match extents {
        Ok(extents) => {
            let text = support::text(&extents.stdout);
            assert!(text.contains("shared"), "{text}");
        }
        Err(_) => eprintln!("NOT SHOWN: filefrag is not installed"),
    }
    fs::write(work.join("a.o"), "something else").unwrap();
    assert_eq!(compile(&[DCCACHE, CLONE, "gcc"]), plain);
}
