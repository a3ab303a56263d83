//! The network side of the broker: listeners, sockets with their layers, and the shards that read
//! them.
//!
//! A listener is made of its plan ([`Listener::new`](listener::Listener::new)), and [`Net::serve`]
//! serves its sockets. A socket that the first shard accepts is admitted (`admission`) and given to
//! a shard, whose thread reads it for as long as it is open. Bytes go through the layers of the
//! connection (`layers`) into the turn of the core.
//!
//! Invariants: a connection stays on its shard; its place is given back exactly once; only the
//! owner of a connection frames and encrypts its bytes. Not here: the turn in which bytes go from
//! one connection to another (`lotmq_core::turn`), which listeners there are (`lotmq_config`), and
//! their start and stop (`lotmq_server`).

mod accept;
mod admission;
mod alternative_names;
pub mod certificates;
mod connection;
mod gate;
mod half_open;
mod inflated;
mod layers;
mod limits;
pub mod listener;
pub mod listening_socket;
pub mod locality;
mod look;
pub mod not_opened;
mod proxy;
#[cfg(feature = "quic")]
pub mod quic;
mod relayed;
mod rest;
pub mod shard;
mod socket;
mod subject;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use lotmq_config::Placement;
use parking_lot::Mutex;

use self::accept::Listening;
use self::certificates::Certificates;
use self::gate::Gate;
use self::half_open::HalfOpen;
use self::inflated::Inflated;
use self::limits::{LOGINS_WAITING_PART, half_open_part};
use self::listener::Listener;
use self::listening_socket::ListeningSocket;
use self::not_opened::NotOpened;
use self::shard::Shard;
use lotmq_core::Core;
use lotmq_core::limits::unfinished::Unfinished;
use lotmq_core::tenant::Tenants;
use lotmq_core::turn::context::TurnContext;
use lotmq_process::descriptors::Descriptors;
use lotmq_process::watchdog::Watchdog;

#[doc(hidden)]
pub use proxy::fuzz_proxy;

/// The network side of the broker: what all listeners and shards share.
pub struct Net {
    pub(crate) core: Arc<Core>,
    pub(crate) context: Arc<TurnContext>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) watchdog: Arc<Watchdog>,
    /// Shards, by number.
    pub shards: Vec<Arc<Shard>>,
    /// Choice of the shard for a new connection.
    pub placement: Placement,
    /// Connections that are open now, and the rate of new ones.
    pub(crate) gate: Gate,
    /// Half-open connections of all listeners.
    pub(crate) half_open: HalfOpen,
    pub(crate) listening: Listening,
    /// Listeners that are configured and not served.
    pub not_opened: Mutex<Vec<NotOpened>>,
    /// Certificates of the listeners with TLS.
    pub certificates: Certificates,
    /// Shares of the process' file descriptors; known once everything is open.
    pub descriptors: OnceLock<Descriptors>,
    /// Unfinished input of all connections.
    pub(crate) partial_bytes: Unfinished,
    /// Allowance for bytes that expand beyond `inflate_ratio`.
    pub(crate) inflated: Inflated,
    /// How often connections kept too much of it: shards that see it change close some.
    pub(crate) overfull: AtomicU64,
}

impl Net {
    /// The network side of a broker with these shards, before anything listens.
    pub fn new(
        context: Arc<TurnContext>,
        tenants: Arc<Tenants>,
        watchdog: Arc<Watchdog>,
        shards: Vec<Arc<Shard>>,
        placement: Placement,
    ) -> Self {
        Self {
            core: Arc::clone(&context.core),
            context,
            tenants,
            watchdog,
            shards,
            placement,
            gate: Gate::default(),
            half_open: HalfOpen::default(),
            listening: Listening::default(),
            not_opened: Mutex::default(),
            certificates: Certificates::default(),
            descriptors: OnceLock::new(),
            partial_bytes: Unfinished::default(),
            inflated: Inflated::default(),
            overfull: AtomicU64::new(0),
        }
    }

    /// Serves the connections that come to a socket of `listener`, for ever.
    pub fn serve(&self, listener: &Arc<Listener>, socket: ListeningSocket) {
        let served = self.listening.add(Arc::clone(listener), socket);
        self.shards[0].listen(accept::serve(served));
    }

    /// Wakes the shards that wait for the store.
    pub fn committed(&self) {
        for shard in &self.shards {
            shard.committed();
        }
    }

    /// Notes that connections keep too much unfinished input: all shards look at theirs.
    pub(crate) fn note_overfull(&self) {
        self.overfull.fetch_add(1, Ordering::SeqCst);
        self.end_rest();
    }

    /// Whether all shards rest.
    pub fn rests(&self) -> bool {
        self.shards.iter().all(|shard| shard.rest.is_on())
    }

    /// Ends the rest of shards that may have to accept connections in place of one that stands
    /// still.
    pub fn look_after_shards(&self, now: Instant) {
        if self.shards.iter().any(|shard| shard.stands_still(now)) {
            self.end_rest();
        }
    }

    fn end_rest(&self) {
        for shard in &self.shards {
            shard.rest.end();
        }
    }

    /// Most connections at once: what is configured, or what there are file descriptors for.
    pub fn connections_max(&self) -> u32 {
        let descriptors = self.descriptors.get().map_or(u32::MAX, |shared| shared.connections);
        descriptors.min(self.core.settings.limits.connections)
    }

    /// Most connections of all listeners that may be without CONNECT at once.
    pub(crate) fn half_open_max(&self) -> u32 {
        half_open_part(self.connections_max())
    }

    /// Most logins whose passwords may wait to be checked.
    pub fn logins_waiting_max(&self) -> u32 {
        self.core.settings.limits.logins_waiting.min(self.connections_max().div_ceil(LOGINS_WAITING_PART))
    }

    /// Connections beyond these that are let in until it is known who comes.
    pub(crate) fn spare_connections(&self) -> u32 {
        self.descriptors.get().map_or(0, |shared| shared.spare_connections)
    }

    /// Connections that are open.
    pub fn connection_count(&self) -> usize {
        self.gate.open() as usize
    }
}
