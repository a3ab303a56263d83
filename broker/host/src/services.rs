//! Services of the broker for guests while they run.
//!
//! The server implements [`Services`], one per tenant or definition. Host functions call it on the
//! thread that runs the guest. Nothing here may wait, because host time does not count against a
//! guest's limit. Scripts and rows are the exception, with limits of their own: a run that waits
//! for them goes [away](crate::away) meanwhile. Not here: writes (they go to the [`RunOutput`]),
//! and the checks that need only the definition's [`Grants`](crate::Grants).

pub(crate) mod python;
pub(crate) mod question;

use std::collections::BTreeSet;

use crate::{
    Ambient, Argument, BorrowedMessage, Capability, GuestId, Machine, MessageBounds, Qos, RunError,
    RunOutput, Value, deadline::Deadline,
};

use python::Called;
use question::{ModuleQuestion, Verdict};

/// Identity of the run that asks for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunContext {
    /// The definition that runs: the callee's within a nested call.
    pub definition: GuestId,
    /// Hops of the message that started the outermost run; its own messages have one more.
    pub hops: u8,
    /// 0 for a run that was started from outside, one more per nested call.
    pub depth: u8,
}

impl RunContext {
    /// A run that is started from outside, by something that is not itself the work of a guest.
    pub fn new(definition: GuestId) -> Self {
        RunContext { definition, hops: 0, depth: 0 }
    }
}

/// A call of one definition by another, on its way to the callee.
///
/// The server finds the callee and passes this on to
/// [`Runner::call_nested`](crate::Runner::call_nested).
pub struct NestedCall<'a> {
    /// The caller's run, with the depth of the callee.
    pub run: RunContext,
    /// Message that the outermost run was started by, if any.
    pub trigger: Option<BorrowedMessage<'a>>,
    /// Output to which the callee appends its effects, behind those of the caller.
    pub output: &'a mut RunOutput,
    pub(crate) deadline: Deadline,
}

/// An instance of a Model as a single message, without its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInstance {
    /// The fields as one JSON object.
    pub payload: Vec<u8>,
    /// Quality of service from the Model's options.
    pub qos: Qos,
    /// RETAIN flag from the Model's options.
    pub retain: bool,
}

impl ModelInstance {
    /// Returns the instance that a Model returned for [`Event::Call`](crate::Event::Call).
    pub fn from_values(values: Vec<Value>) -> Option<Self> {
        let [Value::Bytes(payload), Value::Integer(qos), Value::Boolean(retain)] =
            <[Value; 3]>::try_from(values).ok()?
        else {
            return None;
        };
        let qos = match qos {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        };
        Some(ModelInstance { payload, qos, retain })
    }
}

/// A question to a route that stores rows, as `rows.select` of `wit/guest` has it.
#[derive(Clone, Copy, Debug)]
pub struct RowQuery<'a> {
    /// Name of the Route.
    pub route: &'a str,
    /// The JSON text of the question.
    pub query: &'a str,
    /// Values that the query compares columns with.
    pub parameters: &'a [Value],
}

/// Why a route gave no rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// There is no route of that name, or it is not armed.
    #[error("there is no route '{route}'")]
    Unknown {
        /// Its name.
        route: String,
    },
    /// The far side is away, or slow, or much waits for it.
    #[error("route '{route}' did not answer within {waited_sec} s")]
    TimedOut {
        /// Its name.
        route: String,
        /// How long it was waited for.
        waited_sec: u64,
    },
    /// The route refused the question or cannot answer it, or it stands still.
    #[error("route '{route}': {reason}")]
    Refused {
        /// Its name.
        route: String,
        /// Why, without secrets.
        reason: String,
    },
}

impl RowsError {
    /// There is no such route.
    pub fn unknown(route: &str) -> RowsError {
        RowsError::Unknown { route: route.to_owned() }
    }

    /// Stable code for replies and `Error` topics.
    pub fn code(&self) -> &'static str {
        match self {
            RowsError::Unknown { .. } => "ROUTE_UNKNOWN",
            RowsError::TimedOut { .. } => "ROUTE_TIMEOUT",
            RowsError::Refused { .. } => "ROUTE_REFUSED",
        }
    }
}

/// More topics match a filter than are listed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {} topics match", crate::limits::LISTED_TOPICS_MAX)]
pub struct TooManyTopics;

/// Why a value of a definition's state was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateRefused {
    /// The definition, or all together, have as much as they may.
    #[error("the state is full")]
    Full,
}

/// Services that guests may ask the broker for. Grants were checked before unless said otherwise.
pub trait Services: Send + Sync {
    /// Name of the owner of the definition; `None` if it has no owner.
    fn owner(&self) -> Option<&str> {
        None
    }

