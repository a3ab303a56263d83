//! Options of `-addModule`: what its text asks for, and what follows of it for what the module may
//! do. Commands reference §14.2.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_host::limits::{ROUTE_TIME, RULE_MEMORY_BYTES, RULE_TIME};
use lotmq_host::{Capability, World, world_by_exports};
use serde_json::Value;

use crate::command::reply::{Refusal, missing_argument};
use crate::command::verb::{Call, Verb};
use crate::command_text::normalized_verb;
use crate::limits::{
    MODULE_BYTES_MAX, MODULE_CONFIG_BYTES_MAX, MODULE_GRANTS_MAX, MODULE_MEMORY_MIB_MAX, MODULE_TIME_MS_MAX,
    MODULE_UPLOAD_BYTES_MAX, MODULE_VERSION_BYTES_MAX, VERB_SHOWN_CHARS_MAX,
};
use crate::module_catalog::grants::{self, GrantError, GrantSet, NamedGrant};
use crate::module_catalog::{self, ModuleOptions};
use lotmq_codes::Code;

/// Arguments of `-addModule`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ModuleRequest {
    world: Option<String>,
    pub(super) replacing: Replacing,
    /// Whether the configuration of the module in whose place it comes is kept.
    pub(super) keeps_config: bool,
    /// Announced digest, in lower case.
    pub(super) sha256: Option<String>,
    wasm64: Option<String>,
    /// Announced bytes.
    pub(super) size: Option<usize>,
    /// Grants of `-grant`.
    named: GrantSet,
    /// Whether all that the module asks for is granted.
    grants_all: bool,
    /// Grants of `-net`.
    net: GrantSet,
    /// Tenant that is named.
    pub(super) tenant: Option<String>,
    /// Time of a run that is asked for, in milliseconds; how much there is depends on the world.
    time_ms: Option<usize>,
    pub(super) options: ModuleOptions,
    /// Warnings about the options.
    pub(super) warnings: Vec<OptionWarning>,
}

/// Modules that a new module may replace.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Replacing {
    /// Whether of one of its name.
    pub(super) replaces: bool,
    /// Whether that may be another user's.
    pub(super) is_forced: bool,
}

/// Code and text of a warning.
pub(super) type OptionWarning = (Code, String);

impl ModuleRequest {
    /// Whether the component comes in parts.
    pub(super) fn is_in_parts(&self) -> bool {
        self.wasm64.is_none() && self.size.is_some()
    }

    /// Option that only means something to a broker that is given commands.
    pub(super) fn of_commands_only(&self) -> Option<&'static str> {
        let given = [
            ("-replace", self.replacing.replaces),
            ("-force", self.replacing.is_forced),
            ("-keepConfig", self.keeps_config),
            ("-size", self.size.is_some()),
            ("-sha256", self.sha256.is_some()),
            ("-sig", self.options.signature.is_some()),
            ("-tenant", self.tenant.is_some()),
            ("wasm64:", self.wasm64.is_some()),
        ];
        given.into_iter().find_map(|(option, is_given)| is_given.then_some(option))
    }

    /// Checks what the options say against the world of the module.
    ///
    /// # Errors
    /// When they say what no module of this world can have.
    pub(super) fn check(&mut self, world: World) -> Result<(), Refusal> {
        if let Some(grant) = self.named.iter().find(|grant| !grants::is_available(world, grant)) {
            let message = format!("'{grant}' means nothing for a module of world '{}'.", world.name());
            return Err(Refusal::new(Code::GrantInvalid, message));
        }
        let longest = match world {
            World::Route => milliseconds(ROUTE_TIME),
            World::Rule => milliseconds(RULE_TIME),
            World::Action | World::Model | World::Auth => MODULE_TIME_MS_MAX,
        };
        self.options.time_ms = match self.time_ms {
            Some(asked) if asked > longest => return Err(out_of_range("-time", longest, &asked.to_string())),
            asked => asked.map(|ms| ms as u64),
        };
        let memory_mib_max = RULE_MEMORY_BYTES >> 20;
        if let Some(asked) =
            self.options.memory_mib.filter(|asked| world == World::Rule && *asked > memory_mib_max)
        {
            return Err(out_of_range("-memory", memory_mib_max, &asked.to_string()));
        }
        let is_started = matches!(world, World::Action | World::Model);
        if !is_started && !std::mem::take(&mut self.options.on).is_empty() {
            self.ignored("-on", world);
        }
        if world == World::Auth && self.options.topics.take().is_some() {
            self.ignored("-topics", world);
        }
        let places = std::mem::take(&mut self.net);
        match world {
            World::Route | World::Auth => self.named.extend(places),
            World::Action | World::Model | World::Rule if places.is_empty() => {}
            World::Action | World::Model | World::Rule => self.ignored("-net", world),
        }
        Ok(())
    }

    /// Grants all that the module asks for, where the options name nothing that it is granted.
    pub(super) fn grant_all_unless_named(&mut self) {
        self.grants_all |= self.named.is_empty() && self.options.topics.is_none();
    }

    fn ignored(&mut self, option: &str, world: World) {
        let warning = format!("{option} means nothing for a module of world '{}'.", world.name());
        self.warnings.push((Code::OptionIgnored, warning));
    }
}

