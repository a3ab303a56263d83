//! A Client's session as the broker holds it: its state behind one short lock, and fields that
//! other threads read without it.
//!
//! Sessions that outlive their connection stay here while their Client is away. A thread that
//! routes to a Client locks its state once per turn.
//!
//! Invariants: `wire` tells the truth about `link` whenever the state is unlocked; a Client's state
//! is locked by itself, never together with another's. Not here: what a turn does with it
//! (`turn::session`), how a session begins and ends (`client`).

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lotmq_auth::{Identity, Principal};
use lotmq_changes::{MembershipId, MessageId, SessionId, SubscriptionRow};
use lotmq_codec::{PacketId, ProtocolVersion};
use lotmq_definitions::Owner;
use lotmq_session::{ExpiryRaised, Session, SessionExpiry, Time, WillState};
use lotmq_shares::{OwnerKey, quota_key};
use parking_lot::Mutex;

use crate::connection::Connection;
use crate::durable::changes::Mark;
use crate::fault::{Fault, is_planted};
use crate::limits::{EXCHANGES_BYTES, EXCHANGES_COUNTED_EACH, Limit, Reached};
use crate::message::Message;
use crate::reason::close::CloseReason;
use crate::reason::recipient::Recipient;
use crate::shared::Core;
use crate::shares::{Holding, Share};
use crate::tenant::Tenant;
use crate::tenant::full_queues::Dropped;
use crate::tenant::link::{Link, Wire};
use crate::tenant::replay::Replays;
use crate::tenant::session_key::{KeptSessionKey, SessionKey};
use crate::tenant::subscription::{Identifiers, Options, Subscriptions};
use crate::tenant::will::WillMessage;

/// A Client's session, connected or away.
///
/// In this order what every message looks at lies beside the counters of its `Arc`, which every
/// turn changes anyway, and far from what the lock guards.
#[repr(C)]
pub struct Client {
    /// Slot in the tables of threads; given back when the session ends.
    pub slot: u32,
    is_durable: AtomicBool,
    /// Whether the last turn left messages waiting: the socket is full, or the window.
    is_slow: AtomicBool,
    /// [`Wire`] of the live connection.
    wire: AtomicU64,
    /// The tenant whose session it is.
    pub tenant: Arc<Tenant>,
    /// Number of the session, never used again.
    pub session_id: u64,
    /// The Client Identifier.
    pub client_id: Arc<str>,
    /// Principal with which the session began. Name and source stay as long as it lives; rights are
    /// those of the identity behind the lock.
    owner: Arc<Principal>,
    /// Account number of the user; 0 without one. It is here, and not with the identity behind the
    /// lock, because each retained message reads it.
    account: u64,
    /// Stamp of the newest durable change of the session itself: its row, its subscriptions, its
    /// exchanges.
    pub changed: Mark,
    /// Stamp of the newest turn with messages that it has published.
    pub(crate) published: Mark,
    /// Messages that were dropped because its queue was full.
    pub dropped: Dropped,
    /// Mutable state, under the one lock of the session.
    pub state: Mutex<ClientState>,
}

/// State of a session that its lock guards.
pub struct ClientState {
    /// The live connection; `None` while the Client is away.
    pub link: Option<Link>,
    /// The state of the protocol.
    pub session: Session<Queued>,
    /// The subscriptions, by filter.
    pub subscriptions: Subscriptions,
    /// Identity of the Client, as rules ask about it.
    pub identity: Arc<Identity>,
    /// The Will, while there is one.
    pub will: WillState<Box<WillMessage>>,
    /// How long the session outlives its connection.
    pub expiry: SessionExpiry,
    /// Whether the last CONNECT began a new session.
    pub clean_start: bool,
    /// Keep Alive that the Client asked for, in seconds; 0 = none.
    pub keep_alive_seconds: u16,
    /// When the last CONNECT was accepted, in milliseconds since 1970.
    pub connected_at_ms: u64,
    /// Time at which the Client left.
    pub left_at: LeftAt,
    /// Retained messages that are still to be sent for new subscriptions.
    pub replays: Replays,
    /// Generation of permissions under which all that waits, or is to be sent again, was allowed to
    /// the Client where it is; under another one each is checked again.
    pub queue_allowed_at: u64,
    /// Whether rows of the session stay in the store until it ends, even if it ends with its
    /// connection.
    pub keeps_rows: bool,
    /// Part of its owner's share that it takes; nothing once it has ended.
    pub holding: Holding,
    /// Whether the session has ended; nothing is delivered to it any more.
    pub is_over: bool,
}

