//! Durability: whether a change can be stored, and how far it has come.
//!
//! Not here: how it is stored (`lotmq_store`), and what waits for that (`turn::release`).

pub mod changes;
pub mod commit_watcher;
pub mod ended_runs;
pub mod kept_values;
pub mod storage;
pub mod store_failure;
