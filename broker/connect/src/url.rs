//! `mqtt://user:password@host:port/topic`, as `mosquitto_pub -L` takes it, and its relatives for
//! TLS and WebSocket.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};

/// Message for a port that is none. It does not quote the text, which may be a part of a password.
const NO_PORT: &str =
    "the port is no number from 1 to 65535; a password with `/` in it is given with --password-file";

/// Parser of an option whose errors do not quote the value: a URL may hold a password.
#[derive(Clone)]
pub struct Unquoted<T>(pub fn(&str) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Unquoted<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let parsed = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned()).and_then(self.0);
        parsed.map_err(|told| {
            let option = arg.map_or_else(|| "URL".to_owned(), ToString::to_string);
            let error = clap::Error::raw(ErrorKind::ValueValidation, format!("{option}: {told}\n"));
            error.with_cmd(command)
        })
    }
}

/// A broker, a user, and what stands behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// How the broker is reached.
    pub scheme: Scheme,
    /// Name or address of the broker, an IPv6 address in brackets.
    pub host: String,
    /// Port, where one is named.
    pub port: Option<u16>,
    /// User, where one is named.
    pub user: Option<String>,
    /// Password, where one is given.
    pub password: Option<String>,
    /// The topic; for WebSocket the path.
    pub tail: Option<String>,
}

/// How the broker is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `mqtt://`: plain TCP.
    Mqtt,
    /// `mqtts://`: TLS.
    Mqtts,
    /// `ws://`: WebSocket.
    Ws,
    /// `wss://`: WebSocket in TLS.
    Wss,
}

impl Scheme {
    /// Whether it goes through TLS.
    #[must_use]
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    /// Whether it goes through WebSocket.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence for the user about what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (Scheme::Mqtt, rest),
            Some(("mqtts", rest)) => (Scheme::Mqtts, rest),
            Some(("ws", rest)) => (Scheme::Ws, rest),
            Some(("wss", rest)) => (Scheme::Wss, rest),
            Some(_) | None => {
                return Err(
                    "expected mqtt://[user[:password]@]host[:port][/topic], or mqtts://, ws://, wss://"
                        .to_owned(),
                );
            }
        };
        let (authority, tail) = match rest.split_once('/') {
            Some((authority, tail)) => (authority, non_empty(tail)),
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
        Ok(Self { scheme, host, port, user, password, tail })
    }

    /// The topic, where it names one.
    pub fn topic(&self) -> Option<&str> {
        self.tail.as_deref().filter(|_| !self.scheme.is_websocket())
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
        // A password with `/` in it stands there: `mqtt://user:pass/word@host`.
        Err(_) => Err(NO_PORT.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parsed = |text: &str| {
            let url = Url::parse(text)?;
            Ok((url.host, url.port, url.user, url.password, url.tail))
        };
        let owned = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("mqtt://h", Ok(("h".to_owned(), None, None, None, None))),
            ("mqtt://u@h:1/a/b", Ok(("h".to_owned(), Some(1), owned("u"), None, owned("a/b")))),
            ("mqtt://u:p@s@h/", Ok(("h".to_owned(), None, owned("u"), owned("p@s"), None))),
            ("mqtt://[::1]:7", Ok(("[::1]".to_owned(), Some(7), None, None, None))),
            ("mqtt://[::1]", Ok(("[::1]".to_owned(), None, None, None, None))),
            ("mqtt://:1", Err("the host is missing".to_owned())),
            ("mqtt://u:swordfish/1@h", Err(NO_PORT.to_owned())),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        for (text, has_tls, is_websocket, topic) in [
            ("mqtt://h/a", false, false, Some("a")),
            ("mqtts://h/a", true, false, Some("a")),
            ("ws://h/a", false, true, None),
            ("wss://h/a", true, true, None),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.scheme.has_tls(), url.scheme.is_websocket(), url.topic()),
                (has_tls, is_websocket, topic)
            );
        }
        assert!(Url::parse("http://h").unwrap_err().contains("wss://"));
    }
}
