//! Components of modules in a group: each is there when a row names it, and goes with the last row
//! that did.

use std::collections::HashSet;

use lotmq_changes::table::{
    ComponentHash, ComponentRow, Row as _, Table, component_key, component_of, named_key, read, seal,
};
use lotmq_changes::{ModuleRow, TenantId};

use crate::component::ComponentName;
use crate::limits::COMPONENT_PART_BYTES;

use super::tables::{Tables, after_prefix};

/// Row of a module, and the bytes of its component if they come with it.
pub(super) struct ModuleWrite<'a> {
    pub(super) component: ComponentName<'a>,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) bytes: Option<&'a [u8]>,
}

/// Writes the row of a module, behind its component where that comes with it.
pub(super) fn put_module(module: &ModuleWrite<'_>, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    let ModuleWrite { component, key, value, bytes } = *module;
    match bytes {
        Some(bytes) => put(component, bytes, tables)?,
        None if is_there(component, tables)? => {}
        None => {
            let name = String::from_utf8_lossy(key.get(4..).unwrap_or_default());
            tracing::error!(%name, "change of a module is not stored: its component is not there");
            return Ok(());
        }
    }
    note_replaced(component.tenant, key, Some(component.hash), tables)?;
    tables.put(Table::Modules, key, value)
}

/// Removes the row of a module.
pub(super) fn delete_module(
    tenant: TenantId,
    key: &[u8],
    tables: &mut Tables<'_>,
) -> Result<(), redb::Error> {
    note_replaced(tenant, key, None, tables)?;
    tables.delete(Table::Modules, key)
}

/// Notes where a component may have no row any more: one that was named is so no longer, or nobody
/// knows.
fn note_replaced(
    tenant: TenantId,
    key: &[u8],
    hash: Option<&ComponentHash>,
    tables: &mut Tables<'_>,
) -> Result<(), redb::Error> {
    let before = tables.with_row(Table::Modules, key, |value| read::<ModuleRow>(key, value))?;
    let stays = |row: ModuleRow| Some(&row.hash) == hash;
    if before.is_some_and(|before| !before.is_ok_and(stays)) {
        tables.less_named.insert(tenant);
    }
    Ok(())
}

/// Whether a component is in its table.
fn is_there(
    ComponentName { tenant, hash }: ComponentName<'_>,
    tables: &mut Tables<'_>,
) -> Result<bool, redb::Error> {
    Ok(tables.with_row(Table::Components, &component_key(tenant, hash, 0), |_| ())?.is_some())
}

/// Writes a component, in parts.
fn put(
    ComponentName { tenant, hash }: ComponentName<'_>,
    component: &[u8],
    tables: &mut Tables<'_>,
) -> Result<(), redb::Error> {
    let total = component.len() as u64;
    // One without bytes has a part, too: it is there.
    let count = component.len().div_ceil(COMPONENT_PART_BYTES).max(1);
    for offset in (0..count).map(|number| number * COMPONENT_PART_BYTES) {
        let end = (offset + COMPONENT_PART_BYTES).min(component.len());
        let bytes = bytes::Bytes::copy_from_slice(&component[offset..end]);
        let row = ComponentRow { tenant, hash: *hash, offset: offset as u64, total, bytes };
        let key = row.key();
        tables.put(Table::Components, &key, &seal(&key, &row))?;
    }
    Ok(())
}

/// Removes the components that no row names any more.
pub(super) fn sweep(tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    std::mem::take(&mut tables.less_named).into_iter().try_for_each(|tenant| sweep_tenant(tenant, tables))
}

/// Does the same for one tenant. If a row cannot be read, all components stay: the row may be
/// repaired.
fn sweep_tenant(tenant: TenantId, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    let (mut named, mut is_damaged) = (HashSet::new(), false);
    tables.each_with(Table::Modules, &named_key(tenant, ""), |key, value| {
        match read::<ModuleRow>(key, value) {
            Ok(row) => drop(named.insert(row.hash)),
            Err(_) => is_damaged = true,
        }
    })?;
    if is_damaged {
        return Ok(());
    }
    let mut unnamed = Vec::new();
    let mut from = named_key(tenant, "");
    loop {
        let Some(key) = tables.first_key(Table::Components, &from)? else { break };
        let Some((of, hash)) = component_of(&key) else {
            from = [&*key, &[0]].concat();
            continue;
        };
        if of != tenant {
            break;
        }
        if !named.contains(&hash) {
            unnamed.push(hash);
        }
        let Some(next) = after_prefix(&prefix(tenant, &hash)) else { break };
        from = next;
    }
    unnamed.iter().try_for_each(|hash| tables.delete_prefix(Table::Components, &prefix(tenant, hash)))
}

/// First part of the keys of a component.
fn prefix(tenant: TenantId, hash: &ComponentHash) -> Vec<u8> {
    [&named_key(tenant, "")[..], hash].concat()
}
