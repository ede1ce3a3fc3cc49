//! Any bytes may come from a peer or a disk: every decoder refuses without a panic and allocates within its bound.
//!
//! The allocator counts what the decoding thread holds. The bound is the one that `docs/formats.md` states.

mod samples;

use dccache_protocol::bundle::{BlobError, Body, Encoding, StoredBlob, unpack, unpack_one};
use dccache_protocol::codec::{DecodeError, Format};
use dccache_protocol::depend::{Depend, DependPath};
use dccache_protocol::digest::Digest;
use dccache_protocol::entry::{BlobRef, Entry, Outcome};
use dccache_protocol::ids::Partition;
use dccache_protocol::keys::{DirectKey, EntryKey, ManifestKey, RootPath};
use dccache_protocol::limits;
use dccache_protocol::local::{Job, Request};
use dccache_protocol::manifest::{Manifest, Pusher, Suggestion};
use dccache_protocol::signing::PublicKey;
use dccache_protocol::time::ReceiptStamp;
use proptest::prelude::*;
use samples::Sample;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Passes everything to the system's allocator and counts the bytes that the current thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

#[expect(
    unsafe_code,
    reason = "an allocator is the only place that sees every allocation; it forwards unchanged"
)]
// SAFETY: both methods forward their arguments to the system's allocator; the counters are plain cells without destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get().saturating_add(layout.size());
        HELD.set(held);
        PEAK.set(PEAK.get().max(held));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().saturating_sub(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the most bytes that `work` held at once beyond what was held before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    PEAK.set(before);
    let value = work();
    (PEAK.get() - before, value)
}

/// Reserved on the word of counts alone: 1 MiB on each of at most four levels of nesting.
const RESERVED: usize = 4 << 20;

/// Memory per byte of input: an empty path has 2 bytes and takes 32; a vector that grows holds one and a half times its new size.
const PER_BYTE: usize = 48;

fn check(sample: &Sample, bytes: &[u8]) {
    let (peak, _) = peak_of(|| (sample.accepts)(bytes));
    let mut bound = RESERVED + PER_BYTE * bytes.len();
    if sample.name == "bundle" {
        // What an entry declares may be allocated too: blobs are unpacked only after the head was believed.
        bound += limits::COMPRESSED_BLOB_MAX as usize;
    }
    assert!(peak <= bound, "{}: {peak} bytes for {} of input", sample.name, bytes.len());
    if let Some(again) = (sample.again)(bytes) {
        assert!(again == bytes, "{}: a second encoding was accepted", sample.name);
    }
}

/// Longest varint of a 64-bit count, and one that fits into 32 bits.
const COUNTS: [&[u8]; 3] = [
    &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
    &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
    &[0x80, 0x80, 0x40],
];

/// Places at which a sample is damaged: all of a short one, a spread over a long one.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by((length / 400).max(1))
}

#[test]
fn every_cut_and_every_absurd_count_is_refused_within_the_bound() {
    for sample in samples::all() {
        for (nth, at) in places(sample.bytes.len()).enumerate() {
            check(&sample, &sample.bytes[..at]);
            assert!(!(sample.accepts)(&sample.bytes[..at]), "{} cut at {at}", sample.name);
            for count in COUNTS {
                let mut bytes = sample.bytes[..at].to_vec();
                bytes.extend_from_slice(count);
                bytes.extend_from_slice(&sample.bytes[(at + 1).min(sample.bytes.len())..]);
                check(&sample, &bytes);
                // Zeros are valid empty items: as many as a frame holds. Slow, so not everywhere.
                if nth < 8 || nth % 64 == 0 {
                    bytes.resize(limits::FRAME_MAX.min(sample.limit), 0);
                    check(&sample, &bytes);
                }
            }
        }
    }
}

#[test]
fn one_byte_after_the_end_is_refused() {
    for sample in samples::all() {
        let longer = [sample.bytes.as_slice(), &[0]].concat();
        assert!(!(sample.accepts)(&longer), "{}", sample.name);
    }
}

#[test]
fn another_version_is_refused_as_such() {
    let mut bytes = samples::entry().to_bytes();
    bytes[0] = 9;
    assert_eq!(Entry::from_bytes(&bytes), Err(DecodeError::Version { found: 9, expected: 1 }));
}

#[test]
fn more_bytes_than_the_limit_are_refused_before_they_are_read() {
    for sample in samples::all().iter().filter(|sample| sample.limit <= 32 << 20) {
        let mut bytes = sample.bytes.clone();
        bytes.resize(sample.limit + 1, 0);
        let (peak, accepted) = peak_of(|| (sample.accepts)(&bytes));
        assert!(!accepted && peak == 0, "{}: {peak}", sample.name);
    }
}

