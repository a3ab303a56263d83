//! Limits that can be set: one row each, with default, unit and range.
//!
//! The keys of `[limits]` and of the listeners, what a listener's connections are held to, the
//! counters in `/metrics` and `docs/limits.md` derive from the rows. Not here: bounds that cannot
//! be set (`limits.rs` of each crate).

mod default_values;

pub use default_values::*;

/// Hands the rows of all limits that can be set to another macro:
/// `limit_table! { path::of::macro! { what it needs besides } }`.
///
/// A row is `/// doc` lines, then `name: Type = default, range low..=high, unit "…"` and, where it
/// applies, `json "Name"`; behind `=>` its [`Limit`], the Reason Code and Reason String of
/// refusals, and what happens at the bound. A listener may set the rows of the first group, and one
/// with addresses those of the second. Until then it has the values of `[limits]`. The rows of the
/// last two groups are in `[limits]` alone. The third group holds for each client and its session,
/// and the fourth for many of them together.
#[macro_export]
macro_rules! limit_table {
    ($($callback:ident)::+ ! { $($head:tt)* }) => {
        $($callback)::+! {
            { $($head)* }
            every_listener {
                /// Largest packet in bytes that clients may send, fixed header included; announced
                /// in 5.0.
                max_packet_size: u32 = $crate::limit_table::PACKET_BYTES_MAX, range 1_024..=268_435_460, unit "bytes", json "MaxPacketSize"
                    => MaxPacketSize(PacketTooLarge, "packet is larger than this server takes"): "the connection ends at the header of the packet, with 0x95 in 5.0";
                /// Time in seconds from a connection to its CONNECT, all handshakes included.
                connect_timeout_sec: u32 = $crate::limit_table::CONNECT_TIMEOUT_SEC, range 1..=3_600, unit "s"
                    => ConnectTimeoutSec(QuotaExceeded, "no CONNECT in time"): "the connection is closed";
                /// Longest packet in bytes before a client has logged in: CONNECT with its Will, or
                /// AUTH. `max_packet_size` holds for it too.
                connect_bytes: u32 = $crate::limit_table::CONNECT_BYTES_MAX, range 1_024..=1_048_576, unit "bytes"
                    => ConnectBytes(PacketTooLarge, "packet is larger than this server takes before a login"): "the connection is closed at the header of the packet";
                /// Most User Properties of a CONNECT, those of its Will included.
                connect_user_properties: u32 = $crate::limit_table::CONNECT_USER_PROPERTIES_MAX, range 0..=10_000, unit "properties"
                    => ConnectUserProperties(QuotaExceeded, "CONNECT has too many user properties"): "refused with 0x97";
                /// Connections of one listener that may be without CONNECT at once. They are at
                /// most a quarter of its `connections`, and those of all listeners a quarter of the
                /// broker's.
                half_open: u32 = $crate::limit_table::HALF_OPEN_MAX, range 1..=10_000_000, unit "connections"
                    => HalfOpen(QuotaExceeded, "too many connections without CONNECT"): "the broker closes the oldest such connection of the address that has most of them. If the address of the new one has as many, it closes the new one. This machine may have a few more";
                /// Bytes of CONNECT packets, TLS handshakes and WebSocket upgrades that have come
                /// in part, of all connections of one listener.
                half_open_bytes: u64 = $crate::limit_table::HALF_OPEN_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => HalfOpenBytes(QuotaExceeded, "too many bytes of unfinished CONNECT packets and handshakes"): "as for `partial_bytes`, without a Reason Code";
                /// Bytes of incomplete packets and of the topics of Topic Aliases of all
                /// connections. The value of `[limits]` holds for the whole broker, handshakes
                /// included. The value of a listener holds for its connections after their CONNECT.
                partial_bytes: u64 = $crate::limit_table::PARTIAL_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => PartialBytes(QuotaExceeded, "too many bytes of unfinished packets"): "a connection that uses more than an even share and sends more ends, with 0x97 in 5.0. Within a second, those that use most end too";
                /// Connections at once. The value of `[limits]` holds for the whole broker, that of
                /// a listener for this listener. The broker has fewer if the process may not open
                /// so many files. Users and addresses have shares of them ("Shares of connections"
                /// in `docs/limits.md`).
                connections: u32 = $crate::limit_table::CONNECTIONS_MAX, range 1..=100_000_000, unit "connections"
                    => Connections(QuotaExceeded, "too many connections"): "a new connection is closed at once. Some connections of this machine may still log in; the broker refuses them with 0x97 (before 5.0 return code 3) unless an administrator logs in";
                /// New connections per second, of which a second's worth may come at once. The
                /// value of `[limits]` holds for the whole broker, that of a listener for this
                /// listener. 0 is no limit.
                connections_per_sec: u32 = 0, range 0..=10_000_000, unit "1/s"
                    => ConnectionsPerSec(ConnectionRateExceeded, "too many new connections"): "a new connection is closed at once";
                /// Messages per second that each connection may send, of which a second's worth may
                /// come at once. Frames without a packet, such as pings of WebSocket, count as one
                /// message for each 64 bytes. A value of 0 is no limit.
                messages_per_sec: u32 = 0, range 0..=10_000_000, unit "1/s"
                    => MessagesPerSec(MessageRateTooHigh, "too many messages per second"): "the broker does not read from the client until the rate is met again";
                /// Bytes per second that each connection may send, of which a second's worth may
                /// come at once. Packets of all types count with their decompressed size. The bytes
                /// that TLS, WebSocket and zstd add count too, also in pings of WebSocket and empty
                /// frames. The broker handles a longer packet, and reads the next one only when the
                /// rate allows it. Over QUIC, frames without data count too, and a connection ends
                /// if they alone exceed the rate. A value of 0 is no limit.
                bytes_per_sec: u32 = 0, range 0..=4_000_000_000, unit "bytes/s"
                    => BytesPerSec(MessageRateTooHigh, "too many bytes per second"): "the broker does not read from the client until the rate is met again";
                /// Bytes of MQTT that one byte of compressed WebSocket messages or of the zstd
                /// stream may become, on average over a connection. Each connection has the size of
                /// one packet free. In a minute one address or user has that of two packets, all
                /// clients without a login that of four, and all clients that of eight. A value of
                /// 0 is no limit.
                inflate_ratio: u32 = $crate::limit_table::INFLATE_RATIO_MAX, range 0..=1_000_000, unit "bytes"
                    => InflateRatio(QuotaExceeded, "what was compressed becomes too much"): "the connection ends with 0x97";
                /// Messages of QoS 1 and 2 that a client may send before the first is acknowledged.
                /// Clients of MQTT 5.0 get it as Receive Maximum.
                receive_maximum: u16 = $crate::limit_table::RECEIVE_MAXIMUM, range 1..=65_535, unit "messages"
                    => ReceiveMaximum(ReceiveMaximumExceeded, "too many unacknowledged messages"): "the connection ends with 0x93; older versions have no such rule";
                /// Messages of QoS 1 and 2 that may be in flight to a client before MQTT 5.0, which
                /// has no Receive Maximum.
                send_window: u16 = $crate::limit_table::SEND_WINDOW, range 1..=32_767, unit "messages"
                    => SendWindow(QuotaExceeded, "too many unacknowledged messages"): "further ones wait in the session's queue";
            }
            addressed_listener {
                /// Time in seconds from a connection to the end of its TLS handshake, WebSocket
                /// upgrade and PROXY header.
                handshake_timeout_sec: u32 = $crate::limit_table::HANDSHAKE_TIMEOUT_SEC, range 1..=3_600, unit "s"
                    => HandshakeTimeoutSec(QuotaExceeded, "handshake took too long"): "the connection is closed";
                /// Bytes without MQTT that a connection may send before CONNECT: pings and empty
                /// frames of WebSocket, records of TLS. The 192 KiB that layers below MQTT may keep
                /// are free. An exchange of AUTH packets has as many again. After CONNECT, rates
                /// bound these bytes.
                connect_overhead_bytes: u32 = $crate::limit_table::CONNECT_OVERHEAD_BYTES_MAX, range 1_024..=1_073_741_824, unit "bytes"
                    => ConnectOverheadBytes(QuotaExceeded, "too many bytes below MQTT before CONNECT"): "the connection is closed";
                /// Connections at once from one address. IPv6 addresses count by their network of
                /// 64 bits. A value of 0 is no limit.
                connections_per_address: u32 = 0, range 0..=100_000_000, unit "connections"
                    => ConnectionsPerAddress(QuotaExceeded, "too many connections from this address"): "a new connection is closed at once, behind a proxy at the end of its PROXY header";
                /// New connections per second from one address, of which a second's worth may come
                /// at once. The default does not hold for this machine. A value of 0 is no limit.
                connections_per_sec_per_address: u32 = $crate::limit_table::CONNECTIONS_PER_SEC_PER_ADDRESS, range 0..=10_000_000, unit "1/s"
                    => ConnectionsPerSecPerAddress(ConnectionRateExceeded, "too many new connections from this address"): "as for `connections_per_address`";
                /// Logins per second from one address by user name, token or exchange. The default
                /// does not hold for this machine. A value of 0 is no limit.
                logins_per_sec_per_address: u32 = $crate::limit_table::LOGINS_PER_SEC_PER_ADDRESS, range 0..=10_000_000, unit "1/s"
                    => LoginsPerSecPerAddress(ConnectionRateExceeded, "too many logins from this address"): "refused with 0x9F, or return code 3, unchecked";
            }
            every_client {
                /// Most messages that wait for one session. Sent messages without acknowledgement
                /// do not count.
                queue_messages: u32 = $crate::limit_table::QUEUE_MESSAGES_MAX, range 1..=100_000_000, unit "messages", json "QueueMessages"
                    => QueueMessages(QuotaExceeded, "queue of a session is full"): "a new message is dropped for this session or refused, as `on_full` says";
                /// Most bytes that wait for one session. Subscription Identifiers do not count
                /// here, but in `stored_queue_bytes`.
                queue_bytes: u64 = $crate::limit_table::QUEUE_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes", json "QueueBytes"
                    => QueueBytes(QuotaExceeded, "queue of a session is full"): "a new message is dropped for this session or refused, as `on_full` says";
                /// Longest Topic Name or Topic Filter in bytes; that of a Will too.
                topic_bytes: u32 = $crate::limit_table::TOPIC_BYTES_MAX, range 1..=65_535, unit "bytes"
                    => TopicBytes(TopicNameInvalid, "topic is too long"): "PUBLISH of QoS 1 or 2: refused with 0x90; SUBSCRIBE: 0x8F for the filter; CONNECT: refused with 0x90; else, and before 5.0, the connection ends";
                /// Most levels of a Topic Name or Topic Filter; that of a Will too.
                topic_levels: u32 = $crate::limit_table::TOPIC_LEVELS_MAX, range 1..=256, unit "levels"
                    => TopicLevels(TopicNameInvalid, "topic has too many levels"): "as for `topic_bytes`";
                /// Most User Properties of a CONNECT, its Will, a PUBLISH, SUBSCRIBE or
                /// UNSUBSCRIBE. `connect_user_properties` holds for a CONNECT too. Those of other
                /// packets are read and forgotten.
                user_properties: u32 = $crate::limit_table::USER_PROPERTIES_MAX, range 0..=1_000_000, unit "properties"
                    => UserProperties(QuotaExceeded, "packet has too many user properties"): "CONNECT, and PUBLISH of QoS 1 or 2: refused with 0x97; else the connection ends with 0x97";
                /// Most bytes of all names and values of these User Properties.
                user_property_bytes: u32 = $crate::limit_table::USER_PROPERTY_BYTES_MAX, range 0..=268_435_460, unit "bytes"
                    => UserPropertyBytes(QuotaExceeded, "user properties of the packet are too long"): "as for `user_properties`";
                /// Topic Aliases that a client may set. CONNACK of MQTT 5.0 has the number. Each
                /// may take as much memory as its topic.
                topic_alias_maximum: u16 = $crate::limit_table::TOPIC_ALIAS_MAXIMUM, range 0..=65_535, unit "aliases"
                    => TopicAliasMaximum(TopicAliasInvalid, "topic alias is too high"): "the connection ends with 0x94";
                /// Most bytes of all topics that the Topic Aliases of a connection stand for.
                topic_alias_bytes: u32 = $crate::limit_table::TOPIC_ALIAS_BYTES_MAX, range 1_024..=1_073_741_824, unit "bytes"
                    => TopicAliasBytes(QuotaExceeded, "topics of topic aliases are too long"): "the connection ends with 0x97";
                /// Subscriptions of one session.
                subscriptions: u32 = $crate::limit_table::SUBSCRIPTIONS_MAX, range 1..=10_000_000, unit "subscriptions"
                    => Subscriptions(QuotaExceeded, "session has too many subscriptions"): "SUBACK with 0x97 for the filter, 0x80 before 5.0";
                /// Shared subscriptions (`$share/…`) of one session. Each gets its own copy of a
                /// message. A session that outlives its connection gets copies of one message with
                /// at most `COPIES_BYTES_MAX` together. When the session ends, the group gets its
                /// remaining messages.
                shared_subscriptions: u32 = $crate::limit_table::SHARED_SUBSCRIPTIONS_MAX, range 0..=10_000_000, unit "subscriptions"
                    => SharedSubscriptions(QuotaExceeded, "session has too many shared subscriptions"): "as for `subscriptions`";
                /// Most filters of a SUBSCRIBE or UNSUBSCRIBE.
                filters_per_packet: u32 = $crate::limit_table::FILTERS_PER_PACKET_MAX, range 1..=10_000_000, unit "filters"
                    => FiltersPerPacket(QuotaExceeded, "packet has too many topic filters"): "the connection ends with 0x97";
                /// Bytes of the Topic Filters of one session. Each text counts twice because the
                /// index has it too, with 128 for each filter and 32 for each of its levels.
                /// Filters with several `+` take time for each message, so they count for more.
                /// These are 1,024 for each `+` after the second one and 4,096 for each level after
                /// the tenth. Shared subscriptions count 2,048 more.
                subscription_bytes: u64 = $crate::limit_table::SUBSCRIPTION_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => SubscriptionBytes(QuotaExceeded, "subscriptions of the session take too much room"): "as for `subscriptions`";
                /// Bytes of messages that wait for a client whose socket is full.
                output_bytes: u32 = $crate::limit_table::OUTPUT_BYTES_MAX, range 65_536..=1_073_741_824, unit "bytes"
                    => OutputBytes(QuotaExceeded, "client does not read"): "messages of QoS 0 are dropped for this client, others wait in its session's queue";
            }
            whole_broker {
                /// Sessions of one tenant that outlive their connections.
                sessions: u32 = $crate::limit_table::SESSIONS_MAX, range 1..=1_000_000_000, unit "sessions"
                    => Sessions(QuotaExceeded, "too many stored sessions"): "a CONNECT that asks for one more is refused with 0x97, before 5.0 with return code 3. These always work: to resume a session, a session that ends with its connection, and administrators";
                /// Sessions of one user that outlive their connections.
                sessions_per_user: u32 = $crate::limit_table::SESSIONS_PER_USER_MAX, range 1..=1_000_000_000, unit "sessions"
                    => SessionsPerUser(QuotaExceeded, "user has too many stored sessions"): "as for `sessions`";
                /// Connections of one user at once. A value of 0 is no limit.
                connections_per_user: u32 = 0, range 0..=100_000_000, unit "connections"
                    => ConnectionsPerUser(QuotaExceeded, "user has too many connections"): "as for `sessions`, but not to take over a session";
                /// Subscriptions of all sessions of one user. A value of 0 is no limit.
                subscriptions_per_user: u32 = 0, range 0..=1_000_000_000, unit "subscriptions"
                    => SubscriptionsPerUser(QuotaExceeded, "user has too many subscriptions"): "as for `subscriptions`. Administrators are exempt";
                /// Messages per second of all connections of one user, counted as for
                /// `messages_per_sec`. A value of 0 is no limit.
                messages_per_sec_per_user: u32 = 0, range 0..=10_000_000, unit "1/s"
                    => MessagesPerSecPerUser(MessageRateTooHigh, "too many messages per second of this user"): "as for `messages_per_sec`, on these connections";
                /// Bytes per second of all connections of one user, counted as for `bytes_per_sec`.
                /// A value of 0 is no limit.
                bytes_per_sec_per_user: u32 = 0, range 0..=4_000_000_000, unit "bytes/s"
                    => BytesPerSecPerUser(MessageRateTooHigh, "too many bytes per second of this user"): "as for `messages_per_sec_per_user`";
                /// Sessions of all clients without a user together that outlive their connections.
                anonymous_sessions: u32 = $crate::limit_table::ANONYMOUS_SESSIONS_MAX, range 0..=1_000_000_000, unit "sessions"
                    => AnonymousSessions(QuotaExceeded, "too many stored sessions of anonymous clients"): "as for `sessions`";
                /// Sessions of clients without a user from one address that outlive their
                /// connections. IPv6 addresses count by their network of 64 bits. Sessions count
                /// from the start of the broker on.
                sessions_per_address: u32 = $crate::limit_table::SESSIONS_PER_ADDRESS_MAX, range 0..=1_000_000_000, unit "sessions"
                    => SessionsPerAddress(QuotaExceeded, "too many stored sessions of anonymous clients from this address"): "as for `sessions`";
                /// Bytes of all sessions of one tenant. Client identifiers, Topic Filters (as for
                /// `subscription_bytes`), Wills and open QoS 2 exchanges (32 for each, in steps of
                /// 64) count. One user has at most half of it, and so have all clients without a
                /// user together.
                tenant_session_bytes: u64 = $crate::limit_table::TENANT_SESSION_BYTES_MAX, range 65_536..=1_099_511_627_776, unit "bytes"
                    => TenantSessionBytes(QuotaExceeded, "sessions take too much room"): "CONNECT as for `sessions`, SUBSCRIBE as for `subscriptions`; a further PUBLISH of QoS 2 gets PUBREC with 0x97, before 5.0 the connection ends. Administrators are exempt";
                /// Bytes of messages that wait for all clients whose sockets are full. The clients
                /// of one user have at most three quarters of what the others leave, or an even
                /// part if that is more. The same holds for all clients without a user. At that
                /// bound each of these clients has an even share instead of its `output_bytes`. A
                /// message of QoS 0 of at least 64 KiB without room is dropped for its receiver. A
                /// retained message for a new subscription waits.
                all_output_bytes: u64 = $crate::limit_table::ALL_OUTPUT_BYTES_MAX, range 65_536..=1_099_511_627_776, unit "bytes"
                    => AllOutputBytes(QuotaExceeded, "clients do not read"): "as for `output_bytes`, for users with more than their share";
                /// Bytes of messages of QoS 1 and 2 that wait in memory, for all clients whose
                /// sessions end with their connections. Messages of other sessions are in the
                /// store. Users share it as `all_output_bytes`. At the limit of a user each of
                /// their clients has an even share of it instead of `queue_bytes`.
                all_queue_bytes: u64 = $crate::limit_table::ALL_QUEUE_BYTES_MAX, range 65_536..=1_099_511_627_776, unit "bytes"
                    => AllQueueBytes(QuotaExceeded, "clients do not take their messages"): "as for `queue_bytes`, for users with more than their share";
                /// Bytes of messages of QoS 1 and 2 in memory that are in flight or next to be
                /// sent. Messages for clients that have gone count too. A message for several
                /// sessions counts once. One user has at most three quarters of what the others
                /// leave, and so have all clients without a user together.
                all_inflight_bytes: u64 = $crate::limit_table::ALL_INFLIGHT_BYTES_MAX, range 1_048_576..=1_099_511_627_776, unit "bytes"
                    => AllInflightBytes(QuotaExceeded, "clients do not acknowledge their messages"): "the broker slows sessions of users with more than their share, within half a second. Each has an even share in flight, 64 KiB at most. Further and longer messages wait in its queue in the store";
                /// Bytes of the topics for which the broker has set Topic Aliases towards clients,
                /// and of what it remembers of others to choose them.
                all_alias_bytes: u64 = $crate::limit_table::ALL_ALIAS_BYTES_MAX, range 0..=1_099_511_627_776, unit "bytes"
                    => AllAliasBytes(QuotaExceeded, "topic aliases towards clients take too much room"): "a client with more than an even share gets no further aliases; its messages have their topics in full";
                /// Messages per second that are stored for sessions of one user whose clients are
                /// away. A second's worth may come at once. A message counts once for each session
                /// after the first 16. All clients without a user have the same number together. A
                /// value of 0 is no limit.
                offline_deliveries_per_sec: u32 = $crate::limit_table::OFFLINE_DELIVERIES_PER_SEC, range 0..=1_000_000_000, unit "1/s"
                    => OfflineDeliveriesPerSec(QuotaExceeded, "too many messages for clients that are away"): "the message is dropped for this session and counted, as if its queue were full";
                /// Bytes of the messages that wait in the store for sessions of all tenants. A
                /// message for several sessions counts once, as it is stored once. When half is
                /// used, one user has at most three quarters of what the others leave. The same
                /// holds for all clients without a user together.
                stored_queue_bytes: u64 = $crate::limit_table::STORED_QUEUE_BYTES_MAX, range 1_048_576..=1_125_899_906_842_624, unit "bytes"
                    => StoredQueueBytes(QuotaExceeded, "too many messages wait in the store"): "as for `queue_messages`, within half a second";
                /// Bytes of the disk that data of clients leaves free, so that commands still work.
                /// 0 for none.
                disk_reserve_bytes: u64 = $crate::limit_table::DISK_RESERVE_BYTES, range 0..=1_125_899_906_842_624, unit "bytes"
                    => DiskReserveBytes(QuotaExceeded, "the disk is full but for its reserve"): "requests of clients that need the disk are refused as on a full disk, within half a second; commands work";
                /// Memory in bytes of all actions, models, scripts, modules and routes together. A
                /// value of 0 is a quarter of the memory of the machine or container, at least 256
                /// MiB and at most 4 GiB. Those of one user have at most three quarters of what the
                /// others leave.
                guests_memory: u64 = 0, range 0..=1_099_511_627_776, unit "bytes"
                    => GuestsMemory(QuotaExceeded, "guests need too much memory"): "the run that needs more ends with `GUEST_MEMORY`, which names the sum or the part. Rules are exempt";
                /// Memory mappings of the compiled code of all actions, models, rules, modules and
                /// routes. Each program counts for three. A value of 0 is the limit of the system
                /// (`vm.max_map_count`), without the mappings of instances and a reserve. One user
                /// who is no administrator has at most three quarters of what the others leave.
                code_mappings: u64 = 0, range 0..=1_000_000_000, unit "mappings"
                    => CodeMappings(QuotaExceeded, "too many compiled programs"): "a further definition is refused with `QUOTA_EXCEEDED`, and at a start is in state `error`; replacing and removing always work";
                /// Memory in bytes of the native code of all actions, models, rules, modules and
                /// routes. It is up to fourteen times as large as the WebAssembly. Equal code is in
                /// memory once, and counts once for each user who has it. A value of 0 is as much
                /// as `guests_memory`. One user who is no administrator has at most three quarters
                /// of what the others leave.
                code_memory: u64 = 0, range 0..=1_099_511_627_776, unit "bytes"
                    => CodeMemory(QuotaExceeded, "native code takes too much memory"): "a further definition is refused with `QUOTA_EXCEEDED`, and at a start is in state `error`; a replacement may exceed it by a sixteenth; removing always works";
                /// Retained messages of one tenant. Each user with their programs has at most three
                /// quarters of what the others leave. So have all clients without a user together,
                /// and programs without an owner.
                retained_messages: u32 = $crate::limit_table::RETAINED_MESSAGES_MAX, range 1..=1_000_000_000, unit "messages"
                    => RetainedMessages(QuotaExceeded, "too many retained messages"): "a further message is refused with 0x97 (5.0, QoS 1 and 2); else it is delivered and not retained. Replacing and deleting always work";
                /// Bytes of the retained messages of one tenant, with topics and properties; shared
                /// out as `retained_messages`.
                retained_bytes: u64 = $crate::limit_table::RETAINED_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => RetainedBytes(QuotaExceeded, "retained messages take too much room"): "as for `retained_messages`; replacing by a message that is not longer works";
                /// Messages that wait until their delay is over. Each user with their programs, all
                /// clients without a user together, and programs without an owner have at most
                /// three quarters of what the others leave. With 0 no message has a delay.
                delayed_messages: u32 = $crate::limit_table::DELAYED_MESSAGES_MAX, range 0..=100_000_000, unit "messages"
                    => DelayedMessages(QuotaExceeded, "too many delayed messages"): "a message with a delay that would become one more is refused with 0x97 (5.0, QoS 1 and 2). One of QoS 0 is dropped; before 5.0 one of QoS 1 or 2 ends its connection";
                /// Bytes of the messages that wait until their delay is over, with topics,
                /// properties and Client Identifiers; shared out as `delayed_messages`.
                delayed_bytes: u64 = $crate::limit_table::DELAYED_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => DelayedBytes(QuotaExceeded, "delayed messages take too much room"): "as for `delayed_messages`";
                /// Environment variables of one tenant, and as many secrets. All of them are in
                /// memory. Programs add none beyond three quarters of the limit.
                variables: u32 = $crate::limit_table::VARIABLES_MAX, range 1..=1_000_000, unit "values"
                    => Variables(QuotaExceeded, "too many environment variables or secrets"): "`-setEnv` and `-setSecret` of a new name are refused with `QUOTA_EXCEEDED`; a program's has no effect. Replacing and removing always work";
                /// Bytes of the names and values of the environment variables of one tenant, and as
                /// many of its secrets. Programs add nothing beyond three quarters of the limit.
                variable_bytes: u64 = $crate::limit_table::VARIABLE_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => VariableBytes(QuotaExceeded, "environment variables or secrets take too much room"): "as for `variables`; replacing by a value that is not longer works";
                /// Projects of one tenant.
                projects: u32 = $crate::limit_table::PROJECTS_MAX, range 1..=100_000, unit "projects"
                    => Projects(QuotaExceeded, "too many projects"): "a further project is refused with `QUOTA_EXCEEDED`; replacing and removing always work";
                /// Bytes of the archives of all projects of one tenant. Previous versions count,
                /// and are removed first.
                project_bytes: u64 = $crate::limit_table::PROJECT_BYTES_MAX, range 1_024..=1_099_511_627_776, unit "bytes"
                    => ProjectBytes(QuotaExceeded, "projects take too much room"): "a project that would exceed them is refused with `QUOTA_EXCEEDED`";
                /// Longest time in seconds for which a login has to wait after failed logins as the
                /// same user from the same address. The wait is 1 s after five of them, and doubles
                /// with each further one. IPv6 addresses count by their network of 64 bits. A value
                /// of 0 turns the wait off.
                login_wait_max_sec: u32 = $crate::limit_table::LOGIN_WAIT_MAX_SEC, range 0..=86_400, unit "s"
                    => LoginWaitMaxSec(ConnectionRateExceeded, "too many failed logins"): "a login before the end of the wait is refused with 0x9F, or return code 3, without a check of its password. One login a second is checked all the same, and accepted if its password is that of a previous login";
                /// Logins whose password waits to be checked. They are at most an eighth of
                /// `connections`.
                logins_waiting: u32 = $crate::limit_table::LOGINS_WAITING_MAX, range 1..=1_000_000, unit "logins"
                    => LoginsWaiting(ServerBusy, "too many passwords wait to be checked"): "the newest one of the address with most of them, or else of the user, is refused with 0x89, or return code 3";
            }
        }
    };
}
