//! Guests of the world `auth`, which authenticate clients.
//!
//! An instance serves one call at a time. Its driver ends a waiting `run` through
//! [`HostWork`](crate::fiber::HostWork).
//!
//! Invariants: an answer that is handed on can be carried out as it is: its texts fit into packets,
//! its filters and reason codes are valid, and it has a bounded length. Not here: the chain of
//! guests, the handling of a trap or a late answer, and evaluating permissions.

mod bindings;
mod checks;
mod host;
mod instance;
mod nobody;

pub use crate::route::bindings::lotmq::guest::{
    message_properties::{PayloadFormat, Properties, UserProperty},
    types::Qos,
};
pub use bindings::{
    exports::lotmq::guest::auth_handler::{
        Acceptance, AlternativeName, Answer, Certificate, Denial, Description, Hooks, Login, Subscription,
        Will,
    },
    lotmq::guest::principals::{
        Actions, Effect, Grant, Permission, Principal, Property, Selector, SessionLimits,
    },
};
pub use checks::Unusable;
pub use host::AuthServices;
pub use instance::{AuthGuest, AuthInstance, AuthSpec};
