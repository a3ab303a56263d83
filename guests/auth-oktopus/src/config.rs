//! The configuration: a JSON object, from the option `-config` of the module.

use lotmq_guest::auth::environment;
use nats_protocol::Login;
use serde_json::{Map, Value as Json};

use crate::key;
use crate::limits::{NAME_BYTES_MAX, REREAD_SECONDS, RETRY_SECONDS, TIMEOUT_SECONDS};

/// Name of the endpoint of the NATS server.
pub(crate) const ENDPOINT: &str = "nats";

/// Members of the configuration.
const MEMBERS: [&str; 13] = [
    "auth",
    "mode",
    "certificates",
    "unknown_user",
    "controller",
    "bucket",
    "endpoints",
    "nats_user",
    "nats_password",
    "nats_token",
    "timeout_seconds",
    "retry_seconds",
    "reread_seconds",
];

/// Checked configuration.
#[derive(Debug, PartialEq)]
pub(crate) struct Config {
    /// Whether devices are checked against the bucket. If not, everybody is let in.
    pub(crate) is_checked: bool,
    /// Whether a device is bound to its own identifier.
    pub(crate) is_strict: bool,
    /// Whether a client certificate that the listener trusts replaces the password.
    pub(crate) takes_certificates: bool,
    /// Whether the next member of the chain decides about a user without a key.
    pub(crate) passes_unknown: bool,
    /// User name of the controller.
    pub(crate) controller: String,
}

/// Settings of the connection to NATS.
#[derive(Debug, PartialEq)]
pub(crate) struct Nats {
    pub(crate) bucket: String,
    pub(crate) login: Login,
    /// Whether the connection switches to TLS behind the INFO.
    pub(crate) starts_tls: bool,
    /// Whether the connection has TLS from its first byte.
    pub(crate) is_tls: bool,
    pub(crate) timeout_ms: u32,
    pub(crate) retry_ms: u64,
    pub(crate) reread_ms: u64,
}

impl Config {
    /// Reads the configuration, and with it the connection to NATS.
    ///
    /// # Errors
    /// The member that is wrong, and the values that it may have.
    pub(crate) fn parse(text: &str) -> Result<(Config, Nats), String> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        let json: Json =
            serde_json::from_str(text).map_err(|error| format!("the configuration is no JSON: {error}"))?;
        let members = json.as_object().ok_or("the configuration is no JSON object")?;
        if let Some(unknown) = members.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
            return Err(format!("{unknown}: unknown; the members are {}", MEMBERS.join(", ")));
        }
        let is_checked = switch(members, "auth", false)?;
        let bucket = text_of(members, "bucket", "devices-auth")?;
        let is_name = |next: char| next.is_ascii_alphanumeric() || next == '-' || next == '_';
        if bucket.is_empty() || bucket.len() > NAME_BYTES_MAX || !bucket.chars().all(is_name) {
            return Err("bucket: a name of letters, digits, '-' and '_'".to_owned());
        }
        let controller = text_of(members, "controller", "oktopusController")?;
        if controller.is_empty() || key::of_user(&controller).is_none() {
            return Err("controller: a user name".to_owned());
        }
        let place = members.get("endpoints").and_then(|endpoints| endpoints.get(ENDPOINT));
        if is_checked && place.is_none() {
            return Err(format!("endpoints.{ENDPOINT}: needed with \"auth\": true; it has HOST and PORT"));
        }
        let says = |setting: &str| place.is_some_and(|place| is_true(place.get(setting)));
        let config = Config {
            is_checked,
            is_strict: choice(members, "mode", ["strict", "exact"])?,
            takes_certificates: switch(members, "certificates", false)?,
            passes_unknown: choice(members, "unknown_user", ["deny", "continue"]).map(|denies| !denies)?,
            controller,
        };
        let timeout_ms = seconds(members, "timeout_seconds", TIMEOUT_SECONDS, 4)?;
        let nats = Nats {
            bucket,
            login: login(members)?,
            starts_tls: says("USE_STARTTLS"),
            is_tls: says("USE_TLS") || says("USE_SSL"),
            timeout_ms: u32::try_from(timeout_ms).unwrap_or(u32::MAX),
            retry_ms: seconds(members, "retry_seconds", RETRY_SECONDS, 60)?,
            reread_ms: seconds(members, "reread_seconds", REREAD_SECONDS, 86_400)?,
        };
        Ok((config, nats))
    }
}

