//! What was counted while nobody looked: faults that compiles met, and damage that nodes found on their disks.

use super::Check;
use crate::agent::ask;
use crate::agent::place::Place;
use crate::explain::advice;
use crate::home::Home;
use crate::stats;
use std::time::{SystemTime, UNIX_EPOCH};

const HOUR_MS: u64 = 3_600_000;

/// Faults older than this are no news, in ms.
const NEWS_MS: u64 = 24 * HOUR_MS;

/// Names each fault that compiles of the last day met; one of the last hour is worth a warning.
pub(super) fn faults(home: &Home) -> Vec<Check> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let day = stats::read(home, now.saturating_sub(NEWS_MS)).faults;
    let hour = stats::read(home, now.saturating_sub(HOUR_MS)).faults;
    let check = |(name, count): (&String, &u64)| {
        let recent = hour.get(name).copied().unwrap_or(0);
        let title = format!("fault {name}");
        let text = format!("met {recent} times in the last hour, {count} in the last 24 h");
        match recent {
            0 => Check::ok(title, text),
            _ => Check::warn(title, text, advice(name).unwrap_or("`dccache explain` shows the last compile")),
        }
    };
    day.iter().map(check).collect()
}

/// Names each node that found damaged records on its disk since its start. Asks through the agent that runs; without one, nobody.
pub(super) fn damage(home: &Home) -> Vec<Check> {
    let members = ask::cluster(&Place::new(home.path())).unwrap_or_default();
    let damaged = members.iter().filter_map(|(name, status)| {
        let count = status.as_ref()?.quarantined;
        (count > 0).then(|| {
            Check::warn(
                format!("node {} disk", name.get(..8).unwrap_or(name)),
                format!("{count} damaged records were quarantined since that node started"),
                "nothing acknowledged is lost while another node has them; look at that machine's disk",
            )
        })
    });
    damaged.collect()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use crate::stats::{Event, append};

    #[test]
    fn faults_of_the_last_hour_warn_with_advice_older_ones_are_shown_and_old_ones_are_not() {
        let scratch = tempfile::tempdir().unwrap();
        let home = Home::open(&scratch.path().join("home")).unwrap();
        assert_eq!(faults(&home), []);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        for (age, fault) in [
            (0, "corrupt_entry"),
            (0, "ring_timed_out"),
            (2, "ring_timed_out"),
            (2, "agent_busy"),
            (30, "old"),
        ] {
            let faults = vec![fault.to_owned()];
            append(&home, &Event { at_ms: now - age * HOUR_MS, faults, ..Event::default() }).unwrap();
        }
        let found = faults(&home);
        let states: Vec<_> = found.iter().map(|check| (check.name.as_str(), check.state)).collect();
        let expected = [
            ("fault agent_busy", State::Ok),
            ("fault corrupt_entry", State::Warn),
            ("fault ring_timed_out", State::Warn),
        ];
        assert_eq!(states, expected);
        assert!(found[1].advice.contains("disk"), "{}", found[1]);
        assert!(found[2].found.contains("met 1 times in the last hour, 2 in"), "{}", found[2]);
    }
}
