//! Edits of a checkout, as developers make them, and taking them back.

use dccache_tests::{Checkout, Dice};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Changes what no compile of a unit reads, or only how a file looks from outside.
pub(crate) fn touch_unrelated(checkout: &Checkout, unit: &Path, dice: &mut Dice) -> &'static str {
    match dice.below(4) {
        0 => {
            checkout.write(Path::new(Checkout::UNREAD), &dice.below(u64::MAX).to_le_bytes());
            "an unrelated file was written"
        }
        1 => {
            checkout.write(unit, &checkout.read(unit));
            "the unit was written again"
        }
        2 => {
            let file = File::options().append(true).open(checkout.root().join(unit)).expect("the unit");
            file.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("our own file");
            "the unit's time was set back"
        }
        _ => {
            let unit = checkout.root().join(unit);
            let copy = unit.with_extension("copy");
            fs::copy(&unit, &copy).expect("the unit can be copied");
            fs::rename(&copy, &unit).expect("the unit can be replaced");
            "the unit was replaced by its copy"
        }
    }
}

/// An edit of a file, to be taken back.
#[derive(Debug)]
pub(crate) struct Edit {
    /// What was done.
    pub(crate) kind: &'static str,
    name: PathBuf,
    before: Vec<u8>,
}

impl Edit {
    /// Edits the unit.
    pub(crate) fn make(checkout: &Checkout, unit: &Path, dice: &mut Dice) -> Self {
        let before = checkout.read(unit);
        let modified = fs::metadata(checkout.root().join(unit)).and_then(|found| found.modified());
        let (kind, after) = match dice.below(5) {
            0 => ("a declaration at the end", [&before, b"\nextern int edited;\n".as_slice()].concat()),
            1 => ("a line at the beginning", [b"\n", before.as_slice()].concat()),
            2 => ("a comment at the beginning", [b"/* edited */ ", before.as_slice()].concat()),
            3 => ("a wider space", widened(&before)),
            _ => ("another digit, with size and time as before", with_another_digit(&before)),
        };
        checkout.write(unit, &after);
        if kind.ends_with("before") {
            let file = File::options().append(true).open(checkout.root().join(unit)).expect("the unit");
            file.set_modified(modified.expect("the unit was there")).expect("our own file");
        }
        Self { kind, name: unit.to_owned(), before }
    }

    /// Takes it back.
    pub(crate) fn undo(&self, checkout: &Checkout) {
        checkout.write(&self.name, &self.before);
    }
}

/// Doubles the last space between two words, which moves columns and nothing else.
fn widened(text: &[u8]) -> Vec<u8> {
    let is_inside = |at: &usize| text[at - 1].is_ascii_alphanumeric() && text[at + 1].is_ascii_alphanumeric();
    let mut spaces = (1..text.len().saturating_sub(1)).rev().filter(|at| text[*at] == b' ');
    let mut widened = text.to_vec();
    if let Some(at) = spaces.find(is_inside) {
        widened.insert(at, b' ');
    }
    widened
}

/// Changes the last digit of the text, whatever it means there.
fn with_another_digit(text: &[u8]) -> Vec<u8> {
    let mut changed = text.to_vec();
    if let Some(digit) = changed.iter_mut().rev().find(|byte| byte.is_ascii_digit()) {
        *digit = if *digit == b'1' { b'2' } else { b'1' };
    }
    changed
}
