//! A file as written: TOML, one flat table.

use super::{ConfigError, FILE_MAX, FILE_NAME, Key};
use crate::home::Home;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toml::{Spanned, Value};

/// Keys and values of the file with their places.
#[derive(Debug)]
pub(super) struct RawConfig {
    file: PathBuf,
    text: String,
    values: Vec<(Spanned<String>, Value)>,
}

impl RawConfig {
    /// Reads the user's file; `None` where there is none.
    pub(super) fn read(home: &Home) -> Result<Option<Self>, ConfigError> {
        Self::parse(home.path().join(FILE_NAME), home.read(FILE_NAME, FILE_MAX))
    }

    /// Reads the file for all users; `None` where there is none.
    pub(super) fn read_system(file: &Path) -> Result<Option<Self>, ConfigError> {
        Self::parse(file.to_owned(), read_regular(file, |_| true))
    }

    /// Reads a project's file; `None` where there is none, or where it is neither this user's nor the administrator's: whoever can
    /// put a directory above this one is not thereby trusted.
    pub(super) fn read_project(file: &Path) -> Result<Option<Self>, ConfigError> {
        let own = rustix::process::geteuid().as_raw();
        Self::parse(file.to_owned(), read_regular(file, |found| found.uid() == own || found.uid() == 0))
    }

    fn parse(file: PathBuf, read: io::Result<Vec<u8>>) -> Result<Option<Self>, ConfigError> {
        let text = match read {
            Ok(bytes) => String::from_utf8(bytes)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        let text = text.map_err(|source| ConfigError::File { file: file.clone(), source })?;
        let parsed = toml::from_str::<std::collections::BTreeMap<Spanned<String>, Value>>(&text);
        let values = parsed.map_err(|error| ConfigError::Syntax {
            file: file.clone(),
            line: line_at(&text, error.span().unwrap_or_default()),
            message: error.message().to_owned(),
        })?;
        Ok(Some(Self { file, text, values: values.into_iter().collect() }))
    }

    /// Returns the directory of the file.
    pub(super) fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// Lists everything that the file says: file and line, key, and value as text.
    pub(super) fn values(&self) -> Result<Vec<(String, &'static Key, String)>, ConfigError> {
        let mut values = Vec::new();
        for (name, value) in &self.values {
            let place = format!("{}:{}: ", self.file.display(), line_at(&self.text, name.span()));
            let unknown = || ConfigError::Unknown { place: place.clone(), key: name.get_ref().clone() };
            let key = Key::find(name.get_ref()).ok_or_else(unknown)?;
            let text = as_text(value, key.separator);
            let text = text.ok_or_else(|| ConfigError::value(place.clone(), key, &value.to_string()))?;
            values.push((place, key, text));
        }
        Ok(values)
    }

    /// Writes one key into the file, in place of its line or as a new last one.
    pub(super) fn write(home: &Home, key: &Key, value: &str) -> Result<(), ConfigError> {
        let old = Self::read(home)?;
        let text = old.map(|raw| raw.text).unwrap_or_default();
        let line = format!("{} = {}", key.name, Value::String(value.to_owned()));
        let sets_it = |old: &str| {
            let name = old.split('=').next().unwrap_or_default().trim();
            name == key.name && old.contains('=')
        };
        let mut lines: Vec<&str> = text.lines().collect();
        match lines.iter().position(|old| sets_it(old)) {
            Some(index) => lines[index] = &line,
            None => lines.push(&line),
        }
        let new = lines.join("\n") + "\n";
        let file = home.path().join(FILE_NAME);
        // A value that spans lines is not understood by this; the file then stays as it is.
        Self::parse(file.clone(), Ok(new.clone().into_bytes()))?;
        home.replace(FILE_NAME, &[new.as_bytes()]).map_err(|source| ConfigError::File { file, source })
    }
}

/// Returns a value as the text that a variable would hold.
fn as_text(value: &Value, separator: Option<char>) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Array(items) => {
            let separator = separator?.to_string();
            let texts = items.iter().map(|item| item.as_str().filter(|text| !text.contains(&separator)));
            texts.collect::<Option<Vec<_>>>().map(|texts| texts.join(&separator))
        }
        _ => None,
    }
}

/// Reads a whole regular file whose metadata is `wanted`; what is not reads as absent.
fn read_regular(file: &Path, wanted: impl Fn(&Metadata) -> bool) -> io::Result<Vec<u8>> {
    // Non-blocking: a FIFO is no configuration.
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let opened = File::options().read(true).custom_flags(flags).open(file)?;
    let metadata = opened.metadata()?;
    if !metadata.is_file() || !wanted(&metadata) {
        return Err(io::ErrorKind::NotFound.into());
    }
    if metadata.len() > FILE_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut content = Vec::new();
    opened.take(FILE_MAX).read_to_end(&mut content)?;
    Ok(content)
}

fn line_at(text: &str, span: Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|&&byte| byte == b'\n').count() + 1
}
