//! Bounds of the server: name, unit, default, and why this number.
//!
//! Not here: those of the data path (`lotmq_core::limits`), and what can be set, which is a row of [`limit_table`](lotmq_config::limit_table) each.

/// Most file descriptors that are kept free of connections, for files, the health port and administrators.
pub(crate) const DESCRIPTORS_KEPT_MAX: u32 = 512;

/// Connections of clients below which the log warns of the limit of open files when the broker starts: with less than the usual soft limit of 1,024 nobody
/// would have so few on purpose.
pub(crate) const FEW_CONNECTIONS: u32 = 100;

/// Compiled programs below which the log warns of the memory mappings when the broker starts: the
/// default of Linux has room for nearly ten thousand.
pub(crate) const FEW_PROGRAMS: u64 = 2_000;

/// Connections from this machine that are let in beyond `connections`, until CONNECT tells whether an administrator comes: half of them those that have not
/// said, which give way to newcomers, the others administrators and who is about to be closed. Half as many beyond `half_open`.
pub(crate) const SPARE_CONNECTIONS_MAX: u32 = 16;

/// Connections that there may be from which on they are shared out between users; of fewer, nobody's part would be as many as he needs.
pub(crate) const PLACES_SHARED_MIN: u32 = 4;

/// Part of `connections` that may be without CONNECT at once: one in so many, and one at least, so that whoever says nothing leaves places to those who log in.
pub(crate) const HALF_OPEN_PART: u32 = 4;

/// Connections that may be without CONNECT, of `connections` that there may be.
pub(crate) fn half_open_part(connections: u32) -> u32 {
    connections.div_ceil(HALF_OPEN_PART)
}

/// Part of `connections` whose passwords may wait to be checked, of those who come from where their users are known, and of all others: one in so many, and one at least.
pub(crate) const LOGINS_WAITING_PART: u32 = 8;

/// Time that such a connection has for its CONNECT.
pub(crate) const SPARE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Seconds between two lines of the log about connections that a listener cannot accept.
pub(crate) const ACCEPT_LOG_SECONDS: u64 = 10;

/// Addresses that a listener counts connections of, while it bounds them per address; 5 MiB. Connections from further ones are let in without
/// being counted for their address, when of all others something must be known.
pub(crate) const ADDRESSES_MAX: usize = 100_000;

/// Instances of rules of a tenant that are kept for the next question, at 28 KiB each. Making one anew costs some 10 µs.
pub(crate) const RULE_INSTANCES_IDLE_MAX: usize = 64;

/// Bytes of topics and values that one answer of a rule may have come of, to be remembered.
pub(crate) const RULE_READ_BYTES_MAX: usize = 4096;

/// Answers of the rules about what definitions may do that a thread remembers; of two in one place the later one.
pub(crate) const RIGHTS_REMEMBERED: usize = 512;

/// Bytes of the longest topic of such an answer; about longer ones the rules are asked each time.
pub(crate) const RIGHTS_TOPIC_BYTES_MAX: usize = 512;

/// Time that one turn of a thread that serves Clients gives to guests. Others on this thread wait so much longer while somebody floods it;
/// 4,000 runs of a small Action fit in it.
pub(crate) const INLINE_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(4);

/// Runs of guests between two looks at the clock, which takes a twentieth of a small run.
pub(crate) const INLINE_RUNS_PER_CLOCK: usize = 16;

/// Writes of a run on an executor beyond which another thread stands in for the one that carries them out.
pub(crate) const WRITES_AT_ONCE_MAX: u32 = 64;

/// Receivers and writes of an inline run that count as one run more when its time is looked at.
pub(crate) const STEPS_PER_INLINE_RUN: usize = 16;

/// Part of all time that a thread has for definitions whose owners are neither the publisher nor administrators: one in so many. What is not used is saved, up to
/// [`INLINE_TIME_MAX`]; beyond it what they have to do is handed over to executors, where their owners take turns.
pub(crate) const OTHERS_TIME_PART: i64 = 4;

