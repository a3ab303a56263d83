//! Default values of the limits that can be set, with the reason for each number.

/// Default of `max_packet_size`: 16 MiB. The largest module that is uploaded inline takes 11 MB.
pub const PACKET_BYTES_MAX: u32 = 16 << 20;

/// Default of `connect_timeout_sec`.
pub const CONNECT_TIMEOUT_SEC: u32 = 10;

/// Default of `connect_bytes`: the longest Client Identifier, and 1 KiB for the rest. A usual
/// CONNECT has a few hundred bytes.
pub const CONNECT_BYTES_MAX: u32 = 65 << 10;

/// Default of `connect_user_properties`.
pub const CONNECT_USER_PROPERTIES_MAX: u32 = 50;

/// Default of `handshake_timeout_sec`: shorter than that of CONNECT, which includes it.
pub const HANDSHAKE_TIMEOUT_SEC: u32 = 8;

/// Default of `connect_overhead_bytes`: a thousand pings. A client has no use for one before its
/// CONNECT.
pub const CONNECT_OVERHEAD_BYTES_MAX: u32 = 16 << 10;

/// Default of `half_open`: a hall of devices that reconnects at once has room.
pub const HALF_OPEN_MAX: u32 = 10_000;

/// Default of `half_open_bytes`: a hundred times the largest CONNECT, and what half a million usual
/// ones take.
pub const HALF_OPEN_BYTES_MAX: u64 = 64 << 20;

/// Default of `queue_messages`.
pub const QUEUE_MESSAGES_MAX: u32 = lotmq_session::limits::QUEUE_MESSAGES_MAX;

/// Default of `queue_bytes`.
pub const QUEUE_BYTES_MAX: u64 = lotmq_session::limits::QUEUE_BYTES_MAX;

/// Default of `connections`; before that the process runs out of open files on most machines.
pub const CONNECTIONS_MAX: u32 = 1_000_000;

/// Default of `inflate_ratio`: a tenth of what deflate can reach at most, ten times what telemetry
/// does.
pub const INFLATE_RATIO_MAX: u32 = 100;

/// Default of `login_wait_max_sec`: 1,440 guesses a day.
pub const LOGIN_WAIT_MAX_SEC: u32 = 60;

/// Default of `logins_waiting`.
pub const LOGINS_WAITING_MAX: u32 = 4096;

/// Default of `topic_bytes`: what fits a packet.
pub const TOPIC_BYTES_MAX: u32 = 65_535;

/// Default of `topic_levels`. The standard asks for no bound; rivals use 128 to 200.
pub const TOPIC_LEVELS_MAX: u32 = 200;

/// Default of `user_properties`.
pub const USER_PROPERTIES_MAX: u32 = 1000;

/// Default of `user_property_bytes`.
pub const USER_PROPERTY_BYTES_MAX: u32 = 64 << 10;

/// Default of `receive_maximum`.
pub const RECEIVE_MAXIMUM: u16 = 1000;

/// Default of `topic_alias_maximum`.
pub const TOPIC_ALIAS_MAXIMUM: u16 = 32;

/// Default of `topic_alias_bytes`: one topic of any length, or 32 of 2 KiB.
pub const TOPIC_ALIAS_BYTES_MAX: u32 = 64 << 10;

/// Default of `partial_bytes`: eight of the largest packets at once, and the beginnings of a
/// hundred thousand usual ones.
pub const PARTIAL_BYTES_MAX: u64 = 128 << 20;

/// Default of `send_window`.
pub const SEND_WINDOW: u16 = 1000;

/// Default of `subscriptions`.
pub const SUBSCRIPTIONS_MAX: u32 = 10_000;

/// Default of `shared_subscriptions`. A worker has a handful; one message that reaches all of a
/// session's is sent as often, in one turn.
pub const SHARED_SUBSCRIPTIONS_MAX: u32 = 1_000;

/// Default of `filters_per_packet`: as many as a session may have.
pub const FILTERS_PER_PACKET_MAX: u32 = 10_000;

