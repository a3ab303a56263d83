//! A server of the protocol that does what none does: it says what a test gives it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// A packet of the server.
pub(super) fn packet(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&[4, 1, length[0], length[1], 0, 0, 1, 0], body].concat()
}

/// The answer to a PRELOGIN that says there is no TLS.
pub(super) fn prelogin() -> Vec<u8> {
    packet(b"\x01\0\x06\0\x01\xff\x02")
}

/// The end of something.
pub(super) const DONE: &[u8] = b"\xfd\0\0\0\0\0\0\0\0\0\0\0\0";

/// The answer to a login.
pub(super) fn login() -> Vec<u8> {
    packet(&[b"\xad\x0a\0\x01\x74\0\0\x04\0\x10\0\0\0", DONE].concat())
}

/// A connection as the server sees it.
pub(super) struct Peer(TcpStream);

impl Peer {
    /// The next packet; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).ok()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let mut body = vec![0; length.saturating_sub(8)];
        self.0.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// Says something. Its end is that of the client.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }
}

/// Listens, and does something with each connection in a thread of its own; gives the port.
pub(super) fn serve(each: impl Fn(Peer) + Send + Sync + Clone + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let each = each.clone();
            std::thread::spawn(move || each(Peer(stream.unwrap())));
        }
    });
    port
}
