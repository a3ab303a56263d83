//! End of a connection, expiry and end of a session.

use std::sync::Arc;

use lotmq_auth::Identity;
use lotmq_changes::Op;
use lotmq_session::{SessionExpiry, Time, WillDecision};
use parking_lot::MutexGuard;

use crate::client::{delayed, will};
use crate::connection::Connection;
use crate::fault::{Fault, is_planted};
use crate::limits::ENDED_PER_TURN;
use crate::reason::close::CloseReason;
use crate::tenant::Tenant;
use crate::tenant::client::{Client, ClientState, LeftAt};
use crate::tenant::replay::Replays;
use crate::tenant::sessions::Sessions;
use crate::tenant::will::WillMessage;
use crate::turn::Turn;
use crate::turn::session_drain::SessionDrain;
use crate::turn::session_row::{row, store};

/// Removes a session from those of its tenant. Its rows are deleted in this turn.
fn remove(sessions: &mut Sessions, client: &Arc<Client>, turn: &mut Turn) {
    if sessions.remove(client) {
        let stamp = if client.is_durable() { turn.stamp() } else { client.changed.get() };
        sessions.leave_behind(client, stamp, &turn.core);
    }
}

/// Work that is left after a connection has ended.
struct Left {
    will: Option<Box<WillMessage>>,
    identity: Arc<Identity>,
    session_ends: bool,
    deadlines: Vec<Time>,
}

/// Detaches a Client from a connection that has ended. Changes nothing if another connection has
/// taken the session over.
pub fn detach(client: &Arc<Client>, connection: &Arc<Connection>, reason: &CloseReason, turn: &mut Turn) {
    let Some(left) = leave(client, connection, reason, turn) else { return };
    // After a crash between the two the Will would come twice.
    turn.in_one_batch(|turn| {
        let will = left.will.as_ref();
        let is_published = will.is_none_or(|will| publish_will(client, &left.identity, will, turn));
        if left.session_ends {
            end(client, turn);
        } else {
            if is_published {
                store(client, turn);
            } else {
                turn.asked.last_is_in_row();
            }
            if turn.context.expiry_timers.add(client, left.deadlines) {
                turn.context.tell(|hooks| hooks.has_work());
            }
        }
    });
}

fn leave(
    client: &Arc<Client>,
    connection: &Arc<Connection>,
    reason: &CloseReason,
    turn: &mut Turn,
) -> Option<Left> {
    // Not the turn's clock, which is behind, and rounded up: neither a delayed Will nor the end of
    // the session may come early [MQTT-3.1.3-9].
    let now = Time::from_millis(turn.core.clock.lifetime_ms() + 1);
    let mut sessions = client.tenant.sessions.lock();
    let mut state = client.state.lock();
    state.link.as_ref().filter(|link| Arc::ptr_eq(&link.connection, connection))?;
    if client.is_durable() {
        turn.changes(client);
    }
    state.lose_link();
    client.set_wire(None);
    if state.expiry.ends_with_connection() {
        state.replays = Replays::default();
    } else {
        state.replays.rest();
    }
    state.left_at = LeftAt::new(now);
    if reason.discards_will() && !is_planted(Fault::WillNotDiscarded) {
        state.will.handle_normal_disconnect();
    }
    let expiry = state.expiry;
    let will = match state.will.handle_connection_lost(now, expiry) {
        WillDecision::Publish(will) => Some(will),
        WillDecision::Nothing | WillDecision::Later(_) => None,
    };
    state.count(&client.client_id, client.is_durable());
    let session_ends = expiry.ends_with_connection();
    if session_ends {
        remove(&mut sessions, client, turn);
    }
    let deadlines = state.will.next_timeout().into_iter().chain(expiry.deadline(now)).collect();
    Some(Left { will, identity: Arc::clone(&state.identity), session_ends, deadlines })
}

/// Publishes a Will if `identity`, who has set it, may do so now: rights may have been lost since
/// CONNECT, and who was removed or whose login has ended has none. False when it is to be published
/// in a later turn.
pub(crate) fn publish_will(
    client: &Arc<Client>,
    identity: &Identity,
    will: &WillMessage,
    turn: &mut Turn,
) -> bool {
    let is_valid = identity.principal.is_valid_at(turn.core.clock.wall_ms());
    let is_known = client.tenant.users.exists(identity) && is_valid;
    if !is_known || !will.is_allowed(&client.tenant, identity, turn.wall_ms()) {
        turn.core.counters.publish_refused.add(1);
        turn.tell(|hooks, turn| {
            hooks.denied_when_due(turn, &client.tenant, identity, "will", &will.topic);
        });
        return true;
    }
    turn.core.counters.wills_published.add(1);
    will::publish(will, &client.tenant, client, turn)
}

