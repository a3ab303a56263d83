//! What a broker must do, in lists: told what the broker reads, asked whether what it wrote was right.
//!
//! It sees whole bytes on the wire, in the broker's order, and shares nothing with session and router but the packets of the codec. Where the
//! standard leaves a choice, the broker's [`Note`]s say how it chose, and the model whether it might.
//!
//! Invariants that it checks: every answer is due and in order; every PUBLISH is the next one that its session must get, with the right flags,
//! identifiers and expiry; identifiers are unique; windows are kept; nothing that could leave waits.

mod compare;
mod lives;
mod packets;
mod rules;
mod sent;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::rc::Rc;

use lotmq_codec::{AckType, ProtocolVersion, QoS, ReasonCode, SubscriptionOptions};
use lotmq_session::Time;

use crate::broker::{ConnectionId, Note};
pub(crate) use rules::filter_matches;

/// `Err` says what is wrong.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// Fails with a sentence unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            return Err(format!($($sentence)+));
        }
    };
}
pub(crate) use ensure;

/// Bytes of link room from which on nothing may be held back: longer than any packet of a simulation.
const ROOM_ENOUGH: usize = 250;

/// A message as it was published.
#[derive(PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    expires_at: Option<Time>,
}

impl Content {
    fn is_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, payload, qos, expires_at } = self;
        let tag = payload.get(..6).unwrap_or(payload);
        write!(formatter, "{topic} {tag:02X?} of QoS {} until {expires_at:?}", qos.bits())
    }
}

/// A QoS 1 or 2 message that a session was to get, in the order of routing.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) content: Rc<Content>,
    pub(crate) qos: QoS,
    /// It found the queue full or expired there.
    pub(crate) is_void: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Puback,
    Pubrec,
    Pubcomp,
}

/// A message on its way to a Client, until it is finished.
#[derive(Debug)]
struct Pending {
    content: Rc<Content>,
    qos: QoS,
    retain: bool,
    identifiers: Vec<u32>,
    /// `None` while it waits.
    packet_id: Option<u16>,
    step: Awaits,
    /// Its PUBLISH or PUBREL went out on this connection.
    is_sent: bool,
    /// Its PUBLISH went out on this connection.
    counts: bool,
    /// Which of the turn's messages for the session it is; `None` later.
    nth: Option<usize>,
    /// Its place in `expected`.
    place: usize,
}

impl Pending {
    /// Whether its PUBLISH must be sent again.
    fn must_repeat(&self) -> bool {
        self.packet_id.is_some() && !self.is_sent && self.step != Awaits::Pubcomp
    }
}

#[derive(Debug, Clone, Copy)]
struct Subscription {
    options: SubscriptionOptions,
    identifier: Option<u32>,
}

#[derive(Debug)]
struct Will {
    content: Rc<Content>,
    retain: bool,
    delay: u32,
    due: Option<Time>,
}

#[derive(Debug)]
struct SessionModel {
    client_id: String,
    connection: Option<ConnectionId>,
    /// Seconds; `u32::MAX` is never.
    expiry: u32,
    left_at: Option<Time>,
    subscriptions: BTreeMap<String, Subscription>,
    /// QoS 2 exchanges from the Client, and whether their PUBLISH came on this connection.
    open: BTreeMap<u16, bool>,
    pending: Vec<Pending>,
    send_maximum: usize,
    will: Option<Will>,
    expected: Vec<Expected>,
    offers: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Connack { session_present: bool },
    Ack { ack_type: AckType, packet_id: u16, reason: ReasonCode },
    Suback { packet_id: u16, codes: Vec<u8> },
    Unsuback { packet_id: u16, codes: Vec<u8> },
    Pingresp,
}

#[derive(Debug)]
struct Plain {
    content: Rc<Content>,
    retain: bool,
    identifiers: Vec<u32>,
}

#[derive(Debug)]
struct ConnectionModel {
    partial: Vec<u8>,
    open: Option<OpenModel>,
    answers: VecDeque<Answer>,
    /// QoS 0 messages of this turn.
    plain: VecDeque<Plain>,
}

#[derive(Debug, Clone, Copy)]
struct OpenModel {
    version: ProtocolVersion,
    session: u64,
    keep_alive: u16,
    last_packet: Time,
}

/// See the module's documentation.
pub(crate) struct Model {
    now: Time,
    connections: BTreeMap<ConnectionId, ConnectionModel>,
    /// Connections that ended in this turn; what was written to them before is still judged.
    closed: BTreeMap<ConnectionId, ConnectionModel>,
    sessions: BTreeMap<u64, SessionModel>,
    next_session: u64,
    retained: BTreeMap<String, Rc<Content>>,
    /// What sessions that are over were to get.
    ended: BTreeMap<u64, Vec<Expected>>,
    /// How the broker chose members of groups, in order.
    chosen: VecDeque<Note>,
    silent: VecDeque<ConnectionId>,
    /// What became of messages of this turn, in order.
    dropped: Vec<Note>,
    /// Connections for which a QoS 0 message was left out.
    skipped: BTreeSet<ConnectionId>,
    /// Which generation of its Client's session a connection got.
    pub(crate) generations: BTreeMap<ConnectionId, u64>,
}

