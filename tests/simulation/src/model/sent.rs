//! Whether what the broker wrote is what it had to write.

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::{AckType, Publish, QoS, ServerPacket, fixed_header};

use super::{Answer, Awaits, Checked, Content, Model, ensure};
use crate::broker::{ConnectionId, Note, QUEUE_MESSAGES_MAX};

impl Model {
    /// The broker wrote these bytes, whole packets, in this turn.
    pub(crate) fn sent(&mut self, id: ConnectionId, mut bytes: &[u8]) -> Checked {
        let is_closed = self.closed.contains_key(&id);
        let connection = self.connections.get(&id).or_else(|| self.closed.get(&id));
        let Some(open) = connection.and_then(|connection| connection.open) else {
            return Err(format!("connection {id} is not open and gets {bytes:02X?}"));
        };
        while !bytes.is_empty() {
            let header = fixed_header(bytes, PACKET_BYTES_MAX).ok().flatten();
            let Some(header) = header.filter(|header| header.packet_len() <= bytes.len()) else {
                return Err(format!("not whole packets: {bytes:02X?}"));
            };
            let (packet, rest) = bytes.split_at(header.packet_len());
            bytes = rest;
            let body = &packet[usize::from(header.header_len)..];
            match ServerPacket::decode(&header, body, open.version) {
                Ok(ServerPacket::Publish(publish)) if publish.qos == QoS::AtMostOnce => {
                    self.plain(id, &publish)?
                }
                Ok(ServerPacket::Publish(publish)) => {
                    self.published(id, open.session, &publish, is_closed)?
                }
                Ok(packet) => {
                    let answer = answer(&packet).ok_or_else(|| format!("unexpected {packet:?}"))?;
                    self.answered(id, open.session, answer)?;
                }
                Err(error) => return Err(format!("the broker wrote {packet:02X?}: {error}")),
            }
        }
        Ok(())
    }

    fn answered(&mut self, id: ConnectionId, number: u64, answer: Answer) -> Checked {
        let connection = self.connections.get_mut(&id).or_else(|| self.closed.get_mut(&id));
        let Some(connection) = connection else { return Ok(()) };
        if connection.answers.front() == Some(&answer) {
            connection.answers.pop_front();
            return Ok(());
        }
        let due = connection.answers.front();
        let Answer::Ack { ack_type: AckType::Pubrel, packet_id, .. } = answer else {
            return Err(format!("connection {id} got {answer:?}, due was {due:?}"));
        };
        let Some(session) = self.sessions.get_mut(&number) else {
            ensure!(self.closed.contains_key(&id), "session {number} is over and gets {answer:?}");
            return Ok(());
        };
        let is_it = |pending: &&mut super::Pending| {
            pending.packet_id == Some(packet_id) && pending.step == Awaits::Pubcomp
        };
        let pending = session.pending.iter_mut().find(is_it);
        match pending {
            Some(pending) if !pending.is_sent => {
                pending.is_sent = true;
                Ok(())
            }
            Some(_) | None => Err(format!("connection {id} got PUBREL {packet_id}, due was {due:?}")),
        }
    }

    /// QoS 0: in order, at most once; some may be missing, which `end_turn` judges.
    fn plain(&mut self, id: ConnectionId, publish: &Publish<'_>) -> Checked {
        let now = self.now;
        let connection = self.connections.get_mut(&id).or_else(|| self.closed.get_mut(&id));
        let Some(connection) = connection else { return Ok(()) };
        let is_v5 = connection.open.is_some_and(|open| open.version.has_properties());
        let is_it = |content: &Content, retain: bool, identifiers: &[u32]| {
            same(publish, content, retain, identifiers, is_v5, now).is_ok()
        };
        let at =
            connection.plain.iter().position(|plain| is_it(&plain.content, plain.retain, &plain.identifiers));
        let Some(at) = at else {
            let due = connection.plain.iter().map(|plain| &plain.content.topic).collect::<Vec<_>>();
            return Err(format!("connection {id} got at QoS 0 {publish:?}, due was {due:?}"));
        };
        connection.plain.drain(..=at);
        if at > 0 {
            self.skipped.insert(id);
        }
        Ok(())
    }

