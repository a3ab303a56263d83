//! One UDP socket of a guest: what its resource `udp` stands for.

mod lost_datagrams;

use super::{
    bindings::lotmq::guest::net::{IoError, Peer},
    dial::{Dialer, Place},
    endpoint::Endpoint,
    io_error::io_error,
    listener::{not_listening, own_address},
    services::FiberServices,
    socket_place::SocketPlace,
};
use lost_datagrams::LostDatagrams;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{net::UdpSocket, time::Instant};

/// Bytes of the longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Receive buffer of a bound socket, in bytes, for datagrams that come while its guest is busy.
const BOUND_UDP_BYTES: usize = 4 << 20;

/// An open socket.
pub(super) struct Udp {
    socket: UdpSocket,
    /// Check of the addresses that datagrams may go to, for a socket without a fixed peer.
    bound: Option<Arc<dyn FiberServices>>,
    lost: LostDatagrams,
    /// Its place, which is free again when it is dropped.
    _place: SocketPlace,
}

impl Udp {
    /// A socket for one place.
    pub(super) async fn connect(dialer: &Dialer, place: &Place, deadline: Instant) -> Result<Udp, IoError> {
        let socket_place = dialer.socket_place()?;
        let addresses = dialer.allowed(place, deadline).await?;
        let mut failed = IoError::TimedOut;
        let mut ready = None;
        for address in addresses {
            match connected(address) {
                Ok(socket) => {
                    ready = Some(socket);
                    break;
                }
                Err(error) => failed = io_error(&error),
            }
        }
        let socket = ready.ok_or(failed)?;
        let lost = LostDatagrams::of(&socket, dialer);
        Udp { socket, bound: None, lost, _place: socket_place }.sendable().await
    }

    /// A socket at an address of this machine.
    pub(super) async fn bind(endpoint: &Endpoint, dialer: &Dialer) -> Result<Udp, IoError> {
        let address = own_address(endpoint, &*dialer.services)?;
        let place = dialer.socket_place()?;
        let bound = std::net::UdpSocket::bind(address).and_then(roomy).and_then(asynchronous);
        let socket = bound.map_err(|error| not_listening(endpoint, address, &error))?;
        let (bound, lost) = (Some(Arc::clone(&dialer.services)), LostDatagrams::of(&socket, dialer));
        Udp { socket, bound, lost, _place: place }.sendable().await
    }

    /// The socket when it is known that it takes a datagram, so that the first one need not be
    /// waited for.
    async fn sendable(self) -> Result<Udp, IoError> {
        self.socket.writable().await.map_err(|error| io_error(&error))?;
        Ok(self)
    }

    pub(super) fn send(&self, bytes: &[u8], to: Option<Peer>) -> Result<(), IoError> {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            let length = bytes.len();
            return Err(IoError::Other(format!("{length} bytes are too long for a datagram")));
        }
        let sent = match (&self.bound, to) {
            (None, None) => self.socket.try_send(bytes),
            (Some(services), Some(Peer { host, port })) => {
                let no_address = || IoError::Denied("datagrams are sent to IP addresses".to_owned());
                let address: IpAddr = host.parse().map_err(|_| no_address())?;
                let place = SocketAddr::new(address, port);
                if let Some(reason) = services.refuses_place(place) {
                    return Err(IoError::Denied(format!("{address}:{port}: {reason}")));
                }
                self.socket.try_send_to(bytes, place)
            }
            (None, Some(_)) => {
                return Err(IoError::Denied("the socket is for its endpoint alone".to_owned()));
            }
            (Some(_), None) => return Err(IoError::Denied("the socket has no other side".to_owned())),
        };
        sent.map(drop).map_err(|error| io_error(&error))
    }

    pub(super) fn receive(&mut self) -> Result<(Vec<u8>, Peer), IoError> {
        self.lost.look();
        let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
        let (length, from) = self.socket.try_recv_from(&mut bytes).map_err(|error| io_error(&error))?;
        bytes.truncate(length);
        bytes.shrink_to_fit();
        Ok((bytes, Peer { host: from.ip().to_canonical().to_string(), port: from.port() }))
    }

    pub(super) fn local_port(&self) -> Result<u16, IoError> {
        self.local_address().map(|address| address.port()).map_err(|error| io_error(&error))
    }

    pub(super) fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn poll_receivable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_recv_ready(context).map(|_| ())
    }

    pub(super) fn poll_sendable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_send_ready(context).map(|_| ())
    }
}

fn connected(to: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = if to.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(to)?;
    asynchronous(socket)
}

/// Returns a socket with a large receive buffer, for datagrams that come while the guest is busy.
/// The system may limit it.
fn roomy(socket: std::net::UdpSocket) -> std::io::Result<std::net::UdpSocket> {
    socket2::SockRef::from(&socket).set_recv_buffer_size(BOUND_UDP_BYTES)?;
    Ok(socket)
}

fn asynchronous(socket: std::net::UdpSocket) -> std::io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
