//! Bounds of the server: name, unit, default, and why this number.
//!
//! Not here: what can be set, which is a row of [`limit_table`](lotmq_config::limit_table) each.

mod address_rate;
pub(crate) mod allocation;
mod figures;
mod limit;
mod page;
mod rate;
mod reached;
mod sums;
pub mod unfinished;

pub use address_rate::AddressRates;
pub use figures::{DELIVERY_BOUNDS, LOGIN_BOUNDS};
pub(crate) use figures::{LISTENERS_FIGURED_MAX, TURNS_PER_MEASURED};
pub(crate) use limit::LIMITS;
pub use limit::{Limit, Scope};
pub use lotmq_auth::{LogLines, WrittenLine};
pub use page::markdown;
pub use rate::{Bucket, Throttle};
pub(crate) use rate::{ClientRate, UserBounds, UserRate};
pub use reached::LimitsReached;
pub(crate) use reached::Reached;
pub(crate) use sums::*;

/// Addresses whose logins one listener counts; 3 MiB. A flood from more addresses is bounded by
/// `logins_waiting`.
pub(crate) const RATED_ADDRESSES_MAX: usize = 100_000;

/// Releases on one shard that wait for the disk before the broker stops reading Clients that store
/// something: some 20 MB. Exchanges that wait for PUBREL or PUBREC add hardly any bytes to the log.
pub(crate) const RELEASES_WAITING_MAX: usize = 250_000;

/// Bytes of a turn's batch that waits for room in the log, from which on no session that is to be
/// stored begins. Each replaces the one before it, with its Will.
pub(crate) const BATCH_WAITING_BYTES_MAX: usize = 16 << 20;

/// Longest topic in bytes that is remembered as one that a connection may publish to. Others are
/// asked about with each message.
pub(crate) const ALLOWED_TOPIC_BYTES_MAX: usize = 1 << 10;

/// Bytes of frames and records below MQTT that may come with one packet, and with each 4 KiB of
/// packets. A record of TLS takes 29, a frame of WebSocket up to 14. Each so many bytes beyond
/// count as one message.
pub(crate) const FRAME_BYTES_PER_PACKET: u64 = 64;

/// Cost of a subscription besides its filter, in bytes: in the session, in the index of
/// subscriptions, and in the store.
pub(crate) const SUBSCRIPTION_COST: u64 = 128;

/// Most cost of a level of a Topic Filter in the index of subscriptions, in bytes.
pub(crate) const FILTER_LEVEL_COST: u64 = 32;

/// How many `+` a Topic Filter may have before further ones cost [`FURTHER_PLUS_COST`], and levels
/// behind the first ones [`DEEP_LEVEL_COST`].
pub(crate) const PLUSES_FREE: u64 = 2;

/// Cost of a further `+` in bytes. Each doubles the filters that one topic can match. One owner has
/// at most 110,000 of those; with [`FILTER_LEVEL_COST`] alone it was more than a million.
pub(crate) const FURTHER_PLUS_COST: u64 = 1 << 10;

/// Levels of a filter that cost [`FILTER_LEVEL_COST`] alone: in all of them together a topic has at
/// most 2,048 ways. Topics of plants have six to nine levels.
pub(crate) const DEEP_LEVELS_FROM: u64 = 10;

/// Cost of a level behind these in bytes, in a filter with several `+`. One owner has at most
/// 131,072 of them: a message that passes them all takes 3 ms. With [`FILTER_LEVEL_COST`] alone it
/// took 3.5 s.
pub(crate) const DEEP_LEVEL_COST: u64 = 4 << 10;

/// Additional cost of a shared subscription in bytes. One owner has at most 262,144 of them, so a
/// message looks at no more members of groups in vain. With [`SUBSCRIPTION_COST`] alone it was 1.8
/// million.
pub(crate) const SHARED_SUBSCRIPTION_COST: u64 = 2 << 10;

/// Bytes of one thread's area for received data in a turn. Sixteen reads; only as much of it is
/// ever touched as is used.
pub(crate) const READ_AREA_BYTES: usize = 1 << 20;

/// Most bytes that one connection reads before others have their turn. More than a default socket
/// buffer gives at once, and 200 packets of 300 bytes already make the system call's share
/// negligible.
pub const READ_BYTES_MAX: usize = 64 << 10;

/// Bytes of a part of a message from which on those who wait for it share its memory. For fewer,
/// memory of their own costs less.
pub(crate) const SHARED_BYTES_MIN: usize = 64 << 10;

/// Receivers of a large message beyond which it is copied once for those who will wait for it.
pub(crate) const SHARED_RECEIVERS_MIN: usize = 4;

/// Bytes of one message's copies beyond the first, of which a session that is stored gets one for
/// each of its shared subscriptions that matches, and a route one for each of its events, mappings
/// and tags: so many of one that is as large as packets are by default. Each has a body of its own
/// in the store; with a thousand of them a packet of 1 MiB became 1 GB in one turn.
pub const COPIES_BYTES_MAX: usize = 16 << 20;

