//! Whether many files still have their stamps. Files of a compile lie in few directories: each is opened once, so that the kernel walks down to it once
//! and not for every file.

use crate::toolchain::Stamp;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Files of one directory, one after the other, from which on opening it pays. Measured: a look from above 0.57 us, from the directory 0.34, to open and
/// close it 0.81.
const WORTH_OPENING: usize = 8;

/// Tells whether each file, seen from `working_directory`, has its stamp. Neighbours in the list share a look at their directory.
pub(super) fn all_stand<B: AsRef<[u8]>>(stamps: &[(B, Stamp)], working_directory: &Path) -> bool {
    let directory_of = |file: &(B, Stamp)| split(file.0.as_ref()).0.len();
    let same = |a: &(B, Stamp), b: &(B, Stamp)| {
        let (a_length, b_length) = (directory_of(a), directory_of(b));
        a_length == b_length && a.0.as_ref()[..a_length] == b.0.as_ref()[..b_length]
    };
    stamps.chunk_by(same).all(|group| {
        let Some((first, _)) = group.first() else { return true };
        let (directory, _) = split(first.as_ref());
        stand(group, &working_directory.join(OsStr::from_bytes(directory)))
    })
}

/// Tells the same of files that lie in one directory.
fn stand<B: AsRef<[u8]>>(group: &[(B, Stamp)], directory: &Path) -> bool {
    if group.len() < WORTH_OPENING {
        let path = |file: &B| directory.join(OsStr::from_bytes(split(file.as_ref()).1));
        return group.iter().all(|(file, stamp)| Stamp::of(&path(file)) == Some(*stamp));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = rustix::fs::open(directory, flags, Mode::empty()) else { return false };
    group.iter().all(|(file, stamp)| Stamp::below(&directory, split(file.as_ref()).1) == Some(*stamp))
}

/// Splits a path into its directory, with the slash, and its last part.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at(memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_file_is_looked_at_in_directories_that_are_opened_and_in_those_that_are_not() {
        let place = tempfile::tempdir().unwrap();
        let mut names: Vec<String> = (0..WORTH_OPENING).map(|number| format!("i/{number}.h")).collect();
        names.extend(["a.h", "b.h", "i/s/a.h", "z.h"].map(str::to_owned));
        fs::create_dir_all(place.path().join("i/s")).unwrap();
        names.iter().for_each(|name| fs::write(place.path().join(name), name).unwrap());
        let absolute = |name: &String| place.path().join(name).as_os_str().as_bytes().to_vec();
        let relative = |name: &String| name.as_bytes().to_vec();
        for spelled in [&absolute as &dyn Fn(&String) -> Vec<u8>, &relative] {
            let stamp = |name: &String| (spelled(name), Stamp::of(&place.path().join(name)).unwrap());
            let stamps = || names.iter().map(stamp).collect::<Vec<_>>();
            for name in &names {
                let (path, before) = (place.path().join(name), stamps());
                assert!(all_stand(&before, place.path()));
                fs::write(&path, "another length").unwrap();
                assert!(!all_stand(&before, place.path()), "{name} changed");
                let changed = stamps();
                fs::remove_file(&path).unwrap();
                assert!(!all_stand(&changed, place.path()), "{name} is gone");
                fs::write(&path, name).unwrap();
            }
        }
        fs::remove_dir_all(place.path().join("i")).unwrap();
        let stamp = Stamp::of(place.path()).unwrap();
        let gone: Vec<_> = (0..WORTH_OPENING).map(|number| (format!("i/{number}.h"), stamp)).collect();
        assert!(!all_stand(&gone, place.path()), "their directory is gone");
    }

    #[test]
    fn a_path_is_split_behind_its_last_slash() {
        let parts = |path: &'static str| split(path.as_bytes());
        assert_eq!(parts("a.h"), (b"".as_slice(), b"a.h".as_slice()));
        assert_eq!(parts("/a.h"), (b"/".as_slice(), b"a.h".as_slice()));
        assert_eq!(parts("i//a.h"), (b"i//".as_slice(), b"a.h".as_slice()));
    }
}
