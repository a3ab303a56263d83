//! Figures of a tenant: numbers of Clients and sessions.

use std::sync::atomic::Ordering;

use crate::broker::Broker;
use crate::managed::Managing as _;
use lotmq_core::tenant::Tenant;

/// Number of sessions up to which they are counted whenever somebody asks; more only by the clock,
/// because each is looked at.
const COUNTED_AT_ONCE_MAX: usize = 10_000;

/// Counts of a tenant's Clients and sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// Number of sessions, connected or away.
    pub(super) total: usize,
    pub(super) connected: usize,
    /// Number of QoS 1 and 2 messages that were sent and not finished.
    pub(super) inflight: usize,
    /// Largest number of connected Clients at any count.
    pub(super) maximum: usize,
}

impl Figures {
    /// Present figures, or for a tenant with very many sessions those of the last round.
    pub(super) fn of(broker: &Broker, tenant: &Tenant) -> Self {
        let total = tenant.sessions.lock().len();
        if total <= COUNTED_AT_ONCE_MAX {
            return Self::counted(broker, tenant);
        }
        let counted = &tenant.managed().counted;
        Self {
            total,
            connected: counted.connected.load(Ordering::Relaxed),
            inflight: usize::try_from(counted.inflight.load(Ordering::Relaxed)).unwrap_or(usize::MAX),
            maximum: counted.maximum.load(Ordering::Relaxed),
        }
    }

    /// Counts the figures. Cost: O(sessions); their lock is held for a part of that.
    pub(super) fn counted(_broker: &Broker, tenant: &Tenant) -> Self {
        let clients = tenant.all_sessions();
        let connected = clients.iter().filter(|client| client.wire_version().is_some()).count();
        let inflight = clients.iter().map(|client| client.state.lock().session.counts().inflight).sum();
        let counted = &tenant.managed().counted;
        counted.connected.store(connected, Ordering::Relaxed);
        counted.inflight.store(inflight as u64, Ordering::Relaxed);
        let maximum = counted.maximum.fetch_max(connected, Ordering::Relaxed).max(connected);
        Self { total: clients.len(), connected, inflight, maximum }
    }
}
