//! One listening TCP socket of a guest: what its resource `listener` stands for.

use super::{
    bindings::lotmq::guest::net::IoError,
    dial::Dialer,
    endpoint::{Endpoint, EndpointTls},
    io_error::io_error,
    services::FiberServices,
    socket_place::SocketPlace,
    tcp::Tcp,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, Waker},
};
use tokio::net::TcpListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket that listens.
pub(super) struct GuestListener {
    socket: TcpListener,
    /// A connection that was found while the guest waited for one.
    arrived: Option<tokio::net::TcpStream>,
    endpoint: Endpoint,
    /// Its place, which is free again when it is dropped.
    _place: SocketPlace,
}

/// The address of this machine that an endpoint stands for, if the operator lets routes listen
/// there.
pub(super) fn own_address(endpoint: &Endpoint, services: &dyn FiberServices) -> Result<SocketAddr, IoError> {
    let no_address = || IoError::Denied(format!("'{}' is no address to listen at", endpoint.host));
    let address: IpAddr = endpoint.host.parse().map_err(|_| no_address())?;
    match services.refuses_listening(address) {
        // This text names the address.
        Some(reason) => Err(IoError::Denied(format!("{}: LISTEN: {reason}", endpoint.section))),
        None => Ok(services.listens_in_place_of(SocketAddr::new(address, endpoint.port))),
    }
}

/// The error of a guest that cannot listen at an address: the system says why, and not where or by
/// which setting.
pub(super) fn not_listening(endpoint: &Endpoint, address: SocketAddr, error: &io::Error) -> IoError {
    let why = if error.kind() == io::ErrorKind::AddrInUse {
        format!("{address} is in use: another route, process or listener has it")
    } else {
        format!("cannot listen at {address}: {error}")
    };
    IoError::Other(format!("{}: LISTEN: {why}", endpoint.section))
}

/// Returns the reason why no guest can listen at an endpoint now, in the text for guests; `None` if
/// one could. No client can connect meanwhile: the test socket does not listen.
#[must_use]
pub fn listening_refused(endpoint: &Endpoint, services: &dyn FiberServices) -> Option<String> {
    let tried = own_address(endpoint, services).and_then(|address| {
        bound(address).map(drop).map_err(|error| not_listening(endpoint, address, &error))
    });
    match tried {
        Err(IoError::Denied(reason) | IoError::Other(reason)) => Some(reason),
        Err(error) => Some(format!("{error:?}")),
        Ok(()) => None,
    }
}

impl GuestListener {
    pub(super) fn bind(endpoint: &Endpoint, dialer: &Dialer) -> Result<GuestListener, IoError> {
        let address = own_address(endpoint, &*dialer.services)?;
        let place = dialer.socket_place()?;
        let socket = listening(address).map_err(|error| not_listening(endpoint, address, &error))?;
        Ok(GuestListener { socket, arrived: None, endpoint: endpoint.clone(), _place: place })
    }

    pub(super) fn accept(&mut self) -> Result<Tcp, IoError> {
        if self.arrived.is_none() {
            let mut context = Context::from_waker(Waker::noop());
            if self.poll_acceptable(&mut context).is_pending() {
                return Err(IoError::WouldBlock);
            }
        }
        let stream = self.arrived.take().ok_or(IoError::WouldBlock)?;
        Tcp::plain(stream, Endpoint { tls: EndpointTls::Never, ..self.endpoint.clone() })
    }

    pub(super) fn local_port(&self) -> Result<u16, IoError> {
        self.local_address().map(|address| address.port()).map_err(|error| io_error(&error))
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Ready when a connection is there; one that failed before it could be accepted counts as
    /// none.
    pub(super) fn poll_acceptable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.arrived.is_none() {
            match self.socket.poll_accept(context) {
                Poll::Ready(Ok((stream, _))) => self.arrived = Some(stream),
                Poll::Ready(Err(error)) if is_of_one(&error) => {}
                // As without descriptors: the guest asks again, or waits.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

/// Whether an error of accepting is about one connection, and the next may be well.
fn is_of_one(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

pub(super) fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // The route is opened again soon after its end.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
