//! What is removed, one at a time, and which test then breaks.

/// A test by the package that holds it, its target (`lib` or a file of `tests/`), and its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) package: &'static str,
    pub(crate) target: &'static str,
    pub(crate) name: &'static str,
}

/// One removal: behind `lead`, `code` becomes `removed` while the mutant runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutant {
    /// Its name, and the value of `MUTANT` that switches it on.
    pub(crate) name: &'static str,
    /// The file, from the root of the repository.
    pub(crate) file: &'static str,
    /// What stands before the code, so that both together occur once in the file.
    pub(crate) lead: &'static str,
    /// A statement or an expression.
    pub(crate) code: &'static str,
    /// What takes its place.
    pub(crate) removed: &'static str,
    /// The test that breaks.
    pub(crate) test: Test,
}

pub(crate) const KEYS: &str = "protocol/src/keys.rs";
pub(crate) const GATHERED: &str = "client/src/keying/mod.rs";

const fn golden(name: &'static str) -> Test {
    Test { package: "dccache-protocol", target: "golden", name }
}

pub(crate) const fn unit(name: &'static str) -> Test {
    Test { package: "dccache", target: "lib", name }
}

const PREPROCESSED: Test = golden("every_field_reaches_the_preprocessed_key");
const TOKENS: Test = golden("every_field_reaches_the_key_of_the_tokens");
const DIRECT: Test = golden("every_field_reaches_the_direct_key");
const SEALED: Test = golden("everything_reaches_the_name_of_a_sealed_record");
const OWNERS: Test = golden("what_a_key_is_made_from_reaches_more_of_it_than_its_owners");
const RECORD: Test = golden("namespace_kind_and_key_reach_a_record_id");
const AROUND: Test = unit("keying::tests::everything_around_the_call_is_in_the_key");
const MANIFEST: Test = unit("keying::tests::everything_around_the_call_is_in_the_manifest_key");
const OPTIONS: Test = unit("keying::tests::options_share_a_key_only_where_they_give_the_same_bytes");

const fn field(name: &'static str, lead: &'static str, code: &'static str, test: Test) -> Mutant {
    Mutant { name, file: KEYS, lead, code, removed: "", test }
}

const fn gathered(
    name: &'static str,
    lead: &'static str,
    code: &'static str,
    removed: &'static str,
    test: Test,
) -> Mutant {
    Mutant { name, file: GATHERED, lead, code, removed, test }
}

/// Fields that nothing here removes where they are gathered, and why. In the encoding each is removed.
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[
    ("recorded", "every option that would fill it is bypassed"),
    ("output", "its options are tested by whole compiles"),
    ("dependency_mode", "dependencies are also compared after the compile, so no test of one place breaks"),
];

/// All of them.
pub(crate) const MUTANTS: &[&[Mutant]] = &[ENCODED, COLLECTED, super::rules::RULES, super::layout::LAYOUT];

