//! Packets of the protocol over a stream.

use std::io::{Read, Write};

use bytes::BytesMut;
use mysql_common::proto::MySerialize;
use mysql_common::proto::codec::PacketCodec;
use mysql_common::proto::codec::error::PacketCodecError;

use crate::fault::{Fault, broken};
use crate::limits::{LOGIN_BYTES_MAX, PACKET_BYTES_MAX};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A stream of packets.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    codec: PacketCodec,
    incoming: BytesMut,
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        let mut codec = PacketCodec::default();
        codec.max_allowed_packet = LOGIN_BYTES_MAX;
        Wire { stream, codec, incoming: BytesMut::new() }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Whether nothing has come that was not received yet.
    pub(crate) fn is_quiet(&self) -> bool {
        self.incoming.is_empty()
    }

    /// Takes and sends packets of all sizes from now on; before the login only small ones.
    pub(crate) fn open(&mut self) {
        self.codec.max_allowed_packet = PACKET_BYTES_MAX;
    }

    fn is_open(&self) -> bool {
        self.codec.max_allowed_packet == PACKET_BYTES_MAX
    }

    /// The next packet.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, Fault> {
        let mut packet = Vec::new();
        let mut piece = [0; PIECE_BYTES];
        loop {
            match self.codec.decode(&mut self.incoming, &mut packet) {
                Ok(true) => return Ok(packet),
                Ok(false) => {}
                Err(PacketCodecError::PacketTooLarge) if self.is_open() => return Err(Fault::Oversize),
                Err(error) => return Err(broken(error)),
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Fault::Lost("the server has ended the connection".to_owned())),
                Ok(length) => self.incoming.extend_from_slice(piece.get(..length).unwrap_or_default()),
                Err(error) => return Err(lost(&error)),
            }
        }
    }

    /// Sends a packet that answers the last one.
    pub(crate) fn send(&mut self, packet: &[u8]) -> Result<(), Fault> {
        let mut outgoing = BytesMut::with_capacity(packet.len() + 4);
        let mut rest = packet;
        self.codec.encode(&mut rest, &mut outgoing).map_err(broken)?;
        self.stream.write_all(&outgoing).map_err(|error| lost(&error))
    }

    /// Sends a packet that begins something new.
    pub(crate) fn command(&mut self, packet: &[u8]) -> Result<(), Fault> {
        self.codec.reset_seq_id();
        self.send(packet)
    }
}

/// The bytes of a packet.
pub(crate) fn bytes_of(packet: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.serialize(&mut bytes);
    bytes
}

fn lost(error: &std::io::Error) -> Fault {
    Fault::Lost(match error.kind() {
        std::io::ErrorKind::TimedOut => "the server does not answer".to_owned(),
        _ => error.to_string(),
    })
}
