//! A route guest and its instances: what the driver calls.

use super::{
    Delivery, Description, Endpoint, Failure, HostWork, Receipt, RouteServices,
    bindings::{LinkOptions, Route, RoutePre},
    host::RouteState,
};
use crate::{
    ComponentSource, Engine, Grants, GuestId, GuestLimits, LoadError, Trap, World, inert,
    memory::Memory,
    ticker::{Pace, Ticker},
    validate,
};
use std::{collections::HashMap, fmt, sync::Arc};
use wasmtime::{
    Store, UpdateDeadline,
    component::{HasSelf, Linker},
};

/// What an instance may do and use.
#[derive(Clone)]
pub struct RouteSpec {
    /// Names it to the server.
    pub id: GuestId,
    /// What the broker does for it.
    pub services: Arc<dyn RouteServices>,
    /// Topics that it may publish to, values that it may read.
    pub grants: Arc<Grants>,
    /// Where it may connect to, by name.
    pub endpoints: Arc<HashMap<String, Endpoint>>,
    /// Memory, and time per call; time in which it waits does not count.
    pub limits: GuestLimits,
}

/// A compiled component of the world `route`.
#[derive(Clone)]
pub struct RouteGuest {
    engine: Engine,
    pre: RoutePre<RouteState>,
    further_exports: Arc<[String]>,
}

impl fmt::Debug for RouteGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteGuest").finish_non_exhaustive()
    }
}

impl RouteGuest {
    /// Checks and compiles a component; see [`Engine::compile`].
    pub fn compile(
        engine: &Engine,
        component: &[u8],
        source: ComponentSource,
    ) -> Result<RouteGuest, LoadError> {
        let summary = validate::check(component, World::Route, source)?;
        let compiled = engine.native(component)?;
        let pre = linker(engine)
            .and_then(|linker| inert::link(&linker, &compiled, &summary.imports))
            .and_then(|linker| linker.instantiate_pre(&compiled))
            .and_then(RoutePre::new)
            .map_err(|error| LoadError::WorldMismatch {
                world: World::Route.name(),
                reason: crate::guest::short(&error),
            })?;
        Ok(RouteGuest { engine: engine.clone(), pre, further_exports: summary.further_exports.into() })
    }

    /// Exports that the world does not have; nobody calls them.
    pub fn further_exports(&self) -> &[String] {
        &self.further_exports
    }

    /// Makes an instance. It is on the network only when `open` connects.
    pub async fn instance(&self, spec: RouteSpec) -> Result<RouteInstance, Trap> {
        let memory_bytes = spec.limits.memory_bytes.min(self.engine.memory_bytes_max());
        let memory = Memory::new(memory_bytes, spec.grants.acting.now().account, self.engine.memory());
        let mut state = RouteState::new(spec.services, spec.grants, spec.id, spec.endpoints, memory);
        state.begin(spec.limits.time);
        let work = state.work.clone();
        let ticker = self.engine.ticker().clone();
        let mut store = Store::new(self.engine.wasmtime(), state);
        store.limiter(|state| &mut state.memory);
        let ticking = ticker.clone();
        store.epoch_deadline_callback(move |mut store| {
            store.data_mut().tick()?;
            ticking.run_begins(Pace::Coarse);
            Ok(UpdateDeadline::Yield(1))
        });
        ticker.run_begins(Pace::Coarse);
        store.set_epoch_deadline(1);
        match self.pre.instantiate_async(&mut store).await {
            Ok(exports) => Ok(RouteInstance { store, exports, work, ticker, limits: spec.limits }),
            Err(error) => Err(explain(&error, &store, &spec.limits)),
        }
    }
}

/// One instance: one connection to the other system. After a [`Trap`] it must be dropped.
pub struct RouteInstance {
    store: Store<RouteState>,
    exports: Route,
    work: HostWork,
    ticker: Ticker,
    limits: GuestLimits,
}

impl fmt::Debug for RouteInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteInstance").finish_non_exhaustive()
    }
}

/// What a call of a route guest gives: its own answer, or the trap that ended it.
type Called<T> = Result<T, Trap>;

impl RouteInstance {
    /// The means to end a `run` that waits.
    pub fn host_work(&self) -> HostWork {
        self.work.clone()
    }

    /// What the guest says it is.
    pub async fn describe(&mut self) -> Called<Description> {
        self.begin();
        let called = self.exports.lotmq_guest_route_handler().call_describe(&mut self.store).await;
        self.end(called)
    }

    /// Opens the connection; `configuration` is JSON without secrets.
    pub async fn open(&mut self, configuration: &str) -> Called<Result<(), Failure>> {
        self.begin();
        let handler = self.exports.lotmq_guest_route_handler();
        let called = handler.call_open(&mut self.store, configuration).await;
        self.end(called)
    }

    /// Hands messages over, in order.
    pub async fn deliver(&mut self, batch: &[Delivery]) -> Called<Result<Receipt, Failure>> {
        self.begin();
        let handler = self.exports.lotmq_guest_route_handler();
        let called = handler.call_deliver(&mut self.store, batch).await;
        self.end(called)
    }

    /// Lets the guest poll, read and serve for about so long, in milliseconds; shorter when [`HostWork::announce`] is called. Gives the time after
    /// which it wants to run again at the latest.
    pub async fn run(&mut self, until_ms: u32) -> Called<Result<u32, Failure>> {
        self.begin();
        let called = self.exports.lotmq_guest_route_handler().call_run(&mut self.store, until_ms).await;
        self.end(called)
    }

    /// Asks the guest something; the body is JSON both ways.
    pub async fn request(&mut self, operation: &str, body: &[u8]) -> Called<Result<Vec<u8>, Failure>> {
        self.begin();
        let handler = self.exports.lotmq_guest_route_handler();
        let called = handler.call_request(&mut self.store, operation, body).await;
        self.end(called)
    }

    /// Lets the guest say goodbye.
    pub async fn close(mut self) -> Called<()> {
        self.begin();
        let called = self.exports.lotmq_guest_route_handler().call_close(&mut self.store).await;
        self.end(called)
    }

    fn begin(&mut self) {
        self.ticker.run_begins(Pace::Coarse);
        self.store.data_mut().begin(self.limits.time);
        self.store.set_epoch_deadline(1);
    }

    fn end<T>(&self, called: wasmtime::Result<T>) -> Called<T> {
        called.map_err(|error| explain(&error, &self.store, &self.limits))
    }
}

fn explain(error: &wasmtime::Error, store: &Store<RouteState>, limits: &GuestLimits) -> Trap {
    crate::trap::explain(error, store.data().memory.refused(), limits.memory_bytes)
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<RouteState>> {
    let mut linker = Linker::new(engine.wasmtime());
    let mut options = LinkOptions::default();
    options.route(true);
    Route::add_to_linker::<_, HasSelf<_>>(&mut linker, &options, |state| state)?;
    Ok(linker)
}
