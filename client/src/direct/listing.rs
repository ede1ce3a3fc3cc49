//! Directories in which many names are looked for: each is listed once, in place of one look a name.
//!
//! A listing only says that a name is absent. It is compared without case, so that it holds on file systems that know none, too; what it may
//! hold, and names beyond ASCII, whose case and form differ by file system, are looked at by themselves.

use super::guard::Absence;
use super::observe::RELIABLE;
use super::view::DirectoryId;
use crate::toolchain::Stamp;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Names that are looked at one by one before their directory is listed: opening, listing and closing it costs as much.
const WORTH_LISTING: u64 = 6;

/// For each of this many bytes of the directory one name more: some entries, which take as long to read as one look.
const BYTES_A_LOOK: u64 = 256;

/// Most entries of a directory that is listed: more than any of headers has, and most of objects; reading them takes some ms.
const ENTRIES_MAX: usize = 1 << 14;

/// Directories as they were when they were first needed, seen from one place.
#[derive(Debug)]
pub struct Directories {
    base: PathBuf,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    directories: Vec<Directory>,
    places: HashMap<Vec<u8>, usize>,
    /// The one that was needed last: names come in order, so most often it is needed again.
    last: usize,
}

#[derive(Debug)]
struct Directory {
    name: Vec<u8>,
    /// Taken before any name below it was looked for.
    stamp: Option<Stamp>,
    /// Whether something lies under its name.
    exists: bool,
    names: Names,
}

#[derive(Debug)]
enum Names {
    /// Not listed yet; how many were looked for.
    Asked(u64),
    /// All of them.
    Listed(Listed),
    /// There is no such directory.
    None,
    /// Cannot be listed, or not for certain.
    Unclear,
}

impl Directories {
    /// Looks from `base`.
    pub fn new(base: &Path) -> Self {
        Self { base: base.to_owned(), known: RefCell::default() }
    }

    /// Tells whether it holds that a name is absent.
    pub fn hold(&self, name: &[u8], absence: Absence) -> bool {
        self.lack(name) || absence.holds(&self.place(name))
    }

    /// Says which names will be asked for, in order: a directory in which many are is listed at the first of them.
    pub fn expect<'n>(&self, names: impl Iterator<Item = &'n [u8]>) {
        let directories: Vec<&[u8]> = names.map(|name| split(name).0).collect();
        for same in
            directories.chunk_by(|one, other| one == other).filter(|same| same.len() as u64 > WORTH_LISTING)
        {
            self.with(same[0], |found| {
                if let Names::Asked(count) = &mut found.names {
                    *count += same.len() as u64 - 1;
                }
            });
        }
    }

    /// Tells whether nothing at all lies under a name for certain, without a look at that name.
    pub fn lack(&self, name: &[u8]) -> bool {
        let (directory, last) = split(name);
        if matches!(last, b"" | b"." | b"..") || !last.is_ascii() {
            return false;
        }
        self.with(directory, |found| {
            if let Names::Asked(count) = &mut found.names {
                *count += 1;
                let size = found.stamp.map_or(0, |stamp| stamp.size);
                if *count <= WORTH_LISTING + size / BYTES_A_LOOK {
                    return false;
                }
                let place = self.place(directory);
                found.names = listed(&place, Systems::Reliable).map_or(Names::Unclear, Names::Listed);
            }
            match &found.names {
                Names::Listed(names) => !names.may_hold(last),
                Names::None => true,
                Names::Asked(_) | Names::Unclear => false,
            }
        })
    }

    /// Lists a directory now, however seldom it will be asked for, and whatever file system it is in: its looks at single names are no better.
    pub fn list(&self, directory: &[u8]) {
        self.with(directory, |found| {
            if let Names::Asked(_) = found.names {
                let place = self.place(directory);
                found.names = listed(&place, Systems::All).map_or(Names::Unclear, Names::Listed);
            }
        });
    }

    /// Tells whether the directory of this identity was listed, and a name, one part of a path, was not in it.
    pub fn lacked(&self, identity: DirectoryId, name: &[u8]) -> bool {
        let known = self.known.borrow();
        let same =
            |found: &&Directory| found.stamp.is_some_and(|stamp| (stamp.device, stamp.inode) == identity);
        name.is_ascii()
            && known.directories.iter().filter(same).any(|found| match &found.names {
                Names::Listed(names) => !names.may_hold(name),
                Names::Asked(_) | Names::None | Names::Unclear => false,
            })
    }

    /// Tells whether the directory of this name was looked at, and had this identity.
    pub fn was(&self, directory: &[u8], identity: DirectoryId) -> bool {
        let known = self.known.borrow();
        let found = known.places.get(directory).map(|place| &known.directories[*place]);
        found.and_then(|found| found.stamp).is_some_and(|stamp| (stamp.device, stamp.inode) == identity)
    }

    /// Tells whether every directory that was listed is still the one under its name.
    pub fn stay(&self) -> bool {
        let known = self.known.borrow();
        let mut listed = known.directories.iter().filter(|found| matches!(found.names, Names::Listed(_)));
        let identity = |stamp: Option<Stamp>| stamp.map(|stamp| (stamp.device, stamp.inode));
        listed.all(|found| identity(Stamp::of(&self.place(&found.name))) == identity(found.stamp))
    }

    /// Tells whether something lies under the name of a directory.
    pub fn exists(&self, directory: &[u8]) -> bool {
        self.with(directory, |found| found.exists)
    }

    /// Returns the stamp of a directory as it was before any name in it was looked for.
    pub fn stamp(&self, directory: &[u8]) -> Option<Stamp> {
        self.with(directory, |found| found.stamp)
    }

    /// Returns the place of a name.
    pub fn place(&self, name: &[u8]) -> PathBuf {
        self.base.join(OsStr::from_bytes(name))
    }

    fn with<T>(&self, directory: &[u8], look: impl FnOnce(&mut Directory) -> T) -> T {
        let mut known = self.known.borrow_mut();
        if known.directories.get(known.last).is_none_or(|last| last.name != directory) {
            known.last = match known.places.get(directory) {
                Some(place) => *place,
                None => self.meet(&mut known, directory),
            };
        }
        let last = known.last;
        look(&mut known.directories[last])
    }

    /// Looks at a directory, and first at those above it: what appears below them from then on changes their stamps.
    fn meet(&self, known: &mut Known, directory: &[u8]) -> usize {
        let ends = memchr::memchr_iter(b'/', directory).filter(|&end| end > 0).chain([directory.len()]);
        for name in ends.map(|end| &directory[..end]) {
            if !known.places.contains_key(name) {
                known.places.insert(name.to_vec(), known.directories.len());
                known.directories.push(Directory::of(name, &self.place(name)));
            }
        }
        known.places[directory]
    }
}

