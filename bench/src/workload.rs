//! What is compiled: small generated files of known shape, and the zstd sources that the build unpacks anyway.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

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

/// Source files of the scenarios, below one directory.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) directory: PathBuf,
}

impl Workload {
    /// Writes the files.
    pub(crate) fn write(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let includes =
            CXX_HEADERS.iter().fold(String::new(), |text, header| text + "#include <" + header + ">\n");
        std::fs::write(
            directory.join("round.cc"),
            includes.clone() + "int round_number() { return ROUND; }\n",
        )?;
        std::fs::write(directory.join("many.cc"), includes + "int add(int a, int b) { return a + b; }\n")?;
        let few = "#include <stdio.h>\n#include <string.h>\nint say(const char *text) { return printf(\"%zu\\n\", strlen(text)); }\n";
        std::fs::write(directory.join("few.c"), few)?;
        std::fs::write(directory.join("large.c"), large_source())?;
        Ok(Self { directory: directory.to_owned() })
    }
}

/// One mebibyte of data that does not compress, as one array.
fn large_source() -> String {
    let mut text = String::from("const unsigned long long data[] = {\n");
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..(1 << 20) / 8 {
        // xorshift64*: Marsaglia (2003), Vigna (2016).
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let _ = writeln!(text, "{:#x}ull,", state.wrapping_mul(0x2545_F491_4F6C_DD1D));
    }
    text + "};\n"
}
