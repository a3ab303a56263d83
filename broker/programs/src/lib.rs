//! Guests of a tenant: deployed definitions, joined with what runs them.
//!
//! The registry of `definitions` knows what starts what; `host` runs it. Here a deployed definition
//! gets its runner, messages find their triggers, and what a run wrote goes back into a turn.
//!
//! Invariants: a definition is never in the registry without a runner while routes can see it;
//! replacing one keeps its runner and so its mailbox, so that no event is lost. Lock order:
//! `registry`, then `runners`. Not here: commands and the `$SYS` tree (`server`), which definitions
//! a message triggers (`definitions`), the data path (`core`), sandboxes (`host`).
//!
//! Further invariants, with the tests that guard them:
//!
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
//! - No trace, error or reply about a run holds a secret. A masked value does not show the rest of
//!   a secret. Tests `no_trace_error_or_reply_holds_a_secret`,
//!   `values_are_masked_as_they_are_and_as_in_json`, `masking_is_no_oracle`.
//! - The broker performs the writes of a run for the account that deployed the writing code, or not
//!   at all (`authority.rs`). Tests
//!   `output_of_a_removed_callee_is_dropped`,
//!   `output_from_before_a_change_of_owner_is_dropped`,
//!   `output_for_a_removed_user_is_dropped_even_after_name_reuse`.
//! - A definition reads, is triggered by, writes and calls only what the rules allow its owner
//!   (`rights.rs`). Tests `topics_are_read_as_far_as_the_owner_may`,
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
//!   (`routes/memory_buffer.rs`), otherwise from the store. Memory does not grow with the
//!   outbox. Tests `messages_on_disk_are_read_once_and_in_order`,
//!   `nothing_is_read_beyond_a_batch_that_is_not_on_the_disk`,
//!   `stored_messages_are_read_once_in_slices`,
//!   `a_long_backlog_is_on_the_disk_and_comes_in_order`.
//! - A full outbox delays publishers of messages with a promise and sheds other messages. Test
//!   `a_full_outbox_makes_publishers_wait_and_sheds_what_promises_nothing`.
//! - A message that a route gives up becomes a dead letter in the commit that removes it from the
//!   outbox (`dead_letter_queue.rs`). The queue of dead letters is bounded. A dead letter
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

pub(crate) mod asked_grants;
pub mod asset_names;
pub mod auth_modules;
pub mod authority;
mod broker_hooks;
pub(crate) mod code_account;
pub mod cold_start;
pub mod compile;
pub mod compile_places;
pub mod compile_workers;
pub mod dead_letter_queue;
mod durable_triggers;
#[doc(hidden)]
pub mod effects;
mod event_queue;
mod events;
mod fibers;
mod firing;
pub mod grant_intersection;
pub mod granting;
mod guest_id;
pub mod hosting;
mod ingest;
#[doc(hidden)]
pub mod inline_budget;
pub mod install;
pub mod interrupted_runs;
pub mod json;
pub mod kept_claims;
pub mod kept_errors;
pub mod late_code;
pub mod limits;
mod locked_secrets;
mod message_qos;
pub(crate) mod metrics;
mod models;
pub mod named_modules;
mod outbox_entry;
pub mod outboxes;
mod outgoing;
mod owner_groups;
#[doc(hidden)]
pub mod pending_triggers;
pub mod policies;
pub(crate) mod policy_enforcement;
mod programs;
pub mod recorder;
#[doc(hidden)]
pub mod records;
pub mod refused_routes;
#[doc(hidden)]
pub mod relay;
#[doc(hidden)]
pub mod relaying;
#[doc(hidden)]
pub mod restore;
pub(crate) mod rights;
pub mod round_robin;
pub mod route_drivers;
pub mod route_modules;
pub mod route_orders;
pub mod route_types;
pub mod routes;
pub mod rules;
#[doc(hidden)]
pub mod run;
mod run_action;
pub mod scripts;
pub mod seeds;
mod services;
mod silences;
mod sink;
pub mod skipping;
mod states;
pub mod trigger_lint;
pub mod variables;
pub mod views;
mod windows;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hashbrown::HashMap;
use lotmq_changes::SessionId;
use lotmq_codec::QoS;
use lotmq_config::Authority;
use lotmq_definitions::{
    Caching, Definition, DefinitionId, LastValues, Now, Registry, RegistryOptions, WindowWatch,
};
use lotmq_host::{self as host, OwnedClient, OwnedEvent};
use parking_lot::RwLock;
use tracing::debug;

