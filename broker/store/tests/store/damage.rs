//! Files that were cut, flipped or never ours: an error or the right contents, never a panic, never wrong contents.

use std::path::Path;

use lotmq_store::*;

use crate::fixture::{describe, fill};
use crate::support::*;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Opens a directory whose database is `bytes`.
fn open_bytes(directory: &Path, bytes: &[u8]) -> Result<String, OpenError> {
    std::fs::write(directory.join("lotmq.redb"), bytes).unwrap();
    let opened = Store::open(options(directory), Box::new(|_| {}));
    opened.map(|(_store, recovered)| describe(&recovered))
}

fn sample() -> (Vec<u8>, String) {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    drop(store);
    Store::compact(directory.path()).unwrap();
    let bytes = std::fs::read(directory.path().join("lotmq.redb")).unwrap();
    let description = open_bytes(directory.path(), &bytes).unwrap();
    (bytes, description)
}

#[test]
fn a_flipped_bit_is_an_error_or_harmless() {
    let (bytes, expected) = sample();
    let directory = tempfile::tempdir().unwrap();
    let used: Vec<_> = (0..bytes.len()).filter(|place| bytes[*place] != 0).collect();
    let mut seed = 0x5eed_1234_5678_9abc;
    let mut errors = 0;
    for case in 0..200 {
        let number = random(&mut seed) as usize;
        // Most bytes of a small file are unused: every other case aims at one that is not.
        let place = if case % 2 == 0 { used[number % used.len()] } else { number % bytes.len() };
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (case % 8);
        match open_bytes(directory.path(), &damaged) {
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
    let directory = tempfile::tempdir().unwrap();
    for part in 1..40 {
        let len = bytes.len() * part / 40;
        let error = open_bytes(directory.path(), &bytes[..len]).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{len}: {error}");
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_an_error_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut seed = 77;
    let noise: Vec<u8> = (0..100_000).map(|_| random(&mut seed) as u8).collect();
    for bytes in [b"hello".to_vec(), noise, vec![0; 5_000_000]] {
        let error = open_bytes(directory.path(), &bytes).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
        assert!(std::fs::read(directory.path().join("lotmq.redb")).unwrap() == bytes);
    }
}
