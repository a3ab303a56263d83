//! Subjects whose messages are published here, over a connection of their own.

use lotmq_guest::route::{Arrival, Failure, Properties, UserProperty, net};
use nats_protocol::{Frame, Received};
use route_frames::{Listener, left_out};

use crate::config::{Config, Inward};
use crate::limits::HEADERS_MAX;
use crate::link::{Link, refused};
use crate::subject::topic_of;

/// Connection that listens to the subjects of a route.
pub(crate) struct Subjects {
    link: Link,
    inward: Vec<Inward>,
}

impl Subjects {
    /// Subscribes to all subjects.
    pub(crate) fn open(config: &Config, inward: Vec<Inward>) -> Result<Subjects, Failure> {
        let mut link = Link::open(config, false)?;
        let mut out = String::new();
        for (number, Inward { subject, group, .. }) in inward.iter().enumerate() {
            let group = group.as_ref().map(|group| format!("{group} ")).unwrap_or_default();
            out.push_str(&format!("SUB {subject} {group}{number}\r\n"));
        }
        link.send(out.as_bytes())?;
        Ok(Subjects { link, inward })
    }

    fn arrival(&self, received: Received) -> Option<Arrival> {
        let number = received.subscription.parse::<usize>().ok()?;
        let Inward { topic, qos, retain, .. } = self.inward.get(number)?;
        match topic.filled(Some(topic_of(&received.subject).as_bytes())) {
            Ok(topic) => Some(Arrival {
                topic: topic.into_owned(),
                payload: received.payload,
                qos: *qos,
                retain: *retain,
                properties: properties(received.headers),
            }),
            Err(reason) => {
                left_out::<Subjects>(&format!("the subject {reason}"));
                None
            }
        }
    }
}

impl Listener for Subjects {
    const CODE: &'static str = "NATS_SUBJECT";

    fn take(&mut self) -> Result<bool, Failure> {
        self.link.take()
    }

    fn receive(&mut self, arrivals: &mut Vec<Arrival>) -> Result<bool, Failure> {
        let Some(frame) = self.link.received()? else { return Ok(false) };
        match frame {
            Frame::Message(received) => arrivals.extend(self.arrival(received)),
            // One subject of several may be denied; the others go on.
            Frame::Error(text) if text.to_ascii_lowercase().starts_with("permissions violation") => {
                left_out::<Subjects>(&text);
            }
            Frame::Error(text) => return Err(refused(&text)),
            Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Pong => {}
        }
        Ok(true)
    }

    fn ping(&mut self) -> Result<(), Failure> {
        self.link.send(b"PING\r\n")
    }

    fn readable(&self) -> net::Interest<'_> {
        self.link.readable()
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
