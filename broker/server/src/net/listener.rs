//! Listeners: sockets that accept connections, and what holds for all connections of one of them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lotmq_auth::AnonymousLogin;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tracing::{info, warn};

use super::shard::{Arrival, place};
use crate::broker::Broker;
use crate::tenant::Tenant;

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 1024;

/// Pause after a failed accept; a broker without free descriptors must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the connections of one listener have in common.
pub(crate) struct Listener {
    /// As in the configuration: `mqtt`.
    pub(crate) name: &'static str,
    pub(crate) broker: Arc<Broker>,
    /// Tenant of all Clients that come here.
    pub(crate) tenant: Arc<Tenant>,
    /// Longest packet in bytes, announced to 5.0 Clients; a longer one is refused at its header with 0x95.
    pub(crate) packet_bytes_max: u32,
    /// Who may come without a user name.
    pub(crate) anonymous: AnonymousLogin,
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

/// Why a listener could not be opened, for people.
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

/// Accepts connections for ever and gives each to a shard.
pub(crate) async fn serve(listener: Arc<Listener>, socket: TcpListener) -> io::Result<()> {
    let address = socket.local_addr()?;
    info!(listener = listener.name, %address, "listening");
    #[allow(
        deprecated,
        reason = "its replacement is unsafe for types whose descriptor may change; that of a std listener never does"
    )]
    let socket = AsyncFd::new(socket)?;
    loop {
        let mut ready = socket.readable().await?;
        match ready.try_io(|socket| accept(socket.get_ref())) {
            Ok(Ok((stream, peer))) => hand_over(&listener, stream, peer),
            Ok(Err(error)) => {
                warn!(listener = listener.name, %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Err(_would_block) => {}
        }
    }
}

/// Accepts one connection, ready for a runtime, with one system call.
fn accept(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    let (stream, peer) = rustix::net::acceptfrom_with(socket, flags)?;
    let peer = peer.ok_or(io::ErrorKind::NotConnected)?;
    let peer = SocketAddr::try_from(peer).map_err(|_| io::ErrorKind::Unsupported)?;
    Ok((TcpStream::from(stream), peer))
}

fn hand_over(listener: &Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
    let broker = &listener.broker;
    let shard = place(&broker.shards, broker.config.broker.placement);
    if !shard.give(Arrival { stream, peer, listener: Arc::clone(listener) }) {
        shard.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
