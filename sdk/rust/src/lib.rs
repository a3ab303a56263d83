//! Guests for the lotmq broker in Rust.
//!
//! A guest is a `cdylib` that implements one world of the package `lotmq:guest`. Choose the world by a feature of this crate, implement its
//! trait, and name your type in the export macro:
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
//! Build it with `cargo build --release --target wasm32-unknown-unknown`, wrap the result as a component (`wasm-tools component new`), and load it with
//! `-addModule <name> -world action wasm64:<base64>`. Folder `examples` has a complete one.
//!
//! Guests get only what their definition was granted; a refused write is an error value, a refused read gives nothing. What a guest needs it says
//! by [`manifest!`], and who adds it grants that by `-grantAll`.

#[cfg(feature = "action")]
pub mod action;
#[doc(hidden)]
pub mod manifest;
#[cfg(feature = "route")]
pub mod route;
