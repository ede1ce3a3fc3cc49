//! Golden files: the bytes of every format and the keys of fixed inputs. A change of any of them fails here.
//!
//! `DCCACHE_BLESS=1 cargo nextest run -p dccache-protocol --test golden` writes the files anew. That is right only together with a new
//! version byte or key context, or before the first release: bytes that are out in the world keep their meaning.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test reads and blesses files, and stops at what is odd"
)]

mod samples;

use dccache_protocol::digest::Digest;
use dccache_protocol::ids::{Epoch, ToolchainId};
use dccache_protocol::keys::{self, Common, FileForm, ManifestInputs, ManifestKey, RootPath, Sharing};
use dccache_protocol::service::{
    Answer, Bytes, CacheRequest, Carried, Content, Find, FindManifests, Found, FoundManifests, Put, PutAlias,
    Refusal, Stored, Suggest,
};
use dccache_protocol::time::ReceiptStamp;
use std::fmt::Write as _;
use std::path::PathBuf;

fn hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
    };
    bytes.chunks(48).map(|chunk| line(chunk) + "\n").collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Returns the golden text of a name; blesses `now` first when that is asked for.
fn golden(name: &str, now: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("DCCACHE_BLESS").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_format_has_its_golden_bytes_and_still_reads_them() {
    for sample in samples::all() {
        let text = golden(&format!("{}.hex", sample.name), &hex(&sample.bytes));
        let bytes = unhex(&text);
        assert!((sample.accepts)(&bytes), "{} is no longer read", sample.name);
        assert_eq!((sample.again)(&bytes).as_deref(), Some(bytes.as_slice()), "{}", sample.name);
        assert!(bytes.len() <= sample.limit, "{} is larger than its limit", sample.name);
        // zstd may compress differently one day; what must not change is that old bytes are read.
        if sample.name != "bundle" {
            assert_eq!(text, hex(&sample.bytes), "{} is written differently", sample.name);
        }
    }
}

#[test]
fn no_golden_file_is_left_without_a_format() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut known: Vec<String> = samples::all().iter().map(|sample| format!("{}.hex", sample.name)).collect();
    known.extend(["keys.txt".to_owned(), "service.txt".to_owned()]);
    for file in std::fs::read_dir(directory).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "{name}");
    }
}

fn postcard(value: &impl serde::Serialize) -> String {
    hex(&postcard::to_stdvec(value).expect("messages serialize")).replace('\n', "")
}

/// Requests carry the index of their method first: the order of methods is part of the service's version.
#[test]
fn the_service_keeps_its_methods_and_their_encodings() {
    let epoch = Epoch(2);
    let key = samples::entry_key();
    let stamp = ReceiptStamp(5);
    let find = Find { epoch, namespace: samples::namespace(), keys: vec![key] };
    let found = Found {
        key,
        alias: None,
        bundle: Carried {
            stamp,
            content: Content::Bulk { id: key.record_id(&samples::namespace()), length: 9 },
        },
    };
    let namespace = samples::namespace();
    let manifest = ManifestKey::from_digest(*samples::direct_key().digest());
    let find_manifests = FindManifests { epoch, namespace: namespace.clone(), keys: vec![manifest] };
    let suggest = Suggest { epoch, namespace, key: manifest, manifest: Bytes(vec![8]) };
    let answer = Answer { epoch, newer: Some(Bytes(vec![1, 2])), result: Ok(Some(found.clone())) };
    let found = FoundManifests { manifests: vec![(manifest, Bytes(vec![9]))], newest: Some(found) };
    let suggestions = Answer { epoch, newer: None, result: Ok(found) };
    let refused: Answer<Stored> = Answer { epoch, newer: None, result: Err(Refusal::Unavailable) };
    let lines = [
        ("find", postcard(&CacheRequest::Find { request: find })),
        ("put", postcard(&CacheRequest::Put { request: Put { epoch, bundle: Bytes(vec![3]) } })),
        (
            "put_alias",
            postcard(&CacheRequest::PutAlias { request: PutAlias { epoch, alias: Bytes(vec![7]) } }),
        ),
        ("manifests", postcard(&CacheRequest::Manifests { request: find_manifests })),
        ("suggest", postcard(&CacheRequest::Suggest { request: suggest })),
        ("layouts", postcard(&CacheRequest::Layouts { known: epoch })),
        ("directory", postcard(&CacheRequest::Directory { known: 4 })),
        ("status", postcard(&CacheRequest::Status {})),
        ("raft", postcard(&CacheRequest::Raft { message: Bytes(vec![5]) })),
        ("propose", postcard(&CacheRequest::Propose { command: Bytes(vec![6]) })),
        ("answer", postcard(&answer)),
        ("suggestions", postcard(&suggestions)),
        ("refused", postcard(&refused)),
    ];
    let now: String = lines.iter().map(|(name, line)| format!("{name} {line}\n")).collect();
    assert_eq!(golden("service.txt", &now), now);
}

