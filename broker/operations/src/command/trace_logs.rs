//! `-addTraceLog`, `-listTraceLogs`, `-removeTraceLog`, `-removeAllTraceLogs`. Commands reference
//! §11.2.

use std::sync::atomic::Ordering;

use lotmq_auth::{Decide as _, Question, Scope};
use lotmq_changes::{Batch, Op};
use serde_json::{Value, json};

use super::argument::word;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::limits::TRACE_LOGS_MAX;
use crate::logs::{TraceLog, TraceLogError};
use lotmq_codes::Code;

/// Trace logs that are not kept for administrators.
const OF_OTHERS_MAX: usize = TRACE_LOGS_MAX / 4 * 3;

pub(super) static ADD: Verb = Verb {
    name: "addTraceLog",
    arguments: &[
        word("name"),
        word("level").optional().with_form("[error | warning | info | debug | trace]"),
        word("condition")
            .optional()
            .repeated()
            .secret()
            .with_form("[category=c] [client=id] [user=u] [definition=d] [route=r] [topic=filter] [text]"),
    ],
    permission: Permission::Scope(Scope::LogManagementCreation),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Publishes log lines that meet every condition on $SYS/Coreflux/Log/Traces/<name>/<category>, while somebody is subscribed.",
    example: "-addTraceLog pump debug category=lot definition=Pump*",
    execute: add,
};

pub(super) static LIST: Verb = Verb {
    name: "listTraceLogs",
    arguments: &[],
    permission: Permission::Scope(Scope::LogManagementRead),
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists trace logs.",
    example: "-listTraceLogs",
    execute: list,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeTraceLog",
    arguments: &[word("name")],
    permission: Permission::Scope(Scope::LogManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes a trace log.",
    example: "-removeTraceLog pump",
    execute: remove,
};

pub(super) static REMOVE_ALL: Verb = Verb {
    name: "removeAllTraceLogs",
    arguments: &[],
    permission: Permission::Scope(Scope::LogManagementRemove),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes all trace logs.",
    example: "-removeAllTraceLogs",
    execute: remove_all,
};

impl From<TraceLogError> for Refusal {
    fn from(error: TraceLogError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    own_lines(call)?;
    let (name, values) = (call.text("name"), call.values);
    let arguments: Vec<String> =
        values.all("level").chain(values.all("condition")).map(str::to_owned).collect();
    let log = TraceLog::read(name, &arguments)?;
    let _changes = call.commands.changes.lock();
    let logs = call.logs;
    let may_update = Question::operation(call.identity, Scope::LogManagementUpdate);
    if logs.trace_log(name).is_some() {
        if !call.tenant.permissions.decide(&may_update).is_allowed() {
            return Err(Refusal::permission_denied(call.verb.name));
        }
    } else if logs.trace_logs().len() >= TRACE_LOGS_MAX {
        let message = format!("There are {TRACE_LOGS_MAX} trace logs already.");
        return Err(Refusal::new(Code::QuotaExceeded, message));
    } else if logs.trace_logs().len() >= OF_OTHERS_MAX && !call.tenant.is_administrator(call.identity) {
        let message =
            format!("There are {OF_OTHERS_MAX} trace logs already, and further ones for administrators.");
        return Err(Refusal::new(Code::QuotaExceeded, message));
    }
    let mut batch = Batch::new();
    batch.push(Op::PutSetting(&log.setting(call.tenant.id, &arguments)));
    // In force whatever becomes of it: the store keeps it for when it works again.
    let stored = call.commit(batch);
    let data = row(&log);
    logs.put(log, call.tenant);
    stored?;
    Ok(Done::new(format!("Trace log '{name}' added successfully!")).with_data(data))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    own_lines(call)?;
    let rows: Vec<Value> = call.logs.trace_logs().iter().map(|log| row(log)).collect();
    Ok(Done::new(format!("{} trace log(s).", rows.len())).with_data(rows))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    own_lines(call)?;
    let name = call.text("name");
    let _changes = call.commands.changes.lock();
    if call.logs.trace_log(name).is_none() {
        return Err(Refusal::not_found(format!("Trace log '{name}' not found.")));
    }
    forget(call, &[name])?;
    Ok(Done::new(format!("Trace log '{name}' removed successfully!")))
}

fn remove_all(call: &mut Call<'_>) -> Result<Done, Refusal> {
    own_lines(call)?;
    let _changes = call.commands.changes.lock();
    let all = call.logs.trace_logs();
    forget(call, &all.iter().map(|log| &*log.name).collect::<Vec<_>>())?;
    Ok(Done::new("Removed all trace logs successfully"))
}

fn forget(call: &Call<'_>, names: &[&str]) -> Result<(), Refusal> {
    let mut batch = Batch::new();
    for name in names {
        let setting = TraceLog::setting_name(name);
        batch.push(Op::DeleteSetting { tenant: call.tenant.id, name: &setting });
    }
    let stored = call.commit(batch);
    names.iter().for_each(|name| call.logs.remove(name, call.tenant));
    stored
}

/// Refuses other tenants than `default`: the lines are those of the whole broker.
fn own_lines(call: &Call<'_>) -> Result<(), Refusal> {
    if call.tenant.number == 0 { Ok(()) } else { Err(Refusal::permission_denied(call.verb.name)) }
}

fn row(log: &TraceLog) -> Value {
    json!({
        "name": &*log.name,
        "level": log.level.name().to_lowercase(),
        "filter": log.filter,
        "topic": format!("$SYS/Coreflux/Log/Traces/{}/#", log.name),
        "lines": log.lines.load(Ordering::Relaxed),
    })
}
