//! Showing and writing the configuration.

use super::{Context, Failure};
use crate::ccache::file::{expand, write};
use crate::ccache::layers::{Loaded, Origin};
use crate::ccache::options::{CcacheOption, OPTIONS};
use crate::say::say;

impl Context {
    pub(super) fn show_config(&self) -> Result<(), Failure> {
        let loaded = self.loaded()?;
        for option in &OPTIONS {
            let origin = match loaded.origin(option.name) {
                Origin::Default => "default".to_owned(),
                Origin::File(path) => path.display().to_string(),
                Origin::Environment => "environment".to_owned(),
                Origin::CommandLine => "command line".to_owned(),
            };
            say!("({origin}) {} = {}", option.name, self.shown(&loaded, option)?);
        }
        Ok(())
    }

    pub(super) fn get_config(&self, name: &str) -> Result<(), Failure> {
        let index = CcacheOption::find(name).ok_or_else(|| format!("unknown option \"{name}\""))?;
        say!("{}", self.shown(&self.loaded()?, &OPTIONS[index])?);
        Ok(())
    }

    /// Shows a value; where the default depends on the user, what it is.
    fn shown(&self, loaded: &Loaded, option: &CcacheOption) -> Result<String, Failure> {
        let shown = loaded.shown(option);
        if !shown.is_empty() {
            return Ok(shown);
        }
        Ok(match option.name {
            "cache_dir" => self.cache_dir(loaded)?.display().to_string(),
            "temporary_dir" => std::env::temp_dir().display().to_string(),
            "ceiling_dirs" if *loaded.origin(option.name) == Origin::Default => {
                self.variable("HOME").unwrap_or_default().to_string_lossy().into_owned()
            }
            _ => shown,
        })
    }

    pub(super) fn set_config(&self, assignment: &str) -> Result<(), Failure> {
        let (name, value) =
            assignment.split_once('=').ok_or_else(|| format!("\"{assignment}\" is not KEY=VALUE"))?;
        self.write(name.trim(), value.trim())
    }

    pub(super) fn set_max_size(&self, size: &str) -> Result<(), Failure> {
        self.write("max_size", size)?;
        let shown = CcacheOption::find("max_size").map(|index| OPTIONS[index].kind.show(size));
        match shown.filter(|shown| shown != "0") {
            Some(shown) => say!("Set cache size limit to {shown}"),
            None => say!("Unset cache size limit"),
        }
        Ok(())
    }

    pub(super) fn set_max_files(&self, number: &str) -> Result<(), Failure> {
        self.write("max_files", number)?;
        match number.parse() {
            Ok(0u64) => say!("Unset cache file limit"),
            _ => say!("Set cache file limit to {number}"),
        }
        Ok(())
    }

    fn write(&self, name: &str, value: &str) -> Result<(), Failure> {
        let index = CcacheOption::find(name).ok_or_else(|| format!("unknown option \"{name}\""))?;
        let variable = |name: &str| self.variable(name);
        let expanded = expand(value, &variable, &mut |_| {})?;
        if let Some(problem) = OPTIONS[index].kind.problem(&expanded) {
            return Err(problem);
        }
        if self.dry_run {
            return Ok(());
        }
        let file = self.loaded()?.own_file.ok_or("set HOME or CCACHE_DIR")?;
        write(&file, OPTIONS[index].name, value).map_err(|error| error.to_string())
    }
}
