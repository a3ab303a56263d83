//! Forms of a served request that are refused though the parser takes them: a line that ends with
//! LF alone, and `Content-Length` beside `Transfer-Encoding`.
//!
//! A proxy in front may read both otherwise and so see other requests (RFC 9112, §2.2 and §6.3).
//! Bytes are followed from request to request, as far as that takes: lines of the head, and the
//! length of the body. Everything else is the parser's.

/// Bytes of a line that are looked at; fields with a meaning here are shorter.
const LINE_BYTES_MAX: usize = 128;

/// Requests of one connection, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct StrictRequests {
    at: Place,
    /// Beginning of the present line, without its end.
    line: Vec<u8>,
    /// Whether the last byte was CR.
    after_cr: bool,
    length: Option<u64>,
    is_chunked: bool,
    has_begun: bool,
}

/// Part of a request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A line of the head.
    #[default]
    Head,
    /// A body, or a chunk with the line break behind it, of which so many bytes are left; whether
    /// it is a chunk.
    Body(u64, bool),
    /// The line with the size of a chunk.
    ChunkSize,
    /// A line behind the last chunk.
    Trailer,
}

impl StrictRequests {
    /// Follows bytes; the place of the first one that is not taken, if there is one.
    pub(super) fn refused_at(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Place::Body(left, is_chunk) = self.at {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                at += taken;
                self.pass(left - taken as u64, is_chunk);
                continue;
            }
            let Some((&byte, _)) = rest.split_first() else { break };
            let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            if byte != b'\n' {
                if byte != b'\r' && self.line.len() < LINE_BYTES_MAX {
                    self.line.push(byte);
                }
            } else if !was_cr || !self.end_line() {
                return Some(at);
            }
            at += 1;
        }
        None
    }

    /// Goes on in a body of which so many bytes are left.
    fn pass(&mut self, left: u64, is_chunk: bool) {
        self.at = match (left, is_chunk) {
            (0, true) => Place::ChunkSize,
            (0, false) => Place::Head,
            _ => Place::Body(left, is_chunk),
        };
    }

    /// Ends a line; false when its request is refused.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        match self.at {
            Place::Head if line.is_empty() && self.has_begun => self.end_head(),
            // Empty lines before a request are passed over (RFC 9112, §2.2).
            Place::Head => {
                self.has_begun |= !line.is_empty();
                return self.takes_field(&line) && !(self.is_chunked && self.length.is_some());
            }
            Place::ChunkSize => match chunk_bytes(&line) {
                Some(0) | None => self.at = Place::Trailer,
                Some(bytes) => self.at = Place::Body(bytes.saturating_add(2), true),
            },
            Place::Trailer if line.is_empty() => self.at = Place::Head,
            Place::Trailer | Place::Body(..) => {}
        }
        true
    }

    /// Notes a field that says how long the body is; false for one that is too long to be looked at
    /// whole.
    fn takes_field(&mut self, line: &[u8]) -> bool {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return true };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let digits = value.get(1..).unwrap_or_default().trim_ascii();
            let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            self.length = Some(length.unwrap_or(0));
        } else {
            return true;
        }
        line.len() < LINE_BYTES_MAX
    }

    fn end_head(&mut self) {
        self.has_begun = false;
        let length = self.length.take().unwrap_or(0);
        if std::mem::take(&mut self.is_chunked) {
            self.at = Place::ChunkSize;
        } else {
            self.pass(length, false);
        }
    }
}

/// Size in the first line of a chunk; `None` for none, which the parser refuses.
fn chunk_bytes(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Position at which the bytes are refused, whatever pieces they come in.
    fn refused(text: &str) -> Option<usize> {
        let whole = StrictRequests::default().refused_at(text.as_bytes());
        for piece in [1, 2, 3, 7] {
            let mut requests = StrictRequests::default();
            let mut found = None;
            for (number, bytes) in text.as_bytes().chunks(piece).enumerate() {
                if let Some(at) = requests.refused_at(bytes) {
                    found = Some(number * piece + at);
                    break;
                }
            }
            assert_eq!(found, whole, "{text:?} in pieces of {piece}");
        }
        whole
    }

    #[test]
    fn a_length_in_a_long_line_is_refused() {
        let zeros = "0".repeat(LINE_BYTES_MAX);
        let text = format!("POST / HTTP/1.1\r\nContent-Length: {zeros}4\r\n\r\nbody");
        assert_eq!(refused(&text), Some("POST / HTTP/1.1\r\nContent-Length: 4\r".len() + zeros.len()));
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nX: {zeros}{zeros}\r\n\r\n")), None);
    }

    #[test]
    fn lines_end_with_cr_and_lf_and_a_body_has_one_length() {
        let post = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
        let chunks = "3\r\na\nb\r\n2;x=y\r\n\n\n\r\n0\r\nT: v\r\n\r\n";
        for taken in [
            GET.to_owned(),
            format!("\r\n{GET}\r\n{GET}"),
            post("Content-Length: 4\r\n", "\n\n\n\n") + GET,
            post("Transfer-Encoding: chunked\r\n", chunks) + GET,
            post("X-Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", chunks),
            post("Content-Length: 0\r\n", GET),
        ] {
            assert_eq!(refused(&taken), None, "{taken:?}");
        }
        for (before, behind) in [
            ("GET / HTTP/1.1", "\nHost: a\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: a", "\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: a\r\n", "\n"),
            ("", "\nGET / HTTP/1.1\r\n"),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\ntransfer-ENCODING: chunked\r", "\n\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y\r\ncontent-length:4\r", "\n\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3", "\nabc\r\n"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "\n"),
        ] {
            for first in ["", GET, &post("Content-Length: 2\r\n", "\n\n")] {
                let text = format!("{first}{before}{behind}");
                assert_eq!(refused(&text), Some(first.len() + before.len()), "{text:?}");
            }
        }
    }
}
