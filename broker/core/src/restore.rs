//! Restoring of sessions, with their queues and subscriptions, of retained messages and of messages
//! with a delay from the rows of a log: at a start all of them, in a running broker those of a
//! tenant or a shard.
//!
//! Not here: what is managed of a tenant (`restore` of `lotmq_server`), and the runs that messages
//! were promised (`interrupted_runs` there).

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::{AccountReference, Authorization, Decide as _, Identity, Peer, Principal, Question};
use lotmq_changes::{
    Batch, DelayedRow, MessageId, Op, PeerRow, Recovered, RecoveredDelivery, RecoveredSession, RetainedRow,
    SessionRow, SubscriptionRow, TenantId, Waiting, WillRow,
};
use lotmq_codec::{
    PacketId, Properties, PropertyPlace, ProtocolVersion, QoS, RetainHandling, has_discouraged,
};
use lotmq_definitions::Owner;
use lotmq_router::is_delayed_target;
use lotmq_session::{
    DurableState, InflightMessage, InflightStep, Resting, Session, SessionExpiry, SessionOptions, Time,
    WillState,
};
use tracing::warn;

use crate::client::attach::options_at;
use crate::durable::changes::Stamp;
use crate::message::{Message, MessageParts};
use crate::shared::Core;
use crate::shares::Holding;
use crate::tenant::Tenant;
use crate::tenant::client::{Client, ClientState, LeftAt, Queued};
use crate::tenant::delayed::{DelayedMessage, DelayedPlace, DelayedPublisher};
use crate::tenant::replay::Replays;
use crate::tenant::retain::Keeper;
use crate::tenant::session_key::SessionKey;
use crate::tenant::subscription::{Options, SHARED, Subscriptions};
use crate::tenant::will::WillMessage;
use crate::turn::context::TurnContext;
use crate::turn::stored::{message, properties, qos, queued};

/// Restores sessions, retained messages and messages with a delay of these tenants, and takes them
/// out of `rows`.
///
/// [`Recovered::take`] returns the rows of a scope. No other process may write rows of that scope
/// any more. Message numbers continue behind those of the rows.
pub fn restore(context: &TurnContext, tenants: &[Arc<Tenant>], rows: &mut Recovered) {
    context.core.ids.continue_at(rows.next_message);
    let are_all_users_known = rows.quarantined.is_empty();
    sessions(context, tenants, std::mem::take(&mut rows.sessions), are_all_users_known);
    retained(&context.core, tenants, std::mem::take(&mut rows.retained));
    delayed(context, tenants, std::mem::take(&mut rows.delayed));
}

/// Restores the sessions of offline Clients. Expiry timers continue. If damaged rows hide some
/// users, sessions of unknown users stay.
fn sessions(
    context: &TurnContext,
    tenants: &[Arc<Tenant>],
    sessions: Vec<RecoveredSession>,
    are_all_users_known: bool,
) {
    let tenants: HashMap<_, _> = tenants.iter().map(|tenant| (tenant.id, Arc::clone(tenant))).collect();
    let (mut messages, mut principals) = (Messages::default(), Principals::default());
    for recovered in latest(&context.core, &tenants, sessions, are_all_users_known) {
        let Some(tenant) = tenants.get(&recovered.session.tenant) else {
            warn!(session = recovered.session.id.0, "session of an unknown tenant ignored");
            continue;
        };
        let Some(principal) = principals.of(tenant, &recovered.session) else {
            warn!(session = recovered.session.id.0, "session whose user cannot be read ignored");
            continue;
        };
        restore_session(context, tenant, principal, recovered, &mut messages);
    }
}

/// Member of the login chain that vouches for the user of a row.
fn member(stored: Option<&bytes::Bytes>) -> Option<Arc<str>> {
    Principal::from_stored(stored?)?.member().cloned()
}

/// Principals of accounts, which the sessions of one account share.
#[derive(Default)]
struct Principals(HashMap<(TenantId, String), Arc<Principal>>);

impl Principals {
    /// Principal of a session: for a user without an account the stored one. `None` if that cannot
    /// be read.
    fn of(&mut self, tenant: &Tenant, row: &SessionRow) -> Option<Arc<Principal>> {
        if let Some(stored) = &row.principal {
            return tenant.users.restored_principal(stored);
        }
        let Some(name) = &row.user else { return Some(Principal::anonymous()) };
        // Without a credential: whoever comes back proves it again.
        let number = || tenant.users.account(name).map_or(0, |account| account.number);
        let new = || Principal::of_reference(AccountReference { name, number: number() });
        Some(Arc::clone(self.0.entry((tenant.id, name.clone())).or_insert_with(new)))
    }
}

