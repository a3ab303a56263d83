//! Modbus TCP from a server's side: frames, and functions 1 to 6, 15 and 16 on the tables of the
//! press.
//!
//! *MODBUS Messaging on TCP/IP Implementation Guide* V1.0b, *MODBUS Application Protocol
//! Specification* V1.1b3. Not here: connections.

use super::press::{NotWritable, Press};

/// Bytes of a frame before its PDU: transaction, protocol (0), length of what follows, unit.
pub(super) const HEADER_BYTES: usize = 7;

/// Most bytes of a PDU.
pub(super) const PDU_BYTES_MAX: usize = 253;

/// Most values of a request: read bits, read registers, written coils, written registers.
const READ_BITS_MAX: u16 = 2000;
const READ_REGISTERS_MAX: u16 = 125;
const WRITTEN_COILS_MAX: u16 = 1968;
const WRITTEN_REGISTERS_MAX: u16 = 123;

/// Exception codes.
#[expect(clippy::enum_variant_names, reason = "names of the protocol")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exception {
    IllegalFunction = 1,
    /// There is nothing at one of the addresses, or nothing that may be written.
    IllegalDataAddress = 2,
    /// Number of values, number of bytes or the value of a coil is none that the function takes.
    IllegalDataValue = 3,
}

impl From<NotWritable> for Exception {
    fn from(_: NotWritable) -> Self {
        Self::IllegalDataAddress
    }
}

/// Bytes of the PDU that follows a header; `None` when it is no header of Modbus, so that nobody
/// knows where the next frame begins.
pub(super) fn pdu_bytes(header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let [_, _, protocol @ .., high, low, _] = header;
    let bytes = usize::from(u16::from_be_bytes([*high, *low])).checked_sub(1)?;
    (*protocol == [0, 0] && (1..=PDU_BYTES_MAX).contains(&bytes)).then_some(bytes)
}

/// Frame that answers a request.
pub(super) fn reply(header: &[u8; HEADER_BYTES], request: &[u8], press: &mut Press) -> Vec<u8> {
    let (function, body) = request.split_first().map_or((0, request), |(function, body)| (*function, body));
    let pdu = match answer(function, body, press) {
        Ok(body) => [&[function], &body[..]].concat(),
        Err(exception) => vec![function | 0x80, exception as u8],
    };
    let [transaction_high, transaction_low, .., unit] = *header;
    let bytes = u16::try_from(pdu.len() + 1).expect("an answer has at most 253 bytes");
    let [high, low] = bytes.to_be_bytes();
    [&[transaction_high, transaction_low, 0, 0, high, low, unit], &pdu[..]].concat()
}

/// Returns the bytes that follow the function code in the answer.
fn answer(function: u8, body: &[u8], press: &mut Press) -> Result<Vec<u8>, Exception> {
    match function {
        1 => Ok(counted(&packed(part(&press.coils(), body, READ_BITS_MAX)?))),
        2 => Ok(counted(&packed(part(&press.discrete_inputs(), body, READ_BITS_MAX)?))),
        3 => Ok(counted(&bytes_of(part(&press.holding_registers(), body, READ_REGISTERS_MAX)?))),
        4 => Ok(counted(&bytes_of(part(&press.input_registers(), body, READ_REGISTERS_MAX)?))),
        5 => {
            let [first, value] = numbers(body)?;
            let is_on = match value {
                0xFF00 => true,
                0 => false,
                _ => return Err(Exception::IllegalDataValue),
            };
            press.write_coils(first, &[is_on])?;
            Ok(body.to_vec())
        }
        6 => {
            let [first, value] = numbers(body)?;
            press.write_registers(first, &[value])?;
            Ok(body.to_vec())
        }
        15 => {
            let several = several(body, WRITTEN_COILS_MAX, |count| count.div_ceil(8))?;
            press.write_coils(several.first, &several.bits())?;
            Ok(several.head.to_vec())
        }
        16 => {
            let several = several(body, WRITTEN_REGISTERS_MAX, |count| count * 2)?;
            press.write_registers(several.first, &several.registers())?;
            Ok(several.head.to_vec())
        }
        _ => Err(Exception::IllegalFunction),
    }
}

/// The two numbers that a body consists of.
fn numbers(body: &[u8]) -> Result<[u16; 2], Exception> {
    let [a, b, c, d] = *body else { return Err(Exception::IllegalDataValue) };
    Ok([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

/// Values that a request asks for; as the standard has it, their number is looked at before their
/// addresses.
fn part<'t, T>(table: &'t [T], body: &[u8], most: u16) -> Result<&'t [T], Exception> {
    let [first, count] = numbers(body)?;
    if !(1..=most).contains(&count) {
        return Err(Exception::IllegalDataValue);
    }
    let first = usize::from(first);
    table.get(first..first + usize::from(count)).ok_or(Exception::IllegalDataAddress)
}

/// Request that writes several values.
struct Several<'a> {
    /// Address and number, which the answer repeats.
    head: &'a [u8],
    first: u16,
    count: usize,
    /// As many as the number of values takes.
    bytes: &'a [u8],
}

/// Takes a request that writes several values apart.
fn several(body: &[u8], most: u16, bytes_of: fn(usize) -> usize) -> Result<Several<'_>, Exception> {
    let (head, rest) = body.split_at_checked(4).ok_or(Exception::IllegalDataValue)?;
    let [first, number] = numbers(head)?;
    let (said, bytes) = rest.split_first().ok_or(Exception::IllegalDataValue)?;
    let count = usize::from(number);
    let is_complete = usize::from(*said) == bytes.len() && bytes.len() == bytes_of(count);
    if !(1..=most).contains(&number) || !is_complete {
        return Err(Exception::IllegalDataValue);
    }
    Ok(Several { head, first, count, bytes })
}

