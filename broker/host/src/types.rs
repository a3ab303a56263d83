//! The values that cross between guests and the broker, as `wit/guest/types.wit` defines them.
//!
//! Values that only go to a guest are borrowed (`Message`, `Client` …: generated from the WIT).
//! Values that go both ways are owned and defined here.

use crate::bindings::{
    exports::lotmq::guest::action_handler as handler,
    lotmq::guest::types::{self as generated, ValueParam, ValueResult},
};
pub use crate::bindings::{
    exports::lotmq::guest::action_handler::{Client, Departure, Subscription},
    lotmq::guest::types::Qos,
};
use crate::texts::coded;
use std::sync::Arc;
use wasmtime::component::{ComponentType, Lift, Lower};

/// A value that crosses between guests, with the kinds of the Language of Things.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Value {
    /// Nothing was ever written, or an operand was missing.
    #[component(name = "empty")]
    Empty,
    /// An explicit null.
    #[component(name = "null")]
    Null,
    /// A truth value.
    #[component(name = "boolean")]
    Boolean(bool),
    /// A whole number.
    #[component(name = "integer")]
    Integer(i64),
    /// A floating-point number.
    #[component(name = "double")]
    Double(f64),
    /// UTF-8 text.
    #[component(name = "text")]
    Text(String),
    /// A JSON object or array as compact text, keys in insertion order.
    #[component(name = "json")]
    Json(String),
    /// Raw bytes.
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
    /// A UTC instant in milliseconds since 1970-01-01.
    #[component(name = "time")]
    Time(i64),
}

/// A named value: an input of a callable definition.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Argument {
    /// Name as written in the definition; compared byte by byte.
    #[component(name = "name")]
    pub name: String,
    /// Its value.
    #[component(name = "value")]
    pub value: Value,
}

/// Why a run ended before its end.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct RunError {
    /// Stable code: `LOTnnn` for compiled LoT, else upper-case words.
    #[component(name = "code")]
    pub code: String,
    /// One sentence for people.
    #[component(name = "message")]
    pub message: String,
    /// Line in the definition's source, from 1; 0 when unknown.
    #[component(name = "line")]
    pub line: u32,
    /// Column in the definition's source, from 1; 0 when unknown.
    #[component(name = "column")]
    pub column: u32,
}

/// Place in the source of a definition, from line 1 and column 1; zeros if it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourcePlace {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl RunError {
    /// An error without a place in the source.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        RunError { code: code.to_owned(), message: message.into(), line: 0, column: 0 }
    }

    /// Error as a guest gave it: its code and its text may be anything.
    pub(crate) fn of_guest(code: &str, message: &str, place: SourcePlace) -> Self {
        let (code, message) = coded(code, message);
        let SourcePlace { line, column } = place;
        RunError { code: code.to_owned(), message: message.into_owned(), line, column }
    }

    /// A run calls an Action that is not there.
    pub fn unknown_action(name: &str) -> Self {
        Self::new("ACTION_NOT_FOUND", format!("action '{name}' does not exist"))
    }

    /// A module is called or asked that is not there.
    pub fn unknown_module(name: &str) -> Self {
        Self::new("MODULE_NOT_FOUND", format!("module '{name}' is not installed"))
    }

    /// A run publishes a Model that is not there.
    pub fn unknown_model(name: &str) -> Self {
        Self::new("MODEL_NOT_FOUND", format!("model '{name}' does not exist"))
    }
}

/// Application message, borrowed from its owner. A guest gets the first five fields, and asks for
/// the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BorrowedMessage<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Payload as it arrived.
    pub payload: &'a [u8],
    /// Quality of service with which it arrived.
    pub qos: Qos,
    /// RETAIN flag with which it arrived.
    pub retain: bool,
    /// Client Identifier of the publisher, as in [`OwnedMessage`].
    pub client_id: &'a str,
    /// User of the publisher, as in [`OwnedMessage`].
    pub user: Option<&'a str>,
    /// Properties of MQTT 5.0 as they are encoded in PUBLISH, without their length. Those of one
    /// connection may be among them and are not looked at.
    pub properties: &'a [u8],
    /// Expiry time, by [`Services::lifetime_ms`](crate::Services::lifetime_ms).
    pub expires_at_ms: Option<u64>,
    /// When it was received, in milliseconds since 1970.
    pub received_ms: u64,
}

