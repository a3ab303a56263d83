//! Topic Name rule of the decoders: not empty, no wildcards. The router checks the rest.

use crate::scan::has_any;

/// Returns whether `topic` is a valid Topic Name: at least one byte \[MQTT-4.7.3-1\], no `+` and
/// `#` \[MQTT-3.3.2-2\].
#[inline]
pub(crate) fn is_topic_name(topic: &str) -> bool {
    !topic.is_empty() && !has_any(topic.as_bytes(), [b'+', b'#'])
}
