//! Expands response files (`@file`) as the compilers do; for analysis only, the compile gets the arguments as they came.
//!
//! Both compilers split at white space, both take quotes of either kind, and in both a backslash takes the next byte as
//! it is, inside quotes too. They differ in two things: clang drops an argument that is quoted and
//! empty, and keeps a backslash that ends the file. Clang can be told with `--rsp-quoting=windows` to split as programs on Windows do.

use super::reason::{Bypass, Reason};
use super::{CompilerKind, FileKind, Files};

/// Deepest nesting: a file that names itself must end somewhere, and real ones nest once.
const DEPTH_MAX: usize = 16;

/// Largest response file, in bytes: Linux's usual limit for all arguments together, which is why such files exist, eight times over.
const BYTES_MAX: usize = 16 << 20;

/// Most arguments after expansion: nested files could otherwise double at every level.
const ARGUMENTS_MAX: usize = 262_144;

/// Option that tells clang how response files are quoted; it counts on the command line only, and the last one wins.
const QUOTING: &[u8] = b"--rsp-quoting=";

/// How response files are quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// As the compilers do here.
    Posix,
    /// As programs on Windows do.
    Windows,
}

impl Quoting {
    /// Returns how a compiler reads the response files of this command line.
    pub fn of(argv: &[Vec<u8>], kind: CompilerKind) -> Self {
        let told = argv.iter().filter_map(|word| word.strip_prefix(QUOTING)).next_back();
        if kind.is_clang() && told == Some(b"windows") { Self::Windows } else { Self::Posix }
    }
}

/// Expands all response files among `argv`.
///
/// # Errors
/// A file that is no regular file (it is not opened), cannot be read, is out of bounds, or that versions of the compiler split differently.
pub(super) fn expand(
    argv: &[Vec<u8>],
    kind: CompilerKind,
    files: &dyn Files,
) -> Result<Vec<Vec<u8>>, Bypass> {
    let mut expanded = Vec::with_capacity(argv.len());
    match Quoting::of(argv, kind) {
        Quoting::Posix => expand_into(&mut expanded, argv, &|content| Some(split(content, kind)), files, 0)?,
        Quoting::Windows => expand_into(&mut expanded, argv, &split_windows, files, 0)?,
    }
    Ok(expanded)
}

/// Splits the content of a file into arguments; `None` where that is not settled.
type Split<'a> = dyn Fn(&[u8]) -> Option<Vec<Vec<u8>>> + 'a;

fn expand_into(
    expanded: &mut Vec<Vec<u8>>,
    argv: &[Vec<u8>],
    split: &Split<'_>,
    files: &dyn Files,
    depth: usize,
) -> Result<(), Bypass> {
    for argument in argv {
        let refused = || Bypass::new(Reason::BadCompilerArguments, argument.as_slice());
        if let [b'@', path @ ..] = argument.as_slice() {
            if depth == DEPTH_MAX || files.kind(path) != FileKind::Regular {
                return Err(refused());
            }
            let content = files.read(path, BYTES_MAX + 1).filter(|content| content.len() <= BYTES_MAX);
            let content = content.filter(|content| !content.contains(&0) && !is_utf16(content));
            let inner = content.and_then(|content| split(&content)).ok_or_else(refused)?;
            // Inside of a file it has no effect, and nobody should write it there.
            if inner.iter().any(|word| word.starts_with(QUOTING)) {
                return Err(refused());
            }
            expand_into(expanded, &inner, split, files, depth + 1)?;
        } else {
            expanded.push(argument.clone());
        }
        if expanded.len() > ARGUMENTS_MAX {
            return Err(refused());
        }
    }
    Ok(())
}

/// Whether clang would take the content for UTF-16, or would drop a mark at its beginning.
fn is_utf16(content: &[u8]) -> bool {
    content.starts_with(&[0xFF, 0xFE])
        || content.starts_with(&[0xFE, 0xFF])
        || content.starts_with(b"\xEF\xBB\xBF")
}

/// Splits the content of a response file into arguments.
fn split(content: &[u8], kind: CompilerKind) -> Vec<Vec<u8>> {
    let mut arguments = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = content.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => {
                let last = kind.is_clang().then_some(b'\\');
                current.get_or_insert_default().extend(bytes.next().or(last));
            }
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => current.get_or_insert_default().push(byte),
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                current.get_or_insert_default();
            }
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C, None) => arguments.extend(current.take()),
            (_, None) => current.get_or_insert_default().push(byte),
        }
    }
    arguments.extend(current);
    if kind.is_clang() {
        arguments.retain(|argument| !argument.is_empty());
    }
    arguments
}

/// Splits the content of a response file as programs on Windows do: only double quotes quote, and a backslash is one unless a quote
/// follows it or its like. `None` where a quote stays open or an argument is empty, which not every version takes alike.
///
/// Source: Microsoft, "Parsing C++ command-line arguments"; checked against clang's `--rsp-quoting=windows`.
fn split_windows(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut arguments = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = content.get(at) {
        let backslashes = content[at..].iter().take_while(|&&byte| byte == b'\\').count();
        at += backslashes.max(1);
        match byte {
            b'\\' if content.get(at) == Some(&b'"') => {
                let word = current.get_or_insert_default();
                word.extend(std::iter::repeat_n(b'\\', backslashes / 2));
                if backslashes % 2 == 1 {
                    word.push(b'"');
                    at += 1;
                }
            }
            b'\\' => current.get_or_insert_default().extend(std::iter::repeat_n(b'\\', backslashes)),
            b'"' if quoted && content.get(at) == Some(&b'"') => {
                current.get_or_insert_default().push(b'"');
                at += 1;
            }
            b'"' => {
                quoted = !quoted;
                current.get_or_insert_default();
            }
            b' ' | b'\t' | b'\n' | b'\r' if !quoted => arguments.extend(current.take()),
            _ => current.get_or_insert_default().push(byte),
        }
    }
    arguments.extend(current);
    (!quoted && arguments.iter().all(|argument| !argument.is_empty())).then_some(arguments)
}
