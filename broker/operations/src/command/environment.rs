//! `-setEnv`, `-removeEnv`, `-listEnv`. Commands reference §10.

use lotmq_auth::Scope;
use lotmq_changes::Ticket;
use lotmq_core::limits::Limit;
use serde_json::json;

use super::argument::{name_and_value, word};
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::variables::{VariableError, unquoted};

pub(super) static SET: Verb = Verb {
    name: "setEnv",
    arguments: &[name_and_value("NAME=value")],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Sets an environment variable that GET ENV reads.",
    example: "-setEnv SITE=north",
    execute: set,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeEnv",
    arguments: &[word("NAME")],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes an environment variable.",
    example: "-removeEnv SITE",
    execute: remove,
};

pub(super) static LIST: Verb = Verb {
    name: "listEnv",
    arguments: &[],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists environment variables with their values.",
    example: "-listEnv",
    execute: list,
};

fn set(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, value) = assignment(call)?;
    let _changes = call.commands.changes.lock();
    let set = call.tenant.programs().variables.set_environment(&*call.core.log, name, value);
    wait(call, set.map_err(|error| refused(call, error))?)?;
    call.tenant.programs().guests.variable_changed(name);
    Ok(Done::new(format!("Environment variable '{name}' set successfully!")))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("NAME");
    let _changes = call.commands.changes.lock();
    let removed = call.tenant.programs().variables.remove_environment(&*call.core.log, name)?;
    let Some(ticket) = removed else {
        // A run may have removed it just now.
        wait(call, call.core.log.last_ticket())?;
        return Err(Refusal::not_found(format!("Environment variable '{name}' not found.")));
    };
    wait(call, ticket)?;
    call.tenant.programs().guests.variable_changed(name);
    Ok(Done::new(format!("Environment variable '{name}' removed successfully!")))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let all = call.tenant.programs().variables.environment_list();
    let rows: Vec<_> = all.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    Ok(Done::new(format!("{} environment variable(s).", rows.len())).with_data(rows))
}

/// Parses `NAME=value`: the value is everything behind the first `=`, without quotes round it.
pub(super) fn assignment<'a>(call: &Call<'a>) -> Result<(&'a str, &'a str), Refusal> {
    let Some((name, value)) = call.text("NAME=value").split_once('=') else {
        let message = format!("Expected NAME=value. Usage: {}", call.verb.full_usage());
        return Err(Refusal::new(Code::ArgumentInvalid, message));
    };
    Ok((name.trim(), unquoted(value)))
}

/// Waits until a change is durable.
pub(super) fn wait(call: &Call<'_>, ticket: Ticket) -> Result<(), Refusal> {
    call.await_stored(ticket)
}

pub(super) fn refused(call: &Call<'_>, error: VariableError) -> Refusal {
    if let Some(limit) = error.limit() {
        limit_reached(call, limit);
    }
    match error {
        VariableError::Store(error) => error.into(),
        VariableError::NameInvalid(_) => Refusal::new(Code::NameInvalid, error.to_string()),
        VariableError::ValueTooLong(_) => Refusal::new(Code::TooLarge, error.to_string()),
        VariableError::TooMany(_) | VariableError::TooManyBytes(_) => {
            Refusal::new(Code::QuotaExceeded, error.to_string())
        }
    }
}

/// Counts that the tenant has reached a limit.
pub(super) fn limit_reached(call: &Call<'_>, limit: Limit) {
    call.core.limits.elsewhere.note(limit, &call.tenant.name, call.core.clock.now());
}
