//! Bounds of files.

/// Default number of records in a file. From the routes reference §4.6.
pub(crate) const RECORDS_MAX: u64 = 10_000;

/// Bytes of a JSON file, which is written anew with each batch: it is in memory as a whole.
pub(crate) const JSON_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Files whose ends are known without looking.
pub(crate) const FILES_MAX: usize = 16;

/// Bytes of a name in a path: file systems have 255, and full files have a number.
pub(crate) const NAME_BYTES_MAX: usize = 240;

/// Bytes of a path, and its names. From the interface `files`.
pub(crate) const PATH_BYTES_MAX: usize = 1024;
/// See [`PATH_BYTES_MAX`].
pub(crate) const PATH_NAMES_MAX: usize = 16;

/// Numbers of full files that are tried.
pub(crate) const NUMBERS_MAX: u32 = 100_000;

/// Bytes of a line at the beginning of a file, which has the names of the columns.
pub(crate) const HEADER_BYTES_MAX: usize = 64 * 1024;
