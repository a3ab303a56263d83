//! A route guest and its instances: the calls of the driver.

use super::{
    Description, Failure, LentDelivery, Receipt, RouteServices,
    bindings::{
        Route, RoutePre,
        lotmq::guest::{far_side, ingest, message_properties, retained, types},
    },
    deliver::{Deliver, DeliverExport},
    described,
    host::RouteState,
};
use crate::{
    Compiler, ComponentSource, Engine, Grants, GuestId, GuestLimits, LoadError, Trap, World,
    engine::CodeShare,
    fiber::{self, CallResult, Endpoint, Fiber, FiberState, HostWork, Places, RouteFolder, SerialLine},
    inert,
    memory::Memory,
    texts::shorten,
    validate,
};
use std::{collections::HashMap, fmt, sync::Arc};
use wasmtime::{
    Store,
    component::{HasSelf, Linker},
};

/// Identity, services and limits of an instance.
#[derive(Clone)]
pub struct RouteSpec {
    /// Names it to the server.
    pub id: GuestId,
    /// Services of the broker for it.
    pub services: Arc<dyn RouteServices>,
    /// Topics that it may publish to, values that it may read.
    pub grants: Arc<Grants>,
    /// Endpoints that it may connect to, by name.
    pub endpoints: Arc<HashMap<String, Endpoint>>,
    /// Folders in which it has files, by name.
    pub folders: Arc<HashMap<String, RouteFolder>>,
    /// Serial ports that it may open, by name.
    pub serial_lines: Arc<HashMap<String, SerialLine>>,
    /// Memory, and time per call; time in which it waits does not count.
    pub limits: GuestLimits,
}

/// A compiled component of the world `route`.
#[derive(Clone)]
pub struct RouteGuest {
    engine: Engine,
    pre: RoutePre<RouteState>,
    deliver: DeliverExport,
    imports: Arc<[String]>,
    further_exports: Arc<[String]>,
    description: Option<Arc<Description>>,
    _code: CodeShare,
}

impl fmt::Debug for RouteGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteGuest").finish_non_exhaustive()
    }
}

impl RouteGuest {
    /// Checks and compiles a component, see [`Engine::compile`], and asks it for its description.
    pub fn compile<'a>(
        compiler: impl Into<Compiler<'a>>,
        component: &[u8],
        source: ComponentSource,
    ) -> Result<RouteGuest, LoadError> {
        let summary = validate::check(component, World::Route, source)?;
        let compiler = compiler.into();
        let engine = compiler.engine;
        let (compiled, code) = compiler.component(component, source)?;
        let mismatch = |error: wasmtime::Error| LoadError::world_mismatch(World::Route, &error);
        let pre = linker(engine)
            .and_then(|linker| inert::link(&linker, &compiled, &summary.imports))
            .and_then(|linker| linker.instantiate_pre(&compiled))
            .and_then(RoutePre::new)
            .map_err(mismatch)?;
        let deliver = DeliverExport::of(&compiled).map_err(mismatch)?;
        let (imports, further_exports) = (summary.imports.into(), summary.further_exports.into());
        let description = None;
        let engine = engine.clone();
        let mut guest =
            RouteGuest { engine, pre, deliver, imports, further_exports, description, _code: code };
        guest.description = described::describe(&guest).map(Arc::new);
        Ok(guest)
    }

    /// Returns the description of the guest. `None` if the guest could not give it without being
    /// opened.
    pub fn description(&self) -> Option<&Description> {
        self.description.as_deref()
    }

    /// Names of its imports, with versions.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Exports that the world does not have; nobody calls them.
    pub fn further_exports(&self) -> &[String] {
        &self.further_exports
    }

    /// Makes an instance. It is on the network only when `open` connects.
    pub async fn instance(&self, spec: RouteSpec) -> Result<RouteInstance, Trap> {
        let memory_bytes = spec.limits.memory_bytes.min(self.engine.memory_bytes_max());
        let memory = Memory::new(memory_bytes, spec.grants.acting.now().account, self.engine.memory())?;
        let services = Arc::clone(&spec.services);
        let RouteSpec { endpoints, folders, serial_lines, .. } = spec;
        let places = Places { endpoints, folders, serial_lines };
        let shares = (memory, self.engine.sockets());
        let fiber = FiberState::new(services.clone(), spec.grants, spec.id, places, shares);
        let mut fiber =
            Fiber::new(&self.engine, RouteState { fiber, services, says_away: false }, spec.limits)?;
        let made = self.pre.instance_pre().instantiate_async(&mut fiber.store).await;
        let made = made.and_then(|instance| Ok((Route::new(&mut fiber.store, &instance)?, instance)));
        let (exports, instance) = fiber.end(made)?;
        let deliver = Deliver::of(&mut fiber.store, &instance, self.deliver);
        let deliver = fiber.end(deliver)?;
        Ok(RouteInstance { fiber, exports, deliver })
    }
}