/// Time that one turn on an executor has for handing messages of a relay on to mailboxes: as definitions have for their runs.
pub(crate) const RELAY_TURN_TIME: std::time::Duration = std::time::Duration::from_millis(2);

/// Messages that are handed on there between two looks at the clock.
pub(crate) const RELAY_POSTS_PER_CLOCK: usize = 16;

/// Lists of definitions of which a relay counts apart what it has shed, until that is told: as many topics as a flood uses.
pub(crate) const RELAY_SHED_LISTS_MAX: usize = 16;

/// Events for guests at which a turn reads no more from Clients whose messages start any: about what [`INLINE_TIME_MAX`] suffices for.
pub(crate) const GUEST_EVENTS_PER_TURN: usize = 4096;

/// Events for guests that a turn leaves to the next one; beyond, the oldest go to the mailboxes. Above [`GUEST_EVENTS_PER_TURN`] and what one
/// read adds to it in the smallest packets, so only guests that start many others come here.
pub(crate) const GUEST_EVENTS_LEFT_MAX: usize = 16_384;

/// Definitions of its publisher that one message starts in turns of the publisher's thread. More of
/// them are started by executors, where owners take turns: one message would fill a thread for a
/// tenth of a second.
pub(crate) const OWN_EVENTS_PER_MESSAGE_MAX: usize = 128;

/// Processor time from which on a turn of a shard is counted as a long one.
pub(crate) const TURN_TIME_LONG: std::time::Duration = std::time::Duration::from_millis(50);

/// Bytes from a client whose password waits to be checked that are read to see whether they say that it leaves: an alert of TLS, a close frame of
/// WebSocket, or both. Who has sent more has sent something that is still to be handled.
pub(crate) const LAST_WORDS_BYTES_MAX: usize = 256;

/// Bytes of a header of the PROXY protocol. Version 1 has at most 107; with all extensions that clouds add, version 2 has some hundred.
pub(crate) const PROXY_HEADER_BYTES_MAX: usize = 4 << 10;

#[cfg(feature = "quic")]
/// Bytes of one QUIC connection on their way in each direction: sent and not acknowledged, or received and not relayed. At 50 ms of round trip that is
/// 5 MB/s, and it is what a client that never reads can make us keep.
pub(crate) const QUIC_WINDOW_BYTES: u32 = 256 << 10;

#[cfg(feature = "quic")]
/// Bytes that a relay takes at once; as many lie between it and the shard in each direction.
pub(crate) const RELAY_BYTES_MAX: usize = 64 << 10;

#[cfg(feature = "quic")]
/// QUIC connections that have ended for MQTT and wait, 2 s each, until their client has fetched what it was told last; a further one is closed at once. Their sockets and what is on its
/// way of them count in no other bound.
pub(crate) const QUIC_LAST_WORDS_MAX: usize = 256;

#[cfg(feature = "quic")]
/// Bytes that the kernel is asked to keep for all QUIC connections of a listener: a burst of a thousand large packets.
pub(crate) const QUIC_UDP_BYTES: usize = 2 << 20;

#[cfg(feature = "quic")]
/// First packets of QUIC connections that wait to be judged, which happens in the next turn of their thread.
pub(crate) const QUIC_INCOMING_MAX: usize = 1 << 10;

#[cfg(feature = "quic")]
/// Bytes of all of these, and of what comes behind them.
pub(crate) const QUIC_INCOMING_BYTES_MAX: u64 = 4 << 20;

/// Connections that the first shard accepts at one socket before its other tasks have their turn:
/// some 1 ms, with what begins each of them.
pub(crate) const ACCEPTED_AT_ONCE_MAX: u32 = 32;

/// Connections that a shard accepts at one listener and tick in place of a lower-numbered one that stands still: 1,000 in a second.
pub(crate) const ACCEPTED_IN_PLACE_MAX: usize = 256;

