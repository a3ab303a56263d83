//! Routes of a tenant, which connect the broker with other systems, each run by the guest of its
//! type (routes reference).
//!
//! ```text
//! fan-out, TRIGGER, $SYS/…/Events/… ─▶ batch ─▶ store (outbox) ─▶ RouteRunner (mailbox, standing)
//! commands, status topic ◀─ RouteRunner ◀─ Drivers (route threads) ─▶ RouteInstances ─▶ ingest
//! ```
//!
//! `ingest` takes messages of the other system. Invariants: mailboxes and outboxes are bounded.
//! Messages that the guest has not accepted are delivered again or counted as failed. A replaced
//! route continues with the waiting messages. Not here: the drivers
//! ([`route_drivers`](super::route_drivers)), the way of messages into outboxes (`outgoing`), and
//! the setup of outboxes and drivers (`outboxes`).

mod absence;
pub mod asked_run;
#[doc(hidden)]
pub mod batch;
pub(super) mod buffering;
pub mod dead_letters;
pub(super) mod delivery_pause;
#[doc(hidden)]
pub mod driver_slot;
mod event_status;
pub(crate) mod failing_tags;
mod failure_counts;
pub mod http_figures;
mod ingest_waits;
pub(super) mod keeping;
pub(super) mod kept_place;
#[doc(hidden)]
pub mod mailbox;
pub(super) mod memory_buffer;
mod orders;
pub(super) mod outbox;
pub mod pace;
#[doc(hidden)]
pub mod pause;
mod probing;
pub(super) mod questions;
mod refused_write;
pub mod replacing;
mod rows;
pub(crate) mod runner;
pub mod status;
pub(super) mod stored_post;
mod takers;
#[doc(hidden)]
pub mod version;

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use lot_facts::RouteBlock;
use lotmq_definitions::{Definition, DefinitionId, DefinitionKind, Owner, Registry, State};
use lotmq_host::limits::ROWS_WAIT;
use lotmq_host::route::{Abilities, Description};
use lotmq_host::{COMPILING, OwnedMessage, RowQuery, RowsError, RunError, Value};

use asked_run::Probed;
pub use orders::Routes;
pub use orders::{ClientPlace, ClientPlaces};
pub(super) use orders::{Order, Orders, Task};
pub use runner::RouteRunner;
pub(crate) use version::RouteCode;

use super::Guests;
use super::route_modules::{self, ModuleFigures, RouteModule};
use super::route_types::runs_route_type;
use crate::HasPrograms as _;
use crate::limits::ROWS_BYTES_MAX;
use crate::rights::{Access, Rights, Variable};
use lotmq_codes::Code;
use lotmq_core::tenant::Tenant;
use mailbox::Addressee;

/// Prefix of the topics by which events of routes are fired:
/// `$SYS/Coreflux/Routes/<route>/Events/<event>`.
const TOPIC_START: &str = "$SYS/Coreflux/Routes/";

/// Result of probing a route.
#[derive(Clone)]
pub struct Probe {
    /// Time from the order until the answer.
    pub latency: Duration,
    /// Answer of the guest about the far side (may be empty), or the reason of a failure.
    pub found: Probed,
    /// Whether that was tried over a connection of its own.
    pub is_new: bool,
}

/// Message for a route that waits until the turn's messages have been delivered: its consequences
/// must not be with their receivers before what caused it is.
pub struct ForRoute {
    pub(super) route: Arc<RouteRunner>,
    pub(super) to: Addressee,
    pub(super) message: OwnedMessage,
    pub(super) hops: u8,
}

/// A message without anything else.
pub(super) fn message(topic: Arc<str>, payload: &[u8], client_id: Arc<str>) -> OwnedMessage {
    OwnedMessage { client_id, ..OwnedMessage::new(topic, Bytes::copy_from_slice(payload)) }
}

impl Guests {
    /// Runner of a route that is armed.
    pub fn route(&self, name: &str) -> Option<Arc<RouteRunner>> {
        let registry = self.registry.read();
        let id = registry.get(DefinitionKind::Route, name)?.id;
        if !registry.state(id).is_some_and(State::is_armed) {
            return None;
        }
        self.routes.read().get(&id).cloned()
    }

    /// Whether no route has anything to do.
    pub fn routes_rest(&self) -> bool {
        self.routes.read().values().all(|route| route.rests())
    }