impl ClientState {
    /// Whether the Client is on this very connection.
    pub fn is_on(&self, connection: &Connection) -> bool {
        self.link.as_ref().is_some_and(|link| std::ptr::addr_eq(&*link.connection, connection))
    }

    /// Removes the link, whose connection is gone. Packets that it held back have not left.
    pub(crate) fn lose_link(&mut self) -> Option<Link> {
        let link = self.link.take()?;
        link.held.packet_ids().for_each(|packet_id| self.session.has_not_left(packet_id));
        self.session.disconnect();
        Some(link)
    }

    /// Counts what the session takes of its owner's share, as it is now.
    pub fn count(&mut self, client_id: &str, is_stored: bool) {
        self.holding.set(is_stored && !self.is_over, self.kept_bytes(client_id));
        self.holding.set_subscriptions(if self.is_over { 0 } else { self.subscriptions.len() as u64 });
    }

    /// Bytes of the open QoS 2 exchanges from the Client, as far as they are counted.
    fn exchange_bytes(&self) -> u64 {
        let steps = self.session.open_exchanges() / EXCHANGES_COUNTED_EACH;
        steps as u64 * EXCHANGES_BYTES
    }

    /// Bytes of a session that are counted: identifier, filters, Will, many open QoS 2 exchanges.
    fn kept_bytes(&self, client_id: &str) -> u64 {
        if self.is_over {
            return 0;
        }
        let will = match &self.will {
            WillState::None => 0,
            WillState::Armed { will, .. } | WillState::Delayed { will, .. } => will.bytes(),
        };
        let of_client = client_id.len() as u64 + self.identity.principal.bytes();
        of_client + self.subscriptions.bytes() + will + self.exchange_bytes()
    }

    /// Whether a message with so many bytes can be sent at once or kept.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let is_open = self.link.as_ref().is_some_and(|link| link.waiting_bytes() == 0);
        (is_open && self.session.can_send_bytes(bytes)) || self.session.can_queue(bytes)
    }

    /// Whether the store has anything of the session, which is `client`'s.
    pub(crate) fn has_rows(&self, client: &Client) -> bool {
        client.is_durable() || self.keeps_rows
    }

    /// Whether the Client is away and something of it is due at this time.
    pub(crate) fn is_due_at(&self, at: Time) -> bool {
        let Some(left_at) = self.left_at.get() else { return false };
        self.expiry.deadline(left_at) == Some(at) || self.will.next_timeout() == Some(at)
    }

    /// Whether the Client has been away for its Session Expiry Interval \[MQTT-3.1.2-23\].
    /// Housekeeping may not have come to it yet.
    pub(crate) fn has_expired(&self, now: Time) -> bool {
        let deadline = self.left_at.get().and_then(|left_at| self.expiry.deadline(left_at));
        deadline.is_some_and(|deadline| deadline <= now) && !is_planted(Fault::ExpiryIgnored)
    }

    /// Limit counters of the listener where the Client is connected; for a Client that is away,
    /// those without a listener.
    pub(crate) fn limits_reached<'a>(&'a self, core: &'a Core) -> &'a Reached {
        self.link.as_ref().map_or(&core.limits.elsewhere, |link| &link.connection.listener.reached)
    }
}

/// Time since 1970 at which the last connection of a Client ended; nothing while it is connected.
/// Half as large as an `Option<Time>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftAt(Option<NonZeroU64>);

impl LeftAt {
    /// Marks that the Client left at this time.
    pub fn new(at: Time) -> Self {
        Self(NonZeroU64::new(at.as_millis().max(1)))
    }

