//! Routes to web services and mail, routes reference §7 and §8.

use super::key::{self, DESTINATION, ERRORS, Key, QOS_0, RETAIN, Section, ValueKind};
use super::{Mapping, RouteType};

const METHODS: ValueKind = ValueKind::Words(&["GET", "POST", "PUT", "PATCH", "DELETE"]);

const MAIL: &[Key] = &[
    Key::new("SOURCE_TOPIC", ValueKind::Filter).or(&["TOPIC"]).required(),
    Key::new("RECIPIENT", ValueKind::Template).or(&["TO"]).required(),
    Key::new("SUBJECT", ValueKind::Template),
    Key::new("TEMPLATE_PATH", ValueKind::Folder),
    Key::new("BODY", ValueKind::Template),
    ERRORS,
];

pub(super) const TYPES: &[RouteType] = &[
    RouteType {
        sections: &[Section::required(
            "REST_API_CONFIG",
            key::with_tls![
                Key::new("BASE_ADDRESS", ValueKind::Url).unless(&["SERVER_PORT"]),
                Key::new("ENABLE_CLIENT", ValueKind::Bool),
                Key::new("ENABLE_SERVER", ValueKind::Bool),
                Key::new("SERVER_PORT", key::PORT),
                Key::new("USE_SSL", ValueKind::Bool).or(&["USE_TLS"]),
                Key::new("AUTHORIZATION", ValueKind::Text),
                Key::new("TIMEOUT", ValueKind::Int(1, 300_000)).by_default("30000"),
                Key::new("HEADERS", ValueKind::Text),
                Key::new("IGNORE_CERT_ERRORS", ValueKind::Bool).by_default("false"),
                Key::new("SERVER_TOKEN", ValueKind::Text),
                // Ours: the address on which the server listens, and its certificate for TLS.
                Key::new("SERVER_BIND", ValueKind::Text).by_default("0.0.0.0"),
                Key::new("SERVER_CERT_PATH", ValueKind::Text),
                Key::new("SERVER_CERT", ValueKind::Text),
                Key::new("SERVER_KEY_PATH", ValueKind::Text),
                Key::new("SERVER_KEY", ValueKind::Text),
            ],
        )],
        event: Some(&[
            // A server's event may have only one of the topics (§7).
            Key::new("SOURCE_TOPIC", ValueKind::Filter).unless(&["DESTINATION_TOPIC"]),
            DESTINATION,
            Key::new("METHOD", METHODS),
            Key::new("ENDPOINT", ValueKind::Template),
            Key::new("BODY", ValueKind::Template),
            Key::new("HEADERS", ValueKind::Template),
            // Ours: whose event it is, where the route asks and serves.
            Key::new("SIDE", ValueKind::Words(&["CLIENT", "SERVER"])),
            QOS_0,
            RETAIN,
            ERRORS,
        ]),
        ..RouteType::new("REST_API")
    },
    RouteType {
        sections: &[Section::required(
            "SMTP_CONFIG",
            key::with_tls![
                Key::new("HOST", ValueKind::Text).or(&["SERVER", "IP", "ADDRESS"]).required(),
                Key::new("PORT", key::PORT),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("USE_TLS", ValueKind::Bool),
                Key::new("TRUST_SERVER_CERTIFICATE", ValueKind::Bool).by_default("false"),
                Key::new("FROM", ValueKind::Text),
            ],
        )],
        event: Some(MAIL),
        mapping: Some(Mapping { keys: MAIL, tag: None, rewrites: false }),
        ..RouteType::new("EMAIL")
    },
];
