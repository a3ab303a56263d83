//! How sessions begin, are left and end, and what becomes of their Wills.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use lotmq_codec::{Connect, ProtocolVersion};
use lotmq_session::Time;

use super::{Answer, Checked, Content, Model, OpenModel, SessionModel, Will, ensure};
use crate::broker::{ConnectionId, SEND_MAXIMUM_3_1_1, TICK};

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

impl SessionModel {
    /// When a session that was left ends.
    fn ends_at(&self) -> Option<Time> {
        self.left_at.filter(|_| self.expiry != u32::MAX).map(|at| at.plus(seconds(self.expiry)))
    }

    fn leave(&mut self, now: Time) {
        self.connection = None;
        self.left_at = Some(now);
        self.open.values_mut().for_each(|counts| *counts = false);
        for pending in &mut self.pending {
            (pending.is_sent, pending.counts) = (false, false);
        }
    }

    /// The connection ended without DISCONNECT: returns the Will if it is due now, or sets when it is.
    fn lose(&mut self, now: Time) -> Option<Will> {
        let ends_at = self.ends_at();
        let will = self.will.as_mut()?;
        let due = now.plus(seconds(will.delay));
        let due = ends_at.map_or(due, |ends_at| due.min(ends_at));
        will.due = Some(due);
        self.will.take_if(|_| due <= now)
    }
}

impl Model {
    pub(super) fn connect(&mut self, id: ConnectionId, connect: &Connect<'_>) -> Checked {
        let is_v5 = connect.version == ProtocolVersion::V5;
        let expiry = match (is_v5, connect.clean_start) {
            (true, _) => connect.properties.session_expiry_interval().unwrap_or(0),
            (false, true) => 0,
            (false, false) => u32::MAX,
        };
        let known = self.sessions.iter().find(|(_, session)| session.client_id == connect.client_id);
        let known = known.map(|(number, _)| *number);
        let mut will = None;
        let mut resumes = false;
        if let Some(session) = known.and_then(|number| self.sessions.get_mut(&number)) {
            resumes = !connect.clean_start && session.expiry > 0;
            let old = session.connection;
            session.leave(self.now);
            // A delay lets the Client come back in time, but not to another session (§3.1.3.2.2).
            will = session.will.take().filter(|will| !(resumes && (will.delay > 0 || will.due.is_some())));
            if let Some(old) = old {
                self.close_only(old);
            }
        }
        let number = known.filter(|_| resumes).unwrap_or_else(|| self.create(connect.client_id));
        let Some(session) = self.sessions.get_mut(&number) else { return Ok(()) };
        session.connection = Some(id);
        (session.expiry, session.left_at) = (expiry, None);
        session.send_maximum = match is_v5 {
            true => connect.properties.receive_maximum().get().into(),
            false => SEND_MAXIMUM_3_1_1.into(),
        };
        session.will = connect.will.map(|will| Will {
            content: Rc::new(Content {
                topic: will.topic.to_owned(),
                payload: will.payload.to_vec(),
                qos: will.qos,
                expires_at: None,
            }),
            retain: will.retain,
            delay: will.properties.will_delay_interval(),
            due: None,
        });
        self.generations.insert(id, number);
        if let Some(connection) = self.connections.get_mut(&id) {
            let (version, keep_alive) = (connect.version, connect.keep_alive);
            connection.open = Some(OpenModel { version, session: number, keep_alive, last_packet: self.now });
        }
        // 3.1 has no such flag.
        let session_present = resumes && connect.version != ProtocolVersion::V3_1;
        self.answer(id, Answer::Connack { session_present });
        if let Some(ended) = known.filter(|_| !resumes) {
            self.end(ended)?;
        }
        match will {
            Some(will) => self.route(&will.content, will.retain, known),
            None => Ok(()),
        }
    }

    fn create(&mut self, client_id: &str) -> u64 {
        let number = self.next_session;
        self.next_session += 1;
        let session = SessionModel {
            client_id: client_id.to_owned(),
            connection: None,
            expiry: 0,
            left_at: None,
            subscriptions: BTreeMap::new(),
            open: BTreeMap::new(),
            pending: Vec::new(),
            send_maximum: 0,
            will: None,
            expected: Vec::new(),
            offers: 0,
        };
        self.sessions.insert(number, session);
        number
    }