    /// Time at which it left; `None` while it is connected.
    pub fn get(self) -> Option<Time> {
        self.0.map(|ms| Time::from_millis(ms.get()))
    }
}

/// A message in a session's queue or window.
#[derive(Clone, Debug)]
pub struct Queued {
    /// The message itself, shared with other receivers.
    pub message: Arc<Message>,
    /// RETAIN as sent to this Client.
    pub retain: bool,
    /// Whether the store has the message for this session, and not only for others.
    is_stored: bool,
    /// Membership by which it came; `None` where that was a subscription of the session's own.
    pub(crate) membership: Option<MembershipId>,
    pub(crate) identifiers: Identifiers,
}

impl Queued {
    /// A message for one session. `is_stored`: the store has it for this one.
    pub fn new(
        message: &Arc<Message>,
        (retain, is_stored): (bool, bool),
        identifiers: &Identifiers,
        membership: Option<MembershipId>,
    ) -> Self {
        let (message, identifiers) = (Arc::clone(message), identifiers.clone());
        Self { message, retain, is_stored, membership, identifiers }
    }

    /// Its number in the session's queue in the store; `None` for a message that is not there.
    pub fn stored_id(&self) -> Option<MessageId> {
        self.message.stored_id().filter(|_| self.is_stored)
    }
}

impl Client {
    /// Share of the session's owner.
    pub(crate) fn share(&self) -> Arc<Share> {
        Arc::clone(self.state.lock().holding.share())
    }

    /// A session with this number and this slot in the tables of threads.
    pub fn new(tenant: &Arc<Tenant>, session_id: u64, slot: u32, state: ClientState) -> Self {
        Self {
            tenant: Arc::clone(tenant),
            client_id: Arc::clone(&state.identity.client_id),
            owner: Arc::clone(&state.identity.principal),
            account: state.identity.account(),
            session_id,
            slot,
            wire: AtomicU64::new(Wire::AWAY.pack()),
            is_durable: AtomicBool::new(!state.expiry.ends_with_connection()),
            changed: Mark::default(),
            published: Mark::default(),
            dropped: Dropped::default(),
            is_slow: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Name of the user whose session it is as long as it lives; `None` for a Client that came
    /// without one.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.owner.name()
    }

    /// The same name as text.
    pub fn user_name(&self) -> Option<&str> {
        self.user().map(|user| &**user)
    }

    /// Member of the login chain that vouches for the user; `None` for an account.
    pub fn member(&self) -> Option<&Arc<str>> {
        self.owner.member()
    }

    /// The user whose session it is.
    pub fn owner(&self) -> Option<Owner> {
        Some(Owner { name: Arc::clone(self.user()?), account: self.account })
    }

    /// Key of the share of what it does; 0 without a user.
    pub fn quota_key(&self) -> u64 {
        // Asked for each message that triggers something, so without a copy of the name.
        quota_key(self.account)
    }

    /// Key of whoever owns what it does.
    pub fn owner_key(&self) -> OwnerKey {
        OwnerKey { tenant: self.tenant.number, quota_key: self.quota_key() }
    }

    /// Key of the session among those of its tenant, which may outlive it.
    pub fn kept_key(&self) -> KeptSessionKey {
        KeptSessionKey::new(Arc::clone(&self.client_id), &self.owner)
    }

    /// Key of the session among those of its tenant.
    pub fn key(&self) -> SessionKey<'_> {
        SessionKey::new(&self.client_id, &self.owner)
    }

    /// Whether the session outlives its connection, so that its messages are stored.
    pub fn is_durable(&self) -> bool {
        self.is_durable.load(Ordering::Relaxed)
    }

    pub(crate) fn set_durable(&self, is_durable: bool) {
        self.is_durable.store(is_durable, Ordering::Relaxed);
    }

    /// Whether messages to the Client have to wait at present. Members of a shared subscription
    /// that are not slow are chosen first.
    pub(crate) fn is_slow(&self) -> bool {
        self.is_slow.load(Ordering::Relaxed)
    }

