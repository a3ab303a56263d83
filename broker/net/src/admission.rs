//! Admission of new connections: bounds at once and per second, of the broker, of a listener, of an
//! address.
//!
//! Checked before anything is read, and again for the address in a PROXY header. A connection that
//! is not admitted is closed without an answer.
//!
//! Invariant: an [`Admission`] gives back its places exactly once, at the latest when it is
//! dropped. Not here: the counts themselves (`gate`, `half_open`), and the further way of the
//! socket (`accept`).

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use lotmq_config::limit_table::CONNECTIONS_PER_SEC_PER_ADDRESS;
use lotmq_session::Time;
use parking_lot::Mutex;

use super::half_open::{HalfOpenSource, Waiting};
use super::limits::SPARE_PATIENCE;
use super::listener::Listener;
use lotmq_core::connection::peer::Peer;
use lotmq_core::connection::place_claim::PlaceClaim;
use lotmq_core::limits::Limit;
use lotmq_core::limits::unfinished::{Unfinished, limit_of};
use lotmq_core::shares::{Share, address_key};

/// Steps in which bytes of unfinished input are counted.
const HELD_STEP_BYTES: u32 = 1 << 10;

/// Admission of a connection at its listener, with all that it counts for.
pub(crate) struct Admission {
    listener: Arc<Listener>,
    /// Key of its address; 0 while it is not counted.
    address: AtomicU64,
    state: Mutex<AdmissionState>,
    is_half_open: AtomicBool,
    /// Bytes of input that are kept. Changed by its own task alone, or by whoever closes it for
    /// them.
    held_bytes: AtomicU32,
    /// Whether it has not ended.
    is_open: AtomicBool,
    /// Whether the place is beyond the bound, so that only an administrator may keep it.
    is_spare: bool,
    /// Whether it has little time for its CONNECT, because its place is beyond the bound.
    is_hurried: bool,
}

/// Standing of a connection among the others.
#[derive(Default)]
struct AdmissionState {
    /// Half-open entry, until CONNECT has come, and for as long as others may want the place.
    waiting: Option<Arc<Waiting>>,
    /// Share of the owner in whose number of connections it counts; `None` until somebody has
    /// logged in.
    holder: Option<Arc<Share>>,
}

impl Admission {
    /// Takes a place for a new connection of `listener`, from `source` if that is known and proved.
    /// Without a `peer` it counts for nobody until [`Admission::count_address`].
    ///
    /// # Errors
    /// The limit that keeps it out; nothing is taken then.
    pub(crate) fn take(
        listener: &Arc<Listener>,
        peer: Option<Peer>,
        source: Option<IpAddr>,
    ) -> Result<Self, Limit> {
        let is_local = !listener.proxy_protocol && peer.is_some_and(|peer| peer.for_login().is_loopback());
        let spare = if is_local { listener.net.spare_connections() } else { 0 };
        let (own, all) = (&listener.terms.limits, &listener.net.core.settings.limits);
        let address = source.map_or(0, address_key);
        let source = HalfOpenSource { listener: listener.terms.number, address };
        let entered = listener.net.half_open.enter(source, listener.net.half_open_max(), spare / 2)?;
        let mut place = Self {
            listener: Arc::clone(listener),
            address: AtomicU64::new(0),
            state: Mutex::new(AdmissionState { waiting: Some(entered.waiting), holder: None }),
            is_half_open: AtomicBool::new(true),
            held_bytes: AtomicU32::new(0),
            is_open: AtomicBool::new(false),
            is_spare: false,
            is_hurried: entered.is_spare,
        };
        if let Some(waiting) = place.waiting() {
            let most = listener.half_open_max();
            let bound = (most, spare / 2, is_local && most < own.half_open);
            place.is_hurried |= listener.half_open.join(&waiting, bound)?;
        }
        let now = listener.net.core.clock.now();
        let is_beyond = listener.gate.enter(own.connections, spare, own.connections_per_sec, now)?;
        let connections = listener.net.connections_max();
        match listener.net.gate.enter(connections, spare, all.connections_per_sec, now) {
            Ok(is_beyond_all) => place.is_spare = is_beyond || is_beyond_all,
            Err(limit) => {
                listener.gate.leave(None);
                return Err(limit);
            }
        }
        place.is_open.store(true, Ordering::Relaxed);
        place.is_hurried |= place.is_spare;
        if place.is_spare
            && let Some(waiting) = place.waiting()
        {
            // The others are on their way out, or administrators'.
            if !listener.net.gate.spares.enter(address, &waiting, (spare / 2).max(1)) {
                return Err(Limit::Connections);
            }
        }
        if let Some(Peer::Tcp(address)) = peer
            && !listener.proxy_protocol
        {
            place.count_address(address.ip(), now)?;
        }
        Ok(place)
    }

