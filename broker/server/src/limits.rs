//! Bounds of the server: name, unit, default, and why this number.
//!
//! What can be set is one row of [`limit_table`] each: the keys of `[limits]` and of the listeners, what a listener's connections are held to, the
//! counters in `/metrics` and `docs/limits.md` derive from it.

mod limit;
mod page;
mod rate;
mod reached;

pub(crate) use limit::{LIMITS, Limit, Scope};
pub use page::markdown;
pub(crate) use rate::{Bucket, ClientRate, Rest};
pub(crate) use reached::{LimitsReached, Reached};

/// Hands the rows of all limits that can be set to another macro: `limit_table! { path::of::macro! { what it needs besides } }`.
///
/// A row is `/// doc` lines, then `name: Type = default, range low..=high, unit "…"` and, where it applies, `json "Name"`; behind `=>` its
/// [`Limit`], the Reason Code and Reason String of refusals, and what happens at the bound. Rows of the first
/// group can be set for every listener, those of the second for listeners with addresses, and both are those of `[limits]` until they are;
/// those of the third are in `[limits]` alone.
macro_rules! limit_table {
    ($($callback:ident)::+ ! { $($head:tt)* }) => {
        $($callback)::+! {
            { $($head)* }
            every_listener {
                /// Largest packet in bytes that clients may send, fixed header included; announced in 5.0.
                max_packet_size: u32 = $crate::limits::PACKET_BYTES_MAX, range 1_024..=268_435_460, unit "bytes", json "MaxPacketSize"
                    => MaxPacketSize(PacketTooLarge, "packet is larger than this server takes"): "the connection ends at the header of the packet, with 0x95 in 5.0";
                /// Time in seconds from a connection to its CONNECT, all handshakes included; a connection without is closed then.
                connect_timeout_sec: u32 = $crate::limits::CONNECT_TIMEOUT_SEC, range 1..=3_600, unit "s"
                    => ConnectTimeoutSec(QuotaExceeded, "no CONNECT in time"): "the connection is closed";
                /// Connections of one listener that may be without CONNECT at once.
                half_open: u32 = $crate::limits::HALF_OPEN_MAX, range 1..=10_000_000, unit "connections"
                    => HalfOpen(QuotaExceeded, "too many connections without CONNECT"): "the oldest of these connections of the address with most of them is closed, if the new one's has fewer, else the new one at once; of those from this machine a few more are let in";
                /// Bytes of CONNECT packets, TLS handshakes and WebSocket upgrades that have come in part, of all connections of one listener.
                half_open_bytes: u64 = $crate::limits::HALF_OPEN_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => HalfOpenBytes(QuotaExceeded, "too many bytes of unfinished CONNECT packets and handshakes"): "as for `partial_bytes`, without a word";
                /// Bytes that connections keep of what they have sent: packets that have come in part, and the topics of their Topic Aliases. In
                /// `[limits]` of the whole broker, handshakes included, for a listener of its connections behind their CONNECT.
                partial_bytes: u64 = $crate::limits::PARTIAL_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => PartialBytes(QuotaExceeded, "too many bytes of unfinished packets"): "who keeps more than an even share and brings more is closed, with 0x97 in 5.0; then, within a second, those who keep most";
                /// Most messages that wait for one session, sent ones without acknowledgement not counted. For a session whose client is away that of
                /// the listener where it was last; after a restart that of `[limits]`.
                queue_messages: u32 = $crate::limits::QUEUE_MESSAGES_MAX, range 1..=100_000_000, unit "messages", json "QueueMessages"
                    => QueueMessages(QuotaExceeded, "queue of a session is full"): "a new message is dropped for this session or refused, as `on_full` says";
                /// Most bytes that wait for one session.
                queue_bytes: u64 = $crate::limits::QUEUE_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes", json "QueueBytes"
                    => QueueBytes(QuotaExceeded, "queue of a session is full"): "a new message is dropped for this session or refused, as `on_full` says";
                /// Connections at once: in `[limits]` of the whole broker, for a listener of that listener. The whole broker has fewer where the process may not open so many files.
                connections: u32 = $crate::limits::CONNECTIONS_MAX, range 1..=100_000_000, unit "connections"
                    => Connections(QuotaExceeded, "too many connections"): "a new connection is closed at once; of those from this machine some are let in, and refused with 0x97, before 5.0 with return code 3, unless an administrator logs in";
                /// New connections per second, a second's worth at once: in `[limits]` of the whole broker, for a listener of that listener. 0 for any number.
                connections_per_sec: u32 = 0, range 0..=10_000_000, unit "1/s"
                    => ConnectionsPerSec(ConnectionRateExceeded, "too many new connections"): "a new connection is closed at once";
                /// Messages per second that each connection may send, a second's worth at once. 0 for any number.
                messages_per_sec: u32 = 0, range 0..=10_000_000, unit "1/s"
                    => MessagesPerSec(MessageRateTooHigh, "too many messages per second"): "what the client has sent waits, and it is not read from, until the rate is kept again";
                /// Bytes per second that each connection may send, in packets of all types, a second's worth at once; a packet that is longer is handled,
                /// and paid for before the next one. 0 for any number.
                bytes_per_sec: u32 = 0, range 0..=4_000_000_000, unit "bytes/s"
                    => BytesPerSec(MessageRateTooHigh, "too many bytes per second"): "what the client has sent waits, and it is not read from, until the rate is kept again";
                /// Bytes of MQTT that one byte of compressed WebSocket messages or of the zstd stream may become, on average over a connection; as much as one packet may have is free.
                /// 0 for any number.
                inflate_ratio: u32 = $crate::limits::INFLATE_RATIO_MAX, range 0..=1_000_000, unit "bytes"
                    => InflateRatio(QuotaExceeded, "what was compressed becomes too much"): "the connection ends with 0x97";
                /// Longest Topic Name or Topic Filter in bytes; that of a Will too.
                topic_bytes: u32 = $crate::limits::TOPIC_BYTES_MAX, range 1..=65_535, unit "bytes"
                    => TopicBytes(TopicNameInvalid, "topic is too long"): "PUBLISH of QoS 1 or 2: refused with 0x90; SUBSCRIBE: 0x8F for the filter; CONNECT: refused with 0x90; else, and before 5.0, the connection ends";
                /// Most levels of a Topic Name or Topic Filter; that of a Will too.
                topic_levels: u32 = $crate::limits::TOPIC_LEVELS_MAX, range 1..=256, unit "levels"
                    => TopicLevels(TopicNameInvalid, "topic has too many levels"): "as for `topic_bytes`";
                /// Most User Properties of a CONNECT, its Will, a PUBLISH, SUBSCRIBE or UNSUBSCRIBE. Those of other packets are read and forgotten.
                user_properties: u32 = $crate::limits::USER_PROPERTIES_MAX, range 0..=1_000_000, unit "properties"
                    => UserProperties(QuotaExceeded, "packet has too many user properties"): "CONNECT, and PUBLISH of QoS 1 or 2: refused with 0x97; else the connection ends with 0x97";
                /// Most bytes of all names and values of these User Properties.
                user_property_bytes: u32 = $crate::limits::USER_PROPERTY_BYTES_MAX, range 0..=268_435_460, unit "bytes"
                    => UserPropertyBytes(QuotaExceeded, "user properties of the packet are too long"): "as for `user_properties`";
                /// Messages of QoS 1 and 2 that a client may send before the first is acknowledged: the Receive Maximum that 5.0 clients are told.
                receive_maximum: u16 = $crate::limits::RECEIVE_MAXIMUM, range 1..=65_535, unit "messages"
                    => ReceiveMaximum(ReceiveMaximumExceeded, "too many unacknowledged messages"): "the connection ends with 0x93; older versions have no such rule";
                /// Topic Aliases that a client may set, as 5.0 clients are told; each may take as much memory as its topic.
                topic_alias_maximum: u16 = $crate::limits::TOPIC_ALIAS_MAXIMUM, range 0..=65_535, unit "aliases"
                    => TopicAliasMaximum(TopicAliasInvalid, "topic alias is too high"): "the connection ends with 0x94";
                /// Most bytes of all topics that the Topic Aliases of a connection stand for.
                topic_alias_bytes: u32 = $crate::limits::TOPIC_ALIAS_BYTES_MAX, range 1_024..=1_073_741_824, unit "bytes"
                    => TopicAliasBytes(QuotaExceeded, "topics of topic aliases are too long"): "the connection ends with 0x97";
                /// Messages of QoS 1 and 2 on their way to a client before 5.0, which cannot say itself how many it takes.
                send_window: u16 = $crate::limits::SEND_WINDOW, range 1..=32_767, unit "messages"
                    => SendWindow(QuotaExceeded, "too many unacknowledged messages"): "further ones wait in the session's queue";
                /// Subscriptions of one session.
                subscriptions: u32 = $crate::limits::SUBSCRIPTIONS_MAX, range 1..=10_000_000, unit "subscriptions"
                    => Subscriptions(QuotaExceeded, "session has too many subscriptions"): "SUBACK with 0x97 for the filter, 0x80 before 5.0";
                /// Of these, shared ones (`$share/…`): each gets its own copy of a message, and what is left behind at the end of the session is dealt out to them.
                shared_subscriptions: u32 = $crate::limits::SHARED_SUBSCRIPTIONS_MAX, range 0..=10_000_000, unit "subscriptions"
                    => SharedSubscriptions(QuotaExceeded, "session has too many shared subscriptions"): "as for `subscriptions`";
                /// Most filters of a SUBSCRIBE or UNSUBSCRIBE.
                filters_per_packet: u32 = $crate::limits::FILTERS_PER_PACKET_MAX, range 1..=10_000_000, unit "filters"
                    => FiltersPerPacket(QuotaExceeded, "packet has too many topic filters"): "the connection ends with 0x97";
                /// Bytes of the Topic Filters of one session, with 128 for each of them and 32 for each of its levels. Filters with several `+` take the time
                /// of messages that match, and count for more: 1,024 for each `+` behind the second one, 4,096 for each level behind the tenth.
                subscription_bytes: u64 = $crate::limits::SUBSCRIPTION_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => SubscriptionBytes(QuotaExceeded, "subscriptions of the session take too much room"): "as for `subscriptions`";
                /// Bytes of messages that wait for a client whose socket is full.
                output_bytes: u32 = $crate::limits::OUTPUT_BYTES_MAX, range 65_536..=1_073_741_824, unit "bytes"
                    => OutputBytes(QuotaExceeded, "client does not read"): "messages of QoS 0 are dropped for this client, others wait in its session's queue";
            }
            addressed_listener {
                /// Time in seconds from a connection to the end of its TLS handshake, WebSocket upgrade and PROXY header.
                handshake_timeout_sec: u32 = $crate::limits::HANDSHAKE_TIMEOUT_SEC, range 1..=3_600, unit "s"
                    => HandshakeTimeoutSec(QuotaExceeded, "handshake took too long"): "the connection is closed";
                /// Connections at once from one address, of IPv6 from one network of 64 bits. 0 for any number.
                connections_per_address: u32 = 0, range 0..=100_000_000, unit "connections"
                    => ConnectionsPerAddress(QuotaExceeded, "too many connections from this address"): "a new connection is closed at once, behind a proxy at the end of its PROXY header";
                /// New connections per second from one address, a second's worth at once. 0 for any number.
                connections_per_sec_per_address: u32 = 0, range 0..=10_000_000, unit "1/s"
                    => ConnectionsPerSecPerAddress(ConnectionRateExceeded, "too many new connections from this address"): "as for `connections_per_address`";
            }
            whole_broker {
                /// Sessions of one tenant that outlive their connections.
                sessions: u32 = $crate::limits::SESSIONS_MAX, range 1..=1_000_000_000, unit "sessions"
                    => Sessions(QuotaExceeded, "too many stored sessions"): "a CONNECT that asks for one more is refused with 0x97, before 5.0 with return code 3. Going on with a session, one that ends with its connection, and administrators always work";
                /// The same of one user.
                sessions_per_user: u32 = $crate::limits::SESSIONS_PER_USER_MAX, range 1..=1_000_000_000, unit "sessions"
                    => SessionsPerUser(QuotaExceeded, "user has too many stored sessions"): "as for `sessions`";
                /// The same of all clients without a user together.
                anonymous_sessions: u32 = $crate::limits::ANONYMOUS_SESSIONS_MAX, range 0..=1_000_000_000, unit "sessions"
                    => AnonymousSessions(QuotaExceeded, "too many stored sessions of anonymous clients"): "as for `sessions`";
                /// The same of clients without a user that came from one address, of IPv6 from one network of 64 bits; from the start of the broker on.
                sessions_per_address: u32 = $crate::limits::SESSIONS_PER_ADDRESS_MAX, range 0..=1_000_000_000, unit "sessions"
                    => SessionsPerAddress(QuotaExceeded, "too many stored sessions of anonymous clients from this address"): "as for `sessions`";
                /// Bytes of client identifiers, Topic Filters (as for `subscription_bytes`) and Wills of all sessions of one tenant. One user has at most
                /// half of it, and so have all clients without a user together.
                tenant_session_bytes: u64 = $crate::limits::TENANT_SESSION_BYTES_MAX, range 65_536..=1_099_511_627_776, unit "bytes"
                    => TenantSessionBytes(QuotaExceeded, "sessions take too much room"): "CONNECT as for `sessions`, SUBSCRIBE as for `subscriptions`; administrators are not held to it";
                /// Bytes of messages that wait for all clients whose sockets are full. While it is more, each has an even share instead of its `output_bytes`.
                all_output_bytes: u64 = $crate::limits::ALL_OUTPUT_BYTES_MAX, range 65_536..=1_099_511_627_776, unit "bytes"
                    => AllOutputBytes(QuotaExceeded, "clients do not read"): "as for `output_bytes`, for those who have more than their share";
                /// Bytes of messages of QoS 1 and 2 that wait in memory, for all clients whose sessions end with their connections; those of other sessions rest in the
                /// store. While it is more, each has an even share instead of its `queue_bytes`.
                all_queue_bytes: u64 = $crate::limits::ALL_QUEUE_BYTES_MAX, range 65_536..=1_099_511_627_776, unit "bytes"
                    => AllQueueBytes(QuotaExceeded, "clients do not take their messages"): "as for `queue_bytes`, for those who have more than their share";
                /// Bytes of the topics for which the broker has set Topic Aliases towards clients, and of what it remembers of others to choose them.
                all_alias_bytes: u64 = $crate::limits::ALL_ALIAS_BYTES_MAX, range 0..=1_099_511_627_776, unit "bytes"
                    => AllAliasBytes(QuotaExceeded, "topic aliases towards clients take too much room"): "a client that has more than an even share is set no further aliases; its messages have their topics in full";
                /// Messages per second that are stored for sessions of one user whose clients are away, each counted once for each session beyond the first 16, a second's
                /// worth at once; the same for all clients without a user together. 0 for any number.
                offline_deliveries_per_sec: u32 = $crate::limits::OFFLINE_DELIVERIES_PER_SEC, range 0..=1_000_000_000, unit "1/s"
                    => OfflineDeliveriesPerSec(QuotaExceeded, "too many messages for clients that are away"): "the message is dropped for this session and counted, as one that finds its queue full";
                /// Bytes of the messages that wait in the store for sessions of all tenants, as they are there: once for all of their sessions. From half of it on, those of
                /// one user, and those of all clients without a user, have at most three quarters of what the others leave.
                stored_queue_bytes: u64 = $crate::limits::STORED_QUEUE_BYTES_MAX, range 1_048_576..=1_125_899_906_842_624, unit "bytes"
                    => StoredQueueBytes(QuotaExceeded, "too many messages wait in the store"): "as for `offline_deliveries_per_sec`, within half a second";
                /// Bytes of the disk that are kept free of what clients want stored, so that commands can still be given. 0 for none.
                disk_reserve_bytes: u64 = $crate::limits::DISK_RESERVE_BYTES, range 0..=1_125_899_906_842_624, unit "bytes"
                    => DiskReserveBytes(QuotaExceeded, "the disk is full but for its reserve"): "what clients want stored is refused as on a full disk, within half a second; commands work";
                /// Memory in bytes of all actions, models, scripts, modules and routes together. 0 for a quarter of what the machine or container has, at least
                /// 256 MiB and at most 4 GiB. Those of one user have at most three quarters of what the others leave.
                guests_memory: u64 = 0, range 0..=1_099_511_627_776, unit "bytes"
                    => GuestsMemory(QuotaExceeded, "guests need too much memory"): "the run that needs more ends with `GUEST_MEMORY`, which names the sum or the part. Rules are not held to it";
                /// Retained messages of one tenant. One user, all clients without a user together, and all programs together each have at most three quarters of what the others leave.
                retained_messages: u32 = $crate::limits::RETAINED_MESSAGES_MAX, range 1..=1_000_000_000, unit "messages"
                    => RetainedMessages(QuotaExceeded, "too many retained messages"): "a message that would become one more is refused with 0x97 (5.0, QoS 1 and 2); else it is delivered and not retained. Replacing and deleting always work";
                /// Bytes of the retained messages of one tenant, with topics and properties; shared out as `retained_messages`.
                retained_bytes: u64 = $crate::limits::RETAINED_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => RetainedBytes(QuotaExceeded, "retained messages take too much room"): "as for `retained_messages`; replacing by what is no longer works";
                /// Longest time in seconds for which a login has to wait as a user from an address, of IPv6 a network of 64 bits, after logins as this user
                /// from there have failed: after five of them 1 s, after each further one twice as long. 0 for none.
                login_wait_max_sec: u32 = $crate::limits::LOGIN_WAIT_MAX_SEC, range 0..=86_400, unit "s"
                    => LoginWaitMaxSec(ConnectionRateExceeded, "too many failed logins"): "a login that comes earlier is refused without a look at its password, with 0x9F, or return code 3; once a second one with the password of a login that succeeded before is let in";
                /// Logins whose password waits to be checked.
                logins_waiting: u32 = $crate::limits::LOGINS_WAITING_MAX, range 1..=1_000_000, unit "logins"
                    => LoginsWaiting(ServerBusy, "too many passwords wait to be checked"): "the youngest one from the address, or else of the user, with most of them is refused with 0x89, or return code 3";
            }
        }
    };
}

