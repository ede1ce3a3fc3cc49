//! All options of ccache's manual, as data: name, variable, kind, who may set it, and what it means here.
//!
//! `docs/ccache.md` is its prose; a test holds both against what ccache lists.

use super::kinds::Kind::{self, Absolute, Integer, Number, Octal, Size, Storage, Switch, Text};
use super::remote;
use crate::config::{Config, DebugFiles, Key};
use Meaning::{Field, Key as Ours, Nothing, Search, Translated};
use Place::{Anywhere, NoDirectory, Trusted, TrustedCommand};
use dccache_protocol::bundle::Packing;
use std::num::ParseIntError;
use std::path::PathBuf;

/// Which file may set an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Every one.
    Anywhere,
    /// The file of a directory only where the user trusts the directory: it runs a command, writes a file, or names a store.
    Trusted,
    /// As [`Place::Trusted`] where the value is a command.
    TrustedCommand,
    /// No file of a directory.
    NoDirectory,
}

/// What an option means here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// As our key of this name.
    Key(&'static str),
    /// As our key, after its value is put into our words.
    Translated(&'static str, fn(&str) -> String),
    /// It has no key of ours.
    Field(fn(&mut Config, &str)),
    /// It is looked at where files are looked for.
    Search,
    /// Nothing.
    Nothing,
}

/// One option.
#[derive(Debug)]
pub(super) struct CcacheOption {
    /// Name in a file, and of a `KEY=VALUE` word.
    pub(super) name: &'static str,
    /// Names of variables behind `CCACHE_`; the first is today's.
    pub(super) variables: &'static [&'static str],
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) default: &'static str,
    pub(super) meaning: Meaning,
}

impl CcacheOption {
    /// Finds an option by its name, or by one that it had.
    pub(super) fn find(name: &str) -> Option<usize> {
        let name = if name == "secondary_storage" { "remote_storage" } else { name };
        OPTIONS.iter().position(|option| option.name == name)
    }

    /// Puts a value that has no problem into the configuration.
    pub(super) fn apply(&self, config: &mut Config, text: &str) {
        let (name, text) = match self.meaning {
            Ours(name) => (name, text.to_owned()),
            Translated(name, translate) => (name, translate(text)),
            Field(set) => return set(config, text),
            Search | Nothing => return,
        };
        if let Some(key) = Key::find(name) {
            // What has no meaning here, such as a family of compilers that is unknown, leaves the default.
            let _ = key.put(config, &text);
        }
    }
}

const fn option(
    name: &'static str,
    variables: &'static [&'static str],
    kind: Kind,
    place: Place,
    default: &'static str,
    meaning: Meaning,
) -> CcacheOption {
    CcacheOption { name, variables, kind, place, default, meaning }
}

