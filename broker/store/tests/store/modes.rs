//! The three durabilities.

use lotmq_changes::*;
use lotmq_store::*;

use crate::support::*;

fn put(store: &Store) {
    let row = EnvironmentRow { tenant: TenantId::DEFAULT, name: "N".into(), value: "v".into() };
    commit_with(store, |batch| batch.push(Op::PutEnv(&row)));
}

#[test]
fn mode_os_is_on_disk_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { durability: Durability::Os, ..options(directory.path()) };
    let (store, _) = Store::open(options.clone(), Box::new(|_| {})).unwrap();
    put(&store);
    drop(store);
    let (_store, recovered) = Store::open(options, Box::new(|_| {})).unwrap();
    assert_eq!(recovered.environment.len(), 1);
}

#[test]
fn mode_none_touches_no_file_and_forgets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let options = StoreOptions { durability: Durability::None, ..StoreOptions::new(&path) };
    let (store, _) = Store::open(options.clone(), Box::new(|_| {})).unwrap();
    put(&store);
    drop(store);
    assert!(!path.exists());
    let (_store, recovered) = Store::open(options, Box::new(|_| {})).unwrap();
    assert!(recovered.is_new && recovered.environment.is_empty());
}
