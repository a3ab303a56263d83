//! Answer of the server, in the form of EMQX. All that is not clearly an answer is an error, which
//! keeps the client out.

use auth_settings::{all_topics, grants};
use lotmq_guest::auth::{BAD_USER_NAME_OR_PASSWORD, Grant, NOT_AUTHORIZED, Property};
use serde_json::{Map, Value as Json};

use crate::limits::ENTRY_BYTES;

/// Members of an answer.
const MEMBERS: [&str; 6] = ["result", "is_superuser", "client_attrs", "groups", "acl", "expire_at"];

/// Decision of the server.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Allow(Box<Allowed>),
    /// With a Reason Code of CONNACK.
    Deny(u8),
    /// The server does not know the user.
    Ignore,
}

/// Properties of a user who is let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    pub(crate) groups: Vec<String>,
    pub(crate) properties: Vec<Property>,
    /// `None`: the Rules of the broker decide.
    pub(crate) grants: Option<Vec<Grant>>,
    pub(crate) expires_ms: Option<i64>,
}

impl Verdict {
    /// Reads a response.
    ///
    /// # Errors
    /// It is no decision: the reason in words.
    pub(crate) fn read(status: u16, body: &[u8]) -> Result<Verdict, String> {
        match status {
            200 => Verdict::read_json(body),
            204 => Ok(Verdict::Allow(Box::default())),
            401 => Ok(Verdict::Deny(BAD_USER_NAME_OR_PASSWORD)),
            403 => Ok(Verdict::Deny(NOT_AUTHORIZED)),
            _ => Err(format!("its status is {status}, and not 200, 204, 401 or 403")),
        }
    }

    fn read_json(body: &[u8]) -> Result<Verdict, String> {
        let json: Json = serde_json::from_slice(body).map_err(|_| "its body is no JSON")?;
        let members = json.as_object().ok_or("its body is no JSON object")?;
        if let Some(unknown) = members.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
            let unknown: String = unknown.chars().take(64).collect();
            return Err(format!(
                "{}: unknown; the members are {}",
                unknown.escape_debug(),
                MEMBERS.join(", ")
            ));
        }
        match members.get("result").and_then(Json::as_str) {
            Some("allow") => Allowed::read(members).map(Box::new).map(Verdict::Allow),
            Some("deny") => Ok(Verdict::Deny(BAD_USER_NAME_OR_PASSWORD)),
            Some("ignore") => Ok(Verdict::Ignore),
            _ => Err("result: \"allow\", \"deny\" or \"ignore\"".to_owned()),
        }
    }

    /// Bytes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let Verdict::Allow(allowed) = self else { return ENTRY_BYTES };
        let text = |text: &String| text.len() + 32;
        let grants = allowed.grants.iter().flatten().map(|grant| text(&grant.filter));
        let properties =
            allowed.properties.iter().map(|property| text(&property.name) + text(&property.value));
        ENTRY_BYTES + grants.chain(properties).chain(allowed.groups.iter().map(text)).sum::<usize>()
    }
}

impl Allowed {
    fn read(members: &Map<String, Json>) -> Result<Allowed, String> {
        let is_superuser = match members.get("is_superuser") {
            None | Some(Json::Bool(false)) => false,
            Some(Json::Bool(true)) => true,
            Some(_) => return Err("is_superuser: true or false".to_owned()),
        };
        let acl = members.get("acl").map(|list| grants(list, "acl")).transpose()?;
        Ok(Allowed {
            groups: members.get("groups").map(read_groups).transpose()?.unwrap_or_default(),
            properties: members.get("client_attrs").map(read_properties).transpose()?.unwrap_or_default(),
            grants: if is_superuser { Some(all_topics()) } else { acl },
            expires_ms: members.get("expire_at").map(read_end).transpose()?,
        })
    }
}

fn read_groups(json: &Json) -> Result<Vec<String>, String> {
    let texts = json.as_array().map(|items| items.iter().map(|item| item.as_str().map(str::to_owned)));
    let groups: Option<Vec<String>> = texts.and_then(Iterator::collect);
    groups.ok_or_else(|| "groups: a list of texts".to_owned())
}

