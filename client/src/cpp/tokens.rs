//! What is left of a source without its comments and with its blanks made alike: its tokens line by line, directives included.
//!
//! ```text
//! blanks, comment  one space; nothing at either end of a line
//! newline          as it is, inside of a comment too; what then follows on the comment's last line is behind a space
//! end of a line    1 or 2 in front where the line is 128 or 256 bytes long: gcc sets room for columns aside by that
//! all else         as it is: names, numbers, literals, continued lines
//! ```
//!
//! Shape: one pass over the bytes. Bytes below 9 do not occur in what is accepted, so that the marks are told apart.
//!
//! Invariant: a key that holds this form holds the preprocessed text as well. Where another reading than ours is the language's own (a
//! raw string before C++11), files that differ can have one form; tokens that differ still show in the text.

use memchr::memmem::{find, find_iter};

/// Bytes of a line from which on gcc may stop telling its columns apart; it then takes two places for one.
const LINE_MAX: usize = 512;

/// Longest delimiter of a raw string literal, by the C++ standard.
const DELIMITER_MAX: usize = 16;

/// Returns the form of a source; `None` for one that is read otherwise by another standard, or in which columns could be lost.
pub fn tokens(content: &[u8]) -> Option<Vec<u8>> {
    if has_trigraph(content) || content.split(|&byte| byte == b'\n').any(|line| line.len() >= LINE_MAX) {
        return None;
    }
    let form = Vec::with_capacity(content.len());
    let mut reader = Reader { content, at: 0, form, line: 0, blank: Blank::Needless };
    while reader.at < content.len() {
        reader.step()?;
    }
    reader.mark_room(content.len());
    Some(reader.form)
}

/// Whether there is anything that an older standard reads as one other character, a backslash among them.
fn has_trigraph(content: &[u8]) -> bool {
    find_iter(content, b"??").any(|at| content.get(at + 2).is_some_and(|byte| b"=/'()!<>-?".contains(byte)))
}

/// What stood between the last token and the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blank {
    None,
    /// To be written before the next token.
    Owed,
    /// The line begins here: it does not matter.
    Needless,
}

struct Reader<'a> {
    content: &'a [u8],
    at: usize,
    form: Vec<u8>,
    /// Where the current line begins in the content.
    line: usize,
    blank: Blank,
}

