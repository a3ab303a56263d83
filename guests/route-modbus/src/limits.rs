//! Bounds of Modbus, most of them of the protocol.

/// Bytes of the longest frame over a serial line: Modbus over Serial Line 1.02, §2.5.1.
pub(crate) const RTU_BYTES_MAX: usize = 256;

/// Most bytes received in place of a reply: the longest reply after the echo of the longest
/// request.
pub(crate) const RECEIVED_BYTES_MAX: usize = 2 * RTU_BYTES_MAX;

/// Bytes of one read of a serial port.
pub(crate) const READ_BYTES: u32 = 512;

/// Milliseconds for which unrequested bytes may occupy a line before a request is given up.
pub(crate) const SILENCE_MS_MAX: u64 = 1_000;

/// Milliseconds of silence that end the wait for a damaged reply. Adapters collect bytes for 16 ms.
pub(crate) const DAMAGED_QUIET_MS: u32 = 50;

/// Milliseconds that a started reply may take beyond the time of its bytes, for adapters and radio
/// links.
pub(crate) const SLOW_MS: u64 = 250;

/// Milliseconds that units need for a broadcast: the minimum in Modbus over Serial Line 1.02,
/// §2.4.1.
pub(crate) const TURNAROUND_MS: u32 = 100;

/// Bytes of a frame behind its length: a unit id and 253 bytes, §4.1.
pub(crate) const FRAME_BYTES_MAX: usize = 254;

/// Most registers between two tags that one request reads and drops, instead of two requests:
/// routes reference §5.3.
pub(crate) const GAP: u16 = 8;

/// First pause of a unit that does not answer, in milliseconds; it doubles.
pub(crate) const SILENT_PAUSE_MS: u64 = 1_000;

/// Longest pause of such a unit, in milliseconds.
pub(crate) const SILENT_PAUSE_MS_MAX: u64 = 60_000;

/// Milliseconds after which a request is not retried, even with retries left: a third of the time
/// limit of a host call.
pub(crate) const TRIES_MS_MAX: u64 = 20_000;
