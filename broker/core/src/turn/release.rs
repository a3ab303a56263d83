//! Releases: actions that wait for the store. Acknowledgements that promise durability leave only
//! when their group is committed.
//!
//! Each shard keeps its own, in the order of their tickets; the store's thread says how far it has
//! come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_changes::{Op, Ticket};
use lotmq_codec::{AckType, PacketId, ReasonCode};

use crate::connection::Connection;
use crate::connection::refusal;
use crate::durable::commit_watcher::CommitWatcher;
use crate::durable::store_failure::StoreFailure;
use crate::reason::NotTaken;
use crate::reason::close::CloseReason;
use crate::tenant::client::{Client, stored_packet_id};
use crate::tenant::triggers::TellsOnCommit;
use crate::turn::Turn;
use crate::turn::fed::Fed;
use crate::turn::suback::{Granted, TakingBack};

/// Action that waits for the commit of a batch.
#[allow(missing_docs, reason = "fields are named after what they are in the packets")]
pub enum Release {
    /// Acknowledge a packet of this connection's Client.
    Acknowledge {
        client: Arc<Client>,
        connection: Arc<Connection>,
        ack_type: AckType,
        packet_id: PacketId,
        reason: ReasonCode,
    },
    /// Answer a QoS 2 message that has come again, unless the first may have been lost meanwhile.
    Repeat {
        client: Arc<Client>,
        connection: Arc<Connection>,
        packet_id: PacketId,
        /// Batches that the store had lost when the repetition came.
        losses: u64,
    },
    /// Let CONNACK and the output behind it leave.
    Connect { client: Arc<Client>, connection: Arc<Connection> },
    /// Answer SUBSCRIBE and begin with the retained messages.
    Subscribe { client: Arc<Client>, connection: Arc<Connection>, granted: Box<Granted> },
    /// Go on reverting subscriptions of a SUBSCRIBE, whatever became of the batch with those that
    /// were reverted before.
    TakeBack { client: Arc<Client>, connection: Arc<Connection>, rest: Box<TakingBack> },
    /// Note that a part of a long SUBSCRIBE or UNSUBSCRIBE is stored, which is answered later.
    Part { connection: Arc<Connection> },
    /// Answer UNSUBSCRIBE.
    Unsubscribe { client: Arc<Client>, connection: Arc<Connection>, packet: Box<[u8]> },
    /// Tell the session that messages of a long queue are stored: they need not be in memory as
    /// well.
    Queued { client: Arc<Client>, numbers: Vec<u64> },
    /// Tell someone above the core what became of the batch.
    Tell { watcher: Arc<dyn CommitWatcher> },
    /// Send a message whose identifier is stored.
    Message {
        client: Arc<Client>,
        connection: Arc<Connection>,
        /// Number of the message in [`Held`](crate::tenant::held::Held).
        number: u64,
    },
}

impl TellsOnCommit for Vec<Release> {
    fn tell(&mut self, watcher: Arc<dyn CommitWatcher>) {
        self.push(Release::Tell { watcher });
    }
}

