//! Bounds of programs and routes: name, unit, and why this number.

/// Logins that wait for the answer of one login guest.
pub const LOGIN_GUEST_LOGINS_MAX: usize = 1_024;

/// Logins from one address that wait for the answer of one login guest.
pub const LOGIN_GUEST_LOGINS_OF_SOURCE_MAX: usize = 256;

/// Events of Clients that wait for one login guest.
pub const LOGIN_GUEST_EVENTS_MAX: usize = 65_536;

/// Logins that one login guest has allowed and that have no session yet.
pub const LOGIN_GUEST_ADMISSIONS_MAX: usize = 65_536;

/// Those of them of one user.
pub const LOGIN_GUEST_ADMISSIONS_OF_USER_MAX: usize = 4_096;

/// Bytes of the filters in the events that wait for one login guest. Clients choose the filters.
pub const LOGIN_GUEST_FILTER_BYTES_MAX: usize = 16 << 20;

/// Time for the answer of a login guest, its waiting included.
pub const LOGIN_GUEST_ANSWER_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Time in which a login guest has to be open.
pub const LOGIN_GUEST_OPEN_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// Idle rule instances kept per tenant, at 28 KiB each. A new instance takes some 10 µs.
pub(crate) const RULE_INSTANCES_IDLE_MAX: usize = 64;

/// Bytes of topics and values that one answer of a rule may have come of, to be remembered.
pub(crate) const RULE_READ_BYTES_MAX: usize = 4096;

/// Cached rule answers per thread about definitions. A later answer replaces one in its place.
pub(crate) const RIGHTS_REMEMBERED: usize = 512;

/// Bytes of the longest topic of such an answer; about longer ones the rules are asked each time.
pub(crate) const RIGHTS_TOPIC_BYTES_MAX: usize = 512;

/// Time for guests in one turn of a thread that serves Clients. A flood delays other Clients of the
/// thread by that much. 4,000 runs of a small Action fit in it.
pub(crate) const INLINE_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(4);

/// Runs of guests between two looks at the clock, which takes a twentieth of a small run.
pub(crate) const INLINE_RUNS_PER_CLOCK: usize = 16;

/// Writes of a run on an executor after which another thread replaces the one that performs them.
pub(crate) const WRITES_AT_ONCE_MAX: u32 = 64;

/// Receivers and writes of an inline run that count as one run more when its time is looked at.
pub(crate) const STEPS_PER_INLINE_RUN: usize = 16;

/// Divisor of a shard thread's time for definitions of owners other than the publisher and
/// administrators. Unused time is saved, up to [`INLINE_TIME_MAX`]; then executors take over.
pub(crate) const INLINE_BUDGET_PART: i64 = 4;

/// Time per executor turn for moving relay messages to mailboxes, as definitions have for runs.
pub(crate) const RELAY_TURN_TIME: std::time::Duration = std::time::Duration::from_millis(2);

/// Messages that are handed on there between two looks at the clock.
pub(crate) const RELAY_POSTS_PER_CLOCK: usize = 16;

/// Definition lists with a shed count of their own in a relay: as many topics as a flood uses.
pub(crate) const RELAY_SHED_LISTS_MAX: usize = 16;

/// Guest events after which a turn stops reading from Clients that cause them: some 4 ms of runs.
pub(crate) const GUEST_EVENTS_PER_TURN: usize = 4096;

/// Guest events that a turn leaves to the next; beyond, the oldest go to the mailboxes. Above
/// [`GUEST_EVENTS_PER_TURN`] plus one read, so only guests that start many others reach it.
pub(crate) const GUEST_EVENTS_LEFT_MAX: usize = 16_384;

/// Definitions of its publisher that one message starts in turns of the publisher's thread. More of
/// them are started by executors, where owners take turns: one message would fill a thread for a
/// tenth of a second.
pub const OWN_EVENTS_PER_MESSAGE_MAX: usize = 128;

