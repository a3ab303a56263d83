//! One live instance of an Action or Model, and its runs.
//!
//! Invariants: an instance that was stopped by force is never entered again; the effects of a run
//! belong to the caller's [`RunOutput`] when the run has ended, however it ended. Not here: queues,
//! order and back-off (`executor`).

use crate::{
    BorrowedMessage, Engine, Event, Grants, GuestLimits, NestedCall, RunContext, RunError, RunOutcome,
    RunOutput, Services, Trap, TrapKind, Value,
    batch::{Answer, MessageBatch, Written},
    bindings::{ActionExports, model::ModelExports},
    deadline::{Deadline, Stopped},
    guest::{ActionPre, Guest, Pre},
    limits::CALL_BYTES_MAX,
    memory::Memory,
    state::RunState,
    ticker::{Pace, Ticker},
    trap::StoppedRun,
    types::{LifeEvent, as_params},
};
use std::{sync::Arc, time::Duration};
use wasmtime::{Store, StoreContextMut, UpdateDeadline, component::TypedFunc};

/// One instance of a [`Guest`] of the world `action` or `model`. Made by [`Guest::instance`]; runs
/// on one thread at a time.
pub struct ActionInstance {
    store: Store<RunState>,
    exports: Exports,
    ticker: Ticker,
    limits: GuestLimits,
    is_poisoned: bool,
}

/// Exported functions, by world.
enum Exports {
    Action(ActionExports, Option<OnMessages>),
    Model(ModelExports),
}

/// The function of an Action that takes many messages.
type OnMessages = TypedFunc<(&'static [u32], &'static [u8]), (Answer,)>;

impl std::fmt::Debug for ActionInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActionInstance").field("is_poisoned", &self.is_poisoned).finish_non_exhaustive()
    }
}

impl Guest {
    /// Makes an instance: some 10 µs. A [`Trap`] of kind [`Start`](crate::TrapKind::Start) when the
    /// pool is exhausted or its start code fails.
    pub fn instance(
        &self,
        services: Arc<dyn Services>,
        grants: Arc<Grants>,
        limits: GuestLimits,
    ) -> Result<ActionInstance, Trap> {
        ActionInstance::new(self, services, grants, limits)
    }
}

impl ActionInstance {
    /// Processor time that its last run was seen to take: since the first tick, which is some
    /// milliseconds less than it took.
    pub(crate) fn seen_to_run(&self) -> Duration {
        self.store.data().deadline.get().seen()
    }

    fn new(
        guest: &Guest,
        services: Arc<dyn Services>,
        grants: Arc<Grants>,
        limits: GuestLimits,
    ) -> Result<Self, Trap> {
        let engine = guest.engine();
        let memory_bytes = limits.memory_bytes.min(engine.memory_bytes_max());
        let memory = Memory::new(memory_bytes, grants.acting.now().account, engine.memory())?;
        let state =
            RunState::new(services, grants, (memory, engine.patterns()), guest.asks_for_its_message());
        let mut store = new_store(engine, state, limits.time);
        let ticker = engine.ticker().clone();
        let exports = match guest.pre() {
            Pre::Action(pre) => action_exports(pre, &mut store),
            Pre::Model(pre) => pre.instantiate(&mut store).map(Exports::Model),
        };
        match exports {
            Ok(exports) => Ok(ActionInstance { store, exports, ticker, limits, is_poisoned: false }),
            Err(error) => Err(start_failed(&error, &store, &limits)),
        }
    }

    /// Whether a trap has ended its life. Running it again gives a [`TrapKind::Start`] trap.
    pub fn is_poisoned(&self) -> bool {
        self.is_poisoned
    }

    /// Whether its last run may have been long: longer than a tick of the clock.
    pub(crate) fn was_long(&self) -> bool {
        self.store.data().deadline.get().has_ticked()
    }

    /// Runs the guest for one event. `output` is cleared first and then holds the effects of the
    /// run.
    pub fn run(&mut self, event: &Event<'_>, run: RunContext, output: &mut RunOutput) -> RunOutcome {
        output.begin(&self.limits);
        self.enter(event, run, Deadline::new(self.limits.time), Pace::Coarse, output)
    }

