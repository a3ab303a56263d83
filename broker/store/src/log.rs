//! The log inside redb: what happens to messages and packet identifiers, appended in chunks.
//!
//! A group of batches becomes a few rows of table `log`, so that a commit costs the same whether it touches one session
//! or ten thousand. [`record`] is the unit of meaning, [`chunk`] the unit of storage, [`index`] knows what is alive,
//! [`relocate`] keeps the log from growing, [`replay`] reads it at start.
//!
//! Invariant: record numbers (lsn) have no gaps from the first chunk to the last; only a prefix is ever dropped.

pub(crate) mod chunk;
pub(crate) mod index;
pub(crate) mod record;
pub(crate) mod relocate;
pub(crate) mod replay;

#[cfg(test)]
mod tests;
