//! Settings of the section `OPCUA_CONFIG`.

use lot_tags::opcua;
use lotmq_guest::route::Failure;
use opcua_crypto::SecurityPolicy;
use opcua_types::{MessageSecurityMode, NodeId};
use route_settings::{Configuration, Settings};
use serde_json::json;

use crate::address;

const SECTION: &str = "OPCUA_CONFIG";

/// How the server is reached.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) url: String,
    pub(crate) user: User,
    pub(crate) security: Security,
    /// Patience with connecting and with each request, in milliseconds.
    pub(crate) connection_timeout_ms: u32,
    pub(crate) request_timeout_ms: u32,
    pub(crate) subscribes: bool,
    /// Node below which addresses are paths of browse names; `None` where they are node ids.
    pub(crate) browse_root: Option<NodeId>,
}

/// As whom we come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum User {
    Anonymous,
    Named {
        name: String,
        password: String,
    },
    /// With the certificate of a user.
    Certificate,
}

/// How messages are secured, and whom we trust.
#[derive(Clone, Debug)]
pub(crate) struct Security {
    pub(crate) policy: SecurityPolicy,
    pub(crate) mode: MessageSecurityMode,
    pub(crate) accepts_untrusted: bool,
    pub(crate) accepts_short_nonces: bool,
    pub(crate) application_uri: Option<String>,
}

impl Config {
    /// Reads the section; the host has checked it by the schema.
    pub(crate) fn read(configuration: &Configuration) -> Result<Config, Failure> {
        let section = configuration.section(SECTION);
        let number = |key: &str, default: u32| {
            section.number(key).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
        };
        let url = section.needed("ENDPOINT_URL")?;
        if !url.starts_with(opcua::SCHEME) {
            let reason = format!("'{url}' does not begin with {}", opcua::SCHEME);
            return Err(section.wrong("ENDPOINT_URL", &reason));
        }
        let browse_root = if section.is("USE_BROWSE_PATH") {
            let named = section.text("BROWSE_ROOT")?.unwrap_or_else(|| "Objects".to_owned());
            Some(address::root(&named).ok_or_else(|| {
                section.wrong(
                    "BROWSE_ROOT",
                    &format!("'{named}' is neither Objects, Root, Types, Views nor a node id"),
                )
            })?)
        } else {
            None
        };
        Ok(Config {
            user: user(&section)?,
            security: security(&section)?,
            url,
            connection_timeout_ms: number("TIMEOUT", 90_000),
            request_timeout_ms: number("REQUEST_TIMEOUT", 10_000),
            subscribes: section.raw("USE_SUBSCRIPTIONS").is_null() || section.is("USE_SUBSCRIPTIONS"),
            browse_root,
        })
    }
}

fn user(section: &Settings<'_>) -> Result<User, Failure> {
    let name = section.text("USERNAME")?.filter(|name| !name.is_empty());
    match section.number("AUTH_MODE").unwrap_or(u64::from(name.is_some())) {
        0 => Ok(User::Anonymous),
        2 => Ok(User::Certificate),
        _ => {
            let name = name.ok_or_else(|| section.wrong("AUTH_MODE", "is 1, and USERNAME is missing"))?;
            Ok(User::Named { name, password: section.text("PASSWORD")?.unwrap_or_default() })
        }
    }
}

fn security(section: &Settings<'_>) -> Result<Security, Failure> {
    let policy = known(section, "SECURITY_POLICY", opcua::SecurityPolicy::of)?;
    let mode = known(section, "SECURITY_MODE", opcua::SecurityMode::of)?;
    let uses = (!section.raw("USE_SECURITY").is_null()).then(|| section.is("USE_SECURITY"));
    let (policy, mode) = opcua::SecuritySettings { uses, policy, mode }.security();
    if let Some(name) = policy.broken_name() {
        let reason = format!("is {name}, {}", opcua::BROKEN);
        return Err(section.wrong("SECURITY_POLICY", &reason));
    }
    Ok(Security {
        policy: match policy {
            opcua::SecurityPolicy::None => SecurityPolicy::None,
            opcua::SecurityPolicy::Basic128Rsa15 => SecurityPolicy::Basic128Rsa15,
            opcua::SecurityPolicy::Basic256 => SecurityPolicy::Basic256,
            opcua::SecurityPolicy::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
            opcua::SecurityPolicy::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
            opcua::SecurityPolicy::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
        },
        mode: match mode {
            opcua::SecurityMode::None => MessageSecurityMode::None,
            opcua::SecurityMode::Sign => MessageSecurityMode::Sign,
            opcua::SecurityMode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
        },
        accepts_untrusted: section.is("AUTO_ACCEPT_UNTRUSTED_CERTIFICATES"),
        accepts_short_nonces: section.is("SUPPRESS_NONCE_VALIDATION_ERRORS"),
        application_uri: section.text("APPLICATION_URI")?.filter(|uri| !uri.is_empty()),
    })
}

