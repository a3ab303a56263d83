//! The tables of redb: the log's own, and one for each row table of `lotmq_changes`.

use lotmq_changes::table::Table;
use redb::TableDefinition;

/// The log: number of the first record -> chunk. See `log::chunk`.
pub(crate) const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new(LOG_NAME);

pub(crate) const LOG_NAME: &str = "log";

/// Large message bodies: (message id, part) -> `version u8, bytes`. Their checksum is in the log
/// record.
pub(crate) const PAYLOADS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new(PAYLOADS_NAME);

pub(crate) const PAYLOADS_NAME: &str = "payloads";

/// Living records of the log by session, so that a start need not read the log: (session, message
/// id) -> page. See `log::page`.
pub(crate) const QUEUES: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new(QUEUES_NAME);

pub(crate) const QUEUES_NAME: &str = "queues";

/// The table of redb for rows.
pub(crate) fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

#[cfg(test)]
mod tests {
    use lotmq_changes::table::TABLES;
    use redb::{ReadableDatabase, TableHandle};

    #[test]
    fn the_registry_lists_exactly_the_tables_of_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let options = crate::StoreOptions {
            secret_key: crate::KeySource::Key([1; 32]),
            ..crate::StoreOptions::new(directory.path())
        };
        drop(crate::Store::open(options, Box::new(|_| {})).unwrap());
        let database = redb::Database::create(directory.path().join("lotmq.redb")).unwrap();
        let transaction = database.begin_read().unwrap();
        let mut found: Vec<_> =
            transaction.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
        let mut listed: Vec<_> = TABLES.iter().map(|table| table.name).collect();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
}
