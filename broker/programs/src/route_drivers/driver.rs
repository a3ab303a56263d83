//! Driver of one instance of a route: opens it, hands it waiting messages and handles failures by
//! their class (routes reference §3.3, §3.4).
//!
//! Every instance is a task on one of the threads of routes and has turns of its own. While a guest
//! waits, others run. Messages are lost only by a stated policy. The driver delivers again what the
//! guest has not accepted, and counts and reports messages that can never pass. A failure of one
//! instance stops the others only if its class is `fatal`: then the whole route stops.

mod answer;
mod asking;
mod away;
mod deliveries;
mod failing;
mod failures;
mod fate;
mod means;
mod own_ports;
mod paths;
mod proof;
mod running;
mod unconnected;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_definitions::RunError;
use lotmq_histogram::DurationCounts;
use lotmq_host::fiber::Endpoint;
use lotmq_host::route::{Abilities, Failure, Receipt, RouteInstance};
use lotmq_host::{RunContext, Trap};
use parking_lot::Mutex;
use tracing::{error, info, warn};

use super::asset_configuration::laid_under;
use super::configuration::{about, without_delay};
use super::delivery::contradiction;
use super::later_values;
use super::schema;
use super::service_records;
use super::template::OfRoute;
use super::turn_work::TurnWork;
use crate::HasPrograms as _;
use crate::guest_id::guest_id;
use crate::hosting::Hosting;
use crate::limits::{
    PROBE_ANSWER_BYTES_MAX, ROUTE_BREAKS_IN_A_ROW_MAX, ROUTE_DELIVERY_BOUNDS, ROUTE_PANICS_MAX,
};
use crate::policies::Restart;
use crate::route_modules::ModuleFigures;
use crate::route_modules::described_routes;
use crate::route_types;
use crate::routes::asked_run::Probed;
use crate::routes::batch::PostBatch;
use crate::routes::driver_slot::{DriverSlot, Work};
use crate::routes::mailbox::{Addressee, RouteMessage};
use crate::routes::pause::Pause;
use crate::routes::runner::RouteRunner;
use crate::routes::version::{RouteCode, Version};
use crate::services::TenantServices;
use crate::{outboxes, outgoing, records};
use away::Away;
use failures::{ended, not_opened, text_of, trapped};
use fate::CallFailure;
use lotmq_core::tenant::Tenant;
use lotmq_process::this_turn;
use paths::Paths;
use proof::LostFarSide;
use running::Runs;

/// Work of handing a message to another route, besides its payload: some 10 µs.
const STORING_WORK: usize = 8 << 10;

/// Driver of one instance of a route.
pub struct Driver {
    pub hosting: Arc<Hosting>,
    pub tenant: Arc<Tenant>,
    pub route: Arc<RouteRunner>,
    /// Place of the instance.
    pub slot: DriverSlot,
    /// Places to which the instance that was opened last may connect, as `host:port`.
    pub far: Mutex<Vec<String>>,
}

/// Reason why an instance was given up.
enum Ended {
    /// Another version, the end, or no need of this instance any more.
    Changed,
    /// It could not open: the far side is away or the guest broke. A new instance follows a pause.
    NotOpened(String),
    /// The same of one that was open.
    Away(String),
    /// The guest broke at messages, and those are set aside. The far side may be well.
    Broke(String),
    /// Only people can correct it.
    Fatal(String),
}

impl Ended {
    /// Returns the reason for the operator.
    fn reason(self) -> String {
        match self {
            Ended::NotOpened(reason) | Ended::Away(reason) | Ended::Broke(reason) | Ended::Fatal(reason) => {
                reason
            }
            Ended::Changed => "the route has changed".to_owned(),
        }
    }
}

/// First message of a batch that an instance had when it was given up, with its taker.
struct Handed {
    event: String,
    topic: String,
    /// Its payload, where it was alone.
    payload: Vec<u8>,
    /// Whether what takes it rests, so that others need not wait.
    rests: bool,
}

impl Handed {
    fn first_of(batch: &PostBatch) -> Option<Handed> {
        let post = batch.first()?;
        let payload = if batch.len() == 1 { post.message.payload.to_vec() } else { Vec::new() };
        let topic = post.message.topic.to_string();
        Some(Handed { event: post.to.described(), topic, payload, rests: false })
    }
}

