//! Switches that make LoT behave as in the original product where lotmq decided otherwise.

/// The switches; by default all are as we read the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compat {
    /// Output of a Model that is not COLLAPSED (OD-45).
    pub model_output: ModelOutput,
    /// A field without a value is the zero of its type, `""`, `0` or `false`, in place of `null`
    /// (OD-41). Fields without a type, objects and arrays stay `null`.
    pub empty_as_zero_value: bool,
    /// `TIMESTAMP "UTC"` is `TIMESTAMP "ISO"` (OD-21).
    pub utc_as_iso: bool,
    /// A rule's pattern that ends with `/+` covers everything below, in place of one level (OD-55).
    pub rule_trailing_plus: bool,
}

/// Output of a Model that is not COLLAPSED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModelOutput {
    /// Each field on a topic of its own.
    Fields,
    /// A JSON object on the base topic.
    Json,
    /// First the fields, then the object.
    #[default]
    Both,
}
