//! TokenClaims of a token, found by their paths.

use serde_json::{Map, Value};

use crate::refusal::TokenRefusal;

/// TokenClaims of a token whose signature was verified.
#[derive(Debug)]
pub(crate) struct TokenClaims(pub(crate) Map<String, Value>);

impl TokenClaims {
    /// The claim at a path such as `user.name`. A claim whose own name has dots, such as
    /// `https://id.example/groups`, is found first.
    pub(crate) fn find(&self, path: &str) -> Option<&Value> {
        find(&self.0, path).filter(|claim| !claim.is_null())
    }

    /// The text at a path, which must be there.
    pub(crate) fn text(&self, path: &str) -> Result<&str, TokenRefusal> {
        let claim = self.find(path).ok_or_else(|| TokenRefusal::ClaimMissing { claim: path.into() })?;
        claim.as_str().ok_or_else(|| wrong_type(path, "text"))
    }

    /// Seconds since 1970 of a date (RFC 7519 §2), which may be missing. A date before 1970 is 0.
    pub(crate) fn date(&self, name: &str) -> Result<Option<u64>, TokenRefusal> {
        let Some(claim) = self.0.get(name) else { return Ok(None) };
        let seconds = claim.as_u64().or_else(|| claim.as_f64().map(whole_seconds));
        seconds.map(Some).ok_or_else(|| wrong_type(name, "number of seconds"))
    }

    /// Texts of a claim that is a list of texts or one text; none where it is missing.
    pub(crate) fn texts(&self, path: &str) -> Result<Vec<&str>, TokenRefusal> {
        match self.find(path) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(list)) => {
                let texts: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| wrong_type(path, "list of texts"))
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                Err(wrong_type(path, "list of texts"))
            }
        }
    }
}

pub(crate) fn wrong_type(path: &str, expected: &'static str) -> TokenRefusal {
    TokenRefusal::ClaimType { claim: path.into(), expected }
}

fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let (first, rest) = path.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a conversion of floats stays at the bounds of the type"
)]
fn whole_seconds(seconds: f64) -> u64 {
    seconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: Value) -> TokenClaims {
        let Value::Object(map) = value else { panic!("no claims: {value}") };
        TokenClaims(map)
    }

    #[test]
    fn claims_are_found_by_path_and_by_name() {
        let claims = claims(json!({
            "sub": "ann", "user": {"name": "bob", "a.b": {"c": "deep"}}, "user.name": "own",
            "https://id.example/groups": ["g"], "nothing": null
        }));
        for (path, expected) in [
            ("sub", Some(json!("ann"))),
            ("user.name", Some(json!("own"))),
            ("user.a", None),
            ("https://id.example/groups", Some(json!(["g"]))),
            ("nothing", None),
            ("sub.name", None),
            ("", None),
            ("user.", None),
            (".sub", None),
        ] {
            assert_eq!(claims.find(path), expected.as_ref(), "{path}");
        }
    }

    #[test]
    fn claims_of_other_types_are_refused() {
        let claims = claims(json!({"n": 1, "list": ["a", 1], "one": "g", "many": ["g", "h"], "date": "1"}));
        assert_eq!(claims.text("n"), Err(wrong_type("n", "text")));
        assert_eq!(claims.text("x"), Err(TokenRefusal::ClaimMissing { claim: "x".into() }));
        assert_eq!(claims.texts("one"), Ok(vec!["g"]));
        assert_eq!(claims.texts("many"), Ok(vec!["g", "h"]));
        assert_eq!(claims.texts("x"), Ok(Vec::new()));
        assert!(claims.texts("list").is_err() && claims.texts("n").is_err());
        assert!(claims.date("date").is_err());
    }

    #[test]
    fn dates_may_have_fractions_and_are_bounded() {
        for (value, expected) in [
            (json!(12), 12),
            (json!(12.9), 12),
            (json!(-5), 0),
            (json!(1e300), u64::MAX),
            (json!(u64::MAX), u64::MAX),
        ] {
            let claims = claims(json!({"exp": value}));
            assert_eq!(claims.date("exp"), Ok(Some(expected)), "{value}");
        }
        assert_eq!(claims(json!({})).date("exp"), Ok(None));
        assert!(claims(json!({"exp": null})).date("exp").is_err());
    }
}
