//! Contents of a log when it is opened: everything that the broker had promised to keep.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::table::{
    DefinitionRow, DelayedRow, EnvironmentRow, KeepRow, MetaRow, ModuleRow, ProjectRow, QuarantineRow,
    RetainedRow, SessionRow, SettingRow, SubscriptionRow, TenantRow, UserRow,
};
use crate::{MembershipId, MessageId, RestoreScope, TenantId};

/// The contents of the store at start. Lists are ordered by key: by tenant, then by name, unless
/// said otherwise.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Tenants by number; `default` is always there.
    pub tenants: Vec<TenantRow>,
    /// Sessions with all that belongs to them, by tenant and number.
    pub sessions: Vec<RecoveredSession>,
    /// Retained messages, expired ones too.
    pub retained: Vec<RetainedRow>,
    /// Values kept by LoT.
    pub keeps: Vec<KeepRow>,
    /// Messages that wait until their delay is over, by tenant and number.
    pub delayed: Vec<DelayedRow>,
    /// Definitions by tenant and load order.
    pub definitions: Vec<DefinitionRow>,
    /// Modules by tenant and load order; their components are read when they are wanted, with
    /// `Snapshot::component` of the store.
    pub modules: Vec<ModuleRow>,
    /// Projects; their files are read when they are wanted, with
    /// `Snapshot::archive` of the store.
    pub projects: Vec<ProjectRow>,
    /// Accounts.
    pub users: Vec<UserRow>,
    /// Settings.
    pub settings: Vec<SettingRow>,
    /// Environment variables.
    pub environment: Vec<EnvironmentRow>,
    /// Secrets.
    pub secrets: Vec<RecoveredSecret>,
    /// Damaged rows that were put aside, now or before, and not forgotten since.
    pub quarantined: Vec<QuarantineRow>,
    /// Facts about the whole broker that the server put.
    pub meta: Vec<MetaRow>,
    /// First number that no message of these contents has.
    pub next_message: MessageId,
    /// Whether the store was empty: the first start on this directory.
    pub is_new: bool,
    /// Whether these are the contents of the store before a restore, because the broker did not
    /// start on the restored one.
    pub restore_failed: bool,
}

impl Recovered {
    /// Takes the rows of a scope out. Facts about the whole broker stay, unless the scope is
    /// everything. A part gets copies of the facts that restoring needs.
    pub fn take(&mut self, scope: RestoreScope) -> Self {
        if scope == RestoreScope::Everything {
            return std::mem::take(self);
        }
        let is_in = |tenant: TenantId| scope.has_managed(tenant);
        Self {
            tenants: self.tenants.extract_if(.., |row| is_in(row.id)).collect(),
            sessions: self.sessions.extract_if(.., |it| scope.has_session(&it.session)).collect(),
            retained: self.retained.extract_if(.., |row| scope.has_topic(row.tenant, &row.topic)).collect(),
            keeps: self.keeps.extract_if(.., |row| is_in(row.tenant)).collect(),
            delayed: self.delayed.extract_if(.., |row| scope.has_topic(row.tenant, &row.topic)).collect(),
            definitions: self.definitions.extract_if(.., |row| is_in(row.tenant)).collect(),
            modules: self.modules.extract_if(.., |row| is_in(row.tenant)).collect(),
            projects: self.projects.extract_if(.., |row| is_in(row.tenant)).collect(),
            users: self.users.extract_if(.., |row| is_in(row.tenant)).collect(),
            settings: self.settings.extract_if(.., |row| is_in(row.tenant)).collect(),
            environment: self.environment.extract_if(.., |row| is_in(row.tenant)).collect(),
            secrets: self.secrets.extract_if(.., |row| is_in(row.tenant)).collect(),
            quarantined: self.quarantined.clone(),
            meta: Vec::new(),
            next_message: self.next_message,
            is_new: self.is_new,
            restore_failed: self.restore_failed,
        }
    }
}

/// Messages that a log loads with each session when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveredQueues {
    /// All: takes time and memory for everything that waits.
    #[default]
    Whole,
    /// Those that were sent. The others are read when they are wanted, with
    /// [`Log::read_queue`](crate::Log::read_queue).
    Sent,
}

/// A session as it was when it was last made durable.
#[derive(Debug)]
pub struct RecoveredSession {
    /// Its row.
    pub session: SessionRow,
    /// Its subscriptions, by filter.
    pub subscriptions: Vec<SubscriptionRow>,
    /// Messages that it must still get, in order, as far as [`RecoveredQueues`] says. Those with a
    /// Packet Identifier were sent and are sent again with it and with DUP.
    pub queue: Vec<RecoveredDelivery>,
    /// Those without one, in `queue` or not.
    pub waiting: Waiting,
    /// Outgoing QoS 2 messages for which a PUBREC came, in the order of the messages: a PUBREL is
    /// sent again for each.
    pub pubrel: Vec<(NonZeroU16, MessageId)>,
    /// Incoming QoS 2 Packet Identifiers that are not released: a PUBLISH with one of them is a
    /// repetition.
    pub qos2_received: Vec<NonZeroU16>,
}

/// A message in the queue of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredDelivery {
    /// The message; shared between the sessions that have it.
    pub message: Arc<StoredMessage>,
    /// QoS of the delivery.
    pub qos: u8,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// RETAIN flag of the PUBLISH.
    pub published_retain: bool,
    /// Subscription Identifiers to send along.
    pub subscription_ids: Vec<u32>,
    /// The Packet Identifier under which it was sent.
    pub packet_id: Option<NonZeroU16>,
    /// Membership by which it came; `None` where that was a subscription of the session's own.
    pub membership: Option<MembershipId>,
}

/// A message, read back. The fields are those of [`MessageRef`](crate::MessageRef).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its number.
    pub id: MessageId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Topic Name.
    pub topic: String,
    /// Properties of the PUBLISH.
    pub properties: Bytes,
    /// Payload.
    pub payload: Bytes,
    /// QoS of the PUBLISH.
    pub qos: u8,
    /// When it was received, in milliseconds since 1970.
    pub published_at_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

/// Messages that wait for a session and have not been sent, and their bytes as the bounds of a
/// queue count them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// How many.
    pub messages: u32,
    /// Topic, properties and payload of them all.
    pub bytes: u64,
}

impl Waiting {
    /// Counts a message of so many bytes.
    pub fn add(&mut self, bytes: u32) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.into());
    }

    /// Counts all messages that the other one counts.
    pub fn add_all(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// A secret, decrypted.
#[derive(PartialEq, Eq)]
pub struct RecoveredSecret {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Its value, wiped from memory when dropped; `None` if it is locked: encrypted with another
    /// key.
    pub value: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for RecoveredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveredSecret")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .field("is_locked", &self.value.is_none())
            .finish_non_exhaustive()
    }
}
