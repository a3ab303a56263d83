//! Check of one password: whether it is still wanted, its outcome, and the call of its connection.

use std::sync::{Arc, Weak};

use lotmq_auth::{
    AnsweredLogin, AnsweredStep, ConnackTexts, Identity, LoginOrigin, LoginRefusal, LoginStep, PendingLogin,
};
use lotmq_changes::Batch;
use tracing::warn;

use super::{Check, GivenUp, LoginQueue, Logins};
use crate::accounts;
use lotmq_core::Core;
use lotmq_core::connection::Connection;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::broker_hooks::{LoginDecision, LoginOutcome, Outcome};

/// A login whose connection waits, with what its decision needs.
struct WaitingCheck {
    core: Arc<Core>,
    tenant: Arc<Tenant>,
    /// Weak, so that those who have left leave their descriptors.
    connection: Weak<Connection>,
    outcome: Outcome,
    queue: LoginQueue,
}

/// Step of a login that takes its turn on a login thread.
#[allow(
    clippy::large_enum_variant,
    reason = "a step is moved a few times, and a box would be an allocation for each"
)]
enum Step {
    /// The password is compared, or the chain begins.
    Check(PendingLogin),
    /// A member of the chain has answered.
    Answered(AnsweredLogin),
}

impl Step {
    fn origin(&self) -> LoginOrigin {
        match self {
            Step::Check(pending) => pending.origin(),
            Step::Answered(answered) => answered.origin,
        }
    }
}

/// Queues the check of a password; the connection is called when the outcome is known.
pub(crate) fn check(
    core: &Arc<Core>,
    logins: &Logins,
    (tenant, connection): (&Arc<Tenant>, &Arc<Connection>),
    pending: PendingLogin,
    outcome: Outcome,
) {
    let waiting = WaitingCheck {
        core: Arc::clone(core),
        tenant: Arc::clone(tenant),
        connection: Arc::downgrade(connection),
        outcome,
        queue: logins.queue(),
    };
    waiting.queue(Step::Check(pending));
}

impl WaitingCheck {
    fn queue(self, step: Step) {
        let origin = step.origin();
        let (queue, waiting) = (self.queue.clone(), self.connection.clone());
        let (given_up, asked, clock) =
            (Arc::clone(&self.outcome), Arc::clone(&self.tenant), Arc::clone(&self.core));
        let give_up = move |why| {
            let Some(waiting) = waiting.upgrade() else { return };
            match why {
                GivenUp::Displaced => {
                    *given_up.lock() = Some(Err(LoginRefusal::Busy).into());
                    waiting.call_owner();
                }
                GivenUp::Panicked => waiting.request_close(CloseReason::InternalError),
            }
        };
        let has_failed = move || asked.users.has_failed(origin, clock.clock.now().as_millis());
        let run = Box::new(move || self.run(step));
        let check = Check { run, give_up: Box::new(give_up), has_failed: Box::new(has_failed) };
        queue.add(origin, check);
    }

    /// Takes the step, and tells the connection the outcome or waits for a member.
    fn run(self, step: Step) {
        let Some(owner) = self.connection.upgrade() else {
            return self.core.counters.logins_abandoned.add(1);
        };
        if let Err(reason) = owner.transport.check_present() {
            self.core.counters.logins_abandoned.add(1);
            return owner.request_close(reason);
        }
        let now_ms = self.core.clock.now().as_millis();
        let step = match step {
            Step::Check(pending) => {
                AnsweredStep::Decided(self.tenant.users.check_login(pending, now_ms), None)
            }
            Step::Answered(answered) => answered.go_on(now_ms),
        };
        let (step, connack) = match step {
            AnsweredStep::Decided(step, connack) => (step, connack),
            AnsweredStep::Challenge(challenge) => {
                return self.reply(LoginDecision::Challenge(challenge), None);
            }
        };
        let decided = match step {
            LoginStep::Admitted(identity) => Ok(identity),
            LoginStep::Refused(refusal) => Err(refusal),
            LoginStep::Verify(pending) => verify(pending, &self.tenant, &self.core),
            LoginStep::Ask(paused) => {
                return paused.ask(move |answered| self.queue(Step::Answered(answered)));
            }
        };
        self.reply(decided.into(), connack);
    }

    /// Hands the decision to the owner of the connection.
    fn reply(&self, decided: LoginDecision, connack: Option<Box<ConnackTexts>>) {
        *self.outcome.lock() = Some(LoginOutcome { decided, connack });
        if let Some(owner) = self.connection.upgrade() {
            owner.call_owner();
        }
    }
}

/// Checks a password. For a right one, a verifier for SCRAM is kept where that is wanted, and a new
/// hash in place of an imported one.
fn verify(pending: PendingLogin, tenant: &Tenant, core: &Core) -> Result<Identity, LoginRefusal> {
    core.counters.passwords_checked.add(1);
    let mut verified = pending.verify();
    let (verifier, rehashed) = (verified.take_verifier(), verified.take_rehashed());
    let identity = tenant.users.finish_login(verified, core.clock.now().as_millis())?;
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
