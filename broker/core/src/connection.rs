//! One network connection as the core knows it: its identity, what waits for it, and requests of
//! other threads to its owner.
//!
//! A connection belongs to the thread that it was given to. Foreign threads write to it (through
//! the Client's [`Link`](crate::tenant::link::Link)) and ask its owner to look at it or to close
//! it. Its [`Transport`], which lies in the same memory, carries its bytes.
//!
//! Invariant: the transport is open for as long as an `Arc` of the connection lives, so that bytes
//! never go to another peer. Not here: what its owner does with it (`owner`), and what lies between
//! MQTT and its socket (`net`).

pub mod peer;
pub mod place_claim;
pub(crate) mod refusal;
pub mod refused;

use std::any::Any;
use std::fmt::Display;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lotmq_auth::{AnonymousLogin, ClientCertificate, LoginChain};
use lotmq_config::ListenerLimits;
use lotmq_session::Time;
use lotmq_zstd::Offer;
use parking_lot::Mutex;

use crate::connection::peer::{Certified, Peer};
use crate::connection::place_claim::PlaceClaim;
use crate::connection::refused::Refusals;
use crate::figures::OwnTraffic;
use crate::limits::{AddressRates, Limit, Reached};
use crate::reason::close::CloseReason;
use crate::shared::Core;

/// A connection with its transport; elsewhere than where it is made the kind of transport is not
/// known.
pub struct Connection<T: ?Sized = dyn Transport> {
    /// Number that tells it from the other connections of its Client; 1 to
    /// [`Connection::NUMBER_MAX`], used again long after.
    pub number: u32,
    /// Number of the shard that owns it.
    pub home: u16,
    /// Its place among the open connections of that shard.
    pub place: u32,
    /// QoS 1 messages of the Client whose acknowledgement waits for the store; counts against our
    /// Receive Maximum.
    pub(crate) unacknowledged: AtomicU32,
    /// Changes of subscriptions that wait for the store.
    pub changes_waiting: AtomicU32,
    /// Whether bytes for the Client wait for its owner, because the socket was full.
    pub(crate) output_waits: AtomicBool,
    /// Whether reading pauses until the disk or the guests have caught up.
    pub is_paused: AtomicBool,
    /// Whether there was no time for all packets that have come; its owner reads nothing more until
    /// they are handled.
    pub(crate) is_cut: AtomicBool,
    /// Whether other connections have their turn before its owner reads.
    pub(crate) has_to_wait: AtomicBool,
    /// Whether another thread has called the owner.
    is_wanted: AtomicBool,
    /// Whether a new connection of the Client waits until what has come on this one was read.
    has_successors: AtomicBool,
    asked: Mutex<Asked>,
    /// Traffic that came in on it.
    pub received: OwnTraffic,
    /// Traffic that went out on it or waits for its socket. Added to under the lock of its Client's
    /// state.
    pub sent: OwnTraffic,
    /// Terms of the listener that accepted it.
    pub listener: Arc<ListenerTerms>,
    /// Transport that carries its bytes.
    pub transport: T,
}

/// Requests of other threads to the owner.
#[derive(Default)]
struct Asked {
    /// Waker of the owner's task.
    waker: Option<Waker>,
    rare: Option<Box<RareRequests>>,
}

/// Requests that most connections get once at most.
#[derive(Default)]
struct RareRequests {
    close: Option<CloseReason>,
    /// Whether the Client's rights have changed.
    rights: bool,
    successors: Vec<Successor>,
}

/// Connection that is to take a session over when what has come on this one was read.
struct Successor {
    waker: Waker,
    /// Whether it was.
    is_heard_out: Arc<AtomicBool>,
}

/// Terms that hold for all connections of one listener.
pub struct ListenerTerms {
    /// Name of the listener as in the configuration: `mqtt`.
    pub name: &'static str,
    /// Number under which threads count for it.
    pub number: u8,
    /// Core that all turns share.
    pub core: Arc<Core>,
    /// Limits of its connections and their sessions.
    pub limits: ListenerLimits,
    /// Counters of limits that were reached.
    pub reached: Arc<Reached>,
    /// Policy for logins without a user name.
    pub anonymous: AnonymousLogin,
    /// Members that are asked about a login.
    pub login_chain: Arc<LoginChain>,
    /// Refused handshakes that the log was told of.
    pub refusals: Refusals,
    /// Rates of logins, by address.
    pub login_rates: AddressRates,
    /// Whether its connections are encrypted.
    pub is_encrypted: bool,
}

