//! Open files and listings of a guest, in the folders of a route.
//!
//! Invariant: closing one runs on a thread that may wait for a disk, also when the instance is gone
//! meanwhile. Not here: the functions of the guest (`functions`).

use super::folder::OpenFile;
use parking_lot::Mutex;
use rustix::fs::Dir;
use std::sync::Arc;
use tokio::runtime::Handle;

/// An open file: the resource `file`.
pub(super) struct GuestFile(pub(super) Closing<OpenFile>);

/// Names that are being listed: the resource `listing`.
pub(super) struct GuestListing(pub(super) Closing<Mutex<Dir>>);

/// Something whose closing may wait for a disk.
pub(super) struct Closing<T: Send + Sync + 'static>(Option<Arc<T>>);

impl<T: Send + Sync + 'static> Closing<T> {
    pub(super) fn new(open: T) -> Self {
        Closing(Some(Arc::new(open)))
    }

    pub(super) fn shared(&self) -> Arc<T> {
        Arc::clone(self.0.as_ref().expect("it is there until it is dropped"))
    }
}

impl<T: Send + Sync + 'static> Drop for Closing<T> {
    fn drop(&mut self) {
        if let (Some(open), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(open));
        }
    }
}
