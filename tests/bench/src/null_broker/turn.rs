//! A turn: what was read of all connections, and who gets it.

use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use lotmq_codec::{
    ClientPacket, Connack, FixedHeader, PacketType, Properties, Publish, QoS, ReasonCode, Subscribe,
    encode_connack, encode_pingresp, encode_suback, fixed_header,
};
use tokio::net::TcpStream;

use super::peer::Peer;

/// Bytes that are read at once, and those of a turn: as in a shard.
const READ_BYTES_MAX: usize = 64 << 10;
const AREA_BYTES: usize = 1 << 20;
/// Largest packet: its beginning is kept until it has come as a whole.
const PACKET_BYTES_MAX: u32 = 256 << 10;
/// Bytes that wait for one subscriber from which on its publishers are not read.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

/// The connections of the thread, and what was read since the last turn.
pub(super) struct Turn {
    /// Numbers are used once.
    peers: Vec<Option<Box<Peer>>>,
    area: Vec<u8>,
    used: usize,
    /// Peers that get something at the end of the turn.
    receivers: Vec<usize>,
    /// Peers whose sockets took less than they should in an early end of the turn.
    full: Vec<usize>,
    flusher: Option<Waker>,
    /// Publishers that wait for a subscriber.
    waiting: Vec<Waker>,
}

/// Why a connection ends.
pub(super) enum Ending {
    Closed,
    Refused(String),
}

/// How much of what waited was written.
pub(super) enum Written {
    All,
    Part,
}

