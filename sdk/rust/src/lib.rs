//! Guests for the lotmq broker in Rust.
//!
//! A guest is a `cdylib` that implements one world of the package `lotmq:guest`. Choose the world
//! by a feature of this crate, implement its trait, and name your type in the export macro:
//!
//! ```ignore
//! use lotmq_guest::action::{Action, Message, QoS, RunError, publish};
//!
//! struct Echo;
//!
//! impl Action for Echo {
//!     fn on_message(message: Message) -> Result<(), RunError> {
//!         publish(&format!("echo/{}", message.topic), &message.payload, QoS::AtMostOnce, false)?;
//!         Ok(())
//!     }
//! }
//!
//! lotmq_guest::export_action!(Echo);
//! ```
//!
//! `lotmq guest new` makes a project with this crate inside, `lotmq guest build` the component, and
//! `lotmq guest deploy` loads it into a broker.
//!
//! The guest's log has the lines that it prints with [`println!`](crate::println) and
//! [`eprintln!`](crate::eprintln), and the text of a panic. With the feature `tracing` it also has
//! the events of that crate.
//!
//! A guest has only the rights that its definition grants. A write without a grant returns an
//! error, a read returns nothing. The guest declares the grants that it needs with [`manifest!`];
//! the operator grants them with `-grantAll`.

#[cfg(feature = "action")]
pub mod action;
#[cfg(feature = "auth")]
pub mod auth;
#[doc(hidden)]
pub mod manifest;
#[doc(hidden)]
pub mod output;
#[cfg(all(feature = "getrandom", target_arch = "wasm32", target_os = "unknown"))]
mod random;
#[cfg(feature = "route")]
pub mod route;
#[cfg(feature = "rule")]
pub mod rule;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
