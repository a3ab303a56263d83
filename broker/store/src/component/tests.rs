use std::path::Path;

use lotmq_changes::{Batch, Op, Recovered};
use redb::ReadableDatabase as _;

use super::*;
use crate::limits::COMPONENT_PART_BYTES;
use crate::table::definition;
use crate::{KeySource, OpenError, Stats, Store, StoreOptions};

const TENANT: TenantId = TenantId::DEFAULT;

/// Component of module `m`.
const M: ComponentName<'_> = ComponentName { tenant: TENANT, hash: &[1; 32] };

/// A component of three parts, none of which is like another.
fn component(first: u8) -> Vec<u8> {
    (0..2 * COMPONENT_PART_BYTES + 9).map(|at| first.wrapping_add((at / 1000) as u8)).collect()
}

fn row(name: &str, is_former: bool, first: u8) -> ModuleRow {
    ModuleRow {
        tenant: TENANT,
        name: name.into(),
        is_former,
        world: "action".into(),
        options: "{}".into(),
        hash: [first; 32],
        component_bytes: component(first).len() as u64,
        owner: "ann".into(),
        origin: "command".into(),
        order: 1,
        changed_at_ms: 2,
    }
}

fn options(path: &Path) -> StoreOptions {
    StoreOptions { secret_key: KeySource::Key([1; 32]), ..StoreOptions::new(path) }
}

fn open(path: &Path) -> (Store, Recovered) {
    Store::open(options(path), Box::new(|_| {})).unwrap()
}

