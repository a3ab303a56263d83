//! Form in which a message waits for routes in the store: what the store keeps of it as the
//! properties of a PUBLISH.
//!
//! One record is for several routes; each finds by its session what of it takes the message.

use std::sync::Arc;

use bytes::Bytes;
use lotmq_changes::{RecoveredDelivery, SessionId};
use lotmq_host::{MessageExtras, OwnedMessage};
use smallvec::SmallVec;

use super::mailbox::Addressee;
use crate::message_qos::qos;
use lotmq_core::turn::stored;

/// Version of the form.
const VERSION: u8 = 1;

/// The same with a time of reception behind it.
const VERSION_WITH_TIME: u8 = 2;

/// Bytes of one; what most have is on the stack.
pub(crate) type StoredPostBytes = SmallVec<[u8; 192]>;

/// Stored data of a message beside topic, payload, QoS and time.
#[derive(Debug, PartialEq)]
pub(crate) struct StoredPost<'a> {
    /// Number of guest runs that led to the message.
    pub(crate) hops: u8,
    /// When it was received, in milliseconds since 1970, if not when it was stored: it was a dead
    /// letter before.
    pub(crate) received_ms: Option<u64>,
    /// Expiry time, in lifetime milliseconds. Not that of the store, which would count it as done.
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) client_id: &'a str,
    /// Properties of the PUBLISH.
    pub(crate) properties: &'a [u8],
}

