//! `-listTemplates`, `-routeCode`: the types of routes that this build runs, and a text to begin
//! with of every type that is checked. Commands reference §4.

use super::argument::word;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::codes::Code;
use crate::guests::route_modules::WASM;
use crate::guests::route_types::{runs_route_type, shipped};

pub(super) static LIST: Verb = Verb {
    name: "listTemplates",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists the types of routes that run here.",
    example: "-listTemplates",
    execute: list,
};

pub(super) static CODE: Verb = Verb {
    name: "routeCode",
    arguments: &[word("TYPE")],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Gives a text with fields to fill for a type of route.",
    example: "-routeCode LOOPBACK",
    execute: code,
};

fn list(_: &mut Call<'_>) -> Result<Done, Refusal> {
    // A route of an uploaded module runs here as well.
    let names: Vec<&str> = shipped().map(|known| known.name).chain([WASM]).collect();
    Ok(Done::new(format!("{} template(s).", names.len())).with_data(names))
}

fn code(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let wanted = call.text("TYPE");
    let found = lot_to_wasm::route_template(wanted);
    let unknown = || {
        let refusal = Refusal::not_found(format!("Unknown route type '{wanted}'."));
        match lot_to_wasm::nearest_route_type(wanted) {
            Some(near) => refusal.with_suggestion(format!("did you mean {near}?")),
            None => refusal,
        }
    };
    let (name, template) = found.ok_or_else(unknown)?;
    let message = format!(
        "Template of route type '{name}': write a value in place of each field, #NAME,type,description,validation,env#."
    );
    let done = Done::new(message).with_data(template);
    if runs_route_type(name) {
        return Ok(done);
    }
    Ok(done.with_warning(
        Code::RouteTypeUnavailable,
        &format!("This build does not run routes of type '{name}'."),
    ))
}
