//! SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_auth::{Authorization, Denier, Question};
use lotmq_changes::{MembershipId, Op};
use lotmq_codec::{
    PacketId, Properties, QoS, ReasonCode, RetainHandling, Subscribe, Unsubscribe, encode_unsuback,
};
use lotmq_config::ListenerLimits;
use lotmq_router::TopicError;
use tracing::debug;

use super::{bounds, discouraged};
use crate::arena::Span;
use crate::connection::Connection;
use crate::durable::store_failure::StoreFailure;
use crate::fault::{Fault, is_planted};
use crate::limits::Limit;
use crate::protocol::phase::{AskedFilter, Open, Subscribing, Unfinished, Unsubscribing};
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::tenant::client::ClientState;
use crate::tenant::replay::{Replay, Replays};
use crate::tenant::subscription::{Options, SHARED, filter_bytes};
use crate::tenant::system_topics;
use crate::turn::Turn;
use crate::turn::broker_hooks::BrokerHooks;
use crate::turn::release::Release;
use crate::turn::suback::{Added, FilterRefusal, Granted};

pub(super) fn subscribe(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    body: Span,
) -> Result<(), CloseReason> {
    let limits = &connection.listener.limits;
    let (packet_id, asked) = {
        let subscribe = Subscribe::decode(turn.arena.get(body), open.version)?;
        bounds::user_properties(limits, subscribe.properties).map_err(CloseReason::Limit)?;
        let identifier = subscribe.properties.subscription_identifier();
        let asked = subscribe.filters().map(|wanted| AskedFilter {
            filter: wanted.filter.into(),
            options: Options {
                qos: wanted.options.qos,
                no_local: wanted.options.no_local,
                retain_as_published: wanted.options.retain_as_published,
                retain_handling: wanted.options.retain_handling,
                identifier,
                sys_broker_only: false,
                membership: None,
            },
        });
        (subscribe.packet_id, bounds::filters(limits, asked).map_err(CloseReason::Limit)?)
    };
    let codes = Vec::with_capacity(asked.len());
    let granted =
        Granted { packet_id, codes, refusals: Vec::new(), added: Vec::new(), replays: Replays::default() };
    Subscribing { asked: asked.into_iter(), granted }.go_on(connection, open, turn)
}

impl Subscribing {
    /// Handles filters while there is time; answers after the last one.
    pub(super) fn go_on(
        mut self,
        connection: &Arc<Connection>,
        open: &mut Open,
        turn: &mut Turn,
    ) -> Result<(), CloseReason> {
        let mut is_durable = false;
        let unstorable = turn.core.refuses_to_store().filter(|_| open.client.is_durable());
        if let Some(failure) = unstorable.filter(|_| !open.version.has_properties()) {
            return Err(CloseReason::StoreFailed(failure));
        }
        let granted = &mut self.granted;
        while let Some(asked) = self.asked.next() {
            let code = match grant(&connection.listener.limits, open, turn, &asked, unstorable) {
                Ok(options) => {
                    is_durable |= open.client.is_durable();
                    add(connection, open, turn, &asked, options, granted);
                    ReasonCode::granted(options.qos)
                }
                Err(refusal) => {
                    if let FilterRefusal::Limit(limit) = refusal {
                        connection.listener.limit_reached(limit, &open.client.client_id);
                    }
                    granted.refusals.push((granted.codes.len() + 1, refusal));
                    refusal.reason_code()
                }
            };
            granted.codes.push(code);
            if turn.is_time_over() && self.asked.len() > 0 {
                part_done(turn, connection, is_durable);
                open.unfinished = Some(Box::new(Unfinished::Subscribe(self)));
                return Ok(());
            }
        }
        let granted = self.granted;
        if is_durable || !granted.added.is_empty() {
            connection.changes_waiting.fetch_add(1, Ordering::Relaxed);
            let (client, connection) = (Arc::clone(&open.client), Arc::clone(connection));
            // Earlier turns may have stored some of the changes.
            turn.when_all_committed(Release::Subscribe { client, connection, granted: Box::new(granted) });
        } else {
            granted.answer(&open.client, connection, turn);
        }
        Ok(())
    }
}

