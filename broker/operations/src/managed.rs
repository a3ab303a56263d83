//! Management of a tenant: its modules, projects, audit, and figures.

mod removed_names;

use self::removed_names::RemovedNames;
use crate::asset_catalog::Assets;
use crate::audit::Audit;
use crate::denials::Denials;
use crate::module_catalog::Modules;
use crate::projects::Projects;
use crate::refused_logins::RefusedLogins;
use crate::system_state::{BridgeStates, Counted};
use lotmq_core::tenant::Tenant;
use lotmq_programs::HasPrograms as _;
use std::sync::Arc;

/// Management of one tenant.
pub struct Managed {
    pub(crate) counted: Counted,
    pub(crate) bridges: Arc<BridgeStates>,
    pub(crate) modules: Modules,
    /// Installed instances of modules.
    pub assets: Assets,
    pub(crate) projects: Projects,
    /// Audit of the tenant.
    pub audit: Audit,
    pub(crate) denials: Denials,
    pub(crate) refused_logins: RefusedLogins,
    /// Names of removed definitions.
    pub removed_names: RemovedNames,
}

impl Managed {
    /// Returns the state of a tenant that has only an audit.
    pub fn new(audit: Audit) -> Self {
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

/// Access from a tenant to its [`Managed`] state.
pub trait Managing {
    /// Returns the state of the tenant.
    fn managed(&self) -> &Managed;
}

impl Managing for Tenant {
    fn managed(&self) -> &Managed {
        self.programs().managed.downcast_ref().expect("every tenant is made with its managed state")
    }
}
