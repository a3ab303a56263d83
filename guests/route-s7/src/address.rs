//! Addresses of tags (routes reference §5.7), as `lot-tags` parses them, and the values in their
//! bytes.

use lot_tags::s7::{self, S7Address, header_bytes};
use lotmq_guest::route::Failure;
use route_tags::{DataType, TagSettings, Value, text_of_bytes};

/// Reads the address of a tag.
pub(crate) fn read(settings: &TagSettings) -> Result<S7Address, Failure> {
    s7::address(&settings.address, &settings.shape).map_err(|reason| settings.wrong(&reason))
}

/// Value in the bytes of the tag.
pub(crate) fn value(address: &S7Address, settings: &TagSettings, bytes: &[u8]) -> Option<Value> {
    let kind = settings.shape.kind;
    if let Some(bit) = address.bit {
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
    if settings.shape.length.is_some() { Some(Value::List(values)) } else { values.into_iter().next() }
}

/// Bytes for a value of the tag.
pub(crate) fn bytes_of(
    address: &S7Address,
    settings: &TagSettings,
    value: &Value,
) -> Result<Vec<u8>, String> {
    let kind = settings.shape.kind;
    let encoded = |value: &Value| value.encode(kind).ok_or_else(|| "it is of another type".to_owned());
    if kind.is_text() {
        let characters = encoded(value)?;
        let room = (address.bytes as usize).saturating_sub(header_bytes(kind)) / kind.bytes();
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use route_settings::Configuration;
    use route_tags::Tag;

    /// A tag with these settings, as JSON.
    pub(crate) fn tag(settings: &str) -> Result<Tag<S7Address>, String> {
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
    fn what_is_no_address_is_refused_with_the_name_of_the_tag() {
        let told = tag(r#""ADDRESS":"M1.8","DATA_TYPE":"BOOL""#).map(|tag| tag.address);
        assert_eq!(told, Err("tag M/T: ADDRESS 'M1.8': a byte has the bits 0 to 7".to_owned()));
        let told = tag(r#""ADDRESS":"IW0","DATA_TYPE":"INT","DESTINATION_TOPIC":"w""#).map(|tag| tag.address);
        assert!(told.unwrap_err().ends_with("an input, a timer or a counter cannot be written"));
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
            assert_eq!(super::value(&tag.address, &tag.settings, bytes), Some(value.clone()), "{settings}");
            assert_eq!(bytes_of(&tag.address, &tag.settings, &value).as_deref(), Ok(bytes), "{settings}");
        }
        let tag = tag(r#""ADDRESS":"DB1.DBS0.4","DATA_TYPE":"STRING""#).unwrap();
        // More than there is room for, as a block that was not set up has it.
        assert_eq!(super::value(&tag.address, &tag.settings, b"\xFE\xFEabcd"), Some(text("abcd")));
        assert!(bytes_of(&tag.address, &tag.settings, &text("abcde")).is_err());
    }
}
