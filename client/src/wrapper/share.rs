//! Jobs for the cluster: what the agent is told of a compile.

use super::direct::DirectHit;
use super::learn::Learned;
use super::lookup::{Hit, Known};
use super::setting::{Setting, Tally};
use crate::direct::manifest::Footprint;
use crate::link::Link;
use crate::stats::Verdict;
use crate::store::{LocalEntry, Origin};
use dccache_protocol::codec::Format;
use dccache_protocol::keys::{EntryKey, RootPath};
use dccache_protocol::limits;
use dccache_protocol::local::Job;
use dccache_protocol::manifest::{Manifest, Suggestion};

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
        names: &[EntryKey],
        entry: &LocalEntry,
        link: Option<Link<'_>>,
        tally: &mut Tally,
    ) {
        match link.is_some() {
            true => tally.verdict = Some(Verdict::Miss),
            false => tally.not_stored("remote_only"),
        }
        self.push(known, names, entry, None, link, tally);
    }

    /// Hands a compile to the cluster: its bundle under the first of its names, an alias under every other one.
    pub(super) fn push(
        &self,
        known: &Known,
        names: &[EntryKey],
        entry: &LocalEntry,
        learned: Option<&Learned>,
        link: Option<Link<'_>>,
        tally: &mut Tally,
    ) {
        let Some(mut link) = link else { return };
        self.time_slot().note(self.home, entry.outcome.wall_ms);
        let Some((lies, also)) = names.split_first() else { return };
        let job = Job { also: also.to_vec(), ..self.job(known, *lies, entry, learned) };
        count_suggestion(&job, tally);
        let manifests = u64::from(job.manifest.is_some());
        match link.push(job, entry) {
            Ok(()) => tally.event.traffic.remote.written += 1 + manifests,
            Err(name) => tally.fault(name),
        }
    }
}

/// Counts a job whose suggestion nodes do not take: others find the compile by its other key, if it has one.
pub(super) fn count_suggestion(job: &Job, tally: &mut Tally) {
    if suggests_too_much(job) {
        tally.fault("suggestion_too_large");
    }
}

fn suggests_too_much(job: &Job) -> bool {
    let (Some(_), Some(direct)) = (job.manifest, job.direct()) else { return false };
    let length = |path: &RootPath| match path {
        RootPath::Root(rest) | RootPath::Absolute(rest) => rest.len(),
    };
    // Beside a path: its kind and length, and the digest.
    let inputs = job.inputs.iter().map(|(path, _)| length(path) + 48);
    let most: usize = inputs.chain(job.absent.iter().map(|path| length(path) + 16)).sum();
    // Nearly all are far below, and need not be encoded here.
    most + 256 > limits::INLINE_MAX && {
        let suggestion = Suggestion::new(job.inputs.clone(), job.absent.clone(), direct);
        Manifest { suggestions: vec![suggestion] }.to_bytes().len() > limits::INLINE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::digest::Digest;
    use dccache_protocol::ids::{Namespace, ToolchainId};
    use dccache_protocol::keys::{DirectKey, ManifestKey};

    fn job(inputs: usize) -> Job {
        let digest = Digest::of(b"x");
        let path = |number: usize| RootPath::Root(format!("include/{number:060}.h").into_bytes());
        Job {
            namespace: Namespace::default(),
            key: EntryKey::Direct(DirectKey::from_digest(digest)),
            also: Vec::new(),
            manifest: Some(ManifestKey::from_digest(digest)),
            argv: Vec::new(),
            environment: Vec::new(),
            working_directory: Vec::new(),
            root: Vec::new(),
            toolchain: ToolchainId::from_digest(digest),
            inputs: (0..inputs).map(|number| (path(number), digest)).collect(),
            absent: Vec::new(),
            roles: Vec::new(),
            expected_ms: 0,
        }
    }

    #[test]
    fn a_suggestion_that_no_node_takes_is_told_exactly() {
        let encoded = |job: &Job| {
            let direct = job.direct().unwrap();
            let suggestion = Suggestion::new(job.inputs.clone(), job.absent.clone(), direct);
            Manifest { suggestions: vec![suggestion] }.to_bytes().len()
        };
        let mut seen = [0, 0];
        for inputs in (1500..3500).step_by(37) {
            let job = job(inputs);
            let too_large = encoded(&job) > limits::INLINE_MAX;
            assert_eq!(suggests_too_much(&job), too_large, "{inputs}");
            seen[usize::from(too_large)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
        assert!(!suggests_too_much(&Job { manifest: None, ..job(9000) }));
    }
}
