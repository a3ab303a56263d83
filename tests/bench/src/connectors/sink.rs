//! A subscriber that counts what it gets, for far sides of bridges.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, QoS};

/// A subscriber, whose thread ends when it has all messages.
pub(super) struct Sink(JoinHandle<()>);

impl Sink {
    /// Subscribes with QoS 1, so that nothing is dropped for it, to a filter for which so many
    /// messages arrive.
    pub(super) fn connect(address: SocketAddr, filter: &str, messages: usize) -> Sink {
        let mut client = Client::connect(address, &ConnectOptions::new("sink").flush_ms(1)).unwrap();
        client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
        Sink(thread::spawn(move || {
            for number in 0..messages {
                let message = client.receive(Duration::from_secs(30)).unwrap();
                assert!(message.is_some(), "{number} of {messages} messages came");
            }
            client.disconnect().unwrap();
        }))
    }

    /// Waits for all messages.
    pub(super) fn wait(self) {
        self.0.join().unwrap();
    }
}
