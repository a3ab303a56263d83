//! A serial port as one instance has it: a descriptor of its own, on the reactor of its thread, and
//! its turn.

use super::{
    super::{bindings::lotmq::guest::serial::SerialError, signal::Signalling},
    device::{Device, is_gone},
};
use crate::limits::SERIAL_TRANSFER_BYTES_MAX;
use parking_lot::Mutex;
use rustix::termios::{QueueSelector, tcflush};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::OwnedSemaphorePermit,
};

/// A port that is open.
pub(in crate::fiber) struct OpenPort {
    /// Before the device, so that it is never the last descriptor, whose closing may wait.
    file: AsyncFd<File>,
    device: Arc<Device>,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl OpenPort {
    pub(in crate::fiber) fn new(device: Arc<Device>) -> Result<OpenPort, SerialError> {
        let other = |error: io::Error| SerialError::Other(error.to_string());
        let file = device.descriptor().and_then(registered).map_err(other)?;
        Ok(OpenPort { file, device, turn: Mutex::default() })
    }

    /// Waits for its turn.
    pub(in crate::fiber) async fn begin(&self) -> Result<(), SerialError> {
        if self.has_turn() {
            return Ok(());
        }
        let turn = Arc::clone(&self.device.turn).acquire_owned().await;
        let turn = turn.map_err(|error| SerialError::Other(error.to_string()))?;
        *self.turn.lock() = Some(turn);
        Ok(())
    }

    pub(in crate::fiber) fn end(&self) {
        self.turn.lock().take();
    }

    fn has_turn(&self) -> bool {
        self.turn.lock().is_some()
    }

    fn check_turn(&self) -> Result<(), SerialError> {
        if self.has_turn() { Ok(()) } else { Err(SerialError::NotBegun) }
    }

    pub(in crate::fiber) fn read(&self, max: usize) -> Result<Vec<u8>, SerialError> {
        self.check_turn()?;
        let mut bytes = vec![0; max.min(SERIAL_TRANSFER_BYTES_MAX)];
        if bytes.is_empty() {
            return Err(SerialError::WouldBlock);
        }
        let read = self.file.try_io(Interest::READABLE, |mut file| match file.read(&mut bytes) {
            // A line has no end.
            Ok(0) => Err(io::ErrorKind::NotConnected.into()),
            read => read,
        });
        bytes.truncate(read.map_err(|error| self.failed(&error))?);
        Ok(bytes)
    }

    pub(in crate::fiber) fn write(&self, bytes: &[u8]) -> Result<usize, SerialError> {
        self.check_turn()?;
        let part = bytes.get(..SERIAL_TRANSFER_BYTES_MAX).unwrap_or(bytes);
        let written = self.file.try_io(Interest::WRITABLE, |mut file| file.write(part));
        written.map_err(|error| self.failed(&error))
    }

    pub(in crate::fiber) fn discard(&self) -> Result<(), SerialError> {
        self.check_turn()?;
        tcflush(self.file.get_ref(), QueueSelector::IFlush).map_err(|error| self.failed(&error.into()))
    }

    fn failed(&self, error: &io::Error) -> SerialError {
        if error.kind() == io::ErrorKind::WouldBlock {
            return SerialError::WouldBlock;
        }
        if error.kind() == io::ErrorKind::NotConnected || is_gone(error) {
            self.device.is_unplugged();
            return SerialError::Disconnected;
        }
        SerialError::Other(error.to_string())
    }
}

/// Registers a descriptor at the reactor of this thread, which reports its readiness.
#[expect(
    deprecated,
    reason = "its successor is `unsafe`, for types whose descriptor may change; that of a `File` is its own and stays"
)]
fn registered(file: File) -> io::Result<AsyncFd<File>> {
    AsyncFd::new(file)
}

/// Signal that something has come.
pub(in crate::fiber) struct Readable(pub(in crate::fiber) Arc<OpenPort>);

/// Signal that something can be written.
pub(in crate::fiber) struct Writable(pub(in crate::fiber) Arc<OpenPort>);

impl Signalling for Readable {
    fn poll_signal(&self, context: &mut Context<'_>) -> Poll<()> {
        // A turn begins by a call of the guest, which waits for nothing meanwhile.
        if self.0.has_turn() { self.0.file.poll_read_ready(context).map(drop) } else { Poll::Pending }
    }
}

impl Signalling for Writable {
    fn poll_signal(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.0.has_turn() { self.0.file.poll_write_ready(context).map(drop) } else { Poll::Pending }
    }
}
