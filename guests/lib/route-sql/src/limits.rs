//! Bounds of what routes to SQL databases keep and do.

/// Bytes of the JSON of an answer; further rows are left out and counted (routes reference §4.1).
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Seconds that a call may take where `ACTIVITY_TIMEOUT` does not say: the host's default.
pub const CALL_S: u64 = 60;

/// Messages of one transaction: as many as the host has in a batch at most.
pub const TOGETHER_MAX: usize = 1_000;

/// Seconds of a statement where `QUERY_TIMEOUT` does not say (routes reference §4.2).
pub const QUERY_TIMEOUT_S: u64 = 30;

/// Milliseconds to connect and log in.
pub const CONNECT_MS: u32 = 20_000;

/// Statements that are kept prepared on a connection; with more of them all are prepared anew.
pub const PREPARED_MAX: usize = 128;

/// Tables whose columns are remembered; with more of them all are asked for again.
pub const TABLES_MAX: usize = 256;

/// Most missing columns to remember, so that each is reported once.
pub const COLUMNS_TOLD_MAX: usize = 256;

/// Columns of a row of a JSON object: what PostgreSQL has at most.
pub const COLUMNS_MAX: usize = 1_600;

/// Values of one `in` of a question.
pub const ELEMENTS_MAX: usize = 10_000;

/// Nesting of a condition; the compiler nests less.
pub const DEPTH_MAX: usize = 256;
