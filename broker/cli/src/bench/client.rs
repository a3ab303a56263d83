//! The bytes of one client: connects, takes packets out of what it reads, acknowledges.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{bail, ensure};
use lotmq_client::{ClientError, ConnectOptions, Layers, ProtocolVersion};
use lotmq_codec::{
    Ack, AckType, Disconnect, PacketId, Properties, ReasonCode, ServerPacket, encode_ack,
    encode_disconnect_from_client, fixed_header,
};
use lotmq_zstd::Offer;

use super::target::{ReadHalf, Target, WriteHalf};

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Room for what a layer holds of MQTT at once.
const PLAIN_BYTES: usize = 64 << 10;
/// Room for the first packet, which is CONNACK.
const CONNACK_BYTES: usize = 1 << 10;
/// Time for the connection, its handshakes, and the answers to CONNECT and SUBSCRIBE.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Layers of a connection, for both of its directions; without any the socket's bytes are those of MQTT.
type SharedLayers = Option<Rc<RefCell<Layers>>>;

/// What a client reads.
pub(crate) struct Incoming {
    socket: ReadHalf,
    layers: SharedLayers,
    /// With layers: what was read of the socket, and room for what they make of it.
    wire: Vec<u8>,
    plain: Vec<u8>,
    /// Packets that are not whole yet.
    bytes: Vec<u8>,
    version: ProtocolVersion,
}