/// Instance that is not open yet, with the configuration for that.
struct Made {
    instance: RouteInstance,
    abilities: Abilities,
    configuration: String,
    figures: Option<Arc<ModuleFigures>>,
    /// Endpoints at which the host serves HTTP for it.
    served: Vec<Endpoint>,
}

/// Instance that was opened.
struct Opened {
    instance: RouteInstance,
    abilities: Abilities,
    /// Counts of its module; `None` of a guest of this build.
    figures: Option<Arc<ModuleFigures>>,
    /// Endpoints at which the host serves HTTP for it.
    served: Vec<Endpoint>,
}

/// Instance at work.
struct Serving<'a> {
    driver: &'a Driver,
    number: u64,
    version: Arc<Version>,
    services: Arc<TenantServices>,
    instance: RouteInstance,
    abilities: Abilities,
    figures: Option<Arc<ModuleFigures>>,
    /// Its runs, where it has the ability.
    runs: Option<Runs>,
    pause: Pause,
    away: Away,
    work: TurnWork,
    paths: Paths,
    /// First message of the last batch, if that batch is the reason for the end.
    handed: Option<Handed>,
    /// When it was opened.
    opened: Instant,
}

impl Driver {
    /// Drives the instance until the route is removed, or has no such instance any more.
    pub(super) async fn drive(self: Arc<Self>) {
        let _driving = self.slot.driving();
        let mut pause = Pause::reconnecting();
        let mut paused_for = None;
        // Version whose open instance lost the far side in a call: reopening proves nothing.
        let mut lost = None;
        // How often instances broke at messages while nothing passed.
        let mut breaks = 0;
        while let Some((number, version)) = self.slot.current() {
            if !self.slot.works(number) {
                self.slot.superseded(number).await;
                continue;
            }
            // Failures of the former version do not count for a new one.
            if paused_for.replace(number) != Some(number) {
                pause =
                    Pause::reconnecting().fast_for(version.fast_attempts()).at_most(version.longest_pause());
            }
            let others = self.slot.connections_of_others();
            let (began, before) = (Instant::now(), self.now());
            let lost_before = lost.take().filter(|(of, _)| *of == number).map(|(_, loss)| loss);
            let (ended, handed) = self.serve((number, lost_before), &version, &mut pause).await;
            match self.by_policy(&version, ended) {
                Ended::Changed => {}
                Ended::NotOpened(reason) => {
                    let reason = self.masked(&reason);
                    // It would be away for ever where nothing changes by itself.
                    let is_new = match self.is_at_once() {
                        true => self.slot.stand_still(number, &reason, self.now()),
                        false => self.slot.is_away(number, &reason, self.now()),
                    };
                    if is_new {
                        self.failed(&version, ("ROUTE_AWAY", &reason), None);
                    }
                    self.pause_for_others(number, others, &mut pause).await;
                }
                ended @ (Ended::Away(_) | Ended::Broke(_)) => {
                    let broke = matches!(ended, Ended::Broke(_));
                    let is_in_a_row = broke && !self.route.status().has_passed_since(before);
                    breaks = if is_in_a_row { breaks + 1 } else { 0 };
                    let reason = self.masked(&ended.reason());
                    let is_of_now = match broke {
                        true => self.slot.broke(number, &reason, self.now()),
                        false => self.slot.is_away(number, &reason, self.now()),
                    };
                    if is_of_now {
                        self.failed(&version, ("ROUTE_AWAY", &reason), handed.as_ref());
                    }
                    lost = Some((number, proof::loss(&self, &version, (began, before))));
                    // Failed takers back off by themselves; breaking messages are set aside.
                    let mut once = Pause::reconnecting().at_most(version.longest_pause());
                    let rests = handed.is_some_and(|handed| handed.rests);
                    let may_hurry = rests || (broke && breaks <= ROUTE_BREAKS_IN_A_ROW_MAX);
                    self.pause_for_others(number, others, if may_hurry { &mut once } else { &mut pause })
                        .await;
                }
                Ended::Fatal(reason) => {
                    let reason = self.masked(&reason);
                    // The reason of one instance holds for all and is reported once.
                    if self.slot.stand_still(number, &reason, self.now()) {
                        self.failed(&version, ("ROUTE_STOPPED", &reason), handed.as_ref());
                    }
                }
            }
        }
    }

