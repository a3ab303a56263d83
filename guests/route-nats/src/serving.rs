//! Message handling of an open route: sends the messages of a batch together. The server, or the
//! stream, answers each one.

use lotmq_guest::route::{
    Addressee, Delivery, Failure, Properties, Receipt, UserProperty, ambient, net, state,
};
use nats_protocol::{Frame, Received};
use route_ledger::{Done, Ledger};
use serde_json::Value as Json;

use crate::config::Config;
use crate::limits::{HEADERS_MAX, PIPELINE_BYTES};
use crate::link::{Link, refused};

/// Key of the name of this route.
const NAME: &str = "name";

/// An open route.
pub(crate) struct Serving {
    pub(crate) config: Config,
    link: Link,
    /// Name of this route among all, by which a stream knows what it has.
    name: String,
    ledger: Ledger,
}

/// A message that was sent.
#[derive(Clone, Copy, PartialEq)]
enum Stand {
    /// The server has not answered yet.
    Sent,
    /// The server has it; the stream has not acknowledged it.
    Taken,
    Settled,
}

impl Serving {
    pub(crate) fn open(config: Config) -> Result<Serving, Failure> {
        let link = Link::open(&config, true)?;
        let mut serving = Serving { config, link, name: name(), ledger: Ledger::default() };
        if serving.config.is_stored {
            let subscribed = format!("SUB {}.* 1\r\n", serving.inbox());
            serving.link.send(subscribed.as_bytes())?;
            match serving.link.frame()? {
                Frame::Error(text) => return Err(refused(&text)),
                _ => {}
            }
        }
        Ok(serving)
    }

    /// Returns the subject for the answers of streams.
    fn inbox(&self) -> String {
        format!("_INBOX.lotmq-{}", self.name)
    }

    /// Whether the server is there.
    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        self.link.send(b"PING\r\n")?;
        loop {
            match self.link.frame()? {
                Frame::Pong => return Ok(()),
                Frame::Error(text) => return Err(refused(&text)),
                Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Message(_) => {}
            }
        }
    }

    /// Waits for the host's work, and notices when the server ends the connection meanwhile.
    pub(crate) fn rest(&mut self, until_ms: u32) -> Result<(), Failure> {
        let ready = net::wait(&[net::Interest::HostWork, self.link.readable()], until_ms);
        if ready.contains(&1) {
            self.link.take()?;
            while let Some(frame) = self.link.received()? {
                if let Frame::Error(text) = frame {
                    return Err(refused(&text));
                }
            }
        }
        Ok(())
    }

    /// Carries out a batch in its order.
    pub(crate) fn deliver(&mut self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        let mut outcome = Ok(());
        let mut at = 0;
        while at < batch.len() && outcome.is_ok() {
            let (sent, ended) = self.carry_out(&batch[at..]);
            (at, outcome) = (at + sent, ended);
        }
        self.ledger.receipt(batch, outcome)
    }

    /// Sends as many messages as fit together, and waits for their results. Returns their number,
    /// and the failure of the first unfinished one.
    fn carry_out(&mut self, batch: &[Delivery]) -> (usize, Result<(), Failure>) {
        let (mut out, mut asked, mut sent) = (Vec::new(), Vec::new(), 0);
        for delivery in batch {
            if out.len() >= PIPELINE_BYTES {
                break;
            }
            sent += 1;
            if self.ledger.done(delivery.sequence).is_some() {
                continue;
            }
            match self.encode(delivery, &mut out) {
                Ok(()) => asked.push(delivery.sequence),
                Err(reason) => self.ledger.note(delivery.sequence, Done::Rejected(reason)),
            }
        }
        if asked.is_empty() {
            return (sent, Ok(()));
        }
        let settled = self.link.send(&out).and_then(|()| self.settle(&asked));
        (sent, settled)
    }

    fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) -> Result<(), String> {
        let Addressee::Mapping(mapping) = &delivery.to else {
            return Err("a route of type NATS has mappings only".to_owned());
        };
        let pattern =
            self.config.outward.get(mapping).ok_or("the mapping takes no messages of this broker")?;
        let subject = pattern.filled(&delivery.message.topic)?;
        let mut headers = Vec::new();
        if self.link.has_headers {
            if self.config.is_stored {
                headers.push(("Nats-Msg-Id".to_owned(), format!("{}-{}", self.name, delivery.sequence)));
            }
            headers.extend(delivery.properties.iter().flat_map(header_lines).take(HEADERS_MAX));
        }
        let reply = if self.config.is_stored {
            format!(" {}.{}", self.inbox(), delivery.sequence)
        } else {
            String::new()
        };
        let payload = &delivery.message.payload;
        let block = match headers.is_empty() {
            true => String::new(),
            false => {
                let lines: String =
                    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                format!("NATS/1.0\r\n{lines}\r\n")
            }
        };
        let whole = block.len() + payload.len();
        if whole > self.link.payload_max {
            return Err(format!("it has {whole} bytes, and the server takes {}", self.link.payload_max));
        }
        let head = match block.is_empty() {
            true => format!("PUB {subject}{reply} {whole}\r\n"),
            false => format!("HPUB {subject}{reply} {} {whole}\r\n", block.len()),
        };
        for part in [head.as_bytes(), block.as_bytes(), payload, b"\r\n"] {
            out.extend_from_slice(part);
        }
        Ok(())
    }

    /// Waits until it is known what became of all of them.
    fn settle(&mut self, asked: &[u64]) -> Result<(), Failure> {
        let mut stands = vec![Stand::Sent; asked.len()];
        let mut failed = Ok(());
        let began = ambient::monotonic_ms();
        while stands.iter().any(|stand| *stand != Stand::Settled) {
            if ambient::monotonic_ms().saturating_sub(began) > u64::from(self.config.timeout_ms) {
                // A late answer would otherwise count for a later message.
                return Err(Failure::Reconnect("the stream has not answered in time".to_owned()));
            }
            // The server answers what it is sent in order; streams answer as they have stored.
            let next = stands.iter().position(|stand| *stand == Stand::Sent);
            match (self.link.frame()?, next) {
                (Frame::Ok, Some(index)) if self.config.is_stored => stands[index] = Stand::Taken,
                (Frame::Ok, Some(index)) => {
                    stands[index] = Stand::Settled;
                    self.ledger.note(asked[index], Done::Passed);
                }
                (Frame::Error(text), Some(index))
                    if text.to_ascii_lowercase().starts_with("permissions violation") =>
                {
                    stands[index] = Stand::Settled;
                    failed = failed.and(Err(Failure::Fatal(text)));
                }
                (Frame::Error(text), _) => return Err(refused(&text)),
                (Frame::Message(answer), _) => {
                    let Some(index) = self.answered(&answer, asked) else { continue };
                    stands[index] = Stand::Settled;
                    match stored(&answer) {
                        Ok(()) => self.ledger.note(asked[index], Done::Passed),
                        Err(Failure::Reject(reason)) => {
                            self.ledger.note(asked[index], Done::Rejected(reason));
                        }
                        Err(failure) => failed = failed.and(Err(failure)),
                    }
                }
                (Frame::Ok | Frame::Info(_) | Frame::Ping | Frame::Pong, _) => {}
            }
        }
        failed
    }

    /// Returns the index of the message that a stream's answer belongs to; `None` for an answer
    /// that came too late.
    fn answered(&self, answer: &Received, asked: &[u64]) -> Option<usize> {
        let sequence: u64 = answer.subject.strip_prefix(&self.inbox())?.strip_prefix('.')?.parse().ok()?;
        asked.iter().position(|of| *of == sequence)
    }
}