impl Several<'_> {
    /// The values as coils, of which the first is the lowest bit of the first byte.
    fn bits(&self) -> Vec<bool> {
        let bits = self.bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        bits.take(self.count).collect()
    }

    /// The values as registers.
    fn registers(&self) -> Vec<u16> {
        self.bytes.as_chunks().0.iter().map(|word| u16::from_be_bytes(*word)).collect()
    }
}

/// Bits as bytes, the first as the lowest bit of the first byte.
fn packed(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

/// Registers as bytes.
fn bytes_of(registers: &[u16]) -> Vec<u8> {
    registers.iter().flat_map(|register| register.to_be_bytes()).collect()
}

/// Bytes behind their number.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let count = u8::try_from(bytes.len()).expect("at most 250 bytes are read at once");
    [&[count], bytes].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn functions_answer_and_refuse_with_the_code_of_the_standard() {
        let mut press = Press::new(Instant::now(), 1);
        for (request, expected) in [
            (&[1, 0, 0, 0, 1][..], &[1, 1, 1][..]),
            (&[2, 0, 0, 0, 1], &[2, 1, 0]),
            (&[3, 0, 7, 0, 2], &[3, 4, 0x02, 0x8A, 0, 60]),
            (&[4, 0, 0, 0, 1], &[4, 2, 0, 210]),
            (&[5, 0, 0, 0, 0], &[5, 0, 0, 0, 0]),
            (&[1, 0, 0, 0, 1], &[1, 1, 0]),
            (&[15, 0, 0, 0, 1, 1, 0xFF], &[15, 0, 0, 0, 1]),
            (&[1, 0, 0, 0, 1], &[1, 1, 1]),
            (&[6, 0, 8, 0, 61], &[6, 0, 8, 0, 61]),
            (&[16, 0, 7, 0, 2, 4, 0, 1, 0, 2], &[16, 0, 7, 0, 2]),
            (&[3, 0, 7, 0, 2], &[3, 4, 0, 1, 0, 2]),
            // Functions that it does not have.
            (&[0], &[0x80, 1]),
            (&[7], &[0x87, 1]),
            (&[0x2B, 14, 1, 0], &[0xAB, 1]),
            (&[0x83, 0, 0, 0, 1], &[0x83, 1]),
            // Addresses that it does not have, or that are not written.
            (&[1, 0, 1, 0, 1], &[0x81, 2]),
            (&[2, 0, 0, 0, 2], &[0x82, 2]),
            (&[3, 0, 8, 0, 2], &[0x83, 2]),
            (&[3, 0xFF, 0xFF, 0, 125], &[0x83, 2]),
            (&[4, 0, 7, 0, 1], &[0x84, 2]),
            (&[5, 0, 1, 0xFF, 0], &[0x85, 2]),
            (&[6, 0, 0, 0, 1], &[0x86, 2]),
            (&[15, 0, 0, 0, 2, 1, 3], &[0x8F, 2]),
            (&[16, 0, 8, 0, 2, 4, 0, 1, 0, 2], &[0x90, 2]),
            // Numbers and values that the functions do not take.
            (&[1, 0, 0, 0x07, 0xD1], &[0x81, 3]),
            (&[3, 0, 0, 0, 0], &[0x83, 3]),
            (&[3, 0, 0, 0, 126], &[0x83, 3]),
            (&[4, 0, 0, 0], &[0x84, 3]),
            (&[4, 0, 0, 0, 1, 0], &[0x84, 3]),
            (&[5, 0, 0, 0, 1], &[0x85, 3]),
            (&[5], &[0x85, 3]),
            (&[15, 0, 0, 0, 0, 0], &[0x8F, 3]),
            (&[15, 0, 0, 0, 9, 1, 0], &[0x8F, 3]),
            (&[16, 0, 7, 0, 1, 4, 0, 1], &[0x90, 3]),
            (&[16, 0, 7, 0, 1, 3, 0, 1, 0], &[0x90, 3]),
            (&[16, 0, 7, 0, 1], &[0x90, 3]),
        ] {
            let header = [1, 2, 0, 0, 0, 0, 17];
            let answer = reply(&header, request, &mut press);
            let (front, pdu) = answer.split_at(HEADER_BYTES);
            assert_eq!(pdu, expected, "{request:?}");
            assert_eq!(front, [1, 2, 0, 0, 0, u8::try_from(expected.len() + 1).unwrap(), 17]);
        }
    }

    #[test]
    fn a_header_says_how_much_follows_or_is_none() {
        for (header, expected) in [
            ([9, 9, 0, 0, 0, 2, 1], Some(1)),
            ([9, 9, 0, 0, 0, 254, 1], Some(PDU_BYTES_MAX)),
            ([9, 9, 0, 0, 0, 255, 1], None),
            ([9, 9, 0, 0, 1, 2, 1], None),
            ([9, 9, 0, 0, 0, 1, 1], None),
            ([9, 9, 0, 0, 0, 0, 1], None),
            ([9, 9, 0, 1, 0, 6, 1], None),
            (*b"GET / H", None),
        ] {
            assert_eq!(pdu_bytes(&header), expected, "{header:?}");
        }
    }

    #[test]
    fn bits_are_packed_from_the_lowest_on() {
        let bits = [true, false, true, true, false, false, false, false, true, false];
        assert_eq!(packed(&bits), [0b1101, 1]);
        let several = several(&[0, 0, 0, 10, 2, 0b1101, 0xFD], WRITTEN_COILS_MAX, |count| count.div_ceil(8));
        assert_eq!(several.ok().unwrap().bits(), bits);
    }
}
