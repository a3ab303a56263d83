//! Clockwork of the `$SYS` tree, a thread: figures by the clock, listings while somebody is
//! subscribed, sessions whose user is gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use lotmq_changes::{Batch, Op};
use lotmq_session::Time;
use serde_json::json;
use tracing::{info, warn};

use super::documents::{CLUSTER, Document, PERIODIC};
use super::figures::Figures;
use super::untrusted::AuthorityWatch;
use super::{full_queues, listing, monitor, publish};
use crate::assets::Asset;
use crate::audit::AUDIT_DELAY;
use crate::broker::Broker;
use crate::exposure::Exposure;
use crate::limits::RESTING_PERIOD;
use crate::login_places;
use crate::managed::Managing as _;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;
use lotmq_process::clock::utc_text;
use lotmq_process::lifetimes::Anchoring;
use lotmq_process::limits::ROUND_SILENCE_MAX;
use lotmq_process::this_turn;
use lotmq_process::usage;
use lotmq_process::watchdog::{StillThreads, Watched};
use lotmq_programs::asset_names;

/// Period of the thread's rounds while anything happens. Sessions of a removed user end within a
/// second (commands reference §7.1).
const PERIOD: Duration = Duration::from_millis(500);

/// Time between two rounds of the figures below `$SYS/Coreflux`.
const FIGURES_INTERVAL: Duration = Duration::from_secs(10);

/// Time between two rounds of the topics about the cluster.
const CLUSTER_INTERVAL: Duration = Duration::from_secs(7);

/// Topic of the audit's heads.
const AUDIT_HEADS_TOPIC: &str = "$SYS/Coreflux/Audit/Heads";

/// Time between two looks for records of the audit that are too old.
const AUDIT_EXPIRY_INTERVAL: Duration = Duration::from_secs(3600);

/// Shortest time between two reports of the full queue of a session.
const FULL_QUEUES_INTERVAL: Duration = Duration::from_secs(1);

/// Period of the warnings about what is open.
const EXPOSURE_WARNING: Duration = Duration::from_secs(3600);

/// Function that ends uploads of which nothing has come for too long, which is told to whoever
/// began them.
type ExpireUploads = fn(&Broker, &mut Turn, Time);

/// Starts the thread, which ends uploads, too.
///
/// # Errors
/// When the system gives none.
pub fn start(broker: &Arc<Broker>, expire_uploads: ExpireUploads) -> std::io::Result<JoinHandle<()>> {
    let broker = Arc::clone(broker);
    std::thread::Builder::new().name("sys".to_owned()).spawn(move || {
        let _watched = Watched::new(&broker.hosting.watchdog, "the figures of $SYS");
        this_turn::install(Arc::clone(&broker.hosting.context), None);
        let pulse = broker.hosting.watchdog.pulses.add("the thread of $SYS figures", ROUND_SILENCE_MAX);
        let mut periodic = PeriodicState::new(broker, expire_uploads);
        periodic.anchor();
        let mut wait = PERIOD;
        loop {
            pulse.waits_until(Instant::now() + wait);
            let Some(wants_refresh) = periodic.broker.sys.sleep(wait) else { break };
            pulse.begins(Instant::now());
            periodic.round(wants_refresh);
            wait = periodic.time_to_next();
        }
        periodic.store_places();
        let broker = &periodic.broker;
        periodic.anchoring.close(&*broker.core.log, &*broker.core.clock, Instant::now());
        this_turn::uninstall();
    })
}

/// State of the thread from round to round.
struct PeriodicState {
    broker: Arc<Broker>,
    expire_uploads: ExpireUploads,
    /// Generation of the accounts when all sessions were last found to be of living users.
    users_seen: u64,
    authorities: AuthorityWatch,
    warned_at: Option<Instant>,
    still_threads: StillThreads,
    /// Time at which the rates were taken.
    sampled_at: Instant,
    sampled_cpu: Duration,
    /// Times at which `$SYS/broker` and the figures of `$SYS/Coreflux` are due.
    monitor_at: Instant,
    figures_at: Instant,
    cluster_at: Instant,
    full_queues_at: Instant,
    /// Times at which waiting records of the audit are stored, and old ones removed.
    audit_at: Instant,
    audit_expires_at: Instant,
    anchoring: Anchoring,
    /// States of modules that were last published, by number of the tenant and name.
    modules: HashMap<(u32, Arc<str>), String>,
}

