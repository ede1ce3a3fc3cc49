//! The files of the repository, read once per test.

use std::path::{Path, PathBuf};

/// A text file of the repository.
pub(crate) struct File {
    /// Path relative to the repository, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
    /// Whether it is part of a module that only tests have.
    pub(crate) test: bool,
}

/// Returns the repository's directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns every text file that people write: sources, manifests, documents, scripts.
pub(crate) fn all() -> Vec<File> {
    let mut files = Vec::new();
    walk(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Returns the Rust files.
pub(crate) fn rust() -> Vec<File> {
    let mut files = ending(".rs");
    let modules: Vec<String> = files.iter().flat_map(super::rust::test_modules).collect();
    for file in &mut files {
        let of = |module: &String| {
            file.path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        file.test = modules.iter().any(of);
    }
    files
}

/// Returns the documents.
pub(crate) fn markdown() -> Vec<File> {
    ending(".md")
}

/// Returns the manifests of the workspace's crates.
pub(crate) fn manifests() -> Vec<File> {
    ending("/Cargo.toml")
}

fn ending(suffix: &str) -> Vec<File> {
    all().into_iter().filter(|file| file.path.ends_with(suffix)).collect()
}

fn walk(directory: &Path, prefix: &str, files: &mut Vec<File>) {
    let entries = std::fs::read_dir(directory).expect("the repository can be read");
    for entry in entries.map(|entry| entry.expect("the repository can be read")) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type().expect("the repository can be read");
        if kind.is_dir() {
            if name != "target" && name != ".git" && path != "bench/runs" {
                walk(&entry.path(), &path, files);
            }
        } else if is_ours(&path)
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            files.push(File { path, text, test: false });
        }
    }
}

fn is_ours(path: &str) -> bool {
    let text = [".rs", ".toml", ".md", ".json", "justfile"].iter().any(|suffix| path.ends_with(suffix));
    text || path.starts_with(".ci/")
}
