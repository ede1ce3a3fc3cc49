//! What the key of a compile is made of, in order, as text that is written beside its object.

use super::direct::Direct;
use super::lookup::Known;
use super::setting::{Setting, Tally};
use crate::config::DebugFiles;
use crate::direct::manifest::Footprint;
use crate::explain::spelled_out;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{KeyField, RootPath};
use std::fmt::Write;

/// Bytes of a digest.
const DIGEST: usize = 32;

impl Setting<'_> {
    /// Notes what the key of this call is made of, where the user wants to see it.
    pub(super) fn show_inputs(
        &self,
        direct: Option<&Direct>,
        known: Option<&Known>,
        read: Option<&Footprint>,
        tally: &mut Tally,
    ) {
        if self.config.debug == DebugFiles::Off {
            return;
        }
        let named = direct.map(|direct| &direct.named).or_else(|| known.map(|known| &known.named));
        let Some(named) = named else { return };
        let mut text = String::from("# What the key is made of, in order: docs/keys.md\n");
        for field in self.command_fields(direct, named) {
            show_field(&mut text, &self.root, &field);
            if field.name() == "toolchain" {
                for part in self.toolchain.parts() {
                    let place = String::from_utf8_lossy(&part.path).escape_debug().to_string();
                    let _ = writeln!(text, "  {} {} {place}", part.digest, part.role);
                }
            }
        }
        let mut list = |title: &str, items: Vec<String>| {
            let _ = writeln!(text, "{title}:");
            items.iter().for_each(|item| {
                let _ = writeln!(text, "  {item}");
            });
        };
        let shown = |name: &[u8]| String::from_utf8_lossy(name).escape_debug().to_string();
        if let Some(known) = known.filter(|known| known.keys.is_some()) {
            let files = known.inputs.files.iter();
            list(
                "raw digests",
                files.map(|input| format!("{} {}", input.digest, shown(&input.name))).collect(),
            );
        }
        if let Some(read) = read {
            let input = |(path, digest): &(RootPath, Digest)| format!("{digest} {}", hanging(path));
            list("inputs", read.inputs.iter().map(input).collect());
            list("absent", read.absent.iter().map(hanging).collect());
        }
        list("keys", tally.event.keys.iter().map(ToString::to_string).collect());
        tally.inputs = Some(text);
    }
}

fn show_field(text: &mut String, root: &[u8], field: &KeyField) {
    let value = |item: &Vec<u8>| match field.name() {
        "toolchain" | "extra files" => hex(item),
        "dependency mode" | "colour" => item.first().copied().unwrap_or_default().to_string(),
        "option files" => {
            let (index, digest) = item.split_at(item.len().saturating_sub(DIGEST));
            let index = index.iter().rev().fold(0u32, |index, byte| (index << 8) | u32::from(*byte));
            format!("{} argument {index}", hex(digest))
        }
        "working directory" | "include directories" => match item.split_first() {
            Some((b'r', rest)) => format!("ROOT/{}", String::from_utf8_lossy(rest).escape_debug()),
            Some((_, path)) => String::from_utf8_lossy(path).escape_debug().to_string(),
            None => String::new(),
        },
        _ => spelled_out(root, item).escape_debug().to_string(),
    };
    let list = ["native", "environment", "extra files", "output", "recorded", "arguments"];
    let list =
        list.contains(&field.name()) || field.name().starts_with("include") || field.name() == "option files";
    let _ = match (field.items.as_slice(), list) {
        ([item], false) => writeln!(text, "{}: {}", field.name(), value(item)),
        _ => writeln!(text, "{}:", field.name()),
    };
    if list {
        field.items.iter().for_each(|item| {
            let _ = writeln!(text, "  {}", value(item));
        });
    }
}

/// Writes a path with what it hangs on.
fn hanging(path: &RootPath) -> String {
    match path {
        RootPath::Root(rest) => format!("ROOT/{}", String::from_utf8_lossy(rest).escape_debug()),
        RootPath::Absolute(path) => String::from_utf8_lossy(path).escape_debug().to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
