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
