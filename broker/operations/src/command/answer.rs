//! Answer to a command: changed topics, topics for the asker, and the reply. Commands reference
//! §1.7, §1.8.
//!
//! The asker's sessions get the whole reply; others who may read the topic of replies get who gave
//! which command and what came of it. A caller in this process gets file and reply over its
//! channel, as values. Here alone a reply becomes text.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_auth::{Decide as _, Identity, Question};
use lotmq_codec::{PropertyBuf, PropertyId, PropertyValue, QoS};
use tracing::debug;

use super::run::Executed;
use super::verb::CallerFile;
use crate::backup::{Download, DownloadReceiver};
use crate::broker::Broker;
use crate::command_queue::job::{AnswerPart, CommandCaller, Job, ReplyTo, ResponseTo};
use crate::command_queue::reply::CommandReply;
use crate::sys::ChangedTopic;
use lotmq_core::message::MessageParts;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::publication::Publication;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_core::tenant::system_topics;
use lotmq_core::turn::Turn;
use lotmq_core::turn::fan_out::{Asker, Forms};
use lotmq_core::turn::internal;
use lotmq_process::this_turn;
use lotmq_programs::authority::SourceReader;

/// Publishes what an executed command has changed, answers its caller, and starts what follows.
pub(super) fn deliver(broker: &Broker, job: &Job, executed: Executed) {
    let Executed { reply, changed_topics, file, is_silent, users_changed, restarts } = executed;
    match &job.reply_to {
        ReplyTo::Topics { response } => {
            file.iter().for_each(|file| publish_file(broker, &job.caller, file));
            let reply = (!is_silent).then_some(&reply);
            publish_answer(&job.caller, &changed_topics, reply, response.as_ref());
        }
        ReplyTo::Caller(caller) => {
            publish_answer(&job.caller, &changed_topics, None, None);
            let file = file.map(|file| AnswerPart::Bytes(file.bytes));
            let reply = AnswerPart::Reply(Box::new(reply));
            let (receiver, is_stopping) =
                (DownloadReceiver::Caller(caller.clone()), || broker.commands.is_stopping());
            let download = Download::new(&is_stopping, &receiver);
            let sent = file.into_iter().chain([reply]).try_for_each(|part| download.send_part(part));
            if let Err(error) = sent {
                debug!(client_id = &*job.caller.identity.client_id, %error, "caller has taken no answer");
            }
        }
    }
    if users_changed {
        broker.sys.users_changed();
    }
    if restarts {
        broker.backups.restart();
    }
}

/// Publishes a file for the asker alone, and waits until the session that asked has taken it: a
/// reply of QoS 0 behind a large message would find no room.
fn publish_file(broker: &Broker, caller: &CommandCaller, file: &CallerFile) {
    let CommandCaller { tenant, identity, .. } = caller;
    this_turn::with(|turn| {
        turn.tick();
        let asker = Asker::new(identity, caller.session());
        let text = STANDARD.encode(&file.bytes);
        publish(turn, tenant, &file.topic, (text.as_bytes(), None), (&asker, caller.hops()));
        turn.flush();
    });
    let client = tenant.sessions.lock().get(SessionKey::from(&**identity)).map(Arc::clone);
    if let Some(client) = client.filter(|client| Some(client.session_id) == caller.session())
        && let Err(error) =
            Download::new(&|| broker.commands.is_stopping(), &DownloadReceiver::Client(Arc::clone(&client)))
                .finish()
    {
        debug!(client_id = &*client.client_id, %error, "reply not waited for");
    }
}

/// Publishes the changed topics for all who may read them, then the reply.
fn publish_answer(
    caller: &CommandCaller,
    changed: &[ChangedTopic],
    reply: Option<&CommandReply>,
    response: Option<&ResponseTo>,
) {
    let CommandCaller { tenant, identity, .. } = caller;
    this_turn::with(|turn| {
        turn.tick();
        for changed in changed {
            publish_changed(turn, tenant, changed, caller.hops());
        }
        if let Some(reply) = reply {
            let whole = reply.json();
            let asked = CommandAsker { identity, session: caller.session(), hops: caller.hops() };
            publish_texts(turn, tenant, (&whole, Some(&reply.shortened(identity.user_name()))), asked);
            if let Some(response) = response {
                respond(turn, caller, response, &whole);
            }
        }
        turn.flush();
    });
}

/// Publishes a changed topic; one with passwords without them for those who may not see them.
fn publish_changed(turn: &mut Turn, tenant: &Arc<Tenant>, changed: &ChangedTopic, hops: u8) {
    let ChangedTopic { topic, payload, masked } = changed;
    let Some(masked) = masked else {
        return internal::publish_after(turn, tenant, topic, payload, true, hops);
    };
    let mut encoded = |payload| internal::encoded(turn, topic, payload, QoS::ExactlyOnce, true, hops);
    if let Some(whole) = encoded(payload) {
        let shortened = encoded(&masked.payload);
        let sees_whole = |client: &Client| {
            SourceReader::new(tenant, &client.identity()).sees_all_of(masked.owner.as_ref())
        };
        Forms { whole, shortened }.publish_by_right(turn, tenant, &sees_whole);
    }
}

/// User who gave a command, and the place where they gave it.
#[derive(Clone, Copy)]
pub(super) struct CommandAsker<'a> {
    pub(super) identity: &'a Identity,
    /// Number of the session; `None` for a definition.
    pub(super) session: Option<u64>,
    /// Number of guest runs that led to the command.
    pub(super) hops: u8,
}

/// Publishes a reply on the topic of replies.
pub(super) fn publish_reply(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    reply: &CommandReply,
    asked: CommandAsker<'_>,
) {
    let shortened = reply.shortened(asked.identity.user_name());
    publish_texts(turn, tenant, (&reply.json(), Some(&shortened)), asked);
}

/// Publishes a reply that nobody but the asker gets: who may not give commands fills no topic that
/// others read.
pub(super) fn publish_reply_to_asker(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    reply: &CommandReply,
    asked: CommandAsker<'_>,
) {
    publish_texts(turn, tenant, (&reply.json(), None), asked);
}

fn publish_texts(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    texts: (&str, Option<&str>),
    CommandAsker { identity, session, hops }: CommandAsker<'_>,
) {
    let (whole, shortened) = texts;
    let forms = (whole.as_bytes(), shortened.map(str::as_bytes));
    publish(turn, tenant, system_topics::OUTPUT_TOPIC, forms, (&Asker::new(identity, session), hops));
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
fn respond(turn: &mut Turn, caller: &CommandCaller, response: &ResponseTo, reply: &str) {
    let CommandCaller { tenant, identity, .. } = caller;
    if !may_respond(tenant, identity, &response.topic) {
        debug!(client_id = &*identity.client_id, "response topic not allowed");
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
    let publication = Publication { hops: caller.hops(), ..copied };
    turn.publish(tenant, &publication);
}

fn may_respond(tenant: &Tenant, identity: &Identity, topic: &str) -> bool {
    let asks = [Question::publish(identity, topic), Question::subscribe(identity, topic)];
    // A reply is published at once: a delay would count for nobody, and rules see another topic.
    !system_topics::is_system(topic)
        && lotmq_router::parse_delayed(topic).is_none()
        && lotmq_router::topic_name_valid(topic).is_ok()
        && asks.iter().all(|question| tenant.permissions.decide(question).is_allowed())
}
