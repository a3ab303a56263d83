//! Addresses of Modbus: an area and a number in one of three notations (routes reference §5.5), and
//! the range that a value takes.

use crate::{DataType, TagShape};

/// Unit that stands for all of them, on a serial line: Modbus over Serial Line 1.02, §2.2.
pub const EVERYBODY: u8 = 0;

/// Registers of one read request: Modbus Application Protocol 1.1b3, §6.3.
pub const REGISTERS_MAX: u16 = 125;

/// Registers of one write request: §6.12.
const REGISTERS_WRITTEN_MAX: u16 = 123;

/// Coils or inputs of one read request: §6.1.
pub const BITS_MAX: u16 = 2_000;

/// Coils of one write request: §6.11.
const BITS_WRITTEN_MAX: u16 = 1_968;

/// ModbusArea of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum ModbusArea {
    Coil,
    DiscreteInput,
    InputRegister,
    HoldingRegister,
}

/// ModbusPlace of a value in a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModbusPlace {
    /// ModbusArea of the unit.
    pub area: ModbusArea,
    /// First register or bit, from 0.
    pub first: u16,
    /// Registers or bits.
    pub count: u16,
    /// Bit of the register, 0 to 15.
    pub bit: Option<u8>,
}

/// Unit that has a place, as far as it bounds that.
#[derive(Clone, Copy, Debug)]
pub struct ModbusUnit {
    /// Its number, [`EVERYBODY`] for all.
    pub number: u8,
    /// Most registers of one request, [`REGISTERS_MAX`] at most.
    pub registers_max: u16,
}

impl ModbusArea {
    /// ModbusArea of an `ADDRESS_TYPE`, in any case.
    fn of_name(name: &str) -> Option<ModbusArea> {
        Some(match name.to_ascii_uppercase().as_str() {
            "COIL" => ModbusArea::Coil,
            "DISCRETE_INPUT" => ModbusArea::DiscreteInput,
            "INPUT_REGISTER" => ModbusArea::InputRegister,
            "HOLDING_REGISTER" => ModbusArea::HoldingRegister,
            _ => return None,
        })
    }

    /// Whether it is an area of bits.
    pub fn is_bits(self) -> bool {
        matches!(self, ModbusArea::Coil | ModbusArea::DiscreteInput)
    }

    fn is_writable(self) -> bool {
        matches!(self, ModbusArea::Coil | ModbusArea::HoldingRegister)
    }
}

/// Reads an address. Without an `ADDRESS_TYPE` (`area`) it is a number of 5 or 6 digits: the first
/// digit is the area, and the rest counts from 1. With one it counts from 0. A suffix such as `.3`
/// is a bit.
///
/// # Errors
/// Returns why the text is no address of a value of this shape, as words to follow the text.
pub fn place(
    text: &str,
    area: Option<&str>,
    shape: &TagShape,
    unit: ModbusUnit,
) -> Result<ModbusPlace, String> {
    let (area, first, bit) = parse(text, area)?;
    let count = count(shape, area, bit)?;
    let place = ModbusPlace { area, first, count, bit };
    check(&place, shape.is_written, unit)?;
    Ok(place)
}

