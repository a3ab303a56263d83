//! Condition of the broker: what fails, how much there is of what is limited, and which definitions
//! had errors.
//!
//! `/health` and `-brokerStatus` tell it. Not here: figures for monitoring tools (`monitor`,
//! `/metrics`).

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_auth::{AnswerTimes, LoginWait, MemberCounts, MemberFigures};
use lotmq_core::Core;
use lotmq_core::limits::Limit;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{Definition, DefinitionKind, ErrorRecord, WarningAt};
use lotmq_shares::quota_key;
use serde_json::{Value, json};

use super::documents::store_bytes;
use super::figures::Figures;
use crate::broker::Broker;
use crate::limits::LISTING_ROWS_MAX;
use crate::managed::Managing as _;
use crate::system_state::dropped;
use lotmq_net::not_opened;
use lotmq_process::clock::utc_text;
use lotmq_process::{disk_room, machine, time_zone, usage};
use lotmq_programs::compile_places::{CompileOwner, Rank};
use lotmq_programs::late_code::Compiling;
use lotmq_programs::{HasPrograms as _, trigger_lint};

/// Part of a limit, in percent, from which on it is told.
const NEAR_PERCENT: u64 = 80;

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// Time before the end of a certificate from which on it is told: a month is what it takes to get
/// one where people are asked for it.
const CERTIFICATE_NEAR_MS: u64 = 30 * DAY_MS;

/// Failures for which the broker is not healthy, the gravest first: a part of it that has ended, a
/// store that takes nothing of clients, threads that stand still (`silent`, in words), a listener
/// that clients miss.
pub fn failures(broker: &Broker, silent: Option<String>) -> Vec<String> {
    let ended = broker.hosting.watchdog.ended().map(|name| format!("{name} ended by a panic"));
    let store = broker.core.refuses_to_store().map(|failure| failure.to_string());
    let missed = not_opened::failure(&broker.net.not_opened.lock());
    [ended, store, silent, missed].into_iter().flatten().collect()
}

/// State of the broker in a word: `starting` is one that works and is still compiling definitions.
pub fn state(failures: &[String], is_compiling: bool) -> &'static str {
    match (failures.is_empty(), is_compiling) {
        (true, false) => "healthy",
        (true, true) => "starting",
        (false, _) => "failing",
    }
}

/// Condition as JSON; `failures` are those of [`failures`]. Cost: O(definitions), and O(sessions)
/// where they are few.
pub fn condition(broker: &Broker, tenant: &Tenant, failures: &[String]) -> Value {
    let figures = Figures::of(broker, tenant);
    let (counters, store) = (&broker.core.counters, broker.core.log.metrics());
    let per_second = |name: &str| broker.sys.loads(|loads| loads.minute(name)) / 60.0;
    let not_opened: Vec<Value> = broker
        .net
        .not_opened
        .lock()
        .iter()
        .map(|it| json!({ "listener": it.listener, "reason": it.reason }))
        .collect();
    let told = [denied_triggers(broker, tenant), warnings(tenant)].concat();
    let cold_start = Compiling::now(&broker.hosting);
    let zone = time_zone::name(tenant.programs().guests.registry.read().zone());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": broker.sys.uptime().as_secs(),
        "state": state(failures, cold_start.is_some()),
        "failures": failures,
        "coldStart": cold_start.as_ref().map(Compiling::to_json),
        "clients": {
            "connected": figures.connected,
            "sessions": figures.total,
            "subscriptions": tenant.subscriptions(),
        },
        "timeZone": zone,
        "messages": {
            "received": counters.publish_received.get(),
            "sent": counters.publish_sent.get(),
            "dropped": dropped(counters),
            "receivedPerSecond": rounded(per_second("load/publish/received")),
            "sentPerSecond": rounded(per_second("load/publish/sent")),
            "droppedPerSecond": rounded(per_second("load/publish/dropped")),
            "retained": tenant.retained.read().len(),
            "delayed": broker.hosting.context.delayed.messages(),
        },
        "store": {
            "bytes": store_bytes(broker),
            "storedMessages": store.deliveries,
            "quarantinedRows": broker.quarantined.len(),
            "damagedFound": store.damaged(),
        },
        "process": {
            "memoryBytes": usage::memory().0,
            "privateBytes": usage::private_memory(),
            "cpuPercent": broker.sys.cpu_percent(),
        },
        "compiling": compiling(broker, tenant),
        "listenersNotOpened": not_opened,
        "certificatesNotRead": certificates_not_read(broker),
        "limitsNear": near(&limits(broker, tenant)),
        "certificatesNear": certificates_near(&broker.net.certificates.ends(), broker.core.clock.wall_ms()),
        "loginWaits": login_waits(&broker.core, tenant),
        "denials": denials(tenant),
        "refusedLogins": refused_logins(tenant),
        "loginModules": login_modules(broker),
        "lockedSecrets": tenant.programs().variables.locked_secrets(),
        "errors": errors(tenant),
        "warnings": told,
    })
}

