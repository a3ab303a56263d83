//! The bytes of one client: connects, takes packets out of what it reads, acknowledges.

use std::io;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lotmq_client::{ClientError, ConnectOptions, ProtocolVersion};
use lotmq_codec::{
    Ack, AckType, FixedHeader, PacketId, Properties, ReasonCode, ServerPacket, encode_ack, fixed_header,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

const READ_BYTES: usize = 256 << 10;
/// Time for the answer to CONNECT and SUBSCRIBE.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// What a client reads.
pub(crate) struct Incoming {
    stream: OwnedReadHalf,
    bytes: Vec<u8>,
    version: ProtocolVersion,
}

impl Incoming {
    pub(crate) fn new(stream: OwnedReadHalf, version: ProtocolVersion) -> Self {
        Self { stream, bytes: Vec::with_capacity(READ_BYTES), version }
    }

    /// Reads once and hands out the whole packets. False at the end of the connection.
    pub(crate) async fn read(
        &mut self,
        mut take: impl FnMut(&ServerPacket<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        if self.stream.read_buf(&mut self.bytes).await? == 0 {
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

fn len(header: &FixedHeader) -> usize {
    usize::from(header.header_len) + header.remaining_len as usize
}

/// Connects, and subscribes if `subscribe` is a SUBSCRIBE packet.
pub(crate) async fn connect(
    address: &str,
    options: &ConnectOptions,
    subscribe: &[u8],
) -> anyhow::Result<TcpStream> {
    let unreachable = |source: io::Error| ClientError::Unreachable { address: address.to_owned(), source };
    let mut stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true)?;
    let mut hello = Vec::new();
    options.encode(&mut hello)?;
    hello.extend_from_slice(subscribe);
    stream.write_all(&hello).await?;
    let answers = if subscribe.is_empty() { 1 } else { 2 };
    for _ in 0..answers {
        let answer = tokio::time::timeout(ANSWER_TIME, read_packet(&mut stream));
        check(&answer.await.context("the broker does not answer")??, options.version)?;
    }
    Ok(stream)
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

fn check(packet: &[u8], version: ProtocolVersion) -> anyhow::Result<()> {
    let header = fixed_header(packet, u32::MAX)?.context("a packet without header")?;
    match ServerPacket::decode(&header, &packet[usize::from(header.header_len)..], version)? {
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
