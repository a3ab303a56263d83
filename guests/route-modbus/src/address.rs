//! Addresses of tags: a place in a unit, as `lot-tags` parses it (routes reference §5.5), and the
//! values there.

use lot_tags::modbus::{self, ModbusArea, ModbusPlace, ModbusUnit};
use lotmq_guest::route::Failure;
use route_settings::Settings;
use route_tags::{DataType, TagSettings, Value};

use crate::words::ByteOrder;

/// Address of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) unit: u8,
    /// Whether all units of a serial line are meant.
    pub(crate) is_everybody: bool,
    pub(crate) area: ModbusArea,
    /// First register or bit, from 0.
    pub(crate) first: u16,
    /// Registers or bits.
    pub(crate) count: u16,
    /// Bit of the register.
    pub(crate) bit: Option<u8>,
    pub(crate) order: ByteOrder,
}

/// Settings of the section that hold for tags without their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) unit: u8,
    pub(crate) order: ByteOrder,
    /// Most registers of one request.
    pub(crate) registers_max: u16,
    /// Whether the line has a unit number for all units.
    pub(crate) has_everybody: bool,
}

/// Reads the address of a tag.
pub(crate) fn read(
    mapping: &Settings<'_>,
    tag: &Settings<'_>,
    settings: &TagSettings,
    defaults: Defaults,
) -> Result<Address, Failure> {
    let unit = tag.number("SLAVE_ID").or_else(|| mapping.number("SLAVE_ID"));
    let unit = unit.and_then(|unit| u8::try_from(unit).ok()).unwrap_or(defaults.unit);
    let order = tag.text("BYTE_ORDER")?.and_then(|name| ByteOrder::of_name(&name)).unwrap_or(defaults.order);
    let area = tag.text("ADDRESS_TYPE")?;
    let is_everybody = defaults.has_everybody && unit == modbus::EVERYBODY;
    // Over TCP unit 0 is a device like others.
    let number = if is_everybody { modbus::EVERYBODY } else { unit.max(1) };
    let asked = ModbusUnit { number, registers_max: defaults.registers_max };
    let place = modbus::place(&settings.address, area.as_deref(), &settings.shape, asked);
    let ModbusPlace { area, first, count, bit } = place.map_err(|reason| settings.wrong(&reason))?;
    Ok(Address { unit, is_everybody, area, first, count, bit, order })
}

impl Address {
    /// Value of the bits of the tag.
    pub(crate) fn of_bits(&self, settings: &TagSettings, bits: &[bool]) -> Option<Value> {
        match settings.shape.length {
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
        if settings.shape.kind.is_text() {
            self.order.arrange_text(&mut bytes);
            bytes.truncate(settings.shape.length?);
            return Value::decode(DataType::Text, &bytes);
        }
        let values = bytes.chunks_mut(self.value_bytes(settings)).map(|bytes| {
            self.order.arrange(bytes);
            // A value smaller than a register is its low byte; a truth value is any bit of it.
            let is_small = settings.shape.kind.bytes() == 1 && settings.shape.kind != DataType::Bool;
            Value::decode(settings.shape.kind, bytes.get(usize::from(is_small)..)?)
        });
        let values: Vec<Value> = values.collect::<Option<_>>()?;
        if settings.shape.length.is_some() { Some(Value::List(values)) } else { values.into_iter().next() }
    }

    /// Registers, as bytes, for a value of the tag.
    pub(crate) fn registers_of(&self, settings: &TagSettings, value: &Value) -> Result<Vec<u8>, String> {
        if let (true, Value::Text(text)) = (settings.shape.kind.is_text(), value) {
            let length = settings.shape.length.unwrap_or(0);
            if text.len() > length {
                return Err(format!("a text of {} bytes, there is room for {length}", text.len()));
            }
            let mut bytes = text.clone().into_bytes();
            bytes.resize(usize::from(self.count) * 2, 0);
            self.order.arrange_text(&mut bytes);
            return Ok(bytes);
        }
        let one = |value: &Value| {
            let mut bytes =
                value.encode(settings.shape.kind).ok_or_else(|| "it is of another type".to_owned())?;
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
        settings.shape.kind.bytes().max(2)
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
        let defaults = Defaults { unit: 1, order: ByteOrder::Abcd, registers_max: 125, has_everybody: true };
        let address = read(&mapping, &tag, &settings, defaults).map_err(told)?;
        Ok(Tag::new(settings, address))
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_name_of_the_tag() {
        const OF: &str = "tag M/T: ADDRESS";
        for (settings, expected) in [
            (
                r#""ADDRESS":"40000","DATA_TYPE":"INT""#,
                "'40000': numbers of 5 or 6 digits count from 1, as 40001 does",
            ),
            (
                r#""ADDRESS":"40001","DATA_TYPE":"INT","SLAVE_ID":0"#,
                "'40001': unit 0 is all units, of which none answers: it is written, and needs DESTINATION_TOPIC",
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
