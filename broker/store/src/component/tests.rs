use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lotmq_changes::encoding::{Decoder, Malformed, Put as _};
use lotmq_changes::table::{Row, seal};
use lotmq_changes::{Batch, Op, Recovered};
use redb::ReadableDatabase as _;

use super::*;
use crate::backend::{self, NoNote};
use crate::limits::COMPONENT_PART_BYTES;
use crate::table::definition;
use crate::{Durability, KeySource, OpenError, Stats, Stepper, Store, StoreOptions, Surroundings};

const TENANT: TenantId = TenantId::DEFAULT;

/// A module as schemas 1 and 2 have it.
struct OfSchema2(ModuleRow, Vec<u8>);

impl Row for OfSchema2 {
    const TABLE: Table = Table::Modules;

    fn key(&self) -> Vec<u8> {
        self.0.key()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let row = &self.0;
        out.put_text(&row.world);
        out.put_text(&row.options);
        out.extend_from_slice(&row.hash);
        out.put_text(&row.owner);
        out.put_text(&row.origin);
        out.put_varint(row.order);
        out.put_varint(row.changed_at_ms);
        out.put_bytes(&self.1);
    }

    fn decode(_: &mut Decoder<'_>, _: u8, body: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Err(body.malformed())
    }
}

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

/// Opens a store that moves nothing by itself, as one whose disk has no room for it.
fn open_stepped(path: &Path) -> (Store, Stepper, Recovered) {
    let factory = backend::factory(Durability::Fsync, path.join("lotmq.redb"));
    let surroundings =
        Surroundings { now: Arc::new(|| Duration::ZERO), random: Box::new(|_| {}), note: Box::new(NoNote) };
    Store::open_stepped(options(path), factory, Box::new(|_| {}), surroundings).unwrap()
}

/// Writes into a closed store.
fn tamper(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(path.join("lotmq.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

/// A store with module `m`, whose component begins with 1, and the version before it, with 2; as
/// schema 2 has them.
fn of_schema_2() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    tamper(directory.path(), |transaction| {
        let mut modules = transaction.open_table(definition(Table::Modules)).unwrap();
        for (is_former, first) in [(false, 1), (true, 2)] {
            let old = OfSchema2(row("m", is_former, first), component(first));
            modules.insert(&*old.key(), &*seal(&old.key(), &old)).unwrap();
        }
    });
    directory
}

fn read_of(store: &Store, first: u8) -> Option<Vec<u8>> {
    store.snapshot().unwrap().component(TENANT, &[first; 32]).unwrap().map(Vec::from)
}

/// Parts in the file, and bytes of the rows of modules.
fn sizes(path: &Path) -> (u64, u64) {
    let Stats { tables, .. } = Store::stats(path).unwrap();
    let table = |name| tables.iter().find(|table| table.name == name).unwrap();
    (table("components").rows, table("modules").bytes)
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
    assert_eq!(sizes(directory.path()).0, 6, "one copy for a tenant, and none in common");
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
    assert_eq!(sizes(directory.path()).0, 3);
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

#[test]
fn the_first_start_moves_components_out_of_the_rows_that_schema_2_has_them_in() {
    let directory = of_schema_2();
    assert_eq!(sizes(directory.path()).0, 0);
    for _ in 0..2 {
        let (store, recovered) = open(directory.path());
        assert_eq!(recovered.modules, [row("m", false, 1), row("m", true, 2)]);
        assert!([1, 2].iter().all(|first| read_of(&store, *first) == Some(component(*first))));
        drop(store);
        let (parts, bytes_of_rows) = sizes(directory.path());
        assert!(parts == 6 && bytes_of_rows < 300, "{parts} parts, {bytes_of_rows} bytes");
        assert_eq!(Store::check(directory.path()).unwrap(), []);
    }
}

#[test]
fn unmigrated_component_is_read_from_its_old_place() {
    let directory = of_schema_2();
    let (store, _stepper, recovered) = open_stepped(directory.path());
    assert_eq!(recovered.modules, [row("m", false, 1), row("m", true, 2)]);
    assert!([1, 2].iter().all(|first| read_of(&store, *first) == Some(component(*first))));
    let range = store.snapshot().unwrap().component_range(TENANT, &[2; 32], 5..9).unwrap();
    assert_eq!(range.as_deref(), Some(&component(2)[5..9]));
    store.close();
    assert_eq!(sizes(directory.path()).0, 0);

    // One for the other, each in the place of the row that has its bytes.
    let (store, _stepper, _) = open_stepped(directory.path());
    let mut batch = Batch::new();
    batch.push(Op::ChangeModule(&row("m", false, 2)));
    batch.push(Op::ChangeModule(&row("m", true, 1)));
    store.commit(batch).unwrap();
    assert!([1, 2].iter().all(|first| read_of(&store, *first) == Some(component(*first))));
    store.close();
    assert_eq!(sizes(directory.path()).0, 6);

    // A removed component is not moved before.
    let directory = of_schema_2();
    let (store, _stepper, _) = open_stepped(directory.path());
    commit(&store, [delete("m", true)]);
    assert_eq!((read_of(&store, 1), read_of(&store, 2)), (Some(component(1)), None));
    commit(&store, [delete("m", false)]);
    assert_eq!(read_of(&store, 1), None);
    store.close();
    assert_eq!(sizes(directory.path()), (0, 0));
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
        assert_eq!((sizes(directory.path()).0, Store::check(directory.path()).unwrap()), (3, vec![]));
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
    for error in [
        whole(&reading, TENANT, &[1; 32]).unwrap_err(),
        range(&reading, (TENANT, &[1; 32]), 0..5).map(drop).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("row of table 'components'") && text.ends_with("checksum does not match"),
            "{text}"
        );
    }
    let behind =
        range(&reading, (TENANT, &[1; 32]), COMPONENT_PART_BYTES as u64..COMPONENT_PART_BYTES as u64 + 2);
    assert_eq!(
        behind.unwrap().as_deref(),
        Some(&component(1)[COMPONENT_PART_BYTES..][..2]),
        "the others are whole"
    );
}
