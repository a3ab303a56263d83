//! Logins by password and by certificate.
//!
//! Passwords that were right before are known without hashing ([`remembered`](crate::remembered)); whoever fails waits before the next one is looked
//! at ([`attempts`](crate::attempts)), which also holds for looks at what is remembered.

use std::sync::Arc;

use super::{Directory, is_default_root_elsewhere, new_salt};
use crate::attempts::{AttemptKey, Judgement};
use crate::login::{Identity, LoginRefusal, LoginRequest, LoginStep, PendingLogin, VerifiedLogin};

impl Directory {
    /// First step of a login: decides all that needs no hashing.
    pub fn begin_login(&self, request: &LoginRequest<'_>) -> LoginStep {
        let Some(user_name) = request.user_name.filter(|name| !name.is_empty()) else {
            return self.begin_anonymous(request);
        };
        let password = request.password.unwrap_or_default();
        let account = self.account(user_name);
        if account.as_ref().is_some_and(|account| is_default_root_elsewhere(account, request)) {
            return LoginStep::Refused(LoginRefusal::DefaultPasswordFromElsewhere);
        }
        let attempt = self.attempt(request, user_name);
        let judgement = self.attempts.lock().judge(attempt, request.now_ms);
        let pending = match account {
            None => PendingLogin::of_nobody(&self.decoy, attempt, request, password),
            Some(account) => PendingLogin::of(&account, attempt, request, password),
        };
        match judgement {
            Judgement::Wait => LoginStep::Refused(LoginRefusal::TooManyFailures),
            Judgement::Hash => LoginStep::Verify(pending),
            Judgement::Look | Judgement::Glance if self.is_remembered(&pending) => self.admitted(pending),
            Judgement::Look => self.looked(LoginStep::Verify(pending), attempt, request.now_ms),
            Judgement::Glance => {
                let refused = LoginStep::Refused(LoginRefusal::TooManyFailures);
                self.looked(refused, attempt, request.now_ms)
            }
        }
    }

    /// Next step of a login that has waited for its turn to be hashed: others may have been right with the same password meanwhile, or wrong too often.
    pub fn check_login(&self, mut pending: PendingLogin, now_ms: u64) -> LoginStep {
        if self.attempts.lock().must_wait(pending.attempt, now_ms) {
            return LoginStep::Refused(LoginRefusal::TooManyFailures);
        }
        if self.is_remembered(&pending) {
            return self.admitted(pending);
        }
        if self.scram.is_some() && pending.is_known && pending.credential.scram.is_none() {
            // Without random numbers there is no verifier this time.
            pending.scram_salt = new_salt().ok();
        }
        LoginStep::Verify(pending)
    }

    fn is_remembered(&self, pending: &PendingLogin) -> bool {
        let PendingLogin { identity, password, .. } = pending;
        identity
            .user
            .as_ref()
            .is_some_and(|user| self.remembered.lock().knows(user, identity.credential_version, password))
    }

    fn admitted(&self, pending: PendingLogin) -> LoginStep {
        self.attempts.lock().succeeded(pending.attempt);
        LoginStep::Admitted(pending.identity)
    }

    fn looked(&self, step: LoginStep, attempt: AttemptKey, now_ms: u64) -> LoginStep {
        self.attempts.lock().looked(attempt, now_ms);
        step
    }

    pub(super) fn attempt(&self, request: &LoginRequest<'_>, user_name: &str) -> AttemptKey {
        self.attempts.lock().key(request.peer.source(), user_name)
    }

    /// A login by a certificate, which has been verified, of the user `name`; `None` when it names nobody. What the request says of user and password
    /// counts for nothing.
    pub fn certified_login(&self, name: Option<&str>, request: &LoginRequest<'_>) -> LoginStep {
        match name.and_then(|name| self.account(name)) {
            Some(account) => LoginStep::Admitted(Identity::of(&account, request)),
            None => LoginStep::Refused(LoginRefusal::CertificateOfNobody),
        }
    }

    /// Last step of a login whose password was compared.
    ///
    /// # Errors
    /// [`LoginRefusal::BadCredentials`], also when the account was changed or removed meanwhile.
    pub fn finish_login(&self, verified: VerifiedLogin, now_ms: u64) -> Result<Identity, LoginRefusal> {
        let PendingLogin { identity, attempt, password, .. } = verified.pending;
        let is_right = verified.is_right && self.remember(&identity, &password);
        let mut attempts = self.attempts.lock();
        if is_right {
            attempts.succeeded(attempt);
            Ok(identity)
        } else {
            attempts.failed(attempt, now_ms);
            Err(LoginRefusal::BadCredentials)
        }
    }

    /// Remembers a password that was right. False when the account has changed meanwhile.
    fn remember(&self, identity: &Identity, password: &[u8]) -> bool {
        let Some(user) = &identity.user else { return false };
        // Under the accounts' lock, so that a change of the password that comes now also forgets.
        let table = self.accounts.read();
        let current = table.by_name.get(user).map(|account| account.credential_version);
        let is_current = current == Some(identity.credential_version);
        if is_current {
            self.remembered.lock().remember(user, identity.credential_version, password);
        }
        is_current
    }

    fn begin_anonymous(&self, request: &LoginRequest<'_>) -> LoginStep {
        if request.anonymous.admits(request.peer) {
            return LoginStep::Admitted(Identity::anonymous(Arc::clone(&request.client_id), request.peer));
        }
        LoginStep::Refused(LoginRefusal::AnonymousNotAllowed)
    }
}
