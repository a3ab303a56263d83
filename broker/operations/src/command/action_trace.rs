//! `-actionTrace`: which Actions tell about their runs on `Actions/<N>/Trace`. Commands reference
//! §4.

use lotmq_definitions::{DefinitionKind, NotFound};

use super::argument::word;
use super::reply::{Done, EntityType, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_programs::HasPrograms as _;

pub(super) static TRACE: Verb = Verb {
    name: "actionTrace",
    arguments: &[
        word("name").with_form("<name | all | off | status | remove name>"),
        word("removed name").optional().with_form(""),
    ],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Tells of each run of an action, or of all, on $SYS/Coreflux/Actions/<name>/Trace for five minutes; ends or lists traces.",
    example: "-actionTrace Echo",
    execute: trace,
};

fn trace(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let now = call.hosting.definitions_now();
    let registry = &call.tenant.programs().guests.registry;
    let done = match (call.text("name"), call.values.get("removed name")) {
        ("all", None) => {
            Done::new("Tracing enabled for all actions.").with_data(registry.write().trace_all(now))
        }
        ("off", None) => {
            registry.write().trace_off();
            Done::new("Tracing disabled for all actions.")
        }
        ("status", None) => {
            let armed = registry.read().trace_status(now);
            Done::new(format!("{} action(s) traced.", armed.len())).with_data(armed)
        }
        ("remove", Some(name)) => {
            call.about(EntityType::Action, name);
            registry.write().trace_remove(name).map_err(not_found)?;
            Done::new(format!("Tracing disabled for action '{name}'."))
        }
        (name, None) => {
            call.about(EntityType::Action, name);
            let status = registry.write().trace(name, now).map_err(not_found)?;
            Done::new(format!("Tracing enabled for action '{name}'.")).with_data(status)
        }
        _ => return Err(call.too_many_arguments()),
    };
    measure_traced(call);
    Ok(done)
}

/// Makes the host measure every run of traced Actions, and one in eight of the others.
fn measure_traced(call: &Call<'_>) {
    let now = call.hosting.definitions_now().wall;
    let actions: Vec<_> =
        call.tenant.programs().guests.registry.read().list(DefinitionKind::Action).cloned().collect();
    for action in actions {
        if let Some(runner) = call.tenant.programs().guests.runner(action.id) {
            runner.set_traced(action.activity.is_traced(|| now));
        }
    }
}

fn not_found(missing: NotFound) -> Refusal {
    Refusal::not_found(missing.to_string())
}
