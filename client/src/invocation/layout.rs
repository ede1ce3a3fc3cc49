//! Whether blanks and comments could show in what a command makes: the rules, and those that the command alone decides.
//!
//! Where no rule speaks against it, a compile is also found by the tokens of its files. An option counts as harmless only where it is
//! listed; what nobody has looked at is taken for harmful.

use super::arguments::{Argument, Class, lookup};
use super::outputs::{PlannedOutput, Stage};
use super::{Invocation, Language};
use dccache_protocol::entry::OutputRole;

/// Why blanks and comments may show in the outputs or messages of a compile. Each is a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shows {
    /// Clang: `__PRETTY_FUNCTION__` names unnamed types by line and column, warnings that are on by default look at columns
    /// (`-Wempty-body`), debug information digests sources.
    Compiler,
    /// No C or C++: nothing else has been looked at.
    Language,
    /// More is made than an object or assembly and a dependency file: `.su`, `.ci`, `.gcno`, `.dwo` and listings hold columns or lines of the
    /// source, a precompiled header all of it; and where only messages are made there is nothing to gain.
    Output,
    /// Positions show: debug information, sanitizers, coverage, profiles, link-time optimisation, OpenMP. Or a file takes part that
    /// nobody reads here, or the name of the output.
    Positions,
    /// Without optimisation gcc keeps jumps and statements apart by where they stand.
    Unoptimized,
    /// An option that is not known to act on tokens alone: `-finput-charset` changes what a comment is, `-trigraphs` where it ends.
    Option,
    /// A warning that is not known to be decided by tokens alone. `-Wall` and `-Wextra` hold such ones; they count as harmless where those are
    /// switched off by name.
    Warning,
    /// Words that a file adds to the command, or a plugin: neither has been looked at.
    Added,
    /// A variable that makes the compiler do something else as well.
    Environment,
    /// The preprocessor has said something: some of its warnings are about comments and blanks.
    Messages,
    /// A precompiled header is taken, or could be.
    Precompiled,
    /// Lines are said to be those of another file: messages quote from it.
    OtherFile,
    /// A builtin asks where it stands, or a function asks for its own optimisation.
    Word,
    /// A pragma that could switch on warnings, or is not known not to.
    Pragma,
    /// A file below the root has no [form](crate::cpp::tokens).
    Form,
}

/// Options that change code by what the tokens say alone; `*` stands for any end. All others of their class count as harmful.
const BLIND: &[&str] = &[
    "-std=*",
    "--std=*",
    "-ansi",
    "-pipe",
    "-pthread",
    "-O*",
    "-m*",
    "-march=native",
    "-mcpu=native",
    "-g0",
    "-ggdb0",
    "-fPIC",
    "-fpic",
    "-fPIE",
    "-fpie",
    "-fno-pic",
    "-fno-pie",
    "-fno-PIC",
    "-fno-PIE",
    "-fno-plt",
    "-fno-semantic-interposition",
    "-fvisibility=*",
    "-fvisibility-inlines-hidden",
    "-fno-common",
    "-fcommon",
    "-ffunction-sections",
    "-fdata-sections",
    "-fomit-frame-pointer",
    "-fno-omit-frame-pointer",
    "-fno-optimize-sibling-calls",
    "-fstack-protector*",
    "-fno-stack-protector",
    "-fstack-clash-protection",
    "-fcf-protection*",
    "-fstrict-aliasing",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-fno-strict-overflow",
    "-fno-delete-null-pointer-checks",
    "-fexceptions",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-asynchronous-unwind-tables",
    "-fasynchronous-unwind-tables",
    "-funwind-tables",
    "-fno-unwind-tables",
    "-fno-threadsafe-statics",
    "-fsigned-char",
    "-funsigned-char",
    "-fshort-enums",
    "-ffast-math",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=*",
    "-fno-builtin*",
    "-ffreestanding",
    "-funroll-loops",
    "-ftree-vectorize",
    "-fno-tree-vectorize",
    "-fno-ident",
];

/// Levels of optimisation at which places of statements decide nothing. The last one on a command counts.
const OPTIMIZED: &[&[u8]] = &[b"-O", b"-O1", b"-O2", b"-O3", b"-Os", b"-Ofast"];

/// Switches all warnings off, whatever else is there.
const MUTES: &[&[u8]] = &[b"-w", b"--no-warnings"];

/// Groups of warnings, and what has to be switched off in them: what looks at columns or comments.
const GROUPS: &[(&[&str], &[&str])] = &[
    (&["-Wall", "--all-warnings"], &["misleading-indentation"]),
    (&["-Wextra", "-W", "--extra-warnings"], &["implicit-fallthrough", "empty-body"]),
];

