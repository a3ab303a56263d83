//! A program that is compiled to native code: made once, started as often as one likes.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use lot_facts::Facts;
use lot_to_wasm::Entity;
use lotmq_definitions::{DefinitionKind, NewDefinition, Origin};
use lotmq_host::python::Script;
use lotmq_host::{Engine, Grants, Guest, World};
use lotmq_server::{StandaloneType, StandaloneTypes};

use crate::project;
use crate::script::Interpreter;

/// A program that can be started.
pub(crate) struct Program {
    /// In the order in which they are loaded.
    pub(super) definitions: Vec<Compiled>,
    /// Names and texts of its scripts.
    scripts: Vec<(String, String)>,
    interpreter: Option<Interpreter>,
}

/// One of them.
pub(super) struct Compiled {
    definition: NewDefinition,
    /// What runs; `None` for what only a broker can use.
    pub(super) guest: Option<Guest>,
    /// What runs a route; `None` for other kinds, and for types that this build does not run.
    pub(super) route: Option<StandaloneType>,
}

impl Program {
    /// Compiles what has no error, and puts it into the order of LoT reference §1.6.
    pub(crate) fn compile(engine: &Engine, compiled: project::Compiled) -> anyhow::Result<Self> {
        let scripts = compiled.scripts().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let interpreter = compiled.interpreter.clone();
        let (mut definitions, routes) = (Vec::new(), StandaloneTypes::default());
        for (source, entities) in compiled.into_entities() {
            for entity in entities {
                definitions.push(Compiled::new(engine, &routes, &source, entity)?);
            }
        }
        definitions.sort_by_key(Compiled::kind);
        Ok(Self { definitions, scripts, interpreter })
    }

    pub(super) fn script_names(&self) -> impl Iterator<Item = &str> {
        self.scripts.iter().map(|(name, _)| name.as_str())
    }

    /// Its scripts by name, as they are before the first call.
    pub(super) fn scripts(&self) -> HashMap<String, Arc<Script>> {
        let script = |(name, text): &(String, String)| {
            Some((name.clone(), Arc::new(self.interpreter.as_ref()?.script(text))))
        };
        self.scripts.iter().filter_map(script).collect()
    }
}

impl Compiled {
    fn new(engine: &Engine, routes: &StandaloneTypes, source: &str, entity: Entity) -> anyhow::Result<Self> {
        let output = entity.output.context("an entity without errors has an output")?;
        let kind = DefinitionKind::from(entity.kind.context("an entity without errors has a kind")?);
        let world = match kind {
            DefinitionKind::Action => Some(World::Action),
            DefinitionKind::Model => Some(World::Model),
            DefinitionKind::Route
            | DefinitionKind::Rule
            | DefinitionKind::Module
            | DefinitionKind::Theme
            | DefinitionKind::Panel => None,
        };
        let compile = |world| engine.compile(&output.component, world, lotmq_host::Origin::Compiler);
        let guest = world.map(compile).transpose()?;
        let route = routes.of(engine, &output.facts)?;
        let definition = NewDefinition {
            kind,
            name: entity.name.into(),
            source: source.get(entity.range).unwrap_or_default().into(),
            origin: Origin::AdHoc,
            owner: None,
            facts: output.facts.into(),
            installed_at: Timestamp::UNIX_EPOCH,
        };
        Ok(Self { definition, guest, route })
    }

    pub(super) fn name(&self) -> &str {
        &self.definition.name
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.definition.facts
    }

    pub(super) fn kind(&self) -> DefinitionKind {
        self.definition.kind
    }

    /// What it may do in a broker, it may do here.
    pub(super) fn grants(&self) -> Grants {
        if self.kind() == DefinitionKind::Model { Grants::model() } else { Grants::action() }
    }

    /// As the registry takes it.
    pub(super) fn installed_at(&self, installed_at: Timestamp) -> NewDefinition {
        NewDefinition { installed_at, ..self.definition.clone() }
    }
}