/// Shortest time between two writes of a tenant's last errors: at most six flash writes an hour.
pub(crate) const ERRORS_KEPT_EVERY: std::time::Duration = std::time::Duration::from_secs(600);

/// Bytes of the name of a variable or secret. Shells and container tools accept far less.
pub(crate) const VARIABLE_NAME_BYTES_MAX: usize = 256;

/// Bytes of the value of a variable or secret: room for a certificate chain with its key.
pub(crate) const VARIABLE_VALUE_BYTES_MAX: usize = 64 << 10;

/// Shortest secret in bytes that traces and errors mask: the shortest password. A shorter one
/// occurs by chance, or could be guessed from the masked texts.
pub(crate) const MASKED_BYTES_MIN: usize = 8;

/// Bytes from which an error text may have been cut, at a character, in the middle of a secret.
pub(crate) const MASKED_CUT_BYTES_MIN: usize = 497;

/// Bytes from which a line of a guest may have been cut, with its mark, at
/// [`MESSAGE_BYTES_MAX`](lotmq_host::limits::MESSAGE_BYTES_MAX).
pub(crate) const MASKED_LINE_BYTES_MIN: usize = lotmq_host::limits::MESSAGE_BYTES_MAX - 3;

/// The same for Python output: the guest keeps 16,384 characters, and the host as many bytes.
pub(crate) const MASKED_PRINTED_BYTES_MIN: usize = 16_381;

/// Bytes of changed variables and secrets handed to the store at once; at least one value.
pub(crate) const VARIABLES_SAVED_BYTES: usize = 1 << 20;

/// How long a command waits for a change to be stored while the disk stores nothing.
pub const COMMIT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Bytes of a compiled LoT program from which on a worker process makes its native code. Smaller
/// ones are compiled in the broker's process, in at most 200 ms.
pub(crate) const WORKER_PROGRAM_BYTES: usize = 32 << 10;

/// Worker processes that compile modules at once. The last one is kept for administrators, and each
/// user has at most one.
pub const MODULE_WORKERS_MAX: usize = 3;

/// Worker processes that compile large LoT programs at once, counted likewise.
pub(crate) const PROGRAM_WORKERS_MAX: usize = 3;

/// Memory of a worker process where nothing is configured: one part in so many of the machine's.
pub(crate) const WORKER_MEMORY_PART: u64 = 8;

/// The least and the most that this gives, in bytes. The interpreters of Python and JavaScript take
/// some 400 MiB.
pub(crate) const WORKER_MEMORY_RANGE: std::ops::RangeInclusive<u64> = 512 << 20..=2 << 30;

/// Bytes of programs without cached native code that a start compiles before its listeners open:
/// 0.3 s of work for a core of 3 GHz. The broker compiles further ones behind the open listeners.
pub(crate) const COLD_START_BYTES: usize = 128 << 10;

/// Pause before a start tries to compile a program again whose worker process was ended from
/// outside. It doubles with each failure.
pub(crate) const COLD_START_RETRY_MIN: std::time::Duration = std::time::Duration::from_secs(1);

/// The longest of these pauses. A compilation that takes a minute and fails each time then uses a
/// tenth of a core.
pub(crate) const COLD_START_RETRY_MAX: std::time::Duration = std::time::Duration::from_secs(600);

/// Names of definitions that `/health`, `-brokerStatus` and the log list of those that are still
/// being compiled.
pub(crate) const COMPILING_NAMES_MAX: usize = 10;

/// Users with separate counts of denied topics in the log. Further ones restart the counts.
pub(crate) const DELIVERY_DENIAL_USERS_MAX: usize = 10_000;

/// Python scripts of one tenant: each that was called keeps an instance of some MiB.
pub const SCRIPTS_MAX: usize = 100;

/// Texts for `…/debug` of scripts that wait to be published; beyond that the oldest go.
pub(crate) const SCRIPT_DEBUG_WAITING_MAX: usize = 1000;