/// Splits a name into its directory and its last part.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', name) {
        Some(0) => name.split_at(1),
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => (b".", name),
    }
}

impl Directory {
    fn of(name: &[u8], place: &Path) -> Self {
        let name = name.to_vec();
        match place.metadata() {
            Ok(found) => {
                let names = if found.is_dir() { Names::Asked(0) } else { Names::Unclear };
                Self { name, stamp: Some(Stamp::from(&found)), exists: true, names }
            }
            Err(error) => {
                let none = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
                let names = if none { Names::None } else { Names::Unclear };
                Self { name, stamp: None, exists: false, names }
            }
        }
    }
}

/// Which file systems are asked for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Systems {
    /// Those that show all they have.
    Reliable,
    All,
}

/// The names in a directory, each as a short hash of its lower case, ascending: one that is not there is absent, one that is may be another's.
#[derive(Debug)]
struct Listed(Vec<u64>);

impl Listed {
    fn may_hold(&self, name: &[u8]) -> bool {
        hash_of(name).is_none_or(|hash| self.0.binary_search(&hash).is_ok())
    }
}

/// `None` for a name that is too long for a directory.
fn hash_of(name: &[u8]) -> Option<u64> {
    let mut lower = [0; NAME_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Some(xxh3_64(lower))
}

/// Longest name in a directory, in bytes, of any file system that is listed.
const NAME_MAX: usize = 255;

/// Bytes of entries that are read at once: most directories of headers.
const ENTRIES_BYTES: usize = 16 << 10;

/// Lists a directory; `None` where names could hide or are too many.
fn listed(place: &Path, systems: Systems) -> Option<Listed> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(place, flags, Mode::empty()).ok()?;
    let system = rustix::fs::fstatfs(&directory).ok()?;
    if systems == Systems::Reliable && !RELIABLE.contains(&(system.f_type as u64)) {
        return None;
    }
    let mut names = Vec::new();
    let mut foreign = false;
    let mut buffer = Vec::with_capacity(ENTRIES_BYTES);
    let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.ok()?;
        let name = entry.file_name().to_bytes();
        if names.len() == ENTRIES_MAX {
            return None;
        }
        // Without case, such a name can be one of ASCII letters: the Kelvin sign is a `k`.
        foreign |= !name.is_ascii();
        names.push(hash_of(name)?);
    }
    names.sort_unstable();
    (!foreign || tells_case(&directory)).then_some(Listed(names))
}

