//! Login by password between CONNECT and CONNACK: the check waits for its turn on another thread,
//! which reports the outcome.

use std::sync::Arc;

use lotmq_auth::{LoginRefusal, PendingLogin};
use lotmq_codec::ReasonCode;

use crate::client::request::Request;
use crate::connection::Connection;
use crate::limits::{LOGIN_CHECK, Limit};
use crate::protocol::phase::Login;
use crate::turn::Turn;
use crate::turn::broker_hooks::Outcome;

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
    let limits =
        [(LoginRefusal::TooManyFailures, Limit::LoginWaitMaxSec), (LoginRefusal::Busy, Limit::LoginsWaiting)];
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
