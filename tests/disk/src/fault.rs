//! Faults of a simulated disk.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Kind of a call to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// The length is set.
    SetLen,
    /// Written bytes become durable.
    Sync,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::SetLen, Self::Sync];
}

/// Why a call fails, as the system says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// EIO.
    Io,
    /// ENOSPC.
    NoSpace,
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        // The numbers of Linux.
        Self::from_raw_os_error(match failure {
            Failure::Io => 5,
            Failure::NoSpace => 28,
        })
    }
}

/// Calls that fail, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// Kind of the calls.
    pub call: Call,
    /// Their numbers among the calls of their kind, counted from 1.
    pub numbers: RangeInclusive<u64>,
    /// Error with which they fail.
    pub failure: Failure,
}

/// Faults of a disk; none by default.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Calls that fail for sure.
    pub planted: Vec<Planted>,
    /// Calls in a million that fail with EIO.
    pub errors_per_million: PerCall<u32>,
    /// Most bytes that the disk has room for, counted in pages that were ever written; what is more
    /// fails with ENOSPC.
    pub bytes_max: Option<usize>,
    /// A sync says that it has made everything durable, and has done nothing.
    pub lies: bool,
    /// After a sync that fails nobody tries again to write what it should have, though reads see
    /// it: so do the caches of some systems.
    pub forgets: bool,
    /// How long calls take, in virtual time.
    pub takes: PerCall<Duration>,
    /// Calls in a million that take as long as [`Faults::stall`] besides.
    pub stalls_per_million: u32,
    /// How long a call takes that stalls.
    pub stall: Duration,
}

/// A value for each kind of call.
#[derive(Debug, Clone, Copy, Default)]
pub struct PerCall<T> {
    /// For [`Call::Read`].
    pub read: T,
    /// For [`Call::Write`].
    pub write: T,
    /// For [`Call::SetLen`].
    pub set_len: T,
    /// For [`Call::Sync`].
    pub sync: T,
}

impl<T: Copy> PerCall<T> {
    /// The same for all.
    pub fn all(value: T) -> Self {
        Self { read: value, write: value, set_len: value, sync: value }
    }

    /// That of one.
    pub fn of(&self, call: Call) -> T {
        match call {
            Call::Read => self.read,
            Call::Write => self.write,
            Call::SetLen => self.set_len,
            Call::Sync => self.sync,
        }
    }
}
