//! `-addModule`, `-removeModule`, `-listModules`, `-moduleInfo`, `-enableModule`, `-disableModule`. Commands reference §14.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_auth::Scope;
use lotmq_definitions::{Definition, DefinitionKind, OnExisting};
use lotmq_store::Batch;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::add_entity::refused;
use super::ownership::Removal;
use super::reply::{Done, EntityType, Refusal, missing_argument};
use super::shown::Shown;
use super::verb::{Call, Effect, Permission, Verb};
use crate::guests::Guests;
use crate::limits::{
    MODULE_BYTES_MAX, MODULE_MEMORY_MIB_MAX, MODULE_TIME_MS_MAX, MODULES_BYTES_MAX, MODULES_MAX,
};
use crate::management::managed::Managing as _;
use crate::management::modules::{self, InstalledModule, Module, ModuleOptions};

pub(super) static ADD: Verb = Verb {
    name: "addModule",
    usage: "<name> -world action [-on \"a/#,b/+\"] [-topics \"a/#\"] [-version v] [-sha256 hex] [-memory MiB] [-time ms] \
            [-config json] [-replace] [-disabled] wasm64:<base64>",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    summary: "Installs a WebAssembly component. -on names the topics that start it, -topics those that it may touch.",
    example: "-addModule scale -world action -on raw/# wasm64:AGFzbQ0AAQA=",
    execute: add,
};

pub(super) static REMOVE: Verb = Verb {
    name: "removeModule",
    usage: "<name> [-tenant t] [-force]",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ModuleManagementRemove),
    effect: Effect::Stores,
    summary: "Removes a module; one of another user with -force only.",
    example: "-removeModule scale",
    execute: remove,
};

pub(super) static LIST: Verb = Verb {
    name: "listModules",
    usage: "[-tenant t]",
    shown: Shown::All,
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    summary: "Lists modules.",
    example: "-listModules",
    execute: list,
};

pub(super) static INFO: Verb = Verb {
    name: "moduleInfo",
    usage: "<name> [-tenant t]",
    shown: Shown::All,
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    summary: "Tells digest, state and figures of a module.",
    example: "-moduleInfo scale",
    execute: info,
};

pub(super) static ENABLE: Verb = Verb {
    name: "enableModule",
    usage: "<name> [-force]",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    summary: "Lets a module run, also one that was stopped after too many traps; one of another user with -force only.",
    example: "-enableModule scale",
    execute: |call| switch(call, false),
};

pub(super) static DISABLE: Verb = Verb {
    name: "disableModule",
    usage: "<name> [-force]",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    summary: "Keeps a module from running; one of another user with -force only.",
    example: "-disableModule scale",
    execute: |call| switch(call, true),
};

/// Arguments of `-addModule`.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    world: Option<String>,
    replaces: bool,
    /// Announced digest, in lower case.
    sha256: Option<String>,
    wasm64: Option<String>,
    is_in_parts: bool,
    options: ModuleOptions,
    /// Warnings about options without a meaning here.
    warnings: Vec<String>,
}

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let mut arguments = call.all_arguments()?.into_iter();
    let name = arguments.next().ok_or_else(|| missing_argument(call.verb, "name"))?;
    call.about(EntityType::Module, &name);
    if !is_module_name(&name) {
        let refusal = Refusal::new("MODULE_NAME_INVALID", format!("Module name '{name}' is invalid."));
        return Err(refusal.with_suggestion(MODULE_NAME_RULE.to_owned()));
    }
    let asked = read_options(call, arguments)?;
    check_world(call, asked.world.as_deref())?;
    let bytes = component(call, &asked)?;
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    if let Some(expected) =
        asked.sha256.as_deref().filter(|expected| **expected != data_encoding::HEXLOWER.encode(&hash))
    {
        let message = format!("Expected sha256 {expected}, got {}.", data_encoding::HEXLOWER.encode(&hash));
        return Err(Refusal::new("HASH_MISMATCH", message));
    }
    call.details = Some(json!({ "sha256": data_encoding::HEXLOWER.encode(&hash), "bytes": bytes.len() }));
    let module = Module {
        name: name.as_str().into(),
        options: asked.options,
        hash,
        bytes: bytes.into(),
        owner: call.owner(),
        installed_at_ms: call.broker.clock.wall_ms(),
    };
    let installed = install(call, module, asked.replaces)?;
    let mut done = tell(call, &name, "added")?;
    for warning in &installed.installed.warnings {
        done = done.with_warning(warning.code(), &warning.to_string());
    }
    for export in installed.further_exports {
        let warning = format!("Export '{export}' is not part of world 'action' and is ignored.");
        done = done.with_warning("EXPORT_IGNORED", &warning);
    }
    for warning in asked.warnings {
        done = done.with_warning("OPTION_IGNORED", &warning);
    }
    Ok(done)
}