    /// Keeps this place for a client that has logged in. Beyond the bound only an administrator
    /// may, and nobody else may exceed their share.
    ///
    /// # Errors
    /// The limit that keeps it out.
    pub(crate) fn keep_for(&self, claim: &PlaceClaim<'_>) -> Result<(), Limit> {
        let Listener { net, gate, terms, .. } = &*self.listener;
        let limits = &terms.limits;
        let is_beyond_bound = || gate.open() > limits.connections || net.gate.open() > net.connections_max();
        let may_be_here = !self.is_spare || !is_beyond_bound() || (claim.is_administrator)();
        if !may_be_here {
            return Err(Limit::Connections);
        }
        self.count_for(claim)?;
        self.leave_spares();
        Ok(())
    }

    /// Counts the place for a client that has logged in, at the listener and at the broker. Fails
    /// if its user has reached their share at either, or their limit.
    fn count_for(&self, claim: &PlaceClaim<'_>) -> Result<(), Limit> {
        let Listener { net, gate, terms, .. } = &*self.listener;
        let mut state = self.state.lock();
        // A login that waits for its session asks again, and what has ended counts for nobody.
        if state.holder.is_some() || !self.is_open.load(Ordering::Relaxed) {
            return Ok(());
        }
        gate.give(terms.limits.connections, 0, claim)?;
        let per_user = net.core.settings.limits.connections_per_user;
        if let Err(limit) = net.gate.give(net.connections_max(), per_user, claim) {
            gate.take_back(&claim.share);
            return Err(limit);
        }
        state.holder = Some(Arc::clone(&claim.share));
        Ok(())
    }

    /// Ends the contest for the place: an administrator has it, or nobody.
    fn leave_spares(&self) {
        if self.is_spare
            && let Some(waiting) = self.state.lock().waiting.take()
        {
            self.listener.net.gate.spares.leave(&waiting);
        }
    }

    /// Number of the account that has logged in, as its share has it; `None` before, and for all
    /// without a user.
    pub(crate) fn account(&self) -> Option<u64> {
        let state = self.state.lock();
        let share = state.holder.as_ref()?;
        (!share.is_anonymous()).then(|| share.account())
    }

    /// Half-open entry of the connection; `None` once CONNECT has come.
    pub(crate) fn waiting(&self) -> Option<Arc<Waiting>> {
        self.state.lock().waiting.clone().filter(|_| self.is_half_open())
    }

    /// Waits until the connection has to give way to another one, while there is no
    /// [`Connection`](super::connection::Connection) that is told.
    pub(crate) async fn gave_way(&self) {
        match self.waiting() {
            Some(waiting) => waiting.gave_way().await,
            None => std::future::pending().await,
        }
    }

    /// Time from accept to the first check of the connection. One beyond the bound has little time
    /// for its CONNECT.
    pub(crate) fn first_look(&self) -> Duration {
        let patience = self.listener.first_look();
        if self.is_hurried { patience.min(SPARE_PATIENCE) } else { patience }
    }

    /// Counts the connection for the address that it comes from.
    ///
    /// # Errors
    /// The limit that keeps it out.
    pub(crate) fn count_address(&self, address: IpAddr, now: Time) -> Result<(), Limit> {
        if let Some(waiting) = self.waiting() {
            let Listener { net, half_open, .. } = &*self.listener;
            net.half_open.comes_from(half_open, &waiting, address_key(address));
        }
        let limits = &self.listener.terms.limits;
        let (open_max, mut per_sec) =
            (limits.connections_per_address, limits.connections_per_sec_per_address);
        let is_local = !self.listener.proxy_protocol && address.to_canonical().is_loopback();
        if is_local && per_sec == CONNECTIONS_PER_SEC_PER_ADDRESS {
            per_sec = 0;
        }
        if open_max == 0 && per_sec == 0 {
            return Ok(());
        }
        let key = address_key(address);
        let is_counted = self.listener.addresses.enter(key, open_max, per_sec, now)?;
        if open_max == 0 {
            // There is nothing to give back.
        } else if is_counted {
            self.address.store(key, Ordering::Relaxed);
        } else {
            self.listener.terms.reached.note(Limit::ConnectionsPerAddress, &address, now);
        }
        Ok(())
    }

