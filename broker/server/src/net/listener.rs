//! Listeners: sockets that accept connections, and the settings of all connections of one listener.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use lotmq_config::{Networks, UserFromCertificate, WebOrigins};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::unix::AsyncFd;
use tracing::{info, warn};

use super::Net;
use super::admission::{Addresses, Admission, Gate};
use super::certificates::ListenerTls;
use super::connection::Accepted;
use super::half_open::HalfOpen;
use super::shard::{Arrival, place, take_none};
use super::socket::SocketKind;
use crate::limits::{ACCEPT_LOG_SECONDS, ACCEPTED_IN_PLACE_MAX};
use lotmq_core::connection::ListenerTerms;
use lotmq_core::connection::peer::Peer;
use lotmq_core::turn::unfinished::Unfinished;

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

/// Pause after a failed accept; a broker without free descriptors must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listener, with all that its connections have in common.
pub(crate) struct Listener {
    pub(crate) net: Arc<Net>,
    /// Terms for the core.
    pub(crate) terms: Arc<ListenerTerms>,
    /// Half-open connections.
    pub(crate) half_open: HalfOpen,
    /// Bytes kept of their handshakes and CONNECT packets.
    pub(crate) half_open_bytes: Unfinished,
    /// Bytes kept of the input of all other connections.
    pub(crate) partial_bytes: Unfinished,
    /// Gate for its connections.
    pub(crate) gate: Gate,
    /// Addresses that connections come from.
    pub(crate) addresses: Addresses,
    /// Present when its connections are encrypted.
    pub(crate) tls: Option<Arc<ListenerTls>>,
    /// Part of a client's certificate that names the user.
    pub(crate) user_from_certificate: UserFromCertificate,
    /// Whether connections begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// Proxies whose header is trusted; with none, all are.
    pub(crate) trusted_proxies: Networks,
    /// Whether MQTT comes in frames of WebSocket.
    pub(crate) is_websocket: bool,
    /// Web pages that count as programs of this machine.
    pub(crate) origins: WebOrigins,
    /// Most connections with compressed messages, or with the zstd stream, at once.
    pub(crate) compressed_max: u32,
    /// Number of such connections.
    pub(crate) compressed: AtomicU32,
}

impl Deref for Listener {
    type Target = ListenerTerms;

    fn deref(&self) -> &ListenerTerms {
        &self.terms
    }
}

impl Listener {
    /// Whether the header of the PROXY protocol from `peer` is trusted.
    pub(crate) fn trusts_proxy(&self, peer: Peer) -> bool {
        self.trusted_proxies.is_empty()
            || matches!(peer, Peer::Tcp(address) if self.trusted_proxies.contains(address.ip()))
    }

    /// Time from accept to the end of the handshakes before MQTT.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        Duration::from_secs(self.limits.handshake_timeout_sec.into())
    }

    /// Time that the handshakes before MQTT may take.
    pub(crate) fn handshake_patience(&self) -> Duration {
        self.handshake_timeout().min(self.connect_timeout())
    }

    /// Time until the first check of a new connection.
    pub(crate) fn first_look(&self) -> Duration {
        if self.has_layers() { self.handshake_patience() } else { self.connect_timeout() }
    }

    /// Whether its connections have layers between socket and MQTT.
    pub(crate) fn has_layers(&self) -> bool {
        self.tls.is_some() || self.is_websocket
    }
}

/// Place of a connection among those with compressed messages; dropping it gives the place back.
pub(crate) struct CompressedPlace(Arc<Listener>);

impl CompressedPlace {
    /// Takes a place for a connection of `listener`; `None` when all are taken.
    pub(crate) fn take(listener: &Arc<Listener>) -> Option<Self> {
        let place = Self(Arc::clone(listener));
        (listener.compressed.fetch_add(1, Ordering::Relaxed) < listener.compressed_max).then_some(place)
    }
}

