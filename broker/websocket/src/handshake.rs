//! The opening handshake as the server does it, RFC 6455 §4.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1_smol::Sha1;

use crate::deflate::DeflateParams;
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};

/// RFC 6455 §1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Bytes of the request; frames begin behind them.
    pub consumed: usize,
    /// Response to send.
    pub response: Vec<u8>,
    /// Negotiated parameters of compression; `None` without compression.
    pub deflate: Option<DeflateParams>,
    /// Sender and addressee of the request.
    pub asker: Asker,
}

/// Sender and addressee of a request, as its header fields state them. Values of a repeated field
/// are joined by commas. Bytes that are not text are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// `Host`: name and port under which the client reaches the server.
    pub host: Option<Box<str>>,
    /// `Origin`: the web page that asks, as the browser names where it is from (RFC 6454 §6.2);
    /// other programs tell none.
    pub origin: Option<Box<str>>,
    /// Name of the first field that clients do not send by themselves, such as `Forwarded`, `Via`
    /// or `X-Real-IP`.
    pub foreign_field: Option<Box<str>>,
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {text}")]
pub struct Refusal {
    /// Status code of HTTP.
    pub status: u16,
    /// Why, for people.
    pub text: &'static str,
    /// Response to send before the connection is closed.
    pub response: Vec<u8>,
}

/// Judges the request in `head`; `None` while it has not come as a whole.
///
/// The path must be one of `paths`, whatever query stands behind it; the first of `subprotocols`
/// that the client offers is chosen, and one must be \[MQTT-6.0.0-4\]. `may_compress`: whether
/// permessage-deflate is agreed to.
///
/// # Errors
/// [`Refusal`].
pub fn accept(
    head: &[u8],
    paths: &[&str],
    subprotocols: &[&str],
    may_compress: bool,
) -> Result<Option<Accepted>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let consumed = match request.parse(head) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => len,
        Ok(httparse::Status::Partial) if head.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(refusal(431, "Request Header Fields Too Large", "the request is too long", ""));
        }
        Err(_) => return Err(refusal(400, "Bad Request", "not a request of HTTP", "")),
    };
    let fields = Fields(request.headers);
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if !paths.contains(&path) {
        return Err(refusal(404, "Not Found", "MQTT is at /mqtt", ""));
    }
    if request.method != Some("GET") {
        return Err(refusal(405, "Method Not Allowed", "only GET", "Allow: GET\r\n"));
    }
    if request.version != Some(1)
        || !fields.has("upgrade", "websocket")
        || !fields.has("connection", "upgrade")
    {
        let wanted = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        return Err(refusal(426, "Upgrade Required", "this is a WebSocket", wanted));
    }
    if !fields.has("sec-websocket-version", "13") {
        return Err(refusal(426, "Upgrade Required", "only version 13", "Sec-WebSocket-Version: 13\r\n"));
    }
    let key =
        fields.first("sec-websocket-key").filter(|key| BASE64.decode(key).is_ok_and(|key| key.len() == 16));
    let Some(key) = key else {
        return Err(refusal(400, "Bad Request", "Sec-WebSocket-Key is not 16 bytes in base64", ""));
    };
    let mut chosen = subprotocols.iter().filter(|ours| fields.has_exactly("sec-websocket-protocol", ours));
    let Some(subprotocol) = chosen.next() else {
        return Err(refusal(400, "Bad Request", "Sec-WebSocket-Protocol must offer mqtt", ""));
    };
    let deflate =
        fields.values("sec-websocket-extensions").find_map(DeflateParams::choose).filter(|_| may_compress);
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n",
        accept_key(key)
    );
    if let Some(deflate) = &deflate {
        response.push_str(&format!("Sec-WebSocket-Extensions: {}\r\n", deflate.answer()));
    }
    response.push_str("\r\n");
    let asker = Asker {
        host: fields.joined("host"),
        origin: fields.joined("origin"),
        foreign_field: fields.foreign(),
    };
    Ok(Some(Accepted { consumed, response: response.into_bytes(), deflate, asker }))
}