pub(crate) use limit_table;

/// Default of `max_packet_size`: 16 MiB. The largest module that is uploaded inline takes 11 MB.
pub(crate) const PACKET_BYTES_MAX: u32 = 16 << 20;

/// Default of `connect_timeout_sec`.
pub(crate) const CONNECT_TIMEOUT_SEC: u32 = 10;

/// Default of `handshake_timeout_sec`: shorter than that of CONNECT, which includes it.
pub(crate) const HANDSHAKE_TIMEOUT_SEC: u32 = 8;

/// Default of `half_open`: a hall of devices that reconnects at once has room.
pub(crate) const HALF_OPEN_MAX: u32 = 10_000;

/// Default of `half_open_bytes`: a hundred times the largest CONNECT, and what half a million usual ones take.
pub(crate) const HALF_OPEN_BYTES_MAX: u64 = 64 << 20;

/// Default of `queue_messages`.
pub(crate) const QUEUE_MESSAGES_MAX: u32 = lotmq_session::limits::QUEUE_MESSAGES_MAX;

/// Default of `queue_bytes`.
pub(crate) const QUEUE_BYTES_MAX: u64 = lotmq_session::limits::QUEUE_BYTES_MAX;

/// Default of `connections`; before that the process runs out of open files on most machines.
pub(crate) const CONNECTIONS_MAX: u32 = 1_000_000;

