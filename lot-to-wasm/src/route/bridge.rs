//! Routes to other MQTT brokers, routes reference §6.

use super::key::{self, Key, Section, ValueKind};
use super::{Mapping, RouteType};

/// One broker.
const BROKER: &[Key] = key::with_tls![
    Key::new("BROKER", ValueKind::Words(&["SELF"])),
    Key::new("BROKER_ADDRESS", ValueKind::Text).or(&["HOST", "IP", "SERVER", "ADDRESS"]).unless(&["BROKER"]),
    Key::new("BROKER_PORT", key::PORT).or(&["PORT"]),
    Key::new("CLIENT_ID", ValueKind::Text),
    Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
    Key::new("PASSWORD", ValueKind::Text),
    Key::new("USE_TLS", ValueKind::Bool).or(&["USE_SSL"]).by_default("false"),
    Key::new("ALLOW_UNTRUSTED_CERTS", ValueKind::Bool).by_default("false"),
    Key::new("CLIENT_CERT_PASS", ValueKind::Text),
    Key::new("RECONNECTION_RETRIES", ValueKind::Int(0, 1_000_000)),
    Key::new("KEEP_ALIVE", ValueKind::Int(0, 65_535)).by_default("60"),
    Key::new("CLEAN_SESSION", ValueKind::Bool).by_default("true"),
    Key::new("PROTOCOL_VERSION", ValueKind::Words(&["5", "3.1.1", "4", "3.1", "3"])),
    Key::new("USE_ZSTD", ValueKind::Bool).by_default("false"),
];

pub(super) const TYPES: &[RouteType] = &[RouteType {
    sections: &[Section::required("SOURCE_CONFIG", BROKER), Section::required("DESTINATION_CONFIG", BROKER)],
    mapping: Some(Mapping {
        keys: &[
            Key::new("SOURCE_TOPIC", ValueKind::Filter).or(&["TOPIC"]).required(),
            Key::new("DESTINATION_TOPIC", ValueKind::Rewritten),
            Key::new("DIRECTION", ValueKind::Words(&["out", "in", "both"])).by_default("out"),
            key::QOS.by_default("1"),
            // Without it that of the message.
            Key::new("RETAIN", ValueKind::Bool),
        ],
        tag: None,
        rewrites: true,
    }),
    ..RouteType::new("MQTT_BRIDGE")
}];
