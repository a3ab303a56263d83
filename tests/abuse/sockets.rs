//! Abuse of sockets: connections that never become Clients.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use lotmq_client::ConnectOptions;

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
