//! Every bound of the host: name, unit, default, allowed range, and why this number.
//!
//! Defaults follow the language reference §7.8 and the commands reference §14.4. [`GuestLimits`]
//! has the bounds that differ between definitions; the constants are the same for all.

use std::time::Duration;

/// Bounds of the buckets of runs. An action that computes and publishes takes some 5 us, a script
/// some 100 us, and what waits for others up to minutes; few, because each definition has them.
pub const RUN_BOUNDS: &[Duration] = &[
    Duration::from_micros(10),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
];

/// How many buckets these are.
pub const RUN_BUCKETS: usize = RUN_BOUNDS.len() + 1;

/// Writes (PUBLISH, KEEP, forget) of one run, a callee's included. From the language reference
/// §7.8.
pub const WRITES_PER_RUN_MAX: u32 = 10_000;

/// Bytes of topics and payloads that one run may write. 16 MiB: 10,000 writes of 1.6 KiB; a run may
/// not fill the memory of the broker with what the sandbox forbids it to hold itself.
pub const WRITE_BYTES_PER_RUN_MAX: usize = 16 * 1024 * 1024;

/// Reports of one run that are kept; further ones are counted only. Enough to find the first
/// faults, small enough for one topic.
pub const REPORTS_PER_RUN_MAX: u32 = 100;

/// Lines for the log of one run that are kept; further ones are counted only. As many as reports.
pub const LOG_LINES_PER_RUN_MAX: u32 = 100;

/// Bytes of a report's or an error's message, and of a line for the log; longer ones are cut at a
/// character, a line with a mark at its end.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// Bytes of the code of an error or a report, which is a word. The longest of our own has 22.
pub const CODE_BYTES_MAX: usize = 64;

/// Different things of one run that are told as not granted; further ones are told of a later run.
/// Enough to grant them all in a few rounds.
pub const MISSING_PER_RUN_MAX: usize = 16;

/// Of those, as many are named in the error with which a run ends.
pub const MISSING_TOLD_MAX: usize = 4;

/// Bytes of the name of what was not granted; longer ones are cut. As long as the longest grant.
pub const MISSING_NAME_BYTES_MAX: usize = 1024;

/// Bytes of an environment value or a secret that a guest may set.
pub const ENVIRONMENT_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that one call between guest and host may copy out of the guest's memory. Elements of a
/// list may lie in the same place, so that what is copied can be many times larger than that
/// memory; a call that waits keeps its copy as long. Twice [`WRITE_BYTES_PER_RUN_MAX`].
pub const CALL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Counters and gauges that one run may change. As many as a definition may have.
pub const METRICS_PER_RUN_MAX: usize = 32;

/// Bytes of the name of a counter or gauge.
pub const METRIC_NAME_BYTES_MAX: usize = 64;

/// Bytes of a key of a definition's state.
pub const STATE_KEY_BYTES_MAX: usize = 256;

/// Bytes of a value of a definition's state. As of an environment value.
pub const STATE_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the name of an environment value, a secret, or a called definition.
pub const NAME_BYTES_MAX: usize = 256;

/// How deep calls between definitions may nest. From the language reference §7.7.
pub const CALL_DEPTH_MAX: u8 = 16;

/// Hops after which a message triggers nothing any more (loop guard, language reference §7.8).
pub const HOPS_MAX: u8 = 64;

/// CPU time of one run of an Action, its callees included. From the language reference §7.8.
pub const ACTION_TIME: Duration = Duration::from_secs(1);

/// Linear memory of one instance of an Action, in bytes. From the language reference §7.8.
pub const ACTION_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// CPU time of one call of a route guest; waiting does not count. Commands reference §14.4.
pub const ROUTE_TIME: Duration = Duration::from_secs(10);

/// Time for which a route guest is asked what it is when it is compiled: some texts that it has,
/// without a word to anybody.
pub const DESCRIBE_TIME: Duration = Duration::from_secs(2);

/// Groups of a principal that an authentication guest names.
pub const AUTH_GROUPS_MAX: usize = 100;

/// Properties of a principal that an authentication guest names.
pub const AUTH_PROPERTIES_MAX: usize = 100;

/// Grants of a principal: they are looked through in order for each topic that the client has not
/// used before.
pub const AUTH_GRANTS_MAX: usize = 1_000;