/// The encoding.
#[rustfmt::skip]
const ENCODED: &[Mutant] = &[
    field("record namespace", "", "encoder.field(Field::Namespace, namespace.0.as_str().as_bytes());", RECORD),
    field("record kind", "", "encoder.field(Field::Kind, kind);", RECORD),
    field("record key", "", "encoder.field(Field::Key, key.as_bytes());", RECORD),
    field("base", "", "encoder.field(Field::Key, base.as_bytes());", OWNERS),
    Mutant {
        name: "free",
        file: KEYS,
        lead: "Self::Free => ",
        code: r#"encoder.list(Field::Sharing, [b"free".as_slice()])"#,
        removed: r#"encoder.list(Field::Sharing, [b"exact".as_slice(), b"/r", b"/r/w"])"#,
        test: PREPROCESSED,
    },
    Mutant {
        name: "root",
        file: KEYS,
        lead: "",
        code: r#"encoder.list(Field::Sharing, [b"bound".as_slice(), root, working_directory]);"#,
        removed: r#"encoder.list(Field::Sharing, [b"bound".as_slice(), working_directory]);"#,
        test: PREPROCESSED,
    },
    Mutant {
        name: "working directory",
        file: KEYS,
        lead: "",
        code: r#"encoder.list(Field::Sharing, [b"bound".as_slice(), root, working_directory]);"#,
        removed: r#"encoder.list(Field::Sharing, [b"bound".as_slice(), root]);"#,
        test: PREPROCESSED,
    },
    Mutant {
        name: "hidden arguments",
        file: KEYS,
        lead: "",
        code: "encoder.list(Field::Sharing, items);",
        removed: "encoder.list(Field::Sharing, fixed);",
        test: PREPROCESSED,
    },
    field("namespace", "", "encoder.field(Field::Namespace, self.namespace.0.as_str().as_bytes());", PREPROCESSED),
    field("language", "", "encoder.field(Field::Language, self.language.as_bytes());", PREPROCESSED),
    field("toolchain", "", "encoder.field(Field::Toolchain, self.toolchain.digest().as_bytes());", PREPROCESSED),
    field("driver", "", "encoder.field(Field::Driver, self.driver);", PREPROCESSED),
    field("native", "", "encoder.list(Field::Native, self.native);", PREPROCESSED),
    field("environment", "\n        ", "encoder.set(Field::Environment, pairs.collect());", PREPROCESSED),
    field("extra files", "", "encoder.list(Field::ExtraFiles, self.extra_files.iter().map(Digest::as_bytes));", PREPROCESSED),
    field("dependency mode", "", "encoder.field(Field::DependencyMode, &[self.dependency_mode]);", PREPROCESSED),
    field("color", "", "encoder.field(Field::Color, &[u8::from(self.color)]);", PREPROCESSED),
    field("source", "", "encoder.field(Field::Source, self.source);", PREPROCESSED),
    field("output", "", "encoder.list(Field::Output, self.output);", PREPROCESSED),
    field("recorded", "", "encoder.list(Field::Recorded, self.recorded);", PREPROCESSED),
    field("arguments", "", "encoder.list(Field::Arguments, self.arguments);", PREPROCESSED),
    field("option files", "", "encoder.list(Field::OptionFiles, files);", PREPROCESSED),
    field("manifest working directory", "", "encoder.field(Field::WorkingDirectory, &inputs.working_directory.encoded());", DIRECT),
    field("include directories", "", "encoder.list(Field::IncludeDirectories, inputs.include_directories.iter().map(RootPath::encoded));", DIRECT),
    field("include environment", "", "encoder.set(Field::IncludeEnvironment, pairs.collect());", DIRECT),
    field("manifest", "", "encoder.field(Field::Key, manifest.digest().as_bytes());", OWNERS),
    field("inputs", "", "encoder.set(Field::Inputs, pairs.collect());", DIRECT),
    field("absent", "", "encoder.set(Field::Absent, absent.iter().map(RootPath::encoded).collect());", DIRECT),
    field("raw digests", "", "encoder.list(Field::RawDigests, raw.iter().map(Digest::as_bytes));", PREPROCESSED),
    field("text", "", "encoder.chunks(Field::Text, text);", PREPROCESSED),
    field("forms of files", "", "encoder.list(Field::FileForms, files.iter().map(FileForm::encoded));", TOKENS),
    field("text beside forms of files", "", "encoder.chunks(Field::Text, pieces);", TOKENS),
    field("sealed arguments", "", "encoder.list(Field::Arguments, argv);", SEALED),
    field("sealed working directory", "", "encoder.field(Field::WorkingDirectory, working_directory);", SEALED),
    field("sealed environment", "\n    ", "encoder.set(Field::Environment, pairs.collect());", SEALED),
    field("toolchain files", "", "encoder.set(Field::Toolchain, pairs.collect());", PREPROCESSED),
];

/// What the client gathers for it.
#[rustfmt::skip]
const COLLECTED: &[Mutant] = &[
    gathered("gathered namespace", "namespace: ", "ingredients.namespace", "Box::leak(Box::default())", AROUND),
    gathered("gathered language", "language: ", "invocation.language.name()", "\"c\"", AROUND),
    gathered("gathered toolchain", "toolchain: ", "ingredients.toolchain", "dccache_protocol::ids::ToolchainId::from_digest(dccache_protocol::digest::Digest::of(b\"\"))", AROUND),
    gathered("gathered driver", "driver: ", "&invocation.driver", "&[][..]", AROUND),
    gathered("gathered native", "native: ", "ingredients.native", "&[][..]", AROUND),
    gathered("gathered environment", "environment: ", "&environment", "&[][..]", AROUND),
    gathered("gathered extra files", "extra_files: ", "ingredients.extra_files", "&[][..]", AROUND),
    gathered("gathered color", "color: ", "ingredients.color == Color::Terminal", "false", AROUND),
    gathered("gathered source", "source: &", "spelled(places.root, &invocation.source)", "Vec::new()", AROUND),
    gathered("gathered arguments", "arguments: ", "&arguments.words", "&[][..]", OPTIONS),
    gathered("gathered option files", "option_files: ", "&option_files", "&[][..]", AROUND),
    gathered("gathered working directory", "working_directory: ", "&working_directory", "&RootPath::Absolute(Vec::new())", MANIFEST),
    gathered("gathered include directories", "include_directories: ", "directories", "&[][..]", MANIFEST),
    gathered("gathered include environment", "include_environment: ", "&invocation.environment.include", "&[][..]", MANIFEST),
    gathered("gathered raw digests", "preprocessed_base(common, pieces, ", "ingredients.raw", "&[][..]", AROUND),
];
