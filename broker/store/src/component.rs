//! Reading the bytes of a module's component: whole, a range of them, or only to see that all are
//! there.
//!
//! They lie in table `components`. Not here: how they get there (`group`).

use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use lotmq_changes::table::{ComponentHash, ComponentRow, Row as _, Table, component_key, read};
use lotmq_changes::{Corruption, ModuleRow, TenantId};
use redb::ReadTransaction;

use crate::load;
use crate::load_error::LoadError;

/// Reason for a damaged component: a part does not begin at the end of the one before, or the last
/// part is missing.
const INCOMPLETE: &str = "a part of the component is missing";

/// Name of a component in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComponentName<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) hash: &'a ComponentHash,
}

/// The bytes of a component; `None` where no module of the tenant has it.
pub(crate) fn whole(
    transaction: &ReadTransaction,
    component: ComponentName<'_>,
) -> Result<Option<Bytes>, LoadError> {
    let mut bytes = Vec::new();
    let total = each_part(transaction, component, 0, |part| {
        if bytes.is_empty() {
            // Reserve the memory once instead of doubling it. The length has a checksum, but
            // anybody may have made the file.
            let room = usize::try_from(part.total).ok().and_then(|total| bytes.try_reserve_exact(total).ok());
            room.ok_or_else(|| damaged(&part, "the component is too long"))?;
        }
        bytes.extend_from_slice(&part.bytes);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(total.map(|_| bytes.into()))
}

/// The bytes of a component that are in a range, as far as it has them.
pub(crate) fn range(
    transaction: &ReadTransaction,
    component: ComponentName<'_>,
    range: Range<u64>,
) -> Result<Option<Bytes>, LoadError> {
    let within = |bytes: &[u8], offset: u64| {
        let place =
            |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
        place(range.start)..place(range.end)
    };
    let mut bytes = Vec::new();
    let total = each_part(transaction, component, range.start, |part| {
        bytes.extend_from_slice(&part.bytes[within(&part.bytes, part.offset)]);
        let end = part.offset.saturating_add(part.bytes.len() as u64);
        Ok(if end < range.end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(total.map(|_| bytes.into()))
}

/// Checks that the component of a module is there, all of it, and whole; `Ok(Err)` says what is
/// wrong with it.
fn check(transaction: &ReadTransaction, row: &ModuleRow) -> Result<Result<(), Corruption>, LoadError> {
    let of_module = |reason| Table::Modules.corruption(&row.key(), reason);
    let component = ComponentName { tenant: row.tenant, hash: &row.hash };
    let total = each_part(transaction, component, 0, |_| Ok(ControlFlow::Continue(())));
    match total {
        Ok(Some(total)) if total == row.component_bytes => Ok(Ok(())),
        Ok(Some(_)) => Ok(Err(of_module("its component has another length"))),
        Ok(None) => Ok(Err(of_module("its component is missing"))),
        Err(LoadError::Corrupted(Corruption::Row { .. })) => Ok(Err(of_module("its component is damaged"))),
        Err(other) => Err(other),
    }
}

/// Returns the modules whose component is not whole, with the damage.
///
/// Reads all components, one part at a time, and leaves out rows of modules that cannot be read.
pub(crate) fn damaged_modules(
    transaction: &ReadTransaction,
) -> Result<Vec<(ModuleRow, Corruption)>, LoadError> {
    let (modules, _) = load::checked_rows::<ModuleRow>(transaction)?;
    let mut damaged = Vec::new();
    for module in modules {
        if let Err(corruption) = check(transaction, &module)? {
            damaged.push((module, corruption));
        }
    }
    Ok(damaged)
}

/// Visits the parts of a component from the one on that has the byte at `first`, and gives its
/// length; `None` where it has no parts.
fn each_part(
    transaction: &ReadTransaction,
    ComponentName { tenant, hash }: ComponentName<'_>,
    first: u64,
    mut visit: impl FnMut(ComponentRow) -> Result<ControlFlow<()>, LoadError>,
) -> Result<Option<u64>, LoadError> {
    let table = load::open(transaction, Table::Components)?;
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

#[cfg(test)]
mod tests;
