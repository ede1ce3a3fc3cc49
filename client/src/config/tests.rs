//! What a configuration file and variables mean, and how errors name their place.

use super::*;

fn home_with(text: &str) -> (tempfile::TempDir, Home) {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join(FILE_NAME), text).unwrap();
    let home = Home::open(place.path()).unwrap();
    (place, home)
}

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::load(&home_with(text).1, |_| None)
}

#[test]
fn without_file_and_variables_the_defaults_hold() {
    let place = tempfile::tempdir().unwrap();
    let home = Home::open(place.path()).unwrap();
    assert_eq!(Config::load(&home, |_| None).unwrap(), Config::default());
}

#[test]
fn variables_override_the_file() {
    let (_place, home) = home_with("max_size = \"1Gi\"\nread_only = true\n");
    let variable = |name: &str| (name == "DCCACHE_MAX_SIZE").then(|| "2Gi".into());
    let config = Config::load(&home, variable).unwrap();
    assert_eq!((config.max_size, config.read_only), (2 << 30, true));
}

#[test]
fn an_error_names_file_line_key_and_what_is_allowed() {
    let message = load("# hello\nread_only = true\nmax_size = \"big\"\n").unwrap_err().to_string();
    for part in ["dccache.toml:3: ", "max_size", "big", "powers of 1024"] {
        assert!(message.contains(part), "{message}");
    }
    let message = load("\nmaxsize = \"1Gi\"\n").unwrap_err().to_string();
    for part in ["dccache.toml:2: ", "\"maxsize\"", "perhaps max_size"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(load("read_only = true\n= 3").unwrap_err().to_string().contains("dccache.toml:2: "));
}

#[test]
fn every_key_shows_a_text_that_sets_it_again() {
    for key in &KEYS {
        let shown = (key.show)(&Config::default());
        let mut config = Config::default();
        assert_eq!((key.set)(&mut config, &shown), Ok(()), "{}", key.name);
        assert_eq!(config, Config::default(), "{}", key.name);
        assert_eq!(key.variable, format!("DCCACHE_{}", key.name.to_uppercase()));
    }
    assert!(KEYS.is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn setting_a_key_keeps_every_other_line() {
    let (_place, home) = home_with("# mine\nmax_size = \"1Gi\" # small\nread_only = false\n");
    set(&home, "max_size", "2Gi").unwrap();
    set(&home, "stats", "false").unwrap();
    let text = std::fs::read_to_string(home.path().join(FILE_NAME)).unwrap();
    assert_eq!(text, "# mine\nmax_size = \"2Gi\"\nread_only = false\nstats = \"false\"\n");
    assert!(set(&home, "max_size", "x").is_err());
    assert!(set(&home, "no_such", "x").is_err());
    assert_eq!(std::fs::read_to_string(home.path().join(FILE_NAME)).unwrap(), text);
}

#[test]
fn sizes_are_read_as_people_write_them() {
    let cases = [("5", 5 << 30), ("0", 0), ("100k", 100_000), ("1.5G", 1_500_000_000), ("2Mi", 2 << 20)];
    for (text, size) in cases {
        assert_eq!(parse_size(text), Some(size), "{text}");
    }
    assert_eq!(parse_size("5GiB"), Some(5 << 30));
    for text in ["", "G", "-1", "1e9", "99999999999T", "1.1.1", "1 Q"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
}

#[test]
fn every_key_is_documented() {
    let page = include_str!("../../../docs/configuration.md");
    for key in &KEYS {
        assert!(page.contains(&format!("`{}`", key.name)), "{} is missing", key.name);
        assert!(page.contains(key.variable), "{} is missing", key.variable);
    }
}

/// A user's directory and a project whose sources lie below it.
struct Machine {
    _place: tempfile::TempDir,
    home: Home,
    system: PathBuf,
    project: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let project = place.path().join("project");
        std::fs::create_dir_all(project.join("src/deep")).unwrap();
        std::fs::create_dir(project.join(".git")).unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        Self { home, system: place.path().join("system.toml"), project, _place: place }
    }

    fn load(&self, variables: &[(&str, &str)], words: &[&str]) -> Result<Loaded, ConfigError> {
        let variable = |name: &str| match name {
            "DCCACHE_SYSTEM_CONFIG" => Some(self.system.clone().into_os_string()),
            _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()),
        };
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let directory = self.project.join("src/deep");
        Sources { home: &self.home, directory: Some(&directory), variable: &variable, words: &words }.load()
    }

    fn project_says(&self, text: &str) -> Result<Loaded, ConfigError> {
        std::fs::write(self.project.join(FILE_NAME), text).unwrap();
        self.load(&[], &[])
    }
}

#[test]
fn a_word_beats_a_variable_beats_the_project_beats_the_user_beats_the_system() {
    let machine = Machine::new();
    let namespace = |loaded: &Loaded| {
        let key = Key::find("namespace").unwrap();
        ((key.show)(&loaded.config), loaded.origin(key))
    };
    let shown = |path: &std::path::Path| path.display().to_string();
    let user = machine.home.path().join(FILE_NAME);
    let project = machine.project.join(FILE_NAME);
    assert_eq!(namespace(&machine.load(&[], &[]).unwrap()), ("default".into(), "default".into()));
    for (file, name) in [(&machine.system, "system"), (&user, "user"), (&project, "project")] {
        std::fs::write(file, format!("namespace = \"{name}\"\n")).unwrap();
        assert_eq!(namespace(&machine.load(&[], &[]).unwrap()), (name.into(), shown(file)));
    }
    let variable = [("DCCACHE_NAMESPACE", "variable")];
    let by_variable = machine.load(&variable, &[]).unwrap();
    assert_eq!(namespace(&by_variable), ("variable".into(), "environment".into()));
    let by_word = machine.load(&variable, &["namespace=word"]).unwrap();
    assert_eq!(namespace(&by_word), ("word".into(), "command line".into()));
    assert_eq!(by_word.files, [machine.system, user, project]);
}

#[test]
fn every_file_that_is_looked_for_is_told_although_it_is_absent() {
    let machine = Machine::new();
    let files = machine.load(&[], &[]).unwrap().files;
    let expected = [&machine.system, &machine.home.path().join(FILE_NAME), &machine.project.join(FILE_NAME)];
    assert_eq!(files.iter().collect::<Vec<_>>(), expected);
    assert!(files.iter().all(|file| !file.exists()));
}

#[test]
fn a_project_may_only_say_what_is_harmless() {
    let machine = Machine::new();
    let loaded = machine.project_says("read_only = true\nextra_files_to_hash = [\"a.txt\", \"sub/b.txt\"]\n");
    let config = loaded.unwrap().config;
    assert!(config.read_only);
    let files = ["a.txt", "sub/b.txt"].map(|name| machine.project.join(name));
    assert_eq!(config.extra_files_to_hash, files, "below the project, wherever the compile runs");
    let harmless = KEYS.iter().filter(|key| key.project == keys::InProject::Harmless);
    let harmless: Vec<_> = harmless.map(|key| key.name).collect();
    for key in &KEYS {
        let value = (key.show)(&Config::default());
        let outcome = machine.project_says(&format!("{} = {value:?}\n", key.name));
        let allowed = harmless.contains(&key.name) || key.name == "extra_files_to_hash";
        assert_eq!(outcome.is_ok(), allowed, "{}", key.name);
    }
    let verify =
        |text: &str| machine.project_says(&format!("verify = {text:?}\n")).map(|loaded| loaded.config.verify);
    assert_eq!(verify("always").ok(), Verify::parse("always"));
    assert!(verify("0.5").is_err(), "a project does not lower what its user asked for");
    for files in ["/etc/passwd", "../x", "a/../../x"] {
        let text = machine.project_says(&format!("\nextra_files_to_hash = [\"{files}\"]\n")).unwrap_err();
        let text = text.to_string();
        assert!(text.contains("dccache.toml:2: extra_files_to_hash: not in a project's file"), "{text}");
    }
}

#[test]
fn a_project_file_of_another_user_says_nothing() {
    let machine = Machine::new();
    assert!(machine.project_says("read_only = true\n").unwrap().config.read_only);
    let file = machine.project.join(FILE_NAME);
    let nobody = std::os::unix::fs::chown(&file, Some(65534), None);
    if nobody.is_err() {
        eprintln!("SKIPPED: giving a file away needs root, so this test proves nothing here");
        return;
    }
    assert_eq!(rustix::process::geteuid().as_raw(), 0, "only root can have given it away");
    assert!(!machine.load(&[], &[]).unwrap().config.read_only);
}

#[test]
fn words_that_are_wrong_name_key_and_what_is_allowed() {
    let machine = Machine::new();
    let message = |word: &str| machine.load(&[], &[word]).unwrap_err().to_string();
    assert!(message("read_only=maybe").contains("read_only: \"maybe\" is not allowed; true or false"));
    assert!(message("readonly=true").contains("perhaps read_only"));
}

#[test]
fn lists_are_written_as_arrays_or_as_text() {
    let machine = Machine::new();
    let user = |text: &str| {
        std::fs::write(machine.home.path().join(FILE_NAME), text).unwrap();
        machine.load(&[], &[]).map(|loaded| loaded.config)
    };
    let config = user("base_dir = [\"/a\", \"/b\"]\nsloppiness = [\"locale\", \"time_macros\"]\n").unwrap();
    assert_eq!(config.base_dir, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert!(config.sloppiness.locale && config.sloppiness.time_macros && !config.sloppiness.incbin);
    assert_eq!(user("base_dir = \"/a:/b\"\n").unwrap().base_dir, config.base_dir);
    assert_eq!(user("verify = 0.01\n").unwrap().verify, user("verify = \"0.01\"\n").unwrap().verify);
    assert!(!user("verify = 1\n").unwrap().verify.is_never() && user("verify = 1.5\n").is_err());
    for wrong in ["base_dir = [\"/a:b\"]\n", "base_dir = [\"a\"]\n", "max_size = [\"1G\"]\n"] {
        assert!(user(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_value_that_spans_lines_is_not_torn_by_setting_it() {
    let (_place, home) = home_with("base_dir = [\n\"/a\",\n]\n");
    assert!(set(&home, "base_dir", "/b").is_err());
    let text = std::fs::read_to_string(home.path().join(FILE_NAME)).unwrap();
    assert_eq!(text, "base_dir = [\n\"/a\",\n]\n");
}