/// Bytes of all texts of a principal, and of the User Properties of one CONNACK.
pub const AUTH_TEXT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a text or of binary data in a packet, of which two bytes say the length.
pub const MQTT_TEXT_BYTES_MAX: usize = 65_535;

/// CPU time of one call of a rule, commands reference §14.4. A compiled rule takes some
/// microseconds; what takes longer denies.
pub const RULE_TIME: Duration = Duration::from_millis(5);

/// Longest name of a function of a module, in bytes; the LoT compiler has the same bound.
pub const MODULE_FUNCTION_BYTES_MAX: usize = 128;

/// Linear memory of one instance of a rule, in bytes. From the commands reference §14.4.
pub const RULE_MEMORY_BYTES: usize = 16 * 1024 * 1024;

/// CPU time of one call of a Python script, and of running it from top to bottom when it is loaded.
/// From the language reference §12.
pub const PYTHON_TIME: Duration = Duration::from_secs(5);

/// Linear memory of one script's instance, in bytes: the interpreter with its modules takes some 30
/// MiB of it.
pub const PYTHON_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// The part of the memory of all guests that those of one owner may have of what all others leave:
/// numerator and denominator. A broker with one owner hardly notices, and a quarter of the least
/// there is, 64 MiB, holds hundreds of compiled Actions.
pub(crate) const OWNER_PART: (u64, u64) = (3, 4);

/// Bytes of a compile worker that no account is charged for. An owner has one worker for modules
/// and one for programs. The interpreters of Python and JavaScript take some 400 MiB, and they are
/// compiled on small machines, too.
pub const WORKER_MEMORY_FREE: u64 = 512 << 20;

/// Points in time that one script waits for at once: `time.sleep` needs one.
pub(crate) const PYTHON_WAITS_MAX: usize = 64;

/// Calls of scripts that run at once, in the whole process; others wait, and next is one in whose
/// owner's name fewest run. Scripts only compute, so more would only take turns.
pub const PYTHON_AT_ONCE_MAX: usize = 4;

/// Calls of scripts of one user that run at once: three quarters, so that the first call of another
/// user finds a place.
pub const PYTHON_OWNER_MAX: usize = PYTHON_AT_ONCE_MAX / 4 * 3;

/// How long a call waits for other calls of its script, for a place, and for the interpreter's
/// native code, all together.
pub const PYTHON_WAIT: Duration = Duration::from_secs(30);

/// Processor time after which a call of a script gives its place to one of another user who has
/// fewer running, and goes on behind it. A tenth of what a usual call takes with its start, so that
/// others hardly wait, and a hundredth of what one may take.
pub const PYTHON_SLICE: Duration = Duration::from_millis(50);

/// Threads that stand in for executor threads whose run waits for a script or a route. One owner
/// may use half of the threads that others leave; further runs of that owner wait. Each thread
/// starts when it is first needed.
pub const STAND_INS_MAX: usize = 64;

/// How long adding a script waits for the interpreter's native code, which is made once after an
/// installation: some 20 s on two cores, a minute on a small board.
pub const PYTHON_LOAD_WAIT: Duration = Duration::from_secs(150);

/// How long a run waits for the rows of a route. From the language reference §8.7.
pub const ROWS_WAIT: Duration = Duration::from_secs(5);

/// Steps of one search with backtracking in a rule, whose caller waits: below a millisecond, if
/// none of them reads far.
pub const SHORT_BACKTRACK_STEPS_MAX: usize = 20_000;

