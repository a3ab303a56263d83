//! How sessions begin, are left, expire and survive a restart; after `broker/server/src/{attach,session_end}.rs`.

use std::rc::Rc;
use std::time::Duration;

use lotmq_codec::{
    Connack, Connect, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, ReasonCode, Will,
    encode_connack,
};
use lotmq_session::{
    KeepAlive, KeepAliveVerdict, Session, SessionExpiry, SessionOptions, TimerWheel, WillDecision, WillState,
};

use super::{
    Broker, ConnectionId, Item, Member, Message, Note, Open, QUEUE_MESSAGES_MAX, RECEIVE_MAXIMUM,
    SEND_MAXIMUM_3_1_1, TICK,
};
use crate::fault::Fault;

impl Broker {
    pub(super) fn connect(&mut self, id: ConnectionId, connect: &Connect<'_>) {
        let wanted = connect.properties.session_expiry_interval();
        let expiry =
            SessionExpiry::from_connect(connect.version, connect.clean_start, wanted, SessionExpiry::NEVER);
        let known = self.by_client.get(connect.client_id).copied();
        let will = known.and_then(|session| self.take_over(session, connect.clean_start));
        let resumed = known.filter(|session| !connect.clean_start && self.is_durable(*session));
        let session = resumed.unwrap_or_else(|| self.create(connect, expiry));
        self.attach(id, session, connect, expiry);
        self.control(session, |out| encode_acceptance(out, connect.version, resumed.is_some()));
        if let Some(ended) = known.filter(|_| resumed.is_none()) {
            self.end(ended);
        }
        if let Some(will) = will {
            self.route(&will, known);
        }
        self.touch(session, Item::Drain);
    }

    fn is_durable(&self, session: u64) -> bool {
        self.members.get(&session).is_some_and(|member| !member.expiry.ends_with_connection())
    }

    /// Closes the connection that has the session \[MQTT-3.1.4-3\]; returns the Will that this publishes.
    fn take_over(&mut self, session: u64, clean_start: bool) -> Option<Rc<Message>> {
        let member = self.members.get_mut(&session)?;
        if let Some(old) = member.connection.take() {
            member.session.disconnect();
            self.forget(old);
        }
        let member = self.members.get_mut(&session)?;
        member.will.handle_takeover(!clean_start && !member.expiry.ends_with_connection())
    }

    fn create(&mut self, connect: &Connect<'_>, expiry: SessionExpiry) -> u64 {
        let session = self.next_session;
        self.next_session += 1;
        let client_id: Rc<str> = connect.client_id.into();
        let member = Member {
            client_id: Rc::clone(&client_id),
            session: Session::new(self.options(connect, expiry)),
            filters: std::collections::BTreeSet::new(),
            connection: None,
            will: WillState::None,
            expiry,
            left_at: None,
        };
        self.members.insert(session, member);
        self.by_client.insert(client_id, session);
        session
    }