/// Most file descriptors that are kept free of connections, for files, the health port and administrators.
pub(crate) const DESCRIPTORS_KEPT_MAX: u32 = 512;

/// Connections from this machine that are let in beyond `connections`, until CONNECT tells whether an administrator comes.
pub(crate) const SPARE_CONNECTIONS_MAX: u32 = 8;

/// Time that such a connection has for its CONNECT.
pub(crate) const SPARE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Seconds between two lines of the log about connections that a listener cannot accept.
pub(crate) const ACCEPT_LOG_SECONDS: u64 = 10;

/// Default of `inflate_ratio`: a tenth of what deflate can reach at most, ten times what telemetry does.
pub(crate) const INFLATE_RATIO_MAX: u32 = 100;

/// Default of `login_wait_max_sec`: 1,440 guesses a day.
pub(crate) const LOGIN_WAIT_MAX_SEC: u32 = 60;

/// Default of `logins_waiting`.
pub(crate) const LOGINS_WAITING_MAX: u32 = 4096;

/// Default of `topic_bytes`: what fits a packet.
pub(crate) const TOPIC_BYTES_MAX: u32 = 65_535;

/// Default of `topic_levels`. The standard asks for no bound; rivals use 128 to 200.
pub(crate) const TOPIC_LEVELS_MAX: u32 = 200;

