//! Ports of this machine for servers that a test starts.

use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::eventually;

/// Ports that the system gives to nobody by itself: below them are those of services, above those
/// of outgoing connections.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port of this machine that is free now, and that no other test is given before this process
/// ends: for a server that has to be told one, for one that ends and comes again, and for a far
/// side that is not there.
///
/// One that the system picks will not do: as soon as nobody listens there it may be the local end
/// of another test's connection, or of the connection that is being made to it, which then talks to
/// itself.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let folder = std::env::temp_dir().join("lotmq-test-ports");
    fs::create_dir_all(&folder).unwrap();
    let count = PORTS.end - PORTS.start;
    // Each process begins at another port, so that it soon finds a free one.
    let first = u16::try_from(std::process::id() * 37 % u32::from(count)).unwrap_or_default();
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (first + step % count) % count;
        let lock = File::create(folder.join(port.to_string())).unwrap();
        match lock.try_lock() {
            Ok(()) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => {
                // Held until the process ends.
                std::mem::forget(lock);
                return port;
            }
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => panic!("{}: {error}", folder.display()),
        }
    }
    panic!("no port from {PORTS:?} is free")
}

/// An address of this machine with a [`free_port`].
///
/// # Panics
/// When there is none.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

/// Waits until somebody listens at a port of this machine.
///
/// # Panics
/// When nobody does within [`WAIT_MAX`](crate::WAIT_MAX).
pub fn wait_for_port(port: u16) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    eventually(&format!("a server at {address}"), || TcpStream::connect(address).ok());
}
