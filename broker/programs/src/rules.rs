//! Rules: asked by the [`Rulebook`](lotmq_auth::Rulebook) on the thread that wants to know.
//!
//! A rule fails closed. One that traps, takes too long or ends with an error denies what it was
//! asked, one that cannot be restored denies all that it would have been asked; either leaves a
//! record below its `…/Error` and a line in the log. Invariants: the rulebook has the rules that
//! the registry has, because only commands, one at a time, and the start change either; no
//! condition of a rule is looked at here.

use std::collections::VecDeque;
use std::sync::Arc;

use lot_facts::RuleFacts;
use lotmq_auth::built_in::BUILT_INS;
use lotmq_auth::{Account, Answer, Ask, Opinion, Principal, Question, Rule, Still, Validity};
use lotmq_codec::QoS;
use lotmq_definitions::{Definition, DefinitionKind, RunError};
use lotmq_host::rule::{About, Read, Request, RuleGuest, RuleInstance, RuleOutcome, Subject, Verdict};
use lotmq_host::{BorrowedMessage, GuestId, RunContext, RunOutput, Services, Trap, TrapKind};
use parking_lot::Mutex;
use tracing::trace;

use super::guest_id::guest_id;
use super::message_qos::qos;
use super::records;
use super::services::TenantServices;
use asked::{AskedDefinition, AskedPlace, of_error, of_trap};
pub use modules::{RuleModuleCode, RuleModules};

mod asked;
mod modules;

use crate::HasPrograms as _;
use crate::hosting::Hosting;
use crate::limits::{RULE_INSTANCES_IDLE_MAX, RULE_READ_BYTES_MAX};
use lotmq_core::tenant::Tenant;

/// Instances of rules that wait to be asked again, the one used longest ago first.
#[derive(Default)]
pub(crate) struct IdleRules(Mutex<VecDeque<(u64, RuleInstance)>>);

impl IdleRules {
    fn take(&self, key: u64) -> Option<RuleInstance> {
        let mut idle = self.0.lock();
        let at = idle.iter().rposition(|(of, _)| *of == key)?;
        idle.remove(at).map(|(_, instance)| instance)
    }

    fn put(&self, key: u64, instance: RuleInstance) {
        let surplus = {
            let mut idle = self.0.lock();
            idle.push_back((key, instance));
            if idle.len() > RULE_INSTANCES_IDLE_MAX { idle.pop_front() } else { None }
        };
        drop(surplus);
    }
}

/// Deployed rule that can be asked.
struct GuestRule {
    asked: AskedDefinition,
    guest: RuleGuest,
}

impl GuestRule {
    fn new(
        tenant: &Arc<Tenant>,
        hosting: &Arc<Hosting>,
        definition: &Arc<Definition>,
        guest: RuleGuest,
    ) -> Self {
        GuestRule { asked: AskedDefinition::new(tenant, hosting, definition), guest }
    }

    fn instance(&self, tenant: &Tenant) -> Result<RuleInstance, Trap> {
        match tenant.programs().guests.idle_rules.take(self.asked.key) {
            Some(instance) => Ok(instance),
            None => self.guest.instance(Arc::clone(&self.asked.services) as Arc<dyn Services>),
        }
    }
}

/// Records an error of a definition, to be published with the next sweep; returns the number of
/// errors.
pub(super) fn note(
    tenant: &Tenant,
    hosting: &Hosting,
    definition: &Arc<Definition>,
    found: &RunError<'_>,
) -> u64 {
    hosting.core.counters.guest_errors.add(1);
    let count = records::record_masked(tenant, definition, found, hosting.definitions_now().wall);
    let mut changed = tenant.programs().guests.changed_errors.lock();
    if !changed.iter().any(|(known, _)| Arc::ptr_eq(known, definition)) {
        changed.push((Arc::clone(definition), 0));
        hosting.housekeeping.wake();
    }
    count
}

impl Ask for GuestRule {
    fn ask(&self, question: &Question<'_>, account: Option<&Arc<Account>>) -> Answer {
        let deny = |validity| Answer { opinion: Opinion::Deny, validity };
        let asked = &self.asked;
        let Some(tenant) = asked.tenant.upgrade() else { return deny(Validity::Never) };
        let place = AskedPlace::of(question);
        let mut instance = match self.instance(&tenant) {
            Ok(instance) => instance,
            Err(trap) => {
                asked.failed(place, of_trap(&trap));
                return deny(Validity::Never);
            }
        };
        let subject = subject(question, account);
        let run = RunContext::new(guest_id(&tenant, asked.definition.id));
        let mut output = RunOutput::new();
        let hosting = question.message.and_then(|_| asked.hosting.upgrade());
        let about = about(question, hosting.map_or(0, |hosting| hosting.core.clock.wall_ms()));
        let outcome = instance.check((&request(question), about), subject, run, &mut output);
        let reads = instance.take_reads();
        asked.definition.activity.run_ended(asked.now());
        asked.carry_out(&tenant, place, &output);
        let opinion = match &outcome {
            RuleOutcome::Said(Verdict::Allow) => Opinion::Allow,
            RuleOutcome::Said(Verdict::Deny) => Opinion::Deny,
            RuleOutcome::Said(Verdict::Nothing) => Opinion::Nothing,
            RuleOutcome::Failed(found) => {
                asked.failed(place, of_error(found));
                Opinion::Deny
            }
            RuleOutcome::Trapped(trap) => {
                asked.failed(place, of_trap(trap));
                // A rule is pure: the same question would end the same way, unless it is the
                // machine that had no room.
                let passes = matches!(trap.kind, TrapKind::Pool | TrapKind::Start);
                return deny(if passes { Validity::Never } else { self.validity(reads) });
            }
        };
        trace!(
            target: "rules",
            definition = &**asked.definition.name(),
            scope = question.scope.name(),
            client_id = &*question.identity.client_id,
            user = question.identity.user_name(),
            topic = question.topic,
            verdict = ?opinion,
            "rule asked"
        );
        tenant.programs().guests.idle_rules.put(asked.key, instance);
        Answer { opinion, validity: self.validity(reads) }
    }
}

