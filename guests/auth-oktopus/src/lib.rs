//! Logins of Oktopus: devices of USP (TR-369) and their controller, checked against the key-value
//! bucket that Oktopus keeps in NATS.
//!
//! A watch keeps the bucket in memory, so a login asks nobody. The guest publishes the status of
//! devices: `1` when their subscription is live, `0` when their last connection ends.

mod bucket;
mod cache;
mod clients;
mod config;
mod credential;
mod key;
mod limits;
mod link;
mod rights;
mod watch;

use std::cell::RefCell;

use auth_settings::common_name;
use bucket::{Asked, Bucket};
use clients::{Clients, Status, TooMany};
use config::Config;
use lotmq_guest::auth::{
    Acceptance, Answer, Authenticator, BAD_USER_NAME_OR_PASSWORD, Denial, Description, Grant, Hooks, Login,
    NOT_AUTHORIZED, Permission, Principal, QoS, Selector, Subscription, UserProperty, ambient,
    config as configuration, publish, revoke,
};
use lotmq_guest::eprintln;
use rights::{AGENT, STATUS};

/// Reason Code of CONNACK: the bucket cannot be read.
const SERVER_UNAVAILABLE: u8 = 0x88;

/// Reason Code of CONNACK: there are too many connections.
const QUOTA_EXCEEDED: u8 = 0x97;

/// Name of the User Property of CONNACK by which an agent learns its topic (TR-369, R-MQTT.27).
const SUBSCRIBE_TOPIC: &str = "subscribe-topic";

/// Milliseconds between two looks at the clock during the first reading.
const LOOK_MS: u32 = 250;

/// User of a client that names neither itself nor its device. Only without checks.
const NOBODY: &str = "oktopus";

struct Oktopus;

struct Open {
    config: Config,
    /// `None` if nobody is checked.
    bucket: Option<Bucket>,
    clients: Clients,
}

/// A client that may come in.
struct Admitted {
    user: String,
    grants: Vec<Grant>,
    /// Identifier whose status is published.
    id: Option<String>,
}

/// A client that may not.
struct Refused {
    reason_code: u8,
    log: String,
}

enum Verdict {
    Admitted(Admitted),
    Refused(Refused),
    Continue,
}

thread_local!(static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) });

impl Authenticator for Oktopus {
    fn describe() -> Description {
        Description { hooks: Hooks::all(), methods: Vec::new() }
    }

    fn open() -> Result<(), String> {
        let (config, nats) = Config::parse(&configuration::get())?;
        let mut bucket = config.is_checked.then(|| Bucket::new(nats));
        if let Some(bucket) = &mut bucket {
            first_reading(bucket);
        }
        OPEN.set(Some(Open { config, bucket, clients: Clients::default() }));
        Ok(())
    }

    fn authenticate(login: Login) -> Answer {
        let answer = opened(|open| {
            revoke_all(open.bucket.as_mut().map(Bucket::take_input).unwrap_or_default());
            open.answer(&login)
        });
        answer
            .unwrap_or_else(|| answer_of(&login, None, refused(SERVER_UNAVAILABLE, "the guest is not open")))
    }

    fn connected(connection: u64, _client_id: String, _session_present: bool) {
        opened(|open| open.clients.connected(connection));
    }

    fn subscribed(connection: u64, subscriptions: Vec<Subscription>) {
        let filters = || subscriptions.iter().map(|subscription| &*subscription.filter);
        announce(opened(|open| open.clients.subscribed(connection, filters())).flatten());
    }

    fn disconnected(connection: u64, _reason: String) {
        announce(opened(|open| open.clients.disconnected(connection)).flatten());
    }

    fn run(until_ms: u32) -> Result<u32, String> {
        let next = opened(|open| {
            let Some(bucket) = &mut open.bucket else { return u32::MAX };
            revoke_all(bucket.refresh());
            bucket.wait(until_ms);
            revoke_all(bucket.refresh());
            0
        });
        Ok(next.unwrap_or(u32::MAX))
    }

    fn close() {
        OPEN.take();
    }
}

impl Open {
    fn answer(&mut self, login: &Login) -> Answer {
        let stated = stated_id(login);
        let mut verdict = self.verdict(login);
        if let Verdict::Admitted(Admitted { id: Some(id), .. }) = &verdict
            && let Err(TooMany) = self.clients.admit(login.connection, id)
        {
            verdict = refused(QUOTA_EXCEEDED, "there are too many connections");
        }
        answer_of(login, stated, verdict)
    }

    fn verdict(&self, login: &Login) -> Verdict {
        let Some(bucket) = &self.bucket else { return unchecked(login) };
        let certificate = login.certificate.as_ref().filter(|_| self.config.takes_certificates);
        let certified = certificate.and_then(|certificate| common_name(&certificate.subject));
        let user = match (&login.user, &certified) {
            (Some(user), Some(name)) if user != name => {
                return refused(NOT_AUTHORIZED, &format!("the certificate is of '{}'", name.escape_debug()));
            }
            (Some(user), _) | (None, Some(user)) => user,
            (None, None) if self.config.passes_unknown => return Verdict::Continue,
            (None, None) => return refused(BAD_USER_NAME_OR_PASSWORD, "there is no user name"),
        };
        let Some(key) = key::of_user(user) else {
            return refused(BAD_USER_NAME_OR_PASSWORD, "the user name is no level of a topic");
        };
        let is_controller = *user == self.config.controller;
        // A certificate proves a device; the controller has all rights, and needs its password.
        if certified.is_none() || is_controller {
            match bucket.ask(&key) {
                Asked::Away(reason) => {
                    return refused(SERVER_UNAVAILABLE, &format!("NATS is away: {reason}"));
                }
                Asked::Absent if self.config.passes_unknown => return Verdict::Continue,
                Asked::Absent => return refused(BAD_USER_NAME_OR_PASSWORD, "the bucket has no key for it"),
                Asked::Found(credential) => {
                    let password = login.password.as_deref().unwrap_or_default();
                    if !bucket.verifies(credential, password) {
                        return refused(BAD_USER_NAME_OR_PASSWORD, "the password is wrong");
                    }
                }
            }
        }
        self.admit(login, user, is_controller)
    }

