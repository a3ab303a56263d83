//! A login by password between CONNECT and CONNACK: it waits for its turn on a thread of its own, and what came of it is told.

use std::sync::Arc;

use lotmq_auth::{Identity, LoginRefusal, LoginStep, PendingLogin};
use lotmq_codec::ReasonCode;
use lotmq_store::Batch;
use parking_lot::Mutex;
use tracing::warn;

use super::connect::Request;
use crate::accounts;
use crate::broker::Broker;
use crate::close::CloseReason;
use crate::limits::{LOGIN_CHECK, Limit};
use crate::logins::{Check, GivenUp};
use crate::net::connection::Connection;
use crate::net::turn::Turn;
use crate::tenant::Tenant;

/// A login that waits for its password to be checked, or, with that known, for the session that it is to get.
pub(crate) struct Login {
    pub(super) request: Box<Request>,
    outcome: Arc<Mutex<Option<Result<Identity, LoginRefusal>>>>,
}

impl Login {
    /// One that has been let in as somebody.
    pub(super) fn decided(request: Request, identity: Identity) -> Self {
        Self { request: Box::new(request), outcome: Arc::new(Mutex::new(Some(Ok(identity)))) }
    }

    pub(crate) fn is_decided(&self) -> bool {
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
    let outcome = Arc::new(Mutex::new(None));
    let (source, user) = pending.origin();
    let user = (user, pending.is_known());
    // Weak, so that those who have left leave their descriptors.
    let (owner, waiting) = (Arc::downgrade(connection), Arc::downgrade(connection));
    turn.open.watch(connection, turn.now().plus(LOGIN_CHECK));
    let broker = Arc::clone(&turn.broker);
    let (checked, given_up) = (Arc::clone(&outcome), Arc::clone(&outcome));
    let run = move || {
        let Some(owner) = owner.upgrade() else { return broker.counters.logins_abandoned.add(1) };
        if owner.has_left() {
            broker.counters.logins_abandoned.add(1);
            return owner.request_close(CloseReason::PeerClosed);
        }
        *checked.lock() = Some(verify(pending, &owner.listener.tenant, &broker));
        owner.call_owner();
    };
    let give_up = move |why| {
        let Some(waiting) = waiting.upgrade() else { return };
        match why {
            GivenUp::Displaced => {
                *given_up.lock() = Some(Err(LoginRefusal::Busy));
                waiting.call_owner();
            }
            GivenUp::Panicked => waiting.request_close(CloseReason::InternalError),
        }
    };
    turn.broker.logins.add(source, user, Check { run: Box::new(run), give_up: Box::new(give_up) });
    Login { request: Box::new(request), outcome }
}

/// Checks a password. One that is right is also kept for SCRAM where that is wanted.
fn verify(pending: PendingLogin, tenant: &Tenant, broker: &Broker) -> Result<Identity, LoginRefusal> {
    let now_ms = || broker.clock.now().as_millis();
    let pending = match tenant.users.check_login(pending, now_ms()) {
        LoginStep::Admitted(identity) => return Ok(identity),
        LoginStep::Refused(refusal) => return Err(refusal),
        LoginStep::Verify(pending) => pending,
    };
    broker.counters.passwords_checked.add(1);
    let mut verified = pending.verify();
    let verifier = verified.take_verifier();
    let identity = tenant.users.finish_login(verified, now_ms())?;
    if let Some(account) = verifier.and_then(|verifier| tenant.users.keep_verifier(&identity, verifier)) {
        let mut batch = Batch::new();
        accounts::put_verifier(&mut batch, tenant.id, &account);
        // Not a promise: without it the next login with the password makes it anew.
        if let Err(error) = broker.store.append(batch) {
            warn!(%error, user = &*account.name, "what SCRAM needs of a password was not stored");
        }
    }
    Ok(identity)
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
