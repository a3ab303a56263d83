//! What waits for the store: acknowledgements that promise durability leave only when their group is committed.
//!
//! Each shard keeps its own, in the order of their tickets; the store's thread says how far it has come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_codec::{AckType, PacketId, ReasonCode};
use lotmq_store::Ticket;

use crate::client::Client;
use crate::close::CloseReason;
use crate::net::connection::Connection;
use crate::net::turn::Turn;
use crate::protocol::NotTaken;
use crate::protocol::subscribe::Granted;

/// One thing to do when a batch is committed.
pub(crate) enum Release {
    /// Acknowledge a packet of this connection's Client.
    Acknowledge {
        client: Arc<Client>,
        connection: Arc<Connection>,
        ack_type: AckType,
        packet_id: PacketId,
        reason: ReasonCode,
    },
    /// Let CONNACK and what stands behind it leave.
    Connect { client: Arc<Client>, connection: Arc<Connection> },
    /// Answer SUBSCRIBE and begin with the retained messages.
    Subscribe { client: Arc<Client>, connection: Arc<Connection>, granted: Granted },
    /// Answer UNSUBSCRIBE.
    Control { client: Arc<Client>, connection: Arc<Connection>, packet: Box<[u8]> },
    /// Send a message whose identifier is stored.
    Message {
        client: Arc<Client>,
        connection: Arc<Connection>,
        /// Its place in [`Held`](crate::net::held::Held).
        number: u64,
    },
}

impl Release {
    /// The promise holds: send what was waiting.
    pub(crate) fn granted(self, turn: &mut Turn) {
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
            Self::Connect { client, connection } => client.release_output(&connection),
            Self::Subscribe { client, connection, granted } => granted.answer(&client, &connection, turn),
            Self::Control { client, connection, packet } => {
                turn.control(&client, &connection, |out| out.extend_from_slice(&packet));
            }
            Self::Message { client, connection, number } => {
                client.let_go(&connection, number);
                // It leaves when the turn gets to this Client.
                client.send_waiting(turn);
            }
        }
    }

    /// The store failed: 5.0 Clients hear it, others are closed without an acknowledgement.
    pub(crate) fn refused(self, turn: &mut Turn) {
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
                        client.session_on(&connection, |session| {
                            if ack_type == AckType::Pubrec {
                                session.inbound_acknowledged(packet_id);
                            }
                        });
                        let reason = NotTaken::NotStored;
                        let packet = (ack_type, packet_id);
                        client.refuse(turn, &connection, packet, reason.reason_code(), &reason);
                    }
                    Some(_) => connection.request_close(CloseReason::StoreFailed),
                    None => {}
                }
            }
            Self::Connect { connection, .. }
            | Self::Subscribe { connection, .. }
            | Self::Control { connection, .. }
            | Self::Message { connection, .. } => {
                connection.request_close(CloseReason::StoreFailed);
            }
        }
    }
}

/// The releases of one shard.
#[derive(Default)]
pub(crate) struct Releases(VecDeque<(Ticket, Release)>);

impl Releases {
    pub(crate) fn hold(&mut self, ticket: Ticket, releases: impl Iterator<Item = Release>) {
        self.0.extend(releases.map(|release| (ticket, release)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next release whose batch is settled, and whether it was committed.
    fn pop(&mut self, turn_settled: impl Fn(Ticket) -> Option<bool>) -> Option<(Release, bool)> {
        let (ticket, _) = self.0.front()?;
        let is_committed = turn_settled(*ticket)?;
        let (_, release) = self.0.pop_front()?;
        Some((release, is_committed))
    }
}

impl Turn {
    /// Releases everything whose batch has been settled since the last call.
    pub(crate) fn release_committed(&mut self) {
        let commits = Arc::clone(&self.broker.commits);
        while let Some((release, is_committed)) = self.releases.pop(|ticket| commits.settled(ticket)) {
            if is_committed {
                release.granted(self);
            } else {
                release.refused(self);
            }
        }
    }
}
