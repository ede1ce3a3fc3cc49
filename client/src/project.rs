//! Where a project begins: the directory that a version-control system marks, or one that the configuration names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Entries that mark the root of a project.
const MARKS: [&str; 5] = [".git", ".hg", ".svn", ".jj", ".bzr"];

/// Returns the nearest directory, from `directory` upwards, that a version-control system marks.
pub fn marked(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|ancestor| MARKS.iter().any(|mark| ancestor.join(mark).exists()))
}

/// Lists what decides which project a directory is in: names that must stay absent, and the mark that must stay.
pub fn marks(directory: &Path) -> (Vec<PathBuf>, Option<PathBuf>) {
    let mut absent = Vec::new();
    for mark in directory.ancestors().flat_map(|ancestor| MARKS.iter().map(|mark| ancestor.join(mark))) {
        if mark.exists() {
            return (absent, Some(mark));
        }
        absent.push(mark);
    }
    (absent, None)
}

/// Returns the root of a compile: the deepest of `bases` that is or holds the working directory, else what [`marked`] finds, else the
/// working directory itself.
pub fn root_of(working_directory: &[u8], bases: &[PathBuf]) -> Vec<u8> {
    let directory = Path::new(OsStr::from_bytes(working_directory));
    let above = bases.iter().filter(|base| directory.starts_with(base));
    if let Some(base) = above.max_by_key(|base| base.components().count()) {
        return base.components().as_path().as_os_str().as_bytes().to_vec();
    }
    marked(directory).unwrap_or(directory).as_os_str().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_base_above_the_working_directory_is_the_root() {
        let bases: Vec<PathBuf> = ["/a", "/a/b/", "/a/b/c/d", "/x"].map(PathBuf::from).to_vec();
        assert_eq!(root_of(b"/a/b/c", &bases), b"/a/b");
        assert_eq!(root_of(b"/a", &bases), b"/a");
        assert_eq!(root_of(b"/ab", &bases), b"/ab", "components count, not letters");
    }

    #[test]
    fn without_a_base_the_nearest_mark_is_the_root_and_without_one_the_directory_itself() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("outer/inner/deep");
        std::fs::create_dir_all(&inner).unwrap();
        let root = |directory: &Path| root_of(directory.as_os_str().as_bytes(), &[]);
        assert_eq!(root(&inner), inner.as_os_str().as_bytes());
        std::fs::create_dir(place.path().join("outer/.hg")).unwrap();
        assert_eq!(root(&inner), place.path().join("outer").as_os_str().as_bytes());
        std::fs::write(place.path().join("outer/inner/.git"), "gitdir: elsewhere\n").unwrap();
        assert_eq!(root(&inner), place.path().join("outer/inner").as_os_str().as_bytes());
    }
}