/// A shard whose timers have not run for so long gets no new connections: nobody would answer them.
pub(crate) const SHARD_SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(2);

/// A shard that works more than this many thousandths of the time gets no new connections while another one works less.
pub(crate) const SHARD_BUSY_PERMILLE: u32 = 700;

/// Ticks between two looks at the time for which a shard was kept from running: a second.
pub(crate) const RUN_QUEUE_TICKS: u32 = 4;

/// A shard that works fewer thousandths of the time than this, and to which nothing comes, has nothing to do.
pub(crate) const QUIET_PERMILLE: u32 = 50;

/// Ticks without anything to do after which a shard rests: a second, so that one to which something comes now and then does not begin to rest each time.
pub(crate) const QUIET_TICKS: u32 = 4;

/// Longest sleep of threads that work by the clock while all shards rest and nothing is deployed.
pub(crate) const RESTING_PERIOD: std::time::Duration = std::time::Duration::from_secs(2);

/// Bytes of texts in the reply that says what loading a project would change: what differs of further definitions is not shown.
pub(crate) const PLAN_TEXT_BYTES_MAX: usize = 256 * 1024;

/// Shortest time between two writes of the last errors of a tenant's definitions: errors that go on cost flash six writes an hour.
pub(crate) const ERRORS_KEPT_EVERY: std::time::Duration = std::time::Duration::from_secs(600);

/// Characters of each text of the last refused login: whoever knocks chooses them.
pub(crate) const REFUSED_LOGIN_CHARACTERS_SHOWN: usize = 100;

/// Characters of a kept value that `-listKept` shows: enough for a counter, a mark or a short JSON.
pub(crate) const KEPT_CHARACTERS_SHOWN: usize = 200;

/// Kept values that one `-listKept` shows.
pub(crate) const KEPT_LISTED_MAX: usize = 1000;

/// Definitions that are looked at again when one that they use is replaced; each takes some tenths of a millisecond.
pub(crate) const DEPENDENTS_CHECKED_MAX: usize = 100;

/// Definitions that the reply to a removal names as those that need what was removed; of further ones it tells the number.
pub(crate) const DEPENDENTS_NAMED_MAX: usize = 10;

/// Name of an environment variable or secret, in bytes. What shells and container tools accept is far shorter.
pub(crate) const VARIABLE_NAME_BYTES_MAX: usize = 256;

/// Value of an environment variable or secret, in bytes: room for a chain of certificates with its key.
pub(crate) const VARIABLE_VALUE_BYTES_MAX: usize = 64 << 10;

/// Shortest value of a secret, in bytes, that is masked in traces and errors: as long as passwords have to be. A shorter one stands in any text by chance, or is guessed by
/// trying which texts are masked.
pub(crate) const MASKED_BYTES_MIN: usize = 8;

/// From this length on, in bytes, the text of an error may have been cut on its way, at a character: a secret may stand at its end in part.
pub(crate) const MASKED_CUT_BYTES_MIN: usize = 497;

/// From this length on, in bytes, a line that a guest prints may have been cut at [`MESSAGE_BYTES_MAX`](lotmq_host::limits::MESSAGE_BYTES_MAX), at a character, its mark included.
pub(crate) const MASKED_LINE_BYTES_MIN: usize = lotmq_host::limits::MESSAGE_BYTES_MAX - 3;

/// The same for what a script printed: the guest of Python keeps 16,384 characters, and the host as many bytes.
pub(crate) const MASKED_PRINTED_BYTES_MIN: usize = 16_381;

/// Names of removed users that rest, of one tenant; the oldest may be given again first. Some 100 bytes each.
pub(crate) const REMOVED_NAMES_MAX: usize = 10_000;

/// Names of removed users that rest from which on only administrators remove further ones: others could push out names that they may not give.
pub(crate) const REMOVED_NAMES_OF_OTHERS_MAX: usize = REMOVED_NAMES_MAX / 4 * 3;

