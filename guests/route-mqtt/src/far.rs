//! Another broker: its connection, and what is known of the session there.

use lotmq_codec::{QoS, ReasonCode, RetainHandling, SubscribeFilter, SubscriptionOptions};
use lotmq_guest::route::{Failure, Interest, IoError, ambient, failure, net};

use crate::config::{End, FarConfig, Flow};
use crate::echoes::Echoes;
use crate::kept::KeptSession;
use crate::limits::{PIECE_BYTES, RESUBSCRIBE_MS};
use crate::link::{Broken, Link};
use crate::opening::connect;
use crate::repeats::Repeats;
use crate::snapshot::Snapshot;
use crate::topic::{is_shared, matches, unshared};

/// Reads of a connection before others have their turn.
const READS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Far {
    config: FarConfig,
    tcp: net::Tcp,
    pub(crate) link: Link,
    /// Numbers of the flows that come from there, each with its filter and QoS.
    subscriptions: Vec<Subscription>,
    kept: Option<KeptSession>,
    pub(crate) echoes: Echoes,
    repeats: Repeats,
    /// Retained messages of this broker, which are sent there first.
    pub(crate) snapshot: Snapshot,
    /// Whether the last write would have waited.
    is_blocked: bool,
}

#[derive(Debug)]
struct Subscription {
    flow: usize,
    filter: String,
    qos: u8,
    /// Identifier of the SUBSCRIBE that is not answered yet.
    asked: Option<u16>,
    /// When it is tried again, where it was refused.
    again_at: Option<u64>,
}

impl Far {
    /// Connects, and subscribes to what is wanted from there.
    pub(crate) fn open(
        config: &FarConfig,
        flows: &[Flow],
        number: usize,
        is_probe: bool,
    ) -> Result<Far, Failure> {
        let of_flow = |(index, flow): (usize, &Flow)| {
            let filter = flow.filter.clone();
            let is_here = flow.from == End::Far(number) && !is_probe;
            is_here.then_some(Subscription {
                flow: index,
                filter,
                qos: flow.qos.max(1),
                asked: None,
                again_at: None,
            })
        };
        let subscriptions: Vec<Subscription> = flows.iter().enumerate().filter_map(of_flow).collect();
        let mut config = config.clone();
        if is_probe {
            // Not in the place of the one that works.
            config.client_id = format!("probe-{:x}", ambient::random() >> 32);
            config.clean_session = true;
        }
        let (tcp, link, session_present) = connect(&config)?;
        let is_kept = !config.clean_session;
        let kept = is_kept.then(|| KeptSession::of(config.endpoint, &config.client_id));
        let echoes = Echoes::default();
        // A broker that has kept the session has it, or what has become of it since is on its way.
        let snapshot =
            if session_present || is_probe { Snapshot::default() } else { Snapshot::of(flows, number) };
        let repeats = Repeats::new(ambient::monotonic_ms());
        let is_blocked = false;
        let mut far = Far { config, tcp, link, subscriptions, kept, echoes, repeats, snapshot, is_blocked };
        let sends_twos = flows.iter().any(|flow| flow.to == End::Far(number) && flow.qos == 2);
        far.resume(session_present, sends_twos)?;
        far.subscribe()?;
        Ok(far)
    }

    /// Goes on with a session that the broker has kept.
    fn resume(&mut self, session_present: bool, sends_twos: bool) -> Result<(), Failure> {
        let filters = self.filters();
        let Some(kept) = &mut self.kept else { return Ok(()) };
        if session_present {
            let (former, exchanges) = kept.load();
            let left: Vec<&str> =
                former.iter().filter(|it| !filters.contains(it)).map(String::as_str).collect();
            self.link.unsubscribe(&left).map_err(|broken| self.away(broken))?;
            self.link.resume(exchanges, sends_twos);
        }
        if let Some(kept) = &self.kept {
            kept.write(&filters, &self.link.exchanges());
        }
        Ok(())
    }

    fn filters(&self) -> Vec<String> {
        self.subscriptions.iter().map(|subscription| subscription.filter.clone()).collect()
    }

    fn subscribe(&mut self) -> Result<(), Failure> {
        let now = ambient::monotonic_ms();
        for index in 0..self.subscriptions.len() {
            self.subscribe_to(index, now)?;
        }
        Ok(())
    }

    fn subscribe_to(&mut self, index: usize, now: u64) -> Result<(), Failure> {
        let subscription = &mut self.subscriptions[index];
        let options = SubscriptionOptions {
            qos: QoS::from_bits(subscription.qos).unwrap_or_default(),
            // [MQTT-3.8.3-4]
            no_local: !is_shared(&subscription.filter),
            retain_as_published: true,
            retain_handling: if self.kept.is_some() {
                RetainHandling::SendIfNew
            } else {
                RetainHandling::Send
            },
        };
        let filter = SubscribeFilter { filter: &subscription.filter, options };
        let number = u32::try_from(subscription.flow + 1).unwrap_or(u32::MAX);
        let asked = self.link.subscribe(filter, number);
        self.link.ping(now);
        let subscription = &mut self.subscriptions[index];
        match asked {
            Ok(id) => {
                subscription.asked = Some(id);
                subscription.again_at = None;
                Ok(())
            }
            Err(broken) => Err(self.away(broken)),
        }
    }

