//! A request to a route that serves HTTP, and the answer that it is to get. The host answers on a
//! connection that ends then, with a body of known length.

use crate::keys::Keys;
use crate::payload::{Compared, Payload, compared};

use super::link::VisitLine;

/// Method without a body, and with one.
const DEFAULT_METHODS: [&str; 2] = ["GET", "POST"];

/// Fields of an answer that are read.
const FIELDS_MAX: usize = 64;

/// HTTP request of a client, with the expected response.
#[derive(Debug)]
pub(super) struct HttpWords {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Payload>,
    status: u16,
    gets: Option<Payload>,
    contains: Option<String>,
}

/// An answer.
struct VisitAnswer<'a> {
    status: u16,
    /// Bytes of the body according to the head.
    length: Option<usize>,
    /// As far as it has come.
    body: &'a [u8],
}

impl HttpWords {
    pub(super) fn read(keys: &mut Keys) -> Result<Self, String> {
        let body = keys.has("body").then(|| keys.payload("body")).transpose()?;
        let method = keys.optional_text("method")?;
        let method = method.unwrap_or_else(|| DEFAULT_METHODS[usize::from(body.is_some())].to_owned());
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("`method` is a method of HTTP as POST, found `{method}`"));
        }
        let path = keys.optional_text("path")?.unwrap_or_else(|| "/".to_owned());
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "`path` begins with / and has neither blanks nor characters beyond ASCII, found `{path}`"
            ));
        }
        let headers = keys.table("headers")?.into_iter().map(header).collect::<Result<_, _>>()?;
        let status = keys.integer("status")?.unwrap_or(200);
        let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
        Ok(Self {
            method,
            path,
            headers,
            body,
            status: status.ok_or("`status` is a number from 200 to 599")?,
            gets: keys.has("gets").then(|| keys.payload("gets")).transpose()?,
            contains: keys.optional_text("contains")?,
        })
    }

    pub(super) fn described(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The request as it goes over the wire.
    pub(super) fn request(&self) -> Vec<u8> {
        let body = self.body.as_ref().map(Payload::to_bytes).unwrap_or_default();
        let mut text =
            format!("{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", self.method, self.path);
        if self.body.is_some() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        [text.into_bytes(), body].concat()
    }

    /// Returns the difference between the answer and the expected one.
    pub(super) fn judged(&self, line: &VisitLine) -> Option<String> {
        let Some(answer) = VisitAnswer::read(line.heard()).filter(|_| is_whole(line)) else {
            return Some(match line.is_over() {
                true => "the connection ended without an answer".to_owned(),
                false => "no answer came in time".to_owned(),
            });
        };
        let text = String::from_utf8_lossy(answer.body);
        if answer.status != self.status {
            return Some(format!("expected status {}, got {} with {text:?}", self.status, answer.status));
        }
        if let Some(wanted) = self.gets.as_ref().filter(|wanted| !wanted.is_like(answer.body)) {
            return Some(match compared(wanted, answer.body) {
                Some(Compared { expected, found, differences }) => {
                    format!("expected to get {expected}, got {found}; differs: {differences}")
                }
                None => format!("expected to get `{wanted}`, got {text:?}"),
            });
        }
        let part = self.contains.as_deref().filter(|part| !text.contains(part));
        part.map(|part| format!("expected to get … {part:?} …, got {text:?}"))
    }
}

fn header((name, value): (String, toml::Value)) -> Result<(String, String), String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let value = value.as_str().filter(|value| !value.contains(['\r', '\n'])).map(str::to_owned);
    let is_fit = !name.is_empty() && name.bytes().all(is_name);
    match value.filter(|_| is_fit) {
        Some(value) => Ok((name, value)),
        None => {
            Err(format!("`headers.{name}` is a field of HTTP: a name of letters, digits and -, and a text"))
        }
    }
}

/// Whether an answer has come whole, or never will.
pub(super) fn is_whole(line: &VisitLine) -> bool {
    line.is_over()
        || VisitAnswer::read(line.heard()).is_some_and(|answer| answer.length == Some(answer.body.len()))
}

impl<'a> VisitAnswer<'a> {
    /// Reads the received bytes; `None` while the head is incomplete or if it is invalid.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(head) = answer.parse(bytes).ok()? else { return None };
        let (status, body) = (answer.code?, bytes.get(head..)?);
        let length = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok());
        Some(Self { status, length, body })
    }
}
