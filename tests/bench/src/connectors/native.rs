//! Reference programs for connectors, on our client crate and on the usual libraries of the
//! protocol, each a process of its own (`lotmq-bench native-…`).
//!
//! They promise what a route promises: they acknowledge a message when the other side has it, and
//! the session outlives the connection.

mod bridge;
mod http;
mod modbus;
mod postgres;

use std::io::Write as _;

use lotmq_client::{Client, ConnectOptions, QoS};

/// Line that a program prints when it may begin, and when it has done its work. Then it waits to be
/// killed, so that its time can be read.
pub(super) const READY: &str = "ready";

/// Runs a program by its words.
pub(crate) fn run(words: &[String]) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["native-postgres", broker, database, messages] => {
            postgres::carry(broker, database, messages.parse().unwrap());
        }
        ["native-rows", database, rows] => postgres::write_from_memory(database, rows.parse().unwrap()),
        ["native-bridge", from, to, messages] => bridge::carry(from, to, messages.parse().unwrap()),
        ["native-http-client", server, calls] => http::call(server, calls.parse().unwrap()),
        ["native-http-server"] => http::serve(),
        ["native-modbus", device, broker] => modbus::poll(device, broker),
        _ => panic!("no such program: {words:?}"),
    }
}

/// Says a word to who has started this program.
fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}

/// Waits to be killed.
fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}

/// Connects a client that gets the messages below `in` at QoS 1 and acknowledges them itself. Its
/// session outlives the connection. It collects its output for a millisecond.
fn subscriber(broker: &str) -> Client {
    let options = ConnectOptions::v5("native").session_expiry(3600).manual_acks().flush_ms(1);
    let mut client = Client::connect(broker, &options).unwrap();
    client.subscribe_to("in/#", QoS::AtLeastOnce).unwrap();
    client
}
