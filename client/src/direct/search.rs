//! Where the compilers look for a header: the search chain of one call, and the names that it tries for one spelling.
//!
//! ```text
//! "name":  the includer's directory, -iquote | -I, CPATH | -isystem, C_INCLUDE_PATH ..., the compiler's own | -idirafter
//! <name>:                                      -I ...
//! ```
//!
//! Source: GCC's manual, "Search Path" and "Directory Options": a directory that is absent is left out, one that is listed again is searched once,
//! and `-I` of a system directory is ignored. Clang documents the same. What differs all the same is found by the comparison with line markers.

use super::spelling::{Form, Spelling};
use super::view::{DirectoryId, Lies, View};

/// Directories of one call as it and its toolchain name them, in the order of each group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// `-iquote`.
    pub quote: Vec<Vec<u8>>,
    /// `-I`, then `CPATH`.
    pub angled: Vec<Vec<u8>>,
    /// `-isystem`, the language's `*_INCLUDE_PATH`, the compiler's own.
    pub system: Vec<Vec<u8>>,
    /// `-idirafter`.
    pub after: Vec<Vec<u8>>,
}

/// The search chain of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    quote: Vec<Vec<u8>>,
    angled: Vec<Vec<u8>>,
    /// Identities of all of them, in order: another directory under the same name is another chain.
    identities: Vec<DirectoryId>,
}

impl Groups {
    /// Lists all directories, present or not.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        let groups = [&self.quote, &self.angled, &self.system, &self.after];
        groups.into_iter().flatten().map(Vec::as_slice)
    }
}

impl Chain {
    /// Puts the groups together as the compilers do; `None` where a directory is listed for quoted names and for all, on which they
    /// differ, or where something else than a directory is listed.
    pub fn new(groups: &Groups, view: &View) -> Option<Self> {
        if groups.all().any(|directory| matches!(view.lies(directory), Lies::File(..) | Lies::Unclear)) {
            return None;
        }
        let mut system = present(&[&groups.system, &groups.after], view);
        remove_repeated(&mut system);
        let mut angled = present(&[&groups.angled], view);
        angled.retain(|(_, id)| !system.iter().any(|(_, other)| other == id));
        angled.extend(system);
        remove_repeated(&mut angled);
        let mut quote = present(&[&groups.quote], view);
        remove_repeated(&mut quote);
        if quote.iter().any(|(_, id)| angled.iter().any(|(_, other)| other == id)) {
            return None;
        }
        let identities = quote.iter().chain(&angled).map(|(_, id)| *id).collect();
        let names = |list: Vec<(Vec<u8>, DirectoryId)>| list.into_iter().map(|(name, _)| name).collect();
        Some(Self { quote: names(quote), angled: names(angled), identities })
    }

    /// Lists all directories of the chain: first those for quoted names only, an empty name, then the others.
    pub fn directories(&self) -> impl Iterator<Item = &[u8]> {
        let quote = self.quote.iter().map(Vec::as_slice);
        quote.chain([b"".as_slice()]).chain(self.angled.iter().map(Vec::as_slice))
    }

    /// Lists the names that are tried for a spelling, in order. `includer` is the file with the directive; `None` stands for the command line, whose files
    /// are looked for from the working directory.
    pub fn candidates(&self, spelling: &Spelling, includer: Option<&[u8]>) -> Vec<Vec<u8>> {
        let name = spelling.name.as_slice();
        if name.first() == Some(&b'/') {
            return vec![name.to_vec()];
        }
        let mut names = Vec::new();
        if spelling.form == Form::Quoted {
            names.push(includer.map_or_else(|| name.to_vec(), |includer| beside(includer, name)));
            names.extend(self.quote.iter().map(|directory| inside(directory, name)));
        }
        names.extend(self.angled.iter().map(|directory| inside(directory, name)));
        names
    }
}

fn present(groups: &[&Vec<Vec<u8>>], view: &View) -> Vec<(Vec<u8>, DirectoryId)> {
    let all = groups.iter().flat_map(|group| group.iter());
    all.filter_map(|directory| Some((directory.clone(), view.directory(directory)?))).collect()
}

fn remove_repeated(list: &mut Vec<(Vec<u8>, DirectoryId)>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|(_, id)| seen.insert(*id));
}

/// Returns the name of a file beside another one.
pub(super) fn beside(other: &[u8], name: &[u8]) -> Vec<u8> {
    match memchr::memrchr(b'/', other) {
        Some(slash) => [&other[..=slash], name].concat(),
        None => name.to_vec(),
    }
}

fn inside(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, slash, name].concat()
}

/// Returns a name without what changes nothing: repeated slashes, and components that are a dot.
pub(super) fn plain(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let joined = parts.collect::<Vec<_>>().join(&b'/');
    if name.first() == Some(&b'/') { [b"/", joined.as_slice()].concat() } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direct::spelling::Start;
    use crate::invocation::oracle::Tree;
    use std::path::Path;

    fn bytes(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn absent_directories_are_left_out_and_system_ones_keep_their_place() {
        let tree = Tree::new();
        for directory in ["q", "i", "s", "z"] {
            tree.write(format!("{directory}/x").as_bytes(), b"");
        }
        let path = tree.path();
        let view = View::new(Path::new(std::str::from_utf8(&path).unwrap()));
        let groups = Groups {
            quote: bytes(&["q", "absent", "q/."]),
            angled: bytes(&["s", "i", "./i", "absent"]),
            system: bytes(&["s"]),
            after: bytes(&["z", "s"]),
        };
        let chain = Chain::new(&groups, &view).unwrap();
        assert_eq!((chain.quote.clone(), chain.angled.clone()), (bytes(&["q"]), bytes(&["i", "s", "z"])));
        let spelling =
            |form, name: &str| Spelling { form, start: Start::First, name: name.as_bytes().to_vec() };
        let quoted = spelling(Form::Quoted, "a.h");
        assert_eq!(
            chain.candidates(&quoted, Some(b"d/x.c")),
            bytes(&["d/a.h", "q/a.h", "i/a.h", "s/a.h", "z/a.h"])
        );
        assert_eq!(chain.candidates(&quoted, None)[0], b"a.h");
        assert_eq!(
            chain.candidates(&spelling(Form::Angled, "a.h"), Some(b"d/x.c")),
            bytes(&["i/a.h", "s/a.h", "z/a.h"])
        );
        assert_eq!(chain.candidates(&spelling(Form::Angled, "/r/a.h"), None), bytes(&["/r/a.h"]));
    }

    #[test]
    fn plain_names_differ_only_where_files_can() {
        assert_eq!(plain(b"./a//b/./c.h"), b"a/b/c.h");
        assert_eq!(plain(b"/a/../b"), b"/a/../b");
        assert_eq!(plain(b"."), b"");
    }
}