/// Notes that a part of a packet is done, which has changed something stored or not. Parts in later
/// turns do not hold without it.
fn part_done(turn: &mut Turn, connection: &Arc<Connection>, is_durable: bool) {
    if is_durable {
        connection.changes_waiting.fetch_add(1, Ordering::Relaxed);
        turn.when_committed(Release::Part { connection: Arc::clone(connection) });
    }
}

/// Checks one filter; a bad one fails alone.
fn grant(
    limits: &ListenerLimits,
    open: &Open,
    turn: &Turn,
    asked: &AskedFilter,
    unstorable: Option<StoreFailure>,
) -> Result<Options, FilterRefusal> {
    let filter = &*asked.filter;
    let shared = lotmq_router::parse_shared(filter)?;
    let inner = shared.as_ref().map_or(filter, |shared| shared.filter);
    lotmq_router::topic_filter_valid(inner)?;
    discouraged::in_filter(&turn.core.settings, filter)?;
    bounds::filter(limits, filter, inner).map_err(FilterRefusal::Limit)?;
    let identity = open.client.identity();
    let question = Question::subscribe(&identity, filter);
    let (decision, denier) = open.client.tenant.permissions.weigh(&question);
    let sys_broker_only = match decision.authorization {
        Authorization::Allow => false,
        Authorization::Deny if system_topics::may_have_own_replies(&identity, filter) => false,
        Authorization::AllowOnly(_) => true,
        Authorization::Deny => {
            turn.core.counters.subscribe_refused.add(1);
            let denier = denier.unwrap_or(Denier::BuiltIn);
            turn.context.tell(|hooks| hooks.denied(&open.client, &question, &denier));
            return Err(FilterRefusal::NotAllowed);
        }
    };
    let state = open.client.state.lock();
    let takes = match state.subscriptions.contains(filter) {
        true => Ok(()),
        false => takes_filter(limits, turn, &state, filter),
    };
    drop(state);
    match takes {
        Err(Limit::TenantSessionBytes | Limit::SubscriptionsPerUser)
            if open.client.tenant.is_administrator(&identity) => {}
        takes => takes.map_err(FilterRefusal::Limit)?,
    }
    if let Some(failure) = unstorable {
        return Err(FilterRefusal::NotStored(failure));
    }
    let qos_max = identity.principal.subscription_qos_max(filter, &identity.client_id);
    let qos = asked.options.qos.min(QoS::from_bits(qos_max).unwrap_or(QoS::AtMostOnce));
    Ok(Options { qos, sys_broker_only, ..asked.options })
}

/// Whether the session may have one more filter.
fn takes_filter(
    limits: &ListenerLimits,
    turn: &Turn,
    state: &ClientState,
    filter: &str,
) -> Result<(), Limit> {
    let more = filter_bytes(filter);
    let of_member = state.identity.principal.session_bounds().subscriptions;
    let subscriptions_max = of_member.map_or(limits.subscriptions, |max| max.min(limits.subscriptions));
    if state.subscriptions.len() >= subscriptions_max as usize {
        Err(Limit::Subscriptions)
    } else if filter.starts_with(SHARED)
        && state.subscriptions.shared() >= limits.shared_subscriptions as usize
    {
        Err(Limit::SharedSubscriptions)
    } else if state.subscriptions.bytes() + more > limits.subscription_bytes {
        Err(Limit::SubscriptionBytes)
    } else {
        let (share, limits) = (state.holding.share(), &turn.core.settings.limits);
        share.takes_bytes(more, limits)?;
        share.takes_subscription(limits)
    }
}

