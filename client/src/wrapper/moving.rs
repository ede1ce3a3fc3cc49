//! Whether what the search for headers met stayed where it was while the compiler ran.
//!
//! Names are looked at after a compile. One that is absent then could have been there before: its directory tells, if nothing changed in it since
//! the start. The directories in which builds write do change; those are listed before, too. What is there could have come by a link or with a
//! directory: every part of the way to it must be older than the start, or be the directory that it was.
//!
//! A directory that is moved away and back while the compiler runs looks like one in which something was written; where the text was seen, such a one is
//! believed.

use super::direct::Direct;
use super::setting::Setting;
use crate::direct::guard::split;
use crate::direct::listing::Directories;
use crate::direct::view::DirectoryId;
use crate::toolchain::Stamp;
use rustix::fs::{Access, access};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;

/// Links that are followed, one after the other, to what they lead to; the kernel follows 40.
const LINKS_MAX: u32 = 8;

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

/// Ways from the directories of the search to files, since the start of a compile.
struct Ways<'a> {
    setting: &'a Setting<'a>,
    before: &'a Directories,
    /// The directories that begin names: their identity is compared before and after.
    bases: Vec<&'a [u8]>,
    start: i64,
}

impl Ways<'_> {
    /// Tells whether the directories that begin names are those that they were, with no link on the way that was made since.
    fn begin_where_they_did(&self) -> bool {
        // In one that builds cannot write, nothing changes but by hand.
        let untouched = |base: &[u8]| {
            self.setting.is_own(base)
                || Stamp::of(&self.setting.path(base)).is_none_or(|stamp| stamp.is_before(self.start))
        };
        // An exchanged directory of the chain is another chain, and the proof misses files of another one; this tells without either.
        self.before.stay() && self.bases.iter().all(|base| self.links_are_old(base) && untouched(base))
    }

    /// Tells whether no part of a name is a link that was made since.
    fn links_are_old(&self, name: &[u8]) -> bool {
        let ends = memchr::memchr_iter(b'/', name).filter(|&end| end > 0).chain([name.len()]);
        let mut parts = ends.map(|end| &name[..end]).filter(|part| !part.is_empty());
        parts.all(|part| {
            let found = self.setting.path(part).symlink_metadata();
            !found.is_ok_and(|found| found.is_symlink() && !Stamp::from(&found).is_before(self.start))
        })
    }

    /// Tells whether a name of a directory leads to the same one since the start: below the directories that begin names, every part is old,
    /// or the directory that it was, and no link leads over what is not.
    fn directory_stayed(&self, directory: &[u8], links: u32) -> bool {
        let below = |base: &&&[u8]| directory.strip_prefix(**base).is_some_and(|rest| rest.starts_with(b"/"));
        if directory == b"." || self.bases.contains(&directory) {
            return true;
        }
        let base = self.bases.iter().filter(below).map(|base| base.len() + 1).max().unwrap_or(0);
        let ends = memchr::memchr_iter(b'/', &directory[base..]).map(|at| base + at).chain([directory.len()]);
        let parts = ends.map(|end| &directory[..end]).filter(|part| !part.is_empty());
        let mut parts = parts.filter(|part| !matches!(last_part(part), b"." | b".."));
        parts.all(|part| self.part_stayed(part, links))
    }

    fn part_stayed(&self, part: &[u8], links: u32) -> bool {
        let Ok(found) = self.setting.path(part).symlink_metadata() else { return false };
        let stamp = Stamp::from(&found);
        match found.is_symlink() {
            true => stamp.is_before(self.start) && self.target_stayed(part, links),
            false => stamp.is_before(self.start) || self.before.was(part, (stamp.device, stamp.inode)),
        }
    }

    /// Tells whether what a link leads to is the same since the start.
    fn target_stayed(&self, link: &[u8], links: u32) -> bool {
        let Ok(target) = std::fs::read_link(self.setting.path(link)) else { return false };
        let target = target.as_os_str().as_bytes();
        let target = match target.first() {
            Some(b'/') => target.to_vec(),
            _ => [directory_of(link), b"/", target].concat(),
        };
        links < LINKS_MAX && self.stayed(&target, links + 1)
    }

    /// Tells whether a name leads to the same file, or directory, since the start; what a file holds is for its own stamp to tell.
    fn stayed(&self, name: &[u8], links: u32) -> bool {
        let Ok(found) = self.setting.path(name).symlink_metadata() else { return false };
        self.directory_stayed(directory_of(name), links)
            && match found.is_symlink() {
                true => Stamp::from(&found).is_before(self.start) && self.target_stayed(name, links),
                false => found.is_file() || self.directory_stayed(name, links),
            }
    }

    fn standing(&self, directory: &[u8], after: &Directories) -> Standing {
        match after.stamp(directory) {
            Some(stamp) if self.directory_stayed(directory, 0) => match stamp.is_before(self.start) {
                true => Standing::Old,
                false => Standing::Changed((stamp.device, stamp.inode)),
            },
            _ => Standing::Moving,
        }
    }
}

