//! Settings of the section `MODBUS_CONFIG`.

use lot_tags::modbus::REGISTERS_MAX;
use lotmq_guest::route::Failure;
use route_settings::Configuration;
use serde_json::json;

use crate::limits::GAP;
use crate::words::ByteOrder;

/// How units are asked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) unit: u8,
    pub(crate) byte_order: ByteOrder,
    pub(crate) connection_timeout_ms: u32,
    pub(crate) read_timeout_ms: u32,
    pub(crate) write_timeout_ms: u32,
    /// Tries behind the first.
    pub(crate) retries: u32,
    pub(crate) retry_delay_ms: u32,
    /// Pause between two requests.
    pub(crate) pause_ms: u32,
    pub(crate) registers_max: u16,
    pub(crate) gap: u16,
}

impl Config {
    /// Reads the section; the host has checked it by the schema.
    pub(crate) fn read(configuration: &Configuration) -> Config {
        let section = configuration.section("MODBUS_CONFIG");
        let number = |key: &str, default: u32| {
            section.number(key).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
        };
        let short = |key: &str, default: u16| u16::try_from(number(key, default.into())).unwrap_or(default);
        let order = section.text("BYTE_ORDER").ok().flatten();
        Config {
            unit: u8::try_from(number("SLAVE_ID", 1)).unwrap_or(1),
            byte_order: order.and_then(|name| ByteOrder::of_name(&name)).unwrap_or_default(),
            connection_timeout_ms: number("CONNECTION_TIMEOUT", 5_000),
            read_timeout_ms: number("READ_TIMEOUT", 1_000),
            write_timeout_ms: number("WRITE_TIMEOUT", 1_000),
            retries: number("RETRY_COUNT", 3),
            retry_delay_ms: number("RETRY_DELAY", 100),
            pause_ms: number("REQUEST_PAUSE", 0),
            registers_max: short("MAX_REGISTERS", REGISTERS_MAX).clamp(1, REGISTERS_MAX),
            gap: short("MAX_GAP", GAP),
        }
    }
}

/// Serial line, as far as its guest must know it.
#[derive(Clone, Debug)]
pub(crate) struct SerialConfig {
    pub(crate) device: String,
    /// Microseconds of a character.
    character_us: u64,
    /// For opening, and for the turns of others.
    pub(crate) timeout_ms: u32,
    silence_ms: u32,
}

/// Speed above which the silence before a frame is constant: Modbus over Serial Line 1.02,
/// §2.5.1.1.
const FAST: u64 = 19_200;

/// Microseconds of that silence.
const FAST_SILENCE_US: u64 = 1_750;

impl SerialConfig {
    /// Reads the section. The host checks the settings, because it applies them.
    pub(crate) fn read(configuration: &Configuration, timeout_ms: u32) -> Result<SerialConfig, Failure> {
        let section = configuration.section("MODBUS_CONFIG");
        let word = |key: &str| section.text(key).map(|text| text.unwrap_or_default().to_ascii_uppercase());
        if section.number("DATA_BITS").is_some_and(|bits| bits != 8) {
            let reason = "MODBUS_CONFIG: DATA_BITS: characters of Modbus RTU have 8 bits";
            return Err(Failure::Fatal(reason.to_owned()));
        }
        let parity_bits = u64::from(!matches!(&*word("PARITY")?, "" | "NONE"));
        let stop_bits = if matches!(&*word("STOP_BITS")?, "" | "ONE" | "1") { 1 } else { 2 };
        let baud_rate = section.number("BAUD_RATE").unwrap_or(9_600).max(1);
        let character_us = ((1 + 8 + parity_bits + stop_bits) * 1_000_000).div_ceil(baud_rate);
        let silence_us = if baud_rate > FAST { FAST_SILENCE_US } else { (character_us * 7).div_ceil(2) };
        let silence_ms = u32::try_from(silence_us.div_ceil(1_000)).unwrap_or(u32::MAX);
        let device = section.needed("COM_PORT")?;
        Ok(SerialConfig { device, character_us, timeout_ms, silence_ms })
    }

    /// Milliseconds that so many bytes are on the line.
    pub(crate) fn sending_ms(&self, bytes: usize) -> u32 {
        let us = self.character_us.saturating_mul(bytes as u64);
        u32::try_from(us.div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// Milliseconds of silence before a frame.
    pub(crate) fn silence_ms(&self) -> u32 {
        self.silence_ms
    }
}

/// Schema of the settings.
pub(crate) fn schema() -> String {
    let milliseconds = json!({ "type": "integer", "minimum": 0, "maximum": 86_400_000 });
    let timeout = json!({ "type": "integer", "minimum": 1, "maximum": 86_400_000 });
    let unit = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
    let orders = json!({ "enum": ["ABCD", "CDAB", "BADC", "DCBA"] });
    let section = json!({
        "SLAVE_ID": unit,
        "BYTE_ORDER": orders,
        "CONNECTION_TIMEOUT": timeout,
        "READ_TIMEOUT": timeout,
        "WRITE_TIMEOUT": timeout,
        "RETRY_COUNT": { "type": "integer", "minimum": 0, "maximum": 1_000 },
        "RETRY_DELAY": milliseconds,
        "REQUEST_PAUSE": milliseconds,
        "MAX_REGISTERS": { "type": "integer", "minimum": 1, "maximum": REGISTERS_MAX },
        "MAX_GAP": { "type": "integer", "minimum": 0, "maximum": REGISTERS_MAX }
    });
    let areas = json!({ "enum": ["COIL", "DISCRETE_INPUT", "INPUT_REGISTER", "HOLDING_REGISTER"] });
    let tag = json!({ "ADDRESS_TYPE": areas, "BYTE_ORDER": orders, "SLAVE_ID": unit });
    route_tags::schema("MODBUS_CONFIG", &section, &json!({ "SLAVE_ID": unit }), &tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(settings: &str) -> Result<SerialConfig, Failure> {
        let text = format!(r#"{{"sections":{{"MODBUS_CONFIG":{{"COM_PORT":"/dev/ttyS0",{settings}}}}}}}"#);
        SerialConfig::read(&Configuration::parse(&text).unwrap(), 5_000)
    }

    #[test]
    fn times_are_those_of_the_line() {
        for (settings, silence_ms, of_8_bytes_ms) in [
            (r#""BAUD_RATE":9600"#, 4, 9),
            (r#""BAUD_RATE":"9600","PARITY":"EVEN""#, 5, 10),
            (r#""PARITY":"NONE","STOP_BITS":"TWO""#, 5, 10),
            (r#""BAUD_RATE":300"#, 117, 267),
            (r#""BAUD_RATE":19200"#, 2, 5),
            (r#""BAUD_RATE":115200"#, 2, 1),
        ] {
            let line = line(settings).unwrap();
            assert_eq!((line.silence_ms(), line.sending_ms(8)), (silence_ms, of_8_bytes_ms), "{settings}");
        }
    }

    #[test]
    fn characters_of_seven_bits_are_refused() {
        let refused = line(r#""DATA_BITS":7"#).unwrap_err();
        assert!(matches!(refused, Failure::Fatal(reason) if reason.contains("have 8 bits")));
    }
}