impl PeriodicState {
    fn new(broker: Arc<Broker>, expire_uploads: ExpireUploads) -> Self {
        let now = Instant::now();
        Self {
            expire_uploads,
            users_seen: 0,
            authorities: AuthorityWatch::default(),
            warned_at: None,
            sampled_at: now,
            still_threads: StillThreads::default(),
            sampled_cpu: usage::cpu_time(),
            monitor_at: now + monitor_interval(&broker).unwrap_or(FIGURES_INTERVAL),
            figures_at: now + FIGURES_INTERVAL,
            cluster_at: now + CLUSTER_INTERVAL,
            full_queues_at: now,
            audit_at: now,
            audit_expires_at: now,
            anchoring: Anchoring::default(),
            modules: HashMap::new(),
            broker,
        }
    }

    fn round(&mut self, wants_refresh: bool) {
        self.end_stale_sessions();
        self.authorities.look(&self.broker);
        self.warn_of_exposure();
        let now = Instant::now();
        self.still_threads.tell(now, &self.broker.hosting.watchdog.pulses.silent(now));
        self.look_after_audit();
        self.store_places();
        self.anchor();
        self.broker.logs.refresh(&self.broker.hosting.tenants.default_tenant());
        self.broker.logs.count(&self.broker.core.counters);
        let now = Instant::now();
        let monitor = monitor_interval(&self.broker);
        let is_monitor_due = monitor.is_some() && (wants_refresh || now >= self.monitor_at);
        let are_figures_due = wants_refresh || now >= self.figures_at;
        if is_monitor_due || are_figures_due {
            self.sample(now);
        }
        if is_monitor_due {
            self.monitor_at = now + monitor.unwrap_or(FIGURES_INTERVAL);
        }
        if are_figures_due {
            self.figures_at = now + FIGURES_INTERVAL;
        }
        let is_cluster_due = now >= self.cluster_at;
        if is_cluster_due {
            self.cluster_at = now + CLUSTER_INTERVAL;
        }
        let are_full_queues_due = now >= self.full_queues_at;
        if are_full_queues_due {
            self.full_queues_at = now + FULL_QUEUES_INTERVAL;
        }
        let modules = &mut self.modules;
        this_turn::with(|turn| {
            turn.tick();
            (self.expire_uploads)(&self.broker, turn, self.broker.core.clock.now());
            for tenant in self.broker.hosting.tenants.all().iter() {
                if is_monitor_due {
                    publish_monitor(&self.broker, turn, tenant);
                }
                if are_figures_due {
                    publish_figures(&self.broker, turn, tenant);
                }
                if is_cluster_due {
                    publish_all(&self.broker, turn, tenant, CLUSTER);
                }
                if are_full_queues_due {
                    full_queues::publish(turn, tenant);
                }
                listing::publish(&self.broker, turn, tenant);
                publish_modules(turn, tenant, modules);
                publish_assets(turn, tenant, self.broker.core.clock.wall_ms());
            }
            turn.flush();
        });
    }

    /// Time until the next round: until something is due where the broker rests, and whatever ends
    /// that calls the thread.
    fn time_to_next(&self) -> Duration {
        if !self.broker.rests() {
            return PERIOD;
        }
        let monitor = monitor_interval(&self.broker).map(|_| self.monitor_at);
        let due = [Some(self.figures_at), Some(self.cluster_at), monitor].into_iter().flatten();
        let now = Instant::now();
        due.map(|at| at.saturating_duration_since(now)).fold(RESTING_PERIOD, Duration::min)
    }

    /// Takes rates and loads.
    fn sample(&mut self, now: Instant) {
        let seconds = now.duration_since(self.sampled_at).as_secs_f64();
        let cpu = usage::cpu_time();
        let used = cpu.saturating_sub(self.sampled_cpu).as_secs_f64();
        if seconds > 0.0 {
            let permille = (used / seconds * 1000.0).round();
            // A share of a few hundred cores at most, never negative.
            self.broker.sys.cpu_permille.store(permille as u64, Ordering::Relaxed);
        }
        self.broker.sys.loads.lock().update(&self.broker.core.counters, seconds);
        (self.sampled_at, self.sampled_cpu) = (now, cpu);
    }

    /// Closes the connections of users who were removed or have a new password. Looks twice after
    /// each change, because a login that was under way may attach a moment later; and again where a
    /// session waits for the answer to its own change.
    fn end_stale_sessions(&mut self) {
        let generation = self.broker.sys.users_generation.load(Ordering::Acquire) * 2;
        if self.users_seen >= generation {
            return;
        }
        let mut are_all_ended = true;
        for tenant in self.broker.hosting.tenants.all().iter() {
            are_all_ended &= end_stale_sessions(&self.broker, tenant);
            this_turn::with(|turn| end_refused_subscriptions(turn, tenant));
        }
        if are_all_ended {
            self.users_seen = self.users_seen.max(generation.saturating_sub(2)) + 1;
        }
    }

