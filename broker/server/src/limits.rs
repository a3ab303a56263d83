//! Bounds of the server: name, unit, default, and why this number.
//!
//! Not here: bounds of the data path (`lotmq_core::limits`), and settings, which are rows of
//! [`limit_table`](lotmq_config::limit_table).

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

/// Time that such a connection has for its CONNECT.
pub(crate) const SPARE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Seconds between two lines of the log about connections that a listener cannot accept.
pub(crate) const ACCEPT_LOG_SECONDS: u64 = 10;

/// Addresses whose connections a listener counts, if it has a bound per address; 5 MiB. If none can
/// be forgotten, connections from further addresses are admitted uncounted.
pub(crate) const ADDRESSES_MAX: usize = 100_000;

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
pub(crate) const OTHERS_TIME_PART: i64 = 4;

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
pub(crate) const OWN_EVENTS_PER_MESSAGE_MAX: usize = 128;

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

/// Connections that the first shard accepts at one socket before its other tasks have their turn:
/// some 1 ms, with what begins each of them.
pub(crate) const ACCEPTED_AT_ONCE_MAX: u32 = 32;

/// Connections per listener and tick that a shard accepts for a stalled lower one: 1,000/s.
pub(crate) const ACCEPTED_IN_PLACE_MAX: usize = 256;

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

/// Longest sleep of threads that work by the clock while all shards rest and nothing is deployed.
pub(crate) const RESTING_PERIOD: std::time::Duration = std::time::Duration::from_secs(2);

/// Bytes of texts in the reply with a project's plan. It omits texts of further definitions.
pub(crate) const PLAN_TEXT_BYTES_MAX: usize = 256 * 1024;

/// Shortest time between two writes of a tenant's last errors: at most six flash writes an hour.
pub(crate) const ERRORS_KEPT_EVERY: std::time::Duration = std::time::Duration::from_secs(600);

/// Characters of each text of the last refused login: whoever knocks chooses them.
pub(crate) const REFUSED_LOGIN_CHARACTERS_SHOWN: usize = 100;

/// Characters of a kept value that `-listKept` shows: enough for a counter, a mark or a short JSON.
pub(crate) const KEPT_CHARACTERS_SHOWN: usize = 200;

/// Kept values that one `-listKept` shows.
pub(crate) const KEPT_LISTED_MAX: usize = 1000;

/// Dependents that are checked again when a definition is replaced, at tenths of a ms each.
pub(crate) const DEPENDENTS_CHECKED_MAX: usize = 100;

/// Dependents that the reply to a removal names. It reports the number of further ones.
pub(crate) const DEPENDENTS_NAMED_MAX: usize = 10;

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

/// Resting names of removed users of a tenant, some 100 bytes each. The oldest is free first.
pub(crate) const REMOVED_NAMES_MAX: usize = 10_000;

/// Resting names from which on only administrators remove users: others could free reserved names.
pub(crate) const REMOVED_NAMES_OF_OTHERS_MAX: usize = REMOVED_NAMES_MAX / 4 * 3;

/// Bytes of changed variables and secrets handed to the store at once; at least one value.
pub(crate) const VARIABLES_SAVED_BYTES: usize = 1 << 20;

/// Name that a Client gives a command with `-requestId`, in characters. Commands reference §1.4.
pub(crate) const REQUEST_ID_CHARS_MAX: usize = 128;

/// Characters of an unknown verb that a reply repeats.
pub(crate) const VERB_SHOWN_CHARS_MAX: usize = 64;

/// Zip bytes per backup chunk: below 1 MiB with base64 and frame. Commands reference §12.3.
pub(crate) const BACKUP_CHUNK_BYTES_MAX: usize = 512 << 10;

/// Least zip bytes per chunk. A Client whose largest packet has less room gets no backup.
pub(crate) const BACKUP_CHUNK_BYTES_MIN: usize = 1 << 10;

/// How long the Client that gets a backup may take nothing of it.
pub(crate) const BACKUP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Least bytes/s after [`BACKUP_PATIENCE`] of a Client that takes a backup or module. A command
/// thread waits for it.
pub(crate) const BACKUP_RATE_MIN: u64 = 4 << 10;

/// Free space that a backup leaves on the disk, so that it is not the backup that stops the store.
pub(crate) const BACKUP_FREE_BYTES_MIN: u64 = 64 << 20;

