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
    sources: &'static [&'static str],
    extension: &'static str,
    options: &'static [&'static str],
}

const PLACES: &[Place] = &[
    Place {
        package: "zstd-sys",
        directory: "zstd/lib",
        sources: &[""],
        extension: "c",
        options: &["-DXXH_NAMESPACE=ZSTD_"],
    },
    Place {
        package: "libz-sys",
        directory: "src/zlib",
        sources: &[""],
        extension: "c",
        options: &["-DHAVE_UNISTD_H", "-DHAVE_STDARG_H"],
    },
    Place {
        package: "meshopt",
        directory: "vendor",
        sources: &["src"],
        extension: "cpp",
        options: &["-std=c++14"],
    },
    Place {
        package: "leveldb-sys",
        directory: "deps/leveldb-1.22",
        sources: &["db", "table", "util"],
        extension: "cc",
        options: &[
            "-std=c++11",
            "-DLEVELDB_PLATFORM_POSIX=1",
            "-DLEVELDB_IS_BIG_ENDIAN=0",
            "-DHAVE_FDATASYNC=1",
            "-I.",
            "-Iinclude",
        ],
    },
    Place {
        package: "opusic-sys",
        directory: "opus",
        sources: &["celt", "silk", "src"],
        extension: "c",
        options: &[
            "-DOPUS_BUILD",
            "-DVAR_ARRAYS",
            "-DPACKAGE_VERSION=\"0\"",
            "-Iinclude",
            "-Icelt",
            "-Isilk",
            "-Isilk/float",
            "-I.",
        ],
    },
    Place {
        package: "bzip2-sys",
        directory: "bzip2-1.0.8",
        sources: &[""],
        extension: "c",
        options: &["-D_FILE_OFFSET_BITS=64"],
    },
    Place { package: "lz4-sys", directory: "liblz4/lib", sources: &[""], extension: "c", options: &[] },
];

/// Directories inside of packages whose units need options of their own or another machine.
const LEFT_OUT: &[&str] =
    &["contrib", "arm", "mips", "x86", "dump_modes", "fixed", "tests", "testdata", "dll"];

/// Ends of names of units that need a library of their own or another system.
const LEFT_OUT_NAMES: &[&str] = &["_test.cc", "_bench.cc", "_windows.cc", "testutil.cc", "testharness.cc"];

/// Returns the code bases, in this order: zstd, zlib, meshoptimizer (C++), LevelDB (C++), Opus, bzip2 and LZ4's library.
///
/// # Panics
/// A package of the lock file cannot be found or is empty.
pub fn code_bases() -> Vec<CodeBase> {
    let metadata = metadata();
    PLACES.iter().map(|place| place.find(&metadata)).collect()
}

/// Returns the directory of one package of the lock file.
///
/// # Panics
/// It cannot be found.
pub fn package(name: &str) -> PathBuf {
    directory_of(name, &metadata())
}

fn directory_of(name: &str, metadata: &serde_json::Value) -> PathBuf {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let package = packages.iter().find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = Path::new(manifest.unwrap_or_else(|| panic!("{name} is not in the lock file")));
    manifest.parent().expect("a manifest lies in a directory").to_owned()
}

impl Place {
    fn find(&self, metadata: &serde_json::Value) -> CodeBase {
        let root = directory_of(self.package, metadata).join(self.directory);
        let mut units = Vec::new();
        for sources in self.sources {
            collect(&root.join(sources), self.extension, &mut units);
        }
        units.sort();
        let relative = |unit: PathBuf| unit.strip_prefix(&root).expect("collected below root").to_owned();
        let units: Vec<PathBuf> = units.into_iter().map(relative).collect();
        assert!(!units.is_empty(), "{} has no .{} files", self.package, self.extension);
        let options = self.options.iter().map(|&option| option.to_owned()).collect();
        CodeBase { name: self.package, root, units, options, is_cxx: self.extension != "c" }
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
        let is_left_out = |names: &[&str]| names.iter().any(|name| path.to_string_lossy().ends_with(name));
        if path.is_dir() {
            if !LEFT_OUT.iter().any(|name| path.ends_with(name)) {
                collect(&path, extension, units);
            }
        } else if path.extension().is_some_and(|found| found == extension) && !is_left_out(LEFT_OUT_NAMES) {
            units.push(path);
        }
    }
}