    /// Notes whether the Client is slow. Called at the end of each delivery, so it writes only a
    /// change: other threads read it.
    pub(crate) fn set_slow(&self, is_slow: bool) {
        if self.is_slow() != is_slow {
            self.is_slow.store(is_slow, Ordering::Relaxed);
        }
    }

    /// The number of the session in the store.
    pub fn stored_id(&self) -> SessionId {
        SessionId(self.session_id)
    }

    /// Parameters of the live connection for whoever encodes for it.
    pub fn wire(&self) -> Wire {
        Wire::unpack(self.wire.load(Ordering::Acquire))
    }

    /// Version of the live connection; `None` while the Client is away.
    pub fn wire_version(&self) -> Option<ProtocolVersion> {
        self.wire().version
    }

    /// Publishes the parameters of `link` to other threads. Call with the state locked.
    pub(crate) fn set_wire(&self, link: Option<&Link>) {
        self.wire.store(link.map_or(Wire::AWAY, Link::wire).pack(), Ordering::Release);
    }

    /// Protocol version of this connection; `None` when the Client is not on it any more.
    pub(crate) fn version_on(&self, connection: &Connection) -> Option<ProtocolVersion> {
        self.on(connection, |link, _| link.version)
    }

    /// Recipient of answers on this connection; `None` when the Client is not on it any more.
    pub(crate) fn recipient_on(&self, connection: &Connection) -> Option<Recipient> {
        self.on(connection, |link, _| link.recipient())
    }

    /// Lets `work` use the session when its Client is on `connection`: one that was taken over
    /// changes nothing any more.
    pub(crate) fn session_on<R>(
        &self,
        connection: &Connection,
        work: impl FnOnce(&mut Session<Queued>) -> R,
    ) -> Option<R> {
        self.on(connection, |_, session| work(session))
    }

    /// Counts open QoS 2 exchanges from the Client after one has been opened or has ended, in
    /// steps.
    ///
    /// # Errors
    /// [`Limit::TenantSessionBytes`] when so many more would take too much of what is kept for
    /// sessions.
    pub(crate) fn count_exchanges(&self, core: &Core) -> Result<(), Limit> {
        let mut state = self.state.lock();
        let open = state.session.open_exchanges();
        let (counted, wanted) = (state.holding.bytes(), state.kept_bytes(&self.client_id));
        if open.is_multiple_of(EXCHANGES_COUNTED_EACH) && wanted > counted {
            let takes = state.holding.share().takes_bytes(wanted - counted, &core.settings.limits);
            if takes.is_err() && !self.tenant.is_administrator(&state.identity) {
                return takes;
            }
        }
        state.count(&self.client_id, self.is_durable());
        Ok(())
    }

    /// Lets `work` use the link when it is that of `connection`.
    pub(crate) fn on<R>(
        &self,
        connection: &Connection,
        work: impl FnOnce(&mut Link, &mut Session<Queued>) -> R,
    ) -> Option<R> {
        let mut state = self.state.lock();
        let ClientState { link, session, .. } = &mut *state;
        let link = link.as_mut().filter(|link| std::ptr::addr_eq(&*link.connection, connection))?;
        Some(work(link, session))
    }

