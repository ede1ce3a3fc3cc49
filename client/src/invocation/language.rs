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
    /// A header of any language: the call makes a precompiled header.
    Header,
    /// Assembly, preprocessed or not.
    Assembly,
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
    ("c-header", Language::Header),
    ("c++-header", Language::Header),
    ("objective-c-header", Language::Header),
    ("objective-c++-header", Language::Header),
    ("assembler", Language::Assembly),
    ("assembler-with-cpp", Language::Assembly),
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
    ("h", Language::Header),
    ("hh", Language::Header),
    ("H", Language::Header),
    ("hp", Language::Header),
    ("hxx", Language::Header),
    ("hpp", Language::Header),
    ("HPP", Language::Header),
    ("h++", Language::Header),
    ("tcc", Language::Header),
    ("s", Language::Assembly),
    ("S", Language::Assembly),
    ("sx", Language::Assembly),
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
            Self::Header => "header",
            Self::Assembly => "assembler",
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
        )
    }
}