impl<'a> BorrowedMessage<'a> {
    /// Topic that it wants its answer on.
    pub fn response_topic(&self) -> Option<&'a str> {
        crate::properties::decoded(self.properties).response_topic()
    }

    /// A message of QoS 0 that says nothing else, from nobody, received in 1970.
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        let (qos, retain, client_id) = (Qos::AtMostOnce, false, "");
        BorrowedMessage {
            topic,
            payload,
            qos,
            retain,
            client_id,
            user: None,
            properties: &[],
            expires_at_ms: None,
            received_ms: 0,
        }
    }

    /// Returns the part of the message that a guest receives.
    pub(crate) fn as_param(&self) -> generated::Message<'a> {
        let BorrowedMessage { topic, payload, qos, retain, client_id, .. } = *self;
        generated::Message { topic, payload, qos, retain, client_id }
    }
}

/// Event that starts a run, borrowed from its owner.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A message matched the trigger.
    Message(BorrowedMessage<'a>),
    /// The broker started, or the definition was deployed.
    Start,
    /// The definition's timer or clock time.
    Timer,
    /// A client was accepted.
    Connected(Client<'a>),
    /// A client went away.
    Disconnected(Departure<'a>),
    /// A subscription was granted.
    Subscribed(Subscription<'a>),
    /// The definition was called by name.
    Call {
        /// Inputs by name.
        inputs: &'a [Argument],
        /// Message that the caller's run was started by, if any.
        trigger: Option<BorrowedMessage<'a>>,
    },
}

impl<'a> Event<'a> {
    /// The message that started the run, or its caller's.
    pub fn trigger(&self) -> Option<&BorrowedMessage<'a>> {
        match self {
            Event::Message(message) => Some(message),
            Event::Call { trigger, .. } => trigger.as_ref(),
            Event::Start
            | Event::Timer
            | Event::Connected(_)
            | Event::Disconnected(_)
            | Event::Subscribed(_) => None,
        }
    }
}

/// A message that waits in mailboxes; all of them share one copy.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedMessage {
    /// Topic Name.
    pub topic: Arc<str>,
    /// Payload as it arrived.
    pub payload: bytes::Bytes,
    /// Quality of service with which it arrived.
    pub qos: Qos,
    /// RETAIN flag with which it arrived.
    pub retain: bool,
    /// Client Identifier of the publisher, or `$route/` and the name of a route. Empty for other
    /// guests and the broker itself. Shared with the session, so that it costs no copy.
    pub client_id: Arc<str>,
    /// Rare fields of a message. Without them it fits two cache lines instead of three, in a size
    /// class of common allocators.
    pub extras: Option<Box<MessageExtras>>,
    /// When it was received, in milliseconds since 1970.
    pub received_ms: u64,
    /// Lease that is held until everything that the message starts has ended.
    pub lease: Option<Lease>,
}

// With the two reference counts, 120 bytes: the largest size for which glibc has lists that threads
// share without a merge of free blocks.
const _: () = assert!(size_of::<OwnedMessage>() <= 104);

/// Properties of MQTT 5.0 and the user of the publisher, if some definition asks for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageExtras {
    /// User of the publisher; none where nobody has logged in, and of messages of a former run of
    /// the broker.
    pub user: Option<Arc<str>>,
    /// Properties of MQTT 5.0, as in [`BorrowedMessage`].
    pub properties: bytes::Bytes,
    /// Expiry time, by [`Services::lifetime_ms`](crate::Services::lifetime_ms).
    pub expires_at_ms: Option<u64>,
}