/// Default of `user_properties`.
pub(crate) const USER_PROPERTIES_MAX: u32 = 1000;

/// Default of `user_property_bytes`.
pub(crate) const USER_PROPERTY_BYTES_MAX: u32 = 64 << 10;

/// Default of `receive_maximum`.
pub(crate) const RECEIVE_MAXIMUM: u16 = 1000;

/// Default of `topic_alias_maximum`.
pub(crate) const TOPIC_ALIAS_MAXIMUM: u16 = 32;

/// Default of `topic_alias_bytes`: one topic of any length, or 32 of 2 KiB.
pub(crate) const TOPIC_ALIAS_BYTES_MAX: u32 = 64 << 10;

/// Longest topic in bytes that is remembered as one that a connection may publish to. Others are asked about with each message.
pub(crate) const ALLOWED_TOPIC_BYTES_MAX: usize = 1 << 10;

/// Default of `partial_bytes`: eight of the largest packets at once, and the beginnings of a hundred thousand usual ones.
pub(crate) const PARTIAL_BYTES_MAX: u64 = 128 << 20;

/// Default of `send_window`.
pub(crate) const SEND_WINDOW: u16 = 1000;

/// Default of `subscriptions`.
pub(crate) const SUBSCRIPTIONS_MAX: u32 = 10_000;

/// Default of `shared_subscriptions`. A worker has a handful; one message that reaches all of a session's is sent as often, in one turn.
pub(crate) const SHARED_SUBSCRIPTIONS_MAX: u32 = 1_000;

/// Default of `filters_per_packet`: as many as a session may have.
pub(crate) const FILTERS_PER_PACKET_MAX: u32 = 10_000;

/// Default of `subscription_bytes`: 10,000 filters of 160 bytes in 4 levels.
pub(crate) const SUBSCRIPTION_BYTES_MAX: u64 = 4 << 20;

/// What a subscription takes besides its filter, in bytes: in the session, in the index of subscriptions, and in the store.
pub(crate) const SUBSCRIPTION_COST: u64 = 128;

/// What a level of a Topic Filter may take in the index of subscriptions, in bytes.
pub(crate) const FILTER_LEVEL_COST: u64 = 32;

/// How many `+` a Topic Filter may have before further ones cost [`FURTHER_PLUS_COST`], and levels behind the first ones [`DEEP_LEVEL_COST`].
pub(crate) const PLUSES_FREE: u64 = 2;

/// What a further `+` counts for in bytes. Each doubles the filters that one topic can match: of one owner that are 110,000 at most, with
/// [`FILTER_LEVEL_COST`] alone it was more than a million.
pub(crate) const FURTHER_PLUS_COST: u64 = 1 << 10;

/// Levels of a filter that cost [`FILTER_LEVEL_COST`] alone: in all of them together a topic has at most 2,048 ways. Topics of plants have six to nine levels.
pub(crate) const DEEP_LEVELS_FROM: u64 = 10;

/// What a level behind these counts for in bytes, in a filter with several `+`. One owner has at most 131,072 of them, for which a message that passes
/// them all takes 3 ms; with [`FILTER_LEVEL_COST`] alone it took 3.5 s.
pub(crate) const DEEP_LEVEL_COST: u64 = 4 << 10;

/// Default of `sessions`: as many as connections. One takes 1.5 KB of memory.
pub(crate) const SESSIONS_MAX: u32 = 1_000_000;

/// Default of `sessions_per_user`: a fleet that has one user. All of them take 150 MB.
pub(crate) const SESSIONS_PER_USER_MAX: u32 = 100_000;

/// Default of `anonymous_sessions`.
pub(crate) const ANONYMOUS_SESSIONS_MAX: u32 = 100_000;

/// Default of `sessions_per_address`: half of all, for a hall of machines behind one address.
pub(crate) const SESSIONS_PER_ADDRESS_MAX: u32 = 50_000;

/// Default of `tenant_session_bytes`: two million sessions with two usual subscriptions each.
pub(crate) const TENANT_SESSION_BYTES_MAX: u64 = 1 << 30;

/// Default of `output_bytes`: a hundred messages of 10 KiB.
pub(crate) const OUTPUT_BYTES_MAX: u32 = 1 << 20;

/// Memory that guests may have where nothing is configured: one part in so many of the machine's.
pub(crate) const GUESTS_MEMORY_PART: u64 = 4;

/// The least and the most that this gives, in bytes: a thousand actions, and what nobody has needed yet.
pub(crate) const GUESTS_MEMORY_RANGE: std::ops::RangeInclusive<u64> = 256 << 20..=4 << 30;

/// Sums of memory that nobody has set are at most one part in so many of the machine's.
pub(crate) const SUM_MEMORY_PART: u64 = 8;

