//! Section `[lot.compat]`: switches where our reading of the language differs from the original's.

use super::key::section;
use super::setting::words;

section! {
    /// Switches where our reading of the language differs from the original's.
    Compat at "lot.compat", |config| config.compat => {
        /// Whether a value written by `KEEP TOPIC` is also a retained message that subscribers see.
        keep_visible_retained: bool = false;
        /// Whether Publish rules apply to the output of `PUBLISH MODEL`, as to a message of a
        /// client without a user. The broker drops the messages that rules deny.
        model_publish_rules: bool = false;
        /// Output of a model that is not COLLAPSED: each field on a topic of its own, a JSON object
        /// on its base topic, or both.
        model_output: ModelOutput = ModelOutput::Both;
        /// Whether a field of a model that has no value is `""`, `0` or `false` by its type, in
        /// place of `null`.
        empty_as_zero_value: bool = false;
        /// Whether rules about subscriptions decide about each message again. A broad filter then
        /// brings no message that a narrow one would be refused.
        rules_at_delivery: bool = true;
        /// Format of `TIMESTAMP "UTC"`: `2026-01-15 10:30:00`, or the format of `TIMESTAMP "ISO"`.
        timestamp_utc: TimestampUtc = TimestampUtc::Plain;
        /// Topics that a rule's pattern with a final `/+` covers: one level, or the whole subtree.
        rule_trailing_plus: RuleTrailingPlus = RuleTrailingPlus::Level;
    }
}

words! {
    /// Output of a model that is not COLLAPSED.
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
    /// Format of `TIMESTAMP "UTC"`.
    TimestampUtc {
        /// Date and time with a space between them.
        Plain = "plain",
        /// As `TIMESTAMP "ISO"`.
        Iso = "iso",
    }
}

words! {
    /// Topics that a rule's pattern with a final `/+` covers.
    RuleTrailingPlus {
        /// One level, as in MQTT.
        Level = "level",
        /// Everything below.
        Subtree = "subtree",
    }
}
