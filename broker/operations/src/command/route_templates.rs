//! `-listTemplates`, `-routeCode`: the types of routes that this build runs, and a text to begin
//! with of every type that is checked. Commands reference §4.

use std::sync::Arc;

use lot_nearest::nearest;
use lot_route_catalogue::RouteType;

use super::argument::word;
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::managed::Managing as _;
use lotmq_codes::Code;
use lotmq_programs::route_modules::WASM;
use lotmq_programs::route_types::{runs_route_type, shipped};

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

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let described = described(call);
    // A route of an uploaded module runs here as well.
    let names: Vec<&str> = shipped()
        .map(|known| known.name.as_str())
        .chain([WASM])
        .chain(described.iter().map(|kind| kind.name.as_str()))
        .collect();
    Ok(Done::new(format!("{} template(s).", names.len())).with_data(names))
}

/// Types that modules of the tenant describe.
fn described(call: &Call<'_>) -> Vec<Arc<RouteType>> {
    let modules = call.tenant.managed().modules.all();
    modules.iter().filter_map(|module| module.said.routes.clone()).collect()
}

fn code(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let wanted = call.text("TYPE");
    let described = described(call);
    let of_module = described.iter().find(|kind| kind.is_called(wanted));
    let of_module = of_module.map(|kind| (kind.name.as_str(), lot_to_wasm::template_of(kind)));
    let found = lot_to_wasm::route_template(wanted).or_else(|| of_module.clone());
    let unknown = || {
        let refusal = Refusal::not_found(format!("Unknown route type '{wanted}'."));
        let names = described.iter().map(|kind| kind.name.as_str());
        let near = lot_to_wasm::nearest_route_type(wanted);
        match near.or_else(|| nearest(&wanted.to_ascii_uppercase(), names)) {
            Some(near) => refusal.with_suggestion(format!("did you mean {near}?")),
            None => refusal,
        }
    };
    let (name, template) = found.ok_or_else(unknown)?;
    let message = format!(
        "Template of route type '{name}': write a value in place of each field, #NAME,type,description,validation,env#."
    );
    let done = Done::new(message).with_data(template);
    if of_module.is_some() || runs_route_type(name) {
        return Ok(done);
    }
    Ok(done.with_warning(
        Code::RouteTypeUnavailable,
        &format!("This build does not run routes of type '{name}'."),
    ))
}
