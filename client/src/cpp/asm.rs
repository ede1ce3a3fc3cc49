//! Finds `asm` statements, and attributes that the assembler gets as they are, whose assembly reads a file.
//!
//! The assembler opens `.incbin` and `.include` files, and nothing in the preprocessed text says what they hold. The
//! words can be split over string literals, written with escapes, or be put together by the assembler's own macros.

use memchr::memmem::{find, find_iter};

/// Attributes whose string gcc writes into the assembly unquoted, so that a line break in it begins a directive.
const VERBATIM: [&[u8]; 5] = [b"section", b"symver", b"alias", b"weakref", b"ifunc"];

/// Most dialects of assembly between braces that are looked at: GCC's targets have two, some names for more.
const DIALECTS: usize = 4;

/// Finds the first `asm` that reads a file, or might; returns what gives it away.
pub(super) fn file_reader(text: &[u8]) -> Option<&'static str> {
    let statements = find_iter(text, b"asm").filter_map(|at| keyword_end(text, at, b"asm"));
    let mut statements = statements.filter_map(|end| match assembly(text, end) {
        Assembly::None => None,
        Assembly::Text(assembly) => judge(&assembly),
        Assembly::Unreadable => Some("asm"),
    });
    statements.next().or_else(|| VERBATIM.iter().find_map(|name| attribute(text, name)))
}

/// Finds what in a source for the assembler makes it read another file, or might.
pub(super) fn assembly_reader(text: &[u8]) -> Option<&'static str> {
    judge(&text.to_ascii_lowercase())
}

/// Finds words in gcc's image of a precompiled header that could be the assembly of a function in it. The image holds strings as they are.
pub fn image_reader(image: &[u8]) -> Option<&'static str> {
    let image = image.to_ascii_lowercase();
    [".include", "incbin", ".macro", ".irp", ".altmacro"]
        .into_iter()
        .find(|word| find(&image, word.as_bytes()).is_some())
}

/// Finds the first attribute `name("...")` that reads a file. Such a name before anything but a literal is a program's own.
fn attribute(text: &[u8], name: &[u8]) -> Option<&'static str> {
    let found = find_iter(text, name).filter_map(|at| keyword_end(text, at, name));
    let mut judged = found.filter_map(|end| match assembly(text, end) {
        Assembly::Text(assembly) => judge(&assembly),
        Assembly::None | Assembly::Unreadable => None,
    });
    judged.next()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the end of the keyword around `at`: `name`, with or without underscores around it; `None` for other words.
fn keyword_end(text: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    let before = text[..at].iter().rev().take_while(|&&byte| is_word(byte)).count();
    let after = text[at..].iter().take_while(|&&byte| is_word(byte)).count();
    let word = &text[at - before..at + after];
    let bare = word.strip_prefix(b"__").map_or(word, |word| word.strip_suffix(b"__").unwrap_or(word));
    (bare == name).then_some(at + after)
}

/// What follows the keyword.
enum Assembly {
    /// No statement, for example a name in a string.
    None,
    /// All string literals, adjacent ones joined, in lower case: directives have no case.
    Text(Vec<u8>),
    /// Something that is not understood.
    Unreadable,
}

/// Words between the keyword and its parenthesis.
const QUALIFIERS: &[&[u8]] =
    &[b"volatile", b"__volatile__", b"__volatile", b"inline", b"__inline__", b"__inline", b"goto"];

fn assembly(text: &[u8], end: usize) -> Assembly {
    let mut at = skip_blank(text, end);
    loop {
        let length = text[at..].iter().take_while(|&&byte| is_word(byte)).count();
        if length == 0 {
            break;
        }
        if !QUALIFIERS.contains(&&text[at..at + length]) {
            return Assembly::None;
        }
        at = skip_blank(text, at + length);
    }
    match text.get(at) {
        Some(b'(') => literals(text, at + 1),
        Some(b'{') => Assembly::Unreadable,
        _ => Assembly::None,
    }
}

/// Skips white space and line markers.
fn skip_blank(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        if byte == b'#' && at > 0 && text[at - 1] == b'\n' {
            at += memchr::memchr(b'\n', &text[at..]).unwrap_or(text.len() - at);
        } else if byte.is_ascii_whitespace() {
            at += 1;
        } else {
            break;
        }
    }
    at
}

