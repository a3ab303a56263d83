//! The world `action`: guests that run when something happens.

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from wit")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "lotmq:guest/action",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "lotmq_guest::action::bindings",
    });
}

use crate::output;
use bindings::exports::lotmq::guest::action_handler;
pub use bindings::exports::lotmq::guest::action_handler::{Client, Departure, Event, Subscription};
use host::messages;
pub use host::{
    actions, ambient, config, current_message, diagnostics, environment,
    logging::{Level, log},
    message_properties::{PayloadFormat, Properties, UserProperty},
    messages::WriteError,
    metrics, models, modules, python, rows, state, topic_store,
    types::{Argument, Message, Qos as QoS, RunError, Value},
};

/// Interfaces of the host: the contract's own, and in a test on the machine itself their doubles.
#[cfg(target_arch = "wasm32")]
use bindings::lotmq::guest as host;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/calls.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_calls;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/current_message.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_current_message;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/messages.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_messages;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod host {
    pub use super::bindings::lotmq::guest::*;
    pub use super::double::{
        ambient, config, diagnostics, environment, logging, metrics, state, topic_store,
    };
    pub use super::double_calls::{actions, models, modules, python, rows};
    pub use super::double_current_message as current_message;
    pub use super::double_messages as messages;
}

/// Test doubles of the interfaces that only Actions have, for tests on the host machine; see
/// [`testing`](crate::testing).
#[cfg(not(target_arch = "wasm32"))]
pub mod testing {
    pub use super::double_current_message::CurrentMessage;
    pub use super::double_messages::WrittenMessage;
    use super::{Argument, Message, QoS, RunError, Value};
    use super::{double_calls, double_current_message, double_messages};

    /// A message as the host hands it over.
    pub fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Message {
        let (topic, payload) = (topic.to_owned(), payload.into());
        Message { topic, payload, client_id: "test".to_owned(), qos: QoS::AtMostOnce, retain: false }
    }

    /// Takes the messages that the Action has published since the last call.
    pub fn published() -> Vec<WrittenMessage> {
        double_messages::take()
    }

    /// Sets the result of `current_message`. `None`, the default, is a run without a message.
    pub fn set_current_message(message: Option<CurrentMessage>) {
        double_current_message::set(message);
    }

    /// Lets a function be the Action of a name, which the guest calls.
    pub fn set_action(name: &str, action: impl Fn(&[Argument]) -> Result<Vec<Value>, RunError> + 'static) {
        double_calls::set_action(name, action);
    }

    /// Sets the function that answers calls of a module. If the guest calls a function of it, the
    /// first input is `$function`.
    pub fn set_module(name: &str, module: impl Fn(&[Argument]) -> Result<Vec<Value>, RunError> + 'static) {
        double_calls::set_module(name, module);
    }

    /// Lets a function answer calls of `Script.function`.
    pub fn set_python(function: &str, answer: impl Fn(&[Value]) -> Value + 'static) {
        double_calls::set_python(function, answer);
    }

    /// Sets the function that answers row requests to a Route. It gets the query, in JSON, and its
    /// parameters.
    pub fn set_rows(route: &str, answer: impl Fn(&str, &[Value]) -> Value + 'static) {
        double_calls::set_rows(route, answer);
    }

    /// Lets the guest publish instances of a Model.
    pub fn set_model(name: &str) {
        double_calls::set_model(name);
    }

    /// An instance of a Model that an Action has published.
    #[derive(Clone, Debug)]
    pub struct WrittenModel {
        /// Name of the Model.
        pub model: String,
        /// Topic to which it goes.
        pub topic: String,
        /// Fields that the guest has set.
        pub assignments: Vec<Argument>,
    }

    /// Takes the instances of Models that the Action has published since this was called last.
    pub fn published_models() -> Vec<WrittenModel> {
        double_calls::take_models()
    }
}

/// An Action. Only [`on_message`](Action::on_message) is required. Each function runs to its end
/// before the next one begins.
///
/// The broker discards an instance after a panic and may drop it between two runs. To keep values,
/// use [`keep`] or the environment.
pub trait Action {
    /// Handles a message that matched the Action's trigger. The broker also carries out writes
    /// before an `Err`.
    fn on_message(message: Message) -> Result<(), RunError>;

    /// Another trigger of the Action fired: start, timer, a client's life cycle.
    fn on_event(event: Event) -> Result<(), RunError> {
        let _ = event;
        Ok(())
    }

