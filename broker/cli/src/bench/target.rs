//! Address of the broker, and sockets to it that do not block the thread.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use lotmq_client::{Address, ClientError, Endpoint, Layers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host, tcp, unix};

/// Connections from one address of loopback. A system has some 28,000 ports for them, and those of
/// the last minute may not be free again.
const CONNECTIONS_PER_SOURCE: u32 = 10_000;

/// Endpoint whose name was looked up, so that no run measures that.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    endpoint: Endpoint,
    way: Way,
    /// Address of loopback from which its connections come.
    source: Option<Ipv4Addr>,
}

#[derive(Clone, Debug)]
enum Way {
    Tcp(Rc<[SocketAddr]>),
    Unix(PathBuf),
}

impl Target {
    pub(crate) async fn look_up(endpoint: Endpoint) -> Result<Self, ClientError> {
        let way = match endpoint.address() {
            Address::Tcp { host, port } => {
                let found = lookup_host((host.as_str(), *port)).await;
                let found = found.map_err(|source| unreachable(&endpoint, source))?;
                Way::Tcp(found.collect())
            }
            Address::Unix(path) => Way::Unix(path.clone()),
        };
        Ok(Self { endpoint, way, source: None })
    }

    /// Whether it goes through TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.endpoint.has_tls()
    }

    /// The same target for a client that resumes its own sessions of TLS.
    pub(crate) fn with_own_tls_sessions(&self) -> Self {
        Self { endpoint: self.endpoint.with_own_tls_sessions(), ..self.clone() }
    }

    /// The same target for the connection with this number, so that any number of them find ports:
    /// 10,000 come from one address each.
    pub(crate) fn for_one_of_many(&self, number: u32) -> Self {
        let is_loopback = |address: &SocketAddr| address.is_ipv4() && address.ip().is_loopback();
        let source = match &self.way {
            Way::Tcp(addresses) if addresses.iter().all(is_loopback) => {
                let first = Ipv4Addr::LOCALHOST.to_bits();
                Some(Ipv4Addr::from_bits(first + number / CONNECTIONS_PER_SOURCE))
            }
            Way::Tcp(_) | Way::Unix(_) => None,
        };
        Self { source, ..self.clone() }
    }

    /// Opens a connection, with the handshakes that it wants.
    pub(crate) async fn open(&self) -> Result<(ReadHalf, WriteHalf, Layers), ClientError> {
        self.try_open().await.map_err(|source| unreachable(&self.endpoint, source))
    }

    async fn try_open(&self) -> io::Result<(ReadHalf, WriteHalf, Layers)> {
        let (mut read, mut write) = self.socket().await?;
        let mut layers = Layers::of(&self.endpoint)?;
        let mut wire = Vec::new();
        while !layers.is_open() {
            write.write_all(&layers.take_output()).await?;
            wire.clear();
            if !poll_fn(|cx| read.poll_read(&mut wire, HANDSHAKE_BYTES, cx)).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = layers.handle_wire(&wire) {
                // The alert that tells the broker why; it may be gone.
                let _ = write.write_all(&layers.take_output()).await;
                return Err(error);
            }
        }
        Ok((read, write, layers))
    }

    async fn socket(&self) -> io::Result<(ReadHalf, WriteHalf)> {
        match &self.way {
            Way::Tcp(addresses) => {
                let stream = match (self.source, addresses.first()) {
                    (Some(source), Some(address)) => {
                        let socket = TcpSocket::new_v4()?;
                        socket.bind((source, 0).into())?;
                        socket.connect(*address).await?
                    }
                    _ => TcpStream::connect(&addresses[..]).await?,
                };
                stream.set_nodelay(true)?;
                let (read, write) = stream.into_split();
                Ok((ReadHalf::Tcp(read), WriteHalf::Tcp(write)))
            }
            Way::Unix(path) => {
                let (read, write) = UnixStream::connect(path).await?.into_split();
                Ok((ReadHalf::Unix(read), WriteHalf::Unix(write)))
            }
        }
    }
}

/// Bytes that are read at once in a handshake: more than a server says in one.
const HANDSHAKE_BYTES: usize = 8 << 10;

fn unreachable(endpoint: &Endpoint, source: io::Error) -> ClientError {
    ClientError::Unreachable { address: endpoint.to_string(), source }
}

/// Half of a socket that is read.
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

impl ReadHalf {
    /// Reads once, behind the bytes of `target`, with room for so many. False at the end.
    pub(crate) fn poll_read(
        &mut self,
        target: &mut Vec<u8>,
        room: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        target.reserve(room);
        // These futures have no state, so that each poll may have its own.
        let read = match self {
            Self::Tcp(half) => pin!(half.read_buf(target)).poll(cx),
            Self::Unix(half) => pin!(half.read_buf(target)).poll(cx),
        };
        read.map_ok(|len| len > 0)
    }
}

/// Half of a socket that is written.
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl WriteHalf {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(half) => half.write_all(bytes).await,
            Self::Unix(half) => half.write_all(bytes).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_come_from_several_addresses_of_loopback() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let target = |host| runtime.block_on(Target::look_up(Endpoint::tcp(host, 1883))).unwrap();
        let source = |host, number| target(host).for_one_of_many(number).source;
        for (host, number, expected) in [
            ("127.0.0.1", 0, Some(Ipv4Addr::new(127, 0, 0, 1))),
            ("127.0.0.1", 9_999, Some(Ipv4Addr::new(127, 0, 0, 1))),
            ("127.0.0.1", 10_000, Some(Ipv4Addr::new(127, 0, 0, 2))),
            ("127.0.0.9", 999_999, Some(Ipv4Addr::new(127, 0, 0, 100))),
            // The system chooses the source for a target with a single address.
            ("192.0.2.1", 10_000, None),
            ("::1", 10_000, None),
        ] {
            assert_eq!(source(host, number), expected, "{host}, {number}");
        }
    }
}
