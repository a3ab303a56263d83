//! Routes of a tenant, which connect the broker with other systems, each run by the guest of its type (routes reference).
//!
//! ```text
//! fan-out, TRIGGER, $SYS/…/Events/… ─▶ RouteRunner (mailbox, standing) ◀── thread "routes": Driver ─▶ RouteInstance
//!                      commands, status topic ◀──────┘                               └─▶ ingest: messages of the other system
//! ```
//!
//! Invariants: a mailbox is bounded; what the guest has not accepted is delivered again or counted as failed; a replaced route goes on with
//! what waits. Not here: what drives them ([`route_drivers`](super::route_drivers)); an outbox that survives a restart, dead letters: they come with the
//! connectors.

pub(super) mod batch;
pub(super) mod mailbox;
mod orders;
pub(super) mod questions;
mod rows;
pub(super) mod runner;
pub(super) mod standing;

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use lot_facts::Facts;
use lotmq_definitions::{Definition, DefinitionId, DefinitionKind, State};
use lotmq_host::limits::ROWS_WAIT;
use lotmq_host::{Lease, OwnedMessage, PostError, RowQuery, RowsError, RunError, Value};

pub(super) use orders::Order;
pub(crate) use orders::Routes;
pub(crate) use runner::{RouteCode, RouteRunner};

use super::Guests;
use super::route_modules::{self, ModuleFigures, RouteModule};
use crate::guests::HasPrograms as _;
use crate::limits::ROWS_BYTES_MAX;
use crate::process::clock::timestamp;
use lotmq_core::tenant::Tenant;
use mailbox::Addressee;
use runner::Version;

/// Prefix of the topics by which events of routes are fired: `$SYS/Coreflux/Routes/<route>/Events/<event>`.
const TOPIC_START: &str = "$SYS/Coreflux/Routes/";

/// Settings of every type that need an outbox, which does not exist yet.
const IGNORED_SETTINGS: [&str; 5] =
    ["BUFFER_MODE", "BUFFER_MAX_BYTES", "BUFFER_TTL_SEC", "OVERLOAD_POLICY", "OVERLOAD_TIMEOUT"];

/// Result of probing a route.
pub(crate) struct Probe {
    pub(crate) latency: Duration,
    /// Reason why the far side was not reached.
    pub(crate) refusal: Option<String>,
}

/// Message for a route that waits until the turn's messages have been delivered: its consequences must not be with their receivers before
/// what caused it is.
pub(crate) struct ForRoute {
    route: Arc<RouteRunner>,
    to: Addressee,
    message: OwnedMessage,
    hops: u8,
}

/// Message that the mailbox of its route did not take.
pub(super) struct NotPosted {
    /// The route.
    pub(super) definition: Arc<Definition>,
    pub(super) error: PostError,
    pub(super) payload: Bytes,
}

impl ForRoute {
    /// Puts the message into the route's mailbox.
    ///
    /// # Errors
    /// When the mailbox does not take it, which the route counts.
    pub(super) fn post(self, now_ms: u64) -> Result<(), NotPosted> {
        let payload = self.message.payload.clone();
        let message = Arc::new(OwnedMessage { received_ms: now_ms, ..self.message });
        self.route.post(self.to, message, self.hops).map_err(|error| {
            self.route.shed(&error, timestamp(now_ms));
            NotPosted { definition: Arc::clone(&self.route.version().definition), error, payload }
        })
    }
}

fn message(topic: Box<str>, payload: &[u8], client_id: Arc<str>) -> OwnedMessage {
    OwnedMessage { client_id, ..OwnedMessage::new(topic, Bytes::copy_from_slice(payload)) }
}

/// Gives a route its runner, which the thread of routes drives; the mailbox of a former version goes on with the new one, unless it was somebody else's.
pub(super) fn arm(
    tenant: &Arc<Tenant>,
    (thread, now): (&Routes, Timestamp),
    definition: &Arc<Definition>,
    code: RouteCode,
) {
    let version = Version::new(Arc::clone(definition), code, thread.is_at_once);
    let mut routes = tenant.programs().guests.routes.write();
    if let Some(route) = routes.get(&definition.id) {
        route.replace(version);
        return;
    }
    let route = Arc::new(RouteRunner::new(version, now));
    thread.drive(tenant, &route);
    routes.insert(definition.id, route);
}

impl Guests {
    /// Runner of a route that is armed.
    pub(crate) fn route(&self, name: &str) -> Option<Arc<RouteRunner>> {
        let registry = self.registry.read();
        let id = registry.get(DefinitionKind::Route, name)?.id;
        if registry.state(id) != Some(State::Running) {
            return None;
        }
        self.routes.read().get(&id).cloned()
    }

    /// Whether no route has anything to do.
    pub(crate) fn routes_rest(&self) -> bool {
        self.routes.read().values().all(|route| route.rests())
    }

    /// Whether somebody waits for an answer of a route.
    pub(crate) fn routes_are_asked(&self) -> bool {
        self.routes.read().values().any(|route| route.is_asked())
    }