/// The least that this gives, in bytes.
pub(crate) const SUM_MEMORY_MIN: u64 = 32 << 20;

/// Default of `all_output_bytes`: five hundred clients with as much as one may have.
pub(crate) const ALL_OUTPUT_BYTES_MAX: u64 = 512 << 20;

/// Default of `all_queue_bytes`: as much as one session may have.
pub(crate) const ALL_QUEUE_BYTES_MAX: u64 = 1 << 30;

/// Default of `all_alias_bytes`: ten thousand clients with 256 usual topics each.
pub(crate) const ALL_ALIAS_BYTES_MAX: u64 = 256 << 20;

/// Default of `offline_deliveries_per_sec`: a hundred clients that are away for a thousand messages a second, at 2.4 µs each a quarter of a core.
pub(crate) const OFFLINE_DELIVERIES_PER_SEC: u32 = 100_000;

/// Sessions whose clients are away that every message is stored for. They do not make a message cost a multiple of what it does without them.
pub(crate) const OFFLINE_DELIVERIES_FREE: u32 = 16;

/// Default of `stored_queue_bytes`: sixteen of the longest queues.
pub(crate) const STORED_QUEUE_BYTES_MAX: u64 = 16 << 30;

/// Default of `disk_reserve_bytes`: with less no broker starts.
pub(crate) const DISK_RESERVE_BYTES: u64 = 16 << 20;

/// How often it is looked how full the disk is.
pub(crate) const STORAGE_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// Bytes that a stored byte may take of the disk: pages are powers of two, and a page is written anew before the old one is free.
pub(crate) const DISK_BYTES_PER_BYTE: u64 = 3;

/// More than is stored between two looks at the disk: 4 GB a second.
pub(crate) const STORED_BETWEEN_LOOKS_MAX: u64 = 2 << 30;

/// Default of `retained_messages`. They are in memory, at some 200 bytes each beside their contents.
pub(crate) const RETAINED_MESSAGES_MAX: u32 = 1_000_000;

/// Default of `retained_bytes`: 1 GiB, as all of them are in memory.
pub(crate) const RETAINED_BYTES_MAX: u64 = 1 << 30;

/// Milliseconds between two searches for expired retained messages, which are removed when there is no room for others. A million of them takes
/// some 0.2 s of the thread that does such work.
pub(crate) const RETAINED_SWEEP_MS: u64 = 10_000;

/// Addresses that a listener counts connections of, while it bounds them per address; 5 MiB. Connections from further ones are let in without
/// being counted for their address, when of all others something must be known.
pub(crate) const ADDRESSES_MAX: usize = 100_000;

/// Bytes of one thread's area for received data in a turn. Sixteen reads; only as much of it is ever touched as is used.
pub(crate) const READ_AREA_BYTES: usize = 1 << 20;

/// Most bytes that one connection reads before others have their turn. More than a default socket buffer gives at once, and
/// 200 packets of 300 bytes already make the system call's share negligible.
pub(crate) const READ_BYTES_MAX: usize = 64 << 10;

/// A turn that has encoded this much is written out before more is routed, so that its memory stays bounded.
pub(crate) const TURN_ENCODED_BYTES_MAX: usize = 4 << 20;

/// Acknowledgements and other control packets, in bytes, that may wait behind those messages. Beyond this the Client, which sends and does not
/// read, is not read from until it does.
pub(crate) const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Longest CONNECT packet in bytes. Its parts are at most 64 KiB each; nobody needs more before being known.
pub(crate) const CONNECT_BYTES_MAX: u32 = 512 << 10;

/// Instances of rules of a tenant that are kept for the next question, at 28 KiB each. Making one anew costs some 10 µs.
pub(crate) const RULE_INSTANCES_IDLE_MAX: usize = 64;

/// Bytes of topics and values that one answer of a rule may have come of, to be remembered.
pub(crate) const RULE_READ_BYTES_MAX: usize = 4096;

/// Answers of the rules about what definitions may do that a thread remembers; of two in one place the later one.
pub(crate) const RIGHTS_REMEMBERED: usize = 512;

/// Bytes of the longest topic of such an answer; about longer ones the rules are asked each time.
pub(crate) const RIGHTS_TOPIC_BYTES_MAX: usize = 512;

/// Topics whose routes one thread remembers for a tenant, at some 200 bytes each beside their receivers.
pub(crate) const ROUTE_CACHE_TOPICS: usize = 32 << 10;

/// Receivers in all those routes together, at 40 bytes each. A route of more than these is made for each message that does not repeat the topic of the
/// one before, which costs less than sending it does.
pub(crate) const ROUTE_CACHE_RECEIVERS: usize = 512 << 10;

/// Time that one turn of a thread that serves Clients gives to guests. Others on this thread wait so much longer while somebody floods it;
/// 4,000 runs of a small Action fit in it.
pub(crate) const INLINE_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(4);

/// Runs of guests between two looks at the clock, which takes a twentieth of a small run.
pub(crate) const INLINE_RUNS_PER_CLOCK: usize = 16;

/// Events for guests at which a turn reads no more from Clients whose messages start any: about what [`INLINE_TIME_MAX`] suffices for.
pub(crate) const GUEST_EVENTS_PER_TURN: usize = 4096;

/// Events for guests that a turn leaves to the next one; beyond, the oldest go to the mailboxes. Above [`GUEST_EVENTS_PER_TURN`] and what one
/// read adds to it in the smallest packets, so only guests that start many others come here.
pub(crate) const GUEST_EVENTS_LEFT_MAX: usize = 16_384;

/// Processor time from which on a turn of a shard is counted as a long one.
pub(crate) const TURN_TIME_LONG: std::time::Duration = std::time::Duration::from_millis(50);

/// How long a thread that serves no Clients waits for a store that is full before it tries again.
pub(crate) const STORE_FULL_PAUSE: std::time::Duration = std::time::Duration::from_millis(1);

/// How long a login may wait for its password to be checked before the connection is looked at again.
pub(crate) const LOGIN_CHECK: std::time::Duration = std::time::Duration::from_secs(10);

/// Plain bytes that are encrypted or framed at once for a connection that is not plain TCP; what they become waits beside the Client's buffer. Four
/// full records of TLS.
pub(crate) const WRAPPED_CHUNK_BYTES: usize = 64 << 10;

/// Maximum Packet Size in bytes from which on a Client can have the zstd stream: what grants it must not make CONNACK too large for one that would take it
/// otherwise, and no bridge takes so little.
pub(crate) const ZSTD_PACKET_BYTES_MIN: u32 = 4 << 10;

