//! Accepting: new connections of listening sockets are admitted and given to shards.
//!
//! The first shard serves all sockets ([`serve`]); where it stands still, others accept in its
//! place ([`Listening`]).
//!
//! A flood of connections delays nobody for long. At each socket the shard accepts
//! [`ACCEPTED_AT_ONCE_MAX`] connections between two rounds of its other tasks, and this time counts
//! in its turn. The kernel keeps the rest in its backlog. A connection that its peer has closed by
//! then takes no place.

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
use super::limits::{ACCEPT_LOG_SECONDS, ACCEPTED_AT_ONCE_MAX, ACCEPTED_IN_PLACE_MAX};
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
            for _ in 0..ACCEPTED_IN_PLACE_MAX {
                if take_none(&listener.net.shards, Instant::now()) {
                    return;
                }
                // Nobody waits; or it is an error that comes again with the next look.
                let Ok((stream, peer)) = accept(socket) else { break };
                hand_over(listener, stream, peer);
            }
        }
    }
}

/// Accepts connections for ever and gives each to a shard.
pub(crate) async fn serve(served: Arc<Served>) -> io::Result<()> {
    let listener = Arc::clone(&served.listener);
    let address = served.socket.address()?;
    // Standard output has it for people.
    debug!(listener = listener.terms.name, %address, "listening");
    #[allow(
        deprecated,
        reason = "its replacement is unsafe for types whose descriptor may change; that of a std listener never does"
    )]
    let socket = AsyncFd::new(served)?;
    let mut failures = AcceptFailures::default();
    let mut at_once = 0;
    loop {
        if at_once == ACCEPTED_AT_ONCE_MAX {
            at_once = 0;
            tokio::task::yield_now().await;
        }
        let mut ready = socket.readable().await?;
        while take_none(&listener.net.shards, Instant::now()) {
            // They wait in the system's queue, which is bounded.
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
        match ready.try_io(|served| accept(&served.get_ref().socket)) {
            Ok(Ok((stream, peer))) => {
                if at_once == 0 {
                    this_turn::with(|turn| turn.time_shares.begin_other_work(&*turn.core.clock));
                }
                at_once += 1;
                hand_over(&listener, stream, peer);
                if listener.net.gate.open() >= listener.net.connections_max() {
                    // Connections that have given way keep their places until their tasks have run.
                    at_once = ACCEPTED_AT_ONCE_MAX;
                }
            }
            Ok(Err(error)) => {
                failures.note(&listener, &error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Err(_would_block) => at_once = 0,
        }
    }
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

fn hand_over(listener: &Arc<Listener>, stream: OwnedFd, peer: Peer) {
    let net = &listener.net;
    if socket::waiting(&stream, &mut [0]).is_none() {
        net.core.counters.connections_abandoned.add(1);
        return;
    }
    let source = match peer {
        Peer::Tcp(address) | Peer::Proxied(address) => Some(address.ip()),
        Peer::Unix => None,
    };
    let own = match Admission::take(listener, Some(peer), source) {
        Ok(own) => own,
        Err(limit) => {
            // Closed by dropping it.
            listener.terms.limit_reached(limit, &peer);
            return;
        }
    };
    let shard = place(&net.shards, net.placement, Instant::now());
    let kind = if peer == Peer::Unix { SocketKind::Unix } else { SocketKind::Tcp };
    let accepted = Accepted { peer, listener: own };
    shard.give(Arrival { stream, kind, accepted, age: Duration::ZERO });
}
