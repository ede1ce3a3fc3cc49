//! Directory guards: what shows with one stat that many names are still absent.
//!
//! A name can only appear by a change of the deepest directory above it that exists, and that changes the directory's stamp. A guard whose stamp is another one,
//! or was too young to prove anything, falls back to its names, one stat each.
//!
//! A name that is a symbolic link to nowhere can come to life without a change of its directory, so it has no guard and is looked at each time.

use super::listing::Directories;
use super::view::is_nothing;
use crate::toolchain::Stamp;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What must not lie under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Absence {
    /// No header: a directory is none.
    NoHeader,
    /// Nothing at all.
    Nothing,
}

impl Absence {
    /// Returns what must not lie under a name that the search for headers tried: gcc looks for precompiled ones in a directory, too.
    pub fn of_header(name: &[u8]) -> Self {
        let precompiled = name.ends_with(b".gch") || name.ends_with(b".pch");
        if precompiled { Self::Nothing } else { Self::NoHeader }
    }

    /// Tells whether it holds at `path`.
    pub fn holds(self, path: &Path) -> bool {
        match self {
            Self::NoHeader => is_nothing(path),
            Self::Nothing => path.metadata().is_err(),
        }
    }
}

/// A name under which something must not lie.
pub type AbsentName<B = Vec<u8>> = (B, Absence);

/// One directory, and the names below it that are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard<B = Vec<u8>> {
    /// The directory, relative to the working directory or absolute.
    pub directory: B,
    /// Its stamp; `None` while it was too young.
    pub stamp: Option<Stamp>,
    /// Absent names, relative to it.
    pub names: Vec<AbsentName<B>>,
}

/// Guards of all absent names of a compile, with paths of their own or borrowed ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards<B = Vec<u8>> {
    /// Names by their directories.
    pub guards: Vec<Guard<B>>,
    /// Links to nowhere.
    pub singles: Vec<AbsentName<B>>,
}

/// How guards stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Every stamp is as it was.
    Unchanged,
    /// Some stamp is another one, or was none; no name has appeared.
    Checked {
        /// How many names were looked at for that.
        looks: usize,
    },
    /// A name has appeared.
    Broken,
}

impl Guards {
    /// Guards `absent` names as `directories` sees them. `None` when one of them is not absent any more.
    pub fn over<'a>(
        absent: impl IntoIterator<Item = (&'a [u8], Absence)>,
        directories: &Directories,
        now: SystemTime,
    ) -> Option<Self> {
        let (mut guarded, mut singles) = (Vec::new(), Vec::new());
        for (name, absence) in absent {
            let (directory, rest) = split(name, |directory| directories.exists(directory));
            let first = memchr::memchr(b'/', rest).map_or(name.len(), |at| name.len() - rest.len() + at);
            let lies = Lies::under(&name[..first], directories);
            if lies != Lies::Nothing && !absence.holds(&directories.place(name)) {
                return None;
            }
            // Where a directory stands under the name, what counts is that no file does.
            match lies {
                Lies::Link => singles.push((name.to_vec(), absence)),
                Lies::Nothing | Lies::Something => guarded.push((directory, rest, absence)),
            }
        }
        guarded.sort_unstable();
        guarded.dedup();
        singles.sort_unstable();
        singles.dedup();
        let guards = guarded.chunk_by(|(one, ..), (other, ..)| one == other).filter_map(|names| {
            let (directory, ..) = *names.first()?;
            // The stamp is older than every look, so that a name that appears meanwhile shows later.
            let stamp = directories.stamp(directory).filter(|stamp| stamp.is_settled(now));
            let names = names.iter().map(|(_, name, absence)| (name.to_vec(), *absence));
            Some(Guard { directory: directory.to_vec(), stamp, names: names.collect() })
        });
        Some(Self { guards: guards.collect(), singles })
    }
}

/// What lies under a name, links not followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lies {
    Nothing,
    Link,
    Something,
}

impl Lies {
    fn under(name: &[u8], directories: &Directories) -> Self {
        if directories.lack(name) {
            return Self::Nothing;
        }
        match directories.place(name).symlink_metadata() {
            Ok(found) if found.is_symlink() => Self::Link,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Nothing,
            Ok(_) | Err(_) => Self::Something,
        }
    }
}