    /// Stores waiting records of the audit and removes old ones; not while the store takes nothing.
    fn look_after_audit(&mut self) {
        let (broker, now) = (&self.broker, Instant::now());
        if now < self.audit_at || broker.core.store_failure().is_some() {
            return;
        }
        self.audit_at = now + AUDIT_DELAY;
        let expires = now >= self.audit_expires_at;
        if expires {
            self.audit_expires_at = now + AUDIT_EXPIRY_INTERVAL;
        }
        for tenant in broker.hosting.tenants.all().iter() {
            if expires {
                // Time that the wall clock has skipped has not passed.
                let now_ms = broker.core.clock.wall_ms().min(broker.core.clock.lifetime_ms());
                tenant.managed().audit.expire(&*broker.core.log, now_ms);
            }
            // Nobody waits for it.
            let _ = tenant.managed().audit.flush(
                &*broker.core.log,
                &broker.core.counters,
                broker.core.clock.wall_ms(),
            );
            tell_audit_heads(broker, tenant);
        }
    }

    /// Stores what the next start needs to know of the time.
    fn anchor(&mut self) {
        if self.broker.core.store_failure().is_some() {
            // A write under way may be lost: it is repeated when the store works.
            self.anchoring = Anchoring::default();
            return;
        }
        self.anchoring.look(&*self.broker.core.log, &*self.broker.core.clock, Instant::now());
    }

    /// Stores from where users have logged in.
    fn store_places(&self) {
        if self.broker.core.store_failure().is_some() || self.broker.core.log.is_congested(0) {
            return;
        }
        let mut batch = Batch::new();
        for tenant in self.broker.hosting.tenants.all().iter() {
            login_places::put_new(&mut batch, tenant.id, &tenant.users);
        }
        if batch.is_empty() {
            return;
        }
        if let Err((error, _)) = self.broker.core.log.offer(batch) {
            warn!(%error, "from where users have logged in was not stored");
        }
    }

    fn warn_of_exposure(&mut self) {
        if self.warned_at.is_some_and(|at| at.elapsed() < EXPOSURE_WARNING) {
            return;
        }
        self.warned_at = Some(Instant::now());
        for tenant in self.broker.hosting.tenants.all().iter() {
            Exposure::of(&self.broker.hosting.config, tenant).warn(tenant);
        }
    }
}

