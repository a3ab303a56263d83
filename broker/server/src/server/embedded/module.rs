//! An uploaded component in an embedded broker: looked at, and run as `-addModule` would.

use std::sync::Arc;

use lotmq_host::{Engine, LoadError, World};
use serde_json::Value;

use super::error::refused;
use super::{EmbeddedError, EmbeddedProgram};
use crate::guests::compile::Loader;
use crate::guests::compile_permits::CompilePermits;
use crate::guests::route_types::RouteTypes;
use crate::management::module_catalog::grants::{self, GrantSet};
use crate::management::module_catalog::{self, Module, ModuleOptions};
use crate::management::modules;

/// A component and the options that it would be added with. It is granted all that it asks for.
#[derive(Clone, Debug)]
pub struct EmbeddedModule {
    /// Name of the module.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
    /// Topics whose messages start it.
    pub on: Vec<String>,
    /// What it reads as its configuration.
    pub config: Option<Value>,
}

/// What a component is, as far as a broker looks at it before it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ComponentOutline {
    /// Name of the world that it fits.
    pub world: &'static str,
    /// Interfaces that it imports, with versions.
    pub imports: Vec<String>,
    /// Exports that its world does not have: nobody calls them.
    pub further_exports: Vec<String>,
    /// What its manifest asks for; `None` without a manifest, in which case it would have all topics whose names do not begin with `$`.
    pub asks: Option<Vec<String>>,
}

/// Looks at a component as the broker does when one is uploaded.
///
/// # Errors
/// [`EmbeddedError::Component`] and [`EmbeddedError::Manifest`].
pub(super) fn outline(engine: &Engine, component: &[u8]) -> Result<ComponentOutline, EmbeddedError> {
    let asks = asked(component)?.map(|asked| asked.iter().map(ToString::to_string).collect());
    let (permits, route_types) = (CompilePermits::default(), RouteTypes::default());
    let loader = Loader { engine, permits: &permits, route_types: &route_types };
    match loader.module(component) {
        Ok(guest) => Ok(ComponentOutline {
            world: World::Action.name(),
            imports: guest.imports().to_vec(),
            further_exports: guest.further_exports().to_vec(),
            asks,
        }),
        // It may be one of another world, of which it then has all exports.
        Err(of_action @ (LoadError::WorldMismatch { .. } | LoadError::ImportForbidden { .. })) => {
            if let Ok(rule) = loader.rule_module(component) {
                return Ok(ComponentOutline {
                    world: World::Rule.name(),
                    imports: rule.imports().to_vec(),
                    further_exports: rule.further_exports().to_vec(),
                    asks,
                });
            }
            let route = loader.route_module(component).map_err(|_| of_action)?;
            Ok(ComponentOutline {
                world: World::Route.name(),
                imports: route.imports().to_vec(),
                further_exports: route.further_exports().to_vec(),
                asks,
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn asked(component: &[u8]) -> Result<Option<GrantSet>, EmbeddedError> {
    grants::asked(component).map_err(|error| EmbeddedError::Manifest { reason: error.to_string() })
}

impl EmbeddedProgram {
    /// Compiles a component of world `action` that is to run as a module.
    pub(super) fn of_module(engine: &Engine, module: EmbeddedModule) -> Result<Self, EmbeddedError> {
        let asked = asked(&module.component)?;
        let module = Module {
            name: module.name.into(),
            world: World::Action,
            options: ModuleOptions {
                granted: Some(asked.clone().unwrap_or_else(module_catalog::default_topics)),
                on: module.on,
                config: module.config,
                ..ModuleOptions::default()
            },
            hash: [0; 32],
            bytes: module.component.into(),
            asked,
            owner: None,
            installed_at_ms: 0,
        };
        let name = Arc::clone(&module.name);
        let (permits, route_types) = (CompilePermits::default(), RouteTypes::default());
        let loader = Loader { engine, permits: &permits, route_types: &route_types };
        let compiled = modules::compile(loader, module).map_err(|error| refused(&name, &error))?;
        let mut definition = compiled.into_definition();
        definition.never_gives_up();
        Ok(Self::of_one(definition))
    }
}
