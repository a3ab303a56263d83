//! The thread of the `$SYS` tree: figures by the clock, listings while somebody is subscribed, sessions whose user is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

use crate::broker::Broker;
use crate::close::CloseReason;
use crate::net::turn::Turn;
use crate::tenant::Tenant;

/// How often the thread looks around. Sessions of a removed user end within a second (commands reference §7.1).
const PERIOD: Duration = Duration::from_millis(500);

/// How often the log says that `root` has the password that everybody knows.
const DEFAULT_PASSWORD_WARNING: Duration = Duration::from_secs(3600);

/// The face of the thread for others.
#[derive(Default)]
pub(crate) struct Sys {
    state: Mutex<State>,
    changed: Condvar,
    /// Changes of accounts; sessions are looked through after each.
    users_generation: AtomicU64,
}

#[derive(Default)]
struct State {
    wants_refresh: bool,
    is_stopping: bool,
}

impl Sys {
    /// Publishes all figures now.
    pub(crate) fn refresh(&self) {
        self.state.lock().wants_refresh = true;
        self.changed.notify_one();
    }

    /// Accounts have changed: sessions of removed users and old passwords are to end.
    pub(crate) fn users_changed(&self) {
        self.users_generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Sleeps for a period, or until something is wanted; `None` when it is time to stop, else whether a refresh is wanted.
    fn sleep(&self) -> Option<bool> {
        let mut state = self.state.lock();
        if !state.wants_refresh && !state.is_stopping {
            self.changed.wait_for(&mut state, PERIOD);
        }
        (!state.is_stopping).then(|| std::mem::take(&mut state.wants_refresh))
    }
}

/// Starts the thread.
///
/// # Errors
/// When the system gives none.
pub(crate) fn start(broker: &Arc<Broker>) -> std::io::Result<JoinHandle<()>> {
    let broker = Arc::clone(broker);
    std::thread::Builder::new().name("sys".to_owned()).spawn(move || {
        Turn::install(Arc::clone(&broker), None);
        let mut clockwork = Clockwork::new(broker);
        while let Some(wants_refresh) = clockwork.broker.sys.sleep() {
            clockwork.round(wants_refresh);
        }
        Turn::uninstall();
    })
}

/// What the thread remembers from round to round.
struct Clockwork {
    broker: Arc<Broker>,
    /// Generation of the accounts when all sessions were last found to be of living users.
    users_seen: u64,
    warned_at: Option<Instant>,
}

impl Clockwork {
    fn new(broker: Arc<Broker>) -> Self {
        Self { broker, users_seen: 0, warned_at: None }
    }

    fn round(&mut self, _wants_refresh: bool) {
        self.end_stale_sessions();
        self.warn_of_default_password();
    }

    /// Closes the connections of users who were removed or have a new password. Looks twice after each change, because a login that was
    /// under way may attach a moment later.
    fn end_stale_sessions(&mut self) {
        let generation = self.broker.sys.users_generation.load(Ordering::Acquire) * 2;
        if self.users_seen >= generation {
            return;
        }
        self.users_seen = self.users_seen.max(generation.saturating_sub(2)) + 1;
        for tenant in self.broker.tenants.all().iter() {
            end_stale_sessions(tenant);
        }
    }

    fn warn_of_default_password(&mut self) {
        if self.warned_at.is_some_and(|at| at.elapsed() < DEFAULT_PASSWORD_WARNING) {
            return;
        }
        self.warned_at = Some(Instant::now());
        for tenant in self.broker.tenants.all().iter() {
            if tenant.users.root_has_default_password() {
                warn!(
                    tenant = &*tenant.name,
                    "root has the default password and may log in from this machine only"
                );
            }
        }
    }
}

fn end_stale_sessions(tenant: &Tenant) {
    let clients: Vec<_> = tenant.sessions.lock().values().cloned().collect();
    for client in clients {
        let state = client.state.lock();
        if let Some(link) = &state.link
            && !tenant.users.is_current(&state.identity)
        {
            info!(target: "client", client_id = &*client.client_id, "session closed, its account has changed");
            link.connection.request_close(CloseReason::Administrative);
        }
    }
}
