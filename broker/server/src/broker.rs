//! What all threads of the broker share.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use lot_to_wasm::{Compat, ModelOutput};
use lotmq_config::{self as config, RuleTrailingPlus, TimestampUtc};
use lotmq_definitions::Now;
use lotmq_host::python::Python;
use lotmq_host::{Engine, Executor};
use lotmq_store::{QuarantineRow, Store};
use parking_lot::{Mutex, RwLock};

use crate::backup::Backups;
use crate::client_lines::ClientLines;
use crate::command::Commands;
use crate::compiles::Compiles;
use crate::guests::promised::LeftRuns;
use crate::guests::routes::{RouteTypes, Routes};
use crate::logins::Logins;
use crate::logs::Logs;
use crate::net::admission::Gate;
use crate::net::certificates::Certificates;
use crate::net::listener::Listening;
use crate::net::shard::Shard;
use crate::not_opened::NotOpened;
use crate::process::alarm::Alarm;
use crate::process::clock::definitions_now;
use crate::process::descriptors::Descriptors;
use crate::process::heap::Heap;
use crate::process::watchdog::Watchdog;
use crate::storage_watch::StorageWatch;
use crate::sys::Sys;
use lotmq_core::Core;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::unfinished::Unfinished;

/// See the module's documentation.
pub(crate) struct Broker {
    pub(crate) core: Arc<Core>,
    /// What the core knows as its log, with all that only the server does with it.
    pub(crate) store: Arc<Store>,
    /// What a former run has left of runs that were promised.
    pub(crate) left_runs: LeftRuns,
    pub(crate) storage_watch: StorageWatch,
    pub(crate) heap: Heap,
    pub(crate) shards: Vec<Arc<Shard>>,
    pub(crate) tenants: Tenants,
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
    /// Connections that are open now, and the rate of new ones.
    pub(crate) gate: Gate,
    pub(crate) listening: Listening,
    /// What the process has of file descriptors; known once everything is open.
    pub(crate) descriptors: OnceLock<Descriptors>,
    /// What all connections keep of their input.
    pub(crate) partial_bytes: Unfinished,
    /// Counts how often connections kept too much of it: shards that see it change close some.
    pub(crate) overfull: AtomicU64,
    pub(crate) commands: Commands,
    pub(crate) backups: Backups,
    pub(crate) sys: Sys,
    /// Certificates of the listeners with TLS.
    pub(crate) certificates: Certificates,
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
    /// Wakes the shards that wait for the store.
    pub(crate) fn committed(&self) {
        for shard in &self.shards {
            shard.committed();
        }
    }

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

    /// Most connections at once: what is configured, or what there are file descriptors for.
    pub(crate) fn connections_max(&self) -> u32 {
        let descriptors = self.descriptors.get().map_or(u32::MAX, |shared| shared.connections);
        descriptors.min(self.config.limits.connections)
    }

    /// Connections beyond these that are let in until it is known who comes.
    pub(crate) fn spare_connections(&self) -> u32 {
        self.descriptors.get().map_or(0, |shared| shared.spare_connections)
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.gate.open() as usize
    }
}

/// The tenants of the broker. There are few, and they change rarely.
#[derive(Default)]
pub(crate) struct Tenants(RwLock<Arc<[Arc<Tenant>]>>);

impl Tenants {
    pub(crate) fn new(tenants: Vec<Arc<Tenant>>) -> Self {
        Self(RwLock::new(tenants.into()))
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> Arc<[Arc<Tenant>]> {
        Arc::clone(&self.0.read())
    }

    /// The tenant that a broker with one user has.
    pub(crate) fn default_tenant(&self) -> Arc<Tenant> {
        let tenants = self.0.read();
        Arc::clone(tenants.first().expect("the tenant `default` always exists"))
    }
}
