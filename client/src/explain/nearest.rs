//! Which earlier compile a miss is nearest to, and what differs from it.

use super::cause::{Cause, Kind};
use super::difference::{Changed, Differences, How, Read};
use super::record::{Record, Sharing};
use super::{fields, texts};
use crate::cpp::FileFacts;
use crate::direct::manifest::opened;
use crate::direct::observe::read_regular;
use crate::home::Home;
use crate::stats::{Event, TEXT_MAX, Verdict};
use crate::store::{Beside, Side, Store};
use dccache_protocol::codec::Format;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::RootPath;
use dccache_protocol::manifest::{Manifest, Suggestion};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is known of earlier compiles.
#[derive(Debug)]
pub struct Known<'a> {
    /// Where texts, toolchains and the store lie.
    pub home: &'a Home,
    /// Records, oldest first.
    pub records: &'a [Record],
}

/// Lists why a compile was not served, the most telling first; empty for one that was, or that was never looked up.
pub fn causes(known: &Known<'_>, event: &Event) -> Vec<Cause> {
    let own = |record: &&Record| record.is_of(event);
    causes_of(known, event, known.records.iter().rev().find(own))
}

/// As [`causes`], for a compile of which it is known what it is made of.
pub fn causes_of(known: &Known<'_>, event: &Event, record: Option<&Record>) -> Vec<Cause> {
    if !matches!(event.verdict, Verdict::Miss | Verdict::NotStored(_)) {
        return Vec::new();
    }
    let mut causes = Vec::new();
    if event.traffic.recached {
        causes.push(Cause::new(Kind::Policy, "recache").noted("everything is compiled anew"));
    }
    let distrusted = |fault: &&String| fault.starts_with("distrusted_");
    causes
        .extend(event.faults.iter().filter(distrusted).map(|fault| Cause::new(Kind::Policy, fault.as_str())));
    if causes.is_empty() {
        match record {
            Some(record) => causes.extend(known.explain(record)),
            None => {
                causes.push(Cause::new(Kind::New, "").noted("nothing is recorded of what it was made of"))
            }
        }
    }
    causes.extend(
        event
            .faults
            .iter()
            .filter(|fault| !distrusted(fault))
            .map(|fault| Cause::new(Kind::Fault, fault.as_str())),
    );
    causes
}

impl Record {
    /// Tells whether it is of the compile that an event counts.
    fn is_of(&self, event: &Event) -> bool {
        // An event cuts what is long.
        let is = |whole: &[u8], cut: &[u8]| {
            whole.starts_with(cut) && (whole.len() == cut.len() || cut.len() == TEXT_MAX)
        };
        self.at_ms == event.at_ms
            && is(&self.directory, &event.directory)
            && is(&self.source, &event.source)
            && is(&self.output, &event.output)
    }

    /// Returns what stands behind the last slash of its source.
    fn source_name(&self) -> &[u8] {
        self.source.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
}

impl Known<'_> {
    /// Lists what differs between a compile and the nearest one before it.
    pub fn explain(&self, record: &Record) -> Vec<Cause> {
        if let Some(found) = &record.compared {
            return self.of_same_command(record, found);
        }
        let before = self.records.iter().filter(|other| other.at_ms < record.at_ms && other.key.is_some());
        let alike = before.filter(|other| other.source_name() == record.source_name());
        // The last of equals is the newest.
        let nearest = alike.rev().min_by_key(|other| fields::distance(other, record));
        match nearest {
            Some(nearest) => self.between(nearest, record),
            None => vec![Cause::new(Kind::New, "")],
        }
    }

    /// What of the same command, which was compiled here or served before, differs in what it reads.
    fn of_same_command(&self, record: &Record, found: &Differences) -> Vec<Cause> {
        if found.changed.is_empty() {
            return vec![self.gone(record)];
        }
        let mut causes: Vec<Cause> =
            found.changed.iter().map(|changed| self.changed(&record.root, changed)).collect();
        if found.more > 0 {
            causes.push(Cause::new(Kind::Inputs, "").noted(format!("and {} more", found.more)));
        }
        causes
    }

    /// The same command on the same files.
    fn gone(&self, record: &Record) -> Cause {
        let own = |other: &&Record| other.manifest == record.manifest && other.at_ms < record.at_ms;
        match self.records.iter().rev().find(own) {
            Some(before) if before.key.is_none() => {
                Cause::new(Kind::New, "").noted("it was compiled before and not stored")
            }
            _ => Cause::new(Kind::Evicted, "")
                .noted("the same was known, and its result is not there any more"),
        }
    }