/// Key inputs that a test changes one at a time.
#[derive(Clone)]
struct Inputs {
    namespace: dccache_protocol::ids::Namespace,
    language: &'static str,
    toolchain: ToolchainId,
    driver: Vec<u8>,
    native: Vec<Vec<u8>>,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    extra_files: Vec<Digest>,
    dependency_mode: u8,
    color: bool,
    source: Vec<u8>,
    output: Option<Vec<u8>>,
    recorded: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    option_files: Vec<(u32, Digest)>,
    raw: Vec<Digest>,
    forms: Vec<FileForm>,
    text: Vec<u8>,
    sharing: Sharing,
    working_directory: RootPath,
    include_directories: Vec<RootPath>,
    include_environment: Vec<(Vec<u8>, Vec<u8>)>,
    inputs: Vec<(RootPath, Digest)>,
    absent: Vec<RootPath>,
}

fn inputs() -> Inputs {
    Inputs {
        namespace: samples::namespace(),
        language: "c",
        toolchain: keys::toolchain_id(&[("driver", Digest::of(b"gcc")), ("cc1", Digest::of(b"cc1"))]),
        driver: b"gcc".to_vec(),
        native: vec![b"znver3".to_vec()],
        environment: vec![(b"LANG".to_vec(), b"C".to_vec()), (b"LC_ALL".to_vec(), Vec::new())],
        extra_files: vec![Digest::of(b"extra")],
        dependency_mode: 6,
        color: false,
        source: b"src/a.c".to_vec(),
        output: None,
        recorded: Vec::new(),
        arguments: vec![b"-O2".to_vec(), b"-Wall".to_vec()],
        option_files: vec![(1, Digest::of(b"plugin"))],
        raw: vec![Digest::of(b"a.c"), Digest::of(b"a.h")],
        forms: vec![FileForm::Tokens(Digest::of(b"a.c")), FileForm::Raw(Digest::of(b"a.h"))],
        text: b"# 1 \"src/a.c\"\nint x;\n".to_vec(),
        sharing: Sharing::Free,
        working_directory: RootPath::Root(Vec::new()),
        include_directories: vec![RootPath::Root(b"include".to_vec())],
        include_environment: vec![(b"CPATH".to_vec(), b"/opt/include".to_vec())],
        inputs: vec![(RootPath::Root(b"src/a.c".to_vec()), Digest::of(b"a.c"))],
        absent: vec![RootPath::Root(b"src/a.h".to_vec())],
    }
}