/// Bytes of variables and secrets, changed by runs, that are handed to the store at once; a value more where that is more.
pub(crate) const VARIABLES_SAVED_BYTES: usize = 1 << 20;

/// Name that a Client gives a command with `-requestId`, in characters. Commands reference §1.4.
pub(crate) const REQUEST_ID_CHARS_MAX: usize = 128;

/// Characters of an unknown verb that a reply repeats.
pub(crate) const VERB_SHOWN_CHARS_MAX: usize = 64;

/// Bytes of the zip in one chunk of a backup: with base64 and its frame it stays below 1 MiB. Commands reference §12.3.
pub(crate) const BACKUP_CHUNK_BYTES_MAX: usize = 512 << 10;

/// Least bytes of the zip in one chunk; a Client whose largest packet has no room for them gets no backup.
pub(crate) const BACKUP_CHUNK_BYTES_MIN: usize = 1 << 10;

/// How long the Client that gets a backup may take nothing of it.
pub(crate) const BACKUP_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Least bytes a second that the Client takes of a backup or a module, once [`BACKUP_PATIENCE`] has passed: a command thread waits for it.
pub(crate) const BACKUP_RATE_MIN: u64 = 4 << 10;

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

/// Time after which a backup is dropped of which no further part comes.
pub(crate) const RESTORE_PART_PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Bytes of a store's file for each byte of its stream, at most.
pub(crate) const RESTORE_DISK_FACTOR: u64 = 3;

/// Bytes of a reply to a command: what the smallest default packet limit of Clients takes.
pub(crate) const REPLY_BYTES_MAX: usize = 8 << 20;

/// Threads that execute commands. Of these, and of each kind of work, commands of one user take half at most, those of one tenant all but one.
pub(crate) const COMMAND_THREADS: usize = 13;

/// Threads of those on which commands compile at once; the others answer everything else, however much is compiled.
pub(crate) const COMMAND_THREADS_COMPILING_MAX: usize = 7;

/// Threads of those on which commands compile modules at once: an administrator has one more. One
/// user has one of them. The commands of one tenant have one more than it has worker processes, so
/// that a module whose code is cached is installed while all workers compile.
pub(crate) const COMMAND_THREADS_MODULES_MAX: usize = MODULE_WORKERS_MAX + 1;

/// Threads of those on which commands wait at once: for a far side, a run, a receiver, a long read of the store. Some neither compile nor wait.
pub(crate) const COMMAND_THREADS_WAITING_MAX: usize = 4;

/// Reads of the store for commands at once, each on a thread of its own; those that hang are among them until the disk answers.
pub(crate) const READS_ASIDE_MAX: usize = 4;

/// The same of one tenant.
pub(crate) const READS_ASIDE_PER_TENANT_MAX: usize = READS_ASIDE_MAX - 1;

/// The same of one user, also of reads that hang and that he does not wait for any more: as many as he has threads to wait on.
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

/// Uploads of [`LARGE_UPLOAD_BYTES`] or more that run at once; further ones wait in their queues, and smaller ones overtake them.
pub(crate) const LARGE_UPLOADS_MAX: usize = 3;

/// Bytes of a command from which on it is a large upload. Smaller programs are compiled in a tenth of a second.
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

/// Commands of all Clients that wait or run; those of one user take a quarter of these places at most, those of one tenant three.
pub(crate) const COMMANDS_WAITING_MAX: usize = 4096;

/// Commands that wait by which users set their own passwords, which they may who may give no others; of these places, too, one user takes a quarter at most.
pub(crate) const OWN_PASSWORDS_WAITING_MAX: usize = COMMANDS_WAITING_MAX / 8;

/// Bytes of a command with which a user sets his own password, twice as many as the longest name and password that make sense.
pub(crate) const OWN_PASSWORD_BYTES_MAX: usize = 4096;

/// Bytes of all waiting commands: four of the largest default packet, of which one user has a quarter at most, and one tenant three.
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