/// The name of this route among all: random, and kept.
fn name() -> String {
    if let Some(name) = state::get(NAME).and_then(|bytes| String::from_utf8(bytes).ok()) {
        return name;
    }
    let name = format!("{:016x}", ambient::random());
    // If the name cannot be stored, a restart makes a new one, and messages in flight may be stored
    // twice.
    let _ = state::set(NAME, name.as_bytes());
    name
}

/// Headers of what the message has besides its payload; those that are no header are left out.
fn header_lines(properties: &Properties) -> Vec<(String, String)> {
    let content = properties.content_type.iter().map(|kind| ("Content-Type".to_owned(), kind.clone()));
    let users =
        properties.user_properties.iter().map(|UserProperty { name, value }| (name.clone(), value.clone()));
    let is_header = |(name, value): &(String, String)| {
        let is_name = |next: char| next.is_ascii_graphic() && next != ':';
        !name.is_empty()
            && name.chars().all(is_name)
            && !value.contains(['\r', '\n'])
            && !name.starts_with("Nats-")
    };
    content.chain(users).filter(is_header).collect()
}

/// Reads the answer of a stream.
fn stored(answer: &Received) -> Result<(), Failure> {
    if let Some(status) = &answer.status {
        return Err(Failure::Retry(match status.as_str() {
            "503" => "no stream takes this subject".to_owned(),
            status => format!("the server answered {status}"),
        }));
    }
    let said: Json = serde_json::from_slice(&answer.payload)
        .map_err(|_| Failure::Reconnect("the answer of the stream is not JSON".to_owned()))?;
    let error = &said["error"];
    if error.is_null() {
        return Ok(());
    }
    let reason = format!("the stream says: {}", error["description"].as_str().unwrap_or("no"));
    Err(match error["code"].as_u64() {
        // Of the message itself, such as one that is too large for the stream.
        Some(400..=499) => Failure::Reject(reason),
        _ => Failure::Retry(reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: Option<&str>, payload: &str) -> Received {
        Received {
            subject: "i.1".to_owned(),
            subscription: "1".to_owned(),
            reply: None,
            status: status.map(str::to_owned),
            headers: Vec::new(),
            payload: payload.as_bytes().to_vec(),
        }
    }

    #[test]
    fn answers_of_streams_have_their_class() {
        assert!(stored(&answer(None, r#"{"stream":"S","seq":1}"#)).is_ok());
        for (answer, expected) in [
            (answer(Some("503"), ""), "Retry(\"no stream takes this subject\")"),
            (
                answer(None, r#"{"error":{"code":503,"description":"maximum bytes exceeded"}}"#),
                "Retry(\"the stream says: maximum bytes exceeded\")",
            ),
            (
                answer(
                    None,
                    r#"{"error":{"code":400,"description":"message size exceeds maximum allowed"}}"#,
                ),
                "Reject(",
            ),
            (answer(None, "x"), "Reconnect("),
        ] {
            assert!(format!("{:?}", stored(&answer).unwrap_err()).contains(expected), "{answer:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_left_out() {
        let user = |name: &str, value: &str| UserProperty { name: name.to_owned(), value: value.to_owned() };
        let properties = Properties {
            content_type: Some("text/plain".to_owned()),
            user_properties: vec![
                user("unit", "C"),
                user("a b", "x"),
                user("k", "a\r\nPUB x 0"),
                user("Nats-Msg-Id", "1"),
                user("", ""),
            ],
            ..Properties::default()
        };
        let expected = [("Content-Type", "text/plain"), ("unit", "C")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(header_lines(&properties), expected);
    }
}
