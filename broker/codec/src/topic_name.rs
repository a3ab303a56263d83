//! The one rule about Topic Names that a decoder enforces: not empty, no wildcards. The rest is the router's.

use crate::scan::has_any;

/// Whether `topic` may stand where a Topic Name must: at least one byte \[MQTT-4.7.3-1\], no `+` and `#` \[MQTT-3.3.2-2\].
#[inline]
pub(crate) fn is_topic_name(topic: &str) -> bool {
    !topic.is_empty() && !has_any(topic.as_bytes(), [b'+', b'#'])
}