impl Inputs {
    fn common(&self) -> Common<'_> {
        Common {
            namespace: &self.namespace,
            language: self.language,
            toolchain: self.toolchain,
            driver: &self.driver,
            native: &self.native,
            environment: &self.environment,
            extra_files: &self.extra_files,
            dependency_mode: self.dependency_mode,
            color: self.color,
            source: &self.source,
            output: self.output.as_deref(),
            recorded: &self.recorded,
            arguments: &self.arguments,
            option_files: &self.option_files,
        }
    }

    fn preprocessed(&self) -> keys::PreprocessedKey {
        keys::preprocessed_base(&self.common(), &[&self.text], &self.raw).shared(&self.sharing)
    }

    fn tokens(&self) -> keys::PreprocessedKey {
        keys::tokens_base(&self.common(), &[&self.text], &self.forms).shared(&self.sharing)
    }

    fn manifest(&self) -> ManifestKey {
        let inputs = ManifestInputs {
            working_directory: &self.working_directory,
            include_directories: &self.include_directories,
            include_environment: &self.include_environment,
        };
        keys::manifest_base(&self.common(), &inputs).shared(&self.sharing)
    }

    fn direct(&self) -> keys::DirectKey {
        keys::direct_key(self.manifest(), &self.inputs, &self.absent)
    }
}

fn bound(root: &[u8], working_directory: &[u8]) -> Sharing {
    Sharing::Bound { root: root.to_vec(), working_directory: working_directory.to_vec() }
}

fn exact(hidden: &[&[u8]]) -> Sharing {
    let hidden = hidden.iter().map(|word| word.to_vec()).collect();
    Sharing::Exact { root: b"/r".to_vec(), working_directory: b"/r/w".to_vec(), hidden }
}

#[test]
fn keys_of_fixed_inputs_never_change() {
    let free = inputs();
    let tied = Inputs { sharing: bound(b"/r", b"/r/w"), output: Some(b"o/a.o".to_vec()), ..inputs() };
    let exact = Inputs { sharing: exact(&[b"a-DA=1", b"eCPATH=/i"]), ..inputs() };
    let argv = [b"gcc".to_vec(), b"-c".to_vec(), b"a.c".to_vec()];
    let record = keys::EntryKey::Direct(free.direct()).record_id(&free.namespace);
    let lines = [
        ("toolchain", free.toolchain.to_string()),
        ("preprocessed free", free.preprocessed().to_string()),
        ("preprocessed bound", tied.preprocessed().to_string()),
        ("manifest free", free.manifest().to_string()),
        ("manifest bound", tied.manifest().to_string()),
        ("direct free", free.direct().to_string()),
        ("direct bound", tied.direct().to_string()),
        ("record of direct", record.to_string()),
        ("record of manifest", free.manifest().record_id(&free.namespace).to_string()),
        ("sealed", keys::sealed_name(&argv, b"/r/w", &free.environment).to_string()),
        ("preprocessed exact", exact.preprocessed().to_string()),
        ("tokens free", free.tokens().to_string()),
        ("tokens bound", tied.tokens().to_string()),
    ];
    let now: String = lines.iter().map(|(name, key)| format!("{name}: {key}\n")).collect();
    assert_eq!(golden("keys.txt", &now), now);
}

type Change = fn(&mut Inputs);

/// Everything that both keys hold, changed one at a time.
const COMMON_CHANGES: &[(&str, Change)] = &[
    ("namespace", |i| i.namespace = dccache_protocol::ids::Namespace::default()),
    ("language", |i| i.language = "c++"),
    ("toolchain", |i| i.toolchain = keys::toolchain_id(&[("driver", Digest::of(b"gcc"))])),
    ("driver", |i| i.driver = b"g++".to_vec()),
    ("native", |i| i.native.clear()),
    ("environment value", |i| i.environment[0].1 = b"de".to_vec()),
    ("environment: set to nothing, or not set", |i| i.environment.truncate(1)),
    ("extra files", |i| i.extra_files.clear()),
    ("dependency mode", |i| i.dependency_mode = 5),
    ("colour", |i| i.color = true),
    ("source spelling", |i| i.source = b"./src/a.c".to_vec()),
    ("output", |i| i.output = Some(Vec::new())),
    ("recorded", |i| i.recorded = vec![Vec::new()]),
    ("arguments", |i| i.arguments.swap(0, 1)),
    ("arguments joined", |i| i.arguments = vec![b"-O2-Wall".to_vec()]),
    ("option file content", |i| i.option_files[0].1 = Digest::of(b"other")),
    ("option file index", |i| i.option_files[0].0 = 0),
    ("sharing", |i| i.sharing = bound(b"/r", b"/r")),
    ("sharing exact", |i| i.sharing = exact(&[])),
    ("hidden argument", |i| i.sharing = exact(&[b"a-DA"])),
    ("hidden arguments joined", |i| i.sharing = exact(&[b"a-DA-DB"])),
    ("hidden arguments", |i| i.sharing = exact(&[b"a-DA", b"a-DB"])),
];