/// The value of a setting that has words; `None` where it is not there.
fn known<W>(section: &Settings<'_>, key: &str, of: impl Fn(&str) -> Option<W>) -> Result<Option<W>, Failure> {
    let Some(text) = section.text(key)? else { return Ok(None) };
    of(&text).map(Some).ok_or_else(|| section.wrong(key, &format!("'{text}' is none")))
}

/// Schema of the settings.
pub(crate) fn schema() -> String {
    let timeout = json!({ "type": "integer", "minimum": 1, "maximum": 86_400_000 });
    let truth = json!({ "type": "boolean" });
    let text = json!({ "type": "string" });
    let section = json!({
        "ENDPOINT_URL": text,
        "AUTH_MODE": { "type": "integer", "minimum": 0, "maximum": 2 },
        "USERNAME": text,
        "PASSWORD": text,
        "USE_SECURITY": truth,
        "SECURITY_POLICY": {},
        "SECURITY_MODE": {},
        "AUTO_ACCEPT_UNTRUSTED_CERTIFICATES": truth,
        "SUPPRESS_NONCE_VALIDATION_ERRORS": truth,
        "APPLICATION_URI": text,
        "TIMEOUT": timeout,
        "REQUEST_TIMEOUT": timeout,
        "USE_SUBSCRIPTIONS": truth,
        "USE_BROWSE_PATH": truth,
        "BROWSE_ROOT": text
    });
    route_tags::schema(SECTION, &section, &json!({}), &json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &str) -> Result<Config, Failure> {
        let text =
            format!(r#"{{"sections":{{"OPCUA_CONFIG":{{"ENDPOINT_URL":"opc.tcp://plc:4840"{settings}}}}}}}"#);
        Config::read(&Configuration::parse(&text).unwrap())
    }

    #[test]
    fn users_follow_from_what_is_set() {
        let named = User::Named { name: "a".to_owned(), password: "b".to_owned() };
        for (settings, expected) in [
            ("", User::Anonymous),
            (r#","USERNAME":"a","PASSWORD":"b""#, named.clone()),
            (r#","USERNAME":"a","PASSWORD":"b","AUTH_MODE":1"#, named),
            (r#","USERNAME":"a","AUTH_MODE":0"#, User::Anonymous),
            (r#","AUTH_MODE":2"#, User::Certificate),
        ] {
            assert_eq!(read(settings).unwrap().user, expected, "{settings}");
        }
        let Err(Failure::Fatal(reason)) = read(r#","AUTH_MODE":1"#) else { panic!("it needs a name") };
        assert_eq!(reason, "OPCUA_CONFIG: AUTH_MODE is 1, and USERNAME is missing");
    }

    #[test]
    fn policies_have_numbers_and_names() {
        use MessageSecurityMode as Mode;
        for (settings, policy, mode) in [
            ("", SecurityPolicy::None, Mode::None),
            (r#","USE_SECURITY":true"#, SecurityPolicy::Basic256Sha256, Mode::SignAndEncrypt),
            (r#","SECURITY_POLICY":"3","SECURITY_MODE":"1""#, SecurityPolicy::Basic256Sha256, Mode::Sign),
            (
                r#","SECURITY_POLICY":"Aes256_Sha256_RsaPss""#,
                SecurityPolicy::Aes256Sha256RsaPss,
                Mode::SignAndEncrypt,
            ),
            (
                r#","SECURITY_POLICY":4,"SECURITY_MODE":"Sign""#,
                SecurityPolicy::Aes128Sha256RsaOaep,
                Mode::Sign,
            ),
            (r#","SECURITY_MODE":"SignAndEncrypt""#, SecurityPolicy::Basic256Sha256, Mode::SignAndEncrypt),
            (
                r#","USE_SECURITY":false,"SECURITY_POLICY":"3","SECURITY_MODE":"2""#,
                SecurityPolicy::None,
                Mode::None,
            ),
        ] {
            let security = read(settings).unwrap().security;
            assert_eq!((security.policy, security.mode), (policy, mode), "{settings}");
        }
        for (settings, expected) in [
            (
                r#","SECURITY_POLICY":"2""#,
                "SECURITY_POLICY is Basic256, which is broken and not spoken any more",
            ),
            (r#","SECURITY_POLICY":"x""#, "OPCUA_CONFIG: SECURITY_POLICY 'x' is none"),
            (r#","USE_BROWSE_PATH":true,"BROWSE_ROOT":"Here""#, "'Here' is neither"),
        ] {
            let Err(Failure::Fatal(reason)) = read(settings) else { panic!("{settings}") };
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
