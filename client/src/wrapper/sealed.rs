//! The fast way: a command whose sealed record stands is served by it, and nothing else is looked at.

use super::deliver::{Delivery, Undelivered};
use super::setting::Tally;
use crate::config::Config;
use crate::direct::guard::Standing;
use crate::direct::sealed::{Sealed, Terminal, name_of};
use crate::home::Home;
use crate::stats::{Served, Traffic, Verdict};
use crate::store::{Found, Side, Store};
use dccache_protocol::keys::SealedName;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Names the record of a command as typed.
pub(super) fn name(words: &[&OsStr], arguments: &[OsString], directory: &Path) -> SealedName {
    let words = words.iter().copied().chain(arguments.iter().map(OsString::as_os_str));
    // A count keeps what stands before the arguments apart from them.
    let words: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
    let environment =
        std::env::vars_os().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let terminal =
        if rustix::termios::isatty(rustix::stdio::stderr()) { Terminal::Yes } else { Terminal::No };
    name_of(&words, directory.as_os_str().as_bytes(), environment, terminal)
}

/// Serves the command of a record; `None` where it has none that stands, or its entry is gone.
pub(super) fn serve(home: &Home, name: SealedName, directory: &Path) -> Option<i32> {
    // The bound of the store is for writing only.
    let store = Store::new(home, 0);
    let record = store.side(Side::Sealed(name))?;
    let sealed = Sealed::read_own(&record).ok()?;
    let mut tally = Tally::new(OsStr::from_bytes(sealed.compiler), directory);
    if sealed.standing(directory) == Standing::Broken {
        return None;
    }
    let Found::Entry { entry, .. } = store.get(&sealed.entry) else { return None };
    let delivery = Delivery {
        directory,
        outputs: &sealed.outputs,
        depend: sealed.depend.as_ref(),
        root: sealed.root,
        shared: None,
    };
    match delivery.make(&entry, &mut tally) {
        Ok(()) => {}
        Err(Undelivered::Damaged | Undelivered::Output(_)) => return None,
    }
    if sealed.counted {
        tally.event.source = sealed.source.to_vec();
        tally.event.keys = vec![*sealed.entry.digest()];
        tally.event.served_bytes = entry.outcome.total_size();
        tally.event.compile_ms = entry.outcome.wall_ms;
        tally.event.traffic = Traffic::sealed();
        tally.finish(home, &Config::default(), Verdict::Hit(Served::DirectLocal));
    }
    Some(0)
}
