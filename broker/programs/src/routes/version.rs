//! Version of a route: its definition, with its code, and what its settings say about its mailbox
//! and its instances.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lot_facts::{RouteFacts, RouteValue};
use lotmq_config::Routes as Defaults;
use lotmq_definitions::{Definition, DefinitionKind, Owner, State};
use lotmq_host::TrapKind;
use lotmq_host::route::{Description, RouteInstance};
use lotmq_router::filter_matches;

use super::buffering::Buffering;
use super::mailbox::{Batches, Mailbox, OrderKey};
use super::takers::RouteTakers;
use crate::Guests;
use crate::limits::{ROUTE_CALL_TIME, ROUTE_CASE_CALL_TIME, ROUTE_INSTANCES_MAX, ROUTE_MAILBOX_BYTES_MAX};
use crate::policies::Policies;
use crate::route_modules::described_routes;
use crate::route_types::{TypeGuest, usual_instances};

/// Invariant of the definitions here.
const ONLY_ROUTES: &str = "only routes have a runner of routes";

/// How the reason begins where a call did not come back in time.
pub(crate) const NO_ANSWER: &str = "no answer within ";

/// Reason for which a route waits for its guest.
pub(crate) const COMPILING: &str = "its guest is still being compiled";

/// Time for which a database that does not answer behind the time of a statement is waited for.
const BEHIND_STATEMENT: Duration = Duration::from_secs(30);

/// Code of a route.
#[derive(Clone)]
pub enum RouteCode {
    /// The guest of its type.
    Own(TypeGuest),
    /// The module of this name, as it is when the route is opened.
    Module(Arc<str>),
}

impl RouteCode {
    /// Configuration of its module for the route of an owner.
    pub(crate) fn config(&self, guests: &Guests, owner: Option<&Owner>) -> Option<Arc<str>> {
        match self {
            RouteCode::Own(_) => None,
            RouteCode::Module(name) => guests.module_config(name, owner),
        }
    }

    /// Whether it is still being compiled.
    pub(crate) fn is_compiling(&self, guests: &Guests) -> bool {
        match self {
            RouteCode::Own(guest) => guest.get().is_none(),
            RouteCode::Module(name) => {
                let registry = guests.registry.read();
                let module = registry.get(DefinitionKind::Module, name);
                module.and_then(|module| registry.state(module.id)) == Some(State::Compiling)
            }
        }
    }

    /// Looks at what its guest has said of itself; `None` where that is not known, such as of a
    /// module that is not there yet.
    pub fn described<R>(&self, guests: &Guests, look: impl FnOnce(&Description) -> R) -> Option<R> {
        match self {
            RouteCode::Own(guest) => guest.get()?.description().map(look),
            RouteCode::Module(name) => {
                let (module, _) = guests.route_module(name).ok()?;
                module.description().as_ref().map(look)
            }
        }
    }

    /// Returns what its guest has said of itself, within the description that its module has.
    pub(crate) fn narrowed(&self, guests: &Guests, of_guest: Description) -> Description {
        let module = match self {
            RouteCode::Own(_) => None,
            RouteCode::Module(name) => guests.route_module(name).ok(),
        };
        let kind = module.as_ref().and_then(|(module, _)| module.routes.as_deref());
        described_routes::narrowed(of_guest, kind)
    }
}

/// Version of a route: its definition, with its code.
#[derive(Clone)]
pub struct Version {
    /// Definition of the route.
    pub definition: Arc<Definition>,
    /// Native code of the guest of the route.
    pub code: RouteCode,
    pub(crate) buffering: Buffering,
    /// Facts of the definition with the values that its settings had when it was opened last, where
    /// these come from elsewhere.
    settled: Option<Arc<RouteFacts>>,
    /// Events, mappings and tags that take messages.
    takers: Arc<RouteTakers>,
    /// Topic Filters of those that policies let it take.
    allowed: Option<Vec<Box<str>>>,
    /// Messages that these policies have kept from it.
    refused: Arc<AtomicU64>,
    /// Time stands still: no batch waits.
    is_at_once: bool,
}

