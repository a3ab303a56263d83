//! Bound on messages that are in memory for sessions: in flight and kept to be sent again, or next
//! to be sent.
//!
//! The window of a session bounds its messages; this module bounds those of all sessions. It looks
//! at the sessions and does not count messages: a message for a thousand sessions is in memory
//! once, which only its references show. If the sessions of an owner hold more than the owner's
//! [share](part), they are held back. They have little in flight, and the rest stays in the
//! store until others are acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::server::limits::{BOUND_WINDOW_BYTES, IN_FLIGHT_LOOK_PERIOD};
use lotmq_core::limits::Limit;
use lotmq_core::shares::owner_totals::OwnerTotals;
use lotmq_core::shares::part;
use lotmq_core::tenant::client::{Client, ClientState, Queued};
use lotmq_process::clock::thread_cpu;
use lotmq_process::usage;
use lotmq_programs::Hosting;

/// Pause after a look, in multiples of its duration: it takes some 0.1 s for a million sessions.
const LOOK_PAUSE_FACTOR: u32 = 20;

/// Divisor of the part that is shared out evenly, whatever some have.
const OWNERS_PART: u64 = 4;

/// Watch over messages in memory.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<Looked>);

#[derive(Debug, Default)]
struct Looked {
    /// End of the last look, and the processor time that it took.
    at: Option<(Instant, Duration)>,
    /// Whether it found owners whose sessions were held back.
    is_bounded: bool,
}

impl InFlight {
    /// Looks again, if it is time, and if the process has so much memory that there may be too
    /// much.
    pub(crate) fn look(&self, hosting: &Hosting) {
        let mut looked = self.0.lock();
        let (now, cpu) = (Instant::now(), thread_cpu());
        let is_early = |(at, took)| now - at < IN_FLIGHT_LOOK_PERIOD.max(LOOK_PAUSE_FACTOR * took);
        if looked.at.is_some_and(is_early) {
            return;
        }
        let bytes_max = hosting.config.limits.all_inflight_bytes;
        if looked.is_bounded || usage::memory().0 > bytes_max / 2 {
            looked.is_bounded = bound_windows(hosting, bytes_max);
        }
        looked.at = Some((Instant::now(), thread_cpu().saturating_sub(cpu)));
    }
}

/// Sets the bound of each session. True when it is lower than usual for any.
fn bound_windows(hosting: &Hosting, bytes_max: u64) -> bool {
    let tenants = hosting.tenants.all();
    let clients: Vec<Arc<Client>> = tenants.iter().flat_map(|tenant| tenant.all_sessions()).collect();
    let counted: u64 = clients.iter().map(|client| client.state.lock().session.bytes_in_memory()).sum();
    let mut holders = OwnerTotals::default();
    if counted > bytes_max / 2 {
        clients.iter().for_each(|client| add(&mut holders, &client.state.lock()));
    }
    tenants.iter().for_each(|tenant| tenant.shares.unbound_windows());
    let full = bound_owners(&holders, bytes_max);
    if let Some(name) = full.first() {
        hosting.core.limits.elsewhere.note(Limit::AllInflightBytes, name, hosting.core.clock.now());
    }
    for client in &clients {
        let mut state = client.state.lock();
        let bytes = state.holding.share().window_bytes();
        let sends_more = state.session.set_window_bytes(bytes);
        if let Some(link) = state.link.as_ref().filter(|_| sends_more) {
            link.call_owner();
        }
    }
    !full.is_empty()
}

/// Adds the bytes that a session holds in memory: of a message its part among all that hold it.
fn add(holders: &mut OwnerTotals, state: &ClientState) {
    let own =
        |(queued, bytes): (&Queued, u32)| u64::from(bytes) / Arc::strong_count(&queued.message).max(1) as u64;
    holders.add(state.holding.share(), state.session.messages_in_memory().map(own).sum());
}

/// Finds owners with more than their part, bounds the windows of their sessions, and returns their
/// names.
fn bound_owners(holders: &OwnerTotals, bytes_max: u64) -> Vec<String> {
    let all = holders.bytes();
    let users = holders.owners().filter(|owner| owner.is_of_user()).count();
    // Minimum for each owner, however much others already have.
    let least = bytes_max / OWNERS_PART / (users as u64 + 1);
    let is_full = |bytes: u64| bytes >= part(bytes_max, all.saturating_sub(bytes)).max(least);
    let mut full = Vec::new();
    for owner in holders.owners().filter(|owner| is_full(owner.bytes)) {
        let even = bytes_max / owner.sessions.max(1);
        owner.bound_windows(even.clamp(*BOUND_WINDOW_BYTES.start(), *BOUND_WINDOW_BYTES.end()));
        full.push(owner.name());
    }
    full
}

#[cfg(test)]
mod tests {
    use lotmq_auth::{AccountReference, Identity, Peer, Principal};

    use super::*;
    use lotmq_core::shares::{Share, Shares};

    #[test]
    fn windows_of_who_holds_more_than_his_part_are_bounded() {
        let shares = Arc::new(Shares::default());
        let share = |user: Option<&str>, address: &str| {
            let account = |name: &str| {
                let number = name.bytes().map(u64::from).sum();
                Principal::of_reference(AccountReference { name, number })
            };
            let principal = user.map_or_else(Principal::anonymous, account);
            shares.of(&Identity::new(principal, "c".into(), Peer::Tcp(address.parse().unwrap())))
        };
        let ann = share(Some("ann"), "10.0.0.1");
        let bob = share(Some("bob"), "10.0.0.1");
        let strangers = [share(None, "10.0.0.1"), share(None, "10.0.0.2")];
        let usual = u64::MAX;
        let judged = |of: &[(&Arc<Share>, u64)]| {
            let mut holders = OwnerTotals::default();
            of.iter().for_each(|(share, bytes)| holders.add(share, *bytes));
            shares.unbound_windows();
            let _ = bound_owners(&holders, 1_000_000);
            [&ann, &bob, &strangers[0], &strangers[1]].map(|share| share.window_bytes())
        };
        assert_eq!(judged(&[(&ann, 749_999), (&bob, 0)]), [usual; 4]);
        assert_eq!(judged(&[(&ann, 750_000), (&bob, 0)])[..2], [64 << 10, usual]);
        assert_eq!(judged(&[(&ann, 750_000), (&bob, 187_499)])[..2], [64 << 10, usual]);
        // Something is left for the next, also if the others have more than there is.
        assert_eq!(judged(&[(&ann, 2_000_000), (&bob, 83_000)])[..2], [64 << 10, usual]);
        assert_eq!(judged(&[(&ann, 2_000_000), (&bob, 84_000)])[..2], [64 << 10; 2]);
        // All of them together, though none has much; who has a name is not concerned.
        let held = judged(&[(&strangers[0], 400_000), (&strangers[1], 400_000), (&bob, 10)]);
        assert_eq!(held, [usual, usual, 64 << 10, 64 << 10]);
        // An even share, for many sessions of one owner.
        let many: Vec<_> = (0..100).map(|_| (&ann, 10_000)).collect();
        assert_eq!(judged(&many)[0], 10_000);
    }
}
