//! Listings: computed only while somebody subscribes. Commands reference §5.

use std::sync::Arc;

use super::documents::{Document, LISTINGS};
use crate::broker::Broker;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;

/// Listing for a new subscriber.
pub(super) fn listing(broker: &Broker, tenant: &Tenant, document: &'static Document) -> Arc<str> {
    broker.sys.listings.get((tenant.number, document.topic), || (document.payload)(broker, tenant))
}

/// Publishes changed listings to those who are subscribed, and forgets those without subscribers.
pub(super) fn publish(broker: &Broker, turn: &mut Turn, tenant: &Arc<Tenant>) {
    for document in LISTINGS {
        let key = (tenant.number, document.topic);
        if !tenant.has_subscribers(document.topic) {
            broker.sys.listings.forget(key);
            continue;
        }
        let payload = listing(broker, tenant, document);
        if broker.sys.listings.is_news(key, &payload) {
            super::publish(turn, tenant, document.topic, payload.as_bytes(), true);
        }
    }
}
