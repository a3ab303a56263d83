//! Commands and their replies.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lotmq_client::{Client, Publication, QoS};
use serde_json::Value;

use crate::WAIT_MAX;

/// A reply envelope (commands reference §2).
#[derive(Clone, Debug)]
pub struct Reply(pub Value);

impl Reply {
    /// Its `success`.
    pub fn success(&self) -> bool {
        self.0["success"] == true
    }

    /// Its `message`.
    pub fn message(&self) -> &str {
        self.0["message"].as_str().unwrap_or_default()
    }

    /// Its `data`.
    pub fn data(&self) -> &Value {
        &self.0["data"]
    }

    /// Its `errors`.
    pub fn errors(&self) -> &[Value] {
        self.0["errors"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Code of the first error; empty without.
    pub fn code(&self) -> &str {
        self.0["errors"][0]["code"].as_str().unwrap_or_default()
    }
}

/// Sends a command on this connection and waits for the reply with its request id.
///
/// # Panics
/// When no reply comes within [`WAIT_MAX`].
pub(crate) fn exchange(client: &mut Client, command: &str) -> Reply {
    exchange_within(client, command, WAIT_MAX)
}

/// Like [`exchange`], with another time between two messages.
///
/// # Panics
/// When no reply comes in time.
pub(crate) fn exchange_within(client: &mut Client, command: &str, wait: Duration) -> Reply {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let request_id = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let granted = client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    assert!(!granted.is_failure(), "replies are refused: {granted}");
    let payload = format!("{command} -requestId {request_id}");
    client.publish(&Publication::new("$SYS/Coreflux/Command", payload).qos(QoS::AtLeastOnce)).unwrap();
    loop {
        let message = client.receive(wait).unwrap();
        let message = message.unwrap_or_else(|| panic!("no reply to `{command}`"));
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        if reply["requestId"] == request_id.as_str() {
            return Reply(reply);
        }
    }
}
