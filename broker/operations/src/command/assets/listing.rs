//! `-list`, `-list-available`: assets with their state, and what there is to be one. Commands
//! reference §13.1.

use serde_json::{Value, json};

use super::super::reply::{Done, Refusal};
use super::super::verb::{Call, Effect, Permission, Verb, Work};
use super::masked_status;
use crate::assets::Asset;
use crate::managed::Managing as _;
use lotmq_programs::route_types;

pub(in crate::command) static LIST: Verb = Verb {
    name: "list",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists assets with their state: routes, modules and installed instances of modules. Short form: -l.",
    example: "-list",
    execute: list,
};

pub(in crate::command) static AVAILABLE: Verb = Verb {
    name: "listAvailable",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists what there is to be an asset: types of routes that need no installation, and modules. Short form: -L.",
    example: "-listAvailable",
    execute: available,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let now_ms = call.core.clock.wall_ms();
    let assets = Asset::all(call.tenant);
    let rows: Vec<Value> =
        assets.iter().map(|asset| masked_status(call, asset, asset.info(call.tenant, now_ms))).collect();
    let message = match rows.len() {
        0 => "No assets found.".to_owned(),
        count => format!("{count} asset(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}

fn available(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let packages: Vec<String> =
        Asset::all(call.tenant).iter().map(|asset| asset.package_name(call.tenant)).collect();
    let assets = |package: &str| packages.iter().filter(|used| **used == *package).count();
    let shipped = route_types::shipped().map(|shipped| {
        json!({
            "package": shipped.name,
            "version": env!("CARGO_PKG_VERSION"),
            "world": "route",
            "kind": "shipped",
            "description": shipped.description,
            "assets": assets(&shipped.name),
        })
    });
    let modules = call.tenant.managed().modules.all();
    let uploaded = modules.iter().map(|module| {
        json!({
            "package": &*module.name,
            "version": module.options.version,
            "world": module.world.name(),
            "kind": "module",
            "description": module.said.description,
            "assets": assets(&module.name),
        })
    });
    let rows: Vec<Value> = shipped.chain(uploaded).collect();
    Ok(Done::new(format!("{} package(s).", rows.len())).with_data(rows))
}
