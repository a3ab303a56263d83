//! The broker itself: guests, commands, the `$SYS` tree, start and stop.
//!
//! ```text
//! server (start, stop) ─▶ management (commands, $SYS tree)
//!     ─▶ lotmq_net (sockets), guests (programs) ─▶ lotmq_process (clocks, threads)
//! ```
//!
//! On the path of a message: `lotmq_net` reads it into a turn and hands it to `lotmq_core`. The
//! core decides its effect and its receivers, and writes it through `lotmq_net`. [`guests`] start
//! the definitions that it triggers, and [`management`] takes messages for the broker itself. Start
//! with [`Server`].
//!
//! Invariants: none of these trees knows one to its left; no lock is held across an await; tasks
//! are spawned here and in `host` only. Not here: the data path (`core`), permanence (`store`),
//! sandboxes (`host`).
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
//! - Runs do not fill the queue of the store. Test
//!   `variables_kept_by_runs_do_not_fill_the_store_queue`.
//! - With `lot.durable_triggers`, the effects of the runs reach the store before their message
//!   leaves it. The next start repeats interrupted runs, also while it still compiles their target.
//!   Tests `a_message_whose_runs_a_kill_interrupts_starts_them_again`,
//!   `a_message_whose_runs_a_stop_interrupts_starts_them_again`,
//!   `kill_during_compilation_loses_no_durable_run_and_stop_is_not_delayed`.
//! - The cost of a user's definitions for others does not grow with their number. Each definition
//!   still gets its messages in order. Tests
//!   `cost_for_other_publishers_is_independent_of_the_number_of_definitions`,
//!   `each_owner_has_as_many_turns_however_many_tasks_others_have`,
//!   `the_routes_of_one_user_do_not_hold_up_those_of_another`,
//!   `nobodys_files_keep_those_of_others_waiting`,
//!   `messages_of_other_publishers_reach_each_definition_completely_and_in_order`.
//! - No audit record and no published log line holds a secret, a password or a payload. Answered
//!   commands are in the audit after `kill -9`. Tests `audit_records_every_command_and_no_secret`,
//!   `no_line_holds_a_secret_a_password_or_a_payload`,
//!   `answered_commands_survive_kill_9_in_an_intact_audit_chain`.
//! - Logins, denials and readers push out no audit record of an administrator. Removed records are
//!   noticed. Tests `neither_logins_nor_readers_push_out_what_administrators_did`,
//!   `newest_records_that_somebody_took_out_of_the_file_are_missed`.
//! - Data of a reply reaches only the sessions and definitions of the asking user. Tests
//!   `a_reply_is_for_who_asked_and_others_learn_verb_result_and_user`,
//!   `definitions_see_replies_to_their_owners_only`.
//! - No trace, error or reply about a run holds a secret. A masked value does not show the rest of
//!   a secret. Tests `no_trace_error_or_reply_holds_a_secret`,
//!   `values_are_masked_as_they_are_and_as_in_json`, `masking_is_no_oracle`.
//! - A log line costs nothing without a reader, and causes no other line. Tests
//!   `only_what_is_wanted_is_heard`, `lines_beget_no_lines`.
//! - The broker performs the writes of a run for the account that deployed the writing code, or not
//!   at all (`guests/authority.rs`). Tests
//!   `output_of_a_removed_callee_is_dropped`,
//!   `output_from_before_a_change_of_owner_is_dropped`,
//!   `output_for_a_removed_user_is_dropped_even_after_name_reuse`.
//! - A definition reads, is triggered by, writes and calls only what the rules allow its owner
//!   (`guests/rights.rs`). Tests `topics_are_read_as_far_as_the_owner_may`,
//!   `messages_start_what_their_readers_have_deployed`,
//!   `messages_are_published_and_kept_as_far_as_the_owner_may`,
//!   `secrets_and_environment_are_by_grant_name_by_name`.
//! - A module may use only the grants of its command, whatever it asks for. Tests
//!   `a_module_has_what_it_was_granted_and_nothing_else`,
//!   `a_trigger_that_was_not_granted_starts_nothing`, `every_host_function_checks_its_grant`.
//! - A rule that fails denies. `root` passes whatever rules say. Tests
//!   `a_rule_that_traps_or_runs_on_denies_and_says_so`,
//!   `a_rule_that_cannot_be_restored_denies_what_it_was_about`, `nobody_locks_root_out`.
//! - A run that waits for rows delays only its own definition, whose order it keeps. Tests
//!   `runs_that_wait_for_rows_hold_up_nobody_else_and_keep_their_order`,
//!   `output_of_finished_runs_is_sent_before_a_run_waits`.
//! - A QoS 1 or 2 message of a route is acknowledged to its guest when it is stored. Tests
//!   `incoming_route_message_fails_until_the_disk_stores_it`,
//!   `kill_9_costs_nothing_of_what_was_done_for_a_route`.
//! - A route reaches only the endpoints in its settings, except the addresses that the operator
//!   refuses. The broker connects to the address that it checked. Tests
//!   `only_named_endpoints_can_be_dialled`,
//!   `a_guest_connects_to_places_that_an_endpoint_allows_and_no_others`,
//!   `addresses_that_the_operator_refuses_are_not_connected_to_whatever_leads_there`,
//!   `a_guest_listens_where_it_may_and_takes_connections`.
//! - A guest that polls or serves and the messages for it delay each other by one call at most.
//!   Test `a_guest_runs_and_takes_messages_by_turns_and_is_opened_again_when_the_other_side_ends`.
//! - The backlog of a route is bounded. A replacement or a panic of the driver loses no message.
//!   Tests `a_panic_of_the_driver_costs_no_message_and_keeps_the_order`,
//!   `message_forwarded_between_routes_is_kept_until_delivery`,
//!   `mailbox_has_room_until_the_message_that_fills_it`,
//!   `a_full_mailbox_refuses_what_arrives_and_counts_it`,
//!   `a_route_that_fails_keeps_what_waits_for_its_replacement`.
//! - An acknowledged message reaches the far side of its routes in the order of its publisher,
//!   whichever process is killed. A removed route leaves nothing to its successor. Tests
//!   `acknowledged_messages_are_delivered_in_order_and_once_after_kill_9`,
//!   `a_replaced_route_goes_on_with_what_waits_and_a_removed_one_leaves_nothing`.
//! - An outbox is read once, in the order of its numbers, and never beyond a batch that is not on
//!   the disk. If the route keeps up, its driver reads from memory
//!   (`guests/routes/memory_buffer.rs`), otherwise from the store. Memory does not grow with the
//!   outbox. Tests `messages_on_disk_are_read_once_and_in_order`,
//!   `nothing_is_read_beyond_a_batch_that_is_not_on_the_disk`,
//!   `stored_messages_are_read_once_in_slices`,
//!   `a_long_backlog_is_on_the_disk_and_comes_in_order`.
//! - A full outbox delays publishers of messages with a promise and sheds other messages. Test
//!   `a_full_outbox_makes_publishers_wait_and_sheds_what_promises_nothing`.
//! - A message that a route gives up becomes a dead letter in the commit that removes it from the
//!   outbox (`guests/dead_letter_queue.rs`). The queue of dead letters is bounded. A dead letter
//!   stays until a user decides about it, and leaves once. Tests
//!   `dead_letters_survive_a_kill_and_are_replayed_on_request`,
//!   `the_oldest_of_too_many_go_and_are_counted`,
//!   `a_removed_route_leaves_no_dead_letters_and_a_replaced_one_keeps_them`.
//! - A policy of an asset narrows and never widens. A stopped asset does nothing until it is
//!   started, whatever is killed. Messages for a stopped route are kept, in order. Tests
//!   `policies_narrow_and_never_widen`,
//!   `a_deployed_route_is_a_running_asset_and_what_waits_while_it_is_stopped_comes_in_order`,
//!   `topics_of_a_policy_bound_what_starts_an_asset_and_what_it_writes`,
//!   `restart_policy_never_keeps_a_failed_asset_down_until_run`.
//! - The broker checks a Will with the identity of the Client that set it. Tests
//!   `a_will_is_asked_for_when_its_session_is_taken_over`,
//!   `the_will_of_a_removed_user_is_discarded`.
//! - A waiting message is delivered only to Clients that may have it at that time. Test
//!   `queued_messages_are_authorised_again_on_delivery`.
//!
//! # Adding a command
//!
//! 1. Add a `static` of type `Verb` to a file of `management/command`: name, arguments, permission,
//!    effect on the store, summary and example for `-help`, and its function.
//! 2. Add a line to `GROUPS` in `management/command/mod.rs`. No other code knows the verb.
//! 3. New reply codes get a row in `table.rs` of crate `codes`.
//! 4. Add a row to `tests/verbs.rs`. `UPDATE=1` writes its usage errors into
//!    `tests/usage_errors.tsv`.
//!
//! # Adding a metric
//!
//! 1. A counter without labels is a row of `counters!` in `core/src/counters.rs`, with its help
//!    text. Any other metric is a row of `families!` in a file of `server/metrics`.
//! 2. Run `UPDATE=1 cargo test -p tidy`. It writes `docs/metrics.md` and the Grafana board.
//! 3. Alerts are rows of `metrics/documents/alerts.rs`. Counts for each message are in
//!    `core/src/figures.rs`, where each thread writes for itself. Other `$SYS` topics are in
//!    `management/sys/documents.rs`.
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
//! `hidden_secrets`). Commands are logged by verb. `management::logs::layer` collects the lines
//! that a connected Client is subscribed to, and the housekeeper publishes them. The audit records
//! commands, logins and denials in the store, chained and encrypted.

mod guests;
mod management;
mod server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use guests::json::value_of_json;
pub use guests::recorder::{Denial, Forwarded, LoginEvent, Published, Report};
pub use guests::route_modules::named as module_of_route;
pub use guests::route_types::runs_route_type;
pub use guests::seeds::is_seed;
pub use lotmq_core::limits::markdown as limits_markdown;
pub use lotmq_net::listening_socket::ListenAddress;
pub use lotmq_process::time_zone::LocalZone;
#[doc(hidden)]
pub use management::command::fuzz_command;
pub use management::command::{commands_markdown, takes_text, verb_names};
pub use management::logs::layer as log_topics;
pub use management::{backup, projects};
pub use server::in_process::{CommandReply, CommandUser, execute_command};
pub use server::metrics::documents as metrics_documents;
pub use server::offline_password::{PasswordChangeError, change_password};
pub use server::signals::{Signals, survive_file_size_limit};
pub use server::{ContentsError, apply_changes, stored_contents};
pub use server::{Server, StartError, embedded, preflight, warm};
