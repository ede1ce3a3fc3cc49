//! What a specs file can make gcc's driver add to a command.
//!
//! Specs are a language of their own. Of a file that only appends words to a few entries, under conditions on switches, every word that it can
//! add is known without running it; any other file that touches more than linking is refused.
//!
//! Source: the manual of gcc, "Specifying subprocesses and the switches to pass to them".

use crate::invocation::Configured;

/// Entries that act when linking only: whatever is said about them.
const LINKING: [&[u8]; 15] = [
    b"endfile",
    b"lib",
    b"libgcc",
    b"link",
    b"link_command",
    b"link_gcc_c_sequence",
    b"link_gomp",
    b"link_libgcc",
    b"link_ssp",
    b"linker",
    b"linker_plugin_file",
    b"lto_gcc",
    b"lto_wrapper",
    b"post_link",
    b"startfile",
];

/// Entries to which words may be appended: the preprocessor gets them as the compiler does.
const APPENDED: [&[u8]; 3] = [b"cc1", b"cc1plus", b"self_spec"];

/// What one file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Specs {
    pub(super) configured: Configured,
    /// Names of the files that it takes in, which need not exist.
    pub(super) included: Vec<Vec<u8>>,
}

/// Reads a file; the error is the line from which on nobody knows what it does.
pub(super) fn read(text: &[u8]) -> Result<Specs, Vec<u8>> {
    let mut specs = Specs::default();
    let mut lines = text.split(|&byte| byte == b'\n');
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        if let Some(name) = included(line) {
            specs.included.push(name.to_vec());
            continue;
        }
        let entry = line.strip_prefix(b"*").and_then(|rest| rest.strip_suffix(b":"));
        let name = entry.ok_or_else(|| line.to_vec())?;
        // An empty line ends it.
        let body: Vec<&[u8]> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        if LINKING.contains(&name) {
            continue;
        }
        let body = body.join(&b'\n');
        let appended =
            body.strip_prefix(b"+").filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
        let known = APPENDED.contains(&name).then_some(()).and(appended);
        known.and_then(|text| Scanner::new(text).run(&mut specs.configured)).ok_or_else(|| line.to_vec())?;
    }
    Ok(specs)
}

fn included(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"%include_noerr").or_else(|| line.strip_prefix(b"%include"))?;
    let name = rest.trim_ascii().strip_prefix(b"<")?.strip_suffix(b">")?;
    name.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'>').then_some(name)
}

/// Reads `-word`, `%{condition:...}` and `%{condition:...; condition:...; :...}`, nested; nothing else.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    fn run(mut self, found: &mut Configured) -> Option<()> {
        // What is written without a space between is one word.
        let mut apart = true;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' => {
                    self.at += 1;
                    apart = true;
                }
                b'%' if apart && self.text.get(self.at + 1) == Some(&b'{') => {
                    self.at += 2;
                    self.depth += 1;
                    self.condition(found)?;
                }
                b'}' if self.depth > 0 => {
                    self.at += 1;
                    self.depth -= 1;
                    apart = false;
                }
                b';' if self.depth > 0 => {
                    self.at += 1;
                    self.condition(found)?;
                    apart = true;
                }
                b'-' if apart => {
                    let word = self.take(|byte| byte.is_ascii_alphanumeric() || b"-_+=.,".contains(&byte));
                    found.words.push(word.to_vec());
                    apart = false;
                }
                _ => return None,
            }
        }
        (self.depth == 0).then_some(())
    }

    /// Reads up to the colon.
    fn condition(&mut self, found: &mut Configured) -> Option<()> {
        loop {
            self.take(|byte| byte.is_ascii_whitespace() || byte == b'!');
            let name = self.take(|byte| byte.is_ascii_alphanumeric() || b"-_+=".contains(&byte));
            if !name.is_empty() {
                found.conditions.push(name.to_vec());
            }
            self.take(|byte| byte == b'*');
            self.take(|byte| byte.is_ascii_whitespace());
            let next = *self.text.get(self.at)?;
            self.at += 1;
            match next {
                b'|' | b'&' if !name.is_empty() => {}
                b':' => return Some(()),
                _ => return None,
            }
        }
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(words: &[&str], conditions: &[&str]) -> Configured {
        let bytes = |all: &[&str]| all.iter().map(|word| word.as_bytes().to_vec()).collect();
        Configured { words: bytes(words), conditions: bytes(conditions) }
    }

    #[test]
    fn every_word_that_can_be_added_is_found_with_its_conditions() {
        let text = b"# a comment\n*link:\n%(anything) %{x}\n\n*self_spec:\n+ %{!r:%{!fpie|fPIE*:-fno-PIE -no-pie; static&!x:-O1; :-O2}}\n\n*cc1:\n+\n-fno-inline\n";
        let expected = configured(
            &["-fno-PIE", "-no-pie", "-O1", "-O2", "-fno-inline"],
            &["r", "fpie", "fPIE", "static", "x"],
        );
        assert_eq!(read(text).unwrap().configured, expected);
        let text = b"%include <a.specs>\n%include_noerr <b/c>\n";
        assert_eq!(read(text).unwrap().included, [b"a.specs".as_slice(), b"b/c"]);
    }

    #[test]
    fn whatever_else_a_file_says_is_refused() {
        let bodies = [
            "-fno-inline",
            "+-fno-inline",
            "+ %{O2}",
            "+ %{O*}",
            "+ %{.c:-O1}",
            "+ %{,c:-O1}",
            "+ %(cc1_options)",
            "+ %:getenv(HOME -O1)",
            "+ %<O2",
            "+ %{a:-O1",
            "+ -O1}",
            "+ -f%{a:b}",
            "+ %{a:-f}b",
            "+ %{a:-f}%{b:-g}",
            "+ -O1 file",
            "+ -DX=%i",
            "+ -DX=\"a b\"",
            "+ -O1 \\\n",
            "+ -O1 # why",
        ];
        for body in bodies {
            assert_eq!(read(format!("*cc1:\n{body}\n").as_bytes()), Err(b"*cc1:".to_vec()), "{body}");
        }
        let lines = [
            "*cpp:",
            "*cc1_options:",
            "*asm:",
            "*mine:",
            "%rename cc1 old",
            ".c:",
            "@c:",
            "*cc1: -O1",
            " ",
            "%include x",
        ];
        for line in lines {
            assert_eq!(read(format!("{line}\n+ -O1\n").as_bytes()), Err(line.as_bytes().to_vec()), "{line}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(512) })]

        #[test]
        fn arbitrary_bytes_never_panic(body in "[ \n%{}!|&:;*a-c+-]{0,60}") {
            let _ = read(body.as_bytes());
            let _ = read(format!("*cc1:\n+ {body}").as_bytes());
        }
    }
}
