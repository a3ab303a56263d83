//! Actions as a user sees them: in which order what they publish comes.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::TcpStream;

use lotmq_client::{Client, ConnectOptions, Message, Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::{broker, options};

/// The messages of an Action come behind the message that started it. This holds also if the Action
/// runs beside the thread that delivers that message.
#[test]
fn effects_come_behind_their_cause() {
    let broker = broker();
    for (name, body) in [
        ("AtOnce", "    PUBLISH TOPIC \"effect/at-once\" WITH PAYLOAD\n"),
        (
            "Beside",
            "    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} > 1\n    PUBLISH TOPIC \"effect/beside\" WITH PAYLOAD\n",
        ),
    ] {
        broker.command_ok(&format!("-addAction DEFINE ACTION {name}\nON TOPIC \"cause\" DO\n{body}"));
    }
    let mut watcher = broker.client("watcher");
    for filter in ["cause", "effect/#"] {
        watcher.subscribe_to(filter, QoS::AtMostOnce).unwrap();
    }
    let mut sender = broker.client("sender");
    for number in 0..300 {
        sender.publish(&Publication::new("cause", number.to_string())).unwrap();
        let messages: Vec<_> = (0..3).map(|_| watcher.receive(WAIT_MAX).unwrap().unwrap()).collect();
        assert!(messages.iter().all(|message| message.text() == number.to_string()));
        assert_eq!(messages[0].topic, "cause", "message {number}");
    }
}

/// Its identifier must be on the disk before it leaves, and who runs Actions is not called when
/// that is so.
#[test]
fn an_exactly_once_message_of_an_action_leaves_as_soon_as_it_is_stored() {
    let broker = broker();
    let mut receiver = broker.connect(&ConnectOptions::v5("receiver").clean_start(false).session_expiry(600));
    receiver.subscribe_to("effect", QoS::ExactlyOnce).unwrap();
    broker.command_ok(
        "-addAction DEFINE ACTION Once\nON START DO\n    PUBLISH TOPIC \"effect\" WITH \"here\" QOS 2\n",
    );
    let message = receiver.receive(WAIT_MAX).unwrap().expect("it comes without any other");
    assert_eq!((message.text().as_str(), message.qos), ("here", QoS::ExactlyOnce));
}

/// A PUBLISH of QoS 0 with a topic and a payload of less than 60 bytes each.
fn packet(topic: &str, payload: &str) -> Vec<u8> {
    let length = u8::try_from(2 + topic.len() + payload.len()).unwrap();
    [&[0x30, length, 0, u8::try_from(topic.len()).unwrap()], topic.as_bytes(), payload.as_bytes()].concat()
}

/// Messages of one topic come at once, and the Action reads that topic: for each of them it reads
/// the message that it runs for, at once as beside, and of another topic the newest one.
#[test]
fn the_topic_that_started_a_run_is_read_as_it_was() {
    const MESSAGES: usize = 20;
    let broker = broker();
    for (name, body) in
        [("AtOnce", ""), ("Beside", "    LOOP\n        SET \"i\" WITH 1\n    UNTIL {i} == 1\n")]
    {
        broker.command_ok(&format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"in/+\" DO\n{body}    PUBLISH TOPIC \"out/{name}\" WITH PAYLOAD + \" \" + (GET TOPIC \"in/+\") + \" \" + (GET TOPIC \"other\")\n"
        ));
    }
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("out/#", QoS::AtMostOnce).unwrap();
    let mut sender = TcpStream::connect(broker.address()).unwrap();
    let mut bytes = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03all".to_vec();
    let other = packet("other", "newest");
    bytes.extend((0..MESSAGES).flat_map(|number| {
        [other.clone(), packet("in/a", &number.to_string()), packet("in/b", "between")].concat()
    }));
    sender.write_all(&bytes).unwrap();
    let mut seen = [0; 2];
    while seen != [MESSAGES; 2] {
        let message = watcher.receive(WAIT_MAX).unwrap().expect("each is handled");
        if message.text() == "between between newest" {
            continue;
        }
        let of = usize::from(message.topic == "out/Beside");
        assert_eq!(message.text(), format!("{0} {0} newest", seen[of]), "{}", message.topic);
        seen[of] += 1;
    }
}

