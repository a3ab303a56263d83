//! Services of the broker for the guests of a tenant while they run.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lotmq_auth::{Decide as _, Identity, Peer, Question};
use lotmq_changes::Log;
use lotmq_codec::ReasonCode;
use lotmq_definitions::{Definition, DefinitionKind, Owner, RunError as DefinitionError};
use lotmq_host::auth::{Principal, Selector};
use lotmq_host::limits::LISTED_TOPICS_MAX;
use lotmq_host::python::Called;
use lotmq_host::rule::{ModuleQuestion, Verdict};
use lotmq_host::{
    Ambient, Argument, BorrowedMessage, Capability, GRANT_MISSING, MessageBounds, ModelInstance, NestedCall,
    RowQuery, RowsError, RunContext, RunError, RunWait, Services, StateRefused, TooManyTopics, TrapKind,
    Value, away, describe_owner,
};
use lotmq_router::{delayed_target, filter_matches};
use parking_lot::Mutex;
use tracing::warn;

use super::granting;
use super::guest_id::definition_id;
use super::recorder::RunEvent;
use super::records;
use super::rights::{Access, Rights, Variable};
use super::route_modules;
use super::states::States;
use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::limits::{
    LISTED_TOPICS_FOUND_MAX, MISSING_GRANTS_REPORTED_MAX, MODULE_GRANT_BYTES_MAX, RETAINED_TOPICS_AT_ONCE,
};
use crate::variables::{VariableError, Variables};
use lotmq_core::tenant::Tenant;

/// Services for one version of a definition's code.
pub(crate) struct TenantServices {
    pub(crate) hosting: Weak<Hosting>,
    pub(crate) tenant: Weak<Tenant>,
    /// Owner of the code; `None` for code without an owner, and for rules.
    pub(crate) owner: Option<Owner>,
    /// Rights of the code.
    pub(crate) rights: Rights,
    /// Grants that the code lacked.
    pub(crate) missing: MissingGrants,
    pub(crate) bounds: MessageBounds,
    /// Clocks and chance of the code.
    pub(crate) ambient: Arc<dyn Ambient>,
    /// Local time of the code.
    pub(crate) zone: TimeZone,
    /// Clients that the code has let in; `None` for code that no login chain asks.
    pub(crate) admitted_sessions: Option<Weak<dyn AdmittedSessions>>,
}

/// Clients that a member of the login chain has let in, as its code changes them.
pub(crate) trait AdmittedSessions: Send + Sync {
    /// Ends their sessions; the number of sessions.
    fn revoke(&self, tenant: &Tenant, whom: &Selector, reason_code: ReasonCode, reason: Option<&str>) -> u32;

    /// Replaces their principal; the number of sessions.
    ///
    /// # Errors
    /// Why the principal cannot be used, for people.
    fn update(&self, tenant: &Tenant, whom: &Selector, principal: &Principal) -> Result<u32, String>;
}

/// Missing grants that were told, each once.
#[derive(Default)]
pub(crate) struct MissingGrants(Mutex<Vec<String>>);

impl MissingGrants {
    /// Notes one, such as `env-read:SCALE`. False when it was noted before, or when there are too
    /// many.
    fn note(&self, grant: &str) -> bool {
        let mut told = self.0.lock();
        let is_new = told.len() < MISSING_GRANTS_REPORTED_MAX && !told.iter().any(|known| known == grant);
        if is_new {
            told.push(grant.to_owned());
        }
        is_new
    }
}

/// Suffix of a message about the missing grant for a response topic.
const OF_REQUEST: &str = "; it is the response topic of a request, which whoever asks has chosen: grant a filter that those of all who are to be answered match";

/// Text for people: what a module was not granted, what it has of the kind, and how it gets that.
fn describe_missing_grant(
    tenant: &Tenant,
    definition: &Definition,
    module: &str,
    (capability, name, grant): (Capability, &str, &str),
) -> String {
    let asked = || tenant.programs().manifests.of(module).covering(capability, name);
    // In program tests nobody gives commands.
    let granting = match tenant.programs().guests.recorder.get() {
        Some(_) => format!("'{grant}' in what it asks for (`manifest!`, `asks` of guest.toml)"),
        None => granting::command(module, [asked().as_deref().unwrap_or(grant)]),
    };
    if definition.kind() == DefinitionKind::Module {
        return format!(
            "this module was not granted '{grant}', and is refused it from now on; {granting} grants it"
        );
    }
    let found = tenant.programs().guests.route_module(module).ok();
    match found {
        Some((found, _)) if found.grants.cover(capability, name) => format!(
            "module '{module}' was granted '{grant}', and the text of this route does not name that, so it is refused from now on"
        ),
        Some((found, _)) => {
            let has = granting::of_kind(&found.grants, capability);
            format!(
                "module '{module}' was not granted '{grant}' ({has}), and is refused it from now on; {granting} grants it"
            )
        }
        None => format!("module '{module}' was not granted '{grant}'"),
    }
}

