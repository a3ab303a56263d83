//! Entries, one per living delivery, and the pages of table `queues` in which they rest on the
//! disk.
//!
//! A row's key is (session, message id of its first entry); its value
//! `version u8, crc32c u32, known until, count, entries`, each entry as the difference to the one
//! before. The rows of a session say all about its records before the highest of their *known
//! until*. Two kinds of rows have no message of that number: (0, 0) is the *mark*, the record from
//! which on the log must be read at a start, and (session, 0) the session's identifiers.
//!
//! Invariants: entries of a page ascend; pages of a session do not overlap. Everything here can be
//! made again from the log alone.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use lotmq_changes::encoding::{Decoder, Malformed, Put};
use lotmq_changes::{MessageId, SessionId, Waiting};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;

/// Key of the row that holds the mark.
pub(crate) const MARK_KEY: (u64, u64) = (0, 0);

/// In the place of a message id: the identifiers of a session.
pub(crate) const IDENTIFIERS: u64 = 0;

const FLAG_PACKET_ID: u8 = 1;
/// The body is in table `payloads`.
const FLAG_EXTERNAL: u8 = 2;
/// The body is in another record than the delivery.
const FLAG_APART: u8 = 4;

/// A delivery that is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The record that says who gets the message.
    pub(crate) lsn: u64,
    /// The record with its body.
    pub(crate) head: u64,
    /// Bytes of the log that it keeps alive: its own and its share of the body.
    pub(crate) bytes: u32,
    /// Topic, properties and payload of the message, in bytes: what it counts for in the bounds of
    /// a queue.
    pub(crate) size: u32,
    /// Under which it was sent.
    pub(crate) packet_id: Option<NonZeroU16>,
    /// The body is in table `payloads`.
    pub(crate) is_external: bool,
}

impl Entry {
    /// Counts it among those that wait, unless it was sent.
    pub(crate) fn count_in(&self, waiting: &mut Waiting) {
        if self.packet_id.is_none() {
            waiting.add(self.size);
        }
    }
}

/// Facts of a page that are known without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageInfo {
    pub(crate) first: MessageId,
    pub(crate) last: MessageId,
    pub(crate) entries: u32,
    /// Those that have not been sent.
    pub(crate) waiting: Waiting,
}

/// The entries of a page, ascending.
pub(crate) type Entries = Vec<(MessageId, Entry)>;

/// Returns the summary of a page; `None` for an empty one.
pub(crate) fn info(entries: &Entries) -> Option<PageInfo> {
    let (first, last) = (entries.first()?.0, entries.last()?.0);
    let mut waiting = Waiting::default();
    entries.iter().for_each(|(_, entry)| entry.count_in(&mut waiting));
    Some(PageInfo { first, last, entries: u32::try_from(entries.len()).unwrap_or(u32::MAX), waiting })
}

/// The value of a page.
pub(crate) fn encode(session: SessionId, entries: &Entries, known_until: u64) -> Vec<u8> {
    let mut out = begin();
    out.put_varint(known_until);
    out.put_varint(entries.len() as u64);
    let (mut id, mut lsn) = (0, 0);
    for (message, entry) in entries {
        let mut flags = 0;
        if entry.packet_id.is_some() {
            flags |= FLAG_PACKET_ID;
        }
        if entry.is_external {
            flags |= FLAG_EXTERNAL;
        }
        if entry.head != entry.lsn {
            flags |= FLAG_APART;
        }
        out.push(flags);
        out.put_varint(message.0.wrapping_sub(id));
        out.put_varint(zigzag(entry.lsn.wrapping_sub(lsn)));
        if entry.head != entry.lsn {
            out.put_varint(zigzag(entry.lsn.wrapping_sub(entry.head)));
        }
        out.put_varint(entry.bytes.into());
        out.put_varint(entry.size.into());
        if let Some(packet_id) = entry.packet_id {
            out.put_u16(packet_id.get());
        }
        (id, lsn) = (message.0, entry.lsn);
    }
    let first = entries.first().map_or(0, |(message, _)| message.0);
    finish((session.0, first), out)
}