/// Time between two rounds of `$SYS/broker`; `None` when they are switched off.
fn monitor_interval(broker: &Broker) -> Option<Duration> {
    let seconds = broker.hosting.config.sys.interval_sec;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn publish_monitor(broker: &Broker, turn: &mut Turn, tenant: &Arc<Tenant>) {
    // Counts every session, whatever their number: see `figures`.
    Figures::counted(broker, tenant);
    for (topic, payload) in monitor::topics(broker, tenant) {
        publish(turn, tenant, &topic, payload.as_bytes(), true);
    }
}

/// Publishes the modules whose state changed by itself, as by too many traps, or its recovery, or
/// that other definitions use now.
fn publish_modules(turn: &mut Turn, tenant: &Arc<Tenant>, told: &mut HashMap<(u32, Arc<str>), String>) {
    let modules = tenant.managed().modules.all();
    told.retain(|(number, name), _| {
        *number != tenant.number || modules.iter().any(|module| module.name == *name)
    });
    for module in modules {
        let info = crate::modules::info(tenant, &module);
        let now = format!("{} {}", info["state"].as_str().unwrap_or_default(), info["usedBy"]);
        // State that was reported when it was installed, or when the broker started.
        let as_installed = if module.options.is_disabled { "disabled []" } else { "enabled []" };
        let before = told.insert((tenant.number, Arc::clone(&module.name)), now.clone());
        if before.as_deref().unwrap_or(as_installed) != now {
            let topic = format!("$SYS/Coreflux/Modules/{}", module.name);
            publish(turn, tenant, &topic, info.to_string().as_bytes(), true);
        }
    }
}

/// Publishes the status of assets that somebody is subscribed to, where it has changed, and the end
/// of those that are gone.
fn publish_assets(turn: &mut Turn, tenant: &Arc<Tenant>, now_ms: u64) {
    let known = &tenant.managed().assets;
    let all = Asset::all(tenant);
    for asset in &all {
        let topic = asset.topic();
        if tenant.has_subscribers(&topic) {
            let info = asset.info(tenant, now_ms).to_string();
            if known.tells(&asset.name, &info) {
                publish(turn, tenant, &topic, info.as_bytes(), true);
            }
        }
    }
    let names: HashSet<&str> = all.iter().map(|asset| asset.name.as_str()).collect();
    for gone in known.forget_gone(|name| names.contains(name)) {
        publish(turn, tenant, &asset_names::topic_of(&gone), &[], true);
    }
}

fn publish_all(broker: &Broker, turn: &mut Turn, tenant: &Arc<Tenant>, documents: &[Document]) {
    for document in documents {
        publish(turn, tenant, document.topic, (document.payload)(broker, tenant).as_bytes(), true);
    }
}

fn publish_figures(broker: &Broker, turn: &mut Turn, tenant: &Arc<Tenant>) {
    publish_all(broker, turn, tenant, PERIODIC);
    let rate = |name| broker.sys.loads(|loads| (loads.rate(name) * 100.0).round() / 100.0);
    let stats = json!({
        "clients": Figures::of(broker, tenant).connected,
        "msgInPerSec": rate("load/publish/received"),
        "msgOutPerSec": rate("load/publish/sent"),
        "bytesInPerSec": rate("load/bytes/received"),
        "bytesOutPerSec": rate("load/bytes/sent"),
        "uptimeSec": broker.sys.uptime().as_secs(),
        "timestamp": utc_text(turn.wall_ms()),
    });
    publish(turn, tenant, "$SYS/Coreflux/Stats", stats.to_string().as_bytes(), false);
}

/// Ends the stale sessions of a tenant. False when one is spared until it has the answer to the
/// command with which it set its own password.
fn end_stale_sessions(broker: &Broker, tenant: &Tenant) -> bool {
    let mut are_all_ended = true;
    for client in tenant.all_sessions() {
        let state = client.state.lock();
        let Some(link) = state.link.as_ref().filter(|_| !tenant.users.is_current(&state.identity)) else {
            continue;
        };
        if broker.commands.is_setting_own_password(client.session_id) {
            are_all_ended = false;
            continue;
        }
        info!(target: "client", client_id = &*client.client_id, "session closed, its account has changed");
        let is_there = tenant.users.account_of(&state.identity).is_some();
        let reason = if is_there { CloseReason::PasswordChanged } else { CloseReason::Administrative };
        link.connection.request_close(reason);
    }
    are_all_ended
}

/// Ends subscriptions to the tree that their users may not have any more (commands reference §7.4).
fn end_refused_subscriptions(turn: &mut Turn, tenant: &Tenant) {
    let clients = tenant.all_sessions();
    for client in clients {
        let (identity, filters) = {
            let state = client.state.lock();
            let of_tree = state.subscriptions.filters().filter(|filter| is_of_tree(filter));
            (Arc::clone(&state.identity), of_tree.map(Box::from).collect::<Vec<Box<str>>>())
        };
        for filter in filters {
            if tenant.still_delivers(&identity, &filter) {
                continue;
            }
            info!(target: "client", client_id = &*client.client_id, filter = &*filter, "subscription ended, its user lost the right");
            turn.let_pass(client.changed.get());
            let mut state = client.state.lock();
            if state.is_over {
                continue;
            }
            tenant.unsubscribe(&client, &filter);
            state.subscriptions.remove(&filter);
            if client.is_durable() {
                turn.changes(&client);
                let session = client.stored_id();
                turn.batch.push(Op::DeleteSubscription { tenant: tenant.id, session, filter: &filter });
            }
        }
    }
    turn.flush();
}

/// Whether a filter, shared or not, reaches topics of the tree.
fn is_of_tree(filter: &str) -> bool {
    let inner = match lotmq_router::parse_shared(filter) {
        Ok(Some(shared)) => shared.filter,
        _ => filter,
    };
    lotmq_core::tenant::system_topics::is_system(inner)
}
/// Reports the heads of the audit, in the log and to subscribers, so that later removals are
/// noticed there.
fn tell_audit_heads(broker: &Broker, tenant: &Arc<Tenant>) {
    let is_stored = |ticket| matches!(broker.core.log.settled(ticket), Some(Ok(())));
    for head in tenant.managed().audit.heads_to_tell(broker.core.clock.wall_ms(), is_stored) {
        head.log(&tenant.name);
        let payload = json!({
            "trail": head.kind.name(),
            "number": head.number,
            "hash": data_encoding::HEXLOWER.encode(&head.digest),
            "timestamp": utc_text(broker.core.clock.wall_ms()),
        });
        this_turn::with(|turn| {
            turn.tick();
            publish(turn, tenant, AUDIT_HEADS_TOPIC, payload.to_string().as_bytes(), false);
            turn.flush();
        });
    }
}
