//! A `ccache.conf` as text: `key = value` lines, `#` comments, and values that go on over indented lines.

use super::error::ConfFault;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Largest file that is read, in bytes; one has some dozen short lines.
const FILE_MAX: u64 = 256 << 10;

/// One line: number from 1, key, value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads a file; `None` where there is none, or what is there is no regular file.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read(path: &Path) -> Result<Option<String>, ConfFault> {
    // Non-blocking: a FIFO is no configuration.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let opened = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(opened) => opened,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(ConfFault::new(path.display(), error)),
    };
    let is_file = opened.metadata().is_ok_and(|found| found.is_file() && found.len() <= FILE_MAX);
    if !is_file {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = opened.take(FILE_MAX).read_to_end(&mut bytes);
    read.map_err(|error| ConfFault::new(path.display(), error))?;
    String::from_utf8(bytes).map(Some).map_err(|_| ConfFault::new(path.display(), "is not UTF-8"))
}

/// Takes a text apart.
///
/// # Errors
/// The number of a line that says nothing.
pub(super) fn lines(text: &str) -> Result<Vec<Line>, usize> {
    let mut lines: Vec<Line> = Vec::new();
    for (index, written) in text.lines().enumerate() {
        let content = written.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let goes_on = written.starts_with([' ', '\t']);
        match (goes_on, lines.last_mut()) {
            (true, Some(last)) => {
                let gap = if last.value.is_empty() { "" } else { " " };
                last.value = format!("{}{gap}{content}", last.value);
            }
            _ => {
                let (key, value) = content.split_once('=').ok_or(index + 1)?;
                let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
                lines.push(Line { number: index + 1, key, value });
            }
        }
    }
    Ok(lines)
}

/// Puts variables in the place of `$NAME` and `${NAME}`, and one `$` in that of two. Each name is told to `used`.
///
/// # Errors
/// What is wrong.
pub(super) fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<OsString>,
    used: &mut dyn FnMut(&str),
) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        expanded.push_str(before);
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let (name, after) = if let Some(after) = behind.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        } else if let Some(braced) = behind.strip_prefix('{') {
            braced.split_once('}').ok_or("a ${ without its }")?
        } else {
            behind.split_at(behind.find(|letter| !is_letter(letter)).unwrap_or(behind.len()))
        };
        if name.is_empty() || !name.chars().all(is_letter) {
            return Err("a $ without a variable's name; $$ stands for $ itself".to_owned());
        }
        used(name);
        let value = variable(name).ok_or_else(|| format!("the variable {name} is not set"))?;
        expanded.push_str(value.to_str().ok_or_else(|| format!("the variable {name} is not UTF-8"))?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Writes one key into a file, in place of its line or as a new last one; directories above it are made.
///
/// # Errors
/// Why it cannot be written, or what is there not understood.
pub(super) fn write(path: &Path, key: &str, value: &str) -> Result<(), ConfFault> {
    let old = read(path)?.unwrap_or_default();
    let known = lines(&old).map_err(|line| ConfFault::at(path, line, "neither a comment nor KEY = VALUE"))?;
    let line = format!("{key} = {value}");
    let mut new: Vec<&str> = Vec::new();
    let (mut placed, mut inside) = (false, false);
    for (index, written) in old.lines().enumerate() {
        if let Some(begun) = known.iter().find(|begun| begun.number == index + 1) {
            inside = begun.key == key;
        }
        let comment = written.trim().is_empty() || written.trim_start().starts_with('#');
        if !inside || comment {
            new.push(written);
        } else if !placed {
            new.push(&line);
            placed = true;
        }
    }
    if !placed {
        new.push(&line);
    }
    put(path, &(new.join("\n") + "\n")).map_err(|error| ConfFault::new(path.display(), error))
}

/// Puts a file in place as a whole.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let temporary = directory.join(format!(".ccache.conf-{}", crate::home::unique_part()));
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_on_over_indented_lines_past_comments_and_blank_ones() {
        let text = "# c\n\nignore_options =\n  -Wall\n  # inside\n\n\t-Wextra\n max_size = 1\ncompiler=gcc\n";
        let read = lines(text).unwrap();
        let read: Vec<_> =
            read.iter().map(|line| (line.number, line.key.as_str(), line.value.as_str())).collect();
        assert_eq!(read, [(3, "ignore_options", "-Wall -Wextra max_size = 1"), (9, "compiler", "gcc")]);
        assert_eq!(lines("a = 1\nwhat\n"), Err(2));
    }

    #[test]
    fn variables_are_expanded_and_named() {
        let variable = |name: &str| (name == "HOME").then(|| "/h".into());
        let mut used = Vec::new();
        let mut note = |name: &str| used.push(name.to_owned());
        assert_eq!(expand("$HOME/${HOME}x$$y", &variable, &mut note).unwrap(), "/h//hx$y");
        for bad in ["$", "${", "$-", "$NOPE", "${}"] {
            assert!(expand(bad, &variable, &mut note).is_err(), "{bad}");
        }
        assert_eq!(used, ["HOME", "HOME", "NOPE"]);
    }

    #[test]
    fn one_key_is_written_and_every_other_line_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/ccache.conf");
        write(&path, "max_size", "1G").unwrap();
        fs::write(&path, "# mine\nsloppiness = a\n  b\n# more\nmax_size = 1G\n").unwrap();
        write(&path, "sloppiness", "locale").unwrap();
        write(&path, "max_files", "7").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# mine\nsloppiness = locale\n# more\nmax_size = 1G\nmax_files = 7\n");
        fs::write(&path, "what\n").unwrap();
        assert!(write(&path, "max_files", "7").unwrap_err().to_string().contains("ccache.conf:1: "));
    }
}