pub use broker_hooks::{GuestBrokerHooks, GuestCommand};
pub use compile::{CompiledDefinition, CompiledProgram, DeployError, ExecutorCode};
pub use events::ThreadGuests;
pub use hosting::Hosting;
pub use install::{install, install_script, row};
pub use pending_triggers::hand_to_route;
pub use programs::{HasPrograms, Programs};
pub use records::note_not_followed;
pub use restore::{
    KEPT_PER_GROUP, apply_definition, definitions, hand_over_kept, install_stored, remove_applied,
    run_starts, save_all_kept, save_kept,
};
pub use run_action::{RunActionError, RunReport, RunRequest};
pub use silences::{keep_silences, run_silences};
pub use sink::GuestSink;
pub use windows::{keep_windows, run_windows};

use lotmq_core::connection::Connection;
use lotmq_core::message::Message;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::turn::Turn;
use lotmq_core::turn::internal;
use recorder::RunRecorder;
use relay::RelaysInUse;
use routes::RouteRunner;
use run_action::Waiting;

/// Guests of one tenant.
pub struct Guests {
    /// Deployed definitions.
    pub registry: RwLock<Registry>,
    /// Last values of topics.
    pub values: Arc<LastValues>,
    /// Topics with the state of definitions.
    pub states: states::States,
    /// Last errors of definitions, which outlive the broker.
    pub kept_errors: kept_errors::KeptErrors,
    /// Counters and gauges of definitions.
    pub metrics: metrics::GuestMetrics,
    /// Lock for handing kept values to the store, with the topics of states that a batch removes
    /// which is not there yet.
    saving: parking_lot::Mutex<Vec<String>>,
    /// Mode that says on whose behalf definitions act.
    pub(crate) authority: Authority,
    runners: RwLock<HashMap<DefinitionId, Arc<host::Runner>>>,
    routes: RwLock<HashMap<DefinitionId, Arc<RouteRunner>>>,
    /// Standing orders for routes.
    pub route_orders: route_orders::RouteOrders,
    /// Modules that routes run.
    pub route_modules: route_modules::RouteModules,
    /// Modules that decide what others may.
    pub deciding_modules: DecidingModules,
    /// Definitions whose error record changed since it was last published, with the hops of what
    /// led to it.
    pub(crate) changed_errors: parking_lot::Mutex<Vec<(Arc<Definition>, u8)>>,
    /// Lines that definitions log or print.
    pub lines: records::DefinitionLines,
    #[doc(hidden)]
    pub waiting: Waiting,
    idle_rules: rules::IdleRules,
    /// Session in whose queue promised messages are kept, with `lot.durable_triggers`.
    promised: OnceLock<SessionId>,
    /// Outboxes that a former run of the broker has left, until their routes are there.
    left_outboxes: routes::outbox::LeftOutboxes,
    /// Told of what definitions do, where somebody wants to know.
    pub recorder: OnceLock<Arc<dyn RunRecorder>>,
    /// Management above the guests; known from the start of the broker on.
    pub broker_hooks: OnceLock<Weak<dyn GuestBrokerHooks>>,
}

/// Modules that decide what others may.
#[derive(Default)]
pub struct DecidingModules {
    /// Modules that rules ask.
    pub rules: rules::RuleModules,
    /// Modules that login chains ask.
    pub logins: auth_modules::AuthModules,
}

/// Definition that a message starts, with its runner.
pub struct TriggeredDefinition {
    /// The definition.
    pub definition: Arc<Definition>,
    /// Runner of the definition.
    pub starts: Starts,
    /// Whether its facts promise that it is short: no loop, no call, no wait.
    pub(crate) is_bounded: bool,
    /// Whether only messages of Clients start it: a model that splits JSON.
    pub(crate) is_for_clients: bool,
    /// Its windows, which are handed the messages instead of it.
    pub(crate) window: Option<Arc<WindowWatch>>,
    /// Relay of its owner; `None` of what the rules are not asked about, for which all may have to
    /// wait.
    relay: Option<Arc<relay::OwnerRelay>>,
}

/// Runner of a definition that a message starts.
#[derive(Clone)]
pub enum Starts {
    /// Runner of a program or module.
    Guest(Arc<host::Runner>),
    /// Runner of a route.
    Route(Arc<RouteRunner>),
}