    /// Handles a call by name and returns its outputs. By default the Action cannot be called.
    fn call(inputs: Vec<Argument>, trigger: Option<Message>) -> Result<Vec<Value>, RunError> {
        let _ = (inputs, trigger);
        Err(error("NOT_CALLABLE", "this action cannot be called"))
    }
}

/// Publishes a message when the run ends.
pub fn publish(topic: &str, payload: &[u8], qos: QoS, retain: bool) -> Result<(), RunError> {
    messages::publish(topic, payload, qos, retain).map_err(|refusal| refused("publish to", topic, refusal))
}

/// Publishes a message with properties of MQTT 5.0 when the run ends.
pub fn publish_with(
    topic: &str,
    payload: &[u8],
    qos: QoS,
    retain: bool,
    properties: &Properties,
) -> Result<(), RunError> {
    messages::publish_with(topic, payload, qos, retain, properties)
        .map_err(|refusal| refused("publish to", topic, refusal))
}

/// Stores the payload as the topic's last value when the run ends, durably, without publishing it.
pub fn keep(topic: &str, payload: &[u8]) -> Result<(), RunError> {
    messages::keep(topic, payload).map_err(|refusal| refused("keep", topic, refusal))
}

/// Removes the topic's kept value when the run ends.
pub fn forget(topic: &str) -> Result<(), RunError> {
    messages::forget(topic).map_err(|refusal| refused("forget", topic, refusal))
}

/// Returns the last value of a topic: a write of this run, the triggering message, the live value,
/// or the retained message.
pub fn last_value(topic: &str) -> Option<Vec<u8>> {
    topic_store::get(topic)
}

/// Returns the function in a call of a module: `scale` of `CALL MODULE "calc.scale"`. Returns
/// `None` if the call has no function.
pub fn called_function(inputs: &[Argument]) -> Option<&str> {
    match inputs.first() {
        Some(Argument { name, value: Value::Text(function) }) if name == "$function" => Some(function),
        _ => None,
    }
}

/// An error of the guest's own.
pub fn error(code: &str, message: impl Into<String>) -> RunError {
    RunError { code: code.to_owned(), message: message.into(), line: 0, column: 0 }
}

/// Most messages that one run may write, kept values included. The broker's limit; its test
/// `the_text_of_a_write_too_many_names_the_bound` compares the two.
const WRITES_PER_RUN_MAX: u32 = 10_000;

/// Mebibytes of topics and payloads that one run may write; the broker's as well.
const WRITE_MIB_PER_RUN_MAX: u32 = 16;

fn refused(what: &str, topic: &str, refusal: WriteError) -> RunError {
    let why = match refusal {
        WriteError::InvalidTopic => "the topic is not valid".to_owned(),
        WriteError::NotAllowed => "it was not granted".to_owned(),
        WriteError::LimitReached => format!(
            "the run has written all that it may: {WRITES_PER_RUN_MAX} messages, or {WRITE_MIB_PER_RUN_MAX} MiB"
        ),
        WriteError::InvalidProperties => "a property is not valid".to_owned(),
    };
    error("WRITE_REFUSED", format!("cannot {what} '{topic}': {why}"))
}

/// No properties at all.
impl Default for Properties {
    fn default() -> Self {
        Properties {
            payload_format: PayloadFormat::Unspecified,
            expiry_seconds: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        }
    }
}

fn start() {
    output::start(|level, text| {
        let level = match level {
            output::LineLevel::Trace => Level::Trace,
            output::LineLevel::Debug => Level::Debug,
            output::LineLevel::Info => Level::Info,
            output::LineLevel::Warn => Level::Warn,
            output::LineLevel::Error => Level::Error,
        };
        log(level, text);
    });
}

#[doc(hidden)]
pub struct Exported<T>(core::marker::PhantomData<T>);

impl<T: Action> action_handler::Guest for Exported<T> {
    fn on_message(message: Message) -> Result<(), RunError> {
        start();
        T::on_message(message)
    }

    fn on_event(event: Event) -> Result<(), RunError> {
        start();
        T::on_event(event)
    }

    fn call(inputs: Vec<Argument>, trigger: Option<Message>) -> Result<Vec<Value>, RunError> {
        start();
        T::call(inputs, trigger)
    }
}

/// Makes a type that implements [`Action`] the guest of this crate. Once per crate.
#[macro_export]
macro_rules! export_action {
    ($guest:ty) => {
        type __LotmqAction = $crate::action::Exported<$guest>;
        $crate::action::bindings::export_world!(__LotmqAction with_types_in $crate::action::bindings);
    };
}
