//! Damage that is met while the store is open: what it costs, who is told, and that nothing is
//! acknowledged into a tree that is damaged.

use std::io;
use std::sync::Arc;

use lotmq_changes::table::BackupClass;
use lotmq_changes::*;
use lotmq_store::*;
use redb::backends::InMemoryBackend;

use crate::damage::large_module;
use crate::support::*;

const PAGE_BYTES: usize = 4096;
/// First byte of a leaf page.
const LEAF: u8 = 1;

fn open_on(memory: &Arc<InMemoryBackend>) -> Store {
    let memory = Arc::clone(memory);
    let factory: BackendFactory = Box::new(move || Ok(Box::new(Watched::new(&memory, |_, _| Ok(())))));
    // Next to no cache, so that what is damaged is read.
    let options = StoreOptions { cache_bytes: 0, ..options("unused".as_ref()) };
    Store::open_on(options, factory, Box::new(|_| {})).unwrap().0
}

fn bytes(memory: &InMemoryBackend) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(memory.len().unwrap()).unwrap()];
    memory.read(0, &mut bytes).unwrap();
    bytes
}

fn write(memory: &InMemoryBackend, bytes: &[u8]) {
    memory.set_len(bytes.len() as u64).unwrap();
    memory.write(0, bytes).unwrap();
}

/// Makes every leaf say that its first row ends far beyond it.
fn without_leaves(bytes: &[u8]) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    damaged
        .chunks_exact_mut(PAGE_BYTES)
        .filter(|page| page[0] == LEAF)
        .for_each(|page| page[4..8].fill(0xff));
    damaged
}

fn enqueue(store: &Store, session: SessionId, payload: &[u8]) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    let message = message(store.next_message_id(), "t", payload);
    batch.push(Op::Enqueue { message, deliveries: &[delivery(session)] });
    store.commit(batch)
}

fn kind(error: &StoreError) -> CommitErrorKind {
    let StoreError::CommitFailed(error) = error else { panic!("{error}") };
    error.kind
}

#[test]
fn nothing_is_acknowledged_into_a_tree_that_a_reader_found_damaged() {
    // Files of more than 32 MiB are checked after a crash only, and when damage was met.
    for ballast in [0, 40 << 20] {
        let memory = Arc::new(InMemoryBackend::new());
        let store = open_on(&memory);
        let session = put_session(&store, 0, "c");
        store.commit(large_module(ballast)).unwrap();
        for number in 0..200_u8 {
            enqueue(&store, session, &[number; 1000]).unwrap();
        }
        let whole = bytes(&memory);
        write(&memory, &without_leaves(&whole));
        let refused =
            store.queue_slice(session, MessageId(0), 10, u64::MAX).map(|slice| slice.damaged).unwrap_err();
        assert_eq!(kind(&refused), CommitErrorKind::Corrupted, "{refused}");
        for _ in 0..2 {
            let refused = enqueue(&store, session, b"refused").unwrap_err();
            assert_eq!(kind(&refused), CommitErrorKind::Corrupted, "{refused}");
        }
        assert_eq!(store.failure(), Some(CommitErrorKind::Corrupted));

        write(&memory, &whole);
        while enqueue(&store, session, b"after").is_err() {
            std::thread::yield_now();
        }
        assert_eq!(store.failure(), None);
        let slice = store.queue_slice(session, MessageId(0), 1000, u64::MAX).unwrap();
        let texts: Vec<_> = slice.deliveries.iter().map(|delivery| delivery.message.payload[0]).collect();
        assert_eq!(texts[..200], (0..200).collect::<Vec<u8>>());
        assert_eq!((slice.damaged, texts.last()), (0, Some(&b'a')));
    }
}

#[test]
fn a_snapshot_that_meets_a_damaged_tree_stops_the_store_too() {
    let memory = Arc::new(InMemoryBackend::new());
    let store = open_on(&memory);
    let session = put_session(&store, 0, "c");
    enqueue(&store, session, &[7; 1000]).unwrap();
    let snapshot = store.snapshot().unwrap();
    write(&memory, &without_leaves(&bytes(&memory)));
    let error = snapshot.export(&[BackupClass::Sessions], &mut io::sink()).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged(_)), "{error}");
    let refused = enqueue(&store, session, b"refused").unwrap_err();
    assert_eq!(kind(&refused), CommitErrorKind::Corrupted, "{refused}");
}

#[test]
fn damaged_messages_are_left_out_and_counted_and_the_rest_goes_on() {
    let memory = Arc::new(InMemoryBackend::new());
    let store = open_on(&memory);
    let session = put_session(&store, 0, "c");
    for number in 0..20_u8 {
        enqueue(&store, session, &[number + 100; 40_000]).unwrap();
    }
    let mut damaged = bytes(&memory);
    for number in [3, 7] {
        let place = damaged.windows(64).position(|window| window == [number + 100; 64]).unwrap();
        damaged[place] ^= 1;
    }
    write(&memory, &damaged);
    let slice = store.queue_slice(session, MessageId(0), 100, u64::MAX).unwrap();
    let found: Vec<_> = slice.deliveries.iter().map(|delivery| delivery.message.payload[0] - 100).collect();
    assert_eq!(found, (0..20).filter(|number| ![3, 7].contains(number)).collect::<Vec<u8>>());
    assert_eq!((slice.damaged, slice.first_damage.is_some()), (2, true));
    assert_eq!(store.metrics().damaged(), 2);
    assert_eq!(store.failure(), None);
    enqueue(&store, session, b"after").unwrap();
}