/// Returns the grants of a module: those of the options, and, if the options say so, the available
/// ones of its manifest. A module without a manifest gets all topics if the options name at most
/// places of the network, except in worlds `rule` and `auth`.
pub(super) fn granted(
    world: World,
    asked: &ModuleRequest,
    manifest: Option<&GrantSet>,
) -> (GrantSet, Vec<OptionWarning>) {
    let mut granted = asked.named.clone();
    let mut warnings = Vec::new();
    let topics = grants::of_topics(asked.options.topics.iter().flatten());
    granted.extend(topics.into_iter().filter(|grant| grants::is_available(world, grant)));
    let Some(manifest) = manifest else {
        let is_silent = !matches!(world, World::Rule | World::Auth)
            && granted.iter().all(|grant| grant.capability == Capability::Connect);
        if is_silent && !asked.grants_all {
            granted.extend(module_catalog::default_topics());
        }
        return (granted, warnings);
    };
    if let Some(list) = listed(asked.named.iter().filter(|grant| !grants::covers(manifest, grant))) {
        warnings.push((
            Code::GrantNotAsked,
            format!("The module does not ask for {list}; it was granted all the same."),
        ));
    }
    if asked.grants_all {
        granted.extend(manifest.iter().filter(|grant| grants::is_available(world, grant)).cloned());
    }
    if let Some(list) = listed(manifest.iter().filter(|wanted| !grants::covers(&granted, wanted))) {
        warnings.push((Code::NotGranted, format!("The module asks for {list}, which it was not granted.")));
    }
    (granted, warnings)
}