    /// Names of routes whose drivers have something to do.
    pub fn busy_routes(&self) -> Vec<Arc<str>> {
        let routes = self.routes_in_order();
        let busy = routes.iter().filter(|route| !route.rests());
        busy.map(|route| Arc::clone(route.version().definition.name())).collect()
    }

    /// Whether somebody waits for an answer of a route.
    pub fn routes_are_asked(&self) -> bool {
        self.routes.read().values().any(|route| route.is_asked())
    }

    /// Runner of a route, whatever its state.
    pub fn route_by_id(&self, id: DefinitionId) -> Option<Arc<RouteRunner>> {
        self.routes.read().get(&id).cloned()
    }

    /// Text in place of the Client Identifier in messages that a route brought.
    pub(crate) fn client_id_of_route(&self, id: DefinitionId) -> Arc<str> {
        let name = self.route_by_id(id).map(|route| Arc::clone(route.version().definition.name()));
        name.map_or_else(Arc::default, |name| format!("$route/{name}").into())
    }

    /// All routes in the order of their deployment.
    pub fn routes_in_order(&self) -> Vec<Arc<RouteRunner>> {
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
    pub fn route_of(&self, topic: &str) -> Option<Arc<Definition>> {
        let of_event = self.route_event(topic).map(|(route, _)| route);
        let route = of_event.or_else(|| self.route_table(topic).map(|(route, _)| route))?;
        Some(Arc::clone(&route.version().definition))
    }

    fn route_table<'t>(&self, topic: &'t str) -> Option<(Arc<RouteRunner>, &'t str)> {
        let (route, table) = topic.strip_prefix(TOPIC_START)?.split_once("/Tables/")?;
        Some((self.route(route)?, table))
    }

    /// Fires the event that a topic stands for, as if its source topic had received the payload.
    /// `None` when there is no such event.
    pub fn for_event(&self, topic: &str, payload: &[u8], client_id: Arc<str>, hops: u8) -> Option<ForRoute> {
        let (route, event) = self.route_event(topic)?;
        let source = route.version().said().event(&event)?.text("SOURCE_TOPIC").unwrap_or_default().into();
        let message = message(source, payload, client_id);
        Some(ForRoute { route, to: Addressee::Event(event.into()), message, hops })
    }