impl TenantServices {
    /// Services for a version of a definition's code.
    pub(crate) fn new(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, definition: &Definition) -> Self {
        TenantServices {
            hosting: Arc::downgrade(hosting),
            tenant: Arc::downgrade(tenant),
            owner: definition.owner().cloned(),
            rights: Rights::of(tenant.programs().guests.authority, definition),
            missing: MissingGrants::default(),
            bounds: hosting.message_bounds(),
            ambient: Arc::clone(&hosting.ambient),
            zone: hosting.zone.clone(),
            admitted_sessions: None,
        }
    }

    /// The definition that runs, unless it was removed meanwhile.
    pub(super) fn definition(&self, run: &RunContext) -> Option<(Arc<Tenant>, Arc<Definition>)> {
        let tenant = self.tenant()?;
        let found = tenant.programs().guests.registry.read().by_id(definition_id(run.definition)).cloned()?;
        Some((tenant, found))
    }

    /// Records that the rules deny the owner something that the definition wanted.
    pub(super) fn denied(&self, run: &RunContext, what: &str) {
        let owner = describe_owner(self.owner());
        self.record_error(run, "RULE_DENIED", &format!("the rules do not let {owner} {what}"));
    }

    /// Records an error of the definition that runs.
    pub(super) fn record_error(&self, run: &RunContext, code: &str, message: &str) {
        let (Some((tenant, definition)), Some(hosting)) = (self.definition(run), self.hosting.upgrade())
        else {
            return;
        };
        let error = DefinitionError { code, message, ..DefinitionError::default() };
        let now = hosting.definitions_now().wall;
        records::record_at(&hosting.core, &tenant, &definition, &error, (now, run.hops));
    }

    /// Records that a module has trapped in a call, as an error of its own: who called has one as
    /// well.
    fn trapped_in_call(
        &self,
        (tenant, module): (&Arc<Tenant>, &Arc<Definition>),
        error: &RunError,
        (trigger, hops): (Option<BorrowedMessage<'_>>, u8),
    ) {
        let Some(hosting) = self.hosting.upgrade() else { return };
        let (topic, payload) = trigger.map_or(("", &[][..]), |trigger| (trigger.topic, trigger.payload));
        let (code, message) = (&*error.code, &*error.message);
        let error = DefinitionError { code, message, topic, payload, ..DefinitionError::default() };
        records::record_at(&hosting.core, tenant, module, &error, (hosting.definitions_now().wall, hops));
        hosting.housekeeping.wake();
    }

    /// Whether the code may read or change a variable; a denial is recorded.
    fn may_use(&self, run: &RunContext, (what, name): (Variable, &str), access: Access) -> bool {
        let may = self.tenant().is_some_and(|tenant| self.rights.may_use(&tenant, what, name, access));
        if !may {
            let kind = if what == Variable::Secret { "secret" } else { "environment value" };
            let verb = if access == Access::Read { "read" } else { "change" };
            self.denied(run, &format!("{verb} {kind} '{name}'"));
        }
        may
    }

    pub(super) fn tenant(&self) -> Option<Arc<Tenant>> {
        self.tenant.upgrade()
    }

    /// Changes a variable or secret. It is stored soon; nobody waits for it (language reference
    /// §8.2).
    fn change(
        &self,
        name: &str,
        change: impl FnOnce(&Variables, &dyn Log) -> Result<bool, VariableError>,
    ) -> bool {
        let (Some(tenant), Some(hosting)) = (self.tenant(), self.hosting.upgrade()) else { return false };
        let waits = match change(&tenant.programs().variables, &*hosting.core.log) {
            Ok(waits) => waits,
            Err(error) => {
                if let Some(limit) = error.limit() {
                    hosting.core.limits.elsewhere.note(limit, &name, hosting.core.clock.now());
                }
                return false;
            }
        };
        if waits {
            hosting.housekeeping.wake();
        }
        tenant.programs().guests.variable_changed(name);
        true
    }
}

/// The next topics with a retained message that a filter matches, behind the topic `after`, with
/// the topic behind which there may be more.
fn retained_topics(
    tenant: &Tenant,
    filter: &str,
    after: Option<&str>,
    now_ms: u64,
) -> (Vec<String>, Option<String>) {
    let retained = tenant.retained.read();
    let slice = retained.scan(filter, after, RETAINED_TOPICS_AT_ONCE);
    let there = slice.entries.iter().filter(|(_, message)| !message.is_expired(now_ms));
    let topics = there.map(|(topic, _)| topic.to_string()).collect();
    (topics, slice.resume_after.map(|topic| topic.to_string()))
}

impl Services for TenantServices {
    fn owner(&self) -> Option<&str> {
        self.owner.as_ref().map(|owner| &*owner.name)
    }