fn install(call: &mut Call<'_>, module: Module, replaces: bool) -> Result<InstalledModule, Refusal> {
    let name = Arc::clone(&module.name);
    let _changes = call.broker.commands.changes.lock();
    call.check_current()?;
    let known = call.tenant.managed().modules.get(&name);
    if known.is_some() && !replaces {
        return Err(Refusal::new("MODULE_EXISTS", format!("Module '{name}' already exists. Use -replace.")));
    }
    let (count, bytes) = call.tenant.managed().modules.size();
    let tenant = &call.tenant.name;
    if known.is_none() && count >= MODULES_MAX {
        let message = format!("Tenant '{tenant}' already stores {MODULES_MAX} modules.");
        return Err(Refusal::new("QUOTA_EXCEEDED", message));
    }
    if bytes + module.bytes.len() > MODULES_BYTES_MAX {
        let message =
            format!("Tenant '{tenant}' already stores {bytes} bytes of modules, limit {MODULES_BYTES_MAX}.");
        return Err(Refusal::new("QUOTA_EXCEEDED", message));
    }
    let mut batch = Batch::new();
    let installed =
        modules::install(call.tenant, &call.broker.hosting, module, OnExisting::Replace, &mut batch)
            .map_err(refused)?;
    if installed.installed.replaced.as_deref().is_some_and(has_error) {
        call.changed(format!("{}/Error", topic(&name)), Vec::new());
    }
    call.commit(batch)?;
    Ok(installed)
}

