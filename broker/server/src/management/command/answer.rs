//! Answer to a command: changed topics, topics for the asker, and the reply. Commands reference
//! §1.7, §1.8.
//!
//! The asker's sessions get the whole reply; others who may read the topic of replies get who gave
//! which command and what came of it.

use std::sync::Arc;

use lotmq_auth::{Decide as _, Identity, Question};
use lotmq_codec::{PropertyBuf, PropertyId, PropertyValue, QoS};
use tracing::debug;

use super::reply::Reply;
use crate::management::backup::Download;
use crate::management::broker::Broker;
use crate::management::command_queue::{Job, ResponseTo};
use lotmq_core::message::MessageParts;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_core::tenant::system_topics;
use lotmq_core::turn::Turn;
use lotmq_core::turn::fan_out::{Asker, Forms};
use lotmq_core::turn::internal;
use lotmq_process::this_turn;

/// Publishes topics for the asker alone, and waits until the session that asked has taken them: a
/// reply of QoS 0 behind a large message would find no room.
pub(super) fn tell(broker: &Broker, job: &Job, topics: &[(String, Vec<u8>)]) {
    if topics.is_empty() {
        return;
    }
    this_turn::with(|turn| {
        turn.tick();
        let asker = Asker::new(&job.identity, job.session());
        for (topic, payload) in topics {
            publish(turn, &job.tenant, topic, (payload, None), (&asker, job.hops));
        }
        turn.flush();
    });
    let client = job.tenant.sessions.lock().get(SessionKey::from(&*job.identity)).map(Arc::clone);
    if let Some(client) = client.filter(|client| Some(client.session_id) == job.session())
        && let Err(error) = Download::new(&|| broker.commands.is_stopping(), &client).finish()
    {
        debug!(client_id = &*client.client_id, %error, "reply not waited for");
    }
}

/// Publishes the changed topics for all who may read them, then the reply.
pub(super) fn send(job: &Job, changed: &[(String, Vec<u8>)], reply: Option<&Reply>) {
    this_turn::with(|turn| {
        turn.tick();
        for (topic, payload) in changed {
            internal::publish_after(turn, &job.tenant, topic, payload, true, job.hops);
        }
        let asker = Asker::new(&job.identity, job.session());
        if let Some(reply) = reply {
            publish_reply(turn, &job.tenant, reply, &asker, job.hops);
            if let Some(response) = &job.response {
                respond(turn, job, response, &reply.whole);
            }
        }
        turn.flush();
    });
}

/// Publishes a reply on the topic of replies.
pub(super) fn publish_reply(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    reply: &Reply,
    asker: &Asker<'_>,
    hops: u8,
) {
    let forms = (reply.whole.as_bytes(), Some(reply.shortened.as_bytes()));
    publish(turn, tenant, system_topics::OUTPUT_TOPIC, forms, (asker, hops));
}

/// Publishes a reply that nobody but the asker gets: who may not give commands fills no topic that
/// others read.
pub(super) fn publish_reply_to_asker(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    reply: &Reply,
    asker: &Asker<'_>,
) {
    publish(turn, tenant, system_topics::OUTPUT_TOPIC, (reply.whole.as_bytes(), None), (asker, 0));
}

fn publish(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    topic: &str,
    (whole, shortened): (&[u8], Option<&[u8]>),
    (asker, hops): (&Asker<'_>, u8),
) {
    let mut encoded = |payload| internal::encoded(turn, topic, payload, QoS::ExactlyOnce, false, hops);
    if let Some(whole) = encoded(whole) {
        let shortened = shortened.and_then(encoded);
        Forms { whole, shortened }.publish(turn, tenant, asker);
    }
}

/// Publishes the reply on the Response Topic, where the sender may publish and read (§1.8).
fn respond(turn: &mut Turn, job: &Job, response: &ResponseTo, reply: &str) {
    if !may_respond(&job.tenant, &job.identity, &response.topic) {
        debug!(client_id = &*job.identity.client_id, "response topic not allowed");
        return;
    }
    let mut properties = PropertyBuf::new();
    if let Some(data) = &response.correlation_data {
        properties
            .push(PropertyId::CorrelationData, PropertyValue::Binary(data))
            .expect("correlation data came in a packet, so it fits one");
    }
    let parts = MessageParts {
        topic: &response.topic,
        properties: properties.properties().raw(),
        payload: reply.as_bytes(),
        qos: QoS::ExactlyOnce,
        retain: false,
        expires_at_ms: None,
    };
    let copied = Publication::copied(&mut turn.arena, parts, None);
    let publication = Publication { hops: job.hops, ..copied };
    turn.publish(&job.tenant, &publication);
}

fn may_respond(tenant: &Tenant, identity: &Identity, topic: &str) -> bool {
    let asks = [Question::publish(identity, topic), Question::subscribe(identity, topic)];
    !system_topics::is_system(topic)
        && lotmq_router::topic_name_valid(topic).is_ok()
        && asks.iter().all(|question| tenant.permissions.decide(question).is_allowed())
}
