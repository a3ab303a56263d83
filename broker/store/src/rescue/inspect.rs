//! Reads everything in a damaged store and says what of it is whole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use lotmq_changes::encoding::Decoder;
use lotmq_changes::record::{Body, Record};
use lotmq_changes::table::{self, Row as _, Table};
use lotmq_changes::{Corruption, MessageId, SessionId, SessionRow};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use crate::component;
use crate::export;
use crate::load;
use crate::load_error::{LoadError, contained};
use crate::log::chunk::Chunk;
use crate::log::replay;
use crate::table::{LOG, LOG_NAME, PAYLOADS, PAYLOADS_NAME};

/// Kinds of definitions and worlds of modules without which less happens, and nothing more is
/// allowed.
const HARMLESS: [&str; 3] = ["action", "model", "route"];

/// A row that is damaged, as it was found.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) table: &'static str,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) corruption: Corruption,
    /// Without it something may be allowed that it denied.
    pub(crate) protects: bool,
}

impl Damage {
    /// Whether there is no going on without it: numbers that must not be used twice, and whose
    /// everything is.
    pub(crate) fn is_irreplaceable(&self) -> bool {
        [Table::Meta.name(), Table::Tenants.name()].contains(&self.table)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.corruption)
    }
}

/// Result of the inspection.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) damage: Vec<Damage>,
    /// Keys of the damaged rows, by table.
    pub(crate) damaged: HashSet<(&'static str, Vec<u8>)>,
    /// The chunks of the log that are whole: number of the first record, how many.
    pub(crate) chunks: Vec<(u64, u64)>,
    pub(crate) next_message_id: u64,
    /// Large messages of which a part is damaged.
    pub(crate) lost: HashSet<MessageId>,
    /// Messages whose content is in a chunk that is whole.
    pub(crate) bodies: HashSet<MessageId>,
    /// Damage in table `queues`: nothing is lost by it, because the log says the same.
    pub(crate) derived: Vec<Corruption>,
}

impl Findings {
    fn note(&mut self, damage: Damage) {
        self.damaged.insert((damage.table, damage.key.clone()));
        self.damage.push(damage);
    }

    /// Everything that is damaged.
    pub(crate) fn into_corruptions(self) -> impl Iterator<Item = Corruption> {
        self.damage.into_iter().map(|damage| damage.corruption).chain(self.derived)
    }

    /// Whether chunks of the log are missing or damaged.
    pub(crate) fn has_gaps(&self) -> bool {
        self.damage.iter().any(|damage| damage.table == LOG_NAME)
    }
}

/// Reads every row, and notes those that are damaged.
pub(crate) fn inspect(transaction: &ReadTransaction) -> Result<Findings, LoadError> {
    let mut findings = Findings { next_message_id: 1, ..Findings::default() };
    for &table in Table::ALL {
        rows(transaction, table, &mut findings)?;
    }
    orphans(transaction, &mut findings)?;
    modules(transaction, &mut findings)?;
    log(transaction, &mut findings)?;
    if let Err(error) = contained(|| queues(transaction, &findings)) {
        let LoadError::Corrupted(corruption) = error else { return Err(error) };
        findings.derived.push(corruption);
    }
    Ok(findings)
}

/// Compares table `queues` with the log, as far as that can be told: the first thing that is wrong
/// with it is an error.
fn queues(transaction: &ReadTransaction, findings: &Findings) -> Result<(), LoadError> {
    replay::check_each_row(transaction)?;
    if !findings.damage.is_empty() {
        // Messages missing from the log are missing in the table, too; the table is not kept
        // anyway.
        return Ok(());
    }
    let (sessions, _) = load::checked_rows::<SessionRow>(transaction)?;
    let sessions: Vec<_> = sessions.iter().map(|session| session.id).collect();
    let whole = replay::whole(transaction, &sessions)?;
    replay::check_rows(transaction, &whole, &sessions)
}

fn rows(transaction: &ReadTransaction, table: Table, findings: &mut Findings) -> Result<(), LoadError> {
    let opened = load::open(transaction, table)?;
    let mut found = 0;
    for row in opened.iter()? {
        let (key, value) = row?;
        found += 1;
        let (key, value) = (key.value(), value.value());
        if let Err(corruption) = table::check(table, key, value) {
            let protects = protects(table, key, value);
            let (key, value) = (key.to_vec(), value.to_vec());
            findings.note(Damage { table: table.name(), key, value, corruption, protects });
        }
    }
    all_there(table.name(), opened.len()?, found)
}

