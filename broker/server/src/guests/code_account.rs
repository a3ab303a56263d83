//! Account for which the compiled code of a definition counts: it takes memory mappings, of which
//! the process has few.
//!
//! A start restores all programs if there are mappings for them, whatever the shares of their
//! owners. If there are too few, each owner gets as many as the others, up to what was stored
//! ([`StartCode`]). Rules come first and take what they need: without them the broker denies.
//!
//! Not here: how many mappings there are, and who has them (`lotmq_host`).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use lotmq_core::tenant::{Tenant, Tenants};
use lotmq_definitions::{DefinitionKind, Owner, State};
use lotmq_host::limits::MAPPINGS_PER_PROGRAM;
use lotmq_host::{CodeAccount, CodeBound, Engine};
use lotmq_shares::divided;
use lotmq_store::{DefinitionRow, ModuleRow, TenantId};

use super::authority;
use crate::guests::HasPrograms as _;

/// Account for the code that a loader makes.
#[derive(Clone, Copy)]
pub(crate) enum CodePayer<'a> {
    /// The broker itself, or a tool: there is no bound.
    Broker,
    /// Owner of the definition that is compiled, in this tenant.
    OwnerIn(&'a Tenant),
    /// This account.
    Account(CodeAccount),
}

impl CodePayer<'_> {
    /// The account for code of the definition of this name and owner.
    pub(super) fn account(
        self,
        engine: &Engine,
        (kind, name): (DefinitionKind, &str),
        owner: Option<&Owner>,
    ) -> CodeAccount {
        match self {
            CodePayer::Broker => CodeAccount::BROKER,
            CodePayer::OwnerIn(tenant) => of_owner((tenant, engine), (kind, name), owner),
            CodePayer::Account(account) => account,
        }
    }
}

/// Mappings that each owner may have of those for code, at a start that has too few for all.
#[derive(Debug, Default)]
pub(crate) struct StartCode(OnceLock<Arc<BTreeMap<u64, u64>>>);

/// Number of definitions of an owner that have code of their own.
#[derive(Clone, Copy, Debug, Default)]
struct StoredCode {
    rules: u64,
    /// Actions, models and modules.
    programs: u64,
}

impl StartCode {
    /// Divides the free mappings among the owners of what is stored, in all tenants. Called before
    /// anything is restored.
    pub(crate) fn divide(
        (engine, tenants): (&Engine, &Tenants),
        modules: &[ModuleRow],
        definitions: &[DefinitionRow],
    ) {
        let tenants = tenants.all();
        let payer = |of: TenantId, owner: &str| {
            let tenant = tenants.iter().find(|tenant| tenant.id == of);
            tenant.and_then(|it| authority::owner(&it.users, owner)).map_or(0, |owner| owner.payer())
        };
        let mut stored = BTreeMap::<u64, StoredCode>::new();
        for row in modules.iter().filter(|row| !row.is_former) {
            stored.entry(payer(row.tenant, &row.owner)).or_default().programs += 1;
        }
        for row in definitions {
            let owner = || payer(row.tenant, &row.owner);
            match row.kind.as_str() {
                kind if kind == DefinitionKind::Rule.key() => stored.entry(owner()).or_default().rules += 1,
                kind if [DefinitionKind::Action, DefinitionKind::Model].iter().any(|it| it.key() == kind) => {
                    stored.entry(owner()).or_default().programs += 1;
                }
                _ => {}
            }
        }
        let (used, max, _) = engine.code_mappings();
        let rules: u64 = stored.values().map(|of| of.rules).sum();
        let left = (max.saturating_sub(used) / MAPPINGS_PER_PROGRAM).saturating_sub(rules);
        let demands: Vec<u64> = stored.values().map(|of| of.programs).collect();
        let programs: u64 = demands.iter().sum();
        if programs <= left {
            return;
        }
        let granted = stored.into_iter().zip(divided(left, &demands));
        let bound = |of: StoredCode, granted| (of.rules + granted) * MAPPINGS_PER_PROGRAM;
        let bounds: BTreeMap<u64, u64> =
            granted.map(|((payer, of), granted)| (payer, bound(of, granted))).collect();
        tracing::warn!(
            programs,
            room = left,
            owners = bounds.len(),
            "too few memory mappings for all stored programs; each owner gets an equal part"
        );
        let bounds = Arc::new(bounds);
        for tenant in tenants.iter() {
            // Nobody else sets it.
            let _ = tenant.programs().start_code.0.set(Arc::clone(&bounds));
        }
    }

    /// Bound on code of this payer that was stored before the start.
    fn bound(&self, payer: u64) -> CodeBound {
        self.0
            .get()
            .map_or(CodeBound::Sum, |bounds| CodeBound::UpTo(bounds.get(&payer).copied().unwrap_or_default()))
    }
}

fn of_owner(
    (tenant, engine): (&Tenant, &Engine),
    (kind, name): (DefinitionKind, &str),
    owner: Option<&Owner>,
) -> CodeAccount {
    let payer_of = |owner: Option<&Owner>| owner.map_or(0, Owner::payer);
    let payer = payer_of(owner);
    let registry = tenant.programs().guests.registry.read();
    let known = registry.get(kind, name).filter(|known| payer_of(known.owner()) == payer);
    let state = known.and_then(|known| registry.state(known.id));
    // Of a start, as is a definition whose code is compiled behind the listeners.
    let is_of_start = registry.is_loading() || state == Some(State::Compiling);
    // One that failed has no code to give back.
    let replaces = state.is_some_and(|state| state != State::Error);
    drop(registry);
    // Rules are asked who is an administrator only where that matters, and without the lock, for
    // they may look at definitions.
    let is_administrator = || {
        let identity = owner.and_then(|owner| authority::identity(&tenant.users, owner));
        engine.code_is_scarce_for(payer)
            && identity.is_some_and(|identity| tenant.is_administrator(&identity))
    };
    let bound = if is_of_start && kind == DefinitionKind::Rule {
        CodeBound::Sum
    } else if is_of_start {
        tenant.programs().start_code.bound(payer)
    } else if replaces {
        CodeBound::Replacement
    } else if is_administrator() {
        CodeBound::Sum
    } else {
        CodeBound::Share
    };
    CodeAccount { payer, bound }
}
