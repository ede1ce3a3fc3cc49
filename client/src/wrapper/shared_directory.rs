//! Shared directories: looked in after the local store and before the ring, and written to after a compile.

use super::direct::{Direct, DirectHit};
use super::learn::Learned;
use super::lookup::{Hit, Known};
use super::setting::{Setting, Tally};
use super::verify::Reached;
use crate::direct::manifest::{Footprint, Within, opened};
use crate::home::Home;
use crate::link::Link;
use crate::stats::{Looked, Served};
use crate::store::{Found, LocalEntry, Origin, SharedDirectory, Side, Store};
use dccache_protocol::codec::Format;
use dccache_protocol::keys::{EntryKey, ManifestKey};
use dccache_protocol::manifest::Manifest;

/// Counted where a directory cannot be opened or written.
const UNREACHED: &str = "shared_directory_unreached";

/// The directories of a call.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    opened: Vec<(&'a SharedDirectory, Home)>,
    /// How many could not be opened.
    unreached: usize,
}

impl<'a> Shared<'a> {
    /// Opens the directories.
    pub(super) fn open(directories: &'a [SharedDirectory]) -> Self {
        let open = |directory: &'a SharedDirectory| Some((directory, directory.open().ok()?));
        let opened: Vec<_> = directories.iter().filter_map(open).collect();
        let unreached = directories.len() - opened.len();
        Self { opened, unreached }
    }

    /// Counts those that could not be opened.
    pub(super) fn count_unreached(&self, tally: &mut Tally) {
        (0..self.unreached).for_each(|_| tally.fault(UNREACHED));
    }

    fn stores(&self) -> impl Iterator<Item = Store<'_>> {
        self.opened.iter().map(|(directory, home)| directory.store(home))
    }

    fn writable(&self) -> impl Iterator<Item = Store<'_>> {
        self.opened
            .iter()
            .filter(|(directory, _)| !directory.read_only)
            .map(|(directory, home)| directory.store(home))
    }
}

