//! The audit: records in order, encrypted, removed from the oldest on, and there after a restore.

use std::ops::ControlFlow;

use lotmq_changes::table::BackupClass::{Audit, Configuration};
use lotmq_changes::*;
use lotmq_store::*;

use crate::fixture::audit;
use crate::support::*;

const DEFAULT: TenantId = TenantId::DEFAULT;

const ALL: std::ops::RangeInclusive<u64> = 0..=u64::MAX;

fn record(tenant: TenantId, number: u64, text: &str) -> Op<'_> {
    Op::PutAudit { tenant, number, at_ms: 1000 + number, digest: [number as u8; 32], text }
}

fn numbers(store: &Store, tenant: TenantId) -> Vec<u64> {
    audit(store, tenant).iter().map(|record| record.number).collect()
}

#[test]
fn records_come_back_in_order_and_the_oldest_go() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    assert_eq!(store.audit_ends(DEFAULT, ALL).unwrap(), None);
    let other = TenantId(1);
    commit(&store, [record(DEFAULT, 1, "a"), record(DEFAULT, 300, "b"), record(DEFAULT, 70_000, "c")]);
    commit(&store, [record(other, 2, "of another")]);
    assert_eq!(numbers(&store, DEFAULT), [1, 300, 70_000]);
    let ends = store.audit_ends(DEFAULT, ALL).unwrap().unwrap();
    let last = AuditRecord { number: 70_000, at_ms: 71_000, digest: Some([112; 32]), text: Some("c".into()) };
    assert_eq!(ends, AuditEnds { first: 1, next: 70_001, last: Some(last.clone()) });
    let mut from_300 = Vec::new();
    store
        .audit(DEFAULT, 300..=u64::MAX, |record| {
            from_300.push(record.number);
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(from_300, [300]);
    commit(&store, [Op::DeleteAudit { tenant: DEFAULT, from: 0, below: 300 }]);
    drop(store);
    let (store, _) = open(directory.path());
    assert_eq!(numbers(&store, DEFAULT), [300, 70_000]);
    assert_eq!(
        store.audit_ends(DEFAULT, ALL).unwrap(),
        Some(AuditEnds { first: 300, next: 70_001, last: Some(last) })
    );
    assert_eq!(numbers(&store, other), [2]);
}

#[test]
fn no_file_holds_a_record_in_plain_text_and_another_key_locks_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    commit(&store, [record(DEFAULT, 1, "alice-came-from-far-away")]);
    drop(store);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(10).any(|window| window == b"alice-came"));
    }
    let other = StoreOptions { secret_key: KeySource::Key([8; 32]), ..options(directory.path()) };
    let (store, _) = Store::open(other, Box::new(|_| {})).unwrap();
    let locked = audit(&store, DEFAULT);
    assert_eq!((locked[0].number, &locked[0].digest, &locked[0].text), (1, &None, &None));
}

#[test]
fn a_restore_keeps_the_audit_and_an_export_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    commit(&store, [record(DEFAULT, 1, "before the backup")]);
    let mut backup = Vec::new();
    store.snapshot().unwrap().export(&[Configuration], &mut backup).unwrap();
    commit(&store, [record(DEFAULT, 2, "after it")]);
    let staged = store.stage(&mut &backup[..]).unwrap();
    assert!(staged.keeps(Audit));
    drop(store);
    staged.install().unwrap();
    let (store, _) = open(directory.path());
    assert_eq!(numbers(&store, DEFAULT), [1, 2]);
    drop(store);
    let mut export = Vec::new();
    Store::export(directory.path(), &[Configuration, Audit], &mut export).unwrap();
    let target = tempfile::tempdir().unwrap();
    Store::import(target.path(), &mut &export[..]).unwrap();
    let (store, _) = open(target.path());
    assert_eq!(numbers(&store, DEFAULT), [1, 2]);
}
