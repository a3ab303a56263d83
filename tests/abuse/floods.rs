//! Floods of strangers while good clients work: connections at the bound, bad logins, half-open
//! connections, handshakes of TLS.
//!
//! An ordinary run asserts by counts: no good client is dropped, no message is lost, and each good
//! login succeeds. A long run (`LOTMQ_ABUSE_SECONDS`) also asserts the times, and prints them:
//! p99 of a message at most twice that of quiet, and 1 s for a good login.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Authority, Broker, WAIT_MAX};
use socket2::{Domain, Socket, Type};

use crate::handshakes::hello;
use crate::watch::{StopAtEnd, broker};

/// Good clients that stay connected and do nothing.
const IDLE: usize = 20;

/// Threads of a flood, each from an address of its own.
const FLOODERS: u8 = 2;

/// Connections that each of them keeps at once.
const HELD: usize = 150;

/// Connections that the flooded broker takes at once.
const BOUND: &str = "250";

/// Pause between two messages of the good publisher.
const PAUSE: Duration = Duration::from_millis(3);

/// Pause between two good logins.
const LOGIN_PAUSE: Duration = Duration::from_millis(150);

/// Least quiet p99 that is compared: half of a time slice of a busy machine.
const P99_MIN: Duration = Duration::from_millis(5);

/// Time in which a good login is served.
const LOGIN_MAX: Duration = Duration::from_secs(1);

/// Times of messages and of logins.
#[derive(Default)]
struct ServedTimes {
    messages: Vec<Duration>,
    logins: Vec<Duration>,
}

fn quantile(times: &mut [Duration], of_hundred: usize) -> Duration {
    times.sort_unstable();
    times
        .get((times.len() * of_hundred / 100).min(times.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// Opens a connection from the address of a flooder. The broker may refuse it.
fn open(flooder: u8, port: u16) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 1, flooder), 0));
    socket.bind(&own.into()).ok()?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    Some(stream)
}

/// CONNECT of version 3.1.1, with a user and a password where one is named.
fn connect_packet(client_id: &str, user: Option<&str>) -> Vec<u8> {
    let flags = if user.is_some() { 0b1100_0010 } else { 0b0000_0010 };
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60];
    for field in [Some(client_id), user, user.map(|_| "guess")].into_iter().flatten() {
        body.extend((field.len() as u16).to_be_bytes());
        body.extend(field.as_bytes());
    }
    let mut packet = vec![0x10, body.len() as u8];
    packet.extend(body);
    packet
}

/// Serves good clients until `stop`, and returns how long each message and login took. Each message
/// comes, and each login succeeds.
fn serve_good(broker: &Broker, time: Duration) -> ServedTimes {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let logins = scope.spawn(|| {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                let mut client = broker.connect(&ConnectOptions::new("good").user("ann", "good-password"));
                times.push(start.elapsed());
                client.ping().unwrap();
                client.disconnect().unwrap();
                thread::sleep(LOGIN_PAUSE);
            }
            times
        });
        let _end = StopAtEnd(&stop);
        let start = Instant::now();
        let messages = exchange(broker, &|| start.elapsed() >= time);
        stop.store(true, Ordering::Relaxed);
        ServedTimes { messages, logins: logins.join().unwrap() }
    })
}

/// Sends messages from one good client to another.
fn exchange(broker: &Broker, is_over: &dyn Fn() -> bool) -> Vec<Duration> {
    let login = |id: &str| broker.connect(&ConnectOptions::new(id).user("bob", "good-password"));
    let (mut publisher, mut subscriber) = (login("publisher"), login("subscriber"));
    subscriber.subscribe_to("live", QoS::AtMostOnce).unwrap();
    let mut times = Vec::new();
    while !is_over() {
        let text = times.len().to_string();
        let start = Instant::now();
        publisher.send_publish(&Publication::new("live", text.as_str())).unwrap();
        let message = subscriber.receive(WAIT_MAX).unwrap().expect("no message is lost");
        times.push(start.elapsed());
        assert_eq!(message.text(), text);
        thread::sleep(PAUSE);
    }
    times
}

