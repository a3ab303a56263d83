//! Messages that rules deny to a Client whose subscription asks for them. The log has a warning at
//! the first decision for each user, then at doubled counts.
//!
//! The subscription was granted, so nothing else says why nothing arrives. The counter counts
//! decisions. A cached decision for a topic holds for all its messages. Not here: denials that the
//! Client sees (`lotmq_operations::denials`).

use std::collections::HashMap;
use std::sync::Arc;

use lotmq_auth::{Identity, Question};
use lotmq_core::tenant::Tenant;
use parking_lot::Mutex;
use tracing::{Level, debug, enabled, warn};

use crate::limits::DELIVERY_DENIAL_USERS_MAX;

/// Decisions by user. Anonymous Clients count as one user: their identifiers are their own choice.
#[derive(Debug, Default)]
pub(crate) struct DeliveryDenials(Mutex<HashMap<Option<Arc<str>>, u64>>);

impl DeliveryDenials {
    /// Counts a decision; gives the count where the log is to be told.
    fn count(&self, user: Option<&Arc<str>>) -> Option<u64> {
        let mut known = self.0.lock();
        if known.len() >= DELIVERY_DENIAL_USERS_MAX && !known.contains_key(&user.cloned()) {
            known.clear();
        }
        let count = known.entry(user.cloned()).or_default();
        *count += 1;
        count.is_power_of_two().then_some(*count)
    }

    /// Tells that a Client does not get messages of a topic. The rule is asked for only where
    /// somebody hears of it.
    pub(crate) fn tell(&self, tenant: &Tenant, identity: &Identity, topic: &str) {
        let question = Question::subscribe(identity, topic);
        let (user, client_id) = (identity.user_name().unwrap_or_default(), &*identity.client_id);
        let source = identity.principal.source();
        let by = || tenant.permissions.denier(&question).map(|by| by.to_string()).unwrap_or_default();
        match self.count(identity.user()) {
            Some(count) => {
                warn!(target: "rules", tenant = &*tenant.name, user, %source, client_id, scope = question.scope.name(), topic, by = by(), count, "delivery denied by a rule");
            }
            // The debug level logs each decision. The log is below `$SYS/`, so a line about a
            // denial there would be denied in turn.
            None if !topic.starts_with("$SYS/") && enabled!(target: "rules", Level::DEBUG) => {
                debug!(target: "rules", tenant = &*tenant.name, user, %source, client_id, scope = question.scope.name(), topic, by = by(), "delivery denied by a rule");
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_denials_are_reported_per_user_first_and_at_doubled_counts() {
        let withheld = DeliveryDenials::default();
        let ada: Arc<str> = "ada".into();
        let told: Vec<u64> = (0..9).filter_map(|_| withheld.count(Some(&ada))).collect();
        assert_eq!(told, [1, 2, 4, 8]);
        assert_eq!(withheld.count(None), Some(1), "somebody else");
    }

    #[test]
    fn number_of_remembered_users_is_bounded() {
        let withheld = DeliveryDenials::default();
        for number in 0..2 * DELIVERY_DENIAL_USERS_MAX {
            withheld.count(Some(&number.to_string().into()));
        }
        assert!(withheld.0.lock().len() <= DELIVERY_DENIAL_USERS_MAX);
    }
}
