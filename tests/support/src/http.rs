//! The smallest HTTP client that reads the health port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::WAIT_MAX;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Everything behind the headers.
    pub body: String,
}

/// Asks for a path.
///
/// # Panics
/// When nobody answers in HTTP.
pub fn get(address: SocketAddr, path: &str) -> Response {
    get_from(address, "localhost", path)
}

/// Asks for a path of a server that is known by the name `host`.
///
/// # Panics
/// When nobody answers in HTTP.
pub fn get_from(address: SocketAddr, host: &str, path: &str) -> Response {
    let mut stream = TcpStream::connect_timeout(&address, WAIT_MAX).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("headers end with an empty line");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Response { status: status.expect("the status line has a code"), body: body.to_owned() }
}