/// Users of whom the log tells apart how often rules keep topics from their subscriptions; of further ones the count begins anew.
pub(crate) const WITHHELD_USERS_MAX: usize = 10_000;

/// Users that such a record names.
pub(crate) const AUDIT_SUM_USERS_MAX: usize = 8;

/// Records after which the head of their sequence is told, even if [`AUDIT_HEAD_INTERVAL`] is not over.
pub(crate) const AUDIT_HEAD_RECORDS: u64 = 1_000;

/// Time after which the head of a sequence of records is told again, if it is another one.
pub(crate) const AUDIT_HEAD_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// Records of the audit that wait in memory; more are lost, and counted. They wait a second, or as long as the disk fails.
pub(crate) const AUDIT_WAITING_MAX: usize = 10_000;

/// Oldest records of changes that are looked at in one go where records must go; those that stay are noted anew.
pub(crate) const AUDIT_NOTED_ANEW_MAX: u64 = 1_000;

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

/// Threads of routes: one per core, and no more, as they mostly wait.
pub(crate) const ROUTE_THREADS_MAX: usize = 4;

/// Probes of routes that may wait for one of these threads; whoever asks for more waits.
pub(crate) const ROUTE_PROBES_MAX: usize = 64;

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

/// How long a request for the health waits for threads that seem to stand still: the whole process may have.
pub(crate) const PULSE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a thread that serves Clients may give no sign of life before the broker's health is bad.
pub(crate) const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// The same for one round of housekeeping, of `$SYS` figures and of routes, and for the check of a password: threads that may have little of the processor.
pub(crate) const ROUND_SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// The same for one part of a command: a compile may take a minute on a small machine, and `-addPython` waits for the interpreter.
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

/// Bytes of each part of an upload but the last; fewer where the listener takes no packets of this size. Commands reference §14.3.
pub(crate) const MODULE_PART_BYTES: usize = 256 << 10;

/// Bytes of a packet besides the part of an upload: head, the longest topic, a digest as User Property.
pub(crate) const MODULE_PART_OVERHEAD_BYTES: usize = 512;

/// Uploads of modules in parts that one user has under way. Commands reference §14.3.
pub(crate) const MODULE_UPLOADS_PER_USER_MAX: usize = 4;

/// Uploads of modules in parts that are under way in all; an administrator may begin as many more as one user has. Commands reference §14.3.
pub(crate) const MODULE_UPLOADS_MAX: usize = 16;

/// Bytes of uploads of one user in parts, as they were announced: half of those of all, so that one leaves room for others.
pub(crate) const MODULE_UPLOADS_BYTES_PER_USER_MAX: usize = 129 << 20;

/// Bytes of all uploads of modules that are under way, as they were announced: four of the largest. For administrators there is room for one more.
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

/// Bytes of one grant: room for the longest name of a variable and its kind, and for topic filters of a reasonable length.
pub(crate) const MODULE_GRANT_BYTES_MAX: usize = 1024;

/// Missing grants of which a version of a module's code tells; further ones are refused without a word.
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

/// Messages that wait for one route in memory alone, unless `OVERLOAD_CAPACITY` says less with `BUFFER_MODE none`. What becomes of further ones says its `OVERLOAD_POLICY`.
pub(crate) const ROUTE_MAILBOX_MESSAGES_MAX: usize = 10_000;

/// Bytes of them, with 64 for each message.
pub(crate) const ROUTE_MAILBOX_BYTES_MAX: usize = 16 << 20;

/// Messages of an outbox that stay in memory from when they come, so that a route which is behind by that much reads none back: a quarter of a second of what a bridge carries.
pub(crate) const ROUTE_FRESH_MESSAGES: usize = 32_000;

/// Bytes of them, with what was read: as many as a route without an outbox may have. To read messages of a few hundred bytes back costs more than to keep them.
pub(crate) const ROUTE_FRESH_BYTES: usize = ROUTE_MAILBOX_BYTES_MAX;

