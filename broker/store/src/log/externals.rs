//! Messages whose bodies are in table `payloads`: how many deliveries keep each alive, and how many
//! bytes they take together.

use hashbrown::HashMap;
use lotmq_changes::MessageId;

/// See the module's documentation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Externals {
    /// Deliveries that are alive, and bytes of the body.
    known: HashMap<MessageId, (u32, u32)>,
    bytes: u64,
}

impl Externals {
    /// One more delivery of a message with a body of so many bytes.
    pub(crate) fn hold(&mut self, id: MessageId, size: u32) {
        let (deliveries, _) = self.known.entry(id).or_insert_with(|| {
            self.bytes += u64::from(size);
            (0, size)
        });
        *deliveries += 1;
    }

    /// One delivery less. True when it was the last: its body is needed no more.
    pub(crate) fn release(&mut self, id: MessageId) -> bool {
        let Some((deliveries, size)) = self.known.get_mut(&id) else { return false };
        *deliveries -= 1;
        if *deliveries > 0 {
            return false;
        }
        self.bytes -= u64::from(*size);
        self.known.remove(&id);
        true
    }

    /// Whether a message is alive.
    pub(crate) fn contains(&self, id: MessageId) -> bool {
        self.known.contains_key(&id)
    }

    /// Bytes of all bodies, each counted once.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
