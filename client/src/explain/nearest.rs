//! Which earlier compile a miss is nearest to, and what differs from it.

use super::cause::{Cause, Kind};
use super::difference::{Changed, Differences, How, Read};
use super::record::{Record, Sharing};
use super::{fields, texts, verified};
use crate::cpp::FileFacts;
use crate::direct::manifest::{opened, undated};
use crate::direct::observe::read_regular;
use crate::home::Home;
use crate::stats::{Event, TEXT_MAX, Verdict};
use crate::store::{Beside, Side, Store};
use dccache_protocol::codec::Format;
use dccache_protocol::digest::Digest;
use dccache_protocol::keys::{ManifestKey, RootPath};
use dccache_protocol::manifest::{Manifest, Suggestion};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is known of earlier compiles.
#[derive(Debug)]
pub struct Known<'a> {
    /// Where texts, toolchains and the store lie.
    home: &'a Home,
    /// Records, oldest first.
    records: &'a [Record],
    /// Those that were stored and whose command is known, by the name of their source: a build has thousands of misses to hold against thousands of records.
    by_name: HashMap<&'a [u8], Vec<&'a Record>>,
    /// All, by the manifest of their command.
    by_manifest: HashMap<ManifestKey, Vec<&'a Record>>,
    /// Texts that are kept nowhere.
    texts: HashMap<Digest, Vec<u8>>,
}

/// Most records of sources of one name that a miss is held against, the newest ones: a build may compile one source thousands of times.
const ALIKE_MAX: usize = 512;

/// Lists why a compile was not served, the most telling first; empty for one that was, or that was never looked up.
pub fn causes(known: &Known<'_>, event: &Event) -> Vec<Cause> {
    let first = known.records.partition_point(|record| record.at_ms < event.at_ms);
    let of_then = known.records[first..].iter().take_while(|record| record.at_ms == event.at_ms);
    causes_of(known, event, of_then.filter(|record| record.is_of(event)).last())
}

/// As [`causes`], for a compile of which it is known what it is made of.
pub fn causes_of(known: &Known<'_>, event: &Event, record: Option<&Record>) -> Vec<Cause> {
    if !matches!(event.verdict, Verdict::Miss | Verdict::NotStored(_)) {
        return Vec::new();
    }
    if let Some(cause) = verified::cause(known.home, event) {
        return vec![cause];
    }
    let mut causes = Vec::new();
    if event.traffic.recached {
        causes.push(Cause::new(Kind::Policy, "recache").noted("everything is compiled anew"));
    }
    let (refused, faults): (Vec<&str>, Vec<&str>) =
        super::words::faults(event).into_iter().partition(|fault| is_policy(fault));
    causes.extend(refused.into_iter().map(|fault| Cause::new(Kind::Policy, fault)));
    if causes.is_empty() {
        match record {
            Some(record) => causes.extend(known.explain(record)),
            None => {
                causes.push(Cause::new(Kind::New, "").noted("nothing is recorded of what it was made of"))
            }
        }
    }
    if faults.iter().any(|fault| DAMAGED.contains(fault)) {
        // It was there, and nobody took it away.
        causes.retain(|cause| cause.kind != Kind::Evicted);
    }
    causes.extend(faults.into_iter().map(|fault| Cause::new(Kind::Fault, fault)));
    causes
}

/// Faults of what lay there and could not be used.
const DAMAGED: [&str; 2] = ["corrupt_entry", "corrupt_manifest"];