#[test]
fn a_padded_varint_is_no_second_encoding() {
    let bytes = Depend { paths: vec![DependPath::Root(vec![b'x'])] }.to_bytes();
    assert_eq!(bytes, [1, 1, 1, 1, b'x']);
    assert_eq!(Depend::from_bytes(&[1, 0x81, 0x00, 1, 1, b'x']), Err(DecodeError::Malformed));
}

#[test]
fn lists_of_the_smallest_items_are_cut_off_at_their_own_limit() {
    let paths = vec![0u8; 2 * 4 * limits::DEPEND_PATHS_MAX];
    let mut bytes = vec![1];
    let mut count = 4 * limits::DEPEND_PATHS_MAX as u64;
    while count >= 0x80 {
        bytes.push(count as u8 | 0x80);
        count >>= 7;
    }
    bytes.push(count as u8);
    bytes.extend(paths);
    let (peak, value) = peak_of(|| Depend::from_bytes(&bytes));
    assert_eq!(value, Err(DecodeError::Malformed));
    assert!(peak < 4096, "{peak}");
}

#[test]
fn a_partition_from_a_peer_is_below_4096() {
    assert!(postcard::from_bytes::<Partition>(&[0xFF, 0x1F]).is_ok());
    assert!(postcard::from_bytes::<Partition>(&[0x80, 0x20]).is_err());
}

fn with_sizes(size: u64) -> Outcome {
    let mut outcome = samples::outcome();
    outcome.outputs[0].content.size = size;
    outcome.outputs[1].content.size = size;
    outcome
}

#[test]
fn a_few_bytes_never_unfold_to_more_than_a_compressed_blob_may_be() {
    let bomb = zstd::bulk::compress(&vec![0; 65 << 20], 1).expect("zeros compress");
    assert!(bomb.len() < 16 << 10);
    let content = BlobRef { size: 65 << 20, ..BlobRef::of(b"") };
    let (peak, result) = peak_of(|| unpack_one(content, Encoding::Zstd, &bomb));
    assert_eq!(result, Err(BlobError::Damaged));
    assert!(peak < 1024, "{peak}");
    // Declared small, unfolds large: the declared size is the end of it.
    let content = BlobRef { size: 100, ..BlobRef::of(b"") };
    let (peak, result) = peak_of(|| unpack_one(content, Encoding::Zstd, &bomb));
    assert_eq!(result, Err(BlobError::Damaged));
    assert!(peak < 1 << 20, "{peak}");
}

#[test]
fn an_outcome_that_declares_more_than_a_restore_may_hold_is_refused() {
    assert!(with_sizes(limits::BLOB_MAX).validate().is_err());
    let table = [StoredBlob { encoding: Encoding::Raw, stored: 0 }; 4];
    assert_eq!(unpack(&with_sizes(limits::BLOB_MAX), &table, &[]), Err(BlobError::Damaged));
}

#[test]
fn a_bundle_gives_back_what_was_packed_and_refuses_one_flipped_bit() {
    let contents = samples::contents();
    let body = Body::pack(contents.iter().map(Vec::as_slice));
    let verified = unpack(&samples::outcome(), &body.table, &body.bytes).expect("it was packed so");
    assert!(verified.iter().map(AsRef::as_ref).eq(contents.iter().map(Vec::as_slice)));
    assert_eq!(body.table[0].encoding, Encoding::Zstd);
    for at in places(body.bytes.len()) {
        let mut bytes = body.bytes.clone();
        bytes[at] ^= 1;
        // A flip inside of a zstd frame's padding may leave the content as it is; wrong content never passes.
        if let Ok(found) = unpack(&samples::outcome(), &body.table, &bytes) {
            assert!(found.iter().map(AsRef::as_ref).eq(contents.iter().map(Vec::as_slice)), "{at}");
        }
    }
}

#[test]
fn a_signature_covers_every_field_of_a_claim() {
    let entry = samples::entry();
    let key: PublicKey = samples::key().public();
    assert!(entry.is_signed_by(&key));
    let changes: &[fn(&mut Entry)] = &[
        |e| e.claim.cluster = dccache_protocol::ids::ClusterId::from_digest(*e.claim.key.digest()),
        |e| e.claim.namespace = dccache_protocol::ids::Namespace::default(),
        |e| e.claim.key = EntryKey::Direct(samples::direct_key()),
        |e| e.claim.outcome.outputs[0].role = dccache_protocol::entry::OutputRole::Assembly,
        |e| e.claim.outcome.outputs[0].content.size += 1,
        |e| e.claim.outcome.outputs[0].content.blob = e.claim.outcome.stdout.blob,
        |e| e.claim.outcome.outputs.truncate(1),
        |e| e.claim.outcome.stdout = e.claim.outcome.stderr,
        |e| e.claim.outcome.stderr = e.claim.outcome.stdout,
        |e| e.claim.outcome.exit_code = 1,
        |e| {
            e.claim.outcome.toolchain = dccache_protocol::ids::ToolchainId::from_digest(*e.claim.key.digest())
        },
        |e| e.claim.outcome.class = dccache_protocol::entry::Comparability::Varying,
        |e| e.claim.outcome.wall_ms += 1,
        |e| e.claim.outcome.cpu_ms += 1,
        |e| e.claim.signer = dccache_protocol::ids::SignerId::from_digest(*e.claim.key.digest()),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = entry.clone();
        change(&mut changed);
        assert_ne!(changed, entry, "{index}");
        assert!(!changed.is_signed_by(&key), "{index}");
    }
}

