//! The end of a run: everything arrives, everybody comes back, and what was promised is there.

use std::collections::BTreeMap;
use std::time::Duration;

use lotmq_codec::{ProtocolVersion, QoS, SubscriptionOptions};

use super::World;
use super::acts::{DELAY_MAX, hello_of};
use crate::checked::{Checked, ensure};
use crate::client::{Client, Event, Hello, Method};
use crate::hostile::TOPICS;
use crate::machine::{ConnectionId, Machine};

/// Rounds after which everything under way must have arrived.
const ROUNDS_MAX: usize = 20_000;

/// Seconds within which the broker does what it does by the clock; the first one suffices unless
/// rare branches are taken.
const SECONDS_BY_THE_CLOCK: usize = 3;

/// Number of the Client that looks what is retained.
const OBSERVER: u8 = 199;

impl World {
    /// Lets everything arrive, brings back whoever is away, and checks what all have got.
    pub(crate) fn settle(&mut self) -> Checked {
        self.tell(|| "settling".to_owned());
        self.may_power_go = false;
        if self.has_lost {
            return Ok(());
        }
        if self.choices.chance(50) {
            self.cut_power()?;
        }
        self.disk_fails(None);
        if let Some(id) = self.rude.take().and_then(|rude| rude.connection) {
            self.links.remove(&id);
            self.broker_gets(id, &[]);
        }
        let mut are_delays_over = self.delays.is_none();
        for _ in 0..ROUNDS_MAX {
            self.promises.step(self.time.now_ms());
            self.start_again()?;
            for who in 0..self.clients.len() {
                if self.clients[who].client.connection.is_none() {
                    self.come_back(who)?;
                }
            }
            let is_busy = self.everything_arrives()?;
            if self.has_lost {
                return Ok(());
            }
            if !is_busy && !are_delays_over {
                self.time.pass(DELAY_MAX);
                are_delays_over = true;
            } else if !is_busy {
                self.check_idle()?;
                self.promises.step(self.time.now_ms());
                self.promises.check_settled()?;
                self.check_by_the_clock()?;
                return self.observe();
            }
        }
        Err("it does not settle".to_owned())
    }

    fn come_back(&mut self, who: usize) -> Checked {
        let mut hello = hello_of(&mut self.choices, &mut self.clients[who].client, 0);
        if hello.version == ProtocolVersion::V3_1 {
            hello.version = ProtocolVersion::V5;
        }
        (hello.clean, hello.keep_alive, hello.expiry) = (false, 0, u32::MAX);
        self.connect(who, Some(hello))
    }

    /// Delivers everything that is under way, and lets the broker work. Returns false if there was
    /// nothing.
    fn everything_arrives(&mut self) -> Checked<bool> {
        let busy =
            self.busy(|link| link.up.len() + link.down.len() > 0 || link.down.is_ended || link.up.is_ended);
        let mut is_busy = !busy.is_empty();
        for id in busy {
            let Some(link) = self.links.get_mut(&id) else { continue };
            let (up, down) = (link.up.arrive_all(), link.down.arrive_all());
            self.broker_gets(id, &up);
            if self.links.get(&id).is_some_and(|link| link.up.is_ended && link.down.is_deaf) {
                self.links.remove(&id);
            } else {
                self.client_gets(id, &down)?;
            }
        }
        is_busy |= self.everything_works()?;
        if self.machine.as_ref().is_some_and(Machine::has_failed) {
            // A store that failed tries again after a while.
            self.time.pass(Duration::from_millis(300));
            is_busy = true;
        }
        Ok(is_busy)
    }

    fn everything_works(&mut self) -> Checked<bool> {
        let tasks = self.tasks();
        for task in &tasks {
            self.run(*task)?;
        }
        Ok(!tasks.is_empty())
    }

    fn check_idle(&self) -> Checked {
        for peer in &self.clients {
            let client = &peer.client;
            ensure!(client.is_idle(), "{} is not done: {client:?}", client.id);
        }
        Ok(())
    }

    /// Checks that kept values are on the disk a second later, and that nothing is stored for ended
    /// runs.
    fn check_by_the_clock(&mut self) -> Checked {
        let (mut unsaved, mut left) = (Vec::new(), 0);
        for _ in 0..SECONDS_BY_THE_CLOCK {
            self.time.pass(Duration::from_secs(1));
            self.promises.step(self.time.now_ms());
            self.comes_to_rest()?;
            unsaved = self.promises.kept.unsaved();
            left = self.machine.as_ref().map_or(Ok(0), Machine::durable_left)?;
            if self.has_lost || (unsaved.is_empty() && left == 0) {
                return Ok(());
            }
        }
        ensure!(unsaved.is_empty(), "kept values of {unsaved:?} are not stored");
        Err(format!("{left} messages are stored for runs that have ended"))
    }

    /// Looks what is retained.
    fn observe(&mut self) -> Checked {
        let mut observer = Client::new(OBSERVER, Method::AtPublish);
        let id = self.open_connection();
        let hello = Hello {
            version: ProtocolVersion::V5,
            clean: true,
            expiry: 0,
            keep_alive: 0,
            receive_maximum: 8,
            will: None,
        };
        let connect = observer.connect(id, hello);
        self.put_up(id, &connect);
        let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut is_subscribed = false;
        for _ in 0..ROUNDS_MAX {
            let is_busy = self.observer_hears(&mut observer, id, &mut found)? | self.everything_works()?;
            if is_busy {
                continue;
            }
            ensure!(observer.is_open, "the observer gets no CONNACK");
            if is_subscribed && observer.is_idle() {
                for topic in TOPICS {
                    self.promises.check_retained(topic, found.get(topic).map(Vec::as_slice))?;
                }
                return Ok(());
            }
            ensure!(!is_subscribed, "the observer gets no SUBACK");
            is_subscribed = true;
            let options = SubscriptionOptions { qos: QoS::AtMostOnce, ..SubscriptionOptions::default() };
            let packet = observer.subscribe(&[("#", options)], None);
            self.put_up(id, &packet);
        }
        Err("the observer does not settle".to_owned())
    }

    /// Delivers everything between the observer and the broker. Returns false if there was nothing.
    fn observer_hears(
        &mut self,
        observer: &mut Client,
        id: ConnectionId,
        found: &mut BTreeMap<String, Vec<u8>>,
    ) -> Checked<bool> {
        let Some(link) = self.links.get_mut(&id) else { return Err("the observer was closed".to_owned()) };
        let (up, down) = (link.up.arrive_all(), link.down.arrive_all());
        self.broker_gets(id, &up);
        let heard = observer.receive(&down)?;
        self.put_up(id, &heard.answers);
        for event in heard.events {
            if let Event::Got { got, retain: true, .. } = event {
                found.insert(got.topic, got.payload);
            }
        }
        Ok(!up.is_empty() || !down.is_empty())
    }
}
