//! Values as text: switches and lists of paths.

use super::{CompilerCheck, CompilerType, DebugFiles, ResponseFileFormat};
use std::path::{Path, PathBuf};

pub(super) const SWITCH: &str = "true or false";

pub(super) const TYPES: [(&str, CompilerType); 4] = [
    ("auto", CompilerType::Auto),
    ("gcc", CompilerType::Gcc),
    ("clang", CompilerType::Clang),
    ("other", CompilerType::Other),
];

pub(super) const FORMATS: [(&str, ResponseFileFormat); 3] = [
    ("auto", ResponseFileFormat::Auto),
    ("posix", ResponseFileFormat::Posix),
    ("windows", ResponseFileFormat::Windows),
];

/// Sets what a name in a list stands for.
pub(super) fn one_of<T: Copy>(names: &[(&str, T)], text: &str, place: &mut T) -> Result<(), ()> {
    *place = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or(())?;
    Ok(())
}

/// Returns the name of a value in a list.
pub(super) fn name_in<T: Copy + PartialEq>(names: &[(&str, T)], value: T) -> String {
    let known = names.iter().find(|(_, known)| *known == value);
    known.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
}

/// Values of variables are text, so numbers stand for the words as scripts write them.
pub(super) fn switch(place: &mut bool, text: &str) -> Result<(), ()> {
    *place = match text {
        "true" | "1" | "yes" => true,
        "false" | "0" | "no" => false,
        _ => return Err(()),
    };
    Ok(())
}

/// Switches files beside objects on, under our own names.
pub(super) fn debug(place: &mut DebugFiles, text: &str) -> Result<(), ()> {
    let mut on = false;
    switch(&mut on, text)?;
    *place = if on { DebugFiles::Own } else { DebugFiles::Off };
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

/// Reads an absolute path, or nothing.
pub(super) fn absolute(text: &str) -> Result<Option<PathBuf>, ()> {
    match text {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(PathBuf::from(path))),
        _ => Err(()),
    }
}

/// Shows a path, or nothing.
pub(super) fn shown(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

/// Reads permissions in octal digits, or nothing.
pub(super) fn octal(text: &str) -> Result<Option<u16>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.len() <= 3 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    digits.then(|| u16::from_str_radix(text, 8).ok()).flatten().map(Some).ok_or(())
}

/// Splits at white space.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Reads how compilers are told apart.
pub(super) fn compiler_check(text: &str) -> Result<CompilerCheck, ()> {
    Ok(match text {
        "content" => CompilerCheck::Content,
        "mtime" => CompilerCheck::Mtime,
        "none" => CompilerCheck::None,
        _ => match text.strip_prefix("string:") {
            Some(text) => CompilerCheck::Text(text.to_owned()),
            None => {
                let commands: Vec<_> = text.split(';').map(words).filter(|words| !words.is_empty()).collect();
                if commands.is_empty() {
                    return Err(());
                }
                CompilerCheck::Commands(commands)
            }
        },
    })
}

/// Shows it so that [`compiler_check`] gives it back.
pub(super) fn show_compiler_check(check: &CompilerCheck) -> String {
    match check {
        CompilerCheck::Content => "content".into(),
        CompilerCheck::Mtime => "mtime".into(),
        CompilerCheck::None => "none".into(),
        CompilerCheck::Text(text) => format!("string:{text}"),
        CompilerCheck::Commands(commands) => {
            commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("; ")
        }
    }
}