#[test]
fn an_alias_leads_to_its_target_and_outputs_only() {
    let (alias, entry) = (samples::alias(), samples::entry());
    let leads = |claim: &dccache_protocol::entry::Claim| {
        alias.claim.leads(
            samples::cluster(),
            &samples::namespace(),
            EntryKey::Direct(samples::direct_key()),
            claim,
        )
    };
    assert!(alias.is_signed_by(&samples::key().public()) && leads(&entry.claim));
    let mut slower = entry.claim.clone();
    slower.outcome.wall_ms += 500;
    assert!(leads(&slower), "the same bytes from a slower machine");
    let mut other = entry.claim.clone();
    other.outcome.stderr = BlobRef::of(b"other");
    assert!(!leads(&other));
    let mut moved = entry.claim;
    moved.key = EntryKey::Direct(samples::direct_key());
    assert!(!leads(&moved));
}

/// Suggestions from a small world of shapes, keys, stamps and pushers, so that they meet.
fn suggestion() -> impl Strategy<Value = Suggestion> {
    (0u8..40, 0u8..3, 0u64..60, 0u64..6).prop_map(|(shape, key, stamp, pusher)| Suggestion {
        inputs: vec![(RootPath::Root(vec![shape + 1]), Digest::of(&[key]))],
        absent: Vec::new(),
        direct: DirectKey::from_digest(Digest::of(&[shape, key])),
        received: ReceiptStamp(stamp),
        pusher: Pusher(pusher),
    })
}

fn manifest() -> impl Strategy<Value = Manifest> {
    prop::collection::vec(suggestion(), 0..30)
        .prop_map(|suggestions| Manifest { suggestions }.merge(Manifest::default()))
}

fn large(stamp: u64, inputs: usize) -> Manifest {
    let input = |i: usize| {
        let path = RootPath::Absolute(format!("{i:0>190}").into_bytes());
        (path, Digest::of(b""))
    };
    let direct = DirectKey::from_digest(Digest::of(&stamp.to_le_bytes()));
    let inputs = (0..inputs).map(input).collect();
    let absent = vec![RootPath::Root(format!("{stamp}").into_bytes())];
    let received = ReceiptStamp(stamp);
    Manifest { suggestions: vec![Suggestion { inputs, absent, direct, received, pusher: Pusher(stamp) }] }
}

#[test]
fn a_merged_manifest_always_fits_into_its_own_limit() {
    let merged = (1..6).map(|stamp| large(stamp, 6000)).reduce(Manifest::merge).expect("five of them");
    assert_eq!(merged.suggestions.len(), 3, "1.3 MiB each");
    assert_eq!(merged.suggestions[0].received, ReceiptStamp(5));
    assert!(Manifest::from_bytes(&merged.to_bytes()).is_ok());
}

#[test]
fn a_flood_of_one_pusher_leaves_the_others_their_places() {
    let pushed = |pusher: u64, shape: u64, stamp: u64| {
        let inputs = vec![(RootPath::Root(format!("{pusher}/{shape}").into_bytes()), Digest::of(b""))];
        let direct = DirectKey::from_digest(Digest::of(&shape.to_le_bytes()));
        let suggestion = Suggestion::new(inputs, Vec::new(), direct);
        let suggestion = Suggestion { received: ReceiptStamp(stamp), pusher: Pusher(pusher), ..suggestion };
        Manifest { suggestions: vec![suggestion] }
    };
    let honest = (1..=12).map(|pusher| pushed(pusher, 0, pusher));
    let flood = (0..200).map(|shape| pushed(99, shape, 1000 + shape));
    let merged = honest.chain(flood).reduce(Manifest::merge).expect("some");
    let from = |pusher: &dyn Fn(u64) -> bool| {
        merged.suggestions.iter().filter(|suggestion| pusher(suggestion.pusher.0)).count()
    };
    assert_eq!(from(&|pusher| pusher <= 12), 12);
    assert_eq!(from(&|pusher| pusher == 99), limits::SUGGESTIONS_PER_PUSHER_MAX);
    assert_eq!(merged.suggestions[0].received, ReceiptStamp(1199), "the newest of the flood");
}

