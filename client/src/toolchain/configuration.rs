//! What a configuration file makes clang's driver add to a command.
//!
//! Such a file holds arguments in the form of a response file, with comments, and may name others: `@FILE` beside it. What could be read in more than
//! one way (quotes, backslashes) is refused.
//!
//! Source: clang's user's manual, "Configuration files".

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 8;

/// Most words that files add.
const WORDS_MAX: usize = 4096;

/// Largest file of either compiler that is read, in bytes.
pub(super) const FILE_MAX: u64 = 1 << 20;

/// What stands for the directory of the file.
const DIRECTORY: &[u8] = b"<CFGDIR>";

/// What a file says, and those that it names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) words: Vec<Vec<u8>>,
    /// In the order in which they are read.
    pub(super) files: Vec<PathBuf>,
}

/// Reads a file and those that it names; the error is the word of which nobody knows what it does.
pub(super) fn read(path: &Path) -> Result<Configuration, Vec<u8>> {
    let mut found = Configuration::default();
    take(path, 0, &mut found)?;
    Ok(found)
}

fn take(path: &Path, depth: usize, found: &mut Configuration) -> Result<(), Vec<u8>> {
    let unreadable = || path.as_os_str().as_bytes().to_vec();
    if depth > DEPTH_MAX {
        return Err(unreadable());
    }
    let text = content(path).ok_or_else(unreadable)?;
    found.files.push(path.to_owned());
    let directory = path.parent().unwrap_or(Path::new("")).as_os_str().as_bytes();
    for line in text.split(|&byte| byte == b'\n') {
        let mut words =
            line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty()).peekable();
        if words.peek().is_some_and(|word| word.starts_with(b"#")) {
            continue;
        }
        for word in words {
            let word = with_directory(word, directory);
            if !word.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-_+=.,:/@%^".contains(&byte)) {
                return Err(word);
            }
            match word.strip_prefix(b"@") {
                Some(name) => {
                    let beside = Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name));
                    take(&beside, depth + 1, found)?;
                }
                None if found.words.len() < WORDS_MAX => found.words.push(word),
                None => return Err(word),
            }
        }
    }
    Ok(())
}

/// Puts the directory in place of what stands for it at the beginning of a value.
fn with_directory(word: &[u8], directory: &[u8]) -> Vec<u8> {
    match memchr::memmem::find(word, DIRECTORY) {
        Some(at) => [&word[..at], directory, &word[at + DIRECTORY.len()..]].concat(),
        None => word.to_vec(),
    }
}

/// Reads a regular file that is not too large.
pub(super) fn content(path: &Path) -> Option<Vec<u8>> {
    let metadata = path.metadata().ok().filter(|file| file.is_file() && file.len() <= FILE_MAX)?;
    let mut text = Vec::with_capacity(metadata.len() as usize);
    fs::File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_comments_the_directory_and_other_files_are_read() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let nested = write("more/b.cfg", "-O2\n");
        let path = write("a.cfg", "  # why\n-g  -DX=1\n@more/b.cfg\n-I<CFGDIR>/inc -w\n");
        let found = read(&path).unwrap();
        let include = format!("-I{}/inc", place.path().display());
        let expected = ["-g", "-DX=1", "-O2", &include, "-w"];
        assert_eq!(found.words, expected.map(|word| word.as_bytes().to_vec()));
        assert_eq!(found.files, [path, nested]);
        for text in [
            "-DX='a'",
            "-DX=\"a\"",
            "-O2 \\\n-g",
            "-I ~/x",
            "$HOME",
            "<CFGDIR><CFGDIR>",
            "-O2\r\n",
            "@absent",
            "@a.cfg",
        ] {
            assert!(read(&write("a.cfg", text)).is_err(), "{text}");
        }
    }
}
