//! Driver of a route: opens its guest, hands it waiting messages, and does what the classes of failure ask for (routes reference §3.3, §3.4).
//!
//! Every route is a task on the thread of routes, which has a turn of its own; while a guest waits, others run. Nothing is lost but by a
//! stated policy: what a guest has not accepted is delivered again, what can never pass is counted and told.

mod answer;
mod pause;
mod running;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_definitions::RunError;
use lotmq_host::fiber::{Endpoint, EndpointTls, RouteFolder};
use lotmq_host::route::{Abilities, Delivery, Failure, Receipt, RouteGuest, RouteInstance, RouteSpec};
use lotmq_host::{
    Acting, BorrowedMessage, Grants, GuestLimits, RunContext, Services as _, Trap, limits::ROUTE_TIME,
};
use tracing::{error, info, warn};

use super::configuration::without_delay;
use super::delivery::{delivery, placeholders, told_of_error};
use super::endpoints::{GrantedPlaces, endpoints};
use super::folders::{self, folders};
use super::schema;
use super::template::OfRoute;
use super::tls_profiles::{self, NamedTls};
use crate::guests::HasPrograms as _;
use crate::guests::guest_id::guest_id;
use crate::guests::hosting::Hosting;
use crate::guests::route_modules::{self, ModuleFigures};
use crate::guests::routes::batch::PostBatch;
use crate::guests::routes::mailbox::{Addressee, Post};
use crate::guests::routes::runner::{RouteCode, RouteRunner, Version, Work};
use crate::guests::routes::standing::Connection;
use crate::guests::services::TenantServices;
use crate::guests::{effects, records};
use crate::limits::{ROUTE_PANICS_MAX, ROUTE_RETRIES_MIN, ROUTE_RETRY_TIME_MIN};
use crate::process::this_turn;
use lotmq_core::tenant::Tenant;
pub(super) use pause::Pause;
use running::Runs;

/// Driver of one route.
pub(super) struct Driver {
    pub(super) hosting: Arc<Hosting>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) route: Arc<RouteRunner>,
}

/// Reason why an instance was given up.
enum Ended {
    /// Another version, or the end.
    Changed,
    /// The far side is away, or the guest broke: pause, then a new instance.
    Away(String),
    /// Only people can correct it.
    Fatal(String),
}

/// Instance that was opened.
struct Opened {
    instance: RouteInstance,
    abilities: Abilities,
    /// Counts of its module; `None` of a guest of this build.
    figures: Option<Arc<ModuleFigures>>,
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
    retries: Option<Retries>,
}

/// Retries of the same message: their number and since when.
struct Retries {
    sequence: u64,
    count: u32,
    since: Instant,
}

/// Guard for the end of a drive: then nobody waits for an answer any more.
struct End(Arc<RouteRunner>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end_questions();
    }
}

impl Driver {
    /// Drives the route until it is removed.
    pub(super) async fn drive(self: Arc<Self>) {
        let _end = End(Arc::clone(&self.route));
        let mut pause = Pause::reconnecting();
        while let Some((number, version)) = self.route.current() {
            match self.serve(number, &version, &mut pause).await {
                Ended::Changed => pause = Pause::reconnecting(),
                Ended::Away(reason) if self.is_at_once() => {
                    self.failed(&version, Connection::Reconnecting, "ROUTE_AWAY", &reason);
                }
                Ended::Away(reason) => {
                    self.failed(&version, Connection::Reconnecting, "ROUTE_AWAY", &reason);
                    tokio::select! {
                        () = tokio::time::sleep(pause.next()) => {}
                        () = self.route.changed(number) => {}
                    }
                }
                Ended::Fatal(reason) => {
                    self.route.refuse_questions(number, &self.masked(&reason));
                    self.failed(&version, Connection::Disconnected, "ROUTE_STOPPED", &reason);
                    self.route.changed(number).await;
                }
            }
        }
    }