fn add(
    connection: &Connection,
    open: &Open,
    turn: &mut Turn,
    asked: &AskedFilter,
    options: Options,
    granted: &mut Granted,
) {
    let client = &open.client;
    let (options, (former, since)) = {
        // All under the lock: a session that ends meanwhile leaves no subscription behind, and one
        // that was taken over is not changed any more.
        let mut state = client.state.lock();
        if state.is_over || !state.is_on(connection) {
            return;
        }
        if client.is_durable() {
            turn.changes(client);
        }
        let options = Options { membership: membership(&state, &asked.filter, turn), ..options };
        state.subscriptions.insert(&asked.filter, options);
        state.count(&client.client_id, client.is_durable());
        if asked.filter.starts_with(SHARED) {
            // Unacknowledged messages go to other members at its end.
            state.session.keep_inflight();
        }
        (options, client.tenant.subscribe(client, &asked.filter, options))
    };
    if client.is_durable() {
        granted.added.push(Added { filter: asked.filter.clone(), options, former, at: granted.codes.len() });
        turn.batch.push(Op::PutSubscription(&client.subscription_row(&asked.filter, options)));
    }
    let replays = match options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => former.is_none(),
        RetainHandling::DoNotSend => false,
    };
    // Shared subscriptions get no retained messages (§4.8.2).
    if replays && !asked.filter.starts_with(SHARED) {
        let of_tree = |hooks: &dyn BrokerHooks| hooks.retained_of_tree(client, &asked.filter, options);
        let system = turn.context.tell(of_tree).unwrap_or_default();
        if !system.is_empty() || client.tenant.may_retain_for(&asked.filter) {
            granted.replays.add(asked.filter.clone(), Box::new(Replay::new(options, since, system)));
        }
    }
    turn.context.tell(|hooks| hooks.subscribed(client, &asked.filter, options.qos));
    debug!(target: "mqtt", client_id = &*client.client_id, filter = &*asked.filter, qos = options.qos.bits(), "subscribed");
}

/// Number of the membership that a filter stands for, if it is that of a shared subscription: who
/// is a member already stays the same one.
fn membership(state: &ClientState, filter: &str, turn: &Turn) -> Option<MembershipId> {
    filter.starts_with(SHARED).then(|| {
        let known = state.subscriptions.get(filter).and_then(|former| former.membership);
        known.unwrap_or_else(|| MembershipId::numbered(turn.core.ids.next_message()))
    })
}

pub(super) fn unsubscribe(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    body: Span,
) -> Result<(), CloseReason> {
    let limits = &connection.listener.limits;
    let (packet_id, filters) = {
        let unsubscribe = Unsubscribe::decode(turn.arena.get(body), open.version)?;
        bounds::user_properties(limits, unsubscribe.properties).map_err(CloseReason::Limit)?;
        let filters = bounds::filters(limits, unsubscribe.filters().map(Box::<str>::from));
        (unsubscribe.packet_id, filters.map_err(CloseReason::Limit)?)
    };
    if let Some(failure) = turn.core.store_failure().filter(|_| open.client.is_durable()) {
        return refuse_unsubscribe(connection, open, turn, (packet_id, filters.len()), failure);
    }
    let refusals = judge_unsubscribed(open, &filters)?;
    let codes = Vec::with_capacity(filters.len());
    // If an earlier removal is not on the disk yet, the turn writes it again, because the answer
    // rests on it.
    let is_unsure = open.client.is_durable() && !turn.is_on_disk(open.client.changed.get());
    let filters = filters.into_iter().zip(refusals);
    Unsubscribing { packet_id, filters, codes, is_unsure }.go_on(connection, open, turn)
}

