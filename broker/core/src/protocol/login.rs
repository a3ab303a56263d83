//! A login by password between CONNECT and CONNACK: it waits for its turn on a thread of its own, and what came of it is told.

use std::sync::Arc;

use lotmq_auth::{Identity, LoginRefusal, PendingLogin};
use lotmq_codec::ReasonCode;
use parking_lot::Mutex;

use super::connect::Request;
use crate::connection::Connection;
use crate::limits::{LOGIN_CHECK, Limit};
use crate::turn::Turn;

/// What came of the check of a password; `None` as long as it is not known.
pub type Outcome = Arc<Mutex<Option<Result<Identity, LoginRefusal>>>>;

/// A login that waits for its password to be checked, or, with that known, for the session that it is to get.
pub struct Login {
    pub(super) request: Box<Request>,
    outcome: Outcome,
}

impl Login {
    /// One that has been let in as somebody.
    pub(super) fn decided(request: Request, identity: Identity) -> Self {
        Self { request: Box::new(request), outcome: Arc::new(Mutex::new(Some(Ok(identity)))) }
    }

    /// Whether it is known what came of it.
    pub fn is_decided(&self) -> bool {
        self.outcome.lock().is_some()
    }

    /// What came of it, once.
    pub(super) fn take_outcome(&self) -> Result<Identity, LoginRefusal> {
        self.outcome.lock().take().unwrap_or(Err(LoginRefusal::BadCredentials))
    }
}

/// Has a password checked on a thread of its own, when it is its turn.
pub(super) fn check_later(
    connection: &Arc<Connection>,
    request: Request,
    pending: PendingLogin,
    turn: &mut Turn,
) -> Login {
    let outcome = Outcome::default();
    turn.timers.watch(connection.place, turn.now().plus(LOGIN_CHECK));
    turn.core.tell(|above| above.check_password(connection, pending, Arc::clone(&outcome)));
    Login { request: Box::new(request), outcome }
}

/// What a refused login is told, and the limit that it has reached.
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