/// A turn that has encoded this much is written out before more is routed, so that its memory stays
/// bounded.
pub(crate) const TURN_ENCODED_BYTES_MAX: usize = 4 << 20;

/// Acknowledgements and other control packets, in bytes, that may wait behind those messages.
/// Beyond this the Client, which sends and does not read, is not read from until it does.
pub(crate) const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Control packets that may always wait for one Client, in bytes, even while all Clients together
/// exceed their bound.
pub(crate) const CONTROL_BYTES_MIN: u64 = 16 << 10;

/// Topics whose routes one thread remembers for a tenant, at some 200 bytes each and the topic,
/// beside their receivers.
pub(crate) const ROUTE_CACHE_TOPICS: usize = 32 << 10;

/// Longest topic of those, in bytes. The route of a longer one, which no device has, is made for
/// each message, unless that repeats the topic of the one before.
pub(crate) const ROUTE_CACHE_TOPIC_BYTES: usize = 512;

/// Receivers in all those routes together, at 40 bytes each. A route of more than these is made for
/// each message that does not repeat the topic of the one before, which costs less than sending it
/// does.
pub(crate) const ROUTE_CACHE_RECEIVERS: usize = 512 << 10;

/// Receivers for which a definition counts there. The route of each topic keeps 118 bytes for it.
pub(crate) const RECEIVERS_PER_DEFINITION: usize = 3;

/// How long a thread that serves no Clients waits for a store that is full before it tries again.
pub(crate) const STORE_FULL_PAUSE: std::time::Duration = std::time::Duration::from_millis(1);

/// How long a login may wait for its password to be checked before it is looked at whether its
/// Client is still there.
pub(crate) const LOGIN_CHECK: std::time::Duration = std::time::Duration::from_millis(500);

/// Plain bytes that are encrypted or framed at once for a connection that is not plain TCP; what
/// they become waits beside the Client's buffer. Four full records of TLS.
pub const WRAPPED_CHUNK_BYTES: usize = 64 << 10;

/// Maximum Packet Size in bytes from which on a Client can have the zstd stream: what grants it
/// must not make CONNACK too large for one that would take it otherwise, and no bridge takes so
/// little.
pub(crate) const ZSTD_PACKET_BYTES_MIN: u32 = 4 << 10;

/// Messages of a queue that are read from the store at once where all of them are.
pub const SLICE_MESSAGES: usize = 512;

/// Most bytes of a slice for each message that may be in it, beyond the first one: 1 MiB for the
/// longest.
pub const SLICE_BYTES_PER_MESSAGE: u64 = 512;

/// Bytes of retained messages that one turn sends to a new subscription.
pub(crate) const REPLAY_BYTES_MAX: usize = 64 << 10;

/// Retained messages that one look into their index may bring, under its lock; eight times as many
/// are looked at.
pub(crate) const RETAINED_SCANNED_AT_ONCE: usize = 32;

/// Time that one turn of a shard gives to reading from its connections and to what their packets
/// ask for, and once more to those that have used less than others lately. Further ones wait for
/// later turns: so much longer anybody waits, however many flood.
pub(crate) const READS_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(8);

/// Time that the end of a turn gives to scans for retained messages.
pub(crate) const LONG_WORK_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(8);

/// Bytes of messages for all their receivers at which a turn reads no more: up to 21 ms of writing
/// in a release build.
pub(crate) const OWED_BYTES_MAX: usize = 4 << 20;

/// Bytes that a connection with short work may add to a turn which has as much to write as it
/// takes: such as an answer, or a usual message for one receiver. A thousand of them add as much
/// again.
pub(crate) const LITTLE_OWED_BYTES: usize = 4 << 10;

/// Bytes that a turn has written when further large messages of QoS 1 and 2 are left to later ones.
pub(crate) const WRITTEN_BYTES_MAX: usize = OWED_BYTES_MAX;

/// Bytes of messages that a turn begins with because earlier ones had no time; the rest is for new
/// ones.
pub(crate) const RESUMED_BYTES_MAX: usize = WRITTEN_BYTES_MAX / 4 * 3;

/// Least cost in bytes of a Client that goes on then: a small write takes as long.
pub(crate) const RESUMED_COST_MIN: usize = 4 << 10;

/// Parts of [`OWED_BYTES_MAX`] in which a large message of QoS 0 for many is routed.
pub(crate) const OWED_PARTS: usize = 4;

/// Time for one connection at once: for the packets of one read, the filters of a long SUBSCRIBE, a
/// scan.
pub const SHARE_TIME: std::time::Duration = std::time::Duration::from_millis(2);

/// Time beyond twice what a connection took before that is taken for its own, where it is known by
/// the clock on the wall alone.
pub(crate) const SURPRISE_MAX: std::time::Duration = std::time::Duration::from_micros(50);

/// Most time for short work of a connection: a hundred small packets, for which a development build
/// takes longer. If there is not time for all, short work comes first.
pub(crate) const SHORT_TIME: std::time::Duration =
    std::time::Duration::from_micros(if cfg!(debug_assertions) { 500 } else { 100 });

