//! Serial ports of guests, by the name of a section.

mod device;
mod line;
mod port;

pub(super) use device::open;
pub use line::{SerialLine, SerialParity, SerialSettings};
pub(super) use port::{OpenPort, Readable, Writable};
pub use serial2::{CharSize, FlowControl, StopBits};
use std::sync::Arc;

/// An open port: the resource `port`.
pub(super) struct GuestPort {
    pub(super) port: Arc<OpenPort>,
    /// State that its signals wait for, for as long as it is open.
    pub(super) readable: Arc<Readable>,
    pub(super) writable: Arc<Writable>,
}
