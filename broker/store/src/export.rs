//! A store as a stream of rows, and back: what `lotmq store export` writes and `import` reads.
//!
//! ```text
//! magic, then blocks: length u32, crc32c u32, body
//! body: 0 format u32, schema u64      first block
//!       1 name                        a table begins
//!       2 (key length u32, key, value length u32, value)*
//!       3 rows u64                    last block: how many rows there were
//! ```
//!
//! Invariants: all rows are of one moment; a stream that was cut or changed is refused as a whole,
//! and nothing of it is left behind. Not here: compiled code, which is made anew, and the key of
//! the secrets.

use std::io::{self, Read, Write};

use lotmq_changes::table::{BackupClass, SCHEMA_VERSION, TABLES, Table};
use lotmq_changes::{ImportError, TableSize};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use crate::load_error::{LoadError, from_redb};
use crate::table::{LOG, LOG_NAME, PAYLOADS, PAYLOADS_NAME, QUEUES, QUEUES_NAME, definition};

const MAGIC: &[u8; 12] = b"lotmq-store\n";
const FORMAT: u32 = 1;
/// A block is written when it has grown to this; a larger row makes a larger block.
const BLOCK_BYTES: usize = 1 << 20;
/// Longest block that is read: the largest row with room to spare.
const BLOCK_BYTES_MAX: u32 = 600 << 20;
/// Rows of one transaction of an import, in bytes.
const TRANSACTION_BYTES: usize = 32 << 20;

const ENDS_EARLY: ImportError = ImportError::Damaged("it ends early");

const HEADER: u8 = 0;
const TABLE: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 3;

/// Calls `visit` with every row of a table.
pub(crate) fn each_row(
    transaction: &ReadTransaction,
    name: &'static str,
    mut visit: impl FnMut(&[u8], &[u8]) -> io::Result<()>,
) -> Result<(), LoadError> {
    let opened = |error| LoadError::table(name, error);
    if name == LOG_NAME {
        for row in transaction.open_table(LOG).map_err(opened)?.iter()? {
            let (key, value) = row?;
            visit(&key.value().to_be_bytes(), value.value()).map_err(LoadError::Io)?;
        }
    } else if let Some(definition) = pairs(name) {
        for row in transaction.open_table(definition).map_err(opened)?.iter()? {
            let (key, value) = row?;
            let (first, second) = key.value();
            let key = [first.to_be_bytes(), second.to_be_bytes()].concat();
            visit(&key, value.value()).map_err(LoadError::Io)?;
        }
    } else {
        let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(name);
        for row in transaction.open_table(definition).map_err(opened)?.iter()? {
            let (key, value) = row?;
            visit(key.value(), value.value()).map_err(LoadError::Io)?;
        }
    }
    Ok(())
}

/// The table of this name, if its keys are pairs of numbers.
fn pairs(name: &str) -> Option<TableDefinition<'static, (u64, u64), &'static [u8]>> {
    match name {
        PAYLOADS_NAME => Some(PAYLOADS),
        QUEUES_NAME => Some(QUEUES),
        _ => None,
    }
}

/// Writes the tables of these classes.
pub(crate) fn write(
    transaction: &ReadTransaction,
    classes: &[BackupClass],
    out: &mut dyn Write,
) -> Result<Vec<TableSize>, LoadError> {
    out.write_all(MAGIC).map_err(LoadError::Io)?;
    let mut header = vec![HEADER];
    header.extend_from_slice(&FORMAT.to_be_bytes());
    header.extend_from_slice(&SCHEMA_VERSION.to_be_bytes());
    block(out, &header).map_err(LoadError::Io)?;
    let mut sizes = Vec::new();
    for info in
        TABLES.iter().filter(|info| info.backup == BackupClass::Always || classes.contains(&info.backup))
    {
        block(out, &[&[TABLE], info.name.as_bytes()].concat()).map_err(LoadError::Io)?;
        let mut size = TableSize { name: info.name, rows: 0, bytes: 0 };
        let mut rows = vec![ROWS];
        each_row(transaction, info.name, |key, value| {
            size.rows += 1;
            size.bytes += (key.len() + value.len()) as u64;
            for part in [key, value] {
                rows.extend_from_slice(&len(part)?.to_be_bytes());
                rows.extend_from_slice(part);
            }
            if rows.len() >= BLOCK_BYTES {
                block(out, &rows)?;
                rows.truncate(1);
            }
            Ok(())
        })?;
        if rows.len() > 1 {
            block(out, &rows).map_err(LoadError::Io)?;
        }
        sizes.push(size);
    }
    let rows: u64 = sizes.iter().map(|size| size.rows).sum();
    block(out, &[&[END][..], &rows.to_be_bytes()].concat()).map_err(LoadError::Io)?;
    out.flush().map_err(LoadError::Io)?;
    Ok(sizes)
}