/// Default of `subscription_bytes`: 10,000 filters of 160 bytes in 4 levels.
pub const SUBSCRIPTION_BYTES_MAX: u64 = 6 << 20;

/// Default of `sessions`: as many as connections. One takes 1.5 KB of memory.
pub const SESSIONS_MAX: u32 = 1_000_000;

/// Default of `sessions_per_user`: a fleet that has one user. All of them take 150 MB.
pub const SESSIONS_PER_USER_MAX: u32 = 100_000;

/// Default of `anonymous_sessions`.
pub const ANONYMOUS_SESSIONS_MAX: u32 = 100_000;

/// Default of `sessions_per_address`: half of all, for a hall of machines behind one address.
pub const SESSIONS_PER_ADDRESS_MAX: u32 = 50_000;

/// Default of `tenant_session_bytes`: two million sessions with two usual subscriptions each.
pub const TENANT_SESSION_BYTES_MAX: u64 = 1 << 30;

/// Default of `output_bytes`: a hundred messages of 10 KiB.
pub const OUTPUT_BYTES_MAX: u32 = 1 << 20;

/// Default of `all_output_bytes`: five hundred clients with as much as one may have.
pub const ALL_OUTPUT_BYTES_MAX: u64 = 512 << 20;

/// Default of `all_queue_bytes`: as much as one session may have.
pub const ALL_QUEUE_BYTES_MAX: u64 = 1 << 30;

/// Default of `all_inflight_bytes`: 64 sessions with as much as one may have, and 10,000 with a
/// window of 100 KiB.
pub const ALL_INFLIGHT_BYTES_MAX: u64 = 1 << 30;

/// Default of `all_alias_bytes`: ten thousand clients with 256 usual topics each.
pub const ALL_ALIAS_BYTES_MAX: u64 = 256 << 20;

/// Default of `offline_deliveries_per_sec`: a hundred clients that are away for a thousand messages
/// a second, at 2.4 µs each a quarter of a core.
pub const OFFLINE_DELIVERIES_PER_SEC: u32 = 100_000;

/// Default of `stored_queue_bytes`: sixteen of the longest queues.
pub const STORED_QUEUE_BYTES_MAX: u64 = 16 << 30;

/// Default of `disk_reserve_bytes`: with less no broker starts.
pub const DISK_RESERVE_BYTES: u64 = 16 << 20;

/// Default of `retained_messages`. They are in memory, at some 200 bytes each beside their
/// contents.
pub const RETAINED_MESSAGES_MAX: u32 = 1_000_000;

/// Default of `retained_bytes`: 1 GiB, as all of them are in memory.
pub const RETAINED_BYTES_MAX: u64 = 1 << 30;

/// Default of `delayed_messages`. They are in memory, at some 300 bytes each beside their contents.
pub const DELAYED_MESSAGES_MAX: u32 = 100_000;

/// Default of `delayed_bytes`: 64 MiB, as all of them are in memory.
pub const DELAYED_BYTES_MAX: u64 = 64 << 20;

/// Default of `variables`.
pub const VARIABLES_MAX: u32 = 10_000;

/// Default of `variable_bytes`: a thousand chains of certificates with their keys, of 64 KiB. They
/// are in memory.
pub const VARIABLE_BYTES_MAX: u64 = 64 << 20;

/// Default of `projects`.
pub const PROJECTS_MAX: u32 = 64;

/// Default of `project_bytes`. They are in the store.
pub const PROJECT_BYTES_MAX: u64 = 256 << 20;

/// Default of `connections_per_sec_per_address`: a site of 10,000 devices behind one address is
/// back after 5 s, and one sender cannot keep a core busy with handshakes.
pub const CONNECTIONS_PER_SEC_PER_ADDRESS: u32 = 2_000;

/// Default of `logins_per_sec_per_address`: that site has logged in after 10 s. A core checks some
/// 50 passwords per second, and remembers those that were right.
pub const LOGINS_PER_SEC_PER_ADDRESS: u32 = 1_000;