    /// Notes what became of a subscription; gives the reason for people where it was refused.
    pub(crate) fn subscribed(&mut self, id: u16, code: ReasonCode, now: u64) -> Option<String> {
        let of_packet = |subscription: &&mut Subscription| subscription.asked == Some(id);
        let subscription = self.subscriptions.iter_mut().find(of_packet)?;
        subscription.asked = None;
        if !code.is_failure() {
            return None;
        }
        subscription.again_at = Some(now.saturating_add(RESUBSCRIBE_MS));
        Some(format!(
            "{}: the broker refuses the subscription to '{}': {code}",
            self.config.endpoint, subscription.filter
        ))
    }

    /// Notes a message in either direction. Returns whether it may be in an endless loop, because
    /// it passes again and again without the bridge property.
    pub(crate) fn repeats(&mut self, fingerprint: impl FnOnce() -> u64, now: u64) -> bool {
        !self.link.is_v5() && self.repeats.passes(fingerprint(), now)
    }

    /// Whether what is published to a topic comes back by an own subscription.
    pub(crate) fn sends_back(&self, topic: &str) -> bool {
        self.link.echoes() && self.subscriptions.iter().any(|it| matches(unshared(&it.filter), topic))
    }

    /// Reads what has come, if the link has nothing left; whether that was anything.
    pub(crate) fn read(&mut self, now: u64) -> Result<bool, Failure> {
        let mut has_come = false;
        for _ in 0..READS_MAX {
            match self.tcp.read(u32::try_from(PIECE_BYTES).unwrap_or(u32::MAX)) {
                Ok(bytes) if bytes.is_empty() => {
                    return Err(self.away(Broken("it has ended the connection".to_owned())));
                }
                Ok(bytes) => {
                    self.link.receive(&bytes, now);
                    has_come = true;
                }
                Err(IoError::WouldBlock) => break,
                Err(error) => return Err(failure(&error)),
            }
        }
        Ok(has_come)
    }

    /// Stores the lasting part of the session, then sends all that can be sent now. Returns whether
    /// it sent anything.
    pub(crate) fn flush(&mut self, now: u64) -> Result<bool, Failure> {
        self.keep();
        let mut has_gone = false;
        self.is_blocked = false;
        while !self.link.output().is_empty() {
            match self.tcp.write(self.link.output()) {
                Ok(written) => {
                    self.link.was_sent(written as usize, now);
                    has_gone = true;
                }
                Err(IoError::WouldBlock) => {
                    self.is_blocked = true;
                    break;
                }
                Err(error) => return Err(failure(&error)),
            }
        }
        Ok(has_gone)
    }

    pub(crate) fn readable(&self) -> Interest<'_> {
        Interest::Readable(&self.tcp)
    }

    pub(crate) fn writable(&self) -> Option<Interest<'_>> {
        self.is_blocked.then_some(Interest::Writable(&self.tcp))
    }

    /// Keeps what of the session must last.
    fn keep(&mut self) {
        if self.kept.is_none() {
            return;
        }
        let Some(exchanges) = self.link.changed_exchanges() else { return };
        let filters = self.filters();
        if let Some(kept) = &mut self.kept {
            kept.save(&filters, exchanges);
        }
    }

    /// Does what is due; gives when to ask again.
    pub(crate) fn tick(&mut self, now: u64, patience_ms: u64) -> Result<u64, Failure> {
        let is_due = |subscription: &Subscription| subscription.again_at.is_some_and(|at| at <= now);
        for index in 0..self.subscriptions.len() {
            if is_due(&self.subscriptions[index]) {
                self.subscribe_to(index, now)?;
            }
        }
        let again_at = self.subscriptions.iter().filter_map(|it| it.again_at).min().unwrap_or(u64::MAX);
        let next = self.link.tick(now, patience_ms).map_err(|broken| self.away(broken))?;
        Ok(next.min(again_at))
    }

    /// Reason for people after a ping without answer in time. Without room in the inbox, an answer
    /// cannot be read.
    pub(crate) fn unanswered(&self, within_ms: u64, has_room: bool) -> String {
        let endpoint = self.config.endpoint;
        match has_room {
            true => format!("{endpoint}: it is connected, and has not answered for {} s", within_ms / 1000),
            false => {
                format!("{endpoint}: what it has sent waits to be stored here, and its answer behind that")
            }
        }
    }

    /// The failure of a connection that cannot go on.
    pub(crate) fn away(&self, Broken(reason): Broken) -> Failure {
        Failure::Reconnect(format!("{}: {reason}", self.config.endpoint))
    }

    /// The failure of a connection that the broker ends.
    pub(crate) fn ended(&self, reason: ReasonCode) -> Failure {
        let id = &self.config.client_id;
        match reason {
            ReasonCode::SessionTakenOver => self
                .away(Broken(format!("another client has connected as '{id}': CLIENT_ID must be its own"))),
            _ => self.away(Broken(format!("the broker ends the connection: {reason}"))),
        }
    }

    pub(crate) fn close(&mut self) {
        self.link.disconnect();
        // A failed DISCONNECT does not matter.
        let _ = self.flush(ambient::monotonic_ms());
    }
}
