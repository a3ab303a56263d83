//! Storage routes, routes reference §4.

use super::key::{self, DESTINATION, ERRORS, Key, QOS_0, RETAIN, SOURCE, Section, ValueKind};
use super::{Mapping, RouteType};

const EVENT: &[Key] =
    &[SOURCE, Key::new("QUERY", ValueKind::Template).required(), DESTINATION, QOS_0, RETAIN, ERRORS];

/// Events of routes that may store without a query (§4.2: the table is made of the first document,
/// §4.8).
const STORING: &[Key] = &[
    SOURCE,
    Key::new("QUERY", ValueKind::Template),
    DESTINATION,
    QOS_0,
    RETAIN,
    ERRORS,
    Key::new("TABLE", ValueKind::Text).or(&["TABLE_NAME", "INDEX_NAME", "COLLECTION"]),
];

/// Old samples write stored rows as mappings (§4.4).
const MAPPING: Mapping = Mapping {
    keys: &[
        Key::new("SOURCE_TOPIC", ValueKind::Filter).or(&["TOPIC"]).required(),
        DESTINATION,
        Key::new("QUERY", ValueKind::Template),
        Key::new("INDEX", ValueKind::Text).or(&["TABLE", "TABLE_NAME", "INDEX_NAME", "COLLECTION"]),
        QOS_0,
        RETAIN,
    ],
    tag: None,
    rewrites: false,
};

const SQL: &[Section] = &[Section::required(
    "SQL_CONFIG",
    key::with_tls![
        Key::new("SERVER", ValueKind::Text).or(&["HOST", "IP", "ADDRESS"]).unless(&["CONNECTION_STRING"]),
        Key::new("PORT", key::PORT),
        Key::new("DATABASE", ValueKind::Text).unless(&["CONNECTION_STRING"]),
        Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
        Key::new("PASSWORD", ValueKind::Text),
        Key::new("USE_SSL", ValueKind::Bool).or(&["USE_TLS"]).by_default("false"),
        Key::new("TRUST_SERVER_CERTIFICATE", ValueKind::Bool).by_default("false"),
        Key::new("SCHEMA", ValueKind::Text),
        Key::new("CONNECTION_STRING", ValueKind::Text),
        Key::new("POOL_SIZE", ValueKind::Int(1, 64)).by_default("4"),
        Key::new("QUERY_TIMEOUT", ValueKind::Int(1, 86_400)).by_default("30"),
        Key::new("RAW_PLACEHOLDERS", ValueKind::Bool).by_default("false"),
    ],
)];