impl ListenerTerms {
    /// Counts that a limit was reached by `who`: a peer or a Client.
    pub fn limit_reached(&self, limit: Limit, who: &dyn Display) {
        self.reached.note(limit, who, self.core.clock.now());
    }

    /// Logs why a connection of `peer` was refused: the word of the reason, and the cause.
    pub fn refused(&self, peer: &dyn Display, reason: (&str, &dyn Display)) {
        self.refusals.tell(self.name, peer, reason, self.core.clock.now());
    }

    /// Time from accept to CONNECT, handshakes included.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.limits.connect_timeout_sec.into())
    }
}

/// Transport of a connection: carries its bytes to the peer, and knows who the peer is.
///
/// A plain transport takes bytes at once and from any thread ([`Transport::send`]); one that wraps
/// them, as TLS does, takes them from the owner only, chunk by chunk ([`Transport::make_idle`],
/// [`Transport::write`]).
pub trait Transport: Any + Send + Sync {
    /// Address from which the connection came.
    fn peer(&self) -> Peer;

    /// Whether it is a connection of a bridge that runs in this process.
    fn is_of_own_bridge(&self) -> bool {
        false
    }

    /// Reason why the connection does not count as local although it comes from a loopback address.
    fn why_not_local(&self) -> Option<String>;

    /// User named by the client's certificate, where that is asked for and one was shown.
    fn certified(&self) -> Option<Certified>;

    /// The client's certificate; `None` where none was shown.
    fn client_certificate(&self) -> Option<ClientCertificate> {
        None
    }

    /// Server name that the client asked for in TLS (RFC 6066).
    fn server_name(&self) -> Option<String> {
        None
    }

    /// End of the client certificate's validity, in milliseconds since 1970; `None` where none was
    /// shown.
    fn certificate_ends_ms(&self) -> Option<u64>;

    /// Whether the authorities that the listener trusts now have signed the client's certificate;
    /// true where none was shown. Cost: verification of a chain, after the authorities were
    /// replaced.
    fn is_certificate_trusted(&self) -> bool {
        true
    }

    /// Looks whether the connection has ended. Bytes of MQTT that have to be taken to see it go to
    /// `kept`, which is empty; many of them say that there is something to handle, so that nobody
    /// need know.
    ///
    /// # Errors
    /// Why it has ended.
    fn look_for_end(&self, kept: &mut Vec<u8>) -> Result<(), CloseReason>;

    /// Whether the connection of a Client whose password waits to be checked goes on. For threads
    /// that hold no lock.
    ///
    /// # Errors
    /// Why it has ended, where nothing that came before is left to be handled.
    fn check_present(&self) -> Result<(), CloseReason>;

