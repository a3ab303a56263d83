//! Accepting: new connections of listening sockets are admitted and given to shards.
//!
//! The first shard serves all sockets ([`serve`]); where it stands still, others accept in its
//! place ([`Listening`]).
//!
//! A flood of connections delays nobody for long. At each socket the shard accepts connections for
//! [`ACCEPT_ROUND_STEPS`] between two rounds of its other tasks, and this time counts in its turn.
//! The kernel keeps the rest in its backlog.
//!
//! A connection that its peer has closed by then takes no place and one step. So a flood of
//! connects and closes does not fill the backlog: the kernel drops further handshakes while it is
//! full, and the clients try again only after a second.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::unix::AsyncFd;
use tracing::{debug, warn};

use super::admission::Admission;
use super::connection::Accepted;
use super::limits::{
    ACCEPT_IN_PLACE_STEPS, ACCEPT_LOG_SECONDS, ACCEPT_ROUND_STEPS, ACCEPT_STEPS_PER_CONNECTION,
};
use super::listener::Listener;
use super::listening_socket::ListeningSocket;
use super::shard::{Arrival, place, take_none};
use super::socket::{self, SocketKind};
use lotmq_core::connection::peer::Peer;
use lotmq_process::this_turn;

/// Pause after a failed accept; a broker without free descriptors must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listening socket with its listener. It is closed when this is dropped.
pub(crate) struct Served {
    listener: Arc<Listener>,
    socket: ListeningSocket,
}

impl AsRawFd for Served {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Listening sockets, for shards that accept in place of the one that serves them.
#[derive(Default)]
pub(crate) struct Listening(Mutex<Vec<Weak<Served>>>);

impl Listening {
    /// Adds a socket, which is listed for as long as it is served.
    pub(crate) fn add(&self, listener: Arc<Listener>, socket: ListeningSocket) -> Arc<Served> {
        let served = Arc::new(Served { listener, socket });
        self.0.lock().push(Arc::downgrade(&served));
        served
    }

    /// Accepts some of the connections that wait at each socket.
    pub(crate) fn accept_waiting(&self) {
        let all: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        for Served { listener, socket } in all.iter().map(AsRef::as_ref) {
            if take_none(&listener.net.shards, Instant::now()) {
                return;
            }
            let hand_over = |stream, peer| {
                let handed = hand_over(listener, stream, peer);
                if take_none(&listener.net.shards, Instant::now()) { Handed::Last } else { handed }
            };
            // No connection waits; or it is an error that comes again with the next look.
            drop(accept_round(socket, ACCEPT_IN_PLACE_STEPS, hand_over));
        }
    }
}

/// Accepts connections for ever and gives each to a shard.
pub(crate) async fn serve(served: Arc<Served>) -> io::Result<()> {
    let listener = Arc::clone(&served.listener);
    let net = &listener.net;
    let address = served.socket.address()?;
    // Standard output has it for people.
    debug!(listener = listener.terms.name, %address, "listening");
    #[allow(
        deprecated,
        reason = "its replacement is unsafe for types whose descriptor may change; that of a std listener never does"
    )]
    let socket = AsyncFd::new(served)?;
    let mut failures = AcceptFailures::default();
    let hand_over = |stream, peer| match hand_over(&listener, stream, peer) {
        Handed::Closed => Handed::Closed,
        // Connections that have given way keep their places until their tasks have run.
        _ if net.gate.open() >= net.connections_max() => Handed::Last,
        _ if take_none(&net.shards, Instant::now()) => Handed::Last,
        Handed::Begun | Handed::Last => Handed::Begun,
    };
    loop {
        let mut ready = socket.readable().await?;
        while take_none(&net.shards, Instant::now()) {
            // They wait in the system's queue, which is bounded.
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        this_turn::with(|turn| turn.time_shares.begin_other_work(&*turn.core.clock));
        match ready.try_io(|served| accept_round(&served.get_ref().socket, ACCEPT_ROUND_STEPS, hand_over)) {
            Ok(Ok(())) => tokio::task::yield_now().await,
            Ok(Err(error)) => {
                failures.note(&listener, &error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Err(_would_block) => {}
        }
    }
}

/// Fate of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handed {
    /// It begins on a shard.
    Begun,
    /// It has ended: its peer has closed it, or a limit keeps it out.
    Closed,
    /// It is the last one of this round.
    Last,
}

/// Accepts connections that wait at a socket until they have taken so many steps.
///
/// # Errors
/// That of the system: `WouldBlock` when no further connection waits.
fn accept_round(
    socket: &ListeningSocket,
    steps: u32,
    mut hand_over: impl FnMut(OwnedFd, Peer) -> Handed,
) -> io::Result<()> {
    let mut left = steps;
    while left > 0 {
        let (stream, peer) = accept(socket)?;
        left = match hand_over(stream, peer) {
            Handed::Begun => left.saturating_sub(ACCEPT_STEPS_PER_CONNECTION),
            Handed::Closed => left - 1,
            Handed::Last => 0,
        };
    }
    Ok(())
}

/// Failures to accept, which are logged now and then: without free descriptors every try fails.
#[derive(Default)]
struct AcceptFailures {
    told_at: Option<Instant>,
    suppressed: u64,
}

impl AcceptFailures {
    fn note(&mut self, listener: &Listener, error: &io::Error) {
        if self.told_at.is_some_and(|at| at.elapsed() < Duration::from_secs(ACCEPT_LOG_SECONDS)) {
            self.suppressed += 1;
            return;
        }
        self.told_at = Some(Instant::now());
        let suppressed = std::mem::take(&mut self.suppressed);
        warn!(listener = listener.terms.name, %error, suppressed, "accept failed");
    }
}

/// Accepts one connection, ready for a runtime, with one system call.
fn accept(socket: &ListeningSocket) -> io::Result<(OwnedFd, Peer)> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    let (stream, peer) = rustix::net::acceptfrom_with(socket, flags)?;
    let peer = match socket {
        ListeningSocket::Tcp(_) => {
            let peer = peer.ok_or(io::ErrorKind::NotConnected)?;
            Peer::Tcp(SocketAddr::try_from(peer).map_err(|_| io::ErrorKind::Unsupported)?)
        }
        ListeningSocket::Unix(..) => Peer::Unix,
    };
    Ok((stream, peer))
}