impl Release {
    /// Carries the release out: its batch is committed.
    pub fn granted(self, turn: &mut Turn) {
        match self {
            Self::Acknowledge { client, connection, ack_type, packet_id, reason } => {
                if ack_type == AckType::Puback {
                    connection.unacknowledged.fetch_sub(1, Ordering::Relaxed);
                }
                if reason == ReasonCode::PacketIdentifierNotFound {
                    return client.not_found(turn, &connection, ack_type, packet_id);
                }
                let Some(version) = client.version_on(&connection) else { return };
                client.acknowledge(turn, &connection, version, ack_type, packet_id, reason);
            }
            Self::Repeat { connection, losses, .. } if turn.core.log.losses() != losses => {
                // When it comes once more, it counts as new.
                connection.request_close(CloseReason::StoreFailed(StoreFailure::Failing));
            }
            Self::Repeat { client, connection, packet_id, .. } => {
                let Some(version) = client.version_on(&connection) else { return };
                client.acknowledge(
                    turn,
                    &connection,
                    version,
                    AckType::Pubrec,
                    packet_id,
                    ReasonCode::Success,
                );
            }
            Self::Connect { client, connection } => client.release_output(&connection),
            Self::Subscribe { client, connection, granted } => {
                connection.changes_waiting.fetch_sub(1, Ordering::Relaxed);
                granted.answer(&client, &connection, turn);
            }
            Self::TakeBack { client, connection, rest } => take_back(*rest, client, connection, turn),
            Self::Part { connection } => {
                connection.changes_waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Self::Unsubscribe { client, connection, packet } => {
                connection.changes_waiting.fetch_sub(1, Ordering::Relaxed);
                if connection.is_to_close() {
                    return;
                }
                turn.control(&client, &connection, |out| out.extend_from_slice(&packet));
            }
            Self::Queued { client, numbers } => stored(&client, &numbers, turn),
            Self::Tell { watcher } => watcher.settled(Ok(())),
            Self::Message { client, connection, number } => {
                client.let_go(&connection, number);
                // It leaves when the turn gets to this Client.
                client.send_waiting(turn);
            }
        }
    }

    /// Refuses the release because the store failed: 5.0 Clients get a reason code, others are
    /// closed without an acknowledgement. A request from before the failure was known still has its
    /// effect in memory, and the store follows when it works again. Only a subscription is
    /// reverted.
    pub fn refused(self, turn: &mut Turn, failure: StoreFailure) {
        match self {
            Self::Acknowledge { client, connection, ack_type, packet_id, .. } => {
                if ack_type == AckType::Puback {
                    connection.unacknowledged.fetch_sub(1, Ordering::Relaxed);
                }
                match client.version_on(&connection) {
                    Some(version)
                        if version.has_properties()
                            && matches!(ack_type, AckType::Puback | AckType::Pubrec) =>
                    {
                        // The Client may use the identifier anew [MQTT-4.3.3-9].
                        if ack_type == AckType::Pubrec {
                            free(&client, &connection, packet_id, turn);
                        }
                        turn.core.counters.publish_not_stored.add(1);
                        let reason = NotTaken::NotStored(failure);
                        let packet = (ack_type, packet_id);
                        client.refuse(turn, &connection, packet, reason.reason_code(), &reason);
                    }
                    Some(_) => connection.request_close(CloseReason::StoreFailed(failure)),
                    None => {}
                }
            }
            // The exchange is open: a refusal would make the identifier free for another message,
            // and this one may be stored yet.
            Self::Repeat { connection, .. } => {
                connection.request_close(CloseReason::StoreFailed(failure));
            }
            Self::Tell { watcher } => watcher.settled(Err(failure)),
            // They stay where they are, though their publishers have been told that they are not
            // promised.
            Self::Queued { .. } => {}
            Self::Connect { client, connection } => {
                if let Some(recipient) = client.recipient_on(&connection) {
                    // In place of the CONNACK that was held back.
                    connection.request_close(refusal::refuse_unstored(&connection, recipient, failure));
                }
            }
            Self::Subscribe { client, connection, granted } => {
                take_back(granted.take_back(failure), client, connection, turn);
            }
            Self::TakeBack { client, connection, rest } => take_back(*rest, client, connection, turn),
            Self::Unsubscribe { connection, .. } | Self::Part { connection } => {
                connection.changes_waiting.fetch_sub(1, Ordering::Relaxed);
                connection.request_close(CloseReason::StoreFailed(failure));
            }
            Self::Message { connection, .. } => connection.request_close(CloseReason::StoreFailed(failure)),
        }
    }
}

/// Tells a session that these messages are stored, so that memory need not hold them.
fn stored(client: &Arc<Client>, numbers: &[u64], turn: &mut Turn) {
    let is_connected = {
        let mut state = client.state.lock();
        state.session.handle_stored(numbers);
        state.link.is_some()
    };
    if is_connected {
        // It may have been waiting for them.
        client.send_waiting(turn);
    }
}

/// Reverts subscriptions that the store refused; in parts, each behind the batch of the one before.
fn take_back(rest: TakingBack, client: Arc<Client>, connection: Arc<Connection>, turn: &mut Turn) {
    if let Some(rest) = rest.go_on(&client, &connection, turn) {
        turn.when_committed(Release::TakeBack { client, connection, rest: Box::new(rest) });
    }
}

/// Ends a QoS 2 exchange whose message is refused. The refused change is stored when that works
/// again, and with it that the identifier was in use; so its end is stored behind it.
fn free(client: &Client, connection: &Connection, packet_id: PacketId, turn: &mut Turn) {
    client.exchange_on(connection, turn, |session| session.refuse_exactly_once(packet_id));
    if client.is_durable() {
        let (session, packet_id) = (client.stored_id(), stored_packet_id(packet_id));
        turn.batch.push(Op::Qos2Released { session, packet_id });
        turn.call_flusher();
    }
}

/// Releases of one shard.
#[derive(Default)]
pub(crate) struct Releases {
    /// Those that wait for the batch of the turn.
    pub(crate) on_commit: Vec<Release>,
    waiting: VecDeque<(Ticket, Release)>,
    /// Owners whose bytes are on their way to the disk.
    pub(crate) fed: Fed,
}

impl Releases {
    pub(crate) fn hold(&mut self, ticket: Ticket, releases: impl Iterator<Item = Release>) {
        self.waiting.extend(releases.map(|release| (ticket, release)));
    }

    /// Has those that wait for the batch of the turn wait for its ticket.
    pub(crate) fn hold_all(&mut self, ticket: Ticket) {
        self.waiting.extend(self.on_commit.drain(..).map(|release| (ticket, release)));
    }

    /// How many wait, with those for the batch of the turn.
    pub(crate) fn count(&self) -> usize {
        self.on_commit.len() + self.waiting.len()
    }

    /// Whether none waits for a batch that has a ticket.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next release whose batch is settled, with the outcome.
    pub(crate) fn pop(
        &mut self,
        settled: impl FnOnce(Ticket) -> Option<Result<(), StoreFailure>>,
    ) -> Option<(Release, Result<(), StoreFailure>)> {
        let (ticket, _) = self.waiting.front()?;
        let outcome = settled(*ticket)?;
        let (_, release) = self.waiting.pop_front()?;
        Some((release, outcome))
    }
}
