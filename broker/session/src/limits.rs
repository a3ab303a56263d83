//! The bounds of this crate: name, unit, default, range and why this number.

/// Most QoS 1 and 2 messages in flight to one Client, whatever Receive Maximum it names.
///
/// Half of the Packet Identifiers: then at most every second one is in use and the next free one is
/// found in constant time on average, even if a Client leaves messages unacknowledged for ever. A
/// Client's Receive Maximum is an upper bound \[MQTT-3.3.4-9\], so staying below is allowed.
pub const SEND_MAXIMUM_MAX: u16 = 32_767;

/// Bytes of messages in flight to one Client that are kept to be sent again, beyond which no more
/// are sent before some are acknowledged: the largest packet that is taken by default, and 1,000
/// messages of 16 KiB. Without it 32,767 messages of any size would be in memory.
pub const WINDOW_BYTES_MAX: u64 = 16 << 20;

/// Default bound of messages in flight to a 3.1 or 3.1.1 Client, which names none. 20 to 100 are
/// usual.
pub const SEND_MAXIMUM_WITHOUT_PROPERTY: u16 = 100;

/// Default of the Receive Maximum that we announce to a 5.0 Client. 100 to 1000 are usual.
pub const RECEIVE_MAXIMUM: u16 = 1000;

/// Default bound of a session's queue, in messages.
pub const QUEUE_MESSAGES_MAX: u32 = 1_000_000;

/// Default bound of a session's queue, in bytes: 1 GiB.
pub const QUEUE_BYTES_MAX: u64 = 1 << 30;

/// How many new bytes of a half-received packet count as activity of the Client in one Keep Alive
/// interval.
pub const PARTIAL_PACKET_BYTES: u32 = 1024;

/// In how many Keep Alive intervals one half-received packet may count as activity.
pub const PARTIAL_PACKET_INTERVALS: u8 = 10;

/// Most messages of a long queue that are in memory at its head, when the others rest in a store.
/// At half of that the next slice is asked for.
pub const HEADS_MAX: usize = 512;

/// Most messages of a slice for a Client that has always taken all before the next slice came.
///
/// A slice waits for the commit under way, 3 to 8 ms on a busy disk: 512 for each such wait are
/// 64,000 to 170,000 messages a second.
pub const SLICE_MAX: usize = 2048;

/// Most bytes of them, beyond which no more are added.
pub const HEADS_BYTES_MAX: u64 = 256 * 1024;
