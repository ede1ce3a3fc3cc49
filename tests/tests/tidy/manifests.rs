//! What a crate's manifest must and must not say.

use super::tree::File;

/// Crates of ours and those of ours that each may use.
const ARROWS: [(&str, &[&str]); 8] = [
    ("dccache-protocol", &[]),
    ("dccache-ring", &["dccache-protocol"]),
    ("dccache-storage", &["dccache-protocol"]),
    ("dccache-transport", &["dccache-protocol"]),
    ("dccache-node", &["dccache-protocol", "dccache-ring", "dccache-storage", "dccache-transport"]),
    ("dccache", &["dccache-protocol", "dccache-ring", "dccache-transport"]),
    ("dccache-bench", EVERY),
    ("dccache-tests", EVERY),
];

const EVERY: &[&str] =
    &["dccache-protocol", "dccache-ring", "dccache-storage", "dccache-transport", "dccache-node", "dccache"];

fn parse(file: &File) -> toml::Table {
    file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

fn name(manifest: &toml::Table) -> String {
    let name = manifest.get("package").and_then(|package| package.get("name"));
    name.and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}

/// Collects the names of all dependencies of every kind, those of targets included.
fn dependencies(table: &toml::Table, found: &mut Vec<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if ["dependencies", "dev-dependencies", "build-dependencies"].contains(&key.as_str()) {
            found.extend(inner.keys().cloned());
        } else {
            dependencies(inner, found);
        }
    }
}

/// Finds dependencies between our crates that the map does not have.
pub(crate) fn arrows(file: &File) -> Vec<String> {
    let manifest = parse(file);
    let name = name(&manifest);
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![format!("{}: crate {name:?} is not on the map of ARCHITECTURE.md", file.path)];
    };
    let mut found = Vec::new();
    dependencies(&manifest, &mut found);
    let ours = found.iter().filter(|to| to.starts_with("dccache"));
    ours.filter(|to| !allowed.contains(&to.as_str()))
        .map(|to| format!("{}: {name} must not depend on {to}", file.path))
        .collect()
}

/// Finds what is not inherited from the workspace.
pub(crate) fn inheritance(file: &File) -> Vec<String> {
    let manifest = parse(file);
    let inherits = |table: Option<&toml::Value>| {
        table.and_then(|table| table.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    let package = manifest.get("package");
    let mut missing = Vec::new();
    for key in ["version", "edition", "license"] {
        if !inherits(package.and_then(|package| package.get(key))) {
            missing.push(format!("{}: package.{key} is not the workspace's", file.path));
        }
    }
    if !inherits(manifest.get("lints")) {
        missing.push(format!("{}: [lints] are not the workspace's", file.path));
    }
    missing
}
