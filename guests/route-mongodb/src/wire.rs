//! Messages of the wire protocol: OP_MSG (MongoDB's specification of it), on byte slices.

use bson::{RawDocument, RawDocumentBuf};

use crate::limits::REPLY_BYTES_MAX;

/// Bytes in front of every message: its length, its number, that of what it answers, and its kind.
pub(crate) const HEADER_BYTES: usize = 16;

/// Kind of all messages here.
const OP_MSG: i32 = 2013;

/// Flags of what a reader must understand; of a reply only the checksum may be set.
const REQUIRED_FLAGS: u32 = 0xffff;
const CHECKSUM_PRESENT: u32 = 1;
const CHECKSUM_BYTES: usize = 4;

/// Documents that go beside a command.
pub(crate) struct Sequence<'a> {
    /// Member of the command that they are.
    pub(crate) name: &'static str,
    pub(crate) documents: Vec<&'a RawDocument>,
}

/// A message with a command.
pub(crate) fn encode(number: i32, command: &RawDocument, sequence: Option<&Sequence<'_>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 5 + command.as_bytes().len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&0i32.to_le_bytes());
    bytes.extend_from_slice(&OP_MSG.to_le_bytes());
    bytes.extend_from_slice(&0u32.to_le_bytes());
    bytes.push(0);
    bytes.extend_from_slice(command.as_bytes());
    if let Some(Sequence { name, documents }) = sequence {
        bytes.push(1);
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        for document in documents {
            bytes.extend_from_slice(document.as_bytes());
        }
        let length = length_bytes(bytes.len() - start);
        bytes[start..start + 4].copy_from_slice(&length);
    }
    let length = length_bytes(bytes.len());
    bytes[..4].copy_from_slice(&length);
    bytes
}

/// Encodes a length for a message. Sent messages are far shorter than the limit.
fn length_bytes(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap_or(i32::MAX).to_le_bytes()
}

/// Bytes of the message that begins with this header.
///
/// # Errors
/// It is none of what answers the message with this number.
pub(crate) fn length_of(header: &[u8; HEADER_BYTES], number: i32) -> Result<usize, String> {
    let word = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&header[at..at + 4]);
        i32::from_le_bytes(bytes)
    };
    if word(12) != OP_MSG {
        return Err("what it sends is no message of MongoDB 3.6 or newer".to_owned());
    }
    if word(8) != number {
        return Err(format!("it has answered {}, which was not asked", word(8)));
    }
    match usize::try_from(word(0)) {
        Ok(length) if length < HEADER_BYTES + 5 => Err(format!("its answer has a length of {length}")),
        Ok(length) if length <= REPLY_BYTES_MAX => Ok(length),
        Ok(length) => Err(format!("its answer has {length} bytes, the limit is {REPLY_BYTES_MAX}")),
        Err(_) => Err("its answer has a negative length".to_owned()),
    }
}

/// The document of a reply, of what stands behind the header.
///
/// # Errors
/// It is malformed.
pub(crate) fn decode(body: &[u8]) -> Result<RawDocumentBuf, String> {
    let (flags, rest) = body.split_first_chunk::<4>().ok_or("its answer is cut off")?;
    let flags = u32::from_le_bytes(*flags);
    if flags & REQUIRED_FLAGS & !CHECKSUM_PRESENT != 0 {
        return Err(format!("its answer has the flags {flags:#x}, which are not spoken here"));
    }
    let checksum = if flags & CHECKSUM_PRESENT == 0 { 0 } else { CHECKSUM_BYTES };
    let sections = rest.len().checked_sub(checksum).and_then(|end| rest.get(..end));
    match sections.and_then(<[u8]>::split_first) {
        Some((0, document)) => RawDocumentBuf::from_bytes(document.to_vec())
            .map_err(|error| format!("its answer is no document: {error}")),
        Some(_) | None => Err("its answer has no document".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn header(length: i32, answers: i32, kind: i32) -> [u8; HEADER_BYTES] {
        let words = [length, 1, answers, kind].map(i32::to_le_bytes).concat();
        words.try_into().unwrap()
    }

    #[test]
    fn a_command_is_encoded_as_the_specification_says() {
        let command = rawdoc! { "ping": 1 };
        let bytes = encode(7, &command, None);
        let mut expected = [36i32, 7, 0, OP_MSG, 0].map(i32::to_le_bytes).concat();
        expected.push(0);
        expected.extend_from_slice(b"\x0f\0\0\0\x10ping\0\x01\0\0\0\0");
        assert_eq!(bytes, expected);
        let documents = vec![&*command, &*command];
        let bytes = encode(8, &command, Some(&Sequence { name: "documents", documents }));
        let mut section = vec![1, 44, 0, 0, 0];
        section.extend_from_slice(b"documents\0");
        section.extend_from_slice(command.as_bytes());
        section.extend_from_slice(command.as_bytes());
        assert_eq!(&bytes[36..], section);
        assert_eq!(bytes[..4], (36i32 + 45).to_le_bytes());
    }

    #[test]
    fn replies_are_read_and_what_is_none_is_told() {
        assert_eq!(length_of(&header(40, 7, OP_MSG), 7), Ok(40));
        for (header, told) in [
            (header(40, 8, OP_MSG), "it has answered 8, which was not asked"),
            (header(40, 7, 1), "what it sends is no message of MongoDB 3.6 or newer"),
            (*b"HTTP/1.1 400 Bad", "what it sends is no message of MongoDB 3.6 or newer"),
            (header(3, 7, OP_MSG), "its answer has a length of 3"),
            (header(-1, 7, OP_MSG), "its answer has a negative length"),
            (header(i32::MAX, 7, OP_MSG), "its answer has 2147483647 bytes, the limit is 17825792"),
        ] {
            assert_eq!(length_of(&header, 7), Err(told.to_owned()));
        }
        let document = rawdoc! { "ok": 1.0 };
        let body = |flags: u32, kind: u8, more: &[u8]| {
            [&flags.to_le_bytes()[..], &[kind], document.as_bytes(), more].concat()
        };
        assert_eq!(decode(&body(0, 0, b"")).unwrap(), document);
        assert_eq!(decode(&body(1, 0, b"crc!")).unwrap(), document);
        for (body, told) in [
            (body(2, 0, b""), "its answer has the flags 0x2, which are not spoken here"),
            (body(0, 1, b""), "its answer has no document"),
            (body(0, 0, b"x"), "its answer is no document: "),
            (vec![0; 4], "its answer has no document"),
            (vec![1, 0, 0, 0, 0], "its answer has no document"),
            (vec![0, 0], "its answer is cut off"),
        ] {
            let refused = decode(&body).unwrap_err();
            assert!(refused.starts_with(told), "{refused}");
        }
    }
}
