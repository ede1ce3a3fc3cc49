//! Whether blanks and comments could show through the text of a compile, and what its files are without them.

use super::{Ingredients, Takes};
use crate::cpp::{Places, Preprocessed, tokens};
use crate::invocation::{Invocation, Shows};
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{FileForm, spelled};

/// Names that ask where they stand, or that give one function options of its own: at `optimize(0)` gcc keeps statements apart by their places.
const WORDS: &[&[u8]] = &[
    b"__builtin_COLUMN",
    b"__builtin_LINE",
    b"__builtin_FILE",
    b"__builtin_FUNCTION",
    b"__builtin_source_location",
    b"source_location",
    b"optimize",
    b"__optimize__",
    b"_Pragma",
];

/// Pragmas that switch no warning on and show no place. What is switched off or put back was never more than the command asks for.
const PRAGMAS: &[&[u8]] = &[
    b"GCC diagnostic push",
    b"GCC diagnostic pop",
    b"GCC diagnostic ignored ",
    b"GCC visibility ",
    b"GCC push_options",
    b"GCC pop_options",
    b"GCC target",
    b"pack",
    b"weak ",
];

/// One file of [`Preprocessed::files`].
#[derive(Clone, Copy, Debug)]
pub struct SourceFile<'a> {
    /// As the line marker spells it.
    pub name: &'a [u8],
    /// What it holds.
    pub content: &'a [u8],
    /// The digest of that.
    pub digest: Digest,
}

/// Returns what of the files enters a key that neither blanks nor comments change.
///
/// Files outside of the root come in as they are: those of the system change seldom, and are most of what is read.
///
/// # Errors
/// The rule by which they may show in outputs or messages.
pub fn file_forms(
    invocation: &Invocation,
    ingredients: &Ingredients<'_>,
    places: &Places<'_>,
    text: &Preprocessed<'_>,
    files: &[SourceFile<'_>],
) -> Result<Vec<FileForm>, Shows> {
    // Most commands end here, before anybody looks at the text.
    invocation.layout.map_or(Ok(()), Err)?;
    let rules = [
        (!ingredients.messages.is_empty(), Shows::Messages),
        (ingredients.takes != Takes::Headers, Shows::Precompiled),
        (!text.quoted().is_empty(), Shows::OtherFile),
        (text.names_any(WORDS), Shows::Word),
        (!text.directives().all(is_harmless), Shows::Pragma),
    ];
    rules.into_iter().find(|(speaks, _)| *speaks).map_or(Ok(()), |(_, rule)| Err(rule))?;
    files.iter().map(|file| form(places, file).ok_or(Shows::Form)).collect()
}

fn form(places: &Places<'_>, file: &SourceFile<'_>) -> Option<FileForm> {
    let outside = file.name.first() == Some(&b'/') && spelled(places.root, file.name) == file.name;
    match outside {
        true => Some(FileForm::Raw(file.digest)),
        false => Some(FileForm::Tokens(Digest::of(&tokens(file.content)?))),
    }
}

/// Whether a directive that the preprocessor left is a pragma that is listed; blanks in it are made alike.
fn is_harmless(line: &[u8]) -> bool {
    let pragma = line.strip_prefix(b"#pragma ");
    pragma.is_some_and(|pragma| PRAGMAS.iter().any(|listed| pragma.starts_with(listed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpp::FileFacts;
    use crate::invocation::CompilerKind;
    use crate::invocation::oracle::{Tree, words};
    use crate::keying::{Color, Directories};
    use dccache_protocol::ids::{Namespace, ToolchainId};

    const PLACES: Places<'_> = Places { root: b"/p", working_directory: b"/p" };

    /// Judges a text whose one file holds `content`.
    fn judged(
        text: &str,
        name: &str,
        content: &str,
        messages: &str,
        takes: Takes,
    ) -> Result<Vec<FileForm>, Shows> {
        let tree = Tree::new();
        tree.write(b"a.c", b"");
        let invocation = tree.compile(CompilerKind::Gcc, &words(&["gcc", "-O2", "-c", "a.c"]));
        assert_eq!(invocation.layout, None);
        let namespace = Namespace::default();
        let ingredients = Ingredients {
            namespace: &namespace,
            toolchain: ToolchainId::from_digest(Digest::of(b"toolchain")),
            native: &[],
            extra_files: &[],
            option_files: &[],
            color: Color::Plain,
            facts: FileFacts::default(),
            messages: messages.as_bytes(),
            listed: None,
            debug_directories: Directories::Matter,
            raw: &[],
            takes,
        };
        let text = format!("# 1 \"{name}\"\n{text}");
        let parsed = Preprocessed::parse(text.as_bytes()).unwrap();
        let content = content.as_bytes();
        let file = SourceFile { name: name.as_bytes(), content, digest: Digest::of(content) };
        file_forms(&invocation, &ingredients, &PLACES, &parsed, &[file])
    }

    fn of_text(text: &str) -> Result<Vec<FileForm>, Shows> {
        judged(text, "a.c", "int a;\n", "", Takes::Headers)
    }

    #[test]
    fn files_below_the_root_come_in_by_their_tokens_and_others_as_they_are() {
        let form = |name: &str, content: &str| judged("int a;\n", name, content, "", Takes::Headers).unwrap();
        for name in ["a.c", "sub/a.c", "/p/a.c"] {
            assert_eq!(form(name, "int a; // one\n"), form(name, "int  a; // two\n"), "{name}");
            assert_ne!(form(name, "int a;\n"), form(name, "int b;\n"), "{name}");
        }
        for name in ["/usr/include/a.h", "/pp/a.c"] {
            assert_ne!(form(name, "int a; // one\n"), form(name, "int a; // two\n"), "{name}");
        }
    }

    #[test]
    fn each_rule_about_the_text_speaks_for_itself() {
        assert!(
            of_text(
                "#pragma GCC diagnostic push\n#pragma GCC diagnostic ignored \"-Wall\"\n#pragma pack(1)\n"
            )
            .is_ok()
        );
        assert_eq!(
            judged("", "a.c", "", "a.c:1:1: warning: /* in comment\n", Takes::Headers),
            Err(Shows::Messages)
        );
        assert_eq!(judged("", "a.c", "", "", Takes::Precompiled), Err(Shows::Precompiled));
        assert_eq!(of_text("# 7 \"b.h\"\nint a;\n"), Err(Shows::OtherFile));
        for word in [
            "int a = __builtin_LINE();",
            "auto a = std::source_location::current();",
            "auto a = __builtin_source_location();",
            "__attribute__((optimize(0))) int f(void);",
            "unsigned a = __builtin_COLUMN();",
            "__attribute__((__optimize__(0))) int f(void);",
            "_Pragma(\"GCC diagnostic push\")",
        ] {
            assert_eq!(of_text(word), Err(Shows::Word), "{word}");
        }
        for line in [
            "#pragma GCC diagnostic warning \"-Wall\"\n",
            "int a;\n#pragma GCC diagnostic error \"-Wall\"\n",
            "#pragma omp parallel\n",
            "#pragma STDC FP_CONTRACT ON\n",
            "#ident \"a\"\n",
        ] {
            assert_eq!(of_text(line), Err(Shows::Pragma), "{line}");
        }
        assert!(of_text("int meshopt_optimize, optimizer;\n").is_ok());
        assert_eq!(judged("", "a.c", "/* x", "", Takes::Headers), Err(Shows::Form));
    }
}
