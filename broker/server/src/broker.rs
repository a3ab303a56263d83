//! What all threads of the broker share.

use std::fmt::Display;
use std::num::NonZeroU16;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use lotmq_auth::{Identity, Scope};
use lotmq_config::{Config, OnFull};
use lotmq_host::python::Python;
use lotmq_host::{Engine, Executor};
use lotmq_session::{SessionExpiry, Time};
use lotmq_store::{QuarantineRow, Store};
use parking_lot::{Mutex, RwLock};
use tracing::{info, warn};

use crate::absences::Absences;
use crate::backup::Backups;
use crate::changes::Turns;
use crate::client::Client;
use crate::client_lines::{ClientLines, Written};
use crate::clock::Clock;
use crate::command::Commands;
use crate::compiles::Compiles;
use crate::counters::Counters;
use crate::descriptors::Descriptors;
use crate::endings::Endings;
use crate::guests::promised::PromisedRuns;
use crate::guests::routes::{RouteTypes, Routes};
use crate::heap::Heap;
use crate::housekeeping::Housekeeping;
use crate::limits::LimitsReached;
use crate::logins::Logins;
use crate::logs::Logs;
use crate::net::admission::Gate;
use crate::net::certificates::Certificates;
use crate::net::connection::Connection;
use crate::net::shard::Shard;
use crate::net::unfinished::Unfinished;
use crate::not_opened::NotOpened;
use crate::numbers::Numbers;
use crate::storage::Storage;
use crate::store_failure::StoreFailure;
use crate::sys::Sys;
use crate::tenant::Tenant;

/// See the module's documentation.
pub(crate) struct Broker {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) turns: Turns,
    /// Whether there is room in it.
    pub(crate) storage: Storage,
    pub(crate) heap: Heap,
    pub(crate) shards: Vec<Arc<Shard>>,
    pub(crate) tenants: Tenants,
    pub(crate) counters: Counters,
    pub(crate) limits: LimitsReached,
    pub(crate) numbers: Numbers,
    pub(crate) absences: Absences,
    pub(crate) endings: Endings,
    pub(crate) promised_runs: Arc<PromisedRuns>,
    pub(crate) logins: Logins,
    pub(crate) client_lines: ClientLines,
    pub(crate) housekeeping: Arc<Housekeeping>,
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
    /// What the process has of file descriptors; known once everything is open.
    pub(crate) descriptors: OnceLock<Descriptors>,
    /// What all connections keep of their input.
    pub(crate) partial_bytes: Unfinished,
    /// What waits for clients that do not read.
    pub(crate) output_bytes: Unfinished,
    /// Messages that wait in memory, for clients whose sessions end with their connections.
    pub(crate) queued_bytes: Unfinished,
    /// Topics of aliases that were set towards clients.
    pub(crate) alias_bytes: Unfinished,
    /// Counts how often connections kept too much of it: shards that see it change close some.
    pub(crate) overfull: AtomicU64,
    pub(crate) commands: Commands,
    pub(crate) backups: Backups,
    pub(crate) sys: Sys,
    /// Certificates of the listeners with TLS.
    pub(crate) certificates: Certificates,
    /// Listeners that are configured and not served.
    pub(crate) not_opened: Mutex<Vec<NotOpened>>,
    /// Threads and tasks without which the broker does not work, and that are no more.
    pub(crate) ended_by_panic: Mutex<Vec<&'static str>>,
    /// What is damaged in the store and was put aside, as it was when the broker started.
    pub(crate) quarantined: Vec<QuarantineRow>,
    /// As it was when the broker started.
    pub(crate) config: Config,
}

