//! What is kept in memory for one connection besides its buffer, as it counts among that of all: topics of the aliases that were set towards its Client, and
//! messages that wait in a session which ends with the connection. Others rest in the store.
//!
//! Where all together keep too much, each has an even share, as of what does not leave ([`Unfinished`](super::unfinished::Unfinished)).

use crate::broker::Broker;

/// Steps in which bytes are counted.
const STEP_BYTES: u32 = 1 << 10;

/// What of one connection is counted.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    alias_bytes: u32,
    queued_bytes: u32,
}

impl Kept {
    /// Topics of aliases take so many bytes.
    pub(crate) fn aliases(&mut self, bytes: u32, broker: &Broker) {
        if bytes != self.alias_bytes {
            broker.alias_bytes.change(self.alias_bytes, bytes, broker.config.limits.all_alias_bytes);
            self.alias_bytes = bytes;
        }
    }

    /// Whether they may take more.
    pub(crate) fn may_set_aliases(&self, broker: &Broker) -> bool {
        u64::from(self.alias_bytes) < broker.alias_bytes.share(broker.config.limits.all_alias_bytes)
    }

    /// Messages that wait in memory take so many bytes.
    pub(crate) fn queue(&mut self, bytes: u64, broker: &Broker) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX) & !(STEP_BYTES - 1);
        if bytes != self.queued_bytes {
            broker.queued_bytes.change(self.queued_bytes, bytes, broker.config.limits.all_queue_bytes);
            self.queued_bytes = bytes;
        }
    }

    /// The connection ends.
    pub(crate) fn end(&mut self, broker: &Broker) {
        self.aliases(0, broker);
        self.queue(0, broker);
    }
}

/// Whether so many bytes may wait in memory for one session.
pub(crate) fn may_queue(broker: &Broker, bytes: u64) -> bool {
    bytes <= broker.queued_bytes.share(broker.config.limits.all_queue_bytes)
}
