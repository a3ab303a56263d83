//! Bounds of the zstd stream.

/// Window of a direction as a power of two, 64 KiB: what we send has it, and what we receive may
/// not ask for more. A gateway of 200 devices repeats itself within 47 KB; half of this window
/// costs a third more bytes on the wire, twice of it gains nothing and takes twice the memory.
pub const WINDOW_LOG: u32 = 16;

/// How hard we try: the higher levels of zstd find less in a window of this size, and take two to
/// three times the memory for it.
pub const LEVEL: i32 = 1;

/// Longest time in milliseconds for which bytes may be collected to be sent together.
pub const FLUSH_MS_MAX: u16 = 1000;

/// Memory of a [`Decoder`](crate::Decoder) in bytes, at most: three windows and its tables.
pub const DECODER_BYTES_MAX: usize = 384 << 10;

/// Memory of an [`Encoder`](crate::Encoder) in bytes, at most.
pub const ENCODER_BYTES_MAX: usize = 576 << 10;
