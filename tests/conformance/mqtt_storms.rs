//! Many at once: connects, takeovers, fan-out to a thousand. A watchdog ends a test that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::bytes::{self, BOTH, publish};
use crate::{Connect, Peer, V4, V5, options};

/// Ends the process when a test takes longer than any machine needs: a deadlock fails instead of
/// hanging.
fn watchdog(what: &'static str) -> Arc<AtomicBool> {
    let done = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&done);
    std::thread::spawn(move || {
        for _ in 0..1200 {
            std::thread::park_timeout(Duration::from_millis(100));
            if watched.load(Ordering::Relaxed) {
                return;
            }
        }
        eprintln!("{what} hangs");
        std::process::abort();
    });
    done
}

/// Publishers and subscribers on all threads of the broker, not packed on one.
fn spread() -> lotmq_test_support::Broker {
    options().variable("LOTMQ_BROKER_PLACEMENT", "spread").start()
}

#[test]
fn a_thousand_readers_get_everything_in_order() {
    let done = watchdog("fan-out");
    let broker = spread();
    let mut readers: Vec<Peer> = (0..1000)
        .map(|n| {
            let mut reader = Peer::clean(&broker, BOTH[n % 2], &format!("r{n}"));
            reader.subscribe("f/#", u8::try_from(n % 3).unwrap().min(1));
            reader
        })
        .collect();
    let writers: Vec<_> = (0..3)
        .map(|n| {
            let mut writer = Peer::clean(&broker, BOTH[n % 2], &format!("w{n}"));
            std::thread::spawn(move || {
                let sent: Vec<u8> = (0..30_u16)
                    .flat_map(|count| {
                        publish(writer.version, 1, &format!("f/{n}"), count + 1, &count.to_string())
                    })
                    .collect();
                writer.send(&sent);
                (0..30).for_each(|_| assert!(writer.next().starts_with("PUBACK")));
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    for reader in &mut readers {
        let mut next = [0; 3];
        for _ in 0..90 {
            let line = reader.next();
            let (head, count) = line.split_once(": ").unwrap();
            let writer = usize::from(head.as_bytes()["PUBLISH f/".len()] - b'0');
            assert_eq!(count, next[writer].to_string(), "{line}");
            next[writer] += 1;
        }
        reader.expect_only(&[]);
    }
    done.store(true, Ordering::Relaxed);
}

#[test]
fn takeovers_from_all_sides_lose_no_session_and_no_message() {
    let done = watchdog("takeovers");
    let broker = Arc::new(spread());
    let mut first = Peer::join(&broker, &Connect::kept(V5, "stolen"));
    first.subscribe("t", 1);
    let stop = Arc::new(AtomicBool::new(false));
    let thieves: Vec<_> = (0..4)
        .map(|n| {
            let (broker, stop) = (Arc::clone(&broker), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut got = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let mut peer = Peer::open(&broker, BOTH[n % 2]);
                    peer.send(&Connect::kept(BOTH[n % 2], "stolen").bytes());
                    let connack = peer.next();
                    if connack == "closed" {
                        continue; // taken over before CONNACK
                    }
                    assert_eq!(connack, "CONNACK 1 00", "the session is never lost");
                    // Reads a little, acknowledges what it reads, is taken over at any moment.
                    for _ in 0..3 {
                        let line = peer.next();
                        if !line.starts_with("PUBLISH") {
                            break;
                        }
                        let (head, text) = line.split_once(": ").unwrap();
                        let id = head.split('#').nth(1).unwrap().split(' ').next().unwrap();
                        got.push(text.parse::<u16>().unwrap());
                        peer.try_send(&bytes::puback(id.parse().unwrap()));
                    }
                }
                got
            })
        })
        .collect();
    let mut writer = Peer::clean(&broker, V4, "writer");
    for n in 1..=500 {
        writer.publish(1, "t", &n.to_string());
    }
    stop.store(true, Ordering::Relaxed);
    // Those who wait for a message get one.
    let mut rest = Vec::new();
    while thieves.iter().any(|thief| !thief.is_finished()) {
        let mut peer = Peer::open(&broker, V4);
        peer.send(&Connect::kept(V4, "stolen").bytes());
        if !peer.next().starts_with("CONNACK") {
            continue;
        }
        peer.try_send(&bytes::PINGREQ);
        loop {
            let line = peer.next();
            let Some((head, text)) = line.split_once(": ") else { break };
            let id = head.split('#').nth(1).unwrap().split(' ').next().unwrap();
            rest.push(text.parse::<u16>().unwrap());
            peer.try_send(&bytes::puback(id.parse().unwrap()));
        }
    }
    let mut last = Peer::join(&broker, &Connect::kept(V4, "stolen"));
    last.send(&bytes::PINGREQ);
    while let Some((_, text)) = last.next().split_once(": ") {
        rest.push(text.parse().unwrap());
    }
    let mut seen: Vec<u16> =
        thieves.into_iter().flat_map(|thief| thief.join().unwrap()).chain(rest).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (1..=500).collect::<Vec<_>>(), "each at least once");
    done.store(true, Ordering::Relaxed);
}

#[test]
fn connects_and_disconnects_in_storms_leave_nothing_behind() {
    let done = watchdog("storm");
    let broker = Arc::new(spread());
    let storms: Vec<_> = (0..6)
        .map(|n| {
            let broker = Arc::clone(&broker);
            std::thread::spawn(move || {
                for round in 0..60 {
                    let version = BOTH[(n + round) % 2];
                    // Few identifiers, so that storms meet; clean and kept, proper ends and broken
                    // ones.
                    let id = format!("storm{}", (n * 7 + round) % 10);
                    let connect =
                        if round % 3 == 0 { Connect::kept(version, &id) } else { Connect::new(version, &id) };
                    let mut peer = Peer::open(&broker, version);
                    peer.send(&connect.will("storm/will", "x", 0, false).bytes());
                    if !peer.next().starts_with("CONNACK") {
                        continue;
                    }
                    peer.try_send(&bytes::subscribe(version, 1, &format!("storm/{}", round % 5), 1));
                    peer.try_send(&publish(version, 1, &format!("storm/{}", round % 5), 2, "x"));
                    if round % 2 == 0 {
                        peer.try_send(&bytes::DISCONNECT);
                        peer.until_closed();
                    }
                }
            })
        })
        .collect();
    storms.into_iter().for_each(|storm| storm.join().unwrap());
    for n in 0..10 {
        Peer::clean(&broker, V4, &format!("storm{n}")).leave();
    }
    // All are gone, with their subscriptions: nobody matches.
    lotmq_test_support::eventually("no subscription is left", || {
        let mut peer = Peer::clean(&broker, V5, "after");
        (0..5).for_each(|n| peer.send(&publish(V5, 1, &format!("storm/{n}"), n + 1, "x")));
        (1..=5).all(|id| peer.next() == format!("PUBACK {id} 10")).then_some(())
    });
    done.store(true, Ordering::Relaxed);
}

#[test]
fn members_that_come_and_go_lose_no_message_of_their_group() {
    let done = watchdog("members");
    let broker = Arc::new(spread());
    let mut stays = Peer::clean(&broker, V5, "stays");
    stays.subscribe("$share/g/s", 1);
    let stop = Arc::new(AtomicBool::new(false));
    // They take messages and acknowledge none.
    let churn: Vec<_> = (0..3)
        .map(|n| {
            let (broker, stop) = (Arc::clone(&broker), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut peer = Peer::clean(&broker, BOTH[n % 2], &format!("churn{n}"));
                    // Messages may come before SUBACK.
                    let subscribe = bytes::subscribe(peer.version, 1, "$share/g/s", 1);
                    peer.send(&[subscribe.as_slice(), &bytes::PINGREQ].concat());
                    while peer.next() != "PINGRESP" {}
                    if n == 0 {
                        peer.send(&bytes::DISCONNECT);
                        peer.until_closed();
                    }
                }
            })
        })
        .collect();
    let mut writer = Peer::clean(&broker, V4, "writer");
    for n in 0..2000_u16 {
        writer.send(&publish(V4, 1, "s", n + 1, &n.to_string()));
        if n % 20 == 19 {
            (0..20).for_each(|_| assert!(writer.next().starts_with("PUBACK")));
        }
    }
    stop.store(true, Ordering::Relaxed);
    churn.into_iter().for_each(|churn| churn.join().unwrap());
    let mut seen = vec![false; 2000];
    while seen.contains(&false) {
        let line = stays.next();
        let (head, n) = line.split_once(": ").unwrap();
        assert!(!std::mem::replace(&mut seen[n.parse::<usize>().unwrap()], true), "{line} twice");
        stays.send(&bytes::puback(head.split('#').nth(1).unwrap().parse().unwrap()));
    }
    stays.expect_only(&[]);
    done.store(true, Ordering::Relaxed);
}

/// Clients that send DISCONNECT, close and connect anew at once leave no Will, although another
/// thread sees the new connection before the DISCONNECT [MQTT-3.14.4-3], [3.1.1: MQTT-3.14.4-3].
#[test]
fn immediate_reconnect_after_disconnect_publishes_no_will() {
    let done = watchdog("restarts");
    let broker = Arc::new(spread());
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("will/#", 0);
    let restless: Vec<_> = (0..4)
        .map(|n| {
            let broker = Arc::clone(&broker);
            std::thread::spawn(move || {
                for round in 0..250 {
                    let id = format!("restless {n}");
                    let version = BOTH[(n + round) % 2];
                    let begins =
                        if round % 3 == 0 { Connect::kept(version, &id) } else { Connect::new(version, &id) };
                    let mut peer = Peer::join(&broker, &begins.will("will/t", "gone", 0, false));
                    // Something may lie in front of it.
                    let before = publish(version, 0, "x", 0, "something");
                    peer.send(&[before.repeat(round % 5), bytes::DISCONNECT.to_vec()].concat());
                }
            })
        })
        .collect();
    restless.into_iter().for_each(|client| client.join().unwrap());
    watcher.expect_only(&[]);
    done.store(true, Ordering::Relaxed);
}
