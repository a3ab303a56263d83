//! A cell as notebooks store it. Errors of reading use the words of notebooks.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A cell.
pub(super) struct Stored {
    /// 1: text for people; 2: code.
    pub(super) kind: u8,
    pub(super) language: String,
    pub(super) script_name: Option<String>,
    pub(super) value: String,
}

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfCell)
    }
}

struct OfCell;

impl<'de> Visitor<'de> for OfCell {
    type Value = Stored;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cell, an object with kind, language and value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Stored, A::Error> {
        let (mut kind, mut language, mut value, mut script_name) = (None, None, None, None);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "kind" => kind = Some(members.next_value::<CellKind>()?.0),
                "language" => language = Some(members.next_value::<Text>()?.0),
                "value" => value = Some(members.next_value::<Text>()?.0),
                "scriptName" => script_name = members.next_value::<Option<Text>>()?.map(|text| text.0),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        let lacks = |name: &str| de::Error::custom(format_args!("the cell lacks `{name}`"));
        Ok(Stored {
            kind: kind.ok_or_else(|| lacks("kind"))?,
            language: language.ok_or_else(|| lacks("language"))?,
            script_name,
            value: value.ok_or_else(|| lacks("value"))?,
        })
    }
}

struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(OfText)
    }
}

struct OfText;

impl Visitor<'_> for OfText {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }
}

struct CellKind(u8);

impl<'de> Deserialize<'de> for CellKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u8(OfKind)
    }
}

struct OfKind;

impl Visitor<'_> for OfKind {
    type Value = CellKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1 for text or 2 for code")
    }

    fn visit_u64<E: de::Error>(self, kind: u64) -> Result<CellKind, E> {
        let known = u8::try_from(kind).ok().filter(|kind| matches!(kind, 1 | 2));
        known.map(CellKind).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(kind), &self))
    }
}