/// Many messages that stand one behind the other are handed to their Action in one call. Its own
/// messages come for each of them in their order. That holds where one of its writes is refused,
/// and where messages for another Action stand between them. There is no order between two Actions:
/// a busy thread hands those of other owners over to executors.
#[test]
fn messages_that_come_at_once_are_each_handled_in_their_order() {
    let broker = broker();
    broker.command_ok("-addAction DEFINE ACTION Carry\nON TOPIC \"in/+\" DO\n    PUBLISH TOPIC \"out/\" + PAYLOAD WITH TOPIC POSITION 2\n");
    broker.command_ok("-addAction DEFINE ACTION Other\nON TOPIC \"other\" DO\n    PUBLISH TOPIC \"out/other\" WITH PAYLOAD\n");
    let mut errors = broker.root("errors");
    errors.subscribe_to("$SYS/Coreflux/Actions/Carry/Error", QoS::AtMostOnce).unwrap();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("out/#", QoS::AtMostOnce).unwrap();
    let mut bytes = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03all".to_vec();
    let mut expected = [VecDeque::new(), VecDeque::new()];
    for number in 0..2_000 {
        let (topic, payload) = match number % 500 {
            499 => ("in/refused".to_owned(), "#".to_owned()),
            250..300 => ("other".to_owned(), number.to_string()),
            _ => (format!("in/{number}"), number.to_string()),
        };
        bytes.extend(packet(&topic, &payload));
        match topic.as_str() {
            "in/refused" => {}
            "other" => expected[1].push_back(("out/other".to_owned(), payload)),
            _ => expected[0].push_back((format!("out/{payload}"), payload)),
        }
    }
    let mut sender = TcpStream::connect(broker.address()).unwrap();
    sender.write_all(&bytes).unwrap();
    while expected.iter().any(|waiting| !waiting.is_empty()) {
        let message = watcher.receive(WAIT_MAX).unwrap().expect("a message for each");
        let of = usize::from(message.topic == "out/other");
        assert_eq!(expected[of].pop_front(), Some((message.topic.clone(), message.text())));
    }
    let error = errors.receive(WAIT_MAX).unwrap().expect("an error for those that are refused");
    assert!(error.text().contains("LOT604"), "{}", error.text());
    // The error names the topic and the mistake.
    let text = error.text();
    assert!(text.contains("nothing was written to '") && text.contains("wildcard"), "{text}");
    // Each refused write is told once.
    assert_eq!(broker.metric("lotmq_guest_errors_total"), Some(4.0));
}

/// One sender of a message that makes an Action need too much memory does not keep others waiting,
/// however often it comes.
#[test]
fn a_poisonous_message_holds_up_nobody_else() {
    let broker = broker();
    let swell = "b".repeat(200);
    broker.command_ok(&format!(
        "-addAction DEFINE ACTION Swell\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH (REPLACE \"a\" WITH \"{swell}\" IN PAYLOAD)\n"
    ));
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("out", QoS::AtMostOnce).unwrap();
    let (mut good, mut bad) = (broker.client("good"), broker.client("bad"));
    let poison = Publication::new("in", vec![b'a'; 1 << 20]).qos(QoS::AtLeastOnce);
    let began = std::time::Instant::now();
    for number in 0..30 {
        bad.publish(&poison).unwrap();
        good.publish(&Publication::new("in", number.to_string()).qos(QoS::AtLeastOnce)).unwrap();
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().expect("it is answered").text(), number.to_string());
    }
    // Pauses of the Action would have been 0.1 s, 0.2 s, 0.4 s and so on.
    assert!(began.elapsed() < WAIT_MAX, "{:?}", began.elapsed());
    // The last error is the one or the other: the message is tried again whenever its pause is
    // over.
    broker.log().expect("MESSAGE_PAUSED");
}

fn received(watcher: &mut Client) -> Message {
    watcher.receive(WAIT_MAX).unwrap().expect("a message")
}

/// Runs of one definition come one after the other on whatever threads: each reads what those
/// before have kept and published.
#[test]
fn counters_lose_nothing_where_clients_of_several_threads_raise_them() {
    const CLIENTS: usize = 4;
    const EACH: usize = 1_500;
    let broker = options().variable("LOTMQ_BROKER_PLACEMENT", "spread").start();
    broker.command_ok("-addAction DEFINE ACTION Kept\nON TOPIC \"in/+\" DO\n    KEEP TOPIC \"kept\" WITH (GET TOPIC \"kept\" AS INT) + 1\n");
    broker.command_ok("-addAction DEFINE ACTION Said\nON TOPIC \"in/+\" DO\n    PUBLISH TOPIC \"said\" WITH (GET TOPIC \"said\" AS INT) + 1\n");
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("said", QoS::AtMostOnce).unwrap();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = broker.client(&format!("client {number}"));
            scope.spawn(move || {
                let publication = Publication::new(format!("in/{number}"), "x").qos(QoS::AtLeastOnce);
                for _ in 0..EACH {
                    client.publish(&publication).unwrap();
                }
            });
        }
    });
    for expected in 1..=CLIENTS * EACH {
        assert_eq!(received(&mut watcher).text(), expected.to_string());
    }
    broker.command_ok("-addAction DEFINE ACTION Tell\nON TOPIC \"ask\" DO\n    PUBLISH TOPIC \"said\" WITH GET TOPIC \"kept\"\n");
    broker.client("asking").publish(&Publication::new("ask", "x").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(received(&mut watcher).text(), (CLIENTS * EACH).to_string());
}

