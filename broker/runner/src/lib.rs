//! LoT programs at work without a broker: fed by hand, from a recording or beside a broker, and tested in virtual time.
//!
//! [`Program`] is what was compiled, [`Player`] feeds one and prints what it does, [`test_file`] runs the cases of a file. Below both is a broker without
//! Clients (`offline`). Not here: the arguments of `lotmq run` and `lotmq test`.

mod case;
mod cases;
mod judge;
mod offline;
mod player;
mod program;
mod routes;
mod services;
mod traffic;

pub use cases::{SUFFIX, test_file};
pub use offline::{Start, engine};
pub use player::Player;
pub use program::Program;
pub use traffic::{Recorded, read as read_recording};