impl GuestRule {
    /// Returns the validity of an answer that depends on these reads. If the rule asked a module,
    /// the broker does not cache the answer by the inputs in the facts.
    fn validity(&self, reads: Vec<Read>) -> Validity {
        if reads.is_empty() {
            return Validity::Lasting;
        }
        if reads.iter().any(|read| matches!(read, Read::Message | Read::Connection)) {
            return Validity::Never;
        }
        let bytes: usize = reads.iter().map(read_bytes).sum();
        if bytes > RULE_READ_BYTES_MAX {
            return Validity::Never;
        }
        Validity::While(Arc::new(Seen { services: Arc::clone(&self.asked.services), reads }))
    }
}

fn read_bytes(read: &Read) -> usize {
    match read {
        Read::Value { topic, value } => topic.len() + value.as_ref().map_or(0, |value| value.len()),
        Read::Retained { topic, .. } => topic.len(),
        Read::Message | Read::Connection | Read::Moment | Read::State => 0,
    }
}

fn request(question: &Question<'_>) -> Request {
    let identity = question.identity;
    Request {
        scope: question.scope.name().to_owned(),
        client_id: identity.client_id.as_ref().to_owned(),
        user: identity.user_name().map(str::to_owned),
        endpoint: identity.peer.address(),
        topic: question.topic.map(str::to_owned),
        payload: question.payload.map(<[u8]>::to_vec),
    }
}

/// Returns facts about the question that the rule may ask for. A message in question arrives
/// now.
fn about<'a>(question: &Question<'a>, now_ms: u64) -> About<'a> {
    let message = question.message.map(|message| BorrowedMessage {
        qos: qos(QoS::from_bits(message.qos).unwrap_or(QoS::AtMostOnce)),
        retain: message.retain,
        properties: message.properties,
        expires_at_ms: message.expires_at_ms,
        received_ms: now_ms,
        user: question.identity.user_name(),
        ..BorrowedMessage::new("", &[])
    });
    About { message, protocol_version: question.identity.protocol_version }
}

/// User that a question is about, if it has groups and properties: an account, or a user from
/// outside.
fn subject(question: &Question<'_>, account: Option<&Arc<Account>>) -> Option<Arc<dyn Subject>> {
    if let Some(account) = account {
        return Some(Arc::new(Who(Arc::clone(account))));
    }
    let principal = &question.identity.principal;
    principal.member().map(|_| Arc::new(ExternalUser(Arc::clone(principal))) as Arc<dyn Subject>)
}

/// User from outside that a question is about.
struct ExternalUser(Arc<Principal>);

impl Subject for ExternalUser {
    fn property(&self, name: &str) -> Option<String> {
        self.0.property(name).map(str::to_owned)
    }

    fn in_group(&self, name: &str) -> bool {
        self.0.in_group(name)
    }
}

/// Account that a question is about.
struct Who(Arc<Account>);

impl Subject for Who {
    fn property(&self, name: &str) -> Option<String> {
        self.0.property(name).map(str::to_owned)
    }

    fn in_group(&self, name: &str) -> bool {
        self.0.groups.contains(name)
    }
}

/// Reads of a rule, on which its answer depends.
struct Seen {
    services: Arc<TenantServices>,
    reads: Vec<Read>,
}

impl Still for Seen {
    fn holds(&self) -> bool {
        let run = RunContext::new(GuestId(0));
        let mut now = Vec::new();
        self.reads.iter().all(|read| match read {
            Read::Value { topic, value } => {
                now.clear();
                let is_there = self.services.topic_value(&run, topic, &mut now);
                is_there == value.is_some() && value.as_deref().unwrap_or_default() == now
            }
            Read::Retained { topic, exists } => self.services.retained_exists(&run, topic) == *exists,
            Read::Message | Read::Connection | Read::Moment | Read::State => false,
        })
    }
}

/// Substitute for a rule that cannot be asked: it denies everything.
struct Substitute;

impl Ask for Substitute {
    fn ask(&self, _question: &Question<'_>, _account: Option<&Arc<Account>>) -> Answer {
        Answer { opinion: Opinion::Deny, validity: Validity::Lasting }
    }
}

/// Rule of the rulebook that asks a guest.
pub(super) fn of_guest(
    tenant: &Arc<Tenant>,
    hosting: &Arc<Hosting>,
    definition: &Arc<Definition>,
    guest: RuleGuest,
) -> Rule {
    let ask = Arc::new(GuestRule::new(tenant, hosting, definition, guest));
    Rule { name: Arc::clone(definition.name()), facts: definition.facts().rule.clone(), ask }
}

/// Substitute in the rulebook for a rule that cannot be restored or is still being compiled: it
/// denies all that the rule would be asked, which is everything where even that is not known.
pub(super) fn substitute(name: &str, facts: Option<RuleFacts>) -> Rule {
    Rule { name: name.into(), facts, ask: Arc::new(Substitute) }
}

/// Number of rules, including the built-in ones.
pub fn count(tenant: &Tenant) -> usize {
    BUILT_INS.len() + tenant.programs().guests.registry.read().count(DefinitionKind::Rule)
}