/// A chain keeps the order of each client's messages, also where several threads have its
/// definitions busy.
#[test]
fn a_chain_of_actions_keeps_the_order_of_each_client() {
    const CLIENTS: usize = 4;
    const BURSTS: usize = 20;
    const EACH: usize = 100;
    let broker = options().variable("LOTMQ_BROKER_PLACEMENT", "spread").start();
    for (name, from, to) in [("First", "in", "mid"), ("Second", "mid", "out")] {
        broker.command_ok(&format!("-addAction DEFINE ACTION {name}\nON TOPIC \"{from}/+\" DO\n    KEEP TOPIC \"{name}\" WITH PAYLOAD\n    PUBLISH TOPIC \"{to}/\" + TOPIC POSITION 2 WITH PAYLOAD\n"));
    }
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("out/+", QoS::AtMostOnce).unwrap();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = broker.client(&format!("client {number}"));
            scope.spawn(move || {
                for burst in 0..BURSTS {
                    for message in 0..EACH {
                        let text = (burst * EACH + message).to_string();
                        client.publish(&Publication::new(format!("in/{number}"), text)).unwrap();
                    }
                    client.ping().unwrap();
                }
            });
        }
    });
    let mut expected = [0; CLIENTS];
    for _ in 0..CLIENTS * BURSTS * EACH {
        let message = received(&mut watcher);
        let of: usize = message.topic.strip_prefix("out/").unwrap().parse().unwrap();
        assert_eq!(message.text(), expected[of].to_string(), "{}", message.topic);
        expected[of] += 1;
    }
}

/// A name that looks like a number is a name: a client `1e1` is not the one that the level `10` is
/// for, and in JSON it is a text.
#[test]
fn names_of_clients_are_texts() {
    let broker = broker();
    broker.command_ok("-addUser 1e1 pw");
    broker.command_ok(
        "-addAction DEFINE ACTION Door\nON TOPIC \"door/+\" DO\n    SET \"u\" WITH USER\n    PUBLISH TOPIC \"out\" WITH {\"u\": USER, \"c\": CLIENTID, \"by\": {u} == TOPIC POSITION 2 OR CLIENTID == TOPIC POSITION 2, \"in\": USER IN [TOPIC POSITION 2, 10], \"listed\": CLIENTID IN GET TOPIC \"allowed\", \"sum\": CLIENTID + 1}",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Came\nON CONNECT DO\n    PUBLISH TOPIC \"out\" WITH {\"u\": USER, \"c\": CLIENTID, \"ten\": CLIENTID == (GET TOPIC \"ten\")}",
    );
    broker.command_ok("-addAction DEFINE ACTION Allow\nON START DO\n    KEEP TOPIC \"allowed\" WITH [10, \"10.0\"]\n    KEEP TOPIC \"ten\" WITH 10");
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("out", QoS::AtMostOnce).unwrap();
    let mut sender = broker.connect(&ConnectOptions::v5("1e1").user("1e1", "pw"));
    // The run for the watcher may be later than its subscription.
    let mut came = std::iter::repeat_with(|| received(&mut watcher).text());
    let of_sender = came.find(|text| !text.contains("watcher"));
    assert_eq!(of_sender.as_deref(), Some(r#"{"u":"1e1","c":"1e1","ten":false}"#));
    for (level, is_own) in [("10", false), ("1e1", true)] {
        sender.publish(&Publication::new(format!("door/{level}"), "open")).unwrap();
        assert_eq!(
            received(&mut watcher).text(),
            format!(r#"{{"u":"1e1","c":"1e1","by":{is_own},"in":{is_own},"listed":false,"sum":"1e11"}}"#)
        );
    }
}

/// A list and a text that a loop makes longer take memory for what they are, not for what they were
/// in each pass.
#[test]
fn lists_and_texts_grow_in_loops() {
    let broker = broker();
    broker.command_ok(
        "-addAction DEFINE ACTION Long\nON TOPIC \"in\" DO\n    SET \"i\" WITH 0\n    SET \"list\" WITH []\n    SET \"text\" WITH \"\"\n    LOOP\n        SET \"list\" WITH APPEND({list}, {i})\n        SET \"text\" WITH {text} + \"<\" + {i} + \">\"\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} >= PAYLOAD\n    PUBLISH TOPIC \"out\" WITH {list}\n    PUBLISH TOPIC \"out\" WITH {text}",
    );
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("out", QoS::AtMostOnce).unwrap();
    let mut sender = broker.client("sender");
    for count in [1, 3, 20_000] {
        sender.publish(&Publication::new("in", count.to_string())).unwrap();
        let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        assert_eq!(received(&mut watcher).text(), format!("[{}]", numbers.join(",")));
        assert_eq!(received(&mut watcher).text(), format!("<{}>", numbers.join("><")));
    }
}
