//! Transport of requests and replies: the only part that differs between the forms of Modbus.

use lotmq_guest::route::Failure;
use rmodbus::ModbusProto;

/// Line to units. One request is under way at a time.
pub(crate) trait Line {
    /// Framing of requests.
    fn framing(&self) -> ModbusProto;

    /// Number of the next request, where the framing has one.
    fn next_transaction(&mut self) -> u16;

    /// Sends the frame of a request and waits for its reply. Returns the reply without framing:
    /// unit, function and data.
    fn exchange(&mut self, frame: &[u8], transaction: u16, timeout_ms: u32) -> Result<Vec<u8>, LineFault>;

    /// Whether requests to this unit are for all units.
    fn is_everybody(&self, _unit: u8) -> bool {
        false
    }

    /// Sends the frame of a request that is for all units, none of which replies.
    fn tell_all(&mut self, frame: &[u8], timeout_ms: u32) -> Result<(), LineFault>;

    /// Whether a reply in the name of this unit may be that of another one.
    fn is_any_unit(&self, _unit: u8) -> bool {
        false
    }

    /// Makes sure that a reply to an earlier request is never taken for one to a later.
    fn renew(&mut self) -> Result<(), Failure>;
}

/// Reason why there is no reply.
#[derive(Debug)]
pub(crate) enum LineFault {
    /// Nothing came in time.
    TimedOut,
    /// Received bytes that are not Modbus.
    Broken(String),
    /// Another route has the line.
    Busy(String),
    /// The line is at its end.
    Ended(String),
}
