//! Section `[lot.compat]`: switches where our reading of the language differs from the original's.

use super::key::section;
use super::setting::words;

section! {
    /// Switches where our reading of the language differs from the original's.
    Compat at "lot.compat", |config| config.compat => {
        /// Whether a value written by `KEEP TOPIC` is also a retained message that subscribers see.
        keep_visible_retained: bool = false;
        /// Whether what `PUBLISH MODEL` publishes is subject to Publish rules, as a message of
        /// somebody without a user. What rules deny is dropped.
        model_publish_rules: bool = false;
        /// What a model that is not COLLAPSED publishes: each field on a topic of its own, a JSON
        /// object on its base topic, or both.
        model_output: ModelOutput = ModelOutput::Both;
        /// Whether a field of a model that has no value is `""`, `0` or `false` by its type, in
        /// place of `null`.
        empty_as_zero_value: bool = false;
        /// Whether rules about subscriptions decide about each message again, so that a broad
        /// filter brings nothing that a narrow one would be refused.
        rules_at_delivery: bool = true;
        /// What `TIMESTAMP "UTC"` shows: `2026-01-15 10:30:00`, or what `TIMESTAMP "ISO"` does.
        timestamp_utc: TimestampUtc = TimestampUtc::Plain;
        /// What a rule's pattern covers that ends with `/+`: one level, or everything below.
        rule_trailing_plus: RuleTrailingPlus = RuleTrailingPlus::Level;
    }
}

words! {
    /// What a model that is not COLLAPSED publishes.
    ModelOutput {
        /// Each field on a topic of its own.
        Fields = "fields",
        /// A JSON object on the base topic.
        Json = "json",
        /// First the fields, then the object.
        Both = "both",
    }
}

words! {
    /// What `TIMESTAMP "UTC"` shows.
    TimestampUtc {
        /// Date and time with a space between them.
        Plain = "plain",
        /// As `TIMESTAMP "ISO"`.
        Iso = "iso",
    }
}

words! {
    /// What a rule's pattern covers that ends with `/+`.
    RuleTrailingPlus {
        /// One level, as in MQTT.
        Level = "level",
        /// Everything below.
        Subtree = "subtree",
    }
}