impl<B: AsRef<[u8]>> Guards<B> {
    /// Looks whether the names are still absent: one stat a guard and a single name, more only where a stamp is another one.
    pub fn standing(&self, working_directory: &Path) -> Standing {
        if !all_absent(working_directory, &self.singles) {
            return Standing::Broken;
        }
        let mut looks = None;
        for guard in &self.guards {
            let directory = place(working_directory, guard.directory.as_ref());
            if guard.stamp.is_some() && Stamp::of(&directory) == guard.stamp {
                continue;
            }
            if !all_absent(&directory, &guard.names) {
                return Standing::Broken;
            }
            looks = Some(looks.unwrap_or(0) + guard.names.len());
        }
        looks.map_or(Standing::Unchanged, |looks| Standing::Checked { looks })
    }

    /// Takes another stamp of each directory that has one by now and below which nothing appeared: settled at `now`, on a device whose stamps can be
    /// `trusted`. Returns how many looks that spares the next time.
    ///
    /// Where anything stands under the first part of a name, be it a directory or a link to nowhere, the name can come to life below that while this
    /// directory's stamp stays, so the old one is kept.
    pub fn renew(
        &mut self,
        working_directory: &Path,
        now: SystemTime,
        trusted: impl Fn(u64) -> bool,
    ) -> usize {
        let mut spared = 0;
        for guard in &mut self.guards {
            let directory = place(working_directory, guard.directory.as_ref());
            // Older than the looks that follow.
            let stamp = Stamp::of(&directory).filter(|found| found.is_settled(now) && trusted(found.device));
            if stamp.is_none() || stamp == guard.stamp {
                continue;
            }
            let still_absent =
                guard.names.iter().all(|(name, _)| begins_with_nothing(&directory, name.as_ref()));
            if still_absent {
                guard.stamp = stamp;
                spared += guard.names.len();
            }
        }
        spared
    }
}

fn all_absent<B: AsRef<[u8]>>(directory: &Path, names: &[AbsentName<B>]) -> bool {
    names.iter().all(|(name, absence)| absence.holds(&place(directory, name.as_ref())))
}