    fn between(&self, was: &Record, now: &Record) -> Vec<Cause> {
        let mut causes = fields::differences(self.home, was, now);
        causes.extend(self.inputs_between(was, now));
        if causes.is_empty() && was.manifest != now.manifest {
            causes.extend(directory(was, now));
        }
        if causes.is_empty() {
            let same = was.manifest.is_some() && was.manifest == now.manifest;
            let gone = same || was.key.is_some_and(|key| now.key == Some(key));
            causes.push(if gone { self.gone(now) } else { Cause::new(Kind::Text, "") });
        }
        causes
    }

    /// Compares what two commands read, as far as their manifests still say it.
    fn inputs_between(&self, was: &Record, now: &Record) -> Vec<Cause> {
        let (Some(before), Some(after)) = (self.suggestion(was), self.suggestion(now)) else {
            return Vec::new();
        };
        let [was, then] = [&before.inputs, &after.inputs].map(|inputs| Read { inputs, absent: None });
        let found = Differences::between(was, then);
        found.changed.iter().map(|changed| self.changed(&now.root, changed)).collect()
    }

    fn suggestion(&self, record: &Record) -> Option<Suggestion> {
        let store = Store::new(self.home, 0);
        let Beside::Body(bytes) = store.side(Side::Manifest(record.manifest?)) else { return None };
        let manifest = Manifest::from_bytes(&bytes).ok()?;
        let key = *record.key?.digest();
        manifest.suggestions.into_iter().find(|suggestion| *suggestion.direct.digest() == key)
    }

    fn changed(&self, root: &[u8], changed: &Changed) -> Cause {
        let what = match &changed.path {
            RootPath::Root(path) | RootPath::Absolute(path) => String::from_utf8_lossy(path).into_owned(),
        };
        match changed.how {
            How::Content => self.content(root, what, changed),
            How::New => Cause::new(Kind::Inputs, what).noted("it is read now, and was not"),
            How::Gone => Cause::new(Kind::Inputs, what).noted("it is not read any more"),
            How::Appeared => {
                Cause::new(Kind::Guard, what).noted("it appeared where it is found before another one")
            }
            How::Vanished => Cause::new(Kind::Guard, what).noted("it is gone from where it was found first"),
            How::Probed => Cause::new(Kind::Guard, what).noted("the search passes it in another way"),
        }
    }

    /// Names the first line in which a file differs.
    fn content(&self, root: &[u8], what: String, changed: &Changed) -> Cause {
        let cause = Cause::new(Kind::Input, what);
        let there = read_now(&opened(root, &changed.path));
        let text = |digest: Digest| {
            if Digest::of(&there) == digest { Some(there.clone()) } else { texts::get(self.home, &digest) }
        };
        let (was, now) = (changed.was.and_then(text), changed.now.and_then(text));
        match (was, now) {
            (Some(was), Some(now)) => match texts::first_difference(&was, &now) {
                Some(line) => Cause { line: Some(line.number), ..cause.changed(line.was, line.now) },
                None => cause,
            },
            _ if FileFacts::scan(&there).date => cause.noted("or the date that it shows is another one"),
            (None, _) => cause.noted("what it held before is not known"),
            (Some(_), None) => cause.noted("it has changed since"),
        }
    }
}

/// Reads a file as it is now; nothing where a pipe or something else lies there.
fn read_now(path: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match read_regular(Path::new(OsStr::from_bytes(path)), &mut content) {
        Some(_) => content,
        None => Vec::new(),
    }
}

/// The same command and files, in directories that cannot share.
fn directory(was: &Record, now: &Record) -> Option<Cause> {
    let shown = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
    let (before, after) =
        if was.root == now.root { (&was.directory, &now.directory) } else { (&was.root, &now.root) };
    let why = match (&was.sharing, &now.sharing) {
        (Sharing::Bound(why), _) | (Sharing::Free, Sharing::Bound(why)) => why.clone(),
        (Sharing::Free, Sharing::Free) => return None,
    };
    (before != after).then(|| Cause::new(Kind::Directory, "").changed(shown(before), shown(after)).noted(why))
}
