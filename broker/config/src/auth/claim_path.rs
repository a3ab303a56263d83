//! Types of values that name claims of a token.

use serde_json::Value;

use crate::setting::Setting;
use crate::value_error::ValueError;
use crate::web::texts;

/// Name of a claim, or names of nested claims with dots between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// A path that is written in the source.
    pub(crate) fn named(text: &str) -> Self {
        Self(text.into())
    }

    /// The path as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

fn path(text: &str) -> Option<ClaimPath> {
    (!text.is_empty() && !text.contains(char::is_control)).then(|| ClaimPath::named(text))
}

impl Setting for ClaimPath {
    const TYPE: &'static str = "name of a claim, or a path such as `user.name`";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let found = value.as_str().and_then(|text| path(text.trim()));
        found.ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        Value::from(&*self.0)
    }
}

/// Paths of several claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimPaths(Vec<ClaimPath>);

impl ClaimPaths {
    /// No claims.
    pub const NONE: ClaimPaths = ClaimPaths(Vec::new());

    /// The paths, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &ClaimPath> {
        self.0.iter()
    }
}

impl Setting for ClaimPaths {
    const TYPE: &'static str = "claims by name or path: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let paths = texts(value).and_then(|texts| texts.iter().map(|text| path(text)).collect());
        paths.map(Self).ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        self.0.iter().map(ClaimPath::show).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claim_paths_are_not_empty() {
        assert_eq!(ClaimPath::parse(&json!(" a.b ")).unwrap().text(), "a.b");
        assert_eq!(ClaimPaths::parse(&json!("a, b.c")).unwrap().show(), json!(["a", "b.c"]));
        assert_eq!(ClaimPaths::parse(&json!([])).unwrap(), ClaimPaths::NONE);
        for wrong in [json!(""), json!(" "), json!(1), json!("a\u{0}")] {
            assert!(ClaimPath::parse(&wrong).is_err(), "{wrong}");
        }
        assert!(ClaimPaths::parse(&json!(["a", ""])).is_err());
    }
}
