//! Guests of the world `route`: the only ones with network, each instance on a fiber of its own.
//!
//! Calls are `async`: while a host function waits, the fiber is suspended and the thread does something else. An instance is one
//! connection to the other system; whoever drives it makes one call at a time and uses [`HostWork`] to end a `run` that waits.
//!
//! Invariants: an instance reaches only the endpoints of its [`RouteSpec`], at addresses that the operator allows; guest code never runs longer than an epoch without giving the thread
//! back; time in which the guest waits does not count against its limit.
//! Not here: dialling again, retries, outboxes, status: that is the driver's, in `server`.

mod bindings;
mod client_tls;
mod dial;
mod endpoint;
mod host;
mod instance;
mod listener;
mod net;
mod properties;
mod tcp;
mod tls;
mod udp;
mod work;

pub use bindings::{
    exports::lotmq::guest::route_handler::{Abilities, Delivery, Description, Failure, Receipt, Rejection},
    lotmq::guest::{
        ingest::IngestError,
        types::{Argument, Message, Qos, Value},
    },
};
pub use client_tls::ClientTls;
pub use endpoint::{Endpoint, EndpointTls, HostPattern, NotAPattern};
pub use host::{Ingesting, RouteServices};
pub use instance::{RouteGuest, RouteInstance, RouteSpec};
pub use properties::{IngestedMessage, properties_of};
pub use work::HostWork;