/// Listeners whose replaced files of TLS cannot be used, with the reason. The former files are in
/// force there.
pub fn certificates_not_read(broker: &Broker) -> Vec<Value> {
    let faults = broker.net.certificates.faults().into_iter();
    faults.map(|(listener, reason)| json!({ "listener": listener, "reason": reason })).collect()
}

/// Worker processes that compile for users of a tenant, or for the broker, the oldest first.
fn compiling(broker: &Broker, tenant: &Tenant) -> Vec<Value> {
    let mut taken = broker.hosting.compile_workers.taken();
    taken.sort_by_key(|place| std::cmp::Reverse(place.time));
    let owner = |asker: CompileOwner| {
        let accounts = tenant.users.accounts();
        let owner = accounts.iter().find(|account| quota_key(account.number) == asker.owner.quota_key);
        owner.map(|account| Arc::clone(&account.name))
    };
    let seen =
        taken.iter().filter(|it| it.asker.rank == Rank::Broker || it.asker.owner.tenant == tenant.number);
    seen.map(|it| {
        let (owner, seconds) = (owner(it.asker), it.time.as_secs());
        json!({ "owner": owner.as_deref(), "seconds": seconds })
    })
    .collect()
}

/// Logins that have to wait after wrong passwords, those that wait longest first, at most so many
/// as a listing has.
pub fn login_waits(core: &Core, tenant: &Tenant) -> Vec<Value> {
    let (now_ms, wall_ms) = (core.clock.now().as_millis(), core.clock.wall_ms());
    let (waits, _) = tenant.users.login_waits(now_ms, LISTING_ROWS_MAX);
    let row = |wait: &LoginWait| {
        json!({
            "user": wait.user.as_deref(),
            "from": wait.source.render(),
            "failures": wait.failures,
            "secondsLeft": wait.left_ms.div_ceil(1000),
            "until": utc_text(wall_ms + wait.left_ms),
        })
    };
    waits.iter().map(row).collect()
}

/// Number of denials by rules since the start, and the last one: who, what, when.
fn denials(tenant: &Tenant) -> Value {
    let (count, last) = tenant.managed().denials.so_far();
    let last = last.map(|denial| {
        json!({
            "user": denial.user.as_deref(),
            "scope": denial.scope,
            "topic": denial.topic,
            "timestamp": utc_text(denial.at_ms),
        })
    });
    json!({ "count": count, "last": last })
}

/// Number of refused logins since the start, and the last one: who, from where, why, when. Its user
/// is left out: who is not known may have typed a password there.
fn refused_logins(tenant: &Tenant) -> Value {
    let (count, last) = tenant.managed().refused_logins.so_far();
    let last = last.map(|login| {
        json!({
            "clientId": login.client_id,
            "endpoint": login.endpoint,
            "reason": login.reason,
            "timestamp": utc_text(login.at_ms),
        })
    });
    json!({ "count": count, "last": last })
}

/// Counters of the login modules since the start, over all listeners and tenants.
fn login_modules(broker: &Broker) -> Vec<Value> {
    let row = |(name, figures): (&Arc<str>, &Arc<MemberFigures>)| {
        let MemberCounts { asked, allowed, denied, continued, failed } = figures.counts();
        json!({
            "name": &**name,
            "asked": asked,
            "allowed": allowed,
            "denied": denied,
            "continued": continued,
            "failed": failed,
            "answerMs": mean_ms(&figures.answer_times()),
            "lastError": figures.last_error(),
        })
    };
    broker.login_members.figures().map(row).collect()
}

/// Mean of times in milliseconds; `None` without any.
fn mean_ms(times: &AnswerTimes) -> Option<f64> {
    let count = times.count();
    (count > 0).then(|| rounded(times.sum().as_secs_f64() * 1_000.0 / count as f64))
}

/// Rate with two digits behind the point.
fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

/// Use of a limit of the whole broker, or of the tenant.
struct Used {
    limit: Limit,
    used: u64,
    max: u64,
}

