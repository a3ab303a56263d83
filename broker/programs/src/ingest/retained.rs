//! Retained messages for route guests, page by page.

use std::sync::Arc;

use lotmq_core::message::Message;
use lotmq_core::tenant::Tenant;
use lotmq_host::limits::{RETAINED_PAGE_BYTES, RETAINED_PAGE_MESSAGES_MAX};
use lotmq_host::route::{RetainedMessage, properties_of};
use lotmq_host::{MessageExtras, OwnedMessage};

use super::super::message_qos::qos;
use super::super::route_drivers::route_qos;
use super::super::services::TenantServices;

/// The next messages that a filter matches, behind the topic `after`, that the guest was granted
/// and its owner may read, with the topic behind which there may be more.
pub(super) fn page(
    services: &TenantServices,
    filter: &str,
    after: Option<&str>,
    is_granted: &dyn Fn(&str) -> bool,
) -> (Vec<RetainedMessage>, Option<String>) {
    let (Some(tenant), Some(hosting)) = (services.tenant.upgrade(), services.hosting.upgrade()) else {
        return (Vec::new(), None);
    };
    let (found, next_after) = scan(&tenant, filter, after);
    let now_ms = hosting.core.clock.lifetime_ms();
    let may_read = |message: &&Arc<Message>| {
        let topic = message.topic();
        !message.is_expired(now_ms) && is_granted(topic) && services.rights.may_read(&tenant, topic)
    };
    let messages = found.iter().filter(may_read).map(|message| for_guest(message, now_ms)).collect();
    (messages, next_after)
}

fn scan(tenant: &Tenant, filter: &str, after: Option<&str>) -> (Vec<Arc<Message>>, Option<String>) {
    let retained = tenant.retained.read();
    let slice = retained.scan(filter, after, RETAINED_PAGE_MESSAGES_MAX);
    let (mut found, mut bytes) = (Vec::with_capacity(slice.entries.len()), 0);
    for (topic, kept) in &slice.entries {
        if bytes >= RETAINED_PAGE_BYTES {
            let last = found.last().map(|message: &Arc<Message>| message.topic().to_owned());
            return (found, last);
        }
        bytes += topic.len() + kept.size();
        found.push(Arc::clone(kept));
    }
    (found, slice.resume_after.map(|topic| topic.to_string()))
}

fn for_guest(message: &Message, now_ms: u64) -> RetainedMessage {
    let parts = message.parts();
    let owned = OwnedMessage {
        extras: MessageExtras::of(None, message.properties_bytes(), parts.expires_at_ms),
        ..OwnedMessage::new(parts.topic, message.payload())
    };
    RetainedMessage {
        topic: parts.topic.to_owned(),
        payload: parts.payload.to_vec(),
        qos: route_qos(qos(parts.qos)),
        properties: properties_of(&owned, now_ms),
    }
}
