//! Facts about the raw content of one input, independent of how it is used, so that they can be kept by its digest.

use aho_corasick::{AhoCorasick, Input, MatchKind};
use memchr::memmem::find;
use std::borrow::Cow;
use std::sync::LazyLock;

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

/// How far before `dependency` the word `pragma` is looked for, in bytes, where a macro can have put it together.
const PRAGMA_WINDOW: usize = 256;

impl FileFacts {
    /// Looks through a file.
    pub fn scan(content: &[u8]) -> Self {
        let facts = Self::of_lines(content);
        // Trigraphs are replaced in strict modes only.
        let begins = |at: usize| matches!(content[at..], [b'?', b'?', b'/' | b'=', ..]);
        if !memchr::memchr_iter(b'?', content).any(begins) {
            return facts;
        }
        let mut replaced = Vec::with_capacity(content.len());
        let mut rest = content;
        while let Some((&byte, after)) = rest.split_first() {
            let (byte, length) = match rest {
                [b'?', b'?', b'/', ..] => (b'\\', 3),
                [b'?', b'?', b'=', ..] => (b'#', 3),
                _ => (byte, rest.len() - after.len()),
            };
            replaced.push(byte);
            rest = &rest[length..];
        }
        facts.and(Self::of_lines(&replaced))
    }

    fn of_lines(content: &[u8]) -> Self {
        let joined = without_splices(content);
        let mut facts = Self::of_text(&joined);
        if let Cow::Owned(_) = joined {
            // As the lines stand, too: what joining took apart counts as well.
            let raw = Self::of_text(content);
            facts.embed |= raw.embed;
            facts.pragma_dependency |= raw.pragma_dependency;
        }
        facts
    }

    /// Looks through text in one pass: nearly every file lacks every word.
    fn of_text(text: &[u8]) -> Self {
        let mut facts = Self::default();
        let mut from = 0;
        // Words can overlap (`__DATE` and `E__`), so the search goes on one byte behind each beginning.
        while let Some(found) = WORDS.searcher.find(Input::new(text).range(from..)) {
            let at = found.start();
            from = at + 1;
            let rest = &text[at..];
            match WORDS.list[found.pattern().as_usize()] {
                // A part that `##` can complete counts as the worst of them.
                b"E__" | b"P__" => facts.time |= ends_macro(token_at(text, at).0),
                b"__DA" => {
                    facts.date |= rest.starts_with(b"__DATE__");
                    facts.time |= begins_macro(token_at(text, at));
                }
                b"__TI" => {
                    facts.time |= rest.starts_with(b"__TIME__") || begins_macro(token_at(text, at));
                    facts.timestamp |= rest.starts_with(b"__TIMESTAMP__");
                }
                b"__has_include" => facts.has_include = true,
                b"embed" => facts.embed |= embeds(text, at),
                _ => facts.pragma_dependency |= asks_for_times(&text[..at]),
            }
        }
        facts
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

/// Macros that show the time.
const MACROS: [&[u8]; 3] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__"];

/// Words that are searched for, and what searches.
struct Words {
    list: [&'static [u8]; 7],
    searcher: AhoCorasick,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let list: [&[u8]; 7] = [b"E__", b"P__", b"__DA", b"__TI", b"__has_include", b"embed", b"dependency"];
    // The leftmost match is the only one at its place: no word begins another.
    let searcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(list);
    Words { list, searcher: searcher.expect("seven short words are no large automaton") }
});

/// Whether a token is the end of such a macro's name, from which pasting can make it.
fn ends_macro(token: &[u8]) -> bool {
    token.len() > 2 && MACROS.iter().any(|name| token.len() < name.len() && name.ends_with(token))
}

/// Whether a token is the beginning of such a name, to which pasting can add the rest. What lacks only underscores stands in names of guards, too: it
/// counts where an argument or a line ends behind it.
fn begins_macro((token, behind): (&[u8], &[u8])) -> bool {
    let next = behind.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    let ends = matches!(next, None | Some(b',' | b')' | b'#' | b'\n' | b'\r'));
    MACROS.iter().any(|name| {
        let begins = token.len() < name.len() && name.starts_with(token);
        begins && (ends || (token.len() < name.len() - 2 && token != b"__TIME"))
    })
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
        let blank = |byte: &&u8| matches!(**byte, b' ' | b'\t' | 0x0B | 0x0C);
        let end = at + 1 + content[at + 1..].iter().take_while(blank).count();
        // A carriage return alone ends a line as well.
        match content[end..] {
            [b'\r', b'\n', ..] => Some(end + 2),
            [b'\r' | b'\n', ..] => Some(end + 1),
            _ => None,
        }
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
    find(window, b"ragma").is_some()
        || [b"GCC".as_slice(), b"clang"].iter().any(|word| words.ends_with(word))
        // What stands before a comment may be far away.
        || before.trim_ascii_end().ends_with(b"*/")
}

/// Whether the `embed` at `at` is a directive or part of `__has_embed`.
fn embeds(content: &[u8], at: usize) -> bool {
    let before = &content[..at];
    let blank = |byte: &&u8| !matches!(**byte, b' ' | b'\t' | b'\\' | b'\n' | b'\r' | b'/' | b'*');
    before.ends_with(b"__has_") || before.iter().rev().find(blank) == Some(&b'#')
}
