//! `dccache doctor`: looks at everything that a compile depends on, says what is wrong and what to do.
//!
//! Shape: each part returns [`Check`]s; nothing here changes anything or starts an agent.

mod counted;
mod local;
mod ring;

use crate::config::Config;
use crate::home::Home;
use serde::Serialize;
use std::fmt;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or not for much longer.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty when nothing is to be done.
    pub advice: String,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, found: found.into(), advice: String::new() }
    }

    fn warn(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Warn, found: found.into(), advice: advice.into() }
    }

    fn fail(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Fail, found: found.into(), advice: advice.into() }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {:<14} {}", self.state, self.name, self.found)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n      {:<14} -> {}", "", self.advice) }
    }
}

/// Looks at everything; `config` is the configuration, or what is wrong with it. Takes some seconds when nodes do not answer.
pub fn examine(home: &Home, config: Result<Config, String>) -> Vec<Check> {
    let mut checks = Vec::new();
    let config = match config {
        Ok(config) => {
            checks.push(Check::ok("configuration", "every value is allowed"));
            config
        }
        Err(error) => {
            let advice = "correct it; until then every compile runs untouched";
            checks.push(Check::fail("configuration", error, advice));
            Config::default()
        }
    };
    checks.extend(local::compilers(&config));
    checks.extend(local::directory(home));
    checks.push(local::store(home, &config));
    checks.extend(local::agent(home, &config));
    checks.extend(counted::faults(home));
    checks.extend(ring::examine(home));
    checks.extend(counted::damage(home));
    checks
}

/// Returns the exit code that stands for a report: 1 when anything fails.
pub fn exit_code(checks: &[Check]) -> i32 {
    i32::from(checks.iter().any(|check| check.state == State::Fail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Membership;

    fn home() -> (tempfile::TempDir, Home) {
        let scratch = tempfile::tempdir().unwrap();
        let home = Home::open(&scratch.path().join("home")).unwrap();
        (scratch, home)
    }

    fn named<'a>(checks: &'a [Check], name: &str) -> &'a Check {
        checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}: {checks:?}"))
    }

    #[test]
    fn a_fresh_machine_without_a_cluster_fails_nothing() {
        let (_scratch, home) = home();
        let checks = examine(&home, Ok(Config::default()));
        assert_eq!(named(&checks, "directory").state, State::Ok);
        assert_eq!(named(&checks, "store").state, State::Ok);
        assert_eq!(named(&checks, "agent").state, State::Ok);
        assert_eq!(named(&checks, "cluster").state, State::Ok);
        assert!(!Membership::exists(&home.path().join("cluster")));
    }

    #[test]
    fn a_bad_configuration_is_named_and_makes_the_exit_code() {
        let (_scratch, home) = home();
        std::fs::write(home.path().join("dccache.toml"), "max_size = \"much\"\n").unwrap();
        let checks = examine(&home, Config::load(&home, |_| None).map_err(|error| error.to_string()));
        let check = named(&checks, "configuration");
        assert!(check.state == State::Fail && check.found.contains("max_size"), "{check}");
        assert_eq!(exit_code(&checks), 1);
        let fine: Vec<Check> = checks.into_iter().filter(|check| check.state != State::Fail).collect();
        assert_eq!(exit_code(&fine), 0);
    }

    #[test]
    fn a_damaged_membership_and_a_silent_agent_are_named() {
        let (_scratch, home) = home();
        let cluster = home.path().join("cluster");
        std::fs::create_dir(&cluster).unwrap();
        std::fs::write(cluster.join("member.json"), "{").unwrap();
        let place = crate::agent::place::Place::new(home.path());
        place.prepare().unwrap();
        let _silent = std::os::unix::net::UnixListener::bind(place.socket()).unwrap();
        let checks = examine(&home, Ok(Config::default()));
        let (cluster, agent) = (named(&checks, "cluster"), named(&checks, "agent"));
        assert!(cluster.state == State::Fail && cluster.found.contains("member.json"), "{cluster}");
        assert!(agent.state == State::Fail && agent.found.contains("in time"), "{agent}");
    }
}
