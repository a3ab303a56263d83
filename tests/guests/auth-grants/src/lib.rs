//! A small authentication guest whose passwords are rights, for tests of what rights do.
//!
//! A password is `{"groups": ["in"], "grants": [["allow", "x/#"], ["deny", "#"]]}`. The endpoint
//! `orders` sends lines `USER RIGHTS`, which replace the principal of all sessions of a user.
//! The line `?` has the guest write how many sessions that were.
//! With `"revoked": true` the guest lets the user in, and revokes the login right behind that.

use lotmq_guest::auth::{
    Actions, Answer, Authenticator, BAD_USER_NAME_OR_PASSWORD, Connection, Description, Effect, Grant, Hooks,
    Interest, IoError, Login, Permission, Principal, Selector, allow, deny, net, revoke, update,
};
use lotmq_guest::println;
use serde_json::Value as Json;
use std::cell::RefCell;

/// Longest wait for the connection of the orders, in milliseconds.
const TIMEOUT_MS: u32 = 5_000;

/// Reason Code of DISCONNECT: administrative action.
const ADMINISTRATIVE_ACTION: u8 = 0x98;

struct Grants;

#[derive(Default)]
struct Memory {
    orders: Option<Connection>,
    /// Received part of an incomplete line.
    part: Vec<u8>,
    /// Users whose logins are to be revoked.
    revoked: Vec<String>,
    /// Sessions whose principals were replaced.
    replaced: u32,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

impl Authenticator for Grants {
    fn describe() -> Description {
        Description { hooks: Hooks::RUN, methods: Vec::new() }
    }

    fn open() -> Result<(), String> {
        let orders = Connection::open("orders", TIMEOUT_MS).map_err(|error| format!("orders: {error:?}"))?;
        MEMORY.set(Memory { orders: Some(orders), ..Memory::default() });
        Ok(())
    }

    fn authenticate(login: Login) -> Answer {
        let rights = login.password.as_deref();
        let rights: Option<Json> = rights.and_then(|password| serde_json::from_slice(password).ok());
        match (login.user, rights) {
            (Some(user), Some(rights)) => {
                if rights["revoked"] == true {
                    MEMORY.with_borrow_mut(|memory| memory.revoked.push(user.clone()));
                }
                allow(principal(&user, &rights))
            }
            _ => deny(BAD_USER_NAME_OR_PASSWORD, "the password is no list of rights"),
        }
    }

    fn run(until_ms: u32) -> Result<u32, String> {
        MEMORY.with_borrow_mut(|memory| {
            for user in memory.revoked.drain(..) {
                revoke(&Selector::User(user), ADMINISTRATIVE_ACTION, None);
            }
            let Some(orders) = &memory.orders else { return Ok(u32::MAX) };
            let ready = net::wait(&[Interest::Readable(orders.tcp()), Interest::HostWork], until_ms);
            if !ready.contains(&0) {
                return Ok(0);
            }
            match orders.tcp().read(4096) {
                Ok(bytes) if bytes.is_empty() => return Err("nobody gives orders any more".to_owned()),
                Ok(bytes) => memory.part.extend_from_slice(&bytes),
                Err(IoError::WouldBlock) => return Ok(0),
                Err(error) => return Err(format!("orders: {error:?}")),
            }
            while let Some(end) = memory.part.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = memory.part.drain(..=end).collect();
                memory.replaced += obey(String::from_utf8_lossy(&line).trim(), memory.replaced);
            }
            Ok(0)
        })
    }
}

fn principal(user: &str, rights: &Json) -> Principal {
    let words = |list: &Json| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
    };
    let grant = |entry: &Json| {
        let entry = words(entry);
        let [effect, filter] = &*entry else { return None };
        let effect = if effect == "allow" { Effect::Allow } else { Effect::Deny };
        Some(Grant { effect, ..Grant::allow(Actions::all(), filter) })
    };
    let mut principal = Principal::named(user);
    principal.groups = words(&rights["groups"]);
    let grants = rights["grants"].as_array().into_iter().flatten().filter_map(grant).collect();
    principal.permission = Permission::Grants(grants);
    principal
}

/// Carries an order out; the number of sessions that it reached.
fn obey(order: &str, replaced: u32) -> u32 {
    if order == "?" {
        println!("{replaced} sessions");
        return 0;
    }
    let reached = order.split_once(' ').and_then(|(user, rights)| {
        let rights: Json = serde_json::from_str(rights).ok()?;
        Some(update(&Selector::User(user.to_owned()), &principal(user, &rights)))
    });
    reached.unwrap_or_else(|| {
        println!("no order: {order}");
        0
    })
}

lotmq_guest::export_auth!(Grants);
