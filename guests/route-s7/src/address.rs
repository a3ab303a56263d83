//! Addresses of tags (routes reference §5.7), and what a value takes of its area.

use lotmq_guest::route::Failure;
use route_tags::{DataType, TagSettings, Value, text_of_bytes};

use crate::limits::TEXT_LENGTH_MAX;

/// Area of a PLC; its number is that of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Area {
    Counter = 0x1C,
    Timer = 0x1D,
    Input = 0x81,
    Output = 0x82,
    Flag = 0x83,
    Block = 0x84,
}

impl Area {
    /// Whether it is addressed by numbers of two bytes each.
    pub(crate) fn is_numbered(self) -> bool {
        matches!(self, Area::Counter | Area::Timer)
    }
}

/// Address of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) area: Area,
    /// Number of the data block; 0 of other areas.
    pub(crate) block: u16,
    /// First byte, or number of the timer or counter.
    pub(crate) first: u32,
    pub(crate) bytes: u32,
    pub(crate) bit: Option<u8>,
}

/// What an address says before its type is known.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    area: Area,
    block: u16,
    first: u32,
    bit: Option<u8>,
    /// Bytes that its letter stands for: `W` for two. A text has its length in place of that.
    width: Option<usize>,
    length: Option<u16>,
}

/// Reads the address of a tag.
pub(crate) fn read(settings: &TagSettings) -> Result<Address, Failure> {
    let wrong = |reason: String| settings.wrong(&reason);
    let place = parse(&settings.address).map_err(wrong)?;
    let bytes = bytes(&place, settings).map_err(|reason| settings.wrong(&reason))?;
    let Place { area, block, first, bit, .. } = place;
    if settings.is_written && (area == Area::Input || area.is_numbered()) {
        return Err(settings.wrong("an input, a timer or a counter cannot be written"));
    }
    if u64::from(first) + u64::from(bytes) > 65_536 {
        return Err(settings.wrong("it goes beyond the end of the area"));
    }
    Ok(Address { area, block, first, bytes, bit })
}

fn parse(text: &str) -> Result<Place, String> {
    let text = text.trim().to_ascii_uppercase();
    let unknown =
        || "it is none such as DB1.DBW4, DB1.DBX8.0, DB1.DBS10.20, MB2, M10.1, IW0, QB1, T1 or C1".to_owned();
    let (area, block, rest) = match text.strip_prefix("DB").and_then(|rest| rest.split_once(".DB")) {
        Some((block, rest)) => (Area::Block, block.parse().map_err(|_| unknown())?, rest),
        None => {
            let area = match text.chars().next() {
                Some('M') => Area::Flag,
                Some('I' | 'E') => Area::Input,
                Some('Q' | 'A') => Area::Output,
                Some('T') => Area::Timer,
                Some('C' | 'Z') => Area::Counter,
                _ => return Err(unknown()),
            };
            (area, 0, text.get(1..).unwrap_or_default())
        }
    };
    if area == Area::Block && block == 0 {
        return Err("data blocks count from 1".to_owned());
    }
    let letter = rest.chars().next().filter(char::is_ascii_alphabetic);
    let digits = &rest[letter.map_or(0, char::len_utf8)..];
    let (first, behind) =
        digits.split_once('.').map_or((digits, None), |(first, behind)| (first, Some(behind)));
    let first: u32 = first.parse().map_err(|_| unknown())?;
    let place = Place { area, block, first, bit: None, width: None, length: None };
    let place = match (letter, behind) {
        (None, None) if area.is_numbered() => Place { width: Some(2), ..place },
        _ if area.is_numbered() => return Err(unknown()),
        (Some('B'), None) => Place { width: Some(1), ..place },
        (Some('W'), None) => Place { width: Some(2), ..place },
        (Some('D'), None) => Place { width: Some(4), ..place },
        (Some('S'), Some(length)) => Place { length: Some(length.parse().map_err(|_| unknown())?), ..place },
        (Some('X'), Some(bit)) => Place { bit: Some(bit.parse().map_err(|_| unknown())?), ..place },
        (None, Some(bit)) if area != Area::Block => {
            Place { bit: Some(bit.parse().map_err(|_| unknown())?), ..place }
        }
        _ => return Err(unknown()),
    };
    if place.bit.is_some_and(|bit| bit > 7) {
        return Err("a byte has the bits 0 to 7".to_owned());
    }
    Ok(place)
}

/// Bytes that the value takes.
fn bytes(place: &Place, settings: &TagSettings) -> Result<u32, String> {
    let (kind, name) = (settings.kind, settings.kind.name());
    let bytes = match (place.bit, place.length) {
        (Some(_), _) if kind != DataType::Bool || settings.length.is_some() => {
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
            kind.bytes() * settings.length.unwrap_or(1)
        }
    };
    u32::try_from(bytes).map_err(|_| format!("{bytes} bytes are too many"))
}

/// Bytes before the characters of a text: its greatest and its present length.
fn header_bytes(kind: DataType) -> usize {
    2 * kind.bytes()
}

impl Address {
    /// Value in the bytes of the tag.
    pub(crate) fn value(&self, settings: &TagSettings, bytes: &[u8]) -> Option<Value> {
        let kind = settings.kind;
        if let Some(bit) = self.bit {
            return Some(Value::Bool(bytes.first()? >> bit & 1 == 1));
        }
        if kind.is_text() {
            let (header, characters) = bytes.split_at_checked(header_bytes(kind))?;
            let (_, present) = header.split_at(kind.bytes());
            let present = present.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let characters = characters.get(..(present * kind.bytes()).min(characters.len()))?;
            let is_narrow = kind == DataType::Text;
            return if is_narrow {
                Some(Value::Text(text_of_bytes(characters)))
            } else {
                Value::decode(kind, characters)
            };
        }
        let values = bytes.chunks(kind.bytes()).map(|bytes| Value::decode(kind, bytes));
        let values: Vec<Value> = values.collect::<Option<_>>()?;
        if settings.length.is_some() { Some(Value::List(values)) } else { values.into_iter().next() }
    }

