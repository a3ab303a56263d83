//! Type of values that are addresses of JSON Web Key Sets.

use std::net::IpAddr;

use serde_json::Value;

use crate::setting::Setting;
use crate::value_error::ValueError;

/// Address of a JSON Web Key Set: `https://` or `http://`, without a user, a password or a
/// fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAddress(Box<str>);

impl KeyAddress {
    /// The address as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether the answer crosses a network without encryption.
    pub(crate) fn can_be_changed_on_the_way(&self) -> bool {
        self.0.strip_prefix(PLAIN).is_some_and(|rest| !is_loopback(host(rest)))
    }
}

const PLAIN: &str = "http://";

const ENCRYPTED: &str = "https://";

/// Host of an address without its scheme, in brackets where it is an IPv6 address.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let is_port = |(_, port): &(&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    authority.rsplit_once(':').filter(is_port).map_or(authority, |(host, _)| host)
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl Setting for KeyAddress {
    const TYPE: &'static str = "address such as `https://id.example/jwks`, without user and password";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let text = value.as_str().map(str::trim).unwrap_or_default();
        let rest = text.strip_prefix(ENCRYPTED).or_else(|| text.strip_prefix(PLAIN));
        let is_address = rest.is_some_and(|rest| !host(rest).is_empty());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"@#\\\"<>".contains(&byte));
        if is_address && is_plain {
            Ok(Self(text.into()))
        } else {
            Err(ValueError::WrongType { expected: Self::TYPE })
        }
    }

    fn show(&self) -> Value {
        Value::from(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_carry_no_secret() {
        for text in ["https://id.example", "https://id.example:8443/a?b=c", "http://[::1]:80/jwks"] {
            assert_eq!(KeyAddress::parse(&json!(text)).unwrap().text(), text);
        }
        for wrong in [
            json!("id.example/jwks"),
            json!("https://"),
            json!("https:///jwks"),
            json!("https://user:word@id.example/"),
            json!("https://id.example/#a"),
            json!("https://id.example/a b"),
            json!("ftp://id.example/"),
            json!("file:///etc/passwd"),
            json!(1),
        ] {
            assert!(KeyAddress::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
