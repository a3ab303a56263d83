//! An authentication guest and its instances: the calls of the driver.

use super::{
    Answer, AuthServices, Description, Login, Subscription, Unusable,
    bindings::{
        Auth, AuthPre,
        lotmq::guest::{message_properties, messages, principals, types},
    },
    checks,
    host::{AuthState, PublishRoom},
};
use crate::{
    Compiler, ComponentSource, Engine, Grants, GuestId, GuestLimits, LoadError, Trap, World,
    engine::CodeShare,
    fiber::{self, CallResult, Endpoint, Fiber, FiberState, HostWork, Places},
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
pub struct AuthSpec {
    /// Names it to the server.
    pub id: GuestId,
    /// Services of the broker for it.
    pub services: Arc<dyn AuthServices>,
    /// Values that it may read, its state and configuration.
    pub grants: Arc<Grants>,
    /// Endpoints that it may connect to, by name.
    pub endpoints: Arc<HashMap<String, Endpoint>>,
    /// Memory, and time per call; time in which it waits does not count.
    pub limits: GuestLimits,
}

/// A compiled component of the world `auth`.
#[derive(Clone)]
pub struct AuthGuest {
    engine: Engine,
    pre: AuthPre<AuthState>,
    imports: Arc<[String]>,
    further_exports: Arc<[String]>,
    _code: CodeShare,
}

impl fmt::Debug for AuthGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthGuest").finish_non_exhaustive()
    }
}

impl AuthGuest {
    /// Checks and compiles a component; see [`Engine::compile`].
    pub fn compile<'a>(
        compiler: impl Into<Compiler<'a>>,
        component: &[u8],
        source: ComponentSource,
    ) -> Result<AuthGuest, LoadError> {
        let summary = validate::check(component, World::Auth, source)?;
        let compiler = compiler.into();
        let engine = compiler.engine;
        let (compiled, code) = compiler.component(component, source)?;
        let pre = linker(engine)
            .and_then(|linker| inert::link(&linker, &compiled, &summary.imports))
            .and_then(|linker| linker.instantiate_pre(&compiled))
            .and_then(AuthPre::new)
            .map_err(|error| LoadError::world_mismatch(World::Auth, &error))?;
        let (imports, further_exports) = (summary.imports.into(), summary.further_exports.into());
        Ok(AuthGuest { engine: engine.clone(), pre, imports, further_exports, _code: code })
    }

    /// Names of its imports, with versions.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// Exports that the world does not have; nobody calls them.
    pub fn further_exports(&self) -> &[String] {
        &self.further_exports
    }

    /// Makes an instance.
    pub async fn instance(&self, spec: AuthSpec) -> Result<AuthInstance, Trap> {
        let memory_bytes = spec.limits.memory_bytes.min(self.engine.memory_bytes_max());
        let memory = Memory::new(memory_bytes, spec.grants.acting.now().account, self.engine.memory())?;
        let services = Arc::clone(&spec.services);
        let places = Places { endpoints: spec.endpoints, ..Places::default() };
        let shares = (memory, self.engine.sockets());
        let fiber = FiberState::new(services.clone(), spec.grants, spec.id, places, shares);
        let mut fiber = Fiber::new(
            &self.engine,
            AuthState { fiber, services, left: PublishRoom::default() },
            spec.limits,
        )?;
        let made = self.pre.instantiate_async(&mut fiber.store).await;
        let exports = fiber.end(made)?;
        Ok(AuthInstance { fiber, exports })
    }
}

/// One instance. After a [`Trap`] it must be dropped.
pub struct AuthInstance {
    fiber: Fiber<AuthState>,
    exports: Auth,
}

impl fmt::Debug for AuthInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInstance").finish_non_exhaustive()
    }
}

impl AuthInstance {
    /// The means to end a `run` that waits.
    pub fn host_work(&self) -> HostWork {
        self.fiber.host_work()
    }

    /// Calls the guest for its description.
    pub async fn describe(&mut self) -> CallResult<Description> {
        let called = self.exports.lotmq_guest_auth_handler().call_describe(begin(&mut self.fiber)).await;
        self.fiber.end(called)
    }

    /// Lets the guest prepare; an error is its text for people.
    pub async fn open(&mut self) -> CallResult<Result<(), String>> {
        let called = self.exports.lotmq_guest_auth_handler().call_open(begin(&mut self.fiber)).await;
        self.fiber.end(called).map(shortened)
    }

