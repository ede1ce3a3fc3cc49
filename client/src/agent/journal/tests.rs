//! The journal keeps what was committed, whole or not at all, within its bounds.

use super::*;
use proptest::prelude::*;

fn journal(directory: &Path) -> Journal {
    Journal::open(&directory.join("journal"), Bounds::default()).unwrap()
}

fn push(journal: &Journal, head: &[u8], body: &[u8]) -> Result<Sequence, JournalError> {
    let mut draft = journal.begin(head, body.len() as u64)?;
    for chunk in body.chunks(7) {
        draft.append(chunk)?;
    }
    Ok(draft.commit()?)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory.join("journal")).unwrap().map(|file| file.unwrap().path()).collect()
}

#[test]
fn what_was_committed_is_there_after_opening_again_in_order_and_goes_when_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let first = journal(scratch.path());
    let one = push(&first, b"head one", b"body one").unwrap();
    let two = push(&first, b"head two", &[9; 100_000]).unwrap();
    drop(first);
    let again = journal(scratch.path());
    assert_eq!(again.waiting(), [one, two]);
    assert_eq!(again.read(one).unwrap(), Waiting { head: b"head one".into(), body: b"body one".into() });
    assert_eq!(again.read(two).unwrap().body, [9; 100_000]);
    assert!(again.remove(one) && !again.remove(one));
    assert!(push(&again, b"", b"").unwrap() > two);
    assert_eq!(again.waiting_up_to(two), 1);
}

#[test]
fn a_push_keeps_its_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    push(&journal(scratch.path()), b"head", b"body").unwrap();
    let bytes = std::fs::read(files(scratch.path()).remove(0)).unwrap();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Magic, version, padding, lengths of head and body, head, body, digest of all before.
    let expected = concat!("6463636a", "02000000", "04000000", "0400000000000000", "68656164", "626f6479");
    assert_eq!(text[..expected.len()], *expected);
    assert_eq!(text[expected.len()..], *blake3::hash(&bytes[..bytes.len() - 32]).to_hex());
}

#[test]
fn a_draft_that_is_not_committed_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let journal = journal(scratch.path());
    let mut draft = journal.begin(b"head", 10).unwrap();
    draft.append(b"12345").unwrap();
    assert!(draft.append(b"123456").is_err());
    drop(draft);
    let short = journal.begin(b"head", 10).unwrap();
    assert!(short.commit().is_err());
    assert_eq!((journal.size(), files(scratch.path()).len()), ((0, 0), 0));
}

#[test]
fn a_part_left_by_a_killed_agent_is_removed_and_foreign_files_stay() {
    let scratch = tempfile::tempdir().unwrap();
    let first = journal(scratch.path());
    std::mem::forget(first.begin(b"head", 10).unwrap());
    let foreign = scratch.path().join("journal/README");
    std::fs::write(&foreign, "x").unwrap();
    assert_eq!(journal(scratch.path()).size(), (0, 0));
    assert_eq!(files(scratch.path()), [foreign]);
}

#[test]
fn neither_bound_can_be_passed_and_room_comes_back() {
    let scratch = tempfile::tempdir().unwrap();
    let bounds = Bounds { entries: 2, bytes: 1000 };
    let journal = Journal::open(&scratch.path().join("journal"), bounds).unwrap();
    let one = push(&journal, b"", b"").unwrap();
    assert!(matches!(push(&journal, b"", &[0; 1000]), Err(JournalError::Full)));
    let draft = journal.begin(b"", 0).unwrap();
    assert!(matches!(push(&journal, b"", b""), Err(JournalError::Full)));
    drop(draft);
    assert!(journal.remove(one));
    push(&journal, b"", &[0; 1000 - HEADER - TRAILER]).unwrap();
    assert!(matches!(push(&journal, b"", b""), Err(JournalError::Full)));
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_file_is_noticed_and_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let sequence = push(&journal(scratch.path()), b"the head", b"the body").unwrap();
    let path = files(scratch.path()).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let damaged = (0..whole.len()).map(|end| whole[..end].to_vec()).chain((0..whole.len()).map(|at| {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        changed
    }));
    for bytes in damaged {
        std::fs::write(&path, bytes).unwrap();
        let opened = journal(scratch.path());
        assert_eq!(opened.read(sequence), None);
        assert_eq!((opened.torn(), opened.size()), (1, (0, 0)));
        assert!(!path.exists());
    }
    std::fs::write(&path, whole).unwrap();
    assert!(journal(scratch.path()).read(sequence).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_read_without_panic_and_only_when_an_agent_wrote_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("journal")).unwrap();
        let path = scratch.path().join("journal/0000000000000001.push");
        for prefix in [b"".as_slice(), &MAGIC] {
            std::fs::write(&path, [prefix, &bytes].concat()).unwrap();
            prop_assert_eq!(journal(scratch.path()).read(Sequence(1)), None);
        }
    }

    #[test]
    fn the_journal_agrees_with_a_model_over_any_run(steps in proptest::collection::vec((0u8..4, 0usize..40), 0..40)) {
        let scratch = tempfile::tempdir().unwrap();
        let mut opened = journal(scratch.path());
        let mut model: BTreeMap<Sequence, Vec<u8>> = BTreeMap::new();
        for (step, value) in steps {
            match step {
                0 | 1 => {
                    let body = vec![value as u8; value * 10];
                    model.insert(push(&opened, b"h", &body).unwrap(), body);
                }
                2 => {
                    let at = model.keys().nth(value).copied();
                    at.into_iter().for_each(|at| assert!(model.remove(&at).is_some() && opened.remove(at)));
                }
                _ => opened = journal(scratch.path()),
            }
            prop_assert_eq!(opened.waiting(), model.keys().copied().collect::<Vec<_>>());
        }
        for (sequence, body) in model {
            prop_assert_eq!(opened.read(sequence).unwrap().body, body);
        }
    }
}