fn read_properties(json: &Json) -> Result<Vec<Property>, String> {
    let attributes = json.as_object().ok_or("client_attrs: an object with texts")?;
    let property = |(name, value): (&String, &Json)| {
        Some(Property { name: name.clone(), value: value.as_str()?.to_owned() })
    };
    let properties: Option<Vec<Property>> = attributes.iter().map(property).collect();
    properties.ok_or_else(|| "client_attrs: an object with texts".to_owned())
}

/// End of the login in seconds since 1970, as milliseconds.
fn read_end(json: &Json) -> Result<i64, String> {
    let milliseconds =
        json.as_i64().filter(|seconds| *seconds >= 0).and_then(|seconds| seconds.checked_mul(1_000));
    milliseconds.ok_or_else(|| "expire_at: seconds since 1970-01-01 UTC, a whole number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_decides_without_a_body() {
        for (status, body, expected) in [
            (204, "", "allow"),
            (200, r#"{"result":"allow"}"#, "allow"),
            (401, "x", "deny 0x86"),
            (403, r#"{"result":"allow"}"#, "deny 0x87"),
            (200, r#"{"result":"deny"}"#, "deny 0x86"),
            (200, r#"{"result":"ignore"}"#, "ignore"),
        ] {
            let found = match Verdict::read(status, body.as_bytes()).unwrap() {
                Verdict::Allow(allowed) => {
                    assert!(allowed.grants.is_none() && allowed.groups.is_empty());
                    "allow".to_owned()
                }
                Verdict::Deny(code) => format!("deny 0x{code:02x}"),
                Verdict::Ignore => "ignore".to_owned(),
            };
            assert_eq!(found, expected, "{status} {body}");
        }
        for status in [100, 201, 202, 206, 301, 302, 400, 404, 429, 500, 502, 503] {
            let error = Verdict::read(status, br#"{"result":"allow"}"#).unwrap_err();
            assert_eq!(error, format!("its status is {status}, and not 200, 204, 401 or 403"));
        }
    }

    #[test]
    fn body_that_is_no_decision_is_an_error() {
        for (body, reason) in [
            ("", "its body is no JSON"),
            ("allow", "its body is no JSON"),
            ("[]", "its body is no JSON object"),
            ("{}", "result: \"allow\", \"deny\" or \"ignore\""),
            (r#"{"result":"ALLOW"}"#, "result: "),
            (r#"{"result":true}"#, "result: "),
            (r#"{"result":"allow","alc":[]}"#, "alc: unknown; the members are result"),
            (r#"{"result":"allow","is_superuser":"true"}"#, "is_superuser: true or false"),
            (r#"{"result":"allow","groups":"a"}"#, "groups: a list of texts"),
            (r#"{"result":"allow","groups":[1]}"#, "groups: a list of texts"),
            (r#"{"result":"allow","client_attrs":{"a":1}}"#, "client_attrs: an object with texts"),
            (r#"{"result":"allow","expire_at":1.5}"#, "expire_at: "),
            (r#"{"result":"allow","expire_at":9223372036854775807}"#, "expire_at: "),
            (r#"{"result":"allow","acl":[{"permission":"allow"}]}"#, "acl[0].action: "),
        ] {
            let error = Verdict::read(200, body.as_bytes()).unwrap_err();
            assert!(error.starts_with(reason), "{body}: {error}");
        }
    }

    #[test]
    fn superuser_reaches_all_topics_but_those_of_the_broker() {
        let read = |body: &str| match Verdict::read(200, body.as_bytes()).unwrap() {
            Verdict::Allow(allowed) => allowed.grants,
            other => panic!("{other:?}"),
        };
        assert!(read(r#"{"result":"allow","is_superuser":false}"#).is_none());
        assert_eq!(read(r#"{"result":"allow","acl":[]}"#).unwrap().len(), 0);
        let grants = read(r#"{"result":"allow","is_superuser":true,"acl":[]}"#).unwrap();
        assert_eq!((grants.len(), &*grants[0].filter), (1, "#"));
    }
}