/// Bytes of payloads and properties of such messages that lie in one piece of memory; longer ones have a piece of their own.
pub(crate) const ROUTE_FRESH_CHUNK_BYTES: usize = 16 << 10;

/// Messages of an outbox that are in memory when more are read: two calls of its guest.
pub(crate) const ROUTE_READ_AHEAD_MESSAGES: usize = 2000;

/// Bytes of them, with 64 for each message. A slice that is read beyond that has as many again at most, and one message at least.
pub(crate) const ROUTE_READ_AHEAD_BYTES: usize = 2 << 20;

/// Most messages that stand aside in memory because what takes them has failed and rests; with more of them the others wait as well.
pub(crate) const ROUTE_ASIDE_MESSAGES_MAX: usize = 10_000;

/// Most bytes of them.
pub(crate) const ROUTE_ASIDE_BYTES_MAX: usize = 4 << 20;

/// Messages of a route that are published at once, all or none; with a thousand subscribers some ten milliseconds, in which its thread does nothing for other routes.
pub(crate) const INGEST_PIECE_MESSAGES: usize = 256;

/// Bytes of them, topic and payload.
pub(crate) const INGEST_PIECE_BYTES: usize = 1 << 20;

/// Bytes of the values of placeholders, with 64 for each, that one message of a route may have, and all of a batch: what would have more comes in a batch of its own.
pub(crate) const ROUTE_FILLED_BYTES_MAX: usize = 8 << 20;

/// Bytes of topic and payload that are searched for the values of one message, with 64 for each step of a path in JSON and 4,096 for each variable and secret. What needs more is rejected.
pub(crate) const ROUTE_SEARCHED_BYTES_MAX: usize = 32 << 20;

/// Work that a route does for its messages before other routes of its thread have their turn, besides the message at which it reaches that: bytes of values, and of what takes as long. About a
/// millisecond.
pub(crate) const ROUTE_TURN_WORK_MAX: usize = 1 << 20;

/// Messages of an outbox that are read at once.
pub(crate) const ROUTE_SLICE_MESSAGES: usize = 2048;

/// Bytes of them: topic, payload and what is kept beside them.
pub(crate) const ROUTE_SLICE_BYTES: u64 = 1 << 20;

/// Dead letters of one route, which have a tenth of `BUFFER_MAX_BYTES` at most, too; the oldest go first.
pub(crate) const DEAD_LETTERS_MAX: u64 = 10_000;

/// Dead letters that a diagnosis shows: the newest. Routes reference §3.3.
pub(crate) const DEAD_LETTERS_SHOWN: usize = 10;

/// Dead letters that one command lists.
pub(crate) const DEAD_LETTERS_LISTED: usize = 100;

/// Bytes of them: topic, payload and what is kept beside them.
pub(crate) const DEAD_LETTERS_LISTED_BYTES: u64 = 256 << 10;

/// Bytes of the reason that is kept with a dead letter.
pub(crate) const DEAD_LETTER_REASON_BYTES: usize = 1000;

/// Messages that a route guest gets in one call, unless `BATCH_SIZE` says less: as many rows as make a statement of a database worth its commit.
pub(crate) const ROUTE_BATCH_MAX: usize = 1000;

/// Bytes of them, with 64 for each message, unless the first alone has more, or `BATCH_BYTES` says less. A guest has 64 MiB and may keep several copies.
pub(crate) const ROUTE_BATCH_BYTES_MAX: usize = 1 << 20;

/// Ends of connections in a row with one message alone, after which it is handed over with a few of those behind it. As many as a bridge counts before it asks whose fault that is.
pub(crate) const ROUTE_ALONE_ENDS: u32 = 5;

/// Number of those behind it: enough to find a smaller one, of another topic.
pub(crate) const ROUTE_COMPANY_MESSAGES: usize = 64;

