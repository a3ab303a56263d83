//! The world `auth`: guests that authenticate clients. Not stable yet.
//!
//! Host functions that wait suspend the guest, so guest code is straight-line code.

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from wit")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "lotmq:guest/auth",
        features: ["auth", "route"],
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "lotmq_guest::auth::bindings",
    });
}

use crate::output;
use bindings::exports::lotmq::guest::auth_handler;
pub use bindings::exports::lotmq::guest::auth_handler::{
    Acceptance, AlternativeName, Answer, Certificate, Denial, Description, Hooks, Login, Subscription, Will,
};
pub use host::{
    ambient, config, diagnostics, environment,
    logging::{Level, log},
    message_properties::{PayloadFormat, Properties, UserProperty},
    messages::WriteError,
    metrics,
    net::{self, Interest, IoError, Peer},
    principals::{
        Actions, Effect, Grant, Permission, Principal, Property, Selector, SessionLimits, revoke, update,
    },
    state,
    types::Qos as QoS,
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
#[path = "double/messages.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_messages;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/http.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_http;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/net.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_net;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/principals.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_principals;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod host {
    pub use super::bindings::lotmq::guest::*;
    pub use super::double::{ambient, config, diagnostics, environment, logging, metrics, state};
    pub use super::double_http as http;
    pub use super::double_messages as messages;
    pub use super::double_net as net;
    pub use super::double_principals as principals;
}

/// Test doubles that only authentication guests need, besides [`testing`](crate::testing).
#[cfg(not(target_arch = "wasm32"))]
pub mod testing {
    pub use super::double_http::{Request, response, serve as serve_http};
    pub use super::double_messages::WrittenMessage;
    use super::{Login, Principal, Selector, double_messages, double_principals};

    /// Takes the messages that the guest has published since the last call.
    pub fn published() -> Vec<WrittenMessage> {
        double_messages::take()
    }

    /// Action of the guest on clients that are logged in.
    #[derive(Clone, Debug)]
    pub enum Intervention {
        /// It has ended connections and sessions.
        Revoked {
            /// Whose.
            whom: Selector,
            /// Reason code for clients of MQTT 5.0.
            reason_code: u8,
            /// The same in words.
            reason: Option<String>,
        },
        /// It has replaced their principal and their permissions.
        Updated {
            /// Whose.
            whom: Selector,
            /// New principal of the sessions.
            principal: Principal,
        },
    }

    /// Takes the calls of `revoke` and `update` since the last call.
    pub fn interventions() -> Vec<Intervention> {
        double_principals::take()
    }

    /// Sets the number of sessions that each `revoke` and `update` returns; 1 by default.
    pub fn set_sessions(count: u32) {
        double_principals::set_sessions(count);
    }

    /// A CONNECT packet of MQTT 5.0 on the listener `mqtt`, with user and password.
    pub fn login(user: &str, password: &str) -> Login {
        Login {
            connection: 1,
            tenant: "default".to_owned(),
            listener: "mqtt".to_owned(),
            endpoint: "127.0.0.1".to_owned(),
            server_name: None,
            certificate: None,
            protocol_version: 5,
            client_id: user.to_owned(),
            clean_start: true,
            keep_alive_seconds: 60,
            session_expiry_seconds: None,
            receive_maximum: u16::MAX,
            packet_bytes_max: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            user: Some(user.to_owned()),
            password: Some(password.as_bytes().to_vec()),
            will: None,
            user_properties: Vec::new(),
        }
    }
}

#[path = "connection.rs"]
mod connection;
#[path = "http.rs"]
pub mod http;
pub use connection::{Connection, described};

/// Reason Code of CONNACK for a user name or a password that is wrong.
pub const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;

/// Reason Code of CONNACK for a client that may not be here.
pub const NOT_AUTHORIZED: u8 = 0x87;

/// Reason Code of CONNACK for an authentication method that is not known.
pub const BAD_AUTHENTICATION_METHOD: u8 = 0x8C;

/// An authentication guest. Only [`authenticate`](Authenticator::authenticate) is required. The
/// host calls the other functions if [`describe`](Authenticator::describe) lists them.
pub trait Authenticator {
    /// Returns the calls and methods that this guest wants. The host calls it once, before
    /// [`open`](Authenticator::open), without network.
    fn describe() -> Description {
        Description { hooks: Hooks::empty(), methods: Vec::new() }
    }

    /// Prepares: connects, loads keys.
    fn open() -> Result<(), String> {
        Ok(())
    }

    /// Decides on a CONNECT packet without enhanced authentication.
    fn authenticate(login: Login) -> Answer;

