//! Recovery of what was deployed: modules, definitions and projects.

use lotmq_changes::{DefinitionRow, ModuleRow, ProjectRow, SettingRow};

use crate::guests;
use crate::guests::outboxes;
use crate::management::broker::Broker;
use crate::management::{assets, modules, tenant_projects};
use lotmq_process::restoring::Restoring;

/// Deploys it again. No route is opened before the module that it names, and those that decide on
/// what it publishes.
pub(crate) fn deployed(
    broker: &Broker,
    modules: Vec<ModuleRow>,
    definitions: Vec<DefinitionRow>,
    (projects, settings): (Vec<ProjectRow>, &[SettingRow]),
) {
    let all = modules.iter().filter(|module| !module.is_former).count() + definitions.len();
    broker.cold_start.begin(all);
    let restoring = Restoring::of(modules.len() + definitions.len());
    let (under_definitions, other_modules): (Vec<_>, Vec<_>) =
        modules.into_iter().partition(modules::is_under_definitions);
    modules::restore(&broker.hosting, under_definitions, &restoring);
    assets::restore(&broker.hosting);
    let definitions = tenant_projects::restore_displaced(&broker.tenants, definitions);
    guests::definitions(&broker.hosting, definitions, (settings, &broker.quarantined), &restoring);
    outboxes::forget_unclaimed(broker);
    tenant_projects::restore(&broker.tenants, projects, settings);
    modules::restore(&broker.hosting, other_modules, &restoring);
    modules::note_quarantined(&broker.hosting, &broker.quarantined);
}
