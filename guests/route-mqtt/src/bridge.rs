//! Work of the bridge: moves messages between the host and the links. A message is done when its
//! receiver has acknowledged it.

use std::borrow::Cow;

use lotmq_codec::ReasonCode;
use lotmq_guest::route::{
    AddresseeRef, Arrival, DeliveryRef, Failure, Interest, ambient, diagnostics, ingest, metrics, net,
};

use crate::closes::Closes;
use crate::config::{Config, End, FarConfig, Flow};
use crate::far::Far;
use crate::hops::{BridgeId, FarId, Loop, Way};
use crate::inbox::{Forward, Inbox, Origin};
use crate::kept;
use crate::limits::{PASSED_CHARS_MAX, PROBE_MS, REPEATS_TOLD, RETAINED_PAGES_AT_ONCE, STORE_AGAIN_MS};
use crate::link::{Event, Inbound, Owner, Unsendable};
use crate::message::Passing;
use crate::numbers::ByNumber;
use crate::topic::{rewritten, unshared};

/// State of a delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stand {
    UnderWay,
    Done,
    Refused(ReasonCode),
}

pub(crate) struct Bridge {
    pub(crate) config: Config,
    /// Way of each flow.
    ways: Vec<Way>,
    /// Messages that have gone in circles, or too far.
    stopped: u64,
    pub(crate) fars: Vec<Far>,
    inbox: Inbox,
    /// Deliveries that were sent, by sequence number, until the host knows what became of them.
    pub(crate) sent: ByNumber<u64, Stand>,
    /// When to publish again what could not be stored.
    store_at: u64,
    pub(crate) closes: Closes,
    /// Failure that the host does not know of yet.
    pub(crate) failed: Option<Failure>,
}

impl Bridge {
    pub(crate) fn open(config: Config) -> Result<Bridge, Failure> {
        let open = |(number, far)| Far::open(far, &config.flows, number, config.is_probe);
        let fars = config.fars.iter().enumerate().map(open).collect::<Result<Vec<Far>, _>>()?;
        let closes = Closes::load(config.fars.iter().map(|far| &*far.place));
        Ok(Bridge {
            ways: ways(&config, &fars),
            config,
            stopped: 0,
            fars,
            inbox: Inbox::default(),
            sent: ByNumber::default(),
            store_at: 0,
            closes,
            failed: None,
        })
    }

    /// Does all that can be done without waiting; whether that was anything.
    pub(crate) fn work(&mut self) -> Result<bool, Failure> {
        let now = ambient::monotonic_ms();
        let mut has_worked = self.flush(now)?;
        for number in 0..self.fars.len() {
            has_worked |= self.take_from(number, now)?;
        }
        has_worked |= self.publish(now)?;
        for number in 0..self.fars.len() {
            has_worked |= self.send_retained(number, now);
        }
        has_worked |= self.forward(now)?;
        Ok(self.flush(ambient::monotonic_ms())? || has_worked)
    }

    fn flush(&mut self, now: u64) -> Result<bool, Failure> {
        let mut has_gone = false;
        for far in &mut self.fars {
            has_gone |= far.flush(now)?;
        }
        Ok(has_gone)
    }

    /// Waits until there is something to do, at most for so long; whether the host has work.
    pub(crate) fn wait(&mut self, most_ms: u64, also_host: bool) -> Result<bool, Failure> {
        let now = ambient::monotonic_ms();
        let mut until = now.saturating_add(most_ms);
        for far in &mut self.fars {
            until = until.min(far.tick(now, self.config.patience_ms)?);
        }
        if self.store_at > now {
            until = until.min(self.store_at);
        }
        // A sign of life that is due goes at once.
        self.flush(now)?;
        let mut interests = Vec::new();
        if also_host {
            interests.push(Interest::HostWork);
        }
        for far in &self.fars {
            if self.inbox.has_room() {
                interests.push(far.readable());
            }
            interests.extend(far.writable());
        }
        let wait_ms = u32::try_from(until.saturating_sub(now)).unwrap_or(u32::MAX);
        let ready = net::wait(&interests, wait_ms);
        Ok(also_host && ready.contains(&0))
    }

