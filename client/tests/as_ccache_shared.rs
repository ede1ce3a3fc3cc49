//! Called as `ccache`: a shared directory as a further place to look in.
#![allow(clippy::unwrap_used, reason = "a test may end where it stands")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use support::LATER;
use support::ccache::Switched;

/// Two users with caches of their own and a directory between them.
struct Users {
    switched: Switched,
}

impl Users {
    fn new() -> Self {
        Self { switched: Switched::new() }
    }

    fn directory(&self) -> PathBuf {
        self.switched.place.root().join("shared")
    }

    fn storage(&self) -> String {
        format!("file:{}", self.directory().display())
    }

    /// Compiles as a user; returns the object and what was counted.
    fn compile(
        &self,
        user: &str,
        variables: &[(&str, &str)],
        words: &[&str],
    ) -> (Vec<u8>, BTreeMap<String, u64>) {
        let cache = self.switched.place.root().join(user);
        let storage = self.storage();
        let mut all = vec![("CCACHE_DIR", cache.to_str().unwrap()), ("CCACHE_REMOTE_STORAGE", &storage)];
        all.extend(variables);
        self.switched.said(&all, &["-z"]);
        let object = self.switched.place.file("a.o");
        let _ = fs::remove_file(&object);
        self.switched.said(&all, words);
        let counts = self.switched.said(&all, &["--print-stats"]);
        let pairs = counts.lines().filter_map(|line| line.split_once('\t'));
        let counts = pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap()));
        (fs::read(object).unwrap(), counts.filter(|(_, count)| *count > 0).collect())
    }

    /// Files of the directory of some kinds.
    fn files(&self, kinds: &[&str]) -> Vec<PathBuf> {
        let Ok(shards) = fs::read_dir(self.directory().join("objects")) else { return Vec::new() };
        let files = shards
            .flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap())
            .map(|file| file.unwrap().path());
        let kind = |file: &PathBuf| {
            kinds.iter().any(|kind| file.file_name().unwrap().to_string_lossy().starts_with(kind))
        };
        files.filter(kind).collect()
    }
}

const GCC: &[&str] = &["gcc", "-c", "a.c"];

fn assert_has(counts: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    for (name, count) in expected {
        assert_eq!(counts.get(*name).copied().unwrap_or(0), *count, "{name} in {counts:?}");
    }
}

#[test]
fn what_one_user_compiles_is_a_direct_hit_of_another_and_then_its_own() {
    let users = Users::new();
    let (plain, counts) = users.compile("one", &[], GCC);
    assert_has(
        &counts,
        &[
            ("cache_miss", 1),
            ("remote_storage_miss", 1),
            ("remote_storage_read_miss", 2),
            ("remote_storage_write", 2),
        ],
    );
    let (object, counts) = users.compile("two", &[], GCC);
    assert_eq!(object, plain);
    assert_has(
        &counts,
        &[
            ("direct_cache_hit", 1),
            ("remote_storage_hit", 1),
            ("remote_storage_read_hit", 2),
            ("local_storage_miss", 1),
            ("local_storage_write", 2),
            ("files_in_cache", 2),
        ],
    );
    for _ in 0..2 {
        let (object, counts) = users.compile("two", &[LATER], GCC);
        assert_eq!(object, plain);
        assert_has(
            &counts,
            &[("direct_cache_hit", 1), ("local_storage_hit", 1), ("remote_storage_read_hit", 0)],
        );
    }
    // By its text, whoever does without direct mode.
    let (object, counts) = users.compile("three", &[("CCACHE_NODIRECT", "")], GCC);
    assert_eq!(object, plain);
    assert_has(
        &counts,
        &[("preprocessed_cache_hit", 1), ("remote_storage_hit", 1), ("local_storage_write", 1)],
    );
    let of_three = users.switched.place.root().join("three");
    let mut explain = users.switched.place.command(support::DCCACHE);
    let said = explain.arg("explain").env("DCCACHE_DIR", of_three).output().unwrap();
    assert!(support::text(&said.stdout).contains("served by a shared directory"));
}

#[test]
fn a_damaged_file_is_compiled_and_replaced() {
    let users = Users::new();
    let (plain, _) = users.compile("one", &[], GCC);
    let intact: Vec<(PathBuf, Vec<u8>)> = users
        .files(&["d-", "p-", "m-"])
        .into_iter()
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect();
    for (number, cut) in [0, 1, 40, 120, 400].into_iter().enumerate() {
        for (file, bytes) in &intact {
            let mut damaged = bytes.clone();
            if cut < damaged.len() {
                damaged[cut] ^= 0x40;
            }
            fs::write(file, damaged).unwrap();
        }
        let (object, counts) = users.compile(&format!("user{number}"), &[], GCC);
        assert_eq!(object, plain, "damaged at {cut}");
        assert_has(&counts, &[("remote_storage_hit", 0), ("cache_miss", 1)]);
        let (object, counts) = users.compile(&format!("after{number}"), &[], GCC);
        assert_eq!(object, plain, "replaced after damage at {cut}");
        assert_has(&counts, &[("remote_storage_hit", 1), ("direct_cache_hit", 1)]);
    }
}

