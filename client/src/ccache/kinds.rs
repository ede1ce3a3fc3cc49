//! What a value of ccache's configuration may be, and how it is shown.

use super::remote;
use crate::config::parse_size;
use std::path::Path;

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`; as a variable, set or not.
    Switch,
    /// Any text.
    Text,
    /// A number without a sign.
    Number,
    /// A number.
    Integer,
    /// A size in bytes.
    Size,
    /// Up to three octal digits, or nothing.
    Octal,
    /// Absolute paths between colons, or nothing.
    Absolute,
    /// Shared directories.
    Storage,
}

impl Kind {
    /// Says what is wrong with a value; `None` where nothing is.
    pub(super) fn problem(self, text: &str) -> Option<String> {
        let wrong = |what: &str| Some(format!("{what}: \"{text}\""));
        match self {
            Self::Text => None,
            Self::Switch if matches!(text, "true" | "false") => None,
            Self::Switch => wrong("neither true nor false"),
            Self::Number if text.parse::<u64>().is_ok() => None,
            Self::Number => wrong("not a number of at least 0"),
            Self::Integer if text.parse::<i8>().is_ok() => None,
            Self::Integer => wrong("not a number"),
            Self::Size if parse_size(text).is_some() => None,
            Self::Size => wrong("not a size, such as 500MB or 5GiB"),
            Self::Octal if octal(text).is_some() => None,
            Self::Octal => wrong("not an octal number of at most three digits"),
            Self::Storage => remote::parse(text).err(),
            Self::Absolute => {
                let relative =
                    text.split(':').find(|path| !path.is_empty() && !Path::new(path).is_absolute());
                relative.map(|path| format!("not an absolute path: \"{path}\""))
            }
        }
    }

    /// Shows a value that has no problem.
    pub(super) fn show(self, text: &str) -> String {
        match self {
            Self::Size => show_size(parse_size(text).unwrap_or_default()),
            Self::Octal => octal(text)
                .filter(|_| !text.is_empty())
                .map_or_else(String::new, |mask| format!("{mask:03o}")),
            _ => text.to_owned(),
        }
    }
}

/// Reads an octal number of at most three digits; nothing is 0.
fn octal(text: &str) -> Option<u16> {
    let digits = text.trim_start_matches('0');
    let octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) && digits.len() <= 3;
    octal.then(|| u16::from_str_radix(digits, 8).unwrap_or(0))
}

/// Shows a size as people write it, to one digit behind the point: in powers of 1024 where it was said so, which a whole number of MiB tells.
pub(super) fn show_size(size: u64) -> String {
    let binary: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let decimal = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    let units = if size.is_multiple_of(1 << 20) { binary } else { decimal };
    match units.iter().find(|(_, unit)| size >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", size as f64 / *unit as f64),
        None => size.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_by_their_kind() {
        let good = [
            (Kind::Switch, "true"),
            (Kind::Number, "0"),
            (Kind::Integer, "-5"),
            (Kind::Size, "500MB"),
            (Kind::Octal, ""),
            (Kind::Octal, "0022"),
            (Kind::Absolute, "/a:/b"),
            (Kind::Absolute, ""),
            (Kind::Text, ""),
        ];
        for (kind, text) in good {
            assert_eq!(kind.problem(text), None, "{kind:?} {text}");
        }
        let bad = [
            (Kind::Switch, "TRUE"),
            (Kind::Switch, "1"),
            (Kind::Number, "-1"),
            (Kind::Integer, "x"),
            (Kind::Size, ""),
            (Kind::Octal, "99"),
            (Kind::Octal, "7777"),
            (Kind::Absolute, "/a:b"),
        ];
        for (kind, text) in bad {
            assert!(
                kind.problem(text).is_some_and(|said| said.contains(text.rsplit(':').next().unwrap())),
                "{kind:?} {text}"
            );
        }
    }

    #[test]
    fn sizes_and_masks_are_shown_as_ccache_shows_them() {
        let cases =
            [("5", "5.0 GiB"), ("10G", "10.0 GB"), ("300Mi", "300.0 MiB"), ("3.5k", "3.5 kB"), ("0", "0")];
        for (text, shown) in cases {
            assert_eq!(Kind::Size.show(text), shown);
        }
        assert_eq!((Kind::Octal.show("2"), Kind::Octal.show("")), ("002".to_owned(), String::new()));
    }
}
