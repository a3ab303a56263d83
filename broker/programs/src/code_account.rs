//! Account for which the compiled code of a definition counts: it takes memory, and memory
//! mappings, of which the process has few.
//!
//! Not here: how much there is, and who has it (`lotmq_host`).

use lotmq_core::tenant::Tenant;
use lotmq_definitions::{DefinitionKind, Owner, State};
use lotmq_host::{CodeAccount, CodeBound, Engine};

use super::authority;
use crate::HasPrograms as _;

/// Account for the code that a loader makes.
#[derive(Clone, Copy)]
pub enum CodeQuotaKey<'a> {
    /// The broker itself, or a tool: there is no bound.
    Broker,
    /// Owner of the definition that is compiled, in this tenant.
    OwnerIn(&'a Tenant),
    /// Owner of the stored definition that is compiled behind the listeners of a start, in this
    /// tenant. The code is held to the sum, as if it had been compiled before.
    OwnerOfStoredIn(&'a Tenant),
    /// This account.
    Account(CodeAccount),
}

impl CodeQuotaKey<'_> {
    /// The account for code of the definition of this name and owner.
    pub(super) fn account(
        self,
        engine: &Engine,
        (kind, name): (DefinitionKind, &str),
        owner: Option<&Owner>,
    ) -> CodeAccount {
        match self {
            CodeQuotaKey::Broker => CodeAccount::BROKER,
            CodeQuotaKey::OwnerIn(tenant) => of_owner((tenant, engine), (kind, name), owner),
            CodeQuotaKey::OwnerOfStoredIn(tenant) => of_stored(tenant, (kind, name), owner),
            CodeQuotaKey::Account(account) => account,
        }
    }
}

fn quota_key_of(owner: Option<&Owner>) -> u64 {
    owner.map_or(0, Owner::quota_key)
}

fn of_owner(
    (tenant, engine): (&Tenant, &Engine),
    (kind, name): (DefinitionKind, &str),
    owner: Option<&Owner>,
) -> CodeAccount {
    let quota_key = quota_key_of(owner);
    let registry = tenant.programs().guests.registry.read();
    let is_loading = registry.is_loading();
    // One that failed has no code to give back.
    let replaces = registry.get(kind, name).is_some_and(|known| {
        quota_key_of(known.owner()) == quota_key && registry.state(known.id) != Some(State::Error)
    });
    drop(registry);
    // Rules are asked who is an administrator only where that matters, and without the lock, for
    // they may look at definitions. A module may be larger than the share of a user who has
    // nothing.
    let may_matter = kind == DefinitionKind::Module || engine.code_is_scarce_for(quota_key);
    let is_administrator = || {
        let identity = owner.and_then(|owner| authority::identity(&tenant.users, owner));
        may_matter && identity.is_some_and(|identity| tenant.is_administrator(&identity))
    };
    let bound = if is_loading {
        CodeBound::Sum
    } else if replaces {
        CodeBound::Replacement { has_share: !is_administrator() }
    } else if is_administrator() {
        CodeBound::Sum
    } else {
        CodeBound::Share
    };
    CodeAccount { quota_key, bound }
}

/// The first code of a stored definition has the bound that it had without delay; optimised code
/// takes the place of the first.
fn of_stored(tenant: &Tenant, (kind, name): (DefinitionKind, &str), owner: Option<&Owner>) -> CodeAccount {
    let registry = tenant.programs().guests.registry.read();
    let known = registry.get(kind, name);
    let has_code = known.is_some_and(|known| !registry.is_compiling(known.id, known.version));
    let bound = if has_code { CodeBound::Replacement { has_share: false } } else { CodeBound::Sum };
    CodeAccount { quota_key: quota_key_of(owner), bound }
}
