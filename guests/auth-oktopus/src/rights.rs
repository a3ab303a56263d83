//! Rights of a client, as grants. `%u` stands for the user name; the broker puts it in and refuses
//! names that would make a filter wider.

use lotmq_guest::auth::{Actions, Grant};

/// Topic that a device subscribes to, without its identifier.
pub(crate) const AGENT: &str = "oktopus/usp/v1/agent/";

/// Topic of the status of a device, without its identifier.
pub(crate) const STATUS: &str = "oktopus/usp/v1/status/";

/// Everything but topics that begin with `$`.
pub(crate) fn everything() -> Vec<Grant> {
    vec![Grant::allow(Actions::all(), "#")]
}

/// Rights of a device as in the broker of Oktopus, whose rules are about the first levels of a
/// topic. So a device can publish for any other one.
pub(crate) fn exact() -> Vec<Grant> {
    vec![
        Grant::allow(Actions::SUBSCRIBE, "oktopus/usp/v1/agent/%u/#"),
        Grant::allow(Actions::PUBLISH, "oktopus/usp/v1/controller/#"),
        Grant::allow(Actions::PUBLISH, "oktopus/usp/v1/api/%u/#"),
    ]
}

/// Rights of a device to its own topics, and to the topic of all controllers. Over MQTT 3.1.1 a
/// topic ends with the one for answers, which has to be the device's own.
pub(crate) fn strict() -> Vec<Grant> {
    vec![
        Grant::allow(Actions::SUBSCRIBE, "oktopus/usp/v1/agent/%u/#"),
        Grant::allow(Actions::PUBLISH, "oktopus/usp/v1/controller"),
        Grant::allow(Actions::PUBLISH, "oktopus/usp/v1/controller/reply-to=oktopus%2Fusp%2Fv1%2Fagent%2F%u"),
        Grant::allow(Actions::PUBLISH, "oktopus/usp/v1/controller/%u/#"),
        Grant::allow(Actions::PUBLISH, "oktopus/usp/v1/api/%u/#"),
    ]
}
