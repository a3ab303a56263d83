//! Modbus RTU over a serial line that other routes may share: each exchange is one turn.
//!
//! Before a request the line must be silent for the time of the standard. Bytes in that time are
//! dropped, so late replies and noise end there. The first reply reveals an adapter that echoes
//! sent bytes, and its echo is dropped from then on.

use lot_tags::modbus::EVERYBODY;
use lotmq_guest::route::{
    Failure, Interest, ambient, net,
    serial::{self, SerialError, SerialPort},
};
use rmodbus::ModbusProto;

use crate::config::SerialConfig;
use crate::limits::{
    DAMAGED_QUIET_MS, READ_BYTES, RECEIVED_BYTES_MAX, RTU_BYTES_MAX, SILENCE_MS_MAX, SLOW_MS, TURNAROUND_MS,
};
use crate::line::{Line, LineFault};
use crate::rtu::{Search, search, told};

/// Serial line to units.
pub(crate) struct SerialLine {
    config: SerialConfig,
    /// `None` from the moment on at which the device is gone.
    port: Option<SerialPort>,
    /// Whether what is sent comes back.
    has_echo: bool,
}

impl SerialLine {
    pub(crate) fn open(config: SerialConfig) -> Result<SerialLine, Failure> {
        let port = Some(opened(&config)?);
        Ok(SerialLine { config, port, has_echo: false })
    }

    /// Does something in a turn.
    fn in_turn<T>(&mut self, work: impl FnOnce(&Turn<'_>) -> Result<T, SerialFault>) -> Result<T, LineFault> {
        let Some(port) = &self.port else { return Err(LineFault::Ended("the line is not open".to_owned())) };
        let turn = Turn { port, config: &self.config, has_echo: self.has_echo };
        let done = turn.begun().and_then(|()| work(&turn));
        port.end();
        done.map_err(|fault| match fault {
            SerialFault::Line(fault) => fault,
            SerialFault::Port(SerialError::Busy(reason)) => LineFault::Busy(reason),
            SerialFault::Port(error) => {
                // At once, so that the name of the device is free when it is plugged in again.
                self.port = None;
                LineFault::Ended(serial::described(&error))
            }
        })
    }
}

fn opened(config: &SerialConfig) -> Result<SerialPort, Failure> {
    SerialPort::open_shared("modbus", config.timeout_ms).map_err(|error| match serial::failure(&error) {
        Failure::Reconnect(reason) => Failure::Reconnect(format!("'{}': {reason}", config.device)),
        Failure::Fatal(reason) if !matches!(error, SerialError::Denied(_)) => {
            Failure::Fatal(format!("'{}': {reason}", config.device))
        }
        other => other,
    })
}

impl Line for SerialLine {
    fn framing(&self) -> ModbusProto {
        ModbusProto::Rtu
    }

    fn next_transaction(&mut self) -> u16 {
        0
    }

    fn exchange(&mut self, frame: &[u8], _transaction: u16, timeout_ms: u32) -> Result<Vec<u8>, LineFault> {
        let (reply, has_echo) = self.in_turn(|turn| {
            turn.settle()?;
            let until_ms = turn.send(frame, timeout_ms)?;
            turn.reply(frame, until_ms)
        })?;
        self.has_echo |= has_echo;
        Ok(reply)
    }

    fn is_everybody(&self, unit: u8) -> bool {
        unit == EVERYBODY
    }

    fn tell_all(&mut self, frame: &[u8], timeout_ms: u32) -> Result<(), LineFault> {
        self.in_turn(|turn| {
            turn.settle()?;
            turn.send(frame, timeout_ms)?;
            net::wait(&[], turn.config.sending_ms(frame.len()).saturating_add(TURNAROUND_MS));
            Ok(())
        })
    }

    /// Late replies are dropped before the next request; a device that is gone is opened anew.
    fn renew(&mut self) -> Result<(), Failure> {
        if self.port.is_none() {
            self.port = Some(opened(&self.config)?);
        }
        Ok(())
    }
}

/// Reason why an exchange failed.
enum SerialFault {
    Line(LineFault),
    Port(SerialError),
}

impl From<SerialError> for SerialFault {
    fn from(error: SerialError) -> Self {
        SerialFault::Port(error)
    }
}

/// The line while it is ours.
struct Turn<'a> {
    port: &'a SerialPort,
    config: &'a SerialConfig,
    has_echo: bool,
}

