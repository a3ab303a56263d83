//! Reading the bytes of a module's component: whole, a range of them, or only to see that all are
//! there.
//!
//! They lie in table `components`, and of modules that an earlier schema has written in the row of
//! the module until they are moved. Not here: how they get there (`group`).

use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use lotmq_changes::table::{
    ComponentHash, ComponentRow, Row as _, Table, component_key, inline_component, named_key, read,
};
use lotmq_changes::{Corruption, ModuleRow, TenantId};
use redb::{ReadTransaction, ReadableTable as _};

use crate::load;
use crate::load_error::LoadError;

/// Reason for a damaged component: a part does not begin at the end of the one before, or the last
/// part is missing.
const INCOMPLETE: &str = "a part of the component is missing";

/// The bytes of a component; `None` where no module of the tenant has it.
pub(crate) fn whole(
    transaction: &ReadTransaction,
    tenant: TenantId,
    hash: &ComponentHash,
) -> Result<Option<Bytes>, LoadError> {
    let mut bytes = Vec::new();
    let total = each_part(transaction, (tenant, hash), 0, |part| {
        if bytes.is_empty() {
            // Reserve the memory once instead of doubling it. The length has a checksum, but
            // anybody may have made the file.
            let room = usize::try_from(part.total).ok().and_then(|total| bytes.try_reserve_exact(total).ok());
            room.ok_or_else(|| damaged(&part, "the component is too long"))?;
        }
        bytes.extend_from_slice(&part.bytes);
        Ok(ControlFlow::Continue(()))
    })?;
    match total {
        Some(_) => Ok(Some(bytes.into())),
        None => inline(transaction, tenant, hash, Bytes::copy_from_slice),
    }
}

/// The bytes of a component that are in a range, as far as it has them.
pub(crate) fn range(
    transaction: &ReadTransaction,
    (tenant, hash): (TenantId, &ComponentHash),
    range: Range<u64>,
) -> Result<Option<Bytes>, LoadError> {
    let within = |bytes: &[u8], offset: u64| {
        let place =
            |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        place(range.start)..place(range.end)
    };
    let mut bytes = Vec::new();
    let total = each_part(transaction, (tenant, hash), range.start, |part| {
        bytes.extend_from_slice(&part.bytes[within(&part.bytes, part.offset)]);
        let end = part.offset.saturating_add(part.bytes.len() as u64);
        Ok(if end < range.end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    match total {
        Some(_) => Ok(Some(bytes.into())),
        None => inline(transaction, tenant, hash, |all| Bytes::copy_from_slice(&all[within(all, 0)])),
    }
}

/// Checks that the component of a module is there, all of it, and whole; `Ok(Err)` says what is
/// wrong with it.
fn check(transaction: &ReadTransaction, row: &ModuleRow) -> Result<Result<(), Corruption>, LoadError> {
    let of_module = |reason| Table::Modules.corruption(&row.key(), reason);
    let total = each_part(transaction, (row.tenant, &row.hash), 0, |_| Ok(ControlFlow::Continue(())));
    match total {
        Ok(Some(total)) if total == row.component_bytes => Ok(Ok(())),
        Ok(Some(_)) => Ok(Err(of_module("its component has another length"))),
        Ok(None) => {
            let found = inline(transaction, row.tenant, &row.hash, |_| ())?;
            Ok(found.ok_or_else(|| of_module("its component is missing")))
        }
        Err(LoadError::Corrupted(Corruption::Row { .. })) => Ok(Err(of_module("its component is damaged"))),
        Err(other) => Err(other),
    }
}

/// Modules by what there is to do about their components.
#[derive(Debug, Default)]
pub(crate) struct Remarkable {
    /// Those whose component is not whole, and what is wrong with it.
    pub(crate) damaged: Vec<(ModuleRow, Corruption)>,
    /// Those that an earlier schema has written, with the component in the row.
    pub(crate) with_inline: Vec<ModuleRow>,
}

/// Looks at all components, one part at a time. Rows of modules that cannot be read are left out.
pub(crate) fn look(transaction: &ReadTransaction) -> Result<Remarkable, LoadError> {
    let (mut found, mut others) = (Remarkable::default(), Vec::new());
    for row in load::open(transaction, Table::Modules)?.iter()? {
        let (key, value) = row?;
        match inline_component(key.value(), value.value()) {
            Some((module, _)) => found.with_inline.push(module),
            None => others.extend(read::<ModuleRow>(key.value(), value.value())),
        }
    }
    for module in others {
        if let Err(corruption) = check(transaction, &module)? {
            found.damaged.push((module, corruption));
        }
    }
    Ok(found)
}

/// Visits the parts of a component from the one on that has the byte at `first`, and gives its
/// length; `None` where it has no parts.
fn each_part(
    transaction: &ReadTransaction,
    (tenant, hash): (TenantId, &ComponentHash),
    first: u64,
    mut visit: impl FnMut(ComponentRow) -> Result<ControlFlow<()>, LoadError>,
) -> Result<Option<u64>, LoadError> {
    let Some(table) = load::open_if_made(transaction, Table::Components)? else { return Ok(None) };
    let key = |offset| component_key(tenant, hash, offset);
    let before = table.range(key(0).as_slice()..=key(first).as_slice())?.next_back().transpose()?;
    let Some((begin, _)) = before else {
        // Parts, and none from the beginning on.
        let other = table.range(key(0).as_slice()..=key(u64::MAX).as_slice())?.next().transpose()?;
        return match other {
            Some((key, _)) => Err(Table::Components.corruption(key.value(), INCOMPLETE).into()),
            None => Ok(None),
        };
    };
    let (mut expected, mut total) = (None, None);
    for row in table.range(begin.value()..=key(u64::MAX).as_slice())? {
        let (key, value) = row?;
        let part: ComponentRow = read(key.value(), value.value())?;
        let is_next = expected.is_none_or(|expected| expected == part.offset);
        if !is_next || total.is_some_and(|total| total != part.total) {
            return Err(Table::Components.corruption(key.value(), INCOMPLETE).into());
        }
        total = Some(part.total);
        expected = Some(part.offset.saturating_add(part.bytes.len() as u64));
        if visit(part)?.is_break() {
            return Ok(total);
        }
    }
    if expected != total {
        return Err(Table::Components.corruption(begin.value(), INCOMPLETE).into());
    }
    Ok(total)
}

fn damaged(part: &ComponentRow, reason: &'static str) -> LoadError {
    Table::Components.corruption(&part.key(), reason).into()
}

/// Applies `take` to a component that is in the row of a module.
fn inline<T>(
    transaction: &ReadTransaction,
    tenant: TenantId,
    hash: &ComponentHash,
    take: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>, LoadError> {
    let first = named_key(tenant, "");
    for row in load::open(transaction, Table::Modules)?.range(first.as_slice()..)? {
        let (key, value) = row?;
        if !key.value().starts_with(&first) {
            break;
        }
        if let Some((row, component)) = inline_component(key.value(), value.value())
            && row.hash == *hash
        {
            return Ok(Some(take(component)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