/// Name of a backup, in bytes: a level of a topic, and mostly the name of a file.
pub(crate) const BACKUP_NAME_BYTES_MAX: usize = 64;

/// Files in the zip of a backup; there are three.
pub(crate) const BACKUP_MEMBERS_MAX: usize = 16;

/// Bytes of the manifest of a backup; it has about 2 KiB.
pub(crate) const BACKUP_DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Unpacked bytes of a backup in a command. A packet holds 12 MiB, and stores shrink to a tenth.
pub(crate) const RESTORE_UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// Time after which a backup is dropped of which no further part comes.
pub(crate) const RESTORE_PART_PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Bytes of a store's file for each byte of its stream, at most.
pub(crate) const RESTORE_DISK_FACTOR: u64 = 3;

/// Bytes of a reply to a command: what the smallest default packet limit of Clients takes.
pub(crate) const REPLY_BYTES_MAX: usize = 8 << 20;

/// Command threads. One user has at most half, also of each kind of work, one tenant all but one.
pub(crate) const COMMAND_THREADS: usize = 13;

/// Command threads that compile at once. The others answer everything else meanwhile.
pub(crate) const COMMAND_THREADS_COMPILING_MAX: usize = 7;

/// Threads of those on which commands compile modules at once: an administrator has one more. One
/// user has one of them. The commands of one tenant have one more than it has worker processes, so
/// that a module whose code is cached is installed while all workers compile.
pub(crate) const COMMAND_THREADS_MODULES_MAX: usize = MODULE_WORKERS_MAX + 1;

/// Command threads that wait at once: for a far side, a run, a receiver or the store.
pub(crate) const COMMAND_THREADS_WAITING_MAX: usize = 4;

/// Threads that read the store for commands at once. Hung reads count until the disk answers.
pub(crate) const READS_ASIDE_MAX: usize = 4;

/// The same of one tenant.
pub(crate) const READS_ASIDE_PER_TENANT_MAX: usize = READS_ASIDE_MAX - 1;

/// The same per user, also of abandoned hung reads: as many as the user has threads to wait on.
pub(crate) const READS_ASIDE_PER_USER_MAX: usize = COMMAND_THREADS_WAITING_MAX / 2;

/// How long such a read may show no progress before its command is answered.
pub(crate) const READ_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Names that the reply to the removal of all rules lists.
pub(crate) const REMOVED_SHOWN_MAX: usize = 100;

/// Users that a warning names who hold already what a rule begins to name.
pub(crate) const HOLDERS_SHOWN_MAX: usize = 10;

/// Things of other users that a refusal to remove them lists.
pub(crate) const OF_OTHERS_SHOWN_MAX: usize = 100;

/// How long a command waits for a change to be stored while the disk stores nothing.
pub(crate) const COMMIT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Uploads of [`LARGE_UPLOAD_BYTES`] or more at once. Others wait; smaller ones overtake them.
pub(crate) const LARGE_UPLOADS_MAX: usize = 3;

/// Bytes of a command from which on it is a large upload. Smaller ones compile within 0.1 s.
pub(crate) const LARGE_UPLOAD_BYTES: usize = 16 << 10;

/// Bytes of a compiled LoT program from which on a worker process makes its native code. Smaller
/// ones are compiled in the broker's process, in at most 200 ms.
pub(crate) const WORKER_PROGRAM_BYTES: usize = 32 << 10;

/// Worker processes that compile modules at once. The last one is kept for administrators, and each
/// user has at most one.
pub(crate) const MODULE_WORKERS_MAX: usize = 3;

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

/// Threads that compile behind the listeners after a start, each with a worker process at most.
/// Others keep a place for uploads.
pub(crate) const COLD_START_THREADS_MAX: usize = 2;

/// Names of definitions that `/health`, `-brokerStatus` and the log list of those that are still
/// being compiled.
pub(crate) const COMPILING_NAMES_MAX: usize = 10;

/// Commands of one Client that wait or run.
pub(crate) const COMMANDS_WAITING_PER_CLIENT_MAX: usize = 256;

/// Commands of all Clients that wait or run. One user has at most 1/4 of them, one tenant 3/4.
pub(crate) const COMMANDS_WAITING_MAX: usize = 4096;