/// Lets strangers flood while good clients work. `flood` gets the number of its thread, a flag that
/// ends it, and a counter of what it has done.
fn flooded(broker: &Broker, name: &str, flood: &(dyn Fn(u8, &AtomicBool, &AtomicU64) + Sync)) {
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} good-password"));
    }
    let mut idle: Vec<Client> = (0..IDLE)
        .map(|at| broker.connect(&ConnectOptions::new(format!("idle-{at}")).user("bob", "good-password")))
        .collect();
    let mut quiet = serve_good(broker, crate::duration() / 2);
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut under_flood = thread::scope(|scope| {
        let _end = StopAtEnd(&stop);
        for flooder in 1..=FLOODERS {
            let (stop, done) = (&stop, &done);
            scope.spawn(move || {
                // Strangers have processors of their own. Linux changes the priority of this thread
                // alone.
                let _ = rustix::process::nice(19);
                flood(flooder, stop, done);
            });
        }
        while done.load(Ordering::Relaxed) == 0 {
            thread::sleep(PAUSE);
        }
        serve_good(broker, crate::duration())
    });
    idle.iter_mut().for_each(|client| client.ping().expect("no good client is dropped"));
    let (before, after) = (quantile(&mut quiet.messages, 99), quantile(&mut under_flood.messages, 99));
    let login = quantile(&mut under_flood.logins, 100);
    println!(
        "{name}: {} of the flood; {} messages, p99 {before:?} quiet, {after:?} flooded; {} logins, the longest {:?} quiet, {login:?} flooded",
        done.load(Ordering::Relaxed),
        under_flood.messages.len(),
        under_flood.logins.len(),
        quantile(&mut quiet.logins, 100),
    );
    assert!(!under_flood.messages.is_empty() && !under_flood.logins.is_empty());
    if crate::is_long() {
        assert!(after <= 2 * before.max(P99_MIN), "{name}: p99 {before:?} became {after:?}");
        assert!(login <= LOGIN_MAX, "{name}: a login took {login:?}");
    }
}

#[test]
fn flood_of_connections_at_the_bound_drops_no_good_client() {
    let broker = broker().variable("LOTMQ_LIMITS_CONNECTIONS", BOUND).start();
    let port = broker.address().port();
    flooded(&broker, "connections", &|flooder, stop, done| {
        let mut held: Vec<TcpStream> = Vec::new();
        let mut number = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            if let Some(mut stream) = open(flooder, port) {
                let packet = connect_packet(&format!("flood-{flooder}-{number}"), None);
                if stream.write_all(&packet).is_ok() {
                    held.push(stream);
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
            if held.len() > HELD {
                held.remove(0);
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    let name = "lotmq_limit_reached_total{limit=\"connections\",listener=\"mqtt\"}";
    assert!(broker.metric(name).unwrap_or_default() > 0.0, "the bound was reached");
}

#[test]
fn flood_of_bad_logins_delays_no_good_client() {
    let broker = broker().real_hashes().start();
    let port = broker.address().port();
    flooded(&broker, "bad logins", &|flooder, stop, done| {
        let mut number = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            // Many at once, as one that waits for its answer is no flood.
            let mut asked: Vec<TcpStream> = Vec::new();
            for _ in 0..HELD / 3 {
                number += 1;
                let user =
                    if number.is_multiple_of(2) { "ann".to_owned() } else { format!("nobody-{number}") };
                let Some(mut stream) = open(flooder, port) else { continue };
                if stream.write_all(&connect_packet("", Some(&user))).is_ok() {
                    asked.push(stream);
                }
            }
            for mut stream in asked {
                let mut answer = [0; 4];
                if stream.read_exact(&mut answer).is_ok() {
                    assert_ne!(answer[3], 0, "a guess was right");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
}

#[test]
fn flood_of_half_open_connections_drops_no_good_client() {
    let broker = broker().variable("LOTMQ_LIMITS_CONNECTIONS", BOUND).start();
    let port = broker.address().port();
    flooded(&broker, "half-open connections", &|flooder, stop, done| {
        let mut held: Vec<TcpStream> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if let Some(mut stream) = open(flooder, port) {
                // The beginning of a CONNECT, whose rest never comes.
                if stream.write_all(&[0x10, 40, 0, 4, b'M']).is_ok() {
                    held.push(stream);
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
            if held.len() > HELD {
                held.remove(0);
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    let name = "lotmq_limit_reached_total{limit=\"half_open\",listener=\"mqtt\"}";
    assert!(broker.metric(name).unwrap_or_default() > 0.0, "the bound was reached");
}

#[test]
fn flood_of_handshakes_delays_no_good_client() {
    let authority = Authority::new();
    let (signed, hello) = (authority.server("broker"), hello(&authority));
    let broker = broker()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .start();
    let port = broker.port_of("mqtts");
    flooded(&broker, "handshakes", &|flooder, stop, done| {
        while !stop.load(Ordering::Relaxed) {
            let begun: Vec<TcpStream> = (0..20)
                .filter_map(|_| {
                    let mut stream = open(flooder, port)?;
                    stream.write_all(&hello).ok().map(|()| stream)
                })
                .collect();
            for mut stream in begun {
                let is_answered = stream.read(&mut [0; 64]).is_ok_and(|len| len > 0);
                done.fetch_add(u64::from(is_answered), Ordering::Relaxed);
            }
        }
    });
}