/// Picks one session per user and Client Identifier: the latest, if the user still exists. When two
/// shards store the end of one and the beginning of the next, a crash may leave both; besides, a
/// session that is ending may have a successor; and one of a removed user must not be there for the
/// next of that name. Of those that are not to be resumed only such stay whose queue others are to
/// get. A session that is in memory already stays as it is.
fn latest(
    core: &Core,
    tenants: &HashMap<TenantId, Arc<Tenant>>,
    mut sessions: Vec<RecoveredSession>,
    are_all_users_known: bool,
) -> Vec<RecoveredSession> {
    // A user who was put aside as damaged may come back.
    let is_of_somebody = |row: &SessionRow| match (&row.user, tenants.get(&row.tenant)) {
        // An account wins a name, and another source has none.
        (Some(user), Some(tenant)) if row.principal.is_some() => tenant.users.account(user).is_none(),
        (Some(user), Some(tenant)) => tenant.users.account(user).is_some() || !are_all_users_known,
        (None, _) | (_, None) => true,
    };
    let in_memory = |row: &SessionRow| {
        let member = member(row.principal.as_ref());
        let (user, member) = (row.user.as_deref(), member.as_deref());
        let key = SessionKey { client_id: &row.client_id, user, member };
        tenants.get(&row.tenant)?.sessions.lock().get(key).map(|client| client.stored_id())
    };
    // An older one is stale. The same one, or a later one, is left alone.
    sessions.retain(|it| in_memory(&it.session).is_none_or(|known| known > it.session.id));
    sessions.sort_by_key(|recovered| std::cmp::Reverse(recovered.session.id));
    let mut seen = HashSet::new();
    let mut stale = Batch::new();
    sessions.retain_mut(|recovered| {
        let row = &mut recovered.session;
        let member = member(row.principal.as_ref());
        let is_latest = seen.insert((row.tenant, row.user.clone(), member, row.client_id.clone()));
        if is_latest && is_of_somebody(row) && in_memory(row).is_none() {
            return true;
        }
        let is_member = recovered.subscriptions.iter().any(|row| row.filter.starts_with(SHARED));
        // Messages that waited, and unacknowledged ones of QoS 1.
        let is_left = recovered.waiting.messages > 0
            || recovered.queue.iter().any(|delivery| qos(delivery.qos) == QoS::AtLeastOnce);
        if is_member && is_left {
            row.expiry_interval_s = Some(0);
            row.will = None;
            row.disconnected_at_ms.get_or_insert_with(|| core.clock.lifetime_ms());
            return true;
        }
        stale.push(Op::DeleteSession { tenant: row.tenant, session: row.id });
        false
    });
    if !stale.is_empty()
        && let Err((error, _)) = core.log.offer(stale)
    {
        warn!(%error, "stale sessions not removed");
    }
    sessions
}

/// Messages by number: one that several sessions share is made once.
#[derive(Default)]
struct Messages(HashMap<MessageId, Arc<Message>>);

impl Messages {
    fn get(&mut self, delivery: &RecoveredDelivery) -> Arc<Message> {
        Arc::clone(self.0.entry(delivery.message.id).or_insert_with(|| Arc::new(message(delivery))))
    }
}

fn restore_session(
    context: &TurnContext,
    tenant: &Arc<Tenant>,
    principal: Arc<Principal>,
    recovered: RecoveredSession,
    messages: &mut Messages,
) {
    let core = &context.core;
    let row = &recovered.session;
    let expiry = row.expiry_interval_s.map_or(SessionExpiry::NEVER, SessionExpiry::from_seconds);
    let left_at = Time::from_millis(row.disconnected_at_ms.unwrap_or_else(|| core.clock.lifetime_ms()));
    let mut identity = Identity::new(principal, row.client_id.as_str().into(), peer(row.peer));
    identity.protocol_version = Some(row.protocol_level);
    let holding = Holding::new(tenant.shares.of(&identity));
    let state = ClientState {
        link: None,
        session: session(core, &recovered, messages),
        subscriptions: Subscriptions::default(),
        identity: Arc::new(identity),
        will: kept_will(core, row).map_or(WillState::None, |will| delayed_will(will, left_at, expiry)),
        expiry,
        clean_start: false,
        keep_alive_seconds: 0,
        connected_at_ms: 0,
        left_at: LeftAt::new(left_at),
        replays: Replays::default(),
        queue_allowed_at: 0,
        keeps_rows: true,
        holding,
        is_over: false,
    };
    let deadlines: Vec<Time> =
        state.will.next_timeout().into_iter().chain(expiry.deadline(left_at)).collect();
    let client = Arc::new(Client::new(tenant, row.id.0, core.slots.take(), state));
    for subscription in &recovered.subscriptions {
        let options = options(tenant, &client, subscription);
        tenant.subscribe(&client, &subscription.filter, options);
        client.state.lock().subscriptions.insert(&subscription.filter, options);
    }
    client.state.lock().count(&client.client_id, true);
    {
        let mut sessions = tenant.sessions.lock();
        // The latest of a Client comes first; others are ending.
        if sessions.get(client.key()).is_none() {
            sessions.insert(Arc::clone(&client));
        }
    }
    context.expiry_timers.add(&client, deadlines);
}