impl Turn {
    pub(super) fn new() -> Self {
        Self {
            peers: Vec::new(),
            area: vec![0; AREA_BYTES],
            used: 0,
            receivers: Vec::new(),
            full: Vec::new(),
            flusher: None,
            waiting: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, socket: Arc<TcpStream>) -> usize {
        self.peers.push(Some(Box::new(Peer::new(socket))));
        self.peers.len() - 1
    }

    pub(super) fn remove(&mut self, number: usize) {
        let Some(peer) = self.peers[number].take() else { return };
        for other in peer.targets.into_iter().chain(peer.sources) {
            if let Some(other) = &mut self.peers[other] {
                other.targets.retain(|target| *target != number);
                other.sources.retain(|source| *source != number);
            }
        }
        self.wake_waiting();
    }

    pub(super) fn socket(&self, number: usize) -> Option<Arc<TcpStream>> {
        self.peers[number].as_ref().map(|peer| Arc::clone(&peer.socket))
    }

    /// Whether so much waits for somebody who gets the bytes of this peer that it is not read; then
    /// `waker` is called when that may be over.
    pub(super) fn waits_for_targets(&mut self, number: usize, waker: &Waker) -> bool {
        let Some(peer) = &self.peers[number] else { return false };
        let is_full = |target: &usize| {
            self.peers[*target].as_ref().is_some_and(|target| target.waiting() > OUTPUT_BYTES_MAX)
        };
        let waits = peer.targets.iter().any(is_full);
        if waits {
            self.waiting.push(waker.clone());
        }
        waits
    }

    fn wake_waiting(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Reads once, answers or passes on whole packets, and keeps the beginning of the next one.
    pub(super) fn read(&mut self, number: usize) -> Result<(), Ending> {
        let rest_bytes = self.peers[number].as_ref().map_or(0, |peer| peer.rest.len());
        if self.used + rest_bytes + READ_BYTES_MAX > AREA_BYTES {
            self.write_all();
        }
        let Some(peer) = &mut self.peers[number] else { return Err(Ending::Closed) };
        let (start, read_at) = (self.used, self.used + rest_bytes);
        let received = peer.receive(&mut self.area[read_at..read_at + READ_BYTES_MAX]);
        let Some(len) = received.map_err(|_| Ending::Closed)? else { return Ok(()) };
        self.area[start..read_at].copy_from_slice(&peer.rest);
        peer.rest.clear();
        self.used = read_at + len;
        let end = self.pass_on(number, start..self.used)?;
        if let Some(peer) = &mut self.peers[number] {
            peer.rest.extend_from_slice(&self.area[end..self.used]);
        }
        // The rest is at the end, so the next read may lie where it does now.
        self.used = end;
        Ok(())
    }

    /// Handles what a peer has sent; returns where the first packet begins that is not whole.
    fn pass_on(&mut self, number: usize, came: Range<usize>) -> Result<usize, Ending> {
        let Range { mut start, end } = came;
        while !self.is_routed(number) {
            let Some(header) = whole_packet(&self.area[start..end])? else { return Ok(start) };
            if !self.handle(number, &header, start)? {
                start += header.packet_len();
            }
        }
        let (mut whole, mut is_ended) = (start, false);
        while let Some(header) = whole_packet(&self.area[whole..end])? {
            is_ended = header.packet_type() == PacketType::Disconnect;
            if is_ended {
                break;
            }
            whole += header.packet_len();
        }
        if whole > start {
            self.give(number, &(start..whole));
        }
        if is_ended { Err(Ending::Closed) } else { Ok(whole) }
    }

    fn is_routed(&self, number: usize) -> bool {
        self.peers[number].as_ref().is_some_and(|peer| peer.is_routed)
    }

    /// Adds a part of the area to what the targets of a peer get.
    fn give(&mut self, number: usize, span: &Range<usize>) {
        let Some(peer) = &mut self.peers[number] else { return };
        let targets = std::mem::take(&mut peer.targets);
        for &target in &targets {
            if let Some(peer) = &mut self.peers[target]
                && peer.add(span)
            {
                self.receivers.push(target);
            }
        }
        if let Some(peer) = &mut self.peers[number] {
            peer.targets = targets;
        }
        self.call_flusher();
    }

    fn call_flusher(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }

    /// Answers the packet at `start`; at the first PUBLISH settles who gets it and all behind it,
    /// and returns true.
    fn handle(&mut self, number: usize, header: &FixedHeader, start: usize) -> Result<bool, Ending> {
        let Some(peer) = &mut self.peers[number] else { return Err(Ending::Closed) };
        let body = &self.area[start + usize::from(header.header_len)..start + header.packet_len()];
        let packet = ClientPacket::decode(header, body, peer.version).map_err(refused)?;
        let mut answer = Vec::new();
        match packet {
            ClientPacket::Connect(connect) => {
                peer.version = connect.version;
                let connack = Connack::refusal(ReasonCode::Success);
                encode_connack(&mut answer, peer.version, &connack).map_err(refused)?;
            }
            ClientPacket::Subscribe(subscribe) => {
                let filters = subscribe.filters().map(|filter| filter.filter.to_owned());
                peer.filters.extend(filters);
                answer = suback(peer, &subscribe)?;
            }
            ClientPacket::Pingreq => encode_pingresp(&mut answer),
            ClientPacket::Publish(publish) => {
                let (topic, qos) = topic_and_qos(&publish);
                self.route(number, &topic, qos)?;
                return Ok(true);
            }
            ClientPacket::Disconnect(_) => return Err(Ending::Closed),
            ClientPacket::Ack(_) | ClientPacket::Unsubscribe(_) | ClientPacket::Auth(_) => {
                return Err(Ending::Refused("no packet for the null broker".to_owned()));
            }
        }
        peer.answer(&answer);
        if peer.waiting() > 0 {
            self.full.push(number);
            self.call_flusher();
        }
        Ok(false)
    }

    /// Settles who gets the bytes of a peer: everybody whose filters match the topic of its first
    /// message.
    fn route(&mut self, number: usize, topic: &str, qos: QoS) -> Result<(), Ending> {
        let is_subscribed = |peer: &Peer| peer.filters.iter().any(|filter| matches(filter, topic));
        let targets: Vec<usize> = (0..self.peers.len())
            .filter(|&other| self.peers[other].as_deref().is_some_and(is_subscribed))
            .collect();
        for &target in &targets {
            let Some(peer) = &mut self.peers[target] else { continue };
            if qos != QoS::AtMostOnce {
                if targets.len() > 1 || !peer.sources.is_empty() {
                    let told = "with QoS 1 and 2 one publisher and one subscriber must be a pair";
                    return Err(Ending::Refused(told.to_owned()));
                }
                // Acknowledgements go back.
                (peer.is_routed, peer.targets) = (true, vec![number]);
            }
            peer.sources.push(number);
        }
        if let Some(peer) = &mut self.peers[number] {
            if qos != QoS::AtMostOnce {
                peer.sources.clone_from(&targets);
            }
            (peer.is_routed, peer.targets) = (true, targets);
        }
        Ok(())
    }

    /// Ends the turn. Returns the peers whose sockets did not take all; `flusher` is called when
    /// there is something again.
    pub(super) fn flush(&mut self, flusher: &Waker) -> Vec<usize> {
        self.write_all();
        self.flusher = Some(flusher.clone());
        std::mem::take(&mut self.full)
    }

    fn write_all(&mut self) {
        for receiver in std::mem::take(&mut self.receivers) {
            if let Some(peer) = &mut self.peers[receiver]
                && peer.write(&self.area)
            {
                self.full.push(receiver);
            }
        }
        self.used = 0;
    }

    /// Writes what waits for a peer, as far as its socket takes it.
    pub(super) fn write_rest(&mut self, number: usize) -> Written {
        let Some(peer) = &mut self.peers[number] else { return Written::All };
        peer.write_rest();
        let waiting = peer.waiting();
        if waiting <= OUTPUT_BYTES_MAX / 2 {
            self.wake_waiting();
        }
        if waiting == 0 { Written::All } else { Written::Part }
    }
}

/// The header of the packet that `bytes` begin with, if all of it is there.
fn whole_packet(bytes: &[u8]) -> Result<Option<FixedHeader>, Ending> {
    let header = fixed_header(bytes, PACKET_BYTES_MAX).map_err(refused)?;
    Ok(header.filter(|header| bytes.len() >= header.packet_len()))
}

fn refused(error: impl ToString) -> Ending {
    Ending::Refused(error.to_string())
}

fn topic_and_qos(publish: &Publish<'_>) -> (String, QoS) {
    (publish.topic.to_owned(), publish.qos)
}

fn suback(peer: &Peer, subscribe: &Subscribe<'_>) -> Result<Vec<u8>, Ending> {
    let codes: Vec<_> = subscribe.filters().map(|filter| ReasonCode::granted(filter.options.qos)).collect();
    let mut answer = Vec::new();
    encode_suback(&mut answer, peer.version, subscribe.packet_id, Properties::EMPTY, &codes)
        .map_err(refused)?;
    Ok(answer)
}

/// Whether a Topic Filter matches a Topic Name; both are taken to be well-formed.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(wanted), Some(level)) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
}
