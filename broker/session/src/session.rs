//! The session of one Client: what is on its way in, what is on its way out, and what waits.
//!
//! One value per session, behind one short lock of the caller. The small part is inline; messages
//! in flight and waiting live behind one pointer that an idle session does not have.
//!
//! Invariants: messages leave in the order in which they were offered, whether sent at once, queued
//! or sent again \[MQTT-4.6.0-5\]; nothing new overtakes what waits.

use crate::durable_state::{DurableState, ImportError};
use crate::inbound::{self, Inbound, InboundPublish, PublishRefusal, PubrelOutcome};
use crate::limits::WINDOW_BYTES_MAX;
use crate::options::SessionOptions;
use crate::outbound::Outbound;
use crate::queue::{Queue, QueueFull, QueuedMessage, WantedSlice};
use crate::window::{AckRefusal, Acked, PubrecOutcome, Window};
use lotmq_codec::{PacketId, ProtocolVersion, QoS, ReasonCode};

/// The protocol state of one session; `M` is a handle of a message, cheap to clone.
///
/// A session is connected from [`new`](Self::new) or [`resume`](Self::resume) to
/// [`disconnect`](Self::disconnect).
/// - In, from the Client: [`judge_at_least_once`](Self::judge_at_least_once),
///   [`receive_exactly_once`](Self::receive_exactly_once), [`handle_pubrel`](Self::handle_pubrel),
///   [`handle_puback`](Self::handle_puback), [`handle_pubrec`](Self::handle_pubrec),
///   [`handle_pubcomp`](Self::handle_pubcomp).
/// - In, from the broker: [`refuse_exactly_once`](Self::refuse_exactly_once),
///   [`offer`](Self::offer).
/// - Out: [`next_outbound`](Self::next_outbound), to be asked until it has no more after every
///   `resume` and every acknowledgement from the Client.
#[derive(Debug, Clone)]
pub struct Session<M> {
    options: SessionOptions,
    is_connected: bool,
    /// Kept here while there is no window.
    next_packet_id: PacketId,
    queue_full_dropped: u32,
    /// Highest number, in the store, of a message that has left the store's part of the queue.
    taken: u64,
    /// Bytes in flight beyond which messages wait.
    window_bytes_max: u64,
    flows: Option<Box<Flows<M>>>,
}

/// The part that a session without QoS 1 and 2 traffic does not have.
#[derive(Debug, Clone)]
struct Flows<M> {
    inbound: Inbound,
    window: Window<M>,
    queue: Queue<M>,
}

/// Result of [`Session::offer`] for a message to the Client.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Send it now with this identifier; it is in flight.
    Send(PacketId),
    /// QoS 0 and connected: send it now, nothing is kept.
    SendUnacknowledged,
    /// It waits; [`Session::next_outbound`] brings it.
    Queued,
    /// It waits; when it is stored, [`Session::handle_stored`] is to be told so that memory need
    /// not hold it.
    QueuedUntilStored,
    /// QoS 0 and not connected: it is lost, as QoS 0 may be.
    Offline,
    /// The queue is full: it is not kept for this session, and counted.
    Refused(QueueFull),
}

/// How much a session holds; for `$SYS`, quotas and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionCounts {
    /// QoS 1 and 2 messages sent to the Client and not finished.
    pub inflight: usize,
    /// Messages that wait.
    pub queued: usize,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Those of them that are in memory; the others rest in the store.
    pub queued_in_memory: usize,
    /// QoS 2 exchanges from the Client between PUBLISH and PUBREL.
    pub received: usize,
    /// Messages that found the queue full, since the session began in this process.
    pub queue_full_dropped: u32,
}

impl<M: Clone> Session<M> {
    /// A new session whose Client is connected.
    #[must_use]
    pub const fn new(options: SessionOptions) -> Self {
        Self {
            options,
            is_connected: true,
            next_packet_id: PacketId::MIN,
            queue_full_dropped: 0,
            taken: 0,
            window_bytes_max: WINDOW_BYTES_MAX,
            flows: None,
        }
    }

