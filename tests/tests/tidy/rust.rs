//! What Rust files must look like. Works on text with comments and literals blanked out, not on a syntax tree.

use super::tree::File;

/// Lines that a file may have before its tests.
const FILE_LINES: usize = 400;

/// Lines that a function may have.
const FUNCTION_LINES: usize = 60;

/// Tables of options: data, one line or block per option, that is read better whole.
const FLAG_TABLES: [&str; 1] = ["client/src/invocation/table.rs"];

/// Replaces comments, strings and character literals by spaces; line breaks stay.
fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end == at {
            code.push(bytes[at]);
            at += 1;
        } else {
            code.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// Returns where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + find(rest, b"\n"),
        [b'/', b'*', ..] => at + find(rest, b"*/") + 2,
        [b'r', b'"' | b'#', ..] | [b'b', b'r', b'"' | b'#', ..] if !word => raw_end(bytes, at),
        [b'"', ..] => quoted_end(bytes, at + 1, b'"'),
        // 'x' and '\n' are characters; 'a without a quote two places on is a lifetime.
        [b'\'', b'\\', ..] => quoted_end(bytes, at + 1, b'\''),
        [b'\'', _, b'\'', ..] => at + 3,
        _ => at,
    }
    .min(bytes.len())
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).unwrap_or(haystack.len())
}

fn quoted_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_end(bytes: &[u8], at: usize) -> usize {
    let open = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let hashes = bytes[open..].iter().take_while(|&&byte| byte == b'#').count();
    if bytes.get(open + hashes) != Some(&b'"') {
        return at; // r#ident
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let body = open + hashes + 1;
    body + find(&bytes[body..], &close) + close.len()
}

/// Returns the modules that a file declares for tests only, as paths without `.rs`.
pub(crate) fn test_modules(file: &File) -> Vec<String> {
    let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let inside = match name {
        "mod.rs" | "lib.rs" | "main.rs" => directory.to_owned(),
        name => format!("{directory}/{}", name.trim_end_matches(".rs")),
    };
    let after = file.text.split("#[cfg(test)]").skip(1);
    let items = after.filter_map(|after| after.lines().map(str::trim).find(|line| !line.is_empty()));
    let modules = items.filter_map(|item| item.strip_suffix(';')?.split_once("mod "));
    modules.map(|(_, module)| format!("{inside}/{module}")).collect()
}

fn is_test_file(file: &File) -> bool {
    let path = &file.path;
    file.test
        || path.contains("/tests/")
        || path.starts_with("tests/")
        || path.ends_with("tests.rs")
        || path.contains("/benches/")
}

/// Returns the part of a file in front of its test module.
fn without_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(found) = text[from..].find("#[cfg(test)]") {
        let after = &text[from + found + "#[cfg(test)]".len()..];
        let item = after.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#["));
        // `mod tests;` ends nothing; neither does a gated import.
        if item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{')) {
            return &text[..from + found];
        }
        from += found + 1;
    }
    text
}

/// Finds files without a first `//!` line.
pub(crate) fn module_docs(file: &File) -> Vec<String> {
    let fine = file.text.starts_with("//! ");
    if fine { Vec::new() } else { vec![format!("{}: does not open with `//! `", file.path)] }
}

/// Finds files that are too long.
pub(crate) fn file_size(file: &File) -> Vec<String> {
    let lines = without_tests(&file.text).lines().count();
    let exempt = FLAG_TABLES.contains(&file.path.as_str()) || is_test_file(file);
    if exempt || lines <= FILE_LINES {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines without tests, at most {FILE_LINES}", file.path)]
}

/// Finds functions that are too long.
pub(crate) fn function_size(file: &File) -> Vec<String> {
    let code = code(&file.text);
    let lines: Vec<&str> = code.lines().collect();
    let mut complaints = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let length = function_length(&lines[first..]);
        if length > FUNCTION_LINES && !FLAG_TABLES.contains(&file.path.as_str()) {
            complaints.push(format!("{}:{}: fn {name} has {length} lines", file.path, first + 1));
        }
    }
    complaints
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let words = ["pub", "const", "async", "unsafe", "extern", "pub(crate)", "pub(super)", "default"];
    let declares = before.split_whitespace().all(|word| words.contains(&word));
    let name = after.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (declares && !name.is_empty()).then_some(name)
}

/// Counts the lines from a function's first to its closing brace; 1 for a declaration.
fn function_length(lines: &[&str]) -> usize {
    let mut depth = 0usize;
    for (index, line) in lines.iter().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'{' => depth += 1,
                b'}' if depth == 1 => return index + 1,
                b'}' => depth = depth.saturating_sub(1),
                b';' if depth == 0 => return 1,
                _ => {}
            }
        }
    }
    lines.len()
}

