//! Abuse of sessions: handshakes that are never finished, subscriptions that come and go, fights
//! for one Client Identifier.

use std::sync::atomic::Ordering;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};

use crate::watch::{broker, watch};

/// The broker announces that it keeps so many; one more and the connection ends.
const RECEIVE_MAXIMUM: usize = 1_000;

/// Publishes at QoS 2 and never answers PUBREC, on sessions that outlive their connections.
#[test]
fn unfinished_exactly_once_handshakes() {
    let broker = broker().start();
    let address = broker.address();
    watch(&broker, 2, |thread, stop| {
        for round in 0.. {
            let id = format!("unfinished-{thread}-{}", round % 20);
            let mut options = ConnectOptions::v5(id).session_expiry(3_600);
            options.clean_start = round % 40 < 20;
            let mut client = Client::connect(address, &options).unwrap();
            for _ in 0..RECEIVE_MAXIMUM {
                let publication = Publication::new("unfinished", vec![b'x'; 300]).qos(QoS::ExactlyOnce);
                // A session that was resumed is soon full, and then the broker hangs up.
                if stop.load(Ordering::Relaxed) || client.send_publish(&publication).is_err() {
                    break;
                }
            }
            client.abort();
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
    });
}

/// A million different filters in a long run; none stays.
#[test]
fn subscriptions_that_come_and_go() {
    const THREADS: usize = 2;
    const FILTERS: usize = 20;
    let broker = broker().start();
    let address = broker.address();
    let rounds_least = if crate::is_long() { 1_000_000 / FILTERS / THREADS } else { 1 };
    watch(&broker, THREADS, |thread, stop| {
        let mut client = Client::connect(address, &ConnectOptions::v5(format!("fickle-{thread}"))).unwrap();
        for round in 1_usize.. {
            let filters: Vec<String> = (0..FILTERS)
                .map(|at| match at % 4 {
                    0 => format!("fickle/{thread}/{round}/{at}"),
                    1 => format!("fickle/+/{round}/{at}/#"),
                    2 => format!("$share/{round}/fickle/{at}/+"),
                    _ => format!("fickle/{round}/{}", "deep/".repeat(at)),
                })
                .collect();
            let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
            for filter in &filters {
                client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
            }
            client.unsubscribe(&filters).unwrap();
            if stop.load(Ordering::Relaxed) && round >= rounds_least {
                println!("{} filters", round * FILTERS);
                return;
            }
        }
    });
    let left = broker.metric("lotmq_subscriptions").expect("the metric is there");
    assert!(left <= 1.0, "{left} subscriptions are left besides the probe's");
}

/// Memory that filters take, and what they are counted for, in a broker of their own.
fn taken_and_counted(sessions: usize, filters: usize, filter: impl Fn(usize) -> String) -> (u64, u64) {
    let broker = broker()
        .variable("LOTMQ_LIMITS_SUBSCRIPTION_BYTES", "1000000000")
        .variable("LOTMQ_LIMITS_TENANT_SESSION_BYTES", "4000000000")
        .start();
    let mut clients: Vec<Client> = (0..sessions).map(|number| broker.client(&format!("c{number}"))).collect();
    let counted = || broker.metric("lotmq_session_bytes").unwrap() as u64;
    let before = (broker.resident_bytes(), counted());
    for (session, client) in clients.iter_mut().enumerate() {
        for at in 0..filters {
            let reason = client.subscribe_to(&filter(session * filters + at), QoS::AtMostOnce).unwrap();
            assert!(!reason.is_failure(), "{reason}");
        }
    }
    (broker.resident_bytes() - before.0, counted() - before.1)
}

/// Filters are counted for what they take, which is twice their text: the session has it, and the
/// index.
#[test]
fn filters_take_what_they_are_counted_for() {
    let long = "x".repeat(50_000);
    let levels = (0..40).map(|_| "level-of-twenty-bytes").collect::<Vec<_>>().join("/");
    let after_number = [
        ("long", 80, &long),
        ("long with a wildcard", 80, &format!("{long}/#")),
        ("of many levels", 2_000, &format!("/{levels}")),
        ("short", 8_000, &"/state".to_owned()),
    ];
    for (kind, filters, rest) in after_number {
        let (taken, counted) = taken_and_counted(8, filters, |number| format!("{number}{rest}"));
        println!("{kind}: {taken} bytes taken, {counted} counted");
        assert!(taken <= counted * 12 / 10, "{kind}: {taken} bytes taken, {counted} counted");
        // Levels are counted for what they may take in the index, which only those of filters with
        // wildcards do.
        if kind.starts_with("long") {
            assert!(taken >= counted * 8 / 10, "{kind}: {taken} bytes taken, {counted} counted");
        }
    }
}

/// Several connections take one session from each other, with messages waiting in it.
#[test]
fn fights_for_one_client_identifier() {
    let broker = broker().start();
    let address = broker.address();
    watch(&broker, 3, |thread, stop| {
        while !stop.load(Ordering::Relaxed) {
            let mut options = ConnectOptions::v5("contested").session_expiry(3_600);
            options.clean_start = false;
            // A client that loses the fight at once sees a closed connection.
            let Ok(mut client) = Client::connect(address, &options) else { continue };
            let _ = client.subscribe_to("contested/#", QoS::AtLeastOnce);
            for _ in 0..10 {
                let topic = format!("contested/{thread}");
                if client
                    .send_publish(&Publication::new(topic, vec![b'x'; 500]).qos(QoS::AtLeastOnce))
                    .is_err()
                {
                    break;
                }
            }
            // Half of them take what waits, so that the queue does not only grow.
            while thread == 0 && matches!(client.receive(std::time::Duration::from_millis(1)), Ok(Some(_))) {}
        }
    });
}
