//! The types that values of keys have: how each is read from any source, and shown.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde_json::Value;

use crate::value_error::ValueError;

/// A type of configuration values. Text from flags and the environment arrives as a JSON string, so
/// every type reads strings.
pub(crate) trait Setting: Sized {
    /// Type of the values, for the reference and for errors.
    const TYPE: &'static str;

    fn parse(value: &Value) -> Result<Self, ValueError>;

    /// The value as the `Config` topic shows it; [`Setting::parse`] reads it back.
    fn show(&self) -> Value;
}

/// Refuses a number outside `range`; other values are not judged.
pub(crate) fn check_range(value: &Value, range: &RangeInclusive<u64>) -> Result<(), ValueError> {
    match value.as_u64() {
        Some(number) if !range.contains(&number) => {
            Err(ValueError::OutOfRange { low: *range.start(), high: *range.end() })
        }
        Some(_) | None => Ok(()),
    }
}

impl Setting for bool {
    const TYPE: &'static str = "`true` or `false`";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let text = match value {
            Value::Bool(value) => return Ok(*value),
            Value::String(text) => text.trim().to_ascii_lowercase(),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => String::new(),
        };
        match text.as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(ValueError::WrongType { expected: Self::TYPE }),
        }
    }

    fn show(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Setting for String {
    const TYPE: &'static str = "text";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        value.as_str().map(str::to_owned).ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

macro_rules! numbers {
    ($($type:ty),+) => {
        $(impl Setting for $type {
            const TYPE: &'static str = "whole number";

            fn parse(value: &Value) -> Result<Self, ValueError> {
                let number = match value {
                    Value::String(text) => text.trim().parse().ok(),
                    Value::Number(number) => number.as_u64(),
                    Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
                };
                let number: u64 = number.ok_or(ValueError::WrongType { expected: Self::TYPE })?;
                Self::try_from(number)
                    .map_err(|_| ValueError::OutOfRange { low: 0, high: u64::from(Self::MAX) })
            }

            fn show(&self) -> Value {
                Value::from(*self)
            }
        })+
    };
}
numbers!(u16, u32, u64);

impl<T: Setting> Setting for Option<T> {
    const TYPE: &'static str = T::TYPE;

    fn parse(value: &Value) -> Result<Self, ValueError> {
        if value.is_null() { Ok(None) } else { T::parse(value).map(Some) }
    }

    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, Setting::show)
    }
}

impl Setting for PathBuf {
    const TYPE: &'static str = "path of a file";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value.as_str() {
            Some(text) if is_text_of_pem(text) => Err(ValueError::TextOfFile),
            Some(path) if !path.is_empty() => Ok(Self::from(path)),
            Some(_) | None => Err(ValueError::WrongType { expected: Self::TYPE }),
        }
    }

    fn show(&self) -> Value {
        Value::String(self.display().to_string())
    }
}

/// Whether it is the text of a certificate or a private key in PEM, and not a path. No message
/// shows it.
pub(crate) fn is_text_of_pem(text: &str) -> bool {
    text.contains("-----BEGIN") || text.contains("-----END") || text.contains("PRIVATE KEY-")
}

/// Returns a value for a message, in JSON. The text of a private key is left out.
pub(crate) fn shown_value(value: &Value) -> String {
    let text = value.to_string();
    if is_text_of_pem(&text) { "a text in PEM".to_owned() } else { text }
}

/// Permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// Owner and group may read and write.
    pub const GROUP: Self = Self(0o660);

    /// As the system counts them, at most `0o777`.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl Setting for FileMode {
    const TYPE: &'static str = "text of octal digits, as `0660`";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = ValueError::WrongType { expected: Self::TYPE };
        // A number would be read as decimal and mean something else.
        let text = value.as_str().ok_or(wrong)?;
        let digits = text.trim().trim_start_matches("0o");
        u32::from_str_radix(digits, 8).ok().filter(|bits| *bits <= 0o777).map(Self).ok_or(wrong)
    }

    fn show(&self) -> Value {
        Value::String(format!("{:04o}", self.0))
    }
}

/// The port of a listener, or that it is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// No listener.
    Off,
    /// This port; 0 lets the system choose.
    Number(u16),
}

impl Setting for Port {
    const TYPE: &'static str = "port, 0 to 65535, or `off`";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::String(text) if text.trim() == "off" => Ok(Self::Off),
            Value::Bool(false) => Ok(Self::Off),
            Value::String(_) | Value::Number(_) => match u16::parse(value) {
                Err(ValueError::WrongType { .. }) => Err(ValueError::WrongType { expected: Self::TYPE }),
                parsed => parsed.map(Self::Number),
            },
            Value::Null | Value::Bool(true) | Value::Array(_) | Value::Object(_) => {
                Err(ValueError::WrongType { expected: Self::TYPE })
            }
        }
    }

    fn show(&self) -> Value {
        match self {
            Self::Off => Value::from("off"),
            Self::Number(number) => Value::from(*number),
        }
    }
}

/// Addresses to listen on, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddresses(Vec<IpAddr>);

impl BindAddresses {
    /// `127.0.0.1` and `::1`.
    #[must_use]
    pub fn loopback() -> Self {
        Self(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }

    /// The addresses, in the order given.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.0
    }

