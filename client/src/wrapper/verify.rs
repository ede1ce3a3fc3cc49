//! A hit that is held against a compile: looked up as ever, compiled as typed, compared; what the compiler gave is what the call gets.
//!
//! Invariant: nothing of a hit that is to be verified is written where the call wants it, and nothing of it is kept, sealed or handed on before the
//! compile has shown it to be right.

use super::capture::Captured;
use super::deliver::Delivery;
use super::direct::{Direct, DirectHit};
use super::learn::Untaught;
use super::listed::reason;
use super::lookup::{Hit, Known};
use super::refusal::Refusal;
use super::remember::{Kept, Outcome};
use super::setting::{Setting, Tally};
use crate::direct::guard::Absence;
use crate::direct::manifest::opened;
use crate::explain::{DIFFERS, differing, found};
use crate::invocation::Stage;
use crate::link::Link;
use crate::process::{Ending, Ran, write_all};
use crate::stats::{Looked, Served, Verdict};
use crate::store::{LocalEntry, Store};
use crate::toolchain::Stamp;
use crate::verify::{Actual, Difference, Differs, Expected, Refused, Report, Shown, Taken, Varies, compare};
use dccache_protocol::entry::{Comparability, OutputRole};
use dccache_protocol::ids::SignerId;
use dccache_protocol::keys::EntryKey;
use std::io;

/// Why a compile says nothing about the hit: it did not compile what was looked up.
const ANOTHER_COMPILE: [&str; 3] = ["modified_input_file", "date_changed", "dependencies_differ"];

/// What a look-up came to.
#[derive(Debug)]
pub(super) enum Reached {
    /// The call is served.
    Delivered,
    /// An entry was found that is to be verified first.
    Doubted(Box<Doubt>),
}

/// An entry that is held against a compile.
#[derive(Debug)]
pub(super) struct Doubt {
    served: Served,
    hit: Doubted,
}

/// How it was found.
#[derive(Debug)]
enum Doubted {
    Direct(DirectHit),
    Text(Hit),
}

impl Reached {
    /// An entry was found by what the call reads.
    pub(super) fn direct(hit: DirectHit, served: Served) -> Self {
        Self::Doubted(Box::new(Doubt { served, hit: Doubted::Direct(hit) }))
    }

    /// An entry was found by its preprocessed text.
    pub(super) fn text(hit: Hit, served: Served) -> Self {
        Self::Doubted(Box::new(Doubt { served, hit: Doubted::Text(hit) }))
    }
}

impl Doubt {
    fn entry(&self) -> &LocalEntry {
        match &self.hit {
            Doubted::Direct(hit) => &hit.entry,
            Doubted::Text(hit) => &hit.entry,
        }
    }

    /// Names who signed it, where it came from the ring.
    fn signer(&self) -> Option<SignerId> {
        self.entry().origin.signer()
    }

    /// Names the key that was asked for, and the one under which the entry lies.
    fn keys(&self) -> [EntryKey; 2] {
        match &self.hit {
            Doubted::Direct(hit) => [hit.key, hit.lies],
            Doubted::Text(hit) => [hit.key, hit.lies],
        }
    }
}

/// What lies around a compile that verifies a hit.
pub(super) struct Around<'c, 'l> {
    /// What its text says; or why nobody knows, so that it is not stored.
    pub(super) known: Result<Known, Refusal>,
    pub(super) direct: Option<&'c mut Direct>,
    pub(super) store: &'c Store<'c>,
    pub(super) link: Option<Link<'l>>,
}

