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
use lotmq_project::Interpreter;
use lotmq_server::{StandaloneType, StandaloneTypes};

/// A program that can be started.
pub struct Program {
    /// In the order in which they are loaded.
    pub(crate) definitions: Vec<Compiled>,
    /// Names and texts of its scripts.
    scripts: Vec<(String, String)>,
    interpreter: Option<Interpreter>,
}

/// One of them.
pub(crate) struct Compiled {
    definition: NewDefinition,
    /// What runs; `None` for what only a broker can use.
    pub(crate) guest: Option<Guest>,
    /// What runs a route; `None` for other kinds, and for types that this build does not run.
    pub(crate) route: Option<StandaloneType>,
}

impl Program {
    /// Compiles what has no error, and puts it into the order of LoT reference §1.6.
    ///
    /// # Errors
    /// When the host refuses what our compiler made.
    pub fn compile(engine: &Engine, compiled: lotmq_project::Compiled) -> anyhow::Result<Self> {
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

    pub(crate) fn script_names(&self) -> impl Iterator<Item = &str> {
        self.scripts.iter().map(|(name, _)| name.as_str())
    }

    /// Its scripts by name, as they are before the first call.
    pub(crate) fn scripts(&self) -> HashMap<String, Arc<Script>> {
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

    pub(crate) fn name(&self) -> &str {
        &self.definition.name
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.definition.facts
    }

    pub(crate) fn kind(&self) -> DefinitionKind {
        self.definition.kind
    }

    /// What it may do in a broker, it may do here.
    pub(crate) fn grants(&self) -> Grants {
        if self.kind() == DefinitionKind::Model { Grants::model() } else { Grants::action() }
    }

    /// As the registry takes it.
    pub(crate) fn installed_at(&self, installed_at: Timestamp) -> NewDefinition {
        NewDefinition { installed_at, ..self.definition.clone() }
    }
}
