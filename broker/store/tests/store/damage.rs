//! Files that were cut, flipped or never ours: an error or the right contents, never a panic, never wrong contents.

use lotmq_store::*;
use redb::{ReadableTable, TableDefinition};

use crate::fixture::{describe, fill};
use crate::support::*;

/// Opens a directory of its own whose database is `bytes`.
fn open_bytes(bytes: &[u8]) -> Result<String, OpenError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lotmq.redb");
    std::fs::write(&path, bytes).unwrap();
    match Store::open(options(directory.path()), Box::new(|_| {})) {
        Ok((_store, recovered)) => Ok(describe(&recovered)),
        Err(error) => {
            assert!(std::fs::read(&path).unwrap().len() >= bytes.len(), "{error}: the file was cut");
            Err(error)
        }
    }
}

fn sample() -> (Vec<u8>, String) {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    drop(store);
    Store::compact(directory.path()).unwrap();
    let bytes = std::fs::read(directory.path().join("lotmq.redb")).unwrap();
    let description = open_bytes(&bytes).unwrap();
    (bytes, description)
}

#[test]
fn a_flipped_bit_is_an_error_or_harmless() {
    let (bytes, expected) = sample();
    let used: Vec<_> = (0..bytes.len()).filter(|place| bytes[*place] != 0).collect();
    let mut seed = 0x5eed_1234_5678_9abc;
    let mut errors = 0;
    for case in 0..200 {
        let number = random(&mut seed) as usize;
        // Most bytes of a small file are unused: every other case aims at one that is not.
        let place = if case % 2 == 0 { used[number % used.len()] } else { number % bytes.len() };
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (case % 8);
        match open_bytes(&damaged) {
            Ok(found) => assert_eq!(found, expected, "byte {place}"),
            Err(OpenError::Corrupted { .. } | OpenError::SchemaTooNew { .. }) => errors += 1,
            Err(other) => panic!("byte {place}: {other}"),
        }
    }
    assert!(errors > 20, "{errors} errors");
}

#[test]
fn a_truncated_file_is_an_error_or_an_empty_start() {
    let (bytes, _) = sample();
    for part in 1..40 {
        let len = bytes.len() * part / 40;
        let error = open_bytes(&bytes[..len]).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{len}: {error}");
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_an_error_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut seed = 77;
    let noise: Vec<u8> = (0..100_000).map(|_| random(&mut seed) as u8).collect();
    for bytes in [Vec::new(), b"hello".to_vec(), noise, vec![0; 5_000_000]] {
        let path = directory.path().join("lotmq.redb");
        std::fs::write(&path, &bytes).unwrap();
        let error = Store::open(options(directory.path()), Box::new(|_| {})).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const PAYLOADS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("payloads");
const USERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("users");

/// Changes a table behind the store's back, with correct page checksums, and says how the store takes it.
fn tamper(change: impl FnOnce(&redb::WriteTransaction)) -> Corruption {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    // Two more groups, so that the log has a middle.
    put_session(&store, 0, "x");
    let session = put_session(&store, 0, "y");
    for _ in 0..2 {
        let id = store.next_message_id();
        commit_with(&store, |batch| {
            batch.push(Op::Enqueue { message: message(id, "t", b"p"), deliveries: &[delivery(session)] });
        });
    }
    drop(store);
    let database = redb::Database::create(directory.path().join("lotmq.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
    drop(database);
    match Store::open(options(directory.path()), Box::new(|_| {})) {
        Err(OpenError::Corrupted { detail, .. }) => detail,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_changed_chunk_is_found_by_its_own_checksum() {
    let detail = tamper(|transaction| {
        let mut log = transaction.open_table(LOG).unwrap();
        let mut value = log.get(1).unwrap().unwrap().value().to_vec();
        value[40] ^= 1;
        log.insert(1, value.as_slice()).unwrap();
    });
    assert_eq!(detail, Corruption::Chunk { lsn: 1, reason: "checksum does not match" });
}

#[test]
fn a_missing_chunk_is_found_by_the_record_numbers() {
    let detail = tamper(|transaction| {
        let mut log = transaction.open_table(LOG).unwrap();
        let middle = log.iter().unwrap().nth(1).unwrap().unwrap().0.value();
        log.remove(middle).unwrap();
    });
    assert!(matches!(detail, Corruption::LogGap { .. }), "{detail}");
}

#[test]
fn a_missing_or_changed_payload_is_found_by_its_message() {
    for change in [true, false] {
        let detail = tamper(|transaction| {
            let mut payloads = transaction.open_table(PAYLOADS).unwrap();
            let (key, mut value) = {
                let (key, value) = payloads.first().unwrap().unwrap();
                (key.value(), value.value().to_vec())
            };
            value[30_000] ^= 1;
            payloads.remove(key).unwrap();
            if change {
                payloads.insert(key, value.as_slice()).unwrap();
            }
        });
        assert!(matches!(detail, Corruption::MessageMissing { .. }), "{detail}");
    }
}

#[test]
fn a_changed_row_is_found_and_named() {
    let detail = tamper(|transaction| {
        let mut users = transaction.open_table(USERS).unwrap();
        let key = b"\0\0\0\0root";
        let mut value = users.get(&key[..]).unwrap().unwrap().value().to_vec();
        *value.last_mut().unwrap() ^= 1;
        users.insert(&key[..], value.as_slice()).unwrap();
    });
    assert_eq!(detail.to_string(), "row of table 'users' with key 00000000726f6f74: checksum does not match");
}
