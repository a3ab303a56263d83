//! `net`: connections by the name of an endpoint. Capability: the endpoints of the [`RouteSpec`](super::RouteSpec). Bounds: connections
//! per instance, bytes per read and write, time per connect.

use super::{
    bindings::lotmq::guest::net::{Host, HostTcp, Interest, IoError},
    client_tls::ClientTls,
    host::RouteState,
    tls::Tls,
};
use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use wasmtime::component::Resource;

/// Connections of one instance. A database driver needs one, a bridge two; the rest is for protocols with data connections.
const CONNECTIONS_MAX: u32 = 16;

/// Bytes of one read or write.
const TRANSFER_BYTES_MAX: usize = 64 * 1024;

/// Interests of one `wait`.
const INTERESTS_MAX: usize = 64;

/// Longest time for one connect, handshake included, whatever the guest asks for.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(60);

/// Where a name leads.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Host name or address. Also what the certificate must be for.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is used.
    pub tls: EndpointTls,
}

/// Use of TLS on an endpoint.
#[derive(Clone, Debug, Default)]
pub enum EndpointTls {
    /// None: `start-tls` is denied.
    #[default]
    Never,
    /// From the first byte.
    OnConnect(ClientTls),
    /// When the guest asks for it.
    OnDemand(ClientTls),
}

/// An open connection: what the guest's resource `tcp` stands for.
#[allow(unreachable_pub, reason = "the generated bindings name it in public types")]
pub struct Tcp {
    stream: TcpStream,
    endpoint: Endpoint,
    tls: Option<Box<Tls>>,
    is_shut: bool,
}

impl Host for RouteState {
    async fn wait(&mut self, interests: Vec<Interest>, timeout_ms: u32) -> Vec<u32> {
        self.waits(async |state| {
            let ready = poll_fn(|context| state.poll_interests(&interests, context));
            let time = Duration::from_millis(timeout_ms.into());
            timeout(time, ready).await.unwrap_or_default()
        })
        .await
    }
}

impl HostTcp for RouteState {
    async fn connect(&mut self, endpoint: String, timeout_ms: u32) -> Result<Resource<Tcp>, IoError> {
        let endpoint = self.endpoints.get(&endpoint).cloned().ok_or(IoError::Denied)?;
        if self.connections >= CONNECTIONS_MAX {
            return Err(IoError::LimitReached);
        }
        let time = Duration::from_millis(timeout_ms.into()).min(CONNECT_TIME_MAX);
        let tcp = self
            .waits(async |_| timeout(time, Tcp::connect(endpoint)).await.unwrap_or(Err(IoError::TimedOut)))
            .await?;
        let resource = self.table.push(tcp).map_err(|error| IoError::Other(error.to_string()))?;
        self.connections += 1;
        Ok(resource)
    }

    fn read(&mut self, tcp: Resource<Tcp>, max: u32) -> Result<Vec<u8>, IoError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(TRANSFER_BYTES_MAX);
        self.tcp(&tcp)?.read(max)
    }

    fn write(&mut self, tcp: Resource<Tcp>, bytes: Vec<u8>) -> Result<u32, IoError> {
        let part = bytes.get(..TRANSFER_BYTES_MAX).unwrap_or(&bytes);
        let written = self.tcp(&tcp)?.write(part)?;
        u32::try_from(written).map_err(|error| IoError::Other(error.to_string()))
    }

    async fn start_tls(&mut self, tcp: Resource<Tcp>, timeout_ms: u32) -> Result<(), IoError> {
        let time = Duration::from_millis(timeout_ms.into()).min(CONNECT_TIME_MAX);
        self.waits(async |state| {
            let tcp = state.tcp(&tcp)?;
            let EndpointTls::OnDemand(config) = tcp.endpoint.tls.clone() else { return Err(IoError::Denied) };
            timeout(time, tcp.handshake(config)).await.unwrap_or(Err(IoError::TimedOut))
        })
        .await
    }

    fn shutdown(&mut self, tcp: Resource<Tcp>) -> Result<(), IoError> {
        self.tcp(&tcp)?.shutdown()
    }

    fn drop(&mut self, tcp: Resource<Tcp>) -> wasmtime::Result<()> {
        self.table.delete(tcp)?;
        self.connections -= 1;
        Ok(())
    }
}

