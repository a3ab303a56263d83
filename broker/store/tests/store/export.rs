//! A store as a stream and back; the check of a closed store.

use lotmq_changes::ImportError;
use lotmq_changes::table::BackupClass;
use lotmq_changes::table::BackupClass::{Audit, Configuration, Messages, Quarantine, Secret, Sessions};
use lotmq_store::*;

use crate::fixture::{describe, fill};
use crate::support::*;

/// A filled store that is closed, and what is in it.
fn filled() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    drop(store);
    let (_store, recovered) = open(directory.path());
    (directory, describe(&recovered))
}

fn exported(directory: &std::path::Path, classes: &[BackupClass]) -> Vec<u8> {
    let mut stream = Vec::new();
    Store::export(directory, classes, &mut stream).unwrap();
    stream
}

#[test]
fn an_export_becomes_the_same_store() {
    let (source, description) = filled();
    let stream = exported(source.path(), &[Configuration, Messages, Sessions, Secret, Audit, Quarantine]);
    let target = tempfile::tempdir().unwrap();
    let sizes = Store::import(target.path(), &mut &stream[..]).unwrap();
    assert_eq!(sizes, Store::stats(source.path()).unwrap().tables);
    assert_eq!(Store::check(target.path()).unwrap(), []);
    let (store, recovered) = open(target.path());
    assert_eq!(describe(&recovered), description);
    assert!(
        store.next_session_id() > recovered.sessions.last().unwrap().session.id,
        "numbers are not used again"
    );
}

#[test]
fn parts_can_be_left_out() {
    let (source, _) = filled();
    let stream = exported(source.path(), &[Configuration]);
    let target = tempfile::tempdir().unwrap();
    Store::import(target.path(), &mut &stream[..]).unwrap();
    let (_store, recovered) = open(target.path());
    let (_store, before) = open(source.path());
    assert_eq!((&recovered.users, &recovered.definitions), (&before.users, &before.definitions));
    assert_eq!((&recovered.tenants, recovered.modules.len()), (&before.tenants, before.modules.len()));
    let left_out = (recovered.sessions.len(), recovered.retained.len(), recovered.secrets.len());
    assert_eq!(left_out, (0, 0, 0));
}

#[test]
fn a_stream_that_was_cut_or_changed_leaves_nothing_behind() {
    let (source, _) = filled();
    let stream = exported(source.path(), &[Configuration, Messages, Sessions, Secret]);
    let target = tempfile::tempdir().unwrap();
    let mut seed = 0x1234_5678_9abc_def1;
    let refused = |bytes: &[u8]| {
        let error = Store::import(target.path(), &mut &*bytes).unwrap_err();
        let mut left: Vec<_> =
            std::fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.retain(|name| name != "lotmq.lock");
        assert!(left.is_empty(), "{left:?} after {error}");
        error.to_string()
    };
    for _ in 0..40 {
        let place = random(&mut seed) as usize % stream.len();
        refused(&stream[..place]);
        let mut flipped = stream.clone();
        flipped[place] ^= 1 << (random(&mut seed) % 8);
        refused(&flipped);
    }
    assert_eq!(refused(b"#!/bin/sh\nexit"), "this is no export of a lotmq store");
    assert_eq!(refused(&stream[..stream.len() - 1]), "the export is damaged: it ends early");
}

#[test]
fn a_refused_import_makes_no_directory() {
    let (source, _) = filled();
    let stream = exported(source.path(), &[Configuration]);
    let empty = tempfile::tempdir().unwrap();
    let place = empty.path().join("var/data");
    for bytes in [&b"#!/bin/sh\nexit"[..], &stream[..stream.len() - 1]] {
        Store::import(&place, &mut &*bytes).unwrap_err();
        assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is left of var/data");
    }
    // Directories that existed before stay, and a successful import makes the missing ones.
    std::fs::create_dir(empty.path().join("var")).unwrap();
    Store::import(&place, &mut &b"none"[..]).unwrap_err();
    assert!(!place.exists() && empty.path().join("var").exists());
    Store::import(&place, &mut &stream[..]).unwrap();
    assert!(place.join("lotmq.redb").exists());
}

#[test]
fn a_store_is_not_overwritten_and_one_that_is_not_there_not_made() {
    let (source, description) = filled();
    let stream = exported(source.path(), &[Sessions]);
    let error = Store::import(source.path(), &mut &stream[..]).unwrap_err();
    assert!(matches!(error, ImportError::Exists(_)), "{error}");
    let (_store, recovered) = open(source.path());
    assert_eq!(describe(&recovered), description);
    let empty = tempfile::tempdir().unwrap();
    let nowhere = empty.path().join("data");
    assert!(matches!(Store::check(&nowhere), Err(OpenError::Io { .. })));
    assert!(!nowhere.exists());
    let file = empty.path().join("lotmq.redb");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Store::check(empty.path()), Err(OpenError::Corrupted { .. })));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "nothing was written into it");
}

/// The check finds all damage that keeps the store from being opened.
#[test]
fn the_check_finds_every_flip_that_matters() {
    let (source, _) = filled();
    Store::compact(source.path()).unwrap();
    let file = source.path().join("lotmq.redb");
    let bytes = std::fs::read(&file).unwrap();
    let used: Vec<_> = (0..bytes.len()).filter(|place| bytes[*place] != 0).collect();
    let mut seed = 0x0123_4567_89ab_cdef;
    let mut found = 0;
    for _ in 0..60 {
        let mut flipped = bytes.clone();
        flipped[used[random(&mut seed) as usize % used.len()]] ^= 1 << (random(&mut seed) % 8);
        std::fs::write(&file, &flipped).unwrap();
        let is_refused = Store::open(options(source.path()), Box::new(|_| {})).is_err();
        std::fs::write(&file, &flipped).unwrap();
        let is_found = Store::check(source.path()).map_or(true, |damaged| !damaged.is_empty());
        assert!(is_found || !is_refused, "a store that cannot be opened passes the check");
        found += u32::from(is_found);
    }
    assert!(found > 5, "{found} of 60 flips prove little");
}
