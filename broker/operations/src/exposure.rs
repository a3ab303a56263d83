//! Exposure of the broker: what is open without a password of its own, and to whom. For the
//! warnings at start and every hour, and for the advice of `lotmq serve`.

use std::sync::Arc;

use lotmq_auth::{Decide as _, Identity, Peer, Question, Scope};
use lotmq_config::{AnonymousLogin, Config};
use tracing::warn;

use lotmq_core::tenant::Tenant;

/// Topic that no rule names, so that only rules about all topics deny it.
const ANY_TOPIC: &str = "lotmq-asks-who-may-publish/5b0a2f60";

/// Exposure of a tenant.
pub struct Exposure {
    has_default_password: bool,
    anonymous: AnonymousLogin,
    /// Addresses where everybody may publish.
    open: Vec<String>,
    /// Listeners where everybody may claim any address.
    gullible: Vec<&'static str>,
    /// Addresses where passwords cross the network readable.
    readable: Vec<String>,
}

impl Exposure {
    /// Present exposure. Asks the rules.
    pub fn of(config: &Config, tenant: &Tenant) -> Self {
        let anonymous = config.anonymous_login();
        let public = match anonymous {
            AnonymousLogin::Everywhere if may_everybody_publish(tenant) => config.public_addresses(),
            AnonymousLogin::Everywhere | AnonymousLogin::LoopbackOnly | AnonymousLogin::Off => Vec::new(),
        };
        let open = public.into_iter().map(|(listener, address)| format!("{listener} {address}")).collect();
        let gullible = config.gullible_listeners();
        let readable = readable_logins(config);
        Self {
            has_default_password: tenant.users.root_has_default_password(),
            anonymous,
            open,
            gullible,
            readable,
        }
    }

    /// Logs one line for each thing that is open.
    pub(crate) fn warn(&self, tenant: &Tenant) {
        let tenant = &*tenant.name;
        if self.has_default_password {
            warn!(
                tenant,
                "root has the default password, for every program of this machine and for whom a forwarder on it lets in (ssh -R, nginx \
                 stream or proxy_pass, kubectl port-forward): set one with -changeUserPassword root <password>, or start with --secure"
            );
        }
        if self.anonymous == AnonymousLogin::LoopbackOnly {
            warn!(
                tenant,
                "anonymous clients are let in from this machine, and with them whom a forwarder on it lets in (ssh -R, nginx stream or \
                 proxy_pass, kubectl port-forward): auth.anonymous = false or --secure ends that"
            );
        }
        if !self.open.is_empty() {
            warn!(
                tenant,
                listener = self.open.join(", "),
                "everybody who reaches this broker may publish to all topics, without a name: set auth.anonymous = false, or a rule for Publish"
            );
        }
        if !self.gullible.is_empty() {
            warn!(
                tenant,
                listener = self.gullible.join(", "),
                "whoever reaches the port may claim any address by the PROXY protocol: name the proxies in trusted_proxies"
            );
        }
        if !self.readable.is_empty() {
            warn!(
                tenant,
                listener = self.readable.join(", "),
                "passwords of other machines are readable on their way: use TLS, and auth.passwords_need_tls = true refuses them without"
            );
        }
    }

    /// Advice for whoever starts the broker at a terminal; `None` where nothing is open.
    pub fn advice(&self) -> Option<&'static str> {
        match (self.has_default_password, self.anonymous) {
            (true, AnonymousLogin::LoopbackOnly) => Some(
                "recommended: `lotmq serve --secure`, which gives root a password of its own and lets nobody in without one; \
                 now every program of this machine is let in, as root too",
            ),
            (true, AnonymousLogin::Off | AnonymousLogin::Everywhere) => Some(
                "recommended: `lotmq serve --secure`, which gives root a password of its own; now every program of this machine may be root",
            ),
            (false, AnonymousLogin::LoopbackOnly | AnonymousLogin::Off | AnonymousLogin::Everywhere) => None,
        }
    }
}

/// Listeners where passwords of other machines are readable on their way: `mqtt 0.0.0.0:1883`.
pub fn readable_logins(config: &Config) -> Vec<String> {
    let readable = config.readable_logins().into_iter();
    readable.map(|(listener, address)| format!("{listener} {address}")).collect()
}

/// Whether rules let an anonymous client in from elsewhere and let it publish to a topic that no
/// rule names.
fn may_everybody_publish(tenant: &Tenant) -> bool {
    // An address of the documentation's, which nobody has.
    let stranger = Identity::anonymous(Arc::from(""), Peer::Tcp([192, 0, 2, 1].into()));
    let questions = [Question::operation(&stranger, Scope::Connect), Question::publish(&stranger, ANY_TOPIC)];
    questions.iter().all(|question| tenant.permissions.decide(question).is_allowed())
}
