//! Topics below `$SYS`: which belong to the tree, and which of them Clients may publish to.

use lotmq_auth::Identity;

/// Topic to which commands are published (commands reference §1).
pub const COMMAND_TOPIC: &str = "$SYS/Coreflux/Command";

/// Topic of all replies (commands reference §1.7).
pub const OUTPUT_TOPIC: &str = "$SYS/Coreflux/Command/Output";

/// Beginning and end of the topic of a bridge's state.
const PREFIX: &str = "$SYS/broker/connection/";
const SUFFIX: &str = "/state";

/// Longest Client Identifier of a bridge in bytes; mosquitto's are its host's name and that of the
/// bridge.
const CLIENT_ID_BYTES_MAX: usize = 400;

/// Whether a topic belongs to the tree, to which only the broker publishes.
pub fn is_system(topic: &str) -> bool {
    topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a subscription is to the replies that every user may read without a right: those to
/// their own commands.
pub(crate) fn may_have_own_replies(identity: &Identity, filter: &str) -> bool {
    filter == OUTPUT_TOPIC && identity.user().is_some()
}

/// Whether a topic holds the state of the bridge with this Client Identifier.
pub fn is_state_of(topic: &str, client_id: &str) -> bool {
    let named = topic.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    named
        .is_some_and(|named| named == client_id && !named.contains('/') && named.len() <= CLIENT_ID_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_belongs_to_the_client_that_its_topic_names() {
        for (topic, client_id, expected) in [
            ("$SYS/broker/connection/host.cloud/state", "host.cloud", true),
            ("$SYS/broker/connection/host.cloud/state", "host", false),
            ("$SYS/broker/connection//state", "", true),
            ("$SYS/broker/connection/state", "", false),
            ("$SYS/broker/connection/a/b/state", "a/b", false),
            ("$SYS/broker/connection/host/state/x", "host", false),
            ("$SYS/broker/uptime", "uptime", false),
        ] {
            assert_eq!(is_state_of(topic, client_id), expected, "{topic} of {client_id}");
        }
        let long = "x".repeat(CLIENT_ID_BYTES_MAX + 1);
        assert!(!is_state_of(&format!("{PREFIX}{long}{SUFFIX}"), &long));
    }
}
