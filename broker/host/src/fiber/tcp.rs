//! One TCP connection of a guest, with TLS or without, packed or not: what its resource `tcp`
//! stands for.

mod zstd;

use super::{
    bindings::lotmq::guest::net::{IoError, Peer},
    client_tls::ClientTls,
    endpoint::{Endpoint, EndpointTls},
    io_error::io_error,
    maybe_tls::MaybeTlsStream,
    socket_place::SocketPlace,
    tls::Tls,
};
use rustls::{ClientConfig, ServerConfig};
use std::{
    cell::RefCell,
    io::{self, IoSlice},
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::net::TcpStream;
use zstd::ZstdStream;

thread_local! {
    /// Read buffer of this thread, as large as the largest read of a guest. A new buffer for each
    /// read would be zeroed in full and filled little.
    static LANDING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An open connection.
pub(super) struct Tcp {
    stream: MaybeTlsStream,
    endpoint: Endpoint,
    zstd: Option<Box<ZstdStream>>,
    is_shut: bool,
    /// Its place, which is free again when it is dropped.
    _place: Option<SocketPlace>,
}

/// How TLS begins on an open connection.
pub(super) enum TlsWay {
    /// With the next byte.
    Plain,
    /// With its handshake in packets of TDS.
    InTds,
    /// With the next byte, for a protocol of this name.
    For(String),
}

impl Tcp {
    /// A connection to an endpoint, with the handshake where that begins with the first byte.
    pub(super) async fn connected(
        (stream, place): (TcpStream, SocketPlace),
        endpoint: Endpoint,
    ) -> Result<Tcp, IoError> {
        let at_once = match &endpoint.tls {
            EndpointTls::OnConnect(config) => Some(config.clone()),
            EndpointTls::Never | EndpointTls::OnDemand(_) => None,
        };
        let mut tcp = Tcp::plain(stream, endpoint)?;
        tcp.takes(place);
        if let Some(config) = at_once {
            tcp.handshake(config, &TlsWay::Plain).await?;
        }
        Ok(tcp)
    }

    /// A connection without TLS.
    pub(super) fn plain(stream: TcpStream, endpoint: Endpoint) -> Result<Tcp, IoError> {
        let stream = MaybeTlsStream::plain(stream).map_err(|error| io_error(&error))?;
        Ok(Tcp { stream, endpoint, zstd: None, is_shut: false, _place: None })
    }

    /// Takes its place among the sockets of guests.
    pub(super) fn takes(&mut self, place: SocketPlace) {
        self._place = Some(place);
    }

    /// Goes on with TLS where the endpoint allows that.
    pub(super) async fn start_tls(&mut self, way: &TlsWay) -> Result<(), IoError> {
        match self.endpoint.tls.clone() {
            EndpointTls::OnDemand(_) if self.has_zstd() => {
                Err(IoError::Denied("TLS is below zstd, and begins before it".to_owned()))
            }
            EndpointTls::OnDemand(config) => self.handshake(config, way).await,
            EndpointTls::Never | EndpointTls::OnConnect(_) => {
                Err(IoError::Denied("the endpoint is not one on which TLS begins later".to_owned()))
            }
        }
    }

    async fn handshake(&mut self, config: ClientTls, way: &TlsWay) -> Result<(), IoError> {
        if self.stream.has_tls() {
            return Err(IoError::Denied("the connection has TLS already".to_owned()));
        }
        let config = match way {
            TlsWay::Plain | TlsWay::For(_) => config.config().await,
            TlsWay::InTds => config.config_1_2().await,
        };
        let config = config.map_err(|fault| IoError::Tls(fault.to_string()))?;
        let name = self.endpoint.server_name.as_ref().unwrap_or(&self.endpoint.host);
        let tls = match way {
            TlsWay::Plain => Tls::new(config, name),
            TlsWay::InTds => Tls::new(config, name).map(Tls::in_tds),
            TlsWay::For(protocol) => {
                let mut config = ClientConfig::clone(&config);
                config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
                Tls::new(Arc::new(config), name)
            }
        };
        self.stream.begin_tls(tls).await
    }

    /// Goes on with TLS as a server.
    pub(super) async fn accept_tls(&mut self, config: Arc<ServerConfig>) -> Result<(), IoError> {
        self.stream.begin_tls(Tls::server(config)).await
    }

    /// Goes on with a zstd stream each way. The bytes came already, and belong to it.
    pub(super) fn start_zstd(&mut self, received: Vec<u8>) -> Result<(), IoError> {
        if self.has_zstd() {
            return Err(IoError::Denied("the connection has zstd already".to_owned()));
        }
        let zstd = ZstdStream::new(received).map_err(|error| IoError::Other(error.to_string()))?;
        self.zstd = Some(Box::new(zstd));
        Ok(())
    }

    pub(super) fn has_zstd(&self) -> bool {
        self.zstd.is_some()
    }

    pub(super) fn read(&mut self, max: usize) -> Result<Vec<u8>, IoError> {
        LANDING.with_borrow_mut(|landing| {
            landing.resize(landing.len().max(max), 0);
            let read = self.try_read(&mut landing[..max]).map_err(|error| io_error(&error))?;
            Ok(landing[..read].to_vec())
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        if self.is_shut {
            return Err(IoError::Closed);
        }
        let written = match &mut self.zstd {
            Some(zstd) => zstd.write(&mut self.stream, bytes),
            None => self.stream.try_write(&[IoSlice::new(bytes)]),
        };
        written.map_err(|error| io_error(&error))
    }

    /// Reads available bytes; `WouldBlock` when there are none.
    pub(super) fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.zstd {
            Some(zstd) => zstd.read(&mut self.stream, bytes),
            None => self.stream.try_read(bytes),
        }
    }

    /// Ends our direction; `would-block` while something that was written has not gone.
    pub(super) fn shutdown(&mut self) -> Result<(), IoError> {
        if let Some(zstd) = &mut self.zstd {
            zstd.send(&mut self.stream).map_err(|error| io_error(&error))?;
        }
        self.is_shut = true;
        self.stream.try_shutdown().map_err(|error| io_error(&error))
    }

    /// Returns the stream below, for connections without compression.
    pub(super) fn stream(&mut self) -> &mut MaybeTlsStream {
        &mut self.stream
    }

    pub(super) fn address(&self) -> io::Result<IpAddr> {
        self.stream.peer().map(|address| address.ip())
    }

    pub(super) fn peer(&self) -> Result<Peer, IoError> {
        let address = self.stream.peer().map_err(|error| io_error(&error))?;
        Ok(Peer { host: address.ip().to_canonical().to_string(), port: address.port() })
    }

    pub(super) fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.zstd {
            Some(zstd) => zstd.poll_readable(&mut self.stream, context),
            None => self.stream.poll_readable(context),
        }
    }

    pub(super) fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.zstd {
            Some(zstd) => zstd.poll_writable(&mut self.stream, context),
            None => self.stream.poll_writable(context),
        }
    }
}
