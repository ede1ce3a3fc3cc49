//! `CCACHE_*` variables, and the directories that a user trusts.

use super::error::ConfFault;
use super::kinds::Kind;
use super::options::CcacheOption;
use std::ffi::OsString;
use std::path::Path;

/// Values that look like a negation and are none, since a variable that is set means true.
const NEGATIVE: [&str; 4] = ["0", "disable", "false", "no"];

/// What a variable says.
#[derive(Debug)]
pub(super) struct Said {
    /// Its name.
    pub(super) name: String,
    /// What it means.
    pub(super) text: String,
}

/// Looks for an option's variables.
///
/// # Errors
/// A switch that is set to a negative value.
pub(super) fn said(
    option: &CcacheOption,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Said>, ConfFault> {
    if option.kind == Kind::Switch {
        return switch(option, variable);
    }
    for name in option.variables {
        let name = format!("CCACHE_{name}");
        let Some(value) = variable(&name) else { continue };
        let text = value.into_string().map_err(|_| ConfFault::new(&name, "is not UTF-8"))?;
        // An empty name of a directory is none.
        if option.name != "cache_dir" || !text.is_empty() {
            return Ok(Some(Said { name, text }));
        }
    }
    Ok(None)
}

fn switch(
    option: &CcacheOption,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Said>, ConfFault> {
    let mut said = None;
    for (prefix, other, text) in [("CCACHE_", "CCACHE_NO", "true"), ("CCACHE_NO", "CCACHE_", "false")] {
        for short in option.variables {
            let name = format!("{prefix}{short}");
            let Some(value) = variable(&name) else { continue };
            let shown = value.to_string_lossy();
            if NEGATIVE.contains(&shown.to_ascii_lowercase().as_str()) {
                let meant = format!(
                    "\"{shown}\" is no value of a variable that means true once it is set; unset it, or set {other}{short}=true"
                );
                return Err(ConfFault::new(name, meant));
            }
            said = Some(Said { name, text: text.to_owned() });
        }
    }
    Ok(said)
}

/// Tells whether a list of trusted directories holds one: by its path, below `PATH/*`, or by `*`.
pub(super) fn trusts(list: &str, directory: &Path) -> bool {
    list.split(':').filter(|trusted| !trusted.is_empty()).any(|trusted| match trusted.strip_suffix("/*") {
        Some(above) => directory.starts_with(above) && directory != Path::new(above),
        None => trusted == "*" || directory == Path::new(trusted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_trusted_by_path_by_what_is_above_and_all_at_once() {
        let trusted = |list: &str| trusts(list, Path::new("/a/b"));
        for list in ["/a/b", "/x:/a/b", "/a/*", "/*", "*"] {
            assert!(trusted(list), "{list}");
        }
        for list in ["", "/a", "/a/b/*", "/ab/*", "/a/b/c"] {
            assert!(!trusted(list), "{list}");
        }
    }
}