    /// Makes a row, a JSON object, for the table that a topic stands for: what `STORE IN` writes.
    /// `None` when there is no such route.
    pub(crate) fn for_table(&self, topic: &str, row: &[u8], hops: u8) -> Option<ForRoute> {
        let (route, table) = self.route_table(topic)?;
        let message = message("".into(), row, Arc::default());
        Some(ForRoute { route, to: Addressee::Table(table.into()), message, hops })
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
            // The route drops a question that nobody waits for, slightly before this timeout.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let waited_sec = ROWS_WAIT.as_secs();
                return Err(RowsError::TimedOut { route: name.to_owned(), waited_sec });
            }
        };
        let rows = question.rows(&answer).map_err(refused)?;
        if rows.is_cut {
            let reason = format!("rows beyond {ROWS_BYTES_MAX} bytes of an answer were left out");
            route.update(|status| status.warned(&reason, now));
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

    /// Reopens the routes that were opened with this environment value or secret (commands
    /// reference §10).
    pub fn variable_changed(&self, name: &str) {
        for route in self.routes.read().values() {
            let version = route.version();
            let facts = version.definition.facts();
            if facts.env.iter().chain(&facts.secrets).any(|used| used == name) {
                route.reopen();
            }
        }
    }

    /// Reopens the routes that use an environment value or secret which their owner may no longer
    /// read. Also reopens stopped routes with such values: the owner may have the right now.
    pub fn rights_changed(&self, tenant: &Tenant) {
        let routes: Vec<_> = self.routes.read().values().cloned().collect();
        for route in routes {
            let version = route.version();
            let facts = version.definition.facts();
            let rights = Rights::of(self.authority, &version.definition);
            let may_read = |what, name: &str| rights.may_use(tenant, what, name, Access::Read);
            let reads_all = facts.env.iter().all(|name| may_read(Variable::Environment, name))
                && facts.secrets.iter().all(|name| may_read(Variable::Secret, name));
            let names_any = !facts.env.is_empty() || !facts.secrets.is_empty();
            if !reads_all || (names_any && route.stands_still()) {
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
            return Err(format!("module '{name}' is disabled; -enableModule {name} starts it"));
        }
        if let Some(reason) = without_code(&registry, module) {
            return Err(reason.message);
        }
        let found = self.route_modules.get(name);
        found.ok_or_else(|| format!("module '{name}' is not of world 'route'"))
    }

    /// Configuration that is kept with a module, for the route of an owner: of its own owner's
    /// routes, because there may be passwords in it, and a route says where they go.
    pub(super) fn module_config(&self, name: &str, owner: Option<&Owner>) -> Option<Arc<str>> {
        let (module, _) = self.route_module(name).ok()?;
        module.grants.config.clone().filter(|_| self.is_module_of(name, owner))
    }

    /// Whether a module is somebody's, and of this owner.
    fn is_module_of(&self, name: &str, owner: Option<&Owner>) -> bool {
        let registry = self.registry.read();
        let module = registry.get(DefinitionKind::Module, name);
        owner.is_some() && module.is_some_and(|module| module.owner() == owner)
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
        without_code(&registry, module).map_or_else(|| Ok(Arc::clone(module)), Err)
    }

    /// Returns the reason why a deployed route cannot run: its module is missing or switched off,
    /// or this build has no guest for its type. `None` if the route does not exist or can run.
    pub fn lacks(&self, name: &str) -> Option<String> {
        let known = self.registry.read().get(DefinitionKind::Route, name).cloned()?;
        let said = known.facts().route.as_deref()?;
        match route_modules::named(said) {
            Some(module) => self.route_module(module).err(),
            None if runs_route_type(&said.kind) => None,
            None => Some(format!("type {} does not run here", said.kind)),
        }
    }

    /// Definitions that name a module, by kind and in the order of their deployment: Routes that it
    /// runs, Rules that ask it, Actions that call it.
    pub fn users_of_module(&self, name: &str) -> Vec<Arc<Definition>> {
        let registry = self.registry.read();
        let names = |user: &&Arc<Definition>| {
            of_module(user, name) || user.facts().programs.modules.iter().any(|module| module == name)
        };
        let kinds = [DefinitionKind::Route, DefinitionKind::Rule, DefinitionKind::Action];
        kinds.into_iter().flat_map(|kind| registry.list(kind).filter(names)).cloned().collect()
    }

    /// Reopens a route whose guest has been compiled.
    pub(super) fn reopen_route(&self, id: DefinitionId) {
        if let Some(route) = self.routes.read().get(&id) {
            route.reopen();
        }
    }

    /// Reopens the routes that name a module, because it has come, has changed, or is gone.
    pub fn module_changed(&self, name: &str) {
        for route in self.routes.read().values() {
            if of_module(&route.version().definition, name) {
                route.reopen();
            }
        }
    }

    /// Probes whether the far side of a route can be reached, and waits for that: over the
    /// connection that is open, where there is one and `is_new` does not say otherwise; a device
    /// may take no second one, or give up the first for it. With the answer of such a probe that is
    /// under way, where one is.
    pub fn probe(
        tenant: &Arc<Tenant>,
        thread: &Routes,
        route: &Arc<RouteRunner>,
        (patience, is_new): (Duration, bool),
    ) -> Probe {
        if route.status().is_stopped() {
            let version = route.version();
            let reason = status::stopped(version.definition.name());
            // Nothing of it is open.
            return Probe { latency: Duration::ZERO, found: Err(reason), is_new: true };
        }
        let probing = if is_new { &route.probing_anew } else { &route.probing };
        probing.shared(|| Self::probe_now(tenant, thread, route, (patience, is_new)))
    }

    fn probe_now(
        tenant: &Arc<Tenant>,
        thread: &Routes,
        route: &Arc<RouteRunner>,
        (patience, is_new): (Duration, bool),
    ) -> Probe {
        let began = Instant::now();
        let of_open = if is_new { None } else { route.ask_probe() };
        let is_new = of_open.is_none();
        let answered = of_open.unwrap_or_else(|| thread.probe(tenant, route));
        let found = match answered.recv_timeout(patience) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout) => {
                let reason = format!("no answer within {} s", patience.as_secs());
                route.is_silent(&reason);
                Err(reason)
            }
            Err(RecvTimeoutError::Disconnected) if is_new => Err("the broker is stopping".to_owned()),
            Err(RecvTimeoutError::Disconnected) => Err("its connection has ended meanwhile".to_owned()),
        };
        Probe { latency: began.elapsed(), found, is_new }
    }
}

