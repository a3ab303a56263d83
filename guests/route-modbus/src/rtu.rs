//! Frames of Modbus RTU (Modbus over Serial Line 1.02, §2.5.1): finds a reply in received bytes,
//! after any other bytes.
//!
//! A frame does not mark its start, and its end is a pause, which the buffers of drivers and
//! adapters hide. So a reply is recognized by the unit and function of the request, the length that
//! belongs to it, and a correct checksum.

/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = 2;

/// Bytes of an exception: unit, function, code and checksum.
const EXCEPTION_BYTES: usize = 5;

/// Bytes of the reply to a write: unit, function, address, value or count, and checksum.
const WRITTEN_BYTES: usize = 8;

/// Bytes that an error text shows.
const TOLD_BYTES: usize = 16;

/// Result of the search for a reply.
#[derive(Debug, PartialEq)]
pub(crate) enum Search {
    /// A reply without its checksum, and where it begins.
    Reply { at: usize, reply: Vec<u8> },
    /// A whole one whose checksum is another one than that of its bytes.
    Damaged,
    /// Nothing yet that could be one.
    NotYet,
}

/// Looks for the reply to a request, which is a frame.
pub(crate) fn search(received: &[u8], request: &[u8]) -> Search {
    let mut is_damaged = false;
    for at in 0..received.len() {
        let candidate = &received[at..];
        let Some(frame) = length(candidate, request).and_then(|length| candidate.get(..length)) else {
            continue;
        };
        if has_fitting_checksum(frame) {
            return Search::Reply { at, reply: frame[..frame.len() - CHECKSUM_BYTES].to_vec() };
        }
        is_damaged |= frame.len() == expected_length(frame, request);
    }
    if is_damaged { Search::Damaged } else { Search::NotYet }
}

/// Returns the length of a frame that begins as a reply to the request. Returns `None` if none
/// does, or if more bytes are needed.
fn length(candidate: &[u8], request: &[u8]) -> Option<usize> {
    let (unit, function) = (*request.first()?, *request.get(1)?);
    let [from, answered, rest @ ..] = candidate else { return None };
    if *from != unit {
        return None;
    }
    if *answered == function | 0x80 {
        return Some(EXCEPTION_BYTES);
    }
    if *answered != function {
        return None;
    }
    if is_read(function) {
        return rest.first().map(|count| 3 + usize::from(*count) + CHECKSUM_BYTES);
    }
    // It repeats the address, and the value or the count.
    let repeated = request.get(2..6)?;
    (rest.get(..4)? == repeated).then_some(WRITTEN_BYTES)
}

/// Length that a reply of this kind to the request should have.
fn expected_length(reply: &[u8], request: &[u8]) -> usize {
    let function = request.get(1).copied().unwrap_or_default();
    let count = request.get(4..6).map_or(0, |count| usize::from(u16::from_be_bytes([count[0], count[1]])));
    match reply.get(1) {
        Some(answered) if *answered & 0x80 != 0 => EXCEPTION_BYTES,
        _ if matches!(function, 1 | 2) => 3 + count.div_ceil(8) + CHECKSUM_BYTES,
        _ if is_read(function) => 3 + count * 2 + CHECKSUM_BYTES,
        _ => WRITTEN_BYTES,
    }
}

fn is_read(function: u8) -> bool {
    matches!(function, 1..=4)
}

fn has_fitting_checksum(frame: &[u8]) -> bool {
    let Some((bytes, [low, high])) = frame.split_last_chunk::<CHECKSUM_BYTES>() else { return false };
    checksum(bytes) == u16::from_le_bytes([*low, *high])
}

/// CRC-16 of Modbus. `rmodbus` has it for itself alone.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ 0xA001 })
    })
}

