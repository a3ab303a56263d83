//! Models of a tenant: one may be made of others (parents, collections), so it is compiled again
//! when one of those arrives or changes.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use lot_facts::Kind;
use lot_to_wasm::{CompileOptions, Form};
use lotmq_changes::Batch;
use lotmq_config::Authority;
use lotmq_definitions::{Definition, DefinitionKind, NewDefinition, OnExisting, Owner, State};
use lotmq_host::{Argument, ModelInstance, NestedCall, RunError};
use lotmq_pulse::goes_on;
use tracing::warn;

use super::Guests;
use super::compile::CompiledDefinition;
use super::compile_workers::CompileFor;
use super::install::install_alone;
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use lotmq_core::tenant::Tenant;

impl Guests {
    /// Compiles the models again that are made of the model `name`. One that does not fit any more
    /// is stopped, with the reason in its state.
    pub(crate) fn rebuild_models(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, name: &str) {
        let is_made_of_it = |definition: &&Arc<Definition>| {
            let needed = &definition.facts().depends_on;
            **definition.name() != *name
                && needed.iter().any(|need| need.kind == Kind::Model && need.name == name)
        };
        let users: Vec<Arc<Definition>> = tenant
            .programs()
            .guests
            .registry
            .read()
            .list(DefinitionKind::Model)
            .filter(is_made_of_it)
            .cloned()
            .collect();
        for user in users {
            goes_on(Instant::now());
            let rebuilt = may_be_made_of(tenant, (user.owner(), user.deployed.installed_at), name)
                .and_then(|()| rebuild(tenant, hosting, &user));
            if let Err(reason) = rebuilt {
                warn!(
                    tenant = &*tenant.name,
                    definition = &**user.name(),
                    reason,
                    "model stopped: a part of it changed"
                );
                let now = hosting.definitions_now();
                let changed = tenant.programs().guests.registry.write().set_failed(user.id, &reason, now);
                tenant.programs().guests.settle(tenant, hosting, &changed);
            }
        }
    }

    /// Builds an instance of a model.
    pub(super) fn build_model(
        &self,
        call: NestedCall<'_>,
        name: &str,
        assignments: &[Argument],
    ) -> Result<ModelInstance, RunError> {
        let unknown = || RunError::unknown_model(name);
        let id = {
            let registry = self.registry.read();
            let definition = registry.get(DefinitionKind::Model, name).ok_or_else(unknown)?;
            if !registry.state(definition.id).is_some_and(State::is_armed) {
                return Err(RunError::new(
                    "MODEL_PENDING",
                    format!("model '{name}' waits for what it is made of"),
                ));
            }
            definition.id
        };
        let runner = self.runner(id).ok_or_else(unknown)?;
        let values = runner.call_nested(call, assignments)?;
        ModelInstance::from_values(values).ok_or_else(unknown)
    }
}

/// Checks that a model may be compiled with the current text of one of its parts and of their
/// parts. This text runs with the rights of the model's owner. Trusted are texts of the same owner
/// or of `root`, and texts that were installed before the owner deployed the model.
///
/// # Errors
/// The reason why it may not.
pub(super) fn may_be_made_of(
    tenant: &Tenant,
    (owner, since): (Option<&Owner>, Timestamp),
    part: &str,
) -> Result<(), String> {
    if tenant.programs().guests.authority == Authority::Broker {
        return Ok(());
    }
    let registry = tenant.programs().guests.registry.read();
    let account = owner.map_or(0, |owner| owner.account);
    let is_trusted = |part: &Definition| {
        part.account() == account
            || part.owner().is_some_and(|owner| *owner.name == *lotmq_auth::ROOT)
            || part.deployed.installed_at <= since
    };
    // Parts of a part count as well: a change of theirs does not redeploy the part.
    let mut parts = vec![part];
    let mut seen = 0;
    while let Some(name) = parts.get(seen).copied() {
        seen += 1;
        let Some(part) = registry.get(DefinitionKind::Model, name) else { continue };
        if !is_trusted(part) {
            let of = part.owner().map_or("nobody", |owner| &owner.name);
            return Err(format!(
                "model '{name}', of which it is made, was changed since, and belongs to {of}: deploy this one again"
            ));
        }
        let needed = part.facts().depends_on.iter().filter(|need| need.kind == Kind::Model);
        for need in needed {
            if !parts.contains(&&*need.name) {
                parts.push(&need.name);
            }
        }
    }
    Ok(())
}

fn rebuild(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, user: &Definition) -> Result<(), String> {
    let compat = hosting.compat();
    let options = CompileOptions {
        form: Form::Linked,
        known: &*tenant.programs().guests,
        compat,
        ..CompileOptions::default()
    };
    let deployed = &user.deployed;
    let mut compilation = lot_to_wasm::compile(&deployed.source, &options);
    let entity = compilation.entities.pop().ok_or("its source is empty")?;
    let first = entity.diagnostics.first().map(|found| found.message.clone()).unwrap_or_default();
    let output = entity.output.ok_or(first)?;
    let (facts, owner) = (Arc::new(output.facts), user.owner().cloned());
    let loader = hosting.loader_for(CompileFor::owner(&hosting.compile_workers, tenant, owner.as_ref()));
    let loader = loader.for_owners_in(tenant);
    let new = NewDefinition { facts, owner, ..deployed.clone() };
    let compiled = CompiledDefinition::of_entity(loader, &output.component, new, OnExisting::Replace);
    // Its source is stored already: what installing would write is dropped.
    let result = compiled.and_then(|compiled| install_alone(tenant, hosting, compiled, &mut Batch::new()));
    result.map(|_| ()).map_err(|refusal| refusal.to_string())
}
