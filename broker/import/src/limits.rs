//! Bounds of this crate: name, unit and why this number.

/// Most bytes of a file that is read. A password file of 100,000 users has 14 MB.
pub const IMPORT_FILE_BYTES_MAX: u64 = 64 << 20;

/// Most files that one configuration includes, so that files which include one another end.
pub const IMPORT_FILES_MAX: usize = 1_000;

/// Most remarks about what has no equal. Beyond, the number of the others is told.
pub const IMPORT_REMARKS_MAX: usize = 10_000;
