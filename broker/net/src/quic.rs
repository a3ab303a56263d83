//! QUIC: the thread that ends it, for all listeners. MQTT in the first stream of a connection is
//! relayed to a shard through a pair of sockets.
//!
//! So a shard sees a plain socket, to which any thread writes, and nothing of QUIC costs the
//! connections that have none of it: its timers, its encryption and the congestion of its peers
//! stay here.
//!
//! Invariants: what a connection holds is bounded by the windows in [`limits`](lotmq_core::limits);
//! a client that has not proved its address gets no handshake once an eighth of the places without
//! CONNECT are taken. Not here: what is relayed (`relay`), certificates (`certificates`).

mod overhead;
mod relay;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lotmq_chain::validity;
use lotmq_pulse::Heartbeats;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, Incoming, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use self::relay::{ListenerRates, relay};
use super::admission::Admission;
use super::certificates::ListenerTls;
use super::connection::Accepted;
use super::limits::{
    QUIC_INCOMING_BYTES_MAX, QUIC_INCOMING_MAX, QUIC_UDP_BYTES, QUIC_WINDOW_BYTES, RELAY_BYTES_MAX,
    SILENCE_MAX,
};
use super::listener::Listener;
use super::relayed::{JudgedChain, Relayed};
use super::shard::{Arrival, place};
use super::socket::SocketKind;
use lotmq_core::connection::peer::Peer;
use lotmq_core::counters::Counters;
use lotmq_core::limits::Limit;
use lotmq_process::watchdog::{self, beat};

/// Time that closing connections may take when the broker stops.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Listener of QUIC, with its socket.
pub struct QuicListener {
    /// Listener of its connections.
    pub listener: Arc<Listener>,
    /// Certificates of its handshakes.
    pub tls: Arc<ListenerTls>,
    /// Time without any packet after which a connection is lost.
    pub idle_timeout: Duration,
    /// Socket of all its connections, as [`bind`] opens it.
    pub socket: UdpSocket,
}

/// Thread that serves QUIC.
pub struct Quic {
    thread: JoinHandle<()>,
    /// Sender whose drop ends the thread.
    stop: watch::Sender<()>,
}

impl Quic {
    /// Serves `listeners` on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread, or cannot watch the sockets.
    pub fn start(listeners: Vec<QuicListener>, pulses: &Heartbeats) -> io::Result<Self> {
        let (stop, is_over) = watch::channel(());
        let pulse = pulses.add("the thread of QUIC", SILENCE_MAX);
        let runtime = watchdog::runtime(&pulse)?;
        let thread = std::thread::Builder::new().name("quic".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(beat(pulse));
                let mut all = JoinSet::new();
                for quic in listeners {
                    all.spawn(serve(quic, is_over.clone()));
                }
                while all.join_next().await.is_some() {}
            });
        })?;
        Ok(Self { thread, stop })
    }

    /// Waits until the shards' last bytes have reached the clients, and ends the thread. Call when
    /// the shards have closed their connections.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            warn!("the thread of quic ended by a panic");
        }
    }
}

/// Opens the socket of a listener.
///
/// # Errors
/// The error of the system.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // As much of it as the system allows.
    socket.set_recv_buffer_size(QUIC_UDP_BYTES)?;
    socket.set_send_buffer_size(QUIC_UDP_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Accepts the connections of one socket until the broker stops.
async fn serve(quic: QuicListener, mut stop: watch::Receiver<()>) {
    let QuicListener { listener, tls, idle_timeout, socket } = quic;
    let mut configs = Configs::new(tls, idle_timeout);
    let endpoint = match open(socket, &configs.current().config) {
        Ok(endpoint) => endpoint,
        Err(error) => return warn!(listener = listener.terms.name, %error, "listener not served"),
    };
    if let Ok(address) = endpoint.local_addr() {
        debug!(listener = listener.terms.name, %address, "listening");
    }
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // All of them only wait: none loses anything when another one wins.
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => {}
            Some(incoming) = endpoint.accept() => {
                if let Some((place, incoming)) = admit(&listener, incoming) {
                    connections.spawn(connection(place, incoming, configs.current()));
                }
            }
        }
    }
    endpoint.set_server_config(None);
    let last_words = async {
        while connections.join_next().await.is_some() {}
        endpoint.close(VarInt::from_u32(0), b"");
        endpoint.wait_idle().await;
    };
    let _ = timeout(STOP_TIME_MAX, last_words).await;
}