const fn sql(name: &'static str, aliases: &'static [&'static str]) -> RouteType {
    RouteType { aliases, sections: SQL, event: Some(STORING), mapping: Some(MAPPING), ..RouteType::new(name) }
}

pub(super) const TYPES: &[RouteType] = &[
    sql("POSTGRESQL", &[]),
    sql("MYSQL", &[]),
    sql("MARIADB", &[]),
    sql("SQLSERVER", &["MSSQL"]),
    sql("CRATEDB", &[]),
    RouteType {
        sections: &[Section::required(
            "MONGODB_CONFIG",
            key::with_tls![
                Key::new("CONNECTION_STRING", ValueKind::MongoAddress).required(),
                Key::new("DATABASE", ValueKind::Text).required(),
                Key::new("USE_TLS", ValueKind::Bool).or(&["USE_SSL"]),
                Key::new("TRUST_SERVER_CERTIFICATE", ValueKind::Bool)
                    .by_default("false")
                    .or(&["ALLOW_UNTRUSTED_CERTS"]),
            ],
        )],
        event: Some(STORING),
        mapping: Some(MAPPING),
        ..RouteType::new("MONGODB")
    },
    RouteType {
        aliases: &["ELASTIC", "ELASTICSEARCH"],
        sections: &[Section::required(
            "OPENSEARCH_CONFIG",
            key::with_tls![
                Key::new("BASE_URL", ValueKind::Url).unless(&["SERVER"]),
                Key::new("SERVER", ValueKind::Text).or(&["HOST", "IP", "ADDRESS"]),
                Key::new("PORT", key::PORT),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("USE_SSL", ValueKind::Bool).or(&["USE_TLS"]),
                Key::new("IGNORE_CERT_ERRORS", ValueKind::Bool).by_default("false"),
                Key::new("INDEX", ValueKind::Text),
            ],
        )],
        event: Some(STORING),
        mapping: Some(MAPPING),
        ..RouteType::new("OPENSEARCH")
    },
    RouteType {
        sections: &[Section::required(
            "FILE_STORAGE_CONFIG",
            &[
                Key::new("STORAGE_DIR", ValueKind::Folder).or(&["PATH"]).required(),
                Key::new("FORMAT", ValueKind::Words(&["CSV", "JSON"])).by_default("CSV"),
                Key::new("FILE_PATTERN", ValueKind::Text),
                Key::new("CSV_DELIMITER", ValueKind::Character).by_default(","),
                Key::new("APPEND", ValueKind::Bool).by_default("false"),
                Key::new("INCLUDE_TIMESTAMP", ValueKind::Bool).by_default("false"),
                Key::new("DATE_FORMAT", ValueKind::Text).by_default("yyyy-MM-dd HH:mm:ss"),
                Key::new("MAX_RECORDS", ValueKind::Int(1, i64::MAX)).by_default("10000"),
            ],
        )],
        event: Some(STORING),
        mapping: Some(MAPPING),
        ..RouteType::new("FILE_STORAGE")
    },
    RouteType {
        sections: &[Section::required(
            "SNOWFLAKE_CONFIG",
            &[
                Key::new("CONNECTION_STRING", ValueKind::Text).required(),
                Key::new("WAREHOUSE", ValueKind::Text),
                Key::new("DATABASE", ValueKind::Text),
                Key::new("SCHEMA", ValueKind::Text),
                Key::new("ROLE", ValueKind::Text),
                Key::new("QUERY_TIMEOUT", ValueKind::Int(1, 86_400)).by_default("30"),
            ],
        )],
        event: Some(EVENT),
        mapping: None,
        ..RouteType::new("SNOWFLAKE")
    },
    RouteType {
        sections: &[Section::required(
            "KAFKA_CONFIG",
            key::with_tls![
                Key::new("BOOTSTRAP_SERVERS", ValueKind::Text).required(),
                Key::new(
                    "SECURITY_PROTOCOL",
                    ValueKind::Words(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
                ),
                Key::new("SASL_MECHANISM", ValueKind::Words(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]))
                    .by_default("PLAIN"),
                Key::new("USE_TLS", ValueKind::Bool).or(&["USE_SSL"]),
                Key::new("TRUST_SERVER_CERTIFICATE", ValueKind::Bool).by_default("false"),
                Key::new("USERNAME", ValueKind::Text).or(&["USER"]),
                Key::new("PASSWORD", ValueKind::Text),
                Key::new("GROUP_ID", ValueKind::Text),
                Key::new("CLIENT_ID", ValueKind::Text),
                Key::new("COMPRESSION_TYPE", ValueKind::Words(&["none", "gzip", "snappy", "lz4"]))
                    .by_default("none"),
                Key::new("SESSION_TIMEOUT_MS", ValueKind::Int(1, 1_800_000)).by_default("30000"),
                Key::new("AUTO_OFFSET_RESET", ValueKind::Words(&["earliest", "latest"]))
                    .by_default("earliest"),
            ],
        )],
        mapping: Some(Mapping {
            keys: &[
                Key::new("SOURCE_TOPIC", ValueKind::Text).required(),
                Key::new("DESTINATION_TOPIC", ValueKind::Text).required(),
                Key::new("DIRECTION", ValueKind::Words(&["out", "in"])).by_default("out"),
                Key::new("KEY", ValueKind::Template),
                key::QOS.by_default("1"),
                RETAIN,
            ],
            tag: None,
            rewrites: false,
        }),
        ..RouteType::new("KAFKA")
    },
];
