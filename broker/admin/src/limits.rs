//! Bounds of the port for health and metrics: name, unit, and why this number.

/// Bytes of a request head that an HTTP connection buffers. The library needs at least 8 KiB.
pub(crate) const HTTP_HEAD_BYTES_MAX: usize = 16 << 10;

/// Header fields of an HTTP request.
pub(crate) const HTTP_HEADERS_MAX: usize = 64;

/// Time for the head of an HTTP request.
pub(crate) const HTTP_HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// Life of an HTTP connection, so that idle ones do not keep the others out for ever.
pub(crate) const HTTP_CONNECTION_TIME: std::time::Duration = std::time::Duration::from_secs(300);
