//! The world `rule`: guests that decide what a client may do. Rules ask them with
//! `IF MODULE "name" THEN`.

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from wit")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "lotmq:guest/rule",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "lotmq_guest::rule::bindings",
    });
}

use crate::output;
use bindings::exports::lotmq::guest::rule_handler;
pub use bindings::exports::lotmq::guest::rule_handler::{Request, Verdict};
pub use host::{
    ambient, config, current_message, diagnostics,
    logging::{Level, log},
    message_properties::{PayloadFormat, Properties, UserProperty},
    metrics, state, subject, topic_store,
    types::{Qos as QoS, RunError},
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
#[path = "double/current_message.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_current_message;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod host {
    pub use super::bindings::lotmq::guest::*;
    pub use super::double::{ambient, config, diagnostics, logging, metrics, state, subject, topic_store};
    pub use super::double_current_message as current_message;
}

/// Test doubles that only rules need, besides [`testing`](crate::testing).
#[cfg(not(target_arch = "wasm32"))]
pub mod testing {
    pub use super::double_current_message::CurrentMessage;
    use super::{Request, double_current_message};

    /// Sets the result of `current_message`: the message of the question. `None`, the default, is a
    /// question without one.
    pub fn set_current_message(message: Option<CurrentMessage>) {
        double_current_message::set(message);
    }

    /// A question about publishing to a topic, of an anonymous client.
    pub fn publishing(topic: &str, payload: impl Into<Vec<u8>>) -> Request {
        Request {
            scope: "Publish".to_owned(),
            client_id: "test".to_owned(),
            user: None,
            endpoint: "127.0.0.1".to_owned(),
            topic: Some(topic.to_owned()),
            payload: Some(payload.into()),
        }
    }
}

/// A Rule.
pub trait Rule {
    /// Decides. An `Err` and a panic deny. The broker discards an instance after a panic and may
    /// drop it between two questions, so keep lasting values in `state`.
    fn check(request: Request) -> Result<Verdict, RunError>;
}

/// Returns the last value of a topic: the live value, or the retained message. Returns `None`
/// without the grant `read:` for it.
pub fn last_value(topic: &str) -> Option<Vec<u8>> {
    topic_store::get(topic)
}

/// An error of the guest's own.
pub fn error(code: &str, message: impl Into<String>) -> RunError {
    RunError { code: code.to_owned(), message: message.into(), line: 0, column: 0 }
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
pub struct ExportedRule<T>(core::marker::PhantomData<T>);

impl<T: Rule> rule_handler::Guest for ExportedRule<T> {
    fn check(request: Request) -> Result<Verdict, RunError> {
        start();
        T::check(request)
    }
}

/// Makes a type that implements [`Rule`](rule::Rule) the guest of this crate. Once per crate.
#[macro_export]
macro_rules! export_rule {
    ($guest:ty) => {
        type __LotmqRule = $crate::rule::ExportedRule<$guest>;
        $crate::rule::bindings::export_world!(__LotmqRule with_types_in $crate::rule::bindings);
    };
}
