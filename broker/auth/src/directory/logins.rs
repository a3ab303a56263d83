//! Logins by password and by certificate.
//!
//! Passwords that were right before are known without hashing ([`remembered`](crate::remembered)).
//! A failed login delays the next one ([`attempts`](crate::attempts)); that also holds for checks
//! against remembered passwords.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Directory, KnownAccount, is_default_root_elsewhere, new_salt};
use crate::attempts::{AttemptKey, Judgement};
use crate::login::{
    Identity, LoginOrigin, LoginRefusal, LoginRequest, LoginStep, LoginWait, MemberResult, PendingLogin,
    VerifiedLogin,
};
use crate::password::Credential;
use crate::peer::Source;

impl Directory {
    /// First step of a login: decides all that needs no hashing.
    pub fn begin_login(&self, request: &LoginRequest<'_>) -> LoginStep {
        let Some(user_name) = request.user_name.filter(|name| !name.is_empty()) else {
            return self.begin_anonymous(request);
        };
        let password = request.password.unwrap_or_default();
        let known = self.known_account(user_name);
        if known.as_ref().is_some_and(|known| is_default_root_elsewhere(&known.account, request)) {
            return LoginStep::Refused(LoginRefusal::DefaultPasswordFromElsewhere);
        }
        let attempt = self.attempt(request, user_name);
        let (judgement, has_failed) = {
            let attempts = self.attempts.lock();
            (attempts.judge(attempt, request.now_ms), attempts.has_failed(attempt, request.now_ms))
        };
        let pending = match known {
            None => PendingLogin::of_nobody(&self.decoy, attempt, request, password),
            Some(KnownAccount { account, principal }) => {
                // After a failure, logins as this user from this address lose the priority of known
                // places.
                let is_familiar =
                    !has_failed && self.places.lock().knows(&account.name, request.peer.source());
                PendingLogin {
                    is_familiar,
                    ..PendingLogin::of(&account, principal, attempt, request, password)
                }
            }
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

    /// Next step of a login that has waited for its turn to be hashed: others may have been right
    /// with the same password meanwhile, or wrong too often.
    pub fn check_login(&self, mut pending: PendingLogin, now_ms: u64) -> LoginStep {
        let figures = pending.figures.clone();
        let count = |counted| drop(figures.inspect(|figures| figures.count(counted)));
        if self.attempts.lock().must_wait(pending.attempt, now_ms) {
            count(MemberResult::Denied);
            return LoginStep::Refused(LoginRefusal::TooManyFailures);
        }
        if let Some(chain) = pending.chain.take() {
            return chain.decide(pending, now_ms);
        }
        if self.is_remembered(&pending) {
            count(MemberResult::Allowed);
            return self.admitted(pending);
        }
        if self.scram.is_some() && pending.is_known && pending.credential.scram.is_none() {
            // Without random numbers there is no verifier this time.
            pending.scram_salt = new_salt().ok();
        }
        pending.rehash_cost = pending.credential.is_imported().then_some(self.cost);
        LoginStep::Verify(pending)
    }

    /// Returns whether a login as that user from there has failed since the last success. May be
    /// called before the login has its turn.
    pub fn has_failed(&self, origin: LoginOrigin, now_ms: u64) -> bool {
        self.attempts.lock().has_failed(AttemptKey::of(origin.source, origin.user), now_ms)
    }

    pub(crate) fn judge(&self, attempt: AttemptKey, now_ms: u64) -> Judgement {
        self.attempts.lock().judge(attempt, now_ms)
    }

    /// Counts a failed login.
    pub(crate) fn failed(&self, attempt: AttemptKey, now_ms: u64) {
        self.attempts.lock().failed(attempt, now_ms);
    }

    /// Whether an account has this name, and whether it has logged in from there before.
    pub(crate) fn knows_place(&self, user_name: Option<&str>, request: &LoginRequest<'_>) -> (bool, bool) {
        let Some(account) = user_name.and_then(|name| self.account(name)) else { return (false, false) };
        (true, self.places.lock().knows(&account.name, request.peer.source()))
    }

    /// Credential of an unknown user.
    pub(crate) fn decoy(&self) -> &Credential {
        &self.decoy
    }

    /// How long the next login as this user from there has to wait, in milliseconds; 0 when it has
    /// not.
    pub fn wait_left_ms(&self, user_name: &str, source: Source, now_ms: u64) -> u64 {
        let attempts = self.attempts.lock();
        attempts.left_ms(attempts.key(source, user_name), now_ms)
    }

    /// Returns logins that have to wait after failures, at most `max`, those that wait longest
    /// first, and their total number. Cost: O(rows of failures).
    pub fn login_waits(&self, now_ms: u64, max: usize) -> (Vec<LoginWait>, usize) {
        let accounts = self.accounts();
        let attempts = self.attempts.lock();
        let mut waiting: Vec<(AttemptKey, u32, u64)> = attempts.waiting(now_ms).collect();
        let names: HashMap<u64, &Arc<str>> =
            accounts.iter().map(|account| (attempts.user(&account.name), &account.name)).collect();
        drop(attempts);
        let total = waiting.len();
        waiting.sort_unstable_by_key(|(_, failures, left_ms)| std::cmp::Reverse((*left_ms, *failures)));
        waiting.truncate(max);
        let row = |(key, failures, left_ms): (AttemptKey, u32, u64)| {
            let (source, user) = key.parts();
            LoginWait { user: names.get(&user).map(|name| Arc::clone(name)), source, failures, left_ms }
        };
        (waiting.into_iter().map(row).collect(), total)
    }

    fn is_remembered(&self, pending: &PendingLogin) -> bool {
        let PendingLogin { identity, password, .. } = pending;
        identity
            .user()
            .is_some_and(|user| self.remembered.lock().knows(user, identity.credential_version(), password))
    }

    fn admitted(&self, pending: PendingLogin) -> LoginStep {
        self.proved(&pending.identity, pending.attempt);
        LoginStep::Admitted(pending.identity)
    }

    /// Records a successful login: clears its failures and adds its place.
    pub(crate) fn proved(&self, identity: &Identity, attempt: AttemptKey) {
        self.attempts.lock().succeeded(attempt);
        if let Some(user) = identity.user().filter(|_| identity.principal.member().is_none()) {
            self.places.lock().add(user, attempt.parts().0);
        }
    }

    /// Returns users who have logged in from new places since the last call, each with all places
    /// in the format of [`restore_places`](Directory::restore_places).
    pub fn take_new_places(&self) -> Vec<(Arc<str>, String)> {
        let changed = self.places.lock().take_changed();
        let text =
            |places: Vec<Source>| places.into_iter().map(Source::to_text).collect::<Vec<_>>().join(" ");
        changed.into_iter().map(|(user, places)| (user, text(places))).collect()
    }

    /// Puts back a user's places, at start; what cannot be read is left out. False when there is no
    /// such user.
    pub fn restore_places(&self, user: &str, places: &str) -> bool {
        let Some(account) = self.account(user) else { return false };
        let places = places.split(' ').filter_map(Source::from_text).collect();
        self.places.lock().restore(Arc::clone(&account.name), places);
        true
    }

    fn looked(&self, step: LoginStep, attempt: AttemptKey, now_ms: u64) -> LoginStep {
        self.attempts.lock().looked(attempt, now_ms);
        step
    }

    pub(crate) fn attempt(&self, request: &LoginRequest<'_>, user_name: &str) -> AttemptKey {
        self.attempts.lock().key(request.peer.source(), user_name)
    }

    /// Logs in the user of a verified certificate; `name` is `None` if it names no user. Ignores
    /// user name and password of the request.
    pub fn certified_login(&self, name: Option<&str>, request: &LoginRequest<'_>) -> LoginStep {
        match name.and_then(|name| self.principal(name)) {
            Some(principal) => {
                let client_id = Arc::clone(&request.client_id);
                LoginStep::Admitted(Identity::new(principal, client_id, request.peer))
            }
            None => LoginStep::Refused(LoginRefusal::CertificateOfNobody),
        }
    }

    /// Last step of a login whose password was compared.
    ///
    /// # Errors
    /// [`LoginRefusal::BadCredentials`], also when the account was changed or removed meanwhile.
    pub fn finish_login(&self, verified: VerifiedLogin, now_ms: u64) -> Result<Identity, LoginRefusal> {
        let PendingLogin { identity, attempt, password, figures, .. } = verified.pending;
        let is_right = verified.is_right && self.remember(&identity, &password);
        let counted = if is_right { MemberResult::Allowed } else { MemberResult::Denied };
        figures.inspect(|figures| figures.count(counted));
        if is_right {
            self.proved(&identity, attempt);
            Ok(identity)
        } else {
            self.attempts.lock().failed(attempt, now_ms);
            Err(LoginRefusal::BadCredentials)
        }
    }

    /// Remembers a password that was right. False when the account has changed meanwhile.
    fn remember(&self, identity: &Identity, password: &[u8]) -> bool {
        let Some(user) = identity.user() else { return false };
        // Under the accounts' lock, so that a change of the password that comes now also forgets.
        let table = self.accounts.read();
        let current = table.by_name.get(user).map(|known| known.account.credential_version);
        let is_current = current == Some(identity.credential_version());
        if is_current {
            self.remembered.lock().remember(user, identity.credential_version(), password);
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