    /// Keeps the place of the connection now that its user is known, and counts it for them. Places
    /// beyond the limit are for administrators, and nobody may have more than their share of all
    /// places.
    ///
    /// # Errors
    /// The limit that keeps it out.
    fn keeps_place(&self, claim: &PlaceClaim<'_>) -> Result<(), Limit>;

    /// Bytes of incomplete input that are kept.
    fn held_bytes(&self) -> u32;

    /// Starts the zstd stream, where that is allowed. Call with CONNECT read and CONNACK not yet
    /// made.
    fn start_zstd(&self, offer: Offer, now: Time);

    /// Parameters of the zstd stream that were granted.
    fn zstd(&self) -> Option<Offer>;

    /// Whether bytes are wrapped on their way.
    fn is_wrapped(&self) -> bool;

    /// Prepares for a CONNACK of so many bytes. True when output is collected for a while from then
    /// on.
    fn begin(&self, connack_len: usize) -> bool;

    /// Sends bytes at once; how many were taken. A dead peer takes none, and is noticed by the
    /// owner's read. Plain transports only.
    fn send(&self, bytes: &[IoSlice<'_>]) -> usize;

    /// Sends bytes as the owner, who is called again when more are taken; how many were. Plain
    /// transports only.
    ///
    /// # Errors
    /// When the peer is gone.
    fn poll_send(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, CloseReason>>;

    /// Sends wrapped bytes that are left; whether all have left, so that more can be wrapped.
    fn make_idle(&self) -> bool;

    /// Wraps a chunk and sends what is taken of it; the rest stays here. Only when idle.
    fn write(&self, chunk: &[IoSlice<'_>]);

    /// Whether it is time to wrap this number of waiting bytes; the owner is called when that has
    /// changed.
    fn is_due(&self, waiting: usize, cx: &mut Context<'_>) -> bool;

    /// Sends wrapped bytes as the owner, who is called again when more is taken. Ready when nothing
    /// is left.
    ///
    /// # Errors
    /// When the peer is gone.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Result<Poll<()>, CloseReason>;

    /// Sends a short packet past everything else: an answer before there is a Client, or the last
    /// word. Lost when it is not taken.
    fn write_directly(&self, packet: &[u8]);
}

impl<T> Connection<T> {
    /// Connection with this number, of the shard `home` and with a `place` there.
    pub fn new(number: u32, (home, place): (u16, u32), listener: Arc<ListenerTerms>, transport: T) -> Self {
        Self {
            number,
            home,
            place,
            unacknowledged: AtomicU32::new(0),
            changes_waiting: AtomicU32::new(0),
            output_waits: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            has_to_wait: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            has_successors: AtomicBool::new(false),
            asked: Mutex::default(),
            received: OwnTraffic::default(),
            sent: OwnTraffic::default(),
            listener,
            transport,
        }
    }
}

impl Connection {
    /// Largest number of a connection: a Client's record has 28 bits for it.
    pub const NUMBER_MAX: u32 = (1 << 28) - 1;

    /// Address from which it came.
    pub fn peer(&self) -> Peer {
        self.transport.peer()
    }
}

impl<T: ?Sized> Connection<T> {
    /// Asks the owner to close the connection. The first reason wins. Callable from any thread.
    pub fn request_close(&self, reason: CloseReason) {
        self.asked.lock().rare.get_or_insert_default().close.get_or_insert(reason);
        self.call_owner();
    }

    /// Whether somebody has asked for the connection to be closed.
    pub(crate) fn is_to_close(&self) -> bool {
        self.asked.lock().rare.as_ref().is_some_and(|rare| rare.close.is_some())
    }

    /// Takes the reason for which it is to close.
    pub(crate) fn take_close(&self) -> Option<CloseReason> {
        self.asked.lock().rare.as_mut()?.close.take()
    }

    /// Asks the owner to look at the rights of the Client, which have changed. Callable from any
    /// thread.
    pub(crate) fn announce_rights(&self) {
        self.asked.lock().rare.get_or_insert_default().rights = true;
        self.call_owner();
    }

    /// Takes whether the Client's rights have changed.
    pub(crate) fn take_rights(&self) -> bool {
        self.asked.lock().rare.as_mut().is_some_and(|rare| std::mem::take(&mut rare.rights))
    }

    /// Asks the owner to read what has come first, because another connection is to take its
    /// session over; says so there, and wakes that one, when it is done or the connection has
    /// ended.
    pub(crate) fn hear_out(&self, waker: Waker, is_heard_out: &Arc<AtomicBool>) {
        let is_heard_out = Arc::clone(is_heard_out);
        self.asked.lock().rare.get_or_insert_default().successors.push(Successor { waker, is_heard_out });
        self.has_successors.store(true, Ordering::Release);
        self.call_owner();
    }

    /// Lets those go on who wait until what has come was read, unless there `is_more`. Looked at
    /// after they have asked: it came before.
    pub(crate) fn heard_out(&self, is_more: impl FnOnce() -> bool) {
        if !self.has_successors.load(Ordering::Acquire) {
            return;
        }
        self.has_successors.store(false, Ordering::Relaxed);
        let asked = self.asked.lock().rare.as_mut().map(|rare| std::mem::take(&mut rare.successors));
        let asked = asked.unwrap_or_default();
        if is_more() {
            self.asked.lock().rare.get_or_insert_default().successors.extend(asked);
            self.has_successors.store(true, Ordering::Release);
            return;
        }
        for Successor { waker, is_heard_out } in asked {
            is_heard_out.store(true, Ordering::Release);
            waker.wake();
        }
    }

    /// Makes the owner's task look at the connection: to write, to close, or to go on after a
    /// login. Callable from any thread.
    pub fn call_owner(&self) {
        self.is_wanted.store(true, Ordering::Release);
        if let Some(waker) = self.waker() {
            waker.wake();
        }
    }

    /// Waker of the owner's task; `None` before its first step.
    pub(crate) fn waker(&self) -> Option<Waker> {
        self.asked.lock().waker.clone()
    }

    /// Whether the owner was called since this was asked last.
    pub(crate) fn take_wanted(&self) -> bool {
        self.is_wanted.swap(false, Ordering::AcqRel)
    }

    /// Registers the owner's task for calls of other threads.
    pub(crate) fn attend(&self, cx: &Context<'_>) {
        let waker = &mut self.asked.lock().waker;
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}
