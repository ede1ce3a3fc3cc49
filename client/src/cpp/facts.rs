//! Facts about the raw content of one input, independent of how it is used, so that they can be kept by its digest.

use memchr::memmem::{find, find_iter};
use std::borrow::Cow;

/// Words in a file that decide whether and how a compile that reads it can be cached.
///
/// A word inside a comment or a string counts: that may cost a hit, it never gives a wrong one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// `__DATE__`.
    pub date: bool,
    /// `__TIME__`.
    pub time: bool,
    /// `__TIMESTAMP__`.
    pub timestamp: bool,
    /// `__has_include` or `__has_include_next`.
    pub has_include: bool,
    /// `#embed` or `__has_embed`: reads a file that no line marker names.
    pub embed: bool,
    /// `#pragma GCC dependency`, also clang's: compares times of files.
    pub pragma_dependency: bool,
}

/// How far before `dependency` the word `pragma` is looked for, in bytes: a comment may stand between.
const PRAGMA_WINDOW: usize = 256;

impl FileFacts {
    /// Looks through a file.
    pub fn scan(content: &[u8]) -> Self {
        let joined = without_splices(content);
        let has = |word: &[u8]| find(&joined, word).is_some();
        // Nearly every file lacks all of the first three, and most the common beginning.
        Self {
            date: has(b"__DATE__"),
            // A part that `##` can complete counts as the worst of them.
            time: has(b"__TIME__") || has_part(&joined),
            timestamp: has(b"__TIMESTAMP__"),
            has_include: has(b"__has_include"),
            embed: find_iter(content, b"embed").any(|at| embeds(content, at)),
            pragma_dependency: find_iter(content, b"dependency").any(|at| asks_for_times(&content[..at])),
        }
    }

    /// Packs the facts into one byte.
    pub fn bits(self) -> u8 {
        let all =
            [self.date, self.time, self.timestamp, self.has_include, self.embed, self.pragma_dependency];
        all.iter().rev().fold(0, |bits, &fact| bits << 1 | u8::from(fact))
    }

    /// Unpacks what [`FileFacts::bits`] packed.
    pub fn from_bits(bits: u8) -> Self {
        let fact = |index: u8| bits >> index & 1 == 1;
        Self {
            date: fact(0),
            time: fact(1),
            timestamp: fact(2),
            has_include: fact(3),
            embed: fact(4),
            pragma_dependency: fact(5),
        }
    }

    /// Joins the facts of two files of one compile.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            date: self.date | other.date,
            time: self.time | other.time,
            timestamp: self.timestamp | other.timestamp,
            has_include: self.has_include | other.has_include,
            embed: self.embed | other.embed,
            pragma_dependency: self.pragma_dependency | other.pragma_dependency,
        }
    }
}

/// Whether tokens are there from which pasting can make a macro that shows the time: the end of its name, or all but the last
/// underscores where an argument or a line ends behind them.
fn has_part(text: &[u8]) -> bool {
    const MACROS: [&[u8]; 3] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__"];
    let any = |marks: &[&[u8]], is_part: &dyn Fn(&[u8], &[u8]) -> bool| {
        marks.iter().any(|mark| {
            find_iter(text, mark).any(|at| {
                let (token, behind) = token_at(text, at);
                is_part(token, behind)
            })
        })
    };
    let ends = |token: &[u8], _: &[u8]| {
        token.len() > 2 && MACROS.iter().any(|name| token.len() < name.len() && name.ends_with(token))
    };
    let begins = |token: &[u8], behind: &[u8]| {
        let next = behind.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        matches!(next, None | Some(b',' | b')' | b'#' | b'\n' | b'\r'))
            && MACROS
                .iter()
                .any(|name| (name.len() - 2..name.len()).contains(&token.len()) && name.starts_with(token))
    };
    any(&[b"E__", b"P__"], &ends) || any(&[b"__DATE", b"__TIME"], &begins)
}

/// Returns the whole token around a byte of it, and what follows.
fn token_at(text: &[u8], at: usize) -> (&[u8], &[u8]) {
    let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let start = at - text[..at].iter().rev().take_while(word).count();
    let end = at + text[at..].iter().take_while(word).count();
    (&text[start..end], &text[end..])
}

/// Joins continued lines: a backslash, blanks that gcc allows behind it, and the line's end go.
pub(crate) fn without_splices(content: &[u8]) -> Cow<'_, [u8]> {
    let ends_line = |at: usize| {
        let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | 0x0B | 0x0C | b'\r');
        let end = at + 1 + content[at + 1..].iter().take_while(blank).count();
        (content.get(end) == Some(&b'\n')).then_some(end + 1)
    };
    let mut splices =
        memchr::memchr_iter(b'\\', content).filter_map(|at| Some((at, ends_line(at)?))).peekable();
    if splices.peek().is_none() {
        return Cow::Borrowed(content);
    }
    let mut joined = Vec::with_capacity(content.len());
    let mut done = 0;
    for (at, end) in splices {
        joined.extend_from_slice(&content[done.min(at)..at]);
        done = end;
    }
    joined.extend_from_slice(&content[done..]);
    Cow::Owned(joined)
}

/// Whether what stands before the word `dependency` makes it a pragma, or something that a macro can make one of.
fn asks_for_times(before: &[u8]) -> bool {
    let window = &before[before.len().saturating_sub(PRAGMA_WINDOW)..];
    let blank = |byte: &&u8| byte.is_ascii_whitespace() || matches!(**byte, b'\\' | b'/' | b'*');
    let words = &before[..before.len() - before.iter().rev().take_while(blank).count()];
    find(window, b"ragma").is_some() || [b"GCC".as_slice(), b"clang"].iter().any(|word| words.ends_with(word))
}

/// Whether the `embed` at `at` is a directive or part of `__has_embed`.
fn embeds(content: &[u8], at: usize) -> bool {
    let before = &content[..at];
    let blank = |byte: &&u8| !matches!(**byte, b' ' | b'\t' | b'\\' | b'\n' | b'\r' | b'/' | b'*');
    before.ends_with(b"__has_") || before.iter().rev().find(blank) == Some(&b'#')
}
