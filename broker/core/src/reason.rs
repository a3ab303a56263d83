//! Reasons: why a connection ends or a packet is refused, and how its Client is told, in code and
//! words.
//!
//! Not here: who refuses (`protocol`), and limits, which are reasons as well (`limits`).

pub mod close;
mod discouraged;
pub mod foreign;
mod not_taken;
pub mod recipient;
pub mod violation;

pub use discouraged::Discouraged;
pub use not_taken::NotTaken;