fn block(out: &mut dyn Write, body: &[u8]) -> io::Result<()> {
    out.write_all(&len(body)?.to_be_bytes())?;
    out.write_all(&crc32c::crc32c(body).to_be_bytes())?;
    out.write_all(body)
}

fn len(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| io::Error::other("a row is larger than 4 GiB"))
}

/// Reads a stream into a database whose tables are there and empty.
pub(crate) fn read(database: &redb::Database, input: &mut dyn Read) -> Result<Vec<TableSize>, ImportError> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).map_err(|_| ImportError::Foreign)?;
    if &magic != MAGIC {
        return Err(ImportError::Foreign);
    }
    check_header(&next(input)?)?;
    let mut sizes: Vec<TableSize> = Vec::new();
    let mut transaction = begin(database)?;
    let mut waiting = 0;
    loop {
        let body = next(input)?;
        let (kind, rest) = body.split_first().ok_or(ImportError::Damaged("an empty block"))?;
        match *kind {
            TABLE => {
                let info = TABLES.iter().find(|info| info.name.as_bytes() == rest);
                let info = info.ok_or(ImportError::Damaged("a table that nobody knows"))?;
                sizes.push(TableSize { name: info.name, rows: 0, bytes: 0 });
            }
            ROWS => {
                let size = sizes.last_mut().ok_or(ImportError::Damaged("rows of no table"))?;
                insert(&transaction, size, rest)?;
                waiting += rest.len();
                if waiting > TRANSACTION_BYTES {
                    transaction.commit().map_err(stored)?;
                    transaction = begin(database)?;
                    waiting = 0;
                }
            }
            END => {
                let rows: u64 = sizes.iter().map(|size| size.rows).sum();
                if rest != rows.to_be_bytes() {
                    return Err(ImportError::Damaged("the number of rows does not match"));
                }
                transaction.commit().map_err(stored)?;
                return Ok(sizes);
            }
            _ => return Err(ImportError::Damaged("a block of unknown kind")),
        }
    }
}

/// Copies a table into the same one, which is empty, of another database.
pub(crate) fn copy(
    from: &ReadTransaction,
    to: &redb::Database,
    name: &'static str,
) -> Result<(), ImportError> {
    let mut size = TableSize { name, rows: 0, bytes: 0 };
    let mut transaction = Some(begin(to)?);
    let (mut rows, mut waiting) = (Vec::new(), 0);
    let mut hand_over = |rows: &mut Vec<u8>, is_last: bool| -> Result<(), ImportError> {
        let Some(current) = transaction.take() else { return Ok(()) };
        insert(&current, &mut size, rows)?;
        waiting += rows.len();
        rows.clear();
        if !is_last && waiting <= TRANSACTION_BYTES {
            transaction = Some(current);
            return Ok(());
        }
        current.commit().map_err(stored)?;
        waiting = 0;
        if !is_last {
            transaction = Some(begin(to)?);
        }
        Ok(())
    };
    let read = each_row(from, name, |key, value| {
        for part in [key, value] {
            rows.extend_from_slice(&len(part)?.to_be_bytes());
            rows.extend_from_slice(part);
        }
        if rows.len() >= BLOCK_BYTES { hand_over(&mut rows, false).map_err(io::Error::other) } else { Ok(()) }
    });
    read.map_err(|error| ImportError::Load(error.to_string()))?;
    hand_over(&mut rows, true)
}

