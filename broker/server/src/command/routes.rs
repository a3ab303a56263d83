//! `-addRoute`, `-removeRoute`, `-removeAllRoutes`, `-listRoutes`, `-connectionStatus`, `-checkRouteConnection`. Commands reference §3.

use lotmq_auth::Scope;
use lotmq_definitions::DefinitionKind;

use super::add_entity::add;
use super::remove_entity::{remove, remove_all};
use super::reply::{Done, EntityType, Refusal};
use super::verb::{Call, Permission, Verb};

pub(super) static ADD: Verb = Verb {
    name: "addRoute",
    usage: "<LoT text>",
    permission: Permission::Scope(Scope::RouteManagementCreation),
    summary: "Adds a route, or replaces the one of that name.",
    example: "-addRoute DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE",
    execute: |call| add(call, DefinitionKind::Route),
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeRoute",
    usage: "<name>",
    permission: Permission::Scope(Scope::RouteManagementRemove),
    summary: "Removes a route.",
    example: "-removeRoute Up",
    execute: |call| remove(call, DefinitionKind::Route),
};

pub(super) static REMOVE_ALL: Verb = Verb {
    name: "removeAllRoutes",
    usage: "",
    permission: Permission::Scope(Scope::RouteManagementRemove),
    summary: "Removes all routes.",
    example: "-removeAllRoutes",
    execute: |call| remove_all(call, DefinitionKind::Route, "routes"),
};

pub(super) static LIST: Verb = Verb {
    name: "listRoutes",
    usage: "",
    permission: Permission::CommandCall,
    summary: "Lists routes with their type and connection.",
    example: "-listRoutes",
    execute: list,
};

pub(super) static CONNECTION_STATUS: Verb = Verb {
    name: "connectionStatus",
    usage: "",
    permission: Permission::CommandCall,
    summary: "Reports the connection of every route.",
    example: "-connectionStatus",
    execute: list,
};

pub(super) static CHECK_CONNECTION: Verb = Verb {
    name: "checkRouteConnection",
    usage: "<name>",
    permission: Permission::CommandCall,
    summary: "Tries the connection of a route.",
    example: "-checkRouteConnection Up",
    execute: check_connection,
};

/// No route can be deployed by this build, so there is none to list.
fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    call.arguments(&[], 0)?;
    Ok(Done::new("No routes registered.").with_data(serde_json::json!([])))
}

fn check_connection(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.argument("name")?;
    call.about(EntityType::Route, &name);
    Err(Refusal::not_found(format!("Route '{name}' not found.")))
}
