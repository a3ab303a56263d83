//! Many connections that flood at once, each with less than what a turn has time for: who does
//! little is served soon all the same.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lotmq_client::{ConnectOptions, ProtocolVersion};
use lotmq_codec::{
    PacketId, Properties, SubscribeFilter, SubscriptionOptions, encode_subscribe, encode_unsubscribe,
};

use crate::turns::{TURN_SECONDS_MAX, others_wait};
use crate::watch::{StopAtEnd, broker};

/// Connections that flood.
const FLOODING: usize = 500;

/// Threads that keep them busy.
const THREADS: usize = 2;

/// Times that they begin, at most.
const ONSETS: usize = 3;

/// A dear SUBSCRIBE with the UNSUBSCRIBE that takes it back: some tenths of a millisecond.
fn burst() -> Vec<u8> {
    let filters: Vec<String> = (0..8).map(|number| format!("{number}{}", "/a".repeat(180))).collect();
    let options = SubscriptionOptions::default();
    let asked: Vec<_> =
        filters.iter().map(|filter| SubscribeFilter { filter: filter.as_str(), options }).collect();
    let names: Vec<&str> = filters.iter().map(String::as_str).collect();
    let (id, version) = (PacketId::new(1).expect("not 0"), ProtocolVersion::V5);
    let mut bytes = Vec::new();
    encode_subscribe(&mut bytes, version, id, Properties::EMPTY, &asked).unwrap();
    encode_unsubscribe(&mut bytes, version, id, Properties::EMPTY, &names).unwrap();
    bytes
}

/// Sends burst after burst over all these connections, as fast as they are taken, and forgets what
/// is answered.
fn flood(mut streams: Vec<TcpStream>, stop: &AtomicBool) -> usize {
    let burst = burst();
    // How far the burst under way of each has come.
    let mut sent = vec![0; streams.len()];
    let (mut bursts, mut answers) = (0, vec![0; 64 << 10]);
    while !stop.load(Ordering::Relaxed) {
        for (stream, sent) in streams.iter_mut().zip(&mut sent) {
            let taken = |result: std::io::Result<usize>| match result {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => panic!("a flooding connection broke: {error}"),
            };
            taken(stream.read(&mut answers));
            *sent += taken(stream.write(&burst[*sent..]));
            if *sent == burst.len() {
                *sent = 0;
                bursts += 1;
            }
        }
        // As much as waits in the sockets keeps the broker busy for longer.
        thread::sleep(Duration::from_millis(2));
    }
    bursts
}

/// Begins all of them at once on the first shard, which is idle when they come. Returns the most
/// processor time that it used before it answered another Client.
fn onset() -> Duration {
    let broker = broker().start();
    let connect = |number: usize| {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        let mut packet = Vec::new();
        ConnectOptions::v5(format!("flood-{number}")).encode(&mut packet).unwrap();
        stream.write_all(&packet).unwrap();
        stream.read_exact(&mut [0; 2]).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let streams: Vec<TcpStream> = (0..FLOODING).map(connect).collect();
    let mut streams = streams.into_iter();
    let ((), served) = others_wait(&broker, || {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let floods: Vec<_> = (0..THREADS)
                .map(|_| {
                    let own: Vec<TcpStream> = streams.by_ref().take(FLOODING / THREADS).collect();
                    let stop = &stop;
                    scope.spawn(move || flood(own, stop))
                })
                .collect();
            let _end = StopAtEnd(&stop);
            thread::sleep(crate::duration());
            stop.store(true, Ordering::Relaxed);
            let bursts: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
            println!("{bursts} bursts of {FLOODING} connections");
            assert!(bursts > 0, "they got their turns, too");
        });
    });
    served
}

#[test]
fn many_connections_flood_and_one_pings() {
    // Also when they begin, and it is not known yet who will flood. A machine that lets the other
    // Client wait before it looks at its answer lengthens what the shards did meanwhile, so one
    // onset of several tells.
    let mut onsets = (0..ONSETS).map(|_| onset());
    let is_soon = |served: Duration| served.as_secs_f64() < TURN_SECONDS_MAX;
    assert!(onsets.any(is_soon), "others' work went before an answer at {ONSETS} onsets");
}
