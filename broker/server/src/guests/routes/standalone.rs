//! A route without a broker, for programs that are run or tested on the command line: the same guest with the same configuration, asked one
//! thing after the other.
//!
//! Nothing waits: there is no mailbox, and no failure is tried again, because nothing changes by itself. A route that lost its far side begins
//! anew with the next message, one whose failure is fatal stands still.

use std::sync::Arc;

use jiff::Timestamp;
use lot_facts::{Facts, RouteFacts};
use lotmq_host::route::{Failure, RouteGuest, RouteInstance, RouteServices, RouteSpec};
use lotmq_host::{
    Acting, DefinitionId, Engine, GuestLimits, LoadError, OwnedMessage, RowQuery, RunContext, Trap, Value,
    limits::ROUTE_TIME,
};
use lotmq_router::filter_matches;
use serde_json::Value as Json;

use super::configuration::configuration;
use super::delivery::{columns, delivery, told_of_error};
use super::mailbox::Addressee;
use super::rows::Question;
use super::template::Names;
use super::types::RouteTypes;
use super::{TOPIC_START, message, uuid_text};

/// A type of route that this build runs, compiled.
#[derive(Clone, Debug)]
pub struct StandaloneType(RouteGuest);

/// The types that somebody uses, each compiled once.
#[derive(Default)]
pub struct StandaloneTypes(RouteTypes);

impl StandaloneTypes {
    /// The type of a route; `None` when this build does not run it, and for what is no route.
    ///
    /// # Errors
    /// [`LoadError`] when the host refuses our own guest, which is a fault of ours.
    pub fn of(&self, engine: &Engine, facts: &Facts) -> Result<Option<StandaloneType>, LoadError> {
        let Some(route) = &facts.route else { return Ok(None) };
        Ok(self.0.guest(engine, &route.kind)?.map(StandaloneType))
    }
}

/// See the module's documentation.
pub struct StandaloneRoute {
    id: DefinitionId,
    name: String,
    facts: Facts,
    said: RouteFacts,
    guest: RouteGuest,
    services: Arc<dyn RouteServices>,
    instance: Option<RouteInstance>,
    /// Why it stands still.
    stopped: Option<String>,
    sequence: u64,
}

impl std::fmt::Debug for StandaloneRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandaloneRoute").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A message for a route.
#[derive(Clone, Debug)]
pub struct Addressed {
    to: Addressee,
    message: Arc<OwnedMessage>,
}

/// What became of a message.
#[derive(Debug)]
pub struct Refused {
    /// Why it was not taken.
    pub reason: String,
    /// Topic and payload of what its event publishes then.
    pub told: Option<(String, String)>,
}

/// Environment and secrets as the guest would read them.
struct OfServices<'a>(&'a dyn RouteServices, RunContext);

impl Names for OfServices<'_> {
    fn environment(&self, name: &str) -> Option<String> {
        self.0.environment(&self.1, name)
    }

    fn secret(&self, name: &str) -> Option<String> {
        self.0.secret(&self.1, name)
    }
}

