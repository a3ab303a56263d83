//! Frames: TPKT and COTP (RFC 1006, ISO 8073), and jobs of S7 communication with their answers
//! inside them.

use lot_tags::s7::S7Area;

use crate::limits::FRAME_BYTES_MAX;

/// Item of a read or write request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) area: S7Area,
    pub(crate) block: u16,
    pub(crate) first: u32,
    /// Bytes; 2 for each timer or counter.
    pub(crate) bytes: u32,
    /// A single bit of the byte, for writing.
    pub(crate) bit: Option<u8>,
}

/// Bytes of a read request, and of an answer, without items.
pub(crate) const REQUEST_BYTES: usize = 12;
pub(crate) const ANSWER_BYTES: usize = 14;

/// Bytes of an item in a request, and before its data.
pub(crate) const ITEM_BYTES: usize = 12;
pub(crate) const DATA_HEADER_BYTES: usize = 4;

/// Kinds of messages of the protocol.
const JOB: u8 = 1;
const ANSWER: u8 = 3;

/// Length of the frame at the beginning of what was received.
pub(crate) fn length(received: &[u8]) -> Result<Option<usize>, String> {
    let Some([version, _, high, low]) = received.first_chunk::<4>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match (*version, length) {
        (3, 7..=FRAME_BYTES_MAX) => Ok(Some(length)),
        (3, _) => Err(format!("a frame of {length} bytes came, which is none of S7")),
        _ => Err("what came is not ISO-on-TCP".to_owned()),
    }
}

fn framed(cotp: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + cotp.len() + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[3, 0, length[0], length[1]], cotp, payload].concat()
}

/// Request to connect, with our and the PLC's TSAP.
pub(crate) fn connect(local: u16, remote: u16) -> Vec<u8> {
    let ([a, b], [c, d]) = (local.to_be_bytes(), remote.to_be_bytes());
    framed(&[17, 0xE0, 0, 0, 0, 1, 0, 0xC0, 1, 0x0A, 0xC1, 2, a, b, 0xC2, 2, c, d], &[])
}

/// Whether a frame confirms the connection.
pub(crate) fn is_connected(frame: &[u8]) -> bool {
    frame.get(5).is_some_and(|kind| kind & 0xF0 == 0xD0)
}

/// A job with parameters and data.
fn job(number: u16, parameters: &[u8], data: &[u8]) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let header = [&[0x32, JOB, 0, 0, high, low][..], &length(parameters), &length(data)].concat();
    framed(&[2, 0xF0, 0x80], &[&header[..], parameters, data].concat())
}

/// Request for communication with PDUs of so many bytes.
pub(crate) fn setup(number: u16, pdu_bytes: u16) -> Vec<u8> {
    let [high, low] = pdu_bytes.to_be_bytes();
    job(number, &[0xF0, 0, 0, 1, 0, 1, high, low], &[])
}