#[test]
fn reads_and_writes_are_as_the_options_say() {
    let users = Users::new();
    let read_only = format!("{} read-only", users.storage());
    let (_, counts) = users.compile("one", &[("CCACHE_REMOTE_STORAGE", &read_only)], GCC);
    assert_has(&counts, &[("cache_miss", 1), ("remote_storage_write", 0)]);
    assert!(!users.directory().exists());
    // A local hit is not shared, but where that is wished.
    users.compile("one", &[], GCC);
    assert!(users.files(&["d-", "p-"]).is_empty());
    let (_, counts) = users.compile("one", &[("CCACHE_RESHARE", "")], GCC);
    assert_has(&counts, &[("local_storage_hit", 1), ("remote_storage_write", 2)]);
    let (_, counts) = users.compile("two", &[("CCACHE_REMOTE_STORAGE", &read_only)], GCC);
    assert_has(&counts, &[("direct_cache_hit", 1), ("remote_storage_hit", 1)]);
    // Without a local cache everything goes to the directory and comes from it.
    let only = [("CCACHE_REMOTE_ONLY", "")];
    let other = &["gcc", "-O1", "-c", "a.c"][..];
    let (plain, counts) = users.compile("three", &only, other);
    assert_has(
        &counts,
        &[
            ("cache_miss", 1),
            ("remote_storage_write", 2),
            ("local_storage_write", 0),
            ("files_in_cache", 0),
            ("local_storage_miss", 0),
        ],
    );
    let (object, counts) = users.compile("three", &only, other);
    assert_has(&counts, &[("direct_cache_hit", 1), ("remote_storage_hit", 1), ("files_in_cache", 0)]);
    assert_eq!(object, plain);
    // What cannot be reached costs a hit, never a compile.
    let absent = "file:/proc/no/such";
    let (_, counts) = users.compile("four", &[("CCACHE_REMOTE_STORAGE", absent)], GCC);
    assert_has(&counts, &[("cache_miss", 1), ("remote_storage_error", 1)]);
}

#[test]
fn files_have_the_permissions_that_sharing_needs() {
    let users = Users::new();
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open = format!("{} @umask=002", users.storage());
    users.compile("one", &[("CCACHE_REMOTE_STORAGE", &open)], GCC);
    let files = users.files(&["d-", "p-", "m-"]);
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|file| mode(file) == 0o664), "{files:?}");
    assert_eq!(mode(&files[0].parent().unwrap().to_owned()), 0o775);
    assert!(fs::read_dir(users.directory()).unwrap().count() == 1, "no key, no count, no statistics");
}

#[test]
fn a_directory_is_trimmed_by_age_and_a_users_own_cache_is_not() {
    let users = Users::new();
    for option in ["-O0", "-O1", "-O2"] {
        users.compile("one", &[], &["gcc", option, "-c", "a.c"]);
    }
    let files = users.files(&["d-", "p-", "m-"]);
    let old = &files[0];
    File::options()
        .write(true)
        .open(old)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(9000))
        .unwrap();
    let stranger = users.directory().join("objects/0/mine");
    fs::create_dir_all(stranger.parent().unwrap()).unwrap();
    fs::write(&stranger, "x").unwrap();
    let total: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    let directory = users.directory();
    let trim = |size: &str, more: &[&str]| {
        let words = [
            &["--trim-dir", directory.to_str().unwrap(), "--trim-max-size", size, "--trim-method", "mtime"],
            more,
        ]
        .concat();
        users.switched.said(&[], &words)
    };
    let bound = format!("{}k", (total - 1) as f64 / 1000.0);
    assert!(trim(&bound, &["--dry-run"]).starts_with("Would trim"));
    assert!(old.exists());
    assert!(trim("0", &[]).contains("(-0, -0 files)"));
    assert!(trim(&bound, &[]).contains("-1 files"));
    assert!(!old.exists() && stranger.exists());
    trim("0.001k", &[]);
    assert!(users.files(&["d-", "p-", "m-"]).is_empty() && stranger.exists());
    let own = users.switched.place.root().join("one");
    for words in [
        &["--trim-dir", own.to_str().unwrap(), "--trim-max-size", "1k"][..],
        &["--trim-dir", directory.to_str().unwrap()],
        &["--trim-dir", directory.to_str().unwrap(), "--trim-max-size", "1k", "--trim-method", "ctime"],
    ] {
        assert_eq!(users.switched.run(words).status.code(), Some(1), "{words:?}");
    }
}

#[test]
fn a_server_is_refused_with_advice() {
    let switched = Switched::new();
    for storage in ["http://127.0.0.9/x", "redis://127.0.0.9", "crsh:/socket", "/x"] {
        let output = switched.run_under(&[("CCACHE_REMOTE_STORAGE", storage)], GCC);
        assert_eq!(output.status.code(), Some(1));
        assert!(support::text(&output.stderr).contains("dccache join"), "{storage}");
    }
}

#[test]
fn an_edited_comment_costs_another_user_no_compile() {
    let users = Users::new();
    let words = ["gcc", "-O2", "-c", "a.c"];
    let write =
        |note: &str| users.switched.place.write("a.c", format!("int f(void) {{ return 3; }} {note}\n"));
    write("// three");
    let (plain, _) = users.compile("one", &[], &words);
    write("/* edited */");
    let found: &[(&str, u64)] =
        &[("preprocessed_cache_hit", 1), ("remote_storage_hit", 1), ("cache_miss", 0)];
    let (object, counts) = users.compile("two", &[], &words);
    assert_eq!(object, plain);
    assert_has(&counts, found);
    // Whoever finds it so gives it a name by what it reads, for all.
    let (object, counts) = users.compile("three", &[], &words);
    assert_eq!(object, plain);
    assert_has(&counts, &[("direct_cache_hit", 1), ("remote_storage_hit", 1), ("cache_miss", 0)]);
}
