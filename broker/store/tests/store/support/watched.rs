//! Storage of a test that knows of each call, and can fail it. Shared with an example.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use redb::{BackendError, StorageBackend};

/// Kind of call to the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
    SetLen,
    Sync,
}

/// Told of each call and its number of bytes before it is made; not made when this fails.
type Before = Box<dyn Fn(Call, usize) -> io::Result<()> + Send + Sync>;

/// See the module's documentation. The inner storage may outlive one store.
pub(crate) struct Watched<B> {
    inner: Arc<B>,
    before: Before,
}

impl<B> Watched<B> {
    pub(crate) fn new(
        inner: &Arc<B>,
        before: impl Fn(Call, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner: Arc::clone(inner), before: Box::new(before) }
    }
}

impl<B: fmt::Debug> fmt::Debug for Watched<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        (self.before)(Call::Read, out.len())?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        (self.before)(Call::SetLen, 0)?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.before)(Call::Sync, 0)?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        (self.before)(Call::Write, data.len())?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}
