//! Regular expressions that are dear to compile: what costs too much is refused before it is
//! compiled, and what may be compiled is not compiled where Clients wait.

use std::time::{Duration, Instant};

use lotmq_client::{Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::turns::others_are_served;
use crate::watch::broker;

/// Program with these patterns, each of which tells whether it matches.
fn program(patterns: &[String]) -> String {
    let lines = patterns
        .iter()
        .map(|pattern| format!("    PUBLISH TOPIC \"out\" WITH PAYLOAD MATCHES REGEX \"{pattern}\"\n"));
    format!("-addAction DEFINE ACTION Dear\nON TOPIC \"dear\" DO\n{}", lines.collect::<String>())
}

/// `(?=aa\pL{14})(?=ba\pL{14})…`: 4 KB that took 5 s and 200 MiB.
fn of_many_machines(number: u32) -> String {
    (0..290).fold(format!("x{number}"), |text, part| {
        let letter = |number: u32| char::from_u32(97 + number % 26).unwrap();
        format!("{text}(?={}{}\\pL{{14}})", letter(part), letter(part / 26))
    })
}

#[test]
fn a_pattern_that_costs_too_much_is_refused_at_once() {
    let broker = broker().start();
    others_are_served(&broker, || {
        let start = Instant::now();
        for patterns in [
            (0..200).map(of_many_machines).collect::<Vec<_>>(),
            (0..500).map(|number| format!("x{number}(?i:{})(?=a)", r"\p{Any}".repeat(100))).collect(),
            (0..2_000).map(|number| format!("((a{{1000}}){{1000}}){{{number}}}")).collect(),
        ] {
            let reply = broker.slow_command(&program(&patterns));
            assert!(!reply.success(), "{}", reply.message());
            let told = format!("{:?}", reply.errors());
            assert!(told.contains("LOT404") && told.contains("too large: it costs "), "{told:.500}");
        }
        // Half a minute each before they were priced.
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    });
}

/// The dearest that are taken are compiled once, on a thread that nobody waits for.
#[test]
fn a_message_that_needs_dear_patterns_delays_nobody() {
    let broker = broker().start();
    let patterns: Vec<String> = (0..4).map(|number| format!(r"(?<!\w)y{number}\w{{1,32}}(?!\w)")).collect();
    let reply = broker.slow_command(&program(&patterns));
    assert!(reply.success(), "{reply:?}");
    let mut receiver = broker.client("receiver");
    receiver.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        for number in 0..4 {
            publisher
                .publish(&Publication::new("dear", format!("y{number}é")).qos(QoS::AtLeastOnce))
                .unwrap();
            for pattern in 0..4 {
                let told = receiver.receive(WAIT_MAX).unwrap().expect("each pattern tells");
                assert_eq!(told.text(), (pattern == number).to_string());
            }
        }
    });
}