impl Incoming {
    /// Reads once and hands out the whole packets. False at the end of the connection.
    pub(crate) async fn read(
        &mut self,
        take: impl FnMut(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        if !self.read_once(READ_BYTES).await? {
            return Ok(false);
        }
        self.hand_out(take)?;
        Ok(true)
    }

    /// Hands out the whole packets that were read.
    fn hand_out(
        &mut self,
        mut take: impl FnMut(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut done = 0;
        while let Some(packet_len) = self.hand_out_one(done, &mut take)? {
            done += packet_len;
        }
        self.bytes.drain(..done);
        Ok(())
    }

    /// Hands out the packet that begins at `start`, if it is whole; returns its length.
    fn hand_out_one(
        &self,
        start: usize,
        take: impl FnOnce(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<usize>> {
        let Some(header) = fixed_header(&self.bytes[start..], u32::MAX)? else { return Ok(None) };
        let body = start + usize::from(header.header_len)..start + header.packet_len();
        let Some(body) = self.bytes.get(body) else { return Ok(None) };
        take(&ServerPacket::decode(&header, body, self.version)?)?;
        Ok(Some(header.packet_len()))
    }

    /// Reads bytes of MQTT. False at the end of the connection.
    async fn read_once(&mut self, most: usize) -> io::Result<bool> {
        let Some(layers) = &self.layers else {
            self.bytes.reserve(most);
            return Ok(self.socket.read_buf(&mut self.bytes).await? > 0);
        };
        self.wire.clear();
        self.wire.reserve(most);
        if self.socket.read_buf(&mut self.wire).await? == 0 {
            return Ok(false);
        }
        let mut layers = layers.borrow_mut();
        layers.handle_wire(&self.wire)?;
        take_plain(&mut layers, &mut self.plain, &mut self.bytes)?;
        Ok(!layers.is_ended())
    }

    /// Waits for CONNACK, and speaks zstd from then on where it grants that.
    async fn connack(&mut self) -> anyhow::Result<()> {
        let mut has_zstd = false;
        let len = loop {
            ensure!(self.read_once(CONNACK_BYTES).await.map_err(ClientError::Io)?, ClientError::Closed);
            let len = self.hand_out_one(0, |packet| {
                check(packet)?;
                let ServerPacket::Connack(connack) = packet else { bail!("unexpected answer {packet:?}") };
                has_zstd = Offer::read(connack.properties.user_properties()).is_some();
                Ok(())
            })?;
            if let Some(len) = len {
                break len;
            }
        };
        self.bytes.drain(..len);
        if has_zstd {
            let mut layers = self.layers.get_or_insert_default().borrow_mut();
            layers.start_zstd(&std::mem::take(&mut self.bytes))?;
            take_plain(&mut layers, &mut self.plain, &mut self.bytes)?;
        }
        Ok(())
    }
}

/// Appends to `bytes` what the layers have for MQTT.
fn take_plain(layers: &mut Layers, room: &mut Vec<u8>, bytes: &mut Vec<u8>) -> io::Result<()> {
    room.resize(PLAIN_BYTES, 0);
    loop {
        let len = layers.read(room)?;
        if len == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&room[..len]);
    }
}

/// What a client writes.
pub(crate) struct Outgoing {
    socket: WriteHalf,
    layers: SharedLayers,
}

impl Outgoing {
    /// Writes bytes of MQTT, and what the layers have to say by themselves.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(layers) = &self.layers else { return Ok(self.socket.write_all(bytes).await?) };
        let wire = {
            let mut layers = layers.borrow_mut();
            if !bytes.is_empty() {
                layers.write(bytes)?;
            }
            layers.take_output()
        };
        Ok(self.socket.write_all(&wire).await?)
    }

    /// Whether TLS resumed an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.layers.as_ref().is_some_and(|layers| layers.borrow().is_resumed())
    }

    /// Says that the client leaves, in the words of each layer.
    pub(crate) async fn leave(&mut self, version: ProtocolVersion) -> anyhow::Result<()> {
        let mut packet = Vec::new();
        encode_disconnect_from_client(&mut packet, version, &Disconnect::with_reason(ReasonCode::Success))?;
        let Some(layers) = &self.layers else { return self.write(&packet).await };
        {
            let mut layers = layers.borrow_mut();
            layers.write(&packet)?;
            layers.close();
        }
        self.write(&[]).await
    }
}

/// Connects, and subscribes if `subscribe` is a SUBSCRIBE packet.
pub(crate) async fn connect(
    target: &Target,
    options: &ConnectOptions,
    subscribe: &[u8],
) -> anyhow::Result<(Incoming, Outgoing)> {
    let patience = ClientError::Timeout { wanted: "answer of the broker", after: ANSWER_TIME };
    tokio::time::timeout(ANSWER_TIME, try_connect(target, options, subscribe)).await.map_err(|_| patience)?
}

async fn try_connect(
    target: &Target,
    options: &ConnectOptions,
    subscribe: &[u8],
) -> anyhow::Result<(Incoming, Outgoing)> {
    let (read, write, layers) = target.open().await?;
    let layers = (!layers.are_none()).then(|| Rc::new(RefCell::new(layers)));
    let mut outgoing = Outgoing { socket: write, layers: layers.clone() };
    let mut incoming = Incoming {
        socket: read,
        layers,
        wire: Vec::new(),
        plain: Vec::new(),
        bytes: Vec::new(),
        version: options.version,
    };
    let mut hello = Vec::new();
    options.encode(&mut hello)?;
    outgoing.write(&hello).await?;
    incoming.connack().await?;
    // With zstd there are layers only now.
    outgoing.layers.clone_from(&incoming.layers);
    if !subscribe.is_empty() {
        outgoing.write(subscribe).await?;
        let mut is_answered = false;
        while !is_answered {
            let answer = incoming.read(|packet| {
                is_answered = true;
                check(packet)
            });
            ensure!(answer.await?, ClientError::Closed);
        }
    }
    Ok((incoming, outgoing))
}

fn check(packet: &ServerPacket<'_>) -> anyhow::Result<()> {
    match packet {
        ServerPacket::Connack(connack) => {
            let text = connack.properties.reason_string().unwrap_or_default().to_owned();
            let refused = || ClientError::Refused { reason: connack.reason, text };
            if connack.reason == ReasonCode::Success { Ok(()) } else { Err(refused().into()) }
        }
        ServerPacket::Suback(suback) => {
            ensure!(!suback.codes().any(|reason| reason.is_failure()), "the broker refuses the subscription");
            Ok(())
        }
        other @ (ServerPacket::Publish(_)
        | ServerPacket::Ack(_)
        | ServerPacket::Unsuback(_)
        | ServerPacket::Pingresp
        | ServerPacket::Disconnect(_)
        | ServerPacket::Auth(_)) => bail!("unexpected answer {other:?}"),
    }
}

/// Adds an acknowledgement to what is written next.
pub(crate) fn acknowledge(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    ack_type: AckType,
    packet_id: PacketId,
) {
    let ack = Ack { ack_type, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
    encode_ack(out, version, &ack).expect("success is legal in every acknowledgement");
}
