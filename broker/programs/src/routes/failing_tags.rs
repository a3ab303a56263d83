//! Tags of a route that have no value, as its guest has told: how many, and why.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::limits::{ROUTE_FAILING_TAGS_REPORTED_MAX, ROUTE_TAG_TEXT_CHARACTERS_MAX};

/// Tags of a route that have no value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailingTags {
    count: u64,
    /// Reasons of the first, by `mapping/tag`.
    reasons: BTreeMap<String, String>,
    /// The same for people; `None` where all have values.
    text: Option<String>,
}

/// Answer of a guest about its tags.
#[derive(serde::Deserialize)]
struct TagAnswer {
    failing: u64,
    #[serde(default)]
    reasons: BTreeMap<String, String>,
}

impl FailingTags {
    /// Reads what a guest has answered; `None` where that is no answer.
    pub(crate) fn read(answer: &[u8], masked: impl Fn(&str) -> String) -> Option<FailingTags> {
        let told: TagAnswer = serde_json::from_slice(answer).ok()?;
        let short = |text: &str| text.chars().take(ROUTE_TAG_TEXT_CHARACTERS_MAX).collect::<String>();
        let reasons = told.reasons.iter().take(ROUTE_FAILING_TAGS_REPORTED_MAX);
        let reasons: BTreeMap<String, String> =
            reasons.map(|(tag, reason)| (short(tag), short(&masked(reason)))).collect();
        let named = |(tag, reason): (&String, &String)| format!("{tag}: {reason}");
        let first = reasons.first_key_value().map(named);
        let text = match (told.failing, first) {
            (0, _) => None,
            (1, Some(first)) => Some(format!("1 tag has no value: {first}")),
            (count, Some(first)) => Some(format!("{count} tags have no value, as {first}")),
            (count, None) => Some(format!("{count} tags have no value")),
        };
        Some(FailingTags { count: told.failing, reasons, text })
    }

    /// Number of them.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Name of the first.
    pub(crate) fn first(&self) -> &str {
        self.reasons.first_key_value().map_or("", |(tag, _)| tag)
    }

    /// Text for the operator; `None` if all tags have values.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// As the status topic of the route has it.
    pub(super) fn to_json(&self) -> Json {
        json!({ "failing": self.count, "reasons": self.reasons })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_of_failing_tags_is_bounded_and_masked() {
        let read = |answer: &str| FailingTags::read(answer.as_bytes(), |text| text.replace("hunter2", "***"));
        for answer in ["", "[]", "{}", r#"{"failing":"1"}"#, r#"{"failing":-1}"#] {
            assert_eq!(read(answer), None, "{answer}");
        }
        for (answer, text) in [
            (r#"{"failing":0}"#, None),
            (r#"{"failing":2}"#, Some("2 tags have no value")),
            (r#"{"failing":1,"reasons":{"M/A":"no hunter2"}}"#, Some("1 tag has no value: M/A: no ***")),
            (r#"{"failing":7,"reasons":{"M/B":"x","M/A":"y"}}"#, Some("7 tags have no value, as M/A: y")),
        ] {
            assert_eq!(read(answer).unwrap().text(), text, "{answer}");
        }
        let long = "x".repeat(ROUTE_TAG_TEXT_CHARACTERS_MAX + 1);
        let many: BTreeMap<String, &str> = (0..100).map(|tag| (format!("{tag}{long}"), &*long)).collect();
        let told = read(&json!({ "failing": 100, "reasons": many }).to_string()).unwrap();
        assert_eq!((told.count(), told.reasons.len()), (100, ROUTE_FAILING_TAGS_REPORTED_MAX));
        assert!(told.reasons.iter().all(|(tag, reason)| {
            [tag, reason].iter().all(|text| text.chars().count() == ROUTE_TAG_TEXT_CHARACTERS_MAX)
        }));
    }
}