/// What the data path needs of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whether what `KEEP TOPIC` writes is a retained message too (language reference OD-29).
    pub(crate) keep_visible_retained: bool,
    /// Whether `PUBLISH MODEL` is subject to Publish rules (language reference OD-31).
    pub(crate) model_publish_rules: bool,
    /// How LoT is read.
    pub(crate) compat: lot_to_wasm::Compat,
    pub(crate) session_expiry_max: SessionExpiry,
    /// The same for those who came without a name; not longer.
    pub(crate) anonymous_session_expiry_max: SessionExpiry,
    /// Whether Clients may use code points that the standards advise against.
    pub(crate) takes_discouraged: bool,
    /// What becomes of a message for a session that has no room for it.
    pub(crate) on_full: OnFull,
    /// Longest Keep Alive of 5.0 Clients in seconds; `None` when it is theirs to choose.
    pub(crate) keep_alive_max: Option<NonZeroU16>,
}

impl Settings {
    /// How long a session of somebody outlives its connection, at most.
    pub(crate) fn session_expiry_max_of(&self, identity: &Identity) -> SessionExpiry {
        match identity.user {
            Some(_) => self.session_expiry_max,
            None => self.anonymous_session_expiry_max,
        }
    }
}

impl Broker {
    /// An identifier for a Client that named none; unique, as it is drawn from 128 random bits \[MQTT-3.2.2-16\].
    pub(crate) fn assigned_client_id(&self) -> String {
        let mut random = [0_u8; 16];
        if getrandom::fill(&mut random).is_err() {
            // Without entropy the session numbers still make it unique in this store.
            let number = self.store.next_session_id().0;
            random[..8].copy_from_slice(&number.to_be_bytes());
        }
        format!("auto-{}", lotmq_hex::lower(&random))
    }

    /// Notes a refused CONNECT.
    pub(crate) fn login_refused(
        &self,
        connection: &Connection,
        client_id: &str,
        user: Option<&str>,
        refusal: &dyn Display,
    ) {
        if let Some(Written { suppressed }) = self.client_lines.refused.next(self.clock.now().as_millis()) {
            let not_local = connection.why_not_local();
            warn!(target: "client", peer = %connection.peer(), client_id, user, reason = %refusal, not_local, suppressed, "login refused");
        }
        let (audit, who) = (&connection.listener.tenant.audit, (user, client_id));
        audit.refused(&self.counters, self.clock.wall_ms(), who, connection.peer(), refusal);
    }

    /// Notes an accepted CONNECT.
    pub(crate) fn logged_in(&self, connection: &Connection, client: &Client, now: Time) {
        if let Some(Written { suppressed }) = self.client_lines.connected.next(now.as_millis()) {
            let (client_id, user) = (&*client.client_id, client.user.as_deref());
            info!(target: "client", peer = %connection.peer(), client_id, user, suppressed, "client connected");
        }
        let (audit, identity) = (&client.tenant.audit, client.identity());
        audit.accepted(&self.counters, self.clock.wall_ms(), &identity, connection.peer());
    }

    /// Notes that rules denied a topic to a Client.
    pub(crate) fn denied(&self, client: &Client, scope: Scope, topic: &str) {
        let (tenant, identity) = (&client.tenant, client.identity());
        tenant.audit.denied(&self.counters, self.clock.wall_ms(), &identity, (scope.name(), topic));
        if let Some(count) = tenant.denials.note(identity.user.as_ref(), scope) {
            let (user, client_id) = (identity.user.as_deref().unwrap_or_default(), &*client.client_id);
            warn!(target: "rules", tenant = &*tenant.name, user, client_id, scope = scope.name(), topic, count, "denied by a rule");
        }
    }

    /// Wakes the shards that wait for the store.
    pub(crate) fn committed(&self) {
        for shard in &self.shards {
            shard.committed();
        }
    }

    /// Why nothing can be stored at the moment.
    pub(crate) fn store_failure(&self) -> Option<StoreFailure> {
        self.store.failure().map(StoreFailure::from)
    }

    /// Why nothing that clients want stored is, at the moment.
    pub(crate) fn refuses_to_store(&self) -> Option<StoreFailure> {
        self.store_failure()
            .or_else(|| self.storage.is_reserved(&self.store).then_some(StoreFailure::Reserved))
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
