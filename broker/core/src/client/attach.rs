//! Attaching a connection to its session: a new one, the stored one, or that of a connection which
//! it takes over.
//!
//! Everything about one user's Client Identifier happens under its tenant's lock of sessions, so
//! two CONNECTs of it cannot both win.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lotmq_auth::Identity;
use lotmq_changes::Op;
use lotmq_codec::ProtocolVersion;
use lotmq_config::ListenerLimits;
use lotmq_session::{Session, SessionOptions, Time, WillState};

use crate::client::connack::connack;
use crate::client::request::{Predecessor, Request};
use crate::connection::Connection;
use crate::durable::changes::Stamp;
use crate::fault::{Fault, is_planted};
use crate::limits::HEARING_OUT_MAX;
use crate::reason::close::CloseReason;
use crate::shares::{Holding, Share};
use crate::tenant::Tenant;
use crate::tenant::client::{Client, ClientState, LeftAt};
use crate::tenant::link::Link;
use crate::tenant::replay::Replays;
use crate::tenant::session_key::SessionKey;
use crate::tenant::subscription::Subscriptions;
use crate::tenant::will::WillMessage;
use crate::turn::Turn;
use crate::turn::session_row::row;

/// The session of a new connection.
pub struct Attachment {
    pub(crate) client: Arc<Client>,
    /// Whether CONNACK must wait for something: in the turn's batch, or with the store already.
    pub is_durable: bool,
    /// Session Present of CONNACK.
    pub(crate) session_present: bool,
}

/// Why a connection gets no session, or not yet.
#[derive(Debug, thiserror::Error)]
pub enum NotAttached {
    /// The Client's account was removed, or got another password, after the login.
    #[error("the account has changed meanwhile")]
    AccountChanged,
    /// The newest change of the session, or a message that it has published, is in another thread's
    /// unfinished turn and would be overtaken.
    #[error("the session changes on another thread")]
    InTurn(Stamp),
    /// The owner of the connection that has the session has not read yet what has come on it.
    #[error("the former connection is being read")]
    NotHeardOut,
}

/// Attaches `connection` to the session that its CONNECT asks for.
///
/// # Errors
/// [`NotAttached::AccountChanged`]: the end of a removed user's sessions would miss this one.
/// [`NotAttached::InTurn`]: the session's connection is closing; retry when that turn has ended.
/// [`NotAttached::NotHeardOut`]: retry when the connection is called.
pub fn attach(
    tenant: &Arc<Tenant>,
    connection: &Arc<Connection>,
    request: &mut Request,
    identity: &Arc<Identity>,
    turn: &mut Turn,
) -> Result<Attachment, NotAttached> {
    let key = SessionKey::from(&**identity);
    let former = tenant.sessions.lock().get(key).cloned();
    if former.as_ref().is_some_and(|client| !is_heard_out(client, connection, request, turn)) {
        return Err(NotAttached::NotHeardOut);
    }
    if former.is_some_and(|client| turn.may_hold_for(&client)) {
        // It belongs to the session's former connection.
        turn.settle();
    }
    let mut ended = None;
    let mut will = None;
    let attachment = {
        let mut sessions = tenant.sessions.lock();
        if !tenant.users.is_current(identity) {
            return Err(NotAttached::AccountChanged);
        }
        let known = sessions.get(key).cloned();
        let before = match &known {
            Some(client) => {
                will = take_over(client, request, turn)?.map(|left| (left, Arc::clone(client)));
                client.changed.get()
            }
            None => sessions.left_behind(key, &turn.core.turns, &*turn.core.log),
        };
        if turn.is_overtaking(before) {
            return Err(NotAttached::InTurn(before));
        }
        let rests_on = (!turn.is_on_disk(before)).then_some(before);
        match known {
            Some(client) if !request.clean_start && is_kept(&client, turn) => {
                resume(&client, connection, request, identity, turn)
            }
            other => {
                ended = other;
                let ends_durable = ended.as_ref().is_some_and(|client| client.is_durable());
                let created = create(tenant, connection, request, identity, (ends_durable, rests_on), turn);
                sessions.insert(Arc::clone(&created.client));
                created
            }
        }
    };
    if let Some(client) = ended {
        crate::client::session_end::end(&client, turn);
    }
    if let Some(((will, identity), client)) = will {
        crate::client::session_end::publish_will(&client, &identity, &will, turn);
    }
    Ok(attachment)
}