impl Drop for CompressedPlace {
    fn drop(&mut self) {
        self.0.compressed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Socket that listens.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
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
    pub(crate) fn address(&self) -> io::Result<ListenAddress> {
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
/// What the system says, with the address in use being the usual one.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
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
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// File of a listening Unix socket; it is removed when this is dropped, unless another one has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
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
/// What the system says; `AddrInUse` when somebody listens there, `AlreadyExists` when the file is something else.
pub(crate) fn bind_unix(path: &Path, mode: u32) -> io::Result<ListeningSocket> {
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
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| std::fs::symlink_metadata(&new))
        .and_then(|found| std::fs::rename(&new, path).map(|()| (found.dev(), found.ino())));
    let id = prepared.inspect_err(|_| drop(std::fs::remove_file(&new)))?;
    Ok(ListeningSocket::Unix(socket.into(), SocketFile { path: path.to_owned(), id }))
}

/// Explanation of why a Unix socket could not be opened, for people.
pub(crate) fn unix_refusal(path: &Path, error: &io::Error) -> String {
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
pub(crate) fn refusal(address: SocketAddr, error: &io::Error) -> String {
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

/// Listening socket with its listener. It is closed when this is dropped.
pub(crate) struct Served {
    listener: Arc<Listener>,
    socket: ListeningSocket,
}

impl AsRawFd for Served {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Listening sockets, for shards that accept in place of the one that serves them.
#[derive(Default)]
pub(crate) struct Listening(Mutex<Vec<Weak<Served>>>);

impl Listening {
    /// Adds a socket, which is listed for as long as it is served.
    pub(crate) fn add(&self, listener: Arc<Listener>, socket: ListeningSocket) -> Arc<Served> {
        let served = Arc::new(Served { listener, socket });
        self.0.lock().push(Arc::downgrade(&served));
        served
    }

    /// Accepts some of the connections that wait at each socket.
    pub(crate) fn accept_waiting(&self) {
        let all: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        for Served { listener, socket } in all.iter().map(AsRef::as_ref) {
            for _ in 0..ACCEPTED_IN_PLACE_MAX {
                if take_none(&listener.net.shards, Instant::now()) {
                    return;
                }
                // Nobody waits; or it is an error that comes again with the next look.
                let Ok((stream, peer)) = accept(socket) else { break };
                hand_over(listener, stream, peer);
            }
        }
    }
}

/// Accepts connections for ever and gives each to a shard.
pub(crate) async fn serve(served: Arc<Served>) -> io::Result<()> {
    let listener = Arc::clone(&served.listener);
    let address = served.socket.address()?;
    info!(listener = listener.name, %address, "listening");
    #[allow(
        deprecated,
        reason = "its replacement is unsafe for types whose descriptor may change; that of a std listener never does"
    )]
    let socket = AsyncFd::new(served)?;
    let mut failures = AcceptFailures::default();
    loop {
        let mut ready = socket.readable().await?;
        while take_none(&listener.net.shards, Instant::now()) {
            // They wait in the system's queue, which is bounded.
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        match ready.try_io(|served| accept(&served.get_ref().socket)) {
            Ok(Ok((stream, peer))) => hand_over(&listener, stream, peer),
            Ok(Err(error)) => {
                failures.note(&listener, &error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Err(_would_block) => {}
        }
    }
}

/// Failures to accept, which are logged now and then: without free descriptors every try fails.
#[derive(Default)]
struct AcceptFailures {
    told_at: Option<Instant>,
    suppressed: u64,
}

impl AcceptFailures {
    fn note(&mut self, listener: &Listener, error: &io::Error) {
        if self.told_at.is_some_and(|at| at.elapsed() < Duration::from_secs(ACCEPT_LOG_SECONDS)) {
            self.suppressed += 1;
            return;
        }
        self.told_at = Some(Instant::now());
        let suppressed = std::mem::take(&mut self.suppressed);
        warn!(listener = listener.name, %error, suppressed, "accept failed");
    }
}

/// Accepts one connection, ready for a runtime, with one system call.
fn accept(socket: &ListeningSocket) -> io::Result<(OwnedFd, Peer)> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    let (stream, peer) = rustix::net::acceptfrom_with(socket, flags)?;
    let peer = match socket {
        ListeningSocket::Tcp(_) => {
            let peer = peer.ok_or(io::ErrorKind::NotConnected)?;
            Peer::Tcp(SocketAddr::try_from(peer).map_err(|_| io::ErrorKind::Unsupported)?)
        }
        ListeningSocket::Unix(..) => Peer::Unix,
    };
    Ok((stream, peer))
}

fn hand_over(listener: &Arc<Listener>, stream: OwnedFd, peer: Peer) {
    let net = &listener.net;
    let source = match peer {
        Peer::Tcp(address) | Peer::Proxied(address) => Some(address.ip()),
        Peer::Unix => None,
    };
    let own = match Admission::take(listener, Some(peer), source) {
        Ok(own) => own,
        Err(limit) => {
            // Closed by dropping it.
            listener.limit_reached(limit, &peer);
            return;
        }
    };
    let shard = place(&net.shards, net.config.broker.placement, Instant::now());
    let kind = if peer == Peer::Unix { SocketKind::Unix } else { SocketKind::Tcp };
    let accepted = Accepted { peer, listener: own };
    shard.give(Arrival { stream, kind, accepted, age: Duration::ZERO });
}