/// Elements of all tables of one instance. Rust and C guests need some hundreds, JavaScript engines
/// some thousands.
pub const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Time that an inline run may take on the thread that received the message (the design has 200 µs;
/// see [`TICK_FINE`]).
pub const INLINE_SLICE: Duration = Duration::from_micros(500);

/// Length of an epoch while an inline run was seen lately. As long as the slice: a run is stopped
/// after one to two slices. At 200 µs the ticker alone took 6 % of the processor time of a broker
/// under load.
pub const TICK_FINE: Duration = Duration::from_micros(500);

/// Length of an epoch while only executors run guests. Their budgets are tens of milliseconds and
/// more.
pub const TICK_COARSE: Duration = Duration::from_millis(5);

/// Without a run for so long the ticker sleeps until the next one; an idle broker has no wake-ups
/// from guests.
pub const TICKER_IDLE: Duration = Duration::from_millis(100);

/// Native stack that one entry into a guest may use. A guest that recurses further traps.
pub const GUEST_STACK_BYTES: usize = 256 * 1024;

/// Native stack kept for host functions above a guest's own.
pub const HOST_STACK_BYTES: usize = 256 * 1024;

/// Stack of an executor thread: a full nesting of calls whose guests each use little, or several
/// that use all they may. Only touched pages cost memory. [`crate::stack`] refuses the call that
/// would not fit.
pub const EXECUTOR_STACK_BYTES: usize = 8 * 1024 * 1024;

/// Stack that is assumed of a thread that did not say: what Rust gives a spawned thread.
pub const THREAD_STACK_BYTES_ASSUMED: usize = 2 * 1024 * 1024;

/// Stack of a fiber, on which guests that suspend run.
pub const FIBER_STACK_BYTES: usize = GUEST_STACK_BYTES + HOST_STACK_BYTES;

/// Component instances alive at once. Idle ones are dropped, so loaded definitions may be far more.
pub const INSTANCES_MAX: u32 = 4_000;

/// Core instances that one component may have, those of components within it included.
pub const CORE_INSTANCES_MAX: u32 = 64;

/// Linear memories that one component may have.
pub const MEMORIES_MAX: u32 = 8;

/// Tables that one component may have.
pub const TABLES_MAX: u32 = 16;

/// Instances of the pool that are kept for rules, one in so many: a rule that gets none denies, and
/// no other guest is to bring that about.
pub const RULE_INSTANCES_PART: u32 = 16;

/// Memory mappings that one compiled program takes at most: its code, and what lies before and
/// behind. Neighbours share theirs, so usual is two.
pub const MAPPINGS_PER_PROGRAM: u64 = 3;

/// Memory mappings for compiled code that there are at least, however few the system allows: some
/// hundred programs.
pub const CODE_MAPPINGS_MIN: u64 = 1_024;

/// Bytes of memory for each byte of a binary that declares types, imports, functions, exports or
/// elements. The tables about them are larger: an export of seven bytes takes some ninety.
pub(crate) const METADATA_FACTOR: usize = 16;

/// Messages that may wait in one definition's mailbox. Policy when full:
/// [`WhenFull`](crate::WhenFull).
pub const MAILBOX_MESSAGES_MAX: usize = 10_000;

/// Bytes of topics and payloads that may wait in one definition's mailbox.
pub const MAILBOX_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that may wait in all mailboxes together, as a part of the memory of all guests, beside it.
/// Of that one owner has at most three quarters of what the others leave; a mailbox that gets no
/// more is full.
pub const MAILBOXES_MEMORY_PART: u64 = 4;

/// Bytes of a mailbox that do not count in that sum.
pub const MAILBOX_ROOM_FREE: u64 = 16 << 10;

/// Bytes in which a mailbox takes its part of that sum.
pub const MAILBOX_ROOM_STEP: u64 = 64 << 10;

/// How many times its bounds a mailbox takes from senders that wait from then on: what each
/// thread's turn had read already, some 10,000 of the smallest messages.
pub const HELD_BACK_FACTOR: usize = 8;

/// Writes of a run on an executor from which on the time of its turn is looked at behind it: to
/// carry them out may take longer than the run.
pub(crate) const WRITES_PER_LOOK: u32 = 16;

/// Runs of one definition before the executor turns to the next one that waits.
pub const RUNS_PER_TURN_MAX: usize = 64;

/// Events that an executor takes out of a mailbox at once: who posts meanwhile holds its lock most
/// of the time. They do not count against the mailbox's bounds.
pub const RUNS_PER_LOCK: usize = 16;

/// Time after which the executor turns to the next definition that waits, even before
/// [`RUNS_PER_TURN_MAX`].
pub const TURN_TIME_MAX: Duration = Duration::from_millis(2);

/// Time that a thread of definitions is at one turn before it counts as standing still, without
/// what it waits for scripts and routes: sixty times what a run may take, for machines that do much
/// else.
pub const EXECUTOR_SILENCE_MAX: Duration = Duration::from_secs(60);

/// Time between two ticks of the clock of running guests before it counts as standing still: the
/// runs that it would have ended hold their threads meanwhile.
pub const TICKER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// First pause after a trap; doubles with each further one. From the language reference §7.8.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Longest pause after a trap; also how long a definition must run without one for the pauses to
/// start anew.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Traps for different messages within [`FAILED_WITHIN`], while no run ends otherwise, after which
/// a definition has failed. Commands reference §14.4.
pub const FAILED_AFTER_TRAPS: usize = 5;

/// See [`FAILED_AFTER_TRAPS`].
pub const FAILED_WITHIN: Duration = Duration::from_secs(60);

/// Messages that made it trap that a definition remembers. The memory is for the worst few; who
/// sends others makes the definition pause.
pub const POISONS_MAX: usize = 64;

/// Messages that trap one after the other, with no run that ends between them, before a definition
/// pauses for [`BACKOFF_FIRST`] although its runs have ended well before.
pub const POISONS_IN_A_ROW_MAX: u32 = 8;

/// Instances that have not run for so long are dropped. Making one anew costs some 20 µs, keeping
/// one 28 KiB.
pub const INSTANCE_IDLE: Duration = Duration::from_secs(3);

/// Idle instances per definition that wait for nested calls and for runs beside others. More are
/// dropped at once.
pub const SPARE_INSTANCES_MAX: usize = 8;

/// Definitions of which one thread holds an instance for its inline runs; the first one is let go
/// for another.
pub const INLINE_HELD_MAX: usize = 16;

/// Messages that are handed to a definition in one call: beyond this, the cost of a call is less
/// than a hundredth of what their runs cost.
pub const BATCH_MESSAGES_MAX: usize = 64;

/// Bytes of topics and payloads that are handed over in one call. The guest's memory holds them,
/// and some twice as much for what the runs write.
pub const BATCH_BYTES_MAX: usize = 16 * 1024;

/// Time that the runs of one batch should take, by the mean of those before: so much less than a
/// slice that one is rarely given up.
pub const BATCH_TIME: Duration = Duration::from_micros(100);

/// Messages that run one by one after a batch of which some had to: a definition for which batches
/// are of no use pays for few.
pub const BATCH_PAUSE: u32 = 512;

/// Patterns for `backtracking` that an instance finds without asking for them among all; the one
/// used longest ago goes first.
pub const PATTERNS_MAX: usize = 32;

/// Bytes of compiled patterns for `backtracking`, of all definitions together; those that nobody
/// has used lately go first.
pub const PATTERN_CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The same for those of rules.
pub const RULE_PATTERN_CACHE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Steps of one search with backtracking, as the WIT promises. Some tens of milliseconds, if none
/// of them reads far.
pub const BACKTRACK_STEPS_MAX: usize = 1_000_000;

/// Bytes of a component. From the commands reference §14.4.
pub const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the code of one function of an upload.
pub const FUNCTION_BYTES_MAX: usize = 1024 * 1024;

/// Locals times blocks of one function of an upload. The interpreters of Python and JavaScript have
/// half a million in one and 13 million in all.
pub const FUNCTION_COMPLEXITY_MAX: u64 = 4_000_000;

/// The same of all functions of an upload together.
pub const MODULE_COMPLEXITY_MAX: u64 = 64_000_000;

/// Cost of the control flow of all functions of an upload, in blocks squared. A loop counts for
/// fifty blocks. The bound takes some 10 s to compile.
pub const MODULE_FLOW_MAX: u64 = 4_000_000_000;

/// Bytes of native code that a compile worker may hand over. Code has up to ten times the bytes of
/// its component.
pub const WORKER_ARTIFACT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Bytes of a text by which a compile worker refuses a binary, or of its last words.
pub const WORKER_ERROR_BYTES_MAX: usize = 4096;

/// Nice value that a compile worker adds to the broker's: clients come first.
pub const WORKER_NICE: i32 = 5;

/// Files that a compile worker may have open: its three pipes, and what the standard library reads.
pub const WORKER_OPEN_FILES_MAX: u64 = 16;

/// Period at which the broker checks whether a compile worker is still wanted, and its processor
/// time.
pub const WORKER_LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Bytes that the directory of compiled components may hold; the ones used longest ago go first.
pub const CACHE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How long a file of compiled components is waited for. From then on programs are compiled without
/// them, until the disk has answered.
pub const CACHE_PATIENCE: Duration = Duration::from_secs(2);

/// How long compiled components are kept that nobody uses, such as those of removed definitions;
/// looked at when the directory is opened.
pub const CACHE_UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Limits of one definition. The engine's own bounds hold as well: see
/// [`Engine::memory_bytes_max`](crate::Engine::memory_bytes_max).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    /// Linear memory of one instance in bytes, all its memories together. Default
    /// [`ACTION_MEMORY_BYTES`].
    pub memory_bytes: usize,
    /// Time of one run, its callees included. Default [`ACTION_TIME`]. Kept to one epoch, at most 5
    /// ms more.
    pub time: Duration,
    /// Time of an inline run, after which it is given up and posted instead. Default
    /// [`INLINE_SLICE`].
    pub slice: Duration,
    /// Writes of one run. Default [`WRITES_PER_RUN_MAX`].
    pub writes: u32,
    /// Bytes that one run may write. Default [`WRITE_BYTES_PER_RUN_MAX`].
    pub write_bytes: usize,
    /// Whether it begins again after a trap; otherwise it waits until somebody enables it. Default:
    /// it does.
    pub restarts: bool,
}