#[test]
fn every_field_reaches_the_preprocessed_key() {
    let mut seen = vec![inputs().preprocessed()];
    let own: &[(&str, Change)] = &[
        ("text", |i| i.text.push(b'\n')),
        ("raw digests", |i| i.raw.swap(0, 1)),
        ("raw digests left out", |i| i.raw.clear()),
        ("root", |i| i.sharing = bound(b"/s", b"/r")),
        ("working directory", |i| i.sharing = bound(b"/r", b"/r/w")),
    ];
    for (what, change) in COMMON_CHANGES.iter().chain(own) {
        let mut changed = inputs();
        change(&mut changed);
        assert!(!seen.contains(&changed.preprocessed()), "{what}");
        seen.push(changed.preprocessed());
    }
}

#[test]
fn every_field_reaches_the_key_of_the_tokens() {
    let mut seen = vec![inputs().tokens(), inputs().preprocessed()];
    let own: &[(&str, Change)] = &[
        ("text", |i| i.text.push(b'\n')),
        ("order of the files", |i| i.forms.swap(0, 1)),
        ("form of a file", |i| i.forms[0] = FileForm::Raw(Digest::of(b"a.c"))),
        ("tokens of a file", |i| i.forms[0] = FileForm::Tokens(Digest::of(b"b.c"))),
        ("content of a file", |i| i.forms[1] = FileForm::Raw(Digest::of(b"b.h"))),
        ("files left out", |i| i.forms.clear()),
    ];
    for (what, change) in COMMON_CHANGES.iter().chain(own) {
        let mut changed = inputs();
        change(&mut changed);
        assert!(!seen.contains(&changed.tokens()), "{what}");
        seen.push(changed.tokens());
    }
}

#[test]
fn every_field_reaches_the_direct_key() {
    let mut seen = vec![inputs().direct()];
    let own: &[(&str, Change)] = &[
        ("working directory", |i| i.working_directory = RootPath::Root(b"w".to_vec())),
        ("kind of a path", |i| i.working_directory = RootPath::Absolute(Vec::new())),
        ("include directories", |i| i.include_directories.clear()),
        ("include environment", |i| i.include_environment.clear()),
        ("content of an input", |i| i.inputs[0].1 = Digest::of(b"b.c")),
        ("path of an input", |i| i.inputs[0].0 = RootPath::Root(b"a.c".to_vec())),
        ("absent probe", |i| i.absent.clear()),
    ];
    for (what, change) in COMMON_CHANGES.iter().chain(own) {
        let mut changed = inputs();
        change(&mut changed);
        assert!(!seen.contains(&changed.direct()), "{what}");
        seen.push(changed.direct());
    }
}

#[test]
fn a_free_and_a_bound_key_of_one_compile_have_the_same_owners() {
    let tied = Inputs { sharing: bound(b"/r", b"/r/w"), ..inputs() };
    let partition = |digest: &Digest| dccache_protocol::ids::Partition::of(digest);
    assert_eq!(partition(tied.preprocessed().digest()), partition(inputs().preprocessed().digest()));
    assert_eq!(partition(tied.manifest().digest()), partition(inputs().manifest().digest()));
    assert_eq!(partition(tied.direct().digest()), partition(tied.manifest().digest()));
    assert_ne!(tied.preprocessed(), inputs().preprocessed());
}

