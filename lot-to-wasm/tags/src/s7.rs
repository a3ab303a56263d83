//! Addresses of S7 (routes reference §5.7), and the range that a value takes of its area.

use crate::{DataType, TagShape};

/// Most characters of a text: its header has one byte for each length.
const TEXT_LENGTH_MAX: u16 = 254;

/// S7Area of a PLC; its number is that of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum S7Area {
    Counter = 0x1C,
    Timer = 0x1D,
    Input = 0x81,
    Output = 0x82,
    Flag = 0x83,
    Block = 0x84,
}

impl S7Area {
    /// Whether it is addressed by numbers of two bytes each.
    pub fn is_numbered(self) -> bool {
        matches!(self, S7Area::Counter | S7Area::Timer)
    }
}

/// S7Address of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct S7Address {
    /// Memory area of the S7.
    pub area: S7Area,
    /// Number of the data block; 0 of other areas.
    pub block: u16,
    /// First byte, or number of the timer or counter.
    pub first: u32,
    /// Number of bytes.
    pub bytes: u32,
    /// Bit of the byte, 0 to 7.
    pub bit: Option<u8>,
}

/// Parts of an address before its type is known.
#[derive(Clone, Copy, Debug, PartialEq)]
struct S7Place {
    area: S7Area,
    block: u16,
    first: u32,
    bit: Option<u8>,
    /// Bytes that its letter stands for: `W` for two. A text has its length in place of that.
    width: Option<usize>,
    length: Option<u16>,
}

/// Reads an address such as `DB1.DBW4`, in any case.
///
/// # Errors
/// Why the text is no address of a value of this shape, in words that follow it.
pub fn address(text: &str, shape: &TagShape) -> Result<S7Address, String> {
    let place = parse(text)?;
    let bytes = bytes(&place, shape)?;
    let S7Place { area, block, first, bit, .. } = place;
    if shape.is_written && (area == S7Area::Input || area.is_numbered()) {
        return Err("an input, a timer or a counter cannot be written".to_owned());
    }
    if u64::from(first) + u64::from(bytes) > 65_536 {
        return Err("it goes beyond the end of the area".to_owned());
    }
    Ok(S7Address { area, block, first, bytes, bit })
}

fn parse(text: &str) -> Result<S7Place, String> {
    let text = text.trim().to_ascii_uppercase();
    let unknown =
        || "it is none such as DB1.DBW4, DB1.DBX8.0, DB1.DBS10.20, MB2, M10.1, IW0, QB1, T1 or C1".to_owned();
    let (area, block, rest) = match text.strip_prefix("DB").and_then(|rest| rest.split_once(".DB")) {
        Some((block, rest)) => (S7Area::Block, block.parse().map_err(|_| unknown())?, rest),
        None => {
            let area = match text.chars().next() {
                Some('M') => S7Area::Flag,
                Some('I' | 'E') => S7Area::Input,
                Some('Q' | 'A') => S7Area::Output,
                Some('T') => S7Area::Timer,
                Some('C' | 'Z') => S7Area::Counter,
                _ => return Err(unknown()),
            };
            (area, 0, text.get(1..).unwrap_or_default())
        }
    };
    if area == S7Area::Block && block == 0 {
        return Err("data blocks count from 1".to_owned());
    }
    let letter = rest.chars().next().filter(char::is_ascii_alphabetic);
    let digits = rest.get(letter.map_or(0, char::len_utf8)..).unwrap_or_default();
    let (first, behind) =
        digits.split_once('.').map_or((digits, None), |(first, behind)| (first, Some(behind)));
    let first: u32 = first.parse().map_err(|_| unknown())?;
    let place = S7Place { area, block, first, bit: None, width: None, length: None };
    let place = match (letter, behind) {
        (None, None) if area.is_numbered() => S7Place { width: Some(2), ..place },
        _ if area.is_numbered() => return Err(unknown()),
        (Some('B'), None) => S7Place { width: Some(1), ..place },
        (Some('W'), None) => S7Place { width: Some(2), ..place },
        (Some('D'), None) => S7Place { width: Some(4), ..place },
        (Some('S'), Some(length)) => {
            S7Place { length: Some(length.parse().map_err(|_| unknown())?), ..place }
        }
        (Some('X'), Some(bit)) => S7Place { bit: Some(bit.parse().map_err(|_| unknown())?), ..place },
        (None, Some(bit)) if area != S7Area::Block => {
            S7Place { bit: Some(bit.parse().map_err(|_| unknown())?), ..place }
        }
        _ => return Err(unknown()),
    };
    if place.bit.is_some_and(|bit| bit > 7) {
        return Err("a byte has the bits 0 to 7".to_owned());
    }
    Ok(place)
}