/// Whether not even a link lies under the first part of a name.
fn begins_with_nothing(directory: &Path, name: &[u8]) -> bool {
    let first = name.split(|&byte| byte == b'/').next().unwrap_or(name);
    let found = place(directory, first).symlink_metadata();
    found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

fn place(directory: &Path, name: &[u8]) -> PathBuf {
    directory.join(OsStr::from_bytes(name))
}

/// Splits a name into the deepest directory that exists and the rest.
pub(crate) fn split(name: &[u8], exists: impl Fn(&[u8]) -> bool) -> (&[u8], &[u8]) {
    let mut end = name.len();
    while let Some(slash) = memchr::memrchr(b'/', &name[..end]) {
        let directory = if slash == 0 { &name[..1] } else { &name[..slash] };
        if exists(directory) {
            let rest = &name[slash + 1..];
            // `a//b`: the rest must not look like an absolute name.
            let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
            return (directory, &rest[slashes..]);
        }
        end = slash;
    }
    (b".", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    /// A time at which everything that the test makes is old.
    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    fn names(list: &[&str]) -> Vec<AbsentName> {
        list.iter().map(|name| (name.as_bytes().to_vec(), Absence::NoHeader)).collect()
    }

    fn over(list: &[&str], place: &Path, now: SystemTime) -> Option<Guards> {
        Guards::over(
            list.iter().map(|name| (name.as_bytes(), Absence::NoHeader)),
            &Directories::new(place),
            now,
        )
    }

    #[test]
    fn names_are_guarded_by_the_deepest_directory_that_exists() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("i/sys")).unwrap();
        let guards =
            over(&["i/sys/a.h", "i/b.h", "i/no/c.h", "d.h", "no/e.h", "/no-such/f.h"], place.path(), later());
        let guards = guards.unwrap();
        let listed: Vec<_> =
            guards.guards.iter().map(|guard| (guard.directory.clone(), guard.names.clone())).collect();
        let expected = [
            (b".".to_vec(), names(&["d.h", "no/e.h"])),
            (b"/".to_vec(), names(&["no-such/f.h"])),
            (b"i".to_vec(), names(&["b.h", "no/c.h"])),
            (b"i/sys".to_vec(), names(&["a.h"])),
        ];
        assert_eq!(listed, expected);
        assert_eq!(guards.standing(place.path()), Standing::Unchanged);
    }

    #[test]
    fn a_name_that_appears_breaks_its_guard_and_another_one_does_not() {
        for appears in ["i/b.h", "i/no/c.h"] {
            let place = tempfile::tempdir().unwrap();
            fs::create_dir(place.path().join("i")).unwrap();
            let guards = over(&["i/b.h", "i/no/c.h"], place.path(), later()).unwrap();
            fs::write(place.path().join("i/other.h"), "").unwrap();
            assert!(matches!(guards.standing(place.path()), Standing::Checked { .. }));
            let file = place.path().join(appears);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            assert_eq!(guards.standing(place.path()), Standing::Broken, "{appears}");
            assert_eq!(over(&[appears], place.path(), later()), None, "it is not absent");
        }
    }

    #[test]
    fn a_directory_in_place_of_a_name_is_no_header() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("string")).unwrap();
        let guards = over(&["string"], place.path(), later()).unwrap();
        assert_eq!(guards.standing(place.path()), Standing::Unchanged);
        fs::remove_dir(place.path().join("string")).unwrap();
        fs::write(place.path().join("string"), "").unwrap();
        assert_eq!(guards.standing(place.path()), Standing::Broken);
    }

    #[test]
    fn where_nothing_may_lie_a_directory_counts_as_well() {
        let place = tempfile::tempdir().unwrap();
        let name = [(b"i".as_slice(), Absence::Nothing)];
        let guards = Guards::over(name, &Directories::new(place.path()), later()).unwrap();
        fs::create_dir(place.path().join("i")).unwrap();
        assert_eq!(guards.standing(place.path()), Standing::Broken);
        assert_eq!(Guards::over(name, &Directories::new(place.path()), later()), None);
    }

    #[test]
    fn a_link_to_nowhere_that_comes_to_life_is_seen_though_its_directory_stays() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path().join("target.h"), place.path().join("a.h")).unwrap();
        let guards = over(&["a.h"], place.path(), later()).unwrap();
        assert_eq!(guards.standing(place.path()), Standing::Unchanged);
        fs::write(outside.path().join("target.h"), "").unwrap();
        assert_eq!(guards.standing(place.path()), Standing::Broken);
        fs::remove_file(place.path().join("a.h")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("target.h"), place.path().join("a.h")).unwrap();
        assert_eq!(over(&["a.h"], place.path(), later()), None, "it leads somewhere");
    }

    #[test]
    fn a_directory_that_changed_is_trusted_again_once_it_is_old() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("i")).unwrap();
        let mut guards = over(&["i/b.h", "i/c.h", "d.h"], place.path(), later()).unwrap();
        assert_eq!(guards.renew(place.path(), later(), |_| true), 0, "they stand");
        fs::write(place.path().join("i/other.h"), "").unwrap();
        assert_eq!(guards.renew(place.path(), SystemTime::now(), |_| true), 0, "it is young");
        assert_eq!(guards.renew(place.path(), later(), |_| false), 0, "its stamps mean nothing");
        assert!(matches!(guards.standing(place.path()), Standing::Checked { .. }));
        assert_eq!(guards.renew(place.path(), later(), |_| true), 2);
        assert_eq!(guards.standing(place.path()), Standing::Unchanged);
        fs::write(place.path().join("i/b.h"), "").unwrap();
        assert_eq!(guards.renew(place.path(), later(), |_| true), 0, "a name appeared");
        assert_eq!(guards.standing(place.path()), Standing::Broken);
    }

    #[test]
    fn a_directory_below_which_a_name_can_come_to_life_is_not_trusted_again() {
        let elsewhere = tempfile::tempdir().unwrap();
        let nowhere = elsewhere.path().join("later");
        let begins: [&dyn Fn(&Path); 2] = [&|place| fs::create_dir(place).unwrap(), &|place| {
            std::os::unix::fs::symlink(&nowhere, place).unwrap()
        }];
        for begin in begins {
            let place = tempfile::tempdir().unwrap();
            let mut guards = over(&["sys/b.h", "c.h"], place.path(), later()).unwrap();
            begin(&place.path().join("sys"));
            assert!(matches!(guards.standing(place.path()), Standing::Checked { .. }));
            assert_eq!(guards.renew(place.path(), later(), |_| true), 0);
            fs::create_dir_all(&nowhere).unwrap();
            fs::write(place.path().join("sys/b.h"), "").unwrap();
            assert_eq!(guards.standing(place.path()), Standing::Broken);
            fs::remove_dir_all(&nowhere).unwrap();
        }
    }

    #[test]
    fn a_young_directory_is_looked_at_name_by_name() {
        let place = tempfile::tempdir().unwrap();
        let guards = over(&["a.h"], place.path(), SystemTime::now()).unwrap();
        assert_eq!(guards.guards[0].stamp, None);
        assert!(matches!(guards.standing(place.path()), Standing::Checked { .. }));
        fs::write(place.path().join("a.h"), "").unwrap();
        assert_eq!(guards.standing(place.path()), Standing::Broken);
    }
}
