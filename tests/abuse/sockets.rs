//! Abuse of sockets: connections that never become Clients.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use lotmq_client::ConnectOptions;
use lotmq_test_support::allow_open_files;

use crate::turns::others_wait;
use crate::watch::{broker, watch};

/// Sockets of each thread.
const SOCKETS: usize = 200;

/// CONNECT packets that come byte by byte and never end; the broker hangs up, and they come again.
#[test]
fn connects_that_never_end() {
    let broker = broker().start();
    let address = broker.address();
    watch(&broker, 2, |thread, stop| {
        let mut packet = Vec::new();
        ConnectOptions::new("slow".repeat(1_000)).encode(&mut packet).unwrap();
        let mut sockets: Vec<(TcpStream, usize)> = Vec::new();
        let mut round = thread;
        while !stop.load(Ordering::Relaxed) {
            while sockets.len() < SOCKETS {
                sockets.push((TcpStream::connect(address).unwrap(), 0));
            }
            round += 1;
            sockets.retain_mut(|(socket, sent)| {
                let byte = packet[*sent];
                *sent += 1;
                // Every so often one goes away by itself.
                *sent < packet.len() - 1 && !round.is_multiple_of(50) && socket.write_all(&[byte]).is_ok()
            });
            thread::sleep(Duration::from_millis(20));
        }
    });
}

/// CONNECT packets of which most has come and nothing more comes: each is read, and kept, for
/// nothing.
#[test]
fn connects_in_part() {
    const CONNECTS: usize = 3_000;
    const BYTES: usize = 60_000;
    allow_open_files(2 * CONNECTS as u64 + 1_000);
    let broker = broker().start();
    let mut packet = Vec::new();
    ConnectOptions::v5("half").user("nobody", vec![b'x'; BYTES]).encode(&mut packet).unwrap();
    packet.truncate(BYTES);
    let ((), served) = others_wait(&broker, || {
        let sockets: Vec<TcpStream> = (0..CONNECTS)
            .map(|_| {
                let mut socket = TcpStream::connect(broker.address()).unwrap();
                // The broker may have closed it, when too much is kept.
                let _ = socket.write_all(&packet);
                socket
            })
            .collect();
        thread::sleep(Duration::from_millis(200));
        drop(sockets);
    });
    assert!(served < Duration::from_millis(100), "{served:?} of others' work before an answer");
}