/// Whether a directory tells names apart by case: one of its own names in the other case is not there, or is another file.
fn tells_case(directory: &OwnedFd) -> bool {
    let identity = |name: &[u8]| {
        let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        found.map(|found| (found.st_dev, found.st_ino))
    };
    let flipped = |name: &[u8]| -> Vec<u8> {
        let flip = |byte: &u8| byte ^ if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
        name.iter().map(flip).collect()
    };
    let entries = Dir::read_from(directory).into_iter().flatten().filter_map(Result::ok);
    let mut names = entries.map(|entry| entry.file_name().to_bytes().to_vec());
    let Some(name) = names.find(|name| name.is_ascii() && flipped(name) != *name) else { return false };
    match (identity(&name), identity(&flipped(&name))) {
        (Ok(_), Err(error)) => error == Errno::NOENT,
        (Ok(own), Ok(other)) => own != other,
        (Err(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ask_often(directories: &Directories, directory: &str) {
        let size = fs::metadata(directories.place(directory.as_bytes())).map_or(0, |found| found.len());
        (0..=WORTH_LISTING + size / BYTES_A_LOOK).for_each(|number| {
            directories.lack(format!("{directory}/none-{number}").as_bytes());
        });
    }

    fn is_listed(directories: &Directories, directory: &str) -> bool {
        directories.with(directory.as_bytes(), |found| matches!(found.names, Names::Listed(_)))
    }

    #[test]
    fn a_directory_that_is_asked_often_is_listed_and_its_names_are_told_apart_without_case() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("i")).unwrap();
        fs::write(place.path().join("i/Vector.h"), "").unwrap();
        let directories = Directories::new(place.path());
        assert!(!directories.lack(b"i/none"), "not looked at yet");
        ask_often(&directories, "i");
        assert!(is_listed(&directories, "i"));
        assert!(directories.lack(b"i/none.h") && directories.lack(b"no/a.h"));
        for name in ["i/Vector.h", "i/vector.h", "i/", "i/.", "i/..", "i/\u{df}.h"] {
            assert!(!directories.lack(name.as_bytes()), "{name}");
        }
        let holds = |name: &str| directories.hold(name.as_bytes(), Absence::NoHeader);
        assert!(holds("i/vector.h") && !holds("i/Vector.h") && holds("i/none.h"));
    }

    #[test]
    fn a_directory_of_which_many_names_are_expected_is_listed_at_the_first_of_them() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("i")).unwrap();
        fs::write(place.path().join("i/a.h"), "").unwrap();
        let size = fs::metadata(place.path().join("i")).unwrap().len();
        for (count, listed) in
            [(WORTH_LISTING + size / BYTES_A_LOOK, false), (WORTH_LISTING + size / BYTES_A_LOOK + 1, true)]
        {
            let directories = Directories::new(place.path());
            let names: Vec<String> = (0..count).map(|number| format!("i/none-{number}.h")).collect();
            directories.expect(names.iter().map(|name| name.as_bytes()));
            assert_eq!(directories.lack(names[0].as_bytes()), listed, "{count}");
            assert!(!directories.lack(b"i/a.h"));
        }
    }

    #[test]
    fn what_cannot_be_listed_for_certain_is_looked_at_by_itself() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("i")).unwrap();
        // The Kelvin sign is a `k` without case, and nothing else here shows whether there is case.
        fs::write(place.path().join("i/\u{212a}.1"), "").unwrap();
        let directories = Directories::new(place.path());
        ["i", "/proc/self"].iter().for_each(|directory| {
            ask_often(&directories, directory);
            assert!(!is_listed(&directories, directory), "{directory}");
        });
        assert!(!directories.lack(b"i/k.h"));
        fs::write(place.path().join("i/Own.h"), "").unwrap();
        let again = Directories::new(place.path());
        ask_often(&again, "i");
        assert!(is_listed(&again, "i") && again.lack(b"i/k.1") && !again.lack(b"i/own.h"));
        again.list(b"/proc/self");
        assert!(is_listed(&again, "/proc/self"), "where all looks are alike");
        assert!(
            directories.hold(b"i/k.h", Absence::Nothing)
                && !directories.hold(b"/proc/self/stat", Absence::Nothing)
        );
    }

    #[test]
    fn too_many_entries_are_not_listed() {
        let place = tempfile::tempdir().unwrap();
        (0..=ENTRIES_MAX).for_each(|number| fs::write(place.path().join(number.to_string()), "").unwrap());
        let directories = Directories::new(place.path());
        ask_often(&directories, ".");
        assert!(!is_listed(&directories, "."));
        assert!(!directories.hold(b"7", Absence::NoHeader) && directories.hold(b"seven", Absence::NoHeader));
    }

    #[test]
    fn a_stamp_is_older_than_every_look_below_it() {
        let place = tempfile::tempdir().unwrap();
        let directories = Directories::new(place.path());
        let stamp = Stamp::of(place.path());
        ask_often(&directories, ".");
        fs::write(place.path().join("a.h"), "").unwrap();
        assert!(directories.exists(b".") && !directories.exists(b"no"));
        assert_eq!(directories.stamp(b"."), stamp, "as it was before");
    }
}
