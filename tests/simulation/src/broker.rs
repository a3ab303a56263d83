//! The least glue that makes a broker of codec, session and router: it takes bytes and time, and gives bytes.
//!
//! It follows `broker/server`: a turn handles every whole packet that has come, collects what each session gets, and delivers at its end.
//! What the server adds for speed (arena, route cache, packets sent on in place) and for durability (tickets) is not here; a restart finds
//! what durable sessions export.
//!
//! It also notes the decisions that a model cannot know: which member of a group was chosen, what found a queue full, what had expired.

mod delivery;
mod lives;
mod packets;
mod routing;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use lotmq_codec::{ProtocolVersion, QoS};
use lotmq_router::{RetainedIndex, SubscriptionIndex};
use lotmq_session::{KeepAlive, Session, SessionExpiry, Time, TimerHandle, TimerWheel, WillState};

use self::routing::Subscriber;
use crate::fault::Fault;

/// Receive Maximum that the broker announces.
pub(crate) const RECEIVE_MAXIMUM: u16 = 5;
/// Window of a Client that cannot name one.
pub(crate) const SEND_MAXIMUM_3_1_1: u16 = 3;
/// Most messages that wait for a session.
pub(crate) const QUEUE_MESSAGES_MAX: u32 = 10;
/// Precision of Keep Alive.
pub(crate) const TICK: Duration = Duration::from_millis(1000);

/// Names a connection; never used again.
pub(crate) type ConnectionId = u32;

/// A decision of the broker's that the standard leaves open, in the order of deciding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// Which member of a group got the message that was just routed; `None` for nobody.
    Chose { share_name: String, filter: String, client_id: Option<String> },
    /// The n-th QoS 1 or 2 message that this session got in this turn found `queued` others waiting.
    Refused { client_id: String, nth: usize, queued: u32 },
    /// The session's next waiting message had expired.
    Expired { client_id: String },
    /// This Client was silent for too long.
    Silent { connection: ConnectionId },
}

/// A message as the broker keeps it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: Rc<str>,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
    pub(crate) expires_at: Option<Time>,
}

impl Message {
    fn is_expired(&self, now: Time) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A message for one session.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) message: Rc<Message>,
    pub(crate) retain: bool,
    pub(crate) identifiers: Vec<u32>,
}

/// What a session gets at the end of the turn.
enum Item {
    Control(Vec<u8>),
    Drain,
    /// `nth` of the turn's QoS 1 and 2 messages for this session, from 0.
    Message {
        qos: QoS,
        outgoing: Outgoing,
        nth: usize,
    },
}

struct Connection {
    partial: Vec<u8>,
    /// What it speaks and its session, once CONNECT was accepted.
    open: Option<Open>,
    output: Vec<u8>,
    /// Bytes that the link takes.
    room: usize,
}

struct Open {
    version: ProtocolVersion,
    session: u64,
    keep_alive: KeepAlive,
    timer: Option<TimerHandle>,
}

/// A session with what the server keeps beside it.
pub(crate) struct Member {
    pub(crate) client_id: Rc<str>,
    pub(crate) session: Session<Outgoing>,
    pub(crate) filters: BTreeSet<String>,
    connection: Option<ConnectionId>,
    will: WillState<Rc<Message>>,
    expiry: SessionExpiry,
    left_at: Option<Time>,
}

/// See the module's documentation.
pub(crate) struct Broker {
    now: Time,
    fault: Option<Fault>,
    connections: BTreeMap<ConnectionId, Connection>,
    members: BTreeMap<u64, Member>,
    by_client: BTreeMap<Rc<str>, u64>,
    next_session: u64,
    index: SubscriptionIndex<u64, Subscriber>,
    retained: RetainedIndex<Rc<Message>>,
    timers: TimerWheel<ConnectionId>,
    /// When a Will or an expiry is due, of sessions without connection.
    absences: BTreeSet<(Time, u64)>,
    touched: BTreeMap<u64, Vec<Item>>,
    /// QoS 1 and 2 messages of this turn, by session.
    offers: BTreeMap<u64, usize>,
    notes: Vec<Note>,
    /// Output of connections that were closed in this turn.
    last_words: BTreeMap<ConnectionId, Vec<u8>>,
}

