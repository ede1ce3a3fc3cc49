//! Line markers.

use std::borrow::Cow;
use std::ops::Range;

/// A line marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// Where the quoted name lies in its line, without the quotes.
    pub(super) name: Range<usize>,
    /// Flag 1: a file is entered.
    pub(super) enters: bool,
    /// Flag 2: a file is left, and the named one goes on.
    pub(super) returns: bool,
}

/// Reads a line without its end as a marker; `None` when it is none.
pub(super) fn parse(line: &[u8]) -> Option<Marker> {
    let rest = line.strip_prefix(b"# ").or_else(|| line.strip_prefix(b"#line "))?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = rest.get(digits..)?.strip_prefix(b" \"")?;
    if digits == 0 {
        return None;
    }
    let start = line.len() - rest.len();
    let mut end = 0;
    while *rest.get(end)? != b'"' {
        end += if rest[end] == b'\\' { 2 } else { 1 };
    }
    let has = |wanted: &[u8]| rest[end + 1..].split(|&byte| byte == b' ').any(|flag| flag == wanted);
    Some(Marker { name: start..start + end, enters: has(b"1"), returns: has(b"2") })
}

/// Undoes the escapes of a quoted name: backslash, quote and octal bytes.
pub(super) fn unescape(name: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', name).is_none() {
        return Cow::Borrowed(name);
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let digits = rest.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        if digits == 0 {
            plain.extend(rest.first());
            rest = rest.get(1..).unwrap_or_default();
        } else {
            let value = rest[..digits].iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            plain.push(value as u8);
            rest = &rest[digits..];
        }
    }
    Cow::Owned(plain)
}