/// Notes in an invocation what [`shows`] says.
pub(super) fn judged(
    invocation: Invocation,
    added: &[Argument<'_>],
    arguments: &[Argument<'_>],
) -> Invocation {
    Invocation { layout: shows(&invocation, added, arguments), ..invocation }
}

/// Returns the first rule by which a command alone speaks against it; `added` are words that a file can add to it.
fn shows(invocation: &Invocation, added: &[Argument<'_>], arguments: &[Argument<'_>]) -> Option<Shows> {
    let line = Line { invocation, arguments };
    let facts = invocation.facts;
    let rules = [
        (invocation.kind.is_clang(), Shows::Compiler),
        (!matches!(invocation.language, Language::C | Language::Cxx), Shows::Language),
        (!line.makes_code_alone(), Shows::Output),
        (facts.leaks_directory || facts.leaks_output, Shows::Positions),
        (!line.is_optimized(), Shows::Unoptimized),
        (!arguments.iter().all(is_blind), Shows::Option),
        (!line.warns_by_tokens(), Shows::Warning),
        (!added.is_empty() || !invocation.plugins.is_empty(), Shows::Added),
        (invocation.environment.compares_debug(), Shows::Environment),
    ];
    rules.into_iter().find(|(speaks, _)| *speaks).map(|(_, rule)| rule)
}

/// What the rules look at.
struct Line<'a> {
    invocation: &'a Invocation,
    arguments: &'a [Argument<'a>],
}

impl Line<'_> {
    fn makes_code_alone(&self) -> bool {
        let plain = |output: &PlannedOutput| {
            matches!(output.role, OutputRole::Object | OutputRole::Assembly | OutputRole::Depend)
        };
        matches!(self.invocation.stage, Stage::Object | Stage::Assembly)
            && self.invocation.outputs.iter().all(plain)
    }

    fn is_optimized(&self) -> bool {
        let mut words = self.arguments.iter().map(|argument| argument.words[0].as_slice());
        words.rfind(|word| word.starts_with(b"-O")).is_some_and(|last| OPTIMIZED.contains(&last))
    }

    fn warns_by_tokens(&self) -> bool {
        let warnings = self.arguments.iter().filter(|argument| argument.class == Class::DiagnosticsOnly);
        let mut warnings = warnings.map(|argument| argument.words[0].as_slice());
        if self.has(|word| MUTES.contains(&word)) {
            return warnings.all(|word| word.starts_with(b"-W") || MUTES.contains(&word));
        }
        warnings.all(|word| self.is_decided_by_tokens(word))
    }

    fn is_decided_by_tokens(&self, word: &[u8]) -> bool {
        // What becomes an error is switched on as well.
        let word = match word.strip_prefix(b"-Werror=") {
            Some(name) => [b"-W", name].concat(),
            None => word.to_vec(),
        };
        let group = GROUPS.iter().find(|(names, _)| names.iter().any(|name| name.as_bytes() == word));
        match group {
            Some((_, members)) => members.iter().all(|member| {
                let off = [b"-Wno-", member.as_bytes()].concat();
                self.has(|word| word == off)
            }),
            None => lookup(&word, self.invocation.kind)
                .is_some_and(|(entry, _)| entry.class == Class::TokenWarning),
        }
    }

    fn has(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.arguments.iter().any(|argument| wanted(&argument.words[0]))
    }
}

