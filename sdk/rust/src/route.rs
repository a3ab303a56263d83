//! The world `route`: guests that connect the broker with another system. Not stable yet.
//!
//! Host functions that wait suspend the guest; written down it is straight-line code.

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from wit")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "lotmq:guest/route-in-batches",
        features: ["route"],
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "lotmq_guest::route::bindings",
    });
}

use crate::output;
pub use bindings::exports::lotmq::guest::route_handler::{
    Abilities, Addressee, Delivery, Description, Failure, PlaceholderValues, Receipt, Rejection, TagName,
};
use bindings::exports::lotmq::guest::{route_batches, route_handler};
pub use host::{
    ambient, config, diagnostics, environment, far_side,
    ingest::{self, Arrival},
    logging::{Level, log},
    message_properties::{PayloadFormat, Properties, UserProperty},
    metrics,
    net::{self, Interest, IoError, Peer},
    retained::{self, RetainedMessage},
    state, topic_store,
    types::{Argument, Message, Qos as QoS, Value},
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
#[path = "double/far_side.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_far_side;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/files.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_files;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/http.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_http;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/ingest.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_ingest;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/net.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_net;
#[cfg(not(target_arch = "wasm32"))]
#[path = "double/retained.rs"]
#[doc(hidden)]
#[allow(missing_docs, reason = "the contract documents them")]
pub mod double_retained;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod host {
    pub use super::bindings::lotmq::guest::*;
    pub use super::double::{
        ambient, config, diagnostics, environment, logging, metrics, state, topic_store,
    };
    pub use super::double_far_side as far_side;
    pub use super::double_files as files;
    pub use super::double_http as http;
    pub use super::double_ingest as ingest;
    pub use super::double_net as net;
    pub use super::double_retained as retained;
}

/// Test doubles of the interfaces that only routes have, for tests on the host machine; see
/// [`testing`](crate::testing).
#[cfg(not(target_arch = "wasm32"))]
pub mod testing {
    pub use super::bindings::lotmq::guest::ingest::IngestError;
    pub use super::double_http::{Request, response, serve as serve_http};
    use super::{
        Addressee, Arrival, Delivery, Message, QoS, RetainedMessage, double_far_side, double_ingest,
        double_retained,
    };

    /// A message for the event `event`, as the host hands it over.
    pub fn delivery(topic: &str, payload: impl Into<Vec<u8>>) -> Delivery {
        let (topic, payload) = (topic.to_owned(), payload.into());
        let message =
            Message { topic, payload, client_id: "test".to_owned(), qos: QoS::AtLeastOnce, retain: false };
        Delivery {
            sequence: 1,
            to: Addressee::Event("event".to_owned()),
            message,
            properties: None,
            received_ms: 0,
            placeholders: Vec::new(),
        }
    }

    /// Takes the messages that the route has published since the last call.
    pub fn published() -> Vec<Arrival> {
        double_ingest::take()
    }

    /// Returns whether the route has reported the other side as [away](super::away) since the last
    /// call.
    pub fn said_away() -> bool {
        double_far_side::take()
    }

    /// Rejects messages that the route publishes, until it is called with `None`.
    pub fn refuse_published(error: Option<IngestError>) {
        double_ingest::refuse(error);
    }

    /// Lets the broker retain messages, and no others.
    pub fn retain(messages: Vec<RetainedMessage>) {
        double_retained::set(messages);
    }
}
#[path = "batch.rs"]
mod batch;
pub use batch::{AddresseeRef, DeliveredMessage, DeliveryBatch, DeliveryRef};
#[path = "connection.rs"]
mod connection;
#[path = "files.rs"]
pub mod files;
#[path = "http.rs"]
pub mod http;
#[path = "http_failure.rs"]
mod http_failure;
#[path = "http_server.rs"]
pub mod http_server;
pub use connection::{Connection, described};
#[path = "executor.rs"]
pub mod executor;
#[path = "schedule.rs"]
mod schedule;
pub use schedule::{Due, Schedule};
#[path = "secret.rs"]
mod secret;
pub use secret::Secret;
#[path = "serial.rs"]
pub mod serial;
#[path = "template.rs"]
mod template;
pub use template::{Template, text_of};
#[path = "udp_connection.rs"]
mod udp_connection;
pub use udp_connection::UdpConnection;

/// A Route. One instance is one connection: after `reconnect` the host makes a new instance and
/// calls [`open`](Route::open) again.
///
/// Implement the function of each ability that [`describe`](Route::describe) returns. The host does
/// not call functions of other abilities.
pub trait Route {
    /// Returns the description of this guest. The host calls it once, before [`open`](Route::open),
    /// without network.
    fn describe() -> Description;

    /// Opens the connection. Secrets are not in the configuration: it names them.
    fn open(configuration: String) -> Result<(), Failure>;

    /// Hands messages over, in order. For [`Abilities::DELIVER`].
    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        let _ = batch;
        Err(Failure::Fatal("this route takes no messages".to_owned()))
    }

    /// Replaces [`deliver`](Route::deliver) if implemented, and gets the batch as received. Topics
    /// and payloads can be read in place. Useful for a guest that only writes them to a socket.
    fn deliver_batch(batch: DeliveryBatch) -> Result<Receipt, Failure> {
        Self::deliver(batch.into_deliveries()?)
    }

    /// Polls, reads or serves, and returns after about `until_ms`. For [`Abilities::RUN`]. Returns
    /// the milliseconds until the next run.
    fn run(until_ms: u32) -> Result<u32, Failure> {
        Ok(until_ms)
    }

    /// Answers a question. For [`Abilities::REQUEST`].
    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let _ = body;
        Err(Failure::Reject(format!("this route does not answer '{operation}'")))
    }

    /// Says goodbye to the other side. The instance is dropped afterwards.
    fn close() {}
}