/// Bytes of a header of the PROXY protocol. Version 1 has at most 107; with all extensions that clouds add, version 2 has some hundred.
pub(crate) const PROXY_HEADER_BYTES_MAX: usize = 4 << 10;

/// Bytes of a file with certificates or a key: a chain has 10 KiB, the authorities of a whole system 200 KiB.
pub(crate) const CERTIFICATE_FILE_BYTES_MAX: u64 = 4 << 20;

#[cfg(feature = "quic")]
/// Bytes of one QUIC connection on their way in each direction: sent and not acknowledged, or received and not relayed. At 50 ms of round trip that is
/// 5 MB/s, and it is what a client that never reads can make us keep.
pub(crate) const QUIC_WINDOW_BYTES: u32 = 256 << 10;

#[cfg(feature = "quic")]
/// Bytes that a relay takes at once; as many lie between it and the shard in each direction.
pub(crate) const RELAY_BYTES_MAX: usize = 64 << 10;

#[cfg(feature = "quic")]
/// Bytes that the kernel is asked to keep for all QUIC connections of a listener: a burst of a thousand large packets.
pub(crate) const QUIC_UDP_BYTES: usize = 2 << 20;

#[cfg(feature = "quic")]
/// First packets of QUIC connections that wait to be judged, which happens in the next turn of their thread.
pub(crate) const QUIC_INCOMING_MAX: usize = 1 << 10;

#[cfg(feature = "quic")]
/// Bytes of all of these, and of what comes behind them.
pub(crate) const QUIC_INCOMING_BYTES_MAX: u64 = 4 << 20;

/// A shard that works more than this many thousandths of the time gets no new connections while another one works less.
pub(crate) const SHARD_BUSY_PERMILLE: u32 = 700;

/// Messages of a queue that are read from the store at once where all of them are.
pub(crate) const SLICE_MESSAGES: usize = 512;

/// Most bytes of a slice for each message that may be in it, beyond the first one: 1 MiB for the longest.
pub(crate) const SLICE_BYTES_PER_MESSAGE: u64 = 512;

/// Bytes of retained messages that one turn sends to a new subscription.
pub(crate) const REPLAY_BYTES_MAX: usize = 64 << 10;

/// Retained messages that one look into their index may bring, under its lock; eight times as many are looked at.
pub(crate) const RETAINED_SCANNED_AT_ONCE: usize = 32;

/// Time that one turn of a shard gives to reading from its connections and to what their packets ask for, and once more to those that have used less
/// than others lately. Further ones wait for later turns: so much longer anybody waits, however many flood.
pub(crate) const READS_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(8);

/// Time that the end of a turn gives to scans for retained messages.
pub(crate) const LONG_WORK_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(8);

/// Time for one connection at once: for the packets of one read, the filters of a long SUBSCRIBE, a scan.
pub(crate) const SHARE_TIME: std::time::Duration = std::time::Duration::from_millis(2);

/// Time beyond twice what a connection took before that is taken for its own, where it is known by the clock on the wall alone.
pub(crate) const SURPRISE_MAX: std::time::Duration = std::time::Duration::from_micros(50);

/// What counts as short work of a connection: a hundred small packets, for which a development build takes longer. While there is not time for all, it
/// comes first.
pub(crate) const SHORT_TIME: std::time::Duration =
    std::time::Duration::from_micros(if cfg!(debug_assertions) { 500 } else { 100 });

/// What a connection that waits is expected to take at least, so that one turn calls at most 1,000 of them.
pub(crate) const SHARE_COST_MIN: std::time::Duration = std::time::Duration::from_micros(8);

/// Packets that are handled, and receivers of messages, between two looks at the clock: some 50 µs.
pub(crate) const STEPS_PER_LOOK: usize = 512;

/// Steps that count for a topic whose receivers had to be found. It may match the filters of many.
pub(crate) const STEPS_PER_ROUTE: usize = 64;

/// Steps that count for rules which had to be asked. An answer may take milliseconds.
pub(crate) const STEPS_PER_DECISION: usize = 128;

/// Messages of a queue that one turn gives up because they have expired or are too large for their Client; they take no room in its output.
pub(crate) const GIVEN_UP_AT_ONCE_MAX: usize = 1024;

/// Messages of a queue for which rules are asked again in one turn, after rules or users have changed.
pub(crate) const QUEUE_QUESTIONS_PER_TURN: usize = 256;

/// Topic Aliases that we set towards a Client, whatever more it allows. Its table of them is made as they are given: some 25 KiB for 256 usual topics.
pub(crate) const ALIASES_OUT_MAX: u16 = 256;

/// Longest topic in bytes that gets an alias: 128 KiB for the table of a Client at most.
pub(crate) const ALIASED_TOPIC_BYTES_MAX: usize = 512;

/// Bytes of a packet in which everything before its payload must lie for its topic to be sent as an alias.
pub(crate) const ALIASED_HEAD_BYTES_MAX: usize = 2048;

/// Kept values that one `-listKept` shows.
pub(crate) const KEPT_LISTED_MAX: usize = 1000;

/// Definitions that are looked at again when one that they use is replaced; each takes some tenths of a millisecond.
pub(crate) const DEPENDENTS_CHECKED_MAX: usize = 100;

/// Members of a shared subscription that are tried for a message which is too large for others of them.
pub(crate) const GROUP_TRIES_MAX: usize = 16;

/// Subscriptions, and messages in memory, of a session that ends at once; of one with more, or with a queue in the store, bit by bit on the housekeeping
/// thread.
pub(crate) const ENDED_AT_ONCE_MAX: usize = 64;

/// Sessions of a removed user that end in one batch for the store.
pub(crate) const ENDED_PER_TURN: usize = 64;

/// Time that all sessions which are ending get of a round of the housekeeping thread, which looks after timers too.
pub(crate) const ENDINGS_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(5);

/// Subscriptions of a session that is ending which leave the index under one lock: 0.3 ms at most, for those with 200 levels.
pub(crate) const UNSUBSCRIBED_AT_ONCE: usize = 32;

/// Name of an environment variable or secret, in bytes. What shells and container tools accept is far shorter.
pub(crate) const VARIABLE_NAME_BYTES_MAX: usize = 256;

/// Value of an environment variable or secret, in bytes: room for a chain of certificates with its key.
pub(crate) const VARIABLE_VALUE_BYTES_MAX: usize = 64 << 10;

