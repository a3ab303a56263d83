//! Settings of a route to a SQL database: `SQL_CONFIG` (routes reference §4.2), and its schema.

use lotmq_guest::route::Failure;
use route_settings::Settings;

use crate::connection_string;
use crate::limits::QUERY_TIMEOUT_S;

/// Schema of the configuration.
pub const SCHEMA: &str = r#"{"properties":{
    "sections":{"required":["SQL_CONFIG"],"properties":{"SQL_CONFIG":{"additionalProperties":false,"properties":{
        "DATABASE":{"type":"string","minLength":1},
        "USERNAME":{"type":"string","minLength":1},
        "PASSWORD":{"type":"string"},
        "SCHEMA":{"type":"string","minLength":1},
        "CONNECTION_STRING":{"type":"string","minLength":1},
        "POOL_SIZE":{"type":"integer","minimum":1,"maximum":64},
        "QUERY_TIMEOUT":{"type":"integer","minimum":1,"maximum":86400},
        "RAW_PLACEHOLDERS":{"type":"boolean"}}}}},
    "events":{"additionalProperties":{"additionalProperties":false,"properties":{
        "QUERY":{"type":"string","minLength":1},
        "TABLE":{"type":"string","minLength":1},
        "DESTINATION_TOPIC":{"type":"string","minLength":1},
        "QOS":{"type":"integer","minimum":0,"maximum":2},
        "RETAIN":{"type":"boolean"}}}}}}"#;

/// Database and credentials of a route.
#[derive(Debug, Default)]
pub struct Server {
    /// Database; `None` where the server chooses.
    pub database: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Schemas in which names are looked up, with commas between.
    pub schema: Option<String>,
    /// Seconds after which a statement is given up.
    pub timeout_s: u64,
    /// Whether TLS is asked for.
    pub is_secure: bool,
    /// Whether placeholders are filled in as they are.
    pub is_raw: bool,
}

impl Server {
    /// Reads `SQL_CONFIG`. Separate settings override `CONNECTION_STRING`.
    ///
    /// # Errors
    /// Returns a failure if a setting is missing.
    pub fn read(section: Settings<'_>) -> Result<Server, Failure> {
        let string = section.text("CONNECTION_STRING")?;
        let said = string.as_deref().map(connection_string::parse).unwrap_or_default();
        let database = section.text("DATABASE")?.or(said.database);
        if database.is_none() {
            return Err(Failure::Fatal("SQL_CONFIG needs DATABASE".to_owned()));
        }
        Ok(Server {
            database,
            user: section.text("USERNAME")?.or(said.user),
            password: section.text("PASSWORD")?.or(said.password),
            schema: section.text("SCHEMA")?.or(said.schema),
            timeout_s: section.number("QUERY_TIMEOUT").or(said.timeout).unwrap_or(QUERY_TIMEOUT_S).max(1),
            // As the host decides it.
            is_secure: match ["USE_TLS", "USE_SSL"].iter().find(|key| !section.raw(key).is_null()) {
                Some(key) => section.is(key),
                None => said.is_secure.unwrap_or(false),
            },
            is_raw: section.is("RAW_PLACEHOLDERS"),
        })
    }
}