    /// Takes an end as the policies of the route and of its module do.
    fn by_policy(&self, version: &Version, ended: Ended) -> Ended {
        let guests = &self.tenant.programs().guests;
        let of_route = guests.route_orders.get(version.definition.name()).policies.restart;
        let of_module = match &version.code {
            RouteCode::Own(_) => Restart::default(),
            RouteCode::Module(name) => {
                guests.route_module(name).map_or_else(|_| Restart::default(), |(it, _)| it.policies.restart)
            }
        };
        let name = version.definition.name();
        let told = |reason: String| guests.route_orders.get(name).policies.explain_end(reason, name);
        let ended = match ended {
            Ended::NotOpened(reason) => Ended::NotOpened(told(reason)),
            Ended::Broke(reason) => Ended::Broke(told(reason)),
            Ended::Away(_) | Ended::Fatal(_) | Ended::Changed => ended,
        };
        match ended {
            Ended::Away(reason) | Ended::Broke(reason) | Ended::NotOpened(reason)
                if [of_route, of_module].contains(&Restart::Never) =>
            {
                Ended::Fatal(format!("{reason}; its policy restart is never"))
            }
            Ended::Fatal(reason)
                if [of_route, of_module].contains(&Restart::Always) && !self.is_at_once() =>
            {
                Ended::Away(reason)
            }
            Ended::NotOpened(_) | Ended::Away(_) | Ended::Broke(_) | Ended::Fatal(_) | Ended::Changed => {
                ended
            }
        }
    }

    /// Pauses before the next instance, at most until another one has connected since `others`.
    async fn pause_for_others(&self, number: u64, others: u64, pause: &mut Pause) {
        if !self.is_at_once() {
            tokio::select! {
                () = tokio::time::sleep(pause.next()) => {}
                () = self.slot.changed_or_joined(number, others) => {}
            }
        }
    }

    /// Waits until the guest of the route is compiled, which makes a new version of it.
    async fn wait_for_code(&self, number: u64) -> Ended {
        self.slot.waits_for_code(number, self.now());
        self.slot.changed(number).await;
        Ended::Changed
    }

    /// Opens an instance and works with it. `lost` says how the former one lost the far side.
    async fn serve(
        &self,
        (number, lost): (u64, Option<LostFarSide>),
        version: &Arc<Version>,
        pause: &mut Pause,
    ) -> (Ended, Option<Handed>) {
        if version.code.is_compiling(&self.tenant.programs().guests) {
            return (self.wait_for_code(number).await, None);
        }
        let services = self.services(version);
        match self.settled(version, &services) {
            Ok(Some(settled)) => {
                outboxes::settle(&self.tenant, &self.hosting, &self.route, (number, settled));
                return (Ended::Changed, None);
            }
            Ok(None) => {}
            Err(ended) => return (ended, None),
        }
        if let Some(reason) = self.why_unconnected(version, &services).await {
            return (self.serve_unconnected(number, version, &reason).await, None);
        }
        let mut opened = self.open(version, &services, Some(number)).await;
        let mut is_proven = lost.is_none();
        if let (Ok(opened), Some(loss)) = (&mut opened, lost) {
            match proof::prove(self, version, opened, loss).await {
                Ok(proven) => is_proven = proven,
                Err(reason) => {
                    self.slot.hand_over();
                    return (Ended::Away(reason), None);
                }
            }
        }
        let Opened { instance, abilities, figures, .. } = match opened {
            Ok(opened) => opened,
            Err(Ended::NotOpened(reason)) => {
                // Others may be better off.
                self.slot.hand_over();
                return (Ended::NotOpened(reason), None);
            }
            Err(ended) => return (ended, None),
        };
        let instance_number = self.slot.instance;
        if is_proven {
            self.slot.connected(number, self.now());
            info!(target: "routes", route = &**version.definition.name(), instance = instance_number, "route connected");
        } else {
            self.slot.opened_again(number);
        }
        let connected = Instant::now();
        let serving = Serving {
            driver: self,
            number,
            version: Arc::clone(version),
            services,
            instance,
            abilities,
            figures,
            // With a stepped clock no run comes by itself.
            runs: (abilities.contains(Abilities::RUN) && !self.is_at_once()).then(Runs::at_once),
            pause: Pause::retrying(),
            away: Away::not_said(version),
            work: TurnWork::default(),
            paths: Paths::of(self, version, abilities),
            handed: None,
            opened: connected,
        };
        let ended = serving.serve().await;
        pause.was_well_for(connected.elapsed());
        ended
    }

