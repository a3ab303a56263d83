//! Section `[limits]`: what one client or session may use.

use std::time::Duration;

use serde_json::Value;

use super::key::section;
use super::setting::{Setting, words};
use crate::limit_table;
use crate::value_error::ValueError;

/// Declares the section: the table of limits, and what is no bound by itself.
macro_rules! limits_section {
    (
        {}
        every_listener { $($every:tt)* }
        addressed_listener { $($addressed:tt)* }
        every_client { $($client:tt)* }
        whole_broker { $($whole:tt)* }
    ) => {
        limits_section! { $($every)* $($addressed)* $($client)* $($whole)* }
    };
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty = $default:expr, range $range:expr, unit $unit:literal $(, json $json:literal)?
            => $limit:ident($reason:ident, $sentence:literal): $effect:literal;
    )+) => {
        section! {
            /// Limits of connections, clients and sessions. A listener may have its own value of
            /// some.
            Limits at "limits", |config| config.limits => {
                $( $(#[doc = $doc])+ $name: $type = $default $(, json $json)?, range $range, unit $unit; )+
                /// Policy for a message to a session whose queue is full.
                on_full: OnFull = OnFull::DropNew, json "OnFull";
                /// Longest time that a session outlives its connection; longer requests are cut
                /// down to it.
                session_expiry_max: SessionExpiryMax = SessionExpiryMax::AtMost(Duration::from_secs(30 * DAY)), json "SessionExpiryMax";
                /// Longest time that a session of a client without a user name outlives its
                /// connection; at most `session_expiry_max`. Raise it if machines without a name
                /// are away for longer and need their waiting messages.
                anonymous_session_expiry_max: SessionExpiryMax = SessionExpiryMax::AtMost(Duration::from_secs(7 * DAY)), json "AnonymousSessionExpiryMax";
                /// Longest Keep Alive in seconds. 0 lets clients choose, also no Keep Alive. A 5.0
                /// client that asks for more gets this value as Server Keep Alive. Older versions
                /// have no such property, and keep their own value.
                keep_alive_max_sec: u16 = 0, json "KeepAliveMaxSec", range 0..=65_535;
            }
        }
    };
}

limit_table! { limits_section! {} }

words! {
    /// Policy for a message to a session whose queue is full.
    OnFull {
        /// It is dropped for this session and counted; the publisher is told of success.
        DropNew = "drop-new",
        /// The publisher is told: 0x97 in 5.0, no acknowledgement before.
        Reject = "reject",
    }
}

const DAY: u64 = 86_400;
const UNITS: [(&str, u64); 4] = [("d", DAY), ("h", 3_600), ("m", 60), ("s", 1)];

/// Longest time that a session outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionExpiryMax {
    /// As long as its client asks for, for ever included.
    Never,
    /// At most this; whole seconds, below 2³²−1.
    AtMost(Duration),
}

impl SessionExpiryMax {
    /// The bound in seconds; `None` when there is none.
    #[must_use]
    pub fn seconds(self) -> Option<u32> {
        match self {
            Self::Never => None,
            Self::AtMost(bound) => Some(u32::try_from(bound.as_secs()).unwrap_or(u32::MAX)),
        }
    }
}

impl Setting for SessionExpiryMax {
    const TYPE: &'static str = "number with unit `s`, `m`, `h` or `d`, or `never`";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = || ValueError::WrongType { expected: Self::TYPE };
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => format!("{number}s"),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(wrong()),
        };
        if text == "never" {
            return Ok(Self::Never);
        }
        let (number, seconds) = UNITS
            .iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))
            .unwrap_or((text.as_str(), 1));
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        let total = number.saturating_mul(seconds);
        if total >= u64::from(u32::MAX) {
            return Err(ValueError::OutOfRange { low: 0, high: u64::from(u32::MAX) - 1 });
        }
        Ok(Self::AtMost(Duration::from_secs(total)))
    }

    fn show(&self) -> Value {
        let Self::AtMost(bound) = self else { return Value::String("never".to_owned()) };
        let total = bound.as_secs();
        let (unit, seconds) = UNITS
            .into_iter()
            .find(|(_, seconds)| total >= *seconds && total.is_multiple_of(*seconds))
            .unwrap_or(("s", 1));
        Value::String(format!("{}{unit}", total / seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_expiry_is_parsed_and_rendered() {
        for (text, seconds, shown) in [
            ("30d", Some(2_592_000), "30d"),
            ("36h", Some(129_600), "36h"),
            ("90 m", Some(5_400), "90m"),
            ("7", Some(7), "7s"),
            ("0", Some(0), "0s"),
            ("never", None, "never"),
        ] {
            let parsed = SessionExpiryMax::parse(&Value::from(text)).unwrap();
            assert_eq!((parsed.seconds(), parsed.show()), (seconds, Value::from(shown)), "{text}");
        }
        for text in ["", "d", "-1d", "1w", "1.5h", "forever"] {
            let error = SessionExpiryMax::parse(&Value::from(text)).unwrap_err();
            assert!(matches!(error, ValueError::WrongType { .. }), "{text}: {error}");
        }
        let too_long = SessionExpiryMax::parse(&Value::from("100000d")).unwrap_err();
        assert_eq!(too_long, ValueError::OutOfRange { low: 0, high: 4_294_967_294 });
    }
}
