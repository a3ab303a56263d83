//! A Client that asks for the same again before the first answer has come: an answer that says
//! "nothing to do" promises what was done before.
//!
//! Subscriptions and retained messages are turned on and off several times in quick succession,
//! each packet in a turn of its own where that can be, and now and then another connection takes
//! the session over in between.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, PacketId, ProtocolVersion, QoS};
use lotmq_codec::{
    Ack, AckType, ForwardProperties, Properties, PublishHead, RetainHandling, ServerPacket, SubscribeFilter,
    SubscriptionOptions, encode_publish, encode_subscribe, encode_unsubscribe,
};
use lotmq_test_support::WAIT_MAX;

use crate::link::{Identity, Link};
use crate::random::Random;
use crate::sounding::Sounding;

/// Things of each kind.
const THINGS: u64 = 4;

/// A subscription or a retained message.
#[derive(Debug, Default)]
struct Thing {
    /// Whether it is there, as acknowledged last.
    is_on: bool,
    /// Requests since then, with the identifiers of their packets. An acknowledgement also settles
    /// the requests before it.
    open: Vec<(PacketId, bool)>,
}

impl Thing {
    fn acknowledged(&mut self, packet_id: PacketId) -> bool {
        let Some(at) = self.open.iter().position(|(known, _)| *known == packet_id) else { return false };
        self.is_on = self.open[at].1;
        self.open.drain(..=at);
        true
    }
}

#[derive(Debug)]
pub(crate) struct Doubter {
    name: String,
    identity: Identity,
    random: Random,
    /// By filter or topic.
    things: BTreeMap<String, Thing>,
    next_packet_id: u16,
}

impl Doubter {
    pub(crate) fn new(number: usize, random: Random) -> Self {
        let version = if number.is_multiple_of(2) { ProtocolVersion::V5 } else { ProtocolVersion::V3_1_1 };
        let identity = Identity::new(format!("doubter-{number}"), version);
        Self { name: number.to_string(), identity, random, things: BTreeMap::new(), next_packet_id: 0 }
    }

    /// Makes the session, with a subscription that stays.
    pub(crate) fn prepare(&mut self, broker: SocketAddr) {
        let end = self.end();
        self.identity.settle(broker, &end);
    }

    fn end(&self) -> String {
        format!("q/{}/end", self.name)
    }

