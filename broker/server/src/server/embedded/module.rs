//! An uploaded component in an embedded broker: looked at, and there as by `-addModule`.

use lot_facts::RouteFacts;
use lot_route_catalogue::RouteType;
use lotmq_host::route::{Description, RouteGuest};
use lotmq_host::{
    Capability, ComponentSource, Engine, Grants, GuestLimits, World, check_upload, world_by_exports,
};
use serde_json::Value;

use super::engine::engine_of_user;
use super::error::refused;
use super::{EmbeddedError, EmbeddedProgram};
use lotmq_operations::command::local_modules;
use lotmq_operations::module_catalog::grants::{self, GrantSet};
use lotmq_operations::module_catalog::route_description;
use lotmq_operations::modules;
use lotmq_programs::compile::Loader;
use lotmq_programs::policies::Policies;
use lotmq_programs::route_drivers::{self, asset_configuration};
use lotmq_programs::route_modules::described_routes;
use lotmq_programs::route_types::RouteTypes;

/// Component with its options of `-addModule`. If they name no grant, it gets all grants that it
/// asks for.
#[derive(Clone, Debug)]
pub struct EmbeddedModule {
    /// Name of the module.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
    /// Topics whose messages start it.
    pub on: Vec<String>,
    /// Its configuration.
    pub config: Option<Value>,
    /// Further options, each word of them by itself.
    pub options: Vec<String>,
}

impl EmbeddedModule {
    /// Reads options as the text of `-addModule` has them.
    ///
    /// # Errors
    /// A quotation mark that is not closed.
    pub fn options_in(text: &str) -> Result<Vec<String>, EmbeddedError> {
        local_modules::options_in(text).map_err(|refusal| refused(text, &refusal.message))
    }

    /// All options.
    fn arguments(&self) -> Vec<String> {
        let on = (!self.on.is_empty()).then(|| ["-on".to_owned(), self.on.join(",")]);
        let config = self.config.as_ref().map(|config| ["-config".to_owned(), config.to_string()]);
        on.into_iter().chain(config).flatten().chain(self.options.iter().cloned()).collect()
    }
}

/// Metadata of a component, read without compiling. Compiling takes seconds for megabytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentRequest {
    /// Name of the world whose handler it exports, `action` if it exports none.
    pub world: &'static str,
    /// Grants that its manifest asks for. `None` without a manifest: then the worlds `action` and
    /// `route` get all topics whose names do not begin with `$`.
    pub asks: Option<Vec<String>>,
    /// Requested grants that no module of its world can have.
    pub cannot_have: Vec<String>,
}

impl ComponentRequest {
    /// Reads it.
    ///
    /// # Errors
    /// [`EmbeddedError::Manifest`], and [`EmbeddedError::Component`] for what a broker would refuse
    /// before it compiles.
    pub fn of(component: &[u8]) -> Result<Self, EmbeddedError> {
        let (request, world) = ComponentRequest::read(component)?;
        check_upload(component, world)?;
        Ok(request)
    }

    fn read(component: &[u8]) -> Result<(Self, World), EmbeddedError> {
        let asked = asked(component)?;
        let world = world_by_exports(component).unwrap_or(World::Action);
        let beyond = asked.iter().flatten().filter(|grant| !grants::is_available(world, grant));
        let cannot_have = beyond.map(ToString::to_string).collect();
        let asks = asked.map(|asked| asked.iter().map(ToString::to_string).collect());
        Ok((Self { world: world.name(), asks, cannot_have }, world))
    }
}

/// Properties of a component that a broker checks before it runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentOutline {
    /// Metadata of the component.
    pub request: ComponentRequest,
    /// Interfaces that it imports, with versions.
    pub imports: Vec<String>,
    /// Exports that its world does not have: nobody calls them.
    pub further_exports: Vec<String>,
}

/// Looks at a component as the broker does when one is uploaded.
///
/// # Errors
/// [`EmbeddedError::Component`] and [`EmbeddedError::Manifest`].
pub(super) fn outline(engine: &Engine, component: &[u8]) -> Result<ComponentOutline, EmbeddedError> {
    let (request, world) = ComponentRequest::read(component)?;
    let route_types = RouteTypes::default();
    let loader = Loader { has_first_look: true, ..Loader::in_process(engine, &route_types) };
    let (grants, limits) = (Grants::default(), GuestLimits::default());
    let (imports, further_exports) = match world {
        World::Rule => {
            let guest = loader.rule_module(component, &grants, limits)?;
            (guest.imports().to_vec(), guest.further_exports().to_vec())
        }
        World::Route => {
            let guest = loader.route_module(component, &grants, limits)?;
            (guest.imports().to_vec(), guest.further_exports().to_vec())
        }
        World::Auth => {
            let guest = loader.auth_module(component, &grants, limits)?;
            (guest.imports().to_vec(), guest.further_exports().to_vec())
        }
        World::Action | World::Model => {
            let guest = loader.module(component, &grants, limits)?;
            (guest.imports().to_vec(), guest.further_exports().to_vec())
        }
    };
    Ok(ComponentOutline { request, imports, further_exports })
}

