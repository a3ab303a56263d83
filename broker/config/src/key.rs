//! One configuration key, and the macro that declares a section of them.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::Config;
use crate::value_error::ValueError;

/// A key: its names in every source, its documentation, and how it is read and shown.
pub struct Key {
    /// Path in `lotmq.toml`, dotted: `listener.mqtt.port`.
    pub path: &'static str,
    /// Name in the JSON of `Config` and `Config/New`; the original's where it has the key.
    pub json: Option<&'static str>,
    /// A shorter environment variable that means the same.
    pub short_variable: Option<&'static str>,
    /// Description of its section, one line each.
    pub section_doc: &'static [&'static str],
    /// Description of the key, one line each.
    pub doc: &'static [&'static str],
    /// Type of its values, for the reference.
    pub type_name: &'static str,
    /// Smallest and largest number, where it is one.
    pub range: Option<RangeInclusive<u64>>,
    /// Unit of a limit, such as `bytes`.
    pub unit: Option<&'static str>,
    /// Whether it is a limit of a listener, which has the value of `[limits]` until it is set.
    pub is_inherited: bool,
    pub(super) set: fn(&mut Config, &Value) -> Result<(), ValueError>,
    pub(super) get: fn(&Config) -> Value,
}

/// A key, the one that it needs, and whether that is missing.
pub(crate) type Need = (&'static str, &'static str, bool);

impl Key {
    /// Name of its environment variable: `LOTMQ_LISTENER_MQTT_PORT`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("LOTMQ_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// Its value in `config`.
    #[must_use]
    pub fn get(&self, config: &Config) -> Value {
        (self.get)(config)
    }

    pub(super) fn set(&self, config: &mut Config, value: &Value) -> Result<(), ValueError> {
        (self.set)(config, value).map_err(|error| self.with_range(error))
    }

    /// Of a number its unit and range, where something else was written: `16MB` is none.
    fn with_range(&self, error: ValueError) -> ValueError {
        match (error, &self.range, self.unit) {
            (ValueError::WrongType { .. }, Some(range), Some(unit)) => {
                ValueError::NoNumber { unit, low: *range.start(), high: *range.end() }
            }
            (error, _, _) => error,
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Key").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

/// Declares a section: a struct with a field per key, its defaults, and the table `KEYS`.
///
/// A row is `/// doc` lines, then `name: Type = default` and, in this order and where they apply,
/// `json "Name"`, `range low..=high`, `unit "bytes"`, `variable "SHORT"`.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        $section:ident at $prefix:literal, |$config:ident| $place:expr => {
            $(
                $(#[doc = $doc:literal])+
                $name:ident: $type:ty = $default:expr
                    $(, json $json:literal)? $(, range $range:expr)? $(, unit $unit:literal)? $(, variable $variable:literal)?;
            )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct $section {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $($name: $default),+ }
            }
        }

        const SECTION_DOC: &[&str] = &[$($section_doc),+];

        pub(crate) const KEYS: &[$crate::Key] = &[$(
            $crate::Key {
                path: concat!($prefix, ".", stringify!($name)),
                json: $crate::key::optional!($($json)?),
                short_variable: $crate::key::optional!($($variable)?),
                section_doc: SECTION_DOC,
                doc: &[$($doc),+],
                type_name: <$type as $crate::setting::Setting>::TYPE,
                range: $crate::key::optional!($($range)?),
                unit: $crate::key::optional!($($unit)?),
                is_inherited: false,
                set: |$config, value| {
                    let parsed = <$type as $crate::setting::Setting>::parse(value)?;
                    $($crate::setting::check_range(
                        &$crate::setting::Setting::show(&parsed), &$range)?;)?
                    $place.$name = parsed;
                    Ok(())
                },
                get: |$config| $crate::setting::Setting::show(&$place.$name),
            },
        )+];
    };
}

/// `Some` of the one argument, or `None` without any.
macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(crate) use {optional, section};
