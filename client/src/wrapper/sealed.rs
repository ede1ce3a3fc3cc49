//! The fast way: a command whose sealed record stands is served by it, and nothing else is looked at.

use super::deliver::{Delivery, Undelivered};
use super::setting::Tally;
use crate::config::Config;
use crate::direct::guard::Standing;
use crate::direct::sealed::{Sealed, Terminal, name_of};
use crate::home::Home;
use crate::invocation::main_output;
use crate::process::wall_now;
use crate::stats::{Event, Served, Traffic, Verdict};
use crate::store::{Beside, Found, Side, Store};
use dccache_protocol::codec::DecodeError;
use dccache_protocol::keys::SealedName;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Least number of looks that a record which is written again must spare the next hit: it costs about as much as a hundred.
const RENEWED_MIN: usize = 32;

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

/// What became of a command's sealed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The command is served by it; this is the exit code.
    Served(i32),
    /// There is none that stands, or its entry is gone.
    Nothing,
    /// It is damaged.
    Damaged,
}

/// Serves the command of a record.
pub(super) fn serve(home: &Home, name: SealedName, directory: &Path) -> Record {
    // The bound of the store is for writing only.
    let store = Store::new(home, 0);
    let record = match store.side(Side::Sealed(name)) {
        Beside::Body(record) => record,
        Beside::Nothing => return Record::Nothing,
        Beside::Damaged => {
            // Counted once, also where the command cannot be sealed again.
            store.remove_side(Side::Sealed(name));
            return Record::Damaged;
        }
    };
    match Sealed::read_own(&record) {
        Ok(mut sealed) => match serve_by(home, &store, &sealed, directory) {
            Some(Standing::Checked { looks }) if looks >= RENEWED_MIN => {
                renew(&store, name, &mut sealed, directory);
                Record::Served(0)
            }
            Some(_) => Record::Served(0),
            None => Record::Nothing,
        },
        // Another build's.
        Err(DecodeError::Version { .. }) => Record::Nothing,
        Err(_) => Record::Damaged,
    }
}

/// Returns what the command of a record would be counted as; `None` where it does not stand.
pub(super) fn foresee(home: &Home, name: SealedName, directory: &Path) -> Option<Event> {
    let store = Store::new(home, 0);
    let record = store.side(Side::Sealed(name)).body()?;
    let sealed =
        Sealed::read_own(&record).ok().filter(|sealed| sealed.standing(directory) != Standing::Broken)?;
    let Found::Entry { entry, .. } = store.get(&sealed.entry) else { return None };
    Some(Event {
        verdict: Verdict::Hit(Served::DirectLocal),
        source: sealed.source.to_vec(),
        output: main_output(&sealed.outputs),
        keys: vec![*sealed.entry.digest()],
        compile_ms: entry.outcome.wall_ms,
        signer: entry.origin.signer(),
        ..Tally::new(OsStr::from_bytes(sealed.compiler), directory).event
    })
}

/// Returns how the guards of the record stood by which the command is served.
fn serve_by(home: &Home, store: &Store<'_>, sealed: &Sealed<&[u8]>, directory: &Path) -> Option<Standing> {
    let mut tally = Tally::new(OsStr::from_bytes(sealed.compiler), directory);
    let standing = sealed.standing(directory);
    if standing == Standing::Broken {
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
        tally.event.output = main_output(&sealed.outputs);
        tally.event.compile_ms = entry.outcome.wall_ms;
        tally.event.signer = entry.origin.signer();
        tally.event.traffic = Traffic::sealed();
        tally.finish(home, &Config::default(), Verdict::Hit(Served::DirectLocal));
    }
    Some(standing)
}

/// Writes a record again whose directories changed without a name in them that matters, where that pays. A directory in which this command itself
/// just wrote is young.
fn renew(store: &Store<'_>, name: SealedName, sealed: &mut Sealed<&[u8]>, directory: &Path) {
    let devices: Vec<u64> = sealed.stamps.iter().map(|(_, stamp)| stamp.device).collect();
    let spared = sealed.guards.renew(directory, wall_now(), |device| devices.contains(&device));
    if let Some(record) = (spared >= RENEWED_MIN).then(|| sealed.to_own_bytes()).flatten() {
        let _ = store.put_side(Side::Sealed(name), &record);
    }
}
