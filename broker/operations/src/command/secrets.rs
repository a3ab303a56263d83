//! `-setSecret`, `-removeSecret`, `-listSecrets`. Values are never echoed, not even their length.
//! Commands reference §10.

use lotmq_auth::Scope;
use serde_json::json;

use super::argument::{name_and_value, word};
use super::environment::{assignment, refused, wait};
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_programs::HasPrograms as _;

pub(super) static SET: Verb = Verb {
    name: "setSecret",
    arguments: &[name_and_value("NAME=value")],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Sets a secret that GET SECRET reads; stored encrypted, never shown. Values of 8 bytes and more are masked in the texts of programs.",
    example: "-setSecret DB_PASSWORD=s3cret",
    execute: set,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeSecret",
    arguments: &[word("NAME")],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Removes a secret.",
    example: "-removeSecret DB_PASSWORD",
    execute: remove,
};

pub(super) static LIST: Verb = Verb {
    name: "listSecrets",
    arguments: &[],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists the names of secrets.",
    example: "-listSecrets",
    execute: list,
};

fn set(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, value) = assignment(call)?;
    let _changes = call.commands.changes.lock();
    let set = call.tenant.programs().variables.set_secret(&*call.core.log, name, value);
    wait(call, set.map_err(|error| refused(call, error))?)?;
    call.tenant.programs().guests.variable_changed(name);
    Ok(Done::new(format!("Secret '{name}' set successfully!")))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("NAME");
    let _changes = call.commands.changes.lock();
    let removed = call.tenant.programs().variables.remove_secret(&*call.core.log, name)?;
    let Some(ticket) = removed else {
        // A run may have removed it just now.
        wait(call, call.core.log.last_ticket())?;
        return Err(Refusal::not_found(format!("Secret '{name}' not found.")));
    };
    wait(call, ticket)?;
    call.tenant.programs().guests.variable_changed(name);
    Ok(Done::new(format!("Secret '{name}' removed successfully!")))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let names = call.tenant.programs().variables.secret_names();
    let rows: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
    Ok(Done::new(format!("{} secret(s).", rows.len())).with_data(rows))
}