fn remove(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let removal = Removal::of(without_tenant(call)?);
    call.check_count(&removal.arguments, &["name"], 0)?;
    let name = &removal.arguments[0];
    call.about(EntityType::Module, name);
    let mut batch = Batch::new();
    let _changes = call.broker.commands.changes.lock();
    removal.check_definitions(call, DefinitionKind::Module, [&**name])?;
    let removed = Guests::remove(call.tenant, &call.broker.hosting, DefinitionKind::Module, name, &mut batch)
        .map_err(|_| not_found(name))?;
    call.tenant.managed().modules.remove(name);
    batch.push(lotmq_store::Op::DeleteModule { tenant: call.tenant.id, name });
    if has_error(&removed.definition) {
        call.changed(format!("$SYS/Coreflux/Modules/{name}/Error"), Vec::new());
    }
    call.changed(topic(name), Vec::new());
    call.commit(batch)?;
    Ok(Done::new(format!("Module '{name}' removed successfully!")))
}

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    if !without_tenant(call)?.is_empty() {
        return Err(call.too_many_arguments());
    }
    let all = call.tenant.managed().modules.all();
    let rows: Vec<Value> = all.iter().map(|module| modules::info(call.tenant, module)).collect();
    let message = match rows.len() {
        0 => "No modules registered.".to_owned(),
        count => format!("{count} module(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}

fn info(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = named(call)?;
    call.about(EntityType::Module, &name);
    let module = call.tenant.managed().modules.get(&name).ok_or_else(|| not_found(&name))?;
    Ok(Done::new(format!("Module '{name}'.")).with_data(modules::info(call.tenant, &module)))
}

fn switch(call: &mut Call<'_>, is_disabled: bool) -> Result<Done, Refusal> {
    let switched = Removal::read(call, &["name"])?;
    let name = &switched.arguments[0];
    call.about(EntityType::Module, name);
    let mut batch = Batch::new();
    {
        let _changes = call.broker.commands.changes.lock();
        let module = call.tenant.managed().modules.get(name).ok_or_else(|| not_found(name))?;
        switched.check_definitions(call, DefinitionKind::Module, [&**name])?;
        modules::switch(call.tenant, &call.broker.hosting, &module, is_disabled, &mut batch);
        call.commit(batch)?;
    }
    tell(call, name, if is_disabled { "disabled" } else { "enabled" })
}

/// Parses the one argument beside the tenant.
fn named(call: &Call<'_>) -> Result<String, Refusal> {
    let mut rest = without_tenant(call)?;
    call.check_count(&rest, &["name"], 0)?;
    Ok(rest.swap_remove(0))
}

/// Arguments without `-tenant <t>`, which must be the caller's own.
fn without_tenant(call: &Call<'_>) -> Result<Vec<String>, Refusal> {
    let mut rest = Vec::new();
    let mut arguments = call.all_arguments()?.into_iter();
    while let Some(argument) = arguments.next() {
        if super::text::normalized_verb(&argument).as_deref() == Some("tenant") {
            let tenant = arguments.next();
            own_tenant(call, &tenant.ok_or_else(|| missing_argument(call.verb, "value of -tenant"))?)?;
        } else {
            rest.push(argument);
        }
    }
    Ok(rest)
}

/// Publishes the present state of a module and answers with it.
fn tell(call: &mut Call<'_>, name: &str, what: &str) -> Result<Done, Refusal> {
    let module = call.tenant.managed().modules.get(name).ok_or_else(|| not_found(name))?;
    let info = modules::info(call.tenant, &module);
    call.changed(topic(name), info.to_string());
    Ok(Done::new(format!("Module '{name}' {what} successfully!")).with_data(info))
}

fn topic(name: &str) -> String {
    format!("$SYS/Coreflux/Modules/{name}")
}

fn not_found(name: &str) -> Refusal {
    Refusal::new("MODULE_NOT_FOUND", format!("Module '{name}' not found."))
}

const MODULE_NAME_RULE: &str =
    "a name begins with a lower-case letter and has at most 64 lower-case letters, digits and hyphens";

/// Whether a name keeps to [`MODULE_NAME_RULE`].
fn is_module_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn read_options(call: &Call<'_>, mut arguments: impl Iterator<Item = String>) -> Result<Asked, Refusal> {
    let mut asked = Asked::default();
    while let Some(argument) = arguments.next() {
        if let Some(base64) = argument.strip_prefix("wasm64:") {
            asked.wasm64 = Some(base64.to_owned());
            continue;
        }
        let option = super::text::normalized_verb(&argument).ok_or_else(|| {
            Refusal::new("ARGUMENT_INVALID", format!("Unexpected argument '{}'.", shown(&argument)))
        })?;
        let mut value = || {
            let missing = || missing_argument(call.verb, &format!("value of {argument}"));
            arguments.next().ok_or_else(missing)
        };
        match option.as_str() {
            "replace" => asked.replaces = true,
            "disabled" => asked.options.is_disabled = true,
            "world" => asked.world = Some(value()?),
            "version" => asked.options.version = value()?,
            "sha256" => asked.sha256 = Some(value()?.to_ascii_lowercase()),
            "topics" => asked.options.topics = Some(filters(&value()?)?),
            "on" => asked.options.on = filters(&value()?)?,
            "memory" => asked.options.memory_mib = Some(number(&argument, &value()?, MODULE_MEMORY_MIB_MAX)?),
            "time" => asked.options.time_ms = Some(number(&argument, &value()?, MODULE_TIME_MS_MAX)? as u64),
            "config" => asked.options.config = Some(config_json(&value()?)?),
            "tenant" => own_tenant(call, &value()?)?,
            "size" => {
                value()?;
                asked.is_in_parts = true;
            }
            "net" | "sig" => {
                value()?;
                asked.warnings.push(format!("{argument} means nothing for a module of world 'action'."));
            }
            _ => {
                let message = format!(
                    "Unknown option '{}'. Usage: -{} {}",
                    shown(&argument),
                    call.verb.name,
                    call.verb.usage
                );
                return Err(Refusal::new("ARGUMENT_INVALID", message));
            }
        }
    }
    Ok(asked)
}

fn shown(argument: &str) -> String {
    argument.chars().take(crate::limits::VERB_SHOWN_CHARS_MAX).collect()
}

fn filters(text: &str) -> Result<Vec<String>, Refusal> {
    let filters: Vec<String> = text.split(',').map(|filter| filter.trim().to_owned()).collect();
    match filters.iter().find(|filter| lotmq_router::topic_filter_valid(filter).is_err()) {
        Some(wrong) => {
            Err(Refusal::new("FILTER_INVALID", format!("'{}' is not a topic filter.", shown(wrong))))
        }
        None => Ok(filters),
    }
}

fn number(option: &str, text: &str, maximum: usize) -> Result<usize, Refusal> {
    let number = text.parse().ok().filter(|number| (1..=maximum).contains(number));
    number.ok_or_else(|| {
        Refusal::new(
            "ARGUMENT_INVALID",
            format!("{option} takes a number from 1 to {maximum}, not '{}'.", shown(text)),
        )
    })
}

fn config_json(text: &str) -> Result<Value, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        Refusal::new("JSON_INVALID", format!("The JSON of -config cannot be read: {error}."))
    })
}

