//! Brokers that are not lotmq: who needs one that takes commands is told so in a line, not of
//! rights that are missing, and waits for nothing.
//!
//! Such a broker is known by what it says of itself at the topic that most have. One that says
//! nothing there is not judged.

use std::fmt;
use std::time::Duration;

use lotmq_client::{Client, Message, QoS};
use lotmq_terminal::text::printable;

/// Topic of the retained message with name and version of a broker.
pub(crate) const VERSION_TOPIC: &str = "$SYS/broker/version";

/// How long to wait for it.
const WAIT: Duration = Duration::from_millis(500);

/// Most messages before it, of what else was subscribed to.
const OTHERS_MAX: usize = 16;

/// A broker of another make, by what it says of itself.
#[derive(Debug)]
pub(crate) struct NotLotmq(String);

impl fmt::Display for NotLotmq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this broker is not lotmq but `{}`, and takes no commands; pub, sub, request, topics, top topics and bench work with any broker",
            self.0
        )
    }
}

impl std::error::Error for NotLotmq {}

/// Judges a message that may be what a broker says of itself.
///
/// # Errors
/// [`NotLotmq`].
pub(crate) fn judge(message: &Message) -> Result<(), NotLotmq> {
    let version = String::from_utf8_lossy(&message.payload);
    if message.topic != VERSION_TOPIC || version.starts_with("lotmq") {
        return Ok(());
    }
    Err(NotLotmq(printable(&version).chars().take(80).collect()))
}

/// Asks a broker for its version. Drops other messages that come meanwhile.
///
/// # Errors
/// [`NotLotmq`]; when the connection is lost.
pub(crate) fn refuse(client: &mut Client) -> anyhow::Result<()> {
    // A user who may not read the version gets no verdict.
    if client.subscribe_to(VERSION_TOPIC, QoS::AtMostOnce)?.is_failure() {
        return Ok(());
    }
    for _ in 0..OTHERS_MAX {
        let Some(message) = client.receive(WAIT)? else { break };
        judge(&message)?;
        if message.topic == VERSION_TOPIC {
            break;
        }
    }
    client.unsubscribe(&[VERSION_TOPIC])?;
    Ok(())
}