/// Describes the bytes that arrived in place of a reply.
pub(crate) fn told(received: &[u8], request: &[u8]) -> String {
    if search(received, request) == Search::Damaged {
        return format!("a reply with a wrong checksum came: {}", shown(received));
    }
    let (unit, function) =
        (request.first().copied().unwrap_or_default(), request.get(1).copied().unwrap_or_default());
    match received {
        [from, answered, ..] if has_fitting_checksum(received) => {
            format!("unit {unit} was asked for function {function}, and {from} has answered with {answered}")
        }
        _ => format!("what came is no reply: {}", shown(received)),
    }
}

fn shown(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().take(TOLD_BYTES).map(|byte| format!("{byte:02X}")).collect();
    let more = bytes.len().saturating_sub(TOLD_BYTES);
    let digits = digits.join(" ");
    if more == 0 { digits } else { format!("{digits} and {more} bytes more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bytes: &[u8]) -> Vec<u8> {
        [bytes, &checksum(bytes).to_le_bytes()].concat()
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // Of Modbus over Serial Line 1.02, appendix B, and of a request that every manual has.
        assert_eq!(checksum(&[2, 7]).to_le_bytes(), [0x41, 0x12]);
        assert_eq!(checksum(&[1, 3, 0, 0, 0, 10]).to_le_bytes(), [0xC5, 0xCD]);
    }

    #[test]
    fn a_reply_is_found_behind_whatever_stands_before_it() {
        let request = framed(&[1, 3, 0, 5, 0, 2]);
        let reply = [1, 3, 4, 0, 7, 0, 8];
        for before in
            [&[][..], &[0], &[0xFF, 1], &[1, 3], &[1, 3, 4, 0, 7], &request, &framed(&[2, 3, 2, 0, 1])]
        {
            let received = [before, &framed(&reply)].concat();
            let found = Search::Reply { at: before.len(), reply: reply.to_vec() };
            assert_eq!(search(&received, &request), found, "{before:?}");
            for length in 0..received.len() {
                let part = search(&received[..length], &request);
                assert!(!matches!(part, Search::Reply { .. }), "{length} of {received:?}");
            }
        }
        let behind = [framed(&reply), vec![0xFF, 0]].concat();
        assert_eq!(search(&behind, &request), Search::Reply { at: 0, reply: reply.to_vec() });
        let exception = Search::Reply { at: 0, reply: vec![1, 0x83, 2] };
        assert_eq!(search(&framed(&[1, 0x83, 2]), &request), exception);
    }

    #[test]
    fn a_reply_to_a_write_repeats_it() {
        for request in [&[1, 6, 0, 5, 0, 2][..], &[1, 16, 0, 5, 0, 1, 2, 0, 9], &[1, 15, 0, 5, 0, 3, 1, 7]] {
            let request = framed(request);
            let reply = request[..6].to_vec();
            let found = Search::Reply { at: 0, reply: reply.clone() };
            assert_eq!(search(&framed(&reply), &request), found);
            let other = [&reply[..5], &[99]].concat();
            assert_eq!(search(&framed(&other), &request), Search::NotYet);
        }
    }

    #[test]
    fn what_is_no_reply_is_told() {
        let request = framed(&[1, 3, 0, 5, 0, 2]);
        let mut damaged = framed(&[1, 3, 4, 0, 7, 0, 8]);
        damaged[4] ^= 1;
        assert_eq!(search(&damaged, &request), Search::Damaged);
        assert_eq!(search(&request, &request), Search::NotYet, "an echo is no damaged reply");
        for (received, expected) in [
            (damaged, "a reply with a wrong checksum came: 01 03 04 00 06 00 08"),
            (framed(&[2, 3, 4, 0, 7, 0, 8]), "unit 1 was asked for function 3, and 2 has answered with 3"),
            (framed(&[1, 4, 2, 0, 7]), "unit 1 was asked for function 3, and 1 has answered with 4"),
            (vec![0xFF], "what came is no reply: FF"),
            (vec![0xAB; 20], "and 4 bytes more"),
        ] {
            let told = told(&received, &request);
            assert!(told.contains(expected), "{told}");
        }
    }
}
