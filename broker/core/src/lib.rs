//! Core of the broker: effects of packets, receivers of messages, lives of sessions, and
//! acknowledgement of durable changes.
//!
//! On the path of a message: [`owner`] reads it, [`protocol`] decodes its meaning, and [`routing`]
//! finds its receivers. [`turn`] collects that for all connections of a thread and hands it to the
//! store and to the [`Transport`](connection::Transport)s. [`durable`] answers when it is on the
//! disk, and [`client`] is the life of the sessions between. Start with [`Turn`](turn::Turn) and
//! [`Core`].
//!
//! Each of these knows those in front of it and none behind it: [`connection`], [`tenant`] with its
//! sessions, [`routing`], [`turn`], [`client`], [`protocol`], [`owner`].
//!
//! Invariants: nothing here opens a socket or a file, reads a clock, starts a thread or draws
//! random bits, except seeds of hash tables. Nothing allocates or copies per message and receiver
//! on the way from socket to socket. Values and traits give the core all that it needs:
//! [`Clock`](clock::Clock), [`Transport`](connection::Transport), [`BrokerHooks`],
//! [`TenantHooks`](tenant::triggers::TenantHooks),
//! [`GuestRunner`](turn::broker_hooks::GuestRunner). Not here: the meaning of bytes (`codec`),
//! flows of one session (`session`), matching (`router`), permanence (`store`), shards and sockets
//! (`net`), programs (`programs`), commands and the `$SYS` tree (`operations`).
//!
//! Further invariants, with the tests that guard them:
//!
//! - The data path does nothing in the order of a hash table. If a hash decides, the creator of the
//!   [`Core`] chooses that hash (`hashing.rs`). Tests `the_same_hashes_choose_the_same_aliases`,
//!   `those_are_saved_first_that_wait_for_longest`.
//! - No new message overtakes older messages of the same session. No retained message overtakes
//!   older ones on their way to it. Tests `nothing_new_overtakes_what_waits`,
//!   `packets_leave_in_the_order_in_which_they_were_sent`,
//!   `no_retained_message_comes_before_older_ones_that_are_under_way`,
//!   `no_retained_message_of_a_further_subscription_comes_before_older_ones`.
//! - Packets of a connection take effect before the next connection of the same Client gets the
//!   session. Tests `a_disconnect_counts_though_the_next_connection_is_seen_before_it`,
//!   `packets_on_the_old_connection_are_read_before_takeover`,
//!   `takeover_waits_for_the_old_connection_for_a_limited_time`,
//!   `immediate_reconnect_after_disconnect_publishes_no_will`.
//! - A packet that finds no memory ends its connection and not the broker. Test
//!   `a_packet_without_memory_for_it_ends_its_connection_and_nothing_else`.
//! - The memory of long queues is bounded. Their messages are neither lost nor doubled, and keep
//!   the order of each publisher. Tests
//!   `long_stored_queue_loses_no_message_and_keeps_the_order`,
//!   `a_queue_rests_in_the_store_and_comes_back_whole_in_order_and_once`,
//!   `kill_9_in_the_midst_of_a_drain_costs_no_message_and_no_order`.
//! - When the session of a shared subscriber ends, another member gets its undelivered messages
//!   once, even after a crash. Tests
//!   `members_of_a_group_leave_their_queue_to_others_after_a_restart_too`,
//!   `kill_9_while_a_queue_is_handed_on_costs_nothing_and_doubles_nothing`,
//!   `handed_over_messages_survive_kill_9`.
//! - No answer reports "nothing to do" before the state that it rests on is on the disk. Tests
//!   `a_second_unsubscribe_waits_for_the_first`,
//!   `a_second_removal_of_a_retained_message_waits_for_the_first`,
//!   `a_session_whose_end_is_on_its_way_to_the_disk_is_not_said_to_be_gone`.
//! - Changes of a session reach the store in the order in which they were made, from any thread.
//!   Tests `a_change_is_in_its_turn_until_that_is_handed_over_and_then_as_far_as_its_batch`,
//!   `session_takeover_waits_for_unflushed_changes_of_another_thread`.
//! - Memory for a Client that never reads is bounded, and other Clients do not notice it. A message
//!   that waits for many Clients is in memory once. Tests
//!   `a_client_that_never_reads_is_bounded_and_others_do_not_notice`,
//!   `of_the_largest_size_for_many_who_do_not_read`.
//! - A Client that writes more to the disk than its share delays nobody else. Test
//!   `flooding_user_does_not_block_writes_of_other_users`.
//! - No Client decides how long others on its shard wait. Long work goes on in later turns. Tests
//!   `the_end_of_a_member_of_many_groups`, `ten_thousand_filters_in_one_packet`,
//!   `filters_that_match_nothing`, `messages_with_many_receivers`, `a_topic_with_many_ways`,
//!   `for_thousands_who_do_not_read`, `of_publishers_who_leave`,
//!   `of_publishers_who_are_taken_over`, `of_definitions_and_wills`,
//!   `rules_about_many_members_of_a_group`, `rules_about_many_members_who_inherit`,
//!   `rules_about_many_receivers_of_what_a_definition_publishes`,
//!   `rules_about_many_receivers_of_wills`, `many_connections_flood_and_one_pings`,
//!   `many_begin_handshakes_and_one_pings`.
//! - Long work keeps the order of packets and messages. Tests `nothing_overtakes_a_long_packet`,
//!   `a_long_run_behind_short_ones_whose_receivers_are_asked_about`.
//! - A panic while the broker serves a Client ends only the connection of that Client. The broker
//!   notices a needed thread that has ended. Tests
//!   `a_panic_about_one_message_ends_one_connection_and_nothing_else`,
//!   `a_panic_in_reading_ends_one_connection_and_nothing_else`,
//!   `watchdog_records_only_tasks_that_ended_by_a_panic`.
//!
//! These hold by construction and are checked in review:
//!
//! - No lock is held across an `.await`. The states of two Clients are never locked at once.
//! - No span of the arena outlives its turn (`arena.rs`).
//! - Nothing below `$SYS` is written to the store, except the Will of another broker that is
//!   connected as a bridge, with its session.
//!
//! # Locks, time, tenants
//!
//! Lock order inside a tenant: `sessions`, then the state of one Client, then `index` or
//! `retained`. In the guests of the server: `registry`, then `runners`. `Commands::changes`
//! serialises changes of entities and accounts. Routes have no lock: the cache of each thread is
//! valid for one `generation` of the tenant.
//!
//! Protocol deadlines are `Time` (milliseconds, monotonic). Expiry and calendars use the wall
//! clock. All code below the core gets the time as an argument, so tests use virtual time. A shard
//! reads the clock once when it wakes. `tests/tidy/clocks.rs` lists all readers of clocks (test
//! `readers_of_clocks_are_named`). Expiry uses a clock that nobody can set and that continues
//! across restarts (`process/lifetimes.rs` of the server).
//!
//! A tenant is a field of everything: connection, session, topic tree, users, definitions,
//! variables, store keys. The listener of a connection decides its tenant. Today there is one,
//! `default`, number 0. Executors and commands serve tenants in turn.
//!
//! # Durability
//!
//! - Only these cause writes: a message for a session that outlives its connection, a retained
//!   message, a change of such a session or its subscriptions, commands, `KEEP` and the audit.
//! - A stored change of a session is marked with its turn (`durable/changes.rs`), so no other
//!   thread overtakes it.
//! - While the disk fails, the broker refuses such changes at once (`StoreFailure`). It stores the
//!   failed changes after the recovery (`store/src/trouble.rs`).
//! - `KEEP` is coalesced and written within 100 ms, without a promise.
//! - An acknowledgement waits for the ticket of its turn's batch (`turn/release.rs`). The thread of
//!   the store settles tickets in order. Only its ledger decides how (`store/src/outcomes.rs`).
//! - Runs of actions happen at most once across a crash, and at least once with
//!   `lot.durable_triggers`. A message that a run publishes is new and has its own promise.

pub mod arena;
pub mod client;
pub mod clock;
pub mod connection;
pub mod counter;
pub mod counters;
pub mod durable;
pub mod fault;
pub mod figures;
#[cfg(test)]
mod fixture;
mod hashing;
pub mod limits;
pub mod message;
pub mod owner;
pub mod protocol;
pub mod reason;
pub mod restore;
pub mod routing;
mod shared;
pub mod shares;
pub mod tenant;
pub mod turn;

pub use hashing::Hashing;
pub use shared::{Core, Entropy, Settings};
pub use turn::broker_hooks::BrokerHooks;