    /// Asks about a CONNECT packet without enhanced authentication.
    pub async fn authenticate(&mut self, login: &Login) -> CallResult<Result<Answer, Unusable>> {
        let handler = self.exports.lotmq_guest_auth_handler();
        let called = handler.call_authenticate(begin(&mut self.fiber), login).await;
        self.checked(called)
    }

    /// Asks about a step of an enhanced authentication.
    pub async fn step(
        &mut self,
        login: &Login,
        method: &str,
        data: &[u8],
    ) -> CallResult<Result<Answer, Unusable>> {
        let handler = self.exports.lotmq_guest_auth_handler();
        let called = handler.call_step(begin(&mut self.fiber), login, method, data).await;
        self.checked(called)
    }

    /// Says that an enhanced authentication is over before its end.
    pub async fn forget(&mut self, connection: u64) -> CallResult<()> {
        let handler = self.exports.lotmq_guest_auth_handler();
        let called = handler.call_forget(begin(&mut self.fiber), connection).await;
        self.fiber.end(called)
    }

    /// Says that a client has got its CONNACK.
    pub async fn connected(
        &mut self,
        connection: u64,
        client_id: &str,
        session_present: bool,
    ) -> CallResult<()> {
        let handler = self.exports.lotmq_guest_auth_handler();
        let called =
            handler.call_connected(begin(&mut self.fiber), connection, client_id, session_present).await;
        self.fiber.end(called)
    }

    /// Says that subscriptions were granted.
    pub async fn subscribed(&mut self, connection: u64, subscriptions: &[Subscription]) -> CallResult<()> {
        let handler = self.exports.lotmq_guest_auth_handler();
        let called = handler.call_subscribed(begin(&mut self.fiber), connection, subscriptions).await;
        self.fiber.end(called)
    }

    /// Says that a connection is over.
    pub async fn disconnected(&mut self, connection: u64, reason: &str) -> CallResult<()> {
        let handler = self.exports.lotmq_guest_auth_handler();
        let called = handler.call_disconnected(begin(&mut self.fiber), connection, reason).await;
        self.fiber.end(called)
    }

    /// Lets the guest work without a client for about so long, in milliseconds; shorter when
    /// [`HostWork::announce`] is called. Gives the time after which it wants to run again at the
    /// latest; an error is its text for people.
    pub async fn run(&mut self, until_ms: u32) -> CallResult<Result<u32, String>> {
        let called = self.exports.lotmq_guest_auth_handler().call_run(begin(&mut self.fiber), until_ms).await;
        self.fiber.end(called).map(shortened)
    }

    /// Lets the guest say goodbye.
    pub async fn close(mut self) -> CallResult<()> {
        let called = self.exports.lotmq_guest_auth_handler().call_close(begin(&mut self.fiber)).await;
        self.fiber.end(called)
    }

    fn checked(&self, called: wasmtime::Result<Answer>) -> CallResult<Result<Answer, Unusable>> {
        let mut answer = self.fiber.end(called)?;
        if let Answer::Deny(denial) = &mut answer {
            shorten(&mut denial.log);
        }
        Ok(checks::answer(&answer).map(|()| answer))
    }
}

/// Begins a call, with all that a call may publish.
fn begin(fiber: &mut Fiber<AuthState>) -> &mut Store<AuthState> {
    let store = fiber.begin();
    store.data_mut().left = PublishRoom::default();
    store
}

/// Returns the answer of a guest, with the text of a failure cut to its bound.
fn shortened<T>(mut answered: Result<T, String>) -> Result<T, String> {
    if let Err(text) = &mut answered {
        shorten(text);
    }
    answered
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<AuthState>> {
    let mut linker = Linker::new(engine.wasmtime());
    fiber::link(&mut linker)?;
    let mut options = principals::LinkOptions::default();
    options.auth(true);
    principals::add_to_linker::<_, HasSelf<AuthState>>(&mut linker, &options, |state| state)?;
    types::add_to_linker::<_, HasSelf<AuthState>>(&mut linker, |state| state)?;
    messages::add_to_linker::<_, HasSelf<AuthState>>(&mut linker, |state| state)?;
    message_properties::add_to_linker::<_, HasSelf<AuthState>>(&mut linker, |state| state)?;
    Ok(linker)
}