/// Grants as a text; `None` of none.
pub(super) fn listed<'a>(grants: impl Iterator<Item = &'a NamedGrant>) -> Option<String> {
    let texts: Vec<String> = grants.map(NamedGrant::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

pub(in crate::command) const MODULE_NAME_RULE: &str =
    "a name begins with a lower-case letter and has at most 64 lower-case letters, digits and hyphens";

/// Whether a name keeps to [`MODULE_NAME_RULE`].
pub(in crate::command) fn is_module_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Beginning of the argument that is the component.
const WASM64: &str = "wasm64:";

/// Parses the options in the text of a command, whoever gives it.
///
/// # Errors
/// An unknown option, or one with an invalid value.
pub(super) fn read_options<'w>(
    verb: &Verb,
    mut words: impl Iterator<Item = &'w str>,
) -> Result<ModuleRequest, Refusal> {
    let mut asked = ModuleRequest::default();
    let mut given = BTreeSet::new();
    while let Some(word) = words.next() {
        if let Some(base64) = word.strip_prefix(WASM64) {
            asked.wasm64 = Some(base64.to_owned());
            continue;
        }
        let option = normalized_verb(word).ok_or_else(|| {
            Refusal::new(Code::ArgumentInvalid, format!("Unexpected argument '{}'.", truncated(word)))
        })?;
        if !REPEATABLE.contains(&&*option) && !given.insert(option.clone()) {
            let message = format!("{} is given twice.", truncated(word));
            return Err(Refusal::new(Code::ArgumentInvalid, message));
        }
        let mut value = || {
            let missing = || missing_argument(verb, &format!("value of {word}"));
            // The component itself is nobody's value, and neither is the next option.
            let is_value = |value: &&str| !value.starts_with(WASM64) && !is_option(verb, value);
            words.next().filter(is_value).ok_or_else(missing)
        };
        match option.as_str() {
            "replace" => asked.replacing.replaces = true,
            "force" => asked.replacing.is_forced = true,
            "keepconfig" => asked.keeps_config = true,
            "disabled" => asked.options.is_disabled = true,
            "world" => asked.world = Some(value()?.to_owned()),
            "version" => asked.options.version = version(value()?)?,
            "sha256" => asked.sha256 = Some(value()?.to_ascii_lowercase()),
            "topics" => asked.options.topics = Some(filters(value()?)?),
            "grant" => drop(asked.named.insert(named_grant(value()?)?)),
            "grantall" => asked.grants_all = true,
            "on" => asked.options.on = filters(value()?)?,
            "memory" => asked.options.memory_mib = Some(number(word, value()?, MODULE_MEMORY_MIB_MAX)?),
            "time" => asked.time_ms = Some(time_ms(word, value()?)?),
            "config" => asked.options.config = Some(config_json(value()?)?),
            "tenant" => asked.tenant = Some(value()?.to_owned()),
            "size" => asked.size = Some(size(word, value()?)?),
            "net" => asked.net.extend(places(value()?)?),
            "sig" => asked.options.signature = Some(value()?.to_owned()),
            _ => {
                let message = format!("Unknown option '{}'. Usage: {}", truncated(word), verb.full_usage());
                return Err(Refusal::new(Code::ArgumentInvalid, message));
            }
        }
    }
    Ok(asked)
}

/// Options that add to one another.
const REPEATABLE: [&str; 2] = ["grant", "net"];

/// Whether a word is an option of the verb, or names the request.
fn is_option(verb: &Verb, word: &str) -> bool {
    let is_request_id = normalized_verb(word).as_deref() == Some("requestid");
    is_request_id || verb.arguments.iter().any(|argument| argument.is_spelled_as(word))
}

pub(super) fn truncated(argument: &str) -> String {
    argument.chars().take(VERB_SHOWN_CHARS_MAX).collect()
}

/// Topic Filters, each of which a grant can name.
fn filters(text: &str) -> Result<Vec<String>, Refusal> {
    let invalid = |message: String| Refusal::new(Code::FilterInvalid, message);
    let filters: Vec<String> = text.split(',').map(|filter| filter.trim().to_owned()).collect();
    if filters.len() > MODULE_GRANTS_MAX {
        let message = format!("{} topic filters are too many, limit {MODULE_GRANTS_MAX}.", filters.len());
        return Err(invalid(message));
    }
    for filter in &filters {
        if filter.starts_with("$share/") {
            let message = "is a shared subscription. Name its topic filter alone.";
            return Err(invalid(format!("'{}' {message}", truncated(filter))));
        }
        grants::of_topic(filter).map_err(|error| match error {
            GrantError::TooLong { .. } => {
                let (bytes, limit) = (filter.len(), grants::TOPIC_FILTER_BYTES_MAX);
                invalid(format!("A topic filter has {bytes} bytes, limit {limit}."))
            }
            GrantError::Kind(_) | GrantError::Name { .. } => {
                invalid(format!("'{}' is not a topic filter.", truncated(filter)))
            }
        })?;
    }
    Ok(filters)
}

/// Places of the network, as `host:port` with commas between them, as grants.
fn places(text: &str) -> Result<Vec<NamedGrant>, Refusal> {
    let word = Capability::Connect.word();
    text.split(',').map(|place| named_grant(&format!("{word}:{}", place.trim()))).collect()
}

pub(super) fn named_grant(text: &str) -> Result<NamedGrant, Refusal> {
    let invalid = |reason: String| Refusal::new(Code::GrantInvalid, format!("{reason}."));
    text.parse().map_err(|error: GrantError| invalid(error.to_string()))
}

fn number(option: &str, text: &str, maximum: usize) -> Result<usize, Refusal> {
    let number = text.parse().ok().filter(|number| (1..=maximum).contains(number));
    number.ok_or_else(|| out_of_range(option, maximum, text))
}

/// Parses the size of a component. The caller, who knows how the component comes, refuses one that
/// is too long.
fn size(option: &str, text: &str) -> Result<usize, Refusal> {
    let size = text.parse().ok().filter(|size| *size > 0);
    size.ok_or_else(|| out_of_range(option, MODULE_UPLOAD_BYTES_MAX, text))
}

/// Parses the time of a run. The limit of the module's world is checked when it is known.
fn time_ms(option: &str, text: &str) -> Result<usize, Refusal> {
    let time = text.parse().ok().filter(|time| *time > 0);
    time.ok_or_else(|| {
        let message = format!("{option} takes a number of milliseconds from 1, not '{}'.", truncated(text));
        Refusal::new(Code::ArgumentInvalid, message)
    })
}

/// A time as an option has it.
fn milliseconds(time: Duration) -> usize {
    usize::try_from(time.as_millis()).unwrap_or(usize::MAX)
}

fn out_of_range(option: &str, maximum: usize, text: &str) -> Refusal {
    let message = format!("{option} takes a number from 1 to {maximum}, not '{}'.", truncated(text));
    Refusal::new(Code::ArgumentInvalid, message)
}

/// Version of a module, which is whatever its author calls it.
fn version(text: &str) -> Result<String, Refusal> {
    if text.len() > MODULE_VERSION_BYTES_MAX || text.contains(char::is_control) {
        let message = format!(
            "-version takes at most {MODULE_VERSION_BYTES_MAX} bytes without control characters, not '{}'.",
            truncated(text)
        );
        return Err(Refusal::new(Code::ArgumentInvalid, message));
    }
    Ok(text.to_owned())
}

fn config_json(text: &str) -> Result<Value, Refusal> {
    if text.len() > MODULE_CONFIG_BYTES_MAX {
        let message = format!("-config has {} bytes, limit {MODULE_CONFIG_BYTES_MAX}.", text.len());
        return Err(Refusal::new(Code::TooLarge, message));
    }
    serde_json::from_str(text).map_err(|error| {
        let refusal =
            Refusal::new(Code::JsonInvalid, format!("The JSON of -config cannot be read: {error}."));
        match error.is_eof() {
            true => refusal.with_suggestion(
                "a text with blanks stands in quotation marks, with \\\" for each of its own".to_owned(),
            ),
            false => refusal,
        }
    })
}

/// Refuses a tenant other than the caller's own: other tenants are for `root` of `default`, once
/// there are any.
pub(super) fn own_tenant(call: &Call<'_>, name: &str) -> Result<(), Refusal> {
    if *name == *call.tenant.name {
        return Ok(());
    }
    if call.tenant.number == 0 && call.identity.is_root() {
        return Err(Refusal::new(Code::TenantNotFound, format!("Tenant '{}' not found.", truncated(name))));
    }
    Err(Refusal::permission_denied(call.verb.name))
}

/// Checks that who gives the command may install modules of a world: those that decide what others
/// may are for `root`, or have to be signed.
pub(in crate::command) fn may_install(call: &Call<'_>, world: World) -> Result<(), Refusal> {
    let decides = matches!(world, World::Rule | World::Auth);
    if decides && !call.identity.is_root() && !call.hosting.config.modules.require_signature {
        let refusal = Refusal::permission_denied(call.verb.name);
        return Err(refusal.with_suggestion(format!(
            "modules of world '{}' decide over others: root installs them, or who has them signed where modules.require_signature is set",
            world.name()
        )));
    }
    Ok(())
}

/// World of a module that is installed with these options.
///
/// # Errors
/// When there is none of that name, or this broker takes none of its modules.
pub(super) fn world_of(call: &Call<'_>, asked: &ModuleRequest) -> Result<World, Refusal> {
    match asked.world.as_deref() {
        None => Err(missing_argument(call.verb, "-world")),
        Some(name) => {
            let world = named_world(name)?;
            may_install(call, world)?;
            let may_change = world == World::Route;
            if may_change && !call.hosting.config.modules.allow_unstable {
                let message = format!(
                    "World '{name}' may still change, and modules.allow_unstable is not set: start the broker with LOTMQ_MODULES_ALLOW_UNSTABLE=true, or with `allow_unstable = true` in section [modules] of its configuration."
                );
                return Err(Refusal::new(Code::WorldUnstable, message));
            }
            Ok(world)
        }
    }
}

/// World of this name, of which components are uploaded.
fn named_world(name: &str) -> Result<World, Refusal> {
    let known = World::OF_UPLOADS.into_iter().find(|world| world.name() == name);
    known.ok_or_else(|| {
        let message = match name {
            "model" => "World 'model' is for models compiled from LoT only. Use action.".to_owned(),
            _ => format!("World '{}' is unknown. Use action, rule, route or auth.", truncated(name)),
        };
        Refusal::new(Code::WorldUnknown, message)
    })
}

/// World of a module that nobody gives a command about: the one that is named, else the one whose
/// handler the component exports.
pub(super) fn world_without_command(asked: &ModuleRequest, component: &[u8]) -> Result<World, Refusal> {
    match asked.world.as_deref() {
        Some(name) => named_world(name),
        None => Ok(world_by_exports(component).unwrap_or(World::Action)),
    }
}

pub(super) fn component(call: &Call<'_>, asked: &ModuleRequest) -> Result<Vec<u8>, Refusal> {
    let Some(base64) = &asked.wasm64 else {
        return Err(missing_argument(call.verb, "wasm64:<base64>"));
    };
    let bytes = STANDARD
        .decode(base64)
        .map_err(|_| Refusal::new(Code::Base64Invalid, "wasm64 argument is not valid base64."))?;
    if bytes.len() > MODULE_BYTES_MAX {
        let message = format!("Module has {} bytes, limit {MODULE_BYTES_MAX}.", bytes.len());
        return Err(Refusal::new(Code::TooLarge, message));
    }
    if let Some(size) = asked.size.filter(|size| *size != bytes.len()) {
        let message = format!("Expected {size} bytes, got {}.", bytes.len());
        return Err(Refusal::new(Code::SizeMismatch, message));
    }
    Ok(bytes)
}