impl MessageExtras {
    /// Returns the extras of a message; `None` if all fields are empty.
    pub fn of(
        user: Option<Arc<str>>,
        properties: bytes::Bytes,
        expires_at_ms: Option<u64>,
    ) -> Option<Box<Self>> {
        let says_nothing = user.is_none() && properties.is_empty() && expires_at_ms.is_none();
        (!says_nothing).then(|| Box::new(Self { user, properties, expires_at_ms }))
    }
}

/// Something of the server's that lives as long as a message has runs before it: see
/// [`OwnedMessage::lease`].
#[derive(Clone, Debug)]
pub struct Lease(Arc<dyn std::any::Any + Send + Sync>);

impl Lease {
    /// Holds `held`.
    pub fn new(held: Arc<dyn std::any::Any + Send + Sync>) -> Self {
        Self(held)
    }

    /// Returns the held value.
    #[must_use]
    pub fn into_held(self) -> Arc<dyn std::any::Any + Send + Sync> {
        self.0
    }
}

impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl OwnedMessage {
    /// A message of QoS 0 that says nothing else, from nobody, received in 1970.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<bytes::Bytes>) -> Self {
        OwnedMessage {
            topic: topic.into(),
            payload: payload.into(),
            qos: Qos::AtMostOnce,
            retain: false,
            client_id: Arc::default(),
            extras: None,
            received_ms: 0,
            lease: None,
        }
    }

    /// User of the publisher, as in [`BorrowedMessage`].
    pub fn user(&self) -> Option<&str> {
        self.extras.as_ref()?.user.as_deref()
    }

    /// Its properties of MQTT 5.0, as in [`BorrowedMessage`].
    pub fn properties(&self) -> &[u8] {
        self.extras.as_ref().map_or(&[], |extras| &extras.properties)
    }

    /// Its expiry time, by [`Services::lifetime_ms`](crate::Services::lifetime_ms).
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.extras.as_ref()?.expires_at_ms
    }

    /// The message as guests see it.
    pub fn as_message(&self) -> BorrowedMessage<'_> {
        BorrowedMessage {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            client_id: &self.client_id,
            user: self.user(),
            properties: self.properties(),
            expires_at_ms: self.expires_at_ms(),
            received_ms: self.received_ms,
        }
    }

    /// Message of a window that closes with this one: with these figures, and else as one that
    /// nobody sent.
    #[must_use]
    pub fn of_window(&self, figures: Vec<u8>) -> OwnedMessage {
        let (qos, retain) = (Qos::AtMostOnce, false);
        OwnedMessage { payload: figures.into(), qos, retain, extras: None, ..self.clone() }
    }

    /// Bytes that it counts for in the bound of a mailbox.
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties().len()
    }
}

/// A client whose life cycle triggers definitions.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedClient {
    /// Client Identifier.
    pub client_id: Box<str>,
    /// User name; `None` for an anonymous client.
    pub user: Option<Box<str>>,
    /// Remote address, `ip:port`.
    pub endpoint: Box<str>,
    /// Clean Session (3.1.1) or Clean Start (5.0) of its CONNECT.
    pub clean_start: bool,
}

impl OwnedClient {
    fn as_client(&self) -> Client<'_> {
        Client {
            client_id: &self.client_id,
            user: self.user.as_deref(),
            endpoint: &self.endpoint,
            clean_start: self.clean_start,
        }
    }
}

/// Event that starts a run, as it waits in a mailbox.
#[derive(Clone, Debug)]
pub enum OwnedEvent {
    /// See [`Event::Message`].
    Message(Arc<OwnedMessage>),
    /// See [`Event::Start`].
    Start,
    /// See [`Event::Timer`].
    Timer,
    /// See [`Event::Connected`].
    Connected(Arc<OwnedClient>),
    /// See [`Event::Disconnected`].
    Disconnected {
        /// The client that went.
        client: Arc<OwnedClient>,
        /// How: `normal`, `session-taken-over`, …
        reason: Box<str>,
    },
    /// See [`Event::Subscribed`].
    Subscribed {
        /// The client that subscribed.
        client: Arc<OwnedClient>,
        /// Topic Filter as it was asked for.
        filter: Box<str>,
        /// Granted quality of service, 0 to 2.
        qos: u8,
    },
    /// See [`Event::Call`].
    Call {
        /// Inputs by name.
        inputs: Vec<Argument>,
        /// A message to simulate as the caller's trigger.
        trigger: Option<Arc<OwnedMessage>>,
    },
}

