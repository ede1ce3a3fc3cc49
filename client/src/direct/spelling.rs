//! How the content of a file spells the names of other files: in `#include`, `#include_next`, `#import` and `__has_include`.
//!
//! Conditionals and comments are ignored, so more is found than a compile evaluates, never less. What more is found costs at most a probe; what
//! cannot be read off the content is said ([`Spellings::computed`], [`Spellings::opaque`]).
//!
//! Source: C11 6.10.2, C++17 19.2 and 19.1 (`__has_include`), and GCC's manual on `#include_next` and `#import`.

use crate::cpp::without_splices;
use aho_corasick::{AhoCorasick, BuildError};
use memchr::memmem::{find, find_iter};
use std::sync::LazyLock;

/// Words of the directives that name a file.
const WORD: [&[u8]; 2] = [b"include", b"import"];

/// What stands before the first of them in a question.
const QUERY: &[u8] = b"__has_";

/// Finds them in one pass. It cannot fail for two short words.
static WORDS: LazyLock<Result<AhoCorasick, BuildError>> = LazyLock::new(|| AhoCorasick::new(WORD));

/// Which search a name goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// `"name"`: the includer's directory first.
    Quoted,
    /// `<name>`.
    Angled,
}

/// Where the search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// At the first directory.
    First,
    /// Behind the directory in which the includer was found.
    Next,
}

/// One name as a directive spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spelling {
    /// Which search.
    pub form: Form,
    /// Where it begins.
    pub start: Start,
    /// The name, without quotes.
    pub name: Vec<u8>,
}

/// Everything that a content spells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spellings {
    /// Names in directives that read a file.
    pub includes: Vec<Spelling>,
    /// Names in `__has_include`.
    pub queries: Vec<Spelling>,
    /// Macros that stand in place of a name, and where the search begins.
    pub computed: Vec<(Vec<u8>, Start)>,
    /// What stands where nothing can be read off, if anything does.
    pub opaque: Option<&'static str>,
}

impl Spellings {
    /// Looks through a content.
    pub fn scan(content: &[u8]) -> Self {
        let mut found = Self::default();
        let text = without_splices(content);
        match &*WORDS {
            Ok(words) => words
                .find_iter(&*text)
                .for_each(|hit| found.word(&text, hit.start(), WORD[hit.pattern().as_usize()])),
            Err(_) => found.opaque = Some("no memory"),
        }
        found.opaque = found.opaque.or_else(|| obscurity(content, &text));
        for list in [&mut found.includes, &mut found.queries] {
            list.sort_unstable();
            list.dedup();
        }
        found.computed.sort_unstable();
        found.computed.dedup();
        found
    }

    fn word(&mut self, text: &[u8], at: usize, word: &[u8]) {
        match word == WORD[0] && text[..at].ends_with(QUERY) {
            true => self.query(text, at - QUERY.len()),
            false => self.directive(text, at, word),
        }
    }

    fn directive(&mut self, text: &[u8], at: usize, word: &[u8]) {
        let end = word_end(text, at);
        let start = match &text[at..end] {
            token if token == word => Start::First,
            b"include_next" => Start::Next,
            _ => return,
        };
        if !is_directive(text, at) {
            if at > SIGN_WINDOW && trim_blank(&text[..at]).ends_with(b"*/") {
                self.opaque = Some("a long comment in a directive");
            }
            return;
        }
        match operand(&text[skip_blank(text, end)..]) {
            Operand::Name(form, name) => self.includes.push(Spelling { form, start, name: name.to_vec() }),
            Operand::Macro(name) => self.computed.push((name.to_vec(), start)),
            // An error where it is evaluated, so that nothing is stored.
            Operand::Other => {}
        }
    }

    fn query(&mut self, text: &[u8], at: usize) {
        let end = word_end(text, at);
        let start = match &text[at..end] {
            b"__has_include" | b"__has_include__" => Start::First,
            b"__has_include_next" | b"__has_include_next__" => Start::Next,
            _ => return,
        };
        let line = line_before(text, at);
        let defines = directive_of(line) == b"define";
        let mut behind = skip_blank(text, end);
        if text.get(behind) == Some(&b'(') {
            behind = skip_blank(text, behind + 1);
        }
        match operand(&text[behind..]) {
            _ if asks_whether_there_is(line) => {}
            // In a macro the includer is wherever that is used.
            Operand::Name(Form::Quoted, _) if defines => self.opaque = Some("__has_include in a macro"),
            Operand::Name(form, name) => self.queries.push(Spelling { form, start, name: name.to_vec() }),
            Operand::Macro(_) | Operand::Other if is_idle(line) => {}
            Operand::Macro(_) | Operand::Other => self.opaque = Some("computed __has_include"),
        }
    }
}