/// Fields that browsers and client libraries send of their own accord, in lower case; besides, all
/// that begin with `sec-`.
///
/// A list of what proxies add would never be complete: each product has names of its own, and every
/// administrator may choose others.
const FIELDS_OF_CLIENTS: [&str; 16] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "dnt",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "referer",
    "upgrade",
    "user-agent",
];

/// Returns the proof that the server understood the request (`Sec-WebSocket-Accept`).
pub(crate) fn accept_key(key: &str) -> String {
    let mut sha1 = Sha1::from(key);
    sha1.update(MAGIC.as_bytes());
    BASE64.encode(sha1.digest().bytes())
}

fn refusal(status: u16, phrase: &str, text: &'static str, fields: &str) -> Refusal {
    let response = format!(
        "HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n{fields}\r\n{text}\n",
        text.len() + 1
    );
    Refusal { status, text, response: response.into_bytes() }
}

/// The header fields of a message.
pub(crate) struct Fields<'a>(pub(crate) &'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// All values of fields with this name that are text.
    pub(crate) fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        fields.filter_map(|field| std::str::from_utf8(field.value).ok())
    }

    /// The values of all fields with this name, whatever they are.
    fn joined(&self, name: &str) -> Option<Box<str>> {
        let fields = self.0.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let values: Vec<_> = fields.map(|field| String::from_utf8_lossy(field.value)).collect();
        (!values.is_empty()).then(|| values.join(",").trim().into())
    }

    /// See [`Asker::foreign_field`].
    fn foreign(&self) -> Option<Box<str>> {
        let is_of_client = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.starts_with("sec-") || FIELDS_OF_CLIENTS.contains(&&*name)
        };
        self.0.iter().map(|field| field.name).find(|name| !is_of_client(name)).map(Into::into)
    }

    pub(crate) fn first(&self, name: &'a str) -> Option<&'a str> {
        self.values(name).next().map(str::trim)
    }

    /// Whether a list with this name, in however many fields, has this token, in whatever case.
    pub(crate) fn has(&self, name: &'a str, token: &str) -> bool {
        self.tokens(name).any(|one| one.eq_ignore_ascii_case(token))
    }

    /// The same for tokens in which upper and lower case differ.
    pub(crate) fn has_exactly(&self, name: &'a str, token: &str) -> bool {
        self.tokens(name).any(|one| one == token)
    }

    fn tokens(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values(name).flat_map(|list| list.split(',')).map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check_answer, request};

    const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: h\r\nOrigin: http://elsewhere\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\r\n";

    fn judge(request: &str) -> Result<Option<Accepted>, Refusal> {
        accept(request.as_bytes(), &["/mqtt", "/"], &["mqtt", "mqttv3.1"], true)
    }

    #[test]
    fn a_request_is_answered_as_in_the_standard() {
        let accepted = judge(&format!("{REQUEST}frames")).unwrap().unwrap();
        assert_eq!(accepted.consumed, REQUEST.len());
        let elsewhere = Some("http://elsewhere".into());
        let asker = Asker { host: Some("h".into()), origin: elsewhere, foreign_field: None };
        assert_eq!(accepted.asker, asker);
        let response = String::from_utf8(accepted.response).unwrap();
        // The example of RFC 6455 §1.3.
        assert!(
            response.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{response}"
        );
        assert!(response.contains("\r\nSec-WebSocket-Protocol: mqtt\r\n"), "{response}");
        assert!(!response.contains("Extensions"), "{response}");
        for end in 0..REQUEST.len() {
            assert_eq!(judge(&REQUEST[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn the_subprotocol_of_mqtt_3_1_is_answered_by_itself() {
        for (offered, chosen) in [
            ("mqttv3.1", "mqttv3.1"),
            ("mqttv3.1, mqtt", "mqtt"),
            ("mqtt, mqttv3.1", "mqtt"),
            ("chat, mqttv3.1", "mqttv3.1"),
        ] {
            let accepted = judge(&REQUEST.replacen("chat, mqtt", offered, 1)).unwrap().unwrap();
            let response = String::from_utf8(accepted.response).unwrap();
            let line = format!("\r\nSec-WebSocket-Protocol: {chosen}\r\n");
            assert!(response.contains(&line), "{offered}: {response}");
        }
    }

    #[test]
    fn handshake_reports_proxy_fields_and_joins_repeated_fields() {
        for (fields, host, origin, foreign) in [
            ("", "h", "http://elsewhere", None),
            ("user-agent: x\r\nSec-Fetch-Mode: websocket\r\nCookie: a=b\r\n", "h", "http://elsewhere", None),
            ("Forwarded: for=8.8.8.8\r\n", "h", "http://elsewhere", Some("Forwarded")),
            ("x-forwarded-proto:\r\nVia: 1.1 p\r\n", "h", "http://elsewhere", Some("x-forwarded-proto")),
            ("CF-Connecting-IP: \u{e9}\r\n", "h", "http://elsewhere", Some("CF-Connecting-IP")),
            ("Origin: http://h\r\n", "h", "http://elsewhere,http://h", None),
            ("host: 127.0.0.1\r\n", "h,127.0.0.1", "http://elsewhere", None),
        ] {
            let request = REQUEST.replacen("Upgrade:", &format!("{fields}Upgrade:"), 1);
            let asker = judge(&request).unwrap().unwrap().asker;
            assert_eq!(asker.host.as_deref(), Some(host), "{fields}");
            assert_eq!(asker.origin.as_deref(), Some(origin), "{fields}");
            assert_eq!(asker.foreign_field.as_deref(), foreign, "{fields}");
        }
        let nameless = REQUEST.replacen("Host: h\r\nOrigin: http://elsewhere\r\n", "", 1);
        assert_eq!(judge(&nameless).unwrap().unwrap().asker, Asker::default());
    }

    #[test]
    fn both_sides_understand_each_other() {
        for compresses in [true, false] {
            let asked = request("h", "/", "mqtt", [7; 16], compresses);
            let accepted = accept(&asked, &["/"], &["mqtt"], true).unwrap().unwrap();
            assert_eq!(accepted.deflate.is_some(), compresses);
            let answered = check_answer(&accepted.response, "mqtt", [7; 16]).unwrap().unwrap();
            assert_eq!((answered.consumed, answered.deflate), (accepted.response.len(), accepted.deflate));
            assert!(check_answer(&accepted.response, "mqtt", [8; 16]).is_err());
        }
    }

    #[test]
    fn refusals_say_why_in_http() {
        for (old, new, status) in [
            ("GET /mqtt ", "GET /mqtt?token=1 ", 101),
            ("GET /mqtt ", "GET / ", 101),
            ("GET /mqtt ", "GET /other ", 404),
            ("GET /mqtt ", "POST /mqtt ", 405),
            ("HTTP/1.1", "HTTP/1.0", 426),
            ("Upgrade: WebSocket\r\n", "", 426),
            ("keep-alive, Upgrade", "close", 426),
            ("Version: 13", "Version: 8", 426),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400),
            ("chat, mqtt", "chat", 400),
            // A server must not choose a subprotocol that was not offered. Their names are compared
            // exactly (RFC 6455 §4.2.2).
            ("chat, mqtt", "MQTT", 400),
            ("Sec-WebSocket-Protocol: chat, mqtt\r\n", "", 400), // [MQTT-6.0.0-3]
            ("Host: h", "no field", 400),
        ] {
            let changed = REQUEST.replacen(old, new, 1);
            let got = match judge(&changed) {
                Ok(accepted) => accepted.map_or(0, |_| 101),
                Err(refusal) => {
                    assert!(refusal.response.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{new}");
                    refusal.status
                }
            };
            assert_eq!(got, status, "{new}");
        }
        let endless = format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(judge(&endless).unwrap_err().status, 431);
    }
}
