//! The end of a turn: nothing is owed, and the broker's state is the model's.

use std::collections::BTreeMap;

use lotmq_session::InflightStep;

use super::{Awaits, Checked, Model, ROOM_ENOUGH, SessionModel, ensure};
use crate::broker::{Broker, ConnectionId, Member};

impl Model {
    /// `room` says how many bytes each link takes now.
    pub(crate) fn end_turn(&mut self, room: impl Fn(ConnectionId) -> usize) -> Checked {
        ensure!(self.chosen.is_empty(), "too many choices: {:?}", self.chosen);
        ensure!(self.silent.is_empty(), "closed as silent: {:?}", self.silent);
        self.closed.clear();
        let skipped = std::mem::take(&mut self.skipped);
        for (id, connection) in &mut self.connections {
            ensure!(
                connection.answers.is_empty(),
                "connection {id} was not answered: {:?}",
                connection.answers
            );
            let is_missing = !connection.plain.is_empty() || skipped.contains(id);
            ensure!(!is_missing || room(*id) < ROOM_ENOUGH, "QoS 0 is missing: {:?}", connection.plain);
            connection.plain.clear();
        }
        for (number, session) in &mut self.sessions {
            session.offers = 0;
            session.pending.iter_mut().for_each(|pending| pending.nth = None);
            let has_room = session.connection.is_some_and(|id| room(id) >= ROOM_ENOUGH);
            ensure!(
                !has_room || !session.could_send(),
                "session {number} holds back what could leave: {:?}",
                session.pending
            );
        }
        Ok(())
    }

    /// Compares with what the broker's state machines say of themselves.
    pub(crate) fn compare(&self, broker: &Broker) -> Checked {
        broker.check_invariants()?;
        ensure!(
            self.sessions.keys().eq(broker.members().keys()),
            "sessions are {:?}",
            broker.members().keys()
        );
        for ((number, session), member) in self.sessions.iter().zip(broker.members().values()) {
            session
                .compare(member)
                .map_err(|why| format!("session {number}, {}: {why}", session.client_id))?;
        }
        let subscriptions: usize = self.sessions.values().map(|session| session.subscriptions.len()).sum();
        ensure!(
            broker.subscriptions() == subscriptions,
            "{} subscriptions, not {subscriptions}",
            broker.subscriptions()
        );
        let kept: BTreeMap<&str, &[u8]> = broker.retained().collect();
        let alive = self.retained.values().filter(|content| !content.is_expired(self.now));
        let due: BTreeMap<&str, &[u8]> =
            alive.map(|content| (&*content.topic, &content.payload[..])).collect();
        ensure!(kept == due, "retained is {kept:?}, not {due:?}");
        let open = self.connections.keys().all(|id| broker.is_open(*id));
        ensure!(open, "the broker closed one of {:?}", self.connections.keys());
        Ok(())
    }
}

impl SessionModel {
    fn could_send(&self) -> bool {
        let unsent = self.pending.iter().filter(|pending| pending.must_repeat()).count();
        let inflight = self.pending.iter().filter(|pending| pending.packet_id.is_some()).count();
        let has_room = inflight - unsent < self.send_maximum;
        let pubrel = self.pending.iter().any(|pending| pending.step == Awaits::Pubcomp && !pending.is_sent);
        pubrel || (has_room && (unsent > 0 || inflight < self.pending.len()))
    }

    fn compare(&self, member: &Member) -> Checked {
        ensure!(*member.client_id == *self.client_id, "belongs to {}", member.client_id);
        ensure!(member.filters.iter().eq(self.subscriptions.keys()), "filters are {:?}", member.filters);
        let counts = member.session.counts();
        let state = member.session.export();
        let (inflight, queued): (Vec<_>, Vec<_>) =
            self.pending.iter().partition(|pending| pending.packet_id.is_some());
        ensure!(counts.inflight == inflight.len(), "{} in flight, not {}", counts.inflight, inflight.len());
        ensure!(counts.queued == queued.len(), "{} waiting, not {}", counts.queued, queued.len());
        for (kept, due) in state.inflight.iter().zip(inflight) {
            let step = match kept.step {
                InflightStep::AwaitsPuback => Awaits::Puback,
                InflightStep::AwaitsPubrec => Awaits::Pubrec,
                InflightStep::AwaitsPubcomp => Awaits::Pubcomp,
            };
            let is_same = Some(kept.packet_id.get()) == due.packet_id && step == due.step;
            ensure!(is_same, "in flight is {kept:?}, not {due:?}");
            let same_content =
                kept.message.as_ref().is_none_or(|kept| kept.message.payload == due.content.payload);
            ensure!(same_content, "in flight is {kept:?}, not {due:?}");
        }
        for (kept, due) in state.queue.iter().zip(queued) {
            let message = &kept.message.message;
            let is_same = kept.qos == due.qos
                && message.payload == due.content.payload
                && *message.topic == *due.content.topic;
            ensure!(is_same, "waiting is {kept:?}, not {due:?}");
        }
        let received = state.received.iter().map(|packet_id| packet_id.get());
        ensure!(
            received.eq(self.open.keys().copied()),
            "open exchanges are {:?}, not {:?}",
            state.received,
            self.open
        );
        Ok(())
    }
}