/// Will of a session, unless an older version stored it and it is not allowed today.
fn kept_will<'a>(core: &Core, row: &'a SessionRow) -> Option<&'a WillRow> {
    let may =
        |will: &&WillRow| core.settings.takes_discouraged || !is_discouraged(&will.topic, &will.properties);
    row.will.as_ref().filter(may)
}

fn peer(stored: PeerRow) -> Peer {
    match stored {
        PeerRow::Tcp(address) => Peer::Tcp(address),
        PeerRow::Proxied(address) => Peer::Proxied(address),
        PeerRow::Unix => Peer::Unix,
        PeerRow::Unknown => Peer::Unknown,
    }
}

fn session(core: &Core, recovered: &RecoveredSession, messages: &mut Messages) -> Session<Queued> {
    let version = match recovered.session.protocol_level {
        3 => ProtocolVersion::V3_1,
        5 => ProtocolVersion::V5,
        _ => ProtocolVersion::V3_1_1,
    };
    let Waiting { messages: resting, bytes } = recovered.waiting;
    let mut state = DurableState { resting: Resting { messages: resting, bytes }, ..DurableState::default() };
    for (packet_id, _) in &recovered.pubrel {
        let (packet_id, step) = (PacketId(*packet_id), InflightStep::AwaitsPubcomp);
        state.inflight.push(InflightMessage { packet_id, step, bytes: 0, message: None, has_left: true });
    }
    // The store was asked for those that were sent; the others rest there.
    for delivery in &recovered.queue {
        let Some(packet_id) = delivery.packet_id.map(PacketId) else { continue };
        let queued = queued(delivery, &messages.get(delivery));
        let bytes = u32::try_from(queued.message.size()).unwrap_or(u32::MAX);
        let qos = qos(delivery.qos);
        let step = match qos {
            QoS::ExactlyOnce => InflightStep::AwaitsPubrec,
            QoS::AtLeastOnce | QoS::AtMostOnce => InflightStep::AwaitsPuback,
        };
        state.inflight.push(InflightMessage {
            packet_id,
            step,
            bytes,
            message: Some(queued),
            has_left: true,
        });
    }
    let last_used = state.inflight.iter().map(|inflight| inflight.packet_id).max();
    state.next_packet_id = last_used.map_or(PacketId::MIN, PacketId::next);
    state.received = recovered.qos2_received.iter().copied().map(PacketId).collect();
    let options =
        SessionOptions { keep_inflight: true, ..options_at(&core.settings.limits.for_all(), version) };
    match Session::import(options, state) {
        Ok(session) => session,
        Err(error) => {
            warn!(client_id = recovered.session.client_id, %error, "flows of a session could not be restored");
            let mut session = Session::new(options);
            session.disconnect();
            session
        }
    }
}

/// Will of a Client that is away: due after its delay, or when the session ends if that is earlier
/// \[MQTT-3.1.3-9\].
fn delayed_will(row: &WillRow, left_at: Time, expiry: SessionExpiry) -> WillState<Box<WillMessage>> {
    let will = WillMessage {
        topic: row.topic.as_str().into(),
        properties: properties(&row.properties).into(),
        payload: row.payload.as_ref().into(),
        qos: qos(row.qos),
        retain: row.retain,
        delay_seconds: row.delay_interval_s,
        expiry_seconds: Properties::from_raw(&row.properties, PropertyPlace::Will)
            .ok()
            .and_then(|properties| properties.message_expiry_interval()),
    };
    let delayed = left_at.plus(Duration::from_secs(row.delay_interval_s.into()));
    let due = expiry.deadline(left_at).map_or(delayed, |end| end.min(delayed));
    WillState::Delayed { will: Box::new(will), due }
}

