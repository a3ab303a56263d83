//! The LoT runtime: shared functions of all compiled LoT programs.
//!
//! A compiled Action is a small core module that imports the memory and functions of this one. It
//! keeps the program's variables as *cells* (16 bytes in this memory, [`cell`]), or as machine
//! numbers if it knows their kind. It calls this module for operations that depend on the kinds of
//! operands: arithmetic, comparison, text, JSON, topics, time.
//!
//! Invariants: the module has no imports, so the broker compiles it once and shares its code among
//! all Actions. The memory of a run is freed when the run ends ([`memory`]). Nothing here fails. An
//! impossible operation returns the value that the language prescribes and raises a bit in
//! [`pending`], which the program reports with its line.
//!
//! Cells hold addresses of 32 bits. Code for cells exists only on machines with such addresses: on
//! WebAssembly, and where Miri runs `tests/program.rs`. On other machines, values and functions
//! exist for tests and fuzzers.
//!
//! Not here: clock, random numbers, topics, publishing. Those are imports of the compiled program.

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
