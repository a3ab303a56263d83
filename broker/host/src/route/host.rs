//! The other host functions of the world `route`, and the state of an instance.

use super::{
    bindings::lotmq::guest::{
        ambient, config, diagnostics, environment,
        ingest::{self, IngestError},
        logging, message_properties,
        metrics::{self, MetricError},
        state::{self, StateError},
        types,
    },
    dial::LOOKUPS_MAX,
    endpoint::Endpoint,
    properties::IngestedMessage,
    work::HostWork,
};
use crate::{
    Grants, GuestId, LogLevel, MetricChange, RunContext, Services, Severity, StateRefused,
    functions::{configuration, is_metric_name, is_state_key},
    instance::Stopped,
    limits,
    memory::Memory,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use wasmtime::component::ResourceTable;

/// What the broker says to messages that a route brings; pending while it is busy.
pub type Ingesting<'a> = Pin<Box<dyn Future<Output = Result<(), IngestError>> + Send + 'a>>;

/// What the broker does for route guests, besides [`Services`].
pub trait RouteServices: Services {
    /// Publishes messages in order, all or none. Topics and properties were checked. The future is pending while the broker is busy.
    fn ingest<'a>(&'a self, run: RunContext, messages: Vec<IngestedMessage>) -> Ingesting<'a>;

    /// Why the operator of the broker lets no route connect to an address; `None` where he does. Asked of what names resolve to, for each connection.
    fn refuses_address(&self, address: IpAddr) -> Option<String>;

    /// Why the operator lets no route listen at an address of this machine; `None` where he does.
    fn refuses_listening(&self, address: IpAddr) -> Option<String>;

    /// A guest says that something went wrong.
    fn report(&self, run: &RunContext, severity: Severity, code: &str, message: &str);

    /// A guest changes a counter or gauge, whose name was checked. False when the definition has too many.
    fn measure(&self, run: &RunContext, name: &str, change: MetricChange) -> bool;

    /// A guest writes a line to the log.
    fn log(&self, run: &RunContext, level: LogLevel, text: &str);
}

/// Host state of one route instance.
pub(super) struct RouteState {
    pub(super) services: Arc<dyn RouteServices>,
    pub(super) grants: Arc<Grants>,
    pub(super) run: RunContext,
    pub(super) endpoints: Arc<HashMap<String, Endpoint>>,
    pub(super) work: HostWork,
    pub(super) table: ResourceTable,
    /// Connections, sockets and listeners that are open.
    pub(super) sockets: u32,
    pub(super) lookups: Arc<Semaphore>,
    pub(super) memory: Memory,
    clock: GuestClock,
}

/// Time that the guest itself has run within a call.
struct GuestClock {
    spent: Duration,
    budget: Duration,
    since: Instant,
}

impl RouteState {
    pub(super) fn new(
        services: Arc<dyn RouteServices>,
        grants: Arc<Grants>,
        definition: GuestId,
        endpoints: Arc<HashMap<String, Endpoint>>,
        memory: Memory,
    ) -> Self {
        RouteState {
            services,
            grants,
            run: RunContext::new(definition),
            endpoints,
            work: HostWork::default(),
            table: ResourceTable::new(),
            sockets: 0,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            memory,
            clock: GuestClock { spent: Duration::ZERO, budget: Duration::ZERO, since: Instant::now() },
        }
    }

    /// A call begins, with so much time.
    pub(super) fn begin(&mut self, budget: Duration) {
        self.clock = GuestClock { spent: Duration::ZERO, budget, since: Instant::now() };
    }

    /// A tick: `Err` when the guest has used up its time.
    pub(super) fn tick(&mut self) -> Result<(), Stopped> {
        self.clock.stop();
        if self.clock.spent > self.clock.budget { Err(Stopped::Time(self.clock.budget)) } else { Ok(()) }
    }

    fn measure(&self, name: &str, change: MetricChange) -> Result<(), MetricError> {
        if !is_metric_name(name) {
            return Err(MetricError::InvalidName);
        }
        if self.services.measure(&self.run, name, change) { Ok(()) } else { Err(MetricError::LimitReached) }
    }

    /// Does something for which the guest waits: that time is not the guest's.
    pub(super) async fn waits<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> T) -> T {
        self.clock.stop();
        let done = work(self).await;
        self.clock.since = Instant::now();
        done
    }
}

impl GuestClock {
    fn stop(&mut self) {
        let now = Instant::now();
        self.spent += now.saturating_duration_since(self.since);
        self.since = now;
    }
}

impl types::Host for RouteState {}

impl message_properties::Host for RouteState {}

