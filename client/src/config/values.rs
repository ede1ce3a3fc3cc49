//! Values as text: switches and lists of paths.

use std::path::{Path, PathBuf};

pub(super) const SWITCH: &str = "true or false";

/// Values of variables are text, so numbers stand for the words as scripts write them.
pub(super) fn switch(place: &mut bool, text: &str) -> Result<(), ()> {
    *place = match text {
        "true" | "1" | "yes" => true,
        "false" | "0" | "no" => false,
        _ => return Err(()),
    };
    Ok(())
}

/// Reads absolute paths between colons.
pub(super) fn absolute_list(text: &str) -> Result<Vec<PathBuf>, ()> {
    let paths = text.split(':').filter(|path| !path.is_empty()).map(PathBuf::from);
    paths.map(|path| if path.is_absolute() { Ok(path) } else { Err(()) }).collect()
}

/// Shows paths with colons between.
pub(super) fn joined(paths: &[impl AsRef<Path>]) -> String {
    paths.iter().map(|path| path.as_ref().display().to_string()).collect::<Vec<_>>().join(":")
}
