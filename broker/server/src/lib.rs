//! The broker itself: what assembles, starts, stops and restores it.
//!
//! ```text
//! lotmq_server (start, stop) ─▶ lotmq_operations (commands, $SYS tree)
//!     ─▶ lotmq_net (sockets), lotmq_programs (programs) ─▶ lotmq_process (clocks, threads)
//! ```
//!
//! On the path of a message: `lotmq_net` reads it into a turn and hands it to `lotmq_core`. The
//! core decides its effect and its receivers, and writes it through `lotmq_net`. `lotmq_programs`
//! starts the definitions that it triggers, and `lotmq_operations` takes messages for the broker
//! itself. Start with [`Server`].
//!
//! Invariants: none of these crates knows one to its left; no lock is held across an await; these
//! crates and `host` alone spawn tasks. Not here: the data path (`core`), permanence (`store`),
//! programs and routes (`programs`), commands (`operations`), sandboxes (`host`).
//!
//! Further invariants, with the tests that guard them:
//!
//! - No anonymous Client and no single user uses up the resources for sessions and programs of all.
//!   Administrators always get in. Tests `sessions_that_outlive_their_connections_are_bounded`,
//!   `filters_of_a_session_and_of_all_are_bounded_in_bytes`,
//!   `nobody_takes_up_what_may_be_stored_for_all`, `nobody_takes_up_what_may_be_retained_for_all`,
//!   `nobodys_programs_take_up_the_memory_of_all`,
//!   `nobodys_programs_take_up_all_that_a_tenant_keeps`,
//!   `last_errors_have_room_when_programs_keep_all_that_they_may`,
//!   `nobodys_definitions_have_all_counters_and_gauges_of_a_tenant`,
//!   `nobodys_guests_have_all_places_of_the_pool`,
//!   `compiled_code_of_one_user_leaves_memory_mappings_to_others`,
//!   `native_code_of_one_user_leaves_memory_to_others_and_equal_code_counts_once`,
//!   `scripts_that_compute_for_ever_let_those_of_others_run`,
//!   `nobodys_guests_accept_all_connections_that_there_may_be`,
//!   `a_user_who_is_no_administrator_leaves_some_to_others`,
//!   `health_and_administrators_find_descriptors_when_strangers_have_taken_theirs`.
//! - A change in force is in the queue of the store, or enters it before anything that depends on
//!   it. Otherwise the broker refuses the change. Commands, their audit records and route queues
//!   use `Store::append`, whatever the length of the queue. All other changes use `Store::offer`
//!   and wait while the queue is full. Tests `append_is_accepted_even_if_the_store_queue_is_full`,
//!   `user_removed_while_the_store_queue_is_full_stays_removed`,
//!   `queues_are_made_while_that_of_the_store_is_full`,
//!   `variables_kept_during_a_full_queue_stay_ordered_with_commands`,
//!   `value_rejected_by_the_store_is_saved_later`,
//!   `kept_value_flood_does_not_lose_acknowledged_changes_of_other_users`.
//! - The broker checks a Will with the identity of the Client that set it. Tests
//!   `a_will_is_asked_for_when_its_session_is_taken_over`,
//!   `the_will_of_a_removed_user_is_discarded`.
//! - A waiting message is delivered only to Clients that may have it at that time. Test
//!   `queued_messages_are_authorised_again_on_delivery`.
//!
//! # Adding a metric
//!
//! 1. A counter without labels is a row of `counters!` in `core/src/counters.rs`, with its help
//!    text. Any other metric is a row of `families!` in a file of `server/metrics`.
//! 2. Run `UPDATE=1 cargo test -p tidy`. It writes `docs/metrics.md` and the Grafana board.
//! 3. Alerts are rows of `metrics/documents/alerts.rs`. Counts for each message are in
//!    `core/src/figures.rs`, where each thread writes for itself. Other `$SYS` topics are in
//!    `sys/documents.rs` of crate `operations`.
//!
//! # Threads
//!
//! Any thread that routes has its own `Turn`. `server`, `host` and `store` start these threads and
//! join them when the broker stops, except for those marked "not joined".
//!
//! - Shards, one per core: connections, routing, short actions.
//! - Executor threads, one per core: all other guests.
//! - One store writer, one store reader.
//! - `COMMAND_THREADS` (13) command threads, and two for each module that a worker process
//!   compiles. A command that waits for work with files has one more for it (not joined while the
//!   disk hangs).
//! - One thread for files of cached native code (not joined while the disk hangs).
//! - One login thread (Argon2id), with a tenth of the processor time of another thread. Waiting
//!   logins take turns by address and user.
//! - Up to four route threads. Their tasks take turns by owner.
//! - One housekeeper: timers, sessions that expire, log lines that go to topics.
//! - One for QUIC, if a listener uses it.
//! - Up to two that compile after a cold start, and one that logs it (not joined while they
//!   compile).
//! - One for the `$SYS` figures, one for health and metrics, and one that hands the configuration
//!   to `lotmq store warm`.
//! - The ticker of the host, which runs only while guests do.
//!
//! Outside the broker, `cli` has a thread that writes waiting log lines. `lotmq lsp` has one that
//! reads the messages of the editor and one that follows a broker.
//!
//! # Bounds
//!
//! Each crate, and each tree of this one, has a `limits.rs` with its bounds, their units and
//! reasons. When a bound is reached:
//!
//! - Socket that takes no more: QoS 0 is dropped and counted, QoS 1 and 2 wait in the session.
//! - Queue of a session: `on_full` drops and counts the message for it, or refuses it.
//! - Store that lags behind: the batch is refused, and its publishers get an error.
//! - Inbox of a shard: the shard accepts no connections meanwhile. Threads without connections
//!   wait.
//! - Probes of routes: the asker waits.
//! - Guests in a turn: 4 ms, in which publishers take turns. Then the Clients that cause them wait.
//!   Guests of other users get a quarter of all time, then a relay of their owner, which sheds.
//! - Long work of Clients in a turn: 8 ms, then they wait for a share. After 24 turns the longest
//!   wait goes first.
//! - Mailbox: refuse or drop the oldest, per definition. Senders to a bounded mailbox wait.
//! - Outbox of a route: its publishers wait, or messages are shed and counted, by
//!   `OVERLOAD_POLICY`.
//! - Commands: refused with `busy`. Effects of a run: further writes are refused and recorded.
//!   Hops: 64.
//!
//! Code that accounts for shared resources:
//!
//! - `net/src/admission.rs` admits new connections.
//! - `core/src/limits/unfinished.rs` adds up the unfinished input of all connections.
//!   `net/src/inflated.rs` adds up the bytes that they expand beyond `inflate_ratio`.
//! - `shares.rs` of the core counts sessions and their bytes by owner.
//! - `host/src/memory.rs` counts the memory of guests and their places in the pool.
//!   `host/src/engine/code.rs` counts the mappings and the memory of compiled code.
//! - `core/src/limits/allocation.rs` reserves the memory for a large packet before it is handled.
//!
//! # Errors and observability
//!
//! Three kinds of errors never mix: the peer broke a rule (Reason Code), a bound was reached
//! (policy and counter), or the environment failed (retry or stop). A definition's own errors are
//! records at its `$SYS` topic, with the LoT line.
//!
//! Log lines are constant messages with fields (`tracing`). No log line and no metric holds a
//! payload, a password, a secret, or the text of a library's error about a secret (tests
//! `hidden_secrets`). Commands are logged by verb. `lotmq_operations::logs::layer` collects the
//! lines that a connected Client is subscribed to, and the housekeeper publishes them. The audit
//! records commands, logins and denials in the store, chained and encrypted.

mod server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use lotmq_core::limits::markdown as limits_markdown;
pub use lotmq_net::listening_socket::ListenAddress;
pub use lotmq_operations::command::{commands_markdown, is_read_only, takes_text, verb_names};
pub use lotmq_operations::logs::layer as log_topics;
pub use lotmq_operations::{backup, projects};
pub use lotmq_process::time_zone::LocalZone;
pub use lotmq_programs::json::value_of_json;
pub use lotmq_programs::recorder::{Denial, Forwarded, LoginEvent, Published, Report};
pub use lotmq_programs::route_modules::named as module_of_route;
pub use lotmq_programs::route_types::runs_route_type;
pub use lotmq_programs::seeds::is_seed;
pub use server::in_process::{CommandReply, CommandUser, ReplyData, execute_command};
pub use server::metrics::documents as metrics_documents;
pub use server::offline_password::{PasswordChangeError, change_password};
pub use server::signals::{Signals, survive_file_size_limit};
pub use server::{ContentsError, apply_changes, stored_contents};
pub use server::{Server, StartError, embedded, preflight, warm};
