//! The client: connects, and walks every handshake to its end.

mod handshake;

use std::collections::{BTreeMap, BTreeSet};
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use lotmq_codec::{
    Connack, Disconnect, ForwardProperties, PacketId, PacketType, Properties, PropertyBuf, ProtocolVersion,
    PublishHead, QoS, ReasonCode, ServerPacket, SubscribeFilter, SubscriptionOptions,
    encode_disconnect_from_client, encode_pingreq, encode_publish, encode_subscribe, encode_unsubscribe,
};
use lotmq_zstd::Offer;

use crate::outbound::{Awaited, Outbound};
use crate::unread::UnreadMessages;
use crate::{AckMode, ClientError, ConnectOptions, Connection, Endpoint, Message, Packet, Publication};

/// A connected client.
///
/// Messages that arrive while a call waits for something else are kept for [`Client::receive`].
/// Dropping it closes the connection without DISCONNECT, so that the server publishes the Will.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    client_id: String,
    session_present: bool,
    connack: PropertyBuf,
    keep_alive: Option<Duration>,
    reply_timeout: Duration,
    ack_mode: AckMode,
    outbound: Outbound,
    inbox: UnreadMessages,
    /// QoS 2 messages given out and not yet released by PUBREL.
    unreleased: BTreeSet<PacketId>,
    aliases: BTreeMap<u16, String>,
    pings_awaited: u32,
    /// Whether the server has sent anything since the last sign of life that we sent.
    is_heard: bool,
}

impl Client {
    /// Connects and waits for CONNACK.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Refused`], [`ClientError::Closed`],
    /// [`ClientError::Http`], [`ClientError::Tls`], [`ClientError::Timeout`],
    /// [`ClientError::Encode`] for options that this version cannot say.
    pub fn connect(
        address: impl ToSocketAddrs + std::fmt::Display,
        options: &ConnectOptions,
    ) -> Result<Self, ClientError> {
        Self::log_in(options, || Connection::open(address, options.version, options.connect_timeout))
    }