    async fn serve(&self, number: u64, version: &Arc<Version>, pause: &mut Pause) -> Ended {
        let services = self.services(version);
        let Opened { instance, abilities, figures } = match self.open(version, &services).await {
            Ok(opened) => opened,
            // It would be away for ever where nothing changes by itself.
            Err(Ended::Away(reason)) if self.is_at_once() => return Ended::Fatal(reason),
            Err(ended) => return ended,
        };
        let now = self.now();
        self.route.update(|standing| standing.connection_is(Connection::Connected, now));
        info!(target: "routes", route = &**version.definition.name(), "route connected");
        let connected = Instant::now();
        let serving = Serving {
            driver: self,
            number,
            version: Arc::clone(version),
            services,
            instance,
            abilities,
            figures,
            // Where time stands still nothing comes by itself.
            runs: (abilities.contains(Abilities::RUN) && !self.is_at_once()).then(Runs::at_once),
            pause: Pause::retrying(),
            retries: None,
        };
        let ended = serving.serve().await;
        pause.was_well_for(connected.elapsed());
        ended
    }

    /// Services of the broker for a version of the route.
    fn services(&self, version: &Version) -> Arc<TenantServices> {
        Arc::new(TenantServices::new(&self.tenant, &self.hosting, &version.definition))
    }

    /// Opens an instance of the code that the route has now.
    async fn open(&self, version: &Version, services: &Arc<TenantServices>) -> Result<Opened, Ended> {
        let uuid = || super::uuid_text(&*self.hosting.ambient);
        let id = guest_id(&self.tenant, version.definition.id);
        let names = OfRoute(services, RunContext::new(id));
        let configuration = super::configuration::configuration(version.said(), &names, uuid)
            .map_err(|missing| Ended::Fatal(missing.to_string()))?;
        let configuration = if self.is_at_once() { without_delay(configuration) } else { configuration };
        let (guest, spec, figures) = self.code(version, services, &names).await?;
        let away = |trap: Trap| {
            count_trap(figures.as_ref());
            Ended::Away(trap.to_string())
        };
        let mut instance = guest.instance(spec).await.map_err(away)?;
        let call_time = version.call_time();
        let described = tokio::time::timeout(call_time, instance.describe()).await;
        let described = described.map_err(|_| Ended::Away(too_long(call_time)))?.map_err(away)?;
        let abilities = described.abilities;
        if !abilities.contains(Abilities::DELIVER) && !version.said().events.is_empty() {
            return Err(Ended::Fatal("its guest takes no messages, so it can have no events".to_owned()));
        }
        let configuration = schema::checked(&described.configuration, configuration)
            .map_err(|reason| Ended::Fatal(reason.to_string()))?
            .to_string();
        count_call(figures.as_ref());
        let opened = tokio::time::timeout(call_time, instance.open(&configuration)).await;
        match opened {
            Ok(Ok(Ok(()))) => Ok(Opened { instance, abilities, figures }),
            Ok(Ok(Err(failure))) => Err(ended(failure)),
            Ok(Err(trap)) => Err(away(trap)),
            Err(_) => Err(Ended::Away(too_long(call_time))),
        }
    }

    /// Code that the route has now, what its instances may do and use, and the figures of a module.
    async fn code(
        &self,
        version: &Version,
        services: &Arc<TenantServices>,
        names: &OfRoute<'_>,
    ) -> Result<(RouteGuest, RouteSpec, Option<Arc<ModuleFigures>>), Ended> {
        let definition = &version.definition;
        let acting = Acting { version: definition.version, account: definition.shared_account() };
        let spec = RouteSpec {
            id: guest_id(&self.tenant, definition.id),
            services: Arc::clone(services) as _,
            grants: Arc::default(),
            endpoints: Arc::default(),
            folders: Arc::default(),
            limits: GuestLimits { time: ROUTE_TIME, ..GuestLimits::default() },
        };
        let of_text = super::grants(definition.facts(), acting);
        match &version.code {
            RouteCode::Own(guest) => {
                let endpoints = Arc::new(self.endpoints(version, names, None).await?);
                let folders = self.folders(version, names, &of_text, None).await?;
                Ok((guest.clone(), RouteSpec { grants: Arc::new(of_text), endpoints, folders, ..spec }, None))
            }
            RouteCode::Module(name) => {
                let found = self.tenant.programs().guests.route_module(name);
                let (module, figures) = found.map_err(Ended::Fatal)?;
                let granted = GrantedPlaces { module: name, places: &module.places };
                let endpoints = Arc::new(self.endpoints(version, names, Some(granted)).await?);
                let grants = Arc::new(route_modules::both(of_text, &module.grants));
                let folders = self.folders(version, names, &grants, Some(name)).await?;
                let spec = RouteSpec { grants, endpoints, folders, limits: module.limits, ..spec };
                Ok((module.guest.clone(), spec, Some(figures)))
            }
        }
    }