impl Default for GuestLimits {
    fn default() -> Self {
        GuestLimits {
            memory_bytes: ACTION_MEMORY_BYTES,
            time: ACTION_TIME,
            slice: INLINE_SLICE,
            writes: WRITES_PER_RUN_MAX,
            write_bytes: WRITE_BYTES_PER_RUN_MAX,
            restarts: true,
        }
    }
}

/// Files and listings that an instance of a route may have open at once. Half as many as
/// connections: a route writes a few files and reads a few.
pub const OPEN_FILES_MAX: u32 = 32;

/// Bytes of one read or write of a file. As of a connection.
pub const FILE_TRANSFER_BYTES_MAX: usize = 64 * 1024;

/// Names that one call of a listing gives: with 255 bytes each the size of a read.
pub const FILE_NAMES_PER_CALL_MAX: usize = 256;

/// Operations on files that all guests together have under way, those among them for which nobody
/// waits any more: each has a thread.
pub const FILE_OPERATIONS_MAX: usize = 64;

/// Bytes of the path of a file.
pub const FILE_PATH_BYTES_MAX: usize = 1024;

/// Names in the path of a file.
pub const FILE_PATH_NAMES_MAX: usize = 16;

/// Bytes of the longest file, 1 TiB: far beyond what a route writes before it begins another one.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024 * 1024;

