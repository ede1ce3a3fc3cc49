//! One value of every format, the same on every machine: what the golden files hold and what hostile bytes start from.

mod control;
pub(crate) mod messages;

use dccache_protocol::bundle::{self, Body, Bundle};
use dccache_protocol::codec::Format;
use dccache_protocol::depend::{Depend, DependPath};
use dccache_protocol::digest::Digest;
use dccache_protocol::directory::{Directory, SignedDirectory, SignerRecord, SignerRole, Standing};
use dccache_protocol::entry::{
    Alias, AliasClaim, BlobRef, Claim, Comparability, Entry, Outcome, Output, OutputRole, outcome_digest,
};
use dccache_protocol::ids::{ClusterId, Epoch, Label, Namespace, NodeId, PARTITIONS, ToolchainId};
use dccache_protocol::keys::{DirectKey, EntryKey, PreprocessedKey, RootPath};
use dccache_protocol::layout::{Layout, Member, SignedLayout, Table};
use dccache_protocol::manifest::{Manifest, Pusher, Suggestion};
use dccache_protocol::signing::{Purpose, SigningKey};
use dccache_protocol::time::ReceiptStamp;

/// A named encoding and its decoder.
pub(crate) struct Sample {
    /// Name of the golden file.
    pub(crate) name: &'static str,
    /// A valid encoding.
    pub(crate) bytes: Vec<u8>,
    /// Tells whether bytes are accepted.
    pub(crate) accepts: fn(&[u8]) -> bool,
    /// Decodes and encodes again; `None` for refused bytes.
    pub(crate) again: fn(&[u8]) -> Option<Vec<u8>>,
    /// Largest encoding that is looked at.
    pub(crate) limit: usize,
}

/// Makes the sample of a format.
pub(crate) fn sample<T: Format>(name: &'static str, value: &T) -> Sample {
    Sample {
        name,
        bytes: value.to_bytes(),
        accepts: |bytes| T::from_bytes(bytes).is_ok(),
        again: |bytes| T::from_bytes(bytes).ok().map(|value| value.to_bytes()),
        limit: T::LIMIT,
    }
}

/// Returns one sample of every format.
pub(crate) fn all() -> Vec<Sample> {
    let mut samples = records();
    samples.extend(agreed());
    samples.extend(control::samples());
    samples.extend(messages::samples());
    samples
}

fn records() -> Vec<Sample> {
    vec![
        sample::<Claim>("claim", &entry().claim),
        sample::<Entry>("entry", &entry()),
        sample::<AliasClaim>("alias_claim", &alias().claim),
        sample::<Alias>("alias", &alias()),
        sample::<Manifest>("manifest", &manifest()),
        sample::<Depend>("depend", &depend()),
        Sample {
            name: "bundle",
            bytes: bundle_bytes(),
            accepts: |bytes| {
                Bundle::parse(bytes).is_ok_and(|bundle| {
                    assert_eq!(bundle.contents().map(drop), bundle.verify());
                    bundle.verify().is_ok()
                })
            },
            again: |bytes| {
                let bundle = Bundle::parse(bytes).ok()?;
                Some(bundle::encode(&bundle.head.entry, &bundle.head.table, bundle.body))
            },
            limit: 512 << 20,
        },
    ]
}

