//! Channels of the server whose messages are published here, over a connection of their own.

use lotmq_guest::route::{Arrival, Failure, net};
use route_frames::{Listener, left_out};

use crate::command::encode;
use crate::config::{Config, Subscription};
use crate::failures;
use crate::link::Link;
use crate::reply::Reply;

/// Connection that listens to the channels of a route.
pub(crate) struct Channels {
    link: Link,
    subscriptions: Vec<Subscription>,
}

impl Channels {
    /// Subscribes to all channels.
    pub(crate) fn open(config: &Config, subscriptions: Vec<Subscription>) -> Result<Channels, Failure> {
        let mut link = Link::open(config)?;
        let mut out = Vec::new();
        for Subscription { channel, .. } in &subscriptions {
            encode(&mut out, ["PSUBSCRIBE", channel].iter());
        }
        link.send(&out)?;
        Ok(Channels { link, subscriptions })
    }

    /// Adds what a message of a channel is to be published as.
    fn came(&self, parts: Vec<Reply>, arrivals: &mut Vec<Arrival>) {
        let mut parts = parts.into_iter().map(Reply::into_bytes);
        let (kind, pattern) = (parts.next().flatten(), parts.next().flatten());
        let (channel, payload) = (parts.next().flatten(), parts.next().flatten());
        let (Some(b"pmessage"), Some(pattern), Some(channel), Some(payload)) =
            (kind.as_deref(), pattern, channel, payload)
        else {
            return;
        };
        let subscription = self.subscriptions.iter().filter(|it| it.channel.as_bytes() == pattern);
        for Subscription { topic, qos, retain, .. } in subscription {
            match topic.filled(Some(&channel)) {
                Ok(topic) => arrivals.push(Arrival {
                    topic: topic.into_owned(),
                    payload: payload.clone(),
                    qos: *qos,
                    retain: *retain,
                    properties: None,
                }),
                Err(reason) => left_out::<Channels>(&format!("the channel {reason}")),
            }
        }
    }
}

impl Listener for Channels {
    const CODE: &'static str = "REDIS_CHANNEL";

    fn take(&mut self) -> Result<bool, Failure> {
        self.link.take()
    }

    fn receive(&mut self, arrivals: &mut Vec<Arrival>) -> Result<bool, Failure> {
        match self.link.received()? {
            None => return Ok(false),
            Some(Reply::Push(parts) | Reply::List(parts)) => self.came(parts, arrivals),
            Some(Reply::Error(text)) => return Err(failures::of(&text)),
            // The answer to a sign of life.
            Some(_) => {}
        }
        Ok(true)
    }

    fn ping(&mut self) -> Result<(), Failure> {
        let mut out = Vec::new();
        encode(&mut out, ["PING"].iter());
        self.link.send(&out)
    }

    fn readable(&self) -> net::Interest<'_> {
        self.link.readable()
    }
}