    /// Identity of the Client. Takes the lock of its state.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.state.lock().identity)
    }

    /// Number of the connection that has the session; `None` if it is away. Takes the lock of its
    /// state.
    pub fn connection_number(&self) -> Option<u32> {
        Some(self.state.lock().link.as_ref()?.connection.number)
    }

    /// Whether rules let this Client have messages of a topic.
    pub(crate) fn may_get(&self, topic: &str) -> bool {
        self.tenant.delivers(&self.identity(), topic).authorization.is_allowed()
    }

    /// Lets a message leave that was held back until its Packet Identifier was stored.
    pub(crate) fn let_go(&self, connection: &Connection, number: u64) {
        self.on(connection, |link, _| link.held.let_go(number));
    }

    /// The bound that is exceeded by output that waits for the Client, so that nothing more is read
    /// from it.
    pub(crate) fn congested_by(&self, connection: &Connection) -> Option<Limit> {
        self.on(connection, |link, _| link.congested_by())?
    }

    /// Lets the output leave that was kept back until the session was stored.
    pub(crate) fn release_output(&self, connection: &Connection) {
        self.on(connection, |link, _| link.release());
    }

    /// Tells the Client why this connection ends.
    pub(crate) fn tell(&self, connection: &Connection, reason: &CloseReason) {
        self.on(connection, |link, _| link.tell(reason));
    }

    /// Whether the session takes a message of `bytes`: to be sent at once, or to wait. That it does
    /// not is counted.
    pub fn has_room(&self, bytes: usize, core: &Core, now: Time) -> bool {
        let state = self.state.lock();
        let has_room = state.has_room(bytes);
        if !has_room {
            self.count_full(&state, core, now);
        } else if self.is_store_full(&state) {
            core.limits.elsewhere.note(Limit::StoredQueueBytes, &self.client_id, now);
            return false;
        }
        has_room
    }

    /// Whether the session takes a message of `bytes`, without counting a refusal, because another
    /// Client may have room.
    pub(crate) fn can_take(&self, bytes: usize) -> bool {
        let state = self.state.lock();
        state.has_room(bytes) && !self.is_store_full(&state)
    }

    /// Whether a message would wait for the Client in the store, where there may be no more of
    /// them.
    fn is_store_full(&self, state: &ClientState) -> bool {
        let waits = state.link.is_none() || (self.is_durable() && self.is_slow());
        waits && state.holding.share().are_queues_full()
    }

    /// Counts that this Client has reached a limit.
    pub fn limit_reached(&self, limit: Limit, core: &Core, now: Time) {
        self.state.lock().limits_reached(core).note(limit, &self.client_id, now);
    }

    /// Counts that the queue is full.
    pub(crate) fn count_full(&self, state: &ClientState, core: &Core, now: Time) {
        let is_by_number =
            state.session.counts().queued >= state.session.options().queue_messages_max as usize;
        let limit = if is_by_number { Limit::QueueMessages } else { Limit::QueueBytes };
        state.limits_reached(core).note(limit, &self.client_id, now);
    }

    /// Whether the Client has fewer than `unacknowledged` messages in flight and no output waiting;
    /// `None` while it is away.
    pub fn takes_more(&self, unacknowledged: usize) -> Option<bool> {
        let state = self.state.lock();
        let link = state.link.as_ref()?;
        let counts = state.session.counts();
        Some(link.waiting_bytes() == 0 && counts.queued == 0 && counts.inflight < unacknowledged)
    }

    /// Sets the Session Expiry Interval that a DISCONNECT gave.
    ///
    /// # Errors
    /// When the session ends with its connection and was to live longer.
    pub(crate) fn change_expiry(
        &self,
        seconds: Option<u32>,
        maximum: SessionExpiry,
    ) -> Result<(), ExpiryRaised> {
        let mut state = self.state.lock();
        state.expiry = state.expiry.after_disconnect(seconds, maximum)?;
        Ok(())
    }

    /// The stored form of a subscription.
    pub fn subscription_row(&self, filter: &str, options: Options) -> SubscriptionRow {
        SubscriptionRow {
            tenant: self.tenant.id,
            session: self.stored_id(),
            filter: filter.into(),
            qos: options.qos.bits(),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: options.retain_handling as u8,
            subscription_id: options.identifier.map(std::num::NonZeroU32::get),
            membership: options.membership,
        }
    }
}

/// A Packet Identifier as the store writes it.
pub(crate) fn stored_packet_id(packet_id: PacketId) -> NonZeroU16 {
    NonZeroU16::new(packet_id.get()).expect("a Packet Identifier is not zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle connections cost this besides what the connection itself takes.
    #[test]
    fn a_client_is_small() {
        assert!(size_of::<Client>() <= 392, "{} bytes", size_of::<Client>());
    }

    /// A queue in memory costs this for each message besides the message itself.
    #[test]
    fn a_message_in_a_queue_is_small() {
        assert!(size_of::<Queued>() <= 24, "{} bytes", size_of::<Queued>());
    }
}
