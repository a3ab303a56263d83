//! Contents that [`Store::open`](crate::Store::open) found: everything that the broker had promised
//! to keep.

use std::fmt;
use std::num::NonZeroU16;

use zeroize::Zeroizing;

pub use crate::log::contents::{RecoveredDelivery, StoredMessage};
pub use crate::log::page::Waiting;
use crate::table::{
    DefinitionRow, EnvironmentRow, KeepRow, MetaRow, ModuleRow, ProjectRow, QuarantineRow, RetainedRow,
    SessionRow, SettingRow, SubscriptionRow, TenantRow, UserRow,
};
use crate::{MessageId, TenantId};

/// The contents of the store at start. Lists are ordered by key: by tenant, then by name, unless
/// said otherwise.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Tenants by number; `default` is always there.
    pub tenants: Vec<TenantRow>,
    /// Sessions with all that belongs to them, by tenant and number.
    pub sessions: Vec<RecoveredSession>,
    /// Retained messages, expired ones too.
    pub retained: Vec<RetainedRow>,
    /// Values kept by LoT.
    pub keeps: Vec<KeepRow>,
    /// Definitions by tenant and load order.
    pub definitions: Vec<DefinitionRow>,
    /// Modules by tenant and load order; their components are read when they are wanted, with
    /// [`Snapshot::component`](crate::Snapshot::component).
    pub modules: Vec<ModuleRow>,
    /// Projects; their files are read when they are wanted, with
    /// [`Snapshot::archive`](crate::Snapshot::archive).
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
    /// Whether the store was empty: the first start on this directory.
    pub is_new: bool,
}

/// Selection of queued messages that [`Store::open`](crate::Store::open) loads with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveredQueues {
    /// All: takes time and memory for everything that waits.
    #[default]
    Whole,
    /// Those that were sent. The others are read when they are wanted, with
    /// [`Store::read_queue`](crate::Store::read_queue).
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

/// A secret, decrypted.
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
