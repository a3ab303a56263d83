//! From a command to the first answer of its Action, and what a thousand of them take.

use crate::median;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::BrokerOptions;
use std::time::{Duration, Instant};

const COUNT: usize = 1000;

pub(crate) fn figures(binary: &str) {
    let broker = BrokerOptions::new(binary).start();
    let before = broker.resident_bytes();
    for number in 0..COUNT {
        broker.command_ok(&format!("-addAction {}", source(number)));
    }
    let mut client = broker.client("bench");
    client.subscribe_to("alarm/#", QoS::AtMostOnce).unwrap();
    let mut answers = Vec::new();
    for number in 0..COUNT {
        let began = Instant::now();
        client.send_publish(&Publication::new(format!("s/cell7/t{number}"), b"5000")).unwrap();
        client.receive(Duration::from_secs(10)).unwrap().unwrap();
        answers.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let run = broker.resident_bytes();
    std::thread::sleep(Duration::from_secs(10));
    let each = |now: u64| (now as f64 - before as f64) / COUNT as f64 / 1024.0;
    println!(
        "{COUNT} actions, each run once: {:.1} KiB each; idle for 10 s: {:.1} KiB each",
        each(run),
        each(broker.resident_bytes())
    );
    println!("first run of an action, publish to answer: median {:.0} µs", median(answers));
    let mut times = Vec::new();
    for number in COUNT..COUNT + 100 {
        let began = Instant::now();
        broker.command_ok(&format!("-addAction {}", source(number)));
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "-addAction beside {COUNT} others, command to reply with the disk's sync: median {:.1} ms, p99 {:.1} ms",
        times[50], times[98]
    );
}

fn source(number: usize) -> String {
    format!(
        "DEFINE ACTION Alarm{number}\nON TOPIC \"s/+/t{number}\" DO\n    IF PAYLOAD > {number} THEN\n        PUBLISH TOPIC \"alarm/{number}/\" + TOPIC POSITION 2 WITH PAYLOAD\n"
    )
}
