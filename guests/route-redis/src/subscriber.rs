//! Channels of the server whose messages are published here, over a connection of their own.

use lotmq_guest::route::{Arrival, Failure, IoError, ambient, diagnostics, failure, ingest, net};

use crate::command::encode;
use crate::config::{Config, Subscription};
use crate::limits::{PING_MS, PUBLISHED_AT_ONCE};
use crate::link::Link;
use crate::reply::Reply;

pub(crate) struct Subscriber {
    link: Link,
    timeout_ms: u64,
    /// When something came last.
    heard_at: u64,
    /// Whether a sign of life was asked for since.
    is_asked: bool,
    arrivals: Vec<Arrival>,
}

impl Subscriber {
    /// Subscribes to all channels.
    pub(crate) fn open(config: &Config) -> Result<Subscriber, Failure> {
        let mut link = Link::open(config)?;
        let mut out = Vec::new();
        for Subscription { channel, .. } in &config.subscriptions {
            encode(&mut out, ["PSUBSCRIBE", channel].iter());
        }
        link.send(&out)?;
        let heard_at = ambient::monotonic_ms();
        let timeout_ms = config.timeout_ms.into();
        Ok(Subscriber { link, timeout_ms, heard_at, is_asked: false, arrivals: Vec::new() })
    }

    /// Publishes what comes until the time is over or the host has work.
    pub(crate) fn run(&mut self, config: &Config, until_ms: u32) -> Result<(), Failure> {
        let end = ambient::monotonic_ms().saturating_add(until_ms.into());
        loop {
            let has_come = self.take(config)?;
            let now = ambient::monotonic_ms();
            let due = self.stay_alive(now)?;
            let wait = if has_come { 0 } else { end.min(due).saturating_sub(now) };
            let wait = u32::try_from(wait).unwrap_or(u32::MAX);
            let ready = net::wait(&[net::Interest::HostWork, self.link.readable()], wait);
            if ready.contains(&0) || now >= end {
                return Ok(());
            }
        }
    }

    /// Takes what is there; whether that was anything.
    fn take(&mut self, config: &Config) -> Result<bool, Failure> {
        let mut has_come = self.link.take()?;
        while self.arrivals.len() < PUBLISHED_AT_ONCE
            && let Some(reply) = self.link.received()?
        {
            has_come = true;
            self.came(config, reply)?;
        }
        if has_come {
            (self.heard_at, self.is_asked) = (ambient::monotonic_ms(), false);
        }
        self.publish()?;
        Ok(has_come)
    }

    fn came(&mut self, config: &Config, reply: Reply) -> Result<(), Failure> {
        let parts = match reply {
            Reply::Push(parts) | Reply::List(parts) => parts,
            Reply::Error(text) => return Err(crate::failures::of(&text)),
            // The answer to a sign of life.
            _ => return Ok(()),
        };
        let mut parts = parts.into_iter().map(Reply::into_bytes);
        let (kind, pattern) = (parts.next().flatten(), parts.next().flatten());
        let (channel, payload) = (parts.next().flatten(), parts.next().flatten());
        let (Some(b"pmessage"), Some(pattern), Some(channel), Some(payload)) =
            (kind.as_deref(), pattern, channel, payload)
        else {
            return Ok(());
        };
        let subscription = config.subscriptions.iter().filter(|it| it.channel.as_bytes() == pattern);
        for Subscription { topic, qos, retain, .. } in subscription {
            match topic.filled(Some(&channel)) {
                Ok(topic) => self.arrivals.push(Arrival {
                    topic: topic.into_owned(),
                    payload: payload.clone(),
                    qos: *qos,
                    retain: *retain,
                    properties: None,
                }),
                Err(reason) => report(&format!("the channel {reason}")),
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), Failure> {
        if self.arrivals.is_empty() {
            return Ok(());
        }
        match ingest::publish(&self.arrivals) {
            Ok(()) => {}
            Err(ingest::IngestError::NotAllowed) => {
                for arrival in &self.arrivals {
                    match ingest::publish(std::slice::from_ref(arrival)) {
                        Ok(()) => {}
                        Err(ingest::IngestError::NotAllowed) => {
                            report(&format!("cannot publish to '{}': not allowed", arrival.topic));
                        }
                        Err(error) => return Err(lost(error)),
                    }
                }
            }
            Err(error) => return Err(lost(error)),
        }
        self.arrivals.clear();
        Ok(())
    }

    /// Asks a silent server for a sign of life; gives when to look again.
    fn stay_alive(&mut self, now: u64) -> Result<u64, Failure> {
        let silent = now.saturating_sub(self.heard_at);
        if silent >= PING_MS.saturating_add(self.timeout_ms) {
            return Err(Failure::Reconnect(format!(
                "it has not answered for {} s",
                self.timeout_ms.div_ceil(1000)
            )));
        }
        if silent >= PING_MS && !self.is_asked {
            let mut out = Vec::new();
            encode(&mut out, ["PING"].iter());
            self.link.send(&out)?;
            self.is_asked = true;
        }
        let patience = if self.is_asked { PING_MS.saturating_add(self.timeout_ms) } else { PING_MS };
        Ok(self.heard_at.saturating_add(patience))
    }
}

/// The failure of messages that could not be stored: they are lost, as those are that come while nobody listens.
fn lost(error: ingest::IngestError) -> Failure {
    report(&format!("messages of channels are lost: {}", error.name()));
    failure(&IoError::Closed)
}

fn report(reason: &str) {
    diagnostics::report(diagnostics::Severity::Error, "REDIS_CHANNEL", reason, 0, 0);
}