/// Files that can still be made on a disk before no guest makes another one, where the disk counts
/// them.
pub const FILES_FREE_MIN: u64 = 1024;

/// Exchanges over HTTP that an instance of a route may have at once: as many connections to its
/// servers, a quarter of those that it may have otherwise.
pub const HTTP_EXCHANGES_MAX: u32 = 16;

/// Connections to HTTP servers that an instance keeps while it does not use them; the one that was
/// used longest ago goes first. As many as exchanges.
pub const HTTP_IDLE_CONNECTIONS_MAX: usize = 16;

/// How long a connection to an HTTP server is kept unused. Most servers close theirs sooner, which
/// is noticed at once.
pub const HTTP_IDLE_TIME: Duration = Duration::from_secs(60);

/// How long a connection that has given its whole response may take until the next request can be
/// sent: only while the one before is still being sent.
pub const HTTP_READY_WAIT: Duration = Duration::from_secs(1);

/// Bytes of the target of a request, as most servers have it.
pub const HTTP_TARGET_BYTES_MAX: usize = 8 * 1024;

/// Bytes of the fields of a request, and of the head of a response. Several times what servers take
/// and send.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Fields of a head.
pub const HTTP_HEADERS_MAX: usize = 100;

/// Bytes of the bodies of all requests of an instance that are being sent: half of
/// [`CALL_BYTES_MAX`].
pub const HTTP_REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the body of a response. They come in pieces, of which the host keeps one.
pub const HTTP_RESPONSE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Bytes of a response's body that one call gives. As of a connection.
pub const HTTP_PIECE_BYTES_MAX: usize = 64 * 1024;

/// Longest time of an exchange, from its start to the end of the response, whatever the guest asks
/// for.
pub const HTTP_TIME_MAX: Duration = Duration::from_secs(300);