    /// The version with the values that its settings have now; `None` where it has them.
    fn settled(&self, version: &Version, services: &Arc<TenantServices>) -> Result<Option<Version>, Ended> {
        if !version.names_values() {
            return Ok(None);
        }
        let id = guest_id(&self.tenant, version.definition.id);
        let names = OfRoute(services, RunContext::new(id));
        let settings = later_values::typed(version.said(), &names);
        let settings = settings.map_err(|wrong| Ended::Fatal(wrong.to_string()))?;
        Ok(version.settled(settings, &self.hosting.config.routes))
    }

    /// Services of the broker for a version of the route.
    fn services(&self, version: &Version) -> Arc<TenantServices> {
        Arc::new(TenantServices::new(&self.tenant, &self.hosting, &version.definition))
    }

    /// Opens an instance of the current code: for version `number` if it is wanted with its
    /// abilities, or for a probe.
    async fn open(
        &self,
        version: &Version,
        services: &Arc<TenantServices>,
        number: Option<u64>,
    ) -> Result<Opened, Ended> {
        let Made { mut instance, abilities, configuration, figures, served } =
            self.make(version, services, number).await?;
        // Asked of guests that run alone: who is asked is alone from then on.
        if abilities.contains(Abilities::RUN) && number.is_some_and(|number| !self.slot.is_alone(number)) {
            return Err(Ended::Changed);
        }
        count_call(figures.as_ref());
        let call_time = version.call_time();
        let opened = tokio::time::timeout(call_time, instance.open(&configuration)).await;
        match opened {
            Ok(Ok(Ok(()))) => Ok(Opened { instance, abilities, figures, served }),
            Ok(Ok(Err(failure))) => Err(not_opened(ended(failure))),
            Ok(Err(trap)) => Err(Ended::NotOpened(trapped(figures.as_ref(), &trap))),
            Err(_) => Err(Ended::NotOpened(version.too_long("open", &instance))),
        }
    }

    /// Makes an instance and its configuration, which is checked.
    async fn make(
        &self,
        version: &Version,
        services: &Arc<TenantServices>,
        number: Option<u64>,
    ) -> Result<Made, Ended> {
        let uuid = || super::uuid_text(&*self.hosting.ambient);
        let id = guest_id(&self.tenant, version.definition.id);
        let names = OfRoute(services, RunContext::new(id));
        let kind = self.tenant.programs().guests.route_modules.described(version.said());
        let settings = described_routes::canonical(version.settings(), kind.as_deref());
        let configuration = super::configuration::configuration(&settings, &names, uuid)
            .map_err(|missing| Ended::Fatal(missing.to_string()))?;
        let configuration = if self.is_at_once() { without_delay(configuration) } else { configuration };
        let records = self.service_records(version, services, &names).await.map_err(not_opened)?;
        let (guest, spec, figures) =
            self.code(version, &records, services, &names).await.map_err(not_opened)?;
        *self.far.lock() = means::far(&spec);
        let configuration = laid_under(configuration, spec.grants.config.as_deref());
        let is_idle = route_types::runs_only_to_serve(&version.said().kind)
            && !spec.endpoints.values().any(|endpoint| endpoint.listens);
        let served = spec.endpoints.values().filter(|endpoint| endpoint.http.is_some()).cloned().collect();
        let away = |trap: Trap| Ended::NotOpened(trapped(figures.as_ref(), &trap));
        let mut instance = guest.instance(spec).await.map_err(away)?;
        let call_time = version.call_time();
        let described = tokio::time::timeout(call_time, instance.describe()).await;
        let described = described
            .map_err(|_| Ended::NotOpened(version.too_long("describe", &instance)))?
            .map_err(away)?;
        let described = version.code.narrowed(&self.tenant.programs().guests, described);
        // Without anything to serve it has as many instances as it is told.
        let abilities = if is_idle { described.abilities & !Abilities::RUN } else { described.abilities };
        if let Some(reason) = super::refuses_events(abilities, version.said()) {
            return Err(Ended::Fatal(reason.to_owned()));
        }
        let mut configuration = schema::checked(&described.configuration, configuration)
            .map_err(|reason| Ended::Fatal(reason.to_string()))?;
        let hosting = &self.hosting;
        let broker = route_types::is_bridge(&version.said().kind)
            .then(|| format!("{:08x}{}", hosting.broker_number, self.tenant.number));
        configuration["route"] = about(version.definition.name(), number, hosting.started_ms, broker);
        if !records.is_empty() {
            configuration["route"]["service_records"] = service_records::to_json(&records);
        }
        Ok(Made { instance, abilities, configuration: configuration.to_string(), figures, served })
    }