fn begin(database: &redb::Database) -> Result<WriteTransaction, ImportError> {
    database.begin_write().map_err(stored)
}

fn stored(error: impl Into<redb::Error>) -> ImportError {
    ImportError::Load(from_redb(error).to_string())
}

fn check_header(body: &[u8]) -> Result<(), ImportError> {
    let fields = body.strip_prefix(&[HEADER]).and_then(|rest| rest.split_first_chunk::<4>());
    let (format, rest) = fields.ok_or(ImportError::Damaged("no header"))?;
    let format = u32::from_be_bytes(*format);
    if format > FORMAT {
        return Err(ImportError::TooNew { found: u64::from(format), known: u64::from(FORMAT) });
    }
    let schema: [u8; 8] = rest.try_into().map_err(|_| ImportError::Damaged("no header"))?;
    let schema = u64::from_be_bytes(schema);
    if schema > SCHEMA_VERSION {
        return Err(ImportError::TooNew { found: schema, known: SCHEMA_VERSION });
    }
    Ok(())
}

fn next(input: &mut dyn Read) -> Result<Vec<u8>, ImportError> {
    let mut head = [0; 8];
    input.read_exact(&mut head).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof { ENDS_EARLY } else { error.into() }
    })?;
    let [a, b, c, d, crc @ ..] = head;
    let len = u32::from_be_bytes([a, b, c, d]);
    if len > BLOCK_BYTES_MAX {
        return Err(ImportError::Damaged("a block of impossible length"));
    }
    // Memory grows with what is really there.
    let mut body = Vec::new();
    if input.take(u64::from(len)).read_to_end(&mut body)? < len as usize {
        return Err(ENDS_EARLY);
    }
    if crc32c::crc32c(&body) != u32::from_be_bytes(crc) {
        return Err(ImportError::Damaged("a checksum does not match"));
    }
    Ok(body)
}

fn insert(transaction: &WriteTransaction, size: &mut TableSize, rows: &[u8]) -> Result<(), ImportError> {
    if size.name == LOG_NAME {
        let mut table = transaction.open_table(LOG).map_err(stored)?;
        return each(rows, size, |key, value| table.insert(number(key)?, value).map(drop).map_err(stored));
    }
    if let Some(definition) = pairs(size.name) {
        let mut table = transaction.open_table(definition).map_err(stored)?;
        return each(rows, size, |key, value| {
            let (first, second) = key.split_at_checked(8).ok_or(ImportError::Damaged("a key"))?;
            table.insert((number(first)?, number(second)?), value).map(drop).map_err(stored)
        });
    }
    let known = Table::ALL.iter().find(|table| table.name() == size.name);
    let known = known.ok_or(ImportError::Damaged("a table that nobody knows"))?;
    let mut table = transaction.open_table(definition(*known)).map_err(stored)?;
    each(rows, size, |key, value| table.insert(key, value).map(drop).map_err(stored))
}

/// Takes the rows of a block apart and counts them.
fn each(
    mut rows: &[u8],
    size: &mut TableSize,
    mut insert: impl FnMut(&[u8], &[u8]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    while !rows.is_empty() {
        let (key, value) = (part(&mut rows)?, part(&mut rows)?);
        insert(key, value)?;
        size.rows += 1;
        size.bytes += (key.len() + value.len()) as u64;
    }
    Ok(())
}

fn part<'a>(rows: &mut &'a [u8]) -> Result<&'a [u8], ImportError> {
    let short = ImportError::Damaged("a row that ends early");
    let Some((len, rest)) = rows.split_first_chunk::<4>() else { return Err(short) };
    let len = u32::from_be_bytes(*len) as usize;
    let (bytes, rest) = rest.split_at_checked(len).ok_or(short)?;
    *rows = rest;
    Ok(bytes)
}

fn number(key: &[u8]) -> Result<u64, ImportError> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| ImportError::Damaged("a key"))
}
