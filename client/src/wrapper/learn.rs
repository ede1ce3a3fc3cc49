//! What a compile teaches: its direct key, this machine's manifest, and the sealed record of its command.

use super::direct::Direct;
use super::lookup::Known;
use super::setting::{Setting, Tally};
use crate::config::{CompilerCheck, DebugFiles};
use crate::direct::guard::{Absence, AbsentName, Guards};
use crate::direct::manifest::{Footprint, keyed_digest, opened};
use crate::direct::prove::{Proof, ReadFile, Reading, Unexplained, prove};
use crate::direct::sealed::{SamePlace, Sealed};
use crate::direct::search::Chain;
use crate::direct::view::View;
use crate::invocation::KeyRole;
use crate::process::wall_now;
use crate::project;
use crate::store::{Beside, Side, Store};
use crate::toolchain::{Stamp, is_before};
use crate::verify::is_recorded;
use dccache_protocol::codec::Format;
use dccache_protocol::keys::{EntryKey, ManifestKey, RootPath};
use dccache_protocol::manifest::Manifest;
use dccache_protocol::time::UnixMillis;
use std::ffi::OsStr;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a compile that was preprocessed taught.
#[derive(Debug)]
pub(super) struct Learned {
    pub(super) manifest: ManifestKey,
    pub(super) key: EntryKey,
    pub(super) footprint: Footprint,
}

/// Why nothing is learned.
#[derive(Debug)]
pub(super) enum Untaught {
    /// The search for headers is not explained, or an input can be in no direct key.
    Unexplained,
    /// A name that the search for headers meets, and that is absent, or was only looked at, may have been there, or another one, since the compile began.
    Appeared,
    /// A file that the search meets changed after the compile began: what was compiled may not be what was preprocessed.
    Moving,
}