/// Ends a session for good, with its subscriptions, its queue and its rows in the store.
pub fn end(client: &Arc<Client>, turn: &mut Turn) {
    let (mut drain, will, identity, last) = {
        let Some(mut state) = lock_for_change(client, turn) else { return };
        state.is_over = true;
        let mut over = lotmq_session::Session::new(*state.session.options());
        over.disconnect();
        let session = std::mem::replace(&mut state.session, over);
        let will = state.will.handle_session_end();
        // If its rows must stay for a while, they say that it has ended.
        state.expiry = SessionExpiry::from_seconds(0);
        if state.left_at.get().is_none() {
            state.left_at = LeftAt::new(Time::from_millis(turn.lifetime_ms()));
        }
        state.count(&client.client_id, false);
        let row = (client.is_durable() || state.keeps_rows).then(|| row(client, &state));
        let identity = Arc::clone(&state.identity);
        let subscriptions = std::mem::take(&mut state.subscriptions);
        (SessionDrain::new(client, subscriptions, session, row.is_some()), will, identity, row)
    };
    client.set_durable(false);
    if drain.begin(turn) {
        if let Some(row) = last.filter(|_| drain.keeps_rows()) {
            turn.batch.push(Op::PutSession(&row));
        }
        turn.drains.push(drain);
        turn.call_flusher();
    }
    if let Some(will) = will {
        publish_will(client, &identity, &will, turn);
    }
}

/// Locks the state of a session that is to change or to end; `None` when it has ended. Changes by
/// another thread are with the store by then; on a shard that is known already.
pub(super) fn lock_for_change<'a>(
    client: &'a Client,
    turn: &mut Turn,
) -> Option<MutexGuard<'a, ClientState>> {
    let mut is_patient = !turn.serves_clients();
    loop {
        let state = client.state.lock();
        if state.is_over {
            return None;
        }
        let before = client.changed.get();
        if is_patient && turn.is_overtaking(before) {
            drop(state);
            is_patient = turn.let_pass(before);
            continue;
        }
        if client.is_durable() {
            turn.changes(client);
        }
        return Some(state);
    }
}

/// Closes the connection of a Client, if it has one. Its session stays as long as it may.
pub fn disconnect(client: &Client) -> bool {
    let state = client.state.lock();
    let connection = state.link.as_ref().map(|link| Arc::clone(&link.connection));
    drop(state);
    connection.inspect(|it| it.request_close(CloseReason::Administrative)).is_some()
}

/// Ends a session at once, whether its Client is connected or away.
pub fn end_now(client: &Arc<Client>, turn: &mut Turn) {
    end_for(client, &CloseReason::Administrative, turn);
}

/// Ends a session at once, for a reason that its connection gets if there is one.
pub(super) fn end_for(client: &Arc<Client>, reason: &CloseReason, turn: &mut Turn) {
    {
        let mut sessions = client.tenant.sessions.lock();
        let mut state = client.state.lock();
        if let Some(mut link) = state.lose_link() {
            client.set_wire(None);
            link.tell(reason);
            link.connection.request_close(reason.clone());
        }
        remove(&mut sessions, client, turn);
    }
    end(client, turn);
}

/// Ends the sessions of a removed user, connected or away, so that the next user of that name gets
/// none of them. Their Wills and their messages with a delay are discarded: the next user's rights
/// are not for them. Nobody else waits for that: each session is looked at by itself.
///
/// All these ends are with the store when this returns, those included that other threads had
/// begun: a user of this name who is stored after that is never on the disk without them. Not for
/// shards.
pub fn end_of_user(tenant: &Tenant, user: &str, turn: &mut Turn) {
    end_of_all(tenant, |client| client.member().is_none() && client.user_name() == Some(user), turn);
    delayed::forget_of_user(tenant, user, turn);
    turn.flush();
}

/// Ends the sessions of users without an account who have this name, as an account of the name now
/// exists. As [`end_of_user`], without waiting for ends that others had begun: sessions of the
/// account have another key.
pub fn end_of_external_user(tenant: &Tenant, user: &str, turn: &mut Turn) {
    end_of_all(tenant, |client| client.member().is_some() && client.user_name() == Some(user), turn);
}

fn end_of_all(tenant: &Tenant, is_theirs: impl Fn(&Client) -> bool, turn: &mut Turn) {
    let clients = tenant.all_sessions();
    // Behind that: of those which were there, whoever is not among these has ended.
    let begun = tenant.sessions.lock().all_left_behind(&turn.core.turns, &*turn.core.log);
    let mut of_user: Vec<_> = clients.iter().filter(|client| is_theirs(client)).collect();
    // Their messages reach other members in this order.
    of_user.sort_unstable_by_key(|client| client.session_id);
    for (number, client) in of_user.into_iter().enumerate() {
        client.state.lock().will.handle_normal_disconnect();
        end_now(client, turn);
        if (number + 1) % ENDED_PER_TURN == 0 {
            turn.flush();
        }
    }
    turn.flush();
    for stamp in begun {
        if !turn.let_pass(stamp) {
            break;
        }
    }
}

/// Handles expiry timers of a Client that have run out: those of its delayed Will and of its
/// session.
pub fn timers_due(client: &Arc<Client>, turn: &mut Turn) {
    let now = Time::from_millis(turn.lifetime_ms());
    turn.let_pass(client.changed.get());
    let (will, identity, ends) = {
        let mut sessions = client.tenant.sessions.lock();
        let mut state = client.state.lock();
        if state.left_at.get().is_none() || state.is_over {
            return;
        }
        let will = state.will.handle_timeout(now);
        state.count(&client.client_id, client.is_durable());
        let ends = state.has_expired(now);
        if ends {
            remove(&mut sessions, client, turn);
        }
        (will, Arc::clone(&state.identity), ends)
    };
    turn.in_one_batch(|turn| {
        if let Some(will) = will {
            publish_will(client, &identity, &will, turn);
            if !ends {
                store(client, turn);
            }
        }
        if ends {
            turn.core.counters.sessions_expired.add(1);
            end(client, turn);
        }
    });
}
