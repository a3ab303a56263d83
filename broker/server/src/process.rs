//! Process and machine: clocks, memory and its mappings, file descriptors, the turn of each thread,
//! and the watchdog over threads.
//!
//! Below everything else of the server; it knows nothing of connections, guests or commands.

pub(crate) mod alarm;
pub(crate) mod clock;
pub(crate) mod descriptors;
pub(crate) mod disk_room;
pub(crate) mod heap;
pub(crate) mod lifetimes;
pub(crate) mod machine;
pub(crate) mod mappings;
pub(crate) mod restoring;
pub(crate) mod service_manager;
pub(crate) mod this_turn;
pub(crate) mod time_zone;
pub(crate) mod usage;
pub(crate) mod watchdog;