impl ingest::Host for RouteState {
    async fn publish(&mut self, messages: Vec<ingest::Arrival>) -> Result<(), IngestError> {
        let granted = |arrival: &IngestedMessage| self.grants.write.covers(&arrival.topic);
        let bounds = self.services.message_bounds();
        let checked = |arrival| IngestedMessage::checked(arrival, &bounds).filter(granted);
        let messages: Option<Vec<_>> = messages.into_iter().map(checked).collect();
        let messages = messages.ok_or(IngestError::NotAllowed)?;
        let services = self.services.clone();
        let run = self.run;
        self.waits(async move |_| services.ingest(run, messages).await).await
    }
}

impl environment::Host for RouteState {
    fn get(&mut self, name: String) -> Option<String> {
        self.grants
            .environment
            .read
            .covers(&name)
            .then(|| self.services.environment(&self.run, &name))
            .flatten()
    }

    fn set(&mut self, name: String, value: String) -> bool {
        self.grants.environment.write.covers(&name)
            && fits(&name, &value)
            && self.services.set_environment(&self.run, &name, Some(&value))
    }

    fn remove(&mut self, name: String) -> bool {
        self.grants.environment.write.covers(&name) && self.services.set_environment(&self.run, &name, None)
    }

    fn get_secret(&mut self, name: String) -> Option<String> {
        self.grants.secrets.read.covers(&name).then(|| self.services.secret(&self.run, &name)).flatten()
    }

    fn set_secret(&mut self, name: String, value: String) -> bool {
        self.grants.secrets.write.covers(&name)
            && fits(&name, &value)
            && self.services.set_secret(&self.run, &name, Some(&value))
    }

    fn remove_secret(&mut self, name: String) -> bool {
        self.grants.secrets.write.covers(&name) && self.services.set_secret(&self.run, &name, None)
    }
}

fn fits(name: &str, value: &str) -> bool {
    name.len() <= limits::NAME_BYTES_MAX && value.len() <= limits::ENVIRONMENT_VALUE_BYTES_MAX
}

impl ambient::Host for RouteState {
    fn now_ms(&mut self) -> i64 {
        self.services.now_ms()
    }

    fn monotonic_ms(&mut self) -> u64 {
        self.services.monotonic_ms()
    }

    fn random(&mut self) -> u64 {
        self.services.random()
    }
}

impl state::Host for RouteState {
    fn get(&mut self, key: String) -> Option<Vec<u8>> {
        is_state_key(&key).then(|| self.services.state(&self.run, &key)).flatten()
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        if !is_state_key(&key) {
            return Err(StateError::InvalidKey);
        }
        if value.len() > limits::STATE_VALUE_BYTES_MAX {
            return Err(StateError::TooLarge);
        }
        let set = self.services.set_state(&self.run, &key, Some(&value));
        set.map_err(|StateRefused::Full| StateError::Full)
    }

    fn remove(&mut self, key: String) {
        if is_state_key(&key) {
            // A removal needs no room.
            let _ = self.services.set_state(&self.run, &key, None);
        }
    }

    fn keys(&mut self) -> Vec<String> {
        self.services.state_keys(&self.run)
    }
}

impl logging::Host for RouteState {
    fn log(&mut self, level: logging::Level, text: String) {
        let level = match level {
            logging::Level::Trace => LogLevel::Trace,
            logging::Level::Debug => LogLevel::Debug,
            logging::Level::Info => LogLevel::Info,
            logging::Level::Warn => LogLevel::Warn,
            logging::Level::Error => LogLevel::Error,
        };
        self.services.log(&self.run, level, crate::output::cut(&text, limits::MESSAGE_BYTES_MAX));
    }
}

impl metrics::Host for RouteState {
    fn add(&mut self, counter: String, by: u64) -> Result<(), MetricError> {
        self.measure(&counter, MetricChange::Add(by))
    }

    fn set(&mut self, gauge: String, value: f64) -> Result<(), MetricError> {
        self.measure(&gauge, MetricChange::Set(value))
    }
}

impl config::Host for RouteState {
    fn get(&mut self) -> String {
        configuration(&self.grants)
    }
}

impl diagnostics::Host for RouteState {
    fn report(
        &mut self,
        severity: diagnostics::Severity,
        code: String,
        message: String,
        _line: u32,
        _column: u32,
    ) {
        let severity = match severity {
            diagnostics::Severity::Warning => Severity::Warning,
            diagnostics::Severity::Error => Severity::Error,
        };
        let message = crate::output::cut(&message, limits::MESSAGE_BYTES_MAX);
        self.services.report(&self.run, severity, crate::output::cut(&code, limits::NAME_BYTES_MAX), message);
    }
}
