//! Members of a configuration, which is a JSON object with objects in it.

use std::ops::RangeInclusive;

use lotmq_guest::auth::environment;
use serde_json::{Map, Value as Json};

use crate::Template;

/// Members of an object of the configuration, all of them known.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Names of the objects around it, each with a dot behind it.
    prefix: String,
    members: &'a Map<String, Json>,
}

/// Reads the text of a configuration. An empty one is an empty object.
///
/// # Errors
/// It is no JSON object.
pub fn parse(text: &str) -> Result<Json, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let json: Json =
        serde_json::from_str(text).map_err(|error| format!("the configuration is no JSON: {error}"))?;
    if json.is_object() { Ok(json) } else { Err("the configuration is no JSON object".to_owned()) }
}

impl<'a> Settings<'a> {
    /// The members of a configuration.
    ///
    /// # Errors
    /// It is no object, or has a member that is not known.
    pub fn of(configuration: &'a Json, known: &[&str]) -> Result<Settings<'a>, String> {
        let members = configuration.as_object().ok_or("the configuration is no JSON object")?;
        Settings { prefix: String::new(), members }.checked(known)
    }

    /// The members of an object within; `None` if it is missing.
    ///
    /// # Errors
    /// It is no object, or has a member that is not known.
    pub fn section(&self, member: &str, known: &[&str]) -> Result<Option<Settings<'a>>, String> {
        let Some(json) = self.raw(member) else { return Ok(None) };
        let members = json.as_object().ok_or_else(|| self.wrong(member, "an object"))?;
        Settings { prefix: format!("{}{member}.", self.prefix), members }.checked(known).map(Some)
    }

