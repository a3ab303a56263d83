//! A batch: what one turn of a shard, or one command, makes durable as a whole.
//!
//! Operations are encoded when they are pushed, on the caller's thread; the writer thread only
//! copies. A batch is committed whole or not at all, and batches are committed in the order in
//! which they were appended.

#[cfg(feature = "fault-points")]
mod lost_op;

use std::num::NonZeroU16;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::limits::{BATCH_ROOM_BYTES_MAX, BODY_INLINE_BYTES_MAX};
use crate::message::{Delivery, MessageRef};
use crate::record::{Body, Records, encode_body};
use crate::table::{
    ArchiveRow, ComponentHash, DefinitionRow, DelayedRow, EnvironmentRow, KeepRow, MetaRow, ModuleRow,
    ProjectRow, RetainedRow, Row, SessionRow, SettingRow, SubscriptionRow, Table, TenantRow, UserRow,
    definition_key, delayed_key, module_key, named_key, seal, subscription_key,
};
use crate::{MessageId, SessionId, TenantId};

#[cfg(feature = "fault-points")]
pub use lost_op::{OpKind, lose_operations};

/// One thing to make durable.
///
/// The life of an outgoing QoS 1 message in a session: [`Enqueue`](Op::Enqueue),
/// [`Inflight`](Op::Inflight) when it is sent (or at once, in [`Delivery::packet_id`]),
/// [`Dequeue`](Op::Dequeue) at PUBACK. QoS 2: `Dequeue` is replaced by
/// [`PubrecReceived`](Op::PubrecReceived) and then [`PubcompReceived`](Op::PubcompReceived). An
/// incoming QoS 2 message: `Enqueue` and [`Qos2Received`](Op::Qos2Received) in one batch,
/// [`Qos2Released`](Op::Qos2Released) at PUBREL.
#[derive(Debug)]
#[non_exhaustive]
pub enum Op<'a> {
    /// A message enters the queues of sessions. Without deliveries it is nothing.
    Enqueue {
        /// The message; a number that has been used names the same message.
        message: MessageRef<'a>,
        /// Sessions that must get it.
        deliveries: &'a [Delivery<'a>],
    },
    /// A session is done with a message: acknowledged, expired, dropped. An operation on a delivery
    /// that is not there waits a short time for that delivery, then it is dropped. The same holds
    /// for `Inflight` and `PubrecReceived`.
    Dequeue {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
    },
    /// A queued message has been sent with this Packet Identifier; it will be sent again with it.
    Inflight {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// The identifier.
        packet_id: NonZeroU16,
    },
    /// PUBREC came for an outgoing message: it is not sent again, a PUBREL is.
    PubrecReceived {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// Its identifier.
        packet_id: NonZeroU16,
    },
    /// PUBCOMP came: the identifier of an outgoing QoS 2 message is free.
    PubcompReceived {
        /// The session.
        session: SessionId,
        /// The identifier.
        packet_id: NonZeroU16,
    },
    /// An incoming QoS 2 PUBLISH was taken over; a repetition must not be forwarded.
    Qos2Received {
        /// The session.
        session: SessionId,
        /// The identifier that the Client chose.
        packet_id: NonZeroU16,
    },
    /// PUBREL came for an incoming QoS 2 message.
    Qos2Released {
        /// The session.
        session: SessionId,
        /// The identifier.
        packet_id: NonZeroU16,
    },
    /// Creates or replaces a session; appended before anything that names it.
    PutSession(&'a SessionRow),
    /// Removes a session with its subscriptions, queue and identifiers.
    DeleteSession {
        /// Its tenant.
        tenant: TenantId,
        /// The session.
        session: SessionId,
    },
    /// Creates or replaces a subscription.
    PutSubscription(&'a SubscriptionRow),
    /// Removes a subscription.
    DeleteSubscription {
        /// The tenant.
        tenant: TenantId,
        /// The session.
        session: SessionId,
        /// The Topic Filter.
        filter: &'a str,
    },
    /// Stores a retained message unless a newer version is there or was deleted.
    PutRetained(&'a RetainedRow),
    /// Removes a retained message unless a newer version is there.
    DeleteRetained {
        /// The tenant.
        tenant: TenantId,
        /// Topic Name.
        topic: &'a str,
        /// Place of the deletion in the order of writers.
        version: MessageId,
    },
    /// Creates or replaces a kept value.
    PutKeep(&'a KeepRow),
    /// Removes a kept value.
    DeleteKeep {
        /// The tenant.
        tenant: TenantId,
        /// The topic.
        topic: &'a str,
    },
    /// Stores a message that is published later.
    PutDelayed(&'a DelayedRow),
    /// Removes a message that is published now, or never.
    DeleteDelayed {
        /// The tenant.
        tenant: TenantId,
        /// The message.
        id: MessageId,
    },
    /// Creates or replaces a definition.
    PutDefinition(&'a DefinitionRow),
    /// Removes a definition.
    DeleteDefinition {
        /// The tenant.
        tenant: TenantId,
        /// Its kind.
        kind: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// Creates or replaces a module, or the version before it, with its component.
    PutModule {
        /// Metadata of the module.
        row: &'a ModuleRow,
        /// Its bytes.
        component: Bytes,
    },
    /// Changes what is known of a module, or makes one the version before another: its component is
    /// there, of a module of the same tenant. Nothing where it is not, as it was lost with the
    /// batch that had it.
    ChangeModule(&'a ModuleRow),
    /// Removes a module, or the version before it. A component that no module of the tenant has any
    /// more goes with it.
    DeleteModule {
        /// The tenant.
        tenant: TenantId,
        /// Its name.
        name: &'a str,
        /// Whether the version before is meant.
        is_former: bool,
    },
    /// Creates or replaces a project with its files.
    PutProject {
        /// Metadata of the project.
        row: &'a ProjectRow,
        /// Its files.
        archive: Bytes,
    },
    /// Changes what is known of a project, whose files stay.
    ChangeProject(&'a ProjectRow),
    /// Removes a project with its files.
    DeleteProject {
        /// The tenant.
        tenant: TenantId,
        /// Its name.
        name: &'a str,
    },
    /// Creates or replaces an account.
    PutUser(&'a UserRow),
    /// Removes an account.
    DeleteUser {
        /// The tenant.
        tenant: TenantId,
        /// Its name.
        name: &'a str,
    },
    /// Stores a setting.
    PutSetting(&'a SettingRow),
    /// Removes a setting.
    DeleteSetting {
        /// The tenant.
        tenant: TenantId,
        /// Its name.
        name: &'a str,
    },
    /// Stores an environment variable.
    PutEnv(&'a EnvironmentRow),
    /// Removes an environment variable.
    DeleteEnv {
        /// The tenant.
        tenant: TenantId,
        /// Its name.
        name: &'a str,
    },
    /// Encrypts and stores a secret. The plain text is wiped from memory after the commit.
    PutSecret {
        /// The tenant.
        tenant: TenantId,
        /// Its name.
        name: &'a str,
        /// Its value.
        value: &'a [u8],
    },
    /// Removes a secret.
    DeleteSecret {
        /// The tenant.
        tenant: TenantId,
        /// Its name.
        name: &'a str,
    },
    /// Encrypts and stores a record of the audit.
    PutAudit {
        /// The tenant.
        tenant: TenantId,
        /// Its place in the order of the tenant's records.
        number: u64,
        /// When it was made, in milliseconds since 1970.
        at_ms: u64,
        /// Opaque to the store.
        digest: [u8; 32],
        /// Text of the record.
        text: &'a str,
    },
    /// Removes the oldest records of a stretch of the audit.
    DeleteAudit {
        /// The tenant.
        tenant: TenantId,
        /// Number with which the stretch begins.
        from: u64,
        /// Number of the oldest record that stays.
        below: u64,
    },
    /// Creates or renames a tenant.
    PutTenant(&'a TenantRow),
    /// Removes a tenant's name. Separate operations remove the data of the tenant.
    DeleteTenant(TenantId),
    /// Stores a fact about the whole broker. Names that start with `store.` are ignored.
    PutMeta(&'a MetaRow),
}

/// A change of a table other than the log.
#[derive(Debug)]
pub enum RowChange {
    /// Writes a row.
    Put {
        /// The table.
        table: Table,
        /// Key of the row.
        key: Vec<u8>,
        /// Value of the row.
        value: Vec<u8>,
    },
    /// Removes a row.
    Delete {
        /// The table.
        table: Table,
        /// Key of the row.
        key: Vec<u8>,
    },
    /// Writes the row of a session.
    PutSession {
        /// The session.
        session: SessionId,
        /// Key of the row.
        key: Vec<u8>,
        /// Value of the row.
        value: Vec<u8>,
    },
    /// Removes a session with its subscriptions, queue and identifiers.
    DeleteSession {
        /// The session.
        session: SessionId,
        /// Key of the row.
        key: Vec<u8>,
    },
    /// With its component where that may not be there.
    PutModule {
        /// The tenant.
        tenant: TenantId,
        /// SHA-256 of the component.
        hash: ComponentHash,
        /// Key of the row.
        key: Vec<u8>,
        /// Value of the row.
        value: Vec<u8>,
        /// Bytes of the component.
        component: Option<Bytes>,
    },
    /// Removes a module, and its component if no other module of the tenant has it.
    DeleteModule {
        /// The tenant.
        tenant: TenantId,
        /// Key of the row.
        key: Vec<u8>,
    },
    /// Writes a retained message unless a newer version is there or was deleted.
    PutRetained {
        /// Key of the row.
        key: Vec<u8>,
        /// Value of the row.
        value: Vec<u8>,
        /// Place of the message in the order of writers.
        version: u64,
    },
    /// Removes a retained message unless a newer version is there.
    DeleteRetained {
        /// Key of the row.
        key: Vec<u8>,
        /// Place of the deletion in the order of writers.
        version: u64,
    },
    /// Encrypts and writes a secret.
    PutSecret {
        /// The tenant.
        tenant: TenantId,
        /// Name of the secret.
        name: String,
        /// Plain text of the secret, wiped from memory when dropped.
        value: Zeroizing<Vec<u8>>,
    },
    /// Writes the body of a message that is too large for a record.
    PutPayload {
        /// The message.
        message: MessageId,
        /// Its body.
        body: Vec<u8>,
    },
    /// Encrypts and writes a record of the audit.
    PutAudit {
        /// The tenant.
        tenant: TenantId,
        /// Place of the record in the order of the tenant's records.
        number: u64,
        /// Time of the record, in milliseconds since 1970.
        at_ms: u64,
        /// Digest of the record.
        digest: [u8; 32],
        /// Plain text of the record.
        text: String,
    },
    /// Removes the oldest records of a stretch of the audit.
    DeleteAudit {
        /// The tenant.
        tenant: TenantId,
        /// Number with which the stretch begins.
        from: u64,
        /// Number of the oldest record that stays.
        below: u64,
    },
}

/// Operations that are committed together.
///
/// ```
/// use lotmq_changes::{Batch, EnvironmentRow, Op, TenantId};
///
/// let mut batch = Batch::new();
/// let name = "SITE".into();
/// let row = EnvironmentRow { tenant: TenantId::DEFAULT, name, value: "north".into() };
/// batch.push(Op::PutEnv(&row));
/// assert!(!batch.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    records: Records,
    /// Each with the number of records that were pushed before it.
    rows: Vec<(usize, RowChange)>,
    row_bytes: usize,
    /// Kept for its memory only.
    scratch: Vec<u8>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch in which a list of deliveries is continued in the next record after so many
    /// bytes; for tests of a log, which then need few sessions for a long list.
    pub fn with_lists_of(list_bytes_max: u16) -> Self {
        Self { records: Records::with_lists_of(list_bytes_max), ..Self::default() }
    }

    /// Its log records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Its changes of rows, each with the number of records that were pushed before it.
    pub fn rows(&self) -> &[(usize, RowChange)] {
        &self.rows
    }

    /// Takes what it holds. The next first record has room for as many bytes as were there, up to
    /// 64 KiB: under load one batch is like the last.
    pub fn take(&mut self) -> Self {
        let room = self.records.bytes().len().min(BATCH_ROOM_BYTES_MAX);
        let next = Self {
            records: self.records.next_with_room(room),
            scratch: std::mem::take(&mut self.scratch),
            ..Self::default()
        };
        std::mem::replace(self, next)
    }

    /// One that changes nothing that anybody reads, to find out whether the disk takes it.
    pub fn probe() -> Self {
        let mut probe = Self::new();
        probe.put(&MetaRow::number(MetaRow::PROBE, 0));
        probe
    }

    /// Whether it holds nothing; appending it is then a waste.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.rows.is_empty()
    }

    /// Bytes that it takes while it waits, about those that it will take on disk.
    pub fn bytes(&self) -> usize {
        self.records.bytes().len() + self.row_bytes
    }

    /// Operations in it, as the bounds of a group count them.
    pub fn len(&self) -> usize {
        self.records.len() + self.rows.len()
    }

    /// Adds an operation; the payload is copied.
    pub fn push(&mut self, op: Op<'_>) {
        #[cfg(feature = "fault-points")]
        if lost_op::is_lost(&op) {
            return;
        }
        self.append(op);
    }

    fn append(&mut self, op: Op<'_>) {
        match op {
            Op::Enqueue { message, deliveries } => self.enqueue(&message, deliveries),
            Op::Dequeue { session, message } => self.records.dequeue(session, message),
            Op::Inflight { session, message, packet_id } => {
                self.records.inflight(session, message, packet_id)
            }
            Op::PubrecReceived { session, message, packet_id } => {
                self.records.pubrec(session, message, packet_id);
            }
            Op::PubcompReceived { session, packet_id } => self.records.pubcomp(session, packet_id),
            Op::Qos2Received { session, packet_id } => self.records.qos2_received(session, packet_id),
            Op::Qos2Released { session, packet_id } => self.records.qos2_released(session, packet_id),
            Op::PutSession(row) => self.put_session(row),
            Op::DeleteSession { tenant, session } => self.delete_session(tenant, session),
            Op::PutSubscription(row) => self.put(row),
            Op::DeleteSubscription { tenant, session, filter } => {
                self.delete(Table::Subscriptions, subscription_key(tenant, session, filter));
            }
            Op::PutRetained(row) => self.put_retained(row),
            Op::DeleteRetained { tenant, topic, version } => {
                let key = named_key(tenant, topic);
                self.change(key.len(), RowChange::DeleteRetained { key, version: version.0 });
            }
            Op::PutKeep(row) => self.put(row),
            Op::DeleteKeep { tenant, topic } => self.delete(Table::Keeps, named_key(tenant, topic)),
            Op::PutDelayed(row) => self.put(row),
            Op::DeleteDelayed { tenant, id } => self.delete(Table::Delayed, delayed_key(tenant, id)),
            Op::PutDefinition(row) => self.put(row),
            Op::DeleteDefinition { tenant, kind, name } => {
                self.delete(Table::Definitions, definition_key(tenant, kind, name));
            }
            Op::PutModule { row, component } => self.put_module(row, Some(component)),
            Op::ChangeModule(row) => self.put_module(row, None),
            Op::DeleteModule { tenant, name, is_former } => {
                let key = module_key(tenant, name, is_former);
                self.change(key.len(), RowChange::DeleteModule { tenant, key });
            }
            Op::PutProject { row, archive } => {
                self.put(row);
                self.put(&ArchiveRow { tenant: row.tenant, name: row.name.clone(), bytes: archive });
            }
            Op::ChangeProject(row) => self.put(row),
            Op::DeleteProject { tenant, name } => {
                self.delete(Table::Projects, named_key(tenant, name));
                self.delete(Table::Archives, named_key(tenant, name));
            }
            Op::PutUser(row) => self.put(row),
            Op::DeleteUser { tenant, name } => self.delete(Table::Users, named_key(tenant, name)),
            Op::PutSetting(row) => self.put(row),
            Op::DeleteSetting { tenant, name } => self.delete(Table::Settings, named_key(tenant, name)),
            Op::PutEnv(row) => self.put(row),
            Op::DeleteEnv { tenant, name } => self.delete(Table::Environment, named_key(tenant, name)),
            Op::PutSecret { tenant, name, value } => self.put_secret(tenant, name, value),
            Op::DeleteSecret { tenant, name } => self.delete(Table::Secrets, named_key(tenant, name)),
            Op::PutAudit { tenant, number, at_ms, digest, text } => {
                let text = text.to_owned();
                self.change(text.len() + 64, RowChange::PutAudit { tenant, number, at_ms, digest, text });
            }
            Op::DeleteAudit { tenant, from, below } => {
                self.change(0, RowChange::DeleteAudit { tenant, from, below });
            }
            Op::PutTenant(row) => self.put(row),
            Op::DeleteTenant(id) => self.delete(Table::Tenants, id.0.to_be_bytes().to_vec()),
            Op::PutMeta(row) if row.name.starts_with("store.") => {}
            Op::PutMeta(row) => self.put(row),
        }
    }

    fn delete_session(&mut self, tenant: TenantId, session: SessionId) {
        let key = crate::table::session_key(tenant, session);
        self.change(key.len(), RowChange::DeleteSession { session, key });
    }

    fn enqueue(&mut self, message: &MessageRef<'_>, deliveries: &[Delivery<'_>]) {
        if deliveries.is_empty() {
            return;
        }
        let deliveries = deliveries.iter().copied();
        self.scratch.clear();
        encode_body(message, &mut self.scratch);
        if self.scratch.len() <= BODY_INLINE_BYTES_MAX {
            self.records.message(message.id, Body::Inline(&self.scratch), deliveries);
            return;
        }
        let body = std::mem::take(&mut self.scratch);
        let external = Body::External { len: body.len() as u64, crc: crc32c::crc32c(&body) };
        // In front of the record, so that a message that dies within its group finds its rows to
        // delete.
        self.change(body.len(), RowChange::PutPayload { message: message.id, body });
        self.records.message(message.id, external, deliveries);
    }

    fn put_session(&mut self, row: &SessionRow) {
        let key = row.key();
        let value = seal(&key, row);
        self.change(key.len() + value.len(), RowChange::PutSession { session: row.id, key, value });
    }

    fn put_module(&mut self, row: &ModuleRow, component: Option<Bytes>) {
        let key = row.key();
        let value = seal(&key, row);
        let bytes = key.len() + value.len() + component.as_ref().map_or(0, Bytes::len);
        let (tenant, hash) = (row.tenant, row.hash);
        self.change(bytes, RowChange::PutModule { tenant, hash, key, value, component });
    }

    fn put_retained(&mut self, row: &RetainedRow) {
        let key = row.key();
        let value = seal(&key, row);
        let version = row.version.0;
        self.change(key.len() + value.len(), RowChange::PutRetained { key, value, version });
    }

    fn put_secret(&mut self, tenant: TenantId, name: &str, value: &[u8]) {
        let value = Zeroizing::new(value.to_vec());
        self.change(value.len() + name.len(), RowChange::PutSecret { tenant, name: name.to_owned(), value });
    }

    fn put<R: Row>(&mut self, row: &R) {
        let key = row.key();
        let value = seal(&key, row);
        self.change(key.len() + value.len(), RowChange::Put { table: R::TABLE, key, value });
    }

    fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.change(key.len(), RowChange::Delete { table, key });
    }

    fn change(&mut self, bytes: usize, change: RowChange) {
        self.row_bytes += bytes + 32;
        self.rows.push((self.records.len(), change));
    }
}
