//! Components of stored modules: read from the store when they are needed, because nothing else
//! needs to be in memory for as long as a module is there.
//!
//! Those who want a whole one have a permit to compile large programs, so that few are in memory at
//! once; a download takes pieces.

use std::ops::Range;

use bytes::Bytes;
use lotmq_changes::{LogArchive, LogSnapshot, SnapshotError, TenantId};
use lotmq_host::Engine;

use super::module_catalog::Module;
use lotmq_programs::DeployError;

/// Bytes that are read at once of a component of which nobody needs the whole.
const PART_BYTES: u64 = 1 << 20;

/// Reason why the component of a stored module cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("The component of module '{name}' cannot be read: {reason}.")]
pub(crate) struct ComponentUnread {
    name: String,
    reason: String,
}

impl From<ComponentUnread> for DeployError {
    fn from(unread: ComponentUnread) -> Self {
        Self::ComponentUnread(unread.to_string())
    }
}

/// Reads the component of a module. Waits for the disk.
///
/// # Errors
/// [`ComponentUnread`], also when the store has none, as when it was lost with a commit that
/// failed.
pub(crate) fn read(
    archive: &dyn LogArchive,
    tenant: TenantId,
    module: &Module,
) -> Result<Bytes, ComponentUnread> {
    read_in(archive, module, |snapshot| snapshot.component(tenant, &module.hash))
}

/// Reads a range of it.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_range(
    archive: &dyn LogArchive,
    tenant: TenantId,
    module: &Module,
    range: Range<u64>,
) -> Result<Bytes, ComponentUnread> {
    read_in(archive, module, |snapshot| snapshot.component_range(tenant, &module.hash, range.clone()))
}

/// Whether the code cache has the code of a module. Reads the component in parts, so that nobody
/// needs a permit for it.
///
/// # Errors
/// As [`read`].
pub(crate) fn is_compiled(
    (archive, engine): (&dyn LogArchive, &Engine),
    tenant: TenantId,
    module: &Module,
) -> Result<bool, ComponentUnread> {
    let mut at = 0;
    engine.is_cached_of_parts(|| {
        let part = read_range(archive, tenant, module, at..at + PART_BYTES)?;
        at += part.len() as u64;
        Ok(Some(part).filter(|part| !part.is_empty()))
    })
}

fn read_in(
    archive: &dyn LogArchive,
    module: &Module,
    read: impl Fn(&dyn LogSnapshot) -> Result<Option<Bytes>, SnapshotError>,
) -> Result<Bytes, ComponentUnread> {
    let unread = |reason: &dyn std::fmt::Display| ComponentUnread {
        name: module.name.as_ref().to_owned(),
        reason: reason.to_string(),
    };
    let found = archive.in_snapshot(SnapshotError::is_lost, |snapshot| read(&*snapshot));
    let found = found.map_err(|error| unread(&error))?.map_err(|error| unread(&error))?;
    found.ok_or_else(|| unread(&"it is not in the store any more"))
}