impl Guests {
    /// Returns the guests of a tenant that has none yet.
    pub fn new(options: RegistryOptions, authority: Authority) -> Self {
        let registry = Registry::new(options);
        Self {
            values: Arc::clone(registry.values()),
            metrics: metrics::GuestMetrics::default(),
            saving: parking_lot::Mutex::default(),
            authority,
            registry: RwLock::new(registry),
            runners: RwLock::new(HashMap::new()),
            routes: RwLock::new(HashMap::new()),
            route_orders: route_orders::RouteOrders::default(),
            route_modules: route_modules::RouteModules::default(),
            deciding_modules: DecidingModules::default(),
            changed_errors: parking_lot::Mutex::default(),
            lines: records::DefinitionLines::default(),
            waiting: Waiting::default(),
            idle_rules: rules::IdleRules::default(),
            states: states::States::default(),
            kept_errors: kept_errors::KeptErrors::default(),
            promised: OnceLock::new(),
            left_outboxes: routes::outbox::LeftOutboxes::default(),
            recorder: OnceLock::new(),
            broker_hooks: OnceLock::new(),
        }
    }

    /// Returns the definitions that messages on `topic` start, permitted or not; see `events`.
    pub(crate) fn triggers(
        &self,
        topic: &str,
        relays: &parking_lot::Mutex<RelaysInUse>,
    ) -> Box<[Arc<TriggeredDefinition>]> {
        let mut found = Vec::new();
        let registry = self.registry.read();
        registry.matches(topic, &mut found);
        let (runners, routes) = (self.runners.read(), self.routes.read());
        found
            .into_iter()
            .filter_map(|definition| {
                let starts = match runners.get(&definition.id) {
                    Some(runner) => Starts::Guest(Arc::clone(runner)),
                    None => Starts::Route(Arc::clone(routes.get(&definition.id)?)),
                };
                let is_bounded = definition.facts().bounded && !definition.facts().effects.suspend;
                let is_for_clients = definition.only_receives(topic);
                let window = registry.window(definition.id).map(Arc::clone);
                let relay = match &starts {
                    Starts::Guest(runner) if rights::is_asked(self.authority, definition.owner()) => {
                        Some(relays.lock().of(definition.quota_key(), runner))
                    }
                    Starts::Guest(_) | Starts::Route(_) => None,
                };
                Some(Arc::new(TriggeredDefinition {
                    definition,
                    starts,
                    is_bounded,
                    is_for_clients,
                    window,
                    relay,
                }))
            })
            .collect()
    }

    /// Returns the effect of a message on `topic` on the last values.
    pub(crate) fn caching(&self, topic: &str) -> Caching {
        self.registry.read().caching(topic)
    }

    /// Remembers a message where something reads its topic.
    pub(crate) fn remember(&self, caching: Caching, message: &Message) {
        let parts = message.parts();
        let is_retained_delete = parts.retain && parts.payload.is_empty();
        match caching {
            Caching::Skip => {}
            Caching::Store if !is_retained_delete => self.values.publish(parts.topic, parts.payload),
            Caching::Store | Caching::Clear => self.values.clear(parts.topic),
        }
    }

    /// Returns the runner of a definition; `None` for a route and for a definition that is gone.
    pub fn runner(&self, id: DefinitionId) -> Option<Arc<host::Runner>> {
        self.runners.read().get(&id).cloned()
    }

    /// Figures of the runs of each definition that has a runner, in the order in which they were
    /// deployed.
    pub fn run_figures(&self) -> Vec<(Arc<Definition>, host::RunnerMetrics)> {
        let registry = self.registry.read();
        let runners = self.runners.read();
        let mut all: Vec<_> = runners
            .iter()
            .filter_map(|(id, runner)| Some((Arc::clone(registry.by_id(*id)?), Arc::clone(runner))))
            .collect();
        drop((runners, registry));
        all.sort_unstable_by_key(|(definition, _)| definition.order);
        all.into_iter().map(|(definition, runner)| (definition, runner.metrics())).collect()
    }

    /// How many definitions are deployed.
    pub fn definitions(&self) -> usize {
        self.runners.read().len() + self.routes.read().len()
    }

    /// Whether something of definitions needs the rounds of the housekeeper, however quiet the
    /// broker is: silences, windows, kept values that are not stored yet, lines that were too many.
    pub fn needs_rounds(&self) -> bool {
        let registry = self.registry.read();
        self.values.has_unsaved()
            || !self.lines.flooded.lock().is_empty()
            || registry.all_windows().next().is_some()
            || registry.all_silence_watches().next().is_some()
    }

    /// Whether anything is deployed.
    pub fn has_runners(&self) -> bool {
        !self.runners.read().is_empty() || !self.routes.read().is_empty()
    }