/// Threads of routes: one per core, and no more, as they mostly wait.
pub const ROUTE_THREADS_MAX: usize = 4;

/// Probes of routes that may wait for one of these threads; whoever asks for more waits.
pub const ROUTE_PROBES_MAX: usize = 64;

/// Time by the clock that a compilation may wait for its place, and then again take: on a machine
/// that has much else to do.
pub(crate) const COMPILE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1_800);

/// Bytes of one grant: the longest variable name with its kind, or a topic filter of usual length.
pub const MODULE_GRANT_BYTES_MAX: usize = 1024;

/// Missing grants that a version of a module's code reports. Further ones are refused silently.
pub(crate) const MISSING_GRANTS_REPORTED_MAX: usize = 16;

/// Messages that wait for one route in memory alone, unless `BUFFER_MODE none` has a smaller
/// `OVERLOAD_CAPACITY`. `OVERLOAD_POLICY` decides about further ones.
pub(crate) const ROUTE_MAILBOX_MESSAGES_MAX: usize = 10_000;

/// Bytes of them, with 64 for each message.
pub(crate) const ROUTE_MAILBOX_BYTES_MAX: usize = 16 << 20;

/// Outbox messages kept in memory on arrival. A route with a shorter backlog reads none back. They
/// are a quarter of a second of a bridge's load.
pub(crate) const ROUTE_FRESH_MESSAGES: usize = 32_000;

/// Bytes of them and of messages read back, as for a route without an outbox. To read back messages
/// of a few hundred bytes costs more than to keep them.
pub(crate) const ROUTE_FRESH_BYTES: usize = ROUTE_MAILBOX_BYTES_MAX;

/// Bytes per memory chunk for payloads and properties of such messages. Longer ones have their own.
pub(crate) const ROUTE_FRESH_CHUNK_BYTES: usize = 16 << 10;

/// Messages of an outbox that are in memory when more are read: two calls of its guest.
pub(crate) const ROUTE_READ_AHEAD_MESSAGES: usize = 2000;

/// Bytes of them, with 64 per message. A slice read beyond adds at most as many, or one message.
pub(crate) const ROUTE_READ_AHEAD_BYTES: usize = 2 << 20;

/// Messages set aside in memory while their receiver fails and rests. Beyond, others wait as well.
pub(crate) const ROUTE_ASIDE_MESSAGES_MAX: usize = 10_000;

/// Most bytes of them.
pub(crate) const ROUTE_ASIDE_BYTES_MAX: usize = 4 << 20;

/// Messages of a route that are published at once, all or none. With 1,000 subscribers that takes
/// some 10 ms, in which its thread serves no other routes.
pub(crate) const INGEST_PIECE_MESSAGES: usize = 256;

/// Bytes of them, topic and payload.
pub(crate) const INGEST_PIECE_BYTES: usize = 1 << 20;

/// Bytes of placeholder values per message and per batch, with 64 each. Beyond, a new batch begins.
pub(crate) const ROUTE_FILLED_BYTES_MAX: usize = 8 << 20;

/// Bytes of topic and payload searched for the values of one message, with 64 per JSON path step
/// and 4,096 per variable or secret. Messages that need more are rejected.
pub(crate) const ROUTE_SEARCHED_BYTES_MAX: usize = 32 << 20;

/// Work of a route before others of its thread go on: bytes of values, or work of that cost. About
/// 1 ms, plus the message that reaches the bound.
pub(crate) const ROUTE_TURN_WORK_MAX: usize = 1 << 20;

/// Messages of an outbox that are read at once.
pub const ROUTE_SLICE_MESSAGES: usize = 2048;

/// Bytes of them: topic, payload and what is kept beside them.
pub const ROUTE_SLICE_BYTES: u64 = 1 << 20;

