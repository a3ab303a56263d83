//! A publisher that numbers its messages and, after a crash, sends again what was not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lotmq_client::{PacketId, ProtocolVersion, QoS};
use lotmq_codec::{
    Ack, AckType, ForwardProperties, Properties, PublishHead, ReasonCode, ServerPacket, encode_publish,
};
use lotmq_test_support::WAIT_MAX;

use crate::link::{Identity, Link};

/// Messages on their way at once.
const WINDOW: usize = 40;
/// One exchange of so many has its packets sent twice, at once.
const REPEATED_EVERY: u64 = 5;

/// One message on its way.
#[derive(Debug)]
struct Flight {
    packet_id: PacketId,
    /// PUBREC has come: the broker answers for it.
    is_received: bool,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    identity: Identity,
    pub(crate) name: String,
    qos: QoS,
    /// Number of the next message.
    pub(crate) next: u64,
    /// By number.
    flights: BTreeMap<u64, Flight>,
    next_packet_id: u16,
    /// Identifiers of exchanges whose packets were sent more than once: their answers may come more
    /// than once, too.
    repeated: BTreeSet<PacketId>,
}

/// How long to publish.
pub(crate) enum Until<'a> {
    /// Until the broker dies or the flag is set; counts what is acknowledged.
    Killed(&'a AtomicBool, &'a AtomicU64),
    /// Until all that was sent is acknowledged.
    Acknowledged,
}

impl Publisher {
    pub(crate) fn new(name: &str, qos: QoS, version: ProtocolVersion) -> Self {
        Self {
            identity: Identity::new(format!("publisher-{name}"), version),
            name: name.to_owned(),
            qos,
            next: 0,
            flights: BTreeMap::new(),
            next_packet_id: 0,
            repeated: BTreeSet::new(),
        }
    }

    pub(crate) fn publish(&mut self, broker: SocketAddr, until: &Until<'_>) -> Result<(), String> {
        let Some(mut link) = self.identity.connect(broker)? else {
            return match until {
                Until::Killed(..) => Ok(()),
                Until::Acknowledged => Err(format!("{}: cannot connect", self.name)),
            };
        };
        self.resend(&mut link);
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            match until {
                Until::Killed(stop, _) if stop.load(Ordering::Relaxed) => break,
                Until::Killed(..) => self.fill(&mut link),
                Until::Acknowledged if self.flights.is_empty() => break,
                Until::Acknowledged if Instant::now() > deadline => {
                    return Err(format!(
                        "{}: not acknowledged: {:?}",
                        self.name,
                        self.flights.first_key_value()
                    ));
                }
                Until::Acknowledged => {}
            }
            if !link.flush() {
                break;
            }
            let Ok(packet) = link.poll(Duration::from_millis(50)) else { break };
            let Some(packet) = packet else { continue };
            let decoded = packet.decode().map_err(|error| error.to_string())?;
            let ServerPacket::Ack(ack) = decoded else {
                return Err(format!("{}: unexpected {:?}", self.name, packet.packet_type()));
            };
            let ended = self.acknowledged(&mut link, &ack)?;
            if let Until::Killed(_, count) = until {
                count.fetch_add(u64::from(ended), Ordering::Relaxed);
            }
        }
        link.close();
        Ok(())
    }

    /// Everything that is under way, in its first order \[MQTT-4.4.0-1\].
    fn resend(&mut self, link: &mut Link) {
        for (number, flight) in &self.flights {
            if flight.is_received {
                link.acknowledge(AckType::Pubrel, flight.packet_id);
            } else {
                self.send(link, *number, flight.packet_id, true);
            }
        }
    }

    fn fill(&mut self, link: &mut Link) {
        while self.flights.len() < WINDOW {
            // Identifiers go round far beyond the window, so they are free again.
            self.next_packet_id = self.next_packet_id % 10_000 + 1;
            let packet_id = PacketId::new(self.next_packet_id).expect("it is at least 1");
            self.repeated.remove(&packet_id);
            self.send(link, self.next, packet_id, false);
            if self.qos == QoS::ExactlyOnce && self.next.is_multiple_of(REPEATED_EVERY) {
                // In a turn of its own, so that the first one is on its way to the disk.
                link.flush();
                self.send(link, self.next, packet_id, true);
                self.repeated.insert(packet_id);
            }
            self.flights.insert(self.next, Flight { packet_id, is_received: false });
            self.next += 1;
        }
    }

    fn send(&self, link: &mut Link, number: u64, packet_id: PacketId, dup: bool) {
        let topic = format!("d/{}", self.name);
        let payload = format!("{number:<width$}", width = 8 + (number % 37 * 9) as usize);
        let head = PublishHead {
            dup,
            qos: self.qos,
            retain: false,
            topic: &topic,
            packet_id: Some(packet_id),
            properties: ForwardProperties::unaltered(Properties::EMPTY),
            payload_len: payload.len(),
        };
        let version = link.version();
        encode_publish(&mut link.out, version, &head, payload.as_bytes()).unwrap();
    }

    /// Whether the handshake of a message has ended.
    fn acknowledged(&mut self, link: &mut Link, ack: &Ack<'_>) -> Result<bool, String> {
        // The broker had released it before it died; the answer was lost (§4.3.3).
        let is_known_end =
            ack.ack_type == AckType::Pubcomp && ack.reason == ReasonCode::PacketIdentifierNotFound;
        if ack.reason.is_failure() && !is_known_end {
            return Err(format!("{}: refused with {}", self.name, ack.reason));
        }
        let found = self.flights.iter_mut().find(|(_, flight)| flight.packet_id == ack.packet_id);
        let Some((number, flight)) = found else {
            if self.repeated.contains(&ack.packet_id) {
                return Ok(false);
            }
            return Err(format!("{}: {:?} for nothing", self.name, ack.ack_type));
        };
        if ack.ack_type == AckType::Pubrec {
            flight.is_received = true;
            link.acknowledge(AckType::Pubrel, ack.packet_id);
            if self.repeated.contains(&ack.packet_id) {
                link.flush();
                link.acknowledge(AckType::Pubrel, ack.packet_id);
            }
            return Ok(false);
        }
        let number = *number;
        self.flights.remove(&number);
        Ok(true)
    }
}