/// Bytes that the value takes.
fn bytes(place: &S7Place, shape: &TagShape) -> Result<u32, String> {
    let (kind, name) = (shape.kind, shape.kind.name());
    let bytes = match (place.bit, place.length) {
        (Some(_), _) if kind != DataType::Bool || shape.length.is_some() => {
            return Err(format!("a bit is a single BOOL and no {name}"));
        }
        (Some(_), _) => 1,
        (None, Some(length)) => {
            if !kind.is_text() || !(1..=TEXT_LENGTH_MAX).contains(&length) {
                return Err(format!("a text is a STRING or WSTRING of 1 to {TEXT_LENGTH_MAX} characters"));
            }
            let characters = usize::from(length) * kind.bytes();
            characters + header_bytes(kind)
        }
        (None, None) if kind.is_text() => return Err("a text has an address such as DB1.DBS10.20".to_owned()),
        (None, None) => {
            if kind == DataType::Bool && place.width != Some(1) {
                return Err("a BOOL has an address with a bit, such as DB1.DBX8.0".to_owned());
            }
            let is_numbered = place.area.is_numbered();
            if is_numbered && kind.bytes() != 2 || place.width.is_some_and(|width| width > kind.bytes()) {
                return Err(format!("{name} is not as wide as the address"));
            }
            kind.bytes().saturating_mul(shape.length.unwrap_or(1))
        }
    };
    u32::try_from(bytes).map_err(|_| format!("{bytes} bytes are too many"))
}

/// Bytes before the characters of a text: its greatest and its present length.
pub fn header_bytes(kind: DataType) -> usize {
    2 * kind.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, kind: &str, is_written: bool) -> Result<S7Address, String> {
        address(text, &TagShape { kind: DataType::of_name(kind).unwrap(), length: None, is_written })
    }

    #[test]
    fn addresses_of_all_areas_are_read() {
        use S7Area::{Block, Counter, Flag, Input, Output, Timer};
        for (text, kind, (area, block, first, bytes, bit)) in [
            ("DB1.DBX8.0", "BOOL", (Block, 1, 8, 1, Some(0))),
            ("db1.dbb2", "BYTE", (Block, 1, 2, 1, None)),
            ("DB1.DBW4", "INT", (Block, 1, 4, 2, None)),
            ("DB20.DBD0", "REAL", (Block, 20, 0, 4, None)),
            ("DB1.DBD8", "LREAL", (Block, 1, 8, 8, None)),
            ("DB1.DBS10.20", "STRING", (Block, 1, 10, 22, None)),
            ("DB1.DBS10.20", "WSTRING", (Block, 1, 10, 44, None)),
            ("M10.1", "BOOL", (Flag, 0, 10, 1, Some(1))),
            ("MW2", "WORD", (Flag, 0, 2, 2, None)),
            ("E0.7", "BOOL", (Input, 0, 0, 1, Some(7))),
            ("IB1", "BYTE", (Input, 0, 1, 1, None)),
            ("AD4", "DINT", (Output, 0, 4, 4, None)),
            ("Q1.0", "BOOL", (Output, 0, 1, 1, Some(0))),
            ("T1", "WORD", (Timer, 0, 1, 2, None)),
            ("C3", "WORD", (Counter, 0, 3, 2, None)),
        ] {
            assert_eq!(of(text, kind, false), Ok(S7Address { area, block, first, bytes, bit }), "{text}");
        }
    }

    #[test]
    fn invalid_address_is_rejected_with_a_reason() {
        let unknown = "it is none such as DB1.DBW4, DB1.DBX8.0, DB1.DBS10.20, MB2, M10.1, IW0, QB1, T1 or C1";
        let read_only = "an input, a timer or a counter cannot be written";
        for (text, kind, is_written, expected) in [
            ("", "INT", false, unknown),
            ("DB1", "INT", false, unknown),
            ("DB1.W4", "INT", false, unknown),
            ("DB1.DBX8", "BOOL", false, unknown),
            ("X1", "INT", false, unknown),
            ("éW1", "INT", false, unknown),
            ("Mé1", "INT", false, unknown),
            ("T1.0", "WORD", false, unknown),
            ("DB0.DBW4", "INT", false, "data blocks count from 1"),
            ("M1.8", "BOOL", false, "a byte has the bits 0 to 7"),
            ("M1.1", "INT", false, "a bit is a single BOOL and no INT16"),
            ("DB1.DBD0", "INT", false, "INT16 is not as wide as the address"),
            ("DB1.DBW0", "BOOL", false, "a BOOL has an address with a bit, such as DB1.DBX8.0"),
            ("DB1.DBB0", "STRING", false, "a text has an address such as DB1.DBS10.20"),
            ("DB1.DBS0.255", "STRING", false, "a text is a STRING or WSTRING of 1 to 254 characters"),
            ("MW65535", "INT", false, "it goes beyond the end of the area"),
            ("IW0", "INT", true, read_only),
            ("T1", "WORD", true, read_only),
        ] {
            assert_eq!(of(text, kind, is_written), Err(expected.to_owned()), "{text}");
        }
    }
}