/// Dead letters of one route, also at most 1/10 of `BUFFER_MAX_BYTES`. The oldest go first.
pub const DEAD_LETTERS_MAX: u64 = 10_000;

/// Dead letters that a diagnosis shows: the newest. Routes reference §3.3.
pub(crate) const DEAD_LETTERS_SHOWN: usize = 10;

/// Bytes of the reason that is kept with a dead letter.
pub(crate) const DEAD_LETTER_REASON_BYTES: usize = 1000;

/// Messages per call of a route guest, unless `BATCH_SIZE` is less: rows worth a database commit.
pub(crate) const ROUTE_BATCH_MAX: usize = 1000;

/// Bytes of them, with 64 per message, unless `BATCH_BYTES` is less or the first one is larger. A
/// guest has 64 MiB and may keep several copies.
pub(crate) const ROUTE_BATCH_BYTES_MAX: usize = 1 << 20;

/// Connection ends in a row with one message alone, before it is retried with a few behind it. A
/// bridge counts as many before it looks for the cause.
pub(crate) const ROUTE_ALONE_ENDS: u32 = 5;

/// Number of those behind it: enough to find a smaller one, of another topic.
pub(crate) const ROUTE_COMPANY_MESSAGES: usize = 64;

/// Pause between two requests for message paths: rare enough to cost nothing, fresh for people.
pub(crate) const ROUTE_PATHS_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);

/// Characters of what a guest says of the path of a query: a few words, and perhaps a reason.
pub(crate) const ROUTE_PATH_CHARACTERS_MAX: usize = 200;

/// Pause between two requests for tags without a value, while there are some.
pub(crate) const ROUTE_TAGS_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Pause between two reports of tags that have lost their values, so that flapping floods nobody.
pub(crate) const ROUTE_TAGS_REPORT_PAUSE: std::time::Duration = std::time::Duration::from_mins(1);

/// Tags without a value that the standing of a route names; of all of them it has the number.
pub(crate) const ROUTE_FAILING_TAGS_REPORTED_MAX: usize = 10;

/// Characters of the name of such a tag, and of the reason.
pub(crate) const ROUTE_TAG_TEXT_CHARACTERS_MAX: usize = 200;

/// Guest instances of a route, one connection each: more than most databases give to one user.
pub(crate) const ROUTE_INSTANCES_MAX: usize = 64;

/// Time for which a route guest polls and serves in one call, unless there is other work for it.
pub const ROUTE_RUN_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// Time of one route guest call with waits, unless `ACTIVITY_TIMEOUT` is set. Ends the instance.
pub(crate) const ROUTE_CALL_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// The same in a test case: shorter than the driver's patience, so that the report names the route.
pub(crate) const ROUTE_CASE_CALL_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// Bytes of the rows that one question gets; further rows are left out. Routes reference §4.1.
pub(crate) const ROWS_BYTES_MAX: usize = 1 << 20;

/// Breaks in a row of a route guest before pauses grow: 8 messages, each in a batch, then alone.
pub(crate) const ROUTE_BREAKS_IN_A_ROW_MAX: u32 = 16;

/// Panics of a route's driver, alone with one message, after which that message is rejected.
pub(crate) const ROUTE_PANICS_MAX: u8 = 2;

/// Counted failure reasons of a disconnected route, logged at doubled counts. The oldest gives way.
pub(crate) const ROUTE_REASONS_MAX: usize = 8;

/// Delivery time buckets of a route: ms for a local bridge, 10 ms for a database. A retry takes
/// seconds, an outage of the far side minutes or hours. Few, because each route has them.
pub const ROUTE_DELIVERY_BOUNDS: &[std::time::Duration] = &[
    std::time::Duration::from_millis(5),
    std::time::Duration::from_millis(25),
    std::time::Duration::from_millis(100),
    std::time::Duration::from_millis(500),
    std::time::Duration::from_secs(2),
    std::time::Duration::from_secs(10),
    std::time::Duration::from_secs(60),
    std::time::Duration::from_secs(600),
    std::time::Duration::from_secs(3_600),
];

