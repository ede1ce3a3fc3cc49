//! What documents and comments must and must not say.

use super::tree::File;
use std::collections::{BTreeMap, BTreeSet};

/// Finds names of the place where this was written: they mean nothing to a reader.
pub(crate) fn workplace(file: &File) -> Vec<String> {
    // Put together here, so that this file does not name them.
    let names = [["/wo", "rk/"], ["../sha", "red"], ["iss", "ue 2"], ["hel", "per session"]]
        .map(|parts| parts.concat());
    // A relative path through a directory of that name is not the place.
    let relative = format!("..{}", names[0]);
    let lines = file.text.lines().enumerate();
    lines
        .filter(|(_, line)| names.iter().any(|name| line.replace(&relative, "").contains(name)))
        .map(|(index, line)| format!("{}:{}: {}", file.path, index + 1, line.trim()))
        .collect()
}

/// Finds relative links that lead nowhere, headings included.
pub(crate) fn links(file: &File, exists: &dyn Fn(&str) -> bool, texts: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut complaints = Vec::new();
    for target in targets(&file.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = if path.is_empty() { file.path.clone() } else { join(&file.path, path) };
        let text =
            if path == file.path { Some(file.text.as_str()) } else { texts.get(path.as_str()).copied() };
        if !exists(&path) && text.is_none() {
            complaints.push(format!("{}: {target} does not exist", file.path));
        } else if !heading.is_empty()
            && path.ends_with(".md")
            && !text.is_some_and(|text| has_heading(text, heading))
        {
            complaints.push(format!("{}: {target} has no such heading", file.path));
        }
    }
    complaints
}

fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn join(from: &str, to: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in to.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn has_heading(text: &str, anchor: &str) -> bool {
    let slug = |line: &str| -> String {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor)
}

/// Finds decisions whose number is missing, taken twice, or not in the index.
pub(crate) fn decisions(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut numbers = BTreeSet::new();
    let index = files.iter().find(|file| file.path == "docs/adr/README.md").map_or("", |file| &file.text);
    for file in files {
        let Some(name) = file.path.strip_prefix("docs/adr/").filter(|name| *name != "README.md") else {
            continue;
        };
        let Some(number) = name.get(..4).filter(|number| number.bytes().all(|b| b.is_ascii_digit())) else {
            complaints.push(format!("{}: has no number of four digits", file.path));
            continue;
        };
        if !numbers.insert(number) {
            complaints.push(format!("{}: number {number} is taken twice", file.path));
        }
        if !index.contains(name) {
            complaints.push(format!("{}: is not listed in docs/adr/README.md", file.path));
        }
    }
    complaints
}

/// Finds that README's test command, the second of its first code block, is not what CI runs last.
pub(crate) fn test_command(readme: &File, check: &File) -> Vec<String> {
    let command = readme.text.lines().skip_while(|line| !line.starts_with("```")).nth(2).unwrap_or_default();
    let last = check.text.lines().rev().find_map(|line| line.strip_prefix("step ")).unwrap_or_default();
    if !command.is_empty() && command == last {
        return Vec::new();
    }
    vec![format!("{} says {command:?}, {} runs {last:?} last", readme.path, check.path)]
}
