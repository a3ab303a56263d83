//! A subscriber with a persistent session that judges what arrives.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lotmq_client::{PacketId, ProtocolVersion, QoS};
use lotmq_codec::{
    Ack, AckType, PacketType, Properties, Publish, RetainHandling, ServerPacket, SubscribeFilter,
    SubscriptionOptions, encode_subscribe,
};
use lotmq_test_support::WAIT_MAX;

use crate::history::{Arrival, History};
use crate::link::{Identity, Link};

/// Messages that the members of a group, or one subscriber alone, have received.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    pub(crate) history: Mutex<History>,
    /// A group shares its messages out, so no member sees an order.
    pub(crate) is_group: bool,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    identity: Identity,
    /// Exactly-once messages that were taken and not released yet.
    unreleased: BTreeSet<PacketId>,
    /// Acknowledgements are sent when so many are due, so that a kill finds some that are not.
    batch: usize,
    due: usize,
}

/// How long to receive.
pub(crate) enum Until<'a> {
    /// Until the broker dies or the flag is set.
    Killed(&'a AtomicBool),
    /// Until all of these have come, given as publisher and number of its next message.
    Complete(&'a [(String, u64)]),
}

impl Receiver {
    pub(crate) fn new(name: &str, version: ProtocolVersion, batch: usize) -> Self {
        let identity = Identity::new(format!("receiver-{name}"), version);
        Self { identity, unreleased: BTreeSet::new(), batch, due: 0 }
    }

    /// Makes the session and its subscription.
    pub(crate) fn subscribe(&mut self, broker: SocketAddr, filter: &str) {
        let mut link = self.identity.connect(broker).unwrap().expect("the broker is up");
        let options = SubscriptionOptions {
            qos: QoS::ExactlyOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let filters = [SubscribeFilter { filter, options }];
        let packet_id = PacketId::new(1).expect("it is not 0");
        let version = link.version();
        encode_subscribe(&mut link.out, version, packet_id, Properties::EMPTY, &filters).unwrap();
        assert!(link.flush());
        let answer = link.receive(WAIT_MAX).expect("SUBACK");
        assert_eq!(answer.packet_type(), PacketType::Suback);
        link.close();
    }

    pub(crate) fn receive(
        &mut self,
        broker: SocketAddr,
        audience: &Audience,
        until: &Until<'_>,
    ) -> Result<(), String> {
        let Some(mut link) = self.identity.connect(broker)? else {
            return match until {
                Until::Killed(_) => Ok(()),
                Until::Complete(_) => Err(format!("{}: cannot connect", self.identity.client_id)),
            };
        };
        self.due = 0;
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let packet = link.poll(Duration::from_millis(20));
            let is_silent = matches!(packet, Ok(None));
            match packet {
                Ok(Some(packet)) => {
                    let decoded = packet.decode().map_err(|error| error.to_string())?;
                    self.take(&mut link, audience, &decoded)?;
                }
                Ok(None) => {}
                Err(_) => break,
            }
            if (is_silent || self.due >= self.batch) && !link.flush() {
                break;
            }
            self.due = if link.out.is_empty() { 0 } else { self.due };
            match until {
                Until::Killed(stop) if stop.load(Ordering::Relaxed) => break,
                Until::Killed(_) => {}
                Until::Complete(wanted) => {
                    let missing = is_silent.then(|| missing(audience, wanted));
                    match missing {
                        Some(None) => break,
                        Some(Some(what)) if Instant::now() > deadline => {
                            return Err(format!("{}: {what} is lost", self.identity.client_id));
                        }
                        _ => {}
                    }
                }
            }
        }
        link.close();
        Ok(())
    }

    fn take(
        &mut self,
        link: &mut Link,
        audience: &Audience,
        packet: &ServerPacket<'_>,
    ) -> Result<(), String> {
        self.due += 1;
        if let ServerPacket::Publish(publish) = packet {
            return self.publish(link, audience, publish);
        }
        let ServerPacket::Ack(Ack { ack_type: AckType::Pubrel, packet_id, .. }) = packet else {
            return Err(format!("{}: unexpected {packet:?}", self.identity.client_id));
        };
        self.unreleased.remove(packet_id);
        link.acknowledge(AckType::Pubcomp, *packet_id);
        Ok(())
    }

    fn publish(&mut self, link: &mut Link, audience: &Audience, publish: &Publish<'_>) -> Result<(), String> {
        let who = &self.identity.client_id;
        let Some(packet_id) = publish.packet_id else { return Err(format!("{who}: a message of QoS 0")) };
        let is_exact = publish.qos == QoS::ExactlyOnce;
        if is_exact && !self.unreleased.insert(packet_id) {
            // The same delivery once more, as it should be after a break.
            link.acknowledge(AckType::Pubrec, packet_id);
            return Ok(());
        }
        let publisher = publish.topic.strip_prefix("d/").unwrap_or(publish.topic);
        let text = String::from_utf8_lossy(publish.payload);
        let number: u64 = text.trim().parse().map_err(|_| format!("{who}: payload {text:?}"))?;
        match audience.history.lock().unwrap().note(publisher, number) {
            Arrival::First => {}
            Arrival::OutOfOrder if audience.is_group => {}
            Arrival::OutOfOrder => {
                return Err(format!("{who}: {publisher} {number} comes after a later one"));
            }
            Arrival::Again if is_exact => {
                return Err(format!("{who}: {publisher} {number} comes twice at QoS 2"));
            }
            Arrival::Again => {}
        }
        link.acknowledge(if is_exact { AckType::Pubrec } else { AckType::Puback }, packet_id);
        Ok(())
    }
}

fn missing(audience: &Audience, wanted: &[(String, u64)]) -> Option<String> {
    let history = audience.history.lock().unwrap();
    wanted.iter().find_map(|(publisher, end)| {
        history.missing(publisher, *end).map(|number| format!("{publisher} {number} of {end}"))
    })
}
