//! Opening the database file: creating the schema, checking it, reading every table.

use std::collections::HashMap;

use lotmq_changes::table::{Row, SCHEMA_VERSION, SecretRow, Table, read, seal};
use lotmq_changes::{
    Corruption, MembershipId, MessageId, MetaRow, Recovered, RecoveredDelivery, RecoveredQueues,
    RecoveredSecret, RecoveredSession, SessionId, SessionRow, SubscriptionRow, TenantId, TenantRow,
};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable};

use crate::backend::{AnyBackend, BackendFactory};
use crate::limits::CHECK_AT_OPEN_BYTES_MAX;
use crate::load_error::{LoadError, from_redb};
use crate::log::contents::{Reader, Wanted};
use crate::log::index::{LogIndex, Pages};
use crate::log::page::Entry;
use crate::log::replay::{self, Replayed, Rows};
use crate::overlay::Overlay;
use crate::secret::SecretCipher;
use crate::table::{LOG, PAYLOADS, QUEUES, definition};

/// An open database and what the writer must know of it.
pub(crate) struct Loaded {
    pub(crate) database: Database,
    pub(crate) index: LogIndex,
    /// The rows of table `queues` do not belong to the index.
    pub(crate) has_foreign_rows: bool,
    pub(crate) orphaned_payloads: Vec<MessageId>,
    /// Sessions numbered below this may exist.
    pub(crate) sessions_reserved: u64,
}

/// Opens the file, makes the schema if it is empty, and checks what is needed before going on.
/// Nothing is changed in one that is damaged.
pub(crate) fn open_database(
    factory: &BackendFactory,
    cache_bytes: usize,
) -> Result<(Database, bool), LoadError> {
    let (overlay, pending) =
        Overlay::over(AnyBackend(factory().map_err(LoadError::Io)?)).map_err(LoadError::Io)?;
    let opened = open_backend(overlay, cache_bytes)?;
    pending.settle().map_err(LoadError::Io)?;
    Ok(opened)
}

/// Opens the file to look at what it holds, and changes nothing: for a disk that takes nothing,
/// where it cannot be opened otherwise.
pub(crate) fn open_view(factory: &BackendFactory, cache_bytes: usize) -> Result<Database, LoadError> {
    let (overlay, _) = Overlay::over(AnyBackend(factory().map_err(LoadError::Io)?)).map_err(LoadError::Io)?;
    Ok(open_backend(overlay, cache_bytes)?.0)
}

/// Opens an existing file, or makes the schema in an empty one.
pub(crate) fn open_backend(
    backend: impl redb::StorageBackend,
    cache_bytes: usize,
) -> Result<(Database, bool), LoadError> {
    let file_bytes = redb::StorageBackend::len(&backend).map_err(LoadError::Io)?;
    let mut database = Builder::new().set_cache_size(cache_bytes).create_with_backend(backend)?;
    if file_bytes > 0 && file_bytes <= CHECK_AT_OPEN_BYTES_MAX {
        database.check_integrity()?;
    }
    let transaction = database.begin_read().map_err(from_redb)?;
    let is_new = transaction.list_tables()?.next().is_none();
    transaction.close().map_err(from_redb)?;
    if is_new {
        create_schema(&database)?;
    }
    check_schema(&database)?;
    Ok((database, is_new))
}

fn create_schema(database: &Database) -> Result<(), LoadError> {
    let transaction = database.begin_write().map_err(from_redb)?;
    for &table in Table::ALL {
        transaction.open_table(definition(table)).map_err(from_redb)?;
    }
    transaction.open_table(LOG).map_err(from_redb)?;
    transaction.open_table(PAYLOADS).map_err(from_redb)?;
    transaction.open_table(QUEUES).map_err(from_redb)?;
    let default = TenantRow { id: TenantId::DEFAULT, name: "default".to_owned() };
    put(&transaction, &default)?;
    put(&transaction, &MetaRow::number(MetaRow::SCHEMA, SCHEMA_VERSION))?;
    put(&transaction, &MetaRow::number(MetaRow::NODE, 0))?;
    transaction.commit().map_err(from_redb)
}

/// Takes out the rows that every new file has.
pub(crate) fn clear(database: &Database) -> Result<(), LoadError> {
    let transaction = database.begin_write().map_err(from_redb)?;
    for &table in Table::ALL {
        let mut table = transaction.open_table(definition(table)).map_err(from_redb)?;
        table.retain(|_, _| false).map_err(from_redb)?;
    }
    transaction.commit().map_err(from_redb)
}