/// Returns the errors in the configuration of a component for a module, by the schema of its
/// manifest. For a route without a manifest, the schema of its `describe` applies.
///
/// # Errors
/// [`EmbeddedError::Component`] and [`EmbeddedError::Manifest`].
pub(super) fn config_problems(component: &[u8], config: &Value) -> Result<Vec<String>, EmbeddedError> {
    let manifest = grants::manifest(component);
    let manifest = manifest.map_err(|error| EmbeddedError::Manifest { reason: error.to_string() })?;
    let of_manifest = manifest.and_then(|manifest| manifest.configuration).map(|schema| schema.to_string());
    let is_route = world_by_exports(component) == Some(World::Route);
    let schema = match of_manifest {
        // Of a route what the configuration does not say may stand in its text.
        None if is_route && config.as_object().is_some_and(|settings| settings.is_empty()) => None,
        None if is_route => {
            let guest = RouteGuest::compile(&engine_of_user()?, component, ComponentSource::Upload)?;
            described(&guest, component)?.0.map(|described| described.configuration)
        }
        of_manifest => of_manifest,
    };
    Ok(schema
        .map_or_else(Vec::new, |schema| asset_configuration::problems(&schema, config.clone(), is_route)))
}

/// Why a module refuses the settings of a route.
///
/// # Errors
/// [`EmbeddedError::Component`].
pub(super) fn route_refusal(
    component: &[u8],
    route: &RouteFacts,
    config: Option<&str>,
) -> Result<Option<String>, EmbeddedError> {
    let guest = RouteGuest::compile(&engine_of_user()?, component, ComponentSource::Upload)?;
    let asked = asked(component)?.unwrap_or_default();
    let wants_one = grants::names(&asked, Capability::Connect).next().is_some();
    let (described, kind) = described(&guest, component)?;
    let named = described_routes::canonical(route, kind.as_ref());
    let refusal = |described: &Description| {
        let of_settings = route_drivers::refusal(described, &named, config);
        of_settings.or_else(|| route_drivers::place_refusal(described, route, kind.as_ref(), wants_one))
    };
    Ok(described.as_ref().and_then(refusal))
}

/// Returns what a guest says of itself, within the type of routes that its component describes.
fn described(
    guest: &RouteGuest,
    component: &[u8],
) -> Result<(Option<Description>, Option<RouteType>), EmbeddedError> {
    let kind = route_description::of_component("", World::Route, component);
    let kind = kind.map_err(|error| EmbeddedError::Manifest { reason: error.to_string() })?;
    let of_guest = guest.description().cloned();
    Ok((of_guest.map(|of_guest| described_routes::narrowed(of_guest, kind.as_ref())), kind))
}

fn asked(component: &[u8]) -> Result<Option<GrantSet>, EmbeddedError> {
    grants::asked(component).map_err(|error| EmbeddedError::Manifest { reason: error.to_string() })
}

impl EmbeddedProgram {
    /// Compiles a component that is to be there as a module.
    pub(super) fn of_module(engine: &Engine, module: EmbeddedModule) -> Result<Self, EmbeddedError> {
        let arguments = module.arguments();
        let EmbeddedModule { name, component, .. } = module;
        let made = local_modules::module(&name, &component, arguments);
        let (module, mut warnings) = made.map_err(|refusal| refused(&name, &refusal.message))?;
        let route_types = RouteTypes::default();
        let loader = Loader::in_process(engine, &route_types);
        let world = module.world;
        let compiled = modules::compile(loader, module, &component, &Policies::default())
            .map_err(|error| refused(&name, &error))?;
        let unheard = compiled.refused_trigger.as_ref();
        warnings.extend(unheard.map(|refusal| format!("it wants to be started by {refusal}")));
        if world == World::Auth {
            warnings.push("cases ask it here; a broker asks it if auth.modules lists it".to_owned());
        }
        let mut definition = compiled.into_definition();
        definition.never_gives_up();
        let warnings = warnings.into_iter().map(|warning| format!("module {name}: {warning}"));
        Ok(Self { warnings: warnings.collect(), ..Self::of_one(definition) })
    }

    /// Puts modules in front of what names them.
    #[must_use]
    pub fn with_modules(self, modules: impl IntoIterator<Item = EmbeddedProgram>) -> Self {
        let mut all = Self { entities: Vec::new(), warnings: Vec::new(), ..self };
        for EmbeddedProgram { entities, warnings, .. } in modules {
            all.entities.extend(entities);
            all.warnings.extend(warnings);
        }
        all.entities.extend(self.entities);
        all.warnings.extend(self.warnings);
        all
    }
}
