//! Process and machine: clocks, memory and its mappings, file descriptors, the turn of each thread,
//! and the watchdog over threads.
//!
//! The lowest crate of the server: it knows nothing of connections, programs or commands.
//!
//! Invariant: [`watchdog`] reports a thread that stands still or ended by a panic to the log, to
//! `/health` and to the service manager. Not here: threads themselves, and signals.

pub mod alarm;
pub mod clock;
pub mod descriptors;
pub mod disk_room;
pub mod heap;
pub mod lifetimes;
pub mod limits;
pub mod machine;
pub mod mappings;
pub mod restoring;
pub mod service_manager;
pub mod this_turn;
pub mod time_zone;
pub mod usage;
pub mod watchdog;