fn hand_over(listener: &Arc<Listener>, stream: OwnedFd, peer: Peer) -> Handed {
    let net = &listener.net;
    if socket::waiting(&stream, &mut [0]).is_none() {
        net.core.counters.connections_abandoned.add(1);
        return Handed::Closed;
    }
    let source = match peer {
        Peer::Tcp(address) | Peer::Proxied(address) => Some(address.ip()),
        Peer::Unix => None,
    };
    if let Some(failure) = source.and_then(|address| listener.refuses(address)) {
        // Closed by dropping it.
        listener.refuse(&peer, failure);
        return Handed::Closed;
    }
    let own = match Admission::take(listener, Some(peer), source) {
        Ok(own) => own,
        Err(limit) => {
            // Closed by dropping it.
            listener.terms.limit_reached(limit, &peer);
            return Handed::Closed;
        }
    };
    let shard = place(&net.shards, net.placement, Instant::now());
    let kind = if peer == Peer::Unix { SocketKind::Unix } else { SocketKind::Tcp };
    let accepted = Accepted { peer, listener: own };
    shard.give(Arrival { stream, kind, accepted, age: Duration::ZERO });
    Handed::Begun
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};

    use super::super::listening_socket::bind;
    use super::*;

    /// Rounds until a connection that stays open is accepted, behind so many that are closed.
    fn rounds_behind(closed: usize) -> usize {
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let socket = ListeningSocket::Tcp(socket);
        let connect = || TcpStream::connect(address).unwrap();
        (0..closed).for_each(|_| drop(connect()));
        let open = connect();
        let mut has_come = false;
        let mut round = || {
            accept_round(&socket, ACCEPT_ROUND_STEPS, |stream, peer| {
                if socket::waiting(&stream, &mut [0]).is_none() {
                    return Handed::Closed;
                }
                has_come = matches!(peer, Peer::Tcp(peer) if peer == open.local_addr().unwrap());
                Handed::Last
            })
            .unwrap();
            has_come
        };
        1 + (0..closed).find(|_| round()).unwrap()
    }

    #[test]
    fn closed_connections_in_the_backlog_delay_a_login_by_few_rounds() {
        assert_eq!(rounds_behind(100), 1);
        assert_eq!(rounds_behind(1_000), 4);
    }

    #[test]
    fn a_round_begins_at_most_32_connections() {
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let socket = ListeningSocket::Tcp(socket);
        let _open: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
        let round = || {
            let mut begun = 0;
            let ended = accept_round(&socket, ACCEPT_ROUND_STEPS, |_, _| {
                begun += 1;
                Handed::Begun
            });
            (begun, ended.map_err(|error| error.kind()))
        };
        assert_eq!(round(), (32, Ok(())));
        assert_eq!(round(), (8, Err(io::ErrorKind::WouldBlock)));
    }
}