/// Reads the value of a page and until where the log is known in it; the error says what is wrong
/// with it.
pub(crate) fn decode(key: (u64, u64), value: &[u8]) -> Result<(Entries, u64), &'static str> {
    let body = open(key, value)?;
    entries(body).map_err(|error| error.0)
}

fn entries(body: &[u8]) -> Result<(Entries, u64), Malformed> {
    let mut decoder = Decoder::new(body, "page");
    let d = &mut decoder;
    let known_until = d.varint()?;
    let count = d.count()?;
    let mut entries = Vec::with_capacity(count);
    let (mut id, mut lsn) = (0u64, 0u64);
    for place in 0..count {
        let flags = d.u8()?;
        let step = d.varint()?;
        if place > 0 && step == 0 {
            return Err(d.malformed());
        }
        id = id.checked_add(step).ok_or(d.malformed())?;
        lsn = lsn.wrapping_add(unzigzag(d.varint()?));
        let head = if flags & FLAG_APART == 0 { lsn } else { lsn.wrapping_sub(unzigzag(d.varint()?)) };
        let (bytes, size) = (d.varint_u32()?, d.varint_u32()?);
        let packet_id = if flags & FLAG_PACKET_ID == 0 {
            None
        } else {
            Some(NonZeroU16::new(d.u16()?).ok_or(d.malformed())?)
        };
        let is_external = flags & FLAG_EXTERNAL != 0;
        entries.push((MessageId(id), Entry { lsn, head, bytes, size, packet_id, is_external }));
    }
    d.end()?;
    Ok((entries, known_until))
}

/// Identifiers of a session that are in use beside those of its entries.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Identifiers {
    /// QoS 2 Packet Identifiers received and not yet released, each with its record.
    pub(crate) received: BTreeMap<NonZeroU16, u64>,
    /// QoS 2 messages sent for which a PUBREC came and no PUBCOMP yet, each with its record.
    pub(crate) pubrel: BTreeMap<NonZeroU16, (MessageId, u64)>,
}

impl Identifiers {
    pub(crate) fn is_empty(&self) -> bool {
        self.received.is_empty() && self.pubrel.is_empty()
    }

    /// The records that hold them.
    pub(crate) fn records(&self) -> impl Iterator<Item = u64> {
        self.received.values().copied().chain(self.pubrel.values().map(|(_, lsn)| *lsn))
    }

    /// The value of their row.
    pub(crate) fn encode(&self, session: SessionId, known_until: u64) -> Vec<u8> {
        let mut out = begin();
        out.put_varint(known_until);
        out.put_varint(self.received.len() as u64);
        for (packet_id, lsn) in &self.received {
            out.put_u16(packet_id.get());
            out.put_varint(*lsn);
        }
        out.put_varint(self.pubrel.len() as u64);
        for (packet_id, (message, lsn)) in &self.pubrel {
            out.put_u16(packet_id.get());
            out.put_varint(message.0);
            out.put_varint(*lsn);
        }
        finish((session.0, IDENTIFIERS), out)
    }

    /// Decodes a value of [`Identifiers::encode`].
    pub(crate) fn decode(session: SessionId, value: &[u8]) -> Result<(Self, u64), &'static str> {
        let body = open((session.0, IDENTIFIERS), value)?;
        Self::read(body).map_err(|error| error.0)
    }

    fn read(body: &[u8]) -> Result<(Self, u64), Malformed> {
        let mut decoder = Decoder::new(body, "identifiers");
        let d = &mut decoder;
        let known_until = d.varint()?;
        let mut identifiers = Self::default();
        for _ in 0..d.count()? {
            let packet_id = NonZeroU16::new(d.u16()?).ok_or(d.malformed())?;
            identifiers.received.insert(packet_id, d.varint()?);
        }
        for _ in 0..d.count()? {
            let packet_id = NonZeroU16::new(d.u16()?).ok_or(d.malformed())?;
            identifiers.pubrel.insert(packet_id, (MessageId(d.varint()?), d.varint()?));
        }
        d.end()?;
        Ok((identifiers, known_until))
    }
}