impl Unsubscribing {
    /// Handles filters while there is time; answers when that was the last one.
    pub(super) fn go_on(
        mut self,
        connection: &Arc<Connection>,
        open: &mut Open,
        turn: &mut Turn,
    ) -> Result<(), CloseReason> {
        let client = &open.client;
        let mut is_durable = false;
        while let Some((filter, refusal)) = self.filters.next() {
            if refusal.is_some() {
                self.codes.push(ReasonCode::TopicFilterInvalid);
                continue;
            }
            let existed = {
                let mut state = client.state.lock();
                if !state.is_on(connection) {
                    return Ok(());
                }
                if client.is_durable() {
                    turn.changes(client);
                }
                state.subscriptions.remove(&filter);
                state.count(&client.client_id, client.is_durable());
                // Retained messages that have not been sent yet are not begun any more
                // [MQTT-3.10.4-2].
                state.replays.end(&filter);
                is_planted(Fault::UnsubscribeIgnored) || client.tenant.unsubscribe(client, &filter)
            };
            if (existed || self.is_unsure) && client.is_durable() {
                is_durable = true;
                turn.batch.push(Op::DeleteSubscription {
                    tenant: client.tenant.id,
                    session: client.stored_id(),
                    filter: &filter,
                });
            }
            debug!(target: "mqtt", client_id = &*client.client_id, filter = &*filter, existed, "unsubscribed");
            self.codes.push(if existed { ReasonCode::Success } else { ReasonCode::NoSubscriptionExisted });
            if turn.is_time_over() && self.filters.len() > 0 {
                part_done(turn, connection, is_durable);
                open.unfinished = Some(Box::new(Unfinished::Unsubscribe(self)));
                return Ok(());
            }
        }
        let mut packet = Vec::new();
        encode_unsuback(&mut packet, open.version, self.packet_id, Properties::EMPTY, &self.codes)
            .expect("every code that the broker chooses is one that UNSUBACK can carry");
        // Parts of earlier turns that are not on the disk yet are in front of this.
        if is_durable || connection.changes_waiting.load(Ordering::Relaxed) > 0 {
            let (client, connection) = (Arc::clone(client), Arc::clone(connection));
            connection.changes_waiting.fetch_add(1, Ordering::Relaxed);
            turn.when_all_committed(Release::Unsubscribe { client, connection, packet: packet.into() });
        } else {
            turn.control(client, connection, |out| out.extend_from_slice(&packet));
        }
        Ok(())
    }
}

/// Errors in the filters of an UNSUBSCRIBE, each at its place. An existing subscription may always
/// be ended.
///
/// # Errors
/// Before 5.0 UNSUBACK cannot say it: the connection ends, with all subscriptions as they were.
fn judge_unsubscribed(open: &Open, filters: &[Box<str>]) -> Result<Vec<Option<TopicError>>, Violation> {
    let judge = |filter: &str| {
        let refusal = lotmq_router::topic_filter_valid(filter).err()?;
        (!open.client.state.lock().subscriptions.contains(filter)).then_some(refusal)
    };
    let refusals: Vec<_> = filters.iter().map(|filter| judge(filter)).collect();
    match refusals.iter().flatten().next() {
        Some(refusal) if !open.version.has_properties() => Err(Violation::FilterInvalid(*refusal)),
        Some(_) | None => Ok(refusals),
    }
}

/// Leaves all subscriptions as they are, because the end of one could not be stored. UNSUBACK has
/// one code for it, whatever the reason.
fn refuse_unsubscribe(
    connection: &Connection,
    open: &Open,
    turn: &mut Turn,
    (packet_id, count): (PacketId, usize),
    failure: StoreFailure,
) -> Result<(), CloseReason> {
    let recipient = open.client.recipient_on(connection);
    let Some(recipient) = recipient.filter(|recipient| recipient.version.has_properties()) else {
        return Err(CloseReason::StoreFailed(failure));
    };
    let codes = vec![ReasonCode::ImplementationSpecificError; count];
    let words = format!("the change could not be stored: {failure}");
    turn.control(&open.client, connection, |out| {
        recipient.explain_acknowledgement(out, &words, |out, properties| {
            encode_unsuback(out, recipient.version, packet_id, properties, &codes)
        });
    });
    Ok(())
}