impl Version {
    pub fn new(
        definition: Arc<Definition>,
        code: RouteCode,
        (defaults, is_at_once): (&Defaults, bool),
        policies: &Policies,
    ) -> Self {
        let said = definition.facts().route.as_deref().expect(ONLY_ROUTES);
        let buffering = Buffering::of(said, defaults, is_at_once);
        let takers = Arc::new(RouteTakers::of(said));
        let allowed = policies.topics.clone();
        Self {
            takers,
            definition,
            code,
            buffering,
            settled: None,
            is_at_once,
            allowed,
            refused: Arc::default(),
        }
    }

    /// The same with the values that its settings have now; `None` where they are those that it
    /// has.
    pub(crate) fn settled(&self, settings: RouteFacts, defaults: &Defaults) -> Option<Self> {
        if *self.settings() == settings {
            return None;
        }
        Some(Self {
            buffering: Buffering::of(&settings, defaults, self.is_at_once),
            takers: Arc::new(RouteTakers::of(&settings)),
            settled: Some(Arc::new(settings)),
            ..self.clone()
        })
    }

    /// Whether its settings name values of the environment or secrets.
    pub(crate) fn names_values(&self) -> bool {
        let facts = self.definition.facts();
        !facts.env.is_empty() || !facts.secrets.is_empty()
    }

    /// Facts of the definition, with values from elsewhere as far as they are known.
    pub(crate) fn settings(&self) -> &RouteFacts {
        self.settled.as_deref().unwrap_or_else(|| self.said())
    }

    /// The same within other policies.
    pub(super) fn within(&self, policies: &Policies) -> Self {
        Self { allowed: policies.topics.clone(), refused: Arc::default(), ..self.clone() }
    }

    /// Whether policies let it take messages on a topic.
    pub(super) fn allows(&self, topic: &str) -> bool {
        let allowed = self.allowed.as_ref();
        allowed.is_none_or(|allowed| allowed.iter().any(|filter| filter_matches(filter, topic)))
    }

