//! Double of the interface `net`: sockets of this machine, polled every millisecond.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::{Duration, Instant};

pub use self::ListenerDouble as Listener;
pub use self::TcpDouble as Tcp;
pub use self::UdpDouble as Udp;
pub use super::bindings::lotmq::guest::net::{IoError, Peer, Signal};
use crate::testing::with;

/// Most bytes that the host reads or writes per call.
const PIECE_BYTES: usize = 64 * 1024;

/// Pause between two polls of sockets.
const LOOK: Duration = Duration::from_millis(1);

/// A TCP connection.
#[derive(Debug)]
pub struct TcpDouble(TcpStream);

impl TcpDouble {
    pub fn connect(endpoint: &str, timeout_ms: u32) -> Result<TcpDouble, IoError> {
        TcpDouble::to(place(endpoint)?, timeout_ms)
    }

    pub fn connect_to(endpoint: &str, place: &Peer, timeout_ms: u32) -> Result<TcpDouble, IoError> {
        self::place(endpoint)?;
        TcpDouble::to(resolved(place)?, timeout_ms)
    }

    fn to(place: SocketAddr, timeout_ms: u32) -> Result<TcpDouble, IoError> {
        let timeout = Duration::from_millis(u64::from(timeout_ms).max(1));
        let stream = TcpStream::connect_timeout(&place, timeout).map_err(of_io)?;
        stream.set_nonblocking(true).map_err(of_io)?;
        Ok(TcpDouble(stream))
    }

    pub fn read(&self, max: u32) -> Result<Vec<u8>, IoError> {
        let mut bytes = vec![0; (max as usize).min(PIECE_BYTES)];
        let count = (&self.0).read(&mut bytes).map_err(of_io)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    pub fn write(&self, bytes: &[u8]) -> Result<u32, IoError> {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        (&self.0).write(piece).map(|count| count as u32).map_err(of_io)
    }

    pub fn start_tls(&self, _timeout_ms: u32) -> Result<(), IoError> {
        Err(IoError::Tls("a test on this machine has no TLS".to_owned()))
    }

    pub fn start_tls_in_tds(&self, timeout_ms: u32) -> Result<(), IoError> {
        self.start_tls(timeout_ms)
    }

    pub fn start_tls_for(&self, _protocol: &str, timeout_ms: u32) -> Result<(), IoError> {
        self.start_tls(timeout_ms)
    }

    pub fn start_zstd(&self, _received: &[u8]) -> Result<(), IoError> {
        Err(IoError::Other("a test on this machine has no zstd".to_owned()))
    }

    pub fn shutdown(&self) -> Result<(), IoError> {
        self.0.shutdown(Shutdown::Write).map_err(of_io)
    }

    pub fn peer(&self) -> Result<Peer, IoError> {
        self.0.peer_addr().map(peer).map_err(of_io)
    }

    fn is_readable(&self) -> bool {
        is_there(self.0.peek(&mut [0]))
    }
}

/// Listener for incoming connections.
#[derive(Debug)]
pub struct ListenerDouble {
    listener: TcpListener,
    /// Connections that arrived during a wait.
    accepted: RefCell<Vec<TcpStream>>,
}

impl ListenerDouble {
    pub fn bind(endpoint: &str) -> Result<ListenerDouble, IoError> {
        let listener = TcpListener::bind(place(endpoint)?).map_err(of_io)?;
        listener.set_nonblocking(true).map_err(of_io)?;
        let at = listener.local_addr().map_err(of_io)?;
        with(|host| host.listening.insert(endpoint.to_owned(), at));
        Ok(ListenerDouble { listener, accepted: RefCell::default() })
    }

    pub fn accept(&self) -> Result<TcpDouble, IoError> {
        let waiting = self.accepted.borrow_mut().pop();
        let stream =
            waiting.map_or_else(|| self.listener.accept().map(|(stream, _)| stream), Ok).map_err(of_io)?;
        stream.set_nonblocking(true).map_err(of_io)?;
        Ok(TcpDouble(stream))
    }

    pub fn local_port(&self) -> Result<u16, IoError> {
        self.listener.local_addr().map(|at| at.port()).map_err(of_io)
    }

