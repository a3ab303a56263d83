//! `-addPython`, `-removePython`, `-removeAllPythonScripts`. Commands reference §4.

use lotmq_auth::Scope;
use lotmq_host::python::{PythonError, Script};
use lotmq_store::{Batch, Op};
use serde_json::{Value, json};

use super::reply::{Done, EntityType, Refusal, missing_argument};
use super::verb::{Call, Permission, Verb};
use crate::guests::{Guests, scripts};
use crate::limits::SCRIPTS_MAX;

pub(super) static ADD: Verb = Verb {
    name: "addPython",
    usage: "<Python text>",
    permission: Permission::Scope(Scope::ActionManagementCreation),
    summary: "Adds a Python script, or replaces the one of that name.",
    example: "-addPython # Script Name: Stat\ndef avg(a, b):\n    return (float(a) + float(b)) / 2",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removePython",
    usage: "<name>",
    permission: Permission::Scope(Scope::ActionManagementRemove),
    summary: "Removes a Python script.",
    example: "-removePython Stat",
    execute: remove,
};

pub(super) static REMOVE_ALL: Verb = Verb {
    name: "removeAllPythonScripts",
    usage: "",
    permission: Permission::Scope(Scope::ActionManagementRemove),
    summary: "Removes all Python scripts.",
    example: "-removeAllPythonScripts",
    execute: remove_all,
};

/// The topic that lists all scripts.
const SCRIPTS_TOPIC: &str = "$SYS/Coreflux/Python/Scripts";

/// Lines among which the header with the name must be (LoT reference §12).
const HEADER_LINES: usize = 10;

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let source = call.body;
    if source.trim().is_empty() {
        return Err(missing_argument(call.verb, "Python text"));
    }
    let name = script_name(source)?;
    call.about(EntityType::Python, name);
    if !call.tenant.scripts.has_room(name) {
        return Err(Refusal::new("QUOTA_EXCEEDED", format!("There are already {SCRIPTS_MAX} scripts.")));
    }
    // Before the lock: it takes as long as the script does.
    let (script, functions, output) =
        Script::load(&call.broker.python, source).map_err(|error| refused(&error, source))?;
    let functions = names(&functions);
    let _changes = call.broker.commands.changes.lock();
    let mut batch = Batch::new();
    batch.push(Op::PutDefinition(&scripts::row(call.tenant.id, name, source, &functions)));
    call.commit(batch)?;
    call.tenant.scripts.put(name, script, functions);
    Guests::script_is_there(call.tenant, call.broker, name, true);
    call.tenant.scripts.tell(name, &format!("{output}{name} completed"));
    call.changed(SCRIPTS_TOPIC, call.tenant.scripts.to_json());
    Ok(Done::new(format!("Python script '{name}' added successfully!")))
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.argument("name")?;
    call.about(EntityType::Python, &name);
    let _changes = call.broker.commands.changes.lock();
    if !call.tenant.scripts.contains(&name) {
        return Err(Refusal::not_found(format!("Python script '{name}' not found.")));
    }
    remove_these(call, &[name.as_str().into()])?;
    Ok(Done::new(format!("Python script '{name}' removed successfully!")))
}

fn remove_all(call: &mut Call<'_>) -> Result<Done, Refusal> {
    call.arguments(&[], 0)?;
    let _changes = call.broker.commands.changes.lock();
    remove_these(call, &call.tenant.scripts.names())?;
    Ok(Done::new("Removed all python scripts successfully"))
}

/// From the store first: what could not be removed there would be back after a restart.
fn remove_these(call: &mut Call<'_>, names: &[Box<str>]) -> Result<(), Refusal> {
    let mut batch = Batch::new();
    for name in names {
        batch.push(Op::DeleteDefinition { tenant: call.tenant.id, kind: scripts::KIND, name });
    }
    call.commit(batch)?;
    for name in names {
        call.tenant.scripts.remove(name);
        Guests::script_is_there(call.tenant, call.broker, name, false);
    }
    call.changed(SCRIPTS_TOPIC, call.tenant.scripts.to_json());
    Ok(())
}

/// The names in a JSON array. What a script has put among its globals under anything but a text cannot be called.
fn names(functions: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(functions).unwrap_or_default();
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The name in the header.
fn script_name(source: &str) -> Result<&str, Refusal> {
    let mut header =
        source.lines().take(HEADER_LINES).map(|line| line.trim().trim_start_matches('#').trim_start());
    if let Some(name) = header.clone().find_map(|line| line.strip_prefix("Script Name:")).map(str::trim)
        && is_identifier(name)
    {
        return Ok(name);
    }
    let refusal =
        Refusal::new("SCRIPT_NAME_MISSING", "Python script must start with '# Script Name: <Name>'.");
    match header.find_map(|line| line.strip_prefix("@name ")) {
        Some(name) => Err(refusal.with_suggestion(format!("write: # Script Name: {}", name.trim()))),
        None => Err(refusal),
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && name.len() <= 128
}

/// What is wrong with a script, with its line as for LoT.
fn refused(error: &PythonError, source: &str) -> Refusal {
    let PythonError::Raised { message, line } = error else {
        return Refusal::new(error.code(), format!("Python script was not added: {error}."));
    };
    let shown: Vec<&str> = usize::try_from(*line)
        .ok()
        .and_then(|line| source.lines().nth(line.checked_sub(1)?))
        .into_iter()
        .collect();
    let found: Value = json!({
        "severity": "error", "code": error.code(), "message": message, "line": line, "column": 1, "sourceLines": shown,
    });
    Refusal { message: format!("Parsing error: {message} ({line},1)"), errors: vec![found], data: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_listed_by_name() {
        assert_eq!(names(r#"["avg","é","a\"b",1]"#), ["avg", "é", "a\"b"]);
        assert_eq!(names("[]"), [""; 0]);
    }

    #[test]
    fn the_header_names_the_script() {
        for (source, expected) in [
            ("# Script Name: Stat\n", Some("Stat")),
            ("#Script Name:Stat\r\nx = 1", Some("Stat")),
            ("\"\"\"doc\"\"\"\n\n# Script Name:  a_1  \n", Some("a_1")),
            ("# Script Name: two words\n", None),
            ("# Script Name: 1a\n", None),
            ("# Script Name:\n", None),
            ("# @name Stat\n", None),
            ("x = 1\n", None),
            ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n# Script Name: Late\n", None),
        ] {
            assert_eq!(script_name(source).ok(), expected, "{source:?}");
        }
        let refusal = script_name("# @name Stat\n").unwrap_err();
        assert_eq!(refusal.message, "Python script must start with '# Script Name: <Name>'.");
        assert_eq!(refusal.errors[0]["suggestions"][0], "write: # Script Name: Stat");
    }
}
