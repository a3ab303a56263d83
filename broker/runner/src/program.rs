//! A program that is compiled to native code: made once, started as often as one likes.

use std::path::Path;

use lotmq_server::embedded::{EmbeddedBroker, EmbeddedModule, EmbeddedProgram, Embedding};

use jiff::{Timestamp, tz::TimeZone};

use crate::modules::NamedModule;
use crate::told::ToldOnce;

/// A program that can be started.
pub struct Program {
    pub(crate) compiled: EmbeddedProgram,
}

/// When and where a program starts.
pub struct Start {
    /// Wall clock at the start.
    pub wall: Timestamp,
    /// Zone of calendars.
    pub zone: TimeZone,
}

impl Start {
    /// Now, in the zone of this machine.
    #[must_use]
    pub fn here_and_now() -> Self {
        Self::here_at(Timestamp::now())
    }

    /// At a given time, in the zone of this machine.
    #[must_use]
    pub fn here_at(wall: Timestamp) -> Self {
        Self { wall, zone: TimeZone::system() }
    }
}

impl Program {
    /// Compiles the definitions without errors.
    ///
    /// # Errors
    /// When the host refuses a component of our compiler.
    pub fn compile(embedding: &Embedding, compiled: lotmq_project::Compiled) -> anyhow::Result<Self> {
        let scripts = compiled.scripts().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let python = compiled.interpreter.as_ref().map(|interpreter| interpreter.python().clone());
        let compiled = embedding.compile(compiled.into_entities(), (scripts, python))?;
        Ok(Self { compiled })
    }

    /// Compiles a component that is to run as a module.
    ///
    /// # Errors
    /// When a broker would refuse it.
    pub fn of_module(embedding: &Embedding, module: EmbeddedModule) -> anyhow::Result<Self> {
        Ok(Self { compiled: embedding.module(module)? })
    }

    /// Adds modules, with paths relative to `folder`.
    ///
    /// # Errors
    /// When a file cannot be read, or a broker would refuse its content.
    pub fn with_modules(
        self,
        embedding: &Embedding,
        modules: &[NamedModule],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let compiled = modules.iter().map(|module| module.compile(embedding, folder));
        let compiled = compiled.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { compiled: self.compiled.with_modules(compiled) })
    }

    /// Adds another program in front, which is a module.
    pub(crate) fn behind(self, module: Self) -> Self {
        Self { compiled: self.compiled.with_modules([module.compiled]) }
    }

    /// A broker that was started for it, in which nothing is deployed yet.
    pub(crate) fn broker(
        &self,
        embedding: &Embedding,
        Start { wall, zone }: Start,
    ) -> anyhow::Result<EmbeddedBroker> {
        Ok(EmbeddedBroker::start(embedding, &self.compiled, (wall, zone))?)
    }

    /// Deploys the program, and prints the warnings of the broker.
    pub(crate) fn deploy(&self, broker: &mut EmbeddedBroker, told: &mut ToldOnce) -> anyhow::Result<()> {
        let warnings = broker.deploy(&self.compiled)?;
        warnings.iter().for_each(|warning| told.tell(warning));
        Ok(())
    }
}

/// Inputs of an Action as the broker takes them.
///
/// # Errors
/// When they are no JSON object.
pub(crate) fn inputs(inputs: serde_json::Value) -> anyhow::Result<Vec<lotmq_host::Argument>> {
    let serde_json::Value::Object(inputs) = inputs else {
        anyhow::bail!("inputs of --call are not a JSON object");
    };
    let argument = |(name, value)| lotmq_host::Argument { name, value: lotmq_server::value_of_json(value) };
    Ok(inputs.into_iter().map(argument).collect())
}