    async fn endpoints(
        &self,
        version: &Version,
        names: &OfRoute<'_>,
        granted: Option<GrantedPlaces<'_>>,
    ) -> Result<HashMap<String, Endpoint>, Ended> {
        let fatal = |reason: String| Ended::Fatal(reason);
        let named = tls_profiles::named(version.said(), names).map_err(|reason| fatal(reason.to_string()))?;
        let tls = self.tls(named).await?;
        let made = endpoints(version.said(), names, granted, &tls);
        made.map_err(|reason| fatal(reason.to_string()))
    }

    /// TLS of the sections that ask for it.
    async fn tls(&self, named: Vec<NamedTls>) -> Result<HashMap<String, EndpointTls>, Ended> {
        if named.is_empty() {
            return Ok(HashMap::new());
        }
        let site = self.site();
        let read = tokio::task::spawn_blocking(move || tls_profiles::read(named, &site)).await;
        let read = read.map_err(|_| Ended::Away("its certificates could not be read".to_owned()))?;
        read.map_err(|reason| match reason.may_pass() {
            true => Ended::Away(reason.to_string()),
            false => Ended::Fatal(reason.to_string()),
        })
    }

    /// What the operator says of folders and files of routes.
    fn site(&self) -> folders::Site {
        let config = &self.hosting.config;
        folders::Site {
            roots: config.routes.file_roots.iter().map(Into::into).collect(),
            own: config.data.path.join("files").join(&*self.tenant.name),
            data_directory: config.data.path.clone(),
            reserve_bytes: config.limits.disk_reserve_bytes,
        }
    }

    /// The folders that the version names, as it may use them.
    async fn folders(
        &self,
        version: &Version,
        names: &OfRoute<'_>,
        grants: &Grants,
        module: Option<&str>,
    ) -> Result<Arc<HashMap<String, RouteFolder>>, Ended> {
        let named = folders::named(version.said(), names);
        if named.is_empty() {
            return Ok(Arc::default());
        }
        let site = self.site();
        let (grants, module) = (grants.clone(), module.map(str::to_owned));
        let work = move || folders(named, &grants, module.as_deref(), &site);
        let made = tokio::task::spawn_blocking(work).await;
        let made = made.map_err(|_| Ended::Away("its folders could not be looked at".to_owned()))?;
        made.map(Arc::new).map_err(|reason| Ended::Fatal(reason.to_string()))
    }

