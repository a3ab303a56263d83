//! `TRIGGER "Event" TO Route WITH v`: fires an event of a route (LoT reference §8.8).
//!
//! ```text
//! triggerEvt = "TRIGGER" ( string | ident ) "TO" ( ident | string ) [ "WITH" value ]
//!            | "TRIGGER" string "TO" value "FOR" ( ident | string ) ;      -- v1: the first string names the route
//!
//! TRIGGER "Save" TO PlantDb WITH PAYLOAD
//! ```

use crate::syntax::{Expression, Name};

/// `TRIGGER event TO route WITH value`.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerEvent {
    /// The event.
    pub event: Name,
    /// The route.
    pub route: Name,
    /// What the event gets as payload.
    pub value: Option<Expression>,
}
