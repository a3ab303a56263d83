//! Input from the server: lines, and messages after lines (the client protocol of NATS).

use serde_json::Value as Json;

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Facts of the server.
    Info(Json),
    /// The server has taken a line.
    Ok,
    /// Error of the server, without quotes.
    Error(String),
    /// The server wants a PONG.
    Ping,
    /// Answer to a PING.
    Pong,
    /// A message of a subject.
    Message(Received),
}

/// A message of a subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Subject of the message.
    pub subject: String,
    /// Number of the subscription.
    pub subscription: String,
    /// Subject for an answer.
    pub reply: Option<String>,
    /// Status of a message from the server itself, such as 503 for a subject without listeners.
    pub status: Option<String>,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// Payload.
    pub payload: Vec<u8>,
}

/// Bytes of a line that is no INFO.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The first frame, and how long it is; `None` while a part of it is missing.
///
/// # Errors
/// That it is none.
pub fn decode(bytes: &[u8], most: usize) -> Result<Option<(Frame, usize)>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        let is_beginning =
            bytes.len() < LINE_BYTES_MAX || (bytes.starts_with(b"INFO ") && bytes.len() < most);
        return if is_beginning { Ok(None) } else { Err(no_frame(bytes)) };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| no_frame(bytes))?;
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let behind = end + 2;
    let frame = match word.to_ascii_uppercase().as_str() {
        "INFO" => Frame::Info(serde_json::from_str(rest).map_err(|_| no_frame(bytes))?),
        "+OK" => Frame::Ok,
        "-ERR" => Frame::Error(rest.trim().trim_matches('\'').to_owned()),
        "PING" => Frame::Ping,
        "PONG" => Frame::Pong,
        "MSG" => return message(bytes, rest, behind, most, false),
        "HMSG" => return message(bytes, rest, behind, most, true),
        _ => return Err(no_frame(bytes)),
    };
    Ok(Some((frame, behind)))
}

fn message(
    bytes: &[u8],
    line: &str,
    start: usize,
    most: usize,
    has_headers: bool,
) -> Result<Option<(Frame, usize)>, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let sizes = if has_headers { 2 } else { 1 };
    let number = |index: usize| {
        words.get(index).and_then(|word| word.parse::<usize>().ok()).ok_or_else(|| no_frame(bytes))
    };
    // The subject for a reply may be left out.
    if !(words.len() == 2 + sizes || words.len() == 3 + sizes) {
        return Err(no_frame(bytes));
    }
    let whole = number(words.len() - 1)?;
    let headers = if has_headers { number(words.len() - 2)? } else { 0 };
    if whole > most || headers > whole {
        return Err(format!("it sends a message of {whole} bytes"));
    }
    let (Some(body), Some(b"\r\n")) =
        (bytes.get(start..start + whole), bytes.get(start + whole..start + whole + 2))
    else {
        return if bytes.len() < start + whole + 2 { Ok(None) } else { Err(no_frame(bytes)) };
    };
    let (status, headers_found) = read_headers(&body[..headers]);
    let received = Received {
        subject: words[0].to_owned(),
        subscription: words[1].to_owned(),
        reply: words.get(2).filter(|_| words.len() == 3 + sizes).map(|reply| (*reply).to_owned()),
        status,
        headers: headers_found,
        payload: body[headers..].to_vec(),
    };
    Ok(Some((Frame::Message(received), start + whole + 2)))
}

/// Status and headers: `NATS/1.0 503 No Responders` and lines `name: value`.
fn read_headers(block: &[u8]) -> (Option<String>, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(block);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("NATS/1.0").map(str::trim).filter(|status| !status.is_empty());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let header = |(name, value): (&str, &str)| (name.trim().to_owned(), value.trim().to_owned());
    (status.map(str::to_owned), headers.map(header).collect())
}

fn no_frame(bytes: &[u8]) -> String {
    let start: String = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    format!("what it sends is not NATS: '{}'", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(bytes: &[u8]) -> Frame {
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length], 1_000), Ok(None), "{length}");
        }
        let (frame, length) = decode(bytes, 1_000).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        frame
    }

    #[test]
    fn frames_are_read_as_they_come() {
        assert_eq!(one(b"INFO {\"max_payload\":5}\r\n"), Frame::Info(json!({"max_payload": 5})));
        assert_eq!(one(b"+OK\r\n"), Frame::Ok);
        assert_eq!(
            one(b"-ERR 'Authorization Violation'\r\n"),
            Frame::Error("Authorization Violation".to_owned())
        );
        assert_eq!((one(b"PING\r\n"), one(b"PONG\r\n")), (Frame::Ping, Frame::Pong));
        let received = |status: Option<&str>, headers: &[(&str, &str)], payload: &[u8]| {
            Frame::Message(Received {
                subject: "a.b".to_owned(),
                subscription: "1".to_owned(),
                reply: None,
                status: status.map(str::to_owned),
                headers: headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                payload: payload.to_vec(),
            })
        };
        assert_eq!(one(b"MSG a.b 1 4\r\n\r\nxy\r\n"), received(None, &[], b"\r\nxy"));
        let Frame::Message(asked) = one(b"MSG a.b 1 reply 0\r\n\r\n") else { unreachable!() };
        assert_eq!(asked.reply.as_deref(), Some("reply"));
        assert_eq!(Frame::Message(Received { reply: None, ..asked }), received(None, &[], b""));
        assert_eq!(
            one(b"HMSG a.b 1 25 27\r\nNATS/1.0\r\nk: v\r\nk:w:x\r\n\r\nhi\r\n"),
            received(None, &[("k", "v"), ("k", "w:x")], b"hi")
        );
        assert_eq!(one(b"HMSG a.b 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"), received(Some("503"), &[], b""));
    }

    #[test]
    fn other_bytes_are_told() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"INFO no json\r\n",
            b"MSG a.b 1\r\n",
            b"MSG a.b 1 x\r\n",
            b"MSG a.b 1 2000\r\n",
            b"HMSG a 1 9 4\r\n",
            b"MSG a.b 1 1\r\nxyz\r\n",
        ] {
            assert!(decode(bytes, 1_000).is_err(), "{bytes:?}");
        }
        assert!(decode(&[b'x'; LINE_BYTES_MAX], 1_000).is_err());
    }
}