/// Waiting commands with which users set their own password. One user has at most 1/4.
pub(crate) const OWN_PASSWORDS_WAITING_MAX: usize = COMMANDS_WAITING_MAX / 8;

/// Bytes of a command that sets the user's own password: twice the longest sensible one.
pub(crate) const OWN_PASSWORD_BYTES_MAX: usize = 4096;

/// Bytes of all waiting commands: four default packets. One user has at most 1/4, one tenant 3/4.
pub(crate) const COMMAND_BYTES_WAITING_MAX: usize = 64 << 20;

/// Logins that are accepted and have a record of their own in the audit, in each second.
pub(crate) const AUDIT_LOGINS_PER_SECOND: u32 = 100;

/// Logins that are refused and have a record of their own, in each second.
pub(crate) const AUDIT_REFUSALS_PER_SECOND: u32 = 100;

/// Denials by rules that have a record of their own, in each second.
pub(crate) const AUDIT_DENIALS_PER_SECOND: u32 = 10;

/// Read-only commands of non-administrators with an audit record of their own, per second.
pub(crate) const AUDIT_COMMANDS_PER_SECOND: u32 = 100;

/// Pairs of verb and result told apart per user and address. Each first one has a record.
pub(crate) const AUDIT_SUM_COMMANDS_MAX: usize = 16;

/// Own records per address and sort of event in each [`AUDIT_SUM_INTERVAL`]. Others are summed up.
pub(crate) const AUDIT_OWN_RECORDS: u32 = 10;

/// Period in which logins, denials and read-only commands of one address are summed up.
pub(crate) const AUDIT_SUM_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// Addresses (and users) with separate audit sums: some 200 bytes each, 2 KiB with many commands.
pub(crate) const AUDIT_ADDRESSES_MAX: usize = 1_000;

/// Users with separate counts of denied topics in the log. Further ones restart the counts.
pub(crate) const WITHHELD_USERS_MAX: usize = 10_000;

/// Users that such a record names.
pub(crate) const AUDIT_SUM_USERS_MAX: usize = 8;

/// Records after which the head of the sequence is reported, even before [`AUDIT_HEAD_INTERVAL`].
pub(crate) const AUDIT_HEAD_RECORDS: u64 = 1_000;

/// Time after which the head of a sequence of records is told again, if it is another one.
pub(crate) const AUDIT_HEAD_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// Audit records in memory, for 1 s or while the disk fails. Further ones are lost and counted.
pub(crate) const AUDIT_WAITING_MAX: usize = 10_000;

/// Oldest change records examined at once when records must go. Those that stay are rewritten.
pub(crate) const AUDIT_NOTED_ANEW_MAX: u64 = 1_000;

/// Bytes of a text in a record of the audit.
pub(crate) const AUDIT_FIELD_BYTES_MAX: usize = 256;

/// Keys of the configuration that one record tells the change of; an ordinary change is of a few.
pub(crate) const AUDIT_CHANGES_MAX: usize = 20;

/// Records that `-auditQuery` returns. Commands reference §11.1.
pub(crate) const AUDIT_FOUND_MAX: usize = 1000;

/// Log lines that wait 20 ms for publication, 18 MiB in all. Further ones are dropped and counted.
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

/// Bytes of a project archive. As base64 it fits the largest default packet, in both directions.
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

/// Orders of other threads that wait for one shard. New connections get half of the places and are
/// not accepted beyond. Threads without connections wait for a place.
pub(crate) const SHARD_ORDERS_MAX: usize = 4096;

/// Threads of routes: one per core, and no more, as they mostly wait.
pub(crate) const ROUTE_THREADS_MAX: usize = 4;

/// Threads that commands, compilations of modules and routes have at most.
pub(crate) const WORKING_THREADS_MAX: usize =
    COMMAND_THREADS + 2 * MODULE_COMPILES_PER_USER_MAX + ROUTE_THREADS_MAX;

/// Probes of routes that may wait for one of these threads; whoever asks for more waits.
pub(crate) const ROUTE_PROBES_MAX: usize = 64;

/// Damaged rows that a start logs one by one; of further ones there is only the number.
pub(crate) const QUARANTINED_LOGGED_MAX: usize = 1000;

/// Bytes of a request head that an HTTP connection buffers. The library needs at least 8 KiB.
pub(crate) const HTTP_HEAD_BYTES_MAX: usize = 16 << 10;