#[test]
fn paths_inside_the_root_are_spelled_without_it_and_stay_apart_from_all_others() {
    let spell = |root: &str, path: &str| keys::spelled(root.as_bytes(), path.as_bytes());
    assert_eq!(spell("/h/p", "/h/p/src/x.c"), b"\0src/x.c");
    assert_eq!(spell("/h/p", "/h/p"), b"\0");
    assert_eq!(spell("/h/p", "/h/pp/x.c"), b"/h/pp/x.c");
    assert_eq!(spell("/h/p", "src/x.c"), b"src/x.c");
    assert_eq!(spell("/", "/usr/x.h"), b"\0usr/x.h");
}

#[test]
fn order_and_repetition_of_inputs_do_not_matter() {
    let mut twice = inputs();
    twice.inputs.push((RootPath::Absolute(b"/z".to_vec()), Digest::of(b"z")));
    let once = twice.clone();
    twice.inputs.reverse();
    twice.inputs.push(twice.inputs[0].clone());
    assert_eq!(once.direct(), twice.direct());
}

#[test]
fn everything_reaches_the_name_of_a_sealed_record() {
    let argv = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let variable = |name: &str, value: &str| vec![(name.as_bytes().to_vec(), value.as_bytes().to_vec())];
    let names = [
        keys::sealed_name(&argv(&["gcc", "-c", "a.c"]), b"/r", &[]),
        keys::sealed_name(&argv(&["gcc", "-ca.c"]), b"/r", &[]),
        keys::sealed_name(&argv(&["gcc", "a.c", "-c"]), b"/r", &[]),
        keys::sealed_name(&argv(&["gcc", "-c", "a.c"]), b"/r/w", &[]),
        keys::sealed_name(&argv(&["gcc", "-c", "a.c"]), b"/r", &variable("LANG", "C")),
        keys::sealed_name(&argv(&["gcc", "-c", "a.c"]), b"/r", &variable("LANG", "de")),
    ];
    let distinct: std::collections::BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn namespace_kind_and_key_reach_a_record_id() {
    let (this, other) = (inputs(), dccache_protocol::ids::Namespace::default());
    let digest = *this.direct().digest();
    let ids = [
        keys::EntryKey::Direct(keys::DirectKey::from_digest(digest)).record_id(&this.namespace),
        keys::EntryKey::Direct(keys::DirectKey::from_digest(digest)).record_id(&other),
        keys::EntryKey::Preprocessed(keys::PreprocessedKey::from_digest(digest)).record_id(&this.namespace),
        ManifestKey::from_digest(digest).record_id(&this.namespace),
        keys::EntryKey::Preprocessed(this.preprocessed()).record_id(&this.namespace),
    ];
    let distinct: std::collections::BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), ids.len());
    let near = keys::DirectKey::from_digest(near(&digest));
    assert_ne!(keys::EntryKey::Direct(near).record_id(&this.namespace).to_string(), ids[0].to_string());
}

/// Returns another digest with the same owners.
fn near(digest: &Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[31] ^= 1;
    Digest::from_bytes(bytes)
}

#[test]
fn what_a_key_is_made_from_reaches_more_of_it_than_its_owners() {
    let digest = *inputs().manifest().digest();
    let keys = |digest: Digest| {
        let base = keys::PreprocessedBase::from_digest(digest).shared(&Sharing::Free);
        let direct = keys::direct_key(ManifestKey::from_digest(digest), &[], &[]);
        (*base.digest(), *direct.digest())
    };
    let (one, two) = (keys(digest), keys(near(&digest)));
    assert!(one.0 != two.0 && one.1 != two.1);
}