    /// Each address with this port; none when that is off.
    #[must_use]
    pub fn at(&self, port: Port) -> Vec<SocketAddr> {
        match port {
            Port::Off => Vec::new(),
            Port::Number(number) => self.with_port(number),
        }
    }

    /// Each address with this port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Vec<SocketAddr> {
        self.0.iter().map(|address| SocketAddr::new(*address, port)).collect()
    }
}

impl Setting for BindAddresses {
    const TYPE: &'static str = "IP address, or several: a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = || ValueError::WrongType { expected: Self::TYPE };
        let texts: Vec<&str> = match value {
            Value::String(text) => text.split(',').collect(),
            Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(wrong()),
        };
        let addresses: Vec<IpAddr> =
            texts.iter().map(|text| text.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        if addresses.is_empty() { Err(wrong()) } else { Ok(Self(addresses)) }
    }

    fn show(&self) -> Value {
        match self.0.as_slice() {
            [one] => Value::String(one.to_string()),
            several => several.iter().map(|address| Value::String(address.to_string())).collect(),
        }
    }
}

/// Names of environment variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariableNames(Vec<String>);

impl VariableNames {
    /// No names.
    pub const NONE: VariableNames = VariableNames(Vec::new());

    /// Whether the name is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

impl Setting for VariableNames {
    const TYPE: &'static str = "names: a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = || ValueError::WrongType { expected: Self::TYPE };
        let texts: Vec<&str> = match value {
            Value::String(text) => text.split(',').filter(|text| !text.trim().is_empty()).collect(),
            Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(wrong()),
        };
        let names: Vec<String> = texts.iter().map(|text| text.trim().to_owned()).collect();
        // A name that looks like a pattern would silently match nothing.
        let is_name = |name: &String| !name.is_empty() && !name.contains(['*', '?', '=', ' ', '\0']);
        if names.iter().all(is_name) { Ok(Self(names)) } else { Err(wrong()) }
    }

    fn show(&self) -> Value {
        self.0.iter().cloned().map(Value::String).collect()
    }
}

/// A text that no log line, topic or debug output may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of sight.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("****")
    }
}

/// Declares an enum whose values are words in the configuration.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $crate::setting::Setting for $name {
            const TYPE: &'static str = $crate::setting::alternatives!($($word),+);

            fn parse(value: &serde_json::Value) -> Result<Self, $crate::value_error::ValueError> {
                match value.as_str().map(str::trim) {
                    $(Some($word) => Ok(Self::$variant),)+
                    Some(_) | None => Err($crate::value_error::ValueError::WrongType { expected: Self::TYPE }),
                }
            }

            fn show(&self) -> serde_json::Value {
                serde_json::Value::from(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}

macro_rules! alternatives {
    ($first:literal $(, $word:literal)*) => {
        concat!("`", $first, "`" $(, " or `", $word, "`")*)
    };
}

pub(crate) use {alternatives, words};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn booleans_and_numbers_are_read_from_any_source() {
        for (value, expected) in [
            (json!(true), Some(true)),
            (json!("Yes"), Some(true)),
            (json!("off"), Some(false)),
            (json!(1), None),
        ] {
            assert_eq!(bool::parse(&value).ok(), expected, "{value}");
        }
        for (value, expected) in [
            (json!(7), Ok(7)),
            (json!(" 7 "), Ok(7)),
            (json!(70_000), Err(ValueError::OutOfRange { low: 0, high: 65_535 })),
            (json!(-1), Err(ValueError::WrongType { expected: "whole number" })),
            (json!(1.5), Err(ValueError::WrongType { expected: "whole number" })),
            (json!("x"), Err(ValueError::WrongType { expected: "whole number" })),
        ] {
            assert_eq!(u16::parse(&value), expected, "{value}");
        }
    }

    #[test]
    fn modes_are_octal_text_and_ports_may_be_off() {
        for (value, bits) in
            [(json!("0660"), Some(0o660)), (json!("0o7"), Some(7)), (json!("777"), Some(0o777))]
        {
            assert_eq!(FileMode::parse(&value).ok().map(FileMode::bits), bits, "{value}");
        }
        for value in [json!(660), json!("0668"), json!("1777"), json!(""), json!("rw")] {
            assert!(FileMode::parse(&value).is_err(), "{value}");
        }
        for (value, port) in [
            (json!("off"), Some(Port::Off)),
            (json!(false), Some(Port::Off)),
            (json!("8883"), Some(Port::Number(8883))),
            (json!(0), Some(Port::Number(0))),
            (json!("on"), None),
            (json!(true), None),
        ] {
            assert_eq!(Port::parse(&value).ok(), port, "{value}");
        }
    }

    #[test]
    fn bind_addresses_take_one_or_several() {
        for (value, shown) in [
            (json!("0.0.0.0"), json!("0.0.0.0")),
            (json!("127.0.0.1, ::1"), json!(["127.0.0.1", "::1"])),
            (json!(["10.0.0.1"]), json!("10.0.0.1")),
        ] {
            assert_eq!(BindAddresses::parse(&value).unwrap().show(), shown);
        }
        for value in [json!([]), json!(""), json!("localhost"), json!([1])] {
            let error = BindAddresses::parse(&value).unwrap_err();
            assert_eq!(error, ValueError::WrongType { expected: BindAddresses::TYPE }, "{value}");
        }
    }

    #[test]
    fn debug_output_masks_secrets() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "****");
    }
}
