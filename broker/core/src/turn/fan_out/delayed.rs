//! Taking over of messages that are published with a delay: room, store and memory.
//!
//! The topic of such a message has no receivers, and nothing is retained or started before its time
//! has come. Not here: its publication (`client::delayed`).

use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::AccountReference;
use lotmq_changes::{DelayedClientRow, DelayedRow, Op};
use lotmq_codec::QoS;
use lotmq_definitions::Owner;
use lotmq_router::parse_delayed;
use lotmq_session::Time;

use crate::arena::text;
use crate::limits::Limit;
use crate::message::Message;
use crate::message::spans::MessageSpans;
use crate::reason::NotTaken;
use crate::tenant::Tenant;
use crate::tenant::delayed::{DelayedMessage, DelayedPlace, DelayedPublisher};
use crate::tenant::publication::Publication;
use crate::turn::Turn;
use crate::turn::session_row::peer_row;

/// Takes over a message whose topic asks for a delay; `None` for any other message.
///
/// The publisher may publish to the target. A refusal is counted.
///
/// # Errors
/// The fault of its topic, or the limit that leaves no room for it.
pub fn delay(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    publication: &Publication<'_>,
) -> Option<Result<(), NotTaken>> {
    let topic = turn.arena.get(publication.message.topic);
    if topic.first() != Some(&b'$') {
        return None;
    }
    let found = parse_delayed(text(topic))?;
    let asked = found.map(|delayed| (delayed.seconds, delayed.target.len()));
    let taken = asked.map_err(NotTaken::from).and_then(|(seconds, target)| {
        let message = with_target(publication.message, target);
        let publication = Publication { message, in_place: None, keeper: None, ..*publication };
        let taken = delay_by(turn, tenant, &publication, seconds);
        taken.map(drop).map_err(NotTaken::Limit)
    });
    if let Err(reason) = taken {
        turn.core.counters.publish_refused.add(1);
        if let NotTaken::Limit(limit) = reason {
            let topic = turn.arena.text(publication.message.topic);
            turn.core.limits.elsewhere.note(limit, &topic, turn.moment.now);
        }
    }
    Some(taken)
}

/// Message on the last `target` bytes of its topic.
pub(crate) fn with_target(message: MessageSpans, target: usize) -> MessageSpans {
    let topic = message.topic;
    MessageSpans { topic: topic.slice(topic.len() - target, target), ..message }
}

/// Takes over a message on its target topic, which is published after so many seconds. Returns
/// whether its acknowledgement must wait for the turn's batch.
///
/// # Errors
/// The limit that leaves no room for it.
pub(crate) fn delay_by(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    publication: &Publication<'_>,
    seconds: u32,
) -> Result<bool, Limit> {
    let context = Arc::clone(&turn.context);
    let publisher = match publication.source {
        Some(client) => DelayedPublisher::Client(client.identity()),
        None => DelayedPublisher::Program(publication.owner.cloned()),
    };
    let room = context.delayed.room(tenant, &publisher, publication.message.bytes())?;
    let now = Time::from_millis(turn.core.clock.lifetime_ms());
    let due =
        DelayedPlace { at: now.plus(Duration::from_secs(seconds.into())), id: turn.core.ids.next_message() };
    let message = Message::new(0, publication.message.parts(&turn.arena));
    let is_stored = publication.message.qos != QoS::AtMostOnce;
    let delayed = DelayedMessage {
        tenant: Arc::clone(tenant),
        message,
        publisher,
        may_connect: true,
        origin: publication.origin,
        due,
        is_stored,
        changed: turn.stamp(),
        _room: room,
    };
    if is_stored {
        let before = turn.batch.bytes();
        turn.batch.push(Op::PutDelayed(&row(&delayed)));
        let bytes = (turn.batch.bytes().saturating_sub(before), turn.is_of_shard());
        turn.releases.fed.count(tenant, publication, bytes);
    }
    if context.delayed.add(delayed) {
        context.tell(|hooks| hooks.has_work());
    }
    Ok(is_stored)
}

fn row(delayed: &DelayedMessage) -> DelayedRow {
    let DelayedMessage { message, publisher, due, .. } = delayed;
    let stored = |Owner { name, account }: Owner| AccountReference { name: &name, number: account }.stored();
    DelayedRow {
        tenant: delayed.tenant.id,
        id: due.id,
        due_at_ms: due.at.as_millis(),
        topic: message.topic().into(),
        properties: message.properties_bytes(),
        payload: message.payload(),
        qos: message.qos.bits(),
        retain: message.retain,
        expires_at_ms: message.expires_at_ms,
        user: publisher.user().map(stored),
        client: match publisher {
            DelayedPublisher::Client(identity) => Some(DelayedClientRow {
                client_id: identity.client_id.as_ref().into(),
                peer: peer_row(identity.peer),
                protocol_level: identity.protocol_version.unwrap_or_default(),
                principal: identity.principal.to_stored().map(Into::into),
            }),
            DelayedPublisher::Program(_) => None,
        },
    }
}