impl Turn<'_> {
    fn begun(&self) -> Result<(), SerialFault> {
        Ok(self.port.begin(self.config.timeout_ms)?)
    }

    /// Waits until the line is silent, and drops what comes until then.
    fn settle(&self) -> Result<(), SerialFault> {
        let until_ms = ambient::monotonic_ms().saturating_add(SILENCE_MS_MAX);
        self.port.discard()?;
        while is_ready(self.port.readable(), self.config.silence_ms()) {
            match self.port.receive(READ_BYTES) {
                Ok(_) | Err(SerialError::WouldBlock) => {}
                Err(error) => return Err(error.into()),
            }
            if ambient::monotonic_ms() >= until_ms {
                let reason = "the line is never silent: its settings are others, or somebody else speaks";
                return Err(SerialFault::Line(LineFault::Broken(reason.to_owned())));
            }
        }
        Ok(())
    }

    /// Sends a frame; gives the time until which its reply must begin.
    fn send(&self, frame: &[u8], timeout_ms: u32) -> Result<u64, SerialFault> {
        let time_ms = u64::from(timeout_ms) + u64::from(self.config.sending_ms(frame.len()));
        let until_ms = ambient::monotonic_ms().saturating_add(time_ms);
        let mut left = frame;
        while !left.is_empty() {
            match self.port.send(left) {
                Ok(written) => left = left.get(written as usize..).unwrap_or_default(),
                Err(SerialError::WouldBlock) if is_ready(self.port.writable(), left_ms(until_ms)) => {}
                Err(SerialError::WouldBlock) => return Err(SerialFault::Line(LineFault::TimedOut)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(until_ms)
    }

    /// Waits for the reply to a frame; with whether that came back before it.
    fn reply(&self, frame: &[u8], until_ms: u64) -> Result<(Vec<u8>, bool), SerialFault> {
        let mut until_ms = until_ms;
        let mut received = Vec::new();
        loop {
            let behind = if self.has_echo { behind_echo(&received, frame) } else { Some(&*received) };
            let found = behind.map_or(Search::NotYet, |behind| search(behind, frame));
            let patience_ms = match found {
                Search::Reply { at, reply } => {
                    let before = received.get(..at).unwrap_or_default();
                    return Ok((reply, before.ends_with(frame)));
                }
                Search::Damaged => left_ms(until_ms).min(DAMAGED_QUIET_MS),
                Search::NotYet => left_ms(until_ms),
            };
            if patience_ms == 0
                || received.len() > RECEIVED_BYTES_MAX
                || !is_ready(self.port.readable(), patience_ms)
            {
                return Err(SerialFault::Line(missing(&received, frame)));
            }
            match self.port.receive(READ_BYTES) {
                Ok(bytes) => {
                    if received.is_empty() {
                        // It has begun in time, and may take as long as the longest does.
                        let longest_ms = u64::from(self.config.sending_ms(RTU_BYTES_MAX)) + SLOW_MS;
                        until_ms = until_ms.max(ambient::monotonic_ms().saturating_add(longest_ms));
                    }
                    received.extend(bytes);
                }
                Err(SerialError::WouldBlock) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Returns the bytes after the echo of a frame, or all bytes if there is no echo. Returns `None` if
/// the echo is incomplete.
fn behind_echo<'a>(received: &'a [u8], frame: &[u8]) -> Option<&'a [u8]> {
    match received.strip_prefix(frame) {
        Some(behind) => Some(behind),
        None if frame.starts_with(received) => None,
        None => Some(received),
    }
}

fn missing(received: &[u8], frame: &[u8]) -> LineFault {
    match received.strip_prefix(frame).unwrap_or(received) {
        [] => LineFault::TimedOut,
        received => LineFault::Broken(told(received, frame)),
    }
}

fn is_ready(interest: Interest<'_>, wait_ms: u32) -> bool {
    !net::wait(&[interest], wait_ms).is_empty()
}

fn left_ms(until_ms: u64) -> u32 {
    u32::try_from(until_ms.saturating_sub(ambient::monotonic_ms())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_dropped_where_there_is_one() {
        let frame = [1, 6, 0, 5];
        for (received, expected) in [
            (&[][..], None),
            (&[1, 6], None),
            (&[1, 6, 0, 5], Some(&[][..])),
            (&[1, 6, 0, 5, 9], Some(&[9])),
            (&[9, 1, 6, 0, 5], Some(&[9, 1, 6, 0, 5])),
        ] {
            assert_eq!(behind_echo(received, &frame), expected, "{received:?}");
        }
        assert!(matches!(missing(&frame, &frame), LineFault::TimedOut), "nobody has answered");
    }
}