#[test]
fn one_shape_of_a_pusher_stands_for_every_content_that_lay_under_it() {
    let seen = |content: u8, stamp: u64| {
        let digest = Digest::of(&[content]);
        let inputs =
            vec![(RootPath::Root(b"b.h".to_vec()), digest), (RootPath::Root(b"a.h".to_vec()), digest)];
        let suggestion = Suggestion::new(inputs, Vec::new(), DirectKey::from_digest(digest));
        Manifest { suggestions: vec![Suggestion { received: ReceiptStamp(stamp), ..suggestion }] }
    };
    let merged = (0..40).map(|content| seen(content, 100 - u64::from(content))).reduce(Manifest::merge);
    assert_eq!(merged, Some(seen(0, 100)), "the newest");
}

#[test]
fn a_suggestion_names_each_path_once_and_in_order() {
    let path = |name: &str| RootPath::Root(name.as_bytes().to_vec());
    let manifest = |inputs: &[&str], absent: &[&str]| {
        let inputs = inputs.iter().map(|name| (path(name), Digest::of(b""))).collect();
        let absent = absent.iter().map(|name| path(name)).collect();
        let (direct, received, pusher) = (samples::direct_key(), ReceiptStamp(1), Pusher::NOBODY);
        let bytes = Manifest { suggestions: vec![Suggestion { inputs, absent, direct, received, pusher }] }
            .to_bytes();
        Manifest::from_bytes(&bytes).is_ok()
    };
    assert!(manifest(&["a", "b"], &["c", "d"]));
    for (inputs, absent) in [(["b", "a"], ["c", "d"]), (["a", "a"], ["c", "d"]), (["a", "b"], ["d", "c"])] {
        assert!(!manifest(&inputs, &absent), "{inputs:?} {absent:?}");
    }
    let inputs =
        vec![(path("b"), Digest::of(b"")), (path("a"), Digest::of(b"")), (path("b"), Digest::of(b""))];
    let made = Suggestion::new(inputs, vec![path("d"), path("c"), path("c")], samples::direct_key());
    assert_eq!((made.inputs.len(), made.absent.len()), (2, 2));
    assert!(Manifest::from_bytes(&Manifest { suggestions: vec![made] }.to_bytes()).is_ok());
}

#[test]
fn a_job_names_other_keys_once_and_a_manifest_only_with_a_direct_key() {
    let direct = EntryKey::Direct(samples::direct_key());
    let near = ManifestKey::from_digest(*samples::direct_key().digest());
    let far = ManifestKey::from_digest(*samples::entry_key().digest());
    let job = |key, also: Vec<EntryKey>, manifest| {
        let job = Job { key, also, manifest, ..samples::messages::job() };
        let attach = Request::Attach { job: Box::new(job), outcome: samples::outcome() };
        Request::from_bytes(&attach.to_bytes()).is_ok()
    };
    let preprocessed = samples::entry_key();
    assert!(job(preprocessed, vec![direct], Some(near)));
    assert!(job(direct, vec![preprocessed], Some(near)));
    assert!(job(direct, Vec::new(), None));
    assert!(!job(preprocessed, Vec::new(), Some(near)), "no direct key");
    assert!(!job(direct, Vec::new(), Some(far)), "a manifest of other owners");
    assert!(!job(direct, vec![direct], None), "an alias to itself");
    assert!(!job(direct, vec![preprocessed, preprocessed], None));
    let many = (0..=limits::ALSO_KEYS_MAX as u8).map(|i| Digest::of(&[i]));
    assert!(!job(
        direct,
        many.map(|digest| EntryKey::Direct(DirectKey::from_digest(digest))).collect(),
        None
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn arbitrary_bytes_are_refused_or_read_within_the_bound(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        for sample in samples::all() {
            check(&sample, &bytes);
            let versioned = [&sample.bytes[..1], &bytes].concat();
            check(&sample, &versioned);
        }
    }

    #[test]
    fn damaged_samples_are_refused_or_read_within_the_bound(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for sample in samples::all() {
            let mut bytes = sample.bytes.clone();
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            check(&sample, &bytes);
        }
    }

    #[test]
    fn merging_manifests_does_not_depend_on_order(a in manifest(), b in manifest(), c in manifest()) {
        let merge = |x: &Manifest, y: &Manifest| x.clone().merge(y.clone());
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert!(merge(&a, &b).suggestions.len() <= limits::SUGGESTIONS_MAX);
        prop_assert_eq!(merge(&a, &a), a);
    }

    #[test]
    fn requests_with_many_empty_arguments_stay_within_the_bound(arguments in 0usize..200_000) {
        let mut request = vec![Request::VERSION, 1];
        request.extend(vec![0; arguments]);
        let (peak, _) = peak_of(|| Request::from_bytes(&request));
        prop_assert!(peak <= RESERVED + PER_BYTE * request.len());
    }
}