impl Reader<'_> {
    fn step(&mut self) -> Option<()> {
        let rest = &self.content[self.at..];
        match rest {
            [b'\n', ..] => {
                self.end_line();
                self.blank = Blank::Needless;
            }
            [b' ' | b'\t' | 0x0B | 0x0C, ..] => {
                self.at += 1;
                self.owe_blank();
            }
            [b'/', b'/', ..] => self.line_comment(),
            [b'/', b'*', ..] => self.block_comment()?,
            // A comment whose two characters a continued line divides.
            [b'/', ..] if splice(&rest[1..]).is_some() => return None,
            [b'\\', ..] if splice(rest).is_some() => self.splice(splice(rest)?),
            [quote @ (b'"' | b'\''), ..] => self.literal(*quote)?,
            [byte, ..] if is_word(*byte) => self.word()?,
            _ => self.copy(1)?,
        }
        Some(())
    }

    fn owe_blank(&mut self) {
        if self.blank == Blank::None {
            self.blank = Blank::Owed;
        }
    }

    /// Notes how much room the columns of the current line need, which ends at `end`.
    fn mark_room(&mut self, end: usize) {
        match end - self.line {
            0..128 => {}
            128..256 => self.form.push(1),
            _ => self.form.push(2),
        }
    }

    /// Ends the line at `self.at`, which is its newline.
    fn end_line(&mut self) {
        self.mark_room(self.at);
        self.form.push(b'\n');
        self.at += 1;
        self.line = self.at;
    }

    /// Copies bytes of a token; one that could be taken for a mark ends the reading.
    fn copy(&mut self, count: usize) -> Option<()> {
        let bytes = &self.content[self.at..self.at + count];
        if bytes.iter().any(|&byte| byte < b'\t') {
            return None;
        }
        if self.blank == Blank::Owed {
            self.form.push(b' ');
        }
        self.blank = Blank::None;
        self.form.extend_from_slice(bytes);
        self.at += count;
        Some(())
    }

    /// Copies a backslash and its newline; `length` bytes. Blanks behind it count: it divides no tokens.
    fn splice(&mut self, length: usize) {
        if self.blank == Blank::Owed {
            self.form.push(b' ');
        }
        self.blank = Blank::None;
        self.form.push(b'\\');
        self.at += length - 1;
        self.end_line();
    }

    fn line_comment(&mut self) {
        self.owe_blank();
        while let Some(byte) = self.content.get(self.at) {
            match byte {
                b'\n' => return,
                b'\\' => match splice(&self.content[self.at..]) {
                    Some(length) => {
                        self.at += length - 1;
                        self.end_line();
                    }
                    None => self.at += 1,
                },
                _ => self.at += 1,
            }
        }
    }

    fn block_comment(&mut self) -> Option<()> {
        self.owe_blank();
        self.at += 2;
        loop {
            match self.content.get(self.at..)? {
                [b'*', b'/', ..] => break,
                // Its end could be divided.
                [b'*', rest @ ..] if splice(rest).is_some() => return None,
                [b'\n', ..] => self.end_line(),
                [_, ..] => self.at += 1,
                [] => return None,
            }
        }
        self.at += 2;
        Some(())
    }

    /// Copies a string or a character; one that does not end ends with its line.
    fn literal(&mut self, quote: u8) -> Option<()> {
        self.copy(1)?;
        loop {
            match self.content.get(self.at..).unwrap_or_default() {
                [] | [b'\n', ..] => return Some(()),
                rest @ [b'\\', ..] => match splice(rest) {
                    Some(length) => self.splice(length),
                    None => self.copy(rest.len().min(2))?,
                },
                [byte, ..] => {
                    self.copy(1)?;
                    if *byte == quote {
                        return Some(());
                    }
                }
            }
        }
    }

    /// Copies a name or a number, and the raw string that a name can begin.
    fn word(&mut self) -> Option<()> {
        let rest = &self.content[self.at..];
        let number = rest[0].is_ascii_digit();
        // A quote inside a number divides its digits.
        let inside = |at: usize| {
            is_word(rest[at])
                || (number && rest[at] == b'.')
                || (number && rest[at] == b'\'' && rest.get(at + 1).is_some_and(|&next| is_word(next)))
        };
        let length = (0..rest.len()).find(|&at| !inside(at)).unwrap_or(rest.len());
        self.copy(length)?;
        let raw = matches!(&rest[..length], b"R" | b"LR" | b"uR" | b"UR" | b"u8R");
        match raw && rest.get(length) == Some(&b'"') {
            true => self.raw_string(),
            false => Some(()),
        }
    }

    /// Copies a raw string as it is; without a delimiter it is no raw string.
    fn raw_string(&mut self) -> Option<()> {
        let rest = &self.content[self.at..];
        let delimiter = rest[1..].iter().take(DELIMITER_MAX + 1).position(|&byte| byte == b'(');
        let Some(delimiter) = delimiter else { return self.literal(b'"') };
        let end = [b")", &rest[1..=delimiter], b"\""].concat();
        let length = find(rest, &end)? + end.len();
        let start = self.at;
        self.copy(length)?;
        let lines = &rest[..length];
        if let (Some(first), Some(last)) = (memchr::memchr(b'\n', lines), memchr::memrchr(b'\n', lines)) {
            self.mark_room(start + first);
            self.line = start + last + 1;
        }
        Some(())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Returns the length of a continued line's end at the beginning of `rest`: a backslash, blanks that gcc allows behind it, a newline.
fn splice(rest: &[u8]) -> Option<usize> {
    let behind = rest.strip_prefix(b"\\")?;
    let blanks = behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0B | 0x0C | b'\r')).count();
    (behind.get(blanks) == Some(&b'\n')).then_some(blanks + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(source: &str) -> Option<String> {
        tokens(source.as_bytes()).map(|form| String::from_utf8(form).unwrap())
    }

    #[test]
    fn blanks_and_comments_are_one_space_and_nothing_where_a_line_begins_or_ends() {
        for (source, expected) in [
            ("int  a;\t// text\n\n", "int a;\n\n"),
            ("  int a ; \n", "int a ;\n"),
            ("int/* x */a;/* y */ /* z */\n", "int a;\n"),
            ("a /* 1\n 2\n*/ b\n", "a\n\n b\n"),
            ("a // 1\n\n  b\n", "a\n\nb\n"),
            ("// one \\\n two\nx", "\n\nx"),
            ("#  define F(x)  (x) /* f */\n", "# define F(x) (x)\n"),
            ("#define F /**/ (x)\n", "#define F (x)\n"),
            ("a /b\n", "a /b\n"),
            ("1'0 // x\n", "1'0\n"),
        ] {
            assert_eq!(form(source).as_deref(), Some(expected), "{source}");
        }
    }

    #[test]
    fn what_is_no_comment_and_no_blank_stays_as_it_is() {
        for source in [
            "\"a  // b /* c\"",
            "'\"' \"\\\"  \" '\\''",
            "R\"x(  // \" )x\" \"  \"",
            "u8R\"(\n  /* \n)\" x",
            "1'000'000 0x1'f 1.5e3 'a'",
            "#error it's\n",
        ] {
            assert_eq!(form(source).as_deref(), Some(source), "{source}");
        }
        // A blank counts behind a continued line, as it does before.
        assert_ne!(form("#define F\\\n(x)\n"), form("#define F\\\n (x)\n"));
        assert_ne!(form("#define F \\\n(x)\n"), form("#define F\\\n(x)\n"));
        // A name that ends in R begins no raw string, and one that does not end is none of ours.
        assert_eq!(form("aR\"(\" // b\n").as_deref(), Some("aR\"(\"\n"));
    }

    #[test]
    fn tokens_that_differ_have_another_form() {
        let sources = [
            "int a;\n",
            "int a ;\n",
            "int\na;\n",
            "int a;\n\n",
            "int b;\n",
            "#define A 1\nint a;\n",
            "#define A\nint a;\n",
            "#define A \\\n1\n",
            "#define A /*\n*/1\n",
            "#define A 1\n",
            "#define A\n1\n",
            "\"a b\"",
            "\"a  b\"",
            "\"a\" b",
            "R\"( )\"",
            "R\"(  )\"",
        ];
        for (at, one) in sources.iter().enumerate() {
            for other in &sources[at + 1..] {
                assert_ne!(form(one), form(other), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_room_that_gcc_needs_for_columns_is_part_of_it() {
        let line = |length: usize| format!("int a;/*{}*/\n", " ".repeat(length - 10));
        assert_eq!(form(&line(20)), form(&line(127)));
        assert_ne!(form(&line(127)), form(&line(128)));
        assert_ne!(form(&line(255)), form(&line(256)));
        assert_eq!(form(&line(256)), form(&line(511)));
        assert_eq!(form(&line(512)), None);
        assert_ne!(form(&format!("/*{}\n*/", " ".repeat(200))), form("/*\n*/"));
        assert_ne!(form(&format!("//{}\\\n\n", " ".repeat(200))), form("//\\\n\n"));
    }

    #[test]
    fn what_another_standard_reads_otherwise_has_none() {
        for source in
            ["a??/\nb", "??=define", "/\\\n* x *\\\n/", "/* x *\\\n/ */", "/* x", "a\u{1}b", "\"\u{2}\""]
        {
            assert_eq!(form(source), None, "{source:?}");
        }
        assert!(form("a ?? b").is_some() && form("// \u{1}\n").is_some());
    }
}