fn options(tenant: &Tenant, client: &Client, row: &SubscriptionRow) -> Options {
    // The store does not hold this decision, and the permissions may have changed, so it is made
    // anew. Rules are not restored yet; they are asked about each topic that is delivered.
    let authorization = tenant.permissions.decide(&Question::subscribe(&client.identity(), &row.filter));
    Options {
        qos: qos(row.qos),
        no_local: row.no_local,
        retain_as_published: row.retain_as_published,
        retain_handling: match row.retain_handling {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            _ => RetainHandling::DoNotSend,
        },
        identifier: row.subscription_id.and_then(NonZeroU32::new),
        sys_broker_only: matches!(authorization, Authorization::AllowOnly(_)),
        membership: row.membership,
    }
}

/// Restores the retained messages. Those that an older version stored and that Clients may not
/// publish today stay in the store, unseen.
fn retained(core: &Core, tenants: &[Arc<Tenant>], rows: Vec<RetainedRow>) {
    let mut unseen = 0;
    for row in rows {
        let Some(tenant) = tenants.iter().find(|tenant| tenant.id == row.tenant) else { continue };
        if !core.settings.takes_discouraged && is_discouraged(&row.topic, &row.properties) {
            unseen += 1;
            continue;
        }
        let message = Message::new(
            0,
            MessageParts {
                topic: &row.topic,
                properties: properties(&row.properties),
                payload: &row.payload,
                qos: qos(row.qos),
                retain: true,
                expires_at_ms: row.expires_at_ms,
            },
        );
        tenant.retained.write().insert(&Arc::new(message), Keeper::recovered(row.keeper));
    }
    if unseen > 0 {
        warn!(
            count = unseen,
            "retained messages with control characters are not shown; mqtt.control_characters = true brings them back"
        );
    }
}

/// Restores the messages that wait until their delay is over.
fn delayed(context: &TurnContext, tenants: &[Arc<Tenant>], rows: Vec<DelayedRow>) {
    let mut damaged = 0;
    for row in rows {
        let Some(tenant) = tenants.iter().find(|tenant| tenant.id == row.tenant) else { continue };
        if !is_delayed_target(&row.topic) {
            damaged += 1;
            continue;
        }
        if !context.core.settings.takes_discouraged && is_discouraged(&row.topic, &row.properties) {
            continue;
        }
        let parts = MessageParts {
            topic: &row.topic,
            properties: properties(&row.properties),
            payload: &row.payload,
            qos: qos(row.qos),
            retain: row.retain,
            expires_at_ms: row.expires_at_ms,
        };
        let message = Message::new(0, parts);
        let Some(publisher) = delayed_publisher(tenant, &row) else {
            damaged += 1;
            continue;
        };
        let room = context.delayed.recovered_room(tenant, &publisher, message.size());
        let may_connect = publisher.may_connect(context.core.settings.anonymous);
        context.delayed.add(DelayedMessage {
            tenant: Arc::clone(tenant),
            message,
            publisher,
            may_connect,
            origin: None,
            due: DelayedPlace { at: Time::from_millis(row.due_at_ms), id: row.id },
            is_stored: true,
            changed: Stamp::default(),
            _room: room,
        });
    }
    if damaged > 0 {
        warn!(
            count = damaged,
            "delayed messages to topics that nobody may publish to, or of users that cannot be read, are left out"
        );
    }
}

/// Publisher of a stored message; `None` if its principal cannot be read.
fn delayed_publisher(tenant: &Tenant, row: &DelayedRow) -> Option<DelayedPublisher> {
    let account = row.user.as_deref().map(AccountReference::read);
    let Some(client) = &row.client else {
        let owner = account.map(|account| Owner { name: account.name.into(), account: account.number });
        return Some(DelayedPublisher::Program(owner));
    };
    let principal = match (&client.principal, account) {
        (Some(stored), _) => tenant.users.restored_principal(stored)?,
        (None, Some(account)) => Principal::of_reference(account),
        (None, None) => Principal::anonymous(),
    };
    let mut identity = Identity::new(principal, client.client_id.as_str().into(), peer(client.peer));
    identity.protocol_version = Some(client.protocol_level);
    Some(DelayedPublisher::Client(Arc::new(identity)))
}

/// Whether a text of a stored message has code points that Clients may take for malformed.
fn is_discouraged(topic: &str, properties: &[u8]) -> bool {
    let properties = Properties::from_raw(properties, PropertyPlace::Will);
    has_discouraged(topic) || properties.is_ok_and(|properties| properties.has_discouraged())
}
