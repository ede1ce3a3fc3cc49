//! Showing statistics and forgetting them.

use super::{Context, Failure};
use crate::ccache::counters::Counters;
use crate::ccache::layers::Loaded;
use crate::ccache::report::{Table, for_scripts};
use crate::process::local_time;
use crate::say::{answer, say};
use crate::stats::{clear, times};
use crate::store::Store;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

impl Context {
    fn counters(&self) -> Result<(Loaded, Counters), Failure> {
        let loaded = self.loaded()?;
        let home = self.home(&loaded)?;
        let counters = Counters::of(&home, &loaded.config());
        Ok((loaded, counters))
    }

    pub(super) fn print_stats(&self) -> Result<(), Failure> {
        let (_, counters) = self.counters()?;
        answer(format_args!("{}", for_scripts(&counters, self.format)));
        Ok(())
    }

    pub(super) fn show_stats(&self) -> Result<(), Failure> {
        let (loaded, counters) = self.counters()?;
        let shown = |path: Option<&PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
        let home = self.home(&loaded)?;
        let [updated, zeroed] = times(&home);
        let mut words = Vec::new();
        if self.verbosity > 0 {
            words.push(("Cache directory", home.path().display().to_string()));
            words.push(("Config file", shown(loaded.own_file.as_ref())));
            words.push(("Directory config file", shown(loaded.directory_file.as_ref())));
            words.push(("System config file", shown(loaded.system_file.as_ref())));
            words.push(("Stats updated", when(updated)));
        }
        if self.verbosity > 1 {
            words.push(("Stats zeroed", when(zeroed)));
        }
        let mut table = Table::new(&counters, self.verbosity, &words);
        table.add_calls();
        table.add_local(true);
        table.add_remote();
        answer(format_args!("{}", table.text()));
        Ok(())
    }

    fn log(&self) -> Result<Counters, Failure> {
        let loaded = self.loaded()?;
        let config = loaded.config();
        let log = config.stats_log.as_ref().ok_or("stats_log names no file")?;
        let text = std::fs::read(log).map_err(|error| format!("{}: {error}", log.display()))?;
        Ok(Counters::of_log(&String::from_utf8_lossy(&text), &config, changed(log)))
    }

    pub(super) fn print_log_stats(&self) -> Result<(), Failure> {
        answer(format_args!("{}", for_scripts(&self.log()?, self.format)));
        Ok(())
    }

    pub(super) fn show_log_stats(&self) -> Result<(), Failure> {
        let counters = self.log()?;
        let mut table = Table::new(&counters, self.verbosity, &[]);
        table.add_calls();
        table.add_local(false);
        table.add_remote();
        answer(format_args!("{}", table.text()));
        Ok(())
    }

    pub(super) fn zero_stats(&self) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        let loaded = self.loaded()?;
        let home = self.home(&loaded)?;
        clear(&home)
            .and_then(|()| Store::new(&home, 0).forget_cleanups())
            .map_err(|error| format!("{}: {error}", home.path().display()))?;
        say!("Statistics zeroed");
        Ok(())
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().ok()?.modified().ok()
}

/// Says a local time.
fn when(time: Option<SystemTime>) -> String {
    match time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
        Some(since) => {
            let [year, month, day, hour, minute, second] = local_time(since.as_secs());
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
        }
        None => "never".to_owned(),
    }
}
