//! A small authentication guest: users from the table in its configuration, and orders from another
//! system.
//!
//! It proves the interface of the world `auth`. Its configuration is `{"users": {"ann":
//! {"password": "…", "groups": ["staff"], "publish": "a/#"}}}`. The method `REVERSE` accepts a
//! client that answers its challenge backwards. The endpoint `orders` sends lines: `revoke USER`
//! and `widen USER FILTER`.
//! With `"announce": "logins"` it publishes `1` to `logins/<user>` when a client has subscribed,
//! and `0` when its connection is over.
//! With `"tokens": true` it asks the HTTP server at the endpoint `tokens` about users outside of
//! the table. The server gets the password and returns the name of the user.

use lotmq_guest::auth::{
    Acceptance, Actions, Answer, Authenticator, BAD_USER_NAME_OR_PASSWORD, Connection, Description, Grant,
    Hooks, Interest, IoError, Login, Permission, Principal, Property, QoS, Selector, Subscription,
    UserProperty, Will, allow, ambient, config, deny, http::{self, HttpClient}, metrics, net, publish, revoke, state, update,
};
use lotmq_guest::println;
use serde_json::Value as Json;
use std::{cell::RefCell, collections::BTreeMap};

/// Longest wait for the other system, in milliseconds.
const TIMEOUT_MS: u32 = 5_000;

/// Reason Code of CONNACK: who could say it cannot be asked.
const SERVER_UNAVAILABLE: u8 = 0x88;

/// Reason Code of DISCONNECT: administrative action.
const ADMINISTRATIVE_ACTION: u8 = 0x98;

struct Table;

#[derive(Default)]
struct Memory {
    orders: Option<Connection>,
    /// Received part of an incomplete line.
    part: Vec<u8>,
    /// Users of the connections that were let in.
    users: BTreeMap<u64, String>,
    /// Challenges that were sent, by connection.
    challenges: BTreeMap<u64, Vec<u8>>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

impl Authenticator for Table {
    fn describe() -> Description {
        Description { hooks: Hooks::all(), methods: vec!["REVERSE".to_owned()] }
    }

    fn open() -> Result<(), String> {
        let orders = match Connection::open("orders", TIMEOUT_MS) {
            Ok(connection) => Some(connection),
            // It can do without.
            Err(IoError::Denied(_)) => None,
            Err(error) => return Err(format!("orders: {error:?}")),
        };
        MEMORY.set(Memory { orders, ..Memory::default() });
        Ok(())
    }

    fn authenticate(login: Login) -> Answer {
        let Some(user) = &login.user else { return Answer::Continue };
        let Some(entry) = entry(user) else { return by_token(&login) };
        let is_right = login.password.as_deref() == entry["password"].as_str().map(str::as_bytes);
        if !is_right {
            return deny(BAD_USER_NAME_OR_PASSWORD, format!("the password of '{user}' is wrong"));
        }
        let seen = state::get(user).map_or(0, |count| count.first().copied().unwrap_or(0)).saturating_add(1);
        let is_kept = state::set(user, &[seen]).is_ok();
        MEMORY.with_borrow_mut(|memory| drop(memory.users.insert(login.connection, user.clone())));
        let user_properties = vec![UserProperty { name: "logins".to_owned(), value: seen.to_string() }];
        let reason = is_kept.then(|| format!("welcome by {}", login.listener));
        Answer::Allow(Acceptance {
            principal: principal(user, &entry, &login),
            reason,
            user_properties,
            data: None,
        })
    }

    fn step(login: Login, _method: String, data: Vec<u8>) -> Answer {
        MEMORY.with_borrow_mut(|memory| match memory.challenges.remove(&login.connection) {
            None => {
                let challenge = ambient::random().to_le_bytes().to_vec();
                memory.challenges.insert(login.connection, challenge.clone());
                Answer::Challenge(challenge)
            }
            Some(challenge) if data.iter().eq(challenge.iter().rev()) => {
                allow(Principal::named(format!("reverser {}", login.client_id)))
            }
            Some(_) => deny(BAD_USER_NAME_OR_PASSWORD, "that was not the challenge backwards"),
        })
    }

    fn forget(connection: u64) {
        let was_there = MEMORY.with_borrow_mut(|memory| memory.challenges.remove(&connection).is_some());
        println!("forget {connection}: {was_there}");
    }

    fn connected(connection: u64, client_id: String, session_present: bool) {
        println!("connected {connection} as {client_id}, session present: {session_present}");
        count("connected");
    }

    fn subscribed(connection: u64, subscriptions: Vec<Subscription>) {
        let filters: Vec<_> = subscriptions.iter().map(|it| format!("{} {:?}", it.filter, it.qos)).collect();
        println!("subscribed {connection} to {}", filters.join(", "));
        announce(MEMORY.with_borrow(|memory| memory.users.get(&connection).cloned()), b"1");
    }

