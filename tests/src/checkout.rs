//! A checkout of a code base: a copy that may be edited, below a directory that version control would know.

use crate::site::wait_until_old;
use crate::{CodeBase, files_below};
use std::fs;
use std::path::{Path, PathBuf};

/// Extensions of what a compile reads.
const READ: &[&str] = &["c", "h", "cc", "cpp", "hpp", "inc"];

/// Directory of a checkout into which compiles write.
const BUILD: &str = "build";

/// A copy of a code base.
#[derive(Clone, Debug)]
pub struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// A file that no compile reads.
    pub const UNREAD: &str = "NOTES";

    /// Copies what compiles of the code base read to `root`, which is made.
    ///
    /// # Panics
    /// A file cannot be copied.
    pub fn of(base: &CodeBase, root: &Path) -> Self {
        for file in files_below(&base.root) {
            if file.extension().is_some_and(|found| READ.iter().any(|read| found == *read)) {
                let target = root.join(file.strip_prefix(&base.root).expect("found below it"));
                make_parent(&target);
                fs::copy(&file, &target).expect("a source can be copied");
            }
        }
        let checkout = Self { root: root.to_owned() };
        checkout.write(Path::new(".git/HEAD"), b"ref: refs/heads/main\n");
        checkout.write(Path::new(Self::UNREAD), b"");
        checkout
    }

    /// Returns its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory that compiles write into, empty.
    ///
    /// # Panics
    /// It cannot be emptied.
    pub fn empty_build(&self) -> PathBuf {
        let build = self.root.join(BUILD);
        if build.is_dir() {
            fs::remove_dir_all(&build).expect("compiles have ended");
        }
        fs::create_dir(&build).expect("its parent is there");
        build
    }

    /// Reads a file.
    ///
    /// # Panics
    /// It is not there.
    pub fn read(&self, name: &Path) -> Vec<u8> {
        fs::read(self.root.join(name)).expect("a file of this checkout")
    }

    /// Writes a file that is older than any compile that follows.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &Path, content: &[u8]) {
        let path = self.root.join(name);
        make_parent(&path);
        fs::write(&path, content).expect("the test's own directory can be written");
        wait_until_old(&path);
    }
}

fn make_parent(path: &Path) {
    let parent = path.parent().expect("a file lies in a directory");
    fs::create_dir_all(parent).expect("the test's own directory can be written");
}
