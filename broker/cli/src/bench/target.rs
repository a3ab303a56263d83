//! Where the broker is, and sockets to it that do not block the thread.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use lotmq_client::{ClientError, Endpoint, Layers, Place};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream, lookup_host, tcp, unix};

/// Endpoint whose name was looked up, so that no run measures that.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    endpoint: Endpoint,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Tcp(Rc<[SocketAddr]>),
    Unix(PathBuf),
}

impl Target {
    pub(crate) async fn look_up(endpoint: Endpoint) -> Result<Self, ClientError> {
        let way = match endpoint.place() {
            Place::Tcp { host, port } => {
                let found = lookup_host((host.as_str(), *port)).await;
                let found = found.map_err(|source| unreachable(&endpoint, source))?;
                Way::Tcp(found.collect())
            }
            Place::Unix(path) => Way::Unix(path.clone()),
        };
        Ok(Self { endpoint, way })
    }

    /// Whether it goes through TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.endpoint.has_tls()
    }

    /// The same target for a client that resumes its own sessions of TLS.
    pub(crate) fn with_own_tls_sessions(&self) -> Self {
        Self { endpoint: self.endpoint.with_own_tls_sessions(), ..self.clone() }
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
            wire.reserve(HANDSHAKE_BYTES);
            if read.read_buf(&mut wire).await? == 0 {
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
                let stream = TcpStream::connect(&addresses[..]).await?;
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
    /// Reads once into the room that `target` has; 0 at the end.
    pub(crate) async fn read_buf(&mut self, target: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.read_buf(target).await,
            Self::Unix(half) => half.read_buf(target).await,
        }
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
