//! Serial ports of a route: the devices of this machine that its settings name, for its guest.
//!
//! Each section with a `COM_PORT` is a serial port of its own name: `MODBUS_CONFIG` makes `modbus`.
//! The operator lists the devices that routes may open (`routes.serial_ports`). The check happens
//! when the guest opens one.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use lot_facts::{RouteBlock, RouteFacts};
use lotmq_config::is_device_path;
use lotmq_host::fiber::{CharSize, FlowControl, SerialLine, SerialParity, SerialSettings, StopBits};
use lotmq_host::{Capability, Grants};

use super::endpoints::{name_of, setting};
use super::template::Names;

/// Setting by which a section has a serial port.
const SETTING: &str = "COM_PORT";

/// Speeds that a line can have, in bits per second.
const BAUD_RATES: RangeInclusive<u32> = 50..=4_000_000;

/// Reason why the settings of a section make no serial port.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(super) enum NoSerialLine {
    #[error("{section}: {SETTING} is '{value}', which is no path of a device such as '/dev/ttyUSB0'")]
    Device { section: String, value: String },
    #[error("{section}: {key} is '{value}'; {expected} is meant")]
    Setting { section: String, key: &'static str, value: String, expected: &'static str },
    #[error(
        "{section}: module '{module}' was not granted serial:{device}; -grantModule {module} -grant serial:{device} grants it"
    )]
    NotGranted { section: String, module: String, device: String },
}

/// The serial ports that a route names, of which a `module` must have been granted all.
pub(super) fn serial_lines(
    route: &RouteFacts,
    names: &impl Names,
    grants: &Grants,
    module: Option<&str>,
) -> Result<HashMap<String, SerialLine>, NoSerialLine> {
    let mut lines = HashMap::new();
    for block in &route.sections {
        let section = Section { block, names };
        let Some(device) = section.text(SETTING) else { continue };
        let section_name = || block.name.clone();
        if !is_device_path(&device) {
            return Err(NoSerialLine::Device { section: section_name(), value: device });
        }
        if let Some(module) = module
            && !grants.cover(Capability::OpenSerialPort, &device)
        {
            return Err(NoSerialLine::NotGranted {
                section: section_name(),
                module: module.to_owned(),
                device,
            });
        }
        lines.insert(name_of(block), SerialLine { device, settings: section.settings()? });
    }
    Ok(lines)
}

struct Section<'a, N> {
    block: &'a RouteBlock,
    names: &'a N,
}

impl<N: Names> Section<'_, N> {
    fn settings(&self) -> Result<SerialSettings, NoSerialLine> {
        let plain = SerialSettings::default();
        let baud_rate = |text: &str| text.parse().ok().filter(|rate| BAUD_RATES.contains(rate));
        Ok(SerialSettings {
            baud_rate: self.read("BAUD_RATE", "a number from 50 to 4000000", plain.baud_rate, baud_rate)?,
            data_bits: self.read("DATA_BITS", "a number from 5 to 8", plain.data_bits, data_bits)?,
            parity: self.read("PARITY", "NONE, ODD, EVEN, MARK or SPACE", plain.parity, parity)?,
            stop_bits: self.read("STOP_BITS", "ONE, TWO or ONEPOINTFIVE", plain.stop_bits, stop_bits)?,
            flow_control: self.read(
                "FLOW_CONTROL",
                "NONE, RTS_CTS or XON_XOFF",
                plain.flow_control,
                flow_control,
            )?,
            is_exclusive: self.read("EXCLUSIVE", "TRUE or FALSE", plain.is_exclusive, truth)?,
            is_rs485: self.read("RS485", "TRUE or FALSE", plain.is_rs485, truth)?,
        })
    }

    fn read<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        otherwise: T,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, NoSerialLine> {
        let Some(value) = self.text(key) else { return Ok(otherwise) };
        let section = self.block.name.clone();
        parse(&value.to_ascii_uppercase()).ok_or(NoSerialLine::Setting { section, key, value, expected })
    }

    fn text(&self, key: &str) -> Option<String> {
        setting(self.block, self.names, key)
    }
}

fn data_bits(text: &str) -> Option<CharSize> {
    Some(match text {
        "5" => CharSize::Bits5,
        "6" => CharSize::Bits6,
        "7" => CharSize::Bits7,
        "8" => CharSize::Bits8,
        _ => return None,
    })
}

fn parity(text: &str) -> Option<SerialParity> {
    Some(match text {
        "NONE" => SerialParity::None,
        "ODD" => SerialParity::Odd,
        "EVEN" => SerialParity::Even,
        "MARK" => SerialParity::Mark,
        "SPACE" => SerialParity::Space,
        _ => return None,
    })
}

/// One and a half are two, which hold one and a half: Linux has no other way to say it.
fn stop_bits(text: &str) -> Option<StopBits> {
    Some(match text {
        "ONE" | "1" => StopBits::One,
        "TWO" | "2" | "ONEPOINTFIVE" => StopBits::Two,
        _ => return None,
    })
}

