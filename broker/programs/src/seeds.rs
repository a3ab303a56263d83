//! Rules of a fresh installation: deployed once in each tenant, and again for who asks for them.

use std::sync::Arc;

use jiff::Timestamp;
use lotmq_auth::built_in::SEEDS;
use lotmq_changes::{Batch, Op, QuarantineRow, SettingRow};
use lotmq_definitions::{Definition, DefinitionKind, NewDefinition, OnExisting, Origin};
use tracing::{error, warn};

use super::compile::{CompiledDefinition, DeployError, Loader};
use super::hosting::Hosting;
use super::install::install;
use lotmq_core::tenant::Tenant;

/// Setting that marks a tenant which has got the rules of a fresh installation: those that are
/// removed later stay removed.
const SEEDED: &str = "rules.seeded";

/// Name of the store's table of settings.
const SETTINGS: &str = "settings";

/// Deploys the rules of a fresh installation in a tenant that never had them.
pub(super) fn plant(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    settings: &[SettingRow],
    quarantined: &[QuarantineRow],
) {
    let is_seeded = |row: &SettingRow| row.tenant == tenant.id && row.name == SEEDED;
    if settings.iter().any(is_seeded) {
        return;
    }
    // Removed rules must not return because the note of their removal is damaged.
    if quarantined.iter().any(|row| row.table == SETTINGS) {
        error!(
            tenant = &*tenant.name,
            "the rules of a fresh installation may have been removed; -restoreRules puts them back"
        );
        return;
    }
    let mut batch = Batch::new();
    restore(tenant, hosting, OnExisting::Refuse, &mut batch);
    let row = SettingRow { tenant: tenant.id, name: SEEDED.to_owned(), value: "true".to_owned() };
    batch.push(Op::PutSetting(&row));
    if let Err(error) = hosting.core.log.commit(batch) {
        error!(tenant = &*tenant.name, %error, "the rules of a fresh installation were not stored");
    }
}

/// Deploys the rules of a fresh installation; returns those that were deployed.
pub fn restore(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    existing: OnExisting,
    batch: &mut Batch,
) -> Vec<Arc<Definition>> {
    let mut deployed = Vec::new();
    for (name, compiled) in compiled(hosting.loader(), hosting.definitions_now().wall, existing) {
        match compiled.and_then(|compiled| install(tenant, hosting, compiled, batch)) {
            Ok(installed) => deployed.push(installed.definition),
            Err(error) => warn!(tenant = &*tenant.name, definition = name, %error, "rule not deployed"),
        }
    }
    deployed
}

/// Compiles the rules of a fresh installation, each with its name.
pub fn compiled(
    loader: Loader<'_>,
    installed_at: Timestamp,
    existing: OnExisting,
) -> impl Iterator<Item = (&'static str, Result<CompiledDefinition, DeployError>)> {
    SEEDS.iter().filter_map(move |seed| {
        let options = lot_to_wasm::CompileOptions::default();
        let mut compilation = lot_to_wasm::compile(seed.source, &options);
        let output = compilation.entities.pop().and_then(|entity| entity.output)?;
        let new = NewDefinition {
            kind: DefinitionKind::Rule,
            name: seed.name.into(),
            source: seed.source.into(),
            origin: Origin::AdHoc,
            lines_before: 0,
            owner: None,
            facts: Arc::new(output.facts),
            installed_at,
            order: None,
        };
        Some((seed.name, CompiledDefinition::of_entity(loader, &output.component, new, existing)))
    })
}

/// Whether a rule is one of a fresh installation.
pub fn is_seed(name: &str) -> bool {
    SEEDS.iter().any(|seed| seed.name == name)
}
