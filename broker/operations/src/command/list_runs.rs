//! `-listRuns`: what definitions have done, for `lotmq top`. Not in the commands reference.

use std::time::Duration;

use lotmq_auth::Scope;
use lotmq_definitions::Definition;
use lotmq_host::RunnerMetrics;
use serde_json::{Value, json};

use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::limits::LISTING_ROWS_MAX;
use lotmq_programs::HasPrograms as _;

/// Time from which on a turn is one long run: turns of several end earlier.
const LONG_RUN: Duration = Duration::from_secs(1);

pub(super) static LIST: Verb = Verb {
    name: "listRuns",
    arguments: &[],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists definitions with runs, errors, runs that were stopped by force, dropped and waiting events, and the seconds that all runs took, which are estimated, one that goes on for a second or longer with them; at most 1,000.",
    example: "-listRuns",
    execute: list,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let all = call.tenant.programs().guests.run_figures();
    let rows: Vec<Value> =
        all.iter().take(LISTING_ROWS_MAX).map(|(definition, figures)| row(definition, figures)).collect();
    let data = json!({ "definitions": rows, "total": all.len() });
    Ok(Done::new(format!("{} definition(s).", all.len())).with_data(data))
}

fn row(definition: &Definition, figures: &RunnerMetrics) -> Value {
    // The runs of a turn that lasts shorter are counted when it ends.
    let under_way = if figures.turn >= LONG_RUN { figures.turn } else { Duration::ZERO };
    json!({
        "name": &**definition.name(),
        "type": definition.kind().title(),
        "runs": figures.runs,
        "errors": definition.activity.last_error().map_or(0, |error| error.count),
        "traps": figures.traps,
        "dropped": figures.dropped,
        "waiting": figures.waiting,
        "seconds": (figures.time + under_way).as_secs_f64(),
    })
}
