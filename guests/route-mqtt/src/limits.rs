//! Bounds of the bridge.

/// Unacknowledged messages of QoS 1 and 2 to a broker of MQTT 5.0, as many as in a batch of the
/// host.
pub(crate) const WINDOW_MAX: usize = 1_000;

/// The same for a broker that cannot report its limit. Brokers that end connections above their
/// limit allow a hundred.
pub(crate) const WINDOW_V3_MAX: usize = 100;

/// Largest packet identifier of a message: about four times the number in use at once. It is small
/// enough to release all when a session resumes, which takes 16 KB.
pub(crate) const MESSAGE_ID_MAX: u16 = 4_096;

/// Messages of QoS 1 and 2 that a broker may have in flight to us: a few of its turns, for one
/// commit here.
pub(crate) const RECEIVE_MAXIMUM: u16 = 1_000;

/// Bytes of the largest packet from a broker. With its copies it fits into the memory of an
/// instance, 64 MiB.
pub(crate) const PACKET_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// Bytes that wait to be sent on a connection before more is encoded.
pub(crate) const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Messages that are published here in one call, or wait for another broker, before more is read.
pub(crate) const ARRIVED_MAX: usize = 1_000;

/// Bytes of those messages, unless the first alone has more.
pub(crate) const ARRIVED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of one call of the host that reads or writes.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Bridges that a message passes. From the routes reference §6.
pub(crate) const HOPS_MAX: usize = 8;

/// Bridges of one broker that a message passes: one in and one out. With more, a message in circles
/// of many bridges would take every way through them. A broker with eight bridges to itself would
/// then see 100,000 copies; with two there is one for each pair.
pub(crate) const BROKER_HOPS_MAX: usize = 2;

/// Characters of that list in a warning.
pub(crate) const PASSED_CHARS_MAX: usize = 600;

/// Characters of a route's name in the list of the bridges that a message has passed.
pub(crate) const NAME_CHARS_MAX: usize = 32;

/// Milliseconds to connect, and to wait for each answer while a connection is opened.
pub(crate) const OPEN_MS: u32 = 15_000;

/// Milliseconds for the answer to a probe of the broker, less than the wait of the prober.
pub(crate) const PROBE_MS: u64 = 4_000;

/// Milliseconds of one delivery before it reports its progress to the host: a third of the time
/// limit of a call.
pub(crate) const DELIVER_MS: u64 = 20_000;

/// Milliseconds until a subscription that was refused is tried again.
pub(crate) const RESUBSCRIBE_MS: u64 = 60_000;

/// Pages of retained messages that are read before others have their turn.
pub(crate) const RETAINED_PAGES_AT_ONCE: usize = 4;

/// Milliseconds until messages are published again that could not be stored.
pub(crate) const STORE_AGAIN_MS: u64 = 500;

/// Messages whose echo is known, on a connection whose broker cannot leave it out.
pub(crate) const ECHOES_MAX: usize = 10_000;

/// Passes of one message on a way without properties, within [`REPEATS_MS`], that indicate a loop.
/// Devices repeat a value less often.
pub(crate) const REPEATS_TOLD: u32 = 1_000;

/// Milliseconds of the stretch of time in which they are counted.
pub(crate) const REPEATS_MS: u64 = 60_000;

/// Messages that are counted at a time.
pub(crate) const REPEATS_PLACES: usize = 64;

/// Milliseconds after which an echo is none any more.
pub(crate) const ECHO_MS: u64 = 60_000;

/// Ends of connections right after a message that was sent alone, until it is given up. With the
/// pauses between them they take half a minute.
pub(crate) const CLOSES_MAX: u32 = 5;

/// Milliseconds from a message to a connection end that counts as caused by it. A broker knows the
/// length of a packet from its first bytes.
pub(crate) const RIGHT_BEHIND_MS: u64 = 5_000;

/// Messages with counted connection ends at a time, as many as the mappings that may each have a
/// blocking one.
pub(crate) const CLOSING_MESSAGES_MAX: usize = 16;
