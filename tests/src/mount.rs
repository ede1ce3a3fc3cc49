//! A small file system of its own, to be filled up or made read-only.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the file that takes the free space.
const FILLER: &str = "filler";

/// A mounted tmpfs; dropped, it is unmounted.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Mounts `kib` KiB at a directory, which is made.
    ///
    /// # Panics
    /// This user may not mount: these tests run as root, and must not pass by proving nothing.
    pub fn new(at: &Path, kib: u64) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test mounts a file system and must run as root");
        fs::create_dir_all(at).expect("the test's own directory can be written");
        let mount = Self { at: at.to_owned() };
        mount.run(Command::new("mount").args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={kib}k,mode=0700"),
            "none",
        ]));
        mount
    }

    /// Takes all the free space.
    ///
    /// # Panics
    /// The file system does not get full.
    pub fn fill(&self) {
        let mut filler = File::create(self.at.join(FILLER)).expect("an inode is free");
        let block = [1; 4096];
        while filler.write_all(&block).is_ok() {}
        assert!(filler.write_all(&block).is_err(), "the file system is not full");
    }

    /// Gives the space back.
    ///
    /// # Panics
    /// It was not taken.
    pub fn empty(&self) {
        fs::remove_file(self.at.join(FILLER)).expect("it was filled before");
    }

    /// Lets nobody write any more.
    ///
    /// # Panics
    /// The kernel refuses, for example because a file is open for writing.
    pub fn make_read_only(&self) {
        self.run(Command::new("mount").args(["-o", "remount,ro"]));
    }

    fn run(&self, command: &mut Command) {
        let output = command.arg(&self.at).output().expect("mount is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there must not keep the directory.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}