/// The value of the row of the mark.
pub(crate) fn encode_mark(lsn: u64) -> Vec<u8> {
    let mut out = begin();
    out.put_u64(lsn);
    finish(MARK_KEY, out)
}

pub(crate) fn decode_mark(value: &[u8]) -> Result<u64, &'static str> {
    let body = open(MARK_KEY, value)?;
    body.try_into().map(u64::from_be_bytes).map_err(|_| "malformed mark")
}

fn begin() -> Vec<u8> {
    vec![VERSION, 0, 0, 0, 0]
}

fn finish(key: (u64, u64), mut value: Vec<u8>) -> Vec<u8> {
    let crc = checksum(key, &value);
    value[1..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
    value
}

/// The body of a value whose checksum is right.
fn open(key: (u64, u64), value: &[u8]) -> Result<&[u8], &'static str> {
    let Some(([version, crc @ ..], body)) = value.split_first_chunk::<HEADER_BYTES>() else {
        return Err("too short");
    };
    if checksum(key, value) != u32::from_be_bytes(*crc) {
        return Err("checksum does not match");
    }
    if *version != VERSION {
        return Err("page version unknown");
    }
    Ok(body)
}

/// Covers the key, the version and all behind the checksum. `value` holds at least the header.
fn checksum(key: (u64, u64), value: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&[key.0.to_be_bytes(), key.1.to_be_bytes()].concat());
    let (head, rest) = value.split_at(HEADER_BYTES);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &head[..1]), rest)
}

fn zigzag(value: u64) -> u64 {
    (value << 1) ^ if value >> 63 == 1 { u64::MAX } else { 0 }
}

fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ if value & 1 == 1 { u64::MAX } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<u64>(), any::<u64>(), any::<bool>(), any::<u32>(), any::<u32>(), any::<u16>(), any::<bool>())
            .prop_map(|(lsn, head, is_apart, bytes, size, packet_id, is_external)| Entry {
                lsn,
                head: if is_apart { head } else { lsn },
                bytes,
                size,
                packet_id: NonZeroU16::new(packet_id),
                is_external,
            })
    }

    proptest! {
        #[test]
        fn a_page_comes_back_as_it_was_written(
            entries in prop::collection::btree_map(1..u64::MAX, entry(), 1..50),
            session in 1..u64::MAX,
        ) {
            let entries: Entries = entries.into_iter().map(|(id, entry)| (MessageId(id), entry)).collect();
            let key = (session, entries[0].0.0);
            let value = encode(SessionId(session), &entries, 99);
            prop_assert_eq!(decode(key, &value), Ok((entries, 99)));
        }

        #[test]
        fn garbage_is_never_a_page(bytes: Vec<u8>) {
            let _ = entries(&bytes);
            let _ = Identifiers::read(&bytes);
            prop_assert!(decode((1, 1), &bytes).is_err());
        }
    }

    #[test]
    fn a_flipped_bit_in_key_or_value_is_found() {
        let place = Entry {
            lsn: 900,
            head: 899,
            bytes: 250,
            size: 220,
            packet_id: NonZeroU16::new(7),
            is_external: true,
        };
        let value = encode(
            SessionId(3),
            &vec![(MessageId(40), place), (MessageId(41), Entry { head: 900, ..place })],
            0,
        );
        assert!(decode((3, 40), &value).is_ok());
        for key in [(2, 40), (3, 41), (7, 40)] {
            assert_eq!(decode(key, &value), Err("checksum does not match"));
        }
        for bit in 0..value.len() * 8 {
            let mut damaged = value.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode((3, 40), &damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn identifiers_come_back_as_they_were_written() {
        let id = |number| NonZeroU16::new(number).unwrap();
        let identifiers = Identifiers {
            received: BTreeMap::from([(id(1), 5), (id(65_535), 1 << 40)]),
            pubrel: BTreeMap::from([(id(9), (MessageId(77), 6))]),
        };
        let value = identifiers.encode(SessionId(4), 8);
        assert_eq!(Identifiers::decode(SessionId(4), &value), Ok((identifiers, 8)));
    }
}