impl<'a> StoredPost<'a> {
    /// Its bytes for the routes of these sessions, each with what takes the message there.
    pub(crate) fn encoded<'t>(
        &self,
        takers: impl ExactSizeIterator<Item = (SessionId, &'t Addressee)>,
    ) -> StoredPostBytes {
        let mut bytes = StoredPostBytes::new();
        match self.received_ms {
            Some(received_ms) => {
                bytes.push(VERSION_WITH_TIME);
                bytes.extend_from_slice(&received_ms.to_be_bytes());
            }
            None => bytes.push(VERSION),
        }
        bytes.push(self.hops);
        // No packet holds an expiry of the year 1970.
        bytes.extend_from_slice(&self.expires_at_ms.unwrap_or_default().to_be_bytes());
        put_text(&mut bytes, self.client_id);
        bytes.extend_from_slice(&u32::try_from(takers.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (session, addressee) in takers {
            bytes.extend_from_slice(&session.0.to_be_bytes());
            let (kind, name, tag) = match addressee {
                Addressee::Event(name) => (0, name, None),
                Addressee::Mapping(name) => (1, name, None),
                Addressee::Tag(mapping, tag) => (2, mapping, Some(tag)),
                Addressee::Table(name) => (3, name, None),
            };
            bytes.push(kind);
            put_text(&mut bytes, name);
            tag.into_iter().for_each(|tag| put_text(&mut bytes, tag));
        }
        bytes.extend_from_slice(self.properties);
        bytes
    }

    /// Reads a record, and what takes it at the route of `session`. `None` when it is damaged, or
    /// for others.
    pub(crate) fn decoded(bytes: &'a [u8], session: SessionId) -> Option<(Self, Addressee)> {
        let (received_ms, rest) = match bytes.split_first()? {
            (&VERSION, rest) => (None, rest),
            (&VERSION_WITH_TIME, rest) => {
                let (received_ms, rest) = rest.split_first_chunk()?;
                (Some(u64::from_be_bytes(*received_ms)), rest)
            }
            _ => return None,
        };
        let (&hops, rest) = rest.split_first()?;
        let (expires_at_ms, rest) = rest.split_first_chunk()?;
        let (client_id, rest) = take_text(rest)?;
        let (count, mut rest) = rest.split_first_chunk()?;
        let mut found = None;
        for _ in 0..u32::from_be_bytes(*count) {
            let (id, after) = rest.split_first_chunk()?;
            let (addressee, after) = take_addressee(after)?;
            if u64::from_be_bytes(*id) == session.0 {
                found = Some(addressee);
            }
            rest = after;
        }
        let expires_at_ms = Some(u64::from_be_bytes(*expires_at_ms)).filter(|at| *at > 0);
        Some((Self { hops, received_ms, expires_at_ms, client_id, properties: rest }, found?))
    }
}

/// Message for the route of `session` as it was stored, `beside` being what is kept beside it, with
/// what takes it and its hops; `None` when it is damaged. `wall_of` has the wall clock's time of
/// the store's.
pub(crate) fn message(
    delivery: &RecoveredDelivery,
    beside: &Bytes,
    session: SessionId,
    wall_of: impl Fn(u64) -> u64,
) -> Option<(Addressee, OwnedMessage, u8)> {
    let stored = &delivery.message;
    let (post, addressee) = StoredPost::decoded(beside, session)?;
    let message = OwnedMessage {
        topic: stored.topic.as_str().into(),
        payload: stored.payload.clone(),
        qos: qos(stored::qos(stored.qos)),
        retain: delivery.retain,
        client_id: post.client_id.into(),
        extras: MessageExtras::of(None, beside.slice_ref(post.properties), post.expires_at_ms),
        received_ms: post.received_ms.unwrap_or_else(|| wall_of(stored.published_at_ms)),
        lease: None,
    };
    Some((addressee, message, post.hops))
}

/// Bytes that the message of a delivery counts for.
pub(crate) fn size(delivery: &RecoveredDelivery) -> u64 {
    let stored = &delivery.message;
    (stored.topic.len() + stored.properties.len() + stored.payload.len()) as u64
}

fn take_addressee(bytes: &[u8]) -> Option<(Addressee, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (name, rest) = take_text(rest)?;
    let name: Arc<str> = name.into();
    Some(match kind {
        0 => (Addressee::Event(name), rest),
        1 => (Addressee::Mapping(name), rest),
        2 => {
            let (tag, rest) = take_text(rest)?;
            (Addressee::Tag(name, tag.into()), rest)
        }
        3 => (Addressee::Table(name), rest),
        _ => return None,
    })
}

/// Puts a text behind its length; no name or Client Identifier is longer than that can say.
fn put_text(bytes: &mut StoredPostBytes, text: &str) {
    let text = &text[..text.floor_char_boundary(u16::MAX.into())];
    bytes.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takers() -> [(SessionId, Addressee); 4] {
        [
            (SessionId(3), Addressee::Event("e".into())),
            (SessionId(4), Addressee::Mapping("m".into())),
            (SessionId(5), Addressee::Tag("m".into(), "t".into())),
            (SessionId(6), Addressee::Table("".into())),
        ]
    }

    #[test]
    fn each_route_finds_what_of_it_takes_the_message() {
        let all = takers();
        for received_ms in [None, Some(5)] {
            let post = || StoredPost {
                hops: 7,
                received_ms,
                expires_at_ms: Some(9),
                client_id: "c",
                properties: b"\x01\x01",
            };
            let bytes = post().encoded(all.iter().map(|(session, addressee)| (*session, addressee)));
            for (session, addressee) in all.clone() {
                assert_eq!(StoredPost::decoded(&bytes, session), Some((post(), addressee)));
            }
            assert_eq!(StoredPost::decoded(&bytes, SessionId(7)), None);
        }
    }

    #[test]
    fn damaged_stored_message_is_rejected() {
        let all = takers();
        for received_ms in [None, Some(5)] {
            let post =
                StoredPost { hops: 0, received_ms, expires_at_ms: None, client_id: "", properties: b"" };
            let bytes = post.encoded(all.iter().map(|(session, addressee)| (*session, addressee)));
            for end in 0..bytes.len() {
                assert_eq!(StoredPost::decoded(&bytes[..end], SessionId(3)), None, "{end}");
            }
            let newer = [&[3], &bytes[1..]].concat();
            assert_eq!(StoredPost::decoded(&newer, SessionId(3)), None);
        }
    }
}
