//! The file as written: TOML, one flat table.

use super::{Config, ConfigError, FILE_MAX, FILE_NAME, Key};
use crate::home::Home;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use toml::{Spanned, Value};

/// Keys and values of the file with their places.
#[derive(Debug)]
pub(super) struct RawConfig {
    file: PathBuf,
    text: String,
    values: Vec<(Spanned<String>, Value)>,
}

impl RawConfig {
    /// Reads the file; `None` where there is none.
    pub(super) fn read(home: &Home) -> Result<Option<Self>, ConfigError> {
        let file = home.path().join(FILE_NAME);
        let text = match home.read(FILE_NAME, FILE_MAX) {
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

    /// Sets everything that the file says.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        for (name, value) in &self.values {
            let place = format!("{}:{}: ", self.file.display(), line_at(&self.text, name.span()));
            let unknown = || ConfigError::Unknown { place: place.clone(), key: name.get_ref().clone() };
            let key = Key::find(name.get_ref()).ok_or_else(unknown)?;
            let text = as_text(value).ok_or(()).and_then(|text| (key.set)(config, &text));
            text.map_err(|()| ConfigError::value(place.clone(), key, &value.to_string()))?;
        }
        Ok(())
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
        home.replace(FILE_NAME, &[new.as_bytes()]).map_err(|source| ConfigError::File { file, source })
    }
}

/// Returns a value as the text that a variable would hold.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(switch) => Some(switch.to_string()),
        Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str()).collect();
            texts.map(|texts| texts.join(":"))
        }
        _ => None,
    }
}

fn line_at(text: &str, span: Range<usize>) -> usize {
    text.as_bytes().iter().take(span.start).filter(|&&byte| byte == b'\n').count() + 1
}