impl Setting<'_> {
    /// Lists the directories of the search in which builds write: the working directory, the source's, and those of headers, if this user can.
    pub(super) fn watch(&self, direct: &mut Direct) {
        let before = Directories::new(&self.directory);
        for name in self.bases(direct).into_iter().filter(|name| self.is_own(name)) {
            before.list(if name.is_empty() { b"." } else { name });
        }
        // Those above are looked at as well.
        for name in [&self.root, &self.invocation.working_directory] {
            before.exists(name);
        }
        direct.before = before;
    }

    /// Lists the directories of files, too, in which builds can write, as far as nothing changed in them since the start.
    pub(super) fn watch_beside<'a>(
        &self,
        direct: &Direct,
        files: impl Iterator<Item = &'a [u8]>,
        start: i64,
    ) {
        for directory in files.map(directory_of).filter(|name| self.is_own(name)) {
            if direct.before.stamp(directory).is_some_and(|stamp| stamp.is_before(start)) {
                direct.before.list(directory);
            }
        }
    }

    /// Whether builds may write in a directory: it is spelled from here, lies below the root, or this user may write there. Root may everywhere, and installs
    /// below `/usr` between builds only.
    fn is_own(&self, name: &[u8]) -> bool {
        let beneath = name.first() != Some(&b'/') || name.starts_with(&self.root);
        beneath || (!name.starts_with(b"/usr/") && access(self.path(name), Access::WRITE_OK).is_ok())
    }

    fn bases<'a>(&'a self, direct: &'a Direct) -> Vec<&'a [u8]> {
        let source = &self.invocation.source;
        let beside = memchr::memrchr(b'/', source).map_or(b"".as_slice(), |at| &source[..at]);
        let chain = direct.chain.directories().map(|name| name.strip_suffix(b"/").unwrap_or(name));
        chain.chain([beside]).collect()
    }

    fn ways<'a>(&'a self, direct: &'a Direct, start: i64) -> Ways<'a> {
        Ways { setting: self, before: &direct.before, bases: self.bases(direct), start }
    }

    /// Tells whether the files that a text was made of are where they were, as far as links and the directories of the search tell.
    pub(super) fn text_stayed<'a>(
        &self,
        direct: &Direct,
        files: impl Iterator<Item = &'a [u8]>,
        start: i64,
    ) -> bool {
        let ways = self.ways(direct, start);
        let mut known: HashMap<&[u8], bool> = HashMap::new();
        let mut old = |name: &'a [u8]| *known.entry(name).or_insert_with(|| ways.links_are_old(name));
        ways.begin_where_they_did() && { files }.all(|name| old(directory_of(name)))
    }

    /// Tells whether names lead to the same files since the start.
    pub(super) fn led_there<'a>(
        &self,
        direct: &Direct,
        names: impl Iterator<Item = &'a [u8]>,
        start: i64,
    ) -> bool {
        let ways = self.ways(direct, start);
        ways.begin_where_they_did() && { names }.all(|name| ways.stayed(name, 0))
    }

    /// Tells whether nothing lay under names, which are absent now, since the start of the compile.
    pub(super) fn stayed_absent<'a>(
        &self,
        direct: &Direct,
        mut names: impl Iterator<Item = &'a [u8]>,
        after: &Directories,
        start: i64,
    ) -> bool {
        let ways = self.ways(direct, start);
        let mut known: HashMap<&[u8], Standing> = HashMap::new();
        names.all(|name| {
            let (directory, rest) = split(name, |directory| after.exists(directory));
            let first = memchr::memchr(b'/', rest).map_or(rest, |at| &rest[..at]);
            match known.entry(directory).or_insert_with(|| ways.standing(directory, after)) {
                Standing::Old => true,
                Standing::Changed(identity) => direct.before.lacked(*identity, first),
                Standing::Moving => false,
            }
        })
    }
}

/// Returns the directory of a name.
fn directory_of(name: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', name) {
        Some(0) => b"/",
        Some(at) => &name[..at],
        None => b".",
    }
}

fn last_part(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'/').next().unwrap_or(name)
}
