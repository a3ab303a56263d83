//! Addresses of tags: an area and a number in one of three notations (routes reference §5.5), and what of it a value takes.

use lotmq_guest::route::Failure;
use route_settings::Settings;
use route_tags::{DataType, TagSettings, Value};

use crate::limits::{BITS_MAX, BITS_WRITTEN_MAX, EVERYBODY, REGISTERS_WRITTEN_MAX};
use crate::words::ByteOrder;

/// Area of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Area {
    Coil,
    DiscreteInput,
    InputRegister,
    HoldingRegister,
}

/// Address of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) unit: u8,
    pub(crate) area: Area,
    /// First register or bit, from 0.
    pub(crate) first: u16,
    /// Registers or bits.
    pub(crate) count: u16,
    /// Bit of the register.
    pub(crate) bit: Option<u8>,
    pub(crate) order: ByteOrder,
}

impl Area {
    fn of_name(name: &str) -> Option<Area> {
        Some(match name.to_ascii_uppercase().as_str() {
            "COIL" => Area::Coil,
            "DISCRETE_INPUT" => Area::DiscreteInput,
            "INPUT_REGISTER" => Area::InputRegister,
            "HOLDING_REGISTER" => Area::HoldingRegister,
            _ => return None,
        })
    }

    /// Whether it is an area of bits.
    pub(crate) fn is_bits(self) -> bool {
        matches!(self, Area::Coil | Area::DiscreteInput)
    }

    fn is_writable(self) -> bool {
        matches!(self, Area::Coil | Area::HoldingRegister)
    }
}

/// Reads the address of a tag. `defaults` are the unit and the byte order of the section.
pub(crate) fn read(
    mapping: &Settings<'_>,
    tag: &Settings<'_>,
    settings: &TagSettings,
    defaults: (u8, ByteOrder),
    registers_max: u16,
) -> Result<Address, Failure> {
    let unit = tag.number("SLAVE_ID").or_else(|| mapping.number("SLAVE_ID"));
    let unit = unit.and_then(|unit| u8::try_from(unit).ok()).unwrap_or(defaults.0);
    let order = tag.text("BYTE_ORDER")?.and_then(|name| ByteOrder::of_name(&name)).unwrap_or(defaults.1);
    let area = tag.text("ADDRESS_TYPE")?;
    let wrong = |reason: String| settings.wrong(&reason);
    let (area, first, bit) = parse(&settings.address, area.as_deref()).map_err(wrong)?;
    let count = count(settings, area, bit).map_err(|reason| settings.wrong(&reason))?;
    let address = Address { unit, area, first, count, bit, order };
    check(&address, settings.is_written, registers_max).map_err(|reason| settings.wrong(&reason))?;
    Ok(address)
}

/// Area, number from 0 and bit of a text.
fn parse(text: &str, area: Option<&str>) -> Result<(Area, u16, Option<u8>), String> {
    let (number, bit) =
        text.trim().split_once('.').map_or((text.trim(), None), |(number, bit)| (number, Some(bit)));
    let bit = match bit.map(str::parse::<u8>) {
        None => None,
        Some(Ok(bit)) if bit < 16 => Some(bit),
        Some(_) => return Err("a register has the bits 0 to 15".to_owned()),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it is no number, such as 40001, or 40001.3 for a bit".to_owned());
    }
    let raw = |area: Area| match number.parse::<u16>() {
        Ok(first) => Ok((area, first, bit)),
        Err(_) => Err("addresses end at 65535".to_owned()),
    };
    if let Some(area) = area {
        return raw(Area::of_name(area).ok_or_else(|| format!("'{area}' is no ADDRESS_TYPE"))?);
    }
    if !matches!(number.len(), 5 | 6) {
        return raw(Area::HoldingRegister);
    }
    let (digit, number) = number.split_at(1);
    let area = match digit {
        "0" => Area::Coil,
        "1" => Area::DiscreteInput,
        "3" => Area::InputRegister,
        "4" => Area::HoldingRegister,
        _ => {
            return Err(
                "a number of 5 or 6 digits begins with 0, 1, 3 or 4; say ADDRESS_TYPE for another one"
                    .to_owned(),
            );
        }
    };
    let number = number.parse::<u32>().ok().and_then(|number| number.checked_sub(1));
    let number = number.ok_or_else(|| "numbers of 5 or 6 digits count from 1, as 40001 does".to_owned())?;
    u16::try_from(number).map(|first| (area, first, bit)).map_err(|_| "addresses end at 65536".to_owned())
}

