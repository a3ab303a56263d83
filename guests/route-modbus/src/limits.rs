//! Bounds of Modbus, most of them of the protocol.

/// Bytes of the longest frame over a serial line: Modbus over Serial Line 1.02, §2.5.1.
pub(crate) const RTU_BYTES_MAX: usize = 256;

/// Bytes that come in place of a reply before it is given up: the longest one behind the echo of the longest request.
pub(crate) const RECEIVED_BYTES_MAX: usize = 2 * RTU_BYTES_MAX;

/// Bytes of one read of a serial port.
pub(crate) const READ_BYTES: u32 = 512;

/// Milliseconds for which a line may be busy with what nobody asked for before a request is given up.
pub(crate) const SILENCE_MS_MAX: u64 = 1_000;

/// Milliseconds without a byte behind which a damaged reply is not waited for any more: adapters collect bytes for 16.
pub(crate) const DAMAGED_QUIET_MS: u32 = 50;

/// Milliseconds that a reply which has begun may take beyond the time of its bytes, for adapters and radio links.
pub(crate) const SLOW_MS: u64 = 250;

/// Milliseconds that units need for a request to all of them: the least that Modbus over Serial Line 1.02 names, §2.4.1.
pub(crate) const TURNAROUND_MS: u32 = 100;

/// Bytes of a frame behind its length: a unit id and 253 bytes, §4.1.
pub(crate) const FRAME_BYTES_MAX: usize = 254;

/// Registers between two tags that are read and dropped rather than asked for apart: routes reference §5.3.
pub(crate) const GAP: u16 = 8;

/// First pause of a unit that does not answer, in milliseconds; it doubles.
pub(crate) const SILENT_PAUSE_MS: u64 = 1_000;

/// Longest pause of such a unit, in milliseconds.
pub(crate) const SILENT_PAUSE_MS_MAX: u64 = 60_000;

/// Time in milliseconds after which a request is not tried again, however many tries are left: a third of what a call of the host may take.
pub(crate) const TRIES_MS_MAX: u64 = 20_000;