    /// Counts a message that policies keep from it.
    pub(super) fn is_refused_a_message(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// That policies keep messages from it, where that is so since they were set.
    pub(super) fn refused_by_policy(&self) -> Option<String> {
        let name = self.definition.name();
        match self.refused.load(Relaxed) {
            0 => None,
            count => Some(format!(
                "{count} messages of its topics are lost to it by its policy `topics`: -asset-policy-set {name} topics changes it"
            )),
        }
    }

    /// Returns the takers of messages, permitted by policies or not.
    pub(super) fn takers(&self) -> &RouteTakers {
        &self.takers
    }

    /// Whether it has several events and mappings.
    pub(super) fn takes_for_several(&self) -> bool {
        let said = self.said();
        said.events.len() + said.mappings.len() > 1
    }

    /// Facts of the definition.
    pub fn said(&self) -> &RouteFacts {
        self.definition.facts().route.as_deref().expect(ONLY_ROUTES)
    }

    /// Fits a mailbox to the bounds of this version; what waits in it stays.
    pub(super) fn fit(&self, mailbox: &mut Mailbox) {
        let bytes = usize::try_from(self.buffering.bytes_max).unwrap_or(usize::MAX);
        mailbox.bound(self.buffering.memory_messages_max(), bytes.min(ROUTE_MAILBOX_BYTES_MAX));
        mailbox.batch_by(self.batches());
        mailbox.order_by(OrderKey::of(self.settings()));
    }

    /// Bounds of batches by `BATCH_SIZE`, `BATCH_BYTES` and `BATCH_LINGER`, as far as the broker's
    /// own allow.
    fn batches(&self) -> Batches {
        let most = Batches::default();
        let at_most = |name, most: usize| self.number("ROUTE_CONFIG", name).unwrap_or(most).clamp(1, most);
        let linger = self.number("ROUTE_CONFIG", "BATCH_LINGER").filter(|_| !self.is_at_once);
        let linger = linger.and_then(|linger| u64::try_from(linger).ok()).map(Duration::from_millis);
        // Each instance has its part of what may be in flight, and one message at least.
        let in_flight = self.buffering.capacity.map_or(usize::MAX, |most| (most / self.instances()).max(1));
        Batches {
            messages: at_most("BATCH_SIZE", most.messages).min(in_flight),
            bytes: at_most("BATCH_BYTES", most.bytes),
            linger: linger.unwrap_or_default(),
        }
    }

    /// Time limit for each call of the guest, by `ACTIVITY_TIMEOUT`. After it a far side without an
    /// answer counts as away. The default is longer than the timeout of a database statement.
    pub(crate) fn call_time(&self) -> Duration {
        let seconds = |section, key| {
            self.number(section, key).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
        };
        let statement = seconds("SQL_CONFIG", "QUERY_TIMEOUT").map(|time| time + BEHIND_STATEMENT);
        let usual = ROUTE_CALL_TIME.max(statement.unwrap_or_default());
        let time = seconds("ROUTE_CONFIG", "ACTIVITY_TIMEOUT").unwrap_or(usual);
        if self.is_at_once { time.min(ROUTE_CASE_CALL_TIME) } else { time }
    }

    /// Describes a call of the guest that did not return in time. Names the call if only the guest
    /// can be the cause: it has computed all the time, or the clock is stepped.
    pub(crate) fn too_long(&self, call: &str, instance: &RouteInstance) -> String {
        let seconds = self.call_time().as_secs();
        match (instance.has_computed(), self.is_at_once) {
            (true, _) => format!(
                "the guest did not come back within {seconds} s: in `{call}` it was computing, not waiting for the far side ({})",
                TrapKind::Time.code()
            ),
            (false, true) => format!("{NO_ANSWER}{seconds} s: its call of `{call}` does not come back"),
            (false, false) => format!("{NO_ANSWER}{seconds} s"),
        }
    }

    /// Number of attempts to connect that come soon after each other, by `RECONNECTION_RETRIES` of
    /// either side of a bridge; then the pauses are the longest.
    pub(crate) fn fast_attempts(&self) -> Option<u32> {
        let mut sides = self.settings().sections.iter();
        let said = sides.find_map(|side| self.number(&side.name, "RECONNECTION_RETRIES"))?;
        Some(u32::try_from(said).unwrap_or(u32::MAX))
    }

    /// Longest pause between two attempts to connect, by `RECONNECTION_MAX_PAUSE`.
    pub(crate) fn longest_pause(&self) -> Option<Duration> {
        let seconds = self.number("ROUTE_CONFIG", "RECONNECTION_MAX_PAUSE")?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }

    /// Number of instances that its guest is to have, by `INSTANCES`, or `POOL_SIZE` of a database.
    pub(super) fn instances(&self) -> usize {
        if self.is_at_once {
            // A single instance keeps the order of events the same in each run.
            return 1;
        }
        let said =
            self.number("ROUTE_CONFIG", "INSTANCES").or_else(|| self.number("SQL_CONFIG", "POOL_SIZE"));
        said.unwrap_or_else(|| usual_instances(&self.said().kind)).clamp(1, ROUTE_INSTANCES_MAX)
    }

    /// Whole number of a setting.
    fn number(&self, section: &str, name: &str) -> Option<usize> {
        match self.settings().section(section)?.settings.get(name)? {
            RouteValue::Int(number) => usize::try_from(*number).ok(),
            RouteValue::Digits(text) => text.parse().ok(),
            RouteValue::Text(_)
            | RouteValue::Double(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_)
            | RouteValue::Template(_) => None,
        }
    }
}