    /// Pings the other brokers over the open connections, because a frozen broker keeps its
    /// connection.
    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        let began = ambient::monotonic_ms();
        self.fars.iter_mut().for_each(|far| far.link.ping(began));
        loop {
            let has_worked = self.work()?;
            let Some(silent) = self.fars.iter().find(|far| far.link.awaits_pong()) else { return Ok(()) };
            let left = PROBE_MS.saturating_sub(ambient::monotonic_ms().saturating_sub(began));
            if left == 0 {
                return Err(Failure::Retry(silent.unanswered(PROBE_MS, self.inbox.has_room())));
            }
            self.wait(if has_worked { 0 } else { left }, false)?;
        }
    }

    /// Takes what another broker has sent, as far as there is room.
    fn take_from(&mut self, number: usize, now: u64) -> Result<bool, Failure> {
        let mut has_come = self.events(number, now)?;
        if self.inbox.has_room() && self.fars[number].read(now)? {
            has_come = true;
            self.events(number, now)?;
        }
        Ok(has_come)
    }

    /// Handles what was received; whether that was anything.
    fn events(&mut self, number: usize, now: u64) -> Result<bool, Failure> {
        let mut has_come = false;
        while self.inbox.has_room() {
            let far = &mut self.fars[number];
            let event = far.link.next_event().map_err(|broken| far.away(broken))?;
            let Some(event) = event else { break };
            has_come = true;
            self.handle(number, event, now)?;
        }
        Ok(has_come)
    }

    fn handle(&mut self, number: usize, event: Event, now: u64) -> Result<(), Failure> {
        let far = &mut self.fars[number];
        match event {
            Event::Message(inbound) => self.arrived(number, inbound, now),
            Event::Settled { owner, refusal } => self.settled(owner, refusal)?,
            Event::Subscribed { id, code } => {
                if let Some(reason) = far.subscribed(id, code, now) {
                    report("BRIDGE_SUBSCRIPTION", &reason);
                }
            }
            Event::TooLarge { topic, bytes, receipt } => {
                report("BRIDGE_TOO_LARGE", &format!("a message of {bytes} bytes on '{topic}' was left out"));
                if let Some(receipt) = receipt {
                    far.link.acknowledge(receipt);
                }
            }
            Event::Alive | Event::Connected(_) => {}
            Event::Ended(reason) | Event::Refused(reason) => return Err(far.ended(reason)),
        }
        Ok(())
    }

    /// Sends a message on by all flows that it came by.
    fn arrived(&mut self, number: usize, inbound: Inbound, now: u64) {
        let Inbound { message, subscriptions, receipt } = inbound;
        let fingerprint = message.fingerprint(0);
        let is_echo = !message.retain && self.fars[number].echoes.takes(fingerprint, now);
        if !is_echo && self.fars[number].repeats(|| fingerprint, now) {
            tell_repeated(&message.topic);
        }
        let is_of = |(index, flow): &(usize, &Flow)| {
            let is_named = subscriptions.is_empty() || subscriptions.contains(&(*index as u32 + 1));
            flow.from == End::Far(number) && is_named && !is_echo
        };
        let flows = self.config.flows.iter().enumerate().filter(is_of);
        let ways = flows.map(|(index, flow)| (flow, &self.ways[index]));
        let copies: Vec<(End, Passing<'_>)> =
            ways.filter_map(|way| Some((way.0.to, passed_on(way, &message, &mut self.stopped)?))).collect();
        let origin = Origin::Far(number, receipt);
        if copies.is_empty() {
            return self.told(origin, None);
        }
        let token = self.inbox.open(origin, copies.len());
        for (to, message) in copies {
            match to {
                End::Own => self.inbox.publish(token, message),
                End::Far(to) => self.inbox.forward(Forward { token, to, message: message.into_owned() }),
            }
        }
    }

    /// Begins with a delivery of the host; `None` where there is no room for it now.
    pub(crate) fn send(
        &mut self,
        sequence: u64,
        to: End,
        message: Passing<'_>,
        received_ms: i64,
    ) -> Result<bool, Failure> {
        let End::Far(number) = to else {
            if !self.inbox.has_room() {
                return Ok(false);
            }
            let token = self.inbox.open(Origin::Delivery(sequence), 1);
            self.inbox.publish(token, message);
            self.sent.insert(sequence, Stand::UnderWay);
            return Ok(true);
        };
        if self.fars[number].snapshot.first().is_some() {
            return Ok(false);
        }
        let is_expected = self.fars[number].sends_back(&message.topic);
        let far = &mut self.fars[number];
        match far.link.publish(&message, Owner::Delivery(sequence), || message.fingerprint(received_ms)) {
            Ok(id) => {
                if is_expected {
                    far.echoes.expect(message.fingerprint(0), ambient::monotonic_ms());
                }
                if far.repeats(|| message.fingerprint(0), ambient::monotonic_ms()) {
                    tell_repeated(&message.topic);
                }
                let stand = if id.is_some() { Stand::UnderWay } else { Stand::Done };
                self.sent.insert(sequence, stand);
                Ok(true)
            }
            Err(Unsendable::NoRoom) => Ok(false),
            Err(Unsendable::Never(reason)) => Err(Failure::Reject(reason)),
        }
    }

    /// Sends what is retained here, as far as the other broker takes it; whether that was anything.
    fn send_retained(&mut self, number: usize, now: u64) -> bool {
        let (mut has_gone, mut pages) = (false, 0);
        while self.fars[number].link.has_room() {
            let far = &mut self.fars[number];
            let Some(message) = far.snapshot.first() else {
                let (flows, ways, stopped) = (&self.config.flows, &self.ways, &mut self.stopped);
                pages += 1;
                if !far
                    .snapshot
                    .read(flows, |index, message| passed_on((&flows[index], &ways[index]), message, stopped))
                {
                    return has_gone;
                }
                if pages == RETAINED_PAGES_AT_ONCE {
                    return true;
                }
                continue;
            };
            let is_expected = far.sends_back(&message.topic);
            match far.link.publish(message, Owner::Retained, || message.fingerprint(0)) {
                Ok(_) if is_expected => far.echoes.expect(message.fingerprint(0), now),
                Ok(_) => {}
                Err(Unsendable::NoRoom) => return has_gone,
                Err(Unsendable::Never(reason)) => {
                    report("BRIDGE_REFUSED", &format!("cannot send to '{}': {reason}", message.topic));
                }
            }
            self.fars[number].snapshot.sent();
            has_gone = true;
        }
        has_gone
    }

    /// Publishes what has arrived for this broker.
    fn publish(&mut self, now: u64) -> Result<bool, Failure> {
        if self.inbox.arrivals().is_empty() || now < self.store_at {
            return Ok(false);
        }
        match ingest::publish(self.inbox.arrivals()) {
            Ok(()) => {
                for (token, _) in self.inbox.take_arrivals() {
                    self.done(token);
                }
                Ok(true)
            }
            Err(ingest::IngestError::NotAllowed) => self.publish_each(),
            Err(ingest::IngestError::NotStored) => {
                self.store_at = now.saturating_add(STORE_AGAIN_MS);
                Ok(false)
            }
            Err(ingest::IngestError::Closed) => Err(Failure::Reconnect("the broker ends".to_owned())),
        }
    }

    /// Publishes one message after the other, because one of them is not allowed.
    fn publish_each(&mut self) -> Result<bool, Failure> {
        for (token, arrival) in self.inbox.take_arrivals() {
            match ingest::publish(std::slice::from_ref(&arrival)) {
                Ok(()) => self.done(token),
                Err(ingest::IngestError::NotAllowed) => self.refused(token, &arrival),
                // All from here on come again: the other broker has no acknowledgement of them.
                Err(error) => return Err(Failure::Reconnect(format!("cannot publish: {}", error.name()))),
            }
        }
        Ok(true)
    }

    fn refused(&mut self, token: u64, arrival: &Arrival) {
        report("BRIDGE_REFUSED", &format!("cannot publish to '{}': not allowed", arrival.topic));
        if let Some(origin) = self.inbox.give_up(token) {
            self.told(origin, Some(ReasonCode::NotAuthorized));
        }
    }

    /// Sends what waits for other brokers, as far as they take it.
    fn forward(&mut self, now: u64) -> Result<bool, Failure> {
        let mut has_gone = false;
        while let Some(Forward { token, to, message }) = self.inbox.first_forward() {
            let (token, to) = (*token, *to);
            let is_expected = self.fars[to].sends_back(&message.topic);
            let far = &mut self.fars[to];
            match far.link.publish(message, Owner::Forward(token), || message.fingerprint(0)) {
                Ok(id) => {
                    if is_expected {
                        far.echoes.expect(message.fingerprint(0), now);
                    }
                    if far.repeats(|| message.fingerprint(0), now) {
                        tell_repeated(&message.topic);
                    }
                    self.inbox.take_forward();
                    if id.is_none() {
                        self.done(token);
                    }
                }
                Err(Unsendable::NoRoom) => break,
                Err(Unsendable::Never(reason)) => {
                    report("BRIDGE_REFUSED", &format!("cannot send to '{}': {reason}", message.topic));
                    self.inbox.take_forward();
                    self.done(token);
                }
            }
            has_gone = true;
        }
        Ok(has_gone)
    }

    /// Another broker has acknowledged a message, or refused it.
    fn settled(&mut self, owner: Owner, refusal: Option<ReasonCode>) -> Result<(), Failure> {
        if let Owner::Delivery(sequence) = owner {
            self.told(Origin::Delivery(sequence), refusal);
            return Ok(());
        }
        match refusal.map(crate::failures::of_publish) {
            None => {}
            Some(Failure::Reject(reason)) => report("BRIDGE_REFUSED", &reason),
            // It comes again from where it is not acknowledged.
            Some(Failure::Retry(reason) | Failure::Reconnect(reason) | Failure::Fatal(reason)) => {
                return Err(Failure::Reconnect(reason));
            }
        }
        if let Owner::Forward(token) = owner {
            self.done(token);
        }
        Ok(())
    }

    /// Number of the broker that a delivery goes to.
    pub(crate) fn far_of(&self, delivery: &DeliveryRef<'_>) -> Option<usize> {
        let AddresseeRef::Mapping(mapping) = delivery.to else { return None };
        match self.config.flows[self.config.of_delivery(mapping)?].to {
            End::Far(number) => Some(number),
            End::Own => None,
        }
    }

    /// Whether other brokers have not acknowledged something besides this delivery.
    pub(crate) fn has_others(&self, sequence: u64) -> bool {
        self.owners().any(|owner| owner != Owner::Delivery(sequence))
    }

    /// Whether the delivery is all that other brokers have not acknowledged.
    pub(crate) fn has_only(&self, sequence: u64) -> bool {
        self.owners().next().is_some() && !self.has_others(sequence)
    }

    fn owners(&self) -> impl Iterator<Item = Owner> {
        self.fars.iter().flat_map(|far| far.link.owners())
    }

    fn done(&mut self, token: u64) {
        if let Some(origin) = self.inbox.done(token) {
            self.told(origin, None);
        }
    }

    /// Tells where a message came from that it is done, or refused.
    fn told(&mut self, origin: Origin, refusal: Option<ReasonCode>) {
        match (origin, refusal) {
            (Origin::Far(_, None), _) => {}
            (Origin::Far(number, Some(receipt)), None) => self.fars[number].link.acknowledge(receipt),
            (Origin::Far(number, Some(receipt)), Some(reason)) => {
                self.fars[number].link.refuse(receipt, reason)
            }
            (Origin::Delivery(sequence), refusal) => {
                if let Some(stand) = self.sent.get_mut(&sequence) {
                    *stand = refusal.map_or(Stand::Done, Stand::Refused);
                }
            }
        }
    }

    /// Returns a message of this broker as the flow with this number passes it on; `None` if it
    /// stops here.
    pub(crate) fn passed_on<'a>(&mut self, flow: usize, message: &'a Passing<'_>) -> Option<Passing<'a>> {
        passed_on((&self.config.flows[flow], &self.ways[flow]), message, &mut self.stopped)
    }
}

