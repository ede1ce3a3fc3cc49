//! Direct mode: an entry found by what earlier compiles of the command read, without a preprocessor.

use super::setting::{Setting, Tally};
use super::verify::Reached;
use crate::cpp::FileFacts;
use crate::direct::chain::groups;
use crate::direct::digests::{Access, Digests};
use crate::direct::listing::Directories;
use crate::direct::manifest::{Footprint, TimeMacros, Trial, Within, hung};
use crate::direct::observe::Observer;
use crate::direct::search::{Chain, Groups};
use crate::direct::view::View;
use crate::invocation::{KeyRole, value};
use crate::keying::{Ingredients, ManifestKeys, OVERLAY, Takes, manifest_keys};
use crate::link::{Answer, Link, Suggested};
use crate::process::{local_date, wall_now};
use crate::stats::{Looked, Served};
use crate::store::{Beside, Found, LocalEntry, Side, Store};
use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{DirectKey, EntryKey, ManifestKey};
use dccache_protocol::limits;
use dccache_protocol::manifest::{Manifest, Suggestion};

/// Most bytes that suggestions of the ring make a compile read: more than the headers of any known unit.
pub(super) const SUGGESTED_BYTES_MAX: u64 = 256 << 20;

/// Most names that suggestions of the ring make a compile look at: 16 shapes of some thousand names, about 100 ms.
const SUGGESTED_NAMES_MAX: usize = 100_000;

/// What direct mode knows about a call.
#[derive(Debug)]
pub(super) struct Direct {
    /// Keys of its manifests.
    pub(super) keys: ManifestKeys,
    /// Looks at inputs.
    pub(super) observer: Observer,
    /// What lies in directories: before the compile, or after it where it taught something.
    pub(super) directories: Directories,
    /// The directories in which builds write, just before the compile.
    pub(super) before: Directories,
    /// Where headers are looked for.
    pub(super) groups: Groups,
    /// The same, as it was before the compile.
    pub(super) chain: Chain,
    /// Digests of the files that options and configuration name, as they are in the keys.
    pub(super) named: (Vec<Digest>, Vec<Digest>),
    /// What this machine knew of the command before, newest first; read where it did not serve.
    pub(super) suggested: Vec<Suggestion>,
    /// Keys that this machine's own manifests led to and that it has no entry for.
    derived: Vec<Derived>,
}

/// A key that a manifest led to.
type Derived = (ManifestKey, EntryKey, Footprint);

/// A bundle that came along with suggestions.
type Came = (EntryKey, Box<LocalEntry>);

fn position(derived: &[Derived], key: EntryKey) -> Option<usize> {
    derived.iter().position(|(_, derived, _)| *derived == key)
}

/// An entry that direct mode found.
#[derive(Debug)]
pub(super) struct DirectHit {
    pub(super) manifest: ManifestKey,
    /// The key that was derived.
    pub(super) key: EntryKey,
    /// Where the entry lies: that key, or the one that it is a second name of.
    pub(super) lies: EntryKey,
    pub(super) footprint: Footprint,
    pub(super) entry: Box<LocalEntry>,
}

impl DirectHit {
    /// An entry that lies under the key that was derived.
    fn derived((manifest, key, footprint): Derived, entry: Box<LocalEntry>) -> Self {
        Self { manifest, key, lies: key, footprint, entry }
    }
}

impl Direct {
    /// Names the flight of a compile whose key is not known yet: that of its command.
    pub(super) fn flight(&self) -> EntryKey {
        EntryKey::Direct(DirectKey::from_digest(*self.keys.bound.digest()))
    }
}