    /// Opens another instance and asks it whether the far side can be reached.
    pub(super) async fn probe(&self) -> Result<(), String> {
        let version = self.route.version();
        let reason = |ended| match ended {
            Ended::Away(reason) | Ended::Fatal(reason) => self.masked(&reason),
            Ended::Changed => "the route has changed".to_owned(),
        };
        let services = self.services(&version);
        let Opened { mut instance, abilities, figures } =
            self.open(&version, &services).await.map_err(reason)?;
        if !abilities.contains(Abilities::REQUEST) {
            // That it could be opened is all there is to know.
            return Ok(());
        }
        count_call(figures.as_ref());
        let asked = tokio::time::timeout(version.call_time(), instance.request("probe", b"{}")).await;
        let probed = match asked {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(failure))) => Err(self.masked(&text_of(failure))),
            Ok(Err(trap)) => {
                count_trap(figures.as_ref());
                Err(trap.to_string())
            }
            Err(_) => Err(too_long(version.call_time())),
        };
        if probed.is_ok() {
            // It has answered; how it says goodbye does not matter.
            let _ = instance.close().await;
        }
        probed
    }

    /// Whether nothing waits here: what fails is refused instead of being tried again.
    fn is_at_once(&self) -> bool {
        self.hosting.routes.is_at_once
    }

    fn now(&self) -> jiff::Timestamp {
        self.hosting.definitions_now().wall
    }

    fn now_ms(&self) -> u64 {
        self.hosting.clock.wall_ms()
    }

    /// Notes that a drive has ended by a panic; what it was delivering waits again.
    pub(super) fn panicked(&self) {
        const REASON: &str = "its driver ended by a panic";
        let version = self.route.version();
        error!(target: "routes", route = &**version.definition.name(), "the driver of a route ended by a panic");
        let now = self.now();
        self.route.update(|standing| {
            standing.failed(0, REASON, now);
            standing.connection_is(Connection::Reconnecting, now);
        });
        self.record(&version, &RunError { code: "ROUTE_PANIC", message: REASON, ..RunError::default() }, 0);
    }

    /// Notes that the route stands still.
    fn failed(&self, version: &Version, connection: Connection, code: &str, reason: &str) {
        let reason = self.masked(reason);
        let now = self.now();
        self.route.update(|standing| {
            standing.failed(0, &reason, now);
            standing.connection_is(connection, now);
        });
        // The reason may be the far side's own words, which are for the route's topics.
        warn!(target: "routes", route = &**version.definition.name(), reason = code, "route not connected");
        self.record(version, &RunError { code, message: &reason, ..RunError::default() }, 0);
    }

    fn record(&self, version: &Version, error: &RunError<'_>, hops: u8) {
        this_turn::with(|turn| records::record(turn, &self.tenant, &version.definition, error, hops));
    }

    /// Masks the values of secrets in a text (routes reference §2).
    fn masked(&self, text: &str) -> String {
        self.tenant.programs().variables.masked_text(text).into_owned()
    }
}

