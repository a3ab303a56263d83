//! Definitions that messages on one topic start, split by whether publishers may have to wait for
//! them. Those of administrators and routes start one by one, the others grouped by owner.
//!
//! It shares nothing out: it decides which definitions have a turn of their owner.
//!
//! A subscriber must not slow down its publishers. So the cost for the publisher does not grow with
//! the number of definitions that another owner has. See `inline_budget` for the part that runs in
//! the publisher's turn, and `relay` for the rest.

use std::collections::HashMap;
use std::sync::Arc;

use lotmq_definitions::Owner;

use super::relay::OwnerRelay;
use super::{Starts, TriggeredDefinition, rights};
use crate::HasPrograms as _;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;

/// Definitions of one owner, who is no administrator, that messages on one topic start.
pub(super) struct OwnerGroup {
    pub(super) triggers: Arc<[Arc<TriggeredDefinition>]>,
    pub(super) relay: Arc<OwnerRelay>,
}

impl OwnerGroup {
    /// Returns whether the publisher may have to wait for them. This holds for their owner and,
    /// while `guests_pay`, for programs of that owner.
    pub(super) fn is_of(&self, publication: &Publication<'_>, guests_pay: bool) -> bool {
        let publisher = match publication.source {
            Some(client) => client.quota_key(),
            None if guests_pay => publication.owner.map_or(0, Owner::quota_key),
            None => return false,
        };
        self.relay.owner.quota_key == publisher
    }
}

/// Definitions that are started one by one, and the groups of the others.
pub(super) type Apart = (Box<[Arc<TriggeredDefinition>]>, Box<[Arc<OwnerGroup>]>);

/// Takes definitions apart: those that are started one by one, in their order, and the groups of
/// the others.
pub(super) fn apart(tenant: &Tenant, triggers: Box<[Arc<TriggeredDefinition>]>) -> Apart {
    if triggers.iter().all(|trigger| trigger.relay.is_none()) {
        return (triggers, Box::default());
    }
    let authority = tenant.programs().guests.authority;
    let mut alone = Vec::new();
    let mut may_hold_up: HashMap<u64, bool> = HashMap::new();
    let mut groups: Vec<(Arc<OwnerRelay>, Vec<Arc<TriggeredDefinition>>)> = Vec::new();
    for trigger in triggers {
        let Some(relay) = trigger.relay.as_ref().filter(|_| matches!(trigger.starts, Starts::Guest(_)))
        else {
            alone.push(trigger);
            continue;
        };
        let owner = trigger.definition.owner();
        let may_hold_up = may_hold_up.entry(trigger.definition.account());
        if *may_hold_up.or_insert_with(|| rights::may_hold_up_all(tenant, authority, owner)) {
            alone.push(trigger);
            continue;
        }
        match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, relay)) {
            Some((_, triggers)) => triggers.push(trigger),
            None => groups.push((Arc::clone(relay), vec![trigger])),
        }
    }
    let group = |(relay, triggers): (Arc<OwnerRelay>, Vec<_>)| {
        Arc::new(OwnerGroup { triggers: triggers.into(), relay })
    };
    (alone.into(), groups.into_iter().map(group).collect())
}