/// One instance: one connection to the other system. After a [`Trap`] it must be dropped.
pub struct RouteInstance {
    fiber: Fiber<RouteState>,
    exports: Route,
    deliver: Deliver,
}

impl fmt::Debug for RouteInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteInstance").finish_non_exhaustive()
    }
}

impl RouteInstance {
    /// The means to end a `run` that waits.
    pub fn host_work(&self) -> HostWork {
        self.fiber.host_work()
    }

    /// Whether the guest itself has run for most of the call that began last, and waited for
    /// little: of one that was given up, whose fault it was.
    pub fn has_computed(&self) -> bool {
        self.fiber.has_computed()
    }

    /// Sets the hops of the message that causes the following calls. Effects of these calls count
    /// from there.
    pub fn comes_behind(&mut self, hops: u8) {
        self.fiber.store.data_mut().fiber.run.hops = hops;
    }

    /// Whether the guest has said in the call that began last that the far side is away, and that
    /// it goes on with it as soon as it is not.
    pub fn says_away(&self) -> bool {
        self.fiber.store.data().says_away
    }

    /// Calls the guest for its description.
    pub async fn describe(&mut self) -> CallResult<Description> {
        let store = begin(&mut self.fiber);
        let called = self.exports.lotmq_guest_route_handler().call_describe(store).await;
        self.fiber.end(called)
    }

    /// Opens the connection; `configuration` is JSON without secrets.
    pub async fn open(&mut self, configuration: &str) -> CallResult<Result<(), Failure>> {
        let store = begin(&mut self.fiber);
        let handler = self.exports.lotmq_guest_route_handler();
        let called = handler.call_open(store, configuration).await;
        self.fiber.end(called).map(shortened)
    }

    /// Hands messages over, in order.
    pub async fn deliver(&mut self, batch: &[LentDelivery<'_>]) -> CallResult<Result<Receipt, Failure>> {
        let store = begin(&mut self.fiber);
        let called = self.deliver.call(store, batch).await;
        let mut answered = self.fiber.end(called).map(shortened);
        if let Ok(Ok(receipt)) = &mut answered {
            receipt.rejected.iter_mut().for_each(|rejection| shorten(&mut rejection.reason));
        }
        answered
    }

    /// Lets the guest poll, read and serve for about so long, in milliseconds; shorter when
    /// [`HostWork::announce`] is called. Gives the time after which it wants to run again at the
    /// latest.
    pub async fn run(&mut self, until_ms: u32) -> CallResult<Result<u32, Failure>> {
        let store = begin(&mut self.fiber);
        let called = self.exports.lotmq_guest_route_handler().call_run(store, until_ms).await;
        self.fiber.end(called).map(shortened)
    }

    /// Asks the guest something; the body is JSON both ways.
    pub async fn request(&mut self, operation: &str, body: &[u8]) -> CallResult<Result<Vec<u8>, Failure>> {
        let store = begin(&mut self.fiber);
        let handler = self.exports.lotmq_guest_route_handler();
        let called = handler.call_request(store, operation, body).await;
        self.fiber.end(called).map(shortened)
    }

    /// Lets the guest say goodbye.
    pub async fn close(mut self) -> CallResult<()> {
        let store = begin(&mut self.fiber);
        let called = self.exports.lotmq_guest_route_handler().call_close(store).await;
        self.fiber.end(called)
    }
}

/// A call begins.
fn begin(fiber: &mut Fiber<RouteState>) -> &mut Store<RouteState> {
    let store = fiber.begin();
    store.data_mut().says_away = false;
    store
}

/// Returns the answer of a guest, with the text of a failure cut to its bound.
fn shortened<T>(mut answered: Result<T, Failure>) -> Result<T, Failure> {
    if let Err(failure) = &mut answered {
        let (Failure::Retry(text) | Failure::Reconnect(text) | Failure::Reject(text) | Failure::Fatal(text)) =
            failure;
        shorten(text);
    }
    answered
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<RouteState>> {
    let mut linker = Linker::new(engine.wasmtime());
    fiber::link(&mut linker)?;
    let mut options = ingest::LinkOptions::default();
    options.route(true);
    ingest::add_to_linker::<_, HasSelf<RouteState>>(&mut linker, &options, |state| state)?;
    let mut options = far_side::LinkOptions::default();
    options.route(true);
    far_side::add_to_linker::<_, HasSelf<RouteState>>(&mut linker, &options, |state| state)?;
    let mut options = retained::LinkOptions::default();
    options.route(true);
    retained::add_to_linker::<_, HasSelf<RouteState>>(&mut linker, &options, |state| state)?;
    types::add_to_linker::<_, HasSelf<RouteState>>(&mut linker, |state| state)?;
    message_properties::add_to_linker::<_, HasSelf<RouteState>>(&mut linker, |state| state)?;
    Ok(linker)
}
