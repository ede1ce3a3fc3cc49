//! What options bring into a toolchain: specs, configuration files and plugins.

use super::super::record::SPECS;
use super::super::{answers, configuration, elf, specs};
use super::{Call, Discovery, Stamp, Unknown};
use crate::process::reply_of;
use elf::Program;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

impl Discovery {
    /// Adds the configuration files that clang says it reads, and those that they name.
    pub(super) fn add_configurations(&mut self, files: &[Vec<u8>]) -> Result<(), Unknown> {
        for name in files {
            let path = Path::new(OsStr::from_bytes(name));
            self.add(SPECS, path)?;
            match configuration::read(path) {
                Ok(found) => {
                    found.files.iter().try_for_each(|file| self.add(SPECS, file))?;
                    self.configured.words.extend(found.words);
                }
                Err(word) => self.refuse(name, &word),
            }
        }
        Ok(())
    }

    /// Guards the directories in which clang looks for configuration files: which names it tries hangs on its own name and its target.
    pub(super) fn guard_configurations(
        &mut self,
        call: &Call<'_>,
        fixed: &[OsString],
    ) -> Result<(), Unknown> {
        for directory in answers::configuration_directories(&configurations_searched(call, fixed)?) {
            let directory = PathBuf::from(OsString::from_vec(directory));
            match Stamp::of(&directory) {
                Some(stamp) => self.guard(&directory, stamp),
                None => drop(self.tried.insert(directory)),
            }
        }
        Ok(())
    }

    /// Adds the specs files that gcc says it reads, and guards the places where it looks for them, for those of its options, and for those that
    /// they take in.
    pub(super) fn add_specs(
        &mut self,
        files: &[Vec<u8>],
        arguments: &[Vec<u8>],
        libraries: &[Vec<u8>],
    ) -> Result<(), Unknown> {
        let mut names = vec![b"specs".to_vec()];
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let joined = word.strip_prefix(b"-specs=").or_else(|| word.strip_prefix(b"--specs="));
            let is_separate = [b"-specs".as_slice(), b"--specs"].contains(&word.as_slice());
            let name = if is_separate { words.next().map(Vec::as_slice) } else { joined };
            names.extend(name.map(<[u8]>::to_vec));
        }
        for name in files {
            let path = Path::new(OsStr::from_bytes(name));
            self.add(SPECS, path)?;
            let text = configuration::content(path);
            match text.ok_or_else(|| name.clone()).and_then(|text| specs::read(&text)) {
                Ok(found) => {
                    self.configured.words.extend(found.configured.words);
                    self.configured.conditions.extend(found.configured.conditions);
                    names.extend(found.included);
                }
                Err(word) => self.refuse(name, &word),
            }
        }
        for name in names {
            let places = libraries.iter().map(|directory| [directory, name.as_slice()].concat());
            let all = places.chain([name.clone()]).map(|path| PathBuf::from(OsString::from_vec(path)));
            let tried: Vec<PathBuf> = all.filter(|path| !self.files.contains_key(path)).collect();
            self.tried.extend(tried);
        }
        Ok(())
    }

    fn refuse(&mut self, file: &[u8], word: &[u8]) {
        self.refused.get_or_insert_with(|| [file, b": ", word].concat());
    }

    /// Adds a plugin and its shared libraries, which the compiler proper's loader finds.
    pub(super) fn add_plugin(
        &mut self,
        call: &Call<'_>,
        name: &[u8],
        proper: &[Vec<u8>],
    ) -> Result<(), Unknown> {
        let path = if name.contains(&b'/') {
            name.to_vec()
        } else {
            let mut directories = proper.iter().filter_map(|word| word.strip_prefix(b"-iplugindir="));
            [directories.next().ok_or(Unknown::Silent)?, b"/", name, b".so"].concat()
        };
        let path = Path::new(OsStr::from_bytes(&path));
        self.add("plugin", path)?;
        match elf::program(Path::new(OsStr::from_bytes(&proper[0])))? {
            Program::Dynamic(loader) => self.add_libraries(call, &loader, path),
            Program::Static | Program::Script => Err(Unknown::Silent),
        }
    }
}

/// Asks clang for a configuration file that nobody has: its answer says where it looks for them. Called by a name that says a target it may not
/// look for that one.
fn configurations_searched(call: &Call<'_>, fixed: &[OsString]) -> io::Result<Vec<u8>> {
    let mut words = Vec::new();
    let mut all = fixed.iter();
    while let Some(word) = all.next() {
        // Some versions take one of these only.
        if word == "--config" {
            all.next();
        } else if !word.as_bytes().starts_with(b"--config=") {
            words.push(word.clone());
        }
    }
    words.extend(["--config", "dccache-absent.cfg", "-###"].map(OsString::from));
    let name = Path::new(&call.compiler.name).with_file_name("clang");
    Ok(reply_of(&call.compiler.program, name.as_os_str(), &words, &[])?.1.stderr)
}
