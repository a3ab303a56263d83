//! The bytes of one client: connects, takes packets out of what it reads, acknowledges.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lotmq_client::{ClientError, ConnectOptions, ProtocolVersion};
use lotmq_codec::{
    Ack, AckType, Disconnect, FixedHeader, PacketId, Properties, ReasonCode, ServerPacket, encode_ack,
    encode_disconnect_from_client, fixed_header,
};
use lotmq_zstd::{Decoder, Encoder, Offer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const READ_BYTES: usize = 256 << 10;
/// Time for the answer to CONNECT and SUBSCRIBE.
const ANSWER_TIME: Duration = Duration::from_secs(10);
const NO_ANSWER: &str = "the broker does not answer";

/// Bytes that come out of the zstd stream at once.
const DECODED_BYTES: usize = 64 << 10;

/// What a client reads.
pub(crate) struct Incoming {
    stream: OwnedReadHalf,
    /// Packets that are not whole yet.
    bytes: Vec<u8>,
    version: ProtocolVersion,
    /// With the zstd stream transport: what was read of it.
    zstd: Option<(Decoder, Vec<u8>)>,
}

impl Incoming {
    /// Reads once and hands out the whole packets. False at the end of the connection.
    pub(crate) async fn read(
        &mut self,
        mut take: impl FnMut(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        if let Some((decoder, wire)) = &mut self.zstd {
            if self.stream.read_buf(wire).await? == 0 {
                return Ok(false);
            }
            decode(decoder, wire, &mut self.bytes)?;
            wire.clear();
        } else if self.stream.read_buf(&mut self.bytes).await? == 0 {
            return Ok(false);
        }
        let mut done = 0;
        while let Some(header) = fixed_header(&self.bytes[done..], u32::MAX)? {
            let (start, end) = (done + usize::from(header.header_len), done + len(&header));
            let Some(body) = self.bytes.get(start..end) else { break };
            take(&ServerPacket::decode(&header, body, self.version)?)?;
            done = end;
        }
        self.bytes.drain(..done);
        Ok(true)
    }
}

/// Appends to `out` what `wire` holds.
fn decode(decoder: &mut Decoder, mut wire: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
    loop {
        let start = out.len();
        out.resize(start + DECODED_BYTES, 0);
        let progress = decoder.decode(wire, &mut out[start..])?;
        out.truncate(start + progress.produced);
        wire = &wire[progress.consumed..];
        if progress.produced < DECODED_BYTES {
            return Ok(());
        }
    }
}

/// What a client writes.
pub(crate) struct Outgoing {
    stream: OwnedWriteHalf,
    zstd: Option<Encoder>,
}

impl Outgoing {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(encoder) = &mut self.zstd else { return Ok(self.stream.write_all(bytes).await?) };
        let mut out = Vec::new();
        encoder.encode([bytes], &mut out)?;
        Ok(self.stream.write_all(&out).await?)
    }
}

impl Outgoing {
    /// Says that the client leaves, and closes.
    pub(crate) async fn leave(&mut self, version: ProtocolVersion) -> anyhow::Result<()> {
        let mut packet = Vec::new();
        encode_disconnect_from_client(&mut packet, version, &Disconnect::with_reason(ReasonCode::Success))?;
        self.write(&packet).await
    }
}

fn len(header: &FixedHeader) -> usize {
    usize::from(header.header_len) + header.remaining_len as usize
}

/// Connects, and subscribes if `subscribe` is a SUBSCRIBE packet.
pub(crate) async fn connect(
    address: &str,
    options: &ConnectOptions,
    subscribe: &[u8],
) -> anyhow::Result<(Incoming, Outgoing)> {
    let unreachable = |source: io::Error| ClientError::Unreachable { address: address.to_owned(), source };
    let mut stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true)?;
    let mut hello = Vec::new();
    options.encode(&mut hello)?;
    stream.write_all(&hello).await?;
    let version = options.version;
    let answer = tokio::time::timeout(ANSWER_TIME, read_packet(&mut stream)).await.context(NO_ANSWER)??;
    let has_zstd = with_packet(&answer, version, |packet| {
        check(packet)?;
        let ServerPacket::Connack(connack) = packet else { bail!("unexpected answer {packet:?}") };
        Ok(Offer::read(connack.properties.user_properties()).is_some())
    })?;
    let (read, write) = stream.into_split();
    let mut outgoing = Outgoing { stream: write, zstd: has_zstd.then(Encoder::new).transpose()? };
    let zstd = has_zstd.then(Decoder::new).transpose()?.map(|decoder| (decoder, Vec::new()));
    let mut incoming = Incoming { stream: read, bytes: Vec::with_capacity(READ_BYTES), version, zstd };
    if !subscribe.is_empty() {
        outgoing.write(subscribe).await?;
        let mut is_answered = false;
        while !is_answered {
            let answer = incoming.read(|packet| {
                is_answered = true;
                check(packet)
            });
            ensure!(tokio::time::timeout(ANSWER_TIME, answer).await.context(NO_ANSWER)??, NO_ANSWER);
        }
    }
    Ok((incoming, outgoing))
}

/// One packet, read no further than its end.
async fn read_packet(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut packet = Vec::new();
    loop {
        packet.push(stream.read_u8().await?);
        if let Some(header) = fixed_header(&packet, u32::MAX)? {
            let head = packet.len();
            packet.resize(len(&header), 0);
            stream.read_exact(&mut packet[head..]).await?;
            return Ok(packet);
        }
    }
}

/// Lets `work` look at a whole packet.
fn with_packet<R>(
    packet: &[u8],
    version: ProtocolVersion,
    work: impl FnOnce(&ServerPacket<'_>) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let header = fixed_header(packet, u32::MAX)?.context("a packet without header")?;
    work(&ServerPacket::decode(&header, &packet[usize::from(header.header_len)..], version)?)
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
