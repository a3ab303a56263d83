//! A connection of the administrator: commands and their replies.

use std::net::SocketAddr;

use lotmq_client::{Client, ClientError, ConnectOptions, Publication, QoS};
use lotmq_test_support::WAIT_MAX;
use serde_json::Value;

/// The broker has gone away: no answer is none of the asker's faults.
pub(crate) struct Gone;

impl<E: std::error::Error> From<E> for Gone {
    fn from(_: E) -> Self {
        Self
    }
}

pub(crate) struct Administrator {
    pub(crate) client: Client,
    name: String,
    requests: u64,
}

impl Administrator {
    /// Connects and listens for replies. `name` must be another one for each connection: replies
    /// reach all of them.
    pub(crate) fn connect(broker: SocketAddr, name: &str) -> Result<Self, ClientError> {
        let mut client = Client::connect(broker, &ConnectOptions::new(name).user("root", "coreflux"))?;
        client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce)?;
        Ok(Self { client, name: name.to_owned(), requests: 0 })
    }

    /// Sends a command and does not wait for its reply; the request id.
    pub(crate) fn send(&mut self, command: &str) -> Result<String, Gone> {
        self.requests += 1;
        let request = format!("{}-{}", self.name, self.requests);
        let payload = format!("{command} -requestId {request}");
        let command = Publication::new("$SYS/Coreflux/Command", payload).qos(QoS::AtLeastOnce);
        self.client.publish(&command)?;
        Ok(request)
    }

    /// Waits for the reply to a command, passing over those to others.
    pub(crate) fn reply(&mut self, request: &str) -> Result<Value, Gone> {
        loop {
            let message = self.client.receive(WAIT_MAX)?.ok_or(Gone)?;
            let reply: Value = serde_json::from_slice(&message.payload)?;
            if reply["requestId"] == request {
                return Ok(reply);
            }
        }
    }

    /// The reply to a command that succeeds.
    pub(crate) fn command(&mut self, command: &str) -> Result<Value, Gone> {
        let request = self.send(command)?;
        let reply = self.reply(&request)?;
        if reply["success"] == true { Ok(reply) } else { Err(Gone) }
    }

    /// The members `member` of the rows in the data of a reply.
    pub(crate) fn list(&mut self, command: &str, member: &str) -> Result<Vec<String>, Gone> {
        let reply = self.command(command)?;
        let rows = reply["data"].as_array().ok_or(Gone)?;
        Ok(rows.iter().filter_map(|row| row[member].as_str()).map(str::to_owned).collect())
    }
}
