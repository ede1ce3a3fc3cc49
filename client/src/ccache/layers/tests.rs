//! Which of the places where an option can be set holds, and what is refused where.

use super::*;
use std::collections::BTreeMap;
use std::fs;

/// Directories and variables of one user.
struct User {
    place: tempfile::TempDir,
    variables: BTreeMap<String, OsString>,
}

impl User {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name).into_os_string();
        let variables = [
            ("HOME".to_owned(), at("user")),
            ("CCACHE_DIR".to_owned(), at("cache")),
            (SYSTEM_VARIABLE.to_owned(), at("system.conf")),
        ];
        let user = Self { variables: variables.into(), place };
        fs::create_dir_all(user.work()).unwrap();
        user
    }

    fn work(&self) -> PathBuf {
        self.place.path().join("user/project/deep")
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.into());
    }

    fn read(&self, words: &[&str]) -> Result<Loaded, ConfFault> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let variable = |name: &str| self.variables.get(name).cloned();
        let work = self.work();
        Loaded::read(&Given { variable: &variable, directory: Some(&work), words: &words })
    }

    fn namespace(&self, words: &[&str]) -> String {
        self.read(words).unwrap().text("namespace").to_owned()
    }
}

#[test]
fn words_win_over_variables_over_the_directory_over_the_cache_over_the_system() {
    let mut user = User::new();
    assert_eq!(user.namespace(&[]), "");
    user.write("system.conf", "namespace = system\n");
    assert_eq!(user.namespace(&[]), "system");
    user.write("cache/ccache.conf", "namespace = cache\n");
    assert_eq!(user.namespace(&[]), "cache");
    user.write("user/project/ccache.conf", "namespace = directory\n");
    assert_eq!(user.namespace(&[]), "directory");
    user.set("CCACHE_NAMESPACE", "environment");
    assert_eq!(user.namespace(&[]), "environment");
    assert_eq!(user.namespace(&["namespace=word", "no_such=1"]), "word");
    assert_eq!(user.read(&["namespace=word"]).unwrap().origin("namespace"), &Origin::CommandLine);
    user.variables.remove("CCACHE_NAMESPACE");
    let only = user.write("only.conf", "max_files = 3\n");
    user.set("CCACHE_CONFIGPATH", only.to_str().unwrap());
    let loaded = user.read(&[]).unwrap();
    assert_eq!((loaded.text("namespace"), loaded.text("max_files")), ("", "3"));
    assert_eq!(loaded.files, [only]);
}

#[test]
fn without_a_directory_of_the_cache_its_file_is_where_ccache_has_it() {
    let mut user = User::new();
    user.variables.remove("CCACHE_DIR");
    let own = |user: &User| {
        user.read(&[]).unwrap().own_file.unwrap().strip_prefix(user.place.path()).unwrap().to_owned()
    };
    assert_eq!(own(&user), Path::new("user/.config/ccache/ccache.conf"));
    let base = user.place.path().join("base");
    user.set("XDG_CONFIG_HOME", base.to_str().unwrap());
    assert_eq!(own(&user), Path::new("base/ccache/ccache.conf"));
    fs::create_dir(user.place.path().join("user/.ccache")).unwrap();
    assert_eq!(own(&user), Path::new("user/.ccache/ccache.conf"));
    let moved = user.place.path().join("moved");
    user.write("system.conf", &format!("cache_dir = {}\n", moved.display()));
    assert_eq!(own(&user), Path::new("moved/ccache.conf"));
    assert_eq!(user.read(&[]).unwrap().cache_dir(), Some(moved));
}

#[test]
fn the_search_for_a_directorys_file_ends_at_a_marker_and_before_a_ceiling() {
    let mut user = User::new();
    user.write("user/ccache.conf", "namespace = home\n");
    assert_eq!(user.namespace(&[]), "", "the home directory is a ceiling");
    user.set("CCACHE_CEILING_DIRS", "/nowhere");
    assert_eq!(user.namespace(&[]), "home");
    let mark = user.place.path().join("user/project/.git");
    fs::create_dir(&mark).unwrap();
    assert_eq!(user.namespace(&[]), "");
    assert!(user.read(&[]).unwrap().ends.contains(&mark));
    user.write("user/project/ccache.conf", "namespace = project\n");
    assert_eq!(user.namespace(&[]), "project", "beside the marker is still looked");
    user.set("CCACHE_CEILING_MARKERS", "stop:here");
    user.write("user/project/deep/here", "");
    assert_eq!(user.namespace(&[]), "");
}

#[test]
fn a_directorys_file_may_say_what_is_safe_and_the_rest_where_the_user_trusts_it() {
    let mut user = User::new();
    let project = user.place.path().join("user/project");
    for line in [
        "log_file = /x",
        "prefix_command = sh",
        "compiler_check = sh -c x",
        "remote_storage = file:/x",
        "umask = 2",
    ] {
        user.write("user/project/ccache.conf", line);
        let said = user.read(&[]).unwrap_err().to_string();
        assert!(said.contains("ccache.conf:1: ") && said.contains("safe_dirs"), "{said}");
        user.set("CCACHE_SAFE_DIRS", project.to_str().unwrap());
        user.read(&[]).unwrap();
        user.variables.remove("CCACHE_SAFE_DIRS");
    }
    user.write("user/project/ccache.conf", "compiler_check = string:1\nsloppiness = locale\n");
    assert!(user.read(&[]).unwrap().config().sloppiness.locale);
    for line in ["max_size = 1G", "cache_dir = /x", "safe_dirs = *"] {
        user.write("user/project/ccache.conf", line);
        assert!(user.read(&[]).unwrap_err().to_string().contains("is not allowed"), "{line}");
    }
    let file = user.write("user/project/ccache.conf", "namespace = x\n");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert!(user.read(&[]).unwrap_err().to_string().contains("everybody may write"));
}

#[test]
fn a_switch_that_is_set_is_on_and_a_negative_value_is_an_error() {
    let mut user = User::new();
    let on = |user: &User| user.read(&[]).unwrap().is_on("direct_mode");
    assert!(on(&user));
    user.set("CCACHE_NODIRECT", "");
    assert!(!on(&user));
    user.set("CCACHE_DIRECT", "1");
    assert!(!on(&user), "the negation wins");
    user.variables.remove("CCACHE_NODIRECT");
    assert!(on(&user));
    for value in ["0", "false", "No", "DISABLE"] {
        for name in ["CCACHE_DIRECT", "CCACHE_NODIRECT", "CCACHE_NOCOMPRESS"] {
            let mut user = User::new();
            user.set(name, value);
            let said = user.read(&[]).unwrap_err().to_string();
            assert!(said.starts_with(name) && said.contains(value), "{said}");
        }
    }
}

#[test]
fn values_are_expanded_and_what_they_hang_on_is_known() {
    let mut user = User::new();
    user.set("WHERE", "/w");
    user.write("cache/ccache.conf", "base_dir = $HOME\n");
    let loaded = user.read(&[]).unwrap();
    assert_eq!(loaded.config().base_dir, [user.place.path().join("user")]);
    assert!(loaded.steady, "HOME is in the name of every record");
    user.set("CCACHE_BASEDIR", "${WHERE}/x");
    let loaded = user.read(&[]).unwrap();
    assert_eq!((loaded.config().base_dir, loaded.steady), (vec![PathBuf::from("/w/x")], false));
    assert!(user.read(&["base_dir=$NOPE"]).unwrap_err().to_string().contains("NOPE"));
}