/// All options in the order of their names.
pub(super) static OPTIONS: [CcacheOption; 51] = [
    option("absolute_paths_in_stderr", &["ABSSTDERR"], Switch, Anywhere, "false", Nothing),
    option("base_dir", &["BASEDIR"], Absolute, Anywhere, "", Ours("base_dir")),
    option("cache_dir", &["DIR"], Text, NoDirectory, "", Search),
    option("ceiling_dirs", &["CEILING_DIRS"], Absolute, NoDirectory, "", Search),
    option("ceiling_markers", &["CEILING_MARKERS"], Text, NoDirectory, ".git", Search),
    option("compiler", &["COMPILER", "CC"], Text, Trusted, "", Ours("compiler")),
    option("compiler_check", &["COMPILERCHECK"], Text, TrustedCommand, "content", Ours("compiler_check")),
    option("compiler_type", &["COMPILERTYPE"], Text, Anywhere, "auto", Translated("compiler_type", family)),
    option("compression", &["COMPRESS"], Switch, Anywhere, "true", Field(compressed)),
    option("compression_level", &["COMPRESSLEVEL"], Integer, Anywhere, "0", Field(level)),
    option("cpp_extension", &["EXTENSION"], Text, Anywhere, "", Nothing),
    option(
        "debug",
        &["DEBUG"],
        Switch,
        Anywhere,
        "false",
        Field(|config, text| {
            config.debug = if text == "true" { DebugFiles::AsCcache } else { DebugFiles::Off };
        }),
    ),
    option(
        "debug_dir",
        &["DEBUGDIR"],
        Text,
        Trusted,
        "",
        Field(|config, text| config.debug_dir = named(text)),
    ),
    option("debug_level", &["DEBUGLEVEL"], Number, Anywhere, "2", Nothing),
    option("depend_mode", &["DEPEND"], Switch, Anywhere, "false", Ours("depend_mode")),
    option("direct_mode", &["DIRECT"], Switch, Anywhere, "true", Ours("direct_mode")),
    option("disable", &["DISABLE"], Switch, Anywhere, "false", Ours("disable")),
    option("extra_files_to_hash", &["EXTRAFILES"], Text, Anywhere, "", Ours("extra_files_to_hash")),
    option("file_clone", &["FILECLONE"], Switch, Anywhere, "false", Ours("file_clone")),
    option("hard_link", &["HARDLINK"], Switch, Anywhere, "false", Ours("hard_link")),
    option("hash_dir", &["HASHDIR"], Switch, Anywhere, "true", Ours("hash_dir")),
    option("ignore_headers_in_manifest", &["IGNOREHEADERS"], Text, Anywhere, "", Nothing),
    option("ignore_options", &["IGNOREOPTIONS"], Text, Anywhere, "", Ours("ignore_options")),
    option("inode_cache", &["INODECACHE"], Switch, Anywhere, "true", Nothing),
    option("keep_comments_cpp", &["COMMENTS"], Switch, Anywhere, "false", Ours("keep_comments_cpp")),
    option("libexec_dirs", &["LIBEXEC_DIRS"], Text, Trusted, "", Nothing),
    option("limit_multiple", &["LIMIT_MULTIPLE"], Text, NoDirectory, "0.8", Nothing),
    option("log_file", &["LOGFILE"], Text, Trusted, "", Translated("log_file", log_file)),
    option("max_files", &["MAXFILES"], Number, NoDirectory, "0", Ours("max_files")),
    option("max_size", &["MAXSIZE"], Size, NoDirectory, "5GiB", Ours("max_size")),
    option("msvc_dep_prefix", &["MSVC_DEP_PREFIX"], Text, Anywhere, "Note: including file:", Nothing),
    option("msvc_utf8", &["MSVC_UTF8"], Switch, Anywhere, "true", Nothing),
    option("namespace", &["NAMESPACE"], Text, Anywhere, "", Translated("namespace", namespace)),
    option("path", &["PATH"], Text, Trusted, "", Ours("path")),
    option(
        "pch_external_checksum",
        &["PCH_EXTSUM"],
        Switch,
        Anywhere,
        "false",
        Field(|config, text| config.pch_external_checksum = text == "true"),
    ),
    option("prefix_command", &["PREFIX"], Text, Trusted, "", Ours("prefix_command")),
    option("prefix_command_cpp", &["PREFIX_CPP"], Text, Trusted, "", Ours("prefix_command_cpp")),
    option("read_only", &["READONLY"], Switch, Anywhere, "false", Ours("read_only")),
    option("read_only_direct", &["READONLY_DIRECT"], Switch, Anywhere, "false", Ours("read_only_direct")),
    option("recache", &["RECACHE"], Switch, Anywhere, "false", Ours("recache")),
    option("remote_only", &["REMOTE_ONLY"], Switch, Anywhere, "false", Ours("remote_only")),
    option("remote_storage", &["REMOTE_STORAGE", "SECONDARY_STORAGE"], Storage, Trusted, "", Field(shared)),
    option("reshare", &["RESHARE"], Switch, Anywhere, "false", Ours("reshare")),
    option(
        "response_file_format",
        &["RESPONSE_FILE_FORMAT"],
        Text,
        Anywhere,
        "auto",
        Ours("response_file_format"),
    ),
    option("run_second_cpp", &["CPP2"], Switch, Anywhere, "true", Nothing),
    option("safe_dirs", &["SAFE_DIRS"], Text, NoDirectory, "", Search),
    option("sloppiness", &["SLOPPINESS"], Text, Anywhere, "", Translated("sloppiness", sloppiness)),
    option("stats", &["STATS"], Switch, Anywhere, "true", Ours("stats")),
    option(
        "stats_log",
        &["STATSLOG"],
        Text,
        Trusted,
        "",
        Field(|config, text| config.stats_log = named(text)),
    ),
    option("temporary_dir", &["TEMPDIR"], Text, Trusted, "", Translated("temporary_dir", absolute)),
    option("umask", &["UMASK"], Octal, Trusted, "", Translated("umask", mask)),
];

