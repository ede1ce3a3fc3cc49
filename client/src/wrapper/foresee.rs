//! What would happen to a call now: it is looked up as a compile is, and nothing is compiled, delivered or stored.

use super::direct::DirectHit;
use super::refusal::Refusal;
use super::remember::Outcome;
use super::setting::{Setting, Tally};
use super::{Call, Fault, Typed, prepare, sealed};
use crate::explain::Record;
use crate::home::Home;
use crate::invocation::main_output;
use crate::link::Link;
use crate::process::wall_now;
use crate::resolve::resolve;
use crate::stats::{Event, Served, Verdict};
use crate::store::LocalEntry;
use dccache_protocol::digest::Digest;
use std::ffi::OsStr;
use std::time::UNIX_EPOCH;

/// What would be counted of a call.
#[derive(Debug)]
pub struct Foreseen {
    /// What would be done.
    pub event: Event,
    /// What a miss would be made of.
    pub record: Option<Record>,
    /// What leads from digests in the record to those of files that show the date.
    pub dates: Vec<Vec<u8>>,
    /// Which hits are compiled as well, in words; `None` where none are, or it is no hit.
    pub verify: Option<String>,
}

/// Looks a call up. A preprocessor may run, and the ring may be asked.
///
/// # Errors
/// The exit code of a call that could not begin: it was said why.
pub fn foresee(typed: &Typed<'_>) -> Result<Foreseen, i32> {
    let home = typed.rules.home().and_then(|path| Home::open(&path).ok());
    let directory = std::env::current_dir().unwrap_or_default();
    let name = sealed::name(&typed.words, &typed.arguments, &directory);
    if let Some(event) = home.as_ref().and_then(|home| sealed::foresee(home, name, &directory)) {
        return Ok(Foreseen { event: stamped(event), record: None, dates: Vec::new(), verify: None });
    }
    let path = std::env::var_os("PATH");
    let in_force = match typed.rules.in_force(home.as_ref()) {
        Ok(in_force) => in_force,
        Err(Fault::Final(code)) => return Err(code),
        Err(Fault::Counted(cause)) => return Ok(left_alone(OsStr::new(""), "bad_configuration", cause)),
    };
    let config = &in_force.config;
    let path = config.path.clone().or(path);
    let found = match &config.compiler {
        Some(name) => resolve(OsStr::new(name), path.as_deref()),
        None => (typed.find)(path.as_deref()),
    };
    let compiler = found.map_err(|error| typed.rules.without_compiler(&error))?;
    let Some(home) = home.filter(|_| !config.disable) else {
        return Ok(left_alone(&compiler.name, "disabled", "disable".to_owned()));
    };
    let mut tally = Tally::begin(&compiler);
    let call = Call {
        home: &home,
        in_force: &in_force,
        compiler: &compiler,
        arguments: &typed.arguments,
        sealed: None,
    };
    let mut dates = Vec::new();
    let verdict = prepare(&call).and_then(|setting| setting.foresee(&mut tally, &mut dates));
    tally.event.verdict = verdict.unwrap_or_else(|refusal| refusal.count(&mut tally));
    let event = stamped(tally.event);
    let record = tally.record.map(|record| Record { at_ms: event.at_ms, ..record });
    let verifies = matches!(event.verdict, Verdict::Hit(_)) && !config.verify.is_never();
    let verify = verifies.then(|| config.verify.show());
    Ok(Foreseen { event, record, dates, verify })
}

fn left_alone(compiler: &OsStr, reason: &str, cause: String) -> Foreseen {
    let mut tally = Tally::new(compiler, &std::env::current_dir().unwrap_or_default());
    tally.event.verdict = Verdict::Bypassed(reason.to_owned());
    tally.event.cause = cause.into_bytes();
    Foreseen { event: stamped(tally.event), record: None, dates: Vec::new(), verify: None }
}

/// Gives it the time of now.
fn stamped(event: Event) -> Event {
    let now = wall_now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Event { at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX), ..event }
}

impl Setting<'_> {
    fn foresee(&self, tally: &mut Tally, dates: &mut Vec<Vec<u8>>) -> Result<Verdict, Refusal> {
        tally.event.source = self.invocation.source.clone();
        tally.event.output = main_output(&self.invocation.outputs);
        let store = self.store_of_own();
        let mut link = Link::new(self.home, self.config);
        let mut direct = self.direct();
        let looks = !self.config.recache;
        if let Some(direct) = direct.as_mut().filter(|_| looks) {
            let local =
                if self.config.remote_only { None } else { self.find_directly(direct, &store, tally) };
            if let Some(DirectHit { key, entry, .. }) = local {
                return Ok(would_serve(Served::DirectLocal, *key.digest(), &entry, tally));
            }
            let found = link.as_mut().and_then(|link| self.find_directly_on_ring(direct, link, tally));
            if let Some(DirectHit { key, entry, .. }) = found {
                return Ok(would_serve(Served::DirectRing, *key.digest(), &entry, tally));
            }
        }
        if self.config.read_only_direct {
            return Err(Refusal::ours("read_only_direct"));
        }
        self.recall(direct.as_mut(), &store);
        let known = self.know(tally)?;
        if looks && let Some(hit) = self.find_locally(&store, &known, tally) {
            return Ok(would_serve(Served::Local, *hit.key.digest(), &hit.entry, tally));
        }
        if looks && let Some(hit) = self.find_on_ring(link.as_mut(), &known, tally) {
            return Ok(would_serve(Served::Ring, *hit.key.digest(), &hit.entry, tally));
        }
        tally.event.traffic.recached = self.config.recache;
        tally.event.keys = known.probes().iter().map(|key| *key.digest()).collect();
        let outcome = Outcome { key: None, shared: known.free().is_some(), read: None };
        tally.record = self.record(direct.as_ref(), Some(&known), outcome, tally);
        *dates = self.dates(&known);
        Ok(match self.config.read_only {
            true => Verdict::NotStored("read_only".to_owned()),
            false => Verdict::Miss,
        })
    }
}

fn would_serve(served: Served, key: Digest, entry: &LocalEntry, tally: &mut Tally) -> Verdict {
    tally.event.keys = vec![key];
    tally.event.compile_ms = entry.outcome.wall_ms;
    tally.event.signer = entry.origin.signer();
    Verdict::Hit(served)
}
