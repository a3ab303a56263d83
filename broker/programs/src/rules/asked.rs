//! Common part of rules and modules of world `rule`: their identity, the output of their runs, and
//! the reports of their errors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use lotmq_auth::Question;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{Definition, DefinitionKind, RunError};
use lotmq_host::{Effect, MessageBounds, RunError as GuestError, RunOutput, Severity, Trap};
use tracing::warn;

use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::locked_secrets;
use crate::metrics::METRIC_LIMIT;
use crate::records;
use crate::rights::Rights;
use crate::services::{MissingGrants, TenantServices};

/// Definition that is asked, on whatever thread wants to know.
pub(super) struct AskedDefinition {
    pub(super) definition: Arc<Definition>,
    /// Key of its instances.
    pub(super) key: u64,
    pub(super) services: Arc<TenantServices>,
    pub(super) tenant: Weak<Tenant>,
    pub(super) hosting: Weak<Hosting>,
}

/// Question that led to an error: topic and Client.
#[derive(Clone, Copy)]
pub(super) struct AskedPlace<'a> {
    pub(super) topic: Option<&'a str>,
    pub(super) client_id: &'a str,
}

impl<'a> AskedPlace<'a> {
    pub(super) fn of(question: &Question<'a>) -> AskedPlace<'a> {
        AskedPlace { topic: question.topic, client_id: &question.identity.client_id }
    }
}

impl AskedDefinition {
    pub(super) fn new(tenant: &Arc<Tenant>, hosting: &Arc<Hosting>, definition: &Arc<Definition>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (ambient, zone) = (Arc::clone(&hosting.ambient), hosting.zone.clone());
        let (tenant, hosting) = (Arc::downgrade(tenant), Arc::downgrade(hosting));
        // Rules do not apply to code that decides about others; only its grants do.
        let services = Arc::new(TenantServices {
            hosting: Weak::clone(&hosting),
            tenant: Weak::clone(&tenant),
            owner: None,
            rights: Rights::all(),
            missing: MissingGrants::default(),
            bounds: MessageBounds::default(),
            ambient,
            zone,
            admitted_sessions: None,
        });
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        AskedDefinition { definition: Arc::clone(definition), key, services, tenant, hosting }
    }

    /// The wall clock.
    pub(super) fn now(&self) -> Timestamp {
        self.hosting.upgrade().map_or(Timestamp::UNIX_EPOCH, |hosting| hosting.definitions_now().wall)
    }

    /// Carries out what a run wrote, of which there is little: a rule has no other effects.
    pub(super) fn carry_out(&self, tenant: &Tenant, place: AskedPlace<'_>, output: &RunOutput) {
        for (_, effect) in output.effects() {
            match effect {
                Effect::Log { level, text } => {
                    if records::log_line(tenant, &self.definition, (level, text), self.now()) {
                        self.wake();
                    }
                }
                Effect::Metric { name, change } => {
                    let metrics = &tenant.programs().guests.metrics;
                    if let Err(refused) = metrics.change(&self.definition, name, change) {
                        let message = refused.to_string();
                        self.failed(
                            place,
                            RunError { code: METRIC_LIMIT, message: &message, ..RunError::default() },
                        );
                    }
                }
                Effect::Report { severity, code, message, line, column } => {
                    let locked = locked_secrets::masked_report(tenant, &self.definition, (code, message));
                    let message = locked.as_deref().unwrap_or(message);
                    let told = RunError { code, message, line, column, ..RunError::default() };
                    match severity {
                        Severity::Error => self.failed(place, told),
                        Severity::Warning => {
                            if records::warn_later(tenant, &self.definition, &told, self.now()) {
                                self.wake();
                            }
                        }
                    }
                }
                Effect::Publish { .. } | Effect::Keep { .. } | Effect::Forget { .. } => {}
            }
        }
    }

    /// Has the sweep publish the lines that wait.
    fn wake(&self) {
        if let Some(hosting) = self.hosting.upgrade() {
            hosting.housekeeping.wake();
        }
    }

    /// Notes an error: a record below its topic, and a line in the log, seldom where there are
    /// many.
    pub(super) fn failed(&self, place: AskedPlace<'_>, found: RunError<'_>) {
        let (Some(tenant), Some(hosting)) = (self.tenant.upgrade(), self.hosting.upgrade()) else { return };
        let found = RunError { topic: place.topic.unwrap_or_default(), ..found };
        super::note(&tenant, &hosting, &self.definition, &found);
        let count = self.definition.activity.code_count(found.code);
        if count.is_power_of_two() {
            let kind = if self.definition.kind() == DefinitionKind::Module { "module" } else { "rule" };
            warn!(
                tenant = &*tenant.name,
                definition = &**self.definition.name(),
                kind,
                client_id = place.client_id,
                code = found.code,
                error = &*tenant.programs().variables.masked_text(found.message),
                count,
                "rule failed"
            );
        }
    }
}

pub(super) fn of_trap(trap: &Trap) -> RunError<'_> {
    RunError { code: trap.kind.code(), message: &trap.message, ..RunError::default() }
}

pub(super) fn of_error(found: &GuestError) -> RunError<'_> {
    let (line, column) = (found.line, found.column);
    RunError { code: &found.code, message: &found.message, line, column, ..RunError::default() }
}
