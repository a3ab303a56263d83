//! Routes that the original does not have: one that stores in memory, and one that a module of the user's runs.

use super::RouteType;
use super::key::{self, DESTINATION, ERRORS, Key, QOS, RETAIN, SOURCE, Section, ValueKind};

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
    // What a module takes, it says itself (commands reference §14.6).
    RouteType::named("WASM"),
];