    fn published(
        &mut self,
        id: ConnectionId,
        number: u64,
        publish: &Publish<'_>,
        is_closed: bool,
    ) -> Checked {
        let now = self.now;
        let is_v5 = self.connections.get(&id).or_else(|| self.closed.get(&id)).and_then(|c| c.open);
        let is_v5 = is_v5.is_some_and(|open| open.version.has_properties());
        let Some(session) = self.sessions.get_mut(&number) else {
            ensure!(is_closed, "session {number} is over and gets {publish:?}");
            return Ok(());
        };
        let is_live = session.connection == Some(id);
        ensure!(is_live || is_closed, "connection {id} is not that of session {number}");
        let packet_id = publish.packet_id.map_or(0, |packet_id| packet_id.get());
        let first_unsent = session.pending.iter().position(super::Pending::must_repeat);
        let at = if publish.dup {
            session.pending.iter().position(|pending| pending.packet_id == Some(packet_id))
        } else {
            let in_use = session.pending.iter().any(|pending| pending.packet_id == Some(packet_id));
            ensure!(!in_use, "packet identifier {packet_id} is in use, [MQTT-2.2.1-4]");
            ensure!(
                is_closed || first_unsent.is_none(),
                "a new message before {first_unsent:?} was sent again"
            );
            session.pending.iter().position(|pending| pending.packet_id.is_none())
        };
        let Some(at) = at else {
            return Err(format!("{} got {publish:?}, nothing was due", session.client_id));
        };
        if publish.dup {
            ensure!(
                first_unsent == Some(at) || is_closed,
                "sent again out of order or twice: {packet_id}, [MQTT-4.4.0-1]"
            );
        }
        let pending = &mut session.pending[at];
        ensure!(pending.step != Awaits::Pubcomp, "PUBLISH {packet_id} after PUBREC, [MQTT-4.3.3-6]");
        ensure!(publish.qos == pending.qos, "QoS {:?} for {pending:?}", publish.qos);
        same(publish, &pending.content, pending.retain, &pending.identifiers, is_v5, now)
            .map_err(|why| format!("{} got {publish:?}, next was {pending:?}: {why}", session.client_id))?;
        ensure!(publish.dup || !pending.content.is_expired(now), "expired: {publish:?}, [MQTT-3.3.2-5]");
        pending.packet_id = Some(packet_id);
        (pending.is_sent, pending.counts) = (is_live, is_live);
        let inflight = session.pending.iter().filter(|pending| pending.counts).count();
        ensure!(
            inflight <= session.send_maximum,
            "{inflight} in flight, at most {}, [MQTT-3.3.4-9]",
            session.send_maximum
        );
        Ok(())
    }

    /// Takes what the broker dropped out of what its sessions must get; before the outputs of the turn.
    pub(crate) fn drop_noted(&mut self) -> Checked {
        for note in std::mem::take(&mut self.dropped) {
            let (client_id, nth) = match &note {
                Note::Refused { client_id, nth, queued } => {
                    ensure!(*queued == QUEUE_MESSAGES_MAX, "refused with {queued} waiting");
                    (client_id, Some(*nth))
                }
                Note::Expired { client_id } => (client_id, None),
                Note::Chose { .. } | Note::Silent { .. } => continue,
            };
            let now = self.now;
            let session = self.sessions.values_mut().find(|session| session.client_id == *client_id);
            // What was dropped for a session that is over by now does not matter.
            let Some(session) = session else { continue };
            let is_it = |pending: &super::Pending| match nth {
                Some(_) => pending.nth == nth,
                None => pending.packet_id.is_none() && pending.content.is_expired(now),
            };
            let Some(at) = session.pending.iter().position(is_it) else {
                return Err(format!("{note:?}, but there is no such message"));
            };
            let dropped = session.pending.remove(at);
            session.expected[dropped.place].is_void = true;
        }
        Ok(())
    }
}

fn answer(packet: &ServerPacket<'_>) -> Option<Answer> {
    Some(match packet {
        ServerPacket::Connack(connack) if !connack.reason.is_failure() => {
            Answer::Connack { session_present: connack.session_present }
        }
        ServerPacket::Ack(ack) => {
            Answer::Ack { ack_type: ack.ack_type, packet_id: ack.packet_id.get(), reason: ack.reason }
        }
        ServerPacket::Suback(suback) => Answer::Suback {
            packet_id: suback.packet_id.get(),
            codes: suback.codes().map(lotmq_codec::ReasonCode::byte).collect(),
        },
        ServerPacket::Unsuback(unsuback) => Answer::Unsuback {
            packet_id: unsuback.packet_id.get(),
            codes: unsuback.codes().map(lotmq_codec::ReasonCode::byte).collect(),
        },
        ServerPacket::Pingresp => Answer::Pingresp,
        ServerPacket::Connack(_)
        | ServerPacket::Publish(_)
        | ServerPacket::Disconnect(_)
        | ServerPacket::Auth(_) => {
            return None;
        }
    })
}

/// Whether a PUBLISH carries this message in this way.
fn same(
    publish: &Publish<'_>,
    content: &Content,
    retain: bool,
    identifiers: &[u32],
    is_v5: bool,
    now: lotmq_session::Time,
) -> Checked {
    ensure!(publish.topic == content.topic, "another topic");
    ensure!(publish.payload == content.payload, "another payload");
    ensure!(publish.retain == retain, "RETAIN");
    if is_v5 {
        let sent = publish.properties.subscription_identifiers().map(|id| id.get());
        ensure!(sent.eq(identifiers.iter().copied()), "Subscription Identifiers, not {identifiers:?}");
        let left = content.expires_at.map(|at| at.since(now).as_secs());
        let told = publish.properties.message_expiry_interval().map(u64::from);
        ensure!(told == left, "Message Expiry Interval {told:?}, not {left:?}");
    }
    Ok(())
}
