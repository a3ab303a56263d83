//! The LoT runtime: what compiled LoT programs share.
//!
//! A compiled Action is a small core module that imports this one's memory and functions. It keeps the variables of the
//! program as *cells* (16 bytes in this memory, [`cell`]) or, where it knows their kind, as machine numbers, and calls in
//! here for everything that depends on the kinds of its operands: arithmetic, comparison, text, JSON, topics, time.
//!
//! Invariants: no imports, so that the broker compiles it once and shares its code among all Actions; memory of a run is
//! given back at once when the run ends ([`memory`]); nothing here fails: what cannot be done has the value that the
//! language prescribes and raises a bit in [`pending`], which the program reports with its line.
//!
//! Cells hold addresses of 32 bits, so what deals with them is there on machines that have such addresses: on WebAssembly, and where
//! Miri runs `tests/program.rs`. On other machines the values and functions are there for tests and fuzzers.
//!
//! Not here: clock, chance, topics, publishing. Those are imports of the compiled program.

#[cfg(target_pointer_width = "32")]
mod abi;
pub mod arithmetic;
#[cfg(target_pointer_width = "32")]
mod batch;
pub mod cast;
#[cfg(target_pointer_width = "32")]
mod cell;
pub mod compare;
pub mod function;
pub mod growing;
pub mod json;
pub mod limits;
pub mod list;
pub mod math;
#[cfg(target_pointer_width = "32")]
mod memory;
pub mod model;
pub mod number;
#[cfg(target_pointer_width = "32")]
mod pages;
pub mod pattern;
pub mod pending;
pub mod random;
pub mod text;
pub mod time;
pub mod timestamp;
pub mod topic;
pub mod value;

pub use value::{Origin, Value};