impl Setting<'_> {
    /// Makes the keys of the command's manifests; `None` where direct mode is off, a file that an option names cannot be read, or
    /// an include directory is spelled in a way that only the compiler understands.
    pub(super) fn direct(&self) -> Option<Direct> {
        let facts = self.argument_facts();
        // With an overlay in no key, a name on the disk is not what the compiler reads under it.
        let overlaid = self.argv.iter().any(|word| word == OVERLAY);
        if !self.config.direct_mode || overlaid || facts.date || facts.time || facts.timestamp {
            return None;
        }
        let access = if self.config.read_only { Access::Read } else { Access::Write };
        let digests = Digests::open(self.home, access);
        let mut observer = Observer::new(&self.directory, digests, wall_now());
        let mut digest = |path: &[u8]| observer.observe(path).map(|observed| observed.digest);
        let option_files = self.invocation.option_files.iter().map(|file| digest(&file.path));
        let option_files = option_files.collect::<Option<Vec<Digest>>>()?;
        let extra_files = self.config.extra_files_to_hash.iter();
        let extra_files = extra_files.map(|path| digest(path.as_os_str().as_encoded_bytes()));
        let extra_files = extra_files.collect::<Option<Vec<Digest>>>()?;
        let named = (option_files, extra_files);
        let groups = groups(&self.invocation, &self.toolchain)?;
        let chain = Chain::new(&groups, &View::new(&self.directory))?;
        // Machines on which other directories exist do not share manifests: nobody probes in a directory that is absent.
        let directories: Vec<_> = chain.directories().map(|directory| self.hung(directory)).collect();
        let ingredients = self.ingredients(&named);
        let keys = manifest_keys(&self.invocation, &ingredients, &self.places(), &directories);
        let directories = Directories::new(&self.directory);
        let before = Directories::new(&self.directory);
        let (suggested, derived) = (Vec::new(), Vec::new());
        Some(Direct { keys, observer, directories, before, groups, chain, named, suggested, derived })
    }

    /// Returns what the keys hold that is known before the text is: of the command, and of the files that options and configuration name.
    pub(super) fn ingredients<'k>(&'k self, named: &'k (Vec<Digest>, Vec<Digest>)) -> Ingredients<'k> {
        Ingredients {
            namespace: &self.config.namespace,
            toolchain: self.toolchain.id,
            native: &self.toolchain.native,
            extra_files: &named.1,
            option_files: &named.0,
            color: self.color(),
            facts: Default::default(),
            messages: &[],
            listed: None,
            debug_directories: self.debug_directories(),
            raw: &[],
            // What it takes is known with the text only; nothing is learned from such a compile.
            takes: Takes::Headers,
        }
    }

    /// Hangs a name of the call on its root.
    pub(super) fn hung(&self, name: &[u8]) -> dccache_protocol::keys::RootPath {
        hung(&self.root, &self.invocation.working_directory, name)
    }

    /// Returns what the macros of the command line hold.
    pub(super) fn argument_facts(&self) -> FileFacts {
        let text = self.invocation.arguments.iter().filter(|argument| argument.role == KeyRole::Text);
        let facts =
            text.fold(FileFacts::default(), |facts, argument| facts.and(FileFacts::scan(&argument.bytes)));
        match self.config.sloppiness.time_macros {
            true => FileFacts { date: false, time: false, timestamp: false, ..facts },
            false => facts,
        }
    }

    /// What `__DATE__` gives now. Older clangs do not obey the variable.
    pub(super) fn today(&self) -> Vec<u8> {
        match value(&self.invocation.environment.time, "SOURCE_DATE_EPOCH") {
            Some(epoch) if !self.invocation.kind.is_clang() => [b"epoch ", epoch].concat(),
            epoch => [epoch.unwrap_or_default(), local_date().map(i32::to_le_bytes).as_flattened()].concat(),
        }
    }

    /// Looks in this machine's manifests and store.
    pub(super) fn find_directly(
        &self,
        direct: &mut Direct,
        store: &Store<'_>,
        tally: &mut Tally,
    ) -> Option<DirectHit> {
        let keys = direct.keys;
        let mut stored = |key| {
            let found = match store.side(Side::Manifest(key)) {
                Beside::Body(bytes) => Manifest::from_bytes(&bytes),
                Beside::Nothing => return None,
                Beside::Damaged => Err(DecodeError::Malformed),
            };
            match found {
                Ok(found) => Some((key, found)),
                // Another build's.
                Err(DecodeError::Version { .. }) => None,
                Err(_) => {
                    tally.fault("corrupt_manifest");
                    None
                }
            }
        };
        let manifests: Vec<(ManifestKey, Manifest)> = keys.all().filter_map(&mut stored).collect();
        tally.event.traffic.local.read(!manifests.is_empty());
        for (manifest_key, manifest) in manifests {
            for (key, footprint) in self.derive(direct, manifest_key, manifest, None, tally) {
                match store.get(&key) {
                    Found::Entry { key: lies, entry } => {
                        tally.event.traffic.local.read(true);
                        return Some(DirectHit { manifest: manifest_key, key, lies, footprint, entry });
                    }
                    Found::Damaged => tally.fault("corrupt_entry"),
                    Found::Nothing => {}
                }
                direct.derived.push((manifest_key, key, footprint));
            }
        }
        None
    }

    /// Looks on the ring: by the keys that this machine's own manifests led to, else by the ring's suggestions.
    pub(super) fn find_directly_on_ring(
        &self,
        direct: &mut Direct,
        link: &mut Link<'_>,
        tally: &mut Tally,
    ) -> Option<DirectHit> {
        let budget = self.time_slot().budget_ms(self.home);
        let mut derived = std::mem::take(&mut direct.derived);
        let mut newest = None;
        if derived.is_empty() {
            (derived, newest) = self.derive_from_ring(direct, link, budget, tally)?;
        }
        let came = newest.and_then(|(key, entry)| Some((position(&derived, key)?, entry)));
        let came = came.filter(|(at, entry)| !self.refuses(&[derived[*at].1], entry, tally));
        let doubted = match came {
            Some((at, entry)) if entry.contents().is_ok() => {
                tally.event.traffic.remote.read(true);
                return Some(DirectHit::derived(derived.swap_remove(at), entry));
            }
            came => came.is_some(),
        };
        derived.truncate(limits::PROBE_KEYS_MAX);
        let keys: Vec<EntryKey> = derived.iter().map(|(_, key, _)| *key).collect();
        if keys.is_empty() {
            return None;
        }
        match if doubted { link.find_checked(&keys, budget) } else { link.find(&keys, budget) } {
            Answer::Found { key, lies, entry, .. } if self.refuses(&[key, lies], &entry, tally) => None,
            Answer::Found { key, entry, fault, .. } => {
                fault.into_iter().for_each(|fault| tally.fault(fault));
                tally.event.traffic.remote.read(true);
                Some(DirectHit::derived(derived.swap_remove(position(&derived, key)?), entry))
            }
            Answer::Missed => {
                tally.event.traffic.remote.read(false);
                None
            }
            Answer::Fault(name) => {
                tally.fault(name);
                None
            }
        }
    }

    /// Asks the ring for suggestions; returns the keys that they lead to here, and the bundle that came along.
    fn derive_from_ring(
        &self,
        direct: &mut Direct,
        link: &mut Link<'_>,
        budget: u32,
        tally: &mut Tally,
    ) -> Option<(Vec<Derived>, Option<Came>)> {
        let keys: Vec<ManifestKey> = direct.keys.all().collect();
        let (manifests, newest) = match link.suggestions(&keys, budget) {
            Suggested::Some { manifests, newest } => {
                tally.event.traffic.remote.read(true);
                (manifests, newest)
            }
            Suggested::Nothing => {
                tally.event.traffic.remote.read(false);
                return None;
            }
            Suggested::Fault(name) => {
                tally.fault(name);
                return None;
            }
        };
        // Anybody may have pushed them: they lead nowhere but where this compile looks anyhow, and cost a bounded time.
        let within = self.within(direct);
        let mut derived = Vec::new();
        for (manifest_key, manifest) in manifests {
            let found = self.derive(direct, manifest_key, manifest, Some(&within), tally);
            derived.extend(found.into_iter().map(|(key, footprint)| (manifest_key, key, footprint)));
        }
        Some((derived, newest))
    }

    /// Holds every suggestion of a manifest to the disk; each gives at most one key, newest suggestion first.
    pub(super) fn derive(
        &self,
        direct: &mut Direct,
        manifest_key: ManifestKey,
        manifest: Manifest,
        within: Option<&Within>,
        tally: &mut Tally,
    ) -> Vec<(EntryKey, Footprint)> {
        let mut derived: Vec<(EntryKey, Footprint)> = Vec::new();
        let today = || self.today();
        let time = self.time_macros(&today);
        let (observer, directories) = (&mut direct.observer, &direct.directories);
        let mut trial = Trial { root: &self.root, observer, within, directories, time: &time };
        let mut names = 0;
        let mut too_much = false;
        for suggestion in manifest.suggestions {
            names += suggestion.inputs.len() + suggestion.absent.len();
            if within.is_some() && names > SUGGESTED_NAMES_MAX {
                too_much = true;
                break;
            }
            let Some(footprint) = trial.footprint(suggestion) else { continue };
            let key = EntryKey::Direct(footprint.key(manifest_key));
            if !derived.iter().any(|(known, _)| *known == key) {
                derived.push((key, footprint));
            }
        }
        direct.observer.flush();
        if too_much || direct.observer.met_the_limit() {
            tally.fault("absurd_suggestions");
        }
        derived
    }

    pub(super) fn time_macros<'a>(&self, today: &'a dyn Fn() -> Vec<u8>) -> TimeMacros<'a> {
        if self.config.sloppiness.time_macros { TimeMacros::Ignored } else { TimeMacros::Today(today) }
    }

    /// Serves a call by what it reads, from the local store or the ring.
    pub(super) fn serve_directly(
        &self,
        direct: &mut Direct,
        store: &Store<'_>,
        mut link: Option<&mut Link<'_>>,
        tally: &mut Tally,
    ) -> Option<Reached> {
        tally.event.traffic.direct = Looked::Missed;
        if !self.config.remote_only
            && let Some(hit) = self.find_directly(direct, store, tally)
        {
            tally.event.keys = vec![*hit.key.digest()];
            if self.verifies_since.is_some() {
                return Some(Reached::direct(hit, Served::DirectLocal));
            }
            if self.deliver_or_count(&hit.entry, Served::DirectLocal, tally) {
                tally.event.traffic.direct = Looked::Found;
                self.show_inputs(Some(direct), None, Some(&hit.footprint), tally);
                self.seal(direct, &hit.footprint, hit.lies);
                self.share_directly_again(&hit, link.as_deref_mut(), tally);
                return Some(Reached::Delivered);
            }
        }
        if let Some(reached) = self.serve_directly_from_shared(direct, store, tally) {
            return Some(reached);
        }
        let hit = self.find_directly_on_ring(direct, link?, tally)?;
        self.serve_found(direct, hit, Served::DirectRing, store, tally)
    }

    /// Serves a call by what was found elsewhere by what it reads, and keeps that.
    pub(super) fn serve_found(
        &self,
        direct: &Direct,
        hit: DirectHit,
        served: Served,
        store: &Store<'_>,
        tally: &mut Tally,
    ) -> Option<Reached> {
        tally.event.keys = vec![*hit.key.digest()];
        if self.verifies_since.is_some() {
            return Some(Reached::direct(hit, served));
        }
        if !self.deliver_or_count(&hit.entry, served, tally) {
            return None;
        }
        tally.event.traffic.direct = Looked::Found;
        self.remember_found(direct, &hit, tally);
        self.keep_direct(hit, store, tally);
        Some(Reached::Delivered)
    }

    /// Keeps what was found elsewhere by what it reads. The command is not sealed: that takes as long as all the rest, and most of what a fresh checkout
    /// gets so is not asked for again unchanged. The first hit by what is kept here seals it.
    pub(super) fn keep_direct(&self, hit: DirectHit, store: &Store<'_>, tally: &mut Tally) {
        let keeps = !self.config.read_only && !self.config.remote_only;
        if keeps && self.keep(store, &hit.key, &hit.entry, tally) {
            self.note(store, hit.manifest, hit.key, hit.footprint, tally);
        }
    }
}