impl Setting<'_> {
    /// Works out the direct key of a compile; under the manifest that every checkout shares where `shared`.
    pub(super) fn learn(
        &self,
        direct: &mut Direct,
        known: &Known,
        shared: bool,
    ) -> Result<Learned, Untaught> {
        let view = View::new(&self.directory);
        let proved = self.footprint(direct, known, &view);
        let chain = Chain::new(&direct.groups, &View::new(&self.directory));
        let youngest = view.youngest();
        // A header in the future is not one that changed, for who says so; a change always shows in the other time.
        let young = [(youngest.ctime, false), (youngest.mtime, self.config.sloppiness.include_file_mtime)];
        let moved = young.iter().any(|(time, declared)| !is_before(*time, known.inputs.start()) && !declared);
        if moved || chain.as_ref() != Some(&direct.chain) || known.named != direct.named {
            return Err(Untaught::Moving);
        }
        let start = known.inputs.start();
        let files = known.inputs.files.iter().map(|input| input.name.as_slice());
        if !self.text_stayed(direct, files, start) {
            return Err(Untaught::Moving);
        }
        let (footprint, proof) = proved.map_err(|_| Untaught::Unexplained)?;
        let stayed = self.led_there(direct, proof.more.iter().map(Vec::as_slice), start)
            && self.stayed_absent(direct, proof.absent.iter().map(Vec::as_slice), view.directories(), start);
        if !stayed {
            return Err(Untaught::Appeared);
        }
        let manifest = direct.keys.free.filter(|_| shared).unwrap_or(direct.keys.bound);
        let key = EntryKey::Direct(footprint.key(manifest));
        direct.directories = view.into_directories();
        Ok(Learned { manifest, key, footprint })
    }

    /// Works out what the compile read and, as spelled, what it did not find, or only looked at.
    fn footprint(
        &self,
        direct: &mut Direct,
        known: &Known,
        view: &View,
    ) -> Result<(Footprint, Proof), Unexplained> {
        let chain = Chain::new(&direct.groups, view).ok_or_else(|| Unexplained(b"-iquote".to_vec()))?;
        let sources = known
            .inputs
            .files
            .iter()
            .filter_map(|input| Some(ReadFile { path: &input.name, content: input.content.as_deref()? }));
        let files: Vec<ReadFile<'_>> = sources.collect();
        let macros = self.macros();
        let macros: Vec<&[u8]> = macros.iter().map(Vec::as_slice).collect();
        let proof = prove(
            &Reading {
                files: &files,
                entered: known.entered(),
                source: &self.invocation.source,
                forced: &self.invocation.forced_includes,
                macros: &macros,
                chain: &chain,
            },
            view,
        )?;
        let today = || self.today();
        let time = self.time_macros(&today);
        let mut inputs: Vec<(RootPath, _)> = Vec::new();
        for input in known.inputs.files.iter().filter(|input| input.content.is_some()) {
            let path = self.hung(&input.name);
            let observed =
                direct.observer.note(&opened(&self.root, &path), input.stamp, input.digest, input.facts);
            let digest = keyed_digest(&observed, &time).ok_or_else(|| Unexplained(input.name.clone()))?;
            inputs.push((path, digest));
        }
        for name in &proof.more {
            let path = self.hung(name);
            let observed = direct.observer.observe(&opened(&self.root, &path));
            // It was looked for before the compile, and is read only now.
            let old = observed.filter(|observed| observed.stamp.is_before(known.inputs.start()));
            let digest = old.and_then(|observed| keyed_digest(&observed, &time));
            inputs.push((path, digest.ok_or_else(|| Unexplained(name.clone()))?));
        }
        let absent = proof.absent.iter().map(|name| self.hung(name)).collect();
        Ok((Footprint::new(inputs, absent), proof))
    }

    /// Lists the macros of the command line, `NAME` or `NAME=VALUE`.
    fn macros(&self) -> Vec<Vec<u8>> {
        let mut macros = Vec::new();
        let text = self.invocation.arguments.iter().filter(|argument| argument.role == KeyRole::Text);
        let mut words = text.map(|argument| argument.bytes.as_slice());
        while let Some(word) = words.next() {
            match word {
                b"-D" | b"--define-macro" => macros.extend(words.next().map(<[u8]>::to_vec)),
                _ if word.starts_with(b"--define-macro=") => {
                    macros.push(word[b"--define-macro=".len()..].to_vec());
                }
                _ if word.starts_with(b"-D") => macros.push(word[2..].to_vec()),
                _ if word.starts_with(b"-Wp,") => {
                    let parts = word[4..].split(|&byte| byte == b',');
                    macros.extend(parts.filter_map(|part| part.strip_prefix(b"-D")).map(<[u8]>::to_vec));
                }
                _ => {}
            }
        }
        macros
    }

    /// Adds a footprint to this machine's manifest. What cannot be written is learned again.
    pub(super) fn note(
        &self,
        store: &Store<'_>,
        manifest: ManifestKey,
        key: EntryKey,
        footprint: Footprint,
        tally: &mut Tally,
    ) {
        tally.event.traffic.local.written += u64::from(self.note_in(store, manifest, key, footprint));
    }

    /// The same in any store; returns whether it is there.
    pub(super) fn note_in(
        &self,
        store: &Store<'_>,
        manifest: ManifestKey,
        key: EntryKey,
        footprint: Footprint,
    ) -> bool {
        let EntryKey::Direct(direct) = key else { return false };
        let side = Side::Manifest(manifest);
        let known = match store.side(side) {
            Beside::Body(bytes) => Manifest::from_bytes(&bytes).unwrap_or_default(),
            Beside::Nothing | Beside::Damaged => Manifest::default(),
        };
        let now = wall_now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = UnixMillis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        // The process ends soon: thousands of names are not freed one by one.
        let manifest = ManuallyDrop::new(footprint.into_manifest(known, direct, now));
        store.put_side(side, &manifest.to_bytes()).is_ok()
    }

    /// Seals the record of this command, where stamps can stand for everything that led to its entry. What cannot be sealed is found by
    /// its manifest.
    pub(super) fn seal(&self, direct: &mut Direct, footprint: &Footprint, entry: EntryKey) {
        // Who wants everything compiled anew must not be served at the next call.
        let wanted = !self.config.read_only && !self.config.recache;
        let Some(name) = self.sealed.filter(|_| wanted) else { return };
        if let Some(sealed) = self.sealed_record(direct, footprint, entry) {
            let _ =
                Store::new(self.home, self.config.max_size).put_side(Side::Sealed(name), &sealed.to_bytes());
        }
    }

    /// Whether everything that the command depends on has a stamp.
    fn can_be_sealed(&self, now: SystemTime) -> bool {
        let checked = matches!(
            self.config.compiler_check,
            CompilerCheck::Content | CompilerCheck::Mtime | CompilerCheck::None | CompilerCheck::Text(_)
        );
        let response_file = self.arguments.iter().any(|argument| argument.as_bytes().starts_with(b"@"));
        let settled = self.toolchain.stamps.iter().all(|(_, stamp)| stamp.is_settled(now));
        // The fast way knows no log, compares with no compile, writes what it delivers, and looks nowhere but here.
        let plain = self.in_force.steady
            && self.config.log_file.is_none()
            && self.config.verify.is_never()
            && !is_recorded()
            && self.config.stats_log.is_none()
            && self.config.debug == DebugFiles::Off
            && self.config.transfer().is_none()
            && !self.config.remote_only
            && !self.config.reshare;
        // Whether an argument of a plugin names a file can change at any time.
        let plain = plain && !self.invocation.facts.plugin;
        checked && plain && !response_file && settled && self.toolchain.native.is_empty()
    }

    fn sealed_record(&self, direct: &mut Direct, footprint: &Footprint, entry: EntryKey) -> Option<Sealed> {
        if !self.can_be_sealed(direct.observer.now()) {
            return None;
        }
        let mut stamps = self.input_stamps(direct, footprint)?;
        stamps.extend(self.toolchain.stamps.iter().cloned());
        let headers = footprint.absent.iter().map(|path| opened(&self.root, path));
        let headers = headers.map(|name| {
            let name = name.into_owned();
            let absence = Absence::of_header(&name);
            (name, absence)
        });
        let mut absent: Vec<AbsentName> = headers.collect();
        let mut nothing = |name: &[u8]| absent.push((name.to_vec(), Absence::Nothing));
        self.toolchain.absent.iter().for_each(|name| nothing(name));
        let surroundings = self.in_force.files.iter().chain(&self.compiler.passed);
        for path in surroundings {
            let name = path.as_os_str().as_bytes();
            match Stamp::of(path) {
                Some(stamp) if stamp.is_settled(direct.observer.now()) => stamps.push((name.to_vec(), stamp)),
                Some(_) => return None,
                None => nothing(name),
            }
        }
        let (unmarked, mark) = project::marks(&self.directory);
        unmarked.iter().for_each(|path| nothing(path.as_os_str().as_bytes()));
        let mut places = Vec::new();
        if let Some(mark) = mark {
            places.push(self.place(mark.as_os_str().as_bytes())?);
        }
        let ends = self.in_force.ends.iter().map(|path| path.as_os_str().as_bytes());
        for directory in direct.groups.all().chain(ends) {
            match self.place(directory) {
                Some(place) => places.push(place),
                None => nothing(directory),
            }
        }
        if self.invocation.working_directory != self.directory.as_os_str().as_bytes() {
            places.push(self.place(&self.invocation.working_directory)?);
        }
        let names = absent.iter().map(|(name, absence)| (name.as_slice(), *absence));
        let guards = Guards::over(names, &direct.directories, direct.observer.now())?;
        let devices = stamps.iter().map(|(path, stamp)| (path, stamp.device));
        let guarded = guards.guards.iter().filter_map(|guard| Some((&guard.directory, guard.stamp?.device)));
        let reliable = devices.chain(guarded).all(|(path, device)| direct.observer.is_reliable(device, path));
        reliable.then(|| Sealed {
            entry,
            stamps,
            guards,
            places,
            outputs: self.invocation.outputs.clone(),
            depend: self.invocation.depend.clone(),
            root: self.root.clone(),
            compiler: self.compiler.name.as_bytes().to_vec(),
            source: self.invocation.source.clone(),
            counted: self.config.stats,
        })
    }

    /// Returns the stamps of all inputs, option files and extra files; `None` when one of them proves nothing, or an input shows the date.
    fn input_stamps(&self, direct: &mut Direct, footprint: &Footprint) -> Option<Vec<(Vec<u8>, Stamp)>> {
        let inputs = footprint.inputs.iter().map(|(path, _)| opened(&self.root, path).into_owned());
        let options = self.invocation.option_files.iter().map(|file| file.path.clone());
        let extra = self.config.extra_files_to_hash.iter().map(|path| path.as_os_str().as_bytes().to_vec());
        let mut stamps = Vec::with_capacity(footprint.inputs.len());
        for path in inputs.chain(options).chain(extra) {
            let observed = direct.observer.observe(&path).filter(|observed| observed.settled)?;
            if observed.facts.date && !self.config.sloppiness.time_macros {
                return None;
            }
            stamps.push((path, observed.stamp));
        }
        Some(stamps)
    }

    fn place(&self, name: &[u8]) -> Option<SamePlace> {
        let found = self.directory.join(Path::new(OsStr::from_bytes(name))).metadata().ok()?;
        Some((name.to_vec(), found.dev(), found.ino()))
    }
}