/// Writes into a closed store.
fn tamper(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(path.join("lotmq.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

fn read_of(store: &Store, first: u8) -> Option<Vec<u8>> {
    store.snapshot().unwrap().component(TENANT, &[first; 32]).unwrap().map(Vec::from)
}

/// Returns the number of rows in table `components`.
fn parts(path: &Path) -> u64 {
    let Stats { tables, .. } = Store::stats(path).unwrap();
    tables.iter().find(|table| table.name == "components").unwrap().rows
}

fn commit(store: &Store, ops: impl IntoIterator<Item = Op<'static>>) {
    let mut batch = Batch::new();
    ops.into_iter().for_each(|op| batch.push(op));
    store.commit(batch).unwrap();
}

fn put(store: &Store, row: &ModuleRow) {
    let mut batch = Batch::new();
    batch.push(Op::PutModule { row, component: component(row.hash[0]).into() });
    store.commit(batch).unwrap();
}

fn delete(name: &'static str, is_former: bool) -> Op<'static> {
    Op::DeleteModule { tenant: TENANT, name, is_former }
}

#[test]
fn a_component_is_read_whole_and_in_ranges() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let empty = ModuleRow { hash: [9; 32], component_bytes: 0, ..row("empty", false, 0) };
    put(&store, &row("m", false, 1));
    let mut batch = Batch::new();
    batch.push(Op::PutModule { row: &empty, component: Bytes::new() });
    store.commit(batch).unwrap();
    drop(store);
    let (store, recovered) = open(directory.path());
    assert_eq!(recovered.modules.len(), 2);
    let all = component(1);
    assert_eq!(read_of(&store, 1).as_deref(), Some(&*all));
    assert_eq!((read_of(&store, 9), read_of(&store, 2)), (Some(Vec::new()), None));
    let (part, end) = (COMPONENT_PART_BYTES as u64, all.len() as u64);
    for range in [
        0..1,
        0..part,
        0..part + 1,
        part - 1..part + 1,
        part..part,
        part + 7..2 * part + 1,
        end - 1..end + 100,
        end..end + 1,
        0..u64::MAX,
    ] {
        let found = store.snapshot().unwrap().component_range(TENANT, &[1; 32], range.clone()).unwrap();
        let expected = &all[(range.start.min(end) as usize)..(range.end.min(end) as usize)];
        assert_eq!(found.as_deref(), Some(expected), "{range:?}");
    }
    let of_none = store.snapshot().unwrap().component_range(TENANT, &[2; 32], 0..1).unwrap();
    assert_eq!(of_none, None);
}

#[test]
fn a_component_is_there_as_long_as_a_module_of_its_tenant_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let of_other = ModuleRow { tenant: TenantId(7), ..row("m", false, 1) };
    put(&store, &row("m", false, 1));
    put(&store, &row("n", false, 1));
    put(&store, &of_other);
    drop(store);
    assert_eq!(parts(directory.path()), 6, "one copy for a tenant, and none in common");
    let (store, _) = open(directory.path());
    commit(&store, [delete("m", false)]);
    assert!(read_of(&store, 1).is_some(), "another module has it");
    // Another version, the one before it kept, and back again: each time within one batch.
    let (new, before) = (row("n", false, 2), row("n", true, 1));
    let mut batch = Batch::new();
    batch.push(Op::PutModule { row: &new, component: component(2).into() });
    batch.push(Op::ChangeModule(&before));
    store.commit(batch).unwrap();
    let mut batch = Batch::new();
    batch.push(Op::ChangeModule(&row("n", false, 1)));
    batch.push(Op::ChangeModule(&row("n", true, 2)));
    store.commit(batch).unwrap();
    assert!([1, 2].iter().all(|first| read_of(&store, *first) == Some(component(*first))));
    commit(&store, [delete("n", true)]);
    assert_eq!((read_of(&store, 2), read_of(&store, 1)), (None, Some(component(1))));
    commit(&store, [delete("n", false)]);
    assert_eq!(read_of(&store, 1), None);
    let of_other = store.snapshot().unwrap().component(TenantId(7), &[1; 32]).unwrap();
    assert_eq!(of_other.as_deref(), Some(&*component(1)), "that of the other tenant stays");
    drop(store);
    assert_eq!(parts(directory.path()), 3);
    assert_eq!(Store::check(directory.path()).unwrap(), []);
}

#[test]
fn a_change_of_a_module_whose_component_was_lost_is_lost_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    put(&store, &row("m", false, 1));
    let mut batch = Batch::new();
    batch.push(Op::ChangeModule(&row("m", false, 2)));
    batch.push(Op::ChangeModule(&row("m", true, 1)));
    store.commit(batch).unwrap();
    drop(store);
    let (_store, recovered) = open(directory.path());
    assert_eq!(recovered.quarantined, []);
    assert_eq!(recovered.modules, [row("m", false, 1), row("m", true, 1)], "nothing names what is not there");
}

/// Changes a part of the component of module `m`, beside which there are `n` and, of the same
/// bytes, the version before that.
fn damaged(world: &str, change: impl FnOnce(&mut redb::Table<'_, &[u8], &[u8]>, &[u8])) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let m = ModuleRow { world: world.into(), ..row("m", false, 1) };
    [m, row("n", false, 2), row("n", true, 1)].iter().for_each(|row| put(&store, row));
    drop(store);
    tamper(directory.path(), |transaction| {
        let mut parts = transaction.open_table(definition(Table::Components)).unwrap();
        change(&mut parts, &component_key(TENANT, &[1; 32], COMPONENT_PART_BYTES as u64));
    });
    directory
}

fn flip(parts: &mut redb::Table<'_, &[u8], &[u8]>, key: &[u8]) {
    let mut value = redb::ReadableTable::get(parts, key).unwrap().unwrap().value().to_vec();
    value[100] ^= 1;
    parts.insert(key, &*value).unwrap();
}

#[test]
fn damaged_component_is_quarantined_with_its_modules() {
    type Change = fn(&mut redb::Table<'_, &[u8], &[u8]>, &[u8]);
    let flipped: Change = flip;
    let missing: Change = |parts, key| drop(parts.remove(key).unwrap());
    let no_first: Change = |parts, _| drop(parts.remove(&*component_key(TENANT, &[1; 32], 0)).unwrap());
    let no_last: Change = |parts, _| {
        let last = component_key(TENANT, &[1; 32], 2 * COMPONENT_PART_BYTES as u64);
        parts.remove(&*last).unwrap();
    };
    let all: Change = |parts, _| parts.retain(|key, _| key[4] != 1).unwrap();
    for (change, of_parts, reason) in [
        (flipped, 1, "its component is damaged"),
        (missing, 0, "its component is damaged"),
        (no_first, 0, "its component is damaged"),
        (no_last, 0, "its component is damaged"),
        (all, 0, "its component is missing"),
    ] {
        let directory = damaged("action", change);
        let found = Store::check(directory.path()).unwrap();
        assert_eq!(found.len(), of_parts + 2, "{found:?}");
        let (store, recovered) = open(directory.path());
        let reasons: Vec<String> = recovered.quarantined.iter().map(ToString::to_string).collect();
        assert_eq!(reasons.iter().filter(|text| text.ends_with(reason)).count(), 2, "{reasons:?}");
        assert_eq!(recovered.modules, [row("n", false, 2)], "nothing else is lost");
        assert_eq!(read_of(&store, 2), Some(component(2)));
        // It is there again when it comes again, whatever was left of it.
        put(&store, &row("m", false, 1));
        assert_eq!(read_of(&store, 1), Some(component(1)));
        commit(&store, [delete("m", false)]);
        drop(store);
        assert_eq!((parts(directory.path()), Store::check(directory.path()).unwrap()), (3, vec![]));
    }
}

#[test]
fn damaged_rule_module_is_quarantined_only_by_explicit_command() {
    let directory = damaged("rule", flip);
    let refused = Store::open(options(directory.path()), Box::new(|_| {})).unwrap_err();
    assert!(matches!(refused, OpenError::ProtectionDamaged { may_be_put_aside: true, .. }), "{refused}");
    assert!(refused.to_string().contains("(m): its component is damaged"), "{refused}");
    assert_eq!(Store::quarantine(directory.path()).unwrap().len(), 3);
    assert_eq!(open(directory.path()).1.modules, [row("n", false, 2)]);
}

#[test]
fn damage_that_is_met_while_the_store_is_open_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lotmq.redb");
    let database = {
        let (store, _) = open(directory.path());
        put(&store, &row("m", false, 1));
        drop(store);
        tamper(directory.path(), |transaction| {
            let mut parts = transaction.open_table(definition(Table::Components)).unwrap();
            flip(&mut parts, &component_key(TENANT, &[1; 32], 0));
        });
        redb::Database::open(path).unwrap()
    };
    let reading = database.begin_read().unwrap();
    for error in [whole(&reading, M).unwrap_err(), range(&reading, M, 0..5).map(drop).unwrap_err()] {
        let text = error.to_string();
        assert!(
            text.contains("row of table 'components'") && text.ends_with("checksum does not match"),
            "{text}"
        );
    }
    let behind = range(&reading, M, COMPONENT_PART_BYTES as u64..COMPONENT_PART_BYTES as u64 + 2);
    assert_eq!(
        behind.unwrap().as_deref(),
        Some(&component(1)[COMPONENT_PART_BYTES..][..2]),
        "the others are whole"
    );
}
