//! Addresses: where the server is, and what of it a request asks for.

/// Parsed address: `http://host:port/path`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Base {
    /// `host:port` in lower case.
    place: String,
    is_secure: bool,
    /// Path without a slash at its end.
    pub(crate) path: String,
}

impl Base {
    pub(crate) fn parse(address: &str) -> Option<Base> {
        let (scheme, rest) = address.trim().split_once("://")?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let path = path.split('#').next().unwrap_or_default();
        Some(Base {
            place: place(authority, is_secure),
            is_secure,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// The target of an endpoint behind the address.
    pub(crate) fn target(&self, endpoint: &str) -> String {
        let joined = match endpoint.chars().next() {
            None | Some('/' | '?') => format!("{}{endpoint}", self.path),
            Some(_) => format!("{}/{endpoint}", self.path),
        };
        if joined.starts_with('/') { joined } else { format!("/{joined}") }
    }

    /// Returns the target of a redirect; `None` if it leads to another server, which the route may
    /// not reach.
    pub(crate) fn redirected(&self, from: &str, location: &str) -> Option<String> {
        let location = location.split('#').next().unwrap_or_default();
        if let Some(behind) = location.strip_prefix("//") {
            let scheme = if self.is_secure { "https" } else { "http" };
            return self.within(&format!("{scheme}://{behind}"));
        }
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return self.within(location);
        }
        if location.starts_with('/') {
            return Some(location.to_owned());
        }
        let path = from.split('?').next().unwrap_or_default();
        if location.starts_with('?') || location.is_empty() {
            return Some(format!("{path}{location}"));
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Some(format!("{folder}/{location}"))
    }

    fn within(&self, address: &str) -> Option<String> {
        let other = Base::parse(address)?;
        if (&other.place, other.is_secure) != (&self.place, self.is_secure) {
            return None;
        }
        let behind = address.split_once("://")?.1;
        let target = behind.find(['/', '?']).map_or("/", |at| &behind[at..]);
        Some(if target.starts_with('/') { target.to_owned() } else { format!("/{target}") })
    }
}

fn place(authority: &str, is_secure: bool) -> String {
    let authority = authority.to_ascii_lowercase();
    let has_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|it| it.is_ascii_digit()));
    if has_port { authority } else { format!("{authority}:{}", if is_secure { 443 } else { 80 }) }
}

/// Encodes a value for an address: escapes all bytes except letters, digits and `-._~` (RFC 3986
/// §2.3).
pub(crate) fn encoded(value: &str) -> String {
    written(value, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// The text of a definition within an address: what cannot stand in one is written as bytes.
pub(crate) fn plain(text: &str) -> String {
    written(text, |byte| byte.is_ascii_graphic())
}

fn written(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_behind_the_address() {
        for (address, endpoint, expected) in [
            ("https://api.example", "/v1/x?c=1", "/v1/x?c=1"),
            ("https://api.example/", "v1", "/v1"),
            ("http://h:8080/base/", "/x", "/base/x"),
            ("http://h/base", "x", "/base/x"),
            ("http://h/base", "", "/base"),
            ("http://h", "", "/"),
            ("http://h", "?q=1", "/?q=1"),
        ] {
            assert_eq!(Base::parse(address).unwrap().target(endpoint), expected, "{address} {endpoint}");
        }
        for wrong in ["api.example", "ftp://x", "http://", "http://user:secret@h"] {
            assert_eq!(Base::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn redirects_stay_at_the_place() {
        let base = Base::parse("http://H:8080/base").unwrap();
        for (location, expected) in [
            ("/other?x=1#part", Some("/other?x=1")),
            ("next", Some("/base/a/next")),
            ("?q", Some("/base/a/b?q")),
            ("http://h:8080/x", Some("/x")),
            ("http://h:8080", Some("/")),
            ("http://h:8080?q", Some("/?q")),
            ("//h:8080/y", Some("/y")),
            ("http://h/x", None),
            ("https://h:8080/x", None),
            ("//elsewhere/x", None),
            ("http://h:8080@evil/x", None),
        ] {
            assert_eq!(base.redirected("/base/a/b?old", location).as_deref(), expected, "{location}");
        }
        let base = Base::parse("https://h").unwrap();
        assert_eq!(base.redirected("/", "https://h:443/x").as_deref(), Some("/x"));
    }

    #[test]
    fn values_become_no_part_of_an_address() {
        assert_eq!(encoded("a b/c?d=e&f#g%ä~"), "a%20b%2Fc%3Fd%3De%26f%23g%25%C3%A4~");
        assert_eq!(plain("/a b?c=ä&d"), "/a%20b?c=%C3%A4&d");
    }
}