impl Used {
    fn percent(&self) -> u64 {
        let percent = u128::from(self.used) * 100 / u128::from(self.max.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// Limits whose use is known as a sum. Those of one client, session or listener are not among them.
fn limits(broker: &Broker, tenant: &Tenant) -> Vec<Used> {
    let limits = &broker.hosting.config.limits;
    let core = &broker.core;
    let (sessions, anonymous) = tenant.shares.sessions();
    let retained = tenant.retained.read();
    let (retained_messages, retained_bytes) = (retained.len() as u64, retained.bytes());
    drop(retained);
    let stored = broker.core.log.metrics().live_bytes();
    let stored_max =
        disk_room::queue_bytes_max(&broker.hosting.config, stored, disk_room::free(&broker.hosting.config));
    let (mappings, code) = (broker.hosting.engine.code_mappings(), broker.hosting.engine.code_memory());
    [
        (Limit::Connections, broker.net.connection_count() as u64, broker.net.connections_max().into()),
        (Limit::Sessions, sessions, limits.sessions.into()),
        (Limit::AnonymousSessions, anonymous, limits.anonymous_sessions.into()),
        (Limit::TenantSessionBytes, tenant.shares.bytes(), limits.tenant_session_bytes),
        (Limit::AllOutputBytes, core.output_bytes.all().bytes(), limits.all_output_bytes),
        (Limit::AllQueueBytes, core.queued_bytes.all().bytes(), limits.all_queue_bytes),
        (Limit::AllAliasBytes, core.alias_bytes.bytes(), limits.all_alias_bytes),
        (Limit::StoredQueueBytes, stored, stored_max),
        (Limit::GuestsMemory, broker.hosting.engine.memory_bytes(), machine::guests_memory(limits)),
        (Limit::CodeMappings, mappings.used, mappings.max),
        (Limit::CodeMemory, code.used, code.max),
        (Limit::RetainedMessages, retained_messages, limits.retained_messages.into()),
        (Limit::RetainedBytes, retained_bytes, limits.retained_bytes),
        (Limit::DelayedMessages, broker.hosting.context.delayed.messages(), limits.delayed_messages.into()),
        (Limit::DelayedBytes, broker.hosting.context.delayed.bytes(), limits.delayed_bytes),
    ]
    .map(|(limit, used, max)| Used { limit, used, max })
    .into()
}

/// Limits that are nearly used up, the fullest first.
fn near(limits: &[Used]) -> Vec<Value> {
    let mut near: Vec<&Used> = limits.iter().filter(|of| of.percent() >= NEAR_PERCENT).collect();
    near.sort_by_key(|of| std::cmp::Reverse(of.percent()));
    near.iter()
        .map(
            |of| json!({ "limit": of.limit.name(), "used": of.used, "max": of.max, "percent": of.percent() }),
        )
        .collect()
}

/// Certificates of listeners that end soon, or have ended: those that end first before the others.
fn certificates_near(ends: &BTreeMap<&'static str, u64>, now_ms: u64) -> Vec<Value> {
    let mut near: Vec<(u64, &str)> = ends
        .iter()
        .map(|(listener, at_ms)| (*at_ms, *listener))
        .filter(|(at_ms, _)| *at_ms < now_ms.saturating_add(CERTIFICATE_NEAR_MS))
        .collect();
    near.sort_unstable();
    let row = |(at_ms, listener): (u64, &str)| json!({ "listener": listener, "until": utc_text(at_ms), "daysLeft": at_ms.saturating_sub(now_ms) / DAY_MS, "expired": at_ms <= now_ms });
    near.into_iter().map(row).collect()
}

/// Definitions that hear nothing of what starts them, as rights are now; at most so many as a
/// listing has.
fn denied_triggers(broker: &Broker, tenant: &Tenant) -> Vec<Value> {
    let mut rows = trigger_lint::all_warnings(tenant, LISTING_ROWS_MAX);
    rows.truncate(LISTING_ROWS_MAX);
    let now = utc_text(broker.core.clock.wall_ms());
    for row in &mut rows {
        row["timestamp"] = json!(now);
        if let Some(row) = row.as_object_mut() {
            row.remove("sourceLines");
        }
    }
    rows
}

/// Returns the warnings from runs of definitions, by place; at most as many as a listing has.
fn warnings(tenant: &Tenant) -> Vec<Value> {
    let registry = tenant.programs().guests.registry.read();
    let of = |definition: &Arc<Definition>| {
        let (name, kind) = (Arc::clone(definition.name()), definition.kind().title());
        let (file, cell) = definition.deployed.origin.file();
        let (file, definition) = (file.to_owned(), Arc::clone(definition));
        definition.activity.warnings_by_place().into_iter().map(move |warning| {
            let WarningAt { code, line, column, message, count, at } = warning;
            let at_ms = u64::try_from(at.as_millisecond()).unwrap_or_default();
            let mut row = json!({
                "kind": kind, "name": &*name, "code": code, "message": message, "line": line, "column": column, "count": count,
                "timestamp": utc_text(at_ms),
            });
            if !file.is_empty() {
                row["file"] = json!(file);
                row["cell"] = json!(cell);
            }
            row
        })
    };
    let definitions = DefinitionKind::ALL.into_iter().flat_map(|kind| registry.list(kind));
    definitions.flat_map(|definition| of(definition).collect::<Vec<_>>()).take(LISTING_ROWS_MAX).collect()
}

/// Modules that the start could not restore, and errors of definitions by their sorts, of each the
/// last one with their number, the newest first; at most so many of both as a listing has.
fn errors(tenant: &Tenant) -> Vec<Value> {
    let lost = tenant.managed().modules.all_lost().into_iter().take(LISTING_ROWS_MAX);
    let lost = lost.map(|lost| {
        json!({
            "kind": DefinitionKind::Module.title(), "name": &*lost.name, "code": "NOT_RESTORED", "message": lost.reason,
            "line": 0, "column": 0, "count": 1, "timestamp": utc_text(lost.found_at_ms), "over": false,
        })
    });
    lost.chain(errors_of_definitions(tenant)).collect()
}

/// Errors of definitions by their sorts.
fn errors_of_definitions(tenant: &Tenant) -> Vec<Value> {
    let registry = tenant.programs().guests.registry.read();
    let mut errors: Vec<(DefinitionKind, ErrorRecord)> = DefinitionKind::ALL
        .into_iter()
        .flat_map(|kind| registry.list(kind))
        .flat_map(|definition| {
            let kind = definition.kind();
            definition.activity.errors_by_sort().into_iter().map(move |error| (kind, error))
        })
        .collect();
    drop(registry);
    // A route says itself whether it works again.
    let is_over = |kind: DefinitionKind, name: &str| {
        let route = (kind == DefinitionKind::Route).then(|| tenant.programs().guests.route(name)).flatten();
        route.is_some_and(|route| route.status().reason().is_none())
    };
    errors.sort_by_key(|(_, error)| std::cmp::Reverse(error.timestamp));
    errors.truncate(LISTING_ROWS_MAX);
    errors
        .iter()
        .map(|(kind, error)| {
            let mut row = json!(error);
            row["over"] = is_over(*kind, &error.action).into();
            row["name"] = row["action"].take();
            row["count"] = row["codeCount"].take();
            row["kind"] = json!(kind.title());
            if let Some(row) = row.as_object_mut() {
                row.remove("action");
                row.remove("codeCount");
                // A message of a client is at most 4 KiB, and there may be a thousand of them.
                row.remove("trigger");
            }
            row
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_near_in_their_last_thirty_days() {
        let now = 1_800_000_000_000;
        let ends = BTreeMap::from([
            ("mqtts", now + 30 * DAY_MS),
            ("wss", now + 30 * DAY_MS - 1),
            ("quic", now),
            ("other", now + 3 * DAY_MS),
        ]);
        let told: Vec<String> = certificates_near(&ends, now)
            .iter()
            .map(|row| format!("{} {} {}", row["listener"], row["daysLeft"], row["expired"]))
            .collect();
        assert_eq!(told, ["\"quic\" 0 true", "\"other\" 3 false", "\"wss\" 29 false"]);
    }

    #[test]
    fn limits_are_near_from_80_percent_on() {
        let of = |limit, used, max| Used { limit, used, max };
        let all = [
            of(Limit::Connections, 79, 100),
            of(Limit::Sessions, 80, 100),
            of(Limit::RetainedBytes, 300, 300),
            of(Limit::AllQueueBytes, 0, 0),
            of(Limit::GuestsMemory, u64::MAX, u64::MAX),
        ];
        let near = near(&all);
        let told: Vec<_> = near.iter().map(|row| (row["limit"].as_str().unwrap(), &row["percent"])).collect();
        let (all, some) = (json!(100), json!(80));
        assert_eq!(told, [("retained_bytes", &all), ("guests_memory", &all), ("sessions", &some)]);
    }
}
