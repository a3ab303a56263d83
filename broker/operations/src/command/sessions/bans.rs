//! `-addBan`, `-removeBan`, `-listBans`: addresses and users that may not connect.

use std::net::IpAddr;
use std::sync::Arc;

use lotmq_auth::{Ban, BanTarget, ROOT, Scope, Source};
use lotmq_changes::Batch;
use lotmq_core::client::session_end;
use lotmq_core::tenant::client::Client;
use lotmq_process::clock::utc_text;
use serde_json::{Value, json};

use crate::command::argument::{number, word};
use crate::command::reply::{Done, Refusal};
use crate::command::verb::{Call, Effect, Permission, Verb, Work};
use crate::logins::ban_rows;
use lotmq_codes::Code;

/// Longest ban in seconds: 100 years. A ban without a time has no end.
const SECONDS_MAX: u64 = 100 * 365 * 86_400;

/// Most bans in a reply.
const LISTED_MAX: usize = 1_000;

pub(in crate::command) static ADD: Verb = Verb {
    name: "addBan",
    arguments: &[
        word("address|user"),
        word("target"),
        number("seconds", "is not a number of seconds").optional(),
    ],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Bans an IP address or a user, for a number of seconds or until -removeBan, and closes the connections of the target. IPv6 counts by its network of 64 bits.",
    example: "-addBan address 192.0.2.7 3600",
    execute: add,
};

pub(in crate::command) static REMOVE: Verb = Verb {
    name: "removeBan",
    arguments: &[word("address|user"), word("target")],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes the ban of an address or a user; of an address also the automatic bans of its clients.",
    example: "-removeBan address 192.0.2.7",
    execute: remove,
};

pub(in crate::command) static LIST: Verb = Verb {
    name: "listBans",
    arguments: &[],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists the bans in force with cause and end, at most 1,000: those of operators, then automatic ones.",
    example: "-listBans",
    execute: list,
};

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let target = target(call)?;
    let seconds: Option<u64> = call.number("seconds")?;
    if seconds.is_some_and(|seconds| seconds == 0 || seconds > SECONDS_MAX) {
        let message = format!("A ban takes 1 to {SECONDS_MAX} seconds; without a number it has no end.");
        return Err(Refusal::new(Code::ArgumentInvalid, message));
    }
    if is_protected(&target) {
        let message = "root and the addresses of this machine cannot be banned.";
        return Err(Refusal::new(Code::ArgumentInvalid, message));
    }
    let now_ms = call.core.clock.lifetime_ms();
    let until_ms = seconds.map(|seconds| now_ms.saturating_add(seconds * 1_000));
    {
        let _changes = call.commands.changes.lock();
        let mut batch = Batch::new();
        ban_rows::put(&mut batch, call.tenant.id, &target, until_ms);
        let added = call.tenant.users.bans().add(target.clone(), until_ms, now_ms);
        added.map_err(|error| {
            Refusal::new(Code::QuotaExceeded, format!("The target is not banned: {error}."))
        })?;
        call.commit(batch)?;
    }
    let closed = call
        .tenant
        .all_sessions()
        .iter()
        .filter(|client| is_of(client, &target))
        .fold(0, |closed, client| closed + u32::from(session_end::disconnect(client)));
    Ok(Done::new(format!("{} banned; {closed} connection(s) closed.", render(&target))))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let target = target(call)?;
    let _changes = call.commands.changes.lock();
    if !call.tenant.users.bans().remove(&target, call.core.clock.lifetime_ms()) {
        return Err(Refusal::not_found(format!("{} is not banned.", render(&target))));
    }
    let mut batch = Batch::new();
    ban_rows::delete(&mut batch, call.tenant.id, &target);
    call.commit(batch)?;
    Ok(Done::new(format!("{} is not banned any more.", render(&target))))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let clock = &call.core.clock;
    let bans = call.tenant.users.bans().list(clock.lifetime_ms());
    let rows: Vec<Value> = bans.iter().take(LISTED_MAX).map(|ban| row(ban, |at| clock.wall_of(at))).collect();
    let data = json!({ "bans": rows, "total": bans.len() });
    Ok(Done::new(format!("{} ban(s).", bans.len())).with_data(data))
}

fn row(ban: &Ban, wall_of: impl Fn(u64) -> u64) -> Value {
    json!({
        "address": ban.source.map(Source::render),
        "user": ban.user,
        "clientId": ban.client_id,
        "cause": ban.cause.word(),
        "until": ban.until_ms.map(|until_ms| utc_text(wall_of(until_ms))),
    })
}

/// Reads the target of a command.
fn target(call: &Call<'_>) -> Result<BanTarget, Refusal> {
    let name = call.text("target");
    match call.text("address|user") {
        "address" => match name.split('/').next().unwrap_or(name).parse::<IpAddr>() {
            Ok(address) if is_whole(name, address) => Ok(BanTarget::Address(Source::of(address))),
            _ => {
                let message =
                    format!("'{name}' is not an IP address; deny_from of a listener takes networks.");
                Err(Refusal::new(Code::ArgumentInvalid, message))
            }
        },
        "user" => Ok(BanTarget::User(Arc::from(name))),
        kind => {
            let message = format!("'{kind}' cannot be banned; allowed are address and user.");
            Err(Refusal::new(Code::ArgumentInvalid, message))
        }
    }
}

/// Whether `name` is all of an address that bans know: without a length, or with the 64 bits that
/// -listBans shows for IPv6.
fn is_whole(name: &str, address: IpAddr) -> bool {
    match name.split_once('/') {
        None => true,
        Some((_, bits)) => address.to_canonical().is_ipv6() && bits == "64",
    }
}

fn is_protected(target: &BanTarget) -> bool {
    match target {
        BanTarget::Address(source) => source.is_of_this_machine(),
        BanTarget::User(user) => **user == *ROOT,
    }
}

fn is_of(client: &Client, target: &BanTarget) -> bool {
    let identity = client.identity();
    match target {
        BanTarget::Address(source) => identity.peer.source() == *source,
        BanTarget::User(user) => identity.user_name() == Some(&**user),
    }
}

fn render(target: &BanTarget) -> String {
    match target {
        BanTarget::Address(source) => format!("Address {}", source.render()),
        BanTarget::User(user) => format!("User '{user}'"),
    }
}
