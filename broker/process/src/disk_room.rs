//! Room on the disk for what is stored for clients, of which some is to stay free.

use lotmq_config::{Config, Durability};

use crate::limits::DISK_BYTES_PER_BYTE;

/// Whether some of the disk is to stay free.
pub fn is_bounded(config: &Config) -> bool {
    config.limits.disk_reserve_bytes > 0 && config.store.durability != Durability::None
}

/// Free bytes of the disk; `None` where they do not matter, or nobody can tell.
pub fn free(config: &Config) -> Option<u64> {
    is_bounded(config).then(|| lotmq_store::free_bytes(&config.data.path)).flatten()
}

/// Bytes of messages for which a disk with so many free bytes has room.
pub fn for_messages(config: &Config, free: Option<u64>) -> u64 {
    free.map_or(u64::MAX, |free| free.saturating_sub(config.limits.disk_reserve_bytes) / DISK_BYTES_PER_BYTE)
}

/// Bytes of messages that there may be, while `live` are stored and so many bytes are free: on a
/// small disk less than the configuration says.
pub fn queue_bytes_max(config: &Config, live: u64, free: Option<u64>) -> u64 {
    config.limits.stored_queue_bytes.min(live.saturating_add(for_messages(config, free)))
}
