//! Languages: which extension and which `-x` name stands for which.

use super::CompilerKind;

/// Language of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Objective-C.
    ObjectiveC,
    /// Objective-C++.
    ObjectiveCxx,
    /// Preprocessed C.
    PreprocessedC,
    /// Preprocessed C++.
    PreprocessedCxx,
    /// Preprocessed Objective-C.
    PreprocessedObjectiveC,
    /// Preprocessed Objective-C++.
    PreprocessedObjectiveCxx,
    /// Header of C: the call makes a precompiled header.
    CHeader,
    /// Header of C++.
    CxxHeader,
    /// Header of Objective-C.
    ObjectiveCHeader,
    /// Header of Objective-C++.
    ObjectiveCxxHeader,
    /// Assembly, which the assembler reads as it is.
    Assembly,
    /// Assembly that is preprocessed first.
    AssemblyWithCpp,
}

/// A name or extension and its language.
type Row = (&'static str, Language);

/// Names of `-x`.
const NAMES: &[Row] = &[
    ("c", Language::C),
    ("c++", Language::Cxx),
    ("objective-c", Language::ObjectiveC),
    ("objective-c++", Language::ObjectiveCxx),
    ("cpp-output", Language::PreprocessedC),
    ("c++-cpp-output", Language::PreprocessedCxx),
    ("objective-c-cpp-output", Language::PreprocessedObjectiveC),
    ("objective-c++-cpp-output", Language::PreprocessedObjectiveCxx),
    ("c-header", Language::CHeader),
    ("c++-header", Language::CxxHeader),
    ("objective-c-header", Language::ObjectiveCHeader),
    ("objective-c++-header", Language::ObjectiveCxxHeader),
    ("assembler", Language::Assembly),
    ("assembler-with-cpp", Language::AssemblyWithCpp),
];

/// Extensions; case matters.
const EXTENSIONS: &[Row] = &[
    ("c", Language::C),
    ("cc", Language::Cxx),
    ("cp", Language::Cxx),
    ("cxx", Language::Cxx),
    ("cpp", Language::Cxx),
    ("CPP", Language::Cxx),
    ("c++", Language::Cxx),
    ("C", Language::Cxx),
    ("m", Language::ObjectiveC),
    ("mm", Language::ObjectiveCxx),
    ("M", Language::ObjectiveCxx),
    ("i", Language::PreprocessedC),
    ("ii", Language::PreprocessedCxx),
    ("mi", Language::PreprocessedObjectiveC),
    ("mii", Language::PreprocessedObjectiveCxx),
    ("h", Language::CHeader),
    ("hh", Language::CxxHeader),
    ("H", Language::CxxHeader),
    ("hp", Language::CxxHeader),
    ("hxx", Language::CxxHeader),
    ("hpp", Language::CxxHeader),
    ("HPP", Language::CxxHeader),
    ("h++", Language::CxxHeader),
    ("tcc", Language::CxxHeader),
    ("s", Language::Assembly),
    ("S", Language::AssemblyWithCpp),
    ("sx", Language::AssemblyWithCpp),
];

fn find(table: &[Row], name: &[u8]) -> Option<Language> {
    table.iter().find(|(spelling, _)| spelling.as_bytes() == name).map(|(_, language)| *language)
}

impl Language {
    /// Returns the language that `-x NAME` selects; `None` for `none` and for names that are not cached.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        find(NAMES, name)
    }

    /// Returns the language that a driver gives a file without `-x`; `None` when its extension says nothing.
    ///
    /// The C++ drivers take C for C++.
    pub fn from_path(path: &[u8], kind: CompilerKind) -> Option<Self> {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        let dot = name.iter().rposition(|&byte| byte == b'.')?;
        let language = find(EXTENSIONS, &name[dot + 1..])?;
        Some(match language {
            Self::C if kind.is_cxx() => Self::Cxx,
            Self::PreprocessedC if kind.is_cxx() => Self::PreprocessedCxx,
            Self::CHeader if kind.is_cxx() => Self::CxxHeader,
            other => other,
        })
    }

    /// Returns the name that enters keys: that of `-x`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cxx => "c++",
            Self::ObjectiveC => "objective-c",
            Self::ObjectiveCxx => "objective-c++",
            Self::PreprocessedC => "cpp-output",
            Self::PreprocessedCxx => "c++-cpp-output",
            Self::PreprocessedObjectiveC => "objective-c-cpp-output",
            Self::PreprocessedObjectiveCxx => "objective-c++-cpp-output",
            Self::CHeader => "c-header",
            Self::CxxHeader => "c++-header",
            Self::ObjectiveCHeader => "objective-c-header",
            Self::ObjectiveCxxHeader => "objective-c++-header",
            Self::Assembly => "assembler",
            Self::AssemblyWithCpp => "assembler-with-cpp",
        }
    }

    /// Whether the compiler does not run its preprocessor on it.
    pub const fn is_preprocessed(self) -> bool {
        matches!(
            self,
            Self::PreprocessedC
                | Self::PreprocessedCxx
                | Self::PreprocessedObjectiveC
                | Self::PreprocessedObjectiveCxx
                | Self::Assembly
        )
    }

    /// Whether a precompiled header is made of it.
    pub const fn is_header(self) -> bool {
        matches!(self, Self::CHeader | Self::CxxHeader | Self::ObjectiveCHeader | Self::ObjectiveCxxHeader)
    }

    /// Whether the assembler reads the text.
    pub const fn is_assembly(self) -> bool {
        matches!(self, Self::Assembly | Self::AssemblyWithCpp)
    }
}
