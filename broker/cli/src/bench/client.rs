//! The bytes of one client: connects, takes packets out of what it reads, acknowledges.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
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
/// Time for the connection, its handshakes, and the answers to CONNECT and SUBSCRIBE.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Layers of a connection, for both of its directions; without any the socket's bytes are those of
/// MQTT.
type SharedLayers = Option<Rc<RefCell<Layers>>>;

/// Room for one read, which all clients share: hundreds of thousands of them may be there.
#[derive(Default)]
struct Room {
    /// With layers: what the socket gave, and what they make of it.
    wire: Vec<u8>,
    plain: Vec<u8>,
    /// Bytes of MQTT.
    bytes: Vec<u8>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// Receiving side of a client.
pub(crate) struct Incoming {
    socket: ReadHalf,
    layers: SharedLayers,
    /// Bytes of packets that were not handed out.
    rest: Vec<u8>,
    version: ProtocolVersion,
}

impl Incoming {
    /// Reads once and hands out the whole packets. False at the end of the connection.
    pub(crate) async fn read(
        &mut self,
        take: impl FnMut(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        self.read_packets(usize::MAX, take).await
    }

    /// The same, but hands out `most` packets at most.
    async fn read_packets(
        &mut self,
        most: usize,
        mut take: impl FnMut(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let poll = |cx: &mut Context<'_>| {
            ROOM.with_borrow_mut(|room| {
                let is_open = ready!(self.poll_read(room, cx))?;
                self.hand_out(&room.bytes, most, &mut take)?;
                Poll::Ready(Ok(is_open))
            })
        };
        poll_fn(poll).await
    }

    /// Reads bytes of MQTT once, behind those that were not handed out. False at the end of the
    /// connection.
    fn poll_read(&mut self, room: &mut Room, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        room.bytes.clear();
        room.bytes.extend_from_slice(&self.rest);
        let Some(layers) = &self.layers else {
            return self.socket.poll_read(&mut room.bytes, READ_BYTES, cx);
        };
        room.wire.clear();
        let is_open = ready!(self.socket.poll_read(&mut room.wire, READ_BYTES, cx))?;
        let mut layers = layers.borrow_mut();
        layers.handle_wire(&room.wire)?;
        take_plain(&mut layers, &mut room.plain, &mut room.bytes)?;
        Poll::Ready(Ok(is_open && !layers.is_ended()))
    }

    /// Hands out whole packets of `bytes`, and keeps the others.
    fn hand_out(
        &mut self,
        bytes: &[u8],
        most: usize,
        mut take: impl FnMut(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut left = bytes;
        for _ in 0..most {
            let Some(header) = fixed_header(left, u32::MAX)? else { break };
            let Some(body) = left.get(usize::from(header.header_len)..header.packet_len()) else { break };
            take(&ServerPacket::decode(&header, body, self.version)?)?;
            left = &left[header.packet_len()..];
        }
        self.rest.clear();
        self.rest.extend_from_slice(left);
        Ok(())
    }

    /// Waits for CONNACK, and speaks zstd from then on where it grants that.
    async fn connack(&mut self) -> anyhow::Result<()> {
        let (mut is_answered, mut has_zstd) = (false, false);
        while !is_answered {
            let read = self.read_packets(1, |packet| {
                check(packet)?;
                let ServerPacket::Connack(connack) = packet else { bail!("unexpected answer {packet:?}") };
                (is_answered, has_zstd) = (true, Offer::read(connack.properties.user_properties()).is_some());
                Ok(())
            });
            let is_open = read.await.map_err(as_client_error)?;
            ensure!(is_open || is_answered, ClientError::Closed);
        }
        if has_zstd {
            let behind = std::mem::take(&mut self.rest);
            let mut layers = self.layers.get_or_insert_default().borrow_mut();
            layers.start_zstd(&behind)?;
            ROOM.with_borrow_mut(|room| take_plain(&mut layers, &mut room.plain, &mut self.rest))?;
        }
        Ok(())
    }
}

/// The error as one of the connection, where the socket or TLS failed: before CONNACK that means
/// that there is no broker for us.
fn as_client_error(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<io::Error>() {
        Ok(error) => ClientError::Io(error).into(),
        Err(other) => other,
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

/// Sending side of a client.
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
    let mut incoming = Incoming { socket: read, layers, rest: Vec::new(), version: options.version };
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
