//! Table of what an instance has open: the values behind its handles.
//!
//! The types of handles are generated and empty. Each is a [`TableHandle`], which names the type of
//! the values behind it.

use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

/// Type of a handle, which the bindings generate for a resource.
pub(super) trait TableHandle: Sized + 'static {
    /// Type of the values behind such handles.
    type Value: Send + 'static;
}

/// Values behind the handles of one instance.
#[derive(Default)]
pub(super) struct HandleTable(ResourceTable);

impl HandleTable {
    pub(super) fn push<H: TableHandle>(
        &mut self,
        value: H::Value,
    ) -> Result<Resource<H>, ResourceTableError> {
        self.0.push(value).map(|resource| Resource::new_own(resource.rep()))
    }

    pub(super) fn get<H: TableHandle>(&self, handle: &Resource<H>) -> Result<&H::Value, ResourceTableError> {
        self.0.get(&Resource::new_borrow(handle.rep()))
    }

    pub(super) fn get_mut<H: TableHandle>(
        &mut self,
        handle: &Resource<H>,
    ) -> Result<&mut H::Value, ResourceTableError> {
        self.0.get_mut(&Resource::new_borrow(handle.rep()))
    }

    pub(super) fn delete<H: TableHandle>(
        &mut self,
        handle: Resource<H>,
    ) -> Result<H::Value, ResourceTableError> {
        self.0.delete(Resource::new_own(handle.rep()))
    }
}
