//! Bounds of topics and User Properties in Clients' packets, beyond the standard.

use lotmq_codec::Properties;
use lotmq_config::ListenerLimits;
use lotmq_router::has_more_levels;

use crate::limits::Limit;

/// Smallest size of a User Property in a packet: its identifier and two lengths.
const USER_PROPERTY_BYTES_MIN: usize = 5;

/// Checks a Topic Name.
pub(super) fn topic(limits: &ListenerLimits, topic: &str) -> Result<(), Limit> {
    filter(limits, topic, topic)
}

/// Checks a Topic Filter: all its bytes, and the levels that Topic Names are compared with, which
/// are fewer in a shared subscription.
pub(super) fn filter(limits: &ListenerLimits, whole: &str, compared: &str) -> Result<(), Limit> {
    if whole.len() > limits.topic_bytes as usize {
        return Err(Limit::TopicBytes);
    }
    if has_more_levels(compared, limits.topic_levels as usize) { Err(Limit::TopicLevels) } else { Ok(()) }
}

/// The filters of a packet, unless there are too many.
pub(super) fn filters<T>(limits: &ListenerLimits, filters: impl Iterator<Item = T>) -> Result<Vec<T>, Limit> {
    let most = limits.filters_per_packet as usize;
    let all: Vec<T> = filters.take(most.saturating_add(1)).collect();
    if all.len() > most { Err(Limit::FiltersPerPacket) } else { Ok(all) }
}

/// Checks the User Properties of a packet. They are looked at only where so many bytes of
/// properties could break a bound.
pub(crate) fn user_properties(limits: &ListenerLimits, properties: Properties<'_>) -> Result<(), Limit> {
    let (count_max, bytes_max) = (limits.user_properties as usize, limits.user_property_bytes as usize);
    let all = properties.raw().len();
    if all <= bytes_max && all <= count_max.saturating_mul(USER_PROPERTY_BYTES_MIN) {
        return Ok(());
    }
    let (mut count, mut bytes) = (0, 0);
    for (name, value) in properties.user_properties() {
        count += 1;
        bytes += name.len() + value.len();
    }
    if count > count_max {
        Err(Limit::UserProperties)
    } else if bytes > bytes_max {
        Err(Limit::UserPropertyBytes)
    } else {
        Ok(())
    }
}