impl Setting<'_> {
    /// Serves a call by what it reads.
    pub(super) fn serve_directly_from_shared(
        &self,
        direct: &mut Direct,
        store: &Store<'_>,
        tally: &mut Tally,
    ) -> Option<Reached> {
        let hit = self.shared.stores().find_map(|from| self.find_directly_in(direct, &from, tally))?;
        self.serve_found(direct, hit, Served::DirectShared, store, tally)
    }

    fn find_directly_in(
        &self,
        direct: &mut Direct,
        from: &Store<'_>,
        tally: &mut Tally,
    ) -> Option<DirectHit> {
        let stored = |key| {
            Manifest::from_bytes(&from.side(Side::Manifest(key)).body()?).ok().map(|found| (key, found))
        };
        let manifests: Vec<_> = direct.keys.all().filter_map(stored).collect();
        tally.event.traffic.remote.read(!manifests.is_empty());
        // As from the ring: they lead nowhere but where this compile looks anyhow.
        let within = self.within(direct);
        for (manifest, suggested) in manifests {
            for (key, footprint) in self.derive(direct, manifest, suggested, Some(&within), tally) {
                if let Some((lies, entry)) = self.taken(from, &key, tally) {
                    tally.event.traffic.remote.read(true);
                    return Some(DirectHit { manifest, key, lies, footprint, entry });
                }
            }
        }
        None
    }

    /// Names the directories in which suggestions of others may look.
    pub(super) fn within(&self, direct: &mut Direct) -> Within {
        let places = [self.root.clone(), self.invocation.working_directory.clone()];
        let chain = direct
            .chain
            .directories()
            .map(|directory| opened(&self.root, &self.hung(directory)).into_owned());
        let within = Within::new(places.into_iter().chain(chain));
        direct.observer.limit(super::direct::SUGGESTED_BYTES_MAX);
        within
    }

    /// Serves a call by its preprocessed text.
    pub(super) fn serve_from_shared(
        &self,
        known: &Known,
        direct: Option<&mut Direct>,
        store: &Store<'_>,
        tally: &mut Tally,
    ) -> Option<Reached> {
        let probes = known.probes();
        for from in self.shared.stores() {
            let found = probes.iter().find_map(|key| {
                let (lies, entry) =
                    self.taken(&from, key, tally).filter(|(_, entry)| known.admits(*key, entry))?;
                Some(Hit { key: *key, lies, entry })
            });
            tally.event.traffic.remote.read(found.is_some());
            let Some(hit) = found else { continue };
            if self.verifies_since.is_some() {
                return Some(Reached::text(hit, Served::Shared));
            }
            if self.deliver_or_count(&hit.entry, Served::Shared, tally) {
                tally.event.traffic.preprocessed = Looked::Found;
                let learned = self.keep_found(known, &hit, direct, store, None, tally);
                if let Some(learned) = learned.filter(|_| !self.config.read_only) {
                    self.share_name(&hit.lies, &learned, tally);
                }
                return Some(Reached::Delivered);
            }
        }
        None
    }

    /// Writes a compile to every directory, under the first of its names, the others leading there; returns whether one took it.
    pub(super) fn share_compile(
        &self,
        names: &[EntryKey],
        entry: &LocalEntry,
        learned: Option<&Learned>,
        tally: &mut Tally,
    ) -> bool {
        let Some((lies, others)) = names.split_first() else { return false };
        let mut taken = false;
        for to in self.shared.writable() {
            if to.put(lies, entry).is_err() {
                tally.fault(UNREACHED);
                continue;
            }
            taken = true;
            tally.event.traffic.remote.written += 1;
            for name in others {
                let _ = to.put_alias(name, lies);
            }
            if let Some(learned) = learned {
                let noted = self.note_in(&to, learned.manifest, learned.key, learned.footprint.clone());
                tally.event.traffic.remote.written += u64::from(noted);
            }
        }
        taken
    }

    /// Writes once more what the local store has just served.
    pub(super) fn share_hit(
        &self,
        lies: &EntryKey,
        entry: &LocalEntry,
        read: Option<(ManifestKey, EntryKey, &Footprint)>,
        tally: &mut Tally,
    ) {
        if !self.config.reshare || self.config.read_only {
            return;
        }
        for to in self.shared.writable() {
            let noted = |(manifest, key, footprint): (_, _, &Footprint)| {
                self.note_in(&to, manifest, key, footprint.clone())
            };
            match to.put(lies, entry) {
                Ok(_) => tally.event.traffic.remote.written += 1 + u64::from(read.is_some_and(noted)),
                Err(_) => tally.fault(UNREACHED),
            }
        }
    }

    /// Gives an entry that was found by its text a name by what it reads.
    fn share_name(&self, lies: &EntryKey, learned: &Learned, tally: &mut Tally) {
        for to in self.shared.writable() {
            let named = learned.key == *lies || to.put_alias(&learned.key, lies).is_ok();
            let noted = named && self.note_in(&to, learned.manifest, learned.key, learned.footprint.clone());
            tally.event.traffic.remote.written += u64::from(noted);
        }
    }

    /// Reads an entry that others wrote: from here on it is nobody's own.
    fn taken(
        &self,
        from: &Store<'_>,
        key: &EntryKey,
        tally: &mut Tally,
    ) -> Option<(EntryKey, Box<LocalEntry>)> {
        match from.get(key) {
            Found::Entry { key: lies, entry } if self.refuses(&[*key, lies], &entry, tally) => None,
            Found::Entry { key, mut entry } => {
                entry.origin = Origin::Shared;
                Some((key, entry))
            }
            Found::Nothing => None,
            Found::Damaged => {
                tally.fault("corrupt_entry");
                None
            }
        }
    }
}

/// The link, unless an entry came from a shared directory: what nobody signed, this machine vouches for to nobody.
pub(super) fn vouching<'l, 'a>(
    link: Option<&'l mut Link<'a>>,
    entry: &LocalEntry,
) -> Option<&'l mut Link<'a>> {
    link.filter(|_| entry.origin != Origin::Shared)
}
