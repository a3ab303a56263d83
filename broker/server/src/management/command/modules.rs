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
    MODULE_BYTES_MAX, MODULE_GRANTS_MAX, MODULE_MEMORY_MIB_MAX, MODULE_TIME_MS_MAX, MODULES_BYTES_MAX,
    MODULES_MAX,
};
use crate::management::managed::Managing as _;
use crate::management::modules::grants::{self, GrantError, GrantSet, NamedGrant};
use crate::management::modules::{self, InstalledModule, Module, ModuleOptions};

pub(super) static ADD: Verb = Verb {
    name: "addModule",
    usage: "<name> -world action [-on \"a/#,b/+\"] [-topics \"a/#\"] [-grant \"kind:name\"]... [-grantAll] [-version v] [-sha256 hex] [-memory MiB] [-time ms] \
            [-config json] [-replace] [-disabled] wasm64:<base64>",
    shown: Shown::All,
    permission: Permission::Scope(Scope::ModuleManagementCreation),
    effect: Effect::Stores,
    summary: "Installs a WebAssembly component. -on names the topics that start it, -topics those that it may touch, -grant what else it \
              may do, -grantAll all that it asks for.",
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
    /// What `-grant` names.
    named: GrantSet,
    /// Whether all that the module asks for is granted.
    grants_all: bool,
    options: ModuleOptions,
    /// Warnings about the options.
    warnings: Vec<Warning>,
}