/// Finds modules named after nothing.
pub(crate) fn module_names(file: &File) -> Vec<String> {
    const BANNED: [&str; 7] = ["common", "util", "utils", "helper", "helpers", "misc", "shared"];
    let words = file.path.trim_end_matches(".rs").split('/');
    words
        .filter(|word| BANNED.contains(word))
        .map(|word| format!("{}: a module named {word:?} says nothing", file.path))
        .collect()
}

/// Finds `unwrap()` in code that ships.
pub(crate) fn unwraps(file: &File) -> Vec<String> {
    if is_test_file(file) {
        return Vec::new();
    }
    let code = code(without_tests(&file.text));
    let lines = code.lines().enumerate().filter(|(_, line)| line.contains(".unwrap()"));
    lines.map(|(index, _)| format!("{}:{}: unwrap()", file.path, index + 1)).collect()
}

/// Finds lints that are allowed, or expected without a reason.
pub(crate) fn exceptions(file: &File) -> Vec<String> {
    let code = code(&file.text);
    let mut complaints = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let line = line.trim_start();
        let expects = line.starts_with("#[expect(") || line.starts_with("#![expect(");
        let attribute: String =
            code.lines().skip(index).take_while(|line| !line.trim_end().ends_with(")]")).collect();
        let allows = line.starts_with("#[allow(") || line.starts_with("#![allow(");
        // What several test programs share is used in full by none of them: expecting that would fail in some.
        if allows && !(is_test_file(file) && line.contains("reason =")) {
            complaints.push(format!("{}:{}: allow; use expect with a reason", file.path, index + 1));
        } else if expects && !line.contains("reason =") && !attribute.contains("reason =") {
            complaints.push(format!("{}:{}: expect without a reason", file.path, index + 1));
        }
    }
    complaints
}

/// Finds items in a `lib.rs` that belong into a module.
pub(crate) fn library_root(file: &File) -> Vec<String> {
    if !file.path.ends_with("/src/lib.rs") {
        return Vec::new();
    }
    const ITEMS: [&str; 9] =
        ["fn ", "struct ", "enum ", "trait ", "impl ", "impl<", "const ", "static ", "macro_rules!"];
    let code = code(&file.text);
    let bare = |line: &str| line.trim_start_matches("pub ").to_owned();
    let lines = code.lines().enumerate().map(|(index, line)| (index, bare(line)));
    let items = lines.filter(|(_, line)| ITEMS.iter().any(|item| line.starts_with(item)));
    items.map(|(index, line)| format!("{}:{}: {line}", file.path, index + 1)).collect()
}

/// Finds bounds that nothing enforces, and bounds without a reason.
pub(crate) fn limits(files: &[File]) -> Vec<String> {
    let Some(limits) = files.iter().find(|file| file.path == "protocol/src/limits.rs") else {
        return vec!["protocol/src/limits.rs is gone".to_owned()];
    };
    let others = files.iter().filter(|file| file.path != limits.path && !is_test_file(file));
    // Attributes name limits inside of strings, so only comments are left out.
    let lines = others.flat_map(|file| file.text.lines()).filter(|line| !line.trim_start().starts_with("//"));
    let mut used: String = lines.flat_map(|line| [line, "\n"]).collect();
    let lines: Vec<&str> = limits.text.lines().collect();
    // A limit that another limit is made of is used as well.
    used.extend(lines.iter().filter_map(|line| line.split_once(" = ")).map(|(_, value)| value));
    let mut complaints = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix("pub const ") else { continue };
        let name = rest.split(':').next().unwrap_or(rest);
        if index == 0 || !lines[index - 1].starts_with("///") {
            complaints.push(format!("{}:{}: {name} gives no reason", limits.path, index + 1));
        }
        if !used.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name) {
            complaints.push(format!("{}:{}: {name} is enforced nowhere", limits.path, index + 1));
        }
    }
    complaints
}

/// Finds formats whose bytes no golden test pins: each `impl Format for T` wants a `sample::<T>(` or `golden::<T>(` in a test.
pub(crate) fn unpinned_formats(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    let pins: Vec<String> = files.iter().map(|file| code(&file.text)).collect();
    for (file, code) in files.iter().zip(&pins).filter(|(file, _)| !is_test_file(file)) {
        for (index, line) in without_tests(code).lines().enumerate() {
            let Some((_, named)) = line.split_once("impl Format for ") else { continue };
            let named = named.trim_end_matches(['{', ' ']);
            let pinned = |name: &str| pins.iter().any(|text| text.contains(&format!("{name}::<{named}>(")));
            if !pinned("sample") && !pinned("golden") {
                complaints.push(format!("{}:{}: {named} has no golden bytes", file.path, index + 1));
            }
        }
    }
    complaints
}