    /// Rights and identifier of a user who is proved.
    fn admit(&self, login: &Login, user: &str, is_controller: bool) -> Verdict {
        let stated = stated_id(login);
        let (grants, id) = match (is_controller, self.config.is_strict) {
            (true, _) => (rights::everything(), stated),
            (false, false) => (rights::exact(), stated),
            (false, true) => match stated {
                Some(stated) if stated != user => {
                    let stated: String = stated.chars().take(128).collect();
                    let log =
                        format!("it calls itself '{}', which is not its user name", stated.escape_debug());
                    return refused(NOT_AUTHORIZED, &log);
                }
                _ => (rights::strict(), Some(user)),
            },
        };
        Verdict::Admitted(Admitted { user: user.to_owned(), grants, id: status_id(id) })
    }
}

/// Verdict without checks: everybody may do everything, as in the broker of Oktopus by default.
fn unchecked(login: &Login) -> Verdict {
    let stated = stated_id(login);
    let names = [login.user.as_deref(), stated, Some(&login.client_id)];
    let user = names.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or(NOBODY);
    Verdict::Admitted(Admitted { user: user.to_owned(), grants: rights::everything(), id: status_id(stated) })
}

/// Endpoint identifier that CONNECT states: the value of its first User Property, by any name.
fn stated_id(login: &Login) -> Option<&str> {
    login.user_properties.first().map(|property| &*property.value)
}

/// An identifier whose status can be published. A `/` would make it the status of another device,
/// because the controller reads the last level of the topic.
fn status_id(id: Option<&str>) -> Option<String> {
    id.filter(|id| key::is_level(id)).map(str::to_owned)
}

fn refused(reason_code: u8, log: &str) -> Verdict {
    Verdict::Refused(Refused { reason_code, log: log.to_owned() })
}

/// Answer with the User Property that each CONNACK has, one that refuses included.
fn answer_of(login: &Login, stated: Option<&str>, verdict: Verdict) -> Answer {
    match verdict {
        Verdict::Continue => Answer::Continue,
        Verdict::Admitted(Admitted { user, grants, id }) => {
            let stated = stated.or(id.as_deref());
            let user_properties = subscribe_topic(login, stated);
            let principal = Principal { permission: Permission::Grants(grants), ..Principal::named(user) };
            Answer::Allow(Acceptance { principal, reason: None, user_properties, data: None })
        }
        Verdict::Refused(Refused { reason_code, log }) => {
            let user_properties = subscribe_topic(login, stated);
            Answer::Deny(Denial { reason_code, reason: None, user_properties, log })
        }
    }
}

/// The User Property for a client of MQTT 5.0 that did not turn such properties off. Without an
/// identifier the topic ends with `/`. An identifier that is too long for a topic has none.
fn subscribe_topic(login: &Login, id: Option<&str>) -> Vec<UserProperty> {
    let id = id.unwrap_or_default();
    let is_wanted = login.protocol_version >= 5 && login.request_problem_information;
    if !is_wanted || id.len() > limits::NAME_BYTES_MAX || id.contains('\0') {
        return Vec::new();
    }
    vec![UserProperty { name: SUBSCRIBE_TOPIC.to_owned(), value: format!("{AGENT}{id}") }]
}

fn opened<T>(work: impl FnOnce(&mut Open) -> T) -> Option<T> {
    OPEN.with_borrow_mut(|open| open.as_mut().map(work))
}

/// Reads the bucket before the first login, if the server answers at once.
fn first_reading(bucket: &mut Bucket) {
    let end = ambient::monotonic_ms() + limits::FIRST_READING_MS;
    // Nobody is in yet whose key could have changed.
    bucket.refresh();
    while bucket.is_connected() && !bucket.is_current() && ambient::monotonic_ms() < end {
        bucket.wait(LOOK_MS);
        bucket.refresh();
    }
}

/// Ends the connections of users whose key has changed or is gone.
fn revoke_all(users: Vec<String>) {
    for user in users {
        let reason = "the key of the device was changed or deleted";
        revoke(&Selector::User(user), NOT_AUTHORIZED, Some(reason));
    }
}

fn announce(status: Option<Status>) {
    let Some(Status { id, is_online }) = status else { return };
    let payload = if is_online { b"1" } else { b"0" };
    if let Err(error) = publish(&format!("{STATUS}{id}"), payload, QoS::AtLeastOnce, false) {
        eprintln!("the status of '{}' was not published: {error:?}", id.escape_debug());
    }
}

lotmq_guest::export_auth!(Oktopus);

#[cfg(test)]
mod tests;