/// Whether a fault is that something was offered and not believed.
fn is_policy(fault: &str) -> bool {
    fault.starts_with("distrusted_") || fault == "refused_entry"
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

impl<'a> Known<'a> {
    /// Puts records in order, which lie there oldest first; texts, toolchains and the store lie in `home`.
    pub fn new(home: &'a Home, records: &'a [Record]) -> Self {
        let (by_name, by_manifest, texts) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut known = Self { home, records, by_name, by_manifest, texts };
        for record in records {
            if record.key.is_some() && !record.fields.is_empty() {
                known.by_name.entry(record.source_name()).or_default().push(record);
            }
            if let Some(manifest) = record.manifest {
                known.by_manifest.entry(manifest).or_default().push(record);
            }
        }
        known
    }

    /// Adds texts that are kept nowhere.
    #[must_use]
    pub fn with_texts(self, texts: &[Vec<u8>]) -> Self {
        let texts = texts.iter().map(|text| (Digest::of(text), text.clone())).collect();
        Self { texts, ..self }
    }

    /// Lists what differs between a compile and the nearest one before it.
    pub fn explain(&self, record: &Record) -> Vec<Cause> {
        if let Some(found) = &record.compared {
            return self.of_same_command(record, found);
        }
        if record.fields.is_empty() {
            return vec![Cause::new(Kind::New, "").noted("its command is too long to be kept")];
        }
        let alike = before(self.by_name.get(record.source_name()), record);
        // The first of equals is taken, so the newest.
        let newest = alike.iter().rev().take(ALIKE_MAX);
        let nearest = newest.min_by_key(|other| fields::distance(other, record));
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
        // Several files may show the same date.
        causes.dedup();
        if found.more > 0 {
            causes.push(Cause::new(Kind::Inputs, "").noted(format!("and {} more", found.more)));
        }
        causes
    }

    /// The same command on the same files.
    fn gone(&self, record: &Record) -> Cause {
        let alike = record.manifest.and_then(|manifest| self.by_manifest.get(&manifest));
        match before(alike, record).last() {
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

    /// Names the first line in which a file differs, or what its date comes from.
    fn content(&self, root: &[u8], what: String, changed: &Changed) -> Cause {
        let cause = Cause::new(Kind::Input, what);
        let there = read_now(&opened(root, &changed.path));
        let [was, now] = [changed.was, changed.now].map(|digest| self.version(digest, &there));
        if let (Some(before), Some(after)) = (&was.date, &now.date)
            && was.content == now.content
        {
            return date_between(before, after)
                .unwrap_or(cause.noted("the date that it shows is another one"));
        }
        match (was.text, now.text) {
            (Some(was), Some(now)) => match texts::first_difference(&was, &now) {
                Some(line) => Cause { line: Some(line.number), ..cause.changed(line.was, line.now) },
                None => cause,
            },
            _ if FileFacts::scan(&there).date => cause.noted("or the date that it shows is another one"),
            (None, _) => cause.noted("what it held before is not known"),
            (Some(_), None) => cause.noted("it has changed since"),
        }
    }

    /// Finds out what a digest in a key stands for.
    fn version(&self, keyed: Option<Digest>, there: &[u8]) -> Version {
        let text = |digest: Digest| match self.texts.get(&digest) {
            Some(text) => Some(text.clone()),
            None if Digest::of(there) == digest => Some(there.to_vec()),
            None => texts::get(self.home, &digest),
        };
        let found = keyed.and_then(text);
        let dated = found.as_deref().and_then(undated).map(|(content, date)| (content, date.to_vec()));
        match dated {
            Some((content, date)) => {
                Version { content: Some(content), date: Some(date), text: text(content) }
            }
            None => Version { content: keyed, date: None, text: found },
        }
    }
}

/// What a digest in a key stands for.
#[derive(Debug)]
struct Version {
    /// The digest of the content itself.
    content: Option<Digest>,
    /// What the date was, for a file that shows it.
    date: Option<Vec<u8>>,
    /// The content; `None` where it is not kept.
    text: Option<Vec<u8>>,
}

/// Names the variable that sets the date, where that is another one.
fn date_between(was: &[u8], now: &[u8]) -> Option<Cause> {
    let [was, now] = [was, now].map(|date| {
        // The clock's date has three numbers of four bytes, behind the variable where that does not replace it.
        let set = date.strip_prefix(b"epoch ").or_else(|| date.get(..date.len().checked_sub(12)?));
        set.filter(|epoch| !epoch.is_empty()).map(|epoch| String::from_utf8_lossy(epoch).into_owned())
    });
    (was != now).then(|| Cause::new(Kind::Environment, "SOURCE_DATE_EPOCH").changed(was, now))
}

/// Returns those of records, oldest first, that are older than another one.
fn before<'r, 'a>(records: Option<&'r Vec<&'a Record>>, than: &Record) -> &'r [&'a Record] {
    let records = records.map_or(&[][..], Vec::as_slice);
    &records[..records.partition_point(|record| record.at_ms < than.at_ms)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use dccache_protocol::keys::{DirectKey, EntryKey, KeyField};

    fn record(at_ms: u64, source: &str, argument: &str) -> Record {
        let key = Digest::of(&at_ms.to_le_bytes());
        Record {
            at_ms,
            directory: b"/r".to_vec(),
            root: b"/r".to_vec(),
            source: source.as_bytes().to_vec(),
            output: b"a.o".to_vec(),
            fields: vec![KeyField { tag: 11, items: vec![argument.as_bytes().to_vec()] }],
            sharing: Sharing::Free,
            manifest: Some(ManifestKey::from_digest(Digest::of(argument.as_bytes()))),
            key: Some(EntryKey::Direct(DirectKey::from_digest(key))),
            compared: None,
        }
    }

    #[test]
    fn only_what_was_stored_before_of_a_source_of_that_name_is_near() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let records = [
            record(1, "a.c", "-O1"),
            record(2, "b.c", "-O2"),
            record(3, "x/a.c", "-O2"),
            Record { key: None, ..record(4, "a.c", "-O3") },
            record(5, "a.c", "-Os"),
            record(6, "a.c", "-O3"),
        ];
        let known = Known::new(&home, &records);
        let was = |of: &Record| known.explain(of).remove(0).was;
        // Its own record and later ones do not count; of equals, the newest does.
        assert_eq!(was(&records[4]), Some("-O2".to_owned()));
        assert_eq!(was(&records[5]), Some("-Os".to_owned()));
        assert_eq!(known.explain(&records[0])[0].kind, Kind::New);
        assert_eq!(known.explain(&record(9, "c.c", "-O1"))[0].kind, Kind::New);
        let same = Record { compared: Some(Differences::default()), ..record(7, "a.c", "-O3") };
        assert_eq!(known.explain(&same)[0].kind, Kind::Evicted);
        let same = Record { at_ms: 6, ..same };
        assert_eq!(known.explain(&same)[0].kind, Kind::New, "it was compiled before and not stored");
    }

    #[test]
    fn what_was_refused_is_a_policy_and_each_fault_is_told_once() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(place.path()).unwrap();
        let told = |names: &[&str]| {
            let event = Event { faults: names.iter().map(ToString::to_string).collect(), ..Event::default() };
            let same = Record { compared: Some(Differences::default()), ..record(1, "a.c", "-O1") };
            let causes = causes_of(&Known::new(&home, &[]), &event, Some(&same));
            causes.into_iter().map(|cause| (cause.kind, cause.what)).collect::<Vec<_>>()
        };
        let is = |kind, what: &str| (kind, what.to_owned());
        assert_eq!(told(&["refused_entry", "refused_entry"]), [is(Kind::Policy, "refused_entry")]);
        assert_eq!(told(&["corrupt_entry", "corrupt_entry"]), [is(Kind::Fault, "corrupt_entry")]);
        let unreached = [is(Kind::Evicted, ""), is(Kind::Fault, "ring_timed_out")];
        assert_eq!(told(&["ring_timed_out"]), unreached);
    }
}
