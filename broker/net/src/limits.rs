//! Bounds of listeners, connections and shards: name, unit, and why this number.

/// Least `connections` that are shared out between users. With fewer, shares would be too small.
pub(crate) const PLACES_SHARED_MIN: u32 = 4;

/// Divisor of `connections` for those without CONNECT, at least one. Leaves places to logins.
pub(crate) const HALF_OPEN_PART: u32 = 4;

/// Connections that may be without CONNECT, of `connections` that there may be.
pub(crate) fn half_open_part(connections: u32) -> u32 {
    connections.div_ceil(HALF_OPEN_PART)
}

/// Divisor of `connections` for logins that wait for their password check, at least one. Counted
/// separately for known places of users and for all others.
pub(crate) const LOGINS_WAITING_PART: u32 = 8;

/// Time that a connection beyond `connections` has for its CONNECT.
pub(crate) const SPARE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Seconds between two lines of the log about connections that a listener cannot accept.
pub(crate) const ACCEPT_LOG_SECONDS: u64 = 10;

/// Addresses whose connections a listener counts, if it has a bound per address; 5 MiB. If none can
/// be forgotten, connections from further addresses are admitted uncounted.
pub(crate) const ADDRESSES_MAX: usize = 100_000;

/// Processor time from which on a turn of a shard is counted as a long one.
pub(crate) const TURN_TIME_LONG: std::time::Duration = std::time::Duration::from_millis(50);

/// Bytes read from a client whose login waits, to see whether it leaves: a TLS alert, a WebSocket
/// close frame, or both. A client that has sent more still has data to be handled.
pub(crate) const LAST_WORDS_BYTES_MAX: usize = 256;

/// Bytes of a PROXY header: at most 107 in version 1, some hundred with cloud extensions in 2.
pub(crate) const PROXY_HEADER_BYTES_MAX: usize = 4 << 10;

#[cfg(feature = "quic")]
/// Bytes in flight of one QUIC connection per direction: unacknowledged, or received and not
/// relayed. 5 MB/s at 50 ms of round trip, and the memory cost of a client that never reads.
pub(crate) const QUIC_WINDOW_BYTES: u32 = 256 << 10;

#[cfg(feature = "quic")]
/// Bytes that a relay takes at once; as many lie between it and the shard in each direction.
pub(crate) const RELAY_BYTES_MAX: usize = 64 << 10;

#[cfg(feature = "quic")]
/// Ended QUIC connections that stay open for 2 s so that the client can fetch its last data. A
/// further one is closed at once. No other bound counts their sockets and data.
pub(crate) const QUIC_LAST_WORDS_MAX: usize = 256;

#[cfg(feature = "quic")]
/// Bytes of the kernel buffer for all QUIC connections of a listener: a thousand large packets.
pub(crate) const QUIC_UDP_BYTES: usize = 2 << 20;

#[cfg(feature = "quic")]
/// First packets of QUIC connections that wait for a decision in the next turn of their thread.
pub(crate) const QUIC_INCOMING_MAX: usize = 1 << 10;

#[cfg(feature = "quic")]
/// Bytes of all of these, and of what comes behind them.
pub(crate) const QUIC_INCOMING_BYTES_MAX: u64 = 4 << 20;

/// Steps that the first shard takes to accept connections at one socket before its other tasks have
/// their turn: some 1 ms. They are enough for 32 connections that begin, or 256 that have ended.
pub(crate) const ACCEPT_ROUND_STEPS: u32 = 256;

/// Steps for a connection that begins, with its first work: 30 µs. One that has ended takes a
/// single step, 4 µs.
pub(crate) const ACCEPT_STEPS_PER_CONNECTION: u32 = 8;

/// Steps per listener and tick that a shard takes to accept connections for a stalled lower one:
/// 1,000 connections/s.
pub(crate) const ACCEPT_IN_PLACE_STEPS: u32 = 2048;

/// Connections that the kernel keeps for a listener, if `net.core.somaxconn` allows so many. While
/// it has them all, it drops handshakes, which clients repeat after 1 s.
pub(crate) const BACKLOG_CONNECTIONS_MAX: i32 = 4096;

/// A shard whose timers have not run for so long gets no new connections: nobody would answer them.
pub(crate) const SHARD_SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(2);

/// Load in ‰ above which a shard gets no new connections while another one has less load.
pub(crate) const SHARD_BUSY_PERMILLE: u32 = 700;

/// Ticks between two looks at the time for which a shard was kept from running: a second.
pub(crate) const RUN_QUEUE_TICKS: u32 = 4;

/// Load in ‰ below which a shard without input counts as idle.
pub(crate) const QUIET_PERMILLE: u32 = 50;

/// Idle ticks before a shard rests: 1 s, so that sparse input does not make it rest each time.
pub(crate) const QUIET_TICKS: u32 = 4;

/// Orders of other threads that wait for one shard. New connections get half of the places and are
/// not accepted beyond. Threads without connections wait for a place.
pub(crate) const SHARD_ORDERS_MAX: usize = 4096;

/// Time without a sign of life of a thread that serves Clients, after which the health is bad.
pub(crate) const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(5);