/// Compares the number of rows with the count in the table. Damage in the tree may hide rows
/// without another trace.
fn all_there(table: &'static str, expected: u64, found: u64) -> Result<(), LoadError> {
    if expected == found { Ok(()) } else { Err(Corruption::RowsMissing { table, expected, found }.into()) }
}

fn protects(table: Table, key: &[u8], value: &[u8]) -> bool {
    let mut key = Decoder::new(key, "key");
    let kind = match table {
        Table::Meta | Table::Tenants => return true,
        Table::Definitions => key.u32().and_then(|_| key.text()).ok(),
        Table::Modules => Decoder::new(value.get(5..).unwrap_or_default(), "body").text().ok(),
        Table::Sessions
        | Table::Subscriptions
        | Table::Retained
        | Table::Keeps
        | Table::Delayed
        | Table::Components
        | Table::Projects
        | Table::Archives
        | Table::Users
        | Table::Settings
        | Table::Environment
        | Table::Secrets
        | Table::Audit
        | Table::Quarantine => return false,
    };
    !kind.is_some_and(|kind| HARMLESS.contains(&kind))
}

/// Subscriptions of a session that is damaged are put aside with it.
fn orphans(transaction: &ReadTransaction, findings: &mut Findings) -> Result<(), LoadError> {
    const KEY_BYTES: usize = 12;
    let sessions: Vec<Vec<u8>> = findings
        .damage
        .iter()
        .filter(|damage| damage.table == Table::Sessions.name() && damage.key.len() == KEY_BYTES)
        .map(|damage| damage.key.clone())
        .collect();
    if sessions.is_empty() {
        return Ok(());
    }
    let name = Table::Subscriptions.name();
    let mut found = Vec::new();
    export::each_row(transaction, name, |key, value| {
        if sessions.iter().any(|session| key.starts_with(session)) {
            found.push((key.to_vec(), value.to_vec()));
        }
        Ok(())
    })?;
    for (key, value) in found {
        if !findings.damaged.contains(&(name, key.clone())) {
            let corruption = Table::Subscriptions.corruption(&key, "its session is damaged");
            findings.note(Damage { table: name, key, value, corruption, protects: false });
        }
    }
    Ok(())
}

/// A module whose component is damaged or missing is put aside with it; the parts that are whole
/// stay until a module of the tenant changes.
fn modules(transaction: &ReadTransaction, findings: &mut Findings) -> Result<(), LoadError> {
    let table = load::open(transaction, Table::Modules)?;
    for (module, corruption) in component::damaged_modules(transaction)? {
        let key = module.key();
        let Some(value) = table.get(key.as_slice())?.map(|value| value.value().to_vec()) else { continue };
        let protects = protects(Table::Modules, &key, &value);
        findings.note(Damage { table: Table::Modules.name(), key, value, corruption, protects });
    }
    Ok(())
}

fn log(transaction: &ReadTransaction, findings: &mut Findings) -> Result<(), LoadError> {
    let table = transaction.open_table(LOG).map_err(|error| LoadError::table(LOG_NAME, error))?;
    let (mut found, mut expected) = (0, None);
    let mut large = HashMap::new();
    for row in table.iter()? {
        let (lsn, value) = row?;
        let lsn = lsn.value();
        found += 1;
        match chunk(lsn, value.value(), findings, &mut large) {
            Ok(count) => {
                if expected.is_some_and(|expected| lsn < expected) {
                    let reason = "its records are there twice".to_owned();
                    return Err(Corruption::Structure(format!("chunk {lsn} of the log: {reason}")).into());
                }
                if let Some(expected) = expected.filter(|expected| *expected < lsn)
                    && !findings.has_gaps()
                {
                    // Nothing of it is left to be put aside.
                    let corruption = Corruption::LogGap { expected, found: lsn };
                    let key = expected.to_be_bytes().to_vec();
                    findings.note(Damage {
                        table: LOG_NAME,
                        key,
                        value: Vec::new(),
                        corruption,
                        protects: false,
                    });
                }
                findings.chunks.push((lsn, count));
                expected = Some(lsn + count);
            }
            Err(reason) => {
                let (key, value) = (lsn.to_be_bytes().to_vec(), value.value().to_vec());
                let corruption = Corruption::Chunk { lsn, reason };
                findings.note(Damage { table: LOG_NAME, key, value, corruption, protects: false });
            }
        }
    }
    all_there(LOG_NAME, table.len()?, found)?;
    payloads(transaction, &large, findings)
}