fn put<R: Row>(transaction: &redb::WriteTransaction, row: &R) -> Result<(), LoadError> {
    let key = row.key();
    let mut table = transaction.open_table(definition(R::TABLE)).map_err(from_redb)?;
    table.insert(key.as_slice(), seal(&key, row).as_slice()).map_err(from_redb)?;
    Ok(())
}

pub(crate) fn check_schema(database: &Database) -> Result<(), LoadError> {
    let transaction = database.begin_read().map_err(from_redb)?;
    match number(&transaction, MetaRow::SCHEMA)? {
        Some(found) if found > SCHEMA_VERSION => Err(LoadError::SchemaTooNew(found)),
        Some(SCHEMA_VERSION) => Ok(()),
        _ => Err(Corruption::SchemaMissing.into()),
    }
}

/// Numbers of sessions that `from` has reserved are reserved in `to`, too.
pub(crate) fn carry_reserve(from: &ReadTransaction, to: &Database) -> Result<(), LoadError> {
    let reading = to.begin_read().map_err(from_redb)?;
    let own = reserved(&reading)?.unwrap_or(0);
    drop(reading);
    let Some(reserved) = reserved(from)?.filter(|reserved| *reserved > own) else {
        return Ok(());
    };
    let transaction = to.begin_write().map_err(from_redb)?;
    put(&transaction, &MetaRow::number(MetaRow::SESSIONS_RESERVED, reserved))?;
    transaction.commit().map_err(from_redb)
}

fn number(transaction: &ReadTransaction, name: &str) -> Result<Option<u64>, LoadError> {
    let table = open(transaction, Table::Meta)?;
    let Some(value) = table.get(name.as_bytes())? else { return Ok(None) };
    Ok(read::<MetaRow>(name.as_bytes(), value.value())?.as_number())
}

pub(crate) type RowTable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(crate) fn open(transaction: &ReadTransaction, table: Table) -> Result<RowTable, LoadError> {
    transaction.open_table(definition(table)).map_err(|error| LoadError::table(table.name(), error))
}

/// The rows of a table that can be read, and what is wrong with the others.
pub(crate) fn checked_rows<R: Row>(
    transaction: &ReadTransaction,
) -> Result<(Vec<R>, Vec<Corruption>), LoadError> {
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    for row in open(transaction, R::TABLE)?.iter()? {
        let (key, value) = row?;
        match read(key.value(), value.value()) {
            Ok(row) => rows.push(row),
            Err(corruption) => damaged.push(corruption),
        }
    }
    Ok((rows, damaged))
}

/// The row of a key, if there is one.
pub(crate) fn row<R: Row>(transaction: &ReadTransaction, key: &[u8]) -> Result<Option<R>, LoadError> {
    let value = open(transaction, R::TABLE)?.get(key)?;
    value.map(|value| read(key, value.value())).transpose().map_err(LoadError::from)
}

fn rows<R: Row>(transaction: &ReadTransaction) -> Result<Vec<R>, LoadError> {
    let mut rows = Vec::new();
    for row in open(transaction, R::TABLE)?.iter()? {
        let (key, value) = row?;
        rows.push(read(key.value(), value.value())?);
    }
    Ok(rows)
}

/// Reads what the writer needs, without contents.
pub(crate) fn load(database: Database) -> Result<Loaded, LoadError> {
    let transaction = database.begin_read().map_err(from_redb)?;
    let sessions: Vec<SessionRow> = rows(&transaction)?;
    let (replayed, orphaned_payloads) = load_log(&transaction, &sessions)?;
    let Replayed { index, has_foreign_rows } = replayed;
    let sessions_reserved = sessions_reserved(&transaction, &sessions)?;
    drop(transaction);
    Ok(Loaded { database, index, has_foreign_rows, orphaned_payloads, sessions_reserved })
}

fn load_log(
    transaction: &ReadTransaction,
    sessions: &[SessionRow],
) -> Result<(Replayed, Vec<MessageId>), LoadError> {
    let sessions: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();
    let replayed = replay::index(transaction, &sessions)?;
    // They go with their message; only a file that was damaged has some, and reading them all takes
    // its time.
    let orphans =
        if replayed.has_foreign_rows { orphaned_payloads(transaction, &replayed.index)? } else { Vec::new() };
    Ok((replayed, orphans))
}

/// Messages that have rows in table `payloads` and are not alive.
fn orphaned_payloads(transaction: &ReadTransaction, index: &LogIndex) -> Result<Vec<MessageId>, LoadError> {
    let table = transaction.open_table(PAYLOADS).map_err(|error| LoadError::table("payloads", error))?;
    let mut orphans = Vec::new();
    for row in table.iter()? {
        let (key, _) = row?;
        let id = MessageId(key.value().0);
        if !index.has_external(id) && orphans.last() != Some(&id) {
            orphans.push(id);
        }
    }
    Ok(orphans)
}