/// Puts a family of compilers into our words: those that are neither gcc nor clang run untouched.
fn family(text: &str) -> String {
    let others = ["clang-cl", "icl", "icx", "icx-cl", "msvc", "nvcc", "qcc"];
    if others.contains(&text) { "other".to_owned() } else { text.to_owned() }
}

/// Our log is a file; the system's log is none.
fn log_file(text: &str) -> String {
    if text == "syslog" { String::new() } else { absolute(text) }
}

/// Seen from the working directory.
fn absolute(text: &str) -> String {
    match std::path::absolute(text) {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(_) => String::new(),
    }
}

fn shared(config: &mut Config, text: &str) {
    config.shared = remote::parse(text).unwrap_or_default();
}

fn compressed(config: &mut Config, text: &str) {
    config.packing = if text == "true" { Packing::default() } else { Packing::Raw };
}

/// What is not compressed has no level. Options are applied in the order of their names, so that is known here.
fn level(config: &mut Config, text: &str) {
    if let (Packing::Level(_), Ok(packing)) = (config.packing, packing(text)) {
        config.packing = packing;
    }
}

/// Reads a level of compression; 0 leaves it to us.
///
/// # Errors
/// It is no number of ccache's range, -128 to 127.
pub(super) fn packing(text: &str) -> Result<Packing, ParseIntError> {
    Ok(match text.parse::<i8>()? {
        0 => Packing::default(),
        level => Packing::Level(level.into()),
    })
}

/// Nothing names no file.
fn named(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(absolute(text)))
}

/// Our namespaces have few letters; another text stands for itself by its digest.
pub(super) fn namespace(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text {
        "" => "default".to_owned(),
        _ if text.len() <= 64 && text.bytes().all(plain) && text != "default" => text.to_owned(),
        _ => format!("ccache-{}", &blake3::hash(text.as_bytes()).to_hex()[..40]),
    }
}

/// Leaves out words that nobody knows, as ccache does.
fn sloppiness(text: &str) -> String {
    let known = |word: &&str| {
        Key::find("sloppiness").is_some_and(|key| key.put(&mut Config::default(), word).is_ok())
    };
    let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty()).filter(known);
    words.collect::<Vec<_>>().join(",")
}

/// Three digits are enough here.
fn mask(text: &str) -> String {
    Octal.show(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed_and_is_ours_where_the_option_means_a_key_of_ours() {
        assert!(OPTIONS.is_sorted_by(|a, b| a.name < b.name));
        for option in &OPTIONS {
            assert_eq!(option.kind.problem(option.default), None, "{}", option.name);
            let mut config = Config::default();
            option.apply(&mut config, option.default);
            // Where nothing is said, each project decides; ccache has no word for that.
            let ours = option.name == "depend_mode" || config == Config::default();
            assert!(ours, "{}", option.name);
            if let Ours(name) | Translated(name, _) = option.meaning {
                assert!(Key::find(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn values_are_put_into_our_words() {
        assert_eq!((family("nvcc"), family("gcc")), ("other".to_owned(), "gcc".to_owned()));
        assert_eq!(sloppiness("foo, time_macros\tlocale"), "time_macros,locale");
        assert_eq!(namespace("a.b"), "a.b");
        assert_eq!(namespace(""), "default");
        assert!(namespace("a b").starts_with("ccache-") && namespace("a b") != namespace("a  b"));
        assert_ne!(namespace("default"), "default", "a name that was said is not the unnamed one");
        assert_eq!((log_file("syslog"), log_file("/x")), (String::new(), "/x".to_owned()));
    }
}