    fn attach(&mut self, id: ConnectionId, session: u64, connect: &Connect<'_>, expiry: SessionExpiry) {
        let now = self.now;
        let options = self.options(connect, expiry);
        let loses_queue = self.is(Fault::QueueLost);
        let will = connect.will.map(|will| self.will(&will));
        let Some(member) = self.members.get_mut(&session) else { return };
        if loses_queue {
            member.session = Session::new(options);
        }
        member.session.resume(options);
        member.will.handle_connect(will);
        (member.connection, member.expiry, member.left_at) = (Some(id), expiry, None);
        self.absences.retain(|(_, of)| *of != session);
        let keep_alive = KeepAlive::new(connect.keep_alive, now);
        let timer = keep_alive.deadline().map(|deadline| self.timers.insert(deadline, id));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.open = Some(Open { version: connect.version, session, keep_alive, timer });
        }
    }

    fn options(&self, connect: &Connect<'_>, expiry: SessionExpiry) -> SessionOptions {
        let send_maximum = match connect.version {
            ProtocolVersion::V5 => connect.properties.receive_maximum().get(),
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => SEND_MAXIMUM_3_1_1,
        };
        SessionOptions {
            send_maximum: send_maximum + u16::from(self.is(Fault::ReceiveMaximumExceeded)),
            receive_maximum: RECEIVE_MAXIMUM,
            queue_messages_max: QUEUE_MESSAGES_MAX,
            keep_inflight: !expiry.ends_with_connection(),
            ..SessionOptions::new(connect.version)
        }
    }

    fn will(&self, will: &Will<'_>) -> (Rc<Message>, Duration) {
        let mut properties = PropertyBuf::new();
        properties.extend(will.properties, |id| id != PropertyId::WillDelayInterval);
        let message = Message {
            topic: will.topic.into(),
            payload: will.payload.to_vec(),
            qos: will.qos,
            retain: will.retain,
            properties: properties.properties().raw().to_vec(),
            expires_at: None,
        };
        (Rc::new(message), Duration::from_secs(will.properties.will_delay_interval().into()))
    }

    /// Ends a connection; what was written to it in this turn still leaves.
    fn forget(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(timer) = connection.open.and_then(|open| open.timer) {
            self.timers.cancel(timer);
        }
        if !connection.output.is_empty() {
            self.last_words.insert(id, connection.output);
        }
    }

    /// The connection ends; by a DISCONNECT that discards the Will if `is_normal`.
    pub(super) fn close(&mut self, id: ConnectionId, is_normal: bool) {
        // What this turn has for it is written before it closes.
        self.deliver();
        let session = self.session_of(id);
        self.forget(id);
        let Some(session) = session else { return };
        let (now, keeps_will) = (self.now, self.is(Fault::WillNotDiscarded));
        let Some(member) = self.members.get_mut(&session) else { return };
        member.connection = None;
        member.session.disconnect();
        member.left_at = Some(now);
        if is_normal && !keeps_will {
            member.will.handle_normal_disconnect();
        }
        let expiry = member.expiry;
        let will = match member.will.handle_connection_lost(now, expiry) {
            WillDecision::Publish(will) => Some(will),
            WillDecision::Nothing | WillDecision::Later(_) => None,
        };
        let due = member.will.next_timeout();
        if let Some(will) = will {
            self.route(&will, Some(session));
        }
        if expiry.ends_with_connection() {
            self.end(session);
        } else {
            self.absences.extend(due.into_iter().chain(expiry.deadline(now)).map(|at| (at, session)));
        }
    }

    fn end(&mut self, session: u64) {
        let Some(mut member) = self.members.remove(&session) else { return };
        let filters = std::mem::take(&mut member.filters);
        filters.iter().for_each(|filter| {
            self.remove_subscription(session, filter);
        });
        if self.by_client.get(&member.client_id) == Some(&session) {
            self.by_client.remove(&member.client_id);
        }
        self.absences.retain(|(_, of)| *of != session);
        self.touched.remove(&session);
        if let Some(will) = member.will.handle_session_end() {
            self.route(&will, Some(session));
        }
    }

    /// Closes the connections of Clients that were silent for too long.
    pub(super) fn check_silence(&mut self) {
        let mut due = Vec::new();
        self.timers.advance(self.now, |id| due.push(id));
        for id in due {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let partial = u32::try_from(connection.partial.len()).unwrap_or(u32::MAX);
            let Some(open) = &mut connection.open else { continue };
            match open.keep_alive.handle_timeout(self.now, partial) {
                KeepAliveVerdict::AliveUntil(deadline) => open.timer = Some(self.timers.insert(deadline, id)),
                KeepAliveVerdict::Expired if self.fault != Some(Fault::KeepAliveIgnored) => {
                    self.notes.push(Note::Silent { connection: id });
                    self.close(id, false);
                }
                KeepAliveVerdict::Expired | KeepAliveVerdict::Off => {}
            }
        }
    }

    /// Publishes the Wills and ends the sessions that are due.
    pub(super) fn check_absences(&mut self) {
        while let Some((at, session)) = self.absences.first().copied().filter(|(at, _)| *at <= self.now) {
            self.absences.remove(&(at, session));
            let ignores = self.is(Fault::ExpiryIgnored);
            let now = self.now;
            let Some(member) = self.members.get_mut(&session) else { continue };
            let Some(left_at) = member.left_at else { continue };
            // As of then: who looks late must not find other things due.
            let will = member.will.handle_timeout(at);
            let ends = member.expiry.deadline(left_at).is_some_and(|deadline| deadline <= at.min(now));
            if let Some(will) = will {
                self.route(&will, Some(session));
            }
            if ends && !ignores {
                self.end(session);
            }
        }
    }

    /// What a store gives back after a crash: durable sessions as they exported themselves, and the retained messages.
    pub(super) fn begin_anew(&mut self) {
        self.connections.clear();
        self.timers = TimerWheel::new(TICK, self.now);
        let sessions: Vec<u64> = self.members.keys().copied().collect();
        for session in sessions {
            if !self.is_durable(session) {
                if let Some(member) = self.members.get_mut(&session) {
                    member.will = WillState::None;
                }
                self.end(session);
            }
        }
        let mut wills = Vec::new();
        for (session, member) in &mut self.members {
            let stored = member.session.export();
            member.session = Session::import(*member.session.options(), stored).expect("an exported state");
            member.connection = None;
            if member.left_at.is_some() {
                continue;
            }
            member.left_at = Some(self.now);
            if let WillDecision::Publish(will) = member.will.handle_connection_lost(self.now, member.expiry) {
                wills.push((will, *session));
            }
            let due = member.will.next_timeout().into_iter().chain(member.expiry.deadline(self.now));
            self.absences.extend(due.map(|at| (at, *session)));
        }
        for (will, session) in wills {
            self.route(&will, Some(session));
        }
    }
}

fn encode_acceptance(out: &mut Vec<u8>, version: ProtocolVersion, session_present: bool) {
    let mut announced = PropertyBuf::new();
    if version.has_properties() {
        announced
            .push(PropertyId::ReceiveMaximum, PropertyValue::TwoByte(RECEIVE_MAXIMUM))
            .expect("a Receive Maximum above 0 is legal");
    }
    let connack =
        Connack { session_present, reason: ReasonCode::Success, properties: announced.properties() };
    encode_connack(out, version, &connack).expect("an acceptance is legal in every version");
}
