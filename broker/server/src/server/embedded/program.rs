//! A program for an embedded broker: compiled to native code once, deployed as often as one likes.

use lot_facts::Kind;
use lot_to_wasm::Entity;
use lotmq_definitions::{DefinitionKind, NewDefinition, OnExisting, Origin};
use lotmq_host::Engine;
use lotmq_host::python::Python;

use super::EmbeddedError;
use lotmq_programs::compile::Loader;
use lotmq_programs::route_types::RouteTypes;
use lotmq_programs::{CompiledDefinition, DeployError};

/// A program that can be deployed.
pub struct EmbeddedProgram {
    /// In the order in which they are deployed.
    pub(super) entities: Vec<ProgramEntity>,
    /// Names and texts of its scripts.
    pub(super) scripts: Vec<(String, String)>,
    /// Python that runs the scripts.
    pub(super) python: Option<Python>,
    /// Warnings for the user.
    pub(super) warnings: Vec<String>,
}

/// Entity of a program, compiled as far as it can run here.
pub(super) enum ProgramEntity {
    /// It is deployed as in any broker.
    Runs(Box<CompiledDefinition>),
    /// Others can name it, and that is all: a Route whose type this build does not run.
    IsKnown(Box<NewDefinition>),
}

impl EmbeddedProgram {
    pub(super) fn compile(
        engine: &Engine,
        sources: impl IntoIterator<Item = (String, Vec<Entity>)>,
        (scripts, python): (Vec<(String, String)>, Option<Python>),
    ) -> Result<Self, EmbeddedError> {
        let route_types = RouteTypes::default();
        let loader = Loader::in_process(engine, &route_types);
        let mut compiled = Vec::new();
        for (source, entities) in sources {
            for entity in entities {
                compiled.push(ProgramEntity::compile(loader, &source, entity)?);
            }
        }
        compiled.sort_by_cached_key(|entity| entity.new_definition().kind);
        Ok(Self { entities: in_order(compiled), scripts, python, warnings: Vec::new() })
    }

    /// A definition by itself.
    pub(super) fn of_one(definition: CompiledDefinition) -> Self {
        let entities = vec![ProgramEntity::Runs(Box::new(definition))];
        Self { entities, scripts: Vec::new(), python: None, warnings: Vec::new() }
    }
}

impl ProgramEntity {
    fn compile(loader: Loader<'_>, source: &str, entity: Entity) -> Result<Self, EmbeddedError> {
        let refused = |name: &str, reason: String| EmbeddedError::Refused { name: name.to_owned(), reason };
        let Some(output) = entity.output else {
            return Err(refused(&entity.name, "it has errors".to_owned()));
        };
        let new = NewDefinition {
            kind: output.facts.kind.into(),
            name: entity.name.as_str().into(),
            source: source.get(entity.range).unwrap_or_default().into(),
            origin: Origin::AdHoc,
            lines_before: entity.lines_before,
            owner: None,
            facts: output.facts.into(),
            installed_at: jiff::Timestamp::UNIX_EPOCH,
            order: None,
        };
        match CompiledDefinition::of_entity(loader, &output.component, new.clone(), OnExisting::Replace) {
            Ok(mut compiled) => {
                compiled.never_gives_up();
                Ok(Self::Runs(Box::new(compiled)))
            }
            Err(DeployError::RouteType { .. }) => Ok(Self::IsKnown(Box::new(new))),
            Err(error) => Err(refused(&entity.name, error.to_string())),
        }
    }

    fn new_definition(&self) -> &NewDefinition {
        match self {
            Self::Runs(compiled) => &compiled.new,
            Self::IsKnown(new) => new,
        }
    }

    /// Whether it is a model that is made of `part`.
    fn is_made_of(&self, part: &NewDefinition) -> bool {
        let needed = &self.new_definition().facts.depends_on;
        needed.iter().any(|need| need.kind == Kind::Model && *need.name == *part.name)
    }
}

/// Models behind those that they are made of, so that none is compiled again; everything else where
/// it is.
fn in_order(mut left: Vec<ProgramEntity>) -> Vec<ProgramEntity> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_ready = |entity: &ProgramEntity| {
            let is_model = entity.new_definition().kind == DefinitionKind::Model;
            let waits_for = |other: &ProgramEntity| {
                let part = other.new_definition();
                part.kind == DefinitionKind::Model && entity.is_made_of(part)
            };
            !is_model || !left.iter().any(waits_for)
        };
        let next = left.iter().position(is_ready).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}
