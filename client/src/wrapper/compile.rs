//! Serving a compile, or running the compiler once and keeping what it gave.

use super::capture::Captured;
use super::direct::Direct;
use super::inputs::Inputs;
use super::learn::Untaught;
use super::listed::Lists;
use super::lookup::Known;
use super::prefix::Start;
use super::refusal::Refusal;
use super::remember::{Kept, Outcome};
use super::setting::{Setting, Tally, stderr_shows_color};
use super::verify::{Around, Reached};
use crate::invocation::{ColorRequest, main_output};
use crate::keying::Color;
use crate::link::Link;
use crate::process::{Ending, Ran, die_like, run};
use crate::stats::{Served, Verdict};
use crate::store::{Flight, LocalEntry, Store, take_off};
use crate::toolchain::Stamp;
use dccache_protocol::keys::EntryKey;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Why a compile is not stored this time, and can be the next.
const BY_CHANCE: [&str; 2] = ["modified_input_file", "store_write_error"];

impl Setting<'_> {
    /// Serves the call or compiles it, and returns the exit code. Sets the tally's verdict unless it refuses.
    pub(super) fn serve(&self, tally: &mut Tally) -> Result<i32, Refusal> {
        tally.event.source = self.invocation.source.clone();
        tally.output = self.main_path();
        tally.event.output = main_output(&self.invocation.outputs);
        self.shared.count_unreached(tally);
        let store = self.store_of_own();
        let mut link = Link::new(self.home, self.config);
        let mut direct = self.direct();
        let looked_for = direct.as_mut().filter(|_| !self.config.recache);
        let reached = looked_for.and_then(|direct| self.serve_directly(direct, &store, link.as_mut(), tally));
        let doubt = match reached {
            Some(Reached::Delivered) => {
                // What it learned is written, and the process ends: to free thousands of names one by one is a tenth of a hit.
                std::mem::forget(direct);
                return Ok(0);
            }
            Some(Reached::Doubted(doubt)) => Some(doubt),
            None if self.config.read_only_direct => return Err(Refusal::ours("read_only_direct")),
            None => None,
        };
        if let Some(direct) = direct.as_mut() {
            self.watch(direct);
        }
        if doubt.is_none()
            && let Some(direct) = direct.as_mut()
            && let Some(lists) = self.lists(direct)
        {
            return self.compile_listing(direct, &lists, &store, link, tally);
        }
        let known = self.know_and_watch(&mut direct, tally);
        match doubt {
            Some(doubt) => {
                let around = Around { known, direct: direct.as_mut(), store: &store, link };
                self.verify(*doubt, around, tally)
            }
            None => self.serve_by_text(known?, direct.as_mut(), &store, link, tally),
        }
    }

    /// Finds out what the text says, and from there on watches the ways to it.
    fn know_and_watch(&self, direct: &mut Option<Direct>, tally: &mut Tally) -> Result<Known, Refusal> {
        let known = self.know(tally)?;
        if !known.provable {
            *direct = None;
        }
        if let Some(direct) = direct.as_ref() {
            let files = known.inputs.files.iter().map(|input| input.name.as_slice());
            self.watch_beside(direct, files, known.inputs.start());
        }
        Ok(known)
    }

    /// Serves the call by its preprocessed text, or compiles it.
    fn serve_by_text(
        &self,
        known: Known,
        mut direct: Option<&mut Direct>,
        store: &Store<'_>,
        mut link: Option<Link<'_>>,
        tally: &mut Tally,
    ) -> Result<i32, Refusal> {
        let probes = known.probes();
        tally.event.keys = probes.iter().map(|key| *key.digest()).collect();
        if self.config.recache {
            tally.event.traffic.recached = true;
            return self.compile(&known, direct, store, link, tally);
        }
        let mut reached = self
            .serve_locally(&known, direct.as_deref_mut(), store, link.as_mut(), tally)
            .or_else(|| self.serve_from_shared(&known, direct.as_deref_mut(), store, tally))
            .or_else(|| self.serve_from_ring(&known, direct.as_deref_mut(), store, link.as_mut(), tally));
        let flies = reached.is_none() && !self.config.read_only;
        let flight = if flies { take_off(self.home, &probes[0]) } else { Flight::Unlocked };
        if matches!(flight, Flight::AfterAnother(_)) {
            reached = self.serve_locally(&known, direct.as_deref_mut(), store, link.as_mut(), tally);
        }
        match reached {
            Some(Reached::Delivered) => Ok(0),
            Some(Reached::Doubted(doubt)) => {
                self.verify(*doubt, Around { known: Ok(known), direct, store, link }, tally)
            }
            None => self.compile(&known, direct, store, link, tally),
        }
    }

    pub(super) fn deliver_or_count(&self, entry: &LocalEntry, served: Served, tally: &mut Tally) -> bool {
        match self.deliver(entry, tally) {
            Ok(()) => {
                self.served(served, entry, tally);
                true
            }
            Err(super::deliver::Undelivered::Damaged) => {
                tally.fault("corrupt_entry");
                false
            }
            Err(super::deliver::Undelivered::Output(_)) => {
                tally.fault("output_write_error");
                false
            }
        }
    }

    /// Runs the compiler once. Whatever happens afterwards, its exit code is the result.
    pub(super) fn compile(
        &self,
        known: &Known,
        mut direct: Option<&mut Direct>,
        store: &Store<'_>,
        link: Option<Link<'_>>,
        tally: &mut Tally,
    ) -> Result<i32, Refusal> {
        if direct.as_ref().is_some_and(|direct| !self.text_serves_others(direct)) && !self.config.recache {
            self.preprocessing_did_not_pay();
        }
        let before = self.main_output();
        let ran = self.run_compiler(known.color, &[], tally)?;
        let captured = self.capture(known, &ran);
        if let Err(reason) = &captured {
            self.remove_partial(before, &ran);
            tally.not_stored(reason);
        }
        let kept = match captured {
            Ok(captured) if !self.config.read_only => {
                self.recall(direct.as_deref_mut().filter(|_| self.config.stats), store);
                self.store(known, &captured, direct.as_deref_mut(), store, link, tally)
            }
            _ if self.config.read_only => {
                tally.not_stored("read_only");
                Kept::default()
            }
            _ => Kept::default(),
        };
        self.remember(direct.as_deref(), Some(known), Outcome::of(&kept), tally);
        Ok(self.end(&ran, tally))
    }

    /// Compiles what is not preprocessed first: what it reads, and so its key, is known afterwards.
    fn compile_listing(
        &self,
        direct: &mut Direct,
        lists: &Lists,
        store: &Store<'_>,
        mut link: Option<Link<'_>>,
        tally: &mut Tally,
    ) -> Result<i32, Refusal> {
        let flight = take_off(self.home, &direct.flight());
        // Nothing is compiled by lists where a hit is to be verified.
        if matches!(flight, Flight::AfterAnother(_))
            && self.serve_directly(direct, store, link.as_mut(), tally).is_some()
        {
            return Ok(0);
        }
        let inputs = Inputs::begin();
        let before = self.main_output();
        let ran = self.run_compiler(self.color(), &lists.arguments(), tally)?;
        let object = self.main_path().filter(|_| ran.ending.is_success());
        let delivered = lists.deliver(object.as_deref());
        if !ran.ending.is_success() {
            self.remove_partial(before, &ran);
            if lists.are_blamed(&ran.stderr) {
                self.note_need(direct);
                return Err(Refusal::ours("list_not_opened"));
            }
            tally.not_stored("compile_failed");
            return Ok(self.end(&ran, tally));
        }
        if let Err(error) = delivered {
            eprintln!("dccache: the dependency file cannot be written: {error}");
            // The compiler would have ended before there is an object.
            object.map(fs::remove_file);
            tally.not_stored("output_write_error");
            tally.delivered = Some(1);
            return Ok(1);
        }
        match self.know_from(lists, direct, inputs) {
            Ok(known) => {
                self.recall(Some(&mut *direct).filter(|_| self.config.stats), store);
                let kept = match self.capture(&known, &ran) {
                    Ok(captured) => self.store(&known, &captured, Some(direct), store, link, tally),
                    Err(reason) => {
                        tally.not_stored(reason);
                        Kept::default()
                    }
                };
                self.remember(Some(direct), Some(&known), Outcome::of(&kept), tally);
            }
            Err(reason) => tally.not_stored(reason),
        }
        if let Some(Verdict::NotStored(reason)) = &tally.verdict
            && !BY_CHANCE.contains(&reason.as_str())
        {
            self.note_need(direct);
        }
        Ok(self.end(&ran, tally))
    }

    pub(super) fn run_compiler(
        &self,
        color: Color,
        added: &[OsString],
        tally: &mut Tally,
    ) -> Result<Ran, Refusal> {
        let mut arguments = self.colored_arguments(color);
        arguments.extend_from_slice(added);
        let start = Start::of(&self.config.prefix_command, self.compiler, &arguments);
        let ran = run(&start.program, &start.name, &start.arguments)
            .map_err(|_| Refusal::ours("could_not_run_compiler"))?;
        tally.delivered = Some(code_of(ran.ending));
        tally.compiler = Duration::from_millis(ran.wall_ms.into());
        tally.event.compile_ms = ran.wall_ms;
        Ok(ran)
    }

    /// Ends as the compiler did.
    pub(super) fn end(&self, ran: &Ran, tally: &mut Tally) -> i32 {
        if let Ending::Killed(_) = ran.ending {
            // The record is written before, since nothing comes after.
            if let Some(verdict) = tally.verdict.take() {
                tally.event.verdict = verdict;
                tally.stamp();
                tally.record(self.home, self.config);
            }
        }
        die_like(ran.ending)
    }

    /// Keeps the outputs of a compile as files, where hits are to clone or link them.
    fn keep_raw(&self, store: &Store<'_>, entry: &LocalEntry) {
        let Some(transfer) = self.config.transfer() else { return };
        for output in entry.outcome.outputs.iter().filter(|output| transfer.takes(output.role)) {
            let planned = self.invocation.outputs.iter().find(|planned| planned.role == output.role);
            if let Some(path) = planned.and_then(|planned| planned.path.as_ref()) {
                store.keep_raw(&output.content, &self.path(path), transfer);
            }
        }
    }

    /// The compiler's stderr is a pipe for us; where it would have written colours, it is told to.
    fn colored_arguments(&self, color: Color) -> Vec<OsString> {
        let mut arguments = self.arguments.to_vec();
        arguments.extend(self.added.clone());
        let by_itself = self.invocation.color == ColorRequest::Auto && stderr_shows_color();
        if color == Color::Terminal && by_itself {
            let clang = self.invocation.kind.is_clang();
            arguments.push(if clang { "-fcolor-diagnostics" } else { "-fdiagnostics-color=always" }.into());
        }
        arguments
    }

    /// Stores what a compile gave, under its direct key where it has one; returns what is there.
    pub(super) fn store(
        &self,
        known: &Known,
        captured: &Captured,
        mut direct: Option<&mut Direct>,
        store: &Store<'_>,
        link: Option<Link<'_>>,
        tally: &mut Tally,
    ) -> Kept {
        let Captured { key, tokens, shared, entry } = captured;
        let not_stored = |tally: &mut Tally, reason| {
            tally.not_stored(reason);
            Kept { shared: *shared, ..Kept::default() }
        };
        let learned = match direct.as_deref_mut().map(|direct| self.learn(direct, known, *shared)) {
            Some(Ok(learned)) => Some(learned),
            // Such a change was declared to be none; but no look-up can be explained by it.
            Some(Err(Untaught::Moving)) if self.config.sloppiness.include_file_ctime => None,
            Some(Err(Untaught::Moving)) => return not_stored(tally, "modified_input_file"),
            Some(Err(Untaught::Unexplained | Untaught::Appeared)) => {
                tally.fault("lookup_not_explained");
                None
            }
            None => None,
        };
        let by_text: Vec<EntryKey> = key.iter().chain(tokens).copied().collect();
        let by_content = learned.as_ref().map(|learned| learned.key);
        let Some(lies) = by_content.or(*key) else {
            return not_stored(tally, "lookup_not_explained");
        };
        let names: Vec<EntryKey> = by_content.into_iter().chain(by_text.iter().copied()).collect();
        let taken = self.share_compile(&names, entry, learned.as_ref(), tally);
        let kept = Kept { key: Some(lies), shared: *shared, learned };
        if self.config.remote_only && taken && link.is_none() {
            tally.verdict = Some(Verdict::Miss);
            return kept;
        }
        if self.config.remote_only && key.is_some() {
            self.push_only(known, &by_text, entry, link, tally);
            return kept;
        }
        if !self.keep(store, &lies, entry, tally) {
            self.push(known, &by_text, entry, None, link, tally);
            return not_stored(tally, "store_write_error");
        }
        self.keep_raw(store, entry);
        for name in &names[1..] {
            let _ = store.put_alias(name, &lies);
        }
        match (&kept.learned, direct) {
            (Some(learned), Some(direct)) => {
                self.note(store, learned.manifest, learned.key, learned.footprint.clone(), tally);
                self.seal(direct, &learned.footprint, lies);
                self.push(known, &names, entry, Some(learned), link, tally);
            }
            _ => self.push(known, &by_text, entry, None, link, tally),
        }
        tally.verdict = Some(Verdict::Miss);
        kept
    }

    /// Stores an entry; returns whether it is there.
    pub(super) fn keep(
        &self,
        store: &Store<'_>,
        key: &EntryKey,
        entry: &LocalEntry,
        tally: &mut Tally,
    ) -> bool {
        match store.put(key, entry) {
            Ok(over) => {
                tally.event.traffic.local.written += 1;
                tally.event.stored_bytes = entry.outcome.total_size();
                if let Some(shard) = over {
                    store.clean(shard);
                }
                true
            }
            Err(_) => {
                tally.fault("store_write_error");
                false
            }
        }
    }

    /// Names the main output, and says how it lies there; nothing where there is none.
    pub(super) fn main_output(&self) -> Option<(PathBuf, Option<Stamp>)> {
        let path = self.main_path()?;
        let stamp = fs::symlink_metadata(&path).ok().map(|found| Stamp::from(&found));
        Some((path, stamp))
    }

    /// Names the main output; nothing where there is none.
    pub(super) fn main_path(&self) -> Option<PathBuf> {
        let role = self.invocation.stage.role()?;
        let planned = self.invocation.outputs.iter().find(|planned| planned.role == role)?;
        Some(self.path(planned.path.as_ref()?))
    }

    /// Removes what a compile that failed has left of its main output, `before` being what lay there: the compilers do so themselves,
    /// unless a signal ended one of their parts.
    pub(super) fn remove_partial(&self, before: Option<(PathBuf, Option<Stamp>)>, ran: &Ran) {
        let Some((path, before)) = before.filter(|_| !ran.ending.is_success()) else { return };
        let now = fs::symlink_metadata(&path).ok().filter(|found| found.is_file());
        if now.is_some_and(|found| Some(Stamp::from(&found)) != before) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns the exit code of an ending, for the case that this process lives on.
fn code_of(ending: Ending) -> i32 {
    match ending {
        Ending::Exited(code) => code,
        Ending::Killed(signal) => 128 + signal,
    }
}
