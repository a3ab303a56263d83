//! Secrets that must not appear in logs.

use std::fmt;

use super::host::environment;

/// Secret, such as a password or a community string. `{}` and `{:?}` print `***`, so it does not
/// leak into logs and failures.
///
/// ```
/// use lotmq_guest::route::Secret;
///
/// let community = Secret::from("s3cr3t".to_owned());
/// assert_eq!(format!("{community} {community:?}"), "*** ***");
/// assert_eq!(community.exposed(), "s3cr3t");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the broker's secret of this name. Returns `None` if it does not exist or is not
    /// granted.
    pub fn named(name: &str) -> Option<Secret> {
        environment::get_secret(name).map(Secret)
    }

    /// Reads a setting of the configuration: a secret by its name, `{"secret": "NAME"}`, or a text.
    /// Returns `None` for other values and for a missing secret.
    #[cfg(feature = "serde_json")]
    pub fn of(setting: &serde_json::Value) -> Option<Secret> {
        match setting.as_str() {
            Some(text) => Some(Secret(text.to_owned())),
            None => Secret::named(setting.get("secret")?.as_str()?),
        }
    }

    /// The value itself, for whom it is meant.
    pub fn exposed(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret(value)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(all(test, feature = "serde_json"))]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::set_secret;

    #[test]
    fn a_setting_names_a_secret_or_is_a_text() {
        set_secret("COMMUNITY", "s3cr3t");
        for (setting, expected) in [
            (json!({ "secret": "COMMUNITY" }), Some("s3cr3t")),
            (json!("public"), Some("public")),
            (json!({ "secret": "OTHER" }), None),
            (json!(7), None),
        ] {
            assert_eq!(Secret::of(&setting).as_ref().map(Secret::exposed), expected, "{setting}");
        }
    }
}