fn open(socket: UdpSocket, config: &ServerConfig) -> io::Result<Endpoint> {
    Endpoint::new(EndpointConfig::default(), Some(config.clone()), socket, Arc::new(TokioRuntime))
}

/// Decides about a first packet. The answer is never larger than the packet, but for the handshake.
fn admit(listener: &Arc<Listener>, incoming: Incoming) -> Option<(Admission, Incoming)> {
    // A forged address gets no more than a refusal, which is shorter than the packet.
    if let Some(failure) = listener.refuses(incoming.remote_address().ip()) {
        listener.refuse(&incoming.remote_address(), failure);
        incoming.refuse();
        return None;
    }
    let has_many = listener.half_open.count() >= listener.half_open_max() / 8;
    if has_many && !incoming.remote_address_validated() {
        listener.net.core.counters.quic_retries.add(1);
        // Refused only to those who have been asked before, and they have proved their address.
        let _ = incoming.retry();
        return None;
    }
    // An address that is not proved yet counts for nobody, and all such together where somebody has
    // to give way.
    let source = incoming.remote_address_validated().then(|| incoming.remote_address().ip());
    match Admission::take(listener, None, source) {
        Ok(place) => Some((place, incoming)),
        Err(limit) => {
            listener.terms.limit_reached(limit, &incoming.remote_address());
            incoming.refuse();
            None
        }
    }
}

/// Serves one connection from its first packet to its last.
async fn connection(own: Admission, incoming: Incoming, begun: Begun) {
    let started = Instant::now();
    let listener = Arc::clone(&own);
    let counters = &listener.net.core.counters;
    let peer = incoming.remote_address();
    let opened =
        timeout(listener.handshake_patience(), open_stream(incoming, Arc::clone(&begun.config), counters));
    let opened = tokio::select! {
        opened = opened => opened,
        () = own.gave_way() => return listener.terms.limit_reached(Limit::HalfOpen, &peer),
    };
    let Ok(opened) = opened else {
        counters.handshake_timeouts.add(1);
        listener.terms.limit_reached(Limit::HandshakeTimeoutSec, &peer);
        return debug!(%peer, "quic handshake timed out");
    };
    let (connection, send, receive) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            counters.tls_failures.add(1);
            return listener.terms.refused(&peer, ("tls-failed", &error));
        }
    };
    let relayed = Arc::new(relayed(&listener, &connection, &begun));
    let address = connection.remote_address();
    if let Err(limit) = own.count_address(address.ip(), listener.net.core.clock.now()) {
        listener.terms.limit_reached(limit, &address);
        return connection.close(VarInt::from_u32((limit.reason() as u8).into()), b"");
    }
    let accepted = Accepted { peer: Peer::Tcp(address), listener: own };
    match hand_over(accepted, Arc::clone(&relayed), started) {
        Ok(socket) => {
            let rates = ListenerRates { listener: &listener, peer: &address };
            relay(connection, (send, receive), socket, (&relayed, rates)).await;
        }
        Err(error) => warn!(%peer, %error, "connection refused"),
    }
}

/// Information about the client's certificate for its shard.
fn relayed(listener: &Listener, connection: &Connection, begun: &Begun) -> Relayed {
    let chain =
        connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let Some(chain) = chain else { return Relayed::new() };
    let Some(shown) = chain.first() else { return Relayed::new() };
    let certified = listener.user_of_certificate(shown);
    let ends_ms = validity::ends_at_ms(shown);
    let (tls, generation) = (Arc::clone(&begun.tls), begun.generation);
    Relayed::with_certificate(certified, ends_ms, JudgedChain { certificates: *chain, tls, generation })
}

