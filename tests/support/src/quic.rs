//! A tunnel: clients connect to it by TCP, and what they say goes to a broker by QUIC, each
//! connection in one of its own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::{Signed, WAIT_MAX};

/// The protocol that a broker expects.
const MQTT: &[u8] = b"mqtt";

/// How a tunnel shows itself.
#[derive(Clone, Debug)]
pub struct QuicOptions {
    /// PEM file of the authority that it trusts.
    pub authority: std::path::PathBuf,
    /// Certificate that it presents on request.
    pub certificate: Option<Signed>,
    /// The protocol that it asks for (ALPN).
    pub protocol: Vec<u8>,
    /// Bytes that the broker may send before the client has read some.
    pub window: u32,
    /// Whether it resets its stream when its client has gone, where others end theirs.
    pub resets: bool,
    /// Streams of each kind that it asks for besides, and leaves alone.
    pub further_streams: usize,
    /// Time after which it sends a frame without data, and again and again.
    pub pings_every: Option<Duration>,
}

impl QuicOptions {
    /// Trusts this authority and asks for MQTT.
    pub fn new(authority: &Path) -> Self {
        // Little lies here when the client does not read.
        let window = 64 << 10;
        let (protocol, resets, further_streams) = (MQTT.to_vec(), false, 0);
        let (authority, certificate, pings_every) = (authority.to_owned(), None, None);
        Self { authority, certificate, protocol, window, resets, further_streams, pings_every }
    }

    fn config(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut tls = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(signed) => {
                let chain = vec![CertificateDer::from_pem_file(&signed.certificate).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&signed.key).unwrap())
                    .unwrap()
            }
        };
        tls.alpn_protocols = vec![self.protocol.clone()];
        let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(self.window));
        transport.keep_alive_interval(self.pings_every);
        config.transport_config(Arc::new(transport));
        config
    }
}

/// See the module's documentation. Ends with its value; its connections are closed then.
#[derive(Debug)]
pub struct QuicTunnel {
    address: SocketAddr,
    ends: Receiver<ConnectionError>,
    orders: UnboundedSender<Order>,
}

enum Order {
    Move,
    Halt(Arc<Barrier>),
}

impl QuicTunnel {
    /// A tunnel to the broker's QUIC listener on this port of loopback.
    pub fn new(port: u16, options: &QuicOptions) -> Self {
        let (config, options) = (options.config(), options.clone());
        let (orders, inbox) = unbounded_channel();
        let (told, ends) = channel();
        let (opened, address) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                opened.send(listener.local_addr().unwrap()).unwrap();
                let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                serve(listener, (server, config, options), inbox, told).await;
            });
        });
        Self { address: address.recv().unwrap(), ends, orders }
    }

    /// Returns the address to which clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How the next connection ended that the broker ended, or that could not be made.
    ///
    /// # Panics
    /// When none did within [`WAIT_MAX`].
    pub fn next_end(&self) -> ConnectionError {
        self.ends.recv_timeout(WAIT_MAX).expect("a connection ends")
    }

    /// The application error code with which the broker ended the next connection.
    ///
    /// # Panics
    /// When it was ended otherwise.
    pub fn next_code(&self) -> u64 {
        let end = self.next_end();
        let ConnectionError::ApplicationClosed(close) = end else {
            panic!("the connection ended otherwise: {end}");
        };
        close.error_code.into_inner()
    }

    /// Goes on from another address, as a phone that leaves the house.
    pub fn change_address(&self) {
        self.orders.send(Order::Move).unwrap();
    }

    /// Says nothing any more, not even that it has ended, until the answer is dropped.
    pub fn fall_silent(&self) -> Silence {
        let barrier = Arc::new(Barrier::new(2));
        self.orders.send(Order::Halt(Arc::clone(&barrier))).unwrap();
        barrier.wait();
        Silence(barrier)
    }
}

/// While it lives, a tunnel is silent.
#[derive(Debug)]
pub struct Silence(Arc<Barrier>);

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.wait();
    }
}

fn udp() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

async fn serve(
    listener: TcpListener,
    (server, config, options): (SocketAddr, ClientConfig, QuicOptions),
    mut orders: UnboundedReceiver<Order>,
    told: Sender<ConnectionError>,
) {
    let endpoint = Endpoint::new(EndpointConfig::default(), None, udp(), Arc::new(TokioRuntime)).unwrap();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => break,
                Some(Order::Move) => endpoint.rebind(udp()).unwrap(),
                Some(Order::Halt(barrier)) => {
                    barrier.wait();
                    barrier.wait();
                }
            },
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let connecting = endpoint.connect_with(config.clone(), server, "localhost").unwrap();
                let (told, options) = (told.clone(), options.clone());
                tokio::spawn(async move {
                    if let Err(error) = carry(connecting, stream, &options).await {
                        // Nobody may want to know.
                        let _ = told.send(error);
                    }
                });
            }
        }
    }
    endpoint.close(VarInt::from_u32(0), b"");
    let _ = tokio::time::timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
}

/// Carries one connection to its end, which the error tells.
async fn carry(
    connecting: quinn::Connecting,
    stream: TcpStream,
    options: &QuicOptions,
) -> Result<(), ConnectionError> {
    let connection = connecting.await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    let mut further = JoinSet::new();
    for _ in 0..options.further_streams {
        let connection = connection.clone();
        further.spawn(async move { (connection.open_bi().await, connection.open_uni().await) });
    }
    let (mut from_client, mut to_client) = stream.into_split();
    let up = async {
        let _ = copy(&mut from_client, &mut send).await;
        // The client has gone, whatever it has said before. It is for the broker to end the
        // connection.
        let _ = if options.resets { send.reset(VarInt::from_u32(7)) } else { send.finish() };
        std::future::pending().await
    };
    let down = async {
        let _ = copy(&mut receive, &mut to_client).await;
        let _ = to_client.shutdown().await;
        connection.closed().await
    };
    tokio::select! {
        end = up => end,
        end = down => Err(end),
    }
}
