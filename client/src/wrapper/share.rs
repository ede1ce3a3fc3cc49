//! Jobs for the cluster: what the agent is told of a compile.

use super::direct::DirectHit;
use super::learn::Learned;
use super::lookup::{Hit, Known};
use super::setting::{Setting, Tally};
use crate::direct::manifest::Footprint;
use crate::link::Link;
use crate::stats::Verdict;
use crate::store::{LocalEntry, Origin};
use dccache_protocol::keys::EntryKey;
use dccache_protocol::local::Job;

impl Setting<'_> {
    /// Describes a compile whose bundle lies under `key`; with its direct key as a second name where that is another one.
    pub(super) fn job(
        &self,
        known: &Known,
        key: EntryKey,
        entry: &LocalEntry,
        learned: Option<&Learned>,
    ) -> Job {
        let Some(learned) = learned else {
            let read = Footprint { inputs: known.inputs.listed(self), absent: Vec::new() };
            return self.job_of(key, entry, read);
        };
        Job {
            also: Some(learned.key).filter(|direct| *direct != key).into_iter().collect(),
            manifest: Some(learned.manifest),
            ..self.job_of(key, entry, learned.footprint.clone())
        }
    }

    /// Describes a compile that has no other name, and that no manifest suggests.
    fn job_of(&self, key: EntryKey, entry: &LocalEntry, read: Footprint) -> Job {
        let chosen = &self.invocation.environment;
        let sets = [&chosen.always, &chosen.time, &chosen.terminal, &chosen.include];
        Job {
            namespace: self.config.namespace.clone(),
            key,
            also: Vec::new(),
            manifest: None,
            argv: self.argv.clone(),
            environment: sets.into_iter().flatten().cloned().collect(),
            working_directory: self.invocation.working_directory.clone(),
            root: self.root.clone(),
            toolchain: self.toolchain.id,
            inputs: read.inputs,
            absent: read.absent,
            roles: entry.outcome.outputs.iter().map(|output| output.role).collect(),
            expected_ms: entry.outcome.wall_ms,
        }
    }

    /// Pushes once more what this machine compiled and the local store has just served by its preprocessed text.
    pub(super) fn share_again(
        &self,
        known: &Known,
        hit: &Hit,
        link: Option<&mut Link<'_>>,
        tally: &mut Tally,
    ) {
        self.share_hit(&hit.lies, &hit.entry, None, tally);
        let also = Some(hit.key).filter(|key| *key != hit.lies).into_iter().collect();
        self.reshare(Job { also, ..self.job(known, hit.lies, &hit.entry, None) }, &hit.entry, link, tally);
    }

    /// The same, served by what it reads.
    pub(super) fn share_directly_again(
        &self,
        hit: &DirectHit,
        link: Option<&mut Link<'_>>,
        tally: &mut Tally,
    ) {
        self.share_hit(&hit.lies, &hit.entry, Some((hit.manifest, hit.key, &hit.footprint)), tally);
        let job = Job {
            also: Some(hit.key).filter(|key| *key != hit.lies).into_iter().collect(),
            manifest: Some(hit.manifest),
            ..self.job_of(hit.lies, &hit.entry, hit.footprint.clone())
        };
        self.reshare(job, &hit.entry, link, tally);
    }

    fn reshare(&self, job: Job, entry: &LocalEntry, link: Option<&mut Link<'_>>, tally: &mut Tally) {
        // What others signed is theirs to push.
        let own = entry.origin == Origin::Own;
        let Some(link) = link.filter(|_| self.config.reshare && own && !self.config.read_only) else {
            return;
        };
        if let Err(name) = link.push(job, entry) {
            tally.fault(name);
        }
    }

    /// Hands a compile to the cluster and keeps nothing of it here.
    pub(super) fn push_only(
        &self,
        known: &Known,
        key: EntryKey,
        entry: &LocalEntry,
        link: Option<Link<'_>>,
        tally: &mut Tally,
    ) {
        match link.is_some() {
            true => tally.verdict = Some(Verdict::Miss),
            false => tally.not_stored("remote_only"),
        }
        self.push(known, Some(key), entry, None, link, tally);
    }

    /// Hands a compile to the cluster, under its direct key where it has one; `key` is that of its text.
    pub(super) fn push(
        &self,
        known: &Known,
        key: Option<EntryKey>,
        entry: &LocalEntry,
        learned: Option<&Learned>,
        link: Option<Link<'_>>,
        tally: &mut Tally,
    ) {
        let Some(mut link) = link else { return };
        self.time_slot().note(self.home, entry.outcome.wall_ms);
        let job = match (learned, key) {
            (Some(learned), key) => {
                let also = key.into_iter().collect();
                Job { also, ..self.job(known, learned.key, entry, Some(learned)) }
            }
            (None, Some(key)) => self.job(known, key, entry, None),
            (None, None) => return,
        };
        let manifests = u64::from(job.manifest.is_some());
        match link.push(job, entry) {
            Ok(()) => tally.event.traffic.remote.written += 1 + manifests,
            Err(name) => tally.fault(name),
        }
    }
}