/// Registers or bits that the value takes.
fn count(settings: &TagSettings, area: Area, bit: Option<u8>) -> Result<u16, String> {
    let length = settings.length.unwrap_or(1);
    let count = if area.is_bits() || bit.is_some() {
        if settings.kind != DataType::Bool {
            return Err(format!("a bit is a BOOL and no {}", settings.kind.name()));
        }
        if bit.is_some() && (area.is_bits() || settings.length.is_some()) {
            return Err("bits are of a single register".to_owned());
        }
        length
    } else if settings.kind.is_text() {
        settings.length.ok_or_else(|| "a text needs LENGTH".to_owned())?.div_ceil(2)
    } else {
        settings.kind.bytes().div_ceil(2) * length
    };
    u16::try_from(count).map_err(|_| format!("{count} are too many"))
}

fn check(address: &Address, is_written: bool, registers_max: u16) -> Result<(), String> {
    let Address { area, first, count, .. } = *address;
    let (read, written, what) = match area.is_bits() {
        true => (BITS_MAX, BITS_WRITTEN_MAX, "bits"),
        false => (registers_max, REGISTERS_WRITTEN_MAX, "registers"),
    };
    if count > read || (is_written && count > written) {
        return Err(format!(
            "it takes {count} {what}, a request has {}",
            if is_written { written.min(read) } else { read }
        ));
    }
    if address.unit == EVERYBODY && !is_written {
        return Err("unit 0 is all units, of which none answers: it is written, and needs DESTINATION_TOPIC"
            .to_owned());
    }
    if address.unit == EVERYBODY && address.bit.is_some() {
        return Err("a bit of all units cannot be written: their registers would have to be read".to_owned());
    }
    if u32::from(first) + u32::from(count) > 65_536 {
        return Err("it goes beyond the end of the area".to_owned());
    }
    if is_written && !area.is_writable() {
        return Err("an input cannot be written".to_owned());
    }
    Ok(())
}

impl Address {
    /// Value of the bits of the tag.
    pub(crate) fn of_bits(&self, settings: &TagSettings, bits: &[bool]) -> Option<Value> {
        match settings.length {
            Some(_) => Some(Value::List(bits.iter().map(|bit| Value::Bool(*bit)).collect())),
            None => bits.first().map(|bit| Value::Bool(*bit)),
        }
    }

    /// Value of the registers of the tag.
    pub(crate) fn of_registers(&self, settings: &TagSettings, bytes: &[u8]) -> Option<Value> {
        if let Some(bit) = self.bit {
            let register = u16::from_be_bytes(bytes.try_into().ok()?);
            return Some(Value::Bool(register >> bit & 1 == 1));
        }
        let mut bytes = bytes.to_vec();
        if settings.kind.is_text() {
            self.order.arrange_text(&mut bytes);
            bytes.truncate(settings.length?);
            return Value::decode(DataType::Text, &bytes);
        }
        let values = bytes.chunks_mut(self.value_bytes(settings)).map(|bytes| {
            self.order.arrange(bytes);
            // What is smaller than a register is its low byte; a truth value is any bit of it.
            let is_small = settings.kind.bytes() == 1 && settings.kind != DataType::Bool;
            Value::decode(settings.kind, bytes.get(usize::from(is_small)..)?)
        });
        let values: Vec<Value> = values.collect::<Option<_>>()?;
        if settings.length.is_some() { Some(Value::List(values)) } else { values.into_iter().next() }
    }