/// Collects the string literals up to the closing parenthesis.
fn literals(text: &[u8], start: usize) -> Assembly {
    let mut collected = Vec::new();
    let mut depth = 1usize;
    let mut at = skip_blank(text, start);
    if !matches!(text.get(at), Some(b'"' | b'R')) {
        return Assembly::Unreadable;
    }
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => {
                collected.make_ascii_lowercase();
                return Assembly::Text(collected);
            }
            b')' => depth -= 1,
            b'"' => match literal(text, at, &mut collected) {
                Some(end) => at = end,
                None => return Assembly::Unreadable,
            },
            b'R' if text.get(at) == Some(&b'"') && !is_word(text[at - 2]) => {
                match raw_literal(text, at + 1, &mut collected) {
                    Some(end) => at = end,
                    None => return Assembly::Unreadable,
                }
            }
            b'\'' => match text[at..].iter().position(|&byte| byte == b'\'') {
                Some(end) => at += end + 1,
                None => return Assembly::Unreadable,
            },
            _ if byte.is_ascii_whitespace() => at = skip_blank(text, at),
            _ => collected.push(b' '),
        }
    }
    Assembly::Unreadable
}

/// Appends a literal's characters; returns the position behind its closing quote.
fn literal(text: &[u8], mut at: usize, collected: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\n' => return None,
            b'\\' => at = escape(text, at + 1, collected)?,
            byte => {
                collected.push(byte);
                at += 1;
            }
        }
    }
}

/// Appends what an escape stands for; returns the position behind it.
fn escape(text: &[u8], at: usize, collected: &mut Vec<u8>) -> Option<usize> {
    let number = |from: usize, radix: u32, most: usize| {
        let digits = text[from..].iter().take(most).take_while(|&&byte| (byte as char).is_digit(radix));
        digits.fold((0u32, 0), |(value, count), &digit| {
            (value.wrapping_mul(radix) + (digit as char).to_digit(radix).unwrap_or(0), count + 1)
        })
    };
    let (byte, length) = match *text.get(at)? {
        b'n' => (b'\n', 1),
        b't' => (b'\t', 1),
        b'0'..=b'7' => {
            let (value, digits) = number(at, 8, 3);
            (value as u8, digits)
        }
        b'x' => {
            let (value, digits) = number(at + 1, 16, usize::MAX);
            (value as u8, digits + 1)
        }
        // Universal character names and named escapes: nobody writes directives in them.
        b'u' | b'U' | b'N' | b'o' => return None,
        byte => (byte, 1),
    };
    collected.push(byte);
    Some(at + length)
}

/// Appends a raw literal; `at` is behind its opening quote.
fn raw_literal(text: &[u8], at: usize, collected: &mut Vec<u8>) -> Option<usize> {
    let open = memchr::memchr(b'(', text.get(at..)?)?;
    let close = [b")", &text[at..at + open], b"\""].concat();
    let body = at + open + 1;
    let end = find(&text[body..], &close)?;
    collected.extend_from_slice(&text[body..body + end]);
    Some(body + end + close.len())
}

/// Judges assembly as it stands and in each dialect that it gives alternatives for, `{att|intel}`.
fn judge(assembly: &[u8]) -> Option<&'static str> {
    let dialects = if assembly.contains(&b'{') { DIALECTS } else { 0 };
    judge_one(assembly).or_else(|| (0..dialects).find_map(|chosen| judge_one(&in_dialect(assembly, chosen))))
}

/// Leaves of alternatives between braces the chosen one. A brace behind `%` stands for itself.
fn in_dialect(assembly: &[u8], chosen: usize) -> Vec<u8> {
    let (mut text, mut alternative) = (Vec::with_capacity(assembly.len()), None);
    let mut bytes = assembly.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, alternative) {
            (b'%', None) => text.extend([Some(byte), bytes.next()].into_iter().flatten()),
            (b'{', None) => alternative = Some(0),
            (b'|', Some(number)) => alternative = Some(number + 1),
            (b'}', Some(_)) => alternative = None,
            (_, Some(number)) if number != chosen => {}
            _ => text.push(byte),
        }
    }
    text
}

fn judge_one(assembly: &[u8]) -> Option<&'static str> {
    let has = |word: &[u8]| find(assembly, word).is_some();
    if has(b"incbin") {
        return Some(".incbin");
    }
    if has(b".include") {
        return Some(".include");
    }
    let repeats = has(b".macro") || has(b".irp") || has(b".altmacro");
    let goes_on_with = |mark: u8| {
        memchr::memchr_iter(b'.', assembly).any(|dot| {
            let rest = &assembly[dot + 1..];
            let name = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            let begins = READERS.iter().any(|reader| reader.starts_with(&rest[..name]));
            begins && rest.get(name) == Some(&mark)
        })
    };
    // An operand can be a symbol with any name.
    if goes_on_with(b'%') {
        return Some("%");
    }
    let built = goes_on_with(b'\\');
    // The second part of a name of which the first is a macro's argument.
    let parts: [&[u8]; 5] = [b"include", b"ncbin", b"nclude", b"cbin", b"clude"];
    // A directive's name that a macro puts together could be either.
    let composed = built || has(b".inc") || has(b".altmacro") || parts.iter().any(|part| has(part));
    (repeats && composed).then_some(".macro")
}

/// Names of the directives that read files.
const READERS: [&[u8]; 2] = [b"incbin", b"include"];