    /// Runner of a route, whatever its state.
    pub(crate) fn route_by_id(&self, id: DefinitionId) -> Option<Arc<RouteRunner>> {
        self.routes.read().get(&id).cloned()
    }

    /// Text in place of the Client Identifier in messages that a route brought.
    pub(crate) fn client_id_of_route(&self, id: DefinitionId) -> Arc<str> {
        let name = self.route_by_id(id).map(|route| Arc::clone(route.version().definition.name()));
        name.map_or_else(Arc::default, |name| format!("$route/{name}").into())
    }

    /// All routes in the order of their deployment.
    pub(crate) fn routes_in_order(&self) -> Vec<Arc<RouteRunner>> {
        let mut routes: Vec<_> = self.routes.read().values().cloned().collect();
        routes.sort_by_cached_key(|route| route.version().definition.order);
        routes
    }

    /// Route and name of the event that a topic stands for, if there is such an event.
    pub(crate) fn route_event(&self, topic: &str) -> Option<(Arc<RouteRunner>, String)> {
        let (route, event) = topic.strip_prefix(TOPIC_START)?.split_once("/Events/")?;
        let route = self.route(route)?;
        route.version().said().event(event)?;
        Some((route, event.to_owned()))
    }

    /// Route to which a topic leads because it stands for an event or a table of it.
    pub(crate) fn route_of(&self, topic: &str) -> Option<Arc<Definition>> {
        let of_event = self.route_event(topic).map(|(route, _)| route);
        let route = of_event.or_else(|| self.route_table(topic).map(|(route, _)| route))?;
        Some(Arc::clone(&route.version().definition))
    }

    fn route_table<'t>(&self, topic: &'t str) -> Option<(Arc<RouteRunner>, &'t str)> {
        let (route, table) = topic.strip_prefix(TOPIC_START)?.split_once("/Tables/")?;
        Some((self.route(route)?, table))
    }

    /// Fires the event that a topic stands for, as if its source topic had received the payload. `None` when there is no such event.
    pub(crate) fn for_event(
        &self,
        topic: &str,
        payload: &[u8],
        client_id: Arc<str>,
        hops: u8,
    ) -> Option<ForRoute> {
        let (route, event) = self.route_event(topic)?;
        let source = route.version().said().event(&event)?.text("SOURCE_TOPIC").unwrap_or_default().into();
        let message = message(source, payload, client_id);
        Some(ForRoute { route, to: Addressee::Event(event.into()), message, hops })
    }

    /// Makes a row, a JSON object, for the table that a topic stands for: what `STORE IN` writes. `None` when there is no such route.
    pub(crate) fn for_table(&self, topic: &str, row: &[u8], hops: u8) -> Option<ForRoute> {
        let (route, table) = self.route_table(topic)?;
        let message = message("".into(), row, Arc::default());
        Some(ForRoute { route, to: Addressee::Table(table.into()), message, hops })
    }

    /// Hands a row, a JSON object, to a route that stores; what it was promised with (`lease`) is held until it is done there, too.
    ///
    /// # Errors
    /// When there is no such route, or it takes no more.
    pub(crate) fn store_row(
        &self,
        route: &str,
        (table, row): (&str, &[u8]),
        (received_ms, hops): (u64, u8),
        lease: Option<Lease>,
    ) -> Result<(), String> {
        let route = self.route(route).ok_or_else(|| format!("there is no route '{route}'"))?;
        let message = OwnedMessage { received_ms, lease, ..message("".into(), row, Arc::default()) };
        let posted = route.post(Addressee::Table(table.into()), Arc::new(message), hops);
        posted.map_err(|error| error.to_string())
    }

    /// Asks a route for rows, and waits for them.
    ///
    /// # Errors
    /// When there is no such route, or it does not answer.
    pub(super) fn select_rows(&self, query: &RowQuery<'_>, now: Timestamp) -> Result<Value, RowsError> {
        let name = query.route;
        let route = self.route(name).ok_or_else(|| RowsError::unknown(name))?;
        let refused = |reason: String| RowsError::Refused { route: name.to_owned(), reason };
        let table_of = |model: &str| self.table_of(model, name);
        let question = rows::Question::new(query.query, query.parameters, table_of)
            .ok_or_else(|| refused("this is no question".to_owned()))?;
        let answered = route.ask(question.body.clone(), ROWS_WAIT, now).recv_timeout(ROWS_WAIT);
        let answer = match answered {
            Ok(answer) => answer.map_err(refused)?,
            // What nobody waits for any more is dropped, a little before that is found out here.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let waited_sec = ROWS_WAIT.as_secs();
                return Err(RowsError::TimedOut { route: name.to_owned(), waited_sec });
            }
        };
        let rows = question.rows(&answer).map_err(refused)?;
        if rows.is_cut {
            let reason = format!("rows beyond {ROWS_BYTES_MAX} bytes of an answer were left out");
            route.update(|standing| standing.warned(&reason, now));
        }
        Ok(rows.value)
    }

    /// Table in which a route has instances of a Model.
    fn table_of(&self, model: &str, route: &str) -> String {
        let registry = self.registry.read();
        let stores = registry.get(DefinitionKind::Model, model).map(|model| &model.facts().stores);
        let store = stores.into_iter().flatten().find(|store| store.route == route);
        store.map_or(model, |store| &store.table).to_owned()
    }

    /// Reopens the routes that were opened with this environment value or secret (commands reference §10).
    pub(crate) fn variable_changed(&self, name: &str) {
        for route in self.routes.read().values() {
            let version = route.version();
            let facts = version.definition.facts();
            if facts.env.iter().chain(&facts.secrets).any(|used| used == name) {
                route.reopen();
            }
        }
    }

    /// Module that a route runs, with its figures.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn route_module(&self, name: &str) -> Result<(Arc<RouteModule>, Arc<ModuleFigures>), String> {
        let registry = self.registry.read();
        let module = registry.get(DefinitionKind::Module, name);
        let module = module.ok_or_else(|| format!("module '{name}' is not installed"))?;
        if registry.state(module.id) == Some(State::Disabled) {
            return Err(format!("module '{name}' is disabled"));
        }
        let found = self.route_modules.get(name);
        found.ok_or_else(|| format!("module '{name}' is not of world 'route'"))
    }

    /// Checks that a module is there and not switched off; gives its definition.
    ///
    /// # Errors
    /// Why it cannot be called or asked.
    pub(crate) fn module_in_use(&self, name: &str) -> Result<Arc<Definition>, RunError> {
        let registry = self.registry.read();
        let module = registry.get(DefinitionKind::Module, name);
        let module = module.ok_or_else(|| RunError::unknown_module(name))?;
        if registry.state(module.id) == Some(State::Disabled) {
            return Err(RunError::new("MODULE_DISABLED", format!("module '{name}' is disabled")));
        }
        Ok(Arc::clone(module))
    }

    /// Definitions that name a module, by kind and in the order of their deployment: Routes that it runs, Rules that ask it, Actions that call it.
    pub(crate) fn users_of_module(&self, name: &str) -> Vec<Arc<Definition>> {
        let registry = self.registry.read();
        let names = |user: &&Arc<Definition>| {
            of_module(user, name) || user.facts().programs.modules.iter().any(|module| module == name)
        };
        let kinds = [DefinitionKind::Route, DefinitionKind::Rule, DefinitionKind::Action];
        kinds.into_iter().flat_map(|kind| registry.list(kind).filter(names)).cloned().collect()
    }

    /// Reopens the routes that name a module, because it has come, has changed, or is gone.
    pub(crate) fn module_changed(&self, name: &str) {
        for route in self.routes.read().values() {
            if of_module(&route.version().definition, name) {
                route.reopen();
            }
        }
    }

    /// Probes whether the far side of a route can be reached, and waits for that.
    pub(crate) fn probe(
        tenant: &Arc<Tenant>,
        thread: &Routes,
        route: &Arc<RouteRunner>,
        patience: Duration,
    ) -> Probe {
        let began = Instant::now();
        let answered = thread.probe(tenant, route);
        let refusal = match answered.recv_timeout(patience) {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(RecvTimeoutError::Timeout) => Some(format!("no answer within {} s", patience.as_secs())),
            Err(RecvTimeoutError::Disconnected) => Some("the broker is stopping".to_owned()),
        };
        Probe { latency: began.elapsed(), refusal }
    }
}

