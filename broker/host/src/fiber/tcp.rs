//! One TCP connection of a guest, with TLS or without: what its resource `tcp` stands for.

use super::{
    bindings::lotmq::guest::net::{IoError, Peer},
    client_tls::ClientTls,
    endpoint::{Endpoint, EndpointTls},
    net::io_error,
    tls::Tls,
};
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::IpAddr,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

/// An open connection.
#[allow(unreachable_pub, reason = "the generated bindings name it in public types")]
pub struct Tcp {
    stream: TcpStream,
    endpoint: Endpoint,
    tls: Option<Box<Tls>>,
    is_shut: bool,
}

impl Tcp {
    /// A connection to an endpoint, with the handshake where that begins with the first byte.
    pub(super) async fn connected(stream: TcpStream, endpoint: Endpoint) -> Result<Tcp, IoError> {
        let at_once = match &endpoint.tls {
            EndpointTls::OnConnect(config) => Some(config.clone()),
            EndpointTls::Never | EndpointTls::OnDemand(_) => None,
        };
        let mut tcp = Tcp::plain(stream, endpoint)?;
        if let Some(config) = at_once {
            tcp.handshake(config).await?;
        }
        Ok(tcp)
    }

    /// A connection without TLS.
    pub(super) fn plain(stream: TcpStream, endpoint: Endpoint) -> Result<Tcp, IoError> {
        stream.set_nodelay(true).map_err(|error| io_error(&error))?;
        Ok(Tcp { stream, endpoint, tls: None, is_shut: false })
    }

    /// Goes on with TLS where the endpoint allows that.
    pub(super) async fn start_tls(&mut self) -> Result<(), IoError> {
        match self.endpoint.tls.clone() {
            EndpointTls::OnDemand(config) => self.handshake(config).await,
            EndpointTls::Never | EndpointTls::OnConnect(_) => {
                Err(IoError::Denied("the endpoint is not one on which TLS begins later".to_owned()))
            }
        }
    }

    async fn handshake(&mut self, config: ClientTls) -> Result<(), IoError> {
        if self.tls.is_some() {
            return Err(IoError::Denied("the connection has TLS already".to_owned()));
        }
        let config = config.config().await.map_err(|fault| IoError::Tls(fault.to_string()))?;
        let name = self.endpoint.server_name.as_ref().unwrap_or(&self.endpoint.host);
        let mut tls = Tls::new(config, name).map_err(IoError::Tls)?;
        poll_fn(|context| tls.poll_handshake(&self.stream, context))
            .await
            .map_err(|error| tls_error(&error))?;
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    pub(super) fn read(&mut self, max: usize) -> Result<Vec<u8>, IoError> {
        let mut bytes = vec![0; max];
        let read = self.try_read(&mut bytes);
        bytes.truncate(read.map_err(|error| io_error(&error))?);
        Ok(bytes)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        if self.is_shut {
            return Err(IoError::Closed);
        }
        self.try_write(&[IoSlice::new(bytes)]).map_err(|error| io_error(&error))
    }

    /// Reads what is there; `WouldBlock` when nothing is.
    pub(super) fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.read(&self.stream, bytes),
            None => self.stream.try_read(bytes),
        }
    }

    /// Writes as much as can be taken; `WouldBlock` when nothing can.
    pub(super) fn try_write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.write(&self.stream, parts),
            None => self.stream.try_write_vectored(parts),
        }
    }

    pub(super) fn shutdown(&mut self) -> Result<(), IoError> {
        self.is_shut = true;
        self.try_shutdown().map_err(|error| io_error(&error))
    }

    /// Ends our direction.
    pub(super) fn try_shutdown(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.close(&self.stream)?;
        }
        socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write)
    }

    /// Waits until the socket has taken all that was written.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.tls {
            Some(tls) => tls.poll_flush(&self.stream, context),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn address(&self) -> io::Result<IpAddr> {
        self.stream.peer_addr().map(|address| address.ip())
    }

    pub(super) fn peer(&self) -> Result<Peer, IoError> {
        let address = self.stream.peer_addr().map_err(|error| io_error(&error))?;
        Ok(Peer { host: address.ip().to_canonical().to_string(), port: address.port() })
    }

    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.tls {
            Some(tls) => tls.poll_readable(&self.stream, context),
            None => self.stream.poll_read_ready(context).map(|_| ()),
        }
    }

    pub(super) fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.tls {
            Some(tls) => tls.poll_writable(&self.stream, context),
            None => self.stream.poll_write_ready(context).map(|_| ()),
        }
    }
}

fn tls_error(error: &io::Error) -> IoError {
    let known = io_error(error);
    if matches!(known, IoError::Closed) {
        return IoError::Tls("the other side ended the handshake".to_owned());
    }
    known
}
