//! Findings: the result of a check, and what to do about it.

use serde_json::{Value, json};

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FindingLevel {
    /// Nothing to do.
    Ok,
    /// It works, but not safely or not well.
    Warning,
    /// It does not work, or others can use it who should not.
    Error,
}

impl FindingLevel {
    /// Word in the output.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warn",
            Self::Error => "error",
        }
    }
}

/// Something that a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Name of the check: `disk-sync`.
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) level: FindingLevel,
    /// Description, with the value.
    pub(super) message: String,
    /// Remedy; `None` if nothing is wrong.
    pub(super) remedy: Option<String>,
}

impl Finding {
    /// Nothing is wrong.
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: FindingLevel::Ok, message: message.into(), remedy: None }
    }

    /// A warning with its remedy.
    pub(super) fn warning(
        check: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { check, level: FindingLevel::Warning, message: message.into(), remedy }
    }

    /// An error with its remedy.
    pub(super) fn error(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { level: FindingLevel::Error, ..Self::warning(check, message, remedy) }
    }

    /// Renders it for people.
    pub(super) fn text(&self) -> String {
        let Self { check, level, message, remedy } = self;
        let line = format!("{:<6} {check:<14} {message}", level.name());
        let remedy = remedy.as_ref().map(|remedy| format!("\n{:<21} -> {remedy}", ""));
        line + &remedy.unwrap_or_default()
    }

    /// Renders it for programs.
    pub(super) fn json(&self) -> Value {
        let Self { check, level, message, remedy } = self;
        json!({"check": check, "level": level.name(), "message": message, "remedy": remedy})
    }
}
