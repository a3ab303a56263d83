//! Hosting of guests: engine, executor and the threads of routes, for all tenants.

use std::sync::Arc;

use jiff::tz::TimeZone;
use lot_to_wasm::{Compat, ModelOutput};
use lotmq_changes::LogArchive;
use lotmq_config::Config;
use lotmq_config::{self as config, RuleTrailingPlus, TimestampUtc};
use lotmq_definitions::Now;
use lotmq_host::python::Python;
use lotmq_host::{Ambient, Engine, Executor, MessageBounds};
use parking_lot::Mutex;

use super::cold_start::ColdStart;
use super::compile_workers::CompileWorkers;
use super::route_types::RouteTypes;
use super::routes::Routes;
use lotmq_core::tenant::Tenants;
use lotmq_core::turn::context::TurnContext;
use lotmq_core::{Core, Entropy};
use lotmq_process::alarm::Alarm;
use lotmq_process::clock::definitions_now;
use lotmq_process::watchdog::Watchdog;

/// Hosting of the guests of all tenants: engine, executor and the threads of routes, on top of core
/// and store.
pub struct Hosting {
    /// Data path.
    pub core: Arc<Core>,
    /// Configuration as it was when the broker started.
    pub config: Config,
    /// When the broker started, by the wall clock.
    pub started_ms: u64,
    /// Number by which its bridges tell this broker from others, another one for each start.
    pub broker_number: u32,
    /// Context of the turns of all threads.
    pub context: Arc<TurnContext>,
    /// Snapshots and backups of the log.
    pub archive: Arc<dyn LogArchive>,
    /// All tenants.
    pub tenants: Arc<Tenants>,
    /// Watchdog over the threads of the broker.
    pub watchdog: Arc<Watchdog>,
    /// Alarm of the housekeeper, which runs timers.
    pub housekeeping: Arc<Alarm>,
    /// Engine of all guests.
    pub engine: Engine,
    /// Worker processes that compile modules.
    pub compile_workers: CompileWorkers,
    /// Definitions of the start whose native code is still being compiled.
    pub cold_start: ColdStart,
    /// Interpreter of Python scripts.
    pub python: Python,
    /// Clocks and chance of guests.
    pub ambient: Arc<dyn Ambient>,
    /// Local time: of calendars, and as guests see it.
    pub zone: TimeZone,
    /// Executor of guests; taken away when the broker stops.
    pub executor: Mutex<Option<Executor>>,
    /// Threads of routes.
    pub routes: Routes,
    /// Types of routes with their guests.
    pub route_types: RouteTypes,
}

impl Hosting {
    /// Bounds of what definitions write: for want of a listener, those of the broker.
    pub(crate) fn message_bounds(&self) -> MessageBounds {
        MessageBounds {
            topic_bytes: self.config.limits.topic_bytes as usize,
            topic_levels: self.config.limits.topic_levels as usize,
            user_properties: self.config.limits.user_properties as usize,
            user_property_bytes: self.config.limits.user_property_bytes as usize,
            takes_discouraged: self.core.settings.takes_discouraged,
        }
    }

    /// Compatibility settings of the LoT compiler.
    pub fn compat(&self) -> Compat {
        let compat = &self.config.compat;
        Compat {
            model_output: match compat.model_output {
                config::ModelOutput::Fields => ModelOutput::Fields,
                config::ModelOutput::Json => ModelOutput::Json,
                config::ModelOutput::Both => ModelOutput::Both,
            },
            empty_as_zero_value: compat.empty_as_zero_value,
            utc_as_iso: compat.timestamp_utc == TimestampUtc::Iso,
            rule_trailing_plus: compat.rule_trailing_plus == RuleTrailingPlus::Subtree,
        }
    }

    /// Present time in the form that definitions take.
    pub fn definitions_now(&self) -> Now {
        definitions_now(&*self.core.clock)
    }

    /// Random number of a broker; without entropy the time of its start.
    pub fn random_number(entropy: &Entropy, started_ms: u64) -> u32 {
        let mut random = [0_u8; 16];
        let has_entropy = (entropy.random)(&mut random);
        let number = if has_entropy { u128::from_be_bytes(random) } else { started_ms.into() };
        u32::try_from(number & u128::from(u32::MAX)).unwrap_or_default()
    }
}
