//! Whether what the search for headers met stayed where it was while the compiler ran.
//!
//! Names are looked at after a compile. One that is absent then could have been there before: its directory tells, if nothing changed in it since
//! the start. The directories in which builds write do change; those are listed before, too.

use super::direct::Direct;
use super::setting::Setting;
use crate::direct::guard::split;
use crate::direct::listing::Directories;
use crate::direct::view::DirectoryId;
use crate::toolchain::Stamp;
use std::collections::{HashMap, HashSet};

/// How a directory stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing changed in it since the start.
    Old,
    /// Something did; it was listed before, if it is one of those.
    Changed(DirectoryId),
    /// Another one could have been under its name.
    Moving,
}

impl Setting<'_> {
    /// Lists the directories of the search in which builds write: the working directory, the source's, those of headers below the root.
    pub(super) fn watch(&self, direct: &mut Direct) {
        let before = Directories::new(&self.directory);
        let own = |name: &&[u8]| name.first() != Some(&b'/') || name.starts_with(&self.root);
        for name in self.bases(direct).into_iter().filter(own) {
            before.list(if name.is_empty() { b"." } else { name });
        }
        // Those above are looked at as well.
        for name in [&self.root, &self.invocation.working_directory] {
            before.exists(name);
        }
        direct.before = before;
    }

    /// Tells whether the names of those directories lead to the same ones since the start, with no link on the way that was made since.
    fn bases_stayed(&self, direct: &Direct, start: i64) -> bool {
        let made_since = |part: &[u8]| {
            let found = self.path(part).symlink_metadata();
            found.is_ok_and(|found| found.is_symlink() && !Stamp::from(&found).is_before(start))
        };
        let mut looked: HashSet<&[u8]> = HashSet::new();
        direct.before.stay()
            && self.bases(direct).into_iter().all(|base| {
                let ends = memchr::memchr_iter(b'/', base).filter(|&end| end > 0).chain([base.len()]);
                let mut parts = ends.map(|end| &base[..end]).filter(|part| !part.is_empty());
                parts.all(|part| !looked.insert(part) || !made_since(part))
            })
    }

    /// Lists the directories that begin the names of the search: their identity is compared before and after.
    fn bases<'a>(&'a self, direct: &'a Direct) -> Vec<&'a [u8]> {
        let source = &self.invocation.source;
        let beside = memchr::memrchr(b'/', source).map_or(b"".as_slice(), |at| &source[..at]);
        let chain = direct.chain.directories().map(|name| name.strip_suffix(b"/").unwrap_or(name));
        chain.chain([beside]).collect()
    }

    /// Tells whether nothing lay under names, which are absent now, since the start of the compile.
    pub(super) fn stayed_absent<'a>(
        &self,
        direct: &Direct,
        mut names: impl Iterator<Item = &'a [u8]>,
        after: &Directories,
        start: i64,
    ) -> bool {
        let bases = self.bases(direct);
        let mut known: HashMap<&[u8], Standing> = HashMap::new();
        self.bases_stayed(direct, start)
            && names.all(|name| {
                let (directory, rest) = split(name, |directory| after.exists(directory));
                let first = memchr::memchr(b'/', rest).map_or(rest, |at| &rest[..at]);
                let standing = || self.standing(direct, directory, &bases, after, start);
                match known.entry(directory).or_insert_with(standing) {
                    Standing::Old => true,
                    Standing::Changed(identity) => direct.before.lacked(*identity, first),
                    Standing::Moving => false,
                }
            })
    }

    fn standing(
        &self,
        direct: &Direct,
        directory: &[u8],
        bases: &[&[u8]],
        after: &Directories,
        start: i64,
    ) -> Standing {
        let Some(stamp) = after.stamp(directory) else { return Standing::Moving };
        if !self.leads_there_since(direct, directory, bases, start) {
            return Standing::Moving;
        }
        match stamp.is_before(start) {
            true => Standing::Old,
            false => Standing::Changed((stamp.device, stamp.inode)),
        }
    }

    /// Tells whether a name leads to the same directory since the start: below the directories that begin names, no part of it is a link,
    /// and none was moved there, which would show in its stamp.
    fn leads_there_since(&self, direct: &Direct, directory: &[u8], bases: &[&[u8]], start: i64) -> bool {
        let below = |base: &&&[u8]| directory.strip_prefix(**base).is_some_and(|rest| rest.starts_with(b"/"));
        if directory == b"." || bases.contains(&directory) {
            return true;
        }
        let base = bases.iter().filter(below).map(|base| base.len() + 1).max().unwrap_or(0);
        let ends = memchr::memchr_iter(b'/', &directory[base..]).map(|at| base + at).chain([directory.len()]);
        let parts = ends.map(|end| &directory[..end]).filter(|part| !part.is_empty());
        let mut parts =
            parts.filter(|part| !matches!(part.rsplit(|&byte| byte == b'/').next(), Some(b"." | b"..")));
        parts.all(|part| {
            let Ok(found) = std::fs::symlink_metadata(self.path(part)) else { return false };
            let stamp = Stamp::from(&found);
            !found.is_symlink()
                && (stamp.is_before(start) || direct.before.was(part, (stamp.device, stamp.inode)))
        })
    }

    /// Tells whether names of files lead to the same files since the start, none of them a link: what they hold is for their own stamps to tell.
    pub(super) fn led_there(&self, direct: &Direct, names: &[Vec<u8>], start: i64) -> bool {
        let bases = self.bases(direct);
        let mut known: HashMap<&[u8], bool> = HashMap::new();
        let is_link = |name: &[u8]| self.path(name).symlink_metadata().is_ok_and(|found| found.is_symlink());
        self.bases_stayed(direct, start)
            && names.iter().all(|name| {
                let directory = memchr::memrchr(b'/', name).map_or(b".".as_slice(), |at| &name[..at]);
                let leads = || self.leads_there_since(direct, directory, &bases, start);
                !is_link(name) && *known.entry(directory).or_insert_with(leads)
            })
    }
}
