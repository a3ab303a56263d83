//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use lotmq_auth::{Question, Verdict};
use lotmq_codec::{
    PacketId, Properties, ReasonCode, RetainHandling, Subscribe, Unsubscribe, encode_suback, encode_unsuback,
};
use lotmq_store::Op;

use super::Open;
use crate::client::Client;
use crate::close::CloseReason;
use crate::limits::{SUBSCRIPTIONS_PER_CLIENT, TOPIC_LEVELS_MAX};
use crate::net::arena::Span;
use crate::net::connection::Connection;
use crate::net::turn::Turn;
use crate::release::Release;
use crate::retain::Replay;
use crate::subscription::{Options, SHARED};
use crate::sys;

/// The answer to a SUBSCRIBE, and the filters whose retained messages follow it.
pub(crate) struct Granted {
    packet_id: PacketId,
    codes: Vec<ReasonCode>,
    replays: Vec<Replay>,
}

/// One filter as asked for.
struct Asked {
    filter: Box<str>,
    options: Options,
}

pub(super) fn subscribe(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    body: Span,
) -> Result<(), CloseReason> {
    let (packet_id, asked) = {
        let subscribe = Subscribe::decode(turn.arena.get(body), open.version)?;
        let identifier = subscribe.properties.subscription_identifier();
        let asked = subscribe.filters().map(|wanted| Asked {
            filter: wanted.filter.into(),
            options: Options {
                qos: wanted.options.qos,
                no_local: wanted.options.no_local,
                retain_as_published: wanted.options.retain_as_published,
                retain_handling: wanted.options.retain_handling,
                identifier,
                sys_broker_only: false,
            },
        });
        (subscribe.packet_id, asked.collect::<Vec<_>>())
    };
    let mut granted = Granted { packet_id, codes: Vec::with_capacity(asked.len()), replays: Vec::new() };
    let mut is_durable = false;
    for asked in asked {
        let code = match grant(open, turn, &asked) {
            Ok(options) => {
                is_durable |= open.client.is_durable();
                add(open, turn, &asked, options, &mut granted);
                ReasonCode::granted(options.qos)
            }
            Err(Refusal::Code(code)) => code,
            Err(Refusal::Close(reason)) => return Err(reason),
        };
        granted.codes.push(code);
    }
    if is_durable {
        let (client, connection) = (Arc::clone(&open.client), Arc::clone(connection));
        turn.when_committed(Release::Subscribe { client, connection, granted });
    } else {
        granted.answer(&open.client, connection, turn);
    }
    Ok(())
}

enum Refusal {
    Code(ReasonCode),
    Close(CloseReason),
}

impl From<ReasonCode> for Refusal {
    fn from(code: ReasonCode) -> Self {
        Self::Code(code)
    }
}

/// Checks one filter; one that is bad fails alone.
fn grant(open: &Open, turn: &Turn, asked: &Asked) -> Result<Options, Refusal> {
    let filter = &*asked.filter;
    let shared = lotmq_router::parse_shared(filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
    let inner = shared.as_ref().map_or(filter, |shared| shared.filter);
    lotmq_router::topic_filter_valid(inner).map_err(|_| ReasonCode::TopicFilterInvalid)?;
    if inner.split('/').count() > TOPIC_LEVELS_MAX {
        return Err(ReasonCode::TopicFilterInvalid.into());
    }
    if shared.is_some() && asked.options.no_local {
        // [MQTT-3.8.3-4]
        return Err(Refusal::Close(CloseReason::Protocol(ReasonCode::ProtocolError)));
    }
    let identity = open.client.identity();
    let sys_broker_only = match open.client.tenant.permissions.decide(&Question::subscribe(&identity, filter))
    {
        Verdict::Allow => false,
        Verdict::AllowOnly(_) => true,
        Verdict::Deny => {
            turn.broker.counters.subscribe_refused.add(1);
            return Err(ReasonCode::NotAuthorized.into());
        }
    };
    let state = open.client.state.lock();
    if state.subscriptions.len() >= SUBSCRIPTIONS_PER_CLIENT && !state.subscriptions.contains(filter) {
        return Err(ReasonCode::QuotaExceeded.into());
    }
    Ok(Options { sys_broker_only, ..asked.options })
}

fn add(open: &Open, turn: &mut Turn, asked: &Asked, options: Options, granted: &mut Granted) {
    let client = &open.client;
    let is_new = {
        // Both under the lock: a session that ends meanwhile leaves no subscription behind.
        let mut state = client.state.lock();
        if state.is_over {
            return;
        }
        state.subscriptions.insert(&asked.filter, options);
        if asked.filter.starts_with(SHARED) {
            // What is unacknowledged at its end goes to other members.
            state.session.keep_inflight();
        }
        client.tenant.subscribe(client, &asked.filter, options).is_none()
    };
    if client.is_durable() {
        turn.batch.push(Op::PutSubscription(&client.subscription_row(&asked.filter, options)));
    }
    let replays = match options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => is_new,
        RetainHandling::DoNotSend => false,
    };
    // Shared subscriptions get no retained messages (§4.8.2).
    if replays && !asked.filter.starts_with(SHARED) {
        let system = sys::snapshot(&turn.broker, &client.tenant, &asked.filter, options);
        granted.replays.push(Replay::new(&asked.filter, options, system));
    }
    client.tenant.guests.subscribed(client, &asked.filter, options.qos);
}

impl Granted {
    /// Sends SUBACK, then the retained messages \[MQTT-3.3.1-9\].
    pub(crate) fn answer(self, client: &Arc<Client>, connection: &Connection, turn: &mut Turn) {
        let Some(version) = client.version_on(connection) else { return };
        turn.control(client, connection, |out| {
            encode_suback(out, version, self.packet_id, Properties::EMPTY, &self.codes)
                .expect("every code that the broker chooses is one that SUBACK can carry");
        });
        client.replay(self.replays, turn);
    }
}

pub(super) fn unsubscribe(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    body: Span,
) -> Result<(), CloseReason> {
    let (packet_id, filters) = {
        let unsubscribe = Unsubscribe::decode(turn.arena.get(body), open.version)?;
        (unsubscribe.packet_id, unsubscribe.filters().map(Box::from).collect::<Vec<Box<str>>>())
    };
    let client = &open.client;
    let mut codes = Vec::with_capacity(filters.len());
    let mut is_durable = false;
    for filter in filters {
        let existed = {
            let mut state = client.state.lock();
            state.subscriptions.remove(&filter);
            // Retained messages that have not been sent yet are not begun any more [MQTT-3.10.4-2].
            state.replays.retain(|replay| !replay.is_of(&filter));
            client.tenant.unsubscribe(client, &filter)
        };
        if existed && client.is_durable() {
            is_durable = true;
            turn.batch.push(Op::DeleteSubscription {
                tenant: client.tenant.id,
                session: client.stored_id(),
                filter: &filter,
            });
        }
        codes.push(if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted });
    }
    let mut packet = Vec::new();
    encode_unsuback(&mut packet, open.version, packet_id, Properties::EMPTY, &codes)
        .expect("every code that the broker chooses is one that UNSUBACK can carry");
    if is_durable {
        let (client, connection) = (Arc::clone(client), Arc::clone(connection));
        turn.when_committed(Release::Control { client, connection, packet: packet.into() });
    } else {
        turn.control(client, connection, |out| out.extend_from_slice(&packet));
    }
    Ok(())
}
