//! Guests of a tenant: deployed definitions, joined with what runs them.
//!
//! The registry of `definitions` knows what starts what; `host` runs it. Here a deployed definition
//! gets its runner, messages find their triggers, and what a run wrote goes back into a turn.
//!
//! Invariants: a definition is never in the registry without a runner while routes can see it;
//! replacing one keeps its runner and so its mailbox, so that no event is lost. Lock order:
//! `registry`, then `runners`.

pub(crate) mod asked_grants;
pub(crate) mod asset_names;
pub(crate) mod auth_modules;
pub(crate) mod authority;
mod broker_hooks;
pub(crate) mod code_account;
pub(crate) mod cold_start;
pub(crate) mod compile;
pub(crate) mod compile_places;
pub(crate) mod compile_workers;
pub(crate) mod dead_letter_queue;
pub(crate) mod delivery_denials;
mod durable_triggers;
mod effects;
mod event_queue;
mod events;
mod fibers;
mod firing;
pub(crate) mod grant_intersection;
pub(crate) mod granting;
mod guest_id;
pub(crate) mod hosting;
mod ingest;
mod inline_budget;
mod install;
pub(crate) mod interrupted_runs;
pub(crate) mod json;
pub(crate) mod kept_claims;
pub(crate) mod kept_errors;
pub(crate) mod late_code;
pub(crate) mod limits;
mod locked_secrets;
mod message_qos;
pub(crate) mod metrics;
mod models;
pub(crate) mod named_modules;
mod outbox_entry;
pub(crate) mod outboxes;
mod outgoing;
mod owner_groups;
mod pending_triggers;
pub(crate) mod policies;
pub(crate) mod policy_enforcement;
mod programs;
pub(crate) mod recorder;
mod records;
pub(crate) mod refused_routes;
mod relay;
mod relaying;
mod restore;
pub(crate) mod rights;
pub(crate) mod round_robin;
pub(crate) mod route_drivers;
pub(crate) mod route_modules;
pub(crate) mod route_orders;
pub(crate) mod route_types;
pub(crate) mod routes;
pub(crate) mod rules;
mod run;
mod run_action;
pub(crate) mod scripts;
pub(crate) mod seeds;
mod services;
mod silences;
mod sink;
pub(crate) mod skipping;
mod states;
pub(crate) mod trigger_lint;
pub(crate) mod variables;
pub(crate) mod views;
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

pub(crate) use broker_hooks::{GuestBrokerHooks, GuestCommand};
pub(crate) use compile::{CompiledDefinition, CompiledProgram, DeployError, ExecutorCode};
pub(crate) use events::ThreadGuests;
pub(crate) use hosting::Hosting;
pub(crate) use install::{install, install_script, row};
pub(crate) use pending_triggers::hand_to_route;
pub(crate) use programs::{HasPrograms, Programs};
pub(crate) use records::note_not_followed;
pub(crate) use restore::{
    KEPT_PER_GROUP, apply_definition, definitions, hand_over_kept, install_stored, remove_applied,
    run_starts, save_all_kept, save_kept,
};
pub(crate) use run_action::{RunActionError, RunReport, RunRequest};
pub(crate) use silences::{keep_silences, run_silences};
pub(crate) use sink::GuestSink;
pub(crate) use windows::{keep_windows, run_windows};

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

#[cfg(test)]
mod tests;