/// Ways of the flows, in their order.
fn ways(config: &Config, fars: &[Far]) -> Vec<Way> {
    let bridge = BridgeId::new(&config.route, &kept::name(), &config.broker);
    let of_far = |(config, far): (&FarConfig, &Far)| bridge.far(&config.place, far.link.is_v5());
    let ids: Vec<FarId> = config.fars.iter().zip(fars).map(of_far).collect();
    let id = |end| match end {
        End::Own => None,
        End::Far(number) => ids.get(number),
    };
    config.flows.iter().map(|flow| bridge.way(id(flow.from), id(flow.to))).collect()
}

/// Returns a message as a flow passes it on; `None` if the flow does not take it or it has looped.
/// `stopped` counts the stopped loops.
fn passed_on<'a>(
    (flow, way): (&Flow, &Way),
    message: &'a Passing<'_>,
    stopped: &mut u64,
) -> Option<Passing<'a>> {
    let topic = rewritten(unshared(&flow.filter), &message.topic, &flow.topic)?;
    let (properties, bridges) = match way.pass(&message.properties) {
        Ok(passed) => passed,
        Err(why) => {
            let metric = match &why {
                Loop::Own => "bridge_loops",
                Loop::Long(_) => "bridge_hops_exceeded",
            };
            // Metrics at their limit lose the count, which is harmless.
            let _ = metrics::add(metric, 1);
            if let Loop::Long(passed) = why {
                *stopped += 1;
                tell_stopped(*stopped, &message.topic, &passed);
            }
            return None;
        }
    };
    Some(Passing {
        topic,
        payload: Cow::Borrowed(&message.payload),
        qos: message.qos.min(flow.qos),
        retain: flow.retain.unwrap_or(message.retain),
        properties,
        bridges: Some(bridges),
    })
}

/// Tells that a message goes no further, at the first, second, fourth … time.
fn tell_stopped(stopped: u64, topic: &str, passed: &str) {
    if stopped.is_power_of_two() {
        let passed: String = passed.chars().take(PASSED_CHARS_MAX).collect();
        report(
            "BRIDGE_CIRCLE",
            &format!("a message on '{topic}' goes no further, {stopped} so far: it has passed {passed}"),
        );
    }
}

/// Tells that a message may be going in a circle that nothing ends.
fn tell_repeated(topic: &str) {
    report(
        "BRIDGE_REPEATS",
        &format!(
            "the same message on '{topic}' has passed {REPEATS_TOLD} times within a minute, on a way without properties: unless a device sends it as often, it goes in a circle over other brokers, which nothing ends before MQTT 5.0"
        ),
    );
}

fn report(code: &str, reason: &str) {
    diagnostics::report(diagnostics::Severity::Error, code, reason, 0, 0);
}