/// ModbusArea, number from 0 and bit of a text.
fn parse(text: &str, area: Option<&str>) -> Result<(ModbusArea, u16, Option<u8>), String> {
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
    let raw = |area: ModbusArea| match number.parse::<u16>() {
        Ok(first) => Ok((area, first, bit)),
        Err(_) => Err("addresses end at 65535".to_owned()),
    };
    if let Some(area) = area {
        return raw(ModbusArea::of_name(area).ok_or_else(|| format!("'{area}' is no ADDRESS_TYPE"))?);
    }
    if !matches!(number.len(), 5 | 6) {
        return raw(ModbusArea::HoldingRegister);
    }
    let (digit, number) = number.split_at(1);
    let area = match digit {
        "0" => ModbusArea::Coil,
        "1" => ModbusArea::DiscreteInput,
        "3" => ModbusArea::InputRegister,
        "4" => ModbusArea::HoldingRegister,
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
fn count(shape: &TagShape, area: ModbusArea, bit: Option<u8>) -> Result<u16, String> {
    let length = shape.length.unwrap_or(1);
    let count = if area.is_bits() || bit.is_some() {
        if shape.kind != DataType::Bool {
            return Err(format!("a bit is a BOOL and no {}", shape.kind.name()));
        }
        if bit.is_some() && (area.is_bits() || shape.length.is_some()) {
            return Err("bits are of a single register".to_owned());
        }
        length
    } else if shape.kind.is_text() {
        shape.length.ok_or_else(|| "a text needs LENGTH".to_owned())?.div_ceil(2)
    } else {
        shape.kind.bytes().div_ceil(2).saturating_mul(length)
    };
    u16::try_from(count).map_err(|_| format!("{count} are too many"))
}

fn check(place: &ModbusPlace, is_written: bool, unit: ModbusUnit) -> Result<(), String> {
    let ModbusPlace { area, first, count, .. } = *place;
    let ModbusUnit { number, registers_max } = unit;
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
    if number == EVERYBODY && !is_written {
        return Err("unit 0 is all units, of which none answers: it is written, and needs DESTINATION_TOPIC"
            .to_owned());
    }
    if number == EVERYBODY && place.bit.is_some() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_three_notations() {
        use ModbusArea::{Coil, DiscreteInput, HoldingRegister, InputRegister};
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
    fn invalid_address_is_rejected_with_a_reason() {
        let own = |text, kind| (text, None, kind, None, (1, false));
        let all = |text, kind, is_written| (text, None, kind, None, (EVERYBODY, is_written));
        for ((text, area, kind, length, (unit, is_written)), expected) in [
            (own("40000", "INT"), "numbers of 5 or 6 digits count from 1, as 40001 does"),
            (
                own("20001", "INT"),
                "a number of 5 or 6 digits begins with 0, 1, 3 or 4; say ADDRESS_TYPE for another one",
            ),
            (own("465537", "INT"), "addresses end at 65536"),
            (("65536", Some("COIL"), "INT", None, (1, false)), "addresses end at 65535"),
            (own("x1", "INT"), "it is no number, such as 40001, or 40001.3 for a bit"),
            (own("40001.16", "BOOL"), "a register has the bits 0 to 15"),
            (own("40001.1", "INT"), "a bit is a BOOL and no INT16"),
            (own("00001", "INT"), "a bit is a BOOL and no INT16"),
            (own("00001.1", "BOOL"), "bits are of a single register"),
            (own("40001", "STRING"), "a text needs LENGTH"),
            (("40001", None, "INT", Some(126), (1, false)), "it takes 126 registers, a request has 125"),
            (("40001", None, "INT", Some(124), (1, true)), "it takes 124 registers, a request has 123"),
            (("00001", None, "BOOL", Some(1_969), (1, true)), "it takes 1969 bits, a request has 1968"),
            (
                ("65535", Some("HOLDING_REGISTER"), "DINT", None, (1, false)),
                "it goes beyond the end of the area",
            ),
            (
                all("40001", "INT", false),
                "unit 0 is all units, of which none answers: it is written, and needs DESTINATION_TOPIC",
            ),
            (
                all("40001.3", "BOOL", true),
                "a bit of all units cannot be written: their registers would have to be read",
            ),
            (("30001", None, "INT", None, (1, true)), "an input cannot be written"),
        ] {
            let shape = TagShape { kind: DataType::of_name(kind).unwrap(), length, is_written };
            let refused =
                place(text, area, &shape, ModbusUnit { number: unit, registers_max: REGISTERS_MAX });
            assert_eq!(refused, Err(expected.to_owned()), "{text}");
        }
    }
}