    /// Notes the bytes of incomplete input that are kept.
    ///
    /// # Errors
    /// [`Limit::HalfOpenBytes`] or [`Limit::PartialBytes`] when all connections keep too many, and
    /// this one more than its share.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Limit> {
        // In steps, so that packets that are cut somewhere touch no memory that threads share.
        let held = u32::try_from(bytes).unwrap_or(u32::MAX) & !(HELD_STEP_BYTES - 1);
        if held == self.held_bytes() {
            return Ok(());
        }
        let before = self.held_bytes.swap(held, Ordering::Relaxed);
        if self.change_held(before, held) {
            return Ok(());
        }
        Err(self.exceeded().unwrap_or_else(|| limit_of(self.is_half_open())))
    }

    fn change_held(&self, before: u32, held: u32) -> bool {
        let mut fits = true;
        let mut is_above = false;
        for (sum, bytes_max) in [self.listener_sum(), self.broker_sum()] {
            fits &= sum.change(before, held, bytes_max);
            is_above |= sum.is_above(bytes_max);
        }
        if is_above {
            self.listener.net.note_overfull();
        }
        fits
    }

    /// Bytes of its input that are kept.
    pub(crate) fn held_bytes(&self) -> u32 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Takes its kept input off the sums, because it is about to end.
    pub(crate) fn forget_held(&self) {
        let held = self.held_bytes.swap(0, Ordering::Relaxed);
        if held > 0 {
            self.change_held(held, 0);
        }
    }

    /// Limit on kept input that all connections together exceed, where this one keeps more than its
    /// share.
    pub(crate) fn exceeded(&self) -> Option<Limit> {
        let held = u64::from(self.held_bytes());
        let keeps_too_much = |(sum, bytes_max): (&Unfinished, u64)| held > sum.share(bytes_max);
        if keeps_too_much(self.listener_sum()) {
            return Some(limit_of(self.is_half_open()));
        }
        keeps_too_much(self.broker_sum()).then_some(Limit::PartialBytes)
    }

    /// Sum and bound of kept input for connections of this listener in the same phase.
    fn listener_sum(&self) -> (&Unfinished, u64) {
        let Listener { half_open_bytes, partial_bytes, terms, .. } = &*self.listener;
        let limits = &terms.limits;
        match self.is_half_open() {
            true => (half_open_bytes, limits.half_open_bytes),
            false => (partial_bytes, limits.partial_bytes),
        }
    }

    /// Sum and bound of kept input for all connections.
    fn broker_sum(&self) -> (&Unfinished, u64) {
        let net = &self.listener.net;
        (&net.partial_bytes, net.core.settings.limits.partial_bytes)
    }

    fn is_half_open(&self) -> bool {
        self.is_half_open.load(Ordering::Relaxed)
    }

    /// Notes that CONNECT has come.
    pub(crate) fn connect_came(&self) {
        self.forget_held();
        if !self.is_half_open.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        if let Some(waiting) = state.waiting.take() {
            self.listener.half_open.leave(&waiting);
            self.listener.net.half_open.leave(&waiting);
            state.waiting = self.is_spare.then_some(waiting);
        }
    }

    /// Gives the place back, because the connection has ended.
    pub(crate) fn leave(&self) {
        self.connect_came();
        self.leave_spares();
        {
            let AdmissionState { holder, .. } = &*self.state.lock();
            if self.is_open.swap(false, Ordering::Relaxed) {
                self.listener.gate.leave(holder.as_deref());
                self.listener.net.gate.leave(holder.as_deref());
            }
        }
        let address = self.address.swap(0, Ordering::Relaxed);
        if address != 0 {
            self.listener.addresses.leave(address);
        }
    }
}

/// An admission is a smart pointer to its listener, as a lock guard is to its value.
impl Deref for Admission {
    type Target = Arc<Listener>;

    fn deref(&self) -> &Arc<Listener> {
        &self.listener
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.leave();
    }
}