/// Pause between two requests for the paths of messages: seldom enough to cost nothing, and soon enough for people.
pub(crate) const ROUTE_PATHS_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);

/// Characters of what a guest says of the path of a query: a few words, and perhaps a reason.
pub(crate) const ROUTE_PATH_CHARACTERS_MAX: usize = 200;

/// Pause between two requests for the tags that have no value, while there are some: people look no more often.
pub(crate) const ROUTE_TAGS_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Pause between two times that whoever watches is told that tags of a route have lost their values: what comes and goes floods nobody.
pub(crate) const ROUTE_TAGS_TOLD_PAUSE: std::time::Duration = std::time::Duration::from_mins(1);

/// Tags without a value that the standing of a route names; of all of them it has the number.
pub(crate) const ROUTE_FAILING_TAGS_TOLD_MAX: usize = 10;

/// Characters of the name of such a tag, and of the reason.
pub(crate) const ROUTE_TAG_TEXT_CHARACTERS_MAX: usize = 200;

/// Instances of the guest of a route, each with a connection of its own: more than most databases give to one user.
pub(crate) const ROUTE_INSTANCES_MAX: usize = 64;

/// Time for which a route guest polls and serves in one call, unless there is other work for it.
pub(crate) const ROUTE_RUN_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// Time for one call of a route guest, waiting included, unless `ACTIVITY_TIMEOUT` says otherwise. After that its instance is given up.
pub(crate) const ROUTE_CALL_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// The same in a case of a test, where it is shorter than the patience of whoever drives it, so that the route is told of and not that something did not end.
pub(crate) const ROUTE_CASE_CALL_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// Bytes of the rows that one question gets; further rows are left out. Routes reference §4.1.
pub(crate) const ROWS_BYTES_MAX: usize = 1 << 20;

/// Times in a row that a route's guest may break at messages, nothing passing between, before the pauses behind it grow: eight messages, each once in a batch and once alone.
pub(crate) const ROUTE_BREAKS_IN_A_ROW_MAX: u32 = 16;

/// A message on which the driver of its route, alone with it, has ended by a panic so often counts as rejected.
pub(crate) const ROUTE_PANICS_MAX: u8 = 2;

/// Reasons why a route is not connected whose counts are kept until it is, so that the log tells each at doubled counts; with more of them the oldest is told anew.
pub(crate) const ROUTE_REASONS_MAX: usize = 8;

/// Bounds of the buckets of times until the far side of a route has a message: a bridge on the same machine takes some ms, a database that commits some 10, one message in doubt a
/// pause of seconds, and what waited for a far side that was away minutes or hours. Few, because each route has them.
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

/// Bytes of the schema that a route guest gives of its settings: it is read whenever a route is opened. Those of our own have some kilobytes.
pub(crate) const ROUTE_SCHEMA_BYTES_MAX: usize = 256 << 10;

/// Bytes of what the guest of a route says when it is asked whether the far side is there that are shown.
pub(crate) const PROBE_ANSWER_BYTES_MAX: usize = 1_000;

/// Problems with the settings of a route that are told; further ones are not looked for.
pub(crate) const ROUTE_SCHEMA_PROBLEMS_MAX: usize = 50;

/// Properties of a schema that are looked at for the settings of a route, and bytes of the defaults that are filled in: thousands of events with hundreds of properties each. Routes with more
/// are not opened.
pub(crate) const ROUTE_SCHEMA_WORK_MAX: usize = 8 << 20;

/// Most events, mappings, tags and tables of a route whose standing is known one by one.
pub(crate) const EVENT_STANDINGS_MAX: usize = 256;

/// Most events that go when a route is replaced, and for which messages wait, that are named.
pub(crate) const GONE_EVENTS_SHOWN: usize = 10;

/// Time for which the end of the broker waits until the guests of routes have closed, calls under way included.
pub(crate) const ROUTE_GOODBYE_MAX: std::time::Duration = std::time::Duration::from_secs(3);

