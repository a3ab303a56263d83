//! The client protocol of NATS, as values: frames that the server sends, and the greeting of a
//! client. Not here: connections, of which each world of guests has its own types.

mod frame;
mod greeting;

pub use frame::{Frame, Received, decode};
pub use greeting::{Login, Server, is_for_people};