    /// Registers, as bytes, for a value of the tag.
    pub(crate) fn registers_of(&self, settings: &TagSettings, value: &Value) -> Result<Vec<u8>, String> {
        if let (true, Value::Text(text)) = (settings.kind.is_text(), value) {
            let length = settings.length.unwrap_or(0);
            if text.len() > length {
                return Err(format!("a text of {} bytes, there is room for {length}", text.len()));
            }
            let mut bytes = text.clone().into_bytes();
            bytes.resize(usize::from(self.count) * 2, 0);
            self.order.arrange_text(&mut bytes);
            return Ok(bytes);
        }
        let one = |value: &Value| {
            let mut bytes = value.encode(settings.kind).ok_or_else(|| "it is of another type".to_owned())?;
            let is_negative = matches!(value, Value::Whole(number) if *number < 0);
            while bytes.len() < self.value_bytes(settings) {
                bytes.insert(0, if is_negative { 0xFF } else { 0 });
            }
            self.order.arrange(&mut bytes);
            Ok(bytes)
        };
        match value {
            Value::List(values) => {
                values.iter().map(one).collect::<Result<Vec<_>, String>>().map(|all| all.concat())
            }
            _ => one(value),
        }
    }

    fn value_bytes(&self, settings: &TagSettings) -> usize {
        settings.kind.bytes().max(2)
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
        let address = read(&mapping, &tag, &settings, (1, ByteOrder::Abcd), 125).map_err(told)?;
        Ok(Tag::new(settings, address))
    }

