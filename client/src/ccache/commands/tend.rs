//! Looking after the cache: bounds, age, and how far it is compressed.

use super::{Context, Failure};
use crate::ccache::kinds::show_size;
use crate::ccache::options::{namespace, packing};
use crate::config::parse_size;
use crate::say::say;
use crate::store::{Act, Census, Clock, Evicted, Recompressed, Store, Which, trim};
use dccache_protocol::bundle::Packing;
use dccache_protocol::ids::Namespace;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Units of an age and their seconds.
const AGES: [(&str, u64); 5] = [("ms", 0), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

impl Context {
    pub(super) fn cleanup(&self) -> Result<(), Failure> {
        self.in_store(|store| {
            let before = store.census();
            if !self.dry_run {
                store.clean_all();
            }
            let after = store.census();
            let files = |census: &Census| census.entries + census.manifests;
            self.say_removed(Evicted {
                files: files(&before).saturating_sub(files(&after)),
                on_disk: before.on_disk.saturating_sub(after.on_disk),
            });
        })
    }

    pub(super) fn clear(&self) -> Result<(), Failure> {
        if self.dry_run {
            return Err("--dry-run and --clear exclude each other".to_owned());
        }
        self.in_store(|store| {
            store.evict(&Which::default(), Act::Remove);
        })
    }

    /// Removes what is older than an age, in a namespace, or both where both were typed.
    pub(super) fn evict(&self) -> Result<(), Failure> {
        let age = self.older_than.as_deref().map(parse_age).transpose()?;
        let unused_since =
            age.map(|age| SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
        let ours = self.namespace.as_deref().map(|named| namespace(named).parse().map(Namespace));
        let ours = ours.transpose().map_err(|_| "no name of a namespace")?;
        let which = Which { unused_since, namespace: ours.as_ref() };
        let act = if self.dry_run { Act::OnlyCount } else { Act::Remove };
        self.in_store(|store| self.say_removed(store.evict(&which, act)))
    }

    fn say_removed(&self, evicted: Evicted) {
        let removed = if self.dry_run { "Would remove" } else { "Removed" };
        let size = if evicted.on_disk == 0 { "0 bytes".to_owned() } else { show_size(evicted.on_disk) };
        say!("{removed} data:  {size}\n{removed} files: {}", evicted.files);
    }

    pub(super) fn show_compression(&self) -> Result<(), Failure> {
        self.in_store(|store| {
            let compression = store.compression();
            let share = |part: u64, of: u64| if of == 0 { 100.0 } else { 100.0 * part as f64 / of as f64 };
            let ratio = if compression.stored == 0 {
                0.0
            } else {
                compression.original as f64 / compression.stored as f64
            };
            let kept = share(compression.stored, compression.original);
            say!("Total data:          {:>12}", bytes(compression.total));
            say!("Compressed data:     {:>12} ({kept:.1}% of original size)", bytes(compression.stored));
            say!("  Original size:     {:>12}", bytes(compression.original));
            say!("  Compression ratio: {ratio:>10.3} x ({:.1}% space savings)", 100.0 - kept);
            say!("Incompressible data: {:>12}", bytes(compression.raw));
        })
    }

    pub(super) fn recompress(&self, level: &str) -> Result<(), Failure> {
        let packing = match level {
            "uncompressed" => Packing::Raw,
            number => {
                packing(number).map_err(|_| format!("\"{level}\" is neither a number nor uncompressed"))?
            }
        };
        if self.dry_run {
            return Err("--dry-run and --recompress exclude each other".to_owned());
        }
        self.in_store(|store| say_recompressed(&store.recompress(packing)))
    }

    pub(super) fn trim_dir(&self, directory: &str) -> Result<(), Failure> {
        let size = self.trim_size.as_deref().ok_or("--trim-dir needs --trim-max-size")?;
        let size = parse_size(size).ok_or_else(|| format!("\"{size}\" is no size, such as 5GiB"))?;
        let clock = match self.trim_method.as_deref() {
            None | Some("atime") => Clock::Access,
            Some("mtime") => Clock::Change,
            Some(other) => return Err(format!("\"{other}\" is neither atime nor mtime")),
        };
        let bound = if size == 0 { u64::MAX } else { size };
        let act = if self.dry_run { Act::OnlyCount } else { Act::Remove };
        let trimmed =
            trim(Path::new(directory), bound, clock, act).map_err(|error| format!("{directory}: {error}"))?;
        let (before, after) = (show_size(trimmed.before), show_size(trimmed.after));
        let done = if self.dry_run { "Would trim" } else { "Trimmed" };
        say!(
            "{done} {before} to {after} (-{}, -{} files)",
            show_size(trimmed.before - trimmed.after),
            trimmed.files
        );
        Ok(())
    }

    fn in_store(&self, act: impl FnOnce(&Store<'_>)) -> Result<(), Failure> {
        let loaded = self.loaded()?;
        let home = self.home(&loaded)?;
        let config = loaded.config();
        act(&Store::new(&home, config.max_size).with_files(config.max_files));
        Ok(())
    }
}

fn say_recompressed(sum: &Recompressed) {
    let packed = |what: &str, size: u64| {
        let share = if sum.original == 0 { 100.0 } else { 100.0 * size as f64 / sum.original as f64 };
        let ratio = if size == 0 { 0.0 } else { sum.original as f64 / size as f64 };
        say!("{what:<20} {:>12} ({share:.1}% of original size)", bytes(size));
        say!("  Compression ratio: {ratio:>10.3} x ({:.1}% space savings)", 100.0 - share);
    };
    say!("Original data:       {:>12}", bytes(sum.original));
    packed("Old compressed data:", sum.before);
    packed("New compressed data:", sum.after);
    let (sign, change) = match sum.after.checked_sub(sum.before) {
        Some(0) => ("", 0),
        Some(more) => ("+", more),
        None => ("-", sum.before - sum.after),
    };
    say!("Size change:         {:>12}", format!("{sign}{}", bytes(change)));
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} bytes"),
        _ => format!("{:.1} KiB", count as f64 / 1024.0),
    }
}

/// Reads an age such as `7d` or `90s`.
fn parse_age(text: &str) -> Result<Duration, Failure> {
    let wrong = || format!("\"{text}\" is no age, such as 7d or 90s");
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds =
        AGES.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds).ok_or_else(wrong)?;
    match seconds {
        0 => Ok(Duration::from_millis(number)),
        _ => number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(parse_age("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse_age("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_age("5ms"), Ok(Duration::from_millis(5)));
        for text in ["", "1", "d", "-1d", "1x", "99999999999999999d"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }
}
