//! Errors of a session.

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::ErrPacket;

use crate::limits::PACKET_BYTES_MAX;

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The server refused.
    Server {
        /// Its number.
        code: u16,
        /// SQLSTATE; empty before a login.
        state: String,
        /// Its text.
        message: String,
    },
    /// The connection is gone, or the server does not answer.
    Lost(String),
    /// Received bytes violate the protocol.
    Broken(String),
    /// A received packet exceeds the limit.
    Oversize,
    /// The message can never pass.
    Rejected(String),
}

impl Fault {
    /// Parses the packet of an error.
    pub(crate) fn parse(packet: &[u8]) -> Fault {
        let capabilities = CapabilityFlags::CLIENT_PROTOCOL_41;
        // Before a login an error has no SQLSTATE.
        let has_state = packet.get(3) == Some(&b'#');
        let capabilities = if has_state { capabilities } else { CapabilityFlags::empty() };
        match ParseBuf(packet).parse::<ErrPacket<'_>>(capabilities) {
            Ok(ErrPacket::Error(error)) => Fault::Server {
                code: error.error_code(),
                state: error.sql_state_ref().map(|state| state.as_str().into_owned()).unwrap_or_default(),
                message: error.message_str().into_owned(),
            },
            Ok(ErrPacket::Progress(_)) | Err(_) => Fault::Broken("an error that cannot be read".to_owned()),
        }
    }

    /// Number of the server's error; 0 for others.
    pub fn code(&self) -> u16 {
        match self {
            Fault::Server { code, .. } => *code,
            Fault::Lost(_) | Fault::Broken(_) | Fault::Oversize | Fault::Rejected(_) => 0,
        }
    }

    /// Returns whether the connection is unusable.
    pub fn is_of_the_connection(&self) -> bool {
        matches!(self, Fault::Lost(_) | Fault::Broken(_) | Fault::Oversize)
    }

    /// Reason in words.
    pub fn text(&self) -> String {
        match self {
            Fault::Server { code, state, message } if state.is_empty() => format!("{code}: {message}"),
            Fault::Server { code, state, message } => format!("{code} ({state}): {message}"),
            Fault::Lost(reason) | Fault::Rejected(reason) => reason.clone(),
            Fault::Oversize => format!("a row of the answer has more than {PACKET_BYTES_MAX} bytes"),
            Fault::Broken(reason) => format!("what the server says is not of its protocol: {reason}"),
        }
    }
}

/// Returns the fault for bytes that violate the protocol.
pub fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_with_and_without_a_state() {
        let with = b"\xff\x26\x04#23000Duplicate entry";
        assert_eq!(Fault::parse(with).text(), "1062 (23000): Duplicate entry");
        assert_eq!(Fault::parse(b"\xff\x10\x04Too many connections").text(), "1040: Too many connections");
        assert!(matches!(Fault::parse(b"\xff"), Fault::Broken(_)));
    }
}