    #[test]
    fn addresses_are_read_in_three_notations() {
        use Area::{Coil, DiscreteInput, HoldingRegister, InputRegister};
        for (text, area, expected) in [
            ("40001", None, (HoldingRegister, 0, None)),
            ("465536", None, (HoldingRegister, 65_535, None)),
            ("30010", None, (InputRegister, 9, None)),
            ("10001", None, (DiscreteInput, 0, None)),
            ("00002", None, (Coil, 1, None)),
            ("100", None, (HoldingRegister, 100, None)),
            ("0", None, (HoldingRegister, 0, None)),
            ("40001", Some("HOLDING_REGISTER"), (HoldingRegister, 40_001, None)),
            ("7", Some("coil"), (Coil, 7, None)),
            ("40001.3", None, (HoldingRegister, 0, Some(3))),
            ("5.15", Some("INPUT_REGISTER"), (InputRegister, 5, Some(15))),
        ] {
            assert_eq!(parse(text, area), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        const OF: &str = "tag M/T: ADDRESS";
        for (settings, expected) in [
            (
                r#""ADDRESS":"40000","DATA_TYPE":"INT""#,
                "'40000': numbers of 5 or 6 digits count from 1, as 40001 does",
            ),
            (
                r#""ADDRESS":"20001","DATA_TYPE":"INT""#,
                "'20001': a number of 5 or 6 digits begins with 0, 1, 3 or 4; say ADDRESS_TYPE for another one",
            ),
            (r#""ADDRESS":"465537","DATA_TYPE":"INT""#, "'465537': addresses end at 65536"),
            (
                r#""ADDRESS":"65536","DATA_TYPE":"INT","ADDRESS_TYPE":"COIL""#,
                "'65536': addresses end at 65535",
            ),
            (
                r#""ADDRESS":"x1","DATA_TYPE":"INT""#,
                "'x1': it is no number, such as 40001, or 40001.3 for a bit",
            ),
            (r#""ADDRESS":"40001.16","DATA_TYPE":"BOOL""#, "'40001.16': a register has the bits 0 to 15"),
            (r#""ADDRESS":"40001.1","DATA_TYPE":"INT""#, "'40001.1': a bit is a BOOL and no INT16"),
            (r#""ADDRESS":"00001","DATA_TYPE":"INT""#, "'00001': a bit is a BOOL and no INT16"),
            (r#""ADDRESS":"00001.1","DATA_TYPE":"BOOL""#, "'00001.1': bits are of a single register"),
            (r#""ADDRESS":"40001","DATA_TYPE":"STRING""#, "'40001': a text needs LENGTH"),
            (
                r#""ADDRESS":"40001","DATA_TYPE":"INT","LENGTH":126"#,
                "'40001': it takes 126 registers, a request has 125",
            ),
            (
                r#""ADDRESS":"65535","DATA_TYPE":"DINT","ADDRESS_TYPE":"HOLDING_REGISTER""#,
                "'65535': it goes beyond the end of the area",
            ),
            (
                r#""ADDRESS":"40001","DATA_TYPE":"INT","SLAVE_ID":0"#,
                "'40001': unit 0 is all units, of which none answers: it is written, and needs DESTINATION_TOPIC",
            ),
            (
                r#""ADDRESS":"40001.3","DATA_TYPE":"BOOL","SLAVE_ID":0,"DESTINATION_TOPIC":"w""#,
                "'40001.3': a bit of all units cannot be written: their registers would have to be read",
            ),
            (
                r#""ADDRESS":"30001","DATA_TYPE":"INT","DESTINATION_TOPIC":"w""#,
                "'30001': an input cannot be written",
            ),
        ] {
            assert_eq!(tag(settings).map(|tag| tag.address), Err(format!("{OF} {expected}")), "{settings}");
        }
    }

    #[test]
    fn registers_become_values_and_values_registers() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (settings, bytes, value) in [
            (r#""DATA_TYPE":"INT""#, &[0xFF, 0xFE][..], Value::Whole(-2)),
            (r#""DATA_TYPE":"SINT""#, &[0xFF, 0xFE], Value::Whole(-2)),
            (r#""DATA_TYPE":"BYTE""#, &[0, 0xFE], Value::Whole(254)),
            (r#""DATA_TYPE":"BOOL""#, &[0, 1], Value::Bool(true)),
            (r#""DATA_TYPE":"REAL""#, &[0x41, 0xAC, 0, 0], Value::Single(21.5)),
            (r#""DATA_TYPE":"REAL","BYTE_ORDER":"CDAB""#, &[0, 0, 0x41, 0xAC], Value::Single(21.5)),
            (r#""DATA_TYPE":"UDINT","BYTE_ORDER":"DCBA""#, &[1, 0, 0, 0], Value::Whole(1)),
            (r#""DATA_TYPE":"STRING","LENGTH":3"#, b"abc\0", text("abc")),
            (r#""DATA_TYPE":"STRING","LENGTH":4,"BYTE_ORDER":"BADC""#, b"badc", text("abcd")),
            (
                r#""DATA_TYPE":"INT","LENGTH":2"#,
                &[0, 1, 0, 2],
                Value::List(vec![Value::Whole(1), Value::Whole(2)]),
            ),
        ] {
            let tag = tag(&format!(r#""ADDRESS":"40001",{settings}"#)).unwrap();
            let (address, settings) = (&tag.address, &tag.settings);
            assert_eq!(usize::from(address.count) * 2, bytes.len());
            assert_eq!(address.of_registers(settings, bytes), Some(value.clone()), "{settings:?}");
            assert_eq!(address.registers_of(settings, &value).as_deref(), Ok(bytes), "{settings:?}");
        }
        let tag = tag(r#""ADDRESS":"40001","DATA_TYPE":"STRING","LENGTH":3"#).unwrap();
        let refused = tag.address.registers_of(&tag.settings, &text("abcd"));
        assert_eq!(refused, Err("a text of 4 bytes, there is room for 3".to_owned()));
    }
}