/// Guests of one tenant.
pub(crate) struct Guests {
    pub(crate) registry: RwLock<Registry>,
    pub(crate) values: Arc<LastValues>,
    pub(crate) states: states::States,
    pub(crate) kept_errors: kept_errors::KeptErrors,
    pub(crate) metrics: metrics::GuestMetrics,
    /// Lock for handing kept values to the store, with the topics of states that a batch removes
    /// which is not there yet.
    saving: parking_lot::Mutex<Vec<String>>,
    /// Mode that says on whose behalf definitions act.
    pub(crate) authority: Authority,
    runners: RwLock<HashMap<DefinitionId, Arc<host::Runner>>>,
    routes: RwLock<HashMap<DefinitionId, Arc<RouteRunner>>>,
    /// Standing orders for routes.
    pub(crate) route_orders: route_orders::RouteOrders,
    /// Modules that routes run.
    pub(crate) route_modules: route_modules::RouteModules,
    /// Modules that rules ask.
    pub(crate) rule_modules: rules::RuleModules,
    /// Definitions whose error record changed since it was last published, with the hops of what
    /// led to it.
    pub(crate) changed_errors: parking_lot::Mutex<Vec<(Arc<Definition>, u8)>>,
    pub(crate) lines: records::DefinitionLines,
    waiting: Waiting,
    idle_rules: rules::IdleRules,
    /// Session in whose queue promised messages are kept, with `lot.durable_triggers`.
    promised: OnceLock<SessionId>,
    /// Outboxes that a former run of the broker has left, until their routes are there.
    left_outboxes: routes::outbox::LeftOutboxes,
    /// Told of what definitions do, where somebody wants to know.
    pub(crate) recorder: OnceLock<Arc<dyn RunRecorder>>,
    /// Management above the guests; known from the start of the broker on.
    pub(crate) broker_hooks: OnceLock<Weak<dyn GuestBrokerHooks>>,
}

/// Definition that a message starts, with its runner.
pub(crate) struct TriggeredDefinition {
    pub(crate) definition: Arc<Definition>,
    pub(crate) starts: Starts,
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
pub(crate) enum Starts {
    Guest(Arc<host::Runner>),
    Route(Arc<RouteRunner>),
}

impl Guests {
    pub(crate) fn new(options: RegistryOptions, authority: Authority) -> Self {
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
            rule_modules: rules::RuleModules::default(),
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

    pub(crate) fn runner(&self, id: DefinitionId) -> Option<Arc<host::Runner>> {
        self.runners.read().get(&id).cloned()
    }

    /// Figures of the runs of each definition that has a runner, in the order in which they were
    /// deployed.
    pub(crate) fn run_figures(&self) -> Vec<(Arc<Definition>, host::RunnerMetrics)> {
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
    pub(crate) fn definitions(&self) -> usize {
        self.runners.read().len() + self.routes.read().len()
    }

    /// Whether something of definitions needs the rounds of the housekeeper, however quiet the
    /// broker is: silences, windows, kept values that are not stored yet, lines that were too many.
    pub(crate) fn needs_rounds(&self) -> bool {
        let registry = self.registry.read();
        self.values.has_unsaved()
            || !self.lines.flooded.lock().is_empty()
            || registry.all_windows().next().is_some()
            || registry.all_silence_watches().next().is_some()
    }

    /// Whether anything is deployed.
    pub(crate) fn has_runners(&self) -> bool {
        !self.runners.read().is_empty() || !self.routes.read().is_empty()
    }

    /// Starts definitions with an event that is not a message.
    pub(crate) fn post(&self, definitions: &[Arc<Definition>], event: &OwnedEvent) {
        for definition in definitions {
            let Some(runner) = self.runner(definition.id) else { continue };
            if let Err(error) = runner.post(event.clone(), 0, 0) {
                debug!(definition = &**definition.name(), %error, "event not taken");
            }
        }
    }

    /// Starts what waits for a Client that was accepted.
    pub(crate) fn connected(&self, client: &Client) {
        let registry = self.registry.read();
        if registry.hooks().connect().is_empty() {
            return;
        }
        self.post(registry.hooks().connect(), &OwnedEvent::Connected(about(client)));
    }

    /// Starts what waits for a Client that went away.
    pub(crate) fn disconnected(&self, client: &Client, connection: &Connection, reason: &CloseReason) {
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
    pub(crate) fn subscribed(&self, client: &Client, filter: &str, qos: QoS) {
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
    pub(crate) fn run_timers(&self, now: Now) -> (usize, Option<Duration>) {
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
pub(crate) fn has_errors(tenant: &Tenant) -> bool {
    let programs = tenant.programs();
    let guests = &programs.guests;
    !guests.changed_errors.lock().is_empty()
        || !guests.lines.heard.lock().is_empty()
        || programs.scripts.has_debug()
}

/// Publishes the error records that changed since the last call, what scripts and modules of rules
/// had to tell, and how many lines were too many.
pub(crate) fn publish_errors(turn: &mut Turn, tenant: &Arc<Tenant>) {
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
