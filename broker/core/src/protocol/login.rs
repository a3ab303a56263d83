//! Login by password between CONNECT and CONNACK: the check waits for its turn on another thread,
//! which reports the outcome.

use std::sync::Arc;

use lotmq_auth::{LoginRefusal, Method, Peer, PendingLogin};
use lotmq_codec::{Connect, ReasonCode};
use lotmq_config::limit_table::LOGINS_PER_SEC_PER_ADDRESS;

use crate::client::request::Request;
use crate::connection::Connection;
use crate::limits::{LOGIN_CHECK, Limit};
use crate::protocol::phase::Login;
use crate::shares::address_key;
use crate::turn::Turn;
use crate::turn::broker_hooks::Outcome;

/// Checks the source of a login before its password: how many come from the address, and whether
/// others could read the password on its way.
pub(super) fn check_source(
    connection: &Connection,
    connect: &Connect<'_>,
    turn: &Turn,
) -> Result<(), LoginRefusal> {
    let method = connect.properties.authentication_method();
    if connect.user_name.is_none() && connect.password.is_none() && method.is_none() {
        return Ok(());
    }
    let (terms, peer) = (&connection.listener, connection.peer().for_login());
    let is_local = peer.is_loopback();
    // SCRAM proves a password without showing it, and a guest's method may show one.
    let shows_by_method = method.is_some_and(|name| name != Method::ScramSha256.name());
    let shows_secret = connect.password.is_some() || shows_by_method;
    if turn.core.settings.passwords_need_tls && shows_secret && !terms.is_encrypted && !is_local {
        return Err(LoginRefusal::Readable);
    }
    let (Peer::Tcp(address) | Peer::Proxied(address)) = peer else { return Ok(()) };
    let per_sec = terms.limits.logins_per_sec_per_address;
    let is_exempt = is_local && per_sec == LOGINS_PER_SEC_PER_ADDRESS;
    let takes = is_exempt || terms.login_rates.take(address_key(address), per_sec, turn.now());
    if takes { Ok(()) } else { Err(LoginRefusal::TooManyFromAddress) }
}

/// Queues the check of a password for the thread of logins.
pub(super) fn check_later(
    connection: &Arc<Connection>,
    request: Request,
    pending: PendingLogin,
    turn: &mut Turn,
) -> Login {
    let outcome = Outcome::default();
    turn.timers.watch(connection.place, turn.now().plus(LOGIN_CHECK));
    turn.context
        .tell(|hooks| hooks.check_password(&request.tenant, connection, pending, Arc::clone(&outcome)));
    Login { request: Box::new(request), outcome }
}

/// Reason Code of a refused login, and the limit that it has reached.
pub(super) fn reason_of(refusal: LoginRefusal) -> (ReasonCode, Option<Limit>) {
    let limits = [
        (LoginRefusal::TooManyFailures, Limit::LoginWaitMaxSec),
        (LoginRefusal::TooManyFromAddress, Limit::LoginsPerSecPerAddress),
        (LoginRefusal::Busy, Limit::LoginsWaiting),
    ];
    let limit = limits.into_iter().find_map(|(of, limit)| (of == refusal).then_some(limit));
    let otherwise = if refusal == LoginRefusal::BadCredentials {
        ReasonCode::BadUserNameOrPassword
    } else if refusal == LoginRefusal::Banned {
        ReasonCode::Banned
    } else if refusal == LoginRefusal::CheckFailed {
        ReasonCode::ServerUnavailable
    } else {
        ReasonCode::NotAuthorized
    };
    (limit.map_or(otherwise, Limit::reason), limit)
}
