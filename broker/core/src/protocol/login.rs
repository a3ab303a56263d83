//! Login by password between CONNECT and CONNACK: the check waits for its turn on another thread, which reports the outcome.

use std::sync::Arc;

use lotmq_auth::{Identity, LoginRefusal, PendingLogin};
use lotmq_codec::ReasonCode;
use parking_lot::Mutex;

use super::request::Request;
use crate::connection::Connection;
use crate::limits::{LOGIN_CHECK, Limit};
use crate::turn::Turn;

/// Outcome of the check of a password; `None` until it is known.
pub type Outcome = Arc<Mutex<Option<Result<Identity, LoginRefusal>>>>;

/// Login that waits for the check of its password or, after that, for its session.
pub struct Login {
    pub(super) request: Box<Request>,
    outcome: Outcome,
}

impl Login {
    /// Login whose identity is known.
    pub(super) fn decided(request: Request, identity: Identity) -> Self {
        Self { request: Box::new(request), outcome: Arc::new(Mutex::new(Some(Ok(identity)))) }
    }

    /// Whether the outcome is known.
    pub fn is_decided(&self) -> bool {
        self.outcome.lock().is_some()
    }

    /// Takes the outcome.
    pub(super) fn take_outcome(&self) -> Result<Identity, LoginRefusal> {
        self.outcome.lock().take().unwrap_or(Err(LoginRefusal::BadCredentials))
    }
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
    turn.context.tell(|above| above.check_password(connection, pending, Arc::clone(&outcome)));
    Login { request: Box::new(request), outcome }
}

/// Reason Code of a refused login, and the limit that it has reached.
pub(super) fn reason_of(refusal: LoginRefusal) -> (ReasonCode, Option<Limit>) {
    let limits =
        [(LoginRefusal::TooManyFailures, Limit::LoginWaitMaxSec), (LoginRefusal::Busy, Limit::LoginsWaiting)];
    let limit = limits.into_iter().find_map(|(of, limit)| (of == refusal).then_some(limit));
    let otherwise = if refusal == LoginRefusal::BadCredentials {
        ReasonCode::BadUserNameOrPassword
    } else {
        ReasonCode::NotAuthorized
    };
    (limit.map_or(otherwise, Limit::reason), limit)
}