    fn checked(self, known: &[&str]) -> Result<Settings<'a>, String> {
        match self.members.keys().find(|member| !known.contains(&member.as_str())) {
            None => Ok(self),
            Some(unknown) => {
                let unknown: String = unknown.chars().take(64).collect();
                Err(self.wrong(
                    &unknown.escape_debug().to_string(),
                    &format!("unknown; the members are {}", known.join(", ")),
                ))
            }
        }
    }

    /// A member as it is; `None` if it is missing.
    pub fn raw(&self, member: &str) -> Option<&'a Json> {
        self.members.get(member)
    }

    /// Error of a member: its name, and what it may be.
    pub fn wrong(&self, member: &str, allowed: &str) -> String {
        format!("{}{member}: {allowed}", self.prefix)
    }

    /// A text, or a secret of the broker by its name: `{"secret": "NAME"}`.
    ///
    /// # Errors
    /// It is neither, or the secret does not exist or is not granted.
    pub fn text(&self, member: &str) -> Result<Option<String>, String> {
        let named = |setting: &Json| setting.get("secret").and_then(Json::as_str).map(str::to_owned);
        match self.raw(member) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(setting) => {
                let name =
                    named(setting).ok_or_else(|| self.wrong(member, "a text or {\"secret\": \"NAME\"}"))?;
                let missing = || format!("secret '{name}' does not exist, or is not granted");
                environment::get_secret(&name).map(Some).ok_or_else(|| self.wrong(member, &missing()))
            }
        }
    }

    /// A text that has to be there and not empty.
    ///
    /// # Errors
    /// As those of [`text`](Self::text), and if it is missing or empty.
    pub fn needed(&self, member: &str) -> Result<String, String> {
        let text = self.text(member)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.wrong(member, "needed; a text"))
    }

    /// True or false.
    ///
    /// # Errors
    /// It is neither.
    pub fn switch(&self, member: &str, default: bool) -> Result<bool, String> {
        match self.raw(member) {
            None => Ok(default),
            Some(Json::Bool(is)) => Ok(*is),
            Some(_) => Err(self.wrong(member, "true or false")),
        }
    }

    /// One of some values, by default the first.
    ///
    /// # Errors
    /// It is none of them.
    pub fn choice(&self, member: &str, values: &[&'static str]) -> Result<&'static str, String> {
        let said = match self.raw(member) {
            None => values.first(),
            Some(json) => values.iter().find(|value| json.as_str() == Some(value)),
        };
        said.copied().ok_or_else(|| {
            let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
            self.wrong(member, &quoted.join(" or "))
        })
    }

    /// Whether the next member of the chain decides about a user that is not known here:
    /// `unknown_user`, by default `deny`.
    ///
    /// # Errors
    /// It is neither `deny` nor `continue`.
    pub fn passes_unknown(&self) -> Result<bool, String> {
        Ok(self.choice("unknown_user", &["deny", "continue"])? == "continue")
    }

    /// A whole number of a range, with its unit for the error.
    ///
    /// # Errors
    /// It is not in the range.
    pub fn number(
        &self,
        member: &str,
        default: u64,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Result<u64, String> {
        let number = self.raw(member).map_or(Some(default), Json::as_u64);
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.wrong(member, &format!("{} to {} {unit}", range.start(), range.end())))
    }

    /// A text with placeholders, or a secret, which has none.
    ///
    /// # Errors
    /// It is neither, or has a placeholder that does not exist.
    pub fn template(&self, member: &str) -> Result<Option<Template>, String> {
        let Some(text) = self.text(member)? else { return Ok(None) };
        if self.raw(member).is_some_and(|setting| !setting.is_string()) {
            return Ok(Some(Template::fixed(&text)));
        }
        Template::parse(&text).map(Some).map_err(|reason| self.wrong(member, &reason))
    }

    /// Checks that the configuration names the place of an endpoint, which the broker reads itself.
    ///
    /// # Errors
    /// It does not.
    pub fn check_endpoint(&self, name: &str) -> Result<(), String> {
        let place = self.raw("endpoints").and_then(|endpoints| endpoints.get(name));
        match place.is_some_and(Json::is_object) {
            true => Ok(()),
            false => Err(self.wrong(&format!("endpoints.{name}"), "needed; an object with HOST and PORT")),
        }
    }

    /// Whether a setting of an endpoint is on, such as `USE_TLS`.
    pub fn endpoint_has(&self, name: &str, setting: &str) -> bool {
        let place = self.raw("endpoints").and_then(|endpoints| endpoints.get(name));
        match place.and_then(|place| place.get(setting)) {
            Some(Json::Bool(is)) => *is,
            Some(Json::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str, read: impl Fn(&Settings<'_>) -> Result<(), String>) -> String {
        let json = parse(text).unwrap();
        read(&Settings::of(&json, &["a", "unknown_user", "endpoints"]).unwrap()).unwrap_err()
    }

    #[test]
    fn wrong_member_is_reported_with_its_name() {
        assert!(parse("[]").unwrap_err().ends_with("is no JSON object"));
        assert!(parse("{").unwrap_err().starts_with("the configuration is no JSON: "));
        let json = parse(r#"{"b":1}"#).unwrap();
        assert_eq!(Settings::of(&json, &["a", "c"]).unwrap_err(), "b: unknown; the members are a, c");
        let within = |settings: &Settings<'_>| settings.section("a", &["d"]).map(drop);
        assert_eq!(error_of(r#"{"a":1}"#, within), "a: an object");
        assert_eq!(error_of(r#"{"a":{"e":1}}"#, within), "a.e: unknown; the members are d");
        let number = |settings: &Settings<'_>| settings.number("a", 3, 1..=4, "seconds").map(drop);
        for wrong in ["0", "5", "-1", "1.5", "\"1\"", "null"] {
            assert_eq!(error_of(&format!(r#"{{"a":{wrong}}}"#), number), "a: 1 to 4 seconds");
        }
        assert_eq!(error_of(r#"{"a":1}"#, |all| all.switch("a", true).map(drop)), "a: true or false");
        assert_eq!(
            error_of(r#"{"unknown_user":"x"}"#, |all| all.passes_unknown().map(drop)),
            "unknown_user: \"deny\" or \"continue\""
        );
        assert_eq!(
            error_of("", |all| all.check_endpoint("http")),
            "endpoints.http: needed; an object with HOST and PORT"
        );
        assert_eq!(
            error_of(r#"{"a":"${x}"}"#, |all| all.template("a").map(drop)).split(';').next(),
            Some("a: ${x} is no placeholder")
        );
    }

    #[test]
    fn secret_is_read_by_its_name_and_has_no_placeholders() {
        lotmq_guest::testing::set_secret("TOKEN", "${password}");
        let json = parse(r#"{"a":{"secret":"TOKEN"}}"#).unwrap();
        let settings = Settings::of(&json, &["a"]).unwrap();
        assert_eq!(settings.text("a").unwrap().as_deref(), Some("${password}"));
        assert_eq!(settings.template("a").unwrap().unwrap().placeholders().count(), 0);
        let gone = "a: secret 'GONE' does not exist, or is not granted";
        assert_eq!(error_of(r#"{"a":{"secret":"GONE"}}"#, |all| all.text("a").map(drop)), gone);
        assert_eq!(
            error_of(r#"{"a":1}"#, |all| all.text("a").map(drop)),
            "a: a text or {\"secret\": \"NAME\"}"
        );
    }
}
