//! Connecting: from a host and a port to a connected socket, after the operator's check of each
//! address.
//!
//! Invariants: the socket connects to the checked address, so a name that resolves differently the
//! next time leads nowhere else. A guest has a bounded number of look-ups under way, whatever its
//! time limits. No look-up blocks a thread of routes.

use super::{
    bindings::lotmq::guest::net::IoError,
    io_error::io_error,
    services::FiberServices,
    socket_place::{SocketPlace, not_opened},
};
use crate::RunContext;
use lotmq_shares::AccountShares;
use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

/// Look-ups of one instance that are under way: one that it waits for, and one that it gave up
/// waiting for.
pub(super) const LOOKUPS_MAX: usize = 2;

/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 16;

/// Longest time for one connect, handshake included, whatever the guest asks for.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(60);

/// A place to connect to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

/// End of an operation that may take so long, at most [`CONNECT_TIME_MAX`] from now.
pub(super) fn deadline(timeout_ms: u32) -> Instant {
    Instant::now() + Duration::from_millis(timeout_ms.into()).min(CONNECT_TIME_MAX)
}

/// Services and shares with which an instance opens sockets.
pub(super) struct Dialer {
    pub(super) services: Arc<dyn FiberServices>,
    pub(super) lookups: Arc<Semaphore>,
    pub(super) run: RunContext,
    /// Account for which its sockets count.
    pub(super) account: u64,
    /// Sockets that all guests have opened.
    pub(super) opened: Arc<AccountShares>,
}

impl Dialer {
    /// A place for one socket more.
    pub(super) fn socket_place(&self) -> Result<SocketPlace, IoError> {
        SocketPlace::take(self.account, &self.opened, &*self.services).map_err(not_opened)
    }

    /// Connects to the first address of the place that is allowed and answers; each has its part of
    /// the time that is left.
    pub(super) async fn connect(
        &self,
        place: &Place,
        deadline: Instant,
    ) -> Result<(TcpStream, SocketPlace), IoError> {
        let mut socket_place = self.socket_place()?;
        let addresses = self.allowed(place, deadline).await?;
        let mut failed = IoError::TimedOut;
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let now = Instant::now();
            let until = now + deadline.saturating_duration_since(now) / left;
            match timeout_at(until, TcpStream::connect(address)).await {
                Ok(Ok(stream)) if is_to_itself(&stream) => failed = IoError::Refused,
                Ok(Ok(stream)) => {
                    if let (true, Ok(own)) = (self.services.is_bridge(&self.run), stream.local_addr()) {
                        socket_place.is_of_bridge(own);
                    }
                    return Ok((stream, socket_place));
                }
                Ok(Err(error)) => {
                    let known = io_error(&error);
                    failed =
                        if let IoError::Other(text) = known { IoError::Unreachable(text) } else { known };
                }
                Err(_) => failed = IoError::TimedOut,
            }
        }
        Err(failed)
    }

    /// Addresses of a place that the operator allows, at least one.
    pub(super) async fn allowed(&self, place: &Place, deadline: Instant) -> Result<Vec<SocketAddr>, IoError> {
        if let Some(reason) = self.services.refuses_network() {
            return Err(IoError::Denied(format!("{}:{}: {reason}", place.host, place.port)));
        }
        let addresses = timeout_at(deadline, self.resolve(place)).await.unwrap_or(Err(IoError::TimedOut))?;
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in addresses {
            match self.services.refuses_place(address) {
                Some(reason) => refusal = refusal.or(Some(reason)),
                None => allowed.push(address),
            }
        }
        match refusal {
            Some(reason) if allowed.is_empty() => {
                Err(IoError::Denied(format!("{}:{}: {reason}", place.host, place.port)))
            }
            _ if allowed.is_empty() => Err(IoError::Unreachable(format!("'{}' has no address", place.host))),
            _ => Ok(allowed),
        }
    }

    async fn resolve(&self, place: &Place) -> Result<Vec<SocketAddr>, IoError> {
        if let Ok(address) = place.host.parse() {
            return Ok(vec![SocketAddr::new(address, place.port)]);
        }
        let permit = Arc::clone(&self.lookups).acquire_owned().await;
        let Place { host, port } = place.clone();
        let looked_up = spawn_blocking(move || {
            // Held until the system has answered, also when nobody waits any more.
            let _permit = permit;
            (host, port).to_socket_addrs().map(|found| found.take(ADDRESSES_MAX).collect())
        });
        match looked_up.await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(IoError::Unreachable(format!("'{}': {error}", place.host))),
            Err(_) => Err(IoError::Unreachable(format!("'{}' could not be looked up", place.host))),
        }
    }
}

/// Whether a connection is to itself. If no program listens at a local port, the system may assign
/// that port to the connecting socket and connect both ends. The connection is then reset, so that
/// the port is free for a listener.
fn is_to_itself(stream: &TcpStream) -> bool {
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return false };
    let is_so = local == peer;
    if is_so {
        // Otherwise the port would stay taken for a minute.
        let _ = stream.set_zero_linger();
    }
    is_so
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    #[tokio::test]
    async fn a_connection_to_itself_is_known() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let own = socket.connect(address).await.unwrap();
        assert!(is_to_itself(&own));
        drop(own);
        // Its port is free at once.
        let listener = TcpListener::bind(address).await.unwrap();
        assert!(!is_to_itself(&TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()));
    }
}
