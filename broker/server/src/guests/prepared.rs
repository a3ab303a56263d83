//! Deployment of compiled entities of every kind: first the part that takes long and changes nothing, then the change.

use std::sync::Arc;

use lot_facts::Kind;
use lotmq_auth::built_in::built_in;
use lotmq_definitions::{DefinitionKind, InstallError, NewDefinition, OnExisting};
use lotmq_host::Engine;
use lotmq_store::Batch;

use super::routes::{RouteDeployment, RouteTypes};
use super::{DeployError, Deployed, Deployment, Guests, rules, views};
use crate::guests::compiles::Compiles;
use crate::guests::hosting::Hosting;
use lotmq_core::tenant::Tenant;

/// Loader: makes native code of what the LoT compiler made.
#[derive(Clone, Copy)]
pub(crate) struct Loader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) compiles: &'a Compiles,
    pub(crate) route_types: &'a RouteTypes,
}

/// Compiled entity that can be installed.
#[derive(Clone)]
pub(crate) enum Prepared {
    /// An Action or Model.
    Guest(Box<Deployment>),
    Route(Box<RouteDeployment>),
    Rule {
        component: Vec<u8>,
        new: Box<NewDefinition>,
        existing: OnExisting,
    },
    /// A Panel or Theme.
    View(Box<NewDefinition>, OnExisting),
}

impl Prepared {
    /// What is going to be installed.
    pub(crate) fn new_definition(&self) -> &NewDefinition {
        match self {
            Prepared::Guest(deployment) => &deployment.new,
            Prepared::Route(deployment) => &deployment.new,
            Prepared::Rule { new, .. } | Prepared::View(new, _) => new,
        }
    }

    /// No run of it within a turn is given up for its slice of time, whatever else the machine does.
    pub(crate) fn never_gives_up(&mut self) {
        if let Prepared::Guest(deployment) = self {
            deployment.limits.slice = std::time::Duration::MAX;
        }
    }

    /// What is going to be installed, to be changed.
    pub(crate) fn new_definition_mut(&mut self) -> &mut NewDefinition {
        match self {
            Prepared::Guest(deployment) => &mut deployment.new,
            Prepared::Route(deployment) => &mut deployment.new,
            Prepared::Rule { new, .. } | Prepared::View(new, _) => new,
        }
    }
}

impl Guests {
    /// Compiles a component to native code, or finds the guest that runs it.
    ///
    /// # Errors
    /// [`DeployError`].
    pub(crate) fn prepare(
        loader: Loader<'_>,
        component: Vec<u8>,
        new: NewDefinition,
        existing: OnExisting,
    ) -> Result<Prepared, DeployError> {
        match new.facts.kind {
            Kind::Action | Kind::Model => {
                Self::load(loader, &component, new, existing).map(|loaded| Prepared::Guest(Box::new(loaded)))
            }
            Kind::Route => {
                Self::load_route(loader, new, existing).map(|loaded| Prepared::Route(Box::new(loaded)))
            }
            Kind::Rule if built_in(&new.name).is_some() => {
                let (kind, name) = (DefinitionKind::Rule, Arc::clone(&new.name));
                Err(InstallError::Exists { kind, name }.into())
            }
            Kind::Rule => Ok(Prepared::Rule { component, new: Box::new(new), existing }),
            Kind::Panel | Kind::Theme => Ok(Prepared::View(Box::new(new), existing)),
        }
    }

    /// Installs a definition; it is in force then. What it needs to survive is added to `batch`.
    ///
    /// # Errors
    /// [`DeployError`]; nothing has changed then.
    pub(crate) fn install(
        tenant: &Arc<Tenant>,
        hosting: &Arc<Hosting>,
        prepared: Prepared,
        batch: &mut Batch,
    ) -> Result<Deployed, DeployError> {
        let installed = match prepared {
            Prepared::Guest(deployment) => Self::deploy(tenant, hosting, *deployment, batch)?,
            Prepared::Route(deployment) => Self::deploy_route(tenant, hosting, *deployment, batch)?,
            Prepared::Rule { component, new, existing } => {
                rules::deploy(tenant, hosting, &component, *new, existing, batch)?
            }
            Prepared::View(new, existing) => views::deploy(tenant, hosting, *new, existing, batch)?,
        };
        if installed.definition.kind() == DefinitionKind::Model {
            Self::rebuild_models(tenant, hosting, installed.definition.name());
        }
        Ok(installed)
    }
}
