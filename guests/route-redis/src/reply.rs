//! Replies of the server, in both versions of its protocol, and what they are as a payload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis_protocol::resp2::decode::decode as decode_2;
use redis_protocol::resp2::types::OwnedFrame as Frame2;
use redis_protocol::resp3::decode::complete::decode as decode_3;
use redis_protocol::resp3::types::OwnedFrame as Frame3;
use serde_json::{Map, Value as Json, json};

/// A value of a reply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Nothing,
    /// A text, or bytes.
    Bytes(Vec<u8>),
    /// A number, or a truth value.
    Plain(Json),
    List(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// The command was refused.
    Error(String),
    /// Nobody asked for it: the message of a channel.
    Push(Vec<Reply>),
}

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Protocol {
    Resp2,
    Resp3,
}

/// The first reply, and how long it is; `None` while a part of it is missing.
///
/// # Errors
/// That it is no reply.
pub(crate) fn decode(protocol: Protocol, bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let no_reply =
        |error: redis_protocol::error::RedisProtocolError| format!("what it sends is no reply: {error}");
    match protocol {
        Protocol::Resp2 => {
            let found = decode_2(bytes).map_err(no_reply)?;
            Ok(found.map(|(frame, length)| (of_resp2(frame), length)))
        }
        Protocol::Resp3 => {
            let found = decode_3(bytes).map_err(no_reply)?;
            Ok(found.map(|(frame, length)| (of_resp3(frame), length)))
        }
    }
}

fn of_resp2(frame: Frame2) -> Reply {
    match frame {
        Frame2::SimpleString(bytes) | Frame2::BulkString(bytes) => Reply::Bytes(bytes),
        Frame2::Error(text) => Reply::Error(text),
        Frame2::Integer(number) => Reply::Plain(number.into()),
        Frame2::Array(list) => Reply::List(list.into_iter().map(of_resp2).collect()),
        Frame2::Null => Reply::Nothing,
    }
}

fn of_resp3(frame: Frame3) -> Reply {
    let list = |frames: Vec<Frame3>| frames.into_iter().map(of_resp3).collect();
    match frame {
        Frame3::BlobString { data, .. }
        | Frame3::SimpleString { data, .. }
        | Frame3::VerbatimString { data, .. } => Reply::Bytes(data),
        // A number beyond those of JSON stays a text.
        Frame3::BigNumber { data, .. } => Reply::Bytes(data),
        Frame3::BlobError { data, .. } => Reply::Error(String::from_utf8_lossy(&data).into_owned()),
        Frame3::SimpleError { data, .. } => Reply::Error(data),
        Frame3::Boolean { data, .. } => Reply::Plain(data.into()),
        Frame3::Number { data, .. } => Reply::Plain(data.into()),
        // JSON has neither infinities nor what is no number.
        Frame3::Double { data, .. } if data.is_finite() => Reply::Plain(json!(data)),
        Frame3::Double { data, .. } => Reply::Bytes(data.to_string().into_bytes()),
        Frame3::Array { data, .. } => Reply::List(list(data)),
        Frame3::Set { data, .. } => Reply::List(data.into_iter().map(of_resp3).collect()),
        Frame3::Map { data, .. } => {
            Reply::Map(data.into_iter().map(|(key, value)| (of_resp3(key), of_resp3(value))).collect())
        }
        Frame3::Push { data, .. } => Reply::Push(list(data)),
        Frame3::Hello { .. } | Frame3::ChunkedString(_) | Frame3::Null => Reply::Nothing,
    }
}

impl Reply {
    /// The payload that it is: a text or bytes as they are, all else as JSON.
    pub(crate) fn payload(self) -> Vec<u8> {
        match self {
            Reply::Bytes(bytes) => bytes,
            other => other.into_json().to_string().into_bytes(),
        }
    }

    fn into_json(self) -> Json {
        match self {
            Reply::Nothing => Json::Null,
            Reply::Bytes(bytes) => text(bytes).into(),
            Reply::Plain(value) => value,
            Reply::List(list) | Reply::Push(list) => list.into_iter().map(Reply::into_json).collect(),
            Reply::Map(members) => {
                let member = |(key, value): (Reply, Reply)| (key.into_name(), value.into_json());
                Json::Object(members.into_iter().map(member).collect::<Map<_, _>>())
            }
            Reply::Error(reason) => json!({ "error": reason }),
        }
    }

    fn into_name(self) -> String {
        match self {
            Reply::Bytes(bytes) => text(bytes),
            other => other.into_json().to_string(),
        }
    }

    /// Its bytes, where it is such.
    pub(crate) fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Reply::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Bytes in JSON: as text where they are UTF-8, in base64 where they are not.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|bytes| STANDARD.encode(bytes.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(protocol: Protocol, bytes: &[u8]) -> String {
        let (reply, length) = decode(protocol, bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        String::from_utf8(reply.payload()).unwrap()
    }

    #[test]
    fn replies_become_payloads() {
        for (bytes, expected) in [
            (&b"+OK\r\n"[..], "OK"),
            (b"$4\r\n21.5\r\n", "21.5"),
            (b"_\r\n", "null"),
            (b":-7\r\n", "-7"),
            (b",2.5\r\n", "2.5"),
            (b",inf\r\n", "inf"),
            (b"#t\r\n", "true"),
            (b"*2\r\n$1\r\na\r\n*1\r\n_\r\n", r#"["a",[null]]"#),
            (b"%1\r\n$1\r\nt\r\n$2\r\n\xff\x00\r\n", r#"{"t":"/wA="}"#),
            (b"(12345678901234567890\r\n", "12345678901234567890"),
        ] {
            assert_eq!(payload(Protocol::Resp3, bytes), expected, "{bytes:?}");
        }
        for (bytes, expected) in [(&b"$-1\r\n"[..], "null"), (b"*-1\r\n", "null"), (b"*1\r\n:1\r\n", "[1]")] {
            assert_eq!(payload(Protocol::Resp2, bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn parts_of_a_reply_are_none_and_other_bytes_are_told() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let whole = b"*2\r\n$3\r\nabc\r\n:12\r\n";
            for length in 0..whole.len() {
                assert_eq!(decode(protocol, &whole[..length]), Ok(None), "{length}");
            }
            let refused = decode(protocol, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err();
            assert!(refused.starts_with("what it sends is no reply: "), "{refused}");
        }
    }
}