    fn is_acceptable(&self) -> bool {
        let mut accepted = self.accepted.borrow_mut();
        if accepted.is_empty()
            && let Ok((stream, _)) = self.listener.accept()
        {
            accepted.push(stream);
        }
        !accepted.is_empty()
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct UdpDouble(UdpSocket);

impl UdpDouble {
    pub fn connect(endpoint: &str, _timeout_ms: u32) -> Result<UdpDouble, IoError> {
        let place = place(endpoint)?;
        let own = if place.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(own).map_err(of_io)?;
        socket.connect(place).map_err(of_io)?;
        socket.set_nonblocking(true).map_err(of_io)?;
        Ok(UdpDouble(socket))
    }

    pub fn bind(endpoint: &str) -> Result<UdpDouble, IoError> {
        let socket = UdpSocket::bind(place(endpoint)?).map_err(of_io)?;
        socket.set_nonblocking(true).map_err(of_io)?;
        let at = socket.local_addr().map_err(of_io)?;
        with(|host| host.listening.insert(endpoint.to_owned(), at));
        Ok(UdpDouble(socket))
    }

    pub fn send(&self, bytes: &[u8], to: Option<&Peer>) -> Result<(), IoError> {
        let sent = match to {
            Some(to) => self.0.send_to(bytes, resolved(to)?),
            None => self.0.send(bytes),
        };
        sent.map(drop).map_err(of_io)
    }

    pub fn receive(&self) -> Result<(Vec<u8>, Peer), IoError> {
        let mut bytes = vec![0; PIECE_BYTES];
        let (count, from) = self.0.recv_from(&mut bytes).map_err(of_io)?;
        bytes.truncate(count);
        Ok((bytes, peer(from)))
    }

    pub fn local_port(&self) -> Result<u16, IoError> {
        self.0.local_addr().map(|at| at.port()).map_err(of_io)
    }

    fn is_receivable(&self) -> bool {
        is_there(self.0.peek_from(&mut [0]))
    }
}

/// Event to wait for.
#[derive(Clone, Copy, Debug)]
pub enum Interest<'a> {
    /// Something to read, or the end.
    Readable(&'a TcpDouble),
    /// Room to write. The double is always ready, and the write may still have to wait.
    Writable(&'a TcpDouble),
    /// An incoming connection.
    Acceptable(&'a ListenerDouble),
    /// A datagram.
    Receivable(&'a UdpDouble),
    /// Room for a datagram, as of writing.
    Sendable(&'a UdpDouble),
    /// Signal of another interface; no interface with a double signals.
    Signalled(&'a Signal),
    /// Host work, as set by `testing::set_host_work`.
    HostWork,
}

impl Interest<'_> {
    fn is_ready(&self) -> bool {
        match self {
            Interest::Readable(tcp) => tcp.is_readable(),
            Interest::Writable(_) | Interest::Sendable(_) => true,
            Interest::Acceptable(listener) => listener.is_acceptable(),
            Interest::Receivable(udp) => udp.is_receivable(),
            Interest::Signalled(_) => false,
            Interest::HostWork => with(|host| host.has_work),
        }
    }
}

pub fn wait(interests: &[Interest<'_>], timeout_ms: u32) -> Vec<u32> {
    let deadline = Instant::now().checked_add(Duration::from_millis(timeout_ms.into()));
    loop {
        let ready = (0_u32..).zip(interests).filter(|(_, interest)| interest.is_ready());
        let ready: Vec<u32> = ready.map(|(at, _)| at).collect();
        if !ready.is_empty() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return ready;
        }
        std::thread::sleep(LOOK);
    }
}

fn place(endpoint: &str) -> Result<SocketAddr, IoError> {
    let known = with(|host| host.endpoints.get(endpoint).copied());
    known.ok_or_else(|| IoError::Denied(format!("the test has set no endpoint '{endpoint}'")))
}

/// A place of this machine; a test goes nowhere else.
fn resolved(place: &Peer) -> Result<SocketAddr, IoError> {
    let mut all = (&*place.host, place.port).to_socket_addrs().map_err(of_io)?;
    let here = all.find(|address| address.ip().is_loopback());
    here.ok_or_else(|| IoError::Denied(format!("{} is not this machine", place.host)))
}

fn peer(at: SocketAddr) -> Peer {
    Peer { host: at.ip().to_string(), port: at.port() }
}

fn is_there(peeked: io::Result<impl Sized>) -> bool {
    !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn of_io(error: io::Error) -> IoError {
    match error.kind() {
        io::ErrorKind::WouldBlock => IoError::WouldBlock,
        io::ErrorKind::ConnectionRefused => IoError::Refused,
        io::ErrorKind::TimedOut => IoError::TimedOut,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            IoError::Closed
        }
        _ => IoError::Other(error.to_string()),
    }
}