/// Checks a chunk; returns how many records it has.
fn chunk(
    lsn: u64,
    value: &[u8],
    findings: &mut Findings,
    large: &mut HashMap<MessageId, (u64, u32)>,
) -> Result<u64, &'static str> {
    let chunk = Chunk::decode(lsn, value)?;
    let mut count = 0;
    let mut bodies = Vec::new();
    for frame in chunk.frames() {
        count += 1;
        let record = frame.and_then(Record::decode).map_err(|error| error.0)?;
        if let Record::Message { id, body, .. } = record {
            bodies.push((id, body));
        }
    }
    if count != u64::from(chunk.count) {
        return Err("record count does not match");
    }
    lsn.checked_add(count).ok_or("record number too large")?;
    for (id, body) in bodies {
        findings.bodies.insert(id);
        findings.next_message_id = findings.next_message_id.max(id.0.saturating_add(1));
        if let Body::External { len, crc } = body {
            large.insert(id, (len, crc));
        }
    }
    findings.next_message_id = findings.next_message_id.max(chunk.next_message_id);
    Ok(count)
}

/// Checks the large messages that have rows; one without is dead, or found to be missing when the
/// new file is read.
fn payloads(
    transaction: &ReadTransaction,
    large: &HashMap<MessageId, (u64, u32)>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let table = transaction.open_table(PAYLOADS).map_err(|error| LoadError::table(PAYLOADS_NAME, error))?;
    let mut seen: BTreeMap<MessageId, (u64, u32)> = BTreeMap::new();
    let mut found = 0;
    for row in table.iter()? {
        let (key, value) = row?;
        found += 1;
        let bytes = value.value().get(1..).unwrap_or_default();
        let (len, crc) = seen.entry(MessageId(key.value().0)).or_default();
        *len += bytes.len() as u64;
        *crc = crc32c::crc32c_append(*crc, bytes);
    }
    all_there(PAYLOADS_NAME, table.len()?, found)?;
    for (id, sum) in seen {
        if large.get(&id).is_none_or(|expected| *expected == sum) {
            continue;
        }
        findings.lost.insert(id);
        for row in table.range((id.0, 0)..=(id.0, u64::MAX))? {
            let (key, value) = row?;
            let (message, part) = key.value();
            let key = [message.to_be_bytes(), part.to_be_bytes()].concat();
            let corruption = Corruption::MessageMissing { message: id.0 };
            let value = value.value().to_vec();
            findings.note(Damage { table: PAYLOADS_NAME, key, value, corruption, protects: false });
        }
    }
    Ok(())
}

/// The deliveries in chunks that are whole of messages that are not.
pub(super) fn deliveries_of_lost(
    transaction: &ReadTransaction,
    findings: &Findings,
) -> Result<Vec<(SessionId, MessageId)>, LoadError> {
    let mut pairs = Vec::new();
    let is_lost = |id: MessageId| findings.lost.contains(&id) || !findings.bodies.contains(&id);
    let table = transaction.open_table(LOG).map_err(|error| LoadError::table(LOG_NAME, error))?;
    for (lsn, _) in &findings.chunks {
        let Some(value) = table.get(*lsn)? else { continue };
        let chunk =
            Chunk::decode(*lsn, value.value()).map_err(|reason| Corruption::Chunk { lsn: *lsn, reason })?;
        for record in chunk.frames().map(|frame| frame.and_then(Record::decode)) {
            let damaged = |reason| Corruption::Chunk { lsn: *lsn, reason };
            let (id, deliveries) = match record.map_err(|error| damaged(error.0))? {
                Record::Message { id, deliveries, .. } | Record::Deliveries { id, deliveries, .. } => {
                    (id, deliveries)
                }
                Record::Dequeue { .. }
                | Record::Inflight { .. }
                | Record::Pubrec { .. }
                | Record::Pubcomp { .. }
                | Record::Qos2Received { .. }
                | Record::Qos2Released { .. } => continue,
            };
            for delivery in deliveries.into_iter().filter(|_| is_lost(id)) {
                pairs.push((delivery.map_err(|error| damaged(error.0))?.session, id));
            }
        }
    }
    Ok(pairs)
}
