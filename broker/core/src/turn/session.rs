//! Sessions in a turn: what is sent to their Clients, and what of it is stored.
//!
//! Not here: the session itself (`tenant::client`), and what leaves at the end of a turn
//! (`outbound`).

use std::fmt::Display;
use std::sync::Arc;
use std::task::Context;

use lotmq_changes::{MessageId, Op};
use lotmq_codec::{Ack, AckType, PacketId, Properties, ProtocolVersion, ReasonCode, encode_ack};
use lotmq_session::Session;

use crate::connection::Connection;
use crate::reason::close::CloseReason;
use crate::tenant::client::{Client, ClientState, Queued};
use crate::tenant::replay::Replays;
use crate::tenant::subscription::Options;
use crate::turn::Turn;
use crate::turn::delivery::DeliveryContext;

impl Client {
    /// Lets `work` change a QoS 2 exchange when the Client is on `connection`; the change is stored
    /// for a session that outlives its connection.
    pub(crate) fn exchange_on<R>(
        &self,
        connection: &Connection,
        turn: &mut Turn,
        work: impl FnOnce(&mut Session<Queued>) -> R,
    ) -> Option<R> {
        self.session_on(connection, |session| {
            if self.is_durable() {
                turn.changes(self);
            }
            work(session)
        })
    }

    /// Sends the session's waiting messages, as far as there is room.
    pub(crate) fn send_waiting(self: &Arc<Self>, turn: &mut Turn) {
        turn.entry(self).items.drain();
    }

    /// Begins to send the retained messages of new subscriptions.
    pub fn replay(self: &Arc<Self>, replays: Replays, turn: &mut Turn) {
        if replays.is_empty() {
            return;
        }
        self.state.lock().replays.append(replays);
        self.send_waiting(turn);
    }

    /// Writes the output that waits for the socket, as the connection's owner, then goes on with
    /// messages that waited for room.
    pub(crate) fn drain_output(
        self: &Arc<Self>,
        connection: &Connection,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        let drained = self.on(connection, |link, _| link.drain(cx)).transpose()?;
        if drained.is_some_and(|drained| drained.is_ready()) {
            self.send_waiting(turn);
        }
        Ok(())
    }

    /// Drops a message for which the queue has no room: it is lost for this Client, counted, and
    /// nothing of it stays in the store. `message` is its number in the session's queue there.
    pub fn queue_full(
        &self,
        state: &ClientState,
        message: Option<MessageId>,
        turn: &mut DeliveryContext<'_>,
    ) {
        turn.core.counters.queue_full_dropped.add(1);
        self.count_full(state, turn.core, turn.now);
        self.tenant.full_queues.note(&self.dropped, || self.kept_key());
        if let Some(message) = message {
            turn.batch.push(Op::Dequeue { session: self.stored_id(), message });
        }
    }

    /// Removes a message that the Client is done with from its queue in the store.
    pub(crate) fn message_done(&self, queued: Option<&Queued>, turn: &mut Turn) {
        if let Some(message) = queued.and_then(Queued::stored_id) {
            turn.batch.push(Op::Dequeue { session: self.stored_id(), message });
            turn.call_flusher();
        }
    }

    /// Appends an acknowledgement of a packet that came on `connection`.
    pub(crate) fn acknowledge(
        self: &Arc<Self>,
        turn: &mut Turn,
        connection: &Connection,
        version: ProtocolVersion,
        ack_type: AckType,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        let ack = Ack { ack_type, packet_id, reason, properties: Properties::EMPTY };
        turn.control(self, connection, |out| {
            encode_ack(out, version, &ack)
                .expect("every reason that the broker chooses is one that the packet can carry");
        });
    }

    /// Appends an acknowledgement that refuses a packet that came on `connection`, with the reason
    /// in words.
    pub fn refuse(
        self: &Arc<Self>,
        turn: &mut Turn,
        connection: &Connection,
        (ack_type, packet_id): (AckType, PacketId),
        reason: ReasonCode,
        words: &dyn Display,
    ) {
        let Some(recipient) = self.recipient_on(connection) else { return };
        turn.control(self, connection, |out| {
            recipient.explain_acknowledgement(out, words, |out, properties| {
                encode_ack(out, recipient.version, &Ack { ack_type, packet_id, reason, properties })
            });
        });
    }

    /// Answers a packet of an exchange that is not known, or not any more.
    pub fn not_found(
        self: &Arc<Self>,
        turn: &mut Turn,
        connection: &Connection,
        ack_type: AckType,
        packet_id: PacketId,
    ) {
        let reason = ReasonCode::PacketIdentifierNotFound;
        let words = "no exchange has this packet identifier";
        self.refuse(turn, connection, (ack_type, packet_id), reason, &words);
    }

    /// Reverts a subscription that could not be stored, unless it has been changed since. The store
    /// follows when it works again.
    pub fn take_back(
        self: &Arc<Self>,
        filter: &str,
        options: Options,
        former: Option<Options>,
        turn: &mut Turn,
    ) {
        let mut state = self.state.lock();
        if state.is_over || state.subscriptions.get(filter) != Some(options) {
            return;
        }
        turn.changes(self);
        match former {
            Some(former) => {
                state.subscriptions.insert(filter, former);
                self.tenant.subscribe(self, filter, former);
                turn.batch.push(Op::PutSubscription(&self.subscription_row(filter, former)));
            }
            None => {
                state.subscriptions.remove(filter);
                self.tenant.unsubscribe(self, filter);
                state.count(&self.client_id, self.is_durable());
                let (tenant, session) = (self.tenant.id, self.stored_id());
                turn.batch.push(Op::DeleteSubscription { tenant, session, filter });
            }
        }
    }
}
