//! Management of a tenant: its modules, projects, audit, and figures.

use crate::management::asset_catalog::Assets;
use crate::management::audit::Audit;
use crate::management::denials::Denials;
use crate::management::module_catalog::Modules;
use crate::management::projects::Projects;
use crate::management::refused_logins::RefusedLogins;
use crate::management::removed_names::RemovedNames;
use crate::management::system_state::{BridgeStates, Counted};
use lotmq_core::tenant::Tenant;
use lotmq_programs::HasPrograms as _;
use std::sync::Arc;

/// Management of one tenant.
pub(crate) struct Managed {
    pub(crate) counted: Counted,
    pub(crate) bridges: Arc<BridgeStates>,
    pub(crate) modules: Modules,
    pub(crate) assets: Assets,
    pub(crate) projects: Projects,
    pub(crate) audit: Audit,
    pub(crate) denials: Denials,
    pub(crate) refused_logins: RefusedLogins,
    pub(crate) removed_names: RemovedNames,
}

impl Managed {
    pub(crate) fn new(audit: Audit) -> Self {
        Self {
            counted: Counted::default(),
            bridges: Arc::default(),
            modules: Modules::default(),
            assets: Assets::default(),
            projects: Projects::default(),
            audit,
            denials: Denials::default(),
            refused_logins: RefusedLogins::default(),
            removed_names: RemovedNames::default(),
        }
    }
}

/// Access from a tenant to its management.
pub(crate) trait Managing {
    fn managed(&self) -> &Managed;
}

impl Managing for Tenant {
    fn managed(&self) -> &Managed {
        self.programs().managed.downcast_ref().expect("every tenant is made with its management")
    }
}