    /// Whether the session has a connection.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Returns the protocol version of the Client, or of its last connection if it is offline.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        self.options.version
    }

    /// Returns the options from [`new`](Self::new) or the last [`resume`](Self::resume).
    #[must_use]
    pub const fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// Judges a QoS 2 PUBLISH from the Client before it is routed, and opens its exchange. DUP
    /// makes no difference \[MQTT-4.3.3-10\]. The caller counts how many QoS 1 messages of this
    /// connection are `unacknowledged`: they share the Receive Maximum.
    ///
    /// # Errors
    /// [`PublishRefusal::ReceiveMaximumExceeded`]; nothing has changed.
    pub fn receive_exactly_once(
        &mut self,
        packet_id: PacketId,
        unacknowledged: u32,
    ) -> Result<InboundPublish, PublishRefusal> {
        let is_counted = self.flows.as_ref().is_some_and(|flows| flows.inbound.is_counted(packet_id));
        if !is_counted {
            self.admit(unacknowledged)?;
        }
        Ok(self.flows().inbound.receive(packet_id))
    }

    /// Judges a QoS 1 PUBLISH from the Client before it is routed, of which no session keeps
    /// anything.
    ///
    /// # Errors
    /// [`PublishRefusal`].
    pub fn judge_at_least_once(
        &self,
        packet_id: PacketId,
        unacknowledged: u32,
    ) -> Result<(), PublishRefusal> {
        if self.flows.as_ref().is_some_and(|flows| flows.inbound.contains(packet_id)) {
            return Err(PublishRefusal::PacketIdInUse { packet_id });
        }
        self.admit(unacknowledged)
    }

    /// Takes notice of how often the store has lost what it was given, before the next
    /// [`receive_exactly_once`](Self::receive_exactly_once). When the number is another one than
    /// before, the messages of all open exchanges may be lost, and each is delivered again if it is
    /// repeated.
    pub fn note_losses(&mut self, losses: u64) {
        self.flows().inbound.note_losses(losses);
    }

    /// Ends a QoS 2 exchange from the Client whose PUBREC refuses the message \[MQTT-4.3.3-9\]; its
    /// place in our Receive Maximum is free.
    pub fn refuse_exactly_once(&mut self, packet_id: PacketId) {
        if let Some(flows) = &mut self.flows {
            flows.inbound.release(packet_id);
        }
    }

    /// Number of open QoS 2 exchanges from the Client.
    pub fn open_exchanges(&self) -> usize {
        self.flows.as_ref().map_or(0, |flows| flows.inbound.len())
    }

    /// Ends a QoS 2 exchange from the Client, which gets PUBCOMP whatever this returns.
    pub fn handle_pubrel(&mut self, packet_id: PacketId) -> PubrelOutcome {
        match self.flows.as_mut().is_some_and(|flows| flows.inbound.release(packet_id)) {
            true => PubrelOutcome::Released,
            false => PubrelOutcome::Unknown,
        }
    }

    /// Takes a message for the Client, with the QoS to deliver it at and its size as the queue
    /// counts it.
    ///
    /// Called once per delivery in the order of delivery. `keep` makes the handle to keep and is
    /// called only if the message waits, or is in flight in a session that keeps such
    /// (`keep_inflight`). For a message that is in memory anyway:
    /// [`set_window_bytes`](Self::set_window_bytes) holds it back only while there is more in
    /// flight than that.
    pub fn offer(&mut self, qos: QoS, bytes: usize, keep: impl FnOnce() -> M) -> Offer {
        self.offer_within(u64::MAX, qos, bytes, None, keep)
    }

    /// As [`offer`](Self::offer), of a message that is on its way into the store for the session,
    /// if it is; `stored` is its number there, not 0. Messages of one publisher come in the order
    /// of their numbers.
    pub fn offer_stored(
        &mut self,
        qos: QoS,
        bytes: usize,
        stored: Option<u64>,
        keep: impl FnOnce() -> M,
    ) -> Offer {
        self.offer_within(self.window_bytes_max, qos, bytes, stored, keep)
    }

    fn offer_within(
        &mut self,
        window_bytes_max: u64,
        qos: QoS,
        bytes: usize,
        stored: Option<u64>,
        keep: impl FnOnce() -> M,
    ) -> Offer {
        if qos == QoS::AtMostOnce {
            return if self.is_connected { Offer::SendUnacknowledged } else { Offer::Offline };
        }
        if self.has_room() && self.window_takes(bytes as u64, window_bytes_max) {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let message = self.options.keep_inflight.then(keep);
            self.taken = self.taken.max(stored.unwrap_or(0));
            return Offer::Send(self.flows().window.add(qos, message, bytes));
        }
        self.enqueue_stored(qos, bytes, stored, keep)
    }

    /// Takes a QoS 1 or 2 message for the Client that is not to be sent now, though there may be
    /// room: it waits behind the others.
    ///
    /// For a Client that is away or whose connection takes no more bytes. Otherwise as
    /// [`offer`](Self::offer).
    pub fn enqueue(&mut self, qos: QoS, bytes: usize, keep: impl FnOnce() -> M) -> Offer {
        self.enqueue_stored(qos, bytes, None, keep)
    }

    /// As [`enqueue`](Self::enqueue), of a message that is on its way into the store for the
    /// session, if it is; `stored` is its number there.
    pub fn enqueue_stored(
        &mut self,
        qos: QoS,
        bytes: usize,
        stored: Option<u64>,
        keep: impl FnOnce() -> M,
    ) -> Offer {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if !self.queue_has_room(bytes) {
            return self.refuse();
        }
        let number = stored.unwrap_or(0);
        let queued = QueuedMessage { message: keep(), bytes, qos, number };
        let may_be_head = self.is_connected && self.window_takes(bytes.into(), self.window_bytes_max);
        let mut taken = self.taken;
        let queue = &mut self.flows().queue;
        let waits_for_store = if stored.is_some() {
            queue.push_stored(queued, may_be_head, &mut taken)
        } else {
            queue.push(queued, &mut taken);
            false
        };
        self.taken = taken;
        if waits_for_store { Offer::QueuedUntilStored } else { Offer::Queued }
    }

    /// Messages for which there was [`Offer::QueuedUntilStored`] are stored: what of them still
    /// waits may rest there.
    pub fn handle_stored(&mut self, numbers: &[u64]) {
        if let Some(flows) = &mut self.flows {
            flows.queue.stored(numbers);
        }
    }

    /// The slice of the queue that is to be read from the store and brought to
    /// [`handle_slice`](Self::handle_slice), if there is need of one. Asked after
    /// [`next_outbound`](Self::next_outbound) has no more; one slice is on its way at a time.
    pub fn next_slice(&mut self) -> Option<WantedSlice> {
        if !self.is_connected {
            return None;
        }
        let bytes_max = self.is_held_back().then_some(self.window_bytes_max);
        let flows = self.flows.as_mut()?;
        if bytes_max.is_some_and(|max| flows.window.kept_bytes() >= max) {
            return None;
        }
        let messages_max = flows.queue.ask()?;
        Some(WantedSlice { after: self.taken, messages_max, bytes_max })
    }

    /// Bounds what is in memory of messages for the Client: so many bytes of those in flight, at
    /// most [`WINDOW_BYTES_MAX`], and where it is less, of what waits too, and none that is longer;
    /// they rest in the store then. Holds until it is set again. True when more may be sent now.
    pub fn set_window_bytes(&mut self, bytes_max: u64) -> bool {
        let is_more = bytes_max > self.window_bytes_max;
        self.window_bytes_max = bytes_max.clamp(1, WINDOW_BYTES_MAX);
        if let Some(flows) = self.flows.as_mut().filter(|_| is_more) {
            flows.queue.may_ask_again();
        }
        is_more && self.flows.as_ref().is_some_and(|flows| !flows.queue.is_empty())
    }

    /// Bytes of messages in memory: in flight and kept to be sent again, or waiting.
    #[must_use]
    pub fn bytes_in_memory(&self) -> u64 {
        self.flows.as_ref().map_or(0, |flows| flows.window.kept_bytes() + flows.queue.bytes_in_memory())
    }

    /// These messages, with their bytes.
    pub fn messages_in_memory(&self) -> impl Iterator<Item = (&M, u32)> {
        let flows = self.flows.iter();
        flows.flat_map(|flows| {
            flows.window.kept().chain(flows.queue.iter().map(|queued| (&queued.message, queued.bytes)))
        })
    }

    /// Most bytes of a message that is sent although it will rest in the store in a moment.
    fn fresh_bytes_max(&self) -> u64 {
        if self.is_held_back() { self.window_bytes_max } else { u64::MAX }
    }

    fn is_held_back(&self) -> bool {
        self.window_bytes_max < WINDOW_BYTES_MAX
    }

    /// Whether a message that would be kept may be in memory beside what is in flight, where no
    /// more than this may be. By default the last one may go beyond it.
    fn window_takes(&self, bytes: u64, bytes_max: u64) -> bool {
        let kept = self.flows.as_ref().map_or(0, |flows| flows.window.kept_bytes());
        bytes_max >= WINDOW_BYTES_MAX
            || !self.options.keep_inflight
            || kept.saturating_add(bytes) <= bytes_max
    }

    /// Whether messages of the queue are in the store only, or may soon be.
    #[must_use]
    pub fn needs_store(&self) -> bool {
        self.flows.as_ref().is_some_and(|flows| flows.queue.needs_store())
    }

    /// The number behind which what rests in the store begins.
    #[must_use]
    pub const fn rests_after(&self) -> u64 {
        self.taken
    }

    /// The slice that was asked for: the messages up to the number `last`, in their order; those
    /// that cannot be read are left out. Without `last` there was nothing.
    pub fn handle_slice(&mut self, slice: Vec<QueuedMessage<M>>, last: Option<u64>) {
        let mut taken = self.taken;
        self.flows().queue.slice(slice.into_iter(), last, &mut taken);
        self.taken = taken;
    }

    /// The slice that was asked for would begin with a message of more than
    /// [`WantedSlice::bytes_max`].
    pub fn handle_slice_too_long(&mut self) {
        if let Some(flows) = &mut self.flows {
            flows.queue.next_is_too_long();
        }
    }

    /// The slice that was asked for could not be read; it may be asked for again.
    pub fn handle_slice_failed(&mut self) {
        if let Some(flows) = &mut self.flows {
            flows.queue.asked_no_more();
        }
    }

    /// Whether a message of `bytes` that has to wait would be kept.
    #[must_use]
    pub fn can_queue(&self, bytes: usize) -> bool {
        self.queue_has_room(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Whether a message that is offered with [`offer`](Self::offer) would be sent at once.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.has_room()
    }

    /// Whether a new message of `bytes` would be.
    #[must_use]
    pub fn can_send_bytes(&self, bytes: usize) -> bool {
        self.has_room() && self.window_takes(bytes as u64, self.window_bytes_max)
    }

    /// The next packet for the Client, while it is connected and its window has room.
    ///
    /// First what must be sent again, PUBREL and then PUBLISH in the original order with DUP and
    /// the same identifiers \[MQTT-4.4.0-1\], then what waits. If a PUBLISH turns out to be expired
    /// or too large, pass its identifier to [`drop_outbound`](Self::drop_outbound) and go on.
    pub fn next_outbound(&mut self) -> Option<Outbound<M>> {
        if !self.is_connected {
            return None;
        }
        let (maximum, keep_inflight) = (self.options.window_maximum(), self.options.keep_inflight);
        let fresh_bytes_max = self.fresh_bytes_max();
        let flows = self.flows.as_mut()?;
        if let Some(again) = flows.window.next_resend(maximum) {
            return Some(again);
        }
        if !flows.window.has_room(maximum, self.window_bytes_max) {
            return None;
        }
        let QueuedMessage { message, bytes, qos, .. } = flows.queue.pop(fresh_bytes_max, &mut self.taken)?;
        let packet_id = flows.window.add(qos, keep_inflight.then(|| message.clone()), bytes);
        Some(Outbound::Publish { packet_id, qos, message, dup: false })
    }

    /// Whether [`next_outbound`](Self::next_outbound) has something.
    #[must_use]
    pub fn has_outbound(&self) -> bool {
        let maximum = self.options.window_maximum();
        let flows = self.flows.as_ref().filter(|_| self.is_connected);
        flows.is_some_and(|flows| {
            let has_room = flows.window.has_room(maximum, self.window_bytes_max);
            flows.window.has_resend(maximum) || (has_room && flows.queue.has_next(self.fresh_bytes_max()))
        })
    }

    /// Whether no PUBLISH waits, neither in the queue nor to be sent again.
    #[must_use]
    pub fn has_sent_all(&self) -> bool {
        self.flows.as_ref().is_none_or(|flows| flows.queue.is_empty() && !flows.window.has_unsent())
    }

    /// The Client has, or refuses, a QoS 1 message: its reason code makes no difference
    /// \[MQTT-4.4.0-2\].
    ///
    /// # Errors
    /// [`AckRefusal`]; nothing has changed.
    pub fn handle_puback(&mut self, packet_id: PacketId) -> Result<Acked<M>, AckRefusal> {
        self.window(packet_id)?.handle_puback(packet_id)
    }

    /// The Client has a QoS 2 message, or refuses it with a `reason` of 0x80 and above.
    ///
    /// # Errors
    /// [`AckRefusal`]; nothing has changed.
    pub fn handle_pubrec(
        &mut self,
        packet_id: PacketId,
        reason: ReasonCode,
    ) -> Result<PubrecOutcome<M>, AckRefusal> {
        self.window(packet_id)?.handle_pubrec(packet_id, reason)
    }

    /// The Client has forgotten the identifier of a QoS 2 message: the exchange is over.
    ///
    /// # Errors
    /// [`AckRefusal`]; nothing has changed.
    pub fn handle_pubcomp(&mut self, packet_id: PacketId) -> Result<Acked<M>, AckRefusal> {
        self.window(packet_id)?.handle_pubcomp(packet_id)
    }

    /// Gives up a PUBLISH in flight as if it had been delivered: too large for the Client
    /// \[MQTT-3.1.2-25\], or expired before it was sent. Frees its identifier and its place.
    ///
    /// # Errors
    /// [`AckRefusal::PacketIdNotFound`].
    pub fn drop_outbound(&mut self, packet_id: PacketId) -> Result<Acked<M>, AckRefusal> {
        self.window(packet_id)?.finish(packet_id)
    }

    /// Keeps another handle of a PUBLISH in flight, with which it is sent again and is told to be
    /// done: it was stored when it was about to be sent.
    ///
    /// # Errors
    /// [`AckRefusal::PacketIdNotFound`].
    pub fn replace_outbound(&mut self, packet_id: PacketId, message: M) -> Result<(), AckRefusal> {
        self.window(packet_id)?.replace(packet_id, message)
    }

    /// The connection is gone; the session waits for its Client.
    pub fn disconnect(&mut self) {
        self.is_connected = false;
        if let Some(flows) = &mut self.flows {
            flows.inbound.disconnect();
            flows.window.disconnect();
        }
        self.release_idle();
    }

    /// A message that got this identifier on the present connection was held back by its caller,
    /// and does not go out on it any more. An identifier that is not in use is no matter.
    pub fn has_not_left(&mut self, packet_id: PacketId) {
        if let Some(flows) = &mut self.flows {
            // It may be finished.
            let _ = flows.window.has_not_left(packet_id);
        }
    }

    /// The Client is back on a new connection, possibly while the old one was still there, possibly
    /// with another version. All bounds are those of the new connection, for what is sent again too
    /// \[MQTT-4.9.0-2\].
    pub fn resume(&mut self, options: SessionOptions) {
        self.disconnect();
        self.options = options;
        self.is_connected = true;
    }

    /// Gives back the memory for messages if there are none: some 400 bytes that a connected
    /// session keeps after its first QoS 1 or 2 message to the Client. `disconnect` does so too; a
    /// good time while connected is Keep Alive.
    pub fn release_idle(&mut self) {
        if self.flows.as_ref().is_some_and(|flows| flows.is_idle()) {
            self.next_packet_id =
                self.flows.take().map_or(self.next_packet_id, |f| f.window.next_packet_id());
        }
    }

    /// From now on messages in flight are kept even if the session ends with its connection: its
    /// caller has a use for them.
    pub const fn keep_inflight(&mut self) {
        self.options.keep_inflight = true;
    }

    /// How much the session holds.
    #[must_use]
    pub fn counts(&self) -> SessionCounts {
        let counts =
            SessionCounts { queue_full_dropped: self.queue_full_dropped, ..SessionCounts::default() };
        let Some(flows) = &self.flows else { return counts };
        SessionCounts {
            inflight: flows.window.len(),
            queued: flows.queue.len(),
            queued_bytes: flows.queue.bytes(),
            queued_in_memory: flows.queue.in_memory(),
            received: flows.inbound.len(),
            ..counts
        }
    }

    /// Everything that a durable session keeps. Cost: O(messages in memory).
    #[must_use]
    pub fn export(&self) -> DurableState<M> {
        let Some(flows) = &self.flows else {
            return DurableState { next_packet_id: self.next_packet_id, ..DurableState::default() };
        };
        DurableState {
            inflight: flows.window.export(),
            queue: flows.queue.iter().cloned().collect(),
            resting: flows.queue.resting(),
            received: flows.inbound.packet_ids().collect(),
            next_packet_id: flows.window.next_packet_id(),
        }
    }

    /// A session as a store kept it, whose Client is not connected. Bounds of the queue do not
    /// apply to what it held.
    ///
    /// # Errors
    /// [`ImportError`], if the state cannot be one.
    pub fn import(options: SessionOptions, state: DurableState<M>) -> Result<Self, ImportError> {
        let DurableState { inflight, queue, resting, received, next_packet_id } = state;
        let mut taken = 0;
        let mut flows = Flows {
            inbound: Inbound::restore(received),
            window: Window::restore(inflight, next_packet_id)?,
            queue: Queue::new(),
        };
        for queued in queue {
            flows.queue.push(queued, &mut taken);
        }
        flows.queue.rest(resting);
        let flows = Some(Box::new(flows));
        let mut session = Self { is_connected: false, next_packet_id, taken, flows, ..Self::new(options) };
        session.release_idle();
        Ok(session)
    }

    /// Checks every relation between the parts of the session. For tests and simulations; cost
    /// O(messages²) at worst.
    ///
    /// # Errors
    /// The sentence that does not hold.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        let Some(flows) = &self.flows else { return Ok(()) };
        flows.inbound.check_invariants()?;
        flows.window.check_invariants()?;
        flows.queue.check_invariants(self.taken)
    }

    /// Whether one more message may be in flight from the Client.
    fn admit(&self, unacknowledged: u32) -> Result<(), PublishRefusal> {
        let exchanges = self.flows.as_ref().map_or(0, |flows| flows.inbound.counted());
        inbound::admit(unacknowledged as usize + exchanges, self.receive_maximum())
    }

    fn receive_maximum(&self) -> Option<u16> {
        self.options.version.has_properties().then_some(self.options.receive_maximum)
    }

    /// Whether a new message may be sent at once: nothing waits before it.
    fn has_room(&self) -> bool {
        let maximum = self.options.window_maximum();
        let is_next = |flows: &Flows<M>| {
            flows.queue.is_empty() && flows.window.has_room(maximum, self.window_bytes_max)
        };
        self.is_connected && self.flows.as_ref().is_none_or(|flows| is_next(flows))
    }

    fn queue_has_room(&self, bytes: u32) -> bool {
        let SessionOptions { queue_messages_max, queue_bytes_max, .. } = self.options;
        match &self.flows {
            Some(flows) => flows.queue.has_room(bytes, queue_messages_max, queue_bytes_max),
            None => Queue::<M>::new().has_room(bytes, queue_messages_max, queue_bytes_max),
        }
    }

    fn refuse(&mut self) -> Offer {
        self.queue_full_dropped = self.queue_full_dropped.saturating_add(1);
        let SessionCounts { queued, queued_bytes, .. } = self.counts();
        let messages = u32::try_from(queued).unwrap_or(u32::MAX);
        Offer::Refused(QueueFull { messages, bytes: queued_bytes })
    }

    fn flows(&mut self) -> &mut Flows<M> {
        let next_packet_id = self.next_packet_id;
        self.flows.get_or_insert_with(|| Box::new(Flows::new(next_packet_id)))
    }

    fn window(&mut self, packet_id: PacketId) -> Result<&mut Window<M>, AckRefusal> {
        let flows = self.flows.as_mut().ok_or(AckRefusal::PacketIdNotFound { packet_id })?;
        Ok(&mut flows.window)
    }
}

impl<M: Clone> Flows<M> {
    fn new(next_packet_id: PacketId) -> Self {
        Self { inbound: Inbound::default(), window: Window::new(next_packet_id), queue: Queue::new() }
    }

    fn is_idle(&self) -> bool {
        self.inbound.len() == 0 && self.window.len() == 0 && self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests;
