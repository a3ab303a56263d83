//! Definitions that messages on one topic start, apart by whether their publishers may have to wait for them: those of administrators and routes one by one, the others by
//! their owner.
//!
//! To receive what others publish gives nobody the right to slow them down. So what definitions of one owner cost a publisher who is not he does not grow with their
//! number: see `others_time` for what of it runs in his turn, and `relay` for the rest.

use std::sync::Arc;

use super::relay::OwnerRelay;
use super::{Starts, TriggeredDefinition, rights};
use crate::guests::HasPrograms as _;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;

/// Definitions of one owner, who is no administrator, that messages on one topic start.
pub(super) struct OwnerGroup {
    /// His name; `None` for those that belong to nobody.
    owner: Option<Arc<str>>,
    pub(super) triggers: Arc<[Arc<TriggeredDefinition>]>,
    pub(super) relay: Arc<OwnerRelay>,
}

impl OwnerGroup {
    /// Whether whoever publishes this may have to wait for them: their owner, or what he has deployed, while `guests_pay`.
    pub(super) fn is_of(&self, publication: &Publication<'_>, guests_pay: bool) -> bool {
        let publisher = match publication.source {
            Some(client) => client.user.as_ref(),
            None if guests_pay => publication.owner.map(|owner| &owner.name),
            None => return false,
        };
        self.owner.as_ref() == publisher
    }
}

/// Definitions that are started one by one, and the groups of the others.
pub(super) type Apart = (Box<[Arc<TriggeredDefinition>]>, Box<[Arc<OwnerGroup>]>);

/// What one account has deployed of them: its relay, unless it is an administrator's, and the definitions.
struct OfAccount {
    account: u64,
    relay: Option<Arc<OwnerRelay>>,
    triggers: Vec<Arc<TriggeredDefinition>>,
}

/// Takes definitions apart: those that are started one by one, in their order, and the groups of the others.
pub(super) fn apart(tenant: &Tenant, triggers: Box<[Arc<TriggeredDefinition>]>) -> Apart {
    if triggers.iter().all(|trigger| trigger.relay.is_none()) {
        return (triggers, Box::default());
    }
    let authority = tenant.programs().guests.authority;
    let mut alone = Vec::new();
    let mut owners: Vec<OfAccount> = Vec::new();
    for trigger in triggers {
        let Some(relay) = trigger.relay.as_ref().filter(|_| matches!(trigger.starts, Starts::Guest(_)))
        else {
            alone.push(trigger);
            continue;
        };
        let account = trigger.definition.account();
        let at = owners.iter().position(|known| known.account == account).unwrap_or_else(|| {
            let may_hold_up = rights::may_hold_up_all(tenant, authority, trigger.definition.owner());
            let relay = (!may_hold_up).then(|| Arc::clone(relay));
            owners.push(OfAccount { account, relay, triggers: Vec::new() });
            owners.len() - 1
        });
        match owners[at].relay.is_some() {
            true => owners[at].triggers.push(trigger),
            false => alone.push(trigger),
        }
    }
    let group = |OfAccount { relay, triggers, .. }| {
        let owner = triggers.first()?.definition.owner().map(|owner| Arc::clone(&owner.name));
        Some(Arc::new(OwnerGroup { owner, triggers: triggers.into(), relay: relay? }))
    };
    (alone.into(), owners.into_iter().filter_map(group).collect())
}
