//! One packet from the server, with its bytes.

use lotmq_codec::{DecodeError, FixedHeader, PacketType, ProtocolVersion, ServerPacket};

/// A whole packet as received; [`Packet::decode`] reads it.
#[derive(Clone, Debug)]
pub struct Packet {
    header: FixedHeader,
    bytes: Vec<u8>,
    version: ProtocolVersion,
}

impl Packet {
    pub(crate) fn new(header: FixedHeader, bytes: Vec<u8>, version: ProtocolVersion) -> Self {
        Self { header, bytes, version }
    }

    /// The type of the packet.
    #[must_use]
    pub fn packet_type(&self) -> PacketType {
        self.header.packet_type()
    }

    /// All bytes, fixed header included.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes behind the fixed header.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(usize::from(self.header.header_len)..).unwrap_or_default()
    }

    /// Whether this is how a server that knows versions before 5.0 alone refuses one that it does
    /// not know \[3.1.1: MQTT-3.1.2-2\]: a CONNACK in its own format, which is none of 5.0.
    pub(crate) fn is_refusal_of_version(&self) -> bool {
        self.packet_type() == PacketType::Connack && self.body() == [0, 1]
    }

    /// Reads the packet in the version of its connection.
    ///
    /// # Errors
    /// [`DecodeError`] when the server broke the rules of the format.
    pub fn decode(&self) -> Result<ServerPacket<'_>, DecodeError> {
        ServerPacket::decode(&self.header, self.body(), self.version)
    }
}