    /// Begins or goes on with an enhanced authentication. For [`Description::methods`].
    fn step(login: Login, method: String, data: Vec<u8>) -> Answer {
        let _ = (login, data);
        deny(BAD_AUTHENTICATION_METHOD, format!("method '{method}' is not known"))
    }

    /// An enhanced authentication is over before its end.
    fn forget(connection: u64) {
        let _ = connection;
    }

    /// A client that this guest has let in has got its CONNACK. For [`Hooks::CONNECTED`].
    fn connected(connection: u64, client_id: String, session_present: bool) {
        let _ = (connection, client_id, session_present);
    }

    /// Subscriptions were granted. For [`Hooks::SUBSCRIBED`].
    fn subscribed(connection: u64, subscriptions: Vec<Subscription>) {
        let _ = (connection, subscriptions);
    }

    /// A connection is over. For [`Hooks::DISCONNECTED`].
    fn disconnected(connection: u64, reason: String) {
        let _ = (connection, reason);
    }

    /// Works without a client and returns after about `until_ms`. For [`Hooks::RUN`]. Returns the
    /// milliseconds until the next run.
    fn run(until_ms: u32) -> Result<u32, String> {
        Ok(until_ms)
    }

    /// Says goodbye. The instance is dropped afterwards.
    fn close() {}
}

impl Principal {
    /// Returns a user without groups, properties, expiry and own limits. The Rules of the broker
    /// decide for this user.
    pub fn named(user: impl Into<String>) -> Principal {
        Principal {
            user: user.into(),
            groups: Vec::new(),
            properties: Vec::new(),
            permission: Permission::Rules,
            expires_ms: None,
            limits: SessionLimits::default(),
        }
    }
}

/// No bounds.
impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits {
            session_expiry_seconds: None,
            packet_bytes: None,
            queued_messages: None,
            queued_bytes: None,
            messages_per_second: None,
            subscriptions: None,
            connections: None,
        }
    }
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

impl Grant {
    /// Allows publishing to the topics of a filter, subscribing to them, or both. Covers every
    /// quality of service and retained messages.
    pub fn allow(actions: Actions, filter: impl Into<String>) -> Grant {
        let (effect, filter) = (Effect::Allow, filter.into());
        Grant { effect, actions, filter, qos_max: QoS::ExactlyOnce, retain: true }
    }
}

/// Publishes a message at once. The module needs the grant `write:` of the topic.
pub fn publish(topic: &str, payload: &[u8], qos: QoS, retain: bool) -> Result<(), WriteError> {
    host::messages::publish(topic, payload, qos, retain)
}

/// Publishes a message with properties of MQTT 5.0 at once.
pub fn publish_with(
    topic: &str,
    payload: &[u8],
    qos: QoS,
    retain: bool,
    properties: &Properties,
) -> Result<(), WriteError> {
    host::messages::publish_with(topic, payload, qos, retain, properties)
}

/// Lets a client in.
pub fn allow(principal: Principal) -> Answer {
    Answer::Allow(Acceptance { principal, reason: None, user_properties: Vec::new(), data: None })
}

/// Keeps a client out; the text is for the log.
pub fn deny(reason_code: u8, log: impl Into<String>) -> Answer {
    Answer::Deny(Denial { reason_code, reason: None, user_properties: Vec::new(), log: log.into() })
}

#[doc(hidden)]
pub struct ExportedAuth<T>(core::marker::PhantomData<T>);

impl<T: Authenticator> auth_handler::Guest for ExportedAuth<T> {
    fn describe() -> Description {
        start();
        T::describe()
    }

    fn open() -> Result<(), String> {
        T::open()
    }

    fn authenticate(login: Login) -> Answer {
        T::authenticate(login)
    }

    fn step(login: Login, method: String, data: Vec<u8>) -> Answer {
        T::step(login, method, data)
    }

    fn forget(connection: u64) {
        T::forget(connection);
    }

    fn connected(connection: u64, client_id: String, session_present: bool) {
        T::connected(connection, client_id, session_present);
    }

    fn subscribed(connection: u64, subscriptions: Vec<Subscription>) {
        T::subscribed(connection, subscriptions);
    }

    fn disconnected(connection: u64, reason: String) {
        T::disconnected(connection, reason);
    }

    fn run(until_ms: u32) -> Result<u32, String> {
        T::run(until_ms)
    }

    fn close() {
        T::close();
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

/// Makes a type that implements [`Authenticator`] the guest of this crate. Once per crate.
#[macro_export]
macro_rules! export_auth {
    ($guest:ty) => {
        type __LotmqAuth = $crate::auth::ExportedAuth<$guest>;
        $crate::auth::bindings::export_world!(__LotmqAuth with_types_in $crate::auth::bindings);
    };
}
