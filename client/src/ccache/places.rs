//! Where files of ccache's configuration lie.

use super::error::ConfFault;
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Name of a file.
const FILE_NAME: &str = "ccache.conf";

/// The cache's own file.
#[derive(Debug, Default)]
pub(super) struct CacheFile {
    /// Where it is or would be; `None` where the environment names no home.
    pub(super) file: Option<PathBuf>,
    /// What decides that.
    pub(super) decided_by: Option<PathBuf>,
}

/// Finds the cache's own file; `moved` is the cache's directory where the system's file names one.
pub(super) fn cache_file(variable: &dyn Fn(&str) -> Option<OsString>, moved: Option<PathBuf>) -> CacheFile {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = set("CCACHE_DIR").or(moved) {
        return CacheFile { file: Some(directory.join(FILE_NAME)), decided_by: None };
    }
    let Some(home) = set("HOME") else {
        let file = set("XDG_CONFIG_HOME").map(|base| base.join("ccache").join(FILE_NAME));
        return CacheFile { file, decided_by: None };
    };
    let legacy = home.join(".ccache");
    let file = if legacy.is_dir() {
        legacy.join(FILE_NAME)
    } else {
        set("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("ccache").join(FILE_NAME)
    };
    CacheFile { file: Some(file), decided_by: Some(legacy) }
}

/// Where the search for a directory's file ends, beside other users' directories and other file systems.
#[derive(Debug)]
pub(super) struct Ceilings {
    /// Directories that are not looked in.
    pub(super) directories: Vec<PathBuf>,
    /// Names beside which is looked last.
    pub(super) markers: Vec<String>,
}

/// Result of a search.
#[derive(Debug, Default)]
pub(super) struct DirectorySearch {
    /// The nearest file.
    pub(super) found: Option<PathBuf>,
    /// All names that were looked at.
    pub(super) files: Vec<PathBuf>,
    /// Markers that were looked for, absent ones included.
    pub(super) ends: Vec<PathBuf>,
}

/// Looks for the file of a directory, in it and above it, past the cache's own.
///
/// # Errors
/// A file that is not this user's, or that everybody may write.
pub(super) fn directory_file(
    directory: &Path,
    ceilings: &Ceilings,
    own: Option<&Path>,
) -> Result<DirectorySearch, ConfFault> {
    let mut search = DirectorySearch::default();
    let Ok(start) = fs::metadata(directory) else { return Ok(search) };
    for above in directory.ancestors() {
        let Ok(found) = fs::metadata(above) else { break };
        let foreign = found.uid() != geteuid().as_raw() || found.dev() != start.dev();
        if foreign || ceilings.directories.iter().any(|ceiling| ceiling == above) {
            break;
        }
        let file = above.join(FILE_NAME);
        search.files.push(file.clone());
        let is_own = own.is_some_and(|own| own == file);
        match fs::metadata(&file).ok().filter(|found| found.is_file() && !is_own) {
            Some(found) => {
                let mine = found.uid() == geteuid().as_raw();
                if !mine || found.mode() & 0o002 != 0 {
                    return Err(ConfFault::new(
                        file.display(),
                        "is not yours alone: another user owns it, or everybody may write it",
                    ));
                }
                search.found = Some(file);
                break;
            }
            None => {
                let markers = ceilings.markers.iter().map(|marker| above.join(marker));
                let mut marked = false;
                for marker in markers {
                    marked |= marker.exists();
                    search.ends.push(marker);
                }
                if marked {
                    break;
                }
            }
        }
    }
    Ok(search)
}
