//! Serving a call by its preprocessed text, and giving what is served so a name by what it reads.

use super::direct::Direct;
use super::learn::Learned;
use super::lookup::{Hit, Known};
use super::remember::Outcome;
use super::setting::{Setting, Tally};
use super::share::count_suggestion;
use super::shared_directory::vouching;
use super::verify::Reached;
use crate::link::Link;
use crate::stats::{Looked, Served};
use crate::store::Store;

impl Setting<'_> {
    pub(super) fn serve_locally(
        &self,
        known: &Known,
        direct: Option<&mut Direct>,
        store: &Store<'_>,
        mut link: Option<&mut Link<'_>>,
        tally: &mut Tally,
    ) -> Option<Reached> {
        tally.event.traffic.preprocessed = Looked::Missed;
        if self.config.remote_only {
            return None;
        }
        let hit = self.find_locally(store, known, tally)?;
        if self.verifies_since.is_some() {
            return Some(Reached::text(hit, Served::Local));
        }
        if !self.deliver_or_count(&hit.entry, Served::Local, tally) {
            return None;
        }
        tally.event.traffic.preprocessed = Looked::Found;
        self.show_inputs(direct.as_deref(), Some(known), None, tally);
        if !self.config.read_only {
            self.preprocessing_paid();
            let _ = self.attach(known, &hit, direct, store, link.as_deref_mut(), tally);
            self.share_again(known, &hit, link, tally);
        }
        Some(Reached::Delivered)
    }

    pub(super) fn serve_from_ring(
        &self,
        known: &Known,
        direct: Option<&mut Direct>,
        store: &Store<'_>,
        mut link: Option<&mut Link<'_>>,
        tally: &mut Tally,
    ) -> Option<Reached> {
        let hit = self.find_on_ring(link.as_deref_mut(), known, tally)?;
        if self.verifies_since.is_some() {
            return Some(Reached::text(hit, Served::Ring));
        }
        if !self.deliver_or_count(&hit.entry, Served::Ring, tally) {
            return None;
        }
        tally.event.traffic.preprocessed = Looked::Found;
        let _ = self.keep_found(known, &hit, direct, store, link, tally);
        Some(Reached::Delivered)
    }

    /// Keeps what was found elsewhere by its preprocessed text.
    pub(super) fn keep_found(
        &self,
        known: &Known,
        hit: &Hit,
        direct: Option<&mut Direct>,
        store: &Store<'_>,
        link: Option<&mut Link<'_>>,
        tally: &mut Tally,
    ) -> Option<Learned> {
        if self.config.read_only || self.config.remote_only {
            return None;
        }
        self.preprocessing_paid();
        // Here it lies as it does there, so that every further name leads to the bundle itself.
        if !self.keep(store, &hit.lies, &hit.entry, tally) {
            return None;
        }
        if hit.key != hit.lies {
            let _ = store.put_alias(&hit.key, &hit.lies);
        }
        self.attach(known, hit, direct, store, link, tally)
    }

    /// Gives an entry that was found by its preprocessed text its direct key as a second name, here and on the ring.
    fn attach(
        &self,
        known: &Known,
        hit: &Hit,
        direct: Option<&mut Direct>,
        store: &Store<'_>,
        link: Option<&mut Link<'_>>,
        tally: &mut Tally,
    ) -> Option<Learned> {
        let direct = direct?;
        let shared = known.is_shared(hit.key);
        let Ok(learned) = self.learn(direct, known, shared) else {
            tally.fault("lookup_not_explained");
            return None;
        };
        if learned.key != hit.lies && store.put_alias(&learned.key, &hit.lies).is_err() {
            return None;
        }
        self.note(store, learned.manifest, learned.key, learned.footprint.clone(), tally);
        let outcome = Outcome { key: Some(hit.lies), shared, read: Some(&learned.footprint) };
        self.remember(Some(direct), Some(known), outcome, tally);
        self.seal(direct, &learned.footprint, hit.lies);
        if let Some(link) = vouching(link, &hit.entry) {
            let job = self.job(known, hit.lies, &hit.entry, Some(&learned));
            count_suggestion(&job, tally);
            if let Err(name) = link.attach(job, &hit.entry.outcome) {
                tally.fault(name);
            }
        }
        Some(learned)
    }
}
