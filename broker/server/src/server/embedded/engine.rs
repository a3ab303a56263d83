//! The engine of tools: that of embedded brokers, and of a component that a tool looks at.

use lotmq_config::Surroundings;
use lotmq_host::{Engine, EngineError, EngineOptions};

use crate::server::lot_engine;

/// Instances of guests at once; those of a program that is tested.
const INSTANCES_MAX: u32 = 64;

/// Starts an engine for LoT whose native code the user keeps for the next process.
///
/// # Errors
/// If there is no room for guests.
pub(super) fn engine_of_user() -> Result<Engine, EngineError> {
    let options = EngineOptions { instances_max: INSTANCES_MAX, ..lot_engine() };
    Engine::of_user(Surroundings::of_process().user_cache(), &options)
}
