//! What all threads of the broker share.

use std::ops::Deref;
use std::sync::Arc;

use lot_to_wasm::{Compat, ModelOutput};
use lotmq_config::{self as config, RuleTrailingPlus, TimestampUtc};
use lotmq_definitions::Now;
use lotmq_host::python::Python;
use lotmq_host::{Engine, Executor};
use lotmq_store::{QuarantineRow, Store};
use parking_lot::Mutex;

use crate::backup::Backups;
use crate::client_lines::ClientLines;
use crate::command::Commands;
use crate::compiles::Compiles;
use crate::guests::promised::LeftRuns;
use crate::guests::routes::{RouteTypes, Routes};
use crate::logins::Logins;
use crate::logs::Logs;
use crate::net::Net;
use crate::not_opened::NotOpened;
use crate::process::alarm::Alarm;
use crate::process::clock::definitions_now;
use crate::process::heap::Heap;
use crate::process::watchdog::Watchdog;
use crate::storage_watch::StorageWatch;
use crate::sys::Sys;
use lotmq_core::Core;
use lotmq_core::tenant::Tenants;

/// See the module's documentation.
pub(crate) struct Broker {
    pub(crate) core: Arc<Core>,
    /// What the core knows as its log, with all that only the server does with it.
    pub(crate) store: Arc<Store>,
    /// What a former run has left of runs that were promised.
    pub(crate) left_runs: LeftRuns,
    pub(crate) storage_watch: StorageWatch,
    pub(crate) heap: Heap,
    pub(crate) net: Arc<Net>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) logins: Logins,
    pub(crate) client_lines: ClientLines,
    pub(crate) housekeeping: Arc<Alarm>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) engine: Engine,
    pub(crate) compiles: Compiles,
    pub(crate) python: Python,
    /// Runs guests; taken away when the broker stops.
    pub(crate) executor: Mutex<Option<Executor>>,
    /// Drives routes.
    pub(crate) routes: Routes,
    pub(crate) route_types: RouteTypes,
    pub(crate) commands: Commands,
    pub(crate) backups: Backups,
    pub(crate) sys: Sys,
    /// Listeners that are configured and not served.
    pub(crate) not_opened: Mutex<Vec<NotOpened>>,
    pub(crate) watchdog: Arc<Watchdog>,
    /// What is damaged in the store and was put aside, as it was when the broker started.
    pub(crate) quarantined: Vec<QuarantineRow>,
}

impl Deref for Broker {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Broker {
    /// How LoT is read.
    pub(crate) fn compat(&self) -> Compat {
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

    /// The present instant as definitions take it.
    pub(crate) fn definitions_now(&self) -> Now {
        definitions_now(&*self.clock)
    }
}