/// Whether what has come on the connection that has the session was read, as far as that does not
/// take too long; else its owner is asked to, and calls `connection` then. A DISCONNECT that the
/// Client has sent before it came back discards its Will \[MQTT-3.14.4-3\], and what it has
/// published comes first \[MQTT-4.6.0-6\].
fn is_heard_out(
    client: &Client,
    connection: &Arc<Connection>,
    request: &mut Request,
    turn: &mut Turn,
) -> bool {
    let (now, until) = (turn.now(), turn.now().plus(HEARING_OUT_MAX));
    // Under the lock under which that connection lets go of the session: it has not ended without
    // having been asked.
    let state = client.state.lock();
    let Some(Link { connection: old, .. }) = &state.link else { return true };
    if let Some(known) = request.predecessor.as_ref().filter(|known| known.number == old.number) {
        return known.is_heard_out.load(Ordering::Acquire) || now >= known.until;
    }
    let Some(waker) = connection.waker().filter(|_| !old.is_to_close()) else { return true };
    let predecessor = Predecessor { number: old.number, is_heard_out: Arc::default(), until };
    old.hear_out(waker, &predecessor.is_heard_out);
    drop(state);
    request.predecessor = Some(predecessor);
    turn.throttle(connection, until);
    false
}

/// Whether a session outlives its connection, and neither ends at this very moment nor is over but
/// for housekeeping.
fn is_kept(client: &Client, turn: &Turn) -> bool {
    let state = client.state.lock();
    client.is_durable()
        && !state.expiry.ends_with_connection()
        && !state.has_expired(Time::from_millis(turn.lifetime_ms()))
}

/// Will that is to be published, with the identity of who has set it.
type LeftWill = (Box<WillMessage>, Arc<Identity>);

/// Closes the connection that has the session now \[MQTT-3.1.4-3\]; the Will that this publishes,
/// and who has set it: the session is about to be that of whoever comes.
///
/// # Errors
/// [`NotAttached::InTurn`]; the other connection ends by itself then, like one that is closed for
/// any other reason.
fn take_over(client: &Client, request: &Request, turn: &Turn) -> Result<Option<LeftWill>, NotAttached> {
    let mut state = client.state.lock();
    let in_turn = [client.changed.get(), client.published.get()];
    if let Some(stamp) = in_turn.into_iter().find(|stamp| turn.is_overtaking(*stamp)) {
        if let Some(old) = &mut state.link {
            old.tell(&CloseReason::TakenOver);
            old.connection.request_close(CloseReason::TakenOver);
        }
        return Err(NotAttached::InTurn(stamp));
    }
    if let Some(mut old) = state.lose_link() {
        client.set_wire(None);
        old.tell(&CloseReason::TakenOver);
        old.connection.request_close(CloseReason::TakenOver);
        state.replays.rest();
    }
    let has_expired = state.has_expired(Time::from_millis(turn.lifetime_ms()));
    let is_resumed = !request.clean_start && !state.expiry.ends_with_connection() && !has_expired;
    let will = state.will.handle_takeover(is_resumed);
    Ok(will.map(|will| (will, Arc::clone(&state.identity))))
}

fn resume(
    client: &Arc<Client>,
    connection: &Arc<Connection>,
    request: &Request,
    identity: &Arc<Identity>,
    turn: &mut Turn,
) -> Attachment {
    let mut state = client.state.lock();
    turn.changes(client);
    let was_durable = client.is_durable();
    let is_for_another = differs(&state.identity, identity);
    // Messages that are sent again may have been allowed by former permissions alone.
    if is_for_another || state.session.counts().inflight > 0 {
        state.queue_allowed_at = 0;
    }
    state.holding.give(client.tenant.shares.of(identity));
    state.session.resume(session_options(request, connection));
    let window_bytes = state.holding.share().window_bytes();
    state.session.set_window_bytes(window_bytes);
    if state.subscriptions.has_shared() {
        state.session.keep_inflight();
    }
    fill(&mut state, request, identity, turn);
    client.set_durable(!request.expiry.ends_with_connection());
    state.count(&client.client_id, client.is_durable());
    let is_durable = was_durable || client.is_durable();
    let link = link((connection, state.holding.share()), request, true, is_durable);
    client.set_wire(Some(&link));
    state.link = Some(link);
    // Messages in the store are still to be sent. Their rows go when the session ends.
    state.keeps_rows = state.session.needs_store();
    let (row, keeps_rows) = (row(client, &state), state.keeps_rows);
    drop(state);
    if is_for_another {
        client.tenant.routes_changed();
    }
    if client.is_durable() || keeps_rows {
        turn.batch.push(Op::PutSession(&row));
    } else if was_durable {
        // From now on it ends with its connection.
        turn.batch.push(Op::DeleteSession { tenant: client.tenant.id, session: client.stored_id() });
    }
    Attachment { client: Arc::clone(client), is_durable, session_present: true }
}