/// Shortest value of a secret, in bytes, that is masked in traces and errors. A shorter one stands in any text by chance.
pub(crate) const MASKED_BYTES_MIN: usize = 4;

/// From this length on, in bytes, the text of an error may have been cut on its way, at a character: a secret may stand at its end in part.
pub(crate) const MASKED_CUT_BYTES_MIN: usize = 497;

/// The same for what a script printed: the guest of Python keeps 16,384 characters, and the host as many bytes.
pub(crate) const MASKED_PRINTED_BYTES_MIN: usize = 16_381;

/// Names of removed users that rest, of one tenant; the oldest may be given again first. Some 100 bytes each.
pub(crate) const REMOVED_NAMES_MAX: usize = 10_000;

/// Environment variables, and as many secrets, of one tenant; all of them are in memory.
pub(crate) const VARIABLES_MAX: usize = 10_000;

/// Name that a Client gives a command with `-requestId`, in characters. Commands reference §1.4.
pub(crate) const REQUEST_ID_CHARS_MAX: usize = 128;

/// Characters of an unknown verb that a reply repeats.
pub(crate) const VERB_SHOWN_CHARS_MAX: usize = 64;

/// Bytes of a topic in the log line about a message that no packet can hold.
pub(crate) const TOPIC_SHOWN_BYTES_MAX: usize = 200;

/// Bytes of the zip in one chunk of a backup: with base64 and its frame it stays below 1 MiB. Commands reference §12.3.
pub(crate) const BACKUP_CHUNK_BYTES_MAX: usize = 512 << 10;

/// Least bytes of the zip in one chunk; a Client whose largest packet has no room for them gets no backup.
pub(crate) const BACKUP_CHUNK_BYTES_MIN: usize = 1 << 10;

/// How long the Client that gets a backup may take nothing of it.
pub(crate) const BACKUP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Free space that a backup leaves on the disk, so that it is not the backup that stops the store.
pub(crate) const BACKUP_FREE_BYTES_MIN: u64 = 64 << 20;

/// Name of a backup, in bytes: a level of a topic, and mostly the name of a file.
pub(crate) const BACKUP_NAME_BYTES_MAX: usize = 64;

/// Files in the zip of a backup; there are three.
pub(crate) const BACKUP_MEMBERS_MAX: usize = 16;

/// Bytes of the manifest of a backup; it has about 2 KiB.
pub(crate) const BACKUP_DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Bytes that a backup in a command may unpack to. One that fits a packet has 12 MiB, and stores shrink to a tenth.
pub(crate) const RESTORE_UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// Bytes of a store's file for each byte of its stream, at most.
pub(crate) const RESTORE_DISK_FACTOR: u64 = 3;

/// Bytes of a reply to a command: what the smallest default packet limit of Clients takes.
pub(crate) const REPLY_BYTES_MAX: usize = 8 << 20;

/// Threads that execute commands. A command may wait for a run for 10 s, and so many may do so before others wait.
pub(crate) const COMMAND_THREADS: usize = 8;

/// Threads of those that uploads may take at once; the others answer everything else, however much is compiled.
pub(crate) const COMMAND_THREADS_COMPILING_MAX: usize = 6;

/// Uploads of [`LARGE_UPLOAD_BYTES`] or more that run at once; further ones wait in their queues, and smaller ones overtake them.
pub(crate) const LARGE_UPLOADS_MAX: usize = 2;

/// Bytes of a command from which on it is a large upload. Smaller programs are compiled in a tenth of a second.
pub(crate) const LARGE_UPLOAD_BYTES: usize = 16 << 10;

/// Bytes of a compiled program, or of a module, from which on its native code is made with at most [`LARGE_COMPILES_MAX`] others: it may take
/// more than 25 MiB.
pub(crate) const LARGE_COMPONENT_BYTES: usize = 32 << 10;

/// Programs of [`LARGE_COMPONENT_BYTES`] or more of which native code is made at once.
pub(crate) const LARGE_COMPILES_MAX: usize = 2;

/// Commands of one Client that wait or run.
pub(crate) const COMMANDS_WAITING_PER_CLIENT_MAX: usize = 256;

/// Commands of all Clients that wait or run.
pub(crate) const COMMANDS_WAITING_MAX: usize = 4096;

/// Commands that wait when a user who may give no others sets his own password; with more he is told to try again.
pub(crate) const OWN_PASSWORDS_WAITING_MAX: usize = COMMANDS_WAITING_MAX / 8;

/// Bytes of a command with which a user sets his own password, twice as many as the longest name and password that make sense.
pub(crate) const OWN_PASSWORD_BYTES_MAX: usize = 4096;

/// Bytes of all waiting commands: four of the largest default packet.
pub(crate) const COMMAND_BYTES_WAITING_MAX: usize = 64 << 20;

/// Logins that are accepted and have a record of their own in the audit, in each second.
pub(crate) const AUDIT_LOGINS_PER_SECOND: u32 = 100;

/// Logins that are refused and have a record of their own, in each second.
pub(crate) const AUDIT_REFUSALS_PER_SECOND: u32 = 100;

/// Denials by rules that have a record of their own, in each second.
pub(crate) const AUDIT_DENIALS_PER_SECOND: u32 = 10;

/// Commands of users who are no administrators that change nothing and have a record of their own, in each second.
pub(crate) const AUDIT_COMMANDS_PER_SECOND: u32 = 100;

/// Verbs, each with a result, of the commands of one user and address that are told apart at a time: the first of each has a record of its own.
pub(crate) const AUDIT_SUM_COMMANDS_MAX: usize = 16;

/// Logins, denials and changeless commands of one address and sort that have records of their own until [`AUDIT_SUM_INTERVAL`] is over; the others are summed up.
pub(crate) const AUDIT_OWN_RECORDS: u32 = 10;

/// For how long logins, denials and changeless commands of one address are summed up in one record.
pub(crate) const AUDIT_SUM_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// Addresses (and users) of which accepted logins, refused ones, denials or commands are told apart at a time; some 200 bytes each, and 2 KiB with many commands.
pub(crate) const AUDIT_ADDRESSES_MAX: usize = 1_000;

/// Users that such a record names.
pub(crate) const AUDIT_SUM_USERS_MAX: usize = 8;

/// Records after which the head of their sequence is told, even if [`AUDIT_HEAD_INTERVAL`] is not over.
pub(crate) const AUDIT_HEAD_RECORDS: u64 = 1_000;

