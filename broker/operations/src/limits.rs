//! Bounds of commands, accounts, audit, log lines, projects, modules and backups: name, unit, and
//! why this number.

use lotmq_programs::limits::MODULE_WORKERS_MAX;

/// Longest sleep of threads that work by the clock while all shards rest and nothing is deployed.
pub const RESTING_PERIOD: std::time::Duration = std::time::Duration::from_secs(2);

/// Bytes of texts in the reply with a project's plan. It omits texts of further definitions.
pub(crate) const PLAN_TEXT_BYTES_MAX: usize = 256 * 1024;

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

/// Resting names of removed users of a tenant, some 100 bytes each. The oldest is free first.
pub(crate) const REMOVED_NAMES_MAX: usize = 10_000;

/// Resting names from which on only administrators remove users: others could free reserved names.
pub(crate) const REMOVED_NAMES_OF_OTHERS_MAX: usize = REMOVED_NAMES_MAX / 4 * 3;

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

/// Most bytes of a text in the manifest of a backup, which people read.
pub(crate) const BACKUP_TEXT_BYTES_MAX: usize = 128;

/// Most entries of a list in the manifest of a backup. The longest one names some 20 tables.
pub(crate) const BACKUP_LIST_MAX: usize = 64;

/// Unpacked bytes of a backup in a command. A packet holds 12 MiB, and stores shrink to a tenth.
pub(crate) const RESTORE_UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// Time after which a backup is dropped of which no further part comes.
pub(crate) const RESTORE_PART_PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Bytes of a store's file for each byte of its stream, at most.
pub(crate) const RESTORE_DISK_FACTOR: u64 = 3;

/// Bytes of a reply to a command: what the smallest default packet limit of Clients takes.
pub(crate) const REPLY_BYTES_MAX: usize = 8 << 20;

/// Command threads. One user has at most half, also of each kind of work, one tenant all but one.
pub const COMMAND_THREADS: usize = 13;

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

/// Uploads of [`LARGE_UPLOAD_BYTES`] or more at once. Others wait; smaller ones overtake them.
pub(crate) const LARGE_UPLOADS_MAX: usize = 3;

/// Bytes of a command from which on it is a large upload. Smaller ones compile within 0.1 s.
pub(crate) const LARGE_UPLOAD_BYTES: usize = 16 << 10;

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

/// Rows of a listing of the `$SYS` tree, and of a page of `-listClients`. Commands reference §5.
pub(crate) const LISTING_ROWS_MAX: usize = 1000;

/// Time without a sign of life of a command thread, after which the health is bad. Compiling may
/// take 1 min, and `-addPython` waits for Python.
pub const COMMAND_SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(300);

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
pub const MODULE_PART_BYTES: usize = 256 << 10;

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
pub const MODULE_UPLOADS_BYTES_MAX: usize = 256 << 20;

/// How long an upload waits for its next part. Commands reference §14.3.
pub const MODULE_UPLOAD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Time between two messages about the progress of an upload. Commands reference §14.3.
pub(crate) const MODULE_UPLOADS_REPORT_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Time between two messages which say that a module is being compiled.
pub(crate) const MODULE_COMPILE_REPORT_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Threads that compile modules, or wait for a worker that does. Commands wait for them on few
/// threads, so more than those are about to end.
pub(crate) const MODULE_COMPILES_MAX: usize = 64;

/// The same of one tenant.
pub(crate) const MODULE_COMPILES_PER_TENANT_MAX: usize = 48;

/// The same of one user.
pub const MODULE_COMPILES_PER_USER_MAX: usize = COMMAND_THREADS_COMPILING_MAX / 2;

/// Bytes of the manifest of a module: room for all that it may ask for, at some 256 bytes each.
pub(crate) const MANIFEST_BYTES_MAX: usize = 64 << 10;

/// Grants that a module may ask for, and that it may have.
pub(crate) const MODULE_GRANTS_MAX: usize = 256;

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

/// Dead letters that one command lists.
pub(crate) const DEAD_LETTERS_LISTED: usize = 100;

/// Bytes of them: topic, payload and what is kept beside them.
pub(crate) const DEAD_LETTERS_LISTED_BYTES: u64 = 256 << 10;
