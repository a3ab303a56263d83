//! Handshakes of TLS that begin and go no further: each costs the broker a signature and its peer
//! next to nothing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lotmq_client::{Connection, Endpoint, ProtocolVersion};
use lotmq_test_support::{Authority, Signed, WAIT_MAX};

use crate::turns::{TURN_SECONDS_MAX, others_wait};
use crate::watch::{StopAtEnd, broker};

/// Connections that are in a handshake at once.
const PEERS: usize = 500;

/// Threads that keep them busy.
const THREADS: usize = 2;

/// Times that they begin, at most.
const ONSETS: usize = 3;

/// Returns a recorded ClientHello that is good for any number of handshakes.
pub(crate) fn hello(authority: &Authority) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint = Endpoint::tcp("127.0.0.1", port).tls(&authority.context());
    let client =
        thread::spawn(move || Connection::open_at(&endpoint, ProtocolVersion::V5, WAIT_MAX).is_err());
    let (mut stream, _) = listener.accept().unwrap();
    let mut hello = vec![0; 16 << 10];
    let len = stream.read(&mut hello).unwrap();
    drop(stream);
    assert!(client.join().unwrap(), "nobody has answered it");
    hello.truncate(len);
    hello
}

/// Bytes that come one by one before the rest, so that nothing is known of a connection but that it
/// does little.
const CRUMBS: usize = 10;

/// One that has said so much.
struct Peer {
    stream: TcpStream,
    said: usize,
}

impl Peer {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, said: 0 }
    }

    /// Says the next byte, or all that is left. The broker may have closed the connection.
    fn go_on(&mut self, hello: &[u8]) {
        let end = if self.said < CRUMBS { self.said + 1 } else { hello.len() };
        let _ = self.stream.write_all(&hello[self.said..end]);
        self.said = end;
    }

    /// Whether anything came back; `None` while nothing did.
    fn is_answered(&self) -> Option<bool> {
        match self.stream.peek(&mut [0]) {
            Ok(len) => Some(len > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(false),
        }
    }
}

/// Begins handshake after handshake, and leaves with the answer unread; how many were answered.
fn flood(address: SocketAddr, hello: &[u8], stop: &AtomicBool) -> usize {
    let mut peers: Vec<Peer> = (0..PEERS / THREADS).map(|_| Peer::new(address)).collect();
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        for peer in &mut peers {
            if peer.said < hello.len() {
                peer.go_on(hello);
            } else if let Some(is_answered) = peer.is_answered() {
                answered += usize::from(is_answered);
                *peer = Peer::new(address);
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    answered
}

/// Begins all handshakes at once, then again and again. Returns the most processor time that the
/// shards used before they answered another Client.
fn onset(signed: &Signed, hello: &[u8]) -> Duration {
    let broker = broker()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .start();
    let address = SocketAddr::from(([127, 0, 0, 1], broker.port_of("mqtts")));
    let ((), served) = others_wait(&broker, || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let floods: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| flood(address, hello, &stop))).collect();
            let _end = StopAtEnd(&stop);
            thread::sleep(crate::duration());
            stop.store(true, Ordering::Relaxed);
            let answered: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
            println!("{answered} handshakes of {PEERS} peers");
            assert!(answered > 0, "they got their turns, too");
        });
    });
    served
}

#[test]
fn many_begin_handshakes_and_one_pings() {
    lotmq_test_support::allow_open_files(4 * PEERS as u64);
    let authority = Authority::new();
    let hello = hello(&authority);
    for signed in [authority.server("p256"), authority.server_with_rsa_4096("rsa")] {
        // As for those that flood with packets, one onset of several tells.
        let mut onsets = (0..ONSETS).map(|_| onset(&signed, &hello));
        // All shards are flooded alike, and one of them answers.
        let shards = thread::available_parallelism().map_or(1, usize::from) as f64;
        let is_soon = |served: Duration| served.as_secs_f64() / shards < TURN_SECONDS_MAX;
        assert!(onsets.any(is_soon), "handshakes went before an answer at {ONSETS} onsets");
    }
}
