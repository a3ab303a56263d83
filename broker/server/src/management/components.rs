//! Components of stored modules: read from the store when they are needed, because nothing else needs to be in memory for as long as a module is there.
//!
//! Those who want a whole one have a permit to compile large programs, so that few are in memory at once; a download takes pieces.

use std::ops::Range;

use bytes::Bytes;
use lotmq_store::{Snapshot, SnapshotError, Store, TenantId};

use super::module_catalog::Module;
use crate::guests::DeployError;

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
/// [`ComponentUnread`], also when the store has none, as when it was lost with a commit that failed.
pub(crate) fn read(store: &Store, tenant: TenantId, module: &Module) -> Result<Bytes, ComponentUnread> {
    read_in(store, module, |snapshot| snapshot.component(tenant, &module.hash))
}

/// Reads a range of it.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_range(
    store: &Store,
    tenant: TenantId,
    module: &Module,
    range: Range<u64>,
) -> Result<Bytes, ComponentUnread> {
    read_in(store, module, |snapshot| snapshot.component_range(tenant, &module.hash, range.clone()))
}

fn read_in(
    store: &Store,
    module: &Module,
    read: impl Fn(&Snapshot) -> Result<Option<Bytes>, SnapshotError>,
) -> Result<Bytes, ComponentUnread> {
    let unread = |reason: &dyn std::fmt::Display| ComponentUnread {
        name: module.name.as_ref().to_owned(),
        reason: reason.to_string(),
    };
    let found = store.in_snapshot(SnapshotError::is_lost, |snapshot| read(&snapshot));
    let found = found.map_err(|error| unread(&error))?.map_err(|error| unread(&error))?;
    found.ok_or_else(|| unread(&"it is not in the store any more"))
}