fn flow_control(text: &str) -> Option<FlowControl> {
    Some(match text {
        "NONE" => FlowControl::None,
        "RTS_CTS" => FlowControl::RtsCts,
        "XON_XOFF" => FlowControl::XonXoff,
        _ => return None,
    })
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "TRUE" => Some(true),
        "FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lot_facts::RouteValue;
    use lotmq_host::NameGrant;

    use super::*;

    struct NoNames;

    impl Names for NoNames {
        fn environment(&self, _name: &str) -> Option<String> {
            None
        }
        fn secret(&self, _name: &str) -> Option<String> {
            None
        }
    }

    fn of(
        settings: &[(&str, RouteValue)],
        granted: &NameGrant,
    ) -> Result<HashMap<String, SerialLine>, String> {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let section = RouteBlock { name: "SCALE_CONFIG".to_owned(), settings, ..RouteBlock::default() };
        let sections = vec![RouteBlock { name: "OTHER".to_owned(), ..RouteBlock::default() }, section];
        let (events, mappings, stores) = (Vec::new(), Vec::new(), Vec::new());
        let route = RouteFacts { kind: "WASM".to_owned(), sections, events, mappings, stores };
        let grants = Grants { serial_ports: granted.clone(), ..Grants::default() };
        serial_lines(&route, &NoNames, &grants, Some("m")).map_err(|reason| reason.to_string())
    }

    fn text(text: &str) -> RouteValue {
        RouteValue::Text(text.to_owned())
    }

    #[test]
    fn a_section_with_a_com_port_is_a_serial_port() {
        let lines = of(&[("COM_PORT", text("/dev/ttyS1"))], &NameGrant::All).unwrap();
        let line = SerialLine { device: "/dev/ttyS1".to_owned(), settings: SerialSettings::default() };
        assert_eq!(lines, HashMap::from([("scale".to_owned(), line)]));
        let lines = of(
            &[
                ("COM_PORT", text("/dev/serial/by-id/usb-x")),
                ("BAUD_RATE", text("19200")),
                ("DATA_BITS", RouteValue::Int(7)),
                ("PARITY", text("even")),
                ("STOP_BITS", text("OnePointFive")),
                ("FLOW_CONTROL", text("RTS_CTS")),
                ("EXCLUSIVE", RouteValue::Bool(false)),
                ("RS485", text("TRUE")),
            ],
            &NameGrant::All,
        );
        let settings = lines.unwrap()["scale"].settings;
        assert_eq!(settings.to_string(), "19200 7E2 RTS/CTS RS-485");
        assert!(!settings.is_exclusive);
        assert!(of(&[("BAUD_RATE", RouteValue::Int(5))], &NameGrant::All).unwrap().is_empty());
    }

    #[test]
    fn invalid_serial_settings_are_reported() {
        let port = || ("COM_PORT", text("/dev/ttyS1"));
        for (settings, expected) in [
            (
                vec![("COM_PORT", text("COM3"))],
                "COM_PORT is 'COM3', which is no path of a device such as '/dev/ttyUSB0'".to_owned(),
            ),
            (
                vec![("COM_PORT", text("/dev/../x"))],
                "COM_PORT is '/dev/../x', which is no path of a device such as '/dev/ttyUSB0'".to_owned(),
            ),
            (
                vec![port(), ("BAUD_RATE", text("fast"))],
                "BAUD_RATE is 'fast'; a number from 50 to 4000000 is meant".to_owned(),
            ),
            (
                vec![port(), ("BAUD_RATE", RouteValue::Int(49))],
                "BAUD_RATE is '49'; a number from 50 to 4000000 is meant".to_owned(),
            ),
            (
                vec![port(), ("DATA_BITS", RouteValue::Int(9))],
                "DATA_BITS is '9'; a number from 5 to 8 is meant".to_owned(),
            ),
            (
                vec![port(), ("PARITY", text("BOTH"))],
                "PARITY is 'BOTH'; NONE, ODD, EVEN, MARK or SPACE is meant".to_owned(),
            ),
            (
                vec![port(), ("STOP_BITS", text("3"))],
                "STOP_BITS is '3'; ONE, TWO or ONEPOINTFIVE is meant".to_owned(),
            ),
            (
                vec![port(), ("FLOW_CONTROL", text("DTR"))],
                "FLOW_CONTROL is 'DTR'; NONE, RTS_CTS or XON_XOFF is meant".to_owned(),
            ),
            (vec![port(), ("EXCLUSIVE", text("no"))], "EXCLUSIVE is 'no'; TRUE or FALSE is meant".to_owned()),
        ] {
            assert_eq!(of(&settings, &NameGrant::All).unwrap_err(), format!("SCALE_CONFIG: {expected}"));
        }
    }

    #[test]
    fn a_module_has_the_serial_ports_that_it_was_granted() {
        let named = NameGrant::Names(Box::new(["/dev/ttyS1".into()]));
        assert!(of(&[("COM_PORT", text("/dev/ttyS1"))], &named).is_ok());
        let refused = of(&[("COM_PORT", text("/dev/ttyS2"))], &named).unwrap_err();
        assert_eq!(
            refused,
            "SCALE_CONFIG: module 'm' was not granted serial:/dev/ttyS2; -grantModule m -grant serial:/dev/ttyS2 grants it"
        );
    }
}
