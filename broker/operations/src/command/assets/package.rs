//! `-asset-default-config`, `-asset-schema`, `-asset-help`: what a package says of its
//! configuration. Commands reference §13.1.

use serde_json::{Value, json};

use super::super::argument::word;
use super::super::reply::{Done, EntityType, Refusal};
use super::super::verb::{Call, Effect, Permission, Verb, Work};
use super::not_found;
use crate::assets::{Asset, AssetKind};
use crate::module_catalog::{Module, Said};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::route_drivers::asset_configuration::{self, ANYTHING};
use lotmq_programs::route_modules::type_schema;
use lotmq_programs::route_types;

pub(in crate::command) static DEFAULT_CONFIG: Verb = Verb {
    name: "assetDefaultConfig",
    arguments: &[word("asset")],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Gives the default configuration of an asset, a module or a type of routes, as far as its schema has one.",
    example: "-assetDefaultConfig scale",
    execute: default_config,
};

pub(in crate::command) static SCHEMA: Verb = Verb {
    name: "assetSchema",
    arguments: &[word("asset")],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Gives the JSON Schema of the configuration of an asset, a module or a type of routes.",
    example: "-assetSchema scale",
    execute: schema,
};

pub(in crate::command) static HELP: Verb = Verb {
    name: "assetHelp",
    arguments: &[word("asset")],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Gives a help text for an asset, a module or a type of routes.",
    example: "-assetHelp MODBUS_TCP",
    execute: help,
};

/// Texts of a package.
pub(in crate::command) struct PackageText {
    /// JSON Schema of its configuration.
    pub(in crate::command) schema: String,
    description: String,
    /// Template of its routes.
    template: Option<String>,
}

/// Schema of a package's configuration, with the package's own text.
pub(in crate::command) fn of_module(call: &Call<'_>, module: &Module, definition: &str) -> PackageText {
    let Said { description, configuration, routes, .. } = &module.said;
    let described = call.tenant.programs().guests.route_modules.get(definition);
    let of_route = described.and_then(|(module, _)| module.description());
    let schema = match of_route {
        Some(description) => description.configuration,
        None => configuration.as_ref().map_or_else(|| ANYTHING.to_owned(), |schema| schema.to_string()),
    };
    let template = routes.as_deref().map(lot_to_wasm::template_of);
    PackageText { schema, description: description.clone(), template }
}

/// Configuration of an instance of a module that was not configured; `null` where the module says
/// nothing of it. A route's own text has its defaults.
pub(super) fn defaults(call: &Call<'_>, module: &Module) -> Value {
    if module.world == lotmq_host::World::Route {
        return Value::Null;
    }
    let schema = asset_configuration::schema_of(&of_module(call, module, &module.name).schema);
    schema.map_or(Value::Null, |schema| asset_configuration::defaults(&schema))
}

fn package(call: &mut Call<'_>) -> Result<(String, PackageText), Refusal> {
    let name = call.text("asset");
    call.about(EntityType::Asset, name);
    let asset = Asset::find(call.tenant, name);
    let text = match (&asset, asset.as_ref().and_then(|asset| asset.package(call.tenant))) {
        (Some(asset), Some(module)) => of_module(call, &module, &asset.definition),
        (Some(asset), None) if asset.kind == AssetKind::Route => of_route(call, asset)?,
        (Some(_) | None, _) => {
            let shipped = route_types::shipped().find(|shipped| shipped.name.eq_ignore_ascii_case(name));
            of_type(call, &shipped.ok_or_else(|| not_found(call, name))?.name)?
        }
    };
    Ok((name.to_owned(), text))
}

fn of_route(call: &Call<'_>, asset: &Asset) -> Result<PackageText, Refusal> {
    let guests = &call.tenant.programs().guests;
    let version = guests.route(&asset.definition).map(|route| route.version());
    let version = version.ok_or_else(|| not_found(call, &asset.name))?;
    let schema = version.code.described(guests, |described| described.configuration.clone());
    let kind = &version.said().kind;
    let shipped = route_types::shipped().find(|shipped| shipped.name == *kind).map(|shipped| &*shipped.name);
    let schema = schema.unwrap_or_else(|| ANYTHING.to_owned());
    let schema = shipped.map_or(schema.clone(), |kind| of_shipped(kind, &schema));
    Ok(PackageText { schema, description: String::new(), template: shipped.and_then(template) })
}

/// Schema of a type that this build runs, with all of its keys.
fn of_shipped(kind: &str, of_guest: &str) -> String {
    let of_guest = asset_configuration::schema_of(of_guest).unwrap_or_default();
    type_schema::of_type(kind, &of_guest).to_string()
}

fn of_type(call: &Call<'_>, kind: &'static str) -> Result<PackageText, Refusal> {
    let hosting = call.hosting;
    let guest = hosting.route_types.guest(&hosting.engine, kind);
    let guest = guest.map_err(|error| Refusal::new(Code::from(&error), error.to_string()))?;
    let described = guest.as_ref().and_then(|guest| guest.get()?.description());
    let schema = described.map_or_else(|| ANYTHING.to_owned(), |described| described.configuration.clone());
    let schema = of_shipped(kind, &schema);
    Ok(PackageText { schema, description: String::new(), template: template(kind) })
}

fn template(kind: &str) -> Option<String> {
    lot_to_wasm::route_template(kind).map(|(_, template)| template)
}

impl PackageText {
    /// Its schema as JSON.
    pub(super) fn read(&self) -> Result<Value, Refusal> {
        let unreadable = |reason| {
            Refusal::new(Code::SchemaInvalid, format!("The schema of the package cannot be used: {reason}."))
        };
        asset_configuration::schema_of(&self.schema).map_err(unreadable)
    }
}

fn schema(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, text) = package(call)?;
    let schema = text.read()?;
    Ok(Done::new(format!("Schema of asset '{name}'.")).with_data(schema))
}

fn default_config(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, text) = package(call)?;
    let defaults = asset_configuration::defaults(&text.read()?);
    let defaults = if defaults.is_null() { json!({}) } else { defaults };
    Ok(Done::new(format!("Default configuration of asset '{name}'.")).with_data(defaults))
}

fn help(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, text) = package(call)?;
    let mut parts = vec![text.description.clone(), asset_configuration::help(&text.read()?)];
    parts.extend(text.template);
    parts.retain(|part| !part.is_empty());
    let help = match parts.is_empty() {
        true => "The package says nothing of itself.".to_owned(),
        false => parts.join("\n"),
    };
    Ok(Done::new(format!("Help of asset '{name}'.")).with_data(help))
}
