//! Large messages, which are routed in parts.

use lotmq_client::{Client, Publication, QoS};

use crate::testing::{PATIENCE, Running};

#[test]
fn large_messages_reach_all_in_order_though_they_take_several_turns() {
    const RECEIVERS: usize = 100;
    // All that one gets finds room in its buffer: nobody reads before the end.
    const BYTES: usize = 150_000;
    const MESSAGES: usize = 3;
    let running = Running::start("os");
    let mut receivers: Vec<_> = (0..RECEIVERS)
        .map(|number| {
            let mut client = running.client(&format!("receiver-{number}"));
            client.subscribe_to("large/#", QoS::AtMostOnce).unwrap();
            client
        })
        .collect();
    let mut publisher = running.client("publisher");
    let mut retained = Publication::new("large/kept", vec![b'r'; BYTES]);
    retained.retain = true;
    publisher.publish(&retained).unwrap();
    for number in 0..MESSAGES {
        let number = u8::try_from(number).unwrap();
        publisher.publish(&Publication::new("large/x", vec![number; BYTES])).unwrap();
        publisher.publish(&Publication::new("large/kept", vec![number])).unwrap();
    }
    publisher.ping().unwrap();
    for (which, client) in receivers.iter_mut().enumerate() {
        let mut next = || client.receive(PATIENCE).unwrap().expect("all of them come").payload.to_vec();
        assert!(next() == vec![b'r'; BYTES], "receiver {which}");
        for number in 0..MESSAGES {
            let number = u8::try_from(number).unwrap();
            assert!(next() == vec![number; BYTES] && next() == [number], "{number} for {which}");
        }
    }
    let mut late = running.client("late");
    late.subscribe_to("large/kept", QoS::AtMostOnce).unwrap();
    assert_eq!(late.receive(PATIENCE).unwrap().map(|message| message.payload.len()), Some(BYTES));
}

#[test]
fn a_message_that_was_taken_reaches_all_also_if_its_publisher_is_gone() {
    const RECEIVERS: usize = 100;
    const BYTES: usize = 150_000;
    for _ in 0..5 {
        let running = Running::start("os");
        let mut receivers: Vec<_> = (0..RECEIVERS)
            .map(|number| {
                let mut client = running.client(&format!("receiver-{number}"));
                client.subscribe_to("large", QoS::AtMostOnce).unwrap();
                client
            })
            .collect();
        let mut publisher = running.client("publisher");
        for _ in 0..4 {
            publisher.send_publish(&Publication::new("large", vec![0; BYTES])).unwrap();
        }
        // Taken over while one of them is on its way.
        let _second = running.client("publisher");
        running.client("last").publish(&Publication::new("large", "end")).unwrap();
        let next = |client: &mut Client| client.receive(PATIENCE).unwrap().map(|it| it.payload.len());
        let before_last = |client: &mut Client| {
            std::iter::from_fn(|| (next(client).expect("the last one comes") > 3).then_some(())).count()
        };
        let counts: Vec<usize> = receivers.iter_mut().map(before_last).collect();
        // Somebody else's may have come before what the one who is gone has left.
        let most = *counts.iter().max().expect("there are receivers");
        for (client, count) in receivers.iter_mut().zip(counts) {
            assert!((count..most).all(|_| next(client) == Some(BYTES)), "{count} of {most}");
        }
    }
}
