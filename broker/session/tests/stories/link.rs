//! A session and a Client that keeps its state, over a link that loses everything under way when it
//! breaks.
//!
//! Both publish; whatever breaks when, each QoS 2 message arrives exactly once in each direction
//! and in order, and each QoS 1 message at least once \[MQTT-4.3.3-1\], \[MQTT-4.4.0-1\],
//! \[MQTT-4.6.0-5\].

use lotmq_codec::{PacketId, ProtocolVersion, QoS, ReasonCode};
use lotmq_session::{InboundPublish, Offer, Outbound, PubrecOutcome, Session, SessionOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Debug, Clone, Copy)]
enum Packet {
    Publish { packet_id: PacketId, qos: QoS, message: u32, dup: bool },
    Puback(PacketId),
    Pubrec(PacketId),
    Pubrel(PacketId),
    Pubcomp(PacketId),
}

/// When a Client hands a QoS 2 message to its application: both are allowed (§4.3.3, figure 4.3).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    AtPublish,
    AtPubrel,
}

/// A message that the Client publishes, and whether its PUBREC has come.
#[derive(Debug, Clone, Copy)]
struct Sent {
    packet_id: PacketId,
    qos: QoS,
    message: u32,
    is_received: bool,
}

#[derive(Debug)]
struct Client {
    method: Method,
    /// Open QoS 2 exchanges from the server with their messages.
    open: BTreeMap<PacketId, u32>,
    got: Vec<(QoS, u32)>,
    sent: Vec<Sent>,
    next_packet_id: PacketId,
}

#[derive(Debug)]
struct World {
    session: Session<u32>,
    client: Client,
    to_client: VecDeque<Packet>,
    to_server: VecDeque<Packet>,
    /// Messages that the session passed on for routing.
    routed: Vec<(QoS, u32)>,
    offered: Vec<(QoS, u32)>,
    published: Vec<(QoS, u32)>,
    /// PUBLISH packets of this connection that the server has not seen the end of.
    outstanding: BTreeSet<PacketId>,
    seen_by_this_connection: BTreeSet<PacketId>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    ServerPublishes(QoS),
    ClientPublishes(QoS),
    ToClient,
    ToServer,
    /// The link breaks and the Client returns with this Receive Maximum.
    Break(u16),
    /// The same, and the server lost all but its store.
    Crash(u16),
}

