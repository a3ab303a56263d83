//! Durability: whether a change can be stored, when it is, and what waits for that.
//!
//! Not here: how it is stored (`lotmq_store`).

pub mod capacity;
pub mod changes;
pub mod ended_runs;
pub mod kept_values;
pub mod log;
pub mod paging;
pub mod release;
pub mod storage;
pub mod store_failure;
pub mod stored;