    /// Appends the last value of a topic to `value`: the live value, else the retained message.
    /// False when there is neither.
    ///
    /// Writes of the same run and the triggering message were looked at before (language reference
    /// §6).
    fn topic_value(&self, run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool;

    /// Whether the definition may read a topic that others have written in its run; where it may
    /// not, this notes that.
    fn may_read(&self, run: &RunContext, topic: &str) -> bool;

    /// Whether a topic has a retained message. Kept values do not count.
    fn retained_exists(&self, run: &RunContext, topic: &str) -> bool;

    /// The topics with a last value that a valid Topic Filter matches, that were granted and may be
    /// read; at most [`LISTED_TOPICS_MAX`](crate::limits::LISTED_TOPICS_MAX).
    ///
    /// # Errors
    /// [`TooManyTopics`].
    fn topics(
        &self,
        run: &RunContext,
        filter: &str,
        is_granted: &dyn Fn(&str) -> bool,
    ) -> Result<BTreeSet<String>, TooManyTopics> {
        let _ = (run, filter, is_granted);
        Ok(BTreeSet::new())
    }

    /// An environment value; `None` when it is not set.
    fn environment(&self, run: &RunContext, name: &str) -> Option<String>;

    /// Sets (`Some`) or removes (`None`) an environment value, at once. False when it was refused.
    fn set_environment(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool;

    /// A secret; `None` when it is not set.
    fn secret(&self, run: &RunContext, name: &str) -> Option<String>;

    /// Sets (`Some`) or removes (`None`) a secret, at once. False when it was refused.
    fn set_secret(&self, run: &RunContext, name: &str, value: Option<&str>) -> bool;

    /// A value of the definition's state; `None` when it is not set.
    fn state(&self, run: &RunContext, key: &str) -> Option<Vec<u8>> {
        let _ = (run, key);
        None
    }

    /// Sets (`Some`) or removes (`None`) a value of the definition's state, at once.
    ///
    /// # Errors
    /// [`StateRefused`]; the value before stays.
    fn set_state(&self, run: &RunContext, key: &str, value: Option<&[u8]>) -> Result<(), StateRefused> {
        let _ = (run, key, value);
        Err(StateRefused::Full)
    }

    /// The keys of the definition's state, in their order.
    fn state_keys(&self, run: &RunContext) -> Vec<String> {
        let _ = run;
        Vec::new()
    }

    /// Hears that a definition wanted something that its grants do not cover, in a run that this
    /// message started. It was refused.
    fn not_granted(
        &self,
        run: &RunContext,
        (capability, name): (Capability, &str),
        trigger: Option<&BorrowedMessage<'_>>,
    ) {
        let _ = (run, capability, name, trigger);
    }

    /// Bounds of what definitions write, routes included.
    fn message_bounds(&self) -> MessageBounds {
        MessageBounds::default()
    }

    /// Whether a definition may write this to a topic that its grants cover. A value that is kept
    /// is a message of QoS 0 with RETAIN.
    fn may_write(&self, run: &RunContext, message: &BorrowedMessage<'_>) -> bool {
        let _ = (run, message);
        true
    }

    /// Whether a definition may publish to a topic under `$SYS/`, which no static grant of an
    /// Action covers. Asked at each such write, because the deploying user may have lost the right
    /// meanwhile (language reference §6).
    fn may_publish_system(&self, run: &RunContext, topic: &str) -> bool {
        let _ = (run, topic);
        false
    }

    /// Whether an instance that `PUBLISH MODEL` made may be published where the definition's grants
    /// allow it (language reference OD-31).
    fn may_publish_model(&self, topic: &str, payload: &[u8]) -> bool {
        let _ = (topic, payload);
        true
    }

    /// Runs a callable definition. [`RunError`] when it is unknown or not callable.
    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError>;

    /// Has a Model build an instance for `PUBLISH MODEL`. [`RunError`] when it is unknown or
    /// pending, or refuses the assignments.
    fn build_model(
        &self,
        call: NestedCall<'_>,
        name: &str,
        assignments: &[Argument],
    ) -> Result<ModelInstance, RunError> {
        let _ = (call, assignments);
        Err(RunError::unknown_model(name))
    }

    /// Calls `Script.function` of a Python script, and waits for it, [away](crate::away) from the
    /// executor.
    fn call_python(&self, run: &RunContext, function: &str, arguments: &[Value]) -> Called {
        let _ = (run, arguments);
        Called::unknown(function)
    }

    /// Runs a module of world `action`. [`RunError`] when it is unknown or cannot be called.
    fn call_module(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let _ = (call, inputs);
        Err(RunError::unknown_module(name))
    }

    /// Asks a module of world `rule`. [`RunError`] when it cannot say.
    fn ask_module(&self, question: &ModuleQuestion<'_>, name: &str) -> Result<Verdict, RunError> {
        let _ = question;
        Err(RunError::unknown_module(name))
    }

    /// Asks a route for rows, and waits for them, [away](crate::away) from the executor, at most
    /// [`ROWS_WAIT`](crate::limits::ROWS_WAIT): an object, an array of objects, or null.
    fn select_rows(&self, run: &RunContext, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        let _ = run;
        Err(RowsError::unknown(query.route))
    }

    /// Clocks and chance.
    fn ambient(&self) -> &dyn Ambient {
        Machine::here()
    }

    /// The wall clock in milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> i64 {
        i64::try_from(self.ambient().wall().as_millis()).unwrap_or(i64::MAX)
    }

    /// Now, in the milliseconds that say when messages expire: [`OwnedMessage::expires_at_ms`].
    fn lifetime_ms(&self) -> u64 {
        u64::try_from(self.now_ms()).unwrap_or_default()
    }

    /// Milliseconds since a moment that stays the same; never goes back.
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.ambient().monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    /// How far local time is ahead of UTC at an instant in milliseconds since 1970-01-01 UTC, in
    /// seconds.
    fn utc_offset_seconds(&self, at_ms: i64) -> i32 {
        let _ = at_ms;
        0
    }

    /// 64 random bits, on a machine not predictable from outside.
    fn random(&self) -> u64 {
        self.ambient().random()
    }
}