/// Warnings for whoever deploys a route, by code: values that are not set, and settings that this build does not follow.
pub(crate) fn warnings(tenant: &Tenant, facts: &Facts) -> Vec<(&'static str, String)> {
    let Some(route) = &facts.route else { return Vec::new() };
    let mut warnings = Vec::new();
    for name in facts.env.iter().filter(|name| tenant.programs().variables.environment(name).is_none()) {
        warnings.push(("VALUE_MISSING", format!("environment value '{name}' is not set")));
    }
    for name in facts.secrets.iter().filter(|name| tenant.programs().variables.secret(name).is_none()) {
        warnings.push(("VALUE_MISSING", format!("secret '{name}' is not set")));
    }
    let of_section = |section: &str, keys: &[&str]| -> Vec<String> {
        let section = route.section(section).map(|section| &section.settings);
        keys.iter()
            .filter(|key| section.is_some_and(|set| set.contains_key(**key)))
            .map(|key| (*key).to_owned())
            .collect()
    };
    let mut ignored = of_section("ROUTE_CONFIG", &IGNORED_SETTINGS);
    if route.section("MQTT_CONFIG").is_some_and(|section| section.settings.contains_key("BROKER_ADDRESS")) {
        ignored.push("BROKER_ADDRESS".to_owned());
    }
    if let Some(name) = route_modules::named(route)
        && let Err(reason) = tenant.programs().guests.route_module(name)
    {
        warnings.push(("MODULE_MISSING", format!("{reason}; the route waits for it")));
    }
    for key in ignored {
        warnings.push(("SETTING_IGNORED", format!("this build does not follow {key} yet")));
    }
    warnings
}

/// Whether a route names a module.
fn of_module(route: &Definition, name: &str) -> bool {
    route.facts().route.as_deref().and_then(route_modules::named) == Some(name)
}