/// Connections of clients to one HTTP server of a route. For further ones the address with most of
/// them gives way, or they are closed. Four for each request that may be open, because clients keep
/// theirs.
pub const HTTP_SERVER_CONNECTIONS_MAX: usize = 256;

/// Connections of clients to the HTTP servers of all routes together, at most; fewer where the
/// system lets the process open few files. As of four servers. Those to the servers of one owner
/// are at most three quarters of what others leave.
pub const HTTP_SERVER_CONNECTIONS_ALL_MAX: usize = 4 * HTTP_SERVER_CONNECTIONS_MAX;

/// Fewest connections of HTTP clients that are shared out between owners. With fewer, the share of
/// an owner would be too small to be useful.
pub const HTTP_SERVER_CONNECTIONS_SHARED_MIN: usize = 4;

/// Connections that all guests together have accepted by listeners of their own, at most; as many
/// as of HTTP servers, and fewer likewise. Those of one owner have at most three quarters of what
/// others leave; a further one is closed as it comes.
pub const ACCEPTED_CONNECTIONS_MAX: u64 = HTTP_SERVER_CONNECTIONS_ALL_MAX as u64;

/// Sockets that all guests together have opened themselves, at most: connections, those of HTTP
/// among them, UDP sockets and listeners; fewer where the system lets the process open few files.
/// Those of one owner have at most three quarters of what others leave; a further one is told as a
/// far side that is not reached, and tried again. As many as 256 instances may have.
pub const OPENED_SOCKETS_MAX: u64 = 16_384;

/// How long a client may bring nothing whole before another one of its own address may have its
/// place, where there is none left.
pub const HTTP_SERVER_PATIENCE: Duration = Duration::from_secs(2);

/// Requests to one HTTP server of a route that have come whole and have no answer; further ones are
/// answered with 503.
pub const HTTP_SERVER_REQUESTS_MAX: usize = 64;

/// Requests that an instance of a route may have taken and not dropped, all its HTTP servers
/// together: those of two servers.
pub const HTTP_RESPONDERS_MAX: u32 = 128;

/// Bytes of the bodies of requests to one HTTP server of a route that the guest has not taken, and
/// as many of answers that are being sent: as of requests to others.
pub const HTTP_SERVER_BYTES_MAX: usize = HTTP_REQUEST_BYTES_MAX;

/// Bytes of the bodies of requests to the HTTP servers of all routes together, and as many of
/// answers that are being sent: as of four servers. Those of one owner's are at most three quarters
/// of what others leave.
pub const HTTP_SERVER_BYTES_ALL_MAX: usize = 4 * HTTP_SERVER_BYTES_MAX;

/// How long a client may take to say the head of a request, and to begin with the next one.
pub const HTTP_SERVER_HEAD_TIME: Duration = Duration::from_secs(30);

/// How long the body of a request may take to come; then it is answered with 408.
pub const HTTP_SERVER_BODY_TIME: Duration = Duration::from_secs(30);

/// How long a client may take no byte of an answer before its connection is closed.
pub const HTTP_SERVER_SEND_TIME: Duration = Duration::from_secs(30);

/// How long a TLS handshake of a client may take.
pub const HTTP_SERVER_HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long a server that has ended goes on with answers: what waited is told 503.
pub const HTTP_SERVER_GRACE: Duration = Duration::from_secs(1);

/// Signals that an instance of a route may have: as many as connections, sockets and listeners.
pub const SIGNALS_MAX: u32 = 64;

/// Serial devices that are being opened at once, of all guests: each takes a thread until its
/// driver has answered.
pub const SERIAL_OPENINGS_MAX: usize = 8;

/// Bytes of one read or write of a serial port: as many as the kernel keeps of a line.
pub const SERIAL_TRANSFER_BYTES_MAX: usize = 4096;

/// Retained messages that a route reads at once.
pub const RETAINED_PAGE_MESSAGES_MAX: usize = 64;

/// Bytes of their topics, properties and payloads beyond which no further one is read at once.
pub const RETAINED_PAGE_BYTES: usize = 256 * 1024;

/// Topics that a definition may list at once: as many as a loop of LoT goes through in a tenth of
/// its passes.
pub const LISTED_TOPICS_MAX: usize = 10_000;

/// Bytes of their names.
pub const LISTED_TOPICS_BYTES_MAX: usize = 1024 * 1024;
