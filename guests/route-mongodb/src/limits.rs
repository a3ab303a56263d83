//! Bounds of the guest.

/// Bytes of a server message: a batch of documents has at most 16 MiB, plus a small frame. With its
/// copies it fits into the memory of an instance, 64 MiB.
pub(crate) const REPLY_BYTES_MAX: usize = 17 * 1024 * 1024;

/// Bytes of the documents that go with one command, unless the first alone has more.
pub(crate) const COMMAND_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Documents that go with one command: what the host gathers is less.
pub(crate) const COMMAND_ITEMS_MAX: usize = 10_000;

/// Bytes that a command has beside its documents, at most.
pub(crate) const COMMAND_ROOM_BYTES: usize = 16 * 1024;

/// Bytes of one read.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Levels of a document: what MongoDB takes.
pub(crate) const DEPTH_MAX: usize = 100;

/// Bytes of the name of a collection together with its database, of MongoDB's own rules.
pub(crate) const NAMESPACE_BYTES_MAX: usize = 255;

/// Bytes of a published result (routes reference §4.1).
pub(crate) const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the rows that a question of the broker gets.
pub(crate) const ROWS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rows that a question of the broker gets.
pub(crate) const ROWS_MAX: i64 = 10_000;

/// Documents that are asked for at once.
pub(crate) const PAGE_DOCUMENTS: i32 = 500;

/// Pages of one result: a server that gives empty ones for ever is left.
pub(crate) const PAGES_MAX: usize = 20_000;

/// Milliseconds to connect, where `connectTimeoutMS` does not say it.
pub(crate) const CONNECT_MS: u32 = 10_000;

/// Default milliseconds until a silent server counts as away, without `socketTimeoutMS`.
pub(crate) const ANSWER_MS: u32 = 20_000;

/// Upper limit of both. The host allows a minute per call, unless `ACTIVITY_TIMEOUT` differs.
pub(crate) const PATIENCE_MS_MAX: u32 = 3_600_000;

/// Default milliseconds of the search for a primary during an election, without
/// `serverSelectionTimeoutMS`.
pub(crate) const SELECTION_MS: u32 = 15_000;

/// Milliseconds between two looks for a primary.
pub(crate) const SELECTION_PAUSE_MS: u32 = 500;

/// Members of a replica set: what MongoDB allows.
pub(crate) const MEMBERS_MAX: usize = 50;

/// Milliseconds of a delivery before it reports its progress to the host. After a crash, unreported
/// messages are done again.
pub(crate) const DELIVER_MS: u64 = 1_000;

/// Characters of a reason that the server gives.
pub(crate) const REASON_CHARS_MAX: usize = 400;

/// Version of the wire protocol from which on OP_MSG is spoken: MongoDB 3.6.
pub(crate) const WIRE_VERSION_MIN: i64 = 6;
