//! The options of ccache's own command line, as data, and reading them as `getopt_long` does.

use std::ffi::OsString;

/// One option.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flag {
    /// Its name behind two dashes.
    pub(super) long: &'static str,
    /// Its letter behind one.
    pub(super) short: Option<char>,
    /// What its argument is called; `None` where it takes none.
    pub(super) argument: Option<&'static str>,
    /// What it does.
    pub(super) help: &'static str,
}

const fn flag(
    long: &'static str,
    short: Option<char>,
    argument: Option<&'static str>,
    help: &'static str,
) -> Flag {
    Flag { long, short, argument, help }
}

/// All options in the order in which they are shown.
pub(super) static FLAGS: [Flag; 34] = [
    flag("cleanup", Some('c'), None, "bring the cache below its bounds and count anew what it holds"),
    flag("clear", Some('C'), None, "remove everything that is cached; configuration and statistics stay"),
    flag("config-path", None, Some("PATH"), "let the other options read and write this configuration file"),
    flag("dir", Some('d'), Some("PATH"), "let the other options work on this cache directory"),
    flag("dry-run", None, None, "write and remove nothing"),
    flag("evict-namespace", None, Some("NAMESPACE"), "remove what was cached in this namespace"),
    flag(
        "evict-older-than",
        None,
        Some("AGE"),
        "remove what was not used for so many days (7d) or seconds (90s)",
    ),
    flag("max-files", Some('F'), Some("NUMBER"), "keep at most so many files; 0: no bound"),
    flag(
        "max-size",
        Some('M'),
        Some("SIZE"),
        "keep at most so many bytes: kB, MB, GB, TB, KiB, MiB, GiB (default), TiB; 0: no bound",
    ),
    flag(
        "recompress",
        Some('X'),
        Some("LEVEL"),
        "compress everything cached at this level, or \"uncompressed\"",
    ),
    flag("set-config", Some('o'), Some("KEY=VALUE"), "write an option into the configuration file"),
    flag("show-compression", Some('x'), None, "show how far the cache is compressed"),
    flag("show-config", Some('p'), None, "show all options, what holds here, and where it was said"),
    flag("show-log-stats", None, None, "show what the statistics log counts"),
    flag("show-stats", Some('s'), None, "show statistics; with -v and -vv more of them"),
    flag("threads", None, Some("NUMBER"), "accepted; one thread is enough"),
    flag("verbose", Some('v'), None, "show more"),
    flag("zero-stats", Some('z'), None, "set all counters to 0"),
    flag("help", Some('h'), None, "show this"),
    flag("version", Some('V'), None, "show the version"),
    flag("trim-dir", None, Some("PATH"), "remove what was not used for longest from a shared directory"),
    flag("trim-max-size", None, Some("SIZE"), "how much --trim-dir leaves; 0: all of it"),
    flag("trim-method", None, Some("METHOD"), "which time --trim-dir goes by: atime (default) or mtime"),
    flag("trim-recompress", None, Some("LEVEL"), "accepted; what is shared is compressed as it is stored"),
    flag("checksum-file", None, Some("PATH"), "print the XXH3 checksum of a file, 128 bits"),
    flag("extract-result", None, Some("PATH"), "write what a cached result holds to files ccache-result.*"),
    flag("format", None, Some("FORMAT"), "of --print-stats and --print-log-stats: tab (default) or json"),
    flag("get-config", Some('k'), Some("KEY"), "print the value of an option"),
    flag("hash-file", None, Some("PATH"), "print the BLAKE3 hash of a file, its first 160 bits"),
    flag("inspect", None, Some("PATH"), "say what a file of the cache holds"),
    flag("stop-storage-helpers", None, None, "accepted; there are none"),
    flag("print-log-stats", None, None, "print what the statistics log counts, for scripts"),
    flag("print-stats", None, None, "print all counters, for scripts"),
    flag("print-version", None, None, "print the version alone"),
];

/// Names that options had in earlier versions; both versions of ccache still take them.
const FORMER: [(&str, &str); 5] = [
    ("directory", "dir"),
    ("dump-manifest", "inspect"),
    ("dump-result", "inspect"),
    ("recompress-threads", "threads"),
    ("trim-recompress-threads", "threads"),
];

/// Reads words as options, each with its argument; other words are passed over.
///
/// # Errors
/// The first word that is no option, or that lacks its argument.
pub(super) fn parse(words: &[OsString]) -> Result<Vec<(&'static Flag, String)>, String> {
    let mut options = Vec::new();
    let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, given) =
                long.split_once('=').map_or((long, None), |(name, given)| (name, Some(given)));
            let flag = by_name(name).ok_or_else(|| format!("unknown option --{name}"))?;
            options.push((flag, argument(flag, given.map(str::to_owned), &mut words)?));
        } else if let Some(letters) = word.strip_prefix('-') {
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                let flag = FLAGS.iter().find(|flag| flag.short == Some(letter));
                let flag = flag.ok_or_else(|| format!("unknown option -{letter}"))?;
                let rest = Some(letters.as_str().to_owned())
                    .filter(|rest| flag.argument.is_some() && !rest.is_empty());
                if rest.is_some() {
                    letters = "".chars();
                }
                options.push((flag, argument(flag, rest, &mut words)?));
            }
        }
    }
    Ok(options)
}

/// Finds an option by its name, by one that it had, or by the only one that begins so.
fn by_name(name: &str) -> Option<&'static Flag> {
    let name = FORMER.iter().find(|(former, _)| *former == name).map_or(name, |(_, now)| now);
    let exact = FLAGS.iter().find(|flag| flag.long == name);
    exact.or_else(|| {
        let mut begun = FLAGS.iter().filter(|flag| flag.long.starts_with(name));
        begun.next().filter(|_| begun.next().is_none())
    })
}

fn argument(
    flag: &Flag,
    given: Option<String>,
    words: &mut impl Iterator<Item = String>,
) -> Result<String, String> {
    match (flag.argument, given) {
        (None, None) => Ok(String::new()),
        (None, Some(_)) => Err(format!("--{} takes no argument", flag.long)),
        (Some(_), Some(given)) => Ok(given),
        (Some(name), None) => words.next().ok_or_else(|| format!("--{} needs {name}", flag.long)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Vec<(&'static str, String)>, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        parse(&words).map(|options| options.into_iter().map(|(flag, given)| (flag.long, given)).collect())
    }

    #[test]
    fn letters_stand_together_and_arguments_behind_or_after_them() {
        let pair = |name, given: &str| (name, given.to_owned());
        assert_eq!(
            read(&["-svv"]).unwrap(),
            [pair("show-stats", ""), pair("verbose", ""), pair("verbose", "")]
        );
        for words in [&["-k", "umask"][..], &["-kumask"], &["--get-config", "umask"], &["--get-config=umask"]]
        {
            assert_eq!(read(words).unwrap(), [pair("get-config", "umask")]);
        }
        assert_eq!(read(&["--directory", "/x"]).unwrap(), [pair("dir", "/x")]);
        assert_eq!(read(&["--recompress-threads=2"]).unwrap(), [pair("threads", "2")]);
        assert_eq!(read(&["-zk", "umask", "rest", "-s"]).unwrap().len(), 3);
        assert_eq!(read(&["--show-comp"]).unwrap(), [pair("show-compression", "")]);
        for words in [&["--nope"][..], &["-Q"], &["-k"], &["--clear=1"], &["--show"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
