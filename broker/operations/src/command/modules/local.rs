//! Modules of a broker that nobody gives commands to, as `lotmq run` and `lotmq test` have them: a
//! component with options of `-addModule`.

use sha2::{Digest as _, Sha256};

use super::options::{self, MODULE_NAME_RULE, is_module_name};
use crate::command::reply::Refusal;
use crate::command_text;
use crate::module_catalog::grants::{self, GrantSet};
use crate::module_catalog::{Module, ModuleOptions, Said};
use lotmq_codes::Code;

/// Options in a text, as `-addModule` has them.
///
/// # Errors
/// A quotation mark that is not closed.
pub fn options_in(text: &str) -> Result<Vec<String>, Refusal> {
    Ok(command_text::arguments(text)?)
}

/// Makes a module of a component, and returns warnings about it. If its options name no grant, it
/// gets all that it asks for. Its world is that of the handler it exports, unless the options name
/// another.
///
/// # Errors
/// Refusals as of `-addModule`, and options that need a broker with clients.
pub fn module(
    name: &str,
    component: &[u8],
    arguments: Vec<String>,
) -> Result<(Module, Vec<String>), Refusal> {
    if !is_module_name(name) {
        let message = format!("'{name}' is no name of a module: {MODULE_NAME_RULE}");
        return Err(Refusal::new(Code::ModuleNameInvalid, message));
    }
    let mut asked = options::read_options(&super::ADD, arguments.iter().map(String::as_str))?;
    if let Some(option) = asked.of_commands_only() {
        let message = format!("{option} is for a broker that is given commands; it means nothing here.");
        return Err(Refusal::new(Code::ArgumentInvalid, message));
    }
    let world = options::world_without_command(&asked, component)?;
    asked.check(world)?;
    asked.grant_all_unless_named();
    let manifest = grants::manifest(component).map_err(|error| {
        Refusal::new(Code::ManifestInvalid, format!("The manifest of the module cannot be used: {error}."))
    })?;
    super::check_description(name, world, component)?;
    let schema = manifest.as_ref().and_then(|manifest| manifest.configuration.as_ref());
    asked.options.config = super::configured(world, schema, asked.options.config.take())?;
    let manifest: Option<GrantSet> = manifest.map(|manifest| manifest.asks.into_iter().collect());
    let (granted, warnings) = options::granted(world, &asked, manifest.as_ref());
    let told = asked.warnings.iter().chain(&warnings).map(|(_, warning)| warning.clone()).collect();
    let module = Module {
        name: name.into(),
        world,
        options: ModuleOptions { granted: Some(granted), ..asked.options },
        hash: Sha256::digest(component).into(),
        component_bytes: component.len(),
        said: Said::default(),
        owner: None,
        installed_at_ms: 0,
    };
    Ok((module, told))
}