impl Serving<'_> {
    async fn serve(mut self) -> Ended {
        loop {
            let work = match self.next_work().await {
                Ok(Some(work)) => work,
                Ok(None) => break,
                Err(ended) => return ended,
            };
            let ended = match work {
                Work::Batch(batch) => self.deliver(batch).await,
                Work::Question(question) => self.answer(question).await,
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
        // How it says goodbye does not matter any more.
        let _ = tokio::time::timeout(self.version.call_time(), self.instance.close()).await;
        Ended::Changed
    }

    async fn deliver(&mut self, mut batch: PostBatch) -> Option<Ended> {
        // Out of the batch first: should this panic as well, it does not come again.
        while batch.first().is_some_and(|post| post.panics >= ROUTE_PANICS_MAX)
            && let Some(post) = batch.done()
        {
            self.reject(&post, "the driver of the route ended by a panic whenever it worked on this message");
        }
        let deliveries = self.deliveries(&mut batch);
        if batch.is_empty() {
            return None;
        }
        self.driver.route.work_on(batch.iter());
        #[cfg(test)]
        self.driver.route.panic_on_planted(&batch);
        count_call(self.figures.as_ref());
        self.driver.route.note(|deliveries| deliveries.batches += 1);
        let called = tokio::time::timeout(self.version.call_time(), self.instance.deliver(&deliveries)).await;
        match called {
            Ok(Ok(Ok(receipt))) => self.accepted(batch, &receipt).await,
            Ok(Ok(Err(Failure::Retry(reason)))) => {
                self.retry(batch, &reason).await;
                None
            }
            Ok(Ok(Err(Failure::Reject(reason)))) => {
                self.refused(batch, &reason);
                None
            }
            Ok(Ok(Err(failure))) if self.driver.is_at_once() => {
                let ended = ended(failure.clone());
                self.refused(batch, &text_of(failure));
                Some(ended)
            }
            Ok(Ok(Err(failure))) => {
                self.comes_again(&batch);
                Some(ended(failure))
            }
            Ok(Err(trap)) => {
                count_trap(self.figures.as_ref());
                let reason = trap.to_string();
                self.refused(batch, &reason);
                Some(Ended::Away(reason))
            }
            Err(_) if self.driver.is_at_once() => {
                self.refused(batch, &too_long(self.version.call_time()));
                Some(Ended::Away(too_long(self.version.call_time())))
            }
            Err(_) => {
                // Who does not answer is away: nothing is known against the messages, but that there may be too many of them for one call.
                self.comes_again(&batch);
                batch.put_back_halved();
                Some(Ended::Away(too_long(self.version.call_time())))
            }
        }
    }

    /// Makes the deliveries of a batch, with the values of their placeholders; a message that cannot be filled is rejected when those before it are done.
    fn deliveries(&self, batch: &mut PostBatch) -> Vec<Delivery> {
        let mut deliveries = Vec::with_capacity(batch.len());
        while let Some(post) = batch.get(deliveries.len()) {
            let (said, names) = (self.version.said(), self.names());
            match placeholders(said, (&post.to, &post.message), self.driver.now(), &names) {
                Ok(placeholders) => {
                    let message = (&*post.message, self.driver.now_ms());
                    deliveries.push(delivery(&post.to, message, post.sequence, placeholders));
                }
                Err(reason) if deliveries.is_empty() => {
                    self.reject(post, &reason);
                    batch.done();
                }
                Err(_) => batch.put_back_from(deliveries.len()),
            }
        }
        deliveries
    }

    async fn accepted(&mut self, mut batch: PostBatch, receipt: &Receipt) -> Option<Ended> {
        let accepted = usize::try_from(receipt.accepted).unwrap_or(usize::MAX).min(batch.len());
        let (mut passed, mut bytes) = (0, 0);
        for index in 0..accepted {
            let Some(post) = batch.first() else { break };
            let rejection = receipt.rejected.iter().find(|rejection| rejection.index as usize == index);
            match rejection {
                Some(rejection) => self.reject(post, &rejection.reason),
                None => {
                    passed += 1;
                    bytes += post.message.payload.len() as u64;
                    self.hand_on(post);
                }
            }
            batch.done();
        }
        let now = self.driver.now();
        if passed > 0 {
            self.driver.route.update(|standing| {
                standing.passed(passed, now);
                standing.deliveries.bytes += bytes;
            });
            self.pause = Pause::retrying();
        }
        // What was not accepted goes back with the batch.
        if accepted == 0 && !batch.is_empty() {
            self.retry(batch, "nothing was accepted").await;
        }
        None
    }

    /// Hands a forwarded message to the other routes that store it as well (OD-52).
    fn hand_on(&self, post: &Post) {
        if !matches!(post.to, Addressee::Event(_) | Addressee::Mapping(_)) {
            return;
        }
        for store in &self.version.said().stores {
            if let Err(reason) = self.store(&store.route, &store.table, post) {
                let message = format!("not stored by route `{}`: {reason}", store.route);
                let error = RunError { code: "ROUTE_STORE", message: &message, ..RunError::default() };
                self.driver.record(&self.version, &error, post.hops);
            }
        }
    }

    /// Hands a message to another route as a row of a table there, if that is one of the same owner or he may.
    fn store(&self, route: &str, table: &str, post: &Post) -> Result<(), String> {
        let guests = &self.driver.tenant.programs().guests;
        let topic = format!("$SYS/Coreflux/Routes/{route}/Tables/{table}");
        let of_another = guests.route(route).filter(|it| {
            !self.services.rights.may_feed(&self.driver.tenant, &topic, &it.version().definition)
        });
        if of_another.is_some() {
            return Err("it belongs to another user".to_owned());
        }
        let (row, hops) = ((table, &*post.message.payload), post.hops.saturating_add(1));
        guests.store_row(route, row, (self.driver.now_ms(), hops), post.message.lease.clone())
    }

    fn run(&self) -> RunContext {
        RunContext::new(guest_id(&self.driver.tenant, self.version.definition.id))
    }

    /// Values that placeholders of the route name.
    fn names(&self) -> OfRoute<'_> {
        OfRoute(&self.services, self.run())
    }

    /// Tries the same again after a pause, unless that has been done for long enough.
    async fn retry(&mut self, mut batch: PostBatch, reason: &str) {
        if self.driver.is_at_once() {
            return self.refused(batch, reason);
        }
        let Some(post) = batch.first() else { return };
        let first = post.sequence;
        let retries = match self.retries.take() {
            Some(retries) if retries.sequence == first => Retries { count: retries.count + 1, ..retries },
            _ => Retries { sequence: first, count: 1, since: Instant::now() },
        };
        if retries.count >= ROUTE_RETRIES_MIN && retries.since.elapsed() >= ROUTE_RETRY_TIME_MIN {
            self.reject(post, reason);
            batch.done();
        } else {
            self.retries = Some(retries);
            let (now, reason) = (self.driver.now(), self.driver.masked(reason));
            self.driver.route.update(|standing| standing.failed(0, &reason, now));
        }
        self.comes_again(&batch);
        drop(batch);
        self.pause().await;
    }

    async fn pause(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(self.pause.next()) => {}
            () = self.driver.route.changed(self.number) => {}
        }
    }

    /// Handles a batch that did not pass: a single message is rejected; several are tried again by halves, until it is known which did not pass.
    fn refused(&self, mut batch: PostBatch, reason: &str) {
        match batch.first() {
            Some(post) if batch.len() == 1 => {
                self.reject(post, reason);
                batch.done();
            }
            _ => {
                self.comes_again(&batch);
                batch.put_back_halved();
            }
        }
    }

    /// Counts messages that did not pass and are to come again.
    fn comes_again(&self, batch: &PostBatch) {
        let count = batch.len() as u64;
        self.driver.route.note(|deliveries| deliveries.retried += count);
    }

    /// Rejects a message that can never pass: it is counted, reported and dropped.
    fn reject(&self, post: &Post, reason: &str) {
        let reason = self.driver.masked(reason);
        let now = self.driver.now();
        self.driver.route.update(|standing| standing.failed(1, &reason, now));
        let topic = &*post.message.topic;
        let error = RunError {
            code: "ROUTE_REJECTED",
            message: &reason,
            topic,
            payload: &post.message.payload,
            ..RunError::default()
        };
        self.driver.record(&self.version, &error, post.hops);
        let (said, names) = (self.version.said(), self.names());
        let told = (&**self.version.definition.name(), reason.as_str());
        let Some((topic, payload)) = told_of_error(said, (&post.to, &post.message), now, &names, told) else {
            return;
        };
        let message = BorrowedMessage::new(&topic, payload.as_bytes());
        if !self.services.message_bounds().include_topic(&topic)
            || !self.services.may_write(&self.run(), &message)
        {
            return;
        }
        let definition = &self.version.definition;
        let answer = effects::GuestMessage::new(&topic, payload.as_bytes());
        let sender = effects::Sender {
            owner: definition.owner().map(|owner| &owner.name),
            origin: Some(definition.id),
            hops: post.hops.saturating_add(1),
        };
        this_turn::with(|turn| {
            turn.tick();
            answer.publish(turn, &self.driver.tenant, sender);
            turn.flush();
        });
    }
}

fn count_call(figures: Option<&Arc<ModuleFigures>>) {
    if let Some(figures) = figures {
        figures.called();
    }
}

fn count_trap(figures: Option<&Arc<ModuleFigures>>) {
    if let Some(figures) = figures {
        figures.trapped();
    }
}

fn ended(failure: Failure) -> Ended {
    match failure {
        Failure::Fatal(reason) => Ended::Fatal(reason),
        Failure::Retry(reason) | Failure::Reconnect(reason) | Failure::Reject(reason) => Ended::Away(reason),
    }
}

fn text_of(failure: Failure) -> String {
    match failure {
        Failure::Retry(reason)
        | Failure::Reconnect(reason)
        | Failure::Reject(reason)
        | Failure::Fatal(reason) => reason,
    }
}

fn too_long(time: Duration) -> String {
    format!("it took longer than {} s", time.as_secs())
}
