//! `docs/options.md`, made from the option table.

use super::arguments::{ALONE, Class, DependOption, Entry, JOINED, Known, Leak, SEPARATE};
use super::table::TABLE;
use super::{ColorRequest, SideFile, Stage};
use std::fmt::Write;

/// Path of the document from this crate.
const DOCUMENT: &str = "../docs/options.md";

/// What stands above the lists.
const HEAD: &str = "# Options of the compilers

<!-- Written from client/src/invocation/table.rs by `just options`; a test compares. -->

What dccache does with each option of gcc and clang. An option is looked up by its whole word first, then by the longest spelling
that it begins with, so an entry that takes its value in the same word stands for a family.

An option that is in no list is judged by its family:

* `-W...` changes messages only and is in every key (`-Wa,`, `-Wl,` and `-Wp,` have entries of their own);
* `-f...` and `-m...` change code and are in every key, unless their value could name a file (it holds a slash, or there is such a file);
* every other unknown option runs the compiler untouched.

Forms: `X` alone; `Xv` with its value in the same word; `X v` with its value in the next.
";

/// One list: its heading, what happens, and what belongs to it.
struct List {
    heading: &'static str,
    text: &'static str,
    holds: fn(&Class) -> bool,
}

const LISTS: &[List] = &[
    List {
        heading: "What a call makes",
        text: "Decides whether it is a compile, and of what.",
        holds: |class| {
            matches!(
                class,
                Class::Stage(_) | Class::Preprocess | Class::DependOnly | Class::Output | Class::Language
            )
        },
    },
    List {
        heading: "Dependency output",
        text: "In the key as a mode only; the file is generated for each call.",
        holds: |class| matches!(class, Class::Depend(_)),
    },
    List {
        heading: "Preprocessor only",
        text: "Acts through the preprocessed text, which is in the key. In keys of direct mode as typed.",
        holds: |class| matches!(class, Class::Macro | Class::IncludeDirectory(_) | Class::ForcedInclude),
    },
    List {
        heading: "Path-free: code generation",
        text: "In every key; shows no path.",
        holds: |class| matches!(class, Class::CodeGeneration | Class::Assembler),
    },
    List {
        heading: "Path-free: character set of the sources",
        text: "In every key, where every byte below 0x80 is a character of ASCII and belongs to no other one (UTF-8, ISO-8859, CP125x, KOI8, EUC). Left to the compiler (`unsupported_compiler_option`) otherwise.",
        holds: |class| matches!(class, Class::CharacterSet),
    },
    List {
        heading: "Path-free: diagnostics only",
        text: "In every key; changes messages only.",
        holds: |class| matches!(class, Class::DiagnosticsOnly | Class::Color(_)),
    },
    List {
        heading: "Path-free: warnings that neither blanks nor comments decide",
        text: "As above, and no obstacle to finding a compile [by its tokens](adr/0022-finding-a-compile-by-its-tokens.md); with any other warning it is not looked for there.",
        holds: |class| matches!(class, Class::TokenWarning),
    },
    List {
        heading: "Link time only",
        text: "In every key; does nothing in a compile.",
        holds: |class| matches!(class, Class::LinkerOnly),
    },
    List {
        heading: "Toolchain",
        text: "In every key, and in the name of the toolchain's record: chooses programs and directories.",
        holds: |class| matches!(class, Class::Toolchain),
    },
    List {
        heading: "Leaks directories",
        text: "In every key; source paths or the working directory show, so the result is never shared with another directory.",
        holds: |class| matches!(class, Class::Leaks(leak) if !shows_output(*leak)),
    },
    List {
        heading: "Leaks the name of the output",
        text: "As above, and `-o` is in the key as well.",
        holds: |class| matches!(class, Class::Leaks(leak) if shows_output(*leak)),
    },
    List {
        heading: "Reads a file",
        text: "In every key with the file's content; bound to the directory.",
        holds: |class| matches!(class, Class::ReadsFile | Class::TakesPrecompiled | Class::ProfileUse),
    },
    List {
        heading: "Writes one more file",
        text: "In every key with `-o`; the file is stored and restored under the name that each call gives it.",
        holds: |class| matches!(class, Class::Writes(_)),
    },
    List {
        heading: "Plugins",
        text: "Left to the compiler (`unsupported_compiler_option`), unless `sloppiness = plugins` is set: then in every key with the contents of the plugin, of its shared libraries, and of a file that an argument names.",
        holds: |class| matches!(class, Class::Plugin | Class::PluginArgument),
    },
    List {
        heading: "Left to the compiler",
        text: "The compiler runs untouched, and the reason is counted.",
        holds: |class| matches!(class, Class::WritesFile | Class::Bypass(_)),
    },
];

