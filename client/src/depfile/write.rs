//! Writes dependency files in the layout and quoting of gcc and of clang.

use super::request::{DependRequest, Dialect, Phony};
use dccache_protocol::depend::{Depend, DependPath};

/// Column after which gcc begins a new line.
const GCC_COLUMNS: usize = 72;

/// Column after which clang begins a new line, the two bytes of the continuation included.
const CLANG_COLUMNS: usize = 75;

/// Quotes a name for make, as `-MQ` does: both compilers alike.
///
/// White space gets a backslash, and backslashes right before it are doubled.
pub(crate) fn quote(name: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len());
    let mut backslashes = 0;
    for &byte in name {
        match byte {
            b' ' | b'\t' => {
                quoted.extend(std::iter::repeat_n(b'\\', backslashes));
                quoted.push(b'\\');
            }
            b'$' => quoted.push(b'$'),
            b'#' => quoted.push(b'\\'),
            _ => {}
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        quoted.push(byte);
    }
    quoted
}

/// Quotes a prerequisite. Clang leaves tabs alone there.
pub(super) fn quote_path(path: &[u8], dialect: Dialect) -> Vec<u8> {
    match dialect {
        Dialect::Gcc => quote(path),
        Dialect::Clang => {
            let mut quoted = Vec::with_capacity(path.len());
            for &byte in path {
                match byte {
                    b' ' | b'#' => quoted.push(b'\\'),
                    b'$' => quoted.push(b'$'),
                    _ => {}
                }
                quoted.push(byte);
            }
            quoted
        }
    }
}

/// Writes the dependency file of one call. `root` is the absolute root of this call's compile, without a slash at its end.
pub fn write(depend: &Depend, request: &DependRequest, root: &[u8]) -> Vec<u8> {
    let paths: Vec<Vec<u8>> = depend.paths.iter().map(|path| spelled(path, root)).collect();
    let mut out = Vec::new();
    match request.dialect {
        Dialect::Gcc => write_gcc(&mut out, &paths, request),
        Dialect::Clang => write_clang(&mut out, &paths, request),
    }
    out
}

/// Returns a prerequisite as the compiler of this call spells it.
pub(crate) fn spelled(path: &DependPath, root: &[u8]) -> Vec<u8> {
    match path {
        DependPath::Relative(path) | DependPath::Absolute(path) => path.clone(),
        DependPath::Root(path) => [root, b"/", path].concat(),
    }
}

/// Returns targets and colon as gcc writes them, and the column behind.
pub(super) fn gcc_targets(out: &mut Vec<u8>, request: &DependRequest) -> usize {
    let column = request.targets.iter().fold(0, |column, target| gcc_name(out, target, column));
    out.push(b':');
    column + 1
}

fn gcc_name(out: &mut Vec<u8>, name: &[u8], column: usize) -> usize {
    let mut column = column;
    if column > 0 {
        if column + name.len() > GCC_COLUMNS {
            out.extend(b" \\\n");
            column = 0;
        }
        out.push(b' ');
        column += 1;
    }
    out.extend(name);
    column + name.len()
}

fn write_gcc(out: &mut Vec<u8>, paths: &[Vec<u8>], request: &DependRequest) {
    let mut column = gcc_targets(out, request);
    let quoted: Vec<_> = paths.iter().map(|path| quote_path(path, Dialect::Gcc)).collect();
    for path in &quoted {
        column = gcc_name(out, path, column);
    }
    out.push(b'\n');
    if request.phony == Phony::Added {
        for path in quoted.iter().skip(1) {
            out.extend(path);
            out.extend(b":\n");
        }
    }
}

/// Returns targets and colon as clang writes them, and the column behind.
pub(super) fn clang_targets(out: &mut Vec<u8>, request: &DependRequest) -> usize {
    let mut column = 0;
    for target in &request.targets {
        if column == 0 {
            column = target.len();
        } else if column + target.len() + 2 > CLANG_COLUMNS {
            column = target.len() + 2;
            out.extend(b" \\\n  ");
        } else {
            column += target.len() + 1;
            out.push(b' ');
        }
        out.extend(target);
    }
    out.push(b':');
    column + 1
}

fn write_clang(out: &mut Vec<u8>, paths: &[Vec<u8>], request: &DependRequest) {
    let mut column = clang_targets(out, request);
    for path in paths {
        // Clang counts the bytes of the name before quoting.
        if column + path.len() + 3 > CLANG_COLUMNS {
            out.extend(b" \\\n ");
            column = 2;
        }
        out.push(b' ');
        out.extend(quote_path(path, Dialect::Clang));
        column += path.len() + 1;
    }
    out.push(b'\n');
    if request.phony == Phony::Added {
        for path in paths.iter().skip(1) {
            out.push(b'\n');
            out.extend(quote_path(path, Dialect::Clang));
            out.extend(b":\n");
        }
    }
}