/// Header fields of an HTTP request.
pub(crate) const HTTP_HEADERS_MAX: usize = 64;

/// Time for the head of an HTTP request.
pub(crate) const HTTP_HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// Life of an HTTP connection, so that idle ones do not keep the others out for ever.
pub(crate) const HTTP_CONNECTION_TIME: std::time::Duration = std::time::Duration::from_secs(300);

/// Time that a health request waits for stalled threads: the whole process may have stood still.
pub(crate) const PULSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Time without a sign of life of a thread that serves Clients, after which the health is bad.
pub(crate) const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// The same for a part of a command: compiling may take 1 min, and `-addPython` waits for Python.
pub(crate) const COMMAND_SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(300);

/// Bytes of a module that comes inline. Commands reference §14.4.
pub(crate) const MODULE_BYTES_MAX: usize = 8 << 20;

/// Modules of one tenant, and their bytes together. Commands reference §14.4.
pub(crate) const MODULES_MAX: usize = 64;

/// See [`MODULES_MAX`].
pub(crate) const MODULES_BYTES_MAX: usize = 512 << 20;

/// Bytes of a module that comes in parts. Commands reference §14.4.
pub(crate) const MODULE_UPLOAD_BYTES_MAX: usize = 64 << 20;

/// Bytes of the command that begins an upload in parts, which is kept until its end.
pub(crate) const MODULE_UPLOAD_COMMAND_BYTES_MAX: usize = 64 << 10;

/// Bytes of each part of an upload but the last; fewer if the listener takes only smaller packets.
/// Commands reference §14.3.
pub(crate) const MODULE_PART_BYTES: usize = 256 << 10;

/// Bytes of a packet besides the upload part: head, longest topic, a digest as User Property.
pub(crate) const MODULE_PART_OVERHEAD_BYTES: usize = 512;

/// Uploads of modules in parts that one user has under way. Commands reference §14.3.
pub(crate) const MODULE_UPLOADS_PER_USER_MAX: usize = 4;

/// Uploads of modules in parts at once. An administrator may begin [`MODULE_UPLOADS_PER_USER_MAX`]
/// more. Commands reference §14.3.
pub(crate) const MODULE_UPLOADS_MAX: usize = 16;

/// Announced bytes of one user's uploads in parts: half of all, which leaves room for others.
pub(crate) const MODULE_UPLOADS_BYTES_PER_USER_MAX: usize = 129 << 20;

/// Announced bytes of all module uploads: four of the largest, plus one for administrators.
pub(crate) const MODULE_UPLOADS_BYTES_MAX: usize = 256 << 20;

/// How long an upload waits for its next part. Commands reference §14.3.
pub(crate) const MODULE_UPLOAD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Time between two messages about the progress of an upload. Commands reference §14.3.
pub(crate) const MODULE_UPLOADS_TOLD_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Time by the clock that a compilation may wait for its place, and then again take: on a machine
/// that has much else to do.
pub(crate) const COMPILE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1_800);

/// Time between two messages which say that a module is being compiled.
pub(crate) const MODULE_COMPILE_TOLD_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Threads that compile modules, or wait for a worker that does. Commands wait for them on few
/// threads, so more than those are about to end.
pub(crate) const MODULE_COMPILES_MAX: usize = 64;

/// The same of one tenant.
pub(crate) const MODULE_COMPILES_PER_TENANT_MAX: usize = 48;

/// The same of one user.
pub(crate) const MODULE_COMPILES_PER_USER_MAX: usize = COMMAND_THREADS_COMPILING_MAX / 2;

/// Bytes of the manifest of a module: room for all that it may ask for, at some 256 bytes each.
pub(crate) const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// Grants that a module may ask for, and that it may have.
pub(crate) const MODULE_GRANTS_MAX: usize = 256;

/// Bytes of one grant: the longest variable name with its kind, or a topic filter of usual length.
pub(crate) const MODULE_GRANT_BYTES_MAX: usize = 1024;

/// Missing grants that a version of a module's code reports. Further ones are refused silently.
pub(crate) const MISSING_GRANTS_TOLD_MAX: usize = 16;

/// Bytes of the version of a module.
pub(crate) const MODULE_VERSION_BYTES_MAX: usize = 128;