    /// Opens another instance and asks it whether the far side can be reached.
    pub(super) async fn probe(&self) -> Probed {
        let version = self.route.version();
        let reason = |ended: Ended| self.masked(&ended.reason());
        let services = self.services(&version);
        let Opened { mut instance, abilities, figures, served } =
            self.open(&version, &services, None).await.map_err(reason)?;
        if !abilities.contains(Abilities::REQUEST) {
            // That it could be opened is all there is to know.
            return Ok(String::new());
        }
        count_call(figures.as_ref());
        let asked = tokio::time::timeout(version.call_time(), instance.request("probe", b"{}")).await;
        let probed = match asked {
            Ok(Ok(Ok(answer))) => Ok(self.said(&answer)),
            // A guest that rejects the operation does not know it, but it was opened.
            Ok(Ok(Err(Failure::Reject(_)))) => Ok(String::new()),
            Ok(Ok(Err(failure))) => Err(self.masked(&text_of(failure))),
            Ok(Err(trap)) => Err(trapped(figures.as_ref(), &trap)),
            Err(_) => Err(version.too_long("request", &instance)),
        };
        if probed.is_ok() {
            // It has answered; how it says goodbye does not matter.
            let _ = instance.close().await;
            own_ports::may_listen(&self.route, &served, &services).await?;
        }
        probed
    }

    /// Whether nothing waits here: what would be tried again is told, and gone.
    fn is_at_once(&self) -> bool {
        self.hosting.routes.is_at_once
    }

    fn now(&self) -> jiff::Timestamp {
        self.hosting.definitions_now().wall
    }

    fn now_ms(&self) -> u64 {
        self.hosting.core.clock.lifetime_ms()
    }

    /// Notes that a drive has ended by a panic; what it was delivering waits again.
    pub fn panicked(&self) {
        const REASON: &str = "its driver ended by a panic";
        let (number, version) = self.route.numbered_version();
        error!(target: "routes", route = &**version.definition.name(), "the driver of a route ended by a panic");
        self.slot.broke(number, REASON, self.now());
        self.record(&version, &RunError { code: "ROUTE_PANIC", message: REASON, ..RunError::default() }, 0);
    }

    /// Reports that the instance is not connected, with the first message of its batch. Logs the
    /// first failure, then at doubled counts.
    fn failed(&self, version: &Version, (code, reason): (&str, &str), handed: Option<&Handed>) {
        let payload: &[u8] = handed.map_or(&[], |handed| &handed.payload);
        if let Some(count) = self.route.count_failure(reason) {
            let error = records::logged_text(&self.tenant.programs().variables, reason, payload);
            let route = &**version.definition.name();
            warn!(target: "routes", route, reason = code, error, count, "route not connected");
        }
        let message = handed.map(|handed| format!("{}: {reason}", handed.event));
        let error = RunError {
            code,
            message: message.as_deref().unwrap_or(reason),
            topic: handed.map_or("", |handed| &handed.topic),
            payload,
            ..RunError::default()
        };
        self.record(version, &error, 0);
    }