/// Removes large messages that nobody is to get: those of sessions and of chunks of the log that
/// were put aside.
pub(crate) fn drop_orphaned_payloads(database: &Database) -> Result<(), LoadError> {
    let reading = database.begin_read().map_err(from_redb)?;
    let sessions: Vec<SessionRow> = rows(&reading)?;
    let sessions: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();
    let orphans = orphaned_payloads(&reading, &replay::index(&reading, &sessions)?.index)?;
    drop(reading);
    if orphans.is_empty() {
        return Ok(());
    }
    let transaction = database.begin_write().map_err(from_redb)?;
    let mut payloads = transaction.open_table(PAYLOADS).map_err(from_redb)?;
    for MessageId(id) in orphans {
        payloads.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).map_err(from_redb)?;
    }
    drop(payloads);
    transaction.commit().map_err(from_redb)
}

/// Stored end of the reserved numbers of sessions; `None` for one that no node reaches.
fn reserved(transaction: &ReadTransaction) -> Result<Option<u64>, LoadError> {
    let reserved = number(transaction, MetaRow::SESSIONS_RESERVED)?;
    Ok(reserved.and_then(SessionId::from_number).map(|SessionId(number)| number))
}

fn sessions_reserved(transaction: &ReadTransaction, sessions: &[SessionRow]) -> Result<u64, LoadError> {
    let node = number(transaction, MetaRow::NODE)?.unwrap_or(0) & 0xffff;
    let first = (node << 48) + 1;
    let reserved = reserved(transaction)?.unwrap_or(first);
    let used = sessions.iter().map(|session| session.id.0.saturating_add(1)).max().unwrap_or(first);
    Ok(reserved.max(used).max(first))
}

/// Reads everything.
pub(crate) fn load_all(
    database: Database,
    is_new: bool,
    cipher: &SecretCipher,
    queues: RecoveredQueues,
) -> Result<(Loaded, Recovered), LoadError> {
    let transaction = database.begin_read().map_err(from_redb)?;
    let sessions: Vec<SessionRow> = rows(&transaction)?;
    let sessions_reserved = sessions_reserved(&transaction, &sessions)?;
    let (Replayed { mut index, has_foreign_rows }, orphaned_payloads) = load_log(&transaction, &sessions)?;
    let recovered = Recovered { is_new, ..join(&transaction, &mut index, sessions, cipher, queues)? };
    if cipher.is_new && has_sealed_rows(&transaction)? {
        tracing::warn!(
            "the key of the secrets was gone and a new one was made: secrets and records of the audit from before cannot be read with it; put the former secret.key back, or set the secrets anew"
        );
    }
    drop(transaction);
    Ok((Loaded { database, index, has_foreign_rows, orphaned_payloads, sessions_reserved }, recovered))
}

/// Reads the contents of a store that another transaction may write to meanwhile.
pub(crate) fn contents(
    transaction: &ReadTransaction,
    cipher: &SecretCipher,
    queues: RecoveredQueues,
) -> Result<Recovered, LoadError> {
    let sessions: Vec<SessionRow> = rows(transaction)?;
    let (Replayed { mut index, .. }, _) = load_log(transaction, &sessions)?;
    join(transaction, &mut index, sessions, cipher, queues)
}

/// Checks that the tenant is there which every broker has.
pub(crate) fn has_default(tenants: &[TenantRow]) -> Result<(), Corruption> {
    match tenants.iter().any(|row| row.id == TenantId::DEFAULT) {
        true => Ok(()),
        false => Err(Corruption::DefaultTenantMissing),
    }
}

