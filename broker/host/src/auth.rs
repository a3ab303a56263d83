//! Guests of the world `auth`: they say who a client is.
//!
//! An instance serves one call at a time; whoever drives it uses
//! [`HostWork`](crate::fiber::HostWork) to end a `run` that waits.
//!
//! Invariants: an answer that is handed on can be carried out as it is: its texts fit into packets,
//! its filters and reason codes are valid, and it has a bounded length. Not here: the chain of
//! guests, what a trap or a late answer means, and evaluating what a guest allows.

mod bindings;
mod checks;
mod host;
mod instance;
mod nobody;

pub use bindings::{
    exports::lotmq::guest::auth_handler::{
        Acceptance, AlternativeName, Answer, Certificate, Denial, Description, Hooks, Login, Subscription,
        Will,
    },
    lotmq::guest::{
        message_properties::{PayloadFormat, Properties, UserProperty},
        principals::{Actions, Effect, Grant, Permission, Principal, Property, Selector, SessionLimits},
        types::Qos,
    },
};
pub use checks::Unusable;
pub use host::AuthServices;
pub use instance::{AuthGuest, AuthInstance, AuthSpec};