    /// Bytes for a value of the tag.
    pub(crate) fn bytes_of(&self, settings: &TagSettings, value: &Value) -> Result<Vec<u8>, String> {
        let kind = settings.kind;
        let encoded = |value: &Value| value.encode(kind).ok_or_else(|| "it is of another type".to_owned());
        if kind.is_text() {
            let characters = encoded(value)?;
            let room = (self.bytes as usize).saturating_sub(header_bytes(kind)) / kind.bytes();
            let present = characters.len() / kind.bytes();
            if present > room {
                return Err(format!("a text of {present} characters, there is room for {room}"));
            }
            let length = |length: usize| {
                let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
                length[2 - kind.bytes()..].to_vec()
            };
            return Ok([length(room), length(present), characters].concat());
        }
        match value {
            Value::List(values) => {
                values.iter().map(encoded).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
            }
            _ => encoded(value),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use route_settings::Configuration;
    use route_tags::Tag;

    /// A tag with these settings, as JSON.
    pub(crate) fn tag(settings: &str) -> Result<Tag<Address>, String> {
        let text = format!(r#"{{"mappings":{{"M":{{"tags":{{"T":{{{settings}}}}}}}}}}}"#);
        let configuration = Configuration::parse(&text).unwrap();
        let mapping = configuration.mappings().next().unwrap();
        let tag = mapping.tags().next().unwrap();
        let told = |failure| match failure {
            Failure::Fatal(reason) => reason,
            other => format!("{other:?}"),
        };
        let settings = TagSettings::read(&mapping, &tag).map_err(told)?;
        let address = read(&settings).map_err(told)?;
        Ok(Tag::new(settings, address))
    }

    #[test]
    fn addresses_of_all_areas_are_read() {
        use Area::{Block, Counter, Flag, Input, Output, Timer};
        for (address, kind, (area, block, first, bytes, bit)) in [
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
            let tag = tag(&format!(r#""ADDRESS":"{address}","DATA_TYPE":"{kind}""#)).unwrap();
            assert_eq!(tag.address, Address { area, block, first, bytes, bit }, "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        let unknown = "it is none such as DB1.DBW4, DB1.DBX8.0, DB1.DBS10.20, MB2, M10.1, IW0, QB1, T1 or C1";
        for (address, kind, expected) in [
            ("", "INT", "tag M/T: ADDRESS is missing"),
            ("DB1", "INT", unknown),
            ("DB1.W4", "INT", unknown),
            ("DB1.DBX8", "BOOL", unknown),
            ("X1", "INT", unknown),
            ("T1.0", "WORD", unknown),
            ("DB0.DBW4", "INT", "data blocks count from 1"),
            ("M1.8", "BOOL", "a byte has the bits 0 to 7"),
            ("M1.1", "INT", "a bit is a single BOOL and no INT16"),
            ("DB1.DBD0", "INT", "INT16 is not as wide as the address"),
            ("DB1.DBW0", "BOOL", "a BOOL has an address with a bit, such as DB1.DBX8.0"),
            ("DB1.DBB0", "STRING", "a text has an address such as DB1.DBS10.20"),
            ("DB1.DBS0.255", "STRING", "a text is a STRING or WSTRING of 1 to 254 characters"),
            ("MW65535", "INT", "it goes beyond the end of the area"),
        ] {
            let told = tag(&format!(r#""ADDRESS":"{address}","DATA_TYPE":"{kind}""#))
                .map(|tag| tag.address)
                .unwrap_err();
            assert!(told.ends_with(expected), "{address}: {told}");
        }
        let input =
            tag(r#""ADDRESS":"IW0","DATA_TYPE":"INT","DESTINATION_TOPIC":"w""#).map(|tag| tag.address);
        assert!(input.unwrap_err().ends_with("an input, a timer or a counter cannot be written"));
    }

    #[test]
    fn bytes_become_values_and_values_bytes() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (settings, bytes, value) in [
            (r#""ADDRESS":"DB1.DBW0","DATA_TYPE":"INT""#, &[0xFF, 0xFE][..], Value::Whole(-2)),
            (r#""ADDRESS":"DB1.DBD0","DATA_TYPE":"REAL""#, &[0x41, 0xAC, 0, 0], Value::Single(21.5)),
            (r#""ADDRESS":"DB1.DBS0.4","DATA_TYPE":"STRING""#, b"\x04\x02ab", text("ab")),
            (r#""ADDRESS":"DB1.DBS0.4","DATA_TYPE":"WSTRING""#, b"\0\x04\0\x01\0a", text("a")),
            (
                r#""ADDRESS":"DB1.DBB0","DATA_TYPE":"BYTE","LENGTH":2"#,
                &[1, 2],
                Value::List(vec![Value::Whole(1), Value::Whole(2)]),
            ),
        ] {
            let tag = tag(settings).unwrap();
            assert_eq!(tag.address.value(&tag.settings, bytes), Some(value.clone()), "{settings}");
            assert_eq!(tag.address.bytes_of(&tag.settings, &value).as_deref(), Ok(bytes), "{settings}");
        }
        let tag = tag(r#""ADDRESS":"DB1.DBS0.4","DATA_TYPE":"STRING""#).unwrap();
        // More than there is room for, as a block that was not set up has it.
        assert_eq!(tag.address.value(&tag.settings, b"\xFE\xFEabcd"), Some(text("abcd")));
        assert!(tag.address.bytes_of(&tag.settings, &text("abcde")).is_err());
    }
}