    /// Works until the broker dies or the flag is set; counts what is acknowledged.
    pub(crate) fn work(
        &mut self,
        broker: SocketAddr,
        stop: &AtomicBool,
        count: &AtomicU64,
    ) -> Result<(), String> {
        let Some(mut link) = self.identity.connect(broker)? else { return Ok(()) };
        while !stop.load(Ordering::Relaxed) {
            let number = self.random.below(THINGS);
            let kind = if self.random.below(2) == 0 { "q" } else { "rr" };
            let name = format!("{kind}/{}/{number}", self.name);
            let mut is_on = self.random.below(2) == 0;
            for _ in 0..2 + self.random.below(3) {
                // As often the same again as the opposite.
                is_on ^= self.random.below(2) == 0;
                self.ask(&mut link, &name, is_on);
                if !link.flush() {
                    return Ok(());
                }
                let pause = Duration::from_micros(self.random.below(300));
                let began = Instant::now();
                // A sleep would be much longer than the broker's turn.
                while began.elapsed() < pause {
                    std::hint::spin_loop();
                }
            }
            if self.random.below(8) == 0 {
                // The answers are lost with the old connection.
                let taken_over = std::mem::replace(
                    &mut link,
                    match self.identity.connect(broker)? {
                        Some(link) => link,
                        None => return Ok(()),
                    },
                );
                taken_over.close();
                continue;
            }
            if !self.collect(&mut link, &name, stop, count)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Asks for a thing to be there, or not.
    fn ask(&mut self, link: &mut Link, name: &str, is_on: bool) {
        self.next_packet_id = self.next_packet_id % 60_000 + 1;
        let packet_id = PacketId::new(self.next_packet_id).expect("it is at least 1");
        let version = link.version();
        if name.starts_with("rr") {
            let payload: &[u8] = if is_on { b"there" } else { b"" };
            let head = PublishHead {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: true,
                topic: name,
                packet_id: Some(packet_id),
                properties: ForwardProperties::unaltered(Properties::EMPTY),
                payload_len: payload.len(),
            };
            encode_publish(&mut link.out, version, &head, payload).unwrap();
        } else if is_on {
            let options = SubscriptionOptions {
                qos: QoS::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Send,
            };
            let filters = [SubscribeFilter { filter: name, options }];
            encode_subscribe(&mut link.out, version, packet_id, Properties::EMPTY, &filters).unwrap();
        } else {
            encode_unsubscribe(&mut link.out, version, packet_id, Properties::EMPTY, &[name]).unwrap();
        }
        self.things.entry(name.to_owned()).or_default().open.push((packet_id, is_on));
    }

    /// Takes answers until nothing of the thing is open. False when the broker is gone.
    fn collect(
        &mut self,
        link: &mut Link,
        name: &str,
        stop: &AtomicBool,
        count: &AtomicU64,
    ) -> Result<bool, String> {
        let deadline = Instant::now() + WAIT_MAX;
        while !self.things[name].open.is_empty() {
            let Ok(packet) = link.poll(Duration::from_millis(50)) else { return Ok(false) };
            let Some(packet) = packet else {
                if stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                if Instant::now() > deadline {
                    return Err(format!("{}: no answer about {name}", self.identity.client_id));
                }
                continue;
            };
            let packet_id = match packet.decode().map_err(|error| error.to_string())? {
                ServerPacket::Suback(suback) => suback.packet_id,
                ServerPacket::Unsuback(unsuback) => unsuback.packet_id,
                ServerPacket::Ack(Ack { ack_type: AckType::Puback, packet_id, reason, .. })
                    if !reason.is_failure() =>
                {
                    packet_id
                }
                // Messages that earlier checks have sent.
                ServerPacket::Publish(publish) => {
                    if let Some(packet_id) = publish.packet_id {
                        link.acknowledge(AckType::Puback, packet_id);
                        link.flush();
                    }
                    continue;
                }
                other @ (ServerPacket::Connack(_)
                | ServerPacket::Ack(_)
                | ServerPacket::Pingresp
                | ServerPacket::Disconnect(_)
                | ServerPacket::Auth(_)) => {
                    return Err(format!("{}: unexpected {other:?}", self.identity.client_id));
                }
            };
            let is_about = self.things.values_mut().any(|thing| thing.acknowledged(packet_id));
            count.fetch_add(u64::from(is_about), Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Compares what the broker has with what it acknowledged.
    pub(crate) fn verify(&mut self, broker: SocketAddr) -> Result<(), String> {
        let failed =
            |error: lotmq_client::ClientError| format!("the broker fails while things are tried: {error}");
        let found = self.found(broker).map_err(failed)?;
        let who = &self.identity.client_id;
        for (name, thing) in &mut self.things {
            let is_on = found.contains(name);
            if is_on != thing.is_on && !thing.open.iter().any(|(_, asked)| *asked == is_on) {
                return Err(format!("{who}: {name} is {is_on}, and {thing:?} was promised"));
            }
            *thing = Thing { is_on, open: Vec::new() };
        }
        Ok(())
    }

    /// Everything that is there, by name.
    fn found(&mut self, broker: SocketAddr) -> Result<Vec<String>, lotmq_client::ClientError> {
        let mut session = Client::connect(broker, &self.identity.options())?;
        let mut checker = Client::connect(broker, &ConnectOptions::new(format!("checker-{}", self.name)))?;
        let mut found = Vec::new();
        let end = self.end();
        let sounding = Sounding::new(&end, &mut self.random);
        checker.subscribe_to(&format!("rr/{}/+", self.name), QoS::AtLeastOnce)?;
        checker.subscribe_to(&end, QoS::AtLeastOnce)?;
        let filters = self.things.keys().map(String::as_str).filter(|name| name.starts_with('q'));
        sounding.publish(&mut checker, filters)?;
        // Retained messages come before the mark.
        while let Some(message) = checker.receive(WAIT_MAX)?
            && !sounding.is_mark(&message)
        {
            found.push(message.topic);
        }
        found.extend(sounding.collect(&mut session)?);
        checker.disconnect()?;
        session.abort();
        Ok(found)
    }
}
