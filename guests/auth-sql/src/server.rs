//! Database server: its kind, and the settings of a session.

/// Name of the endpoint of the database server.
pub(crate) const ENDPOINT: &str = "sql";

/// Kind of a database server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

/// Settings of a session with the database server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    /// Whether the connection switches to TLS.
    pub(crate) starts_tls: bool,
    pub(crate) timeout_ms: u64,
}
