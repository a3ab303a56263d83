//! Modbus over TCP: frames with a transaction number, which separates late replies from the
//! expected one.

use lotmq_guest::route::{Failure, ambient, failure};
use rmodbus::ModbusProto;
use route_tags::{FrameStream, StreamFault};

use crate::limits::FRAME_BYTES_MAX;
use crate::line::{Line, LineFault};

/// Bytes before the unit id: transaction, protocol and length.
const HEADER_BYTES: usize = 6;

/// Connection to a unit or a gateway.
pub(crate) struct TcpLine {
    stream: FrameStream,
    timeout_ms: u32,
    transaction: u16,
}

impl TcpLine {
    pub(crate) fn connect(timeout_ms: u32) -> Result<TcpLine, Failure> {
        Ok(TcpLine { stream: connected(timeout_ms)?, timeout_ms, transaction: 0 })
    }
}

fn connected(timeout_ms: u32) -> Result<FrameStream, Failure> {
    FrameStream::connect("modbus", timeout_ms).map_err(|error| failure(&error))
}

impl Line for TcpLine {
    fn framing(&self) -> ModbusProto {
        ModbusProto::TcpUdp
    }

    fn next_transaction(&mut self) -> u16 {
        self.transaction = self.transaction.wrapping_add(1);
        self.transaction
    }

    fn exchange(&mut self, frame: &[u8], transaction: u16, timeout_ms: u32) -> Result<Vec<u8>, LineFault> {
        let until_ms = ambient::monotonic_ms().saturating_add(timeout_ms.into());
        self.stream.send(frame, until_ms)?;
        loop {
            let mut reply = self.stream.receive(until_ms, length)?;
            // Replies to other requests are not for anybody any more.
            if reply.starts_with(&transaction.to_be_bytes()) {
                return Ok(reply.split_off(HEADER_BYTES));
            }
        }
    }

    /// Not used: no unit is everybody here.
    fn tell_all(&mut self, frame: &[u8], timeout_ms: u32) -> Result<(), LineFault> {
        let until_ms = ambient::monotonic_ms().saturating_add(timeout_ms.into());
        Ok(self.stream.send(frame, until_ms)?)
    }

    /// The transaction number identifies the reply. Some devices use the unit number of a device
    /// without units.
    fn is_any_unit(&self, unit: u8) -> bool {
        matches!(unit, 0 | 255)
    }

    fn renew(&mut self) -> Result<(), Failure> {
        self.stream = connected(self.timeout_ms)?;
        Ok(())
    }
}

impl From<StreamFault> for LineFault {
    fn from(fault: StreamFault) -> Self {
        match fault {
            StreamFault::TimedOut => LineFault::TimedOut,
            StreamFault::Broken(reason) => LineFault::Broken(reason),
            StreamFault::Ended(reason) => LineFault::Ended(reason),
        }
    }
}

/// Length of the frame at the beginning of what was received.
fn length(received: &[u8]) -> Result<Option<usize>, String> {
    let Some(header) = received.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [_, _, protocol @ .., high, low] = header;
    if *protocol != [0, 0] {
        return Err("what came is not Modbus".to_owned());
    }
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if !(3..=FRAME_BYTES_MAX).contains(&length) {
        return Err(format!("a reply of {length} bytes came, which Modbus does not have"));
    }
    Ok(Some(HEADER_BYTES + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_length_that_they_say() {
        for (received, expected) in [
            (&[][..], Ok(None)),
            (&[0, 1, 0, 0, 0], Ok(None)),
            (&[0, 1, 0, 0, 0, 5, 1], Ok(Some(11))),
            (&[0, 1, 0, 0, 0, 254], Ok(Some(260))),
            (&[0, 1, 0, 0, 0, 255], Err("a reply of 255 bytes came, which Modbus does not have".to_owned())),
            (&[0, 1, 0, 0, 0, 2], Err("a reply of 2 bytes came, which Modbus does not have".to_owned())),
            (b"HTTP/1", Err("what came is not Modbus".to_owned())),
        ] {
            assert_eq!(length(received), expected, "{received:?}");
        }
    }
}