impl StandaloneRoute {
    /// A route that opens with the first message; `None` for facts that are not of a route.
    pub fn new(
        id: DefinitionId,
        StandaloneType(guest): StandaloneType,
        facts: Facts,
        services: Arc<dyn RouteServices>,
    ) -> Option<StandaloneRoute> {
        let said = facts.route.as_deref()?.clone();
        let name = facts.name.clone();
        Some(StandaloneRoute {
            id,
            name,
            facts,
            said,
            guest,
            services,
            instance: None,
            stopped: None,
            sequence: 0,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The route that a topic stands for an event or a table of, by its name.
    pub fn named_by(topic: &str) -> Option<&str> {
        let (route, rest) = topic.strip_prefix(TOPIC_START)?.split_once('/')?;
        (rest.starts_with("Events/") || rest.starts_with("Tables/")).then_some(route)
    }

    /// What a message to the topic of an event or a table of this route is to it; `None` when it has no such event.
    pub fn by_name(&self, topic: &str, payload: &[u8]) -> Option<Addressed> {
        let rest = topic.strip_prefix(TOPIC_START)?.strip_prefix(&self.name)?;
        if let Some(table) = rest.strip_prefix("/Tables/") {
            return Some(Addressed {
                to: Addressee::Table(table.into()),
                message: message("".into(), payload, Arc::default()),
            });
        }
        let event = self.said.event(rest.strip_prefix("/Events/")?)?;
        let source = event.text("SOURCE_TOPIC").unwrap_or_default().into();
        let message = message(source, payload, Arc::default());
        Some(Addressed { to: Addressee::Event(event.name.as_str().into()), message })
    }

    /// What a message is to this route: once for each event whose source it fits.
    pub fn arrived(&self, arrived: &Arc<OwnedMessage>) -> Vec<Addressed> {
        let fits = |source: Option<&str>| source.is_some_and(|source| filter_matches(source, &arrived.topic));
        let events = self.said.events.iter().filter(|event| fits(event.text("SOURCE_TOPIC")));
        events
            .map(|event| Addressed {
                to: Addressee::Event(event.name.as_str().into()),
                message: Arc::clone(arrived),
            })
            .collect()
    }

    /// Routes and tables that are handed a message as well which this route has taken.
    pub fn stores(&self, addressed: &Addressed) -> Vec<(String, Addressed)> {
        let Addressee::Event(_) = addressed.to else { return Vec::new() };
        let payload = &addressed.message.payload;
        let stored = |store: &lot_facts::RouteStore| {
            let row = message("".into(), payload, Arc::default());
            (
                store.route.clone(),
                Addressed { to: Addressee::Table(store.table.as_str().into()), message: row },
            )
        };
        self.said.stores.iter().map(stored).collect()
    }

    /// Hands a message over. What it answers comes through its services.
    ///
    /// # Errors
    /// [`Refused`]; the message is gone.
    pub async fn deliver(&mut self, addressed: &Addressed, at: Timestamp) -> Result<(), Refused> {
        let services = Arc::clone(&self.services);
        let names = OfServices(&*services, RunContext::new(self.id));
        let taken = self.take(addressed, at, &names).await;
        taken.map_err(|reason| {
            let to = (&addressed.to, &*addressed.message);
            let told = told_of_error(&self.said, to, at, &names, (&self.name, &reason));
            Refused { reason, told }
        })
    }

    async fn take(
        &mut self,
        addressed: &Addressed,
        at: Timestamp,
        names: &OfServices<'_>,
    ) -> Result<(), String> {
        let Addressed { to, message } = addressed;
        let columns = columns(&self.said, (to, message), at, names)?;
        self.sequence += 1;
        let delivery = delivery(to, message, self.sequence, columns);
        let called = self.open(names).await?.deliver(std::slice::from_ref(&delivery)).await;
        let receipt = self.answered(called)?;
        match receipt.rejected.into_iter().next() {
            Some(rejection) => Err(rejection.reason),
            None if receipt.accepted == 0 => Err("nothing was accepted".to_owned()),
            None => Ok(()),
        }
    }

    /// Asks for rows; `table_of` says in which table it has instances of a Model.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn rows(
        &mut self,
        query: &RowQuery<'_>,
        table_of: impl Fn(&str) -> String,
    ) -> Result<Value, String> {
        let services = Arc::clone(&self.services);
        let names = OfServices(&*services, RunContext::new(self.id));
        let question = Question::new(query.query, query.parameters, table_of).ok_or("this is no question")?;
        let called = self.open(&names).await?.request("query", &question.body).await;
        let answer = self.answered(called)?;
        Ok(question.rows(&answer)?.value)
    }

    /// The instance, which is opened if there is none.
    async fn open(&mut self, names: &OfServices<'_>) -> Result<&mut RouteInstance, String> {
        if let Some(reason) = &self.stopped {
            return Err(reason.clone());
        }
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.opened(names).await?,
        };
        Ok(self.instance.insert(instance))
    }

    async fn opened(&mut self, names: &OfServices<'_>) -> Result<RouteInstance, String> {
        let written = configuration(&self.said, names, uuid_text).map_err(|missing| missing.to_string())?;
        let spec = RouteSpec {
            id: self.id,
            services: Arc::clone(&self.services),
            grants: Arc::new(super::grants(&self.facts, Acting::default())),
            endpoints: Arc::default(),
            limits: GuestLimits { time: ROUTE_TIME, ..GuestLimits::default() },
        };
        let mut instance = self.guest.instance(spec).await.map_err(|trap| trap.to_string())?;
        let called = instance.open(&without_delay(&written)).await;
        self.answered(called)?;
        Ok(instance)
    }

    /// What a call gave; what its failure means for the instance.
    fn answered<T>(&mut self, called: Result<Result<T, Failure>, Trap>) -> Result<T, String> {
        match called {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failure::Retry(reason) | Failure::Reject(reason))) => Err(reason),
            Ok(Err(Failure::Reconnect(reason))) => {
                self.instance = None;
                Err(reason)
            }
            Ok(Err(Failure::Fatal(reason))) => {
                self.instance = None;
                self.stopped = Some(reason.clone());
                Err(reason)
            }
            Err(trap) => {
                self.instance = None;
                Err(trap.to_string())
            }
        }
    }
}

/// A configuration in which nothing takes time: where the clock stands still, nobody waits.
fn without_delay(configuration: &str) -> String {
    let Ok(mut parsed) = serde_json::from_str::<Json>(configuration) else { return configuration.to_owned() };
    if let Some(own) = parsed.pointer_mut("/sections/LOOPBACK_CONFIG").and_then(Json::as_object_mut) {
        own.remove("DELAY");
    }
    parsed.to_string()
}