fn agreed() -> Vec<Sample> {
    vec![
        sample::<Layout>("layout", &layout()),
        sample::<SignedLayout>("signed_layout", &signed_layout()),
        sample::<Directory>("directory", &directory()),
        sample::<SignedDirectory>("signed_directory", &signed_directory()),
    ]
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

pub(crate) fn cluster() -> ClusterId {
    ClusterId::from_digest(Digest::of(b"cluster"))
}

pub(crate) fn node(number: u8) -> NodeId {
    NodeId([number; 16])
}

pub(crate) fn label(text: &str) -> Label {
    text.parse().expect("a valid label")
}

pub(crate) fn namespace() -> Namespace {
    Namespace(label("team-a"))
}

pub(crate) fn direct_key() -> DirectKey {
    DirectKey::from_digest(Digest::of(b"direct"))
}

pub(crate) fn entry_key() -> EntryKey {
    EntryKey::Preprocessed(PreprocessedKey::from_digest(Digest::of(b"preprocessed")))
}

/// Contents of a compile: an object that compresses, a dependency list, no stdout, a warning.
pub(crate) fn contents() -> [Vec<u8>; 4] {
    let object: Vec<u8> = (0..3000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
    [object, depend().to_bytes(), Vec::new(), b"a.c:1:1: warning: x\n".to_vec()]
}

pub(crate) fn outcome() -> Outcome {
    let [object, depend, stdout, stderr] = contents();
    let output = |role, content: &[u8]| Output { role, content: BlobRef::of(content) };
    Outcome {
        outputs: vec![output(OutputRole::Object, &object), output(OutputRole::Depend, &depend)],
        stdout: BlobRef::of(&stdout),
        stderr: BlobRef::of(&stderr),
        exit_code: 0,
        toolchain: ToolchainId::from_digest(Digest::of(b"toolchain")),
        class: Comparability::Reproducible,
        wall_ms: 1234,
        cpu_ms: 1200,
    }
}

pub(crate) fn entry() -> Entry {
    let claim = Claim {
        cluster: cluster(),
        namespace: namespace(),
        key: entry_key(),
        outcome: outcome(),
        signer: key().public().signer_id(),
    };
    Entry::sign(claim, &key())
}

pub(crate) fn alias() -> Alias {
    let claim = AliasClaim {
        cluster: cluster(),
        namespace: namespace(),
        key: EntryKey::Direct(direct_key()),
        target: entry_key(),
        outcome: outcome_digest(&outcome()),
        signer: key().public().signer_id(),
    };
    Alias::sign(claim, &key())
}

/// A bundle whose first blob is compressed by hand-written settings of this build.
pub(crate) fn bundle_bytes() -> Vec<u8> {
    let contents = contents();
    let body = Body::pack(contents.iter().map(Vec::as_slice));
    bundle::encode(&entry(), &body.table, &body.bytes)
}

pub(crate) fn manifest() -> Manifest {
    let suggestion = Suggestion {
        inputs: vec![
            (RootPath::Root(b"src/a.c".to_vec()), Digest::of(b"a")),
            (RootPath::Absolute(b"/usr/include/stdio.h".to_vec()), Digest::of(b"b")),
        ],
        absent: vec![RootPath::Root(b"src/stdio.h".to_vec())],
        direct: direct_key(),
        received: ReceiptStamp(0x0001_9000_0000_0000),
        pusher: Pusher(0x0102_0304_0506_0708),
    };
    Manifest { suggestions: vec![suggestion] }
}

pub(crate) fn depend() -> Depend {
    Depend {
        paths: vec![
            DependPath::Relative(b"src/a.c".to_vec()),
            DependPath::Root(b"gen/x y.h".to_vec()),
            DependPath::Absolute(b"/usr/include/stdio.h".to_vec()),
        ],
    }
}

pub(crate) fn layout() -> Layout {
    let member = |number, address: &str| Member {
        id: node(number),
        addresses: vec![address.parse().expect("an address")],
        weight: 100,
        zone: label("office"),
        voter_key: key().public(),
    };
    Layout {
        cluster: cluster(),
        epoch: Epoch(2),
        parent: Digest::of(b"parent"),
        replicas: 1,
        members: vec![member(1, "127.0.0.1:7070"), member(2, "[fd00::2]:7070")],
        voters: vec![node(1)],
        table: Table { replicas: 1, owners: (0..PARTITIONS as u16).map(|p| p % 2).collect() },
    }
}

pub(crate) fn signed_layout() -> SignedLayout {
    let layout = layout();
    let signature = key().sign(Purpose::Layout, &layout.to_bytes());
    SignedLayout { layout, signatures: vec![(node(1), signature)] }
}

pub(crate) fn directory() -> Directory {
    let signer = SignerRecord {
        key: key().public(),
        operator: label("alice"),
        roles: vec![SignerRole::Writer, SignerRole::Ci],
        namespaces: vec![namespace()],
        standing: Standing::Retired(ReceiptStamp(77)),
    };
    Directory { cluster: cluster(), number: 3, signers: vec![signer] }
}

pub(crate) fn signed_directory() -> SignedDirectory {
    let directory = directory();
    let signature = key().sign(Purpose::Directory, &directory.to_bytes());
    SignedDirectory { directory, signatures: vec![(node(1), signature)] }
}
