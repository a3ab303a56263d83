//! A backup on its way into the place of a store.

use std::path::Path;

use lotmq_changes::table::BackupClass;
use lotmq_changes::table::BackupClass::{Configuration, Messages, Secret, Sessions};
use lotmq_changes::*;
use lotmq_store::*;

use crate::fixture::{describe, fill};
use crate::support::*;

fn snapshot(store: &Store, classes: &[BackupClass]) -> Vec<u8> {
    let mut stream = Vec::new();
    store.snapshot().unwrap().export(classes, &mut stream).unwrap();
    stream
}

fn put_setting(store: &Store, value: &str) {
    let row = SettingRow { tenant: TenantId::DEFAULT, name: "version".into(), value: value.into() };
    commit_with(store, |batch| batch.push(Op::PutSetting(&row)));
}

fn setting(recovered: &Recovered) -> &str {
    &recovered.settings.iter().find(|row| row.name == "version").unwrap().value
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn restore_replaces_classes_of_the_backup_and_keeps_other_data() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    put_setting(&store, "old");
    let stream = snapshot(&store, &[Configuration, Secret]);
    put_setting(&store, "new");
    let late = put_session(&store, 0, "late");
    let id = store.next_message_id();
    commit_with(&store, |batch| {
        let deliveries = &[delivery(late)];
        batch.push(Op::Enqueue { message: message(id, "t", b"late"), deliveries });
    });
    let next = store.next_session_id();
    let staged = store.stage(&mut &stream[..]).unwrap();
    assert_eq!(staged.locked_secrets, [""; 0]);
    let kept: Vec<_> = [Configuration, Secret, Messages, Sessions]
        .into_iter()
        .filter(|class| staged.keeps(*class))
        .collect();
    assert_eq!(kept, [Messages, Sessions]);
    store.close();
    staged.install().unwrap();
    assert_eq!(Store::check(directory.path()).unwrap(), []);
    let (store, recovered) = open(directory.path());
    assert_eq!(setting(&recovered), "old");
    assert_eq!(queue(&recovered, late), [id.0]);
    assert_eq!((recovered.sessions.len(), recovered.retained.len()), (3, 2));
    assert!(store.next_session_id() > next, "numbers of sessions are not given out again");
    assert!(store.next_message_id() > id);
}

#[test]
fn all_parts_make_the_store_that_was_backed_up() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    drop(store);
    let (store, recovered) = open(directory.path());
    let expected = describe(&recovered);
    let stream = snapshot(&store, &[Configuration, Messages, Sessions, Secret]);
    put_session(&store, 0, "later");
    let staged = store.stage(&mut &stream[..]).unwrap();
    store.close();
    let installed = staged.install().unwrap();
    let (store, recovered) = open(directory.path());
    assert_eq!(describe(&recovered), expected);
    drop(store);
    installed.undo().unwrap();
    let (_store, recovered) = open(directory.path());
    assert_eq!(recovered.sessions.len(), 3, "the former store is back");
}

/// Starts on a store: its setting, and whether the former store has come back.
fn start(directory: &Path, is_good: bool) -> (String, bool) {
    let options = StoreOptions { is_start: true, ..options(directory) };
    let (store, recovered) = Store::open(options, Box::new(|_| {})).unwrap();
    if is_good {
        store.started_well().unwrap();
    }
    (setting(&recovered).to_owned(), recovered.restore_failed)
}

#[test]
fn former_store_comes_back_when_no_start_on_the_restored_one_was_good() {
    for (starts, is_kept) in [
        (&[(true, "backup", false), (true, "backup", false)][..], true),
        (&[(false, "backup", false), (true, "present", true), (false, "present", false)], true),
        (&[(false, "backup", false), (true, "backup", false), (true, "backup", false)], false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = open(directory.path());
        put_setting(&store, "backup");
        let stream = snapshot(&store, &[Configuration]);
        put_setting(&store, "present");
        let staged = store.stage(&mut &stream[..]).unwrap();
        store.close();
        staged.install().unwrap();
        if !is_kept {
            std::fs::remove_file(directory.path().join("lotmq.redb.before-restore")).unwrap();
        }
        // A tool that opens it is no start.
        assert_eq!(setting(&open(directory.path()).1), "backup");
        for (is_good, found, is_back) in starts {
            assert_eq!(start(directory.path(), *is_good), (found.to_string(), *is_back), "{starts:?}");
        }
        assert!(!files(directory.path()).contains(&"lotmq.redb.restored".to_owned()), "{starts:?}");
    }
}

#[test]
fn failed_restore_changes_nothing_and_leaves_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    let stream = snapshot(&store, &[Configuration]);
    let before = files(directory.path());
    for place in [0, 20, stream.len() / 2, stream.len() - 1] {
        let mut damaged = stream.clone();
        damaged[place] ^= 1;
        store.stage(&mut &damaged[..]).unwrap_err();
        store.stage(&mut &stream[..place]).unwrap_err();
        assert_eq!(files(directory.path()), before);
    }
    drop(store.stage(&mut &stream[..]).unwrap());
    assert_eq!(files(directory.path()), before, "one that is not used is removed");
    std::mem::forget(store.stage(&mut &stream[..]).unwrap());
    drop(store);
    drop(open(directory.path()));
    assert_eq!(files(directory.path()), before, "what a crash has left is removed");
}

/// Change of a store that makes it inconsistent.
type Damage<'a> = &'a dyn Fn(&mut Batch);

#[test]
fn backup_with_missing_tenants_is_refused() {
    let of_tenant = |tenant| SettingRow { tenant, name: "n".into(), value: "v".into() };
    let cases: [(&str, Damage<'_>); 2] = [
        ("no row for the tenant `default`", &|batch| batch.push(Op::DeleteTenant(TenantId::DEFAULT))),
        ("'settings' has rows of tenant 7", &|batch| batch.push(Op::PutSetting(&of_tenant(TenantId(7))))),
    ];
    for (expected, damage) in cases {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = open(directory.path());
        commit_with(&store, |batch| damage(batch));
        let stream = snapshot(&store, &[Configuration, Messages, Sessions, Secret]);
        let error = store.stage(&mut &stream[..]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        store.close();
        let other = tempfile::tempdir().unwrap();
        let error = Store::import(other.path(), &mut &stream[..]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn store_without_the_default_tenant_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    commit_with(&store, |batch| batch.push(Op::DeleteTenant(TenantId::DEFAULT)));
    store.close();
    for _ in 0..2 {
        let error = Store::open(options(directory.path()), Box::new(|_| {})).map(drop).unwrap_err();
        assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
    }
}

#[test]
fn secrets_of_another_key_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    fill(&store);
    let stream = snapshot(&store, &[Secret]);
    let other = tempfile::tempdir().unwrap();
    let options = StoreOptions { secret_key: KeySource::Key([8; 32]), ..options(other.path()) };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    assert_eq!(store.stage(&mut &stream[..]).unwrap().locked_secrets, ["TOKEN", "TOKEN"]);
}

#[test]
fn a_store_in_memory_cannot_be_replaced() {
    let options = StoreOptions { durability: Durability::None, ..options("unused".as_ref()) };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    let stream = snapshot(&store, &[]);
    assert!(matches!(store.stage(&mut &stream[..]), Err(ImportError::NoFile)));
}