/// A message that was answered with `retry` at least so often, for at least [`ROUTE_RETRY_TIME_MIN`], counts as rejected. Routes reference §3.3.
pub(crate) const ROUTE_RETRIES_MIN: u32 = 20;

/// See [`ROUTE_RETRIES_MIN`].
pub(crate) const ROUTE_RETRY_TIME_MIN: std::time::Duration = std::time::Duration::from_secs(600);

/// Memory that guests may have where nothing is configured: one part in so many of the machine's.
pub(crate) const GUESTS_MEMORY_PART: u64 = 4;

/// The least and the most that this gives, in bytes: a thousand actions, and what nobody has needed yet.
pub(crate) const GUESTS_MEMORY_RANGE: std::ops::RangeInclusive<u64> = 256 << 20..=4 << 30;

/// Sums of memory that nobody has set are at most one part in so many of the machine's.
pub(crate) const SUM_MEMORY_PART: u64 = 8;

/// The least that this gives, in bytes.
pub(crate) const SUM_MEMORY_MIN: u64 = 32 << 20;

/// The least and the most that a session has in flight whose owner's sessions have too much, in bytes.
pub(crate) const BOUND_WINDOW_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 10;

/// How often it is looked what all sessions have in flight, while the process has as much memory.
pub(crate) const IN_FLIGHT_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// How often it is looked how full the disk is.
pub(crate) const STORAGE_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// Bytes that a stored byte may take of the disk: pages are powers of two, and a page is written anew before the old one is free.
pub(crate) const DISK_BYTES_PER_BYTE: u64 = 3;

/// More than is stored between two looks at the disk: 4 GB a second.
pub(crate) const STORED_BETWEEN_LOOKS_MAX: u64 = 2 << 30;

/// Definitions that `/metrics` tells apart; all beyond them are one sum. Each has some twenty samples, and 100 of them a text of 200 KiB.
pub(crate) const DEFINITIONS_FIGURED_MAX: usize = 100;

/// Counters and gauges that the definitions of a tenant may have together: some 500 KB of memory, and as many lines of `/metrics`.
pub(crate) const GUEST_METRICS_MAX: u64 = 4_096;

/// What one user has at most of what there is so many of in a tenant (definitions, modules, scripts, counters): three quarters of what others leave.
pub(crate) const USER_PART: (u64, u64) = (3, 4);

/// Keys that the state of one definition may have. It is for what a guest must know again after a restart, not for data.
pub(crate) const STATE_KEYS_MAX: usize = 1_000;

/// Bytes of keys and values that the state of one definition may have.
pub(crate) const STATE_BYTES_MAX: usize = 1 << 20;

/// Retained messages that are looked at under one lock when a definition lists topics.
pub(crate) const RETAINED_TOPICS_AT_ONCE: usize = 1_000;

/// Topics that are found for a definition before the rules are asked which of them its owner may read; more are too many. So often rules are asked in one call of a
/// run, whose time is looked at behind it.
pub(crate) const LISTED_TOPICS_FOUND_MAX: usize = 20_000;

/// Part of the disk with the data directory that files of routes leave free, of a disk up to [`FILES_RESERVE_BYTES_MAX`] times as many bytes.
pub(crate) const FILES_RESERVE_PART: u64 = 8;

/// Most bytes that files of routes have to leave free there beyond `disk_reserve_bytes`: what is stored for others goes on when they find no room.
pub(crate) const FILES_RESERVE_BYTES_MAX: u64 = 1 << 30;

/// Silences, and windows, that the definitions of a tenant are told in one round of the timers: each asks the rules and copies a value, some 20 µs, and all else that is due by the
/// clock waits meanwhile.
pub(crate) const TOLD_PER_ROUND: usize = 256;

/// Rows of what watches remember that are kept, and windows that are closed, in the time that telling one silence takes.
pub(crate) const ROWS_PER_TOLD: usize = 4;