    /// Starts definitions with an event that is not a message.
    pub fn post(&self, definitions: &[Arc<Definition>], event: &OwnedEvent) {
        for definition in definitions {
            let Some(runner) = self.runner(definition.id) else { continue };
            if let Err(error) = runner.post(event.clone(), 0, 0) {
                debug!(definition = &**definition.name(), %error, "event not taken");
            }
        }
    }

    /// Starts what waits for a Client that was accepted.
    pub fn connected(&self, client: &Client) {
        let registry = self.registry.read();
        if registry.hooks().connect().is_empty() {
            return;
        }
        self.post(registry.hooks().connect(), &OwnedEvent::Connected(about(client)));
    }

    /// Starts what waits for a Client that went away.
    pub fn disconnected(&self, client: &Client, connection: &Connection, reason: &CloseReason) {
        let registry = self.registry.read();
        if registry.hooks().disconnect().is_empty() {
            return;
        }
        let mut about = OwnedClient::clone(&about(client));
        about.endpoint = connection.peer().to_string().into();
        let event = OwnedEvent::Disconnected { client: Arc::new(about), reason: reason.word().into() };
        self.post(registry.hooks().disconnect(), &event);
    }

    /// Starts what waits for a granted subscription.
    pub fn subscribed(&self, client: &Client, filter: &str, qos: QoS) {
        let registry = self.registry.read();
        if !registry.hooks().has_subscribe() {
            return;
        }
        let event = OwnedEvent::Subscribed { client: about(client), filter: filter.into(), qos: qos.bits() };
        let definitions: Vec<_> = registry.hooks().subscribe(filter).cloned().collect();
        self.post(&definitions, &event);
    }

    /// Starts the timers that are due but those of silence: how many, and how long until the next
    /// one of all.
    pub fn run_timers(&self, now: Now) -> (usize, Option<Duration>) {
        let mut due = Vec::new();
        let wait = {
            let mut registry = self.registry.write();
            registry.due(now, &mut due);
            registry.next_timeout(now)
        };
        let started = due.len();
        for definition in &due {
            // A tick that comes while the last one is still waiting is skipped, not queued
            // (language reference §7.3).
            if definition.activity.claim_tick() {
                self.post(std::slice::from_ref(definition), &OwnedEvent::Timer);
            }
        }
        (started, wait)
    }
}

/// Whether [`publish_errors`] has anything to publish.
pub fn has_errors(tenant: &Tenant) -> bool {
    let programs = tenant.programs();
    let guests = &programs.guests;
    !guests.changed_errors.lock().is_empty()
        || !guests.lines.heard.lock().is_empty()
        || programs.scripts.has_debug()
}

/// Publishes the error records that changed since the last call, what scripts and modules of rules
/// had to tell, and how many lines were too many.
pub fn publish_errors(turn: &mut Turn, tenant: &Arc<Tenant>) {
    for (script, text) in tenant.programs().scripts.take_debug() {
        let topic = format!("$SYS/Coreflux/Python/{script}/debug");
        let text = tenant.programs().variables.masked_printed(&text);
        internal::publish_after(turn, tenant, &topic, text.as_bytes(), false, 0);
    }
    let lines = std::mem::take(&mut *tenant.programs().guests.lines.heard.lock());
    lines.iter().for_each(|line| records::publish_line(turn, tenant, line));
    records::tell_suppressed(turn, tenant);
    let changed = std::mem::take(&mut *tenant.programs().guests.changed_errors.lock());
    for (definition, hops) in changed {
        records::refused(turn, &definition);
        // The topic is that of the version which has the name by now.
        let now = tenant.programs().guests.registry.read().by_id(definition.id).cloned();
        if !now.is_some_and(|now| Arc::ptr_eq(&now, &definition)) {
            continue;
        }
        tenant.programs().guests.kept_errors.note(&definition);
        let topic = format!("{}/Error", definition.sys_topic());
        for record in definition.activity.take_untold() {
            internal::publish_after(turn, tenant, &topic, record.to_json().as_bytes(), true, hops);
        }
    }
}

/// A Client as guests see it.
fn about(client: &Client) -> Arc<OwnedClient> {
    let state = client.state.lock();
    Arc::new(OwnedClient {
        client_id: client.client_id.as_ref().into(),
        user: state.identity.user_name().map(Into::into),
        endpoint: state
            .link
            .as_ref()
            .map_or_else(Box::default, |link| link.connection.peer().to_string().into()),
        clean_start: state.clean_start,
    })
}
