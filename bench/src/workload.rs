//! What is compiled: small generated files of known shape, and the sources of real projects that arrive with packages of the lock file.

use anyhow::{Context as _, ensure};
use dccache::demo::Sources;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Headers of the C++ standard library that pull in about two hundred files.
const CXX_HEADERS: &[&str] = &[
    "algorithm",
    "array",
    "chrono",
    "condition_variable",
    "deque",
    "filesystem",
    "fstream",
    "functional",
    "future",
    "iomanip",
    "iostream",
    "list",
    "map",
    "memory",
    "mutex",
    "numeric",
    "optional",
    "random",
    "regex",
    "set",
    "sstream",
    "string",
    "thread",
    "tuple",
    "unordered_map",
    "unordered_set",
    "variant",
    "vector",
];

/// One compile: a driver, a source, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) driver: &'static str,
    pub(crate) source: PathBuf,
}

/// A project to be built whole.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) driver: &'static str,
    pub(crate) options: Vec<String>,
    /// Relative to `root`.
    pub(crate) units: Vec<PathBuf>,
}

/// How many headers a C++ source includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headers {
    /// One, for a run that only shows that everything works.
    One,
    /// About two hundred files.
    Many,
}

/// C++ with about 200 headers and a small object.
pub(crate) fn many_headers(directory: &Path, headers: Headers) -> anyhow::Result<Task> {
    let text = includes(headers) + "int add(int a, int b) { return a + b; }\n";
    written(directory, "g++", "many.cc", &text)
}

/// As [`many_headers`]; what it compiles to depends on the macro `ROUND`.
pub(crate) fn round(directory: &Path, headers: Headers) -> anyhow::Result<Task> {
    let text = includes(headers) + "int round_number() { return ROUND; }\n";
    written(directory, "g++", "round.cc", &text)
}

/// C with few headers.
pub(crate) fn few_headers(directory: &Path) -> anyhow::Result<Task> {
    let text = "#include <stdio.h>\n#include <string.h>\nint say(const char *text) { return printf(\"%zu\\n\", strlen(text)); }\n";
    written(directory, "gcc", "few.c", text)
}

/// C with `count` headers of its own, each with a few declarations.
pub(crate) fn own_headers(directory: &Path, count: usize) -> anyhow::Result<Task> {
    let mut text = String::new();
    for number in 0..count {
        let header = format!("header_{number}.h");
        let body = format!(
            "#pragma once\nstruct s{number} {{ int a; long b; }};\nint f{number}(struct s{number} *);\n"
        );
        written(directory, "gcc", &header, &body)?;
        let _ = writeln!(text, "#include \"{header}\"");
    }
    written(directory, "gcc", "own.c", &(text + "int own(void) { return 1; }\n"))
}

/// C whose object holds `bytes` bytes that do not compress. The assembler draws them, so that the source stays small.
pub(crate) fn object_of(directory: &Path, bytes: u64) -> anyhow::Result<Task> {
    let text = format!(
        "__asm__(\".data\\n.globl drawn\\ndrawn:\\n.set state, 0x9E3779B97F4A7C15\\n.rept {}\\n\"
        \".set state, (state * 6364136223846793005 + 1442695040888963407)\\n.quad state ^ (state >> 29)\\n.endr\\n.text\\n\");
int one(void) {{ return 1; }}\n",
        bytes / 8
    );
    written(directory, "gcc", "object.c", &text)
}

fn includes(headers: Headers) -> String {
    let headers = match headers {
        Headers::One => &["cstddef"],
        Headers::Many => CXX_HEADERS,
    };
    headers.iter().fold(String::new(), |text, header| text + "#include <" + header + ">\n")
}

fn written(directory: &Path, driver: &'static str, name: &str, text: &str) -> anyhow::Result<Task> {
    std::fs::create_dir_all(directory)?;
    let source = directory.join(name);
    std::fs::write(&source, text)?;
    Ok(Task { driver, source })
}

/// zstd in C: its sources are part of `dccache`.
pub(crate) fn zstd(directory: &Path) -> anyhow::Result<Project> {
    let sources = Sources::unpack(directory)?;
    let options = ["-O2", "-DXXH_NAMESPACE=ZSTD_"].map(str::to_owned).to_vec();
    Ok(Project { root: sources.root, driver: "gcc", options, units: sources.units })
}

/// meshoptimizer in C++: a package of the lock file that nothing builds.
pub(crate) fn meshoptimizer(directory: &Path) -> anyhow::Result<Project> {
    let vendor = package("meshopt")?.join("vendor/src");
    let root = directory.to_owned();
    std::fs::create_dir_all(root.join("src"))?;
    let mut units = Vec::new();
    for entry in std::fs::read_dir(&vendor).with_context(|| vendor.display().to_string())? {
        let path = entry?.path();
        let name = Path::new("src").join(path.file_name().unwrap_or_default());
        std::fs::copy(&path, root.join(&name))?;
        units.extend(name.extension().is_some_and(|extension| extension == "cpp").then_some(name));
    }
    units.sort();
    let options = ["-O2", "-std=c++14"].map(str::to_owned).to_vec();
    Ok(Project { root, driver: "g++", options, units })
}

/// Finds where cargo unpacked a package of the lock file; it fetches what is not there yet.
fn package(name: &str) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().context("cargo does not run")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo lists packages")?;
    let package = packages.iter().find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = Path::new(manifest.with_context(|| format!("{name} is not in the lock file"))?);
    Ok(manifest.parent().unwrap_or(manifest).to_owned())
}