/// What a turn has brought about.
pub(crate) struct Turn {
    pub(crate) notes: Vec<Note>,
    /// Bytes for each connection.
    pub(crate) outputs: BTreeMap<ConnectionId, Vec<u8>>,
}

impl Broker {
    pub(crate) fn new(now: Time, fault: Option<Fault>) -> Self {
        Self {
            now,
            fault,
            connections: BTreeMap::new(),
            members: BTreeMap::new(),
            by_client: BTreeMap::new(),
            next_session: 1,
            index: SubscriptionIndex::new(),
            retained: RetainedIndex::new(),
            timers: TimerWheel::new(TICK, now),
            absences: BTreeSet::new(),
            touched: BTreeMap::new(),
            offers: BTreeMap::new(),
            notes: Vec::new(),
            last_words: BTreeMap::new(),
        }
    }

    /// A connection was accepted.
    pub(crate) fn accept(&mut self, connection: ConnectionId) {
        let new = Connection { partial: Vec::new(), open: None, output: Vec::new(), room: usize::MAX };
        self.connections.insert(connection, new);
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.contains_key(&connection)
    }

    /// How many bytes the link of `connection` takes.
    pub(crate) fn set_room(&mut self, connection: ConnectionId, room: usize) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.room = room;
        }
    }

    /// Bytes have come.
    pub(crate) fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) -> Turn {
        self.consume(connection, bytes);
        self.finish()
    }

    /// The link has room again.
    pub(crate) fn writable(&mut self, connection: ConnectionId) -> Turn {
        if let Some(session) = self.session_of(connection) {
            self.touch(session, Item::Drain);
        }
        self.finish()
    }

    /// The network says that the Client has gone.
    pub(crate) fn lose(&mut self, connection: ConnectionId) -> Turn {
        self.close(connection, false);
        self.finish()
    }

    /// Time has passed.
    pub(crate) fn advance(&mut self, now: Time) -> Turn {
        self.now = now;
        self.check_silence();
        self.check_absences();
        self.finish()
    }

    /// The process is killed and starts anew on what it had stored.
    pub(crate) fn restart(&mut self) -> Turn {
        self.begin_anew();
        self.finish()
    }

    /// All sessions by number, which is never used again.
    pub(crate) fn members(&self) -> &BTreeMap<u64, Member> {
        &self.members
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.index.len()
    }

    /// Topics and payloads of the retained messages that have not expired.
    pub(crate) fn retained(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let alive = self.retained.iter().filter(|(_, message)| !message.is_expired(self.now));
        alive.map(|(topic, message)| (&**topic, &message.payload[..]))
    }

    /// Asks every state machine whether its parts agree.
    pub(crate) fn check_invariants(&self) -> Result<(), &'static str> {
        self.members.values().try_for_each(|member| member.session.check_invariants())?;
        self.timers.check_invariants()?;
        self.index.check_invariants()
    }

    fn session_of(&self, connection: ConnectionId) -> Option<u64> {
        Some(self.connections.get(&connection)?.open.as_ref()?.session)
    }

    fn touch(&mut self, session: u64, item: Item) {
        self.touched.entry(session).or_default().push(item);
    }

    fn offer(&mut self, session: u64, qos: QoS, outgoing: Outgoing) {
        let offers = self.offers.entry(session).or_default();
        let nth = *offers;
        *offers += usize::from(qos != QoS::AtMostOnce);
        self.touch(session, Item::Message { qos, outgoing, nth });
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn finish(&mut self) -> Turn {
        self.deliver();
        self.offers.clear();
        let mut outputs = std::mem::take(&mut self.last_words);
        for (id, connection) in &mut self.connections {
            if !connection.output.is_empty() {
                outputs.insert(*id, std::mem::take(&mut connection.output));
            }
        }
        Turn { notes: std::mem::take(&mut self.notes), outputs }
    }
}
