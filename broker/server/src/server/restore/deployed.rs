//! Restoring of what was deployed: modules, definitions and projects.

use std::sync::Arc;

use lotmq_changes::Recovered;

use lotmq_core::tenant::Tenant;
use lotmq_operations::broker::Broker;
use lotmq_operations::{assets, modules, tenant_projects};
use lotmq_process::restoring::Restoring;
use lotmq_programs::outboxes;

/// Deploys again what these tenants had, and takes it out of `rows`. No route is opened before the
/// module that it names, and those that decide on what it publishes.
pub(crate) fn deployed(broker: &Broker, tenants: &[Arc<Tenant>], rows: &mut Recovered) {
    let (modules, definitions) = (std::mem::take(&mut rows.modules), std::mem::take(&mut rows.definitions));
    let all = modules.iter().filter(|module| !module.is_former).count() + definitions.len();
    broker.hosting.cold_start.begin(all);
    let restoring = Restoring::of(modules.len() + definitions.len());
    let (under_definitions, other_modules): (Vec<_>, Vec<_>) =
        modules.into_iter().partition(modules::is_under_definitions);
    modules::restore(&broker.hosting, tenants, under_definitions, &restoring);
    assets::restore(&broker.hosting, tenants);
    let definitions = tenant_projects::restore_displaced(tenants, definitions);
    let notes = (&*rows.settings, &*broker.quarantined);
    lotmq_programs::definitions(&broker.hosting, tenants, definitions, notes, &restoring);
    outboxes::forget_unclaimed(&broker.hosting, tenants);
    tenant_projects::restore(tenants, std::mem::take(&mut rows.projects), &rows.settings);
    modules::restore(&broker.hosting, tenants, other_modules, &restoring);
    modules::note_quarantined(tenants, &broker.quarantined);
}
