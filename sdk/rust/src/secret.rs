//! Values that nobody is to see.

use std::fmt;

use super::host::environment;

/// A secret, such as a password or a community string: `{}` and `{:?}` show `***` in its place, so that it gets into no log line and no failure by accident.
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
    /// The secret of this name that the broker keeps; `None` where there is none, or the guest was not granted it.
    pub fn named(name: &str) -> Option<Secret> {
        environment::get_secret(name).map(Secret)
    }

    /// What a setting of the configuration says: a secret by its name, `{"secret": "NAME"}`, or a text. `None` where it is neither, or there is no such secret.
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
