//! Routes that the original does not have: one that stores in memory, and one that a module of the user's runs.

use super::key::{self, DESTINATION, ERRORS, Key, QOS, RETAIN, SOURCE, Section, ValueKind};
use super::{Mapping, RouteType};

/// How an operation fails: the classes of `wit/guest`.
const FAILURES: ValueKind = ValueKind::Words(&["never", "retry", "reconnect", "reject", "fatal"]);

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
            QOS,
            RETAIN,
            ERRORS,
            Key::new("TABLE", ValueKind::Text).or(&["TABLE_NAME", "INDEX_NAME", "COLLECTION"]),
            Key::new("FAIL", ValueKind::Template),
        ]),
        ..RouteType::new("LOOPBACK")
    },
    // What a module takes besides, it says itself (commands reference §14.6).
    RouteType {
        event: Some(&[Key::new("SOURCE_TOPIC", ValueKind::Filter), DESTINATION, QOS, RETAIN, ERRORS]),
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
