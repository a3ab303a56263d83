//! A connection of a Client with a session that outlives it.

use std::net::SocketAddr;
use std::time::Duration;

use lotmq_client::{Client, ClientError, ConnectOptions, Connection, Packet, PacketId, ProtocolVersion, QoS};
use lotmq_codec::{Ack, AckType, Properties, ReasonCode, ServerPacket, encode_ack};
use lotmq_test_support::WAIT_MAX;

/// How long a session of the test outlives its connection.
const SESSION_SECONDS: u32 = 86_400;

/// Identity of a client, the same before and after a crash.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) client_id: String,
    pub(crate) version: ProtocolVersion,
    /// Whether the broker has acknowledged a CONNECT already, so that there must be a session.
    pub(crate) is_known: bool,
}

impl Identity {
    pub(crate) fn new(client_id: impl Into<String>, version: ProtocolVersion) -> Self {
        Self { client_id: client_id.into(), version, is_known: false }
    }

    /// Returns the CONNECT options of such a Client.
    pub(crate) fn options(&self) -> ConnectOptions {
        let mut options = match self.version {
            ProtocolVersion::V5 => ConnectOptions::v5(&self.client_id).session_expiry(SESSION_SECONDS),
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => ConnectOptions::new(&self.client_id),
        };
        options.clean_start = false;
        options.keep_alive = 0;
        options
    }

    /// Makes the session, with a subscription that stays.
    pub(crate) fn settle(&mut self, broker: SocketAddr, filter: &str) {
        let mut client = Client::connect(broker, &self.options()).unwrap();
        assert!(!client.subscribe_to(filter, QoS::AtLeastOnce).unwrap().is_failure());
        self.is_known = true;
        client.disconnect().unwrap();
    }

    /// Connects. `Err` holds what breaks the contract, `Ok(None)` a broker that is gone.
    pub(crate) fn connect(&mut self, broker: SocketAddr) -> Result<Option<Link>, String> {
        let opened = Connection::open(broker, self.version, WAIT_MAX);
        let Ok(connection) = opened else { return Ok(None) };
        let mut link = Link { connection, version: self.version, out: Vec::new() };
        self.options().encode(&mut link.out).unwrap();
        if !link.flush() {
            return Ok(None);
        }
        let Some(packet) = link.receive(WAIT_MAX) else { return Ok(None) };
        let ServerPacket::Connack(connack) = packet.decode().map_err(|error| error.to_string())? else {
            return Err(format!("{}: {:?} instead of CONNACK", self.client_id, packet.packet_type()));
        };
        if connack.reason != ReasonCode::Success {
            return Err(format!("{}: refused with {}", self.client_id, connack.reason));
        }
        if self.is_known && !connack.session_present {
            return Err(format!("{}: the session is lost", self.client_id));
        }
        self.is_known = true;
        Ok(Some(link))
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Connection,
    version: ProtocolVersion,
    /// Bytes that [`Link::flush`] sends.
    pub(crate) out: Vec<u8>,
}

impl Link {
    pub(crate) fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Sends what was collected. False when the broker is gone.
    pub(crate) fn flush(&mut self) -> bool {
        let is_sent = self.out.is_empty() || self.connection.send(&self.out).is_ok();
        self.out.clear();
        is_sent
    }

    /// The next packet; `None` when none came in time or the broker is gone.
    pub(crate) fn receive(&mut self, patience: Duration) -> Option<Packet> {
        self.connection.receive(patience).ok().flatten()
    }

    /// The same, telling silence (`Ok(None)`) from the end of the connection.
    pub(crate) fn poll(&mut self, patience: Duration) -> Result<Option<Packet>, ClientError> {
        self.connection.receive(patience)
    }

    /// Adds an acknowledgement to what is sent next.
    pub(crate) fn acknowledge(&mut self, ack_type: AckType, packet_id: PacketId) {
        let ack = Ack { ack_type, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
        encode_ack(&mut self.out, self.version, &ack).unwrap();
    }

    pub(crate) fn close(self) {
        self.connection.close();
    }
}