fn login(members: &Map<String, Json>) -> Result<Login, String> {
    let (user, password) = (secret(members, "nats_user")?, secret(members, "nats_password")?);
    match (secret(members, "nats_token")?, user, password) {
        (Some(token), None, None) => Ok(Login::Token(token)),
        (Some(_), _, _) => Err("nats_token: stands instead of nats_user and nats_password".to_owned()),
        (None, Some(user), password) => Ok(Login::User { user, password: password.unwrap_or_default() }),
        (None, None, Some(_)) => Err("nats_password: needs nats_user".to_owned()),
        (None, None, None) => Ok(Login::None),
    }
}

/// A text, or a secret of the broker by its name: `{"secret": "NAME"}`.
fn secret(members: &Map<String, Json>, member: &str) -> Result<Option<String>, String> {
    let named = |setting: &Json| setting.get("secret").and_then(Json::as_str).map(str::to_owned);
    match members.get(member) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(setting) => match named(setting) {
            Some(name) => environment::get_secret(&name)
                .map(Some)
                .ok_or_else(|| format!("{member}: secret '{name}' does not exist, or is not granted")),
            None => Err(format!("{member}: a text or {{\"secret\": \"NAME\"}}")),
        },
    }
}

fn switch(members: &Map<String, Json>, member: &str, default: bool) -> Result<bool, String> {
    match members.get(member) {
        None => Ok(default),
        Some(Json::Bool(is)) => Ok(*is),
        Some(_) => Err(format!("{member}: true or false")),
    }
}

/// Whether a member has the first of two values, which is the default.
fn choice(members: &Map<String, Json>, member: &str, values: [&str; 2]) -> Result<bool, String> {
    match members.get(member).map(Json::as_str) {
        None => Ok(true),
        Some(Some(value)) if values.contains(&value) => Ok(value == values[0]),
        Some(_) => Err(format!("{member}: \"{}\" or \"{}\"", values[0], values[1])),
    }
}

fn text_of(members: &Map<String, Json>, member: &str, default: &str) -> Result<String, String> {
    match members.get(member) {
        None => Ok(default.to_owned()),
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("{member}: a text")),
    }
}

/// A number of seconds from 1 to `max`, in milliseconds.
fn seconds(members: &Map<String, Json>, member: &str, default: u64, max: u64) -> Result<u64, String> {
    let seconds = members.get(member).map_or(Some(default), Json::as_u64);
    let seconds = seconds.filter(|seconds| (1..=max).contains(seconds));
    seconds.map(|seconds| seconds * 1000).ok_or_else(|| format!("{member}: 1 to {max} seconds"))
}

fn is_true(setting: Option<&Json>) -> bool {
    match setting {
        Some(Json::Bool(is)) => *is,
        Some(Json::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_broker_of_oktopus_with_strict_rights() {
        let (config, nats) = Config::parse("").unwrap();
        assert!(
            !config.is_checked && config.is_strict && !config.takes_certificates && !config.passes_unknown
        );
        assert_eq!((&*config.controller, &*nats.bucket), ("oktopusController", "devices-auth"));
        assert_eq!((nats.timeout_ms, nats.retry_ms), (3_000, 5_000));
        lotmq_guest::testing::set_secret("NATS", "s3cret");
        let text = r#"{"auth":true,"mode":"exact","unknown_user":"continue","nats_user":"u","nats_password":{"secret":"NATS"},
            "endpoints":{"nats":{"HOST":"h","PORT":4222,"USE_STARTTLS":true}}}"#;
        let (config, nats) = Config::parse(text).unwrap();
        assert!(config.is_checked && !config.is_strict && config.passes_unknown);
        assert!(nats.starts_tls && !nats.is_tls);
        let login = Login::User { user: "u".to_owned(), password: "s3cret".to_owned() };
        assert_eq!(nats.login, login);
    }

    #[test]
    fn wrong_member_is_reported_with_its_name() {
        for (text, reason) in [
            ("[]", "the configuration is no JSON object"),
            (r#"{"auth":"yes"}"#, "auth: true or false"),
            (r#"{"mode":"loose"}"#, "mode: \"strict\" or \"exact\""),
            (r#"{"auth":true}"#, "endpoints.nats: needed with \"auth\": true; it has HOST and PORT"),
            (r#"{"bucket":"a.b"}"#, "bucket: a name of letters, digits, '-' and '_'"),
            (r#"{"retry_seconds":0}"#, "retry_seconds: 1 to 60 seconds"),
            (r#"{"nats_password":"p"}"#, "nats_password: needs nats_user"),
            (
                r#"{"nats_token":{"secret":"GONE"}}"#,
                "nats_token: secret 'GONE' does not exist, or is not granted",
            ),
        ] {
            assert_eq!(Config::parse(text).unwrap_err(), reason, "{text}");
        }
        assert!(
            Config::parse(r#"{"buckets":"x"}"#)
                .unwrap_err()
                .starts_with("buckets: unknown; the members are auth")
        );
    }
}