/// Whether rules may decide differently about two identities of one session. Threads remember with
/// a topic's route who may get it.
pub(crate) fn differs(before: &Identity, now: &Identity) -> bool {
    before.peer.address() != now.peer.address()
        || before.protocol_version != now.protocol_version
        || (now.principal.member().is_some() && !before.principal.has_rights_of(&now.principal))
}

/// The link of a new connection, which begins with CONNACK; held back while something that CONNACK
/// promises is on its way to the disk.
fn link(
    (connection, share): (&Arc<Connection>, &Arc<Share>),
    request: &Request,
    session_present: bool,
    is_durable: bool,
) -> Link {
    let connack = connack(connection, request, session_present);
    let of = (Arc::clone(connection), Arc::clone(share));
    let mut link = Link::new(of, request.recipient, &connack, is_durable);
    link.allow_aliases(request.topic_alias_maximum);
    link
}

fn create(
    tenant: &Arc<Tenant>,
    connection: &Arc<Connection>,
    request: &Request,
    identity: &Arc<Identity>,
    (ends_durable, rests_on): (bool, Option<Stamp>),
    turn: &mut Turn,
) -> Attachment {
    let mut state = ClientState {
        link: None,
        session: Session::new(session_options(request, connection)),
        subscriptions: Subscriptions::default(),
        identity: Arc::clone(identity),
        will: WillState::None,
        expiry: request.expiry,
        clean_start: request.clean_start,
        keep_alive_seconds: 0,
        connected_at_ms: 0,
        left_at: LeftAt::default(),
        replays: Replays::default(),
        queue_allowed_at: 0,
        keeps_rows: false,
        holding: Holding::new(tenant.shares.of(identity)),
        is_over: false,
    };
    state.session.set_window_bytes(state.holding.share().window_bytes());
    fill(&mut state, request, identity, turn);
    state.count(&request.client_id, !request.expiry.ends_with_connection());
    let session_id = turn.core.ids.next_session().0;
    let slot = turn.core.slots.take();
    let share = Arc::clone(state.holding.share());
    let client = Arc::new(Client::new(tenant, session_id, slot, state));
    if client.is_durable() || ends_durable {
        turn.changes(&client);
    } else if let Some(stamp) = rests_on {
        // That there was no session, or that it has ended, is not on the disk.
        client.changed.set(stamp);
    }
    let is_durable = client.is_durable() || ends_durable || rests_on.is_some();
    let link = link((connection, &share), request, false, is_durable);
    client.set_wire(Some(&link));
    {
        let mut state = client.state.lock();
        state.link = Some(link);
        if client.is_durable() {
            turn.batch.push(Op::PutSession(&row(&client, &state)));
        }
    }
    Attachment { client, is_durable, session_present: false }
}

fn fill(state: &mut ClientState, request: &Request, identity: &Arc<Identity>, turn: &Turn) {
    state.identity = Arc::clone(identity);
    let will = request.will.clone();
    state.will.handle_connect(will.map(|will| {
        let delay = Duration::from_secs(will.delay_seconds.into());
        (will, delay)
    }));
    state.expiry = request.expiry;
    state.clean_start = request.clean_start;
    state.keep_alive_seconds = request.keep_alive;
    state.connected_at_ms = turn.wall_ms();
    state.left_at = LeftAt::default();
}

fn session_options(request: &Request, connection: &Connection) -> SessionOptions {
    SessionOptions {
        send_maximum: match request.version {
            ProtocolVersion::V5 if is_planted(Fault::ReceiveMaximumExceeded) => {
                request.receive_maximum.saturating_add(1)
            }
            ProtocolVersion::V5 => request.receive_maximum,
            ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1 => connection.listener.limits.send_window,
        },
        keep_inflight: !request.expiry.ends_with_connection(),
        ..options_at(&connection.listener.limits, request.version)
    }
}

/// Session options that a listener's limits impose, whatever the CONNECT says.
pub fn options_at(limits: &ListenerLimits, version: ProtocolVersion) -> SessionOptions {
    SessionOptions {
        receive_maximum: limits.receive_maximum,
        queue_messages_max: limits.queue_messages,
        queue_bytes_max: limits.queue_bytes,
        ..SessionOptions::new(version)
    }
}