impl OwnedEvent {
    /// The event as a run gets it.
    pub fn as_event(&self) -> Event<'_> {
        match self {
            OwnedEvent::Message(message) => Event::Message(message.as_message()),
            OwnedEvent::Start => Event::Start,
            OwnedEvent::Timer => Event::Timer,
            OwnedEvent::Connected(client) => Event::Connected(client.as_client()),
            OwnedEvent::Disconnected { client, reason } => {
                Event::Disconnected(Departure { client: client.as_client(), reason })
            }
            OwnedEvent::Subscribed { client, filter, qos } => {
                Event::Subscribed(Subscription { client: client.as_client(), filter, qos: *qos })
            }
            OwnedEvent::Call { inputs, trigger } => {
                Event::Call { inputs, trigger: trigger.as_deref().map(OwnedMessage::as_message) }
            }
        }
    }

    /// Bytes that count against the bound of a mailbox: what grows with the sender's data, and a
    /// fixed part per event.
    pub(crate) fn bytes(&self) -> usize {
        const FIXED: usize = 64;
        FIXED
            + match self {
                OwnedEvent::Message(message) => message.bytes(),
                OwnedEvent::Start | OwnedEvent::Timer => 0,
                OwnedEvent::Connected(client) | OwnedEvent::Disconnected { client, .. } => {
                    client.client_id.len()
                }
                OwnedEvent::Subscribed { client, filter, .. } => client.client_id.len() + filter.len(),
                OwnedEvent::Call { inputs, trigger } => {
                    let inputs: usize =
                        inputs.iter().map(|input| input.name.len() + input.value.bytes()).sum();
                    inputs + trigger.as_ref().map_or(0, |message| message.bytes())
                }
            }
    }
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Value::Text(text) | Value::Json(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Empty
            | Value::Null
            | Value::Boolean(_)
            | Value::Integer(_)
            | Value::Double(_)
            | Value::Time(_) => size_of::<Value>(),
        }
    }

    fn as_param(&self) -> ValueParam<'_> {
        match self {
            Value::Empty => ValueParam::Empty,
            Value::Null => ValueParam::Null,
            Value::Boolean(value) => ValueParam::Boolean(*value),
            Value::Integer(value) => ValueParam::Integer(*value),
            Value::Double(value) => ValueParam::Double(*value),
            Value::Text(text) => ValueParam::Text(text),
            Value::Json(text) => ValueParam::Json(text),
            Value::Bytes(bytes) => ValueParam::Bytes(bytes),
            Value::Time(value) => ValueParam::Time(*value),
        }
    }
}

impl From<ValueResult> for Value {
    fn from(value: ValueResult) -> Self {
        match value {
            ValueResult::Empty => Value::Empty,
            ValueResult::Null => Value::Null,
            ValueResult::Boolean(value) => Value::Boolean(value),
            ValueResult::Integer(value) => Value::Integer(value),
            ValueResult::Double(value) => Value::Double(value),
            ValueResult::Text(text) => Value::Text(text),
            ValueResult::Json(text) => Value::Json(text),
            ValueResult::Bytes(bytes) => Value::Bytes(bytes),
            ValueResult::Time(value) => Value::Time(value),
        }
    }
}

impl From<generated::RunError> for RunError {
    fn from(error: generated::RunError) -> Self {
        let place = SourcePlace { line: error.line, column: error.column };
        RunError::of_guest(&error.code, &error.message, place)
    }
}

pub(crate) fn as_params(inputs: &[Argument]) -> Vec<generated::Argument<'_>> {
    inputs
        .iter()
        .map(|input| generated::Argument { name: &input.name, value: input.value.as_param() })
        .collect()
}

pub(crate) type LifeEvent<'a> = handler::Event<'a>;