impl Model {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            now,
            connections: BTreeMap::new(),
            closed: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_session: 1,
            retained: BTreeMap::new(),
            ended: BTreeMap::new(),
            chosen: VecDeque::new(),
            silent: VecDeque::new(),
            dropped: Vec::new(),
            skipped: BTreeSet::new(),
            generations: BTreeMap::new(),
        }
    }

    /// Takes the broker's decisions of this turn, before anything else of the turn.
    pub(crate) fn begin_turn(&mut self, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Chose { .. } => self.chosen.push_back(note),
                Note::Silent { connection } => self.silent.push_back(connection),
                Note::Refused { .. } | Note::Expired { .. } => self.dropped.push(note),
            }
        }
    }

    pub(crate) fn accept(&mut self, connection: ConnectionId) {
        let new = ConnectionModel {
            partial: Vec::new(),
            open: None,
            answers: VecDeque::new(),
            plain: VecDeque::new(),
        };
        self.connections.insert(connection, new);
    }

    /// All that a generation of a Client's session was to get.
    pub(crate) fn expected(&self, generation: u64) -> &[Expected] {
        let live = self.sessions.get(&generation).map(|session| &session.expected);
        live.or_else(|| self.ended.get(&generation)).map_or(&[], |expected| expected)
    }

    /// Whether anything is on its way to the session.
    pub(crate) fn has_pending(&self, generation: u64) -> bool {
        self.sessions.get(&generation).is_some_and(|session| !session.pending.is_empty())
    }

    /// Routes a message to everybody who must get it.
    fn route(&mut self, content: &Rc<Content>, retain: bool, source: Option<u64>) -> Checked {
        let sessions: Vec<u64> = self.sessions.keys().copied().collect();
        for number in sessions {
            let session = &self.sessions[&number];
            let matching: Vec<Subscription> = session
                .subscriptions
                .iter()
                .filter(|(filter, _)| {
                    rules::share(filter).is_none() && filter_matches(filter, &content.topic)
                })
                .map(|(_, subscription)| *subscription)
                .filter(|subscription| !(subscription.options.no_local && source == Some(number)))
                .collect();
            let Some(qos) = matching.iter().map(|subscription| subscription.options.qos).max() else {
                continue;
            };
            let as_published = matching.iter().any(|subscription| subscription.options.retain_as_published);
            let identifiers = matching.iter().filter_map(|subscription| subscription.identifier).collect();
            self.deliver(number, content, qos, retain && as_published, identifiers);
        }
        self.route_shared(content, retain)?;
        if retain && content.payload.is_empty() {
            self.retained.remove(&content.topic);
        } else if retain {
            self.retained.insert(content.topic.clone(), Rc::clone(content));
        }
        Ok(())
    }

    /// One member of each group gets it, a connected one if there is one \[MQTT-4.8.2-3\].
    fn route_shared(&mut self, content: &Rc<Content>, retain: bool) -> Checked {
        let mut groups: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for (number, session) in &self.sessions {
            let shared = session.subscriptions.keys().filter_map(|filter| rules::share(filter));
            for (share_name, filter) in shared.filter(|(_, filter)| filter_matches(filter, &content.topic)) {
                groups.entry((share_name.to_owned(), filter.to_owned())).or_default().push(*number);
            }
        }
        while !groups.is_empty() {
            let Some(Note::Chose { share_name, filter, client_id }) = self.chosen.pop_front() else {
                return Err(format!("nobody was chosen of {groups:?}"));
            };
            let Some(members) = groups.remove(&(share_name.clone(), filter.clone())) else {
                return Err(format!("{share_name} {filter} was asked for {:?}", content.topic));
            };
            let is_connected = |number: &u64| self.sessions[number].connection.is_some();
            let is_durable = |number: &u64| self.sessions[number].expiry > 0;
            let connected: Vec<u64> = members.iter().copied().filter(is_connected).collect();
            let durable: Vec<u64> = members.iter().copied().filter(is_durable).collect();
            let may = if connected.is_empty() { durable } else { connected };
            let Some(client_id) = client_id else {
                ensure!(may.is_empty(), "nobody was chosen of {may:?}");
                continue;
            };
            let chosen = may.iter().find(|number| self.sessions[*number].client_id == client_id);
            let Some(&chosen) = chosen else {
                return Err(format!("{client_id} was chosen and not one of {may:?}"));
            };
            let subscription = self.sessions[&chosen].subscriptions[&format!("$share/{share_name}/{filter}")];
            let retain = retain && subscription.options.retain_as_published;
            let identifiers = subscription.identifier.into_iter().collect();
            self.deliver(chosen, content, subscription.options.qos, retain, identifiers);
        }
        Ok(())
    }

    fn deliver(
        &mut self,
        number: u64,
        content: &Rc<Content>,
        granted: QoS,
        retain: bool,
        mut identifiers: Vec<u32>,
    ) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        identifiers.sort_unstable();
        let (content, qos) = (Rc::clone(content), content.qos.min(granted));
        if qos == QoS::AtMostOnce {
            let connection = session.connection.and_then(|connection| self.connections.get_mut(&connection));
            if let Some(connection) = connection {
                connection.plain.push_back(Plain { content, retain, identifiers });
            }
            return;
        }
        let place = session.expected.len();
        session.expected.push(Expected { content: Rc::clone(&content), qos, is_void: false });
        let step = if qos == QoS::ExactlyOnce { Awaits::Pubrec } else { Awaits::Puback };
        session.pending.push(Pending {
            content,
            qos,
            retain,
            identifiers,
            packet_id: None,
            step,
            is_sent: false,
            counts: false,
            nth: Some(session.offers),
            place,
        });
        session.offers += 1;
    }
}