/// Bytes of the configuration of a module.
pub(crate) const MODULE_CONFIG_BYTES_MAX: usize = 64 << 10;

/// Installed assets of one tenant: as many as modules, each of which has its code and an instance.
pub(crate) const ASSETS_MAX: usize = 64;

/// Most memory of a module's instance in MiB. Commands reference §14.4.
pub(crate) const MODULE_MEMORY_MIB_MAX: usize = 64;

/// Most time of a module's run in milliseconds. Commands reference §14.4.
pub(crate) const MODULE_TIME_MS_MAX: usize = 1000;

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
pub(crate) const ROUTE_SLICE_MESSAGES: usize = 2048;

/// Bytes of them: topic, payload and what is kept beside them.
pub(crate) const ROUTE_SLICE_BYTES: u64 = 1 << 20;

/// Dead letters of one route, also at most 1/10 of `BUFFER_MAX_BYTES`. The oldest go first.
pub(crate) const DEAD_LETTERS_MAX: u64 = 10_000;

/// Dead letters that a diagnosis shows: the newest. Routes reference §3.3.
pub(crate) const DEAD_LETTERS_SHOWN: usize = 10;

/// Dead letters that one command lists.
pub(crate) const DEAD_LETTERS_LISTED: usize = 100;

/// Bytes of them: topic, payload and what is kept beside them.
pub(crate) const DEAD_LETTERS_LISTED_BYTES: u64 = 256 << 10;

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
pub(crate) const ROUTE_TAGS_TOLD_PAUSE: std::time::Duration = std::time::Duration::from_mins(1);

/// Tags without a value that the standing of a route names; of all of them it has the number.
pub(crate) const ROUTE_FAILING_TAGS_TOLD_MAX: usize = 10;

/// Characters of the name of such a tag, and of the reason.
pub(crate) const ROUTE_TAG_TEXT_CHARACTERS_MAX: usize = 200;

/// Guest instances of a route, one connection each: more than most databases give to one user.
pub(crate) const ROUTE_INSTANCES_MAX: usize = 64;

/// Time for which a route guest polls and serves in one call, unless there is other work for it.
pub(crate) const ROUTE_RUN_TIME: std::time::Duration = std::time::Duration::from_secs(10);

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
pub(crate) const ROUTE_DELIVERY_BOUNDS: &[std::time::Duration] = &[
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
pub(crate) const EVENT_STANDINGS_MAX: usize = 256;

/// Most events that go when a route is replaced, and for which messages wait, that are named.
pub(crate) const GONE_EVENTS_SHOWN: usize = 10;

/// Time that the stop of the broker waits for route guests to close, with calls under way.
pub(crate) const ROUTE_GOODBYE_MAX: std::time::Duration = std::time::Duration::from_secs(3);

/// `retry` answers within [`ROUTE_RETRY_TIME_MIN`] that reject a message. Routes reference §3.3.
pub(crate) const ROUTE_RETRIES_MIN: u32 = 20;

/// See [`ROUTE_RETRIES_MIN`].
pub(crate) const ROUTE_RETRY_TIME_MIN: std::time::Duration = std::time::Duration::from_secs(600);

/// Least and most bytes in flight of a session whose owner's sessions exceed their share.
pub(crate) const BOUND_WINDOW_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 10;

/// How often it is looked what all sessions have in flight, while the process has as much memory.
pub(crate) const IN_FLIGHT_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// How often it is looked how full the disk is.
pub(crate) const STORAGE_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// More than is stored between two looks at the disk: 4 GB a second.
pub(crate) const STORED_BETWEEN_LOOKS_MAX: u64 = 2 << 30;

/// Definitions that `/metrics` tells apart, with 20 samples each, 200 KiB. The rest is one sum.
pub(crate) const DEFINITIONS_FIGURED_MAX: usize = 100;

/// Counters and gauges of a tenant's definitions: some 500 KB of memory, and as many metric lines.
pub(crate) const GUEST_METRICS_MAX: u64 = 4_096;

/// One user's share of a tenant's definitions, modules, scripts, counters: 3/4 of what is left.
pub(crate) const USER_PART: (u64, u64) = (3, 4);

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
pub(crate) const TOLD_PER_ROUND: usize = 256;

/// Rows of watches kept, and windows closed, in the time that one reported silence takes.
pub(crate) const ROWS_PER_TOLD: usize = 4;
