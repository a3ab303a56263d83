//! Authority of guests: the accounts on whose behalf they act.
//!
//! Each version of a definition's code acts for the account that deployed it. Every write carries
//! this account from the moment of the host call ([`Writer`]). When the run has ended, the broker
//! compares the account with the current definition. It drops, counts and records the write if the
//! definition is gone or belongs to another account by now. The write stays valid if the same owner
//! has installed another version meanwhile.
//!
//! Invariant: an effect acts only for the account that deployed its code, never for the caller.

use std::sync::Arc;

use lotmq_auth::{Decide as _, Directory, Identity, Peer, Question, Scope};
use lotmq_definitions::{Definition, Owner, RunError};
use lotmq_host::Writer;
use tracing::warn;

use super::guest_id::{definition_id, guest_id};
use super::records;
use super::run::Run;
use crate::HasPrograms as _;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;

/// Code of effects that were dropped.
const AUTHORITY_GONE: &str = "AUTHORITY_GONE";

/// Client Identifier of guests in questions to rules and in commands: no Client has it, as one that
/// sends it is assigned another \[MQTT-3.1.3-6\].
const CLIENT_ID: &str = "";

/// Owner record of the user of this name.
pub fn owner(users: &Directory, name: &str) -> Option<Owner> {
    let account = users.account(name)?;
    Some(Owner { name: Arc::clone(&account.name), account: account.number })
}

/// Owner record of whoever gives a command; `None` for an anonymous one, and for one whose session
/// is not [current](Directory::is_current) any more.
pub fn owner_of(users: &Directory, identity: &Identity) -> Option<Owner> {
    let account = users.account_of(identity).filter(|_| users.is_current(identity))?;
    Some(Owner { name: Arc::clone(&account.name), account: account.number })
}

/// Reader of what definitions hold: their sources, and the messages that they were handed.
pub struct SourceReader {
    user: Option<Owner>,
    may_configure: bool,
}

impl SourceReader {
    /// The reader with the present rights of an identity.
    pub fn new(tenant: &Tenant, identity: &Identity) -> Self {
        let may_configure = Question::operation(identity, Scope::SystemConfiguration);
        Self {
            user: owner_of(&tenant.users, identity),
            may_configure: tenant.permissions.decide(&may_configure).is_allowed(),
        }
    }

    /// Whether they see all that a definition of this owner holds: they are the owner, or may
    /// configure the system.
    pub fn sees_all_of(&self, owner: Option<&Owner>) -> bool {
        self.may_configure || owner.is_some_and(|owner| self.user.as_ref() == Some(owner))
    }
}

/// Identity of an owner for the rules, with current rights; `None` if the account is gone.
pub fn identity(users: &Directory, owner: &Owner) -> Option<Identity> {
    let principal = users.principal(&owner.name).filter(|it| it.number() == owner.account)?;
    Some(Identity::new(principal, CLIENT_ID.into(), Peer::Guest))
}

/// Writers of the effects of a run, as they stand when the effects are carried out.
pub(super) struct Writers<'a> {
    tenant: &'a Tenant,
    /// Definition that has run.
    definition: &'a Arc<Definition>,
    /// Last writer that was looked up.
    last: Option<(Writer, Option<Arc<Definition>>)>,
    /// Writers that stand no longer, with the number of their effects.
    gone: Vec<(Writer, u64)>,
}

impl<'a> Writers<'a> {
    pub(super) fn new(tenant: &'a Tenant, definition: &'a Arc<Definition>) -> Self {
        Writers { tenant, definition, last: None, gone: Vec::new() }
    }

    /// Definition of a writer, if it still belongs to the account for which it wrote. Otherwise its
    /// effect counts as dropped.
    pub(super) fn definition_of(&mut self, writer: Writer) -> Option<&Arc<Definition>> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != writer) {
            let found = self.find(writer);
            self.last = Some((writer, found));
        }
        let found = self.last.as_ref().and_then(|(_, found)| found.as_ref());
        if found.is_none() {
            count(&mut self.gone, writer);
        }
        found
    }

    fn find(&self, writer: Writer) -> Option<Arc<Definition>> {
        let is_standing = |definition: &&Arc<Definition>| definition.acts_for(writer.authority.account);
        let own = self.definition;
        if writer.definition == guest_id(self.tenant, own.id) && is_standing(&own) {
            return Some(Arc::clone(own));
        }
        let registry = self.tenant.programs().guests.registry.read();
        registry.by_id(definition_id(writer.definition)).filter(is_standing).cloned()
    }

    /// Like [`definition_of`](Self::definition_of), for an effect that needs the rights of its
    /// owner. Returns the owner's current identity, or no identity if nobody deployed the
    /// definition.
    pub(super) fn acting(&mut self, writer: Writer) -> Option<(Arc<Definition>, Option<Identity>)> {
        let definition = {
            let registry = self.tenant.programs().guests.registry.read();
            registry.by_id(definition_id(writer.definition)).cloned()
        };
        let found = definition.filter(|it| it.acts_for(writer.authority.account)).and_then(|definition| {
            let Some(owner) = definition.owner() else { return Some((definition, None)) };
            let identity = identity(&self.tenant.users, owner)?;
            Some((definition, Some(identity)))
        });
        if found.is_none() {
            count(&mut self.gone, writer);
        }
        found
    }

    /// Reports dropped effects to the owners whose definition wrote them, or in whose run they
    /// were, while they still have that definition.
    pub(super) fn tell(self, turn: &mut Turn, run: &Run<'_>) {
        for (writer, count) in self.gone {
            turn.core.counters.guest_effects_dropped.add(count);
            let now = self
                .tenant
                .programs()
                .guests
                .registry
                .read()
                .by_id(definition_id(writer.definition))
                .cloned();
            let version = writer.authority.version;
            let (definition, message) = match now {
                Some(definition) => (
                    definition,
                    format!(
                        "{count} effect(s) of a run under way were dropped: version {version} of this definition acted for an owner to whom it does not belong any more"
                    ),
                ),
                None if !self.definition.activity.is_retired() => (
                    Arc::clone(self.definition),
                    format!(
                        "{count} effect(s) of what this run had called were dropped: it was removed meanwhile, or taken over by another user"
                    ),
                ),
                None => {
                    warn!(
                        tenant = &*self.tenant.name,
                        definition = &**self.definition.name(),
                        version,
                        count,
                        "effects dropped: the definition that wrote them was removed or taken over while it ran"
                    );
                    continue;
                }
            };
            let error = RunError { code: AUTHORITY_GONE, message: &message, ..RunError::default() };
            records::record(turn, self.tenant, &definition, &error, run.hops.saturating_add(1));
        }
    }
}

fn count(gone: &mut Vec<(Writer, u64)>, writer: Writer) {
    match gone.iter_mut().find(|(known, _)| *known == writer) {
        Some((_, count)) => *count += 1,
        None => gone.push((writer, 1)),
    }
}
