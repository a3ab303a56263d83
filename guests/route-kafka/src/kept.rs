//! State that outlives connections of a route and prevents duplicates: batches that may have been
//! written, and messages written after an unwritten one.
//!
//! No message is skipped by its number alone: a fingerprint of its content must match, too.

use std::collections::BTreeMap;

use bytes::Buf;
use lotmq_guest::route::{Delivery, state};

/// A topic of the cluster, and the number of a partition.
pub(crate) type Place = (String, i32);

/// Key of it all.
const KEY: &str = "produced";

/// Version of the form in which it is kept.
const FORM: u8 = 1;

/// A batch that was sent, and whose answer is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pending {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base_sequence: i32,
    /// Records of it.
    pub(crate) count: u32,
    /// Fingerprint of them all.
    pub(crate) digest: u64,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Kept {
    pub(crate) pending: BTreeMap<Place, Pending>,
    /// Fingerprints of messages that were written, by their numbers.
    pub(crate) written: BTreeMap<u64, u64>,
}

impl Kept {
    pub(crate) fn load() -> Kept {
        let bytes = state::get(KEY).unwrap_or_default();
        parsed(&bytes).unwrap_or_default()
    }

    pub(crate) fn save(&self) {
        // State that does not fit costs duplicates when the connection ends, but no message. Older
        // state must not stay.
        if state::set(KEY, &self.form()).is_err() {
            let _ = state::set(KEY, &[FORM]);
        }
    }

    fn form(&self) -> Vec<u8> {
        let mut form = vec![FORM];
        form.extend((self.pending.len() as u32).to_be_bytes());
        for ((topic, partition), pending) in &self.pending {
            form.push(topic.len() as u8);
            form.extend(topic.as_bytes());
            form.extend(partition.to_be_bytes());
            form.extend(pending.producer_id.to_be_bytes());
            form.extend(pending.epoch.to_be_bytes());
            form.extend(pending.base_sequence.to_be_bytes());
            form.extend(pending.count.to_be_bytes());
            form.extend(pending.digest.to_be_bytes());
        }
        for (sequence, digest) in &self.written {
            form.extend(sequence.to_be_bytes());
            form.extend(digest.to_be_bytes());
        }
        form
    }
}

fn parsed(mut form: &[u8]) -> Option<Kept> {
    let mut kept = Kept::default();
    if form.try_get_u8().ok()? != FORM {
        return None;
    }
    for _ in 0..form.try_get_u32().ok()? {
        let length = usize::from(form.try_get_u8().ok()?);
        let topic = std::str::from_utf8(form.get(..length)?).ok()?.to_owned();
        form.advance(length);
        let partition = form.try_get_i32().ok()?;
        let pending = Pending {
            producer_id: form.try_get_i64().ok()?,
            epoch: form.try_get_i16().ok()?,
            base_sequence: form.try_get_i32().ok()?,
            count: form.try_get_u32().ok()?,
            digest: form.try_get_u64().ok()?,
        };
        kept.pending.insert((topic, partition), pending);
    }
    while form.has_remaining() {
        kept.written.insert(form.try_get_u64().ok()?, form.try_get_u64().ok()?);
    }
    Some(kept)
}

/// Fingerprint of nothing.
pub(crate) const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

/// The fingerprint of a message.
pub(crate) fn fingerprint(delivery: &Delivery) -> u64 {
    let digest = joined(NOTHING, &delivery.sequence.to_be_bytes());
    let digest = joined(digest, &delivery.received_ms.to_be_bytes());
    let digest = joined(digest, delivery.message.topic.as_bytes());
    joined(joined(digest, &[0]), &delivery.message.payload)
}

/// A fingerprint with more in it. FNV-1a: the same on every machine and in every version.
pub(crate) fn joined(digest: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(digest, |digest, byte| (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_when_it_is_loaded() {
        assert_eq!(Kept::load(), Kept::default());
        let mut kept = Kept::default();
        let pending = Pending { producer_id: 7, epoch: 2, base_sequence: 40, count: 1000, digest: u64::MAX };
        kept.pending.insert(("t".to_owned(), 3), pending);
        kept.written.extend([(5, 6), (u64::MAX, 0)]);
        kept.save();
        assert_eq!(Kept::load(), kept);
        assert_eq!(parsed(&kept.form()[..20]), None);
        // More than there is room for is not kept, and nor is what was.
        kept.written.extend((0..10_000).map(|number| (number, number)));
        kept.save();
        assert_eq!(Kept::load(), Kept::default());
    }

    #[test]
    fn messages_are_told_apart() {
        let delivery = lotmq_guest::route::testing::delivery("a", "1");
        let mut later = delivery.clone();
        later.received_ms = 1;
        let mut next = delivery.clone();
        next.sequence = 2;
        let all = [&delivery, &later, &next].map(fingerprint);
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
    }
}