    /// Connects to an endpoint and waits for CONNACK.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_at(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Self, ClientError> {
        Self::log_in(options, || Connection::open_at(endpoint, options.version, options.connect_timeout))
    }

    fn log_in(
        options: &ConnectOptions,
        open: impl FnOnce() -> Result<Connection, ClientError>,
    ) -> Result<Self, ClientError> {
        let mut packet = Vec::new();
        options.encode(&mut packet)?;
        let mut connection = open()?;
        connection.limit_packets(options.max_packet_size);
        connection.send(&packet)?;
        let timeout = ClientError::Timeout { wanted: "CONNACK", after: options.connect_timeout };
        let received = connection.receive(options.connect_timeout);
        if matches!(received, Err(ClientError::Malformed(_))) {
            if connection.is_http() {
                return Err(ClientError::Http);
            }
            if connection.is_tls() {
                return Err(ClientError::Tls);
            }
        }
        let answer = received?.ok_or(timeout)?;
        if answer.is_refusal_of_version() {
            let reason = ReasonCode::UnsupportedProtocolVersion;
            return Err(ClientError::Refused { reason, text: String::new() });
        }
        let ServerPacket::Connack(connack) = answer.decode()? else {
            return Err(ClientError::Unexpected { packet_type: answer.packet_type() });
        };
        if connack.reason != ReasonCode::Success {
            let text = connack.properties.reason_string().unwrap_or_default().to_owned();
            return Err(ClientError::Refused { reason: connack.reason, text });
        }
        if options.zstd && Offer::read(connack.properties.user_properties()).is_some() {
            connection.start_zstd()?;
        }
        connection.collect_for(Duration::from_millis(options.flush_ms.into()));
        Ok(Self::accepted(connection, options, &connack))
    }

    fn accepted(connection: Connection, options: &ConnectOptions, connack: &Connack<'_>) -> Self {
        let keep_alive = connack.properties.server_keep_alive().unwrap_or(options.keep_alive);
        let mut properties = PropertyBuf::new();
        properties.extend(connack.properties, |_| true);
        Self {
            connection,
            client_id: connack
                .properties
                .assigned_client_identifier()
                .unwrap_or(&options.client_id)
                .to_owned(),
            session_present: connack.session_present,
            connack: properties,
            keep_alive: (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into())),
            reply_timeout: options.reply_timeout,
            ack_mode: options.ack_mode,
            outbound: Outbound::default(),
            inbox: UnreadMessages::default(),
            unreleased: BTreeSet::new(),
            aliases: BTreeMap::new(),
            pings_awaited: 0,
            is_heard: true,
        }
    }

    /// Our Client Identifier; the one that the server chose, if it did.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The protocol version that is spoken.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        self.connection.version()
    }

    /// Whether the server granted the zstd stream transport.
    #[must_use]
    pub fn has_zstd(&self) -> bool {
        self.connection.has_zstd()
    }

    /// Whether the server resumed a session.
    #[must_use]
    pub const fn session_present(&self) -> bool {
        self.session_present
    }

    /// Returns the properties of CONNACK; empty before 5.0.
    #[must_use]
    pub fn connack_properties(&self) -> Properties<'_> {
        self.connack.properties()
    }

    /// Publishes and waits until the handshake of its QoS is over. The reason says what became of
    /// it; at QoS 0 and before 5.0 always success.
    ///
    /// # Errors
    /// [`ClientError`] as its variants say; a failure told by the server is a reason, not an error.
    pub fn publish(&mut self, publication: &Publication) -> Result<ReasonCode, ClientError> {
        match self.send_publish(publication)? {
            Some(packet_id) => self.wait_published(packet_id),
            None => Ok(ReasonCode::Success),
        }
    }

    /// Publishes without waiting. Returns the identifier for [`Client::wait_published`]; `None` at
    /// QoS 0.
    ///
    /// # Errors
    /// [`ClientError::Encode`], [`ClientError::PacketIdsUsedUp`], [`ClientError::Closed`],
    /// [`ClientError::Io`].
    pub fn send_publish(&mut self, publication: &Publication) -> Result<Option<PacketId>, ClientError> {
        let packet_id = match publication.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(self.outbound.begin(Awaited::Puback)?),
            QoS::ExactlyOnce => Some(self.outbound.begin(Awaited::Pubrec)?),
        };
        let head = PublishHead {
            dup: false,
            qos: publication.qos,
            retain: publication.retain,
            topic: &publication.topic,
            packet_id,
            properties: ForwardProperties::unaltered(publication.properties.properties()),
            payload_len: publication.payload.len(),
        };
        let mut packet = Vec::with_capacity(publication.payload.len() + publication.topic.len() + 16);
        if let Err(error) =
            encode_publish(&mut packet, self.connection.version(), &head, &publication.payload)
        {
            packet_id.inspect(|packet_id| self.outbound.cancel(*packet_id));
            return Err(error.into());
        }
        let limit = self.connack_properties().maximum_packet_size();
        if let Some(limit) = limit.filter(|limit| packet.len() > limit.get() as usize) {
            packet_id.inspect(|packet_id| self.outbound.cancel(*packet_id));
            return Err(ClientError::TooLarge { bytes: packet.len(), limit: limit.get() });
        }
        self.connection.send(&packet)?;
        Ok(packet_id)
    }

    /// Waits until the handshake of a message sent by [`Client::send_publish`] is over.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] after the reply timeout of the options, and all errors of
    /// receiving.
    pub fn wait_published(&mut self, packet_id: PacketId) -> Result<ReasonCode, ClientError> {
        let deadline = Instant::now() + self.reply_timeout;
        loop {
            if let Some(reason) = self.outbound.take_ended(packet_id) {
                return Ok(reason);
            }
            let packet = self.next_packet_before(deadline)?;
            let packet = packet.ok_or_else(|| self.timeout("acknowledgement of PUBLISH"))?;
            self.handle(&packet)?;
        }
    }

    /// Returns the result of a message from [`Client::send_publish`], once, if its handshake has
    /// ended with the packets received so far.
    pub fn take_published(&mut self, packet_id: PacketId) -> Option<ReasonCode> {
        self.outbound.take_ended(packet_id)
    }

    /// Messages sent at QoS 1 and 2 whose handshake is not over.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.outbound.open_count()
    }

    /// Subscribes and waits for SUBACK; the codes come in the order of the filters.
    ///
    /// # Errors
    /// [`ClientError`] as its variants say; a refused filter is a code, not an error.
    pub fn subscribe(
        &mut self,
        filters: &[(&str, SubscriptionOptions)],
        properties: Properties<'_>,
    ) -> Result<Vec<ReasonCode>, ClientError> {
        let filters: Vec<SubscribeFilter<'_>> =
            filters.iter().map(|(filter, options)| SubscribeFilter { filter, options: *options }).collect();
        let packet_id = self.outbound.begin(Awaited::OtherAck)?;
        let mut packet = Vec::new();
        encode_subscribe(&mut packet, self.connection.version(), packet_id, properties, &filters)
            .inspect_err(|_| self.outbound.cancel(packet_id))?;
        self.connection.send(&packet)?;
        let answer = self.wait_for(
            "SUBACK",
            |packet| matches!(packet, ServerPacket::Suback(suback) if suback.packet_id == packet_id),
        )?;
        self.outbound.cancel(packet_id);
        let ServerPacket::Suback(suback) = answer.decode()? else {
            return Err(ClientError::Unexpected { packet_type: answer.packet_type() });
        };
        Ok(suback.codes().collect())
    }

    /// Subscribes to one filter with no other options than the QoS.
    ///
    /// # Errors
    /// As [`Client::subscribe`].
    pub fn subscribe_to(&mut self, filter: &str, qos: QoS) -> Result<ReasonCode, ClientError> {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let codes = self.subscribe(&[(filter, options)], Properties::EMPTY)?;
        codes.first().copied().ok_or(ClientError::Unexpected { packet_type: PacketType::Suback })
    }

    /// Unsubscribes and waits for UNSUBACK; the codes come in the order of the filters, before 5.0
    /// there are none.
    ///
    /// # Errors
    /// [`ClientError`] as its variants say.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Result<Vec<ReasonCode>, ClientError> {
        let packet_id = self.outbound.begin(Awaited::OtherAck)?;
        let mut packet = Vec::new();
        encode_unsubscribe(&mut packet, self.connection.version(), packet_id, Properties::EMPTY, filters)
            .inspect_err(|_| self.outbound.cancel(packet_id))?;
        self.connection.send(&packet)?;
        let answer = self.wait_for(
            "UNSUBACK",
            |packet| matches!(packet, ServerPacket::Unsuback(unsuback) if unsuback.packet_id == packet_id),
        )?;
        self.outbound.cancel(packet_id);
        let ServerPacket::Unsuback(unsuback) = answer.decode()? else {
            return Err(ClientError::Unexpected { packet_type: answer.packet_type() });
        };
        Ok(unsuback.codes().collect())
    }

    /// Waits for a message; `None` when none came in time. Keeps the connection alive meanwhile,
    /// with a timeout of zero, too.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`] and [`ClientError::Closed`] when the server ended the
    /// connection, and all errors of receiving.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Message>, ClientError> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(86_400 * 365));
        loop {
            if let Some(message) = self.inbox.pop() {
                return Ok(Some(message));
            }
            // Packets that are no messages may come without pause. Without a time to wait, all that
            // is there is handled.
            let packet = if timeout.is_zero() {
                self.next_packet(deadline)?
            } else {
                self.next_packet_before(deadline)?
            };
            let Some(packet) = packet else { return Ok(None) };
            self.handle(&packet)?;
        }
    }

    /// Sends PINGREQ and waits for PINGRESP.
    ///
    /// Everything that the server sent before has then been received: a barrier for tests that
    /// prove an absence.
    ///
    /// # Errors
    /// [`ClientError::Timeout`], and all errors of receiving.
    pub fn ping(&mut self) -> Result<(), ClientError> {
        self.send_ping()?;
        let deadline = Instant::now() + self.reply_timeout;
        while self.pings_awaited > 0 {
            let packet = self.next_packet_before(deadline)?.ok_or_else(|| self.timeout("PINGRESP"))?;
            self.handle(&packet)?;
        }
        Ok(())
    }

    /// Says goodbye and closes; the server discards the Will.
    ///
    /// # Errors
    /// [`ClientError::Closed`], [`ClientError::Io`].
    pub fn disconnect(self) -> Result<(), ClientError> {
        self.disconnect_with(ReasonCode::Success, Properties::EMPTY)
    }

    /// Says goodbye with a reason and properties, as a new session expiry; before 5.0 both are left
    /// out.
    ///
    /// # Errors
    /// [`ClientError::Encode`] for a reason that a client cannot give, [`ClientError::Closed`],
    /// [`ClientError::Io`].
    pub fn disconnect_with(
        mut self,
        reason: ReasonCode,
        properties: Properties<'_>,
    ) -> Result<(), ClientError> {
        let mut packet = Vec::new();
        let version = self.connection.version();
        encode_disconnect_from_client(&mut packet, version, &Disconnect { reason, properties })?;
        self.connection.send(&packet)?;
        self.connection.close();
        Ok(())
    }

    /// Closes without DISCONNECT; the server publishes the Will.
    pub fn abort(self) {
        self.connection.close();
    }

    /// The connection below, for single packets; what is received there the client does not see.
    pub const fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn send_ping(&mut self) -> Result<(), ClientError> {
        let mut packet = Vec::new();
        encode_pingreq(&mut packet);
        self.pings_awaited += 1;
        self.connection.send(&packet)
    }

    /// The next packet, with signs of life sent while waiting; `None` at the deadline. A server
    /// that has said nothing for a whole keep alive behind a sign of life is taken for gone, which
    /// the system may not notice for a quarter of an hour.
    fn next_packet(&mut self, deadline: Instant) -> Result<Option<Packet>, ClientError> {
        loop {
            let sign_of_life = self.keep_alive.map(|interval| self.connection.last_sent() + interval);
            let until = sign_of_life.map_or(deadline, |at| at.min(deadline));
            let left = until.saturating_duration_since(Instant::now());
            if let Some(packet) = self.connection.receive(left)? {
                self.is_heard = true;
                return Ok(Some(packet));
            }
            let now = Instant::now();
            if sign_of_life.is_none_or(|at| now < at) {
                if now >= deadline {
                    return Ok(None);
                }
                continue;
            }
            if !std::mem::replace(&mut self.is_heard, false) {
                let after = self.keep_alive.unwrap_or_default();
                return Err(ClientError::Timeout { wanted: "PINGRESP", after });
            }
            self.send_ping()?;
        }
    }

    /// The next packet that was waited for before the deadline; `None` behind it, even where
    /// packets come without pause.
    fn next_packet_before(&mut self, deadline: Instant) -> Result<Option<Packet>, ClientError> {
        if Instant::now() >= deadline { Ok(None) } else { self.next_packet(deadline) }
    }

    /// Receives until `is_answer`; everything else is handled on the way.
    fn wait_for(
        &mut self,
        wanted: &'static str,
        is_answer: impl Fn(&ServerPacket<'_>) -> bool,
    ) -> Result<Packet, ClientError> {
        let deadline = Instant::now() + self.reply_timeout;
        loop {
            let packet = self.next_packet_before(deadline)?.ok_or_else(|| self.timeout(wanted))?;
            if is_answer(&packet.decode()?) {
                return Ok(packet);
            }
            self.handle(&packet)?;
        }
    }

    const fn timeout(&self, wanted: &'static str) -> ClientError {
        ClientError::Timeout { wanted, after: self.reply_timeout }
    }
}

#[cfg(test)]
mod tests;
