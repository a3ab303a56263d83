//! Subjects whose messages are published here, over a connection of their own.

use lotmq_guest::route::{Arrival, Failure, Properties, UserProperty, ambient, diagnostics, ingest, net};

use crate::config::{Config, Inward};
use crate::frame::{Frame, Received};
use crate::limits::{HEADERS_MAX, PING_MS, PUBLISHED_AT_ONCE};
use crate::link::{Link, refused};
use crate::subject::topic_of;

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
    /// Subscribes to all subjects.
    pub(crate) fn open(config: &Config) -> Result<Subscriber, Failure> {
        let mut link = Link::open(config, false)?;
        let mut out = String::new();
        for (number, Inward { subject, group, .. }) in config.inward.iter().enumerate() {
            let group = group.as_ref().map(|group| format!("{group} ")).unwrap_or_default();
            out.push_str(&format!("SUB {subject} {group}{number}\r\n"));
        }
        link.send(out.as_bytes())?;
        let heard_at = ambient::monotonic_ms();
        Ok(Subscriber {
            link,
            timeout_ms: config.timeout_ms.into(),
            heard_at,
            is_asked: false,
            arrivals: Vec::new(),
        })
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
            && let Some(frame) = self.link.received()?
        {
            has_come = true;
            match frame {
                Frame::Message(received) => self.came(config, received),
                // One subject of several may be denied; the others go on.
                Frame::Error(text) if text.to_ascii_lowercase().starts_with("permissions violation") => {
                    report(&text)
                }
                Frame::Error(text) => return Err(refused(&text)),
                Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Pong => {}
            }
        }
        if has_come {
            (self.heard_at, self.is_asked) = (ambient::monotonic_ms(), false);
        }
        self.publish()?;
        Ok(has_come)
    }

    fn came(&mut self, config: &Config, received: Received) {
        let number = received.subscription.parse::<usize>().ok();
        let Some(Inward { topic, qos, retain, .. }) = number.and_then(|number| config.inward.get(number))
        else {
            return;
        };
        match topic.filled(Some(topic_of(&received.subject).as_bytes())) {
            Ok(topic) => self.arrivals.push(Arrival {
                topic: topic.into_owned(),
                payload: received.payload,
                qos: *qos,
                retain: *retain,
                properties: properties(received.headers),
            }),
            Err(reason) => report(&format!("the subject {reason}")),
        }
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
            let seconds = self.timeout_ms.div_ceil(1000);
            return Err(Failure::Reconnect(format!("it has not answered for {seconds} s")));
        }
        if silent >= PING_MS && !self.is_asked {
            self.link.send(b"PING\r\n")?;
            self.is_asked = true;
        }
        let patience = if self.is_asked { PING_MS.saturating_add(self.timeout_ms) } else { PING_MS };
        Ok(self.heard_at.saturating_add(patience))
    }
}

/// Headers as properties; none where there are none.
fn properties(headers: Vec<(String, String)>) -> Option<Properties> {
    if headers.is_empty() {
        return None;
    }
    let mut properties = Properties::default();
    for (name, value) in headers.into_iter().take(HEADERS_MAX) {
        if name.eq_ignore_ascii_case("content-type") {
            properties.content_type = Some(value);
        } else {
            properties.user_properties.push(UserProperty { name, value });
        }
    }
    Some(properties)
}

/// The failure of messages that could not be stored: they are lost, as those are that come while nobody listens.
fn lost(error: ingest::IngestError) -> Failure {
    let reason = format!("messages of subjects are lost: {}", error.name());
    report(&reason);
    Failure::Reconnect(reason)
}

fn report(reason: &str) {
    diagnostics::report(diagnostics::Severity::Error, "NATS_SUBJECT", reason, 0, 0);
}
