//! `serial`: serial ports by the name of a section. Capability: the ports of the instance, and what
//! the operator allows of devices. Bounds: ports per instance (as of sockets), bytes per read and
//! write, devices that are being opened in the process.

use super::signal;
use crate::fiber::{
    bindings::lotmq::guest::{
        net::{self, IoError},
        serial::{self, Host, HostPort, SerialError},
    },
    dial::deadline,
    handles::TableHandle,
    serial::{GuestPort, OpenPort, Readable, Writable, open},
    signal::Signalling,
    state::FiberState,
};
use std::sync::Arc;
use tokio::time::timeout_at;
use wasmtime::component::Resource;

impl TableHandle for serial::Port {
    type Value = GuestPort;
}

impl Host for FiberState {}

impl HostPort for FiberState {
    async fn open(
        &mut self,
        section: String,
        timeout_ms: u32,
    ) -> Result<Resource<serial::Port>, SerialError> {
        let unknown = || SerialError::Denied(format!("there is no serial port '{section}'"));
        let line = self.serial_lines.get(&section).cloned().ok_or_else(unknown)?;
        if let Some(reason) = self.services.refuses_serial_port(&line.device) {
            return Err(SerialError::Denied(reason));
        }
        self.check_room().map_err(serial_error)?;
        let until = deadline(timeout_ms);
        let opened = self.waits(async |_| timeout_at(until, open(line)).await).await;
        let port = Arc::new(OpenPort::new(opened.unwrap_or(Err(SerialError::TimedOut))?)?);
        let (readable, writable) =
            (Arc::new(Readable(Arc::clone(&port))), Arc::new(Writable(Arc::clone(&port))));
        self.keep(GuestPort { port, readable, writable }).map_err(serial_error)
    }

    async fn begin(&mut self, port: Resource<serial::Port>, timeout_ms: u32) -> Result<(), SerialError> {
        let port = Arc::clone(&open_port(self, &port)?.port);
        let until = deadline(timeout_ms);
        let begun = self.waits(async |_| timeout_at(until, port.begin()).await).await;
        begun.unwrap_or_else(|_| {
            Err(SerialError::Busy("the turn of another instance has not ended".to_owned()))
        })
    }

    fn end(&mut self, port: Resource<serial::Port>) {
        if let Ok(port) = open_port(self, &port) {
            port.port.end();
        }
    }

    fn read(&mut self, port: Resource<serial::Port>, max: u32) -> Result<Vec<u8>, SerialError> {
        open_port(self, &port)?.port.read(usize::try_from(max).unwrap_or(usize::MAX))
    }

    fn write(&mut self, port: Resource<serial::Port>, bytes: Vec<u8>) -> Result<u32, SerialError> {
        let written = open_port(self, &port)?.port.write(&bytes)?;
        u32::try_from(written).map_err(|error| SerialError::Other(error.to_string()))
    }

    fn discard(&mut self, port: Resource<serial::Port>) -> Result<(), SerialError> {
        open_port(self, &port)?.port.discard()
    }

    fn readable(&mut self, port: Resource<serial::Port>) -> Result<Resource<net::Signal>, SerialError> {
        let readable = Arc::clone(&open_port(self, &port)?.readable);
        give(self, &readable)
    }

    fn writable(&mut self, port: Resource<serial::Port>) -> Result<Resource<net::Signal>, SerialError> {
        let writable = Arc::clone(&open_port(self, &port)?.writable);
        give(self, &writable)
    }

    fn drop(&mut self, port: Resource<serial::Port>) -> wasmtime::Result<()> {
        self.close(port)
    }
}

fn give(
    state: &mut FiberState,
    of: &Arc<impl Signalling + 'static>,
) -> Result<Resource<net::Signal>, SerialError> {
    signal::give(state, of).map_err(serial_error)
}

fn open_port<'a>(state: &'a FiberState, port: &Resource<serial::Port>) -> Result<&'a GuestPort, SerialError> {
    state.table.get(port).map_err(|error| SerialError::Other(error.to_string()))
}

/// An error of what all that an instance has open shares.
fn serial_error(error: IoError) -> SerialError {
    match error {
        IoError::LimitReached => SerialError::LimitReached,
        IoError::Denied(reason)
        | IoError::Unreachable(reason)
        | IoError::Tls(reason)
        | IoError::Other(reason) => SerialError::Other(reason),
        IoError::Refused | IoError::TimedOut | IoError::Closed | IoError::WouldBlock => {
            SerialError::Other(error.to_string())
        }
    }
}