/// How many buckets these are.
pub(crate) const ROUTE_DELIVERY_BUCKETS: usize = ROUTE_DELIVERY_BOUNDS.len() + 1;

/// Bytes of the settings schema of a route guest, read at each open. Our own have some KiB.
pub(crate) const ROUTE_SCHEMA_BYTES_MAX: usize = 256 << 10;

/// Bytes of a route guest's answer to a probe that are shown.
pub(crate) const PROBE_ANSWER_BYTES_MAX: usize = 1_000;

/// Problems with the settings of a route that are told; further ones are not looked for.
pub(crate) const ROUTE_SCHEMA_PROBLEMS_MAX: usize = 50;

/// Schema properties checked for the settings of a route, and bytes of defaults: thousands of
/// events with hundreds of properties each. Routes that need more are not opened.
pub(crate) const ROUTE_SCHEMA_WORK_MAX: usize = 8 << 20;

/// Most events, mappings, tags and tables of a route whose standing is known one by one.
pub(crate) const EVENT_STATUSES_MAX: usize = 256;

/// Most events that go when a route is replaced, and for which messages wait, that are named.
pub(crate) const GONE_EVENTS_SHOWN: usize = 10;

/// Time that the stop of the broker waits for route guests to close, with calls under way.
pub(crate) const ROUTE_GOODBYE_MAX: std::time::Duration = std::time::Duration::from_secs(3);

/// `retry` answers within [`ROUTE_RETRY_TIME_MIN`] that reject a message. Routes reference §3.3.
pub(crate) const ROUTE_RETRIES_MIN: u32 = 20;

/// See [`ROUTE_RETRIES_MIN`].
pub(crate) const ROUTE_RETRY_TIME_MIN: std::time::Duration = std::time::Duration::from_secs(600);

/// Counters and gauges of a tenant's definitions: some 500 KB of memory, and as many metric lines.
pub(crate) const GUEST_METRICS_MAX: u64 = 4_096;

/// Last log lines of one definition that are kept for later readers: several screens.
pub const LOG_LINES_KEPT_MAX: usize = 200;

/// Bytes of all kept log lines of a tenant: 500 definitions with 200 usual lines each. The longest
/// lines have 4 KiB.
pub(crate) const LOG_BYTES_KEPT_MAX: u64 = 16 << 20;

/// Bytes that a kept line counts for beside its own.
pub(crate) const LOG_LINE_BYTES: u64 = 32;

/// Keys in the state of one definition. State survives restarts of a guest; it is not for data.
pub(crate) const STATE_KEYS_MAX: usize = 1_000;

/// Bytes of keys and values that the state of one definition may have.
pub(crate) const STATE_BYTES_MAX: usize = 1 << 20;

/// Retained messages that are looked at under one lock when a definition lists topics.
pub(crate) const RETAINED_TOPICS_AT_ONCE: usize = 1_000;

/// Topics found for a definition before rules decide which its owner may read; more are too many.
/// One call asks the rules so often, and the run's time is checked after it.
pub(crate) const LISTED_TOPICS_FOUND_MAX: usize = 20_000;

/// Divisor of the data directory's disk for space that route files leave free; see the next bound.
pub(crate) const FILES_RESERVE_PART: u64 = 8;

/// Most bytes that route files leave free beyond `disk_reserve_bytes`, so that other writes go on.
pub(crate) const FILES_RESERVE_BYTES_MAX: u64 = 1 << 30;

/// Silences and windows reported to a tenant's definitions in one timer round. Each asks the rules
/// and copies a value in some 20 µs, while other timers wait.
pub const REPORTS_PER_ROUND: usize = 256;

/// Rows of watches kept, and windows closed, in the time that one reported silence takes.
pub(crate) const ROWS_PER_REPORT: usize = 4;
