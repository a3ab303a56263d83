//! Sockets that listen, for TCP and Unix, and why one could not be opened.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tracing::warn;

use super::limits::BACKLOG_CONNECTIONS_MAX;

/// Socket that listens.
#[derive(Debug)]
pub enum ListeningSocket {
    /// Socket with an address and a port.
    Tcp(TcpListener),
    /// Unix socket, with its file.
    Unix(UnixListener, SocketFile),
}

/// Address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// Address and port.
    Network(SocketAddr),
    /// The file of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Address and port, where it has them.
    #[must_use]
    pub fn network(&self) -> Option<SocketAddr> {
        match self {
            Self::Network(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

impl ListeningSocket {
    /// Returns the address at which clients reach it.
    ///
    /// # Errors
    /// The error of the system.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(ListenAddress::Network),
            Self::Unix(_, file) => Ok(ListenAddress::Unix(file.path.clone())),
        }
    }
}

impl AsRawFd for ListeningSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket, _) => socket.as_fd(),
        }
    }
}

/// Opens a listening socket.
///
/// # Errors
/// The error of the system, usually that the address is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Each family has its own socket, as configured.
        socket.set_only_v6(true)?;
    }
    // Inherited by the accepted sockets: one system call less for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG_CONNECTIONS_MAX)?;
    Ok(socket.into())
}

/// File of a listening Unix socket; it is removed when this is dropped, unless another one has
/// taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    id: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.id);
        if is_ours && let Err(error) = std::fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "socket file not removed");
        }
    }
}

/// Opens a listening Unix socket. The file of a broker that did not clean up is replaced.
///
/// # Errors
/// The error of the system; `AddrInUse` if a process listens there, `AlreadyExists` if the file is
/// no socket.
pub fn bind_unix(path: &Path, mode: u32) -> io::Result<ListeningSocket> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Nobody may connect before the permissions are set, and there is no moment without the file.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&new)?)?;
    let prepared = std::fs::set_permissions(&new, Permissions::from_mode(mode))
        .and_then(|()| socket.listen(BACKLOG_CONNECTIONS_MAX))
        .and_then(|()| std::fs::symlink_metadata(&new))
        .and_then(|found| std::fs::rename(&new, path).map(|()| (found.dev(), found.ino())));
    let id = prepared.inspect_err(|_| drop(std::fs::remove_file(&new)))?;
    Ok(ListeningSocket::Unix(socket.into(), SocketFile { path: path.to_owned(), id }))
}

/// Explanation of why a Unix socket could not be opened, for people.
pub fn unix_refusal(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        format!("{path} is in use by another program")
    } else if kind == io::ErrorKind::AlreadyExists {
        format!("{path} is there and is no socket")
    } else {
        format!("{path}: {error}")
    }
}

/// Explanation of why a listener could not be opened, for people.
pub fn refusal(address: SocketAddr, error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        format!("port {} is in use by another program ({address})", address.port())
    } else if kind == io::ErrorKind::AddrNotAvailable {
        format!("this machine does not have the address {}", address.ip())
    } else if kind == io::ErrorKind::PermissionDenied {
        format!("no permission to open port {} ({address})", address.port())
    } else {
        format!("{address}: {error}")
    }
}