/// Time after which the head of a sequence of records is told again, if it is another one.
pub(crate) const AUDIT_HEAD_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// Records of the audit that wait in memory; more are lost, and counted. They wait a second, or as long as the disk fails.
pub(crate) const AUDIT_WAITING_MAX: usize = 10_000;

/// Bytes of a text in a record of the audit.
pub(crate) const AUDIT_FIELD_BYTES_MAX: usize = 256;

/// Keys of the configuration that one record tells the change of; an ordinary change is of a few.
pub(crate) const AUDIT_CHANGES_MAX: usize = 20;

/// Records that `-auditQuery` returns. Commands reference §11.1.
pub(crate) const AUDIT_FOUND_MAX: usize = 1000;

/// Log lines that wait to be published; more are dropped and counted. They wait 20 ms, and all together have at most 18 MiB.
pub(crate) const LOG_LINES_WAITING_MAX: usize = 2048;

/// Bytes of the message of a published log line, and of each of its fields.
pub(crate) const LOG_FIELD_BYTES_MAX: usize = 512;

/// Fields of a published log line.
pub(crate) const LOG_FIELDS_MAX: usize = 16;

/// Trace logs of the broker; for each the housekeeping asks twice a second who reads it.
pub(crate) const TRACE_LOGS_MAX: usize = 32;

/// Bytes of the name of a trace log, which is a level of a topic.
pub(crate) const TRACE_LOG_NAME_BYTES_MAX: usize = 64;

/// Bytes of the filter of a trace log.
pub(crate) const TRACE_LOG_FILTER_BYTES_MAX: usize = 1024;

/// Python scripts of one tenant: each that was called keeps an instance of some MiB.
pub(crate) const SCRIPTS_MAX: usize = 100;

/// Projects of one tenant.
pub(crate) const PROJECTS_MAX: usize = 64;

/// Bytes of the archives of all projects of one tenant.
pub(crate) const PROJECTS_BYTES_MAX: usize = 256 << 20;

/// Bytes of the archive of a project: as base64 it fits the largest default packet, on its way in and out.
pub(crate) const PROJECT_ARCHIVE_BYTES_MAX: usize = 11 << 20;

/// Bytes of a project's files.
pub(crate) const PROJECT_UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// Files of a project.
pub(crate) const PROJECT_FILES_MAX: usize = 2000;

/// Bytes of a path inside a project.
pub(crate) const PROJECT_PATH_BYTES_MAX: usize = 1024;

/// Bytes of a project's name.
pub(crate) const PROJECT_NAME_BYTES_MAX: usize = 128;

/// Errors, and warnings, that the loading of a project tells.
pub(crate) const PROJECT_PROBLEMS_MAX: usize = 200;

/// Texts for `…/debug` of scripts that wait to be published; beyond that the oldest go.
pub(crate) const SCRIPT_DEBUG_WAITING_MAX: usize = 1000;

/// Rows of a listing of the `$SYS` tree, and of a page of `-listClients`. Commands reference §5.
pub(crate) const LISTING_ROWS_MAX: usize = 1000;

/// Orders of other threads that may wait for one shard: new connections take half of the places and are not accepted beyond it, threads without
/// connections wait for a place.
pub(crate) const SHARD_ORDERS_MAX: usize = 4096;

/// Orders that may wait for the thread of routes; whoever deploys or probes more waits.
pub(crate) const ROUTE_ORDERS_MAX: usize = 64;

/// Ended sessions whose end is not on the disk that are remembered by Client Identifier; beyond it, every new session waits for the ends of all.
pub(crate) const ENDED_SESSIONS_UNSTORED_MAX: usize = 65_536;

/// Damaged rows that a start logs one by one; of further ones there is only the number.
pub(crate) const QUARANTINED_LOGGED_MAX: usize = 1000;

/// HTTP connections on the health port; a further one takes the place of one that is idle. A scraper and a probe need one each.
pub(crate) const HTTP_CONNECTIONS_MAX: usize = 256;

/// Bytes that an HTTP connection buffers for the head of a request; 8 KiB is the least that the library takes.
pub(crate) const HTTP_HEAD_BYTES_MAX: usize = 16 << 10;

/// Header fields of an HTTP request.
pub(crate) const HTTP_HEADERS_MAX: usize = 64;

/// Time for the head of an HTTP request.
pub(crate) const HTTP_HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// Life of an HTTP connection, so that idle ones do not keep the others out for ever.
pub(crate) const HTTP_CONNECTION_TIME: std::time::Duration = std::time::Duration::from_secs(300);

/// How long a request for the health waits for signs of life.
pub(crate) const PULSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a thread of the broker may give no sign of life before its health is bad.
pub(crate) const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Bytes of a module that comes inline. Commands reference §14.4.
pub(crate) const MODULE_BYTES_MAX: usize = 8 << 20;

/// Modules of one tenant, and their bytes together. Commands reference §14.4.
pub(crate) const MODULES_MAX: usize = 64;

/// See [`MODULES_MAX`].
pub(crate) const MODULES_BYTES_MAX: usize = 512 << 20;

/// Most memory of a module's instance in MiB. Commands reference §14.4.
pub(crate) const MODULE_MEMORY_MIB_MAX: usize = 64;

/// Most time of a module's run in milliseconds. Commands reference §14.4.
pub(crate) const MODULE_TIME_MS_MAX: usize = 1000;

/// Messages that wait for one route, unless `OVERLOAD_CAPACITY` says less. Further ones are refused and counted.
pub(crate) const ROUTE_MAILBOX_MESSAGES_MAX: usize = 10_000;

/// Bytes of them, with 64 for each message.
pub(crate) const ROUTE_MAILBOX_BYTES_MAX: usize = 16 << 20;

/// Messages that a route guest gets in one call.
pub(crate) const ROUTE_BATCH_MAX: usize = 64;

/// Time for one call of a route guest, waiting included. After that its instance is given up.
pub(crate) const ROUTE_CALL_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// Bytes of the rows that one question gets; further rows are left out. Routes reference §4.1.
pub(crate) const ROWS_BYTES_MAX: usize = 1 << 20;

/// A message that was answered with `retry` at least so often, for at least [`ROUTE_RETRY_TIME_MIN`], counts as rejected. Routes reference §3.3.
pub(crate) const ROUTE_RETRIES_MIN: u32 = 20;

/// See [`ROUTE_RETRIES_MIN`].
pub(crate) const ROUTE_RETRY_TIME_MIN: std::time::Duration = std::time::Duration::from_secs(600);