    fn topic_value(&self, run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        let (Some(tenant), Some(hosting)) = (self.tenant(), self.hosting.upgrade()) else { return false };
        if !self.may_read(run, topic) {
            return false;
        }
        let is_live = tenant.programs().guests.values.read(topic, |live| {
            if let Some(live) = live {
                value.extend_from_slice(live);
            }
            live.is_some()
        });
        if is_live {
            return true;
        }
        let Some(retained) = tenant.retained_payload(topic, hosting.core.clock.lifetime_ms()) else {
            return false;
        };
        value.extend_from_slice(&retained);
        true
    }

    fn may_read(&self, run: &RunContext, topic: &str) -> bool {
        let Some(tenant) = self.tenant() else { return false };
        let may = self.rights.may_read(&tenant, topic);
        if !may {
            self.denied(run, &format!("read topic '{topic}'"));
        }
        may
    }

    fn retained_exists(&self, run: &RunContext, topic: &str) -> bool {
        let (Some(tenant), Some(hosting)) = (self.tenant(), self.hosting.upgrade()) else { return false };
        if !self.may_read(run, topic) {
            return false;
        }
        tenant.has_retained(topic, hosting.core.clock.lifetime_ms())
    }

    fn topics(
        &self,
        _run: &RunContext,
        filter: &str,
        is_granted: &dyn Fn(&str) -> bool,
    ) -> Result<BTreeSet<String>, TooManyTopics> {
        let (Some(tenant), Some(hosting)) = (self.tenant(), self.hosting.upgrade()) else {
            return Ok(BTreeSet::new());
        };
        let mut found = BTreeSet::new();
        let mut add = |topic: &str| {
            // States and windows of definitions have a NUL in their topics.
            if !topic.contains('\0') && filter_matches(filter, topic) && is_granted(topic) {
                found.insert(topic.to_owned());
            }
            if found.len() > LISTED_TOPICS_FOUND_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        tenant.programs().guests.values.each_topic(&mut add);
        let mut after = None;
        loop {
            let (page, next) =
                retained_topics(&tenant, filter, after.as_deref(), hosting.core.clock.lifetime_ms());
            if page.iter().try_for_each(|topic| add(topic)).is_break() {
                return Err(TooManyTopics);
            }
            let Some(next) = next else { break };
            after = Some(next);
        }
        // The rules are asked without a lock, for they may read as well.
        found.retain(|topic| self.rights.may_read(&tenant, topic));
        if found.len() > LISTED_TOPICS_MAX { Err(TooManyTopics) } else { Ok(found) }
    }

    fn environment(&self, run: &RunContext, name: &str) -> Option<String> {
        if !self.may_use(run, (Variable::Environment, name), Access::Read) {
            return None;
        }
        self.tenant()?.programs().variables.environment(name)
    }

    fn set_environment(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool {
        let may = self.may_use(run, (Variable::Environment, name), Access::Write);
        may && self.change(name, |variables, log| variables.keep_environment(log, name, value))
    }

    fn secret(&self, run: &RunContext, name: &str) -> Option<String> {
        if !self.may_use(run, (Variable::Secret, name), Access::Read) {
            return None;
        }
        let secret = self.tenant()?.programs().variables.secret(name)?;
        String::from_utf8(secret.to_vec()).ok()
    }

    fn set_secret(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool {
        let may = self.may_use(run, (Variable::Secret, name), Access::Write);
        may && self.change(name, |variables, log| variables.keep_secret(log, name, value))
    }

    fn state(&self, run: &RunContext, key: &str) -> Option<Vec<u8>> {
        let (tenant, definition) = self.definition(run)?;
        States::get(&tenant.programs().guests.values, &definition, key)
    }

    fn set_state(&self, run: &RunContext, key: &str, value: Option<&[u8]>) -> Result<(), StateRefused> {
        let (tenant, definition) = self.definition(run).ok_or(StateRefused::Full)?;
        let guests = &tenant.programs().guests;
        let Some(value) = value else {
            guests.states.remove(&guests.values, &definition, key);
            return Ok(());
        };
        guests.states.set(&guests.values, (&definition, key), value)
    }

    fn state_keys(&self, run: &RunContext) -> Vec<String> {
        let Some((tenant, definition)) = self.definition(run) else { return Vec::new() };
        let guests = &tenant.programs().guests;
        guests.states.keys(&guests.values, &definition)
    }

    fn not_granted(
        &self,
        run: &RunContext,
        (capability, name): (Capability, &str),
        trigger: Option<&BorrowedMessage<'_>>,
    ) {
        let Some((tenant, definition)) = self.definition(run) else { return };
        // Code compiled from LoT has all grants that its statements need. Without a grant, a read
        // of other code returns nothing.
        let module = match definition.facts().route.as_deref() {
            Some(route) => route_modules::named(route),
            None => (definition.kind() == DefinitionKind::Module).then(|| &**definition.name()),
        };
        let (Some(module), Some(hosting)) = (module, self.hosting.upgrade()) else { return };
        let runner = tenant.programs().guests.route_by_id(definition.id);
        let refused = runner.filter(|_| capability == Capability::WriteTopic);
        let shown: String = name.chars().take(MODULE_GRANT_BYTES_MAX / 4).collect();
        let word = capability.word();
        let grant = if shown.is_empty() { word.to_owned() } else { format!("{word}:{shown}") };
        if self.missing.note(&grant) {
            let mut message =
                describe_missing_grant(&tenant, &definition, module, (capability, name, &grant));
            let is_answer = capability == Capability::WriteTopic
                && trigger.is_some_and(|trigger| trigger.response_topic() == Some(name));
            if is_answer {
                message.push_str(OF_REQUEST);
            }
            // The record at its topic is that of its last error, which may be one that follows from
            // this.
            warn!(
                tenant = &*tenant.name,
                definition = &**definition.name(),
                kind = definition.kind().title(),
                module,
                grant,
                error = message,
                "a module wanted what it was not granted"
            );
            if let Some(runner) = &refused {
                runner.may_not_publish(&message);
            }
            let (topic, payload) = trigger.map_or(("", &[][..]), |trigger| (trigger.topic, trigger.payload));
            let error = DefinitionError {
                code: GRANT_MISSING,
                message: &message,
                topic,
                payload,
                ..DefinitionError::default()
            };
            let now = hosting.definitions_now().wall;
            records::record_at(&hosting.core, &tenant, &definition, &error, (now, run.hops));
            if records::tell_log_topics(&tenant, &definition, (error.code, &message), now) {
                hosting.housekeeping.wake();
            }
        } else if let Some(runner) = refused {
            runner.may_not_publish_still();
        }
    }

    fn may_publish_system(&self, _run: &RunContext, topic: &str) -> bool {
        let Some(tenant) = self.tenant() else { return false };
        if let Some(route) = tenant.programs().guests.route_of(topic) {
            return self.rights.may_feed(&tenant, topic, &route);
        }
        // Only commands, and only while the user who deployed this code may give them (language
        // reference §6).
        topic == lotmq_core::tenant::system_topics::COMMAND_TOPIC
            && self.rights.may_command(&tenant, self.owner.as_ref(), topic)
    }

    fn message_bounds(&self) -> MessageBounds {
        self.bounds
    }

    fn may_write(&self, _run: &RunContext, message: &BorrowedMessage<'_>) -> bool {
        self.rights.are_all() || self.tenant().is_some_and(|tenant| self.rights.may_publish(&tenant, message))
    }

    fn may_publish_model(&self, topic: &str, payload: &[u8]) -> bool {
        let (Some(tenant), Some(hosting)) = (self.tenant(), self.hosting.upgrade()) else { return false };
        if !hosting.config.compat.model_publish_rules || lotmq_core::tenant::system_topics::is_system(topic) {
            return true;
        }
        let nobody = Identity::anonymous("".into(), Peer::Guest);
        let question = Question::publish(&nobody, delayed_target(topic)).with_payload(payload);
        tenant.permissions.decide(&question).is_allowed()
    }

    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let unknown = || RunError::unknown_action(name);
        let tenant = self.tenant().ok_or_else(unknown)?;
        let definition = tenant.programs().guests.registry.read().get(DefinitionKind::Action, name).cloned();
        let definition = definition.ok_or_else(unknown)?;
        if !self.rights.may_call(&tenant, &definition) {
            return Err(not_for_others("action", name));
        }
        let runner = tenant.programs().guests.runner(definition.id).ok_or_else(unknown)?;
        runner.call_nested(call, inputs)
    }

    fn call_module(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let tenant = self.tenant().ok_or_else(|| RunError::unknown_module(name))?;
        let guests = &tenant.programs().guests;
        let definition = guests.module_in_use(name)?;
        if !self.rights.may_call(&tenant, &definition) {
            return Err(not_for_others("module", name));
        }
        let runner = guests.runner(definition.id).ok_or_else(|| {
            RunError::new("MODULE_WORLD", format!("module '{name}' is not of world 'action'"))
        })?;
        if runner.has_failed_at_messages() {
            let message = format!("module '{name}' has failed, and pauses");
            return Err(RunError::new("MODULE_FAILED", message));
        }
        let (trigger, hops) = (call.trigger, call.run.hops);
        runner.call_nested(call, inputs).inspect_err(|error| {
            let is_trap = |kind: &TrapKind| *kind != TrapKind::Pool && kind.code() == error.code;
            if TrapKind::ALL.iter().any(is_trap) {
                self.trapped_in_call((&tenant, &definition), error, (trigger, hops));
            }
        })
    }

    fn ask_module(&self, question: &ModuleQuestion<'_>, name: &str) -> Result<Verdict, RunError> {
        let tenant = self.tenant().ok_or_else(|| RunError::unknown_module(name))?;
        tenant.programs().guests.deciding_modules.rules.ask(&tenant, question, name)
    }

    fn build_model(
        &self,
        call: NestedCall<'_>,
        name: &str,
        assignments: &[Argument],
    ) -> Result<ModelInstance, RunError> {
        let gone = || RunError::unknown_model(name);
        let tenant = self.tenant().ok_or_else(gone)?;
        let model = tenant
            .programs()
            .guests
            .registry
            .read()
            .get(DefinitionKind::Model, name)
            .cloned()
            .ok_or_else(gone)?;
        if !self.rights.may_call(&tenant, &model) {
            return Err(not_for_others("model", name));
        }
        tenant.programs().guests.build_model(call, name, assignments)
    }

    fn call_python(&self, _run: &RunContext, function: &str, arguments: &[Value]) -> Called {
        away(RunWait::Script, || {
            let Some(tenant) = self.tenant() else { return Called::unknown(function) };
            let called = tenant.programs().scripts.call(function, arguments);
            if let Some(recorder) = tenant.programs().guests.recorder.get() {
                recorder.sees(function, RunEvent::Printed(called.output.clone()));
            }
            called
        })
    }

    fn select_rows(&self, _run: &RunContext, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        away(RunWait::Route, || {
            let (Some(tenant), Some(hosting)) = (self.tenant(), self.hosting.upgrade()) else {
                return Err(RowsError::unknown(query.route));
            };
            let now = hosting.definitions_now().wall;
            drop(hosting);
            let route = tenant
                .programs()
                .guests
                .route(query.route)
                .map(|route| Arc::clone(&route.version().definition));
            if route.is_some_and(|route| !self.rights.may_call(&tenant, &route)) {
                let reason = "it belongs to another user".to_owned();
                return Err(RowsError::Refused { route: query.route.to_owned(), reason });
            }
            tenant.programs().guests.select_rows(query, now)
        })
    }

    fn ambient(&self) -> &dyn Ambient {
        &*self.ambient
    }

    fn utc_offset_seconds(&self, at_ms: i64) -> i32 {
        let at = Timestamp::from_millisecond(at_ms);
        self.zone.to_offset(at.unwrap_or(if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX })).seconds()
    }

    fn lifetime_ms(&self) -> u64 {
        self.hosting.upgrade().map_or(0, |hosting| hosting.core.clock.lifetime_ms())
    }
}

/// Refusal of a call of another owner's definition.
fn not_for_others(kind: &str, name: &str) -> RunError {
    let message = format!(
        "{kind} '{name}' belongs to another user, for whom the owner of this definition may not run anything"
    );
    RunError::new("CALL_NOT_ALLOWED", message)
}
