//! The `_id` of documents without one: an ObjectId from the message, so that a repeated message is
//! recognized.
//!
//! It has three parts: the second of receipt, the low 24 bits of its number, and 40 bits of a
//! fingerprint. The number makes ids rise with the messages. The fingerprint covers the whole
//! message and the route's stored random name, so other messages, also of other brokers, get other
//! ids.

use bson::oid::ObjectId;
use lotmq_guest::route::{Addressee, Delivery, ambient, state};

/// Key of the name of this route.
const NAME: &str = "name";

/// Name of this route among all: random, and kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Identity {
    name: u64,
}

impl Identity {
    pub(crate) fn load() -> Identity {
        if let Some(kept) = state::get(NAME).and_then(|bytes| bytes.try_into().ok()) {
            return Identity { name: u64::from_be_bytes(kept) };
        }
        let name = ambient::random();
        // If the name cannot be stored, a restart makes a new one, and messages in flight may be
        // stored twice.
        let _ = state::set(NAME, &name.to_be_bytes());
        Identity { name }
    }

    /// The `_id` of the document of a message.
    pub(crate) fn of(self, delivery: &Delivery) -> ObjectId {
        let seconds = u32::try_from(delivery.received_ms.max(0) / 1000).unwrap_or(u32::MAX);
        let number = delivery.sequence.to_be_bytes();
        let fingerprint = self.fingerprint(delivery).to_be_bytes();
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..7].copy_from_slice(&number[5..]);
        bytes[7..].copy_from_slice(&fingerprint[3..]);
        ObjectId::from_bytes(bytes)
    }

    fn fingerprint(self, delivery: &Delivery) -> u64 {
        let to = match &delivery.to {
            Addressee::Event(name) | Addressee::Mapping(name) | Addressee::Table(name) => name.as_bytes(),
            Addressee::Tag(tag) => tag.tag.as_bytes(),
        };
        let parts: [&[u8]; 7] = [
            &self.name.to_be_bytes(),
            &delivery.sequence.to_be_bytes(),
            &delivery.received_ms.to_be_bytes(),
            to,
            &[0],
            delivery.message.topic.as_bytes(),
            &delivery.message.payload,
        ];
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        parts.iter().for_each(|part| hash.take(part));
        // The low bits of FNV alone know little of the first bytes.
        hash.0 ^ (hash.0 >> 24)
    }
}

/// FNV-1a: the same on every machine and in every version.
struct Fnv(u64);

impl Fnv {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use lotmq_guest::route::testing::delivery;

    use super::*;

    #[test]
    fn a_message_that_comes_again_has_the_same_id_and_another_one_another() {
        let identity = Identity::load();
        assert_eq!(Identity::load(), identity);
        let mut first = delivery("a", "1");
        first.received_ms = 1_795_166_305_120;
        let mut next = first.clone();
        next.sequence = 2;
        let mut later = first.clone();
        later.received_ms += 1;
        let mut other = first.clone();
        other.message.payload = b"2".to_vec();
        let all = [&first, &next, &later, &other].map(|delivery| identity.of(delivery));
        assert_eq!(all[0], identity.of(&first.clone()));
        assert!(all[1..].iter().all(|id| *id != all[0]));
        assert!(all[1] > all[0], "ids rise as messages came");
        assert_eq!(all[0].timestamp().timestamp_millis(), 1_795_166_305_000);
        assert_ne!(Identity { name: identity.name ^ 1 }.of(&first), all[0]);
    }
}
