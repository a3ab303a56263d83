//! Damage in the file of a running broker: what it costs, who is told, and that nothing is
//! acknowledged into a tree that is damaged.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use tempfile::TempDir;

use crate::options;
use crate::store_tools::leaves;

/// So many messages of this size are more than the store checks, or has in its cache, after a
/// start.
const MESSAGES: usize = 650;
const MESSAGE_BYTES: usize = 60_000;

fn sleeper() -> ConnectOptions {
    ConnectOptions::v5("sleeper").clean_start(false).session_expiry(3600)
}

/// Each tells its number all along.
fn text(number: usize) -> String {
    format!("{number:<8}").repeat(MESSAGE_BYTES / 8)
}

/// A broker that was started on a long queue.
fn with_long_queue() -> (Broker, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let mut broker = options().prepared().data(&place.path().join("data")).start();
    let mut client = broker.connect(&sleeper());
    client.subscribe_to("q", QoS::AtLeastOnce).unwrap();
    client.disconnect().unwrap();
    let mut publisher = broker.client("publisher");
    let sent: Vec<_> = (0..MESSAGES)
        .map(|number| Publication::new("q", text(number)).qos(QoS::AtLeastOnce))
        .map(|message| publisher.send_publish(&message).unwrap().unwrap())
        .collect();
    sent.into_iter().for_each(|id| assert!(!publisher.wait_published(id).unwrap().is_failure()));
    publisher.disconnect().unwrap();
    assert!(broker.stop().success());
    broker.start_again();
    (broker, place)
}

/// The numbers of all messages that come.
fn receive(broker: &Broker, last: usize) -> Vec<usize> {
    let mut client = broker.connect(&sleeper());
    let mut got = Vec::new();
    while got.last() != Some(&last) {
        let text = client.receive(WAIT_MAX).unwrap().expect("a message is missing").text();
        got.push(text[..8].trim().parse().unwrap());
    }
    client.disconnect().unwrap();
    got
}

fn write(file: &Path, place: usize, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(bytes, place as u64).unwrap();
}

/// Places of the pages with these messages, each of which has one of its own, and where in it the
/// text begins.
fn pages(bytes: &[u8], numbers: std::ops::Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    let beginnings: Vec<[u8; 16]> =
        numbers.map(|number| text(number).as_bytes()[..16].try_into().unwrap()).collect();
    leaves(bytes).filter_map(move |page| {
        let mut windows = bytes[page..page + 100].windows(16);
        Some((page, windows.position(|window| beginnings.iter().any(|beginning| beginning == window))?))
    })
}

#[test]
fn damaged_messages_are_reported_by_metrics_health_and_one_line_per_slice() {
    const DAMAGED: std::ops::Range<usize> = 20..MESSAGES - 20;
    let (broker, _place) = with_long_queue();
    assert_eq!(broker.metric("lotmq_store_damaged_total"), Some(0.0));
    let file = broker.data().join("lotmq.redb");
    let bytes = std::fs::read(&file).unwrap();
    pages(&bytes, DAMAGED).for_each(|(page, at)| write(&file, page + at, b"x"));
    let got = receive(&broker, MESSAGES - 1);
    let missing: Vec<_> = (0..MESSAGES).filter(|number| !got.contains(number)).collect();
    // Messages in the cache of the broker are whole.
    assert!(!missing.is_empty() && missing.iter().all(|number| DAMAGED.contains(number)), "{missing:?}");
    assert!(got.is_sorted() && got.len() + missing.len() == MESSAGES, "{got:?}");
    let count = missing.len();
    broker.wait_until_metric_is("lotmq_store_damaged_total", count as f64);
    let health = broker.http("/health");
    let expected = format!(r#"{{"status":"healthy","damaged_found":{count}}}"#);
    assert_eq!((health.status, health.body), (200, expected));
    let lines: Vec<_> = broker.log().all().into_iter().filter(|line| line.contains("ERROR")).collect();
    // A slice has 256 KiB at least.
    assert!(!lines.is_empty() && lines.len() <= MESSAGES / 4 + 1, "{} of {count}", lines.len());
    assert!(lines.iter().all(|line| line.contains("sleeper") && line.contains("count=")), "{lines:?}");
}

#[test]
fn a_tree_that_is_found_damaged_stops_acknowledgements_until_it_is_whole() {
    let (broker, _place) = with_long_queue();
    let file = broker.data().join("lotmq.redb");
    let bytes = std::fs::read(&file).unwrap();
    // The value ends far beyond its page.
    pages(&bytes, 0..MESSAGES).for_each(|(page, _)| write(&file, page + 4, &[0xff; 4]));
    let mut client = broker.connect(&ConnectOptions::v5("writer"));
    // Messages in the cache of the broker come, then its queue cannot be read.
    let mut received = 0;
    if let Ok(mut reader) = Client::connect(broker.address(), &sleeper().manual_acks()) {
        while let Ok(message) = reader.receive(WAIT_MAX) {
            message.expect("a message, or the end");
            received += 1;
        }
    }
    assert!(received < MESSAGES);
    let health =
        eventually("health 503", || Some(broker.http("/health")).filter(|health| health.status == 503));
    assert!(health.body.contains("the file of the broker's store is damaged"), "{}", health.body);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let refused = client.publish(&Publication::new("q", "refused").qos(qos)).unwrap();
        assert_eq!(refused, ReasonCode::ImplementationSpecificError);
    }
    // Opened again and checked, it is still damaged.
    broker.wait_for_metric("lotmq_store_reopens_total", 2.0);
    assert_eq!(broker.metric("lotmq_store_failing"), Some(1.0));
    let log = broker.log().text();
    assert!(log.contains("the database panicked"), "{log}");
    assert!(!log.contains("panicked at") && !log.contains("stack backtrace"), "{log}");

    pages(&bytes, 0..MESSAGES).for_each(|(page, _)| write(&file, page + 4, &bytes[page + 4..page + 8]));
    eventually("health 200", || Some(broker.http("/health")).filter(|health| health.status == 200));
    let last = Publication::new("q", text(MESSAGES)).qos(QoS::AtLeastOnce);
    assert!(!client.publish(&last).unwrap().is_failure());
    assert_eq!(receive(&broker, MESSAGES), (0..=MESSAGES).collect::<Vec<_>>());
}