/// Warnings for whoever deploys a route, by code: values that are not set, and settings that this
/// build does not follow.
pub fn warnings(tenant: &Tenant, definition: &Definition) -> Vec<(Code, String)> {
    let facts = definition.facts();
    let Some(route) = &facts.route else { return Vec::new() };
    let mut warnings = Vec::new();
    let rights = Rights::of(tenant.programs().guests.authority, definition);
    let may_read = |what, name: &str| rights.may_use(tenant, what, name, Access::Read);
    // Whether it is there is nobody's business who may not read it.
    let denied = |what: &str, name: &str| {
        let text = format!(
            "{what} '{name}' is not set for this route: the rules do not let its owner read it, whether it is there or not"
        );
        (Code::ValueMissing, text)
    };
    let variables = &tenant.programs().variables;
    for name in &facts.env {
        if !may_read(Variable::Environment, name) {
            warnings.push(denied("environment value", name));
        } else if variables.environment(name).is_none() {
            warnings.push((Code::ValueMissing, format!("environment value '{name}' is not set")));
        }
    }
    for name in &facts.secrets {
        if !may_read(Variable::Secret, name) {
            warnings.push(denied("secret", name));
        } else if variables.secret(name).is_none() {
            warnings.push(match variables.is_locked(name) {
                true => (
                    Code::SecretsLocked,
                    format!("secret '{name}' is stored, and the key of this broker does not open it"),
                ),
                false => (Code::ValueMissing, format!("secret '{name}' is not set")),
            });
        }
    }
    let idle = |section: &RouteBlock| section.settings.keys().find(|key| *key != "BROKER").cloned();
    if let Some(key) = route.section("MQTT_CONFIG").and_then(idle) {
        let warning = format!(
            "MQTT_CONFIG: nothing reads {key}: the route is of this broker's messages; MQTT_BRIDGE connects with another one"
        );
        warnings.push((Code::SettingIgnored, warning));
    }
    let guests = &tenant.programs().guests;
    if let Some(name) = route_modules::named(route)
        && guests.route_module(name).is_ok_and(|(module, _)| module.grants.config.is_some())
        && !guests.is_module_of(name, definition.owner())
    {
        let text = format!("module '{name}' is another user's, so its configuration is not the route's");
        warnings.push((Code::ConfigOfAnother, text));
    }
    let is_alone = |described: &Description| described.abilities.contains(Abilities::RUN);
    let says = |section: &RouteBlock| section.settings.contains_key("INSTANCES");
    if route.section("ROUTE_CONFIG").is_some_and(says)
        && let Some(name) = route_modules::named(route)
        && RouteCode::Module(name.into()).described(&tenant.programs().guests, is_alone) == Some(true)
    {
        let text =
            format!("module '{name}' runs by itself, so the route has one instance whatever INSTANCES says");
        warnings.push((Code::SettingIgnored, text));
    }
    if let Some(tag) = buffering::unsaid_memory(route) {
        let text = format!(
            "what is written to tag '{tag}' and others waits in memory: a crash of the broker loses it, though its publisher has an acknowledgement; BUFFER_MODE in ROUTE_CONFIG says \"disk\", or \"memory\" where that is meant"
        );
        warnings.push((Code::WritesInMemory, text));
    }
    warnings
}

/// Why a module cannot be used that has no native code; `None` of one that has.
fn without_code(registry: &Registry, module: &Definition) -> Option<RunError> {
    let name = module.name();
    match registry.state(module.id)? {
        State::Compiling => {
            Some(RunError::new(COMPILING, format!("module '{name}' is still being compiled")))
        }
        State::Error => {
            Some(RunError::new("NOT_RESTORED", format!("module '{name}' could not be compiled at the start")))
        }
        State::Running | State::Pending | State::Disabled => None,
    }
}

/// Whether a route names a module.
fn of_module(route: &Definition, name: &str) -> bool {
    route.facts().route.as_deref().and_then(route_modules::named) == Some(name)
}
