//! Real C and C++ code bases that arrive as packages of the lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Sources of one project.
#[derive(Clone, Debug)]
pub struct CodeBase {
    /// Its name.
    pub name: &'static str,
    /// Directory from which its files are compiled.
    pub root: PathBuf,
    /// Units to compile, relative to `root`, ascending.
    pub units: Vec<PathBuf>,
    /// Options that all units need.
    pub options: Vec<String>,
    /// Whether the C++ drivers compile it.
    pub is_cxx: bool,
}

/// Where a code base lies inside its package.
struct Place {
    package: &'static str,
    directory: &'static str,
    sources: &'static str,
    extension: &'static str,
    options: &'static [&'static str],
}

const PLACES: &[Place] = &[
    Place {
        package: "zstd-sys",
        directory: "zstd/lib",
        sources: "",
        extension: "c",
        options: &["-DXXH_NAMESPACE=ZSTD_"],
    },
    Place {
        package: "libz-sys",
        directory: "src/zlib",
        sources: "",
        extension: "c",
        options: &["-DHAVE_UNISTD_H", "-DHAVE_STDARG_H"],
    },
    Place {
        package: "meshopt",
        directory: "vendor",
        sources: "src",
        extension: "cpp",
        options: &["-std=c++14"],
    },
];

/// Returns the code bases: zstd and zlib in C, meshoptimizer in C++.
///
/// # Panics
/// A package of the lock file cannot be found or is empty.
pub fn code_bases() -> Vec<CodeBase> {
    let metadata = metadata();
    PLACES.iter().map(|place| place.find(&metadata)).collect()
}

impl Place {
    fn find(&self, metadata: &serde_json::Value) -> CodeBase {
        let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
        let package = packages.iter().find(|package| package["name"] == self.package);
        let manifest = package.and_then(|package| package["manifest_path"].as_str());
        let manifest =
            Path::new(manifest.unwrap_or_else(|| panic!("{} is not in the lock file", self.package)));
        let root = manifest.parent().expect("a manifest lies in a directory").join(self.directory);
        let mut units = Vec::new();
        collect(&root.join(self.sources), self.extension, &mut units);
        units.sort();
        let relative = |unit: PathBuf| unit.strip_prefix(&root).expect("collected below root").to_owned();
        let units: Vec<PathBuf> = units.into_iter().map(relative).collect();
        assert!(!units.is_empty(), "{} has no .{} files", self.package, self.extension);
        let options = self.options.iter().map(|&option| option.to_owned()).collect();
        CodeBase { name: self.package, root, units, options, is_cxx: self.extension == "cpp" }
    }
}

/// `cargo metadata` fetches every package of the lock file, also those that this platform does not build.
fn metadata() -> serde_json::Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(["metadata", "--format-version", "1", "--locked"]).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn collect(directory: &Path, extension: &str, units: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a package's directory can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            // Contributed extras have build systems of their own.
            if path.ends_with("contrib") {
                continue;
            }
            collect(&path, extension, units);
        } else if path.extension().is_some_and(|found| found == extension) {
            units.push(path);
        }
    }
}
