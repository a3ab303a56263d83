//! The life of Clients' sessions: how they begin, and how they end.
//!
//! Not here: what a session is (`tenant::client`), and what is sent to it (`turn`).

pub mod attach;
pub(crate) mod connack;
pub mod delayed;
pub mod housekeeping;
pub mod request;
pub mod rights;
pub mod session_end;
mod will;