    fn close_only(&mut self, id: ConnectionId) -> Option<u64> {
        let connection = self.connections.remove(&id)?;
        let session = connection.open.map(|open| open.session);
        self.closed.insert(id, connection);
        session
    }

    /// The broker must have closed this connection, or learnt that it broke.
    pub(crate) fn close(&mut self, id: ConnectionId, is_normal: bool) -> Checked {
        let Some(number) = self.close_only(id) else { return Ok(()) };
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&number) else { return Ok(()) };
        session.leave(now);
        if is_normal {
            session.will = None;
        }
        let will = session.lose(now);
        let ends = session.expiry == 0;
        if let Some(will) = will {
            self.route(&will.content, will.retain, Some(number))?;
        }
        if ends { self.end(number) } else { Ok(()) }
    }

    fn end(&mut self, number: u64) -> Checked {
        let Some(session) = self.sessions.remove(&number) else { return Ok(()) };
        self.ended.insert(number, session.expected);
        match session.will {
            Some(will) => self.route(&will.content, will.retain, Some(number)),
            None => Ok(()),
        }
    }

    /// Time has passed: silent Clients first, then Wills and sessions in the order of their deadlines.
    pub(crate) fn advance(&mut self, now: Time) -> Checked {
        self.now = now;
        while let Some(id) = self.silent.pop_front() {
            let deadline = self.connections.get(&id).and_then(|connection| silent_at(connection.open?));
            ensure!(
                deadline.is_some_and(|at| at <= now),
                "connection {id} was closed as silent, but {deadline:?} > {now:?}"
            );
            self.close(id, false)?;
        }
        for (id, connection) in &self.connections {
            let deadline = connection.open.and_then(silent_at);
            let is_overdue = deadline.is_some_and(|at| at.plus(TICK) <= now);
            ensure!(!is_overdue, "connection {id} is silent since {deadline:?} and open at {now:?}");
        }
        loop {
            let due = |(number, session): (&u64, &SessionModel)| {
                let will = session.will.as_ref().and_then(|will| will.due);
                Some((will.into_iter().chain(session.ends_at()).min()?, *number))
            };
            let next = self.sessions.iter().filter_map(due).min();
            let Some((at, number)) = next.filter(|(at, _)| *at <= now) else { return Ok(()) };
            let Some(session) = self.sessions.get_mut(&number) else { return Ok(()) };
            let will = session.will.take_if(|will| will.due.is_some_and(|due| due <= at));
            let ends = session.ends_at().is_some_and(|ends_at| ends_at <= at);
            if let Some(will) = will {
                self.route(&will.content, will.retain, Some(number))?;
            }
            if ends {
                self.end(number)?;
            }
        }
    }

    /// The broker was killed and began anew: sessions that end with their connection are gone, with their Wills.
    pub(crate) fn restart(&mut self) -> Checked {
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            self.close_only(id);
        }
        let (now, numbers) = (self.now, self.sessions.keys().copied().collect::<Vec<_>>());
        for number in &numbers {
            let Some(session) = self.sessions.get_mut(number).filter(|session| session.expiry == 0) else {
                continue;
            };
            session.will = None;
            self.end(*number)?;
        }
        let mut wills = Vec::new();
        for number in numbers {
            let Some(session) = self.sessions.get_mut(&number).filter(|session| session.left_at.is_none())
            else {
                continue;
            };
            session.leave(now);
            wills.extend(session.lose(now).map(|will| (will, number)));
        }
        wills.into_iter().try_for_each(|(will, number)| self.route(&will.content, will.retain, Some(number)))
    }
}

/// When a Client has been silent for one and a half times its Keep Alive \[MQTT-3.1.2-22\].
fn silent_at(open: OpenModel) -> Option<Time> {
    let patience = Duration::from_millis(u64::from(open.keep_alive) * 1500);
    (open.keep_alive > 0).then(|| open.last_packet.plus(patience))
}
