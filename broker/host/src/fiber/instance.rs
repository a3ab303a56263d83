//! Instances on fibers: the work of the host around each call of a guest that waits.

use super::{
    bindings::lotmq::guest::{
        ambient, config, diagnostics, environment, files, http, http_server, logging, metrics, net, serial,
        state, topic_store,
    },
    state::FiberState,
    work::HostWork,
};
use crate::{
    Engine, GuestLimits, Trap,
    limits::CALL_BYTES_MAX,
    ticker::{Pace, Ticker},
    trap::StoppedRun,
};
use lotmq_shares::HeldShare;
use wasmtime::{
    Store, UpdateDeadline,
    component::{HasSelf, Linker},
};

/// State of an instance of some world that has the functions of a fiber.
pub(crate) trait OnFiber: Send + 'static {
    /// Their part of it.
    fn fiber(&mut self) -> &mut FiberState;

    /// Shared reference to the same state.
    fn fiber_ref(&self) -> &FiberState;
}

impl OnFiber for FiberState {
    fn fiber(&mut self) -> &mut FiberState {
        self
    }

    fn fiber_ref(&self) -> &FiberState {
        self
    }
}

/// One instance on a fiber. After a [`Trap`] it must be dropped.
pub(crate) struct Fiber<T: OnFiber> {
    pub(crate) store: Store<T>,
    work: HostWork,
    ticker: Ticker,
    limits: GuestLimits,
    _stack: HeldShare,
}

/// Result of a call of a guest: its own answer, or the trap that ended it.
pub(crate) type CallResult<T> = Result<T, Trap>;

impl<T: OnFiber> Fiber<T> {
    /// Prepares an instance; its start code may run for the time of a call.
    ///
    /// # Errors
    /// When there is no stack for it.
    pub(crate) fn new(engine: &Engine, mut state: T, limits: GuestLimits) -> CallResult<Self> {
        let account = state.fiber().memory.account();
        let stack = engine.stacks().hold(account, 1).map_err(crate::trap::no_stack)?;
        state.fiber().begin(limits.time);
        let work = state.fiber().work.clone();
        let ticker = engine.ticker().clone();
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.fiber().memory);
        store.set_hostcall_fuel(CALL_BYTES_MAX);
        let ticking = ticker.clone();
        store.epoch_deadline_callback(move |mut store| {
            store.data_mut().fiber().tick()?;
            ticking.run_begins(Pace::Coarse);
            Ok(UpdateDeadline::Yield(1))
        });
        ticker.run_begins(Pace::Coarse);
        store.set_epoch_deadline(1);
        Ok(Fiber { store, work, ticker, limits, _stack: stack })
    }

    /// The means to end a call that waits.
    pub(crate) fn host_work(&self) -> HostWork {
        self.work.clone()
    }

    /// A call begins.
    pub(crate) fn begin(&mut self) -> &mut Store<T> {
        self.ticker.run_begins(Pace::Coarse);
        self.store.data_mut().fiber().begin(self.limits.time);
        self.store.set_epoch_deadline(1);
        &mut self.store
    }

    /// Whether the guest itself has run for most of the call that began last, and waited for
    /// little.
    pub(crate) fn has_computed(&self) -> bool {
        self.store.data().fiber_ref().has_computed()
    }

    /// Converts the result of a call; explains a trap.
    pub(crate) fn end<R>(&self, called: wasmtime::Result<R>) -> CallResult<R> {
        called.map_err(|error| {
            let state = self.store.data().fiber_ref();
            let run = StoppedRun {
                memory_refused: state.memory.refused(),
                memory_bytes_max: self.limits.memory_bytes,
                last_words: state.last_words.as_deref(),
            };
            crate::trap::explain(&error, &run)
        })
    }
}

/// Links the functions of a fiber.
pub(crate) fn link<T: OnFiber>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut options = net::LinkOptions::default();
    options.route(true);
    net::add_to_linker::<_, HasSelf<FiberState>>(linker, &options, T::fiber)?;
    let mut options = files::LinkOptions::default();
    options.route(true);
    files::add_to_linker::<_, HasSelf<FiberState>>(linker, &options, T::fiber)?;
    let mut options = http::LinkOptions::default();
    options.route(true);
    http::add_to_linker::<_, HasSelf<FiberState>>(linker, &options, T::fiber)?;
    let mut options = http_server::LinkOptions::default();
    options.route(true);
    http_server::add_to_linker::<_, HasSelf<FiberState>>(linker, &options, T::fiber)?;
    let mut options = serial::LinkOptions::default();
    options.route(true);
    serial::add_to_linker::<_, HasSelf<FiberState>>(linker, &options, T::fiber)?;
    topic_store::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)?;
    environment::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)?;
    ambient::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)?;
    config::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)?;
    state::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)?;
    logging::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)?;
    metrics::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)?;
    diagnostics::add_to_linker::<_, HasSelf<FiberState>>(linker, T::fiber)
}