    /// Like [`run`](Self::run), but given up with [`RunOutcome::SliceExpired`] when it takes longer
    /// than a slice, so that the thread can do something else. A run that has already changed
    /// something at once (a value, a call) is not given up.
    pub fn run_sliced(&mut self, event: &Event<'_>, run: RunContext, output: &mut RunOutput) -> RunOutcome {
        output.begin(&self.limits);
        let deadline = Deadline::new(self.limits.time).sliced(self.limits.slice);
        let outcome = self.enter(event, run, deadline, Pace::Fine, output);
        if outcome == RunOutcome::SliceExpired {
            output.clear();
        }
        outcome
    }

    /// Whether it can run for many messages in one call.
    pub(crate) fn takes_batches(&self) -> bool {
        matches!(self.exports, Exports::Action(_, Some(_)))
    }

    /// Runs the guest for many messages in one call, in one [slice](Self::run_sliced). `None` when
    /// it could not: nothing has happened then.
    pub(crate) fn run_batch(&mut self, batch: &MessageBatch, run: RunContext) -> Option<Written> {
        let Exports::Action(_, Some(on_messages)) = &self.exports else { return None };
        if self.is_poisoned {
            return None;
        }
        self.ticker.run_begins(Pace::Fine);
        let deadline = Deadline::new(self.limits.time).sliced(self.limits.slice);
        // Discards effects that the guest writes outside of the runs of the batch.
        let mut stray = RunOutput::new();
        stray.begin(&self.limits);
        self.store.data_mut().begin(run, deadline, None, &mut stray);
        self.store.set_epoch_deadline(1);
        let result = on_messages.call(&mut self.store, batch.lists());
        self.store.data_mut().end(None, &mut stray);
        let Ok((answer,)) = result else {
            self.is_poisoned = true;
            return None;
        };
        let state = self.store.data();
        let broker = (Arc::clone(&state.grants), Arc::clone(&state.services));
        Some(Written::new(answer, broker, self.limits, (run, state.writer())))
    }

    /// Runs the guest as the callee of another one; its effects go behind those of the caller.
    pub(crate) fn run_nested(
        &mut self,
        event: &Event<'_>,
        call: NestedCall<'_>,
    ) -> Result<Vec<Value>, RunError> {
        let deadline = call.deadline.within(self.limits.time);
        match self.enter(event, call.run, deadline, Pace::Coarse, call.output) {
            RunOutcome::Done(outputs) => Ok(outputs),
            RunOutcome::Failed(error) => Err(error),
            RunOutcome::Trapped(trap) => Err(trap.into()),
            RunOutcome::SliceExpired => unreachable!("nested runs have no slice"),
        }
    }

    fn enter(
        &mut self,
        event: &Event<'_>,
        run: RunContext,
        deadline: Deadline,
        pace: Pace,
        output: &mut RunOutput,
    ) -> RunOutcome {
        if self.is_poisoned {
            return RunOutcome::Trapped(Trap::stopped_before());
        }
        self.ticker.run_begins(pace);
        self.store.data_mut().begin(run, deadline, event.trigger(), output);
        self.store.set_epoch_deadline(1);
        let result = self.call(event);
        let missing = match &result {
            Ok(Err(_)) => self.store.data_mut().missing(),
            Ok(Ok(_)) | Err(_) => Vec::new(),
        };
        self.store.data_mut().end(event.trigger(), output);
        match result {
            Ok(Ok(outputs)) => RunOutcome::Done(outputs),
            Ok(Err(error)) => RunOutcome::Failed(self.store.data().ended_with(error, &missing)),
            Err(error) => self.stopped(&error, output),
        }
    }

    fn call(&mut self, event: &Event<'_>) -> wasmtime::Result<Result<Vec<Value>, RunError>> {
        let store = &mut self.store;
        let exports = match &self.exports {
            Exports::Action(exports, _) => exports,
            Exports::Model(exports) => return call_model(exports, store, event),
        };
        let handler = exports.lotmq_guest_action_handler();
        let done = match event {
            Event::Message(message) => handler.call_on_message(store, message.as_param())?,
            Event::Start => handler.call_on_event(store, LifeEvent::Start)?,
            Event::Timer => handler.call_on_event(store, LifeEvent::Timer)?,
            Event::Connected(client) => handler.call_on_event(store, LifeEvent::Connected(client.clone()))?,
            Event::Disconnected(departure) => {
                handler.call_on_event(store, LifeEvent::Disconnected(departure.clone()))?
            }
            Event::Subscribed(subscription) => {
                handler.call_on_event(store, LifeEvent::Subscribed(subscription.clone()))?
            }
            Event::Call { inputs, trigger } => {
                let outputs = handler.call_call(
                    store,
                    &as_params(inputs),
                    trigger.as_ref().map(BorrowedMessage::as_param),
                )?;
                return Ok(outputs
                    .map(|values| values.into_iter().map(Value::from).collect())
                    .map_err(RunError::from));
            }
        };
        Ok(done.map(|()| Vec::new()).map_err(RunError::from))
    }