    fn record(&self, version: &Version, error: &RunError<'_>, hops: u8) {
        this_turn::with(|turn| records::record(turn, &self.tenant, &version.definition, error, hops));
    }

    /// Returns the guest's text about the far side, as users see it. Empty if there is none.
    fn said(&self, answer: &[u8]) -> String {
        let text = String::from_utf8_lossy(answer);
        if matches!(text.trim(), "" | "{}") {
            return String::new();
        }
        let mut said = self.masked(&text);
        said.truncate(said.floor_char_boundary(PROBE_ANSWER_BYTES_MAX));
        said
    }

    /// Masks secrets in a text (routes reference §2), and passwords of connection strings.
    fn masked(&self, text: &str) -> String {
        let text = means::with_places(text, &self.far.lock());
        let text = means::with_refused_write(&text, || self.route.refused_write());
        let masked = self.tenant.programs().variables.masked_text(&text);
        lot_to_wasm::masked_passwords(&masked).into_owned()
    }
}

impl Serving<'_> {
    async fn serve(mut self) -> (Ended, Option<Handed>) {
        let _open = self.driver.slot.opens();
        loop {
            let (instance, figures) = (&mut self.instance, self.figures.as_ref());
            if let Some(ended) = self.paths.ask(self.driver, &self.version, instance, figures).await {
                return (ended, None);
            }
            let work = match self.next_work().await {
                Ok(Some(work)) => work,
                Ok(None) => break,
                Err(ended) => return (ended, None),
            };
            let ended = match work {
                Work::Batch(batch) => self.deliver(batch).await,
                Work::Question(question) => self.answer(question).await,
                Work::Run(run) => self.run_as_asked(run).await,
                Work::Probe(asker) => self.probe_as_asked(asker).await,
            };
            if let Some(ended) = ended {
                return (ended, self.handed);
            }
        }
        // How it says goodbye does not matter any more.
        let _ = tokio::time::timeout(self.version.call_time(), self.instance.close()).await;
        (Ended::Changed, None)
    }

    async fn deliver(&mut self, mut batch: PostBatch) -> Option<Ended> {
        // Out of the batch first: should this panic as well, it does not come again.
        while batch.first().is_some_and(|post| post.panics >= ROUTE_PANICS_MAX)
            && let Some(post) = batch.done()
        {
            failing::reject(
                self,
                post,
                "the driver of the route ended by a panic whenever it worked on this message",
            );
        }
        let values = deliveries::fill(self, &mut batch).await;
        if batch.is_empty() {
            drop(batch);
            self.work.end_turn_if_enough().await;
            return None;
        }
        self.instance.comes_behind(batch.iter().map(|post| post.hops).max().unwrap_or_default());
        #[cfg(debug_assertions)]
        self.driver.route.panic_on_planted(&batch);
        count_call(self.figures.as_ref());
        self.driver.route.note(|deliveries| deliveries.batches += 1);
        let called = {
            let deliveries = deliveries::deliveries(&batch, values, self.driver.now_ms());
            tokio::time::timeout(self.version.call_time(), self.instance.deliver(&deliveries)).await
        };
        let (failure, reason) = match called {
            Ok(Ok(Ok(receipt))) => match contradiction(&receipt, batch.len()) {
                Some(reason) => (CallFailure::Broke, reason),
                None => {
                    self.accepted(batch, &receipt).await;
                    return None;
                }
            },
            Ok(Ok(Err(failure))) => (CallFailure::from(&failure), text_of(failure)),
            Ok(Err(trap)) => (CallFailure::Broke, trapped(self.figures.as_ref(), &trap)),
            Err(_) => (CallFailure::Silent, self.version.too_long("deliver", &self.instance)),
        };
        failing::failed(self, batch, failure, &reason).await;
        match failure {
            CallFailure::Retry | CallFailure::Reject => None,
            CallFailure::Reconnect | CallFailure::Silent => Some(Ended::Away(reason)),
            CallFailure::Broke => Some(Ended::Broke(reason)),
            CallFailure::Fatal => Some(Ended::Fatal(reason)),
        }
    }

    async fn accepted(&mut self, mut batch: PostBatch, receipt: &Receipt) {
        let accepted = receipt.accepted as usize;
        let (mut passed, mut bytes, mut latency) = (0, 0, DurationCounts::default());
        // Takers with a finished message, and whether a message of theirs has passed.
        let mut done: Vec<(Addressee, bool)> = Vec::new();
        let now_ms = self.driver.now_ms();
        let rejected = receipt.rejected.iter().rev();
        let reasons: HashMap<usize, &str> =
            rejected.map(|rejection| (rejection.index as usize, &*rejection.reason)).collect();
        for index in 0..accepted {
            let Some(post) = batch.first() else { break };
            if done.last().is_none_or(|(to, _)| *to != post.to) {
                done.push((post.to.clone(), false));
            }
            match reasons.get(&index) {
                Some(reason) => failing::reject(self, post, reason),
                None => {
                    passed += 1;
                    bytes += post.message.payload.len() as u64;
                    let took = Duration::from_millis(now_ms.saturating_sub(post.waits_since_ms));
                    latency.observe(ROUTE_DELIVERY_BOUNDS, took, 1);
                    if let Some((_, has_passed)) = done.last_mut() {
                        *has_passed = true;
                    }
                    self.hand_on(post).await;
                }
            }
            batch.done();
            self.work.end_turn_if_enough().await;
        }
        let now = self.driver.now();
        self.driver.route.have_passed(self.driver.slot.instance, done.iter().map(|(to, _)| to));
        if passed > 0 {
            self.driver.route.update(|status| {
                status.passed(passed, now);
                let passed = done.iter().filter(|(_, has_passed)| *has_passed);
                passed.for_each(|(event, _)| status.event_passed(event, now));
                status.deliveries.bytes += bytes;
                status.deliveries.latency.add(&latency);
            });
            self.pause = Pause::retrying();
            self.away = Away::not_said(&self.version);
        }
        // Messages that were not accepted go back with the batch.
        if accepted == 0 && !batch.is_empty() {
            let reason = "the guest has accepted none of what it was handed, and rejected none";
            failing::failed(self, batch, CallFailure::Retry, reason).await;
        }
    }

    /// Hands a forwarded message to the other routes that store it as well (OD-52).
    async fn hand_on(&self, post: &RouteMessage) {
        if !matches!(post.to, Addressee::Event(_) | Addressee::Mapping(_)) {
            return;
        }
        for store in &self.version.said().stores {
            self.work.count(STORING_WORK + post.message.payload.len());
            if let Err(reason) = self.store(&store.route, &store.table, post) {
                let message = format!("not stored by route `{}`: {reason}", store.route);
                let error = RunError { code: "ROUTE_STORE", message: &message, ..RunError::default() };
                self.driver.record(&self.version, &error, post.hops);
            }
            self.work.end_turn_if_enough().await;
        }
    }

    /// Hands a message to another route as a row of a table. That route must have the same owner,
    /// or the owner must have the right.
    fn store(&self, route: &str, table: &str, post: &RouteMessage) -> Result<(), String> {
        let guests = &self.driver.tenant.programs().guests;
        let topic = format!("$SYS/Coreflux/Routes/{route}/Tables/{table}");
        let of_another = guests.route(route).filter(|it| {
            !self.services.rights.may_feed(&self.driver.tenant, &topic, &it.version().definition)
        });
        if of_another.is_some() {
            return Err("it belongs to another user".to_owned());
        }
        let (row, hops) = ((table, &*post.message.payload), post.hops.saturating_add(1));
        this_turn::with(|turn| {
            turn.tick();
            let stored = outgoing::store_row(
                guests,
                route,
                row,
                (turn, &self.driver.tenant, hops),
                post.message.lease.clone(),
            );
            turn.flush();
            stored
        })
    }

    fn run(&self) -> RunContext {
        RunContext::new(guest_id(&self.driver.tenant, self.version.definition.id))
    }

    /// Values that placeholders of the route name.
    fn names(&self) -> OfRoute<'_> {
        OfRoute(&self.services, self.run())
    }
}

fn count_call(figures: Option<&Arc<ModuleFigures>>) {
    if let Some(figures) = figures {
        figures.called();
    }
}
