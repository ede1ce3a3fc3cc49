//! `remote_storage`: which shared directories a cache reads and writes beside its own.
//!
//! ```text
//! file:/DIR | file:///DIR | file://localhost/DIR   followed by NAME[=VALUE] and @NAME[=VALUE], separated by white space or |
//! ```

use crate::store::SharedDirectory;
use std::path::PathBuf;

/// What is said of a directory that means nothing here: there is no helper, and a read or write ends by itself.
const WITHOUT_MEANING: [&str; 5] = ["data-timeout", "helper", "idle-timeout", "request-timeout", "layout"];

/// What to do in place of asking a server.
const ADVICE: &str = "only file:DIRECTORY is read under this name; to share over the network, make this machine a client of a cluster with `dccache join`";

/// Reads the directories of a value.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(super) fn parse(text: &str) -> Result<Vec<SharedDirectory>, String> {
    let mut directories: Vec<SharedDirectory> = Vec::new();
    for word in text.split(['|', ' ', '\t']).filter(|word| !word.is_empty()) {
        let named = word.split_once(':').filter(|(scheme, _)| is_scheme(scheme));
        match (named, directories.last_mut()) {
            (Some(("file", place)), _) => directories.push(SharedDirectory {
                path: path(place).ok_or_else(|| format!("\"{word}\" names no absolute directory"))?,
                read_only: false,
                mask: None,
                touches: false,
            }),
            (Some(_), _) => return Err(format!("\"{word}\": {ADVICE}")),
            (None, Some(last)) => set(last, word)?,
            (None, None) => return Err(format!("\"{word}\" is no URL: {ADVICE}")),
        }
    }
    Ok(directories)
}

fn is_scheme(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    !text.is_empty() && text.bytes().all(letter)
}

fn path(place: &str) -> Option<PathBuf> {
    let place = match place.strip_prefix("//") {
        Some(behind) => {
            behind.strip_prefix("localhost").filter(|rest| rest.starts_with('/')).unwrap_or(behind)
        }
        None => place,
    };
    let path = PathBuf::from(decoded(place)?);
    path.is_absolute().then_some(path)
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn set(directory: &mut SharedDirectory, word: &str) -> Result<(), String> {
    let (name, value) = word.split_once('=').unwrap_or((word, "true"));
    let value = decoded(value).ok_or_else(|| format!("\"{word}\" is not encoded as a URL"))?;
    let switch = |place: &mut bool| {
        *place = value.parse().map_err(|_| format!("\"{word}\": neither true nor false"))?;
        Ok(())
    };
    match name.trim_start_matches('@') {
        "read-only" => switch(&mut directory.read_only),
        "update-mtime" => switch(&mut directory.touches),
        "umask" => {
            let mask = u16::from_str_radix(&value, 8).ok().filter(|mask| *mask <= 0o777);
            directory.mask = Some(mask.ok_or_else(|| format!("\"{word}\": not an octal number"))?);
            Ok(())
        }
        known if WITHOUT_MEANING.contains(&known) => Ok(()),
        _ => Err(format!("\"{word}\" is not known; {ADVICE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_as_ccache_names_them() {
        let plain =
            |path: &str| SharedDirectory { path: path.into(), read_only: false, mask: None, touches: false };
        for text in ["file:/a/b", "file:///a/b", "file://localhost/a/b", " file:/a/b @layout=subdirs "] {
            assert_eq!(parse(text).unwrap(), [plain("/a/b")], "{text}");
        }
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("file:/a%20b").unwrap(), [plain("/a b")]);
        let said = SharedDirectory { read_only: true, mask: Some(0o2), touches: true, ..plain("/a") };
        let texts = [
            "file:/a read-only @umask=002 @update-mtime=true",
            "file:///a|read-only=true|umask=2|update-mtime",
        ];
        for text in texts {
            assert_eq!(parse(&format!("{text} file:/b")).unwrap(), [said.clone(), plain("/b")], "{text}");
        }
    }

    #[test]
    fn what_is_no_directory_is_refused_with_advice() {
        for text in ["http://h/x", "redis://h", "redis+unix:/s", "crsh:/s", "/a", "file:/a shards=a,b"] {
            assert!(parse(text).unwrap_err().contains("dccache join"), "{text}");
        }
        for text in ["file:a", "file://host/a", "file:/a read-only=1", "file:/a @umask=9", "file:/%zz"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
