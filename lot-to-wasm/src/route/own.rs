//! Routes that the original does not have: one that stores in memory, one that a module of the
//! user's runs, and connectors.

use super::key::{self, DESTINATION, ERRORS, Key, QOS, QOS_0, RETAIN, SOURCE, Section, ValueKind};
use super::{Mapping, RouteType};

/// How an operation fails: the classes of `wit/guest`, and as a guest that breaks.
const FAILURES: ValueKind = ValueKind::Words(&["never", "retry", "reconnect", "reject", "fatal", "trap"]);

pub(super) const TYPES: &[RouteType] = &[
    RouteType {
        sections: &[Section::optional(
            "LOOPBACK_CONFIG",
            &[
                Key::new("MAX_ROWS", ValueKind::Int(1, 100_000)),
                Key::new("FAIL", FAILURES),
                Key::new("DELAY", key::MILLISECONDS),
            ],
        )],
        event: Some(&[
            SOURCE,
            DESTINATION,
            QOS_0,
            RETAIN,
            ERRORS,
            Key::new("TABLE", ValueKind::Text).or(&["TABLE_NAME", "INDEX_NAME", "COLLECTION"]),
            Key::new("FAIL", ValueKind::Template),
        ]),
        ..RouteType::new("LOOPBACK")
    },
    RouteType {
        sections: &[Section::required(
            "REDIS_CONFIG",
            key::with_tls![
                Key::new("SERVER", ValueKind::Text).or(&["HOST", "IP", "ADDRESS"]).required(),
                Key::new("PORT", key::PORT),
                Key::new("DATABASE", ValueKind::Int(0, 1_000_000)).by_default("0"),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("USE_TLS", ValueKind::Bool).or(&["USE_SSL"]),
                Key::new("ALLOW_UNTRUSTED_CERTS", ValueKind::Bool).by_default("false"),
                Key::new("TIMEOUT", ValueKind::Int(1, 3_600)).by_default("10"),
            ],
        )],
        event: Some(&[
            SOURCE,
            Key::new("COMMAND", ValueKind::Template).required(),
            DESTINATION,
            QOS_0,
            RETAIN,
            ERRORS,
        ]),
        mapping: Some(Mapping {
            keys: &[
                Key::new("SOURCE_TOPIC", ValueKind::Text).or(&["CHANNEL"]).required(),
                Key::new("DESTINATION_TOPIC", ValueKind::Text).required(),
                Key::new("DIRECTION", ValueKind::Words(&["in"])).required(),
                QOS,
                RETAIN,
            ],
            tag: None,
            rewrites: false,
        }),
        ..RouteType::new("REDIS")
    },
    RouteType {
        sections: &[Section::required(
            "INFLUXDB_CONFIG",
            key::with_tls![
                Key::new("BASE_URL", ValueKind::Url).unless(&["SERVER"]),
                Key::new("SERVER", ValueKind::Text).or(&["HOST", "IP", "ADDRESS"]),
                Key::new("PORT", key::PORT),
                Key::new("USE_SSL", ValueKind::Bool).or(&["USE_TLS"]),
                Key::new("IGNORE_CERT_ERRORS", ValueKind::Bool).by_default("false"),
                Key::new("DATABASE", ValueKind::Text).unless(&["BUCKET"]),
                Key::new("RETENTION_POLICY", ValueKind::Text),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("BUCKET", ValueKind::Text),
                Key::new("ORG", ValueKind::Text),
                Key::new("TOKEN", ValueKind::Text),
                Key::new("PRECISION", ValueKind::Words(&["s", "ms", "us", "ns"])).by_default("ms"),
            ],
        )],
        event: Some(&[
            SOURCE,
            Key::new("MEASUREMENT", ValueKind::Template).unless(&["QUERY"]),
            Key::new("TAGS", ValueKind::Template),
            Key::new("FIELDS", ValueKind::Template),
            Key::new("TIMESTAMP", ValueKind::Template),
            Key::new("QUERY", ValueKind::Template),
            DESTINATION,
            QOS_0,
            RETAIN,
            ERRORS,
        ]),
        ..RouteType::new("INFLUXDB")
    },
    RouteType {
        sections: &[Section::required(
            "NATS_CONFIG",
            key::with_tls![
                Key::new("SERVER", ValueKind::Text).or(&["HOST", "IP", "ADDRESS"]).required(),
                Key::new("PORT", key::PORT),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("TOKEN", ValueKind::Text),
                Key::new("USE_TLS", ValueKind::Bool).or(&["USE_SSL"]),
                Key::new("ALLOW_UNTRUSTED_CERTS", ValueKind::Bool).by_default("false"),
                Key::new("JETSTREAM", ValueKind::Bool).by_default("false"),
                Key::new("TIMEOUT", ValueKind::Int(1, 3_600)).by_default("10"),
            ],
        )],
        mapping: Some(Mapping {
            keys: &[
                Key::new("SOURCE_TOPIC", ValueKind::Text).or(&["SUBJECT"]).required(),
                Key::new("DESTINATION_TOPIC", ValueKind::Text),
                Key::new("DIRECTION", ValueKind::Words(&["out", "in"])),
                Key::new("QUEUE_GROUP", ValueKind::Text),
                QOS,
                RETAIN,
            ],
            tag: None,
            rewrites: false,
        }),
        ..RouteType::new("NATS")
    },
    // The module itself declares its further settings (commands reference §14.6).
    RouteType {
        event: Some(&[
            Key::new("SOURCE_TOPIC", ValueKind::Filter),
            Key::new("READ_TOPIC", ValueKind::Filter),
            DESTINATION,
            QOS_0,
            RETAIN,
            ERRORS,
        ]),
        mapping: Some(Mapping {
            keys: &[
                Key::new("SOURCE_TOPIC", ValueKind::Filter),
                Key::new("DESTINATION_TOPIC", ValueKind::Rewritten),
                Key::new("DIRECTION", ValueKind::Words(&["out", "in", "both"])),
                QOS,
                RETAIN,
                ERRORS,
            ],
            tag: Some(&[
                Key::new("SOURCE_TOPIC", ValueKind::Topic),
                Key::new("DESTINATION_TOPIC", ValueKind::Filter),
                Key::new("WRITABLE", ValueKind::Bool),
                QOS,
                RETAIN,
            ]),
            rewrites: true,
        }),
        ..RouteType::named("WASM")
    },
];
