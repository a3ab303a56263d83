//! The log inside redb: what happens to messages and packet identifiers, appended in chunks.
//!
//! A group of batches becomes a few rows of table `log`, so that a commit costs the same whether it
//! touches one session or ten thousand. a record is the unit of meaning, [`chunk`] the unit of
//! storage, [`index`] knows what is alive and lets what is long untouched rest in [`page`]s of
//! table `queues`, [`relocate`] keeps the log from growing, [`replay`] learns at start what is
//! alive, [`contents`] reads messages.
//!
//! Invariants: record numbers (lsn) have no gaps from the first chunk to the last; only a prefix is
//! ever dropped. The log alone says everything: what is in table `queues` only spares reading it.

pub(crate) mod chunk;
pub(crate) mod chunks;
pub(crate) mod contents;
pub(crate) mod externals;
pub(crate) mod index;
pub(crate) mod page;
pub(crate) mod relocate;
pub(crate) mod replay;
pub(crate) mod session;

#[cfg(test)]
mod tests;