fn shows_output(leak: Leak) -> bool {
    matches!(leak, Leak::Lto | Leak::Coverage | Leak::Notes | Leak::OutputInDebugInfo | Leak::Output)
}

/// Says what an entry does beside what its list says.
fn remark(class: &Class) -> String {
    match class {
        Class::Stage(Stage::Object) => "makes an object".into(),
        Class::Stage(Stage::Assembly) => "makes assembly".into(),
        Class::Stage(Stage::SyntaxOnly) => "makes messages only".into(),
        Class::Stage(Stage::Precompiled) => "makes a precompiled header".into(),
        Class::Preprocess => "left alone: `called_for_preprocessing`".into(),
        Class::DependOnly | Class::WritesFile => "`unsupported_compiler_option`".into(),
        Class::Output => "not in the key unless it shows".into(),
        Class::Depend(DependOption::PassedOn(_)) => "for the preprocessor".into(),
        Class::IncludeDirectory(kind) => format!("directory: {kind:?}").to_lowercase(),
        Class::ForcedInclude => "read before the source".into(),
        Class::TakesPrecompiled => "a precompiled header".into(),
        Class::Assembler => {
            "options for the assembler, from a list of harmless ones; `-a...=FILE` is a listing".into()
        }
        Class::Color(color) => match color {
            ColorRequest::Auto => "colours as the terminal has them".into(),
            ColorRequest::Always => "colours".into(),
            ColorRequest::Never => "no colours".into(),
        },
        Class::Leaks(leak) => match leak {
            Leak::DebugInfo => "debug information",
            Leak::MacroDebugInfo => "debug information with macros",
            Leak::Sanitizer => "positions in checks",
            Leak::Lto => "intermediate code; bytes differ each time",
            Leak::Coverage => "counters",
            Leak::Notes => "coverage notes",
            Leak::OutputInDebugInfo => "debug information",
            Leak::Output | Leak::PrefixMap | Leak::Path => "paths",
        }
        .into(),
        Class::Writes(side) => match side {
            SideFile::CoverageNotes => "`.gcno`",
            SideFile::SplitDwarf => "`.dwo`",
            SideFile::StackUsage => "`.su`",
            SideFile::CallGraph => "`.ci`",
            SideFile::Diagnostics | SideFile::Listing | SideFile::Prototypes => "its value",
            SideFile::OptimizationRecord => "`.opt-record.json.gz`, `.opt.yaml`",
        }
        .into(),
        Class::Bypass(reason) => format!("`{}`", reason.name()),
        _ => String::new(),
    }
}

fn line(entry: &Entry) -> String {
    let mut forms = Vec::new();
    for (form, shape) in [(ALONE, ""), (JOINED, "v"), (SEPARATE, " v")] {
        if entry.forms & form != 0 {
            forms.push(format!("`{}{shape}`", entry.spelling));
        }
    }
    let known = match entry.known {
        Known::Both => "",
        Known::Gcc => "gcc",
        Known::Clang => "clang",
    };
    format!("| {} | {known} | {} |\n", forms.join(", "), remark(&entry.class)).replace("  ", " ")
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    for list in LISTS {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n| option | only | remark |\n|---|---|---|\n",
            list.heading, list.text
        );
        text.extend(TABLE.iter().filter(|entry| (list.holds)(&entry.class)).map(line));
    }
    text
}

#[test]
fn every_entry_is_in_one_list() {
    for entry in TABLE {
        assert_eq!(LISTS.iter().filter(|list| (list.holds)(&entry.class)).count(), 1, "{}", entry.spelling);
    }
}

#[test]
fn the_document_is_that_of_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let now = document();
    if std::env::var_os("DCCACHE_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == now, "docs/options.md is not that of the table; `just options` writes it anew");
}
