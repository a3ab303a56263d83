//! The tables of a write transaction and what a group does to them.

use std::collections::{BTreeMap, BTreeSet};

use lotmq_changes::table::{Table, unseal};
use lotmq_changes::{MessageId, RetainedRow, SessionId, TenantId};
use redb::{ReadableTable, WriteTransaction};

use crate::limits::PAYLOAD_PART_BYTES_MAX;
use crate::log::index::{IndexError, Pages, WritePages};
use crate::log::page::{self, Entries, MARK_KEY};
use crate::log::relocate::{ReadChunk, RelocateError};
use crate::log::replay::page_in;
use crate::table::{LOG, PAYLOADS, QUEUES, definition};

pub(super) type LogTable<'t> = redb::Table<'t, u64, &'static [u8]>;
type RowTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;
type PayloadTable<'t> = redb::Table<'t, (u64, u64), &'static [u8]>;

/// Table `queues` in a write transaction.
pub(super) struct QueueTable<'t>(redb::Table<'t, (u64, u64), &'static [u8]>);

impl QueueTable<'_> {
    pub(super) fn put_mark(&mut self, lsn: u64) -> Result<(), redb::Error> {
        self.0.insert(MARK_KEY, page::encode_mark(lsn).as_slice())?;
        Ok(())
    }

    /// Removes all rows of a session.
    pub(super) fn remove_all(&mut self, session: SessionId) -> Result<(), redb::Error> {
        self.0.retain_in((session.0, 0)..=(session.0, u64::MAX), |_, _| false)?;
        Ok(())
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) -> Result<(), redb::Error> {
        self.0.retain(|_, _| false)?;
        Ok(())
    }
}

impl Pages for QueueTable<'_> {
    fn page(&self, session: SessionId, first: MessageId) -> Result<Entries, IndexError> {
        page_in(&self.0, session, first)
    }
}

impl WritePages for QueueTable<'_> {
    fn put(&mut self, session: SessionId, row: u64, value: &[u8]) -> Result<(), IndexError> {
        self.0.insert((session.0, row), value)?;
        Ok(())
    }

    fn remove(&mut self, session: SessionId, row: u64) -> Result<(), IndexError> {
        self.0.remove((session.0, row))?;
        Ok(())
    }
}

impl ReadChunk for LogTable<'_> {
    fn with<T>(
        &self,
        first_lsn: u64,
        work: impl FnOnce(&[u8]) -> Result<T, RelocateError>,
    ) -> Result<T, RelocateError> {
        match self.get(first_lsn)? {
            Some(value) => work(value.value()),
            None => Err(RelocateError::Damaged("message is missing")),
        }
    }
}

/// The tables of one transaction; row tables are opened when they are needed.
pub(super) struct Tables<'t> {
    transaction: &'t WriteTransaction,
    pub(super) log: LogTable<'t>,
    pub(super) payloads: PayloadTable<'t>,
    pub(super) queues: QueueTable<'t>,
    rows: BTreeMap<Table, RowTable<'t>>,
    /// Tenants of whose components one may have no module any more.
    pub(super) less_named: BTreeSet<TenantId>,
}

impl<'t> Tables<'t> {
    pub(super) fn new(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        let log = transaction.open_table(LOG)?;
        let payloads = transaction.open_table(PAYLOADS)?;
        let queues = QueueTable(transaction.open_table(QUEUES)?);
        let (rows, less_named) = Default::default();
        Ok(Self { transaction, log, payloads, queues, rows, less_named })
    }

    fn table(&mut self, table: Table) -> Result<&mut RowTable<'t>, redb::Error> {
        use std::collections::btree_map::Entry;
        match self.rows.entry(table) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(self.transaction.open_table(definition(table))?)),
        }
    }

    pub(super) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
        self.table(table)?.insert(key, value)?;
        Ok(())
    }

    /// Applies `look` to the row of this key; `None` if there is none.
    pub(super) fn with_row<T>(
        &mut self,
        table: Table,
        key: &[u8],
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, redb::Error> {
        Ok(self.table(table)?.get(key)?.map(|value| look(value.value())))
    }

    /// The first key that is this one or behind it.
    pub(super) fn first_key(&mut self, table: Table, from: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        let first = self.table(table)?.range(from..)?.next().transpose()?;
        Ok(first.map(|(key, _)| key.value().to_vec()))
    }

    /// Visits the rows whose keys begin with `prefix`.
    pub(super) fn each_with(
        &mut self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), redb::Error> {
        for row in self.table(table)?.range(prefix..)? {
            let (key, value) = row?;
            if !key.value().starts_with(prefix) {
                break;
            }
            visit(key.value(), value.value());
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), redb::Error> {
        self.table(table)?.remove(key)?;
        Ok(())
    }

    pub(super) fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), redb::Error> {
        let table = self.table(table)?;
        match after_prefix(prefix) {
            Some(end) => table.retain_in(prefix..end.as_slice(), |_, _| false)?,
            None => table.retain_in(prefix.., |_, _| false)?,
        }
        Ok(())
    }

    /// Removes the rows whose keys are in `first..end`.
    pub(super) fn delete_range(&mut self, table: Table, first: &[u8], end: &[u8]) -> Result<(), redb::Error> {
        self.table(table)?.retain_in(first..end, |_, _| false)?;
        Ok(())
    }

    pub(super) fn retained_version(&mut self, key: &[u8]) -> Result<Option<u64>, redb::Error> {
        let stored = self.table(Table::Retained)?.get(key)?;
        Ok(stored.and_then(|value| {
            unseal(key, value.value()).ok().and_then(|(_, body)| RetainedRow::version_of(body))
        }))
    }

    /// Stores a large body in parts.
    pub(super) fn put_payload(&mut self, id: MessageId, body: &[u8]) -> Result<(), redb::Error> {
        for (part, bytes) in body.chunks(PAYLOAD_PART_BYTES_MAX - 1).enumerate() {
            let mut value = self.payloads.insert_reserve((id.0, part as u64), bytes.len() + 1)?;
            if let Some((version, rest)) = value.as_mut().split_first_mut() {
                *version = 1;
                rest.copy_from_slice(bytes);
            }
        }
        Ok(())
    }

    /// Removes a large body.
    pub(super) fn delete_payload(&mut self, id: MessageId) -> Result<(), redb::Error> {
        self.payloads.retain_in((id.0, 0)..=(id.0, u64::MAX), |_, _| false)?;
        Ok(())
    }
}

/// The first key that does not start with the prefix; `None` if there is none.
pub(super) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_lacks_it() {
        for (prefix, expected) in
            [(&[1, 2][..], Some(vec![1, 3])), (&[1, 0xff][..], Some(vec![2])), (&[0xff, 0xff][..], None)]
        {
            assert_eq!(after_prefix(prefix), expected);
        }
    }
}
