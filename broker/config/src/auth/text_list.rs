//! Type of values that are lists of texts.

use serde_json::Value;

use crate::setting::Setting;
use crate::value_error::ValueError;
use crate::web::texts;

/// Texts without a form of their own. An item of a list may contain commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextList(Vec<Box<str>>);

impl TextList {
    /// No texts.
    pub const NONE: TextList = TextList(Vec::new());

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this very text is among them.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|known| **known == *text)
    }
}

impl Setting for TextList {
    const TYPE: &'static str = "list of texts, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        texts(value).map(Self).ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        self.0.iter().map(|text| Value::from(&**text)).collect()
    }
}
