//! Header of the PROXY protocol, versions 1 and 2, in front of everything else on listeners that
//! want it.
//!
//! Invariants: a header is read as soon as it is complete and never before; one that cannot become
//! a header is refused at its first wrong byte, as far as the format allows; at most
//! [`PROXY_HEADER_BYTES_MAX`] belong to it. Not here: what the address is used for (`peer`).

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, ready};

use proxy_header::{Error, ParseConfig, ProxyHeader};

use rustix::net::RecvFlags;
use tokio::io::Interest;

use super::limits::PROXY_HEADER_BYTES_MAX;
use super::socket::Socket;
use lotmq_core::reason::close::{CloseReason, TransportFailure};

/// Beginning of version 1; the rest is a line of text.
const START_1: &[u8] = b"PROXY ";

/// Beginning of version 2; four more bytes and what they announce follow.
const START_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of the longest line of version 1, its end included. The library sees to it only while the
/// end has not come.
const LINE_BYTES_MAX: usize = 107;

/// Complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Length of the header in bytes.
    pub(crate) len: usize,
    /// Source address of the connection; `None` when the proxy does not know it, or made the
    /// connection itself.
    pub(crate) source: Option<SocketAddr>,
}

/// Error: the input is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no header of the PROXY protocol")]
pub(crate) struct NoHeader;

/// Takes the header from the front of a connection, and nothing behind it.
///
/// # Errors
/// When there is none, or the connection ends before it is complete.
pub(crate) async fn take(socket: &Socket) -> Result<Header, CloseReason> {
    let mut head = Vec::new();
    poll_fn(|cx| {
        loop {
            if ready!(socket.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Err(CloseReason::NetworkError));
            }
            match socket.try_io(Interest::READABLE, || take_more(socket, &mut head)) {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(header))) => return Poll::Ready(Ok(header)),
                Ok(Err(reason)) => return Poll::Ready(Err(reason)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(Err(CloseReason::NetworkError)),
            }
        }
    })
    .await
}

/// Takes further bytes of the header; `None` until it is complete.
fn take_more(socket: &Socket, head: &mut Vec<u8>) -> io::Result<Result<Option<Header>, CloseReason>> {
    let known = head.len();
    let mut bytes = [0; PROXY_HEADER_BYTES_MAX];
    // Looked at first: what stands behind it stays in the socket, where the connection finds it.
    let (len, _) = rustix::net::recv(socket, &mut bytes, RecvFlags::PEEK)?;
    if len == 0 {
        return Ok(Err(CloseReason::PeerClosed));
    }
    head.extend_from_slice(&bytes[..len]);
    let Ok(header) = read(head) else {
        return Ok(Err(CloseReason::Transport(TransportFailure::ProxyHeader)));
    };
    let belonging = header.map_or(len, |header| header.len - known);
    rustix::net::recv(socket, &mut bytes[..belonging], RecvFlags::empty())?;
    Ok(Ok(header))
}

/// Reads the header at the beginning of `bytes`; `None` while it has not come as a whole.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Header>, NoHeader> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted);
    if !begins(START_1) && !begins(START_2) {
        return Err(NoHeader);
    }
    // The length that version 2 announces.
    if let Some([high, low]) = bytes.get(14..16).filter(|_| begins(START_2))
        && 16 + usize::from(u16::from_be_bytes([*high, *low])) > PROXY_HEADER_BYTES_MAX
    {
        return Err(NoHeader);
    }
    let config = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    match ProxyHeader::parse(bytes, config) {
        Ok((_, len)) if begins(START_1) && len > LINE_BYTES_MAX => Err(NoHeader),
        Ok((header, len)) => {
            let source = header.proxied_address().map(|address| address.source);
            Ok(Some(Header { len, source }))
        }
        Err(Error::BufferTooShort) if bytes.len() < PROXY_HEADER_BYTES_MAX => Ok(None),
        Err(_) => Err(NoHeader),
    }
}

/// Entry point of a fuzzer: a header means the same however much has come behind it, and nothing
/// before it is complete.
///
/// # Panics
/// When that is not so.
pub fn fuzz_proxy(bytes: &[u8]) {
    let whole = read(bytes);
    if let Ok(Some(header)) = whole {
        assert!(header.len <= bytes.len() && header.len <= PROXY_HEADER_BYTES_MAX);
        assert_eq!(read(&bytes[..header.len]), whole, "what stands behind a header changes it");
        for end in 0..header.len {
            assert_eq!(read(&bytes[..end]), Ok(None), "decided before it was complete");
        }
    } else if whole == Ok(None) {
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Ok(None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [START_2, &[command, family], &len, body].concat()
    }

    #[test]
    fn headers_of_both_versions_are_read() {
        let address = |text: &str| Some(text.parse().unwrap());
        let four = [10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x34, 0x07, 0x5b];
        let mut six = [0; 36];
        (six[15], six[33]) = (9, 80);
        let with_extension = [&four[..], &[0xea, 0, 3, 1, 2, 3]].concat();
        for (bytes, source) in [
            (b"PROXY TCP4 10.1.2.3 10.0.0.2 4711 1883\r\n".to_vec(), address("10.1.2.3:4711")),
            (b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(), address("[2001:db8::1]:1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN whatever it says\r\n".to_vec(), None),
            ([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 91], b"\r\n"].concat(), None),
            (v2(0x21, 0x11, &four), address("10.0.0.1:4660")),
            (v2(0x21, 0x21, &six), address("[::9]:80")),
            (v2(0x21, 0x11, &with_extension), address("10.0.0.1:4660")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, &four), None),
        ] {
            let len = bytes.len();
            let more = [&bytes[..], b"\x10\x0e"].concat();
            assert_eq!(read(&more), Ok(Some(Header { len, source })), "{bytes:?}");
            fuzz_proxy(&more);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long = v2(0x21, 0x11, &[0; 5000]);
        for bytes in [
            &b"\x10\x0e\0\x04MQTT"[..],
            b"GET / HTTP/1.1\r\n",
            b"X",
            b"PROXY TCP4 10.1.2 10.0.0.2 4711 1883\r\n",
            b"PROXY TCP5 10.1.2.3 10.0.0.2 4711 1883\r\n",
            b"PROXY TCP4 10.1.2.3 10.0.0.2 99999 1883\r\n",
            &[b'P'; 20],
            &[START_2, &[0x31, 0x11, 0, 12]].concat(),
            &long[..16],
            &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(),
            &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat(),
        ] {
            assert_eq!(read(bytes), Err(NoHeader), "{bytes:?}");
        }
    }

    #[test]
    fn corpus_of_proxy_headers_replays() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/proxy");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 5, "the corpus is there");
        for file in files {
            let bytes = std::fs::read(file).unwrap();
            fuzz_proxy(&bytes);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 0x21;
                fuzz_proxy(&changed);
            }
        }
    }
}