impl RouteState {
    fn tcp(&mut self, tcp: &Resource<Tcp>) -> Result<&mut Tcp, IoError> {
        self.table.get_mut(tcp).map_err(|error| IoError::Other(error.to_string()))
    }

    /// Positions of the interests that are ready; all are asked, so that all wake this task later.
    fn poll_interests(&mut self, interests: &[Interest], context: &mut Context<'_>) -> Poll<Vec<u32>> {
        let mut ready = Vec::new();
        for (position, interest) in (0_u32..).zip(interests.iter().take(INTERESTS_MAX)) {
            let polled = match interest {
                Interest::Readable(tcp) => self.tcp(tcp).map(|tcp| tcp.poll_readable(context)),
                Interest::Writable(tcp) => self.tcp(tcp).map(|tcp| tcp.poll_writable(context)),
                Interest::HostWork => Ok(self.work.poll(context)),
            };
            if polled.is_ok_and(|polled| polled.is_ready()) {
                ready.push(position);
            }
        }
        if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
    }
}

impl Tcp {
    async fn connect(endpoint: Endpoint) -> Result<Tcp, IoError> {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
            .await
            .map_err(|error| connect_error(&error))?;
        stream.set_nodelay(true).map_err(|error| io_error(&error))?;
        let at_once = match &endpoint.tls {
            EndpointTls::OnConnect(config) => Some(config.clone()),
            EndpointTls::Never | EndpointTls::OnDemand(_) => None,
        };
        let mut tcp = Tcp { stream, endpoint, tls: None, is_shut: false };
        if let Some(config) = at_once {
            tcp.handshake(config).await?;
        }
        Ok(tcp)
    }

    async fn handshake(&mut self, config: ClientTls) -> Result<(), IoError> {
        if self.tls.is_some() {
            return Err(IoError::Denied);
        }
        let mut tls = Tls::new(config, &self.endpoint.host).map_err(IoError::Tls)?;
        poll_fn(|context| tls.poll_handshake(&self.stream, context))
            .await
            .map_err(|error| tls_error(&error))?;
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    fn read(&mut self, max: usize) -> Result<Vec<u8>, IoError> {
        let mut bytes = vec![0; max];
        let read = match &mut self.tls {
            Some(tls) => tls.read(&self.stream, &mut bytes),
            None => self.stream.try_read(&mut bytes),
        };
        bytes.truncate(read.map_err(|error| io_error(&error))?);
        Ok(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        if self.is_shut {
            return Err(IoError::Closed);
        }
        let written = match &mut self.tls {
            Some(tls) => tls.write(&self.stream, bytes),
            None => self.stream.try_write(bytes),
        };
        written.map_err(|error| io_error(&error))
    }

    fn shutdown(&mut self) -> Result<(), IoError> {
        self.is_shut = true;
        if let Some(tls) = &mut self.tls {
            tls.close(&self.stream).map_err(|error| io_error(&error))?;
        }
        socket2::SockRef::from(&self.stream)
            .shutdown(std::net::Shutdown::Write)
            .map_err(|error| io_error(&error))
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.tls {
            Some(tls) => tls.poll_readable(&self.stream, context),
            None => self.stream.poll_read_ready(context).map(|_| ()),
        }
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.tls {
            Some(tls) => tls.poll_writable(&self.stream, context),
            None => self.stream.poll_write_ready(context).map(|_| ()),
        }
    }
}

fn connect_error(error: &io::Error) -> IoError {
    let known = io_error(error);
    if let IoError::Other(text) = known { IoError::Unreachable(text) } else { known }
}

fn tls_error(error: &io::Error) -> IoError {
    let known = io_error(error);
    if matches!(known, IoError::Closed) {
        return IoError::Tls("the other side ended the handshake".to_owned());
    }
    known
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list grows")]
fn io_error(error: &io::Error) -> IoError {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::WouldBlock => IoError::WouldBlock,
        ErrorKind::ConnectionRefused => IoError::Refused,
        ErrorKind::TimedOut => IoError::TimedOut,
        ErrorKind::InvalidData => IoError::Tls(error.to_string()),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => IoError::Closed,
        _ => IoError::Other(error.to_string()),
    }
}