/// Turns for which a connection that waits may be passed over by connections that have waited for
/// less. After that, those that have waited longest go on first, in half of the time: some 0.4 s in
/// turns of full length.
pub(crate) const PASSED_OVER_TURNS_MAX: u32 = 24;

/// Least expected time of a connection that waits, so that one turn calls at most 1,000 of them.
pub(crate) const SHARE_COST_MIN: std::time::Duration = std::time::Duration::from_micros(8);

/// Packets that are handled, and receivers of messages, between two looks at the clock: some 50 µs.
pub(crate) const STEPS_PER_LOOK: usize = 512;

/// Steps that count for a topic whose receivers had to be found. It may match the filters of many.
pub(crate) const STEPS_PER_ROUTE: usize = 64;

/// Steps that count for each definition that is found with it: what it keeps of a topic is made
/// when that is first heard, which takes some 10 µs.
pub(crate) const STEPS_PER_DEFINITION: usize = 128;

/// Steps that count for rules which had to be asked. An answer may take milliseconds.
pub(crate) const STEPS_PER_DECISION: usize = 128;

/// Receivers of a topic about whom rules are asked in the turn of a message, whatever time that
/// takes: some 0.5 ms. About more they are asked while there is time, and then in later turns.
pub(crate) const RECEIVERS_ASKED_AT_ONCE: usize = 32;

/// Receivers about whom rules are asked between two looks at the clock.
pub(crate) const ANSWERS_PER_LOOK: usize = 8;

/// Time that a turn gives to asking about receivers of messages that no PUBLISH has brought.
pub(crate) const ASKING_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(2);

/// Such messages at which no more runs begin on the thread, and their bytes; what starts runs
/// waits.
pub(crate) const ASKED_CONGESTED: usize = 64;

/// See [`ASKED_CONGESTED`].
pub(crate) const ASKED_PART_BYTES: usize = 1 << 20;

/// Such messages that wait on one thread, with Wills, which come as connections end. For a further
/// one the first of them is asked about to its end.
pub(crate) const ASKED_MESSAGES_MAX: usize = 1024;

/// Bytes of these.
pub(crate) const ASKED_BYTES_MAX: usize = 16 << 20;

/// Bytes of large messages of QoS 0 on their way whose publishers have gone, for one thread;
/// further ones get to nobody else.
pub const LEFT_BYTES_MAX: usize = 64 << 20;

/// Messages of a queue that one turn gives up because they have expired or are too large for their
/// Client; they take no room in its output.
pub(crate) const GIVEN_UP_AT_ONCE_MAX: usize = 1024;

/// Messages of a queue for which rules are asked again in one turn, after rules or users have
/// changed.
pub(crate) const QUEUE_QUESTIONS_PER_TURN: usize = 256;

/// Topic Aliases that we set towards a Client, whatever more it allows. Its table of them is made
/// as they are given: some 25 KiB for 256 usual topics.
pub(crate) const ALIASES_OUT_MAX: u16 = 256;

/// Longest topic in bytes that gets an alias: 128 KiB for the table of a Client at most.
pub(crate) const ALIASED_TOPIC_BYTES_MAX: usize = 512;

/// Bytes of a packet in which everything before its payload must lie for its topic to be sent as an
/// alias.
pub(crate) const ALIASED_HEAD_BYTES_MAX: usize = 2048;

/// How long retained messages for a new subscription wait for turns that may have older ones for
/// the same Client, in milliseconds. Turns end sooner, unless the log takes nothing.
pub(crate) const RETAINED_UNDER_WAY_MS: u64 = 1_000;

/// How long a new connection of a Client waits until what has come on the former one was read, so
/// that a DISCONNECT in it counts. A Client that sends on both at once, or may send nothing more
/// for a while, has it waiting so long.
pub(crate) const HEARING_OUT_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// Members of a shared subscription that are tried for a message which is too large for others of
/// them.
pub(crate) const GROUP_TRIES_MAX: usize = 16;

/// Subscriptions, and messages in memory, of a session that ends at once; of one with more, or with
/// a queue in the store, bit by bit on the housekeeping thread.
pub(crate) const ENDED_AT_ONCE_MAX: usize = 64;

/// Sessions of a removed user that end in one batch for the store.
pub(crate) const ENDED_PER_TURN: usize = 64;

/// Time that all sessions which are ending get of a round of the housekeeping thread, which looks
/// after timers too.
pub(crate) const DRAIN_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(5);

/// Subscriptions of a session that is ending which leave the index under one lock: 0.3 ms at most,
/// for those with 200 levels.
pub(crate) const UNSUBSCRIBED_AT_ONCE: usize = 32;

/// Bytes of a topic in the log line about a message that no packet can hold.
pub(crate) const TOPIC_SHOWN_BYTES_MAX: usize = 200;

/// Ended sessions whose end is not on the disk that are remembered by Client Identifier; beyond it,
/// every new session waits for the ends of all.
pub(crate) const ENDED_SESSIONS_UNSTORED_MAX: usize = 65_536;

/// Part of a sum that one user may have of what others leave: of connections, definitions, modules,
/// scripts and counters.
pub const USER_PART: (u64, u64) = (3, 4);