/// Code and text of a warning.
type Warning = (&'static str, String);

fn add(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let mut arguments = call.all_arguments()?.into_iter();
    let name = arguments.next().ok_or_else(|| missing_argument(call.verb, "name"))?;
    call.about(EntityType::Module, &name);
    if !is_module_name(&name) {
        let refusal = Refusal::new("MODULE_NAME_INVALID", format!("Module name '{name}' is invalid."));
        return Err(refusal.with_suggestion(MODULE_NAME_RULE.to_owned()));
    }
    let mut asked = read_options(call, arguments)?;
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
    let manifest = grants::asked(&bytes).map_err(|error| {
        Refusal::new("MANIFEST_INVALID", format!("The manifest of the module cannot be used: {error}."))
    })?;
    let (granted, warnings) = granted(&asked, manifest.as_ref());
    asked.warnings.extend(warnings);
    if granted.len() > MODULE_GRANTS_MAX {
        let message = format!("{} grants are too many, limit {MODULE_GRANTS_MAX}.", granted.len());
        return Err(Refusal::new("GRANT_INVALID", message));
    }
    asked.options.granted = Some(granted);
    let module = Module {
        name: name.as_str().into(),
        options: asked.options,
        hash,
        bytes: bytes.into(),
        asked: manifest,
        owner: call.owner(),
        installed_at_ms: call.broker.clock.wall_ms(),
    };
    let (installed, former) = install(call, module, asked.replaces)?;
    let mut done = tell(call, &name, "added")?;
    if let Some(former) = former {
        done = done.with_member("changes", changes(call, &former));
    }
    if let Some(refusal) = installed.refused_trigger {
        let warning = format!("The module wants to be started by {refusal}.");
        done = done.with_warning("TRIGGER_NOT_GRANTED", &warning);
    }
    for warning in &installed.installed.warnings {
        done = done.with_warning(warning.code(), &warning.to_string());
    }
    for export in installed.further_exports {
        let warning = format!("Export '{export}' is not part of world 'action' and is ignored.");
        done = done.with_warning("EXPORT_IGNORED", &warning);
    }
    for (code, warning) in asked.warnings {
        done = done.with_warning(code, &warning);
    }
    Ok(done)
}

/// What a module is granted: what the options name, and of what its manifest asks for what there is, if the options say so. A module without a
/// manifest has all topics where the options say nothing of grants.
fn granted(asked: &Asked, manifest: Option<&GrantSet>) -> (GrantSet, Vec<Warning>) {
    let mut granted = asked.named.clone();
    let mut warnings = Vec::new();
    granted.extend(grants::of_topics(asked.options.topics.iter().flatten()));
    let Some(manifest) = manifest else {
        if granted.is_empty() && !asked.grants_all {
            granted.extend(modules::default_topics());
        }
        return (granted, warnings);
    };
    if let Some(list) = listed(asked.named.iter().filter(|grant| !grants::covers(manifest, grant))) {
        warnings.push((
            "GRANT_NOT_ASKED",
            format!("The module does not ask for {list}; it was granted all the same."),
        ));
    }
    if asked.grants_all {
        granted.extend(manifest.iter().filter(|grant| grants::is_available(grant)).cloned());
    }
    if let Some(list) = listed(manifest.iter().filter(|wanted| !grants::covers(&granted, wanted))) {
        warnings.push(("NOT_GRANTED", format!("The module asks for {list}, which it was not granted.")));
    }
    (granted, warnings)
}

/// Grants as a text; `None` of none.
fn listed<'a>(grants: impl Iterator<Item = &'a NamedGrant>) -> Option<String> {
    let texts: Vec<String> = grants.map(NamedGrant::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// What a replacement changed of what is asked for and of what is granted.
fn changes(call: &Call<'_>, former: &Module) -> Value {
    let change = |before: &GrantSet, after: &GrantSet| {
        let added: Vec<_> = after.difference(before).collect();
        let removed: Vec<_> = before.difference(after).collect();
        json!({ "added": added, "removed": removed })
    };
    let now = call.tenant.managed().modules.get(&former.name);
    let of = |module: &Module| (module.asked.clone().unwrap_or_default(), module.options.granted());
    let (before, after) = (of(former), now.as_deref().map(of).unwrap_or_default());
    json!({ "asked": change(&before.0, &after.0), "granted": change(&before.1, &after.1) })
}

/// Installs a module; returns with it the one in whose place it is.
fn install(
    call: &mut Call<'_>,
    module: Module,
    replaces: bool,
) -> Result<(InstalledModule, Option<Arc<Module>>), Refusal> {
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
    Ok((installed, known))
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

/// Beginning of the argument that is the component.
const WASM64: &str = "wasm64:";

fn read_options(call: &Call<'_>, mut arguments: impl Iterator<Item = String>) -> Result<Asked, Refusal> {
    let mut asked = Asked::default();
    while let Some(argument) = arguments.next() {
        if let Some(base64) = argument.strip_prefix(WASM64) {
            asked.wasm64 = Some(base64.to_owned());
            continue;
        }
        let option = super::text::normalized_verb(&argument).ok_or_else(|| {
            Refusal::new("ARGUMENT_INVALID", format!("Unexpected argument '{}'.", shown(&argument)))
        })?;
        let mut value = || {
            let missing = || missing_argument(call.verb, &format!("value of {argument}"));
            // The component itself is nobody's value.
            arguments.next().filter(|value| !value.starts_with(WASM64)).ok_or_else(missing)
        };
        match option.as_str() {
            "replace" => asked.replaces = true,
            "disabled" => asked.options.is_disabled = true,
            "world" => asked.world = Some(value()?),
            "version" => asked.options.version = value()?,
            "sha256" => asked.sha256 = Some(value()?.to_ascii_lowercase()),
            "topics" => asked.options.topics = Some(filters(&value()?)?),
            "grant" => drop(asked.named.insert(named_grant(&value()?)?)),
            "grantall" => asked.grants_all = true,
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
                let warning = format!("{argument} means nothing for a module of world 'action'.");
                asked.warnings.push(("OPTION_IGNORED", warning));
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

/// Topic Filters, each of which a grant can name.
fn filters(text: &str) -> Result<Vec<String>, Refusal> {
    let invalid = |message: String| Refusal::new("FILTER_INVALID", message);
    let filters: Vec<String> = text.split(',').map(|filter| filter.trim().to_owned()).collect();
    if filters.len() > MODULE_GRANTS_MAX {
        let message = format!("{} topic filters are too many, limit {MODULE_GRANTS_MAX}.", filters.len());
        return Err(invalid(message));
    }
    for filter in &filters {
        if filter.starts_with("$share/") {
            let message = "is a shared subscription. Name its topic filter alone.";
            return Err(invalid(format!("'{}' {message}", shown(filter))));
        }
        grants::of_topic(filter).map_err(|error| match error {
            GrantError::TooLong { .. } => {
                let (bytes, limit) = (filter.len(), grants::TOPIC_FILTER_BYTES_MAX);
                invalid(format!("A topic filter has {bytes} bytes, limit {limit}."))
            }
            GrantError::Kind(_) | GrantError::Name { .. } => {
                invalid(format!("'{}' is not a topic filter.", shown(filter)))
            }
        })?;
    }
    Ok(filters)
}

fn named_grant(text: &str) -> Result<NamedGrant, Refusal> {
    let invalid = |reason: String| Refusal::new("GRANT_INVALID", format!("{reason}."));
    let grant: NamedGrant = text.parse().map_err(|error: GrantError| invalid(error.to_string()))?;
    if !grants::is_available(&grant) {
        return Err(invalid(format!("'{grant}' means nothing for a module of world 'action'")));
    }
    Ok(grant)
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