fn options(send_maximum: u16) -> SessionOptions {
    let version = if send_maximum.is_multiple_of(2) { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
    SessionOptions { send_maximum, ..SessionOptions::new(version) }
}

impl Client {
    fn publish(&mut self, qos: QoS, message: u32) -> Packet {
        let packet_id = self.next_packet_id;
        self.next_packet_id = packet_id.next();
        self.sent.push(Sent { packet_id, qos, message, is_received: false });
        Packet::Publish { packet_id, qos, message, dup: false }
    }

    fn handle(&mut self, packet: Packet) -> Option<Packet> {
        match packet {
            Packet::Publish { packet_id, qos: QoS::ExactlyOnce, message, .. } => {
                let is_new = self.open.insert(packet_id, message).is_none();
                if is_new && self.method == Method::AtPublish {
                    self.got.push((QoS::ExactlyOnce, message));
                }
                Some(Packet::Pubrec(packet_id))
            }
            Packet::Publish { packet_id, qos, message, .. } => {
                self.got.push((qos, message));
                Some(Packet::Puback(packet_id))
            }
            Packet::Pubrel(packet_id) => {
                let message = self.open.remove(&packet_id);
                if let (Some(message), Method::AtPubrel) = (message, self.method) {
                    self.got.push((QoS::ExactlyOnce, message));
                }
                Some(Packet::Pubcomp(packet_id))
            }
            Packet::Pubrec(packet_id) => {
                self.sent.iter_mut().filter(|s| s.packet_id == packet_id).for_each(|s| s.is_received = true);
                Some(Packet::Pubrel(packet_id))
            }
            Packet::Puback(packet_id) | Packet::Pubcomp(packet_id) => {
                self.sent.retain(|sent| sent.packet_id != packet_id);
                None
            }
        }
    }

    /// Returns the packets that the Client resends after a reconnect.
    fn resend(&self) -> impl Iterator<Item = Packet> {
        self.sent.iter().map(|&Sent { packet_id, qos, message, is_received }| match is_received {
            true => Packet::Pubrel(packet_id),
            false => Packet::Publish { packet_id, qos, message, dup: true },
        })
    }
}

impl World {
    fn new(method: Method, send_maximum: u16) -> Self {
        Self {
            session: Session::new(options(send_maximum)),
            client: Client {
                method,
                open: BTreeMap::new(),
                got: Vec::new(),
                sent: Vec::new(),
                next_packet_id: PacketId::MIN,
            },
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            routed: Vec::new(),
            offered: Vec::new(),
            published: Vec::new(),
            outstanding: BTreeSet::new(),
            seen_by_this_connection: BTreeSet::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::ServerPublishes(qos) => self.offer(qos),
            Step::ClientPublishes(qos) => {
                let message = u32::try_from(self.published.len()).unwrap();
                self.published.push((qos, message));
                let packet = self.client.publish(qos, message);
                self.to_server.push_back(packet);
            }
            Step::ToClient => {
                let answer = self.to_client.pop_front().and_then(|packet| self.client.handle(packet));
                self.to_server.extend(answer);
            }
            Step::ToServer => {
                if let Some(packet) = self.to_server.pop_front() {
                    self.handle(packet);
                }
            }
            Step::Break(send_maximum) => self.reconnect(send_maximum),
            Step::Crash(send_maximum) => {
                self.session = Session::import(*self.session.options(), self.session.export()).unwrap();
                self.reconnect(send_maximum);
            }
        }
        self.session.check_invariants().unwrap();
    }

    fn offer(&mut self, qos: QoS) {
        let message = u32::try_from(self.offered.len()).unwrap();
        self.offered.push((qos, message));
        match self.session.offer(qos, 1, || message) {
            Offer::Send(packet_id) => self.send(Packet::Publish { packet_id, qos, message, dup: false }),
            Offer::Queued | Offer::QueuedUntilStored => {}
            refused @ (Offer::SendUnacknowledged | Offer::Offline | Offer::Refused(_)) => {
                panic!("{refused:?}")
            }
        }
    }

    fn send(&mut self, packet: Packet) {
        if let Packet::Publish { packet_id, dup, .. } = packet {
            self.outstanding.insert(packet_id);
            let maximum = usize::from(self.session.options().send_maximum);
            assert!(self.outstanding.len() <= maximum, "[MQTT-3.3.4-9]");
            let is_first = self.seen_by_this_connection.insert(packet_id);
            assert!(is_first || !dup, "sent again without a reconnect, [MQTT-4.4.0-1]");
        }
        self.to_client.push_back(packet);
    }

    fn handle(&mut self, packet: Packet) {
        match packet {
            Packet::Publish { packet_id, qos, message, .. } => {
                if qos == QoS::AtLeastOnce {
                    self.session.judge_at_least_once(packet_id, 0).unwrap();
                    self.routed.push((qos, message));
                    self.send(Packet::Puback(packet_id));
                } else {
                    let outcome = self.session.receive_exactly_once(packet_id, 0).unwrap();
                    if outcome == InboundPublish::Deliver {
                        self.routed.push((qos, message));
                    }
                    self.send(Packet::Pubrec(packet_id));
                }
            }
            Packet::Pubrel(packet_id) => {
                self.session.handle_pubrel(packet_id);
                self.send(Packet::Pubcomp(packet_id));
            }
            Packet::Pubrec(packet_id) => {
                let outcome = self.session.handle_pubrec(packet_id, ReasonCode::Success).unwrap();
                assert!(matches!(outcome, PubrecOutcome::SendPubrel { .. }));
                self.send(Packet::Pubrel(packet_id));
            }
            Packet::Puback(packet_id) => {
                self.session.handle_puback(packet_id).unwrap();
                self.outstanding.remove(&packet_id);
            }
            Packet::Pubcomp(packet_id) => {
                self.session.handle_pubcomp(packet_id).unwrap();
                self.outstanding.remove(&packet_id);
            }
        }
        self.send_waiting();
    }

    fn send_waiting(&mut self) {
        while let Some(outbound) = self.session.next_outbound() {
            match outbound {
                Outbound::Publish { packet_id, qos, message, dup } => {
                    self.send(Packet::Publish { packet_id, qos, message, dup });
                }
                Outbound::Pubrel { packet_id } => self.send(Packet::Pubrel(packet_id)),
            }
        }
    }

    fn reconnect(&mut self, send_maximum: u16) {
        self.to_client.clear();
        self.to_server.clear();
        self.outstanding.clear();
        self.seen_by_this_connection.clear();
        self.session.resume(options(send_maximum));
        self.to_server.extend(self.client.resend());
        self.send_waiting();
    }

    /// Lets everything arrive, and checks what both sides have seen.
    fn settle(mut self) {
        while !(self.to_client.is_empty() && self.to_server.is_empty()) {
            self.take(Step::ToClient);
            self.take(Step::ToServer);
        }
        assert_arrived(&self.offered, &self.client.got, "to the Client");
        assert_arrived(&self.published, &self.routed, "to the server");
        assert_eq!(self.session.counts(), Default::default(), "nothing is left");
        assert!(self.client.sent.is_empty());
    }
}

fn of(messages: &[(QoS, u32)], qos: QoS) -> Vec<u32> {
    messages.iter().filter(|(of, _)| *of == qos).map(|(_, message)| *message).collect()
}

fn assert_arrived(sent: &[(QoS, u32)], got: &[(QoS, u32)], direction: &str) {
    assert_eq!(of(got, QoS::ExactlyOnce), of(sent, QoS::ExactlyOnce), "QoS 2 {direction}: once and in order");
    let mut seen = BTreeSet::new();
    let mut first = of(got, QoS::AtLeastOnce);
    first.retain(|message| seen.insert(*message));
    assert_eq!(first, of(sent, QoS::AtLeastOnce), "QoS 1 {direction}: at least once, first in order");
}

/// A story without breaks in which every kind of packet is under way at some time.
fn story() -> Vec<Step> {
    use QoS::{AtLeastOnce, ExactlyOnce};
    let mut story = Vec::new();
    for qos in [ExactlyOnce, AtLeastOnce, ExactlyOnce, ExactlyOnce] {
        story.extend([
            Step::ServerPublishes(qos),
            Step::ClientPublishes(qos),
            Step::ToClient,
            Step::ToServer,
        ]);
    }
    story.extend([Step::ToServer, Step::ToClient].repeat(10));
    story
}

#[test]
fn exactly_once_with_a_break_after_every_step() {
    let story = story();
    for method in [Method::AtPublish, Method::AtPubrel] {
        for (first, second) in (0..=story.len()).flat_map(|a| (a..=story.len()).map(move |b| (a, b))) {
            for (before, between, after) in [(2, 2, 2), (3, 1, 2), (1, 3, 1)] {
                let mut world = World::new(method, before);
                story[..first].iter().for_each(|step| world.take(*step));
                world.take(Step::Break(between));
                story[first..second].iter().for_each(|step| world.take(*step));
                world.take(Step::Crash(after));
                story[second..].iter().for_each(|step| world.take(*step));
                world.settle();
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let qos = prop::sample::select(&[QoS::AtLeastOnce, QoS::ExactlyOnce][..]);
    prop_oneof![
        3 => qos.clone().prop_map(Step::ServerPublishes),
        3 => qos.prop_map(Step::ClientPublishes),
        6 => Just(Step::ToClient),
        6 => Just(Step::ToServer),
        1 => (1_u16..6).prop_map(Step::Break),
        1 => (1_u16..6).prop_map(Step::Crash),
    ]
}

proptest! {
    #[test]
    fn exactly_once_whatever_breaks(at_pubrel: bool, maximum in 1_u16..6, steps in vec(step(), 1..250)) {
        let mut world = World::new(if at_pubrel { Method::AtPubrel } else { Method::AtPublish }, maximum);
        steps.into_iter().for_each(|step| world.take(step));
        world.settle();
    }
}
