//! Errors between the client and the server.

use std::io;
use std::time::Duration;

use lotmq_codec::{DecodeError, EncodeError, FrameError, PacketType, ReasonCode};

/// Why a call failed. After any but [`Encode`](ClientError::Encode),
/// [`TooLarge`](ClientError::TooLarge), [`Timeout`](ClientError::Timeout) and
/// [`PacketIdsUsedUp`](ClientError::PacketIdsUsedUp) the connection is of no more use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No TCP connection came about.
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        /// The address as given.
        address: String,
        /// The system's error of the last address tried.
        source: io::Error,
    },
    /// CONNACK said no.
    #[error("the server refused the connection: {reason}{}", suffix(*reason, text))]
    Refused {
        /// Why. Return codes of older versions appear as the reason codes that they stand for.
        reason: ReasonCode,
        /// Its Reason String; empty without.
        text: String,
    },
    /// The server sent DISCONNECT; 5.0 only.
    #[error("the server ended the connection: {reason}{}", suffix(*reason, text))]
    Disconnected {
        /// Why.
        reason: ReasonCode,
        /// Its Reason String; empty without.
        text: String,
    },
    /// The server closed the connection without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The answer did not come in time.
    #[error("no {wanted} within {} s", after.as_secs_f32())]
    Timeout {
        /// Name of the missing answer.
        wanted: &'static str,
        /// How long.
        after: Duration,
    },
    /// The socket failed.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server sent what is not MQTT.
    #[error("the server sent a malformed packet: {0}")]
    Malformed(#[from] DecodeError),
    /// The first bytes are an answer of HTTP. The port belongs to another service, or it serves
    /// MQTT over WebSocket.
    #[error("an HTTP server answers there, not an MQTT server")]
    Http,
    /// The first bytes are an alert of TLS (RFC 8446 §6): the port speaks TLS, and the connection
    /// does not.
    #[error("a server of TLS answers there, and this connection is without TLS")]
    Tls,
    /// The server sent a packet that does not belong here.
    #[error("unexpected {packet_type} from the server")]
    Unexpected {
        /// The type of the packet.
        packet_type: PacketType,
    },
    /// The request cannot be said in this version, or breaks a rule of the protocol.
    #[error("cannot send this: {0}")]
    Encode(#[from] EncodeError),
    /// The packet is larger than the server takes, as it said in CONNACK \[MQTT-3.2.2-15\]. Nothing
    /// was sent.
    #[error("the message makes a packet of {bytes} bytes; the server takes {limit}")]
    TooLarge {
        /// Length of the packet.
        bytes: usize,
        /// Maximum Packet Size of the server.
        limit: u32,
    },
    /// All 65 535 Packet Identifiers wait for an acknowledgement.
    #[error("all 65535 packet identifiers are in use")]
    PacketIdsUsedUp,
    /// Messages came faster than they were received.
    #[error("{limit} {unit} wait to be received")]
    InboxFull {
        /// The limit.
        limit: usize,
        /// Unit of the limit.
        unit: &'static str,
    },
}

impl ClientError {
    /// Whether the connection is at its end, whoever ended it and however.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Disconnected { .. } | Self::Closed => true,
            Self::Io(error) => is_end(error),
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Timeout { .. }
            | Self::Malformed(_)
            | Self::Http
            | Self::Tls
            | Self::Unexpected { .. }
            | Self::Encode(_)
            | Self::TooLarge { .. }
            | Self::PacketIdsUsedUp
            | Self::InboxFull { .. } => false,
        }
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        Self::Malformed(error.into())
    }
}

/// Whether the peer is gone, as opposed to a failure on this side.
pub(crate) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected].contains(&error.kind())
}

/// Whether nothing came in time.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind())
}

/// Text of the server beyond its reason, in one line: a Reason String is for people, and may hold
/// any character.
fn suffix(reason: ReasonCode, text: &str) -> String {
    let is_said = reason.to_string().to_lowercase().contains(&text.to_lowercase());
    if is_said { String::new() } else { format!(": {}", text.replace(['\r', '\n'], " ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_contains_the_reason_text_once() {
        let told = |text: &str| {
            let reason = ReasonCode::BadUserNameOrPassword;
            ClientError::Refused { reason, text: text.to_owned() }.to_string()
        };
        let once = "the server refused the connection: bad user name or password (0x86)";
        for (text, expected) in [
            ("", once.to_owned()),
            ("Bad user name or password", once.to_owned()),
            ("try again in 3 s", format!("{once}: try again in 3 s")),
        ] {
            assert_eq!(told(text), expected);
        }
    }
}