/// Bytes of a PDU that the PLC has agreed to.
pub(crate) fn pdu_bytes(parameters: &[u8]) -> Option<u16> {
    let (function, bytes) = (parameters.first()?, parameters.get(6..8)?);
    (*function == 0xF0).then(|| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Request to read items.
pub(crate) fn read(number: u16, items: &[Item]) -> Vec<u8> {
    job(number, &parameters(4, items), &[])
}

/// Request to write an item.
pub(crate) fn write(number: u16, item: Item, data: &[u8]) -> Vec<u8> {
    // The length is in bits, but for a single one.
    let (transport, length) = if item.bit.is_some() { (3, 1) } else { (4, data.len() * 8) };
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    job(number, &parameters(5, &[item]), &[&[0, transport, high, low], data].concat())
}

fn parameters(function: u8, items: &[Item]) -> Vec<u8> {
    let mut parameters = vec![function, u8::try_from(items.len()).unwrap_or(u8::MAX)];
    for item in items {
        let Item { area, block, first, bytes, bit } = *item;
        let is_numbered = area.is_numbered();
        let (transport, count) = match bit {
            Some(_) => (1, 1),
            None if is_numbered => (area as u8, bytes / 2),
            None => (2, bytes),
        };
        let address = if is_numbered { first } else { first * 8 + u32::from(bit.unwrap_or(0)) };
        let count = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
        parameters.extend([0x12, 0x0A, 0x10, transport]);
        parameters.extend(count);
        parameters.extend(block.to_be_bytes());
        parameters.push(area as u8);
        parameters.extend(&address.to_be_bytes()[1..]);
    }
    parameters
}

/// Answer to a job.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) number: u16,
    /// Class and code of an error; 0 without one.
    pub(crate) error: u16,
    pub(crate) parameters: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

/// Takes a frame apart; an error where it holds no answer.
pub(crate) fn answer(frame: &[u8]) -> Result<Answer, String> {
    let none = || "what came is no answer of S7 communication".to_owned();
    let [kind, _, _, number @ .., a, b, c, d, class, code] = frame.get(8..19).ok_or_else(none)? else {
        return Err(none());
    };
    if frame.get(4..8) != Some(&[2, 0xF0, 0x80, 0x32]) || *kind != ANSWER {
        return Err(none());
    }
    let word = |bytes: &[u8]| bytes.iter().fold(0_u16, |word, byte| word << 8 | u16::from(*byte));
    let (parameters, data) = (usize::from(word(&[*a, *b])), usize::from(word(&[*c, *d])));
    let behind = frame.get(19..19 + parameters + data).ok_or_else(none)?;
    let (parameters, data) = behind.split_at(parameters);
    Ok(Answer {
        number: word(number),
        error: word(&[*class, *code]),
        parameters: parameters.to_vec(),
        data: data.to_vec(),
    })
}

/// Returns the bytes of each item, or its error code. Returns `None` if the answer lacks items.
pub(crate) fn items(data: &[u8], count: usize) -> Option<Vec<Result<Vec<u8>, u8>>> {
    let mut items = Vec::with_capacity(count);
    let mut left = data;
    for _ in 0..count {
        let (header, behind) = left.split_first_chunk::<DATA_HEADER_BYTES>()?;
        let [code, transport, high, low] = *header;
        if code != 0xFF {
            items.push(Err(code));
            left = behind;
            continue;
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        // Some transports count bits, others bytes.
        let length = if matches!(transport, 3..=5) { length.div_ceil(8) } else { length };
        let (bytes, behind) = behind.split_at_checked(length)?;
        items.push(Ok(bytes.to_vec()));
        // An item of an odd length is filled up, but for the last one.
        left = behind.get(length % 2..).unwrap_or_default();
    }
    Some(items)
}

/// Meaning of the code with which an item is refused.
pub(crate) fn item_error(code: u8) -> String {
    let words = match code {
        1 => "hardware error",
        3 => "access to it is not allowed",
        5 => "the address is not there",
        6 => "the type is not supported",
        7 => "the type does not fit",
        0x0A => "it does not exist",
        _ => "refused",
    };
    format!("{words} (code {code:#04x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_the_protocol_has_them() {
        let item = Item { area: S7Area::Block, block: 1, first: 4, bytes: 2, bit: None };
        let read_word = [
            3, 0, 0, 31, 2, 0xF0, 0x80, 0x32, 1, 0, 0, 0, 7, 0, 14, 0, 0, 4, 1, 0x12, 0x0A, 0x10, 2, 0, 2, 0,
            1, 0x84, 0, 0, 0x20,
        ];
        assert_eq!(read(7, &[item]), read_word);
        let bit = Item { area: S7Area::Flag, block: 0, first: 10, bytes: 1, bit: Some(1) };
        let written = write(8, bit, &[1]);
        assert_eq!(written[17..], [5, 1, 0x12, 0x0A, 0x10, 1, 0, 1, 0, 0, 0x83, 0, 0, 0x51, 0, 3, 0, 1, 1]);
        let timer = Item { area: S7Area::Timer, block: 0, first: 3, bytes: 2, bit: None };
        assert_eq!(read(1, &[timer])[19..], [0x12, 0x0A, 0x10, 0x1D, 0, 1, 0, 0, 0x1D, 0, 0, 3]);
        assert_eq!(connect(0x0100, 0x0102).len(), 22);
    }

    #[test]
    fn answers_are_taken_apart() {
        let frame =
            [3, 0, 0, 27, 2, 0xF0, 0x80, 0x32, 3, 0, 0, 0, 7, 0, 2, 0, 6, 0, 0, 4, 1, 0xFF, 4, 0, 16, 0, 42];
        let answer = answer(&frame).unwrap();
        assert_eq!((answer.number, answer.error), (7, 0));
        assert_eq!(items(&answer.data, 1), Some(vec![Ok(vec![0, 42])]));
        for length in 0..frame.len() {
            assert!(super::answer(&frame[..length]).is_err(), "{length}");
        }
        // An odd item, one that is refused, and the last one, whose fill byte may be missing.
        let data = [0xFF, 4, 0, 8, 1, 0, 0x0A, 0, 0, 0, 0xFF, 9, 0, 1, 5];
        assert_eq!(items(&data, 3), Some(vec![Ok(vec![1]), Err(0x0A), Ok(vec![5])]));
        assert_eq!(items(&data, 4), None);
        assert_eq!(items(&[0xFF, 4, 0xFF, 0xFF], 1), None);
        assert_eq!(length(&[3, 0, 0, 22]), Ok(Some(22)));
        assert!(
            length(b"HTTP").is_err()
                && length(&[3, 0, 0xFF, 0xFF]).is_err()
                && length(&[3, 0, 0, 4]).is_err()
        );
    }
}