#[doc(hidden)]
pub struct ExportedRoute<T>(core::marker::PhantomData<T>);

impl<T: Route> route_handler::Guest for ExportedRoute<T> {
    fn describe() -> Description {
        start();
        T::describe()
    }

    fn open(configuration: String) -> Result<(), Failure> {
        start();
        T::open(configuration)
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        T::deliver_batch(batch.into())
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        T::run(until_ms)
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        T::request(operation, body)
    }

    fn close() {
        T::close();
    }
}

impl<T: Route> route_batches::Guest for ExportedRoute<T> {
    fn deliver(numbers: Vec<u32>, bytes: Vec<u8>) -> Result<Receipt, Failure> {
        T::deliver_batch(DeliveryBatch::of_lists(numbers, bytes))
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

/// Returns the usual class of failure for a network error: a wrong configuration is fatal, all else
/// needs a new connection.
pub fn failure(error: &IoError) -> Failure {
    let reason = described(error);
    match error {
        IoError::Denied(_) => Failure::Fatal(reason),
        _ => Failure::Reconnect(reason),
    }
}

/// Failure of `deliver` or `run` if the other side does not answer and a new connection would not
/// help, as over UDP. The instance stays open. The host retries with growing pauses and keeps the
/// messages until then. Return it from the same call.
pub fn away(reason: impl Into<String>) -> Failure {
    far_side::away();
    Failure::Retry(reason.into())
}

/// Returns the class of failure if messages could not be published. A missing grant rejects the
/// message; a failed store is retried.
pub fn unpublished(error: ingest::IngestError) -> Failure {
    let reason = format!("cannot publish: {}", error.name());
    match error {
        ingest::IngestError::NotAllowed => Failure::Reject(reason),
        ingest::IngestError::NotStored => Failure::Retry(reason),
        ingest::IngestError::Closed => Failure::Reconnect(reason),
    }
}

/// Milliseconds until [`deliver_each`] reports its progress to the host. After a crash, unreported
/// messages are delivered again.
const DELIVER_EACH_MS: u32 = 1_000;

/// Calls `each` for every message of a batch, for [`Route::deliver`]. Reports
/// [rejected](Failure::Reject) messages and goes on. Any other failure or the end of the time ends
/// the batch; the host delivers the rest again.
pub fn deliver_each(
    batch: &[Delivery],
    each: impl FnMut(&Delivery) -> Result<(), Failure>,
) -> Result<Receipt, Failure> {
    deliver_until(batch, DELIVER_EACH_MS, each)
}

/// Like [`deliver_each`], but ends after about `time_ms`, with the message in progress. The host
/// runs a guest with [`Abilities::RUN`] between two calls, so this time plus one message bounds the
/// delay of `run`.
pub fn deliver_until(
    batch: &[Delivery],
    time_ms: u32,
    mut each: impl FnMut(&Delivery) -> Result<(), Failure>,
) -> Result<Receipt, Failure> {
    let began = ambient::monotonic_ms();
    let mut receipt = Receipt { accepted: 0, rejected: Vec::new() };
    for delivery in batch {
        match each(delivery) {
            Ok(()) => {}
            Err(Failure::Reject(reason)) => {
                receipt.rejected.push(Rejection { index: receipt.accepted, reason });
            }
            Err(failure) if receipt.accepted == 0 => return Err(failure),
            Err(_) => break,
        }
        receipt.accepted += 1;
        if ambient::monotonic_ms().saturating_sub(began) >= time_ms.into() {
            break;
        }
    }
    Ok(receipt)
}

/// Makes a type that implements [`Route`] the guest of this crate. Once per crate.
#[macro_export]
macro_rules! export_route {
    ($guest:ty) => {
        type __LotmqRoute = $crate::route::ExportedRoute<$guest>;
        $crate::route::bindings::export_world!(__LotmqRoute with_types_in $crate::route::bindings);
    };
}