/// Completes the handshake, and waits for the stream that the client opens.
async fn open_stream(
    incoming: Incoming,
    config: Arc<ServerConfig>,
    counters: &Counters,
) -> Result<(Connection, SendStream, RecvStream), ConnectionError> {
    let connection = incoming.accept_with(config)?.await?;
    counters.tls_handshakes.add(1);
    let (send, receive) = connection.accept_bi().await?;
    Ok((connection, send, receive))
}

/// Gives a shard one end of a pair of sockets; the other one is for the relay.
fn hand_over(accepted: Accepted, relayed: Arc<Relayed>, started: Instant) -> io::Result<UnixStream> {
    let (ours, theirs) = StdUnixStream::pair()?;
    for end in [&ours, &theirs] {
        end.set_nonblocking(true)?;
        SockRef::from(end).set_send_buffer_size(RELAY_BYTES_MAX)?;
    }
    let socket = UnixStream::from_std(ours)?;
    let net = Arc::clone(&accepted.listener.net);
    let shard = place(&net.shards, net.placement, Instant::now());
    let kind = SocketKind::Relayed(relayed);
    shard.give(Arrival { stream: theirs.into(), kind, accepted, age: started.elapsed() });
    Ok(socket)
}

/// Terms with which a connection begins.
struct Begun {
    config: Arc<ServerConfig>,
    tls: Arc<ListenerTls>,
    /// Generation of the authorities that its handshake trusts at least.
    generation: u64,
}

/// Configuration of new connections, made anew when the certificate has been replaced.
struct Configs {
    tls: Arc<ListenerTls>,
    transport: Arc<TransportConfig>,
    /// TLS configuration from which `current` was made.
    source: Arc<rustls::ServerConfig>,
    current: Arc<ServerConfig>,
}

impl Configs {
    fn new(tls: Arc<ListenerTls>, idle_timeout: Duration) -> Self {
        let transport = Arc::new(transport(idle_timeout));
        let source = tls.current();
        let current = Self::make(&source, &transport);
        Self { tls, transport, source, current }
    }

    /// Terms of a connection that begins now.
    fn current(&mut self) -> Begun {
        let generation = self.tls.authorities_generation();
        let source = self.tls.current();
        if !Arc::ptr_eq(&source, &self.source) {
            self.current = Self::make(&source, &self.transport);
            self.source = source;
        }
        Begun { config: Arc::clone(&self.current), tls: Arc::clone(&self.tls), generation }
    }

    fn make(source: &Arc<rustls::ServerConfig>, transport: &Arc<TransportConfig>) -> Arc<ServerConfig> {
        // Early data is off, as it is until somebody turns it on: what is replayed would be done
        // twice.
        debug_assert_eq!(source.max_early_data_size, 0);
        let crypto = QuicServerConfig::try_from(Arc::clone(source))
            .expect("the provider has AES-128-GCM, which the first packets are encrypted with");
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::clone(transport));
        // Bounds on packets before a connection is accepted. Connections are accepted at once.
        config.max_incoming(QUIC_INCOMING_MAX).incoming_buffer_size(QUIC_WINDOW_BYTES.into());
        config.incoming_buffer_size_total(QUIC_INCOMING_BYTES_MAX);
        Arc::new(config)
    }
}

fn transport(idle_timeout: Duration) -> TransportConfig {
    let window = VarInt::from_u32(QUIC_WINDOW_BYTES);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(window)
        .receive_window(window)
        .send_window(QUIC_WINDOW_BYTES.into())
        .max_idle_timeout(Some(
            IdleTimeout::try_from(idle_timeout).expect("the longest that can be set is a day"),
        ))
        .keep_alive_interval(Some(idle_timeout / 3))
        .datagram_receive_buffer_size(None);
    transport
}
