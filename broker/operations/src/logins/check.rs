//! Check of one password: whether it is still wanted, its outcome, and the call of its connection.

use std::sync::Arc;

use lotmq_auth::{Identity, LoginRefusal, LoginStep, PendingLogin};
use lotmq_changes::Batch;
use tracing::warn;

use super::{Check, GivenUp, Logins};
use crate::accounts;
use lotmq_core::Core;
use lotmq_core::connection::Connection;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::broker_hooks::Outcome;

/// Queues the check of a password; the connection is called when the outcome is known.
pub(crate) fn check(
    core: &Arc<Core>,
    logins: &Logins,
    (tenant, connection): (&Arc<Tenant>, &Arc<Connection>),
    pending: PendingLogin,
    outcome: Outcome,
) {
    let origin = pending.origin();
    // Weak, so that those who have left leave their descriptors.
    let (owner, waiting) = (Arc::downgrade(connection), Arc::downgrade(connection));
    let (asked, clock) = (Arc::clone(tenant), Arc::clone(core));
    let (core, tenant) = (Arc::clone(core), Arc::clone(tenant));
    let (checked, given_up) = (Arc::clone(&outcome), outcome);
    let run = move || {
        let Some(owner) = owner.upgrade() else { return core.counters.logins_abandoned.add(1) };
        if let Err(reason) = owner.transport.check_present() {
            core.counters.logins_abandoned.add(1);
            return owner.request_close(reason);
        }
        *checked.lock() = Some(verify(pending, &tenant, &core));
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
    let has_failed = move || asked.users.has_failed(origin, clock.clock.now().as_millis());
    let check = Check { run: Box::new(run), give_up: Box::new(give_up), has_failed: Box::new(has_failed) };
    logins.add(origin, check);
}

/// Checks a password. For a right one, a verifier for SCRAM is kept where that is wanted, and a new
/// hash in place of an imported one.
fn verify(pending: PendingLogin, tenant: &Tenant, core: &Core) -> Result<Identity, LoginRefusal> {
    let now_ms = || core.clock.now().as_millis();
    let pending = match tenant.users.check_login(pending, now_ms()) {
        LoginStep::Admitted(identity) => return Ok(identity),
        LoginStep::Refused(refusal) => return Err(refusal),
        LoginStep::Verify(pending) => pending,
    };
    core.counters.passwords_checked.add(1);
    let mut verified = pending.verify();
    let (verifier, rehashed) = (verified.take_verifier(), verified.take_rehashed());
    let identity = tenant.users.finish_login(verified, now_ms())?;
    if let Some(account) = verifier.and_then(|verifier| tenant.users.keep_verifier(&identity, verifier)) {
        let mut batch = Batch::new();
        accounts::put_verifier(&mut batch, tenant.id, &account);
        // Not a promise: without it the next login with the password makes it anew.
        if let Err((error, _)) = core.log.offer(batch) {
            warn!(%error, user = &*account.name, "what SCRAM needs of a password was not stored");
        }
    }
    if let Some(account) = rehashed.and_then(|rehashed| tenant.users.keep_rehashed(&identity, rehashed)) {
        let mut batch = Batch::new();
        accounts::put(&mut batch, tenant.id, &account, core.clock.wall_ms());
        // Not a promise: the imported hash is good for the next login as well.
        if let Err((error, _)) = core.log.offer(batch) {
            warn!(%error, user = &*account.name, "the imported hash of a password was not replaced in the store");
        }
    }
    Ok(identity)
}