/// Finds what a macro that stands in place of a name can be: the names of its definitions in `content`.
///
/// `None` when a definition is anything but one name.
pub fn definitions(content: &[u8], name: &[u8]) -> Option<Vec<(Form, Vec<u8>)>> {
    let text = without_splices(content);
    if find(&text, name).is_none() {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for at in find_iter(&text, b"define") {
        let end = word_end(&text, at);
        if &text[at..end] != b"define" || !is_directive(&text, at) {
            continue;
        }
        let defined = skip_blank(&text, end);
        let behind = word_end(&text, defined);
        if &text[defined..behind] != name {
            continue;
        }
        if text.get(behind) == Some(&b'(') {
            return None;
        }
        match operand(&text[skip_blank(&text, behind)..]) {
            Operand::Name(form, name) => found.push((form, name.to_vec())),
            _ => return None,
        }
    }
    Some(found)
}

/// What follows a directive.
enum Operand<'a> {
    Name(Form, &'a [u8]),
    Macro(&'a [u8]),
    Other,
}

fn operand(text: &[u8]) -> Operand<'_> {
    let until = |close: u8| {
        let rest = &text[1..];
        let end = rest.iter().position(|&byte| byte == close || byte == b'\n' || byte == b'\r')?;
        (rest[end] == close && end > 0).then(|| &rest[..end])
    };
    match text.first() {
        Some(b'<') => until(b'>').map_or(Operand::Other, |name| Operand::Name(Form::Angled, name)),
        Some(b'"') => until(b'"').map_or(Operand::Other, |name| Operand::Name(Form::Quoted, name)),
        Some(&byte) if is_word(byte) => Operand::Macro(&text[..word_end(text, 0)]),
        _ => Operand::Other,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Returns the end of the word that begins at `at`; `at` itself where the byte before belongs to it.
fn word_end(text: &[u8], at: usize) -> usize {
    if at > 0 && is_word(text[at - 1]) && text.get(at).is_some_and(|&byte| is_word(byte)) {
        return at;
    }
    at + text[at..].iter().take_while(|&&byte| is_word(byte)).count()
}

/// How far back a directive's number sign is looked for, in bytes: comments may stand between.
const SIGN_WINDOW: usize = 4096;

/// Tells whether the word at `at` is a directive: behind a number sign that is first on its line, blanks and comments aside.
fn is_directive(text: &[u8], at: usize) -> bool {
    let window = at.saturating_sub(SIGN_WINDOW);
    let signs = memchr::memrchr3_iter(b'#', b':', b'=', &text[window..at]).map(|sign| window + sign);
    let mut leading = signs.filter(|&sign| skip_blank(text, sign + 1) == at);
    leading.any(|sign| {
        let line = match text[sign] {
            b'#' => Some(&text[..sign]),
            b':' => text[..sign].strip_suffix(b"%"),
            _ => text[..sign].strip_suffix(b"??"),
        };
        line.is_some_and(|line| {
            let line = trim_blank(line);
            line.is_empty() || line.ends_with(b"\n") || line.ends_with(b"\r") || line.ends_with(b"*/")
        })
    })
}

fn trim_blank(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t' | 0x0B | 0x0C] = text {
        text = rest;
    }
    // A byte order mark is no part of the first line.
    text.strip_prefix(b"\xEF\xBB\xBF").filter(|rest| rest.is_empty()).unwrap_or(text)
}

/// Skips blanks and comments on the way to an operand.
fn skip_blank(text: &[u8], mut at: usize) -> usize {
    loop {
        match text.get(at) {
            Some(b' ' | b'\t' | 0x0B | 0x0C) => at += 1,
            Some(b'/') if text.get(at + 1) == Some(&b'*') => match find(&text[at + 2..], b"*/") {
                Some(end) => at += end + 4,
                None => return text.len(),
            },
            _ => return at,
        }
    }
}

/// Returns the line of `at` up to it, without blanks in front.
fn line_before(text: &[u8], at: usize) -> &[u8] {
    let start = text[..at].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
    text[start..at].trim_ascii_start()
}

/// Returns the name of the directive that a line begins with; empty where it begins with none.
fn directive_of(line: &[u8]) -> &[u8] {
    let signs: [&[u8]; 3] = [b"#", b"%:", b"??="];
    let Some(rest) = signs.iter().find_map(|sign| line.strip_prefix(*sign)) else { return b"" };
    let rest = &rest[skip_blank(rest, 0).min(rest.len())..];
    &rest[..rest.iter().take_while(|&&byte| is_word(byte)).count()]
}

/// Whether what follows `line` is surely no part of a directive: no number sign stands before it, or a comment to the line's end has begun.
/// Where a comment of several lines ends on the line, nothing is sure.
fn is_idle(line: &[u8]) -> bool {
    let has = |text: &[u8], what: &[u8]| find(text, what).is_some();
    let signs: [&[u8]; 3] = [b"#", b"%:", b"??="];
    let outside = !has(line, b"*/") && !signs.iter().any(|sign| has(line, sign));
    let commented = find(line, b"//").is_some_and(|at| !has(&line[..at], b"/*") && !has(&line[at..], b"*/"));
    outside || commented
}

/// Whether what follows `line` is only asked about or given a meaning: `#ifdef`, `defined`, `#define` of that name itself.
fn asks_whether_there_is(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let line = line.strip_suffix(b"(").map_or(line, <[u8]>::trim_ascii_end);
    let directive = directive_of(line);
    let names: [&[u8]; 4] = [b"ifdef", b"ifndef", b"define", b"undef"];
    let alone = names.contains(&directive) && line.ends_with(directive);
    let before = line.strip_suffix(b"defined");
    alone || before.is_some_and(|before| !before.last().is_some_and(|&byte| is_word(byte)))
}

/// Finds what makes a content mean something else than it spells: a trigraph that continues a line in strict modes, a byte that compilers skip, and parts of
/// words that `##` can make `__has_include` of.
fn obscurity(content: &[u8], text: &[u8]) -> Option<&'static str> {
    const NAMES: [&[u8]; 2] = [b"__has_include", b"__has_include_next"];
    if find(content, b"??/").is_some() || memchr::memchr(0, content).is_some() {
        return Some("a trigraph or an empty byte");
    }
    let begins = |at: usize| {
        let token = &text[at..word_end(text, at)];
        token.len() >= b"__has".len()
            && NAMES.iter().any(|name| name.len() > token.len() && name.starts_with(token))
            && !NAMES.contains(&token)
            // The library's own templates are called so.
            && !text[..at].trim_ascii_end().ends_with(b"struct")
    };
    let ends = |at: usize| {
        let start = at - text[..at].iter().rev().take_while(|&&byte| is_word(byte)).count();
        let token = &text[start..word_end(text, start)];
        NAMES.iter().any(|name| name.len() > token.len() && name.ends_with(token))
    };
    let pasted = find_iter(text, b"__has").any(begins) || find_iter(text, b"_include").any(ends);
    pasted.then_some("a part of __has_include")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[Spelling]) -> Vec<String> {
        let shown = |spelling: &Spelling| {
            let name = String::from_utf8_lossy(&spelling.name);
            let next = if spelling.start == Start::Next { "+" } else { "" };
            match spelling.form {
                Form::Quoted => format!("{next}\"{name}\""),
                Form::Angled => format!("{next}<{name}>"),
            }
        };
        list.iter().map(shown).collect()
    }

    fn scan(text: &str) -> (Vec<String>, Vec<String>) {
        let found = Spellings::scan(text.as_bytes());
        (names(&found.includes), names(&found.queries))
    }

    #[test]
    fn every_way_to_write_a_directive_is_found() {
        for (text, name) in [
            ("#include \"a.h\"", "\"a.h\""),
            ("#include<a.h>", "<a.h>"),
            ("\t # \t include /* c */ <a/b.h> // x", "<a/b.h>"),
            ("/* c */ #include \"a.h\"", "\"a.h\""),
            ("/*\n*/#/* c */include<a.h>", "<a.h>"),
            ("%:include <a.h>", "<a.h>"),
            ("??=include <a.h>", "<a.h>"),
            ("#inc\\\nlude <a\\\n.h>", "<a.h>"),
            ("#inc\\ \r\nlude \"a.h\"", "\"a.h\""),
            ("#import \"a.h\"", "\"a.h\""),
            ("#include_next <a.h>", "+<a.h>"),
            ("\u{feff}#include \"a.h\"", "\"a.h\""),
            ("int x;\r#include <a.h>\r", "<a.h>"),
            ("#/*a/*b*/include <a.h>", "<a.h>"),
            ("#if 0\n#include <a.h>\n#endif", "<a.h>"),
            ("// \\\n#include <b.h>\n#include <a.h>", "<a.h>"),
        ] {
            let expected = [name.to_owned()];
            let found = scan(text).0;
            assert!(found.contains(&expected[0]), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn what_is_no_directive_is_not_taken_for_one() {
        for text in [
            "include <a.h>",
            "x #include <a.h>",
            "#include_foo <a.h>",
            "#reinclude <a.h>",
            "#include",
            "#include <a\n.h>",
        ] {
            let found = Spellings::scan(text.as_bytes());
            assert_eq!(found, Spellings::default(), "{text:?}");
        }
    }

    #[test]
    fn queries_are_told_from_tests_whether_there_are_any() {
        assert_eq!(scan("#if __has_include(<a.h>) && __has_include(\"b.h\")").1, ["\"b.h\"", "<a.h>"]);
        assert_eq!(scan("#if __has_include_next(<a.h>)").1, ["+<a.h>"]);
        for text in ["#ifdef __has_include", "#if defined(__has_include)", "#define __has_include(x) 0"] {
            assert_eq!(Spellings::scan(text.as_bytes()), Spellings::default(), "{text}");
        }
        for text in [
            "#if __has_include(NAME)",
            "#define HAS __has_include(\"a.h\")",
            "#define HAS __has_include",
            "#if __has_inc\\\nlude(NAME)",
        ] {
            assert!(Spellings::scan(text.as_bytes()).opaque.is_some(), "{text}");
        }
        assert!(Spellings::scan(b"#define HAS __has_include(<a.h>)").opaque.is_none());
        for text in [
            "#endif // __has_include",
            "// when __has_include is there",
            " * of __has_include and others",
            "a __has_include",
        ] {
            assert!(Spellings::scan(text.as_bytes()).opaque.is_none(), "{text}");
        }
        for text in [
            "/* // */ #if __has_include X",
            "#if 1 /* // */ && __has_include X",
            "#if /*\n*/ __has_include X",
        ] {
            assert!(Spellings::scan(text.as_bytes()).opaque.is_some(), "{text}");
        }
    }

    #[test]
    fn a_macro_in_place_of_a_name_is_looked_up_in_its_definitions() {
        assert_eq!(Spellings::scan(b"#include NAME\n").computed, [(b"NAME".to_vec(), Start::First)]);
        let text = b"#define NAME <a.h>\n#ifdef X\n# define NAME \"b.h\" // c\n#endif\n#define NAMED 7\n";
        let expected = vec![(Form::Angled, b"a.h".to_vec()), (Form::Quoted, b"b.h".to_vec())];
        assert_eq!(definitions(text, b"NAME"), Some(expected));
        assert_eq!(definitions(b"#define OTHER <a.h>\n", b"NAME"), Some(Vec::new()));
        for text in ["#define NAME(x) <x>", "#define NAME OTHER", "#define NAME"] {
            assert_eq!(definitions(text.as_bytes(), b"NAME"), None, "{text}");
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic() {
        let pieces: [&[u8]; 12] = [
            b"#",
            b"include",
            b"/*",
            b"*/",
            b"\\",
            b"\n",
            b"\"",
            b"<",
            b"__has_include",
            b"(",
            b"define",
            b"\xff",
        ];
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.extend(pieces[(state >> 33) as usize % pieces.len()]);
            }
            let _ = Spellings::scan(&text);
            let _ = definitions(&text, b"\xff");
        }
    }
}
