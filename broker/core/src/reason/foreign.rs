//! Foreign protocols that are spoken to a listener by mistake, recognized by their first bytes.

/// Foreign protocol at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// A request of HTTP.
    #[error("this is HTTP, and the listener speaks MQTT; WebSocket has a listener of its own")]
    Http,
    /// A handshake of TLS.
    #[error("this is TLS, and the listener is not encrypted")]
    Tls,
}

impl Foreign {
    /// Recognizes the protocol that begins with these bytes.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        const METHODS: [&[u8]; 9] = [
            b"GET ",
            b"POST ",
            b"PUT ",
            b"HEAD ",
            b"DELETE ",
            b"OPTIONS ",
            b"PATCH ",
            b"CONNECT ",
            b"PRI * HTTP/2",
        ];
        if METHODS.iter().any(|method| bytes.starts_with(method)) {
            Some(Self::Http)
        } else if bytes.starts_with(&[0x16, 0x03]) {
            Some(Self::Tls)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_tls_are_detected_in_the_first_bytes() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Some(Foreign::Http)),
            (b"PRI * HTTP/2.0\r\n", Some(Foreign::Http)),
            (b"\x16\x03\x01\x02\x00\x01", Some(Foreign::Tls)),
            (b"\x10\x0e\x00\x04MQTT", None),
            (b"\x30\x02", None),
            (b"G", None),
        ] {
            assert_eq!(Foreign::detect(bytes), expected);
        }
    }
}
