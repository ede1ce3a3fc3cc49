//! Options for the assembler, `-Wa,` and `-Xassembler`: which of them change nothing but code.

use super::arguments::Leak;

/// What an option for the assembler does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForAssembler {
    /// Changes code or messages; reads and writes no file.
    Code,
    /// As [`ForAssembler::Code`]; its value follows as the next option.
    Valued,
    /// Makes something show in the object.
    Leaks(Leak),
}

/// Options of GNU as, and of clang's own assembler where it has them.
const OPTIONS: &[(&str, ForAssembler)] = &[
    ("--noexecstack", ForAssembler::Code),
    ("--execstack", ForAssembler::Code),
    ("--fatal-warnings", ForAssembler::Code),
    ("--no-warn", ForAssembler::Code),
    ("--warn", ForAssembler::Code),
    ("-W", ForAssembler::Code),
    ("-L", ForAssembler::Code),
    ("--keep-locals", ForAssembler::Code),
    ("--32", ForAssembler::Code),
    ("--64", ForAssembler::Code),
    ("--x32", ForAssembler::Code),
    ("--strip-local-absolute", ForAssembler::Code),
    ("--nocompress-debug-sections", ForAssembler::Code),
    ("--defsym", ForAssembler::Valued),
    ("-g", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--gen-debug", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--gdwarf-2", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--gdwarf-3", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--gdwarf-4", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--gdwarf-5", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--compress-debug-sections", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--compress-debug-sections=none", ForAssembler::Code),
    ("--compress-debug-sections=zlib", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--compress-debug-sections=zlib-gnu", ForAssembler::Leaks(Leak::DebugInfo)),
    ("--compress-debug-sections=zlib-gabi", ForAssembler::Leaks(Leak::DebugInfo)),
];

/// Finds out what one option does; `None` for those that are not known to be harmless. Machine options take no files.
pub(super) fn option(word: &[u8]) -> Option<ForAssembler> {
    let listed = OPTIONS.iter().find(|(spelling, _)| spelling.as_bytes() == word);
    let machine = word.starts_with(b"-m") && word.len() > 2 && !word.contains(&b'/');
    listed.map(|(_, does)| *does).or_else(|| machine.then_some(ForAssembler::Code))
}

/// Judges the options of one `-Wa,` word: what they make show; `None` when one of them is not known.
pub(super) fn options(word: &[u8]) -> Option<Vec<Leak>> {
    let mut leaks = Vec::new();
    let mut parts = word.strip_prefix(b"-Wa,")?.split(|&byte| byte == b',');
    while let Some(part) = parts.next() {
        match option(part)? {
            ForAssembler::Code => {}
            ForAssembler::Valued => drop(parts.next()?),
            ForAssembler::Leaks(leak) => leaks.push(leak),
        }
    }
    Some(leaks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_for_the_assembler_are_known_one_by_one() {
        assert_eq!(options(b"-Wa,--noexecstack,-mrelax-relocations=no"), Some(vec![]));
        assert_eq!(options(b"-Wa,--defsym,A=1,-g"), Some(vec![Leak::DebugInfo]));
        for unknown in [
            "-Wa,",
            "-Wa,-I,dir",
            "-Wa,-a",
            "-Wa,--MD,f",
            "-Wa,--defsym",
            "-Wa,-m",
            "-Wa,-o,f",
            "-Wa,-march=/x",
            "-Wa,@f",
        ] {
            assert_eq!(options(unknown.as_bytes()), None, "{unknown}");
        }
    }
}
