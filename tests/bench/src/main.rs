//! Cost of Actions in a whole broker: `cargo run --release -p lotmq-bench --
//! [target/release/lotmq,…] [seconds per run] [rounds] [words of a case]`.
//!
//! Publishers send to `a/<n>`, subscribers wait at `b/<n>`, and an Action carries the messages
//! over. In the same interleaved rounds, the same publishers also send straight to `b/<n>`: the
//! pair rate. Each run has a fresh broker. Each case prints one line with the medians of messages
//! per second and per CPU-second of the broker's process. Further cases: a thousand Actions that do
//! not match, the time from a command to its Action's first answer, and the resident memory of a
//! thousand. Several programs, separated by commas, are compared in the same rounds. With words of
//! a case, only cases with these in their names run, and nothing else.
//!
//! `lotmq-bench connectors [target/release/lotmq] [rounds] [word of a case]` compares connectors
//! with programs that do their work by hand.
//!
//! `lotmq-bench idle-routes [target/release/lotmq] [seconds]` measures routes that have nothing to
//! do.
//!
//! `lotmq-bench gateway [target/release/lotmq] [seconds]` measures a broker with a hundred actions
//! and a bridge.
//!
//! `lotmq-bench uploads [target/release/lotmq]` measures the way from the upload of a module until
//! it is live.
//!
//! `lotmq-bench null-broker --listen 127.0.0.1:2020` is another thing: a peer of brokers in
//! measurements, which does as little as any of them could.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people: a failure is a panic with its place"
)]

mod case;
mod connectors;
mod deploy;
mod gateway;
mod idle_routes;
mod load;
mod null_broker;
mod uploads;

use std::time::Duration;

/// Text that `--help` prints, behind any words.
const USAGE: &str = "
lotmq-bench [target/release/lotmq,...] [seconds per run] [rounds] [words of a case]
lotmq-bench connectors [target/release/lotmq] [rounds] [word of a case]
lotmq-bench idle-routes [target/release/lotmq] [seconds]
lotmq-bench gateway [target/release/lotmq] [seconds]
lotmq-bench uploads [target/release/lotmq]
lotmq-bench null-broker --listen ADDRESS:PORT
";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| matches!(&**argument, "--help" | "-h")) {
        println!("{}", USAGE.trim());
        return;
    }
    if arguments.first().is_some_and(|first| first == "null-broker") {
        let [_, option, address] = &arguments[..] else { panic!("null-broker --listen ADDRESS:PORT") };
        assert_eq!(option, "--listen");
        null_broker::run(address.parse().unwrap(), |address| println!("listening on {address}")).unwrap();
        return;
    }
    if arguments.first().is_some_and(|first| first.starts_with("native-")) {
        connectors::native::run(&arguments);
        return;
    }
    let mut arguments = arguments.into_iter().peekable();
    if arguments.next_if(|first| first == "connectors").is_some() {
        let binary = arguments.next().unwrap_or_else(|| "target/release/lotmq".to_owned());
        let rounds = arguments.next().map_or(5, |text| text.parse().unwrap());
        connectors::compare(&binary, rounds, &arguments.next().unwrap_or_default());
        return;
    }
    if arguments.next_if(|first| first == "idle-routes").is_some() {
        let binary = arguments.next().unwrap_or_else(|| "target/release/lotmq".to_owned());
        idle_routes::figures(&binary, arguments.next().map_or(60, |text| text.parse().unwrap()));
        return;
    }
    if arguments.next_if(|first| first == "gateway").is_some() {
        let binary = arguments.next().unwrap_or_else(|| "target/release/lotmq".to_owned());
        gateway::figures(&binary, arguments.next().map_or(60, |text| text.parse().unwrap()));
        return;
    }
    if arguments.next_if(|first| first == "uploads").is_some() {
        uploads::figures(&arguments.next().unwrap_or_else(|| "target/release/lotmq".to_owned()));
        return;
    }
    let binary = arguments.next().unwrap_or_else(|| "target/release/lotmq".to_owned());
    let seconds: u64 = arguments.next().map_or(2, |text| text.parse().unwrap());
    let rounds: usize = arguments.next().map_or(5, |text| text.parse().unwrap());
    let only = arguments.next();
    let binaries: Vec<&str> = binary.split(',').collect();
    case::compare(&binaries, Duration::from_secs(seconds), rounds, only.as_deref().unwrap_or_default());
    if only.is_some() {
        return;
    }
    for binary in binaries {
        deploy::figures(binary);
    }
}

/// The middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
