//! `mqtt://user:password@host:port/topic`, as `mosquitto_pub -L` takes it.

/// A broker, a user and a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) topic: Option<String>,
}

impl Url {
    /// Reads a URL. `mqtts` is refused: this client has no TLS.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("mqtt://") else {
            return Err(
                "expected mqtt://[user[:password]@]host[:port][/topic]; TLS is not available".to_owned()
            );
        };
        let (authority, topic) = match rest.split_once('/') {
            Some((authority, topic)) => (authority, Some(topic.to_owned()).filter(|topic| !topic.is_empty())),
            None => (rest, None),
        };
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let (user, password) = match credentials.map(|both| both.split_once(':').unwrap_or((both, ""))) {
            Some((user, password)) => (non_empty(user), non_empty(password)),
            None => (None, None),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Self { host, port, user, password, topic })
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let is_port_separator = |at: &usize| !place.get(*at..).unwrap_or_default().contains(']');
    let Some(colon) = place.rfind(':').filter(is_port_separator) else {
        return if place.is_empty() {
            Err("the host is missing".to_owned())
        } else {
            Ok((place.to_owned(), None))
        };
    };
    let (host, port) = place.split_at(colon);
    let port = port.trim_start_matches(':');
    match port.parse() {
        Ok(port) if !host.is_empty() => Ok((host.to_owned(), Some(port))),
        Ok(_) => Err("the host is missing".to_owned()),
        Err(_) => Err(format!("`{port}` is not a port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parsed = |text: &str| {
            let url = Url::parse(text)?;
            Ok((url.host, url.port, url.user, url.password, url.topic))
        };
        let owned = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("mqtt://h", Ok(("h".to_owned(), None, None, None, None))),
            ("mqtt://u@h:1/a/b", Ok(("h".to_owned(), Some(1), owned("u"), None, owned("a/b")))),
            ("mqtt://u:p@s@h/", Ok(("h".to_owned(), None, owned("u"), owned("p@s"), None))),
            ("mqtt://[::1]:7", Ok(("[::1]".to_owned(), Some(7), None, None, None))),
            ("mqtt://[::1]", Ok(("[::1]".to_owned(), None, None, None, None))),
            ("mqtt://:1", Err("the host is missing".to_owned())),
            ("mqtt://h:x", Err("`x` is not a port".to_owned())),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        assert!(Url::parse("mqtts://h").unwrap_err().contains("TLS"));
    }
}
