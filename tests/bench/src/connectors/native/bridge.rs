//! From one broker to another, at most 1,000 messages on their way.

use std::collections::VecDeque;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode};

use super::{READY, say, subscriber, wait_for_the_end};

const WINDOW: usize = 1000;

/// Carries so many messages.
pub(super) fn carry(from: &str, to: &str, messages: usize) {
    let mut near = subscriber(from);
    let mut far = Client::connect(to, &ConnectOptions::v5("native").flush_ms(1)).unwrap();
    say(READY);
    let mut on_their_way = VecDeque::new();
    let mut left = messages;
    while left > 0 {
        // Without anything on its way there is nothing else to do.
        let patience = if on_their_way.is_empty() { Duration::from_secs(60) } else { Duration::ZERO };
        let next = if on_their_way.len() < WINDOW { near.receive(patience).unwrap() } else { None };
        if let Some(message) = next {
            let publication = Publication::new(message.topic.clone(), message.payload.clone());
            let sent = far.send_publish(&publication.qos(QoS::AtLeastOnce)).unwrap().unwrap();
            on_their_way.push_back((sent, message));
            continue;
        }
        // Messages that were acknowledged meanwhile need no wait, so half of the window goes at
        // once.
        for _ in 0..(on_their_way.len() / 2).max(1) {
            let (sent, message) = on_their_way.pop_front().unwrap();
            assert!(!far.wait_published(sent).unwrap().is_failure());
            near.acknowledge(&message, ReasonCode::Success).unwrap();
            left -= 1;
        }
    }
    near.ping().unwrap();
    say(READY);
    wait_for_the_end();
}