/// Refuses a tenant other than the caller's own: other tenants are for `root` of `default`, once there are any.
fn own_tenant(call: &Call<'_>, name: &str) -> Result<(), Refusal> {
    if *name == *call.tenant.name {
        return Ok(());
    }
    if call.tenant.number == 0 && call.identity.is_root() {
        return Err(Refusal::new("TENANT_NOT_FOUND", format!("Tenant '{}' not found.", shown(name))));
    }
    Err(Refusal::permission_denied(call.verb.name))
}

fn check_world(call: &Call<'_>, world: Option<&str>) -> Result<(), Refusal> {
    match world {
        Some("action") => Ok(()),
        None => Err(missing_argument(call.verb, "-world")),
        Some("rule" | "auth") if !call.identity.is_root() => Err(Refusal::permission_denied(call.verb.name)),
        Some(world @ ("rule" | "auth" | "route")) => {
            Err(Refusal::new("WORLD_UNKNOWN", format!("World '{world}' is not available yet. Use action.")))
        }
        Some("model") => Err(Refusal::new(
            "WORLD_UNKNOWN",
            "World 'model' is for models compiled from LoT only. Use action.",
        )),
        Some(world) => {
            Err(Refusal::new("WORLD_UNKNOWN", format!("World '{}' is unknown. Use action.", shown(world))))
        }
    }
}

fn component(call: &Call<'_>, asked: &Asked) -> Result<Vec<u8>, Refusal> {
    let Some(base64) = &asked.wasm64 else {
        if asked.is_in_parts {
            let message = "Uploading a module in parts is not available yet. Send wasm64:<base64>.";
            return Err(Refusal::new("NOT_AVAILABLE", message));
        }
        return Err(missing_argument(call.verb, "wasm64:<base64>"));
    };
    let bytes = STANDARD
        .decode(base64)
        .map_err(|_| Refusal::new("BASE64_INVALID", "wasm64 argument is not valid base64."))?;
    if bytes.len() > MODULE_BYTES_MAX {
        let message = format!("Module has {} bytes, limit {MODULE_BYTES_MAX}.", bytes.len());
        return Err(Refusal::new("TOO_LARGE", message));
    }
    Ok(bytes)
}

/// Whether an error record of the definition was published.
fn has_error(definition: &Definition) -> bool {
    definition.activity.last_error().is_some()
}
