//! Type of values that say where the user stands in a name of a certificate.

use serde_json::Value;

use crate::setting::Setting;
use crate::value_error::ValueError;

/// Form of a name with one `*`, which stands for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPattern {
    before: Box<str>,
    behind: Box<str>,
}

impl UserPattern {
    /// The user in a name of this form; `None` for other names, and without a character of a user.
    #[must_use]
    pub fn user_in<'a>(&self, name: &'a str) -> Option<&'a str> {
        let user = name.strip_prefix(&*self.before)?.strip_suffix(&*self.behind)?;
        (!user.is_empty()).then_some(user)
    }
}

impl Setting for UserPattern {
    const TYPE: &'static str = "form of a name with one `*`, as `*.devices.plant.example`";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let parts = value.as_str().and_then(|text| text.trim().split_once('*'));
        match parts {
            Some((before, behind)) if !behind.contains('*') => {
                Ok(Self { before: before.into(), behind: behind.into() })
            }
            Some(_) | None => Err(ValueError::WrongType { expected: Self::TYPE }),
        }
    }

    fn show(&self) -> Value {
        Value::String(format!("{}*{}", self.before, self.behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_cuts_the_user_out_of_a_name() {
        for (pattern, name, expected) in [
            ("*.plant.example", "press-7.plant.example", Some("press-7")),
            ("*.plant.example", ".plant.example", None),
            ("*.plant.example", "press-7.plant.example.org", None),
            ("urn:device:*", "urn:device:7", Some("7")),
            ("a*a", "a", None),
            ("a*a", "aba", Some("b")),
            ("*", "all", Some("all")),
        ] {
            let pattern = UserPattern::parse(&json!(pattern)).unwrap();
            assert_eq!(pattern.user_in(name), expected, "{pattern:?} {name}");
        }
        assert_eq!(UserPattern::parse(&json!("a*b")).unwrap().show(), json!("a*b"));
        for wrong in [json!("plant"), json!("*.*"), json!(""), json!(1)] {
            assert!(UserPattern::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