impl Setting<'_> {
    /// Compiles, holds the hit against what that gave, and returns the compiler's exit code.
    pub(super) fn verify(
        &self,
        doubt: Doubt,
        around: Around<'_, '_>,
        tally: &mut Tally,
    ) -> Result<i32, Refusal> {
        let Ok(expected) = Delivery::of(self).expected(doubt.entry()) else {
            tally.fault("corrupt_entry");
            let Around { known, direct, store, link } = around;
            return self.compile(&known?, direct, store, link, tally);
        };
        tally.event.signer = doubt.signer();
        let before = self.main_output();
        let ran = self.run_compiler(self.color(), &[], tally)?;
        self.remove_partial(before, &ran);
        match self.differences(&doubt, around.known.as_ref().ok(), &expected, &ran) {
            Err(reason) => not_verified(&doubt, reason, tally),
            Ok(_) if !ran.ending.is_success() => self.take_as_failed(&doubt, around.store, tally),
            Ok(differences) if differences.is_empty() => self.take_as_right(doubt, around, tally),
            Ok(differences) if differences.iter().all(|difference| difference.may_vary) => {
                self.take_as_varying(&doubt, &differences, around.store, tally);
            }
            Ok(differences) => self.take_as_wrong(&doubt, &differences, around, &ran, tally),
        }
        Ok(self.end(&ran, tally))
    }

    /// Lists what differs. The name is why the compile says nothing about the hit.
    fn differences(
        &self,
        doubt: &Doubt,
        known: Option<&Known>,
        expected: &Expected,
        ran: &Ran,
    ) -> Result<Vec<Difference>, &'static str> {
        if ran.interrupted || matches!(ran.ending, Ending::Killed(_)) {
            return Err("interrupted");
        }
        if !ran.complete {
            return Err("output_too_large");
        }
        self.inputs_stayed(doubt, known)?;
        let actual = Actual {
            files: expected.files.iter().map(|(_, path, _)| std::fs::read(path).ok()).collect(),
            streams: [ran.stdout.clone(), ran.stderr.clone()],
        };
        Ok(compare(expected, &actual, self.varies()))
    }

    /// Requires that what was compiled is what was looked up.
    fn inputs_stayed(&self, doubt: &Doubt, known: Option<&Known>) -> Result<(), &'static str> {
        let since = self.verifies_since.unwrap_or(0);
        let stayed = |name: &[u8]| Stamp::of(&self.path(name)).is_some_and(|stamp| stamp.is_before(since));
        let absent = |name: &[u8]| Absence::of_header(name).holds(&self.path(name));
        let stayed = match &doubt.hit {
            Doubted::Direct(DirectHit { footprint, .. }) => {
                footprint.inputs.iter().all(|(path, _)| stayed(&opened(&self.root, path)))
                    && footprint.absent.iter().all(|path| absent(&opened(&self.root, path)))
            }
            Doubted::Text(_) => true,
        };
        let modified = known.is_some_and(|known| known.inputs.modified(self.config.sloppiness));
        if !stayed || modified {
            return Err("modified_input_file");
        }
        let dated = known.is_some_and(|known| known.inputs.facts.date && !known.inputs.same_quarter());
        if dated { Err("date_changed") } else { Ok(()) }
    }

    fn varies(&self) -> Varies {
        match self.comparability() {
            Comparability::Reproducible => Varies::No,
            _ if self.invocation.stage == Stage::Precompiled => Varies::Anywhere,
            _ if self.invocation.facts.lto => Varies::ByName,
            _ if self.invocation.facts.coverage => Varies::ByStamp,
            // A record of optimisations is told by what it is.
            _ => Varies::No,
        }
    }

    /// Keeps what came from elsewhere, as after any hit.
    fn take_as_right(&self, doubt: Doubt, around: Around<'_, '_>, tally: &mut Tally) {
        tally.verdict = Some(Verdict::Verified(doubt.served));
        let Around { known, direct, store, mut link } = around;
        let local = matches!(doubt.served, Served::Local | Served::DirectLocal);
        let keeps = !self.config.read_only && !self.config.remote_only && !local;
        match (doubt.hit, known) {
            (Doubted::Direct(hit), _) => {
                tally.event.traffic.direct = Looked::Found;
                match direct {
                    Some(direct) if local => {
                        self.show_inputs(Some(&*direct), None, Some(&hit.footprint), tally);
                    }
                    Some(direct) => self.remember_found(direct, &hit, tally),
                    None => {}
                }
                if keeps {
                    self.keep_direct(hit, store, tally);
                }
            }
            (Doubted::Text(hit), Ok(known)) => {
                tally.event.traffic.preprocessed = Looked::Found;
                if keeps {
                    let _ = self.keep_found(&known, &hit, direct, store, link.as_mut(), tally);
                } else {
                    self.show_inputs(direct.as_deref(), Some(&known), None, tally);
                }
            }
            (Doubted::Text(_), Err(_)) => {}
        }
    }

    /// Says that the compile fails, which is no proof: memory or disk can be short. The entry goes, so that nothing hides the failure from the next
    /// compile, and its content is not refused.
    fn take_as_failed(&self, doubt: &Doubt, store: &Store<'_>, tally: &mut Tally) {
        let removed = if self.config.read_only { Ok(()) } else { remove(doubt, store) };
        let taken = match removed {
            Ok(()) if self.config.read_only => Taken::Stays("read_only is on".to_owned()),
            Ok(()) => Taken::Unblamed,
            Err(error) => Taken::Stays(error.to_string()),
        };
        self.report(doubt, &[], &taken, tally);
        not_verified(doubt, "compile_failed", tally);
    }

    /// Leaves open what nobody can compare. An entry of which more than a record of optimisations differs could be wrong, and goes: that costs a compile.
    fn take_as_varying(
        &self,
        doubt: &Doubt,
        differences: &[Difference],
        store: &Store<'_>,
        tally: &mut Tally,
    ) {
        let record = |difference: &Difference| difference.role == Some(OutputRole::OptimizationRecord);
        let goes = !self.config.read_only && !differences.iter().all(record);
        if goes && remove(doubt, store).is_err() {
            tally.fault("store_write_error");
        }
        not_verified(doubt, "output_varies", tally);
    }

    /// Takes the entry out, stores what the compiler gave, and says so.
    fn take_as_wrong(
        &self,
        doubt: &Doubt,
        differences: &[Difference],
        around: Around<'_, '_>,
        ran: &Ran,
        tally: &mut Tally,
    ) {
        let Around { known, mut direct, store, link } = around;
        let known = known.map_err(reason);
        let captured = known.as_ref().map_err(|reason| *reason).and_then(|known| self.capture(known, ran));
        let another = self.another_compile(known.as_ref().ok(), &captured, direct.as_deref_mut());
        if let Some(reason) = another {
            return not_verified(doubt, reason, tally);
        }
        let taken = self.take_out(doubt, known.as_ref().ok(), store);
        self.recall(direct.as_deref_mut().filter(|_| self.config.stats), store);
        let mut kept = Kept::default();
        match (known.as_ref(), captured.as_ref()) {
            _ if self.config.read_only => tally.not_stored("read_only"),
            (Ok(known), Ok(captured)) => {
                kept = self.store(known, captured, direct.as_deref_mut(), store, link, tally);
            }
            (Err(reason), _) | (_, Err(reason)) => tally.not_stored(reason),
        }
        self.remember(direct.as_deref(), known.as_ref().ok(), Outcome::of(&kept), tally);
        tally.fault(DIFFERS);
        let differences: Vec<Shown> =
            differences.iter().map(|difference| Shown::keep(self.home, difference)).collect();
        self.report(doubt, &differences, &taken, tally);
        let differs = Differs { place: found(doubt.served).1, signer: doubt.signer(), differences };
        tally.event.cause = differing(differs.place, differs.kept(), &differs.outputs());
        tally.differs = Some(differs);
    }

    /// Says why what was compiled is not what was looked up, where a file changed meanwhile, or a name that the search for headers meets.
    fn another_compile(
        &self,
        known: Option<&Known>,
        captured: &Result<Captured, &'static str>,
        direct: Option<&mut Direct>,
    ) -> Option<&'static str> {
        let captured = match captured {
            Ok(captured) => captured,
            Err(reason) => return ANOTHER_COMPILE.into_iter().find(|another| another == reason),
        };
        let moved = match self.learn(direct?, known?, captured.shared) {
            Err(Untaught::Moving) => !self.config.sloppiness.include_file_ctime,
            Err(Untaught::Appeared) => true,
            Ok(_) | Err(Untaught::Unexplained) => false,
        };
        moved.then_some("modified_input_file")
    }

    /// Says on stderr what was found, and what became of it.
    fn report(&self, doubt: &Doubt, differences: &[Shown], taken: &Taken, tally: &Tally) {
        let report = Report {
            compiler: self.compiler.name.as_encoded_bytes(),
            source: &self.invocation.source,
            directory: self.directory.as_os_str().as_encoded_bytes(),
            object: self.main_path(),
            found: found(doubt.served),
            signer: doubt.signer(),
            code: tally.delivered.unwrap_or(0),
            differences,
            taken,
            declared: &self.declared_irrelevant(),
        };
        // One write, so that reports of many compiles do not mix.
        write_all(rustix::stdio::stderr(), report.to_string().as_bytes());
    }

    /// Drops the entry, and sees to it that the same content is not taken from others again.
    fn take_out(&self, doubt: &Doubt, known: Option<&Known>, store: &Store<'_>) -> Taken {
        if self.config.read_only {
            return Taken::Stays("read_only is on".to_owned());
        }
        let keys = doubt.keys();
        let more = known.map(Known::probes).unwrap_or_default();
        let all: Vec<EntryKey> = keys.iter().chain(&more).copied().collect();
        let refused = Refused::add(self.home, &all, &doubt.entry().outcome);
        match (remove(doubt, store), refused) {
            (Ok(()), Ok(())) => Taken::Dropped,
            (Ok(()), Err(error)) => Taken::Forgotten(error.to_string()),
            (Err(error), _) => Taken::Stays(error.to_string()),
        }
    }

    /// Names the settings by which results may differ.
    fn declared_irrelevant(&self) -> String {
        let mut declared = Vec::new();
        let words = self.config.sloppiness.show();
        if !words.is_empty() {
            declared.push(format!("sloppiness = {words}"));
        }
        if !self.config.hash_dir {
            declared.push("hash_dir = false".to_owned());
        }
        if !self.config.ignore_options.is_empty() {
            declared.push(format!("ignore_options = {}", self.config.ignore_options.join(" ")));
        }
        declared.join(", ")
    }

    /// Tells whether what others hold differed from a compile once.
    pub(super) fn refuses(&self, keys: &[EntryKey], entry: &LocalEntry, tally: &mut Tally) -> bool {
        let refused = Refused::read(self.home).holds(keys, &entry.outcome);
        if refused {
            tally.fault("refused_entry");
        }
        refused
    }
}

/// Counts a hit of which nobody can tell whether it is right.
fn not_verified(doubt: &Doubt, reason: &str, tally: &mut Tally) {
    tally.verdict = Some(Verdict::Unverified(doubt.served, reason.to_owned()));
}

/// Removes the entry from this machine's store, under each name that led to it.
fn remove(doubt: &Doubt, store: &Store<'_>) -> io::Result<()> {
    doubt.keys().iter().try_for_each(|key| store.remove(key))
}