/// Whether an option is known to act on tokens alone, warnings left aside.
fn is_blind(argument: &Argument<'_>) -> bool {
    let listed = |word: &[u8]| {
        BLIND.iter().any(|option| match option.strip_suffix('*') {
            Some(start) => word.starts_with(start.as_bytes()),
            None => word == option.as_bytes(),
        })
    };
    match argument.class {
        Class::Input | Class::Stage(_) | Class::Output | Class::Language | Class::Depend(_) => true,
        Class::Macro | Class::IncludeDirectory(_) | Class::ForcedInclude => true,
        Class::Color(_) | Class::LinkerOnly | Class::Toolchain => true,
        Class::DiagnosticsOnly | Class::TokenWarning => true,
        // Judged by what they make show.
        Class::Leaks(_)
        | Class::ReadsFile
        | Class::TakesPrecompiled
        | Class::ProfileUse
        | Class::Writes(_) => true,
        Class::CodeGeneration => argument.words.len() == 1 && listed(&argument.words[0]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::CompilerKind;
    use crate::invocation::oracle::{Tree, words};

    fn judged(kind: CompilerKind, line: &str) -> Option<Shows> {
        let tree = Tree::new();
        for source in ["a.c", "a.cc", "a.S", "a.m", "a.i", "a.h"] {
            tree.write(source.as_bytes(), b"");
        }
        let line: Vec<&str> = std::iter::once("gcc").chain(line.split(' ')).collect();
        tree.compile(kind, &words(&line)).layout
    }

    #[test]
    fn a_plain_command_shows_neither_blanks_nor_comments() {
        for line in [
            "-O2 -c a.c",
            "-O -std=gnu11 -fPIC -march=native -DX -I. -MD -c a.c -o x.o",
            "-O0 -Os -S a.c",
            "-O2 -Wall -Wno-misleading-indentation -Werror -Wshadow -Wformat=2 -c a.cc",
            "-O2 -Wno-implicit-fallthrough -Wextra -Wno-empty-body -Werror=return-type -c a.c",
            "-O2 -Wall -Wextra -Wimplicit-fallthrough -Werror=misleading-indentation -w -c a.c",
        ] {
            assert_eq!(judged(CompilerKind::Gcc, line), None, "{line}");
        }
    }

    #[test]
    fn each_rule_about_the_command_speaks_for_itself() {
        for (line, rule) in [
            ("-O2 -c a.S", Shows::Language),
            ("-O2 -c a.m", Shows::Language),
            ("-O2 -c a.i", Shows::Language),
            ("-O2 -fsyntax-only a.c", Shows::Output),
            ("-O2 -fstack-usage -c a.c", Shows::Output),
            ("-O2 -c a.h", Shows::Language),
            ("-O2 -g -c a.c", Shows::Positions),
            ("-O2 -g1 -c a.c", Shows::Positions),
            ("-O2 -fsanitize=address -c a.c", Shows::Positions),
            ("-O2 -flto -c a.c", Shows::Positions),
            ("-O2 -fprofile-generate -c a.c", Shows::Positions),
            ("-O2 -fopenmp -c a.c", Shows::Positions),
            ("-c a.c", Shows::Unoptimized),
            ("-O0 -c a.c", Shows::Unoptimized),
            ("-O2 -Og -c a.c", Shows::Unoptimized),
            ("-O2 -O4 -c a.c", Shows::Unoptimized),
            ("-O2 -finput-charset=UTF-8 -c a.c", Shows::Option),
            ("-O2 -trigraphs -c a.c", Shows::Option),
            ("-O2 -fnobody-knows -c a.c", Shows::Option),
            ("-O2 --param x=1 -c a.c", Shows::Option),
            ("-O2 -Wa,--noexecstack -c a.c", Shows::Option),
            ("-O2 -pg -c a.c", Shows::Option),
            ("-O2 -Wall -c a.c", Shows::Warning),
            ("-O2 -Wno-misleading-indentation -Wall -Wmisleading-indentation -c a.c", Shows::Warning),
            ("-O2 -Wextra -Wno-empty-body -c a.c", Shows::Warning),
            ("-O2 -Wextra -Wno-implicit-fallthrough -c a.c", Shows::Warning),
            ("-O2 -Werror=all -c a.c", Shows::Warning),
            ("-O2 -Werror=implicit-fallthrough -c a.c", Shows::Warning),
            ("-O2 -Wnobody-knows -c a.c", Shows::Warning),
            ("-O2 -pedantic -c a.c", Shows::Warning),
            ("-O2 -w -pedantic-errors -c a.c", Shows::Warning),
        ] {
            assert_eq!(judged(CompilerKind::Gcc, line), Some(rule), "{line}");
        }
        assert_eq!(judged(CompilerKind::Clang, "-O2 -w -c a.c"), Some(Shows::Compiler));
        assert_eq!(judged(CompilerKind::Clangxx, "-O2 -w -c a.cc"), Some(Shows::Compiler));
    }

    #[test]
    fn words_that_a_file_adds_speak_against_it() {
        let tree = Tree::new();
        tree.write(b"a.c", b"");
        let mut invocation = tree.compile(CompilerKind::Gcc, &words(&["gcc", "-O2", "-c", "a.c"]));
        let typed = words(&["-O2", "-c", "a.c"]);
        let files = crate::invocation::Disk::new(std::path::Path::new("/"));
        let scan = |words| crate::invocation::arguments::scan(words, CompilerKind::Gcc, &files);
        assert_eq!(shows(&invocation, &[], &scan(&typed)), None);
        let added = words(&["-O0"]);
        assert_eq!(shows(&invocation, &scan(&added), &scan(&typed)), Some(Shows::Added));
        invocation.plugins.push(Default::default());
        assert_eq!(shows(&invocation, &[], &scan(&typed)), Some(Shows::Added));
    }
}