/// Reads the tables, and joins them with the log. Notes in `index` which message numbers are used.
fn join(
    transaction: &ReadTransaction,
    index: &mut LogIndex,
    sessions: Vec<SessionRow>,
    cipher: &SecretCipher,
    queues: RecoveredQueues,
) -> Result<Recovered, LoadError> {
    let mut recovered = Recovered {
        tenants: rows(transaction)?,
        retained: rows(transaction)?,
        keeps: rows(transaction)?,
        delayed: rows(transaction)?,
        definitions: rows(transaction)?,
        modules: rows(transaction)?,
        projects: rows(transaction)?,
        users: rows(transaction)?,
        settings: rows(transaction)?,
        environment: rows(transaction)?,
        secrets: rows(transaction)?.into_iter().map(|row| open_secret(cipher, row)).collect(),
        quarantined: rows(transaction)?,
        meta: rows(transaction)?,
        sessions: join_sessions(transaction, index, sessions, queues)?,
        next_message: MessageId::default(),
        is_new: false,
        restore_failed: false,
    };
    has_default(&recovered.tenants)?;
    recovered.definitions.sort_by_key(|row| (row.tenant, row.order));
    recovered.modules.sort_by_key(|row| (row.tenant, row.order));
    recovered.meta.retain(|row| !row.name.starts_with("store."));
    let versions = recovered.retained.iter().map(|row| row.version);
    let versions = versions.chain(recovered.delayed.iter().map(|row| row.id));
    let subscriptions = recovered.sessions.iter().flat_map(|recovered| &recovered.subscriptions);
    let memberships = subscriptions.filter_map(|row| row.membership).map(MembershipId::earliest);
    versions.chain(memberships).for_each(|number| index.note_number(number));
    recovered.next_message = MessageId(index.next_message_id);
    Ok(recovered)
}

/// Whether there is anything that was encrypted.
fn has_sealed_rows(transaction: &ReadTransaction) -> Result<bool, LoadError> {
    for table in [Table::Secrets, Table::Audit] {
        let rows = transaction.open_table(definition(table)).map_err(from_redb)?;
        if rows.first().map_err(from_redb)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn open_secret(cipher: &SecretCipher, row: SecretRow) -> RecoveredSecret {
    let value = cipher.open_row(&row);
    RecoveredSecret { tenant: row.tenant, name: row.name, value }
}

fn join_sessions(
    transaction: &ReadTransaction,
    index: &LogIndex,
    sessions: Vec<SessionRow>,
    which: RecoveredQueues,
) -> Result<Vec<RecoveredSession>, LoadError> {
    let ids: Vec<SessionId> = sessions.iter().map(|session| session.id).collect();
    let mut queues = queues(transaction, index, &Rows::open(transaction)?, &ids, which)?;
    let mut subscriptions: HashMap<SessionId, Vec<SubscriptionRow>> = HashMap::new();
    for row in rows::<SubscriptionRow>(transaction)? {
        subscriptions.entry(row.session).or_default().push(row);
    }
    let join = |session: SessionRow| {
        let live = index.session(session.id);
        let identifiers = live.map(|live| live.identifiers.clone()).unwrap_or_default();
        let mut pubrel: Vec<_> =
            identifiers.pubrel.iter().map(|(packet_id, (message, _))| (*packet_id, *message)).collect();
        pubrel.sort_by_key(|(_, message)| *message);
        RecoveredSession {
            subscriptions: subscriptions.remove(&session.id).unwrap_or_default(),
            queue: queues.remove(&session.id).unwrap_or_default(),
            waiting: live.map(|live| live.waiting()).unwrap_or_default(),
            pubrel,
            qos2_received: identifiers.received.into_keys().collect(),
            session,
        }
    };
    Ok(sessions.into_iter().map(join).collect())
}

/// The messages of sessions, in order; those that were sent, or those that wait, too.
pub(crate) fn queues(
    transaction: &ReadTransaction,
    index: &LogIndex,
    pages: &impl Pages,
    sessions: &[SessionId],
    which: RecoveredQueues,
) -> Result<HashMap<SessionId, Vec<RecoveredDelivery>>, LoadError> {
    let is_wanted = |entry: &Entry| which == RecoveredQueues::Whole || entry.packet_id.is_some();
    let mut wanted = Vec::new();
    for &session in sessions {
        let Some(live) = index.session(session) else { continue };
        let first = wanted.len();
        let mut add = |message: MessageId, entry: Entry| {
            if is_wanted(&entry) {
                wanted.push(Wanted { session, message, entry });
            }
        };
        live.entries.iter().for_each(|(message, entry)| add(*message, *entry));
        for page in &live.pages {
            if which == RecoveredQueues::Whole || page.entries > page.waiting.messages {
                pages.page(session, page.first)?.into_iter().for_each(|(message, entry)| add(message, entry));
            }
        }
        wanted[first..].sort_by_key(|wanted| wanted.message);
    }
    let mut found: Vec<Option<RecoveredDelivery>> = vec![None; wanted.len()];
    let keep = |place: usize, delivery| found[place] = Some(delivery);
    Reader::new(transaction)?.read(&wanted, keep, |_, corruption| Err(corruption.into()))?;
    let mut queues: HashMap<SessionId, Vec<RecoveredDelivery>> = HashMap::new();
    for (wanted, delivery) in wanted.iter().zip(found) {
        queues.entry(wanted.session).or_default().extend(delivery);
    }
    Ok(queues)
}