    fn disconnected(connection: u64, reason: String) {
        println!("disconnected {connection}: {reason}");
        announce(MEMORY.with_borrow_mut(|memory| memory.users.remove(&connection)), b"0");
        count("disconnected");
    }

    fn run(until_ms: u32) -> Result<u32, String> {
        MEMORY.with_borrow_mut(|memory| {
            let Some(orders) = &memory.orders else { return Ok(u32::MAX) };
            let ready = net::wait(&[Interest::Readable(orders.tcp()), Interest::HostWork], until_ms);
            if !ready.contains(&0) {
                return Ok(0);
            }
            let bytes = match orders.tcp().read(4096) {
                Ok(bytes) if bytes.is_empty() => return Err("nobody gives orders any more".to_owned()),
                Ok(bytes) => bytes,
                Err(IoError::WouldBlock) => return Ok(0),
                Err(error) => return Err(format!("orders: {error:?}")),
            };
            memory.part.extend_from_slice(&bytes);
            while let Some(end) = memory.part.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = memory.part.drain(..=end).collect();
                obey(String::from_utf8_lossy(&line).trim());
            }
            Ok(0)
        })
    }

    fn close() {
        println!("goodbye");
    }
}

/// Returns the table entry of a user.
fn entry(user: &str) -> Option<Json> {
    configured("users")?.get(user).cloned()
}

/// A member of the configuration.
fn configured(member: &str) -> Option<Json> {
    let mut config: Json = serde_json::from_str(&config::get()).ok()?;
    config.get_mut(member).map(Json::take)
}

/// Asks the token server about a client that is not in the table.
fn by_token(login: &Login) -> Answer {
    if configured("tokens") != Some(Json::Bool(true)) {
        return Answer::Continue;
    }
    let token = login.password.clone().unwrap_or_default();
    match HttpClient::new("tokens").timeout_ms(TIMEOUT_MS).post("/introspect", token).send() {
        Ok(response) if response.is_success() => {
            allow(Principal::named(String::from_utf8_lossy(&response.body)))
        }
        Ok(response) => deny(BAD_USER_NAME_OR_PASSWORD, format!("the server answered {}", response.status)),
        Err(error) => deny(SERVER_UNAVAILABLE, http::described(&error)),
    }
}

/// A Will in words.
fn in_words(will: &Will) -> String {
    let properties = will.properties.as_ref();
    let content_type = properties.and_then(|it| it.content_type.as_deref()).unwrap_or("-");
    let payload = String::from_utf8_lossy(&will.payload);
    format!("{} {payload} {content_type} after {} s", will.topic, will.delay_seconds)
}

fn principal(user: &str, entry: &Json, login: &Login) -> Principal {
    let words = entry["groups"].as_array().into_iter().flatten().filter_map(Json::as_str);
    let property = |name: &str, value: &str| Property { name: name.to_owned(), value: value.to_owned() };
    let mut principal = Principal::named(user);
    principal.groups = words.map(str::to_owned).collect();
    principal.properties = vec![property("ClientVersion", &login.protocol_version.to_string())];
    principal.properties.push(property("ReceiveMaximum", &login.receive_maximum.to_string()));
    principal.properties.extend(login.will.iter().map(|will| property("Will", &in_words(will))));
    principal.properties.extend(login.user_properties.iter().map(|it| property(&it.name, &it.value)));
    if let Some(filter) = entry["publish"].as_str() {
        let grant =
            Grant { qos_max: QoS::AtLeastOnce, retain: false, ..Grant::allow(Actions::PUBLISH, filter) };
        principal.permission = Permission::Grants(vec![grant]);
    }
    principal.expires_ms = entry["seconds"].as_i64().map(|seconds| ambient::now_ms() + seconds * 1000);
    principal.limits.subscriptions = Some(10);
    principal
}

fn obey(order: &str) {
    let words: Vec<_> = order.split(' ').collect();
    let reached = match *words {
        ["revoke", user] => revoke(&Selector::User(user.to_owned()), ADMINISTRATIVE_ACTION, Some("by order")),
        ["widen", user, filter] => {
            let mut principal = Principal::named(user);
            principal.permission = Permission::Grants(vec![Grant::allow(Actions::all(), filter)]);
            update(&Selector::User(user.to_owned()), &principal)
        }
        _ => 0,
    };
    println!("{order}: {reached} sessions");
}

/// Publishes whether a user is there.
fn announce(user: Option<String>, payload: &[u8]) {
    let Some((user, Json::String(topic))) = user.zip(configured("announce")) else { return };
    if let Err(error) = publish(&format!("{topic}/{user}"), payload, QoS::AtLeastOnce, false) {
        println!("not announced: {error:?}");
    }
}

fn count(counter: &str) {
    if metrics::add(counter, 1).is_err() {
        println!("{counter} is not counted");
    }
}

lotmq_guest::export_auth!(Table);