    fn stopped(&mut self, error: &wasmtime::Error, output: &RunOutput) -> RunOutcome {
        self.is_poisoned = true;
        if matches!(error.downcast_ref::<Stopped>(), Some(Stopped::Slice)) {
            return RunOutcome::SliceExpired;
        }
        let run = StoppedRun {
            memory_refused: self.store.data().memory_refused(),
            memory_bytes_max: self.limits.memory_bytes,
            last_words: output.last_words(),
        };
        RunOutcome::Trapped(crate::trap::explain(error, &run))
    }
}

fn action_exports(pre: &ActionPre, store: &mut Store<RunState>) -> wasmtime::Result<Exports> {
    let instance = pre.instance.instantiate(&mut *store)?;
    let handler = pre.handler.load(&mut *store, &instance)?;
    let on_messages = pre.on_messages.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?;
    Ok(Exports::Action(handler, on_messages))
}

/// A Model takes messages, and calls as what asks it for an instance.
fn call_model(
    exports: &ModelExports,
    store: &mut Store<RunState>,
    event: &Event<'_>,
) -> wasmtime::Result<Result<Vec<Value>, RunError>> {
    let handler = exports.lotmq_guest_model_handler();
    match event {
        Event::Message(message) => {
            let done = handler.call_on_message(store, message.as_param())?;
            Ok(done.map(|()| Vec::new()).map_err(RunError::from))
        }
        Event::Call { inputs, trigger } => {
            let built = handler.call_build(
                store,
                &as_params(inputs),
                trigger.as_ref().map(BorrowedMessage::as_param),
            )?;
            let values = built.map(|built| {
                let qos = Value::Integer(i64::from(built.qos as u8));
                vec![Value::Bytes(built.payload), qos, Value::Boolean(built.retain)]
            });
            Ok(values.map_err(RunError::from))
        }
        Event::Start | Event::Timer | Event::Connected(_) | Event::Disconnected(_) | Event::Subscribed(_) => {
            let refused = RunError::new("NOT_TRIGGERED", "a model is started by messages only");
            Ok(store.data().give(Err(refused)))
        }
    }
}

/// A store that is bounded, and about to be instantiated in.
pub(crate) fn new_store(engine: &Engine, state: RunState, time: Duration) -> Store<RunState> {
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(RunState::limiter);
    store.set_hostcall_fuel(CALL_BYTES_MAX);
    let ticker = engine.ticker().clone();
    store.epoch_deadline_callback(at_tick(ticker.clone()));
    ticker.run_begins(Pace::Coarse);
    store.data_mut().deadline.set(Deadline::new(time));
    store.set_epoch_deadline(1);
    store
}

pub(crate) fn start_failed(error: &wasmtime::Error, store: &Store<RunState>, limits: &GuestLimits) -> Trap {
    let (memory_refused, memory_bytes_max) = (store.data().memory_refused(), limits.memory_bytes);
    let trap =
        crate::trap::explain(error, &StoppedRun { memory_refused, memory_bytes_max, last_words: None });
    if matches!(trap.kind, TrapKind::HostCall | TrapKind::Other) {
        return Trap { kind: TrapKind::Start, ..trap };
    }
    trap
}

/// Decides at every tick that a run lives to see whether it may go on.
fn at_tick(
    ticker: Ticker,
) -> impl FnMut(StoreContextMut<'_, RunState>) -> wasmtime::Result<UpdateDeadline> + Send + Sync {
    move |store| {
        let state = store.data();
        state.check_time()?;
        ticker.run_begins(if state.deadline.get().slice.is_some() { Pace::Fine } else { Pace::Coarse });
        Ok(UpdateDeadline::Continue(1))
    }
}
