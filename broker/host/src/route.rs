//! Guests of the world `route`: connections with other systems.
//!
//! An instance is one connection to the other system. Its driver makes one call at a time. Not
//! here: reconnects, retries, outboxes and status, which are the driver's, in `server`.

mod batches;
pub(crate) mod bindings;
mod deliver;
mod described;
mod host;
mod instance;
mod lent;
mod properties;

pub use bindings::{
    exports::lotmq::guest::route_handler::{
        Abilities, Description, Failure, PlaceholderValues, Receipt, Rejection,
    },
    lotmq::guest::{
        ingest::IngestError,
        retained::RetainedMessage,
        types::{Argument, Qos, Value},
    },
};
pub use host::{Ingesting, RouteServices};
pub use instance::{RouteGuest, RouteInstance, RouteSpec};
pub use lent::{LentAddressee, LentDelivery, LentMessage, LentTag};
pub use properties::{IngestedMessage, properties_of};
